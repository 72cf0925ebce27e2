//! The call of the EntryPoint.

use crate::{
    Report,
    check::{Policy, Stake, Stakes, aggregator_in, check},
    operation::{Operation, Role, selectors},
    trace::ValidationInspector,
};
use revm::{
    Context, Database, ExecuteEvm, InspectEvm, MainBuilder, MainContext,
    context::{
        BlockEnv, CfgEnv, TxEnv,
        either::Either,
        result::{EVMError, InvalidTransaction},
    },
    primitives::{Address, Bytes, TxKind, U256},
};

/// Gas units for a validation: more than any bundler allows.
const GAS_LIMIT: u64 = 100_000_000;

/// Why an operation could not be judged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValidateError<E> {
    /// The database failed, or the environment is not one in which a transaction can run.
    #[error("the call of the EntryPoint did not run: {0}")]
    NotRun(EVMError<E>),
}

impl<E> From<EVMError<E, InvalidTransaction>> for ValidateError<E> {
    fn from(error: EVMError<E, InvalidTransaction>) -> Self {
        Self::NotRun(error)
    }
}

/// Validates one operation on a state, and judges it. The state stays as it is.
///
/// `cfg` and `block` are those of the chain, with the block in which the operation is to be included. Stakes
/// are read from the EntryPoint.
///
/// # Errors
///
/// If the call cannot run. An operation that the EntryPoint refuses, or that breaks rules, is a [`Report`].
pub fn validate<D: Database>(
    db: &mut D,
    cfg: &CfgEnv,
    block: &BlockEnv,
    operation: &Operation,
    policy: &Policy,
) -> Result<Report, ValidateError<D::Error>> {
    let parties = operation.parties;
    let mut environment = Environment {
        cfg: free(cfg),
        block: block.clone(),
    };
    let mut call = environment.call(parties.entry_point, operation.call.clone());
    if let Some(authorization) = &operation.authorization {
        call.authorization_list = vec![Either::Left(authorization.clone())];
        call.tx_type = revm::context::TransactionType::Eip7702.into();
    }
    let mut evm = Context::mainnet()
        .with_db(&mut *db)
        .with_cfg(environment.cfg.clone())
        .with_block(environment.block.clone())
        .build_mainnet_with_inspector(ValidationInspector::new(parties));
    evm.inspect_tx(call)?;
    let trace = evm.inspector.into_trace();

    let mut stakes = Stakes::default();
    let entities = [Role::Factory, Role::Account, Role::Paymaster];
    let entities = entities.into_iter().filter_map(|role| parties.address_of(role));
    let aggregator = trace.answers.account.and_then(aggregator_in);
    for address in entities.chain(aggregator) {
        let stake = environment.stake(&mut *db, parties.entry_point, address)?;
        stakes.of.insert(address, stake);
    }
    Ok(check(&trace, &stakes, policy))
}

/// Settings for calls that cost nothing, from an address that has nothing.
fn free(cfg: &CfgEnv) -> CfgEnv {
    let mut cfg = cfg.clone();
    cfg.disable_balance_check = true;
    cfg.disable_base_fee = true;
    cfg.disable_block_gas_limit = true;
    cfg.disable_eip3607 = true;
    cfg.disable_nonce_check = true;
    cfg.tx_gas_limit_cap = Some(u64::MAX);
    cfg
}

struct Environment {
    cfg: CfgEnv,
    block: BlockEnv,
}

impl Environment {
    fn call(&self, to: Address, data: Bytes) -> TxEnv {
        TxEnv {
            kind: TxKind::Call(to),
            data,
            gas_limit: GAS_LIMIT,
            chain_id: Some(self.cfg.chain_id),
            ..TxEnv::default()
        }
    }

    /// What an entity has locked. An EntryPoint that does not answer locks nothing.
    fn stake<D: Database>(
        &mut self,
        db: &mut D,
        entry_point: Address,
        of: Address,
    ) -> Result<Stake, ValidateError<D::Error>> {
        let data = [selectors::DEPOSIT_INFO.as_slice(), of.into_word().as_slice()].concat();
        let call = self.call(entry_point, data.into());
        let mut evm = Context::mainnet()
            .with_db(db)
            .with_cfg(self.cfg.clone())
            .with_block(self.block.clone())
            .build_mainnet();
        let result = evm.transact(call)?.result;
        let output = result.output().filter(|_| result.is_success());
        // (deposit, staked, stake, unstakeDelaySec, withdrawTime)
        let word = |index: usize| {
            let bytes = output?.get(32 * index..32 * (index + 1))?;
            Some(U256::from_be_slice(bytes))
        };
        let is_locked = word(1).is_some_and(|staked| !staked.is_zero());
        let (Some(amount), Some(delay), true) = (word(2), word(3), is_locked) else {
            return Ok(Stake::default());
        };
        Ok(Stake {
            amount,
            unstake_delay: delay.saturating_to(),
        })
    }
}
