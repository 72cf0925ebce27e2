//! Our contracts keep to the rules of public mempools.

use session_key_devnet::{
    Devnet, DevnetOptions, Kind, WithKey,
    client::{
        Call, Deployment, OwnerClient, SmartAccount,
        alloy::{
            primitives::{Address, Bytes, U256, hex},
            rpc::types::TransactionRequest,
            sol_types::SolCall,
        },
        operation::FixedPaymaster,
        permissions::{AccessControlType, AddressEntry, ERC20_TRANSFER, Permissions, SpendLimit, TimeRange},
        signer::EcdsaContractOwner,
        submit::BundlerSubmitter,
        v08::{AccountFactory, FactoryAccount},
    },
    testkit::{TestToken, dev_accounts},
};

const DAY: u64 = 86_400;
const ETHER: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);
const SHOP: Address = Address::repeat_byte(0x77);
const CONTRACT: Address = Address::repeat_byte(0xc0);

mod functions {
    session_key_devnet::client::alloy::sol! {
        function depositTo(address account) payable;
    }
}

/// A network whose bundler enforces all rules, and nothing else for public mempools either.
fn strict() -> Devnet {
    let devnet = Devnet::new(DevnetOptions::default()).unwrap();
    let options = devnet.bundler().options();
    assert!(options.rules.is_some() && options.reputation.is_some());
    devnet
}

fn pay(value: u64) -> Call {
    Call::new(SHOP, []).with_value(U256::from(value))
}

fn transfer(token: Address) -> Call {
    let to = SHOP;
    let amount = U256::from(5);
    Call::new(token, TestToken::transferCall { to, amount }.abi_encode())
}

/// Every kind of permission alone, beside what its call needs, and all of them together.
fn kinds(devnet: &Devnet, paymaster: Address) -> Vec<(&'static str, Permissions, Vec<Call>)> {
    let now = devnet.testkit().chain().timestamp();
    let token = devnet.stack().token;
    let new = Permissions::new;
    let native = SpendLimit::per(U256::from(100), DAY);
    let tokens = SpendLimit::per(U256::from(100), DAY);
    let gas = SpendLimit::per(ETHER, DAY);
    let times = TimeRange {
        valid_after: now.saturating_sub(10),
        valid_until: now + DAY,
    };
    let listed = AddressEntry {
        contract: CONTRACT,
        is_on_list: true,
        check_selectors: false,
    };
    let functions = || new().contract_functions(token, [ERC20_TRANSFER]);
    vec![
        ("contract", new().contract(SHOP), vec![pay(0)]),
        (
            "contracts that are not denied",
            new()
                .access_control_type(AccessControlType::Denylist)
                .address_entry(listed),
            vec![pay(0)],
        ),
        (
            "all contracts",
            new().access_control_type(AccessControlType::AllowAllAccess),
            vec![pay(0)],
        ),
        (
            "function",
            functions().erc20_spend_limit(token, SpendLimit::UNLIMITED),
            vec![transfer(token)],
        ),
        ("time range", new().contract(SHOP).time_range(times), vec![pay(0)]),
        (
            "native token limit",
            new().contract(SHOP).native_token_spend_limit(native),
            vec![pay(5)],
        ),
        (
            "token limit",
            new().contract(token).erc20_spend_limit(token, tokens),
            vec![transfer(token)],
        ),
        (
            "gas limit",
            new().contract(SHOP).gas_spend_limit(gas),
            vec![pay(0)],
        ),
        (
            "gas limit in total",
            new().contract(SHOP).gas_spend_limit(SpendLimit::total(ETHER)),
            vec![pay(0)],
        ),
        (
            "required paymaster",
            new().contract(SHOP).required_paymaster(paymaster),
            vec![pay(0)],
        ),
        (
            "everything",
            functions()
                .contract(SHOP)
                .time_range(times)
                .native_token_spend_limit(native)
                .erc20_spend_limit(token, tokens)
                .gas_spend_limit(gas)
                .required_paymaster(paymaster),
            vec![pay(5), transfer(token)],
        ),
    ]
}

fn deposit(devnet: &Devnet, entry_point: Address, account: Address) {
    let deposit = functions::depositToCall { account };
    let request = TransactionRequest::default()
        .from(dev_accounts()[5].address)
        .to(entry_point)
        .value(ETHER)
        .input(Bytes::from(deposit.abi_encode()).into());
    devnet.testkit().chain().send(request).unwrap().ok().unwrap();
}

#[tokio::test]
async fn our_contracts_are_clean_with_every_permission_kind_and_owner_kind() {
    let base = strict().testkit().chain().clone();
    let strict = || {
        let bundler = DevnetOptions::default().bundler;
        Devnet::on(base.clone(), bundler).unwrap()
    };
    for kind in [Kind::V07, Kind::V08] {
        let paymaster_of = |devnet: &Devnet| match kind {
            Kind::V07 => (devnet.stack().entry_point, devnet.stack().paymaster),
            Kind::V08 => (devnet.stack_v08().entry_point, devnet.stack_v08().paymaster),
        };
        let devnet = strict();
        let (_, paymaster) = paymaster_of(&devnet);
        let count = kinds(&devnet, paymaster).len();
        for index in 0..count {
            let devnet = strict();
            let (entry_point, paymaster) = paymaster_of(&devnet);
            deposit(&devnet, entry_point, paymaster);
            let (name, permissions, calls) = kinds(&devnet, paymaster).swap_remove(index);
            // The operations that create the account and grant the key are the owner's, of ECDSA.
            let WithKey { agent, .. } = devnet
                .key(kind, &permissions)
                .await
                .unwrap_or_else(|error| panic!("{kind:?}, {name}: {error}"));
            let agent = if permissions.required_paymaster.is_some() {
                agent.with_paymaster(FixedPaymaster::new(paymaster))
            } else {
                agent
            };
            // The second use finds what the first one booked.
            for _ in 0..2 {
                agent
                    .execute(calls.clone())
                    .await
                    .unwrap_or_else(|error| panic!("{kind:?}, {name}: {error}"));
            }
        }
    }
    contract_owner().await;
}

/// The code of a contract whose `isValidSignature` accepts the ECDSA signature of one key, and which has no
/// storage: `ecrecover` of the hash, and of v, r and s in the signature.
fn owner_code(key: Address) -> Vec<u8> {
    [
        &hex!("6004355f5260a4355f1a602052606435604052608435606052")[..],
        &hex!("60205f60805f60015afa505f5173"),
        key.as_slice(),
        &hex!("14631626ba7e60e01b025f5260205ff3"),
    ]
    .concat()
}

/// A contract as an owner: of a v0.7 account, beside the ECDSA owner, and as the fallback signer of
/// a v0.8 account.
async fn contract_owner() {
    let devnet = strict();
    let key = dev_accounts()[6];
    devnet
        .testkit()
        .chain()
        .set_code(CONTRACT, owner_code(key.address))
        .unwrap();
    let of_v07 = devnet
        .key(Kind::V07, &Permissions::new().contract(SHOP))
        .await
        .unwrap();
    of_v07.owner.update_owners([CONTRACT], []).await.unwrap();

    let stack = devnet.stack_v08();
    let deployment = Deployment {
        entry_point: stack.entry_point,
        session_key_plugin: stack.session_key_module,
        multi_owner_plugin: stack.single_signer_module,
        factory: stack.account_factory,
        account_init_code_hash: None,
    };
    let factory = AccountFactory {
        address: stack.account_factory,
        modular_account: stack.account_implementation,
        semi_modular_account: stack.semi_modular_implementation,
        owner_module: stack.single_signer_module,
    };
    let made = FactoryAccount::semi_modular(CONTRACT, U256::ZERO);
    let provider = devnet.testkit().provider();
    let of_v08 = SmartAccount::from_v08_factory(provider, deployment, &factory, made)
        .await
        .unwrap();
    devnet.testkit().chain().set_balance(of_v08.address(), ETHER);

    for (paid, account) in [(1, of_v07.account), (2, of_v08)] {
        let entry_point = account.deployment().entry_point;
        let owner = OwnerClient::for_contract(
            account,
            EcdsaContractOwner::new(CONTRACT, key.signer()),
            BundlerSubmitter::new(devnet.bundler().provider(), entry_point),
        );
        owner.execute(pay(1)).await.unwrap();
        assert_eq!(devnet.testkit().chain().balance(SHOP), U256::from(paid));
    }
}
