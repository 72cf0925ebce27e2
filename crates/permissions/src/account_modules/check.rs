//! What account and hooks say of an operation, in the order in which the chain asks them.

use super::{
    AccountForm, AccountKey, AccountModule, AllowlistSettings, EXECUTE, EXECUTE_BATCH, EXECUTE_USER_OP, Hook,
    HookRule, KeyVerdict, LAST_SECOND, Left, LeftOf, Refusal, Refuser, Settings, Unpredictable,
    call_data::{Inner, encode},
};
use crate::{
    Call, DUMMY_SIGNATURE, ERC20_APPROVE, ERC20_TRANSFER, UserOperation, ValidationNonceKey,
    model::{Phase, has_gas_overflow, recover_signer},
};
use alloy_primitives::{Address, B256, Bytes, Selector, U256};

/// What stands before the validation's part of a signature.
const FINAL_SEGMENT: u8 = 0xff;
/// The kind of a signature by a key.
const ECDSA: u8 = 0;
/// The kind of a signature by a contract.
const CONTRACT: u8 = 1;
/// The bit of a nonce's options that selects a direct-call validation.
const DIRECT_CALL: u8 = 4;
/// The least length of paymaster data that EntryPoint v0.7 takes.
const PAYMASTER_DATA_LENGTH: usize = 52;

/// What is known of the operation around its calls.
struct Around<'a> {
    operation: &'a UserOperation,
    hash: Option<B256>,
}

/// What was found so far.
#[derive(Default)]
struct Found {
    refusals: Vec<Refusal>,
    unknown: Vec<Unpredictable>,
    remaining: Vec<(Hook, LeftOf)>,
    valid_after: u64,
    valid_until: u64,
}

impl Found {
    fn refuse(&mut self, refuser: Refuser, phase: Phase, call: Option<usize>, rule: HookRule) {
        self.refusals.push(Refusal {
            refuser,
            rule,
            phase,
            call,
        });
    }

    fn unknown(&mut self, reason: Unpredictable) {
        if !self.unknown.contains(&reason) {
            self.unknown.push(reason);
        }
    }
}

impl AccountKey {
    /// Predicts the verdict on calls at a time (unix seconds), in the form the account's client sends them:
    /// `execute` for one call, `executeBatch` for several, wrapped in `executeUserOp` if there are execution
    /// hooks. Gas, paymaster and signature are ignored.
    #[must_use]
    pub fn verdict_of_calls(&self, calls: &[Call], now: u64) -> KeyVerdict {
        self.clone().judge(&self.call_data(calls), None, false, now)
    }

    /// Whether [`verdict`](Self::verdict) can check an operation's signature: it is present, not a dummy, and
    /// not a contract's.
    #[must_use]
    pub fn has_checked_signature(operation: &UserOperation) -> bool {
        let signature = &operation.signature;
        !is_unsigned(signature) && !signature.starts_with(&[FINAL_SEGMENT, CONTRACT])
    }

    /// Returns the account's call data for these calls, as [`verdict_of_calls`](Self::verdict_of_calls)
    /// checks them.
    #[must_use]
    pub fn call_data(&self, calls: &[Call]) -> Bytes {
        let data = encode(calls);
        if self.execution_hooks().next().is_none() {
            return data;
        }
        [EXECUTE_USER_OP.as_slice(), &data].concat().into()
    }

    /// Predicts the verdict on an operation at a time (unix seconds). If the operation's hash is given,
    /// checks its signature, unless it is empty, a dummy or a contract's.
    #[must_use]
    pub fn verdict(&self, operation: &UserOperation, hash: Option<B256>, now: u64) -> KeyVerdict {
        self.clone().execute(operation, hash, now)
    }

    /// Returns the [`verdict`](Self::verdict), and updates the settings as the chain would: amounts booked in
    /// validation if the operation is included, and in execution if that succeeds. An unknown verdict changes
    /// nothing.
    pub fn execute(&mut self, operation: &UserOperation, hash: Option<B256>, now: u64) -> KeyVerdict {
        let around = Around { operation, hash };
        let nonce_key = operation.nonce_key();
        let selected = ValidationNonceKey::from_nonce_key(nonce_key);
        let [.., options] = nonce_key.to_be_bytes::<24>();
        let mut found = Found::default();
        if operation.sender != self.account {
            let sender = operation.sender;
            found.refuse(
                Refuser::Account,
                Phase::Validation,
                None,
                HookRule::SenderMismatch { sender },
            );
        }
        if selected.entity_id != self.entity_id || options & DIRECT_CALL != 0 {
            let entity_id = selected.entity_id;
            found.refuse(
                Refuser::Account,
                Phase::Validation,
                None,
                HookRule::OtherValidation { entity_id },
            );
        }
        if !found.refusals.is_empty() {
            // The operation is not this key's, so its rules do not apply.
            return KeyVerdict::Refused {
                refusals: found.refusals,
            };
        }
        if selected.has_deferred_action {
            return KeyVerdict::Unknown {
                reasons: vec![Unpredictable::DeferredAction],
            };
        }
        self.judge(&operation.call_data, Some(&around), selected.is_global, now)
    }

    fn judge(
        &mut self,
        call_data: &Bytes,
        around: Option<&Around<'_>>,
        as_global: bool,
        now: u64,
    ) -> KeyVerdict {
        let mut found = Found {
            valid_until: LAST_SECOND,
            ..Found::default()
        };
        self.look_for_unknown(&mut found);
        if !found.unknown.is_empty() {
            return KeyVerdict::Unknown {
                reasons: found.unknown,
            };
        }
        let mut after = self.clone();
        if let Some(around) = around {
            entry_point(around.operation, &mut found);
        }
        let is_wrapped = call_data.starts_with(EXECUTE_USER_OP.as_slice());
        let inner_data = if is_wrapped {
            call_data.slice(4..)
        } else {
            call_data.clone()
        };
        let Some(selector) = selector_of(&inner_data) else {
            found.refuse(Refuser::Account, Phase::Validation, None, HookRule::NoFunction);
            return self.finish(found, after);
        };
        let inner = Inner::read(selector, &inner_data);
        if inner == Inner::Unusual {
            return KeyVerdict::Unknown {
                reasons: vec![Unpredictable::UnusualCallData],
            };
        }
        self.function_rules(selector, &inner, as_global, &mut found);
        if !is_wrapped && self.execution_hooks().next().is_some() {
            found.refuse(Refuser::Account, Phase::Validation, None, HookRule::NotWrapped);
        }
        let segment = around.and_then(|around| around.operation.signature.first().copied());
        let has_signature = around.is_some_and(|around| !is_unsigned(&around.operation.signature));
        let segment = segment.filter(|first| has_signature && *first != FINAL_SEGMENT);
        for (index, hook) in self.validation_hooks().enumerate() {
            if segment.map(usize::from) == Some(index) && hook.module.kind.is_some() {
                found.refuse(
                    Refuser::Hook(*hook),
                    Phase::Validation,
                    None,
                    HookRule::UnexpectedData,
                );
            }
            // What the older allowlist does not look into, it takes for another function.
            let seen = if is_wrapped && hook.module.kind == Some(AccountModule::EarlierAllowlist) {
                &Inner::Other
            } else {
                &inner
            };
            after.validation_hook(hook, seen, around.map(|around| around.operation), &mut found);
        }
        let hooks = self.validation_hooks().count();
        if segment.is_some_and(|index| usize::from(index) >= hooks) {
            found.refuse(
                Refuser::Account,
                Phase::Validation,
                None,
                HookRule::MalformedSignature,
            );
        }
        if !self.has_flag(Self::USER_OPERATIONS) {
            found.refuse(
                Refuser::Account,
                Phase::Validation,
                None,
                HookRule::NotForUserOperations,
            );
        }
        if let Some(around) = around.filter(|_| has_signature && segment.is_none()) {
            self.signature(around, &mut found);
        }
        if now < found.valid_after || now > found.valid_until {
            self.time(now, &mut found);
        }

        // Execution.
        let validated = after.clone();
        for hook in self.execution_hooks().filter(|hook| hook.flags & Hook::PRE != 0) {
            after.execution_hook(hook, selector, &inner, &mut found);
        }
        if selector == EXECUTE_USER_OP {
            found.refuse(Refuser::Account, Phase::Execution, None, HookRule::WrappedTwice);
        }
        for hook in self
            .execution_hooks()
            .rev()
            .filter(|hook| hook.flags & Hook::POST != 0)
        {
            let rule = match hook.module.kind {
                Some(kind) if kind.is_allowlist() || kind == AccountModule::NativeTokenLimit => {
                    HookRule::NotAPostHook
                }
                _ => HookRule::NotAHook,
            };
            found.refuse(Refuser::Hook(*hook), Phase::Execution, None, rule);
        }
        let has_failed = !found.refusals.is_empty();
        self.finish(found, if has_failed { validated } else { after })
    }

    /// The verdict; and what the chain stores.
    fn finish(&mut self, found: Found, after: Self) -> KeyVerdict {
        if !found.unknown.is_empty() {
            return KeyVerdict::Unknown {
                reasons: found.unknown,
            };
        }
        let in_validation = found
            .refusals
            .iter()
            .any(|refusal| refusal.phase == Phase::Validation);
        if !in_validation {
            *self = after;
        }
        if !found.refusals.is_empty() {
            let mut refusals = found.refusals;
            refusals.sort_by_key(|refusal| refusal.phase);
            return KeyVerdict::Refused { refusals };
        }
        let mut remaining: Vec<Left> = Vec::new();
        for (hook, of) in found.remaining {
            let left = Left {
                of,
                entity_id: hook.entity_id,
                amount: self.left_of(&hook, of),
            };
            if !remaining.contains(&left) {
                remaining.push(left);
            }
        }
        KeyVerdict::Accepted {
            valid_after: found.valid_after,
            valid_until: if found.valid_until == LAST_SECOND {
                0
            } else {
                found.valid_until
            },
            remaining,
        }
    }

    fn left_of(&self, hook: &Hook, of: LeftOf) -> U256 {
        match (self.settings_of(hook), of) {
            (Some(Settings::NativeTokenLimit { left, .. }), _) => *left,
            (Some(Settings::Allowlist(settings)), LeftOf::Token { token }) => settings
                .targets
                .get(&token)
                .map_or(U256::ZERO, |target| target.left),
            _ => U256::ZERO,
        }
    }

    fn look_for_unknown(&self, found: &mut Found) {
        if self.form == AccountForm::Unknown {
            found.unknown(Unpredictable::AccountCode);
        }
        for module in self.unknown_modules() {
            found.unknown(Unpredictable::ModuleCode { module });
        }
        if self.validation.kind.is_some() && self.signer.is_none() {
            found.unknown(Unpredictable::SignerNotRead);
        }
        if let Some(hook) = self.function_hooks.first() {
            let module = hook.module.address;
            found.unknown(Unpredictable::FunctionHooks { module });
        }
        if !self.are_function_hooks_read {
            found.unknown(Unpredictable::FunctionHooksNotRead);
        }
        let is_hook = |kind: AccountModule| kind != AccountModule::SingleSignerValidation;
        for hook in self
            .hooks
            .iter()
            .filter(|hook| hook.module.kind.is_some_and(is_hook))
        {
            if self.settings_of(hook).is_none() {
                found.unknown(not_read(hook, None));
            }
        }
    }

    /// The account's rules about its own functions.
    fn function_rules(&self, selector: Selector, inner: &Inner, as_global: bool, found: &mut Found) {
        let mut refused = Vec::new();
        let mut unknown = None;
        let mut fits = |selector: Selector, call: Option<usize>| {
            let is_own = self.is_own(selector);
            let is_for = if as_global {
                // For which functions of modules it is, these say.
                self.has_flag(Self::GLOBAL)
            } else {
                self.selectors.contains(&selector)
            };
            if is_for && !is_own {
                unknown = Some(Unpredictable::ModuleFunction { selector });
            }
            if !is_for {
                refused.push((call, HookRule::FunctionNotForKey { selector }));
            }
        };
        fits(selector, None);
        let mut self_calls = Vec::new();
        match inner {
            Inner::Execute(call) if call.target == self.account => self_calls.push(0),
            Inner::Batch(calls) => {
                for (index, call) in calls.iter().enumerate() {
                    if call.target != self.account {
                        continue;
                    }
                    match selector_of(&call.data) {
                        None | Some(EXECUTE | EXECUTE_BATCH) => self_calls.push(index),
                        Some(selector) => fits(selector, Some(index)),
                    }
                }
            }
            _ => {}
        }
        for index in self_calls {
            refused.push((Some(index), HookRule::SelfCall));
        }
        // The function first, then the calls as they come.
        refused.sort_by_key(|(call, _)| *call);
        for (call, rule) in refused {
            found.refuse(Refuser::Account, Phase::Validation, call, rule);
        }
        if let Some(reason) = unknown {
            found.unknown(reason);
        }
    }

    fn signature(&self, around: &Around<'_>, found: &mut Found) {
        let (Some(hash), Some(expected)) = (around.hash, self.signer) else {
            return;
        };
        let rule = match around.operation.signature.as_ref() {
            [FINAL_SEGMENT, CONTRACT, ..] => return,
            [FINAL_SEGMENT, ECDSA, signature @ ..] => {
                let signer = recover_signer(signature, hash);
                if signer == Some(expected) {
                    return;
                }
                HookRule::WrongSignature { signer, expected }
            }
            _ => HookRule::MalformedSignature,
        };
        found.refuse(Refuser::Validation, Phase::Validation, None, rule);
    }

    /// The hooks by whose bounds it is not the time.
    fn time(&self, now: u64, found: &mut Found) {
        for hook in self.validation_hooks() {
            let Some(Settings::TimeRange {
                valid_after,
                valid_until,
            }) = self.settings_of(hook)
            else {
                continue;
            };
            let (valid_after, valid_until) = (*valid_after, *valid_until);
            if now < valid_after {
                let rule = HookRule::NotYetValid { valid_after };
                found.refuse(Refuser::Hook(*hook), Phase::Validation, None, rule);
            }
            if valid_until != 0 && now > valid_until {
                let rule = HookRule::Expired { valid_until };
                found.refuse(Refuser::Hook(*hook), Phase::Validation, None, rule);
            }
        }
    }

    fn validation_hook(
        &mut self,
        hook: &Hook,
        inner: &Inner,
        operation: Option<&UserOperation>,
        found: &mut Found,
    ) {
        let refuser = Refuser::Hook(*hook);
        let kind = hook.module.kind;
        match self.settings_mut(hook) {
            Some(Settings::Allowlist(settings)) if kind.is_some_and(AccountModule::is_allowlist) => {
                for (index, call) in inner.calls().iter().enumerate() {
                    match allowed(settings, call) {
                        Ok(None) => {}
                        Ok(Some(rule)) => found.refuse(refuser, Phase::Validation, Some(index), rule),
                        Err(NotKnown) => found.unknown(not_read(hook, Some(call.target))),
                    }
                }
            }
            Some(Settings::NativeTokenLimit {
                left,
                special_paymasters,
                complete,
            }) => {
                found.remaining.push((*hook, LeftOf::Gas));
                let Some(operation) = operation else { return };
                let paymaster = operation.paymaster();
                let counts = match paymaster {
                    None => operation.paymaster_and_data.is_empty().then_some(true),
                    Some(Address::ZERO) => {
                        found.refuse(refuser, Phase::Validation, None, HookRule::ZeroPaymaster);
                        return;
                    }
                    Some(paymaster) => match (special_paymasters.get(&paymaster), *complete) {
                        (Some(is_special), _) => Some(*is_special),
                        (None, true) => Some(false),
                        (None, false) => {
                            found.unknown(not_read(hook, Some(paymaster)));
                            None
                        }
                    },
                };
                if counts != Some(true) {
                    return;
                }
                let asked = operation.max_cost().unwrap_or(U256::MAX);
                match left.checked_sub(asked) {
                    Some(rest) => *left = rest,
                    None => {
                        let rule = HookRule::GasLimitExceeded { asked, left: *left };
                        found.refuse(refuser, Phase::Validation, None, rule);
                    }
                }
            }
            Some(Settings::TimeRange {
                valid_after,
                valid_until,
            }) => {
                found.valid_after = found.valid_after.max(*valid_after);
                if *valid_until != 0 {
                    found.valid_until = found.valid_until.min(*valid_until);
                }
            }
            Some(Settings::PaymasterGuard { paymaster }) => {
                let (required, Some(operation)) = (*paymaster, operation) else {
                    return;
                };
                let rule = match operation.paymaster() {
                    None => HookRule::PaymasterMissing { required },
                    Some(Address::ZERO) => HookRule::ZeroPaymaster,
                    Some(found) if found != required => HookRule::WrongPaymaster { required, found },
                    Some(_) => return,
                };
                found.refuse(refuser, Phase::Validation, None, rule);
            }
            _ => found.refuse(refuser, Phase::Validation, None, HookRule::NotAHook),
        }
    }

    fn execution_hook(&mut self, hook: &Hook, selector: Selector, inner: &Inner, found: &mut Found) {
        let refuser = Refuser::Hook(*hook);
        match self.settings_mut(hook) {
            Some(Settings::Allowlist(settings)) => {
                if !matches!(selector, EXECUTE | EXECUTE_BATCH) {
                    let rule = HookRule::NotAnExecution { selector };
                    found.refuse(refuser, Phase::Execution, None, rule);
                    return;
                }
                for (token, _) in settings.targets.iter().filter(|(_, target)| target.has_limit) {
                    found.remaining.push((*hook, LeftOf::Token { token: *token }));
                }
                for (index, call) in inner.calls().iter().enumerate() {
                    match spend(settings, call) {
                        Ok(None) => {}
                        Ok(Some(rule)) => found.refuse(refuser, Phase::Execution, Some(index), rule),
                        Err(NotKnown) => found.unknown(not_read(hook, Some(call.target))),
                    }
                }
            }
            Some(Settings::NativeTokenLimit { left, .. }) => {
                found.remaining.push((*hook, LeftOf::Native));
                let asked = inner.value().unwrap_or(U256::MAX);
                match left.checked_sub(asked).filter(|_| inner.value().is_some()) {
                    Some(rest) => *left = rest,
                    None => {
                        let rule = HookRule::NativeLimitExceeded { asked, left: *left };
                        found.refuse(refuser, Phase::Execution, None, rule);
                    }
                }
            }
            _ => found.refuse(refuser, Phase::Execution, None, HookRule::NotAHook),
        }
    }
}

/// A setting was not read.
struct NotKnown;

const fn not_read(hook: &Hook, target: Option<Address>) -> Unpredictable {
    Unpredictable::NotRead {
        module: hook.module.address,
        entity_id: hook.entity_id,
        target,
    }
}

fn selector_of(data: &[u8]) -> Option<Selector> {
    data.first_chunk::<4>().map(|selector| Selector::new(*selector))
}

/// Whether an operation waits for its signature: there is none, or the dummy.
fn is_unsigned(signature: &Bytes) -> bool {
    signature.is_empty()
        || *signature == DUMMY_SIGNATURE
        || signature
            .strip_prefix(&[FINAL_SEGMENT, ECDSA])
            .is_some_and(|part| part == DUMMY_SIGNATURE.as_ref())
}

fn entry_point(operation: &UserOperation, found: &mut Found) {
    let length = operation.paymaster_and_data.len();
    if length != 0 && length < PAYMASTER_DATA_LENGTH {
        let rule = HookRule::InvalidPaymasterAndData { length };
        found.refuse(Refuser::EntryPoint, Phase::Validation, None, rule);
    }
    if has_gas_overflow(operation) {
        let rule = HookRule::GasValuesOverflow;
        found.refuse(Refuser::EntryPoint, Phase::Validation, None, rule);
    }
}

/// Whether the list allows a call, and if not, by which rule.
fn allowed(settings: &AllowlistSettings, call: &Call) -> Result<Option<HookRule>, NotKnown> {
    let (target, selector) = (call.target, call.selector());
    let entry = settings.targets.get(&target);
    if entry.is_none() && !settings.complete {
        return Err(NotKnown);
    }
    let known = |found: Option<&bool>| match found {
        Some(is_listed) => Ok(*is_listed),
        None if settings.complete => Ok(false),
        None => Err(NotKnown),
    };
    let Some(entry) = entry.filter(|entry| entry.allowed) else {
        let is_allowed = known(settings.any_target.get(&selector))?;
        return Ok((!is_allowed).then_some(HookRule::TargetNotAllowed { target, selector }));
    };
    if !entry.has_selector_list {
        return Ok(None);
    }
    if call.data.len() < 4 {
        let length = call.data.len();
        return Ok(Some(HookRule::NoSelector { target, length }));
    }
    let is_listed = known(entry.functions.get(&selector))?;
    Ok((!is_listed).then_some(HookRule::FunctionNotAllowed { target, selector }))
}

/// Takes what a call spends off the token's limit, or says by which rule that is refused.
fn spend(settings: &mut AllowlistSettings, call: &Call) -> Result<Option<HookRule>, NotKnown> {
    let token = call.target;
    let Some(entry) = settings.targets.get_mut(&token) else {
        return if settings.complete {
            Ok(None)
        } else {
            Err(NotKnown)
        };
    };
    if !entry.has_limit {
        return Ok(None);
    }
    let Some(amount) = call.data.get(36..68) else {
        let length = call.data.len();
        return Ok(Some(HookRule::ShortTokenCallData { token, length }));
    };
    let selector = call.selector();
    if selector != ERC20_TRANSFER && selector != ERC20_APPROVE {
        return Ok(Some(HookRule::TokenFunctionNotAllowed { token, selector }));
    }
    let (asked, left) = (U256::from_be_slice(amount), entry.left);
    match left.checked_sub(asked) {
        Some(rest) => {
            entry.left = rest;
            Ok(None)
        }
        None => Ok(Some(HookRule::TokenLimitExceeded { token, asked, left })),
    }
}
