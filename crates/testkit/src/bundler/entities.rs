//! The rules of a mempool: those that one validation cannot answer, because they concern what else waits, and
//! what became of operations before. Source: ERC-7562, local rules and reputation rules.

use super::{
    BundlerOptions, State,
    operation::VersionedOperation,
    reputation::{Entity, ReputationStatus},
    words::Refusal,
};
use crate::{CallOptions, call::request, vantage::Vantage};
use alloy::{
    primitives::{Address, U256},
    rpc::types::state::StateOverride,
    sol_types::SolCall,
};
use erc7562::{Policy, Role, Stake};
use session_key_bindings::IEntryPoint;

/// What an address has with an EntryPoint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deposit {
    /// In wei.
    pub(super) amount: U256,
    /// None, if it is not locked.
    pub(super) stake: Stake,
}

/// Asks the EntryPoint. One that does not answer has nothing.
pub(super) fn deposit_of(seen: &Vantage<'_>, entity: Entity) -> Deposit {
    deposit_in(seen, entity, StateOverride::default())
}

/// As [`deposit_of`], under state overrides.
pub(super) fn deposit_in(seen: &Vantage<'_>, (version, address): Entity, state: StateOverride) -> Deposit {
    let call = IEntryPoint::getDepositInfoCall { account: address };
    let request = request(Address::ZERO, version.address(), call.abi_encode());
    let options = CallOptions {
        state,
        ..Default::default()
    };
    let answer = seen.call(&request, &options).unwrap_or_default();
    // Both EntryPoints answer (deposit, staked, stake, unstakeDelaySec, withdrawTime).
    let word = |index: usize| {
        answer
            .get(32 * index..32 * (index + 1))
            .map(U256::from_be_slice)
            .unwrap_or_default()
    };
    let stake = if word(1).is_zero() {
        Stake::default()
    } else {
        Stake {
            amount: word(2),
            unstake_delay: word(3).saturating_to(),
        }
    };
    Deposit {
        amount: word(0),
        stake,
    }
}

/// From what stake on an entity counts as staked.
pub(super) fn stake_policy(options: &BundlerOptions) -> Policy {
    options.rules.clone().unwrap_or_default()
}

pub(super) fn is_staked(seen: &Vantage<'_>, options: &BundlerOptions, entity: Entity) -> bool {
    stake_policy(options).is_staked(deposit_of(seen, entity).stake)
}

/// The factory and the paymaster of an operation, as far as it has them.
pub(super) fn helpers(operation: &VersionedOperation) -> impl Iterator<Item = (Role, Entity)> + use<> {
    let (version, parties) = (operation.version(), operation.parties());
    [Role::Factory, Role::Paymaster]
        .into_iter()
        .filter_map(move |role| Some((role, (version, parties.address_of(role)?))))
}

/// Those whose reputation an operation concerns: its factory, its paymaster, and its sender if
/// that is staked.
pub(super) fn of_reputation(
    seen: &Vantage<'_>,
    options: &BundlerOptions,
    operation: &VersionedOperation,
) -> Vec<(Role, Entity)> {
    let sender = (operation.version(), operation.sender());
    let sender = is_staked(seen, options, sender).then_some((Role::Account, sender));
    helpers(operation).chain(sender).collect()
}

/// Whether the mempool has room for one more operation of these parties, beside the one whose place it takes.
pub(super) fn check_entities(
    state: &State,
    seen: &Vantage<'_>,
    operation: &VersionedOperation,
) -> Result<(), Refusal> {
    let options = &state.options;
    let place = operation.place();
    let waiting = || {
        let others = state.mempool.iter().map(|entry| &entry.operation);
        others.filter(move |other| other.place() != place)
    };
    let sender = (operation.version(), operation.sender());
    if options.rules.is_some() {
        for other in waiting().filter(|other| other.sender() != operation.sender()) {
            if helpers(other).any(|(_, entity)| entity == sender) {
                return Err(Refusal::SenderIsEntity(sender.1));
            }
            let mut helpers = helpers(operation);
            if let Some((role, (_, address))) =
                helpers.find(|(_, entity)| *entity == (other.version(), other.sender()))
            {
                return Err(Refusal::EntityIsSender { role, address });
            }
        }
    }
    let account = (Role::Account, sender);
    if let Some(rules) = &options.reputation {
        // Whose operations are counted is one thing; who has a bad standing is refused, a sender without
        // stake as well.
        for (role, entity) in helpers(operation).chain([account]) {
            let status = state.reputations.get(entity).status(rules);
            let waiting = waiting().filter(|other| concerns(other, entity)).count() as u64;
            let is_refused = match status {
                ReputationStatus::Banned => true,
                ReputationStatus::Throttled => waiting >= rules.throttled_in_mempool,
                ReputationStatus::Ok => false,
            };
            if is_refused {
                let address = entity.1;
                return Err(Refusal::Reputation {
                    role,
                    address,
                    status,
                });
            }
        }
    }
    let of_sender = waiting().filter(|other| (other.version(), other.sender()) == sender);
    if let Some(most) = options.max_per_sender
        && of_sender.count() as u64 >= most
        && !is_staked(seen, options, sender)
    {
        return Err(Refusal::TooMany {
            most,
            sender: sender.1,
        });
    }
    let Some(rules) = &options.reputation else {
        return Ok(());
    };
    for (role, entity) in helpers(operation) {
        let most = state.reputations.get(entity).allowed_without_stake(rules);
        let waiting = waiting().filter(|other| concerns(other, entity)).count() as u64;
        if waiting >= most && !is_staked(seen, options, entity) {
            let policy = stake_policy(options);
            return Err(Refusal::NoStake {
                role,
                address: entity.1,
                most,
                min_stake: policy.min_stake,
                min_unstake_delay: policy.min_unstake_delay,
            });
        }
    }
    Ok(())
}

/// Whether an entity takes part in an operation, in whatever role.
pub(super) fn concerns(operation: &VersionedOperation, entity: Entity) -> bool {
    entity == (operation.version(), operation.sender())
        || helpers(operation).any(|(_, helper)| helper == entity)
}

/// Whether the paymaster's deposit covers all its operations. Source: EREP-010.
pub(super) fn check_deposit(
    state: &State,
    seen: &Vantage<'_>,
    operation: &VersionedOperation,
) -> Result<(), Refusal> {
    let (Some(paymaster), Some(_)) = (operation.paymaster(), &state.options.rules) else {
        return Ok(());
    };
    let version = operation.version();
    let required = state
        .mempool
        .iter()
        .map(|entry| &entry.operation)
        .filter(|other| other.version() == version && other.paymaster() == Some(paymaster))
        .filter(|other| other.place() != operation.place())
        .map(VersionedOperation::max_cost)
        .fold(operation.max_cost(), U256::saturating_add);
    let deposit = deposit_of(seen, (version, paymaster)).amount;
    if deposit < required {
        return Err(Refusal::PaymasterDeposit {
            paymaster,
            deposit,
            required,
        });
    }
    Ok(())
}

impl State {
    /// An operation that had been taken failed its second validation. A paymaster is not to suffer for what
    /// the factory or the account did, nor for its own failure where the account has a stake. Source:
    /// EREP-015 and EREP-030.
    pub(super) fn failed_alone(
        &mut self,
        seen: &Vantage<'_>,
        operation: &VersionedOperation,
        counted: &[Entity],
        refusal: &Refusal,
    ) {
        let Some(paymaster) = operation.paymaster() else {
            return;
        };
        let sender = (operation.version(), operation.sender());
        let is_excused = match refusal.at_fault() {
            Some(Role::Factory | Role::Account) => true,
            Some(Role::Paymaster | Role::Aggregator) => is_staked(seen, &self.options, sender),
            None => false,
        };
        let paymaster = (operation.version(), paymaster);
        if is_excused && counted.contains(&paymaster) {
            self.reputations.unseen(&[paymaster]);
        }
    }

    /// An operation that passed its second validation made the bundle fail: who is accountable for it is
    /// banned. Source: GREP-040, EREP-020 and EREP-030.
    pub(super) fn failed_in_bundle(
        &mut self,
        seen: &Vantage<'_>,
        operation: &VersionedOperation,
        refusal: &Refusal,
    ) {
        let (version, parties) = (operation.version(), operation.parties());
        let staked = |role: Role| {
            let entity = (version, parties.address_of(role)?);
            is_staked(seen, &self.options, entity).then_some(entity)
        };
        let of = |role: Role| Some((version, parties.address_of(role)?));
        let accountable = match refusal.at_fault() {
            Some(Role::Factory) => of(Role::Factory),
            Some(Role::Account) => staked(Role::Factory).or_else(|| staked(Role::Account)),
            Some(Role::Paymaster | Role::Aggregator) => staked(Role::Account).or_else(|| of(Role::Paymaster)),
            None => None,
        };
        if let Some(entity) = accountable {
            self.reputations.ban(entity);
        }
    }

    /// Takes operations out of the mempool whose entities are banned, or throttled for too many blocks.
    /// Source: GREP-010 and GREP-020.
    pub(super) fn drop_disreputable(&mut self, head: u64) {
        let Some(rules) = self.options.reputation else {
            return;
        };
        let is_out = |entity: &Entity, since: u64| match self.reputations.get(*entity).status(&rules) {
            ReputationStatus::Banned => true,
            ReputationStatus::Throttled => head.saturating_sub(since) > rules.throttled_blocks,
            ReputationStatus::Ok => false,
        };
        let out: Vec<_> = self
            .mempool
            .iter()
            .filter(|entry| entry.counted.iter().any(|entity| is_out(entity, entry.block)))
            .map(|entry| entry.hash)
            .collect();
        for hash in out {
            self.mempool.remove(hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chain, Stack, bundler::mempool::Mempool, bundler::reputation::Reputations};
    use session_key_bindings::{ENTRY_POINT, UserOperation};

    const FACTORY: Address = Address::repeat_byte(0xfa);
    const ACCOUNT: Address = Address::repeat_byte(0xac);
    const PAYMASTER: Address = Address::repeat_byte(0xba);

    /// Who is banned when an operation with these staked entities makes a bundle fail for this reason.
    fn banned(staked: &[Address], reason: &str) -> Vec<Address> {
        let mut chain = Chain::default();
        Stack::deploy(&mut chain).unwrap();
        for entity in staked {
            chain.set_balance(*entity, U256::from(10u64.pow(18)));
            let stake = IEntryPoint::addStakeCall {
                unstakeDelaySec: 86_400,
            };
            let staking = request(*entity, ENTRY_POINT, stake.abi_encode());
            let staking = staking.value(U256::from(10u64.pow(18)));
            chain.send(staking).unwrap().ok().unwrap();
        }
        let mut state = State {
            options: BundlerOptions::default(),
            mempool: Mempool::default(),
            reputations: Reputations::default(),
        };
        let operation = VersionedOperation::from(UserOperation {
            sender: ACCOUNT,
            initCode: FACTORY.into_array().into(),
            paymasterAndData: PAYMASTER.into_array().into(),
            nonce: U256::ZERO,
            callData: Default::default(),
            callGasLimit: U256::ZERO,
            verificationGasLimit: U256::ZERO,
            preVerificationGas: U256::ZERO,
            maxFeePerGas: U256::ZERO,
            maxPriorityFeePerGas: U256::ZERO,
            signature: Default::default(),
        });
        let refusal = Refusal::Failed(reason.into());
        state.failed_in_bundle(&chain.vantage(), &operation, &refusal);
        let reputations = state.reputations.iter(operation.version());
        reputations
            .filter(|(_, reputation)| {
                reputation.status(&state.options.reputation.unwrap_or_default()) == ReputationStatus::Banned
            })
            .map(|(address, _)| address)
            .collect()
    }

    #[test]
    fn who_is_accountable_for_a_failed_bundle_is_banned() {
        for (staked, reason, expected) in [
            (&[][..], "AA13 initCode failed or OOG", &[FACTORY][..]),
            (&[], "AA23 reverted (or OOG)", &[]),
            (&[ACCOUNT], "AA23 reverted (or OOG)", &[ACCOUNT]),
            // A staked factory answers for the accounts that it creates, a staked account for its paymaster.
            (&[FACTORY, ACCOUNT], "AA23 reverted (or OOG)", &[FACTORY]),
            (&[], "AA33 reverted (or OOG)", &[PAYMASTER]),
            (&[PAYMASTER], "AA33 reverted (or OOG)", &[PAYMASTER]),
            (&[PAYMASTER, ACCOUNT], "AA33 reverted (or OOG)", &[ACCOUNT]),
            (&[FACTORY, ACCOUNT, PAYMASTER], "AA95 out of gas", &[]),
        ] {
            assert_eq!(banned(staked, reason), expected, "{staked:?} {reason}");
        }
    }
}
