//! What happens in a validation, as far as the rules ask for it.

use crate::operation::{Parties, Role, selectors};
use revm::{
    Inspector,
    bytecode::opcode::{self, OpCode},
    context::{ContextTr, JournalTr},
    interpreter::{
        CallInput, CallInputs, CallOutcome, CreateInputs, CreateOutcome, InstructionResult, Interpreter,
        InterpreterAction, InterpreterResult,
        interpreter::EthInterpreter,
        interpreter_types::{Jumps as _, LoopControl as _, MemoryTr as _},
    },
    primitives::{Address, B256, Bytes, Log, U256, alloy_primitives::Selector, b256, keccak256},
    state::EvmState,
};
use std::collections::{BTreeMap, BTreeSet};

/// Topic of `BeforeExecution()`, with which the EntryPoints end the validation of a bundle.
const BEFORE_EXECUTION: B256 = b256!("bb47ee3e183a558b1a2ff0874b079f3fc5478b7454eacf2bfc5af2ff5878f972");

/// Words from an associated one on that are associated, too. Source: ERC-7562, "associated storage": n
/// from 0 to 128.
const ASSOCIATED_WORDS: u64 = 128;

/// Where in a validation something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The entity whose phase it is.
    pub role: Role,
    /// The contract that runs: the owner of the storage that it sees, which with a `DELEGATECALL` is not the
    /// owner of the code.
    pub contract: Address,
    /// The position in the code, in bytes.
    pub pc: usize,
    /// The opcode there.
    pub opcode: u8,
}

/// An access to storage, permanent or transient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorageKey {
    /// The entity whose phase it is.
    pub role: Role,
    /// The contract whose storage it is.
    pub contract: Address,
    /// The word.
    pub slot: U256,
    /// Whether it is accessed by `TLOAD` or `TSTORE`.
    pub is_transient: bool,
}

/// How a word of storage is used, and where first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageUse {
    /// Where it is read first, if it is.
    pub read: Option<Place>,
    /// Where it is written first, if it is.
    pub written: Option<Place>,
}

/// Something that a rule may forbid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// An opcode that reads the environment, or ends the contract.
    Blocked,
    /// `BALANCE` or `SELFBALANCE`.
    Balance,
    /// `GAS` without a call.
    Gas,
    /// An opcode that is none.
    Unassigned,
    OutOfGas,
    /// Of code at an address that has none.
    NoCode(Address),
    Precompile(Address),
    /// A call with value of anything but the EntryPoint.
    Value(Address),
    /// `EXTCODESIZE` of the EntryPoint without an `ISZERO`.
    EntryPointSize,
    /// `depositTo` of the EntryPoint, for this account.
    Deposit(Address),
    /// A `CALL` of the EntryPoint without call data.
    Fallback,
    /// Any other access to the EntryPoint.
    EntryPoint,
    Create {
        /// Of a `CREATE2`; a `CREATE` can create anything.
        created: Option<Address>,
    },
}

/// How a validation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The EntryPoint would go on to execute the operation.
    Passed,
    /// The EntryPoint refused it.
    Failed {
        /// What the EntryPoint says, `AA24 signature error` for example.
        reason: String,
        /// What the failing contract reverted with, from EntryPoint v0.7 on.
        inner: Bytes,
    },
    /// The call of the EntryPoint reverted with something else.
    Reverted(Bytes),
    /// The call ended in an exceptional halt, out of gas for example; or it did not reach an EntryPoint.
    Halted,
}

/// What entities answer to the EntryPoint, as far as they were asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// The packed validation data of the account: authorizer (20 bytes), until (6 bytes), after (6 bytes),
    /// from the low end.
    pub account: Option<U256>,
    /// The same of the paymaster.
    pub paymaster: Option<U256>,
    /// Whether the paymaster returned a context, and wants its `postOp` to be called.
    pub has_context: bool,
}

/// The trace of a validation, which [`check`](crate::check) judges.
#[derive(Clone, Debug)]
pub struct Trace {
    pub(crate) parties: Parties,
    pub(crate) events: Vec<(Place, Event)>,
    pub(crate) storage: BTreeMap<StorageKey, StorageUse>,
    pub(crate) associated: Associated,
    pub(crate) code: BTreeMap<Address, B256>,
    pub(crate) answers: Answers,
    pub(crate) outcome: Outcome,
}

/// Storage that is associated with addresses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Associated {
    /// `keccak256(address ‖ x)` for 32 bytes x, that were computed.
    bases: BTreeMap<Address, BTreeSet<U256>>,
}

impl Associated {
    fn insert(&mut self, preimage: &[u8; 64]) {
        let (padded, _) = preimage.split_at(32);
        let (zeros, address) = padded.split_at(12);
        if zeros.iter().all(|byte| *byte == 0) {
            let bases = self.bases.entry(Address::from_slice(address)).or_default();
            bases.insert(keccak256(preimage).into());
        }
    }

    /// Whether a word is associated with an address. Source: ERC-7562, "associated storage".
    pub(crate) fn is_with(&self, address: Address, slot: U256) -> bool {
        if slot == U256::from_be_bytes(address.into_word().0) {
            return true;
        }
        let Some(bases) = self.bases.get(&address) else {
            return false;
        };
        // The nearest base below it is the only one that matters, except where the words behind a base go
        // past the last word.
        let nearest = bases.range(..=slot).next_back().or_else(|| bases.last());
        nearest.is_some_and(|base| slot.wrapping_sub(*base) <= U256::from(ASSOCIATED_WORDS))
    }
}

/// Whose code a frame runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Running {
    /// The EntryPoint's, which follows no rules.
    EntryPoint,
    /// The EntryPoint's helper that calls the factory.
    SenderCreator,
    /// What an entity calls, itself included.
    Entity(Role),
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    running: Running,
    contract: Address,
    /// Whether it is the call by which the EntryPoint asks the entity.
    is_question: bool,
    /// The latest instruction.
    latest: Option<(usize, u8)>,
    /// Whether the latest instruction was `EXTCODESIZE` of the EntryPoint.
    asked_size: bool,
}

/// Collects what the rules ask for. Attach it to an EVM that runs a call of the EntryPoint
/// with one operation.
#[derive(Clone, Debug)]
pub struct ValidationInspector {
    trace: Trace,
    frames: Vec<Frame>,
    is_over: bool,
    /// An address whose code the current instruction uses.
    accessed: Option<Address>,
}

impl ValidationInspector {
    /// A new one.
    #[must_use]
    pub const fn new(parties: Parties) -> Self {
        Self {
            trace: Trace {
                parties,
                events: Vec::new(),
                storage: BTreeMap::new(),
                associated: Associated {
                    bases: BTreeMap::new(),
                },
                code: BTreeMap::new(),
                answers: Answers {
                    account: None,
                    paymaster: None,
                    has_context: false,
                },
                outcome: Outcome::Halted,
            },
            frames: Vec::new(),
            is_over: false,
            accessed: None,
        }
    }

    /// What was collected, once the call has ended.
    #[must_use]
    pub fn into_trace(self) -> Trace {
        self.trace
    }

    /// The place of the current instruction, if its code has to follow rules.
    fn place(&self) -> Option<Place> {
        let frame = self.frames.last()?;
        let Running::Entity(role) = frame.running else {
            return None;
        };
        let (pc, opcode) = frame.latest?;
        Some(Place {
            role,
            contract: frame.contract,
            pc,
            opcode,
        })
    }

    fn report(&mut self, place: Place, event: Event) {
        self.trace.events.push((place, event));
    }

    /// Whose code a call runs, and whether it is the EntryPoint's question.
    fn enter(&self, target: Address, call: Option<(Address, &[u8])>) -> (Running, bool) {
        let parties = &self.trace.parties;
        let Some(frame) = self.frames.last() else {
            return (Running::EntryPoint, false);
        };
        match frame.running {
            Running::EntryPoint => {
                let selector =
                    call.and_then(|(_, data)| data.first_chunk().map(|bytes| Selector::new(*bytes)));
                let asks = |selectors: [Selector; 2]| selector.is_some_and(|is| selectors.contains(&is));
                if target == parties.sender && asks(selectors::VALIDATE_USER_OP) {
                    (Running::Entity(Role::Account), true)
                } else if Some(target) == parties.paymaster && asks(selectors::VALIDATE_PAYMASTER_USER_OP) {
                    (Running::Entity(Role::Paymaster), true)
                } else if self.frames.len() == 1 && target != parties.entry_point {
                    (Running::SenderCreator, false)
                } else {
                    (Running::EntryPoint, false)
                }
            }
            // An account that delegates by EIP-7702 is initialized by a call of itself.
            Running::SenderCreator if target == parties.sender => (Running::Entity(Role::Account), false),
            Running::SenderCreator => (Running::Entity(Role::Factory), false),
            // The EntryPoint's own code is trusted; whether it may be called is another question.
            Running::Entity(_) if target == parties.entry_point => (Running::EntryPoint, false),
            Running::Entity(role) => (Running::Entity(role), false),
        }
    }

    fn open(&mut self, (running, is_question): (Running, bool), contract: Address) {
        self.frames.push(Frame {
            running,
            contract,
            is_question,
            latest: None,
            asked_size: false,
        });
    }

    fn close(&mut self, result: &InterpreterResult) {
        if is_out_of_gas(result.result) || result.result == InstructionResult::NotActivated {
            let event = if result.result == InstructionResult::NotActivated {
                Event::Unassigned
            } else {
                Event::OutOfGas
            };
            // A precompile has no instructions: its call is the place.
            let place = self.place().or_else(|| {
                let below = self.frames.len().checked_sub(2)?;
                let caller = self.frames.get(below)?;
                let (Running::Entity(role), Some((pc, opcode))) = (caller.running, caller.latest) else {
                    return None;
                };
                Some(Place {
                    role,
                    contract: caller.contract,
                    pc,
                    opcode,
                })
            });
            if let Some(place) = place {
                self.report(place, event);
            }
        }
        let Some(frame) = self.frames.pop() else { return };
        if frame.is_question && result.is_ok() {
            self.answered(frame.running, &result.output);
        }
        if self.frames.is_empty() && !self.is_over {
            self.trace.outcome = outcome(result, &self.trace.answers);
        }
    }

    /// Notes the code that an address has, and that of its delegate. Whether there is any; `None` if nothing
    /// has asked for it.
    fn note_code(&mut self, state: &EvmState, address: Address) -> Option<bool> {
        let account = state.get(&address)?;
        let delegate = account.info.code.as_ref().and_then(|code| code.eip7702_address());
        if let Some(delegate) = delegate
            && let Some(account) = state.get(&delegate)
        {
            self.trace.code.entry(delegate).or_insert(account.info.code_hash);
        }
        let hash = account.info.code_hash;
        let has_code = !account.info.is_empty_code_hash() && !hash.is_zero();
        if has_code {
            self.trace.code.entry(address).or_insert(hash);
        }
        Some(has_code)
    }

    fn answered(&mut self, by: Running, output: &[u8]) {
        let word = |index: usize| {
            let bytes = output.get(32 * index..32 * (index + 1))?;
            Some(U256::from_be_slice(bytes))
        };
        let answers = &mut self.trace.answers;
        match by {
            Running::Entity(Role::Account) => answers.account = word(0),
            Running::Entity(Role::Paymaster) => {
                answers.paymaster = word(1);
                // The context is bytes: its offset comes first, its length stands there.
                answers.has_context = word(0)
                    .and_then(|offset| usize::try_from(offset).ok())
                    .and_then(|offset| output.get(offset..offset.checked_add(32)?))
                    .is_some_and(|length| length.iter().any(|byte| *byte != 0));
            }
            _ => (),
        }
    }

    /// The instruction in front of the current one, which this one completes or not.
    fn check_pair(&mut self, opcode: u8) {
        let Some(place) = self.place() else { return };
        if place.opcode == opcode::GAS && !is_call(opcode) {
            self.report(place, Event::Gas);
        }
        if self.frames.last().is_some_and(|frame| frame.asked_size) && opcode != opcode::ISZERO {
            self.report(place, Event::EntryPointSize);
        }
    }

    fn check_storage(&mut self, place: Place, slot: U256) {
        let key = StorageKey {
            role: place.role,
            contract: place.contract,
            slot,
            is_transient: matches!(place.opcode, opcode::TLOAD | opcode::TSTORE),
        };
        let used = self.trace.storage.entry(key).or_insert(StorageUse {
            read: None,
            written: None,
        });
        let first = if matches!(place.opcode, opcode::SSTORE | opcode::TSTORE) {
            &mut used.written
        } else {
            &mut used.read
        };
        first.get_or_insert(place);
    }

    /// An access to the EntryPoint by an entity. Source: ERC-7562, OP-051 to OP-054.
    fn check_entry_point(&mut self, place: Place, call_data: &[u8]) {
        match place.opcode {
            opcode::EXTCODESIZE => {
                if let Some(frame) = self.frames.last_mut() {
                    frame.asked_size = true;
                }
            }
            opcode::CALL if call_data.is_empty() => self.report(place, Event::Fallback),
            opcode::CALL => {
                let event = match call_data.split_first_chunk::<4>() {
                    Some((selector, arguments)) if Selector::new(*selector) == selectors::DEPOSIT_TO => {
                        match arguments.get(12..32) {
                            Some(account) => Event::Deposit(Address::from_slice(account)),
                            None => Event::EntryPoint,
                        }
                    }
                    _ => Event::EntryPoint,
                };
                self.report(place, event);
            }
            _ => self.report(place, Event::EntryPoint),
        }
    }
}

impl<C> Inspector<C, EthInterpreter> for ValidationInspector
where
    C: ContextTr<Journal: JournalTr<State = EvmState>>,
{
    fn step(&mut self, interpreter: &mut Interpreter<EthInterpreter>, context: &mut C) {
        let (pc, opcode) = (interpreter.bytecode.pc(), interpreter.bytecode.opcode());
        self.check_pair(opcode);
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        (frame.latest, frame.asked_size) = (Some((pc, opcode)), false);
        let stack = interpreter.stack.data();
        // From the top.
        let word = |index: usize| stack.iter().rev().nth(index).copied();
        let range = |offset: usize, length: usize| -> Option<(usize, usize)> {
            let (offset, length) = (word(offset)?, word(length)?);
            Some((usize::try_from(offset).ok()?, usize::try_from(length).ok()?))
        };
        if opcode == opcode::KECCAK256 {
            if let Some((offset, 64)) = range(0, 1) {
                let mut preimage = [0; 64];
                read_memory(interpreter, offset, &mut preimage);
                self.trace.associated.insert(&preimage);
            }
            return;
        }
        let Some(place) = self.place() else { return };
        if OpCode::new(opcode).is_none() {
            self.report(place, Event::Unassigned);
        }
        match opcode {
            opcode::BALANCE | opcode::SELFBALANCE => self.report(place, Event::Balance),
            opcode::SLOAD | opcode::SSTORE | opcode::TLOAD | opcode::TSTORE => {
                if let Some(slot) = word(0) {
                    self.check_storage(place, slot);
                }
            }
            opcode::EXTCODESIZE | opcode::EXTCODECOPY | opcode::EXTCODEHASH => {
                let Some(address) = word(0).map(address_of) else {
                    return;
                };
                if address == self.trace.parties.entry_point {
                    self.check_entry_point(place, &[]);
                } else {
                    self.accessed = Some(address);
                }
            }
            _ if is_call(opcode) => {
                let Some(address) = word(1).map(address_of) else {
                    return;
                };
                let has_value = matches!(opcode, opcode::CALL | opcode::CALLCODE);
                if address == self.trace.parties.entry_point {
                    let first = if has_value { 3 } else { 2 };
                    let (offset, length) = range(first, first + 1).unwrap_or_default();
                    // Selector and one argument are all that matters.
                    let mut data = [0; 36];
                    let length = length.min(data.len());
                    read_memory(interpreter, offset, &mut data[..length]);
                    self.check_entry_point(place, &data[..length]);
                    return;
                }
                if has_value && word(2).is_some_and(|value| !value.is_zero()) {
                    self.report(place, Event::Value(address));
                }
                if context.journal_ref().precompile_addresses().contains(&address) {
                    self.report(place, Event::Precompile(address));
                } else {
                    self.accessed = Some(address);
                }
            }
            _ if is_blocked(opcode) => self.report(place, Event::Blocked),
            _ => (),
        }
    }

    fn step_end(&mut self, interpreter: &mut Interpreter<EthInterpreter>, context: &mut C) {
        let Some(address) = self.accessed.take() else {
            return;
        };
        let Some(place) = self.place() else { return };
        // An instruction that failed before it came to the address has accessed nothing.
        let failed = interpreter
            .bytecode
            .action()
            .as_ref()
            .and_then(InterpreterAction::instruction_result);
        if failed.is_some() {
            return;
        }
        if self.note_code(context.journal_ref().evm_state(), address) == Some(false) {
            self.report(place, Event::NoCode(address));
        }
    }

    fn log_full(&mut self, interpreter: &mut Interpreter<EthInterpreter>, _: &mut C, log: Log) {
        let is_entry_point = self.frames.len() == 1 && log.address == self.trace.parties.entry_point;
        if is_entry_point && log.topics().first() == Some(&BEFORE_EXECUTION) {
            self.is_over = true;
            self.trace.outcome = Outcome::Passed;
            interpreter.bytecode.set_action(InterpreterAction::new_stop());
        }
    }

    fn call(&mut self, context: &mut C, inputs: &mut CallInputs) -> Option<CallOutcome> {
        // The first bytes are enough: those of a selector.
        let data = match &inputs.input {
            CallInput::Bytes(bytes) => bytes.clone(),
            CallInput::SharedBuffer(_) => inputs.input.bytes(context),
        };
        let entered = self.enter(inputs.target_address, Some((inputs.bytecode_address, &data)));
        if matches!(entered.0, Running::Entity(_)) {
            self.note_code(context.journal_ref().evm_state(), inputs.target_address);
        }
        self.open(entered, inputs.target_address);
        None
    }

    fn call_end(&mut self, _: &mut C, _: &CallInputs, outcome: &mut CallOutcome) {
        self.close(&outcome.result);
    }

    fn create(&mut self, context: &mut C, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        let nonce = context
            .journal_ref()
            .evm_state()
            .get(&inputs.caller())
            .map_or(0, |account| account.info.nonce);
        let created = inputs.created_address(nonce);
        if let Some(place) = self.place() {
            let created = (place.opcode == opcode::CREATE2).then_some(created);
            self.report(place, Event::Create { created });
        }
        let entered = self.enter(created, None);
        self.open(entered, created);
        None
    }

    fn create_end(&mut self, _: &mut C, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.close(&outcome.result);
    }
}

fn outcome(result: &InterpreterResult, answers: &Answers) -> Outcome {
    if result.is_ok() {
        // `simulateValidation` of later versions returns; what is no EntryPoint does, too.
        return if answers.account.is_some() {
            Outcome::Passed
        } else {
            Outcome::Halted
        };
    }
    if result.result != InstructionResult::Revert {
        return Outcome::Halted;
    }
    let output = &result.output;
    let reverted = || Outcome::Reverted(output.clone());
    let Some((selector, arguments)) = output.split_first_chunk::<4>() else {
        return reverted();
    };
    let selector = Selector::new(*selector);
    if selectors::VALIDATION_RESULTS.contains(&selector) {
        return Outcome::Passed;
    }
    let with_inner = selector == selectors::FAILED_OP_WITH_REVERT;
    if !with_inner && selector != selectors::FAILED_OP {
        return reverted();
    }
    let Some(reason) = bytes_at(arguments, 1) else {
        return reverted();
    };
    let inner = if with_inner { bytes_at(arguments, 2) } else { None };
    Outcome::Failed {
        reason: String::from_utf8_lossy(reason).into_owned(),
        inner: Bytes::copy_from_slice(inner.unwrap_or_default()),
    }
}

/// The bytes that a word of ABI-encoded data points to.
fn bytes_at(data: &[u8], index: usize) -> Option<&[u8]> {
    let word = |at: usize| {
        let bytes = data.get(at..at.checked_add(32)?)?;
        usize::try_from(U256::from_be_slice(bytes)).ok()
    };
    let offset = word(32 * index)?;
    let length = word(offset)?;
    let start = offset.checked_add(32)?;
    data.get(start..start.checked_add(length)?)
}

/// Reads memory, which is zero where nothing has been written.
fn read_memory(interpreter: &Interpreter<EthInterpreter>, offset: usize, into: &mut [u8]) {
    let size = interpreter.memory.size();
    let there = size.saturating_sub(offset).min(into.len());
    if there > 0 {
        into[..there].copy_from_slice(&interpreter.memory.slice(offset..offset + there));
    }
}

fn address_of(word: U256) -> Address {
    Address::from_word(word.into())
}

const fn is_call(opcode: u8) -> bool {
    matches!(
        opcode,
        opcode::CALL | opcode::CALLCODE | opcode::DELEGATECALL | opcode::STATICCALL
    )
}

/// Source: ERC-7562, OP-011; the two for blobs came after its first version. `CREATE` is judged by
/// who uses it.
const fn is_blocked(opcode: u8) -> bool {
    matches!(
        opcode,
        opcode::ORIGIN
            | opcode::GASPRICE
            | opcode::BLOCKHASH
            | opcode::COINBASE
            | opcode::TIMESTAMP
            | opcode::NUMBER
            | opcode::DIFFICULTY
            | opcode::GASLIMIT
            | opcode::BASEFEE
            | opcode::BLOBHASH
            | opcode::BLOBBASEFEE
            | opcode::INVALID
            | opcode::SELFDESTRUCT
    )
}

const fn is_out_of_gas(result: InstructionResult) -> bool {
    matches!(
        result,
        InstructionResult::OutOfGas
            | InstructionResult::MemoryOOG
            | InstructionResult::MemoryLimitOOG
            | InstructionResult::PrecompileOOG
            | InstructionResult::InvalidOperandOOG
            | InstructionResult::ReentrancySentryOOG
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_up_to_128_behind_a_hash_are_associated() {
        let owner = Address::repeat_byte(0x11);
        let mut preimage = [0; 64];
        preimage[12..32].copy_from_slice(owner.as_slice());
        preimage[63] = 7;
        let base = U256::from_be_bytes(keccak256(preimage).0);
        let mut associated = Associated::default();
        assert!(!associated.is_with(owner, base));
        associated.insert(&preimage);
        for (offset, is_with) in [(0, true), (1, true), (128, true), (129, false)] {
            assert_eq!(
                associated.is_with(owner, base + U256::from(offset)),
                is_with,
                "{offset}"
            );
        }
        assert!(!associated.is_with(owner, base - U256::ONE));
        assert!(!associated.is_with(Address::repeat_byte(0x12), base));
        assert!(associated.is_with(owner, U256::from_be_bytes(owner.into_word().0)));
    }

    #[test]
    fn words_behind_a_hash_go_past_the_last_one() {
        let owner = Address::repeat_byte(0x11);
        let mut associated = Associated::default();
        let bases = associated.bases.entry(owner).or_default();
        bases.insert(U256::MAX - U256::from(3));
        assert!(associated.is_with(owner, U256::MAX));
        assert!(associated.is_with(owner, U256::from(124)));
        assert!(!associated.is_with(owner, U256::from(125)));
    }

    #[test]
    fn what_is_hashed_with_more_than_an_address_in_front_is_not_associated() {
        let mut preimage = [0; 64];
        preimage[11] = 1;
        let mut associated = Associated::default();
        associated.insert(&preimage);
        assert!(associated.bases.is_empty());
    }

    #[test]
    fn reverts_that_are_cut_short_are_not_taken_for_refusals() {
        let result = |output: Vec<u8>| InterpreterResult {
            result: InstructionResult::Revert,
            output: output.into(),
            gas: Default::default(),
        };
        let mut output = selectors::FAILED_OP.to_vec();
        output.extend([0_u8; 31]);
        assert!(matches!(
            outcome(&result(output.clone()), &Answers::default()),
            Outcome::Reverted(_)
        ));
        output.extend([0xff; 65]);
        assert!(matches!(
            outcome(&result(output), &Answers::default()),
            Outcome::Reverted(_)
        ));
    }
}
