//! What owners do besides granting keys: plain transactions, signatures, owners, plugins, upgrades.

use crate::fixture::{Fixture, RECIPIENT, assert_would_revert, key, send};
use session_key_client::{
    Call, OwnerAction, Revert, SmartAccount,
    alloy::{
        primitives::{Address, B256, Bytes, U256, eip191_hash_message},
        providers::Provider as _,
        rpc::types::TransactionRequest,
        sol,
        sol_types::{Eip712Domain, SolStruct as _, SolValue as _, eip712_domain},
    },
    calldata::{UninstallConfig, initialize, multi_owner_plugin_install_data},
    operation::{Cause, Happened, NotTakenReason},
    permissions::{AaCode, Permissions},
    revert::{AccountError, PluginBaseError},
};

/// The slot of ERC-1967: keccak256("eip1967.proxy.implementation") - 1.
const IMPLEMENTATION: &str = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc";

#[tokio::test]
async fn an_owner_revokes_without_a_bundler() {
    let (fixture, client) = Fixture::with_key(Permissions::new()).await;
    let owner = fixture.owner_signer.address();
    let transaction = fixture
        .account
        .owner_transaction(owner, [OwnerAction::RemoveSessionKey(client.session_key())])
        .await
        .unwrap();
    let provider = fixture.testkit.provider_with_signer(fixture.owner_signer.clone());
    send(&provider, transaction).await;
    assert!(
        !fixture
            .account
            .is_session_key(client.session_key())
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn owners_sign_for_the_account_and_change() {
    let (fixture, client) = Fixture::with_key(Permissions::new()).await;
    let (account, owner) = (&fixture.account, &fixture.owner);
    let digest = B256::repeat_byte(3);
    let signature = owner.sign_digest(digest).await.unwrap();
    assert!(
        account
            .is_valid_signature(digest, signature.clone())
            .await
            .unwrap()
    );
    assert!(
        !account
            .is_valid_signature(B256::repeat_byte(4), signature.clone())
            .await
            .unwrap()
    );
    let domain = account.eip712_domain().await.unwrap();
    assert_eq!(domain.name.as_deref(), Some("Multi Owner Plugin"));
    assert_eq!(domain.verifying_contract, Some(account.address()));

    let second = key(8).address();
    owner
        .update_owners([second], [fixture.owner_signer.address()])
        .await
        .unwrap();
    assert_eq!(account.owners().await.unwrap(), [second]);
    assert!(account.is_owner(second).await.unwrap());
    assert!(!account.is_valid_signature(digest, signature).await.unwrap());
    // The former owner cannot do anything any more.
    let error = owner.remove_session_key(client.session_key()).await.unwrap_err();
    assert_eq!((error.code(), error.happened()), ("not_taken", Happened::NotYet));
    match *error.cause {
        Cause::NotTaken(not_taken) => match not_taken.reason {
            NotTakenReason::Refused(refusal) => assert_eq!(refusal.code, Some(AaCode::AccountSignature)),
            reason => panic!("{reason:?}"),
        },
        cause => panic!("{cause:?}"),
    }
}

#[tokio::test]
async fn an_owner_plugin_can_be_exchanged_in_one_operation() {
    let fixture = Fixture::new().await;
    let (account, owner) = (&fixture.account, &fixture.owner);
    owner
        .execute(Call::transfer(RECIPIENT, U256::from(1)))
        .await
        .unwrap();
    let plugin = fixture.stack.multi_owner_plugin;
    // While it is installed, it cannot be installed again.
    let again = owner
        .install_multi_owner_plugin([key(8).address()])
        .await
        .unwrap_err();
    assert_would_revert(
        again,
        &Revert::Account(AccountError::PluginAlreadyInstalled { plugin }),
    );
    let install_data = multi_owner_plugin_install_data(&[key(8).address()]);
    owner
        .batch([
            OwnerAction::UninstallPlugin {
                plugin,
                config: UninstallConfig::default(),
                uninstall_data: Bytes::new(),
            },
            OwnerAction::InstallPlugin {
                plugin,
                manifest_hash: None,
                install_data,
                dependencies: Vec::new(),
            },
        ])
        .await
        .unwrap();
    assert_eq!(account.owners().await.unwrap(), [key(8).address()]);
}

sol! {
    struct Mail {
        address to;
        string contents;
    }
}

#[tokio::test]
async fn owners_sign_texts_and_typed_data() {
    let (fixture, _) = Fixture::with_key(Permissions::new()).await;
    let (account, owner) = (&fixture.account, &fixture.owner);
    let signature = owner.sign_message("hello").await.unwrap();
    let accepted = async |digest, signature: &Bytes| {
        account
            .is_valid_signature(digest, signature.clone())
            .await
            .unwrap()
    };
    assert!(accepted(eip191_hash_message("hello"), &signature).await);
    assert!(!accepted(eip191_hash_message("hell0"), &signature).await);

    let domain: Eip712Domain = eip712_domain! { name: "Post", chain_id: 31337, };
    let mail = Mail {
        to: RECIPIENT,
        contents: "hello".to_owned(),
    };
    let signature = owner.sign_typed_data(&mail, &domain).await.unwrap();
    assert!(accepted(mail.eip712_signing_hash(&domain), &signature).await);
    let other: Eip712Domain = eip712_domain! { name: "Post", chain_id: 1, };
    assert!(!accepted(mail.eip712_signing_hash(&other), &signature).await);
}

// As ERC-6492 has verifiers do it: take the signature apart, create the account with what is in it, and ask
// the account.
#[tokio::test]
async fn owners_sign_for_an_account_that_does_not_exist_yet() {
    let fixture = Fixture::new().await;
    let (account, owner) = (&fixture.account, &fixture.owner);
    let digest = B256::repeat_byte(3);
    let inner = owner.sign_digest(digest).await.unwrap();
    let signature = account.erc6492_signature(inner.clone()).await.unwrap();

    let (wrapped, suffix) = signature.split_at(signature.len() - 32);
    assert_eq!(suffix, [0x64, 0x92].repeat(16));
    let (factory, call_data, found) = <(Address, Bytes, Bytes)>::abi_decode_params(wrapped).unwrap();
    assert_eq!((factory, &found), (fixture.stack.account_factory, &inner));
    assert!(!account.is_deployed().await.unwrap());
    let provider = fixture.testkit.provider_with_signer(fixture.owner_signer.clone());
    let create = TransactionRequest {
        to: Some(factory.into()),
        input: call_data.into(),
        ..Default::default()
    };
    send(&provider, create).await;
    assert!(account.is_deployed().await.unwrap());
    assert!(account.is_valid_signature(digest, found).await.unwrap());

    // The wrapped one stays good, and nothing is wrapped any more.
    assert!(
        account
            .is_valid_signature(digest, signature.clone())
            .await
            .unwrap()
    );
    assert!(!account.is_valid_signature(B256::ZERO, signature).await.unwrap());
    assert_eq!(account.erc6492_signature(inner.clone()).await.unwrap(), inner);
}

#[tokio::test]
async fn an_account_changes_its_implementation() {
    let (fixture, agent) = Fixture::with_key(Permissions::new().contract(RECIPIENT)).await;
    let implementation = || {
        let slot = IMPLEMENTATION.parse().unwrap();
        let word = fixture.testkit.chain().storage(fixture.account.address(), slot);
        Address::from_word(word.into())
    };
    let old = implementation();
    assert_eq!(old, fixture.stack.account_implementation);
    let new = fixture
        .testkit
        .chain()
        .deploy(
            fixture.owner_signer.address(),
            session_key_bindings::bytecode::modular_account(fixture.stack.entry_point),
        )
        .unwrap();
    assert_ne!(old, new);
    fixture.owner.upgrade(new, []).await.unwrap();
    assert_eq!(implementation(), new);
    // Keys and their permissions are where they were.
    agent
        .execute([Call::transfer(RECIPIENT, U256::ZERO)])
        .await
        .unwrap();
    // What is no implementation is refused.
    let error = fixture.owner.upgrade(RECIPIENT, []).await.unwrap_err();
    assert_would_revert(error, &Revert::Account(AccountError::UpgradeFailed));
}

// An account's proxy at another address, which nobody has set up.
#[tokio::test]
async fn an_account_is_initialized_with_plugins() {
    let (fixture, _) = Fixture::with_key(Permissions::new()).await;
    let bare = Address::repeat_byte(0xac);
    {
        let mut chain = fixture.testkit.chain();
        let slot = IMPLEMENTATION.parse().unwrap();
        let implementation = chain.storage(fixture.account.address(), slot);
        let proxy = chain.code(fixture.account.address());
        chain.set_code(bare, proxy).unwrap();
        chain.set_storage(bare, slot, implementation);
    }
    let owners = multi_owner_plugin_install_data(&[key(8).address()]);
    let plugin = fixture.stack.multi_owner_plugin;
    let initialize = initialize(&[(
        plugin,
        session_key_bindings::manifest_hash::MULTI_OWNER_PLUGIN,
        owners,
    )]);
    let request = TransactionRequest {
        to: Some(bare.into()),
        input: initialize.into(),
        ..Default::default()
    };
    let provider = fixture.testkit.provider_with_signer(fixture.owner_signer.clone());
    send(&provider, request.clone()).await;
    let account = SmartAccount::new(
        fixture.testkit.provider(),
        31337,
        bare,
        *fixture.account.deployment(),
    );
    assert_eq!(account.owners().await.unwrap(), [key(8).address()]);
    assert_eq!(account.installed_plugins().await.unwrap(), [plugin]);
    // Once.
    let error = provider.call(request).await.unwrap_err();
    assert_eq!(
        Revert::from_rpc_error(&error).unwrap(),
        Revert::PluginBase(PluginBaseError::AlreadyInitialized)
    );
}
