//! The initial chain of every history: contracts, accounts, and session keys of several kinds.

use alloy::{
    primitives::{Address, B256, U256},
    providers::Provider,
    rpc::types::TransactionRequest,
    signers::local::PrivateKeySigner,
};
use serde::{Deserialize, Serialize};
use session_key_bindings::IAccountFactoryV08;
use session_key_client::{
    Deployment, NewSessionKey, SmartAccount,
    account::{ConnectError, Generation, Validations},
    calldata,
    deployment::account_init_code_hash,
    permissions::{AccessControlType, Permissions, SpendLimit},
    v08::{self, AccountFactory, FactoryAccount},
};
use session_key_testkit::{Chain, ChainConfig, DevAccount, Stack, StackV08, dev_accounts};
use std::sync::OnceLock;

/// The chain's id.
pub(crate) const CHAIN_ID: u64 = 31_337;
/// A contract whose only function succeeds and reverts by turns, for four seconds each.
pub(crate) const FICKLE: Address = Address::repeat_byte(0xf1);
/// TIMESTAMP PUSH1 4 AND PUSH1 8 JUMPI STOP JUMPDEST PUSH0 PUSH0 REVERT.
const FICKLE_CODE: [u8; 12] = [
    0x42, 0x60, 0x04, 0x16, 0x60, 0x08, 0x57, 0x00, 0x5b, 0x5f, 0x5f, 0xfd,
];
/// The number of accounts that exist at the start.
pub(crate) const ACCOUNTS: u8 = 2;
/// One gwei, in wei.
const GWEI: u128 = 1_000_000_000;
/// One ether, in wei.
pub(crate) const ETHER: u128 = 1_000_000_000_000_000_000;

/// The permissions of a session key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// All calls.
    Free,
    /// All calls, with small limits for native token and gas.
    Budget,
    /// Transfers of the token up to a limit.
    Token,
    /// All calls until two minutes after the start of the history.
    Timed,
}

impl KeyKind {
    pub(crate) const ALL: [Self; 4] = [Self::Free, Self::Budget, Self::Token, Self::Timed];
}

/// Total native token limit of a budget key, in wei.
pub(crate) const NATIVE_BUDGET: u64 = 40_000;
/// Total gas limit of a budget key, in wei.
pub(crate) const GAS_BUDGET: u128 = 6_000_000 * GWEI;
/// Total token limit of a token key, in base units.
pub(crate) const TOKEN_BUDGET: u64 = 60_000;
/// Lifetime of a timed key, in seconds.
pub(crate) const KEY_LIFE: u64 = 120;

/// Returns the signer of an account's session key. The key is public.
pub(crate) fn key(account: u8, kind: KeyKind) -> PrivateKeySigner {
    signer(0x10 + account * 0x10 + kind as u8)
}

/// Returns a key that has no permissions at the start.
pub(crate) fn new_key(number: u8) -> PrivateKeySigner {
    signer(0x80 + (number & 0x3f))
}

/// Returns the account that signs a bundler's transactions.
pub(crate) fn bundler_account(bundler: u8) -> DevAccount {
    let key = 0xd0 + bundler;
    DevAccount {
        address: signer(key).address(),
        private_key: B256::repeat_byte(key),
    }
}

fn signer(byte: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_slice(&[byte; 32]).expect("a small number is a valid key")
}

/// Returns the owner of an account.
pub(crate) fn owner(account: u8) -> PrivateKeySigner {
    dev_accounts()[1 + usize::from(account)].signer()
}

/// Returns the sender of a process's transactions when it uses no bundler.
pub(crate) fn sender(process: u8) -> PrivateKeySigner {
    dev_accounts()[5 + usize::from(process) % 5].signer()
}

/// Salt of the account that does not exist at the start. Its owner is [`owner`]`(ACCOUNTS)`.
pub(crate) const FOUNDED_SALT: U256 = U256::from_limbs([7, 0, 0, 0]);

/// The initial chain and its addresses.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// The generation of the accounts.
    pub(crate) generation: Generation,
    pub(crate) chain: Chain,
    pub(crate) stack: Stack,
    pub(crate) deployment: Deployment,
    /// The existing accounts, followed by the one that does not exist yet.
    pub(crate) accounts: Vec<Address>,
}

/// Returns the initial chain, which is created once per generation of accounts.
pub(crate) fn prepared(is_v08: bool) -> &'static Prepared {
    static V07: OnceLock<Prepared> = OnceLock::new();
    static V08: OnceLock<Prepared> = OnceLock::new();
    if is_v08 {
        V08.get_or_init(|| Prepared::new(Generation::V08(Validations::default())))
    } else {
        V07.get_or_init(|| Prepared::new(Generation::V07))
    }
}

/// Maps the contracts of v0.8 to their counterparts of v0.7. The accounts are semi-modular.
const fn in_its_place(stack: &StackV08) -> Stack {
    Stack {
        entry_point: stack.entry_point,
        multi_owner_plugin: Address::ZERO,
        session_key_plugin: stack.session_key_module,
        account_implementation: stack.semi_modular_implementation,
        account_factory: stack.account_factory,
        token: stack.token,
        paymaster: stack.paymaster,
    }
}

/// Returns the permissions of a kind of key, granted at the time `now` in Unix seconds.
pub(crate) fn permissions(kind: KeyKind, stack: &Stack, now: u64) -> Permissions {
    let all = Permissions::new().access_control_type(AccessControlType::AllowAllAccess);
    match kind {
        KeyKind::Free => all.native_token_spend_limit(SpendLimit::UNLIMITED),
        KeyKind::Budget => all
            .native_token_spend_limit(SpendLimit::total(U256::from(NATIVE_BUDGET)))
            .gas_spend_limit(SpendLimit::total(U256::from(GAS_BUDGET))),
        KeyKind::Token => Permissions::new()
            .contract(stack.token)
            .erc20_spend_limit(stack.token, SpendLimit::total(U256::from(TOKEN_BUDGET))),
        KeyKind::Timed => all
            .native_token_spend_limit(SpendLimit::UNLIMITED)
            .valid_until(now + KEY_LIFE),
    }
}

impl Prepared {
    pub(crate) const fn is_v08(&self) -> bool {
        matches!(self.generation, Generation::V08(_))
    }

    /// Returns an existing account.
    pub(crate) fn account(&self, provider: impl Provider + 'static, address: Address) -> SmartAccount {
        match self.generation {
            Generation::V08(validations) => {
                SmartAccount::new_v08(provider, CHAIN_ID, address, self.deployment, validations)
            }
            _ => SmartAccount::new(provider, CHAIN_ID, address, self.deployment),
        }
    }

    /// Returns the account of `owner` that does not exist at the start.
    pub(crate) async fn founded(
        &self,
        provider: impl Provider + 'static,
        owner: Address,
    ) -> Result<SmartAccount, ConnectError> {
        if self.is_v08() {
            let (factory, made) = self.factory(owner);
            let deployment = self.deployment;
            return SmartAccount::from_v08_factory_on(CHAIN_ID, provider, deployment, &factory, made).await;
        }
        SmartAccount::from_factory_on(CHAIN_ID, provider, self.deployment, [owner], FOUNDED_SALT).await
    }

    fn factory(&self, owner: Address) -> (AccountFactory, FactoryAccount) {
        let factory = AccountFactory {
            address: self.stack.account_factory,
            semi_modular_account: self.stack.account_implementation,
            ..AccountFactory::default()
        };
        (factory, FactoryAccount::semi_modular(owner, FOUNDED_SALT))
    }

    /// Returns `paymasterAndData` with `data` for the paymaster.
    pub(crate) fn paymaster_data(&self, paymaster: &[u8], data: &[u8]) -> Vec<u8> {
        if self.is_v08() {
            // Gas limits for validation and `postOp`.
            [
                paymaster,
                &100_000_u128.to_be_bytes(),
                &50_000_u128.to_be_bytes(),
                data,
            ]
            .concat()
        } else {
            [paymaster, data].concat()
        }
    }

    fn new(generation: Generation) -> Self {
        let is_v08 = matches!(generation, Generation::V08(_));
        let mut chain = Chain::new(ChainConfig {
            chain_id: CHAIN_ID,
            ..Default::default()
        });
        let stack = if is_v08 {
            StackV08::deploy(&mut chain).map(|stack| in_its_place(&stack))
        } else {
            Stack::deploy(&mut chain)
        };
        let stack = stack.expect("the contracts can be deployed");
        let deployment = Deployment {
            entry_point: stack.entry_point,
            session_key_plugin: stack.session_key_plugin,
            multi_owner_plugin: stack.multi_owner_plugin,
            factory: stack.account_factory,
            account_init_code_hash: (!is_v08).then(|| account_init_code_hash(stack.account_implementation)),
        };
        let mut prepared = Self {
            generation,
            chain: Chain::default(),
            stack,
            deployment,
            accounts: Vec::new(),
        };
        let mut accounts = Vec::new();
        for index in 0..ACCOUNTS {
            let owner = owner(index).address();
            let account = if is_v08 {
                let call = IAccountFactoryV08::createSemiModularAccountCall {
                    owner,
                    salt: U256::ZERO,
                };
                chain.transact(owner, stack.account_factory, &call)
            } else {
                stack.create_account(&mut chain, U256::ZERO, &[owner])
            };
            let account = account.expect("the factory creates accounts");
            fund(&mut chain, &stack, account);
            let keys: Vec<NewSessionKey> = KeyKind::ALL
                .iter()
                .map(|kind| {
                    // The history starts a few seconds later.
                    let permissions = permissions(*kind, &stack, chain.timestamp() + 20);
                    NewSessionKey::new(key(index, *kind).address(), &permissions)
                        .expect("the permissions are well-formed")
                })
                .collect();
            let data = if let Generation::V08(validations) = generation {
                let module = stack.session_key_plugin;
                let entity_id = validations.session_keys;
                let calls = v08::calldata::install_session_key_module(account, module, entity_id, &keys);
                calldata::execute_batch(&calls.expect("the entity id is not in use"))
            } else {
                calldata::install_plugin(
                    stack.session_key_plugin,
                    session_key_client::deployment::manifest_hash::SESSION_KEY_PLUGIN,
                    calldata::session_key_plugin_install_data(&keys),
                    &calldata::owner_dependencies(stack.multi_owner_plugin),
                )
            };
            let request = TransactionRequest {
                from: Some(owner),
                to: Some(account.into()),
                input: data.into(),
                ..Default::default()
            };
            chain
                .send(request)
                .and_then(session_key_testkit::Execution::ok)
                .expect("the owner installs the plugin");
            accounts.push(account);
        }
        let founder = owner(ACCOUNTS).address();
        let founded = if is_v08 {
            let (factory, made) = prepared.factory(founder);
            made.address(&factory)
        } else {
            let address = deployment.account_address([founder], FOUNDED_SALT).ok().flatten();
            address.expect("the init code hash is known")
        };
        fund(&mut chain, &stack, founded);
        accounts.push(founded);
        chain.set_code(FICKLE, FICKLE_CODE).expect("the code is valid");
        for bundler in 0..4 {
            chain.set_balance(bundler_account(bundler).address, U256::from(1_000 * ETHER));
        }
        let deposit = alloy::sol_types::SolCall::abi_encode(&depositToCall {
            account: stack.paymaster,
        });
        chain.set_balance(Address::repeat_byte(0xfe), U256::from(1_000 * ETHER));
        let request = TransactionRequest {
            from: Some(Address::repeat_byte(0xfe)),
            to: Some(stack.entry_point.into()),
            value: Some(U256::from(100 * ETHER)),
            input: alloy::primitives::Bytes::from(deposit).into(),
            ..Default::default()
        };
        chain
            .send(request)
            .and_then(session_key_testkit::Execution::ok)
            .expect("anyone can deposit for a paymaster");
        chain.set_automine(false);
        prepared.chain = chain;
        prepared.accounts = accounts;
        prepared
    }
}

alloy::sol! {
    function depositTo(address account) external payable;
}

fn fund(chain: &mut Chain, stack: &Stack, account: Address) {
    chain.set_balance(account, U256::from(50 * ETHER));
    stack
        .mint(chain, account, U256::from(1_000_000_000u64))
        .expect("anyone can mint");
}
