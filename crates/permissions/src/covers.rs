//! Whether a policy allows everything that a need asks for.
//!
//! The comparison is about single operations: in every state that keys with the two sets can share (the same
//! amounts used, the same starts of intervals, a pending reset of the gas limit in both, the same time before
//! [`MAX_SECONDS`]), the policy's key may do everything that the need's key may do. So a policy covers a need
//! if
//!
//! - it allows every call that the need allows;
//! - its time range contains the need's;
//! - each of its limits is at least as large, and refreshes at least as soon (an interval of 0 never
//!   refreshes);
//! - it limits and requires nothing that the need does not.
//!
//! It says nothing about sums over time: a policy of 100 a week covers a need of 100 a week that is spent at
//! another pace. The rules are those of this project's plugin.
//!
//! ```
//! use alloy_primitives::{Address, U256};
//! use session_key_permissions::{Permissions, SpendLimit, covers::covers};
//!
//! # let exchange = Address::repeat_byte(1);
//! let day = 86_400;
//! let need = Permissions::new()
//!     .contract(exchange)
//!     .native_token_spend_limit(SpendLimit::per(U256::from(10), 7 * day));
//! let policy = |limit| Permissions::new().contract(exchange).native_token_spend_limit(limit);
//! assert!(covers(&policy(SpendLimit::per(U256::from(10), day)), &need)?.is_covered());
//!
//! let coverage = covers(&policy(SpendLimit::per(U256::from(9), day)), &need)?;
//! let example = coverage.missing()[0].example();
//! assert!(example.is_accepted_by(&need) && !example.is_accepted_by(&policy(SpendLimit::per(U256::from(9), day))));
//! assert_eq!(example.calls[0].value, U256::from(10));
//! # Ok::<(), session_key_permissions::covers::NothingNeeded>(())
//! ```

use crate::{
    Call, ERC20_APPROVE, ERC20_TRANSFER, KeyState, MAX_SECONDS, Part, Permissions, SpendLimitInfo, TimeRange,
    UserOperation, Verdict,
    erc20::TOKEN_CALL_LENGTH,
    execute_with_session_key,
    model::{ContractState, calls_of, calls_to, range_narrows, some_address, unlisted_contract},
    nonce,
    plan::is_sooner,
    session_key_nonce_key,
    words::{Lookup, UnixTime},
};
use alloy_primitives::{Address, U256};
use session_key_bindings::ENTRY_POINT;
use std::collections::{BTreeMap, BTreeSet};

/// A need that no operation satisfies, so nothing can be said about what covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NothingNeeded {
    /// Its list allows no call.
    #[error("the need does not allow any call")]
    NoCall,

    /// Its time range is empty, or begins later than the plugin can represent.
    #[error("the need is never valid: it ends at {} and begins at {}", UnixTime(*.valid_until), UnixTime(*.valid_after))]
    NoTime {
        /// The first second.
        valid_after: u64,
        /// The last second; 0 for no end.
        valid_until: u64,
    },
}

/// Whether a policy covers a need, and if not, what is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage(Vec<Missing>);

impl Coverage {
    /// Whether everything is covered.
    pub const fn is_covered(&self) -> bool {
        self.0.is_empty()
    }

    /// What is missing, at most one item per part.
    pub fn missing(&self) -> &[Missing] {
        &self.0
    }
}

/// Something that a need allows and a policy does not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// The part of the policy that refuses.
    pub part: Part,
    /// A stable code.
    pub code: MissingCode,
    example: Example,
}

impl Missing {
    /// A state, and an operation that the need's key may make in it but the policy's key may not.
    pub const fn example(&self) -> &Example {
        &self.example
    }

    /// What is missing, in words.
    #[must_use]
    pub fn describe(&self, names: &dyn Lookup) -> String {
        let call = match self.part {
            Part::Function { contract, selector } if self.code == MissingCode::CallNotAllowed => {
                let names = crate::words::Shown(names);
                format!(
                    " It is {} of {}.",
                    names.function(contract, selector),
                    names.contract(contract)
                )
            }
            _ => String::new(),
        };
        let separator = if self.example.time == 0 { ":" } else { "," };
        format!(
            "{}{call} For example{separator} {}",
            self.code.sentence(),
            self.describe_example(names)
        )
    }

    /// The operation that the policy refuses and the need accepts, with the reason:
    /// `at 2027-01-15T08:00:00Z: …`, or only the reason if the time is zero, which means nothing to a reader.
    #[must_use]
    pub fn describe_example(&self, names: &dyn Lookup) -> String {
        let verdict = self
            .example
            .policy
            .check(&self.example.operation(), self.example.time);
        let reason = verdict
            .violations()
            .iter()
            .find(|violation| self.code.is_about(&violation.rule))
            .or(verdict.violations().first())
            .map(|violation| violation.describe(names));
        let reason = reason.unwrap_or_default();
        match self.example.time {
            0 => reason,
            time => format!("at {}: {reason}", UnixTime(time)),
        }
    }
}

/// How a policy fails to cover a need. Codes never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MissingCode {
    /// A call is not allowed.
    CallNotAllowed,
    /// The policy begins later.
    BeginsLater,
    /// The policy ends earlier.
    EndsEarlier,
    /// The policy has a limit where the need has none.
    Limited,
    /// The policy's limit is lower.
    LimitLower,
    /// The policy's limit refreshes later.
    RefreshesLater,
    /// The policy requires another paymaster, or one where the need does not.
    PaymasterRequired,
}

impl MissingCode {
    /// The code, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CallNotAllowed => "call_not_allowed",
            Self::BeginsLater => "begins_later",
            Self::EndsEarlier => "ends_earlier",
            Self::Limited => "limited",
            Self::LimitLower => "limit_lower",
            Self::RefreshesLater => "refreshes_later",
            Self::PaymasterRequired => "paymaster_required",
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::CallNotAllowed => "A call that is needed is not allowed.",
            Self::BeginsLater => "The policy begins later than the need.",
            Self::EndsEarlier => "The policy ends before the need does.",
            Self::Limited => "The policy has a limit where the need has none.",
            Self::LimitLower => "The policy's limit is lower than the need's.",
            Self::RefreshesLater => "The policy's limit refreshes later than the need's.",
            Self::PaymasterRequired => "The policy requires a paymaster that the need does not use.",
        }
    }

    const fn is_about(self, rule: &crate::Rule) -> bool {
        use crate::Rule;
        match self {
            Self::CallNotAllowed => true,
            Self::BeginsLater => matches!(rule, Rule::NotYetValid { .. }),
            Self::EndsEarlier => matches!(rule, Rule::Expired { .. }),
            Self::Limited | Self::LimitLower | Self::RefreshesLater => matches!(
                rule,
                Rule::NativeLimitExceeded(_)
                    | Rule::Erc20LimitExceeded { .. }
                    | Rule::GasLimitExceeded { .. }
                    | Rule::NonceKey { .. }
            ),
            Self::PaymasterRequired => matches!(rule, Rule::PaymasterRequired { .. }),
        }
    }
}

/// The amount used of a limit, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Use {
    /// The amount used, in wei or base units.
    pub used: U256,
    /// Start of the current interval, unix seconds.
    pub since: u64,
}

/// A state that two keys share, and an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Example {
    /// The time, unix seconds.
    pub time: u64,
    /// The use of the native token limit, for both keys.
    pub native: Use,
    /// The use of the gas limit, for both keys.
    pub gas: Use,
    /// The use of token limits, for both keys; absent tokens are unused.
    pub tokens: BTreeMap<Address, Use>,
    /// The calls that the key makes.
    pub calls: Vec<Call>,
    /// The most that the operation may cost, in wei, below 2^120.
    pub max_cost: U256,
    /// The paymaster, if the account does not pay itself.
    pub paymaster: Option<Address>,
    /// Whether the operation uses the nonce lane of the key.
    pub uses_keys_lane: bool,
    /// The policy's key.
    policy: KeyState,
}

impl Example {
    /// Whether a key with these permissions, in this state, may make the operation.
    #[must_use]
    pub fn is_accepted_by(&self, permissions: &Permissions) -> bool {
        let state = key_of(permissions, self.policy.account, self.policy.session_key);
        self.verdict(state).is_accepted()
    }

    /// The operation. Its gas counts as `preVerificationGas`, at a fee of one wei.
    #[must_use]
    pub fn operation(&self) -> UserOperation {
        let (account, session_key) = (self.policy.account, self.policy.session_key);
        let nonce_key = if self.uses_keys_lane {
            session_key_nonce_key(session_key)
        } else {
            session_key_nonce_key(Address::ZERO)
        };
        UserOperation {
            sender: account,
            nonce: nonce(nonce_key, 0),
            call_data: execute_with_session_key(&self.calls, session_key),
            pre_verification_gas: self.max_cost,
            max_fee_per_gas: U256::ONE,
            paymaster_and_data: self
                .paymaster
                .map(|paymaster| paymaster.to_vec().into())
                .unwrap_or_default(),
            ..UserOperation::default()
        }
    }

    /// Puts the use into a fresh key's state, and checks.
    fn verdict(&self, mut state: KeyState) -> Verdict {
        self.put_into(&mut state);
        state.check(&self.operation(), self.time)
    }

    fn put_into(&self, state: &mut KeyState) {
        put(&mut state.native_limit, self.native);
        put(&mut state.gas_limit.info, self.gas);
        for (token, contract) in &mut state.contracts {
            put(
                &mut contract.token_limit,
                self.tokens.get(token).copied().unwrap_or_default(),
            );
        }
    }
}

const fn put(limit: &mut SpendLimitInfo, used: Use) {
    if limit.has_limit {
        limit.limit_used = used.used;
        limit.last_used_time = if limit.refresh_interval == 0 {
            0
        } else {
            used.since
        };
    }
}

fn key_of(permissions: &Permissions, account: Address, session_key: Address) -> KeyState {
    let mut state = KeyState::fresh(account, session_key);
    for update in permissions.updates() {
        state.apply_update(&update, 0);
    }
    state
}

/// Whether `policy` allows everything that `need` allows, and if not, what is missing. Takes time linear in
/// the number of entries.
///
/// Assumes an account that neither set names. A key never calls its own account, so for sets that name it,
/// use [`covers_on`].
pub fn covers(policy: &Permissions, need: &Permissions) -> Result<Coverage, NothingNeeded> {
    let named = named(policy, need);
    let account = some_address("an account", |address| !named.contains(address));
    covers_on(account, policy, need)
}

/// The same for keys of a given account.
pub fn covers_on(
    account: Address,
    policy: &Permissions,
    need: &Permissions,
) -> Result<Coverage, NothingNeeded> {
    // Any key will do that neither set names.
    let named = named(policy, need);
    let key = some_address("a session key", |address| {
        !named.contains(address) && *address != account
    });
    Comparison::new(key_of(policy, account, key), key_of(need, account, key))?.run()
}

/// The contracts and tokens that either set names, the EntryPoint, and the zero address.
fn named(policy: &Permissions, need: &Permissions) -> BTreeSet<Address> {
    let mut named: BTreeSet<Address> = BTreeSet::from([ENTRY_POINT, Address::ZERO]);
    for permissions in [policy, need] {
        named.extend(permissions.address_entries.iter().map(|entry| entry.contract));
        named.extend(permissions.function_entries.iter().map(|entry| entry.contract));
        named.extend(permissions.erc20_spend_limits.iter().map(|limit| limit.token));
    }
    named
}

/// The two keys, and an operation that the need accepts.
struct Comparison {
    policy: KeyState,
    need: KeyState,
    base: Example,
    missing: Vec<Missing>,
}

impl Comparison {
    fn new(policy: KeyState, need: KeyState) -> Result<Self, NothingNeeded> {
        let range = need.time_range;
        let last = last_second(&range);
        if range.valid_after > last {
            return Err(NothingNeeded::NoTime {
                valid_after: range.valid_after,
                valid_until: range.valid_until,
            });
        }
        let mut base = Example {
            time: range.valid_after,
            native: Use::default(),
            gas: Use::default(),
            tokens: BTreeMap::new(),
            calls: Vec::new(),
            max_cost: U256::ZERO,
            paymaster: need.required_paymaster,
            uses_keys_lane: true,
            policy: policy.clone(),
        };
        // A call that the need allows, preferably one that the policy allows too, so it is not refused for
        // that.
        let mut any = None;
        let shared = contracts(&policy, &need).into_iter().find_map(|contract| {
            calls_to(contract, [&policy, &need]).into_iter().find(|call| {
                let is_needed = need.allows_call(call);
                if is_needed && any.is_none() {
                    any = Some(call.clone());
                }
                is_needed && policy.allows_call(call)
            })
        });
        base.calls.push(shared.or(any).ok_or(NothingNeeded::NoCall)?);
        Ok(Self {
            policy,
            need,
            base,
            missing: Vec::new(),
        })
    }

    fn run(mut self) -> Result<Coverage, NothingNeeded> {
        self.calls();
        self.time_range();
        self.native();
        self.tokens();
        self.gas();
        self.paymaster();
        Ok(Coverage(self.missing))
    }

    /// Reports what the example shows. It is run in the model of both first.
    fn report(&mut self, part: Part, code: MissingCode, example: Example) {
        debug_assert!(
            example.verdict(self.need.clone()).is_accepted(),
            "{code:?} {example:?}"
        );
        let mut policy = self.policy.clone();
        example.put_into(&mut policy);
        let example = Example { policy, ..example };
        debug_assert!(
            !example
                .policy
                .check(&example.operation(), example.time)
                .is_accepted()
        );
        self.missing.push(Missing { part, code, example });
    }

    fn calls(&mut self) {
        let unlisted = unlisted_contract([&self.policy, &self.need]);
        for contract in contracts(&self.policy, &self.need) {
            let mut reported = BTreeSet::new();
            for call in calls_to(contract, [&self.policy, &self.need]) {
                if !self.need.allows_call(&call) || self.policy.allows_call(&call) {
                    continue;
                }
                let selector = call.selector();
                // Too short for a limited token: the limit itself is the reason.
                let is_limited = |state: &KeyState| {
                    let entry = state.contracts.get(&contract);
                    entry.is_some_and(|entry| entry.token_limit.has_limit)
                };
                if call.data.len() < TOKEN_CALL_LENGTH
                    && is_limited(&self.policy)
                    && !is_limited(&self.need)
                    && matches!(selector, ERC20_TRANSFER | ERC20_APPROVE)
                    && calls_of(contract, selector)
                        .iter()
                        .any(|call| self.policy.allows_call(call))
                {
                    continue;
                }
                let is_entry = self.need.contracts.get(&contract).is_some_and(|entry| {
                    entry.check_selectors && entry.functions.get(&selector) == Some(&true)
                });
                let part = if contract == unlisted {
                    Part::AccessControlType
                } else if is_entry {
                    Part::Function { contract, selector }
                } else {
                    Part::Contract { contract }
                };
                if reported.insert(part) {
                    let example = Example {
                        calls: vec![call],
                        ..self.base.clone()
                    };
                    self.report(part, MissingCode::CallNotAllowed, example);
                }
            }
        }
    }

    fn time_range(&mut self) {
        let (policy, need) = (self.policy.time_range, self.need.time_range);
        if range_narrows(&policy, &need) {
            return;
        }
        if policy.valid_after > need.valid_after {
            let example = self.base.clone();
            self.report(Part::TimeRange, MissingCode::BeginsLater, example);
        }
        let last = last_second(&need);
        let time = policy.valid_until.saturating_add(1).max(need.valid_after);
        if policy.valid_until != 0 && policy.valid_until < last && time <= last {
            let example = Example {
                time,
                ..self.base.clone()
            };
            self.report(Part::TimeRange, MissingCode::EndsEarlier, example);
        }
    }

    fn native(&mut self) {
        let (policy, need) = (self.policy.native_limit, self.need.native_limit);
        let base = self.base.clone();
        self.limit(Part::NativeLimit, policy, need, |used, amount, time| {
            let mut example = Example {
                native: used,
                time,
                ..base.clone()
            };
            example.calls[0].value = amount;
            example
        });
    }

    fn tokens(&mut self) {
        let absent = ContractState::default();
        let limited: Vec<Address> = self.policy.contracts.keys().copied().collect();
        for token in limited {
            let [policy, need] = [&self.policy, &self.need]
                .map(|state| state.contracts.get(&token).unwrap_or(&absent).token_limit);
            // A call that spends, if the need allows one, preferably one that the policy allows too.
            let spending = [ERC20_TRANSFER, ERC20_APPROVE].map(|function| {
                let mut data = function.to_vec();
                data.resize(TOKEN_CALL_LENGTH, 0);
                Call::new(token, data)
            });
            let needed = || spending.iter().filter(|call| self.need.allows_call(call));
            let Some(call) = needed()
                .find(|call| self.policy.allows_call(call))
                .or_else(|| needed().next())
            else {
                continue;
            };
            let (base, call) = (self.base.clone(), call.clone());
            self.limit(Part::TokenLimit { token }, policy, need, |used, amount, time| {
                let mut data = call.data.to_vec();
                data[36..].copy_from_slice(&amount.to_be_bytes::<32>());
                Example {
                    tokens: BTreeMap::from([(token, used)]),
                    time,
                    calls: vec![Call::new(token, data)],
                    ..base.clone()
                }
            });
        }
    }

    fn gas(&mut self) {
        let (policy, need) = (self.policy.gas_limit.info, self.need.gas_limit.info);
        let base = self.base.clone();
        self.limit(Part::GasLimit, policy, need, |used, amount, time| {
            // A single amount cannot reach every sum: the used amount makes up the rest.
            let most = U256::from(u64::MAX);
            let (used, amount) = if amount > most {
                let used = Use {
                    used: used.used.saturating_add(amount - U256::ONE),
                    ..used
                };
                (used, U256::ONE)
            } else {
                (used, amount)
            };
            Example {
                gas: used,
                time,
                max_cost: amount,
                ..base.clone()
            }
        });
    }

    /// Compares a limit. `example` makes an example from the use, the amount asked for, and the time.
    fn limit(
        &mut self,
        part: Part,
        policy: SpendLimitInfo,
        need: SpendLimitInfo,
        example: impl Fn(Use, U256, u64) -> Example,
    ) {
        if !policy.has_limit {
            return;
        }
        let time = self.base.time;
        let more = policy.limit.saturating_add(U256::ONE);
        let since = Use {
            used: U256::ZERO,
            since: time,
        };
        if !need.has_limit {
            return self.report(part, MissingCode::Limited, example(since, more, time));
        }
        if need.limit > policy.limit {
            self.report(part, MissingCode::LimitLower, example(since, more, time));
        }
        if !is_sooner(need.refresh_interval, policy.refresh_interval) {
            return;
        }
        // A time at which the need's interval is over and the policy's is not, if there is one.
        let range = self.need.time_range;
        let last = last_second(&range);
        let time = range.valid_after.max(need.refresh_interval);
        let since = time.saturating_sub(need.refresh_interval);
        let still_runs = SpendLimitInfo {
            last_used_time: since,
            ..policy
        };
        if time > last || still_runs.refreshes_at().is_some_and(|end| end <= time) {
            return;
        }
        let (used, asked) = if need.limit.is_zero() {
            (more, U256::ZERO)
        } else {
            (policy.limit, U256::ONE)
        };
        self.report(
            part,
            MissingCode::RefreshesLater,
            example(Use { used, since }, asked, time),
        );
    }

    fn paymaster(&mut self) {
        if self.policy.required_paymaster.is_some()
            && self.policy.required_paymaster != self.need.required_paymaster
        {
            let example = self.base.clone();
            self.report(Part::RequiredPaymaster, MissingCode::PaymasterRequired, example);
        }
    }
}

/// The last second of a range that counts: at [`MAX_SECONDS`], every interval is over.
const fn last_second(range: &TimeRange) -> u64 {
    const LAST: u64 = MAX_SECONDS - 1;
    if range.valid_until == 0 || range.valid_until > LAST {
        LAST
    } else {
        range.valid_until
    }
}

/// Every contract that either set names, the EntryPoint, and one that represents all others.
fn contracts(policy: &KeyState, need: &KeyState) -> BTreeSet<Address> {
    let named = policy.contracts.keys().chain(need.contracts.keys()).copied();
    named
        .chain([ENTRY_POINT, unlisted_contract([policy, need])])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccessControlType, AddressEntry, FunctionEntry, PermissionUpdate, SpendLimit};
    use alloy_primitives::Selector;
    use proptest::{collection::vec, prelude::*, test_runner::RngSeed};

    const A: Address = Address::repeat_byte(0xa);
    const B: Address = Address::repeat_byte(0xb);

    fn n(amount: u64) -> U256 {
        U256::from(amount)
    }

    fn missing(policy: &Permissions, need: &Permissions) -> Vec<(Part, MissingCode)> {
        let coverage = covers(policy, need).unwrap();
        for missing in coverage.missing() {
            let example = missing.example();
            assert!(example.is_accepted_by(need), "{missing:?}");
            assert!(!example.is_accepted_by(policy), "{missing:?}");
            assert!(!missing.describe(&()).is_empty());
        }
        coverage
            .missing()
            .iter()
            .map(|missing| (missing.part, missing.code))
            .collect()
    }

    #[test]
    fn every_set_that_allows_something_covers_itself() {
        let set = Permissions::new()
            .contract_functions(A, [ERC20_TRANSFER])
            .erc20_spend_limit(A, SpendLimit::per(n(5), 60))
            .gas_spend_limit(SpendLimit::per(n(5), 60))
            .native_token_spend_limit(SpendLimit::UNLIMITED)
            .required_paymaster(B)
            .valid_after(10)
            .valid_until(20);
        assert_eq!(missing(&set, &set), []);
    }

    #[test]
    fn each_kind_of_gap_has_its_code() {
        let need = Permissions::new()
            .contract_functions(A, [ERC20_TRANSFER])
            .contract(B)
            .native_token_spend_limit(SpendLimit::per(n(5), 60))
            .valid_after(100)
            .valid_until(2_000);
        let native = |limit| {
            Permissions::new()
                .contract_functions(A, [ERC20_TRANSFER])
                .contract(B)
                .native_token_spend_limit(limit)
        };
        let wide = || native(SpendLimit::UNLIMITED);
        assert_eq!(missing(&wide(), &need), []);
        for (policy, part, code) in [
            (
                wide().contract_functions(B, [ERC20_APPROVE]),
                Part::Contract { contract: B },
                MissingCode::CallNotAllowed,
            ),
            (
                wide().function_entry(FunctionEntry {
                    contract: A,
                    selector: ERC20_TRANSFER,
                    is_on_list: false,
                }),
                Part::Function {
                    contract: A,
                    selector: ERC20_TRANSFER,
                },
                MissingCode::CallNotAllowed,
            ),
            (wide().valid_after(101), Part::TimeRange, MissingCode::BeginsLater),
            (
                wide().valid_until(1_999),
                Part::TimeRange,
                MissingCode::EndsEarlier,
            ),
            (
                native(SpendLimit::per(n(4), 60)),
                Part::NativeLimit,
                MissingCode::LimitLower,
            ),
            (
                native(SpendLimit::per(n(5), 61)),
                Part::NativeLimit,
                MissingCode::RefreshesLater,
            ),
            (
                native(SpendLimit::total(n(5_000))),
                Part::NativeLimit,
                MissingCode::RefreshesLater,
            ),
            (
                wide().gas_spend_limit(SpendLimit::total(U256::MAX - U256::ONE)),
                Part::GasLimit,
                MissingCode::Limited,
            ),
            (
                wide().erc20_spend_limit(A, SpendLimit::per(n(7), 1)),
                Part::TokenLimit { token: A },
                MissingCode::Limited,
            ),
            (
                wide().required_paymaster(A),
                Part::RequiredPaymaster,
                MissingCode::PaymasterRequired,
            ),
        ] {
            assert_eq!(missing(&policy, &need), [(part, code)]);
        }
        // No need of that key is over 60 seconds before it ends: its interval may as well never refresh.
        let short = need.clone().valid_until(59).valid_after(0);
        assert_eq!(missing(&native(SpendLimit::total(n(5))), &short), []);
        // More at once and sooner covers less often.
        assert_eq!(missing(&native(SpendLimit::per(n(6), 59)), &need), []);
    }

    #[test]
    fn lists_of_different_types_are_compared_by_what_they_allow() {
        let list = |list| Permissions::new().access_control_type(list);
        let everything = list(AccessControlType::AllowAllAccess);
        let denied = list(AccessControlType::Denylist).contract(A);
        let allowed = Permissions::new().contract(B);
        assert_eq!(missing(&everything, &denied), []);
        assert_eq!(missing(&denied, &allowed), []);
        assert_eq!(
            missing(&denied, &everything),
            [(Part::Contract { contract: A }, MissingCode::CallNotAllowed)]
        );
        let found = missing(&allowed, &denied);
        assert_eq!(found, [(Part::AccessControlType, MissingCode::CallNotAllowed)]);
    }

    #[test]
    fn the_account_itself_is_never_needed() {
        let account = A;
        let need = Permissions::new().contract(account).contract(B);
        let policy = Permissions::new().contract(B);
        assert!(covers_on(account, &policy, &need).unwrap().is_covered());
        assert!(!covers(&policy, &need).unwrap().is_covered());
        let only = Permissions::new().contract(account);
        assert_eq!(covers_on(account, &policy, &only), Err(NothingNeeded::NoCall));
    }

    #[test]
    fn data_too_short_for_a_function_counts() {
        // Off the list, but with its functions checked: of such a contract, one to three bytes are refused.
        let checked = Permissions::new()
            .access_control_type(AccessControlType::Denylist)
            .address_entry(AddressEntry {
                contract: A,
                is_on_list: false,
                check_selectors: true,
            });
        let plain = Permissions::new().access_control_type(AccessControlType::Denylist);
        let found = missing(&checked, &plain);
        assert_eq!(
            found,
            [(Part::Contract { contract: A }, MissingCode::CallNotAllowed)]
        );
        assert_eq!(missing(&plain, &checked), []);
    }

    #[test]
    fn a_need_that_accepts_nothing_is_an_error() {
        let policy = Permissions::new().contract(A);
        assert_eq!(covers(&policy, &Permissions::new()), Err(NothingNeeded::NoCall));
        let no_functions = Permissions::new().contract_functions(A, []);
        assert_eq!(covers(&policy, &no_functions), Err(NothingNeeded::NoCall));
        // A limited token does not accept its only function.
        let useless = Permissions::new()
            .contract_functions(A, [Selector::repeat_byte(1)])
            .erc20_spend_limit(A, SpendLimit::total(n(1)));
        assert_eq!(covers(&policy, &useless), Err(NothingNeeded::NoCall));
        let never = Permissions::new().contract(A).valid_after(5).valid_until(4);
        assert_eq!(
            covers(&policy, &never),
            Err(NothingNeeded::NoTime {
                valid_after: 5,
                valid_until: 4
            })
        );
    }

    #[test]
    fn missing_permissions_are_described() {
        let policy = Permissions::new()
            .contract(A)
            .native_token_spend_limit(SpendLimit::total(n(4)));
        let need = Permissions::new()
            .contract(A)
            .native_token_spend_limit(SpendLimit::total(n(9)));
        let coverage = covers(&policy, &need).unwrap();
        assert_eq!(
            coverage.missing()[0].describe(&()),
            "The policy's limit is lower than the need's. For example: The calls send \
             0.000000000000000005 ETH, but the limit is 0.000000000000000004 ETH."
        );
    }

    // Few values, so they coincide.
    fn contract() -> impl Strategy<Value = Address> {
        prop_oneof![6 => Just(A), 3 => Just(B), 1 => Just(ENTRY_POINT)]
    }

    fn selector() -> impl Strategy<Value = Selector> {
        prop::sample::select(vec![
            ERC20_TRANSFER,
            ERC20_APPROVE,
            Selector::ZERO,
            Selector::repeat_byte(7),
        ])
    }

    fn limit() -> impl Strategy<Value = SpendLimit> {
        let amount = prop_oneof![4 => (0u64..4).prop_map(n), 1 => Just(U256::MAX), 1 => Just(U256::MAX - U256::ONE), 1 => Just(n(u64::MAX) + n(3))];
        let interval = prop_oneof![Just(0), 1u64..4, Just(MAX_SECONDS)];
        (amount, interval).prop_map(|(amount, interval)| SpendLimit::per(amount, interval))
    }

    fn time() -> impl Strategy<Value = u64> {
        prop_oneof![3 => Just(0), 4 => 1u64..8, 1 => MAX_SECONDS - 3..=MAX_SECONDS]
    }

    fn set() -> impl Strategy<Value = Permissions> {
        let update = prop_oneof![
            2 => prop_oneof![
                3 => Just(AccessControlType::Allowlist),
                2 => Just(AccessControlType::Denylist),
                1 => Just(AccessControlType::AllowAllAccess)
            ].prop_map(PermissionUpdate::AccessListType),
            6 => (contract(), prop::bool::weighted(0.8), any::<bool>()).prop_map(|(contract, is_on_list, check_selectors)| {
                PermissionUpdate::AddressEntry(AddressEntry { contract, is_on_list, check_selectors })
            }),
            4 => (contract(), selector(), prop::bool::weighted(0.8)).prop_map(|(contract, selector, is_on_list)| {
                PermissionUpdate::FunctionEntry(FunctionEntry { contract, selector, is_on_list })
            }),
            1 => (time(), time()).prop_map(|(valid_after, valid_until)| {
                PermissionUpdate::TimeRange(crate::TimeRange { valid_after, valid_until })
            }),
            1 => limit().prop_map(PermissionUpdate::NativeTokenSpendLimit),
            2 => (contract(), limit()).prop_map(|(token, limit)| {
                PermissionUpdate::Erc20SpendLimit(crate::Erc20SpendLimit { token, limit })
            }),
            1 => limit().prop_map(PermissionUpdate::GasSpendLimit),
            1 => prop_oneof![Just(A), Just(B), Just(Address::ZERO)].prop_map(PermissionUpdate::RequiredPaymaster),
        ];
        vec(update, 0..8)
            .prop_map(|updates| updates.into_iter().fold(Permissions::new(), Permissions::update))
    }

    fn usage() -> impl Strategy<Value = Use> {
        let used = prop_oneof![3 => (0u64..5).prop_map(n), 1 => Just(U256::MAX)];
        (used, time()).prop_map(|(used, since)| Use { used, since })
    }

    fn operation() -> impl Strategy<Value = Example> {
        let call = (
            contract(),
            selector(),
            prop::sample::select(vec![0usize, 1, 4, 68]),
            0u64..4,
            0u64..4,
        )
            .prop_map(|(contract, selector, length, value, amount)| {
                let mut data = selector.to_vec();
                data.resize(68, 0);
                data[67] = amount as u8;
                data.truncate(length);
                Call::new(contract, data).with_value(n(value))
            });
        (
            time(),
            usage(),
            usage(),
            (usage(), usage()),
            vec(call, 1..3),
            0u64..4,
            prop_oneof![Just(None), Just(Some(A)), Just(Some(B))],
            prop::bool::weighted(0.8),
        )
            .prop_map(
                |(time, native, gas, (a, b), calls, max_cost, paymaster, uses_keys_lane)| Example {
                    time: time.min(MAX_SECONDS - 1),
                    native,
                    gas,
                    tokens: BTreeMap::from([(A, a), (B, b)]),
                    calls,
                    max_cost: n(max_cost),
                    paymaster,
                    uses_keys_lane,
                    policy: KeyState::fresh(Address::repeat_byte(0xac), Address::repeat_byte(0x5e)),
                },
            )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, rng_seed: RngSeed::Fixed(0), ..Default::default() })]

        #[test]
        fn no_operation_contradicts_a_yes_and_every_no_has_an_example(
            policy in set(),
            need in set(),
            is_near in any::<bool>(),
            update in set(),
            operations in vec(operation(), 40),
            is_pending in any::<bool>(),
        ) {
            // Half of the time, the policy is the need with little changed.
            let policy = if is_near {
                update.updates().skip(1).take(2).fold(need.clone(), Permissions::update)
            } else {
                policy
            };
            let Ok(coverage) = covers(&policy, &need) else {
                for example in operations {
                    prop_assert!(!example.is_accepted_by(&need));
                }
                return Ok(());
            };
            for missing in coverage.missing() {
                prop_assert!(missing.example().is_accepted_by(&need), "{:?}", missing);
                prop_assert!(!missing.example().is_accepted_by(&policy), "{:?}", missing);
            }
            if coverage.is_covered() {
                for example in operations {
                    let verdict = |set: &Permissions| {
                        let mut state = key_of(set, example.policy.account, example.policy.session_key);
                        state.gas_limit.should_reset = is_pending && state.gas_limit.info.refresh_interval > 0;
                        example.verdict(state)
                    };
                    if verdict(&need).is_accepted() {
                        prop_assert!(verdict(&policy).is_accepted(), "{:?}: {}", example, verdict(&policy));
                    }
                }
            }
        }
    }
}
