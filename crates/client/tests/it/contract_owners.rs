//! Owners that are contracts: signatures that name them.

use crate::fixture::{ETHER, Fixture, RECIPIENT, key};
use async_trait::async_trait;
use session_key_client::{
    Call, OperationError, OwnerClient, SmartAccount,
    alloy::{
        primitives::{Address, B256, Bytes, U256, hex},
        signers::local::PrivateKeySigner,
    },
    operation::{Cause, NotTakenReason},
    permissions::AaCode,
    signer::{ContractOwner, EcdsaContractOwner, named_owner_signature},
};
use std::sync::Arc;

const CONTRACT: Address = Address::repeat_byte(0xc0);

/// A contract whose `isValidSignature` accepts the ECDSA signature of one key. It has no storage,
/// as bundlers want it:
///
/// ```text
/// mstore(0x00, calldataload(4)) mstore(0x20, byte(0, calldataload(164)))       hash, v
/// mstore(0x40, calldataload(100)) mstore(0x60, calldataload(132))              r, s
/// staticcall(gas(), 1, 0x00, 0x80, 0x00, 0x20)
/// mstore(0, mul(shl(224, 0x1626ba7e), eq(signer, mload(0)))) return(0, 0x20)
/// ```
fn contract_of(signer: Address) -> Bytes {
    [
        &hex!("6004355f5260a4355f1a602052606435604052608435606052")[..],
        &hex!("60205f60805f60015afa505f5173"),
        signer.as_slice(),
        &hex!("14631626ba7e60e01b025f5260205ff3"),
    ]
    .concat()
    .into()
}

/// The account exists; its owners are, from the newest to the oldest: a key without code, a contract that
/// obeys key 1, and the fixture's.
async fn owned_by_a_contract() -> Fixture {
    let fixture = Fixture::new().await;
    fixture
        .testkit
        .chain()
        .set_code(CONTRACT, contract_of(key(1).address()))
        .unwrap();
    let newest = key(2).address();
    fixture.owner.update_owners([CONTRACT, newest], []).await.unwrap();
    let owners = [newest, CONTRACT, fixture.owner_signer.address()];
    assert_eq!(fixture.account.owners().await.unwrap(), owners);
    fixture
}

fn client(fixture: &Fixture, owner: impl ContractOwner + 'static) -> OwnerClient {
    OwnerClient::for_contract(fixture.account.clone(), owner, fixture.bundler_submitter())
}

fn assert_refused_signature(error: OperationError) {
    match *error.cause {
        Cause::NotTaken(not_taken) => match not_taken.reason {
            NotTakenReason::Refused(refusal) => assert_eq!(refusal.code, Some(AaCode::AccountSignature)),
            reason => panic!("{reason:?}"),
        },
        cause => panic!("{cause:?}"),
    }
}

const fn payment() -> Call {
    Call::transfer(RECIPIENT, U256::ONE)
}

#[tokio::test]
async fn a_contract_owner_acts_through_a_bundler() {
    let fixture = owned_by_a_contract().await;
    let owner = client(&fixture, EcdsaContractOwner::new(CONTRACT, key(1)));
    let signed = owner.execute(payment()).sign().await.unwrap();
    let signature = &signed.operation.signature;
    assert_eq!(signature.len(), 32 + 20 + 65);
    assert_eq!(*signature, named_owner_signature(CONTRACT, &signature[52..]));

    owner.execute(payment()).await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}

#[tokio::test]
async fn a_signature_of_another_key_is_not_the_contracts() {
    let fixture = owned_by_a_contract().await;
    let owner = client(&fixture, EcdsaContractOwner::new(CONTRACT, key(3)));
    assert_refused_signature(owner.execute(payment()).await.unwrap_err());
    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
}

#[tokio::test]
async fn a_named_contract_must_be_an_owner() {
    let fixture = owned_by_a_contract().await;
    let stranger = Address::repeat_byte(0xc1);
    let code = contract_of(key(1).address());
    fixture.testkit.chain().set_code(stranger, code).unwrap();
    let owner = client(&fixture, EcdsaContractOwner::new(stranger, key(1)));
    assert_refused_signature(owner.execute(payment()).await.unwrap_err());
}

#[tokio::test]
async fn a_contract_owner_signs_messages_for_the_account() {
    let fixture = owned_by_a_contract().await;
    let owner = client(&fixture, EcdsaContractOwner::new(CONTRACT, key(1)));
    let digest = B256::repeat_byte(3);
    let signature = owner.sign_digest(digest).await.unwrap();
    let account = &fixture.account;
    assert!(
        account
            .is_valid_signature(digest, signature.clone())
            .await
            .unwrap()
    );
    assert!(!account.is_valid_signature(B256::ZERO, signature).await.unwrap());
}

/// The owner's signatures begin with a name themselves: the outer account must not take it for its own.
#[tokio::test]
async fn an_account_owned_by_a_contract_owns_another_account() {
    let fixture = owned_by_a_contract().await;
    let parent = client(&fixture, EcdsaContractOwner::new(CONTRACT, key(1)));
    let child = SmartAccount::from_factory(
        fixture.testkit.provider(),
        *fixture.account.deployment(),
        [fixture.account.address()],
        U256::ZERO,
    )
    .await
    .unwrap();
    fixture
        .testkit
        .chain()
        .set_balance(child.address(), U256::from(ETHER));
    let owner = OwnerClient::shared_for_contract(child.clone(), Arc::new(parent), fixture.submitter.clone());
    owner.execute(payment()).await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
    let digest = B256::repeat_byte(3);
    let signature = owner.sign_digest(digest).await.unwrap();
    assert!(child.is_valid_signature(digest, signature).await.unwrap());
}

/// Signs by two keys, of which the contract asks the first.
#[derive(Debug)]
struct Longer(PrivateKeySigner);

#[async_trait]
impl ContractOwner for Longer {
    fn address(&self) -> Address {
        CONTRACT
    }

    async fn sign_hash(&self, hash: &B256) -> session_key_client::alloy::signers::Result<Bytes> {
        let first = EcdsaContractOwner::new(CONTRACT, self.0.clone())
            .sign_hash(hash)
            .await?;
        Ok([&first[..], &[0xee; 200]].concat().into())
    }

    fn stub(&self) -> Bytes {
        vec![0xff; 265].into()
    }
}

#[tokio::test]
async fn gas_is_estimated_for_a_signature_of_the_stubs_length() {
    let fixture = owned_by_a_contract().await;
    let short = client(&fixture, EcdsaContractOwner::new(CONTRACT, key(1)));
    let long = client(&fixture, Longer(key(1)));
    let pre_verification_gas = async |owner: &OwnerClient| {
        let signed = owner.execute(payment()).sign().await.unwrap();
        signed.operation.pre_verification_gas
    };
    let difference = pre_verification_gas(&long).await - pre_verification_gas(&short).await;
    // 200 bytes of call data at 16 gas, and what the words cost.
    assert!(difference >= U256::from(2_000), "{difference}");
    long.execute(payment()).await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}
