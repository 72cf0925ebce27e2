//! The contracts of ERC-6900 v0.7: EntryPoint v0.6, account, factory and plugins, with a token and a
//! paymaster for tests.

use crate::{Chain, ChainError, call::request};
use alloy::{
    primitives::{Address, B256, Bytes, U256, address},
    rpc::types::TransactionRequest,
    sol_types::{SolCall, SolConstructor},
};
use session_key_bindings::{
    IEntryPoint, IModularAccountFactory,
    bytecode::CreationCode,
    deployment::{self, Creation, DeploymentParameters},
};

mod contracts {
    #![allow(missing_docs)]

    alloy::sol! {
        #![sol(extra_derives(Debug, PartialEq, Eq, Hash))]
        "sol/TestToken.sol"
    }
}

pub use contracts::TestToken;
pub use session_key_bindings::{DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE};
pub use session_key_entry_point::{ENTRY_POINT_CODE, ENTRY_POINT_V07_CODE, codes as entry_point_codes};

static TEST_TOKEN: CreationCode = CreationCode::new("TestToken", include_str!("../bytecode/TestToken.hex"));
static TEST_MULTICALL: CreationCode =
    CreationCode::new("TestMulticall", include_str!("../bytecode/TestMulticall.hex"));
static TEST_PAYMASTER: CreationCode =
    CreationCode::new("TestPaymaster", include_str!("../bytecode/TestPaymaster.hex"));
/// `VerifyingPaymaster`, which pays for operations that its signer has signed; its constructor takes the
/// EntryPoint and the signer. Not part of the stack.
pub static VERIFYING_PAYMASTER_CODE: CreationCode = CreationCode::new(
    "VerifyingPaymaster",
    include_str!("../bytecode/VerifyingPaymaster.hex"),
);

/// The session key plugin, version 1.0.1, without the rules it adds to the ABI's: for tests, a stand-in for
/// plugins of the same ABI deployed elsewhere. Not part of the stack, and not meant for other chains.
pub static PLUGIN_WITHOUT_STRICT_RULES: CreationCode = CreationCode::new(
    "PluginWithoutStrictRules",
    include_str!("../bytecode/PluginWithoutStrictRules.hex"),
);

/// `ModuleOwnedAccount`: an ERC-6900 v0.8 account that selects validations in the nonce and stores them as
/// Modular Account v2 does. Its constructor takes no arguments.
pub static V08_ACCOUNT_CODE: CreationCode = CreationCode::new(
    "ModuleOwnedAccount",
    include_str!("../bytecode/ModuleOwnedAccount.hex"),
);

/// `SignatureAccount`: an ERC-6900 v0.8 account that selects validations in the signature, by module and
/// entity id. Its constructor takes no arguments. Not part of a stack.
pub static V08_SIGNATURE_ACCOUNT_CODE: CreationCode = CreationCode::new(
    "SignatureAccount",
    include_str!("../bytecode/SignatureAccount.hex"),
);

/// `DelegatedAccount`: an ERC-6900 v0.8 account to delegate to (EIP-7702). Its constructor takes whether it
/// behaves as the earlier version.
pub static V08_DELEGATE_CODE: CreationCode = CreationCode::new(
    "DelegatedAccount",
    include_str!("../bytecode/DelegatedAccount.hex"),
);

/// The address of `Multicall3` on most chains. Not part of the stack; see [`Stack::deploy_multicall`].
pub const MULTICALL3: Address = address!("0xcA11bde05977b3631167028862bE2a173976CA11");

/// The proxy's original deployer; here, the sender of deployments.
pub(crate) const DEPLOYER: Address = address!("0x3fAB184622Dc19b6109349B94811493BF45362f8");

/// A contract to create through the [`DEPLOYMENT_PROXY`]: salt and init code determine its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedContract {
    /// The contract's name.
    pub name: &'static str,
    /// The CREATE2 salt. Zero, except for EntryPoint v0.7.
    pub salt: B256,
    /// Creation bytecode and constructor arguments.
    pub init_code: Bytes,
    /// The address at which it is created.
    pub address: Address,
}

impl PlannedContract {
    /// Plans a contract with salt zero.
    #[must_use]
    pub fn new(name: &'static str, init_code: Bytes) -> Self {
        Self::from_creation(name, Creation::unsalted(init_code))
    }

    pub(crate) fn from_creation(name: &'static str, creation: Creation) -> Self {
        Self {
            name,
            address: creation.address(),
            salt: creation.salt,
            init_code: creation.init_code,
        }
    }

    /// Returns the transaction that creates it, from any sender, on any chain with the proxy.
    #[must_use]
    pub fn transaction(&self, from: Address) -> TransactionRequest {
        let creation = Creation {
            salt: self.salt,
            init_code: self.init_code.clone(),
        };
        request(from, DEPLOYMENT_PROXY, creation.call_data())
    }

    /// Creates the contract, unless it exists.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] if the constructor reverts, or the code is too large.
    pub fn deploy(&self, chain: &mut Chain) -> Result<Address, ChainError> {
        if chain.code(self.address).is_empty() {
            chain.send(self.transaction(DEPLOYER))?.ok()?;
        }
        Ok(self.address)
    }
}

/// What a factory stakes, in wei.
pub(crate) const FACTORY_STAKE: U256 = U256::from_limbs([10u64.pow(18), 0, 0, 0]);

/// For how long, in seconds. Source: ERC-7562, `MIN_UNSTAKE_DELAY`.
pub(crate) const UNSTAKE_DELAY: u32 = 24 * 60 * 60;

/// Creates the missing contracts, in order.
pub(crate) fn deploy_all(chain: &mut Chain, plan: &[PlannedContract]) -> Result<(), ChainError> {
    chain.set_code(DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE)?;
    for planned in plan {
        planned.deploy(chain)?;
    }
    Ok(())
}

/// Plans the token of both stacks.
pub(crate) fn test_token() -> PlannedContract {
    let arguments = TestToken::constructorCall {
        name_: "Test Dollar".into(),
        symbol_: "TUSD".into(),
        decimals_: 6,
    };
    PlannedContract::new(
        "TestToken",
        TEST_TOKEN.with_constructor_arguments(&arguments.abi_encode()),
    )
}

/// The addresses of the ERC-6900 v0.7 contracts. They depend only on bytecode and the factory's owner, so
/// they are the same on every chain. The v0.8 contracts are in [`StackV08`](crate::StackV08), which may be on
/// the same chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// EntryPoint v0.6, at its canonical address.
    pub entry_point: Address,
    /// The accounts' owner plugin.
    pub multi_owner_plugin: Address,
    /// The session key plugin.
    pub session_key_plugin: Address,
    /// The implementation behind the accounts' proxies.
    pub account_implementation: Address,
    /// Creates accounts.
    pub account_factory: Address,
    /// [`TestToken`], an ERC-20 token with 6 decimals that anyone may mint.
    pub token: Address,
    /// A paymaster that pays for every operation, if it has a deposit.
    pub paymaster: Address,
}

impl Stack {
    /// Deploys a contract with `Multicall3`'s function `aggregate3` at its address.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] if it cannot be created.
    pub fn deploy_multicall(chain: &mut Chain) -> Result<Address, ChainError> {
        let deployed = chain.deploy(DEPLOYER, TEST_MULTICALL.bytes())?;
        let code = chain.code(deployed);
        chain.set_code(MULTICALL3, code)?;
        Ok(MULTICALL3)
    }

    /// Returns the contracts in order of creation, and the resulting addresses.
    ///
    /// On a live chain, send [`PlannedContract::transaction`] for each address without code.
    ///
    /// The first five are those of [`deployment::plan`] with salt zero.
    #[must_use]
    pub fn plan(factory_owner: Address) -> (Self, Vec<PlannedContract>) {
        let parameters = DeploymentParameters {
            factory_owner,
            ..DeploymentParameters::default()
        };
        let [
            entry_point,
            multi_owner_plugin,
            session_key_plugin,
            implementation,
            factory,
            _,
            _,
        ] = deployment::plan(&parameters, entry_point_codes())
            .map(|(contract, creation)| PlannedContract::from_creation(contract.name(), creation));
        let token = test_token();
        let paymaster = PlannedContract::new("TestPaymaster", TEST_PAYMASTER.bytes());
        let stack = Self {
            entry_point: entry_point.address,
            multi_owner_plugin: multi_owner_plugin.address,
            session_key_plugin: session_key_plugin.address,
            account_implementation: implementation.address,
            account_factory: factory.address,
            token: token.address,
            paymaster: paymaster.address,
        };
        let plan = vec![
            entry_point,
            multi_owner_plugin,
            session_key_plugin,
            implementation,
            factory,
            token,
            paymaster,
        ];
        (stack, plan)
    }

    /// Deploys everything; the first development account owns the factory. The factory has a stake, without
    /// which bundlers take no operation that creates an account.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] if a constructor reverts.
    pub fn deploy(chain: &mut Chain) -> Result<Self, ChainError> {
        Self::deploy_owned(chain, crate::dev_accounts()[0].address)
    }

    /// As [`deploy`](Self::deploy), with another owner of the factory, on which the factory's address
    /// depends. With that of [`DeploymentParameters`], it is the recorded one.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] if a constructor reverts, as the factory's does for the zero address.
    pub fn deploy_owned(chain: &mut Chain, owner: Address) -> Result<Self, ChainError> {
        let (stack, plan) = Self::plan(owner);
        deploy_all(chain, &plan)?;
        let staked = chain.read(
            DEPLOYER,
            stack.entry_point,
            &IEntryPoint::getDepositInfoCall {
                account: stack.account_factory,
            },
        )?;
        if !staked.staked {
            let stake = IModularAccountFactory::addStakeCall {
                unstakeDelay: UNSTAKE_DELAY,
                amount: FACTORY_STAKE,
            };
            // The owner keeps what it has.
            let funds = chain.balance(owner);
            chain.set_balance(owner, funds.saturating_add(FACTORY_STAKE + FACTORY_STAKE));
            let staking = request(owner, stack.account_factory, stake.abi_encode());
            chain.send(staking.value(FACTORY_STAKE))?.ok()?;
            chain.set_balance(owner, funds);
        }
        Ok(stack)
    }

    /// Creates an account through the factory unless it exists, and returns its address. The owners must be
    /// in ascending order and nonzero.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] with the factory's error if the owners are invalid.
    pub fn create_account(
        &self,
        chain: &mut Chain,
        salt: U256,
        owners: &[Address],
    ) -> Result<Address, ChainError> {
        let call = IModularAccountFactory::createAccountCall {
            salt,
            owners: owners.to_vec(),
        };
        chain.transact(DEPLOYER, self.account_factory, &call)
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
