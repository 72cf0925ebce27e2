//! Reads the plugin's views, many in one call, because the chain's overhead per call exceeds the cost of most
//! views.

use alloy::{
    primitives::{Address, B256, Bytes, Selector, hex},
    rpc::types::TransactionRequest,
    sol_types::{SolCall, SolError},
};
use session_key_bindings::ISessionKeyPlugin::{
    self, ContractAccessControlType, InvalidSessionKey, SessionKeyNotFound,
};
use session_key_client::permissions::{AccessControlType, TimeRange, model::KeyState};
use session_key_testkit::{Chain, ChainError};
use std::collections::BTreeSet;

/// The address of the code that makes the calls of a batch.
const BATCH: Address = Address::repeat_byte(0xba);

/// Returns code that makes a static call to `to` for each record in its call data (two bytes of length, then
/// the data). It returns a record for each call: one byte that is 1 for success, two bytes of length, then
/// the returned data.
///
/// ```text
///     out, pos = cds, 0                calldatasize push0 push0 calldatacopy calldatasize push0
/// 06: if pos >= cds: goto 4c           jumpdest dup1 calldatasize gt iszero push1 4c jumpi
///     len = calldataload(pos) >> f0    dup1 calldataload push1 f0 shr
///     pos += 2                         swap1 push1 02 add
///     staticcall(gas, to, pos, len)    push0 push0 dup4 dup4 push20 to gas staticcall
///     mstore8(out, success)            dup4 mstore8
///     pos += len; out += 1             add swap1 push1 01 add
///     mstore(out, rds << f0)           returndatasize push1 f0 shl dup2 mstore
///     out += 2                         push1 02 add
///     returndatacopy(out, 0, rds)      returndatasize push0 dup3 returndatacopy
///     out += rds; goto 06              returndatasize add swap1 push1 06 jump
/// 4c: return(cds, out - cds)           jumpdest pop calldatasize dup1 swap2 sub swap1 return
/// ```
fn batch_code(to: Address) -> Vec<u8> {
    let before = hex!("365f5f37365f 5b8036111560 4c57 803560f01c 90600201 5f5f838373");
    let after = hex!("5afa 8353 0190600101 3d60f01b8152 600201 3d5f823e 3d0190600656 5b503680910390f3");
    [&before[..], to.as_slice(), &after[..]].concat()
}

/// The answers of the views for an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// `sessionKeysOf`.
    pub(crate) keys: Vec<Address>,
    /// `findPredecessor` of each requested key; `None` if the key is not found.
    pub(crate) predecessors: Vec<Option<B256>>,
    /// The state of each requested key.
    pub(crate) states: Vec<KeyState>,
}

/// Deploys the code that [`read_account`] and [`read_key`] need.
pub(crate) fn deploy(chain: &mut Chain, plugin: Address) -> Result<(), ChainError> {
    chain.set_code(BATCH, batch_code(plugin))
}

/// Returns the state with entries for all these contracts and functions, so that unlisted and unlimited ones
/// are read too.
pub(crate) fn with_entries(state: &KeyState, contracts: &[Address], selectors: &[Selector]) -> KeyState {
    let mut state = state.clone();
    if state.registered {
        for contract in contracts {
            let functions = &mut state.contracts.entry(*contract).or_default().functions;
            for selector in selectors {
                functions.entry(*selector).or_insert(false);
            }
        }
    }
    state
}

/// Reads every part of a key's state that the footprint names. The result equals the footprint if it matches
/// the chain.
pub(crate) fn read_key(chain: &Chain, footprint: &KeyState) -> Result<KeyState, ChainError> {
    let mut batch = Batch::default();
    batch.ask_key(footprint);
    let mut answers = batch.run(chain)?;
    let state = answers.key(footprint)?;
    answers.finish()?;
    Ok(state)
}

/// Reads the keys of an account, and for each footprint every part of the key's state that it names.
pub(crate) fn read_account(
    chain: &Chain,
    account: Address,
    footprints: &[KeyState],
) -> Result<Found, ChainError> {
    let mut batch = Batch::default();
    batch.ask(&ISessionKeyPlugin::sessionKeysOfCall { account });
    for footprint in footprints {
        batch.ask(&ISessionKeyPlugin::findPredecessorCall {
            account,
            sessionKey: footprint.session_key,
        });
        batch.ask_key(footprint);
    }
    let mut answers = batch.run(chain)?;
    let keys = answers.decode::<ISessionKeyPlugin::sessionKeysOfCall>()?;
    let mut predecessors = Vec::new();
    let mut states = Vec::new();
    for footprint in footprints {
        let not_found = SessionKeyNotFound {
            sessionKey: footprint.session_key,
        };
        let predecessor = answers.decode::<ISessionKeyPlugin::findPredecessorCall>();
        predecessors.push(match predecessor {
            Err(ChainError::Reverted { output }) if output == not_found.abi_encode() => None,
            predecessor => Some(predecessor?),
        });
        states.push(answers.key(footprint)?);
    }
    answers.finish()?;
    Ok(Found {
        keys,
        predecessors,
        states,
    })
}

/// Views that are called together.
#[derive(Default)]
struct Batch(Vec<u8>);

impl Batch {
    fn ask(&mut self, view: &impl SolCall) {
        let data = view.abi_encode();
        // Views take only a few words, so the length fits.
        self.0.extend((data.len() as u16).to_be_bytes());
        self.0.extend(data);
    }

    fn ask_key(&mut self, footprint: &KeyState) {
        let (account, session_key) = (footprint.account, footprint.session_key);
        macro_rules! ask {
            ($($view:ident { $($argument:ident: $value:expr),* }),* $(,)?) => {
                $(self.ask(&ISessionKeyPlugin::$view {
                    account,
                    sessionKey: session_key,
                    $($argument: $value,)*
                });)*
            };
        }
        ask!(
            isSessionKeyOfCall {},
            getAccessControlTypeCall {},
            getKeyTimeRangeCall {},
            getNativeTokenSpendLimitInfoCall {},
            getGasSpendLimitCall {},
            getRequiredPaymasterCall {},
        );
        for (contract, functions) in entries(footprint) {
            ask!(
                getAccessControlEntryCall {
                    contractAddress: contract
                },
                getERC20SpendLimitInfoCall { token: contract },
            );
            for selector in functions {
                ask!(isSelectorOnAccessControlListCall {
                    contractAddress: contract,
                    selector: selector
                });
            }
        }
    }

    fn run(self, chain: &Chain) -> Result<Answers, ChainError> {
        let request = TransactionRequest::default()
            .to(BATCH)
            .input(Bytes::from(self.0).into());
        let output = chain.call(&request)?;
        Ok(Answers { output, at: 0 })
    }
}

/// Returns the contracts of a footprint, with the functions of each. For an unregistered key, returns one of
/// each, so that these views are called too.
fn entries(footprint: &KeyState) -> Vec<(Address, BTreeSet<Selector>)> {
    if !footprint.registered {
        return vec![(Address::ZERO, [Selector::ZERO].into())];
    }
    footprint
        .contracts
        .iter()
        .map(|(contract, entry)| (*contract, entry.functions.keys().copied().collect()))
        .collect()
}

/// The answers of the views, in call order.
struct Answers {
    output: Bytes,
    at: usize,
}

impl Answers {
    /// Returns the data that the next view returned, or an error with its revert data.
    fn next(&mut self) -> Result<Bytes, ChainError> {
        let missing = || ChainError::Evm("a view has no answer".into());
        let header = self.output.get(self.at..self.at + 3).ok_or_else(missing)?;
        let (success, length) = (
            header[0] == 1,
            usize::from(u16::from_be_bytes([header[1], header[2]])),
        );
        let start = self.at + 3;
        self.at = start + length;
        if self.at > self.output.len() {
            return Err(missing());
        }
        let output = self.output.slice(start..self.at);
        if success {
            Ok(output)
        } else {
            Err(ChainError::Reverted { output })
        }
    }

    fn decode<C: SolCall>(&mut self) -> Result<C::Return, ChainError> {
        let output = self.next()?;
        C::abi_decode_returns(&output).map_err(|error| ChainError::InvalidReturnData {
            signature: C::SIGNATURE,
            reason: error.to_string(),
            output,
        })
    }

    fn key(&mut self, footprint: &KeyState) -> Result<KeyState, ChainError> {
        let entries = entries(footprint);
        if !self.decode::<ISessionKeyPlugin::isSessionKeyOfCall>()? {
            return self.unregistered(footprint, &entries);
        }
        let mut state = KeyState::fresh(footprint.account, footprint.session_key);
        state.rule_set = footprint.rule_set;
        state.modules = footprint.modules.clone();
        state.complete = footprint.complete;
        state.access_control_type = match self.decode::<ISessionKeyPlugin::getAccessControlTypeCall>()? {
            ContractAccessControlType::ALLOWLIST => AccessControlType::Allowlist,
            ContractAccessControlType::DENYLIST => AccessControlType::Denylist,
            _ => AccessControlType::AllowAllAccess,
        };
        let time_range = self.decode::<ISessionKeyPlugin::getKeyTimeRangeCall>()?;
        state.time_range = TimeRange {
            valid_after: time_range.validAfter.to(),
            valid_until: time_range.validUntil.to(),
        };
        state.native_limit = self
            .decode::<ISessionKeyPlugin::getNativeTokenSpendLimitInfoCall>()?
            .into();
        let gas = self.decode::<ISessionKeyPlugin::getGasSpendLimitCall>()?;
        state.gas_limit.info = gas.info.into();
        state.gas_limit.should_reset = gas.shouldReset;
        let paymaster = self.decode::<ISessionKeyPlugin::getRequiredPaymasterCall>()?;
        state.required_paymaster = (!paymaster.is_zero()).then_some(paymaster);
        for (contract, functions) in entries {
            let entry = state.contracts.entry(contract).or_default();
            let listed = self.decode::<ISessionKeyPlugin::getAccessControlEntryCall>()?;
            entry.is_on_list = listed.isOnList;
            entry.check_selectors = listed.checkSelectors;
            entry.token_limit = self
                .decode::<ISessionKeyPlugin::getERC20SpendLimitInfoCall>()?
                .into();
            for selector in functions {
                let is_on_list = self.decode::<ISessionKeyPlugin::isSelectorOnAccessControlListCall>()?;
                entry.functions.insert(selector, is_on_list);
            }
        }
        Ok(state)
    }

    /// Checks that every view of an unregistered key reverts, and returns its state.
    fn unregistered(
        &mut self,
        footprint: &KeyState,
        entries: &[(Address, BTreeSet<Selector>)],
    ) -> Result<KeyState, ChainError> {
        let error = InvalidSessionKey {
            sessionKey: footprint.session_key,
        }
        .abi_encode();
        let contracts: usize = entries.iter().map(|(_, functions)| 2 + functions.len()).sum();
        for _ in 0..5 + contracts {
            match self.next() {
                Err(ChainError::Reverted { output }) if output == error => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    return Err(ChainError::Evm(
                        "a view answers for a key that is not registered".into(),
                    ));
                }
            }
        }
        let mut state = KeyState::unregistered(footprint.account, footprint.session_key);
        state.rule_set = footprint.rule_set;
        state.modules = footprint.modules.clone();
        state.complete = footprint.complete;
        Ok(state)
    }

    fn finish(self) -> Result<(), ChainError> {
        if self.at == self.output.len() {
            Ok(())
        } else {
            Err(ChainError::Evm("more answers than views".into()))
        }
    }
}
