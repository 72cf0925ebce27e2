//! The contracts of ERC-6900 v0.8: EntryPoint v0.7, the session key module, accounts of three kinds and their
//! factory, with a token and a paymaster for tests.

use crate::{
    Chain, ChainError, DevAccount, PlannedContract, TestToken,
    call::request,
    stack::{
        DEPLOYER, FACTORY_STAKE, UNSTAKE_DELAY, V08_ACCOUNT_CODE, V08_DELEGATE_CODE, deploy_all, test_token,
    },
};
use alloy::{
    eips::eip7702::{Authorization, constants::EIP7702_DELEGATION_DESIGNATOR},
    primitives::{Address, U256},
    rpc::types::TransactionRequest,
    signers::SignerSync,
    sol_types::{SolCall, SolValue},
};
use session_key_bindings::{
    IAccountFactoryV08, IEntryPointV07,
    bytecode::CreationCode,
    deployment::{self, DeploymentParameters},
};

mod contracts {
    #![allow(missing_docs)]

    alloy::sol! {
        interface IStaking {
            function addStake(address entryPoint, uint32 unstakeDelay) external payable;
        }
    }
}

use contracts::IStaking;

static ACCOUNT_FACTORY: CreationCode =
    CreationCode::new("AccountFactory", include_str!("../bytecode/AccountFactory.hex"));
static SEMI_MODULAR_ACCOUNT: CreationCode = CreationCode::new(
    "SemiModularAccount",
    include_str!("../bytecode/SemiModularAccount.hex"),
);
static ECDSA_VALIDATION_MODULE: CreationCode = CreationCode::new(
    "EcdsaValidationModule",
    include_str!("../bytecode/EcdsaValidationModule.hex"),
);
static TEST_PAYMASTER_V07: CreationCode = CreationCode::new(
    "TestPaymasterV07",
    include_str!("../bytecode/TestPaymasterV07.hex"),
);

/// The addresses of all the contracts of ERC-6900 v0.8. They depend on nothing but bytecode, so they are the
/// same on every chain.
///
/// The EntryPoint and the session key module are the real ones. The accounts, their factory and the owner's
/// module are stand-ins that behave like Modular Account v2 and its factory: validations are selected in the
/// nonce, hooks are read at execution, and callbacks without data are skipped. They are not at the deployed
/// addresses, and have their own `accountId` and `moduleId`.
///
/// ```
/// use alloy::primitives::U256;
/// use session_key_bindings::IAccountV08;
/// use session_key_testkit::{Chain, StackV08, dev_accounts};
///
/// let mut chain = Chain::default();
/// let stack = StackV08::deploy(&mut chain)?;
/// let [owner, other] = [dev_accounts()[0], dev_accounts()[1]];
/// let account = stack.create_semi_modular_account(&mut chain, owner.address, U256::ZERO)?;
///
/// // The fallback signer may make the account call; no one else may.
/// let call = IAccountV08::executeCall { target: other.address, value: U256::from(5), data: Default::default() };
/// chain.set_balance(account, U256::from(5));
/// assert!(chain.transact(other.address, account, &call).is_err());
/// chain.transact(owner.address, account, &call)?;
/// assert_eq!(chain.balance(account), 0);
///
/// // From here on, an externally owned account is a smart account as well.
/// stack.delegate_account(&mut chain, &other)?;
/// assert_eq!(chain.read(owner.address, other.address, &IAccountV08::entryPointCall {})?, stack.entry_point);
/// # Ok::<(), session_key_testkit::ChainError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackV08 {
    /// EntryPoint v0.7, at its canonical address.
    pub entry_point: Address,
    /// The session key module, at its planned address.
    pub session_key_module: Address,
    /// Validates one signer without code per entity id: the owner's module in accounts of
    /// [`create_account`](Self::create_account).
    pub single_signer_module: Address,
    /// The implementation behind proxies of accounts with an owner's module.
    pub account_implementation: Address,
    /// The implementation behind proxies of accounts with a fallback signer.
    pub semi_modular_implementation: Address,
    /// The contract that externally owned accounts delegate to (EIP-7702). It behaves like version 1.1 of the
    /// deployed one: it does not accept the account's own contract signature as its owner's, and accepts the
    /// key's plain signature of a hash.
    pub delegate: Address,
    /// Creates accounts of the first two kinds. Staked with the EntryPoint, like the deployed one.
    pub account_factory: Address,
    /// [`TestToken`], an ERC-20 token with 6 decimals that anyone may mint; the same as in
    /// [`Stack`](crate::Stack).
    pub token: Address,
    /// A paymaster that pays for every operation, if it has a deposit with EntryPoint v0.7.
    pub paymaster: Address,
}

impl StackV08 {
    /// Returns the contracts in order of creation, and the resulting addresses. EntryPoint and module are
    /// those of [`deployment::plan`].
    ///
    /// On a live chain, send [`PlannedContract::transaction`] for each address without code.
    #[must_use]
    pub fn plan() -> (Self, Vec<PlannedContract>) {
        let parameters = DeploymentParameters::default();
        let [.., entry_point, session_key_module] = deployment::plan(&parameters, crate::entry_point_codes())
            .map(|(contract, creation)| PlannedContract::from_creation(contract.name(), creation));
        let unsalted = |code: &CreationCode| PlannedContract::new(code.name(), code.bytes());
        let single_signer_module = unsalted(&ECDSA_VALIDATION_MODULE);
        let account_implementation = unsalted(&V08_ACCOUNT_CODE);
        let semi_modular_implementation = unsalted(&SEMI_MODULAR_ACCOUNT);
        let is_earlier = false;
        let delegate = PlannedContract::new(
            V08_DELEGATE_CODE.name(),
            V08_DELEGATE_CODE.with_constructor_arguments(&is_earlier.abi_encode()),
        );
        let factory_arguments = (
            account_implementation.address,
            semi_modular_implementation.address,
            single_signer_module.address,
        );
        let account_factory = PlannedContract::new(
            ACCOUNT_FACTORY.name(),
            ACCOUNT_FACTORY.with_constructor_arguments(&factory_arguments.abi_encode_params()),
        );
        let token = test_token();
        let paymaster = unsalted(&TEST_PAYMASTER_V07);
        let stack = Self {
            entry_point: entry_point.address,
            session_key_module: session_key_module.address,
            single_signer_module: single_signer_module.address,
            account_implementation: account_implementation.address,
            semi_modular_implementation: semi_modular_implementation.address,
            delegate: delegate.address,
            account_factory: account_factory.address,
            token: token.address,
            paymaster: paymaster.address,
        };
        let plan = vec![
            entry_point,
            session_key_module,
            single_signer_module,
            account_implementation,
            semi_modular_implementation,
            delegate,
            account_factory,
            token,
            paymaster,
        ];
        (stack, plan)
    }

    /// Deploys what is missing, and stakes one ether for the factory, for a day. [`Stack`](crate::Stack) may
    /// be on the same chain.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] if a constructor reverts.
    pub fn deploy(chain: &mut Chain) -> Result<Self, ChainError> {
        let (stack, plan) = Self::plan();
        deploy_all(chain, &plan)?;
        let staked = chain.read(
            DEPLOYER,
            stack.entry_point,
            &IEntryPointV07::getDepositInfoCall {
                account: stack.account_factory,
            },
        )?;
        if !staked.staked {
            let stake = IStaking::addStakeCall {
                entryPoint: stack.entry_point,
                unstakeDelay: UNSTAKE_DELAY,
            };
            let funds = chain.balance(DEPLOYER).saturating_add(FACTORY_STAKE);
            chain.set_balance(DEPLOYER, funds);
            let staking = request(DEPLOYER, stack.account_factory, stake.abi_encode());
            chain.send(staking.value(FACTORY_STAKE))?.ok()?;
        }
        Ok(stack)
    }

    /// Creates an account through the factory unless it exists, and returns its address. Its owner is the
    /// signer under this entity id in [`single_signer_module`](Self::single_signer_module): a global
    /// validation, for user operations and signatures.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] if the account cannot be created.
    pub fn create_account(
        &self,
        chain: &mut Chain,
        owner: Address,
        salt: U256,
        entity_id: u32,
    ) -> Result<Address, ChainError> {
        let call = IAccountFactoryV08::createAccountCall {
            owner,
            salt,
            entityId: entity_id,
        };
        chain.transact(DEPLOYER, self.account_factory, &call)
    }

    /// Creates an account with a fallback signer through the factory unless it exists, and returns its
    /// address.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] if the account cannot be created.
    pub fn create_semi_modular_account(
        &self,
        chain: &mut Chain,
        owner: Address,
        salt: U256,
    ) -> Result<Address, ChainError> {
        let call = IAccountFactoryV08::createSemiModularAccountCall { owner, salt };
        chain.transact(DEPLOYER, self.account_factory, &call)
    }

    /// Makes a development account delegate to [`delegate`](Self::delegate), in another sender's transaction
    /// with the account's authorization (EIP-7702). Its nonce increases by one.
    ///
    /// # Errors
    ///
    /// [`ChainError::NoSigner`] if the private key does not match the address;
    /// [`ChainError::DelegationSkipped`] if the account has a contract's code.
    pub fn delegate_account(&self, chain: &mut Chain, account: &DevAccount) -> Result<(), ChainError> {
        let signer = account.signer();
        if signer.address() != account.address {
            return Err(ChainError::NoSigner(account.address));
        }
        let authorization = Authorization {
            chain_id: U256::from(chain.chain_id()),
            address: self.delegate,
            nonce: chain.nonce(account.address),
        };
        let signature = signer
            .sign_hash_sync(&authorization.signature_hash())
            .map_err(|_| ChainError::InvalidSignature)?;
        let delegation = TransactionRequest {
            authorization_list: Some(vec![authorization.into_signed(signature)]),
            ..request(DEPLOYER, DEPLOYER, [])
        };
        chain.send(delegation)?.ok()?;
        // A transaction skips an invalid authorization without failing.
        let designator = [&EIP7702_DELEGATION_DESIGNATOR[..], self.delegate.as_slice()].concat();
        if chain.code(account.address) != designator {
            return Err(ChainError::DelegationSkipped(account.address));
        }
        Ok(())
    }

    /// Mints test tokens to an address, in base units (6 decimals).
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] if the total supply would overflow.
    pub fn mint(&self, chain: &mut Chain, to: Address, amount: U256) -> Result<(), ChainError> {
        chain.transact(DEPLOYER, self.token, &TestToken::mintCall { to, amount })?;
        Ok(())
    }
}
