//! The contracts of ERC-6900 v0.7: EntryPoint v0.6, account, factory, plugins, and a token and a paymaster to test with.

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
/// `VerifyingPaymaster`, which pays for what its signer has signed; its constructor takes the EntryPoint and the signer. Not
/// part of the stack.
pub static VERIFYING_PAYMASTER_CODE: CreationCode = CreationCode::new(
    "VerifyingPaymaster",
    include_str!("../bytecode/VerifyingPaymaster.hex"),
);

/// The session key plugin without what it demands beyond the ABI, and with version 1.0.1: a stand-in, for tests, for the plugins of
/// the same ABI that are deployed elsewhere. Not part of the stack, and for no other chain.
pub static PLUGIN_WITHOUT_STRICT_RULES: CreationCode = CreationCode::new(
    "PluginWithoutStrictRules",
    include_str!("../bytecode/PluginWithoutStrictRules.hex"),
);

/// `ModuleOwnedAccount`: an ERC-6900 v0.8 account that selects validations in the nonce and keeps them as Modular Account v2 does.
/// Its constructor takes no arguments.
pub static V08_ACCOUNT_CODE: CreationCode = CreationCode::new(
    "ModuleOwnedAccount",
    include_str!("../bytecode/ModuleOwnedAccount.hex"),
);

/// `SignatureAccount`: an ERC-6900 v0.8 account that selects validations in the signature, by module and entity id. Its
/// constructor takes no arguments. Not part of a stack.
pub static V08_SIGNATURE_ACCOUNT_CODE: CreationCode = CreationCode::new(
    "SignatureAccount",
    include_str!("../bytecode/SignatureAccount.hex"),
);

/// `DelegatedAccount`: an ERC-6900 v0.8 account to delegate to (EIP-7702). Its constructor takes whether it is the earlier version.
pub static V08_DELEGATE_CODE: CreationCode = CreationCode::new(
    "DelegatedAccount",
    include_str!("../bytecode/DelegatedAccount.hex"),
);

/// Where `Multicall3` is on most chains. Not part of the stack; see [`Stack::deploy_multicall`].
pub const MULTICALL3: Address = address!("0xcA11bde05977b3631167028862bE2a173976CA11");

/// Who made the proxy; here, the sender of the deployments.
pub(crate) const DEPLOYER: Address = address!("0x3fAB184622Dc19b6109349B94811493BF45362f8");

/// A contract to be created through the [`DEPLOYMENT_PROXY`]: its address follows from its salt and its init code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedContract {
    /// The contract's name.
    pub name: &'static str,
    /// Salt of CREATE2. Zero, except for EntryPoint v0.7.
    pub salt: B256,
    /// Creation bytecode and constructor arguments.
    pub init_code: Bytes,
    /// Where it will be.
    pub address: Address,
}

impl PlannedContract {
    /// What this init code creates with salt zero.
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

    /// The transaction that creates it, from anyone, on any chain that has the proxy.
    #[must_use]
    pub fn transaction(&self, from: Address) -> TransactionRequest {
        let creation = Creation {
            salt: self.salt,
            init_code: self.init_code.clone(),
        };
        request(from, DEPLOYMENT_PROXY, creation.call_data())
    }

    /// Creates it, unless it is there already.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] when the constructor reverts, or the code is too large.
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

/// Creates the contracts that are not there yet, in order.
pub(crate) fn deploy_all(chain: &mut Chain, plan: &[PlannedContract]) -> Result<(), ChainError> {
    chain.set_code(DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE)?;
    for planned in plan {
        planned.deploy(chain)?;
    }
    Ok(())
}

/// The token of both stacks.
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

/// The addresses of all the contracts of ERC-6900 v0.7. They depend on nothing but bytecode and the factory's owner, so they are
/// the same on every chain. Those of v0.8 are in [`StackV08`](crate::StackV08), which may be on the same chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// EntryPoint v0.6, at its canonical address.
    pub entry_point: Address,
    /// Owner plugin of the accounts.
    pub multi_owner_plugin: Address,
    /// Session key plugin.
    pub session_key_plugin: Address,
    /// What the accounts' proxies point to.
    pub account_implementation: Address,
    /// Makes accounts.
    pub account_factory: Address,
    /// An ERC-20 token with 6 decimals that anyone may mint: [`TestToken`].
    pub token: Address,
    /// A paymaster that pays for every operation, once it has a deposit.
    pub paymaster: Address,
}

impl Stack {
    /// Puts a contract with the function `aggregate3` of `Multicall3` at its address.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] when it cannot be created.
    pub fn deploy_multicall(chain: &mut Chain) -> Result<Address, ChainError> {
        let deployed = chain.deploy(DEPLOYER, TEST_MULTICALL.bytes())?;
        let code = chain.code(deployed);
        chain.set_code(MULTICALL3, code)?;
        Ok(MULTICALL3)
    }

    /// The contracts in the order they must be created in, and the addresses that they lead to.
    ///
    /// On a live chain: send [`PlannedContract::transaction`] for each whose address has no code yet.
    ///
    /// The first five are those of [`deployment::plan`], with salt zero.
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

    /// Deploys everything; the first development account owns the factory. The factory has a stake, without which bundlers take no
    /// operation that creates an account.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] when a constructor reverts.
    pub fn deploy(chain: &mut Chain) -> Result<Self, ChainError> {
        let owner = crate::dev_accounts()[0].address;
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

    /// Makes an account through the factory, and returns its address; or just that, if it is there already. The owners
    /// must ascend, and must not be zero.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] with the factory's error, when the owners are not as they must be.
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

    /// Gives an address some of the test token, in base units (6 decimals).
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] when the total supply would overflow.
    pub fn mint(&self, chain: &mut Chain, to: Address, amount: U256) -> Result<(), ChainError> {
        chain.transact(DEPLOYER, self.token, &TestToken::mintCall { to, amount })?;
        Ok(())
    }
}
