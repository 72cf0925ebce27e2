//! The rules: the plugin's checks and bookings.

use super::{
    CallDataError, KeyState, Phase, Remaining, Rule, RuleSet, Spending, Verdict, Violation,
    decode_execute_with_session_key,
};
use crate::{
    AccessControlType, Call, ERC20_APPROVE, ERC20_TRANSFER, EntryPointVersion, GasSpendLimitInfo,
    MAX_SECONDS, SignedOperation, SpendLimitInfo, UserOperation, ValidationNonceKey,
    erc20::TOKEN_CALL_LENGTH, limit::uint48, session_key_nonce_key,
};
use alloy_primitives::{Address, B256, Signature, U256, aliases::U192, eip191_hash_message, uint};
use session_key_bindings::ENTRY_POINT;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Half the order of secp256k1. A higher `s` is refused: it would be a second signature of the same message
/// (EIP-2).
const MAX_SIGNATURE_S: U256 = uint!(0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0_U256);

/// Before the signature of the last validation function, in a v0.8 account's signatures.
const FINAL_SEGMENT: u8 = 0xff;

/// A packed operation's paymaster and its two gas limits.
const PAYMASTER_FIELDS_LENGTH: usize = 52;

type Calls = Result<(Vec<Call>, Address), CallDataError>;

impl KeyState {
    /// Whether an operation passes in a block with timestamp `time` (unix seconds), its signature aside. For
    /// operations that are not signed yet.
    #[must_use]
    pub fn check(&self, operation: &UserOperation, time: u64) -> Verdict {
        self.clone().run(operation, None, time)
    }

    /// Whether a signed operation passes in a block with timestamp `time` (unix seconds).
    #[must_use]
    pub fn check_signed(&self, signed: &SignedOperation, time: u64) -> Verdict {
        self.clone().run(&signed.operation, Some(signed.hash), time)
    }

    /// Whether the key may make these calls in one operation, in a block with timestamp `time` (unix
    /// seconds). Rules about the operation around them (gas, nonce, paymaster, signature) are left out.
    #[must_use]
    pub fn check_calls(&self, calls: &[Call], time: u64) -> Verdict {
        let mut after = self.clone();
        let mut validation = Validation::new(self);
        if self.registered {
            self.validate_time_range(time, Phase::Validation, &mut validation.violations);
            self.validate_calls(calls, time, &mut validation);
            validation.end(time);
        } else {
            validation.refuse(self.not_registered());
        }
        let execution = after.book_calls(calls, time);
        after.verdict(validation, execution, time)
    }

    /// Advances the state as the chain does when it includes the operation in a block with timestamp `time`
    /// and all its calls succeed. Returns the same verdict as [`check`](Self::check).
    ///
    /// An operation refused in validation changes nothing. One refused in execution leaves its gas booked
    /// and, if it opened a new interval of the gas limit, the reset pending.
    pub fn execute(&mut self, operation: &UserOperation, time: u64) -> Verdict {
        self.run(operation, None, time)
    }

    /// The validation half of [`execute`](Self::execute): books the gas unless a rule is broken. The
    /// EntryPoint validates all operations of a bundle before it executes the first.
    ///
    /// With the operation's hash, its signature is checked too.
    pub fn execute_validation(
        &mut self,
        operation: &UserOperation,
        hash: Option<B256>,
        time: u64,
    ) -> Vec<Violation> {
        let calls = decode_execute_with_session_key(&operation.call_data);
        self.validate(operation, &calls, hash, time).violations
    }

    /// The execution half of [`execute`](Self::execute): books what the calls spend and settles a pending
    /// reset of the gas limit. If a rule is broken, nothing changes. Skip it for calls that fail themselves:
    /// the plugin's bookings are undone with them.
    ///
    /// Between the halves, an owner's operation in the same bundle may have lowered the gas limit: if more is
    /// charged than it now allows, the calls are refused.
    pub fn execute_calls(&mut self, calls: &[Call], time: u64) -> Vec<Violation> {
        let mut after = self.clone();
        let mut violations = after.book_calls(calls, time);
        violations.extend(self.gas_overcharge());
        if violations.is_empty() {
            *self = after;
        }
        violations
    }

    /// More is charged to the gas limit than it allows. Validation never causes this.
    fn gas_overcharge(&self) -> Option<Violation> {
        let GasSpendLimitInfo { info, should_reset } = self.gas_limit;
        (info.has_limit && info.limit_used > info.limit).then(|| {
            let rule = Rule::GasLimitExceeded {
                spending: spending(&info, U256::ZERO),
                reset_pending: should_reset,
            };
            Violation::new(rule, Phase::Execution)
        })
    }

    fn run(&mut self, operation: &UserOperation, hash: Option<B256>, time: u64) -> Verdict {
        let calls = decode_execute_with_session_key(&operation.call_data);
        let validation = self.validate(operation, &calls, hash, time);
        let mut after = self.clone();
        let execution = match &calls {
            Ok((calls, session_key)) if *session_key == self.session_key => after.book_calls(calls, time),
            _ => Vec::new(),
        };
        let verdict = after.verdict(validation, execution, time);
        if verdict.is_accepted() {
            *self = after;
        }
        verdict
    }

    /// Assembles the verdict. `self` is the state after the operation.
    fn verdict(&self, validation: Validation, execution: Vec<Violation>, time: u64) -> Verdict {
        let Validation {
            mut violations,
            valid_after,
            valid_until,
        } = validation;
        // Execution repeats rules of validation. One violation of each is enough.
        let found: HashSet<_> = violations
            .iter()
            .map(|violation| (violation.call, &violation.rule))
            .collect();
        let only_execution: Vec<_> = execution
            .into_iter()
            .filter(|violation| !found.contains(&(violation.call, &violation.rule)))
            .collect();
        violations.extend(only_execution);
        if violations.is_empty() {
            return Verdict::Accepted {
                valid_after,
                valid_until,
                remaining: self.remaining(time),
            };
        }
        for violation in &mut violations {
            // Waiting does not help if the key has expired by then, or if the time has passed: after the
            // largest time that the plugin can store, its clock wraps to zero.
            violation.passes_from = violation
                .passes_from
                .filter(|from| *from > time && (valid_until == 0 || *from <= valid_until));
        }
        if self.rule_set == RuleSet::Compatible && violations.iter().all(Violation::is_beyond_abi) {
            return Verdict::MayPass { violations };
        }
        Verdict::Refused { violations }
    }

    /// The end of a token's or the gas limit's interval, if another plugin may not be able to represent it.
    fn interval_end_overflow(&self, limit: &SpendLimitInfo, phase: Phase) -> Option<Violation> {
        (self.rule_set == RuleSet::Compatible && limit.end_overflows()).then(|| {
            Violation::new(
                Rule::IntervalEndOverflow {
                    last_used_time: limit.last_used_time,
                    refresh_interval: limit.refresh_interval,
                },
                phase,
            )
        })
    }

    /// The end of the native limit's interval, if another plugin cannot represent it.
    fn native_interval_end_overflow(&self, phase: Phase) -> Option<Violation> {
        let limit = &self.native_limit;
        (self.rule_set == RuleSet::Compatible && limit.end_overflows()).then(|| {
            Violation::new(
                Rule::NativeIntervalEndOverflow {
                    last_used_time: limit.last_used_time,
                    refresh_interval: limit.refresh_interval,
                },
                phase,
            )
        })
    }

    /// What is left of the limits in a block with timestamp `time` (unix seconds).
    #[must_use]
    pub fn remaining(&self, time: u64) -> Remaining {
        Remaining {
            native: self.native_limit.remaining(time),
            gas: self.gas_limit.remaining(time),
            erc20: self
                .contracts
                .iter()
                .filter_map(|(token, contract)| Some((*token, contract.token_limit.remaining(time)?)))
                .collect(),
        }
    }

    const fn not_registered(&self) -> Rule {
        Rule::KeyNotRegistered {
            session_key: self.session_key,
        }
    }

    // Validation: `SessionKeyPlugin.userOpValidationFunction`, and the validation rules of
    // `SessionKeyPermissions`.

    fn validate(
        &mut self,
        operation: &UserOperation,
        calls: &Calls,
        hash: Option<B256>,
        time: u64,
    ) -> Validation {
        let mut validation = Validation::new(self);
        self.validate_version(operation, &mut validation);
        validate_form(operation, &mut validation);
        if operation.sender != self.account {
            validation.refuse(Rule::SenderMismatch {
                sender: operation.sender,
                account: self.account,
            });
        }
        if let Some(hash) = hash {
            let signature = self.own_part(&operation.signature);
            match signature.and_then(|signature| recover_signer(signature, hash)) {
                None => validation.refuse(Rule::MalformedSignature),
                Some(signer) if signer != self.session_key => validation.refuse(Rule::WrongSigner {
                    signer,
                    session_key: self.session_key,
                }),
                Some(_) => {}
            }
        }
        match calls {
            Err(error) => validation.refuse(error.into()),
            Ok((_, session_key)) if *session_key != self.session_key => {
                // The rest concerns another key.
                validation.refuse(Rule::SessionKeyMismatch {
                    session_key: *session_key,
                    expected: self.session_key,
                });
                return validation;
            }
            Ok(_) => {}
        }
        if !self.registered {
            validation.refuse(self.not_registered());
            return validation;
        }
        self.validate_time_range(time, Phase::Validation, &mut validation.violations);
        if let Ok((calls, _)) = calls {
            self.validate_calls(calls, time, &mut validation);
        }
        if let Some(required) = self.required_paymaster
            && operation.paymaster() != Some(required)
        {
            validation.refuse(Rule::PaymasterRequired {
                required,
                found: operation.paymaster(),
            });
        }
        if self.gas_limit.info.has_limit || self.rule_set.module().is_some() {
            self.validate_nonce_key(operation.nonce_key(), &mut validation);
        }
        let mut gas_limit = self.gas_limit;
        if gas_limit.info.has_limit {
            self.validate_gas(operation, time, &mut gas_limit, &mut validation);
        }
        validation.end(time);
        if validation.violations.is_empty() {
            self.gas_limit = gas_limit;
        }
        validation
    }

    fn validate_time_range(&self, time: u64, phase: Phase, violations: &mut Vec<Violation>) {
        let (valid_after, valid_until) = (self.time_range.valid_after, self.time_range.valid_until);
        if time < valid_after {
            violations.push(Violation {
                passes_from: Some(valid_after),
                ..Violation::new(Rule::NotYetValid { valid_after }, phase)
            });
        }
        if valid_until != 0 && time > valid_until {
            violations.push(Violation::new(Rule::Expired { valid_until }, phase));
        }
    }

    fn validate_calls(&self, calls: &[Call], time: u64, validation: &mut Validation) {
        let total = self.validate_each_call(calls, Phase::Validation, &mut validation.violations);
        let native = &self.native_limit;
        if native.has_limit && !fits(native, total) && total <= native.limit {
            validation.wait(native.interval_end());
            // Validation uses the interval's end only here.
            validation
                .violations
                .extend(self.native_interval_end_overflow(Phase::Validation));
        }
        validation
            .violations
            .extend(native_violation(native, total, time, Phase::Validation));
    }

    /// Checks every call, amounts aside. Returns the sum of values.
    fn validate_each_call(&self, calls: &[Call], phase: Phase, violations: &mut Vec<Violation>) -> U256 {
        if calls.is_empty() {
            violations.push(Violation::new(Rule::NoCalls, phase));
        }
        let mut total = U256::ZERO;
        for (index, call) in calls.iter().enumerate() {
            total = total.saturating_add(call.value);
            self.validate_call(call, |rule| {
                violations.push(Violation {
                    call: Some(index),
                    ..Violation::new(rule, phase)
                });
            });
        }
        total
    }

    /// Whether a call passes, amounts aside.
    pub(crate) fn allows_call(&self, call: &Call) -> bool {
        let mut passes = true;
        self.validate_call(call, |_| passes = false);
        passes
    }

    /// `_checkCall`, but reports every broken rule instead of the first.
    fn validate_call(&self, call: &Call, mut refuse: impl FnMut(Rule)) {
        let (target, selector, length) = (call.target, call.selector(), call.data.len());
        let unknown;
        let contract = match self.contracts.get(&target) {
            Some(contract) => contract,
            None => {
                unknown = Default::default();
                &unknown
            }
        };
        if target == self.account {
            refuse(Rule::TargetIsAccount);
        }
        if !self.complete && !self.contracts.contains_key(&target) {
            return refuse(Rule::StateNotLoaded {
                target,
                selector: None,
            });
        }
        let list_type = self.access_control_type;
        if self.is_entry_point(target) && !(contract.is_on_list && list_type == AccessControlType::Allowlist)
        {
            refuse(Rule::TargetIsEntryPoint);
        }
        if self.rule_set.module() == Some(target) {
            refuse(Rule::TargetIsModule { target });
        }
        if contract.token_limit.has_limit {
            if selector != ERC20_TRANSFER && selector != ERC20_APPROVE {
                refuse(Rule::TokenFunctionNotAllowed {
                    token: target,
                    selector,
                });
            } else if length < TOKEN_CALL_LENGTH {
                refuse(Rule::ShortTokenCallData {
                    token: target,
                    length,
                });
            }
        }

        if list_type == AccessControlType::AllowAllAccess {
            return;
        }
        let is_allowlist = list_type == AccessControlType::Allowlist;
        if contract.check_selectors && (1..4).contains(&length) {
            refuse(Rule::ShortCallData { target, length });
            if is_allowlist && !contract.is_on_list {
                refuse(Rule::ContractNotOnAllowlist { target });
            }
        } else if contract.is_on_list && contract.check_selectors {
            match contract.functions.get(&selector).copied() {
                None if !self.complete => refuse(Rule::StateNotLoaded {
                    target,
                    selector: Some(selector),
                }),
                Some(true) if !is_allowlist => refuse(Rule::FunctionOnDenylist { target, selector }),
                Some(false) | None if is_allowlist => {
                    refuse(Rule::FunctionNotOnAllowlist { target, selector });
                }
                _ => {}
            }
        } else if is_allowlist && !contract.is_on_list {
            refuse(Rule::ContractNotOnAllowlist { target });
        } else if !is_allowlist && contract.is_on_list {
            refuse(Rule::ContractOnDenylist { target });
        }
    }

    /// What the operation's cost is reckoned by, and who can execute it.
    fn validate_version(&self, operation: &UserOperation, validation: &mut Validation) {
        let expected = if self.rule_set.module().is_some() {
            EntryPointVersion::V07
        } else {
            EntryPointVersion::V06
        };
        let found = operation.version;
        if found != expected {
            validation.refuse(Rule::EntryPointVersion { expected, found });
        }
    }

    /// Whether this is an EntryPoint to the plugin or module.
    fn is_entry_point(&self, target: Address) -> bool {
        if self.rule_set.module().is_some() {
            EntryPointVersion::of(target).is_some()
        } else {
            target == ENTRY_POINT
        }
    }

    /// The nonce lane of the key. On a module, that is the part of the nonce key above entity id and options.
    fn validate_nonce_key(&self, nonce_key: U192, validation: &mut Validation) {
        let expected = if self.rule_set.module().is_some() {
            let lane = ValidationNonceKey::of_session_key(self.session_key, 0).lane;
            let below = ValidationNonceKey::LANE_SHIFT;
            let entity_and_options = nonce_key - (nonce_key >> below << below);
            (lane << below) | entity_and_options
        } else {
            session_key_nonce_key(self.session_key)
        };
        if nonce_key != expected {
            validation.refuse(Rule::NonceKey { nonce_key, expected });
        }
    }

    /// The part of an operation's signature that the plugin or module gets. An ERC-6900 v0.8 account hands on
    /// what follows the marker of the last segment, which always is the end of the signature; without a
    /// deferred action before it, it is all. `None`: the signature has no such part.
    fn own_part<'a>(&self, signature: &'a [u8]) -> Option<&'a [u8]> {
        if self.rule_set.module().is_none() {
            return Some(signature);
        }
        if let [FINAL_SEGMENT, own @ ..] = signature {
            return Some(own);
        }
        let (rest, own) = signature.split_last_chunk::<65>()?;
        rest.ends_with(&[FINAL_SEGMENT]).then_some(own)
    }

    /// `SessionKeyPermissions._chargeGas`.
    fn validate_gas(
        &self,
        operation: &UserOperation,
        time: u64,
        gas: &mut GasSpendLimitInfo,
        validation: &mut Validation,
    ) {
        validation
            .violations
            .extend(self.interval_end_overflow(&gas.info, Phase::Validation));
        // An overflow exceeds every limit, even at a fee of zero.
        let cost = operation.max_cost().unwrap_or(U256::MAX);
        let spending = spending(&gas.info, cost);
        let end = gas.info.interval_end();
        // There is no interval yet whose end would have to be awaited.
        let is_first = self.rule_set.module().is_some() && gas.info.is_not_begun();
        if fits(&gas.info, cost) {
            gas.info.limit_used = gas.info.limit_used.saturating_add(cost);
            if let Some(begins_at) = end.filter(|_| gas.should_reset && !is_first) {
                validation.wait(end);
                if time < begins_at {
                    validation.violations.push(Violation {
                        passes_from: end,
                        ..Violation::new(Rule::GasIntervalNotBegun { begins_at }, Phase::Validation)
                    });
                }
            }
            return;
        }
        let next_interval = end.filter(|_| !gas.should_reset && cost <= gas.info.limit);
        if let Some(end) = next_interval {
            if !is_first {
                validation.wait(next_interval);
            }
            if is_first || end <= time {
                gas.info.limit_used = cost;
                gas.should_reset = true;
                return;
            }
        }
        let rule = Rule::GasLimitExceeded {
            spending,
            reset_pending: gas.should_reset,
        };
        validation.violations.push(Violation {
            passes_from: next_interval,
            ..Violation::new(rule, Phase::Validation)
        });
    }

    // Execution: `SessionKeyPermissions._authorizeExecution`.

    /// Books what the calls spend. Amounts that do not fit are not booked, and the rest is still checked.
    fn book_calls(&mut self, calls: &[Call], time: u64) -> Vec<Violation> {
        let mut violations = Vec::new();
        let phase = Phase::Execution;
        if !self.registered {
            return vec![Violation::new(self.not_registered(), phase)];
        }
        self.validate_time_range(uint48(time), phase, &mut violations);
        let total = self.validate_each_call(calls, phase, &mut violations);
        let totals = token_amounts(calls);
        let begins = self.rule_set.module().is_some();
        // The limits before the first call.
        let mut before = HashMap::new();
        for (index, call) in calls.iter().enumerate() {
            let Some(contract) = self.contracts.get(&call.target) else {
                continue;
            };
            let initial = *before.entry(call.target).or_insert(contract.token_limit);
            let overflow = self.interval_end_overflow(&initial, phase);
            violations.extend(overflow.map(|violation| Violation {
                call: Some(index),
                ..violation
            }));
            let (true, Some(amount)) = (initial.has_limit, token_amount(call)) else {
                continue;
            };
            let Some(contract) = self.contracts.get_mut(&call.target) else {
                continue;
            };
            let limit = &mut contract.token_limit;
            if begins {
                *limit = limit.begun(time);
            }
            let spending = spending(&limit.at(time), amount);
            if book(limit, amount, time) {
                continue;
            }
            // The operation's whole spending of the token would have to fit the next interval.
            let passes_from = initial.interval_end().filter(|end| {
                !(begins && initial.is_not_begun())
                    && *end > uint48(time)
                    && totals.get(&call.target) <= Some(&initial.limit)
            });
            let rule = Rule::Erc20LimitExceeded {
                token: call.target,
                spending,
            };
            violations.push(Violation {
                rule,
                phase,
                call: Some(index),
                passes_from,
            });
        }
        violations.extend(self.native_interval_end_overflow(phase));
        violations.extend(native_violation(&self.native_limit, total, time, phase));
        if self.native_limit.has_limit {
            if begins {
                self.native_limit = self.native_limit.begun(time);
            }
            book(&mut self.native_limit, total, time);
        }
        self.settle_gas_reset(time);
        // The rules of every call come first, then the question to every target.
        if begins {
            violations.extend(self.called_modules(calls));
        }
        violations
    }
}

impl KeyState {
    /// Violations by targets known to be modules. The session key module itself is refused earlier.
    fn called_modules<'a>(&'a self, calls: &'a [Call]) -> impl Iterator<Item = Violation> + 'a {
        calls
            .iter()
            .enumerate()
            .filter(|(_, call)| self.modules.contains(&call.target))
            .map(|(index, call)| Violation {
                call: Some(index),
                ..Violation::new(Rule::TargetIsModule { target: call.target }, Phase::Execution)
            })
    }
}

/// The findings of validation.
struct Validation {
    violations: Vec<Violation>,
    valid_after: u64,
    valid_until: u64,
}

impl Validation {
    const fn new(state: &KeyState) -> Self {
        Self {
            violations: Vec::new(),
            valid_after: state.time_range.valid_after,
            valid_until: state.time_range.valid_until,
        }
    }

    fn refuse(&mut self, rule: Rule) {
        self.violations.push(Violation::new(rule, Phase::Validation));
    }

    /// The operation is only valid from `time` on.
    fn wait(&mut self, time: Option<u64>) {
        self.valid_after = self.valid_after.max(time.unwrap_or(0));
    }

    /// For the EntryPoint, an operation with a start and no end is valid until the largest time that
    /// validation data can hold. (One without either bound is valid at any time.)
    fn end(&mut self, time: u64) {
        if self.valid_after != 0 && self.valid_until == 0 && time > MAX_SECONDS {
            self.refuse(Rule::Expired {
                valid_until: MAX_SECONDS,
            });
        }
    }
}

/// The EntryPoint's checks before it calls the account.
fn validate_form(operation: &UserOperation, validation: &mut Validation) {
    let length = operation.paymaster_and_data.len();
    let least = if operation.version.is_packed() {
        PAYMASTER_FIELDS_LENGTH
    } else {
        20
    };
    if (1..least).contains(&length) {
        validation.refuse(Rule::InvalidPaymasterAndData { length });
    }
    if has_gas_overflow(operation) {
        validation.refuse(Rule::GasValuesOverflow);
    }
}

/// Whether a gas limit or a fee is not below 2^120.
pub(crate) fn has_gas_overflow(operation: &UserOperation) -> bool {
    let paymaster = operation.paymaster_fields().map_or(0, |fields| {
        fields.verification_gas_limit | fields.post_op_gas_limit
    });
    let values = U256::from(paymaster)
        | operation.pre_verification_gas
        | operation.verification_gas_limit
        | operation.call_gas_limit
        | operation.max_fee_per_gas
        | operation.max_priority_fee_per_gas;
    values.bit_len() > 120
}

/// The signer of the hash, as an EIP-191 personal message. `None` if the signature cannot be anyone's.
pub(crate) fn recover_signer(signature: &[u8], hash: B256) -> Option<Address> {
    let (scalars, &[v]) = signature.split_first_chunk::<64>()? else {
        return None;
    };
    let (r, s) = scalars.split_at(32);
    let (r, s) = (U256::from_be_slice(r), U256::from_be_slice(s));
    let odd_y = match v {
        27 => false,
        28 => true,
        _ => return None,
    };
    if s > MAX_SIGNATURE_S {
        return None;
    }
    Signature::new(r, s, odd_y)
        .recover_address_from_prehash(&eip191_hash_message(hash))
        .ok()
}

/// Whether an amount fits what is left of the current interval, or of the total.
fn fits(limit: &SpendLimitInfo, amount: U256) -> bool {
    limit.limit_used.saturating_add(amount) <= limit.limit
}

/// `LibSpendLimit.spend`: books an amount at a time, and opens the next interval if the current one is over.
/// Books nothing if it returns false.
fn book(limit: &mut SpendLimitInfo, amount: U256, time: u64) -> bool {
    let current = limit.at(time);
    if !fits(&current, amount) {
        return false;
    }
    *limit = current;
    limit.limit_used = limit.limit_used.saturating_add(amount);
    true
}

fn native_violation(limit: &SpendLimitInfo, total: U256, time: u64, phase: Phase) -> Option<Violation> {
    if !limit.has_limit || book(&mut limit.clone(), total, time) {
        return None;
    }
    Some(Violation {
        passes_from: limit
            .interval_end()
            .filter(|_| !limit.is_over(time) && total <= limit.limit),
        ..Violation::new(Rule::NativeLimitExceeded(spending(&limit.at(time), total)), phase)
    })
}

fn spending(limit: &SpendLimitInfo, asked: U256) -> Spending {
    Spending {
        asked,
        limit: limit.limit,
        used: limit.limit_used,
        refreshes_at: limit.refreshes_at(),
    }
}

/// The amount of a token call; `None` for other calls.
pub(super) fn token_amount(call: &Call) -> Option<U256> {
    let is_token_call = matches!(call.selector(), ERC20_TRANSFER | ERC20_APPROVE);
    let amount = call.data.get(36..TOKEN_CALL_LENGTH)?;
    is_token_call.then(|| U256::from_be_slice(amount))
}

/// The amounts that calls spend of each target, treated as a token. Sums saturate.
pub(super) fn token_amounts(calls: &[Call]) -> BTreeMap<Address, U256> {
    let mut amounts = BTreeMap::new();
    for call in calls {
        if let Some(amount) = token_amount(call) {
            let total: &mut U256 = amounts.entry(call.target).or_default();
            *total = total.saturating_add(amount);
        }
    }
    amounts
}
