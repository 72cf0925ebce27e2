//! Resolves a policy to permissions.

use super::{
    At, End, Facts, Limit, NamedToken, NativeUnit, Policy, PolicyError, TokenUnit,
    error::{PolicyErrorCode as Code, Wrong},
    scalar,
};
use crate::{
    LATEST_PLAUSIBLE_TIME, Permissions, SpendLimit, TimeRange,
    words::{Names, Token, clean},
};
use alloy_primitives::{Address, B256, U256};
use std::collections::BTreeMap;

/// The meaning of a policy on a chain, for a key granted at a given time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The permissions.
    pub permissions: Permissions,
    /// The tag; zero if the file has none.
    pub tag: B256,
    /// Decimals that amounts depend on and the file does not give: those passed as [`Facts`].
    pub assumed_decimals: BTreeMap<Address, u8>,
}

impl Policy {
    /// The permissions, completed with the time and the chain.
    pub fn resolve(&self, facts: &Facts) -> Result<Resolved, PolicyError> {
        let symbol = facts.symbol();
        for (name, token) in &self.tokens {
            if name.eq_ignore_ascii_case(symbol) {
                let message = format!("{name} is the native coin of this chain: give the token another name");
                return Err(PolicyError::new(Code::BadName, token.place, message));
            }
            let known = facts.decimals.get(&token.value.address);
            if let (Some(said), Some(known)) = (token.value.decimals, known)
                && said != *known
            {
                let message = format!("{name} has {known} decimals, not {said}");
                return Err(PolicyError::new(Code::OtherDecimals, token.place, message));
            }
        }
        let mut permissions = Permissions::new().access_control_type(self.access);
        for (contract, entry) in &self.entries {
            permissions = match &entry.value.functions {
                None => permissions.contract(*contract),
                Some(functions) => permissions.contract_functions(*contract, functions.keys().copied()),
            };
        }
        if let Some(range) = self.time_range(facts)? {
            permissions = permissions.time_range(range);
        }
        if let Some(limit) = &self.native {
            permissions = permissions.native_token_spend_limit(native(limit, symbol)?);
        }
        let mut assumed_decimals = BTreeMap::new();
        for (token, limit) in &self.token_limits {
            let limit = self.token(*token, limit, facts, &mut assumed_decimals)?;
            permissions = permissions.erc20_spend_limit(*token, limit);
        }
        if let Some(limit) = &self.gas {
            let gas = native(limit, symbol)?;
            if !gas.is_unlimited() {
                permissions = permissions.gas_spend_limit(gas);
            }
        }
        if let Some(paymaster) = self.required_paymaster {
            permissions = permissions.required_paymaster(paymaster.value);
        }
        let tag = match &self.tag {
            Some(tag) => scalar::tag(&tag.value).map_err(|wrong| wrong.at(tag.place))?,
            None => B256::ZERO,
        };
        Ok(Resolved {
            permissions,
            tag,
            assumed_decimals,
        })
    }

    fn time_range(&self, facts: &Facts) -> Result<Option<TimeRange>, PolicyError> {
        let valid_after = self.valid_after.map_or(0, |start| start.value);
        let valid_until = match self.end {
            None => 0,
            Some(At {
                value: End::At(until),
                ..
            }) => until,
            Some(At {
                value: End::For(seconds),
                place,
            }) => {
                let Some(granted_at) = facts.granted_at else {
                    let message = "valid_for counts from the time of granting, which is not known: there is no entry for this \
                                   chain, account and key in the lock file";
                    return Err(PolicyError::new(Code::RelativeTime, place, message));
                };
                let until = granted_at.saturating_add(seconds);
                if until > LATEST_PLAUSIBLE_TIME {
                    let message = "the policy would end after the year 2200";
                    return Err(PolicyError::new(Code::OutOfRange, place, message));
                }
                if until < valid_after {
                    let message = "the policy would end before it begins";
                    return Err(PolicyError::new(Code::Contradiction, place, message));
                }
                until
            }
        };
        let range = TimeRange {
            valid_after,
            valid_until,
        };
        Ok((range != TimeRange::default()).then_some(range))
    }

    pub(super) fn token(
        &self,
        token: Address,
        limit: &At<Limit<TokenUnit>>,
        facts: &Facts,
        assumed: &mut BTreeMap<Address, u8>,
    ) -> Result<SpendLimit, PolicyError> {
        let wrong = |wrong: Wrong| wrong.at(limit.place);
        let Some((number, unit)) = limit.value.amount else {
            return Ok(SpendLimit::UNLIMITED);
        };
        let name = self.token_names().find(|(address, _)| *address == token);
        let name = name.map_or_else(|| token.to_string(), |(_, name)| name.to_owned());
        let amount = match unit {
            _ if number.is_zero() => U256::ZERO,
            TokenUnit::Base => {
                let unit = format!("a base unit of {name}");
                number.base_units(0, &unit).map_err(wrong)?
            }
            TokenUnit::Whole => {
                let decimals = match self.decimals_in_file(token) {
                    Some(decimals) => decimals,
                    None => {
                        let known = facts.decimals.get(&token).copied();
                        let known = known.ok_or_else(|| {
                            let message = format!(
                                "the decimals of {name} are not known: put them into [tokens.…], or count in base units \
                                 (\"100 units of {name}\")"
                            );
                            PolicyError::new(Code::MissingDecimals, limit.place, message)
                        })?;
                        assumed.insert(token, known);
                        known
                    }
                };
                number.base_units(decimals, &name).map_err(wrong)?
            }
        };
        Ok(SpendLimit::per(amount, limit.value.refresh_interval))
    }

    /// The names that the file gives to tokens and functions, with these decimals if the file has none; for
    /// [words](crate::words).
    pub fn names(&self, facts: &Facts) -> Names {
        let mut names = Names::new().native_symbol(facts.symbol());
        for (name, token) in &self.tokens {
            let NamedToken { address, decimals } = &token.value;
            names = match decimals.or_else(|| facts.decimals.get(address).copied()) {
                Some(decimals) => names.token(*address, Token::new(name, decimals)),
                None => names.contract(*address, name),
            };
        }
        self.signatures().fold(names, |names, (selector, signature)| {
            names.function(selector, signature)
        })
    }
}

pub(super) fn native(limit: &At<Limit<NativeUnit>>, symbol: &str) -> Result<SpendLimit, PolicyError> {
    let Some((number, unit)) = &limit.value.amount else {
        return Ok(SpendLimit::UNLIMITED);
    };
    let (decimals, unit) = match unit {
        NativeUnit::Wei => (0, "wei"),
        NativeUnit::Gwei => (9, "gwei"),
        NativeUnit::Coin(name) if name == "native" || name.eq_ignore_ascii_case(symbol) => (18, symbol),
        NativeUnit::Coin(name) => {
            let message = format!(
                "{:?} is not the native coin of this chain: amounts here are in {symbol} (or native), gwei or wei",
                clean(name)
            );
            return Err(PolicyError::new(Code::UnknownUnit, limit.place, message));
        }
    };
    let amount = number
        .base_units(decimals, unit)
        .map_err(|wrong| wrong.at(limit.place))?;
    Ok(SpendLimit::per(amount, limit.value.refresh_interval))
}
