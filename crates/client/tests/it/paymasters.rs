//! Operations that somebody else pays for.

use crate::{
    IS_V08,
    fixture::{
        ETHER, Fixture, RECIPIENT, ample_gas, assert_not_allowed, assert_not_taken, assert_refused,
        hand_over, in_form, key, one, operations_of, paymaster_data, resigned, send, unbounded,
    },
};
use async_trait::async_trait;
use session_key_client::{
    Call, SessionKeyClient, UserOperation,
    alloy::{
        network::TransactionBuilder as _,
        primitives::{Address, B256, Bytes, U256, keccak256},
        rpc::types::TransactionRequest,
        signers::{SignerSync as _, local::PrivateKeySigner},
        sol,
        sol_types::{SolCall as _, SolValue as _},
    },
    operation::{Cause, FixedPaymaster, Happened, Paymaster, PaymasterError},
    permissions::{AaCode, DUMMY_SIGNATURE, Permissions, SpendLimit},
};
use session_key_testkit::{VERIFYING_PAYMASTER_CODE, dev_accounts};
use std::sync::{Arc, Mutex};

/// Deposits 1 ether for the stack's paymaster.
async fn fund_paymaster(fixture: &Fixture) {
    fund(fixture, fixture.stack.paymaster).await;
}

/// Deposits 1 ether for a paymaster.
async fn fund(fixture: &Fixture, account: Address) {
    let provider = fixture.testkit.provider_with_signer(fixture.owner_signer.clone());
    let deposit = session_key_bindings::IEntryPoint::depositToCall { account };
    let deposit = TransactionRequest::default()
        .with_to(fixture.stack.entry_point)
        .with_value(U256::from(ETHER))
        .with_input(deposit.abi_encode());
    send(&provider, deposit).await;
}

#[tokio::test]
async fn a_required_paymaster_pays() {
    let fixture = Fixture::new().await;
    let paymaster = fixture.stack.paymaster;
    let session_key = key(1);
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .required_paymaster(paymaster);
    fixture.grant(session_key.address(), &permissions).await;
    fund_paymaster(&fixture).await;

    let client = fixture.session_key(session_key);
    let one = || [Call::transfer(RECIPIENT, U256::ZERO)];
    assert_not_allowed(client.execute(one()).await.unwrap_err(), &["paymaster_required"]);
    let before = fixture.balance(fixture.account.address());
    let sponsored = client.clone().with_paymaster(FixedPaymaster::new(paymaster));
    let included = sponsored.execute(one()).await.unwrap();
    assert_eq!(included.receipt.paymaster, Some(paymaster));
    assert_eq!(fixture.balance(fixture.account.address()), before);
    // Without the client's paymaster for once.
    let unsponsored = sponsored.execute(one()).paymaster_and_data(Bytes::new());
    assert_not_allowed(unsponsored.await.unwrap_err(), &["paymaster_required"]);
}

/// A paymaster service that notes what it is asked.
#[derive(Clone, Debug)]
struct Noting {
    stub: Bytes,
    answer: Result<Bytes, String>,
    asked: Arc<Mutex<Vec<(&'static str, UserOperation)>>>,
}

impl Noting {
    fn new(stub: Bytes, answer: Result<Bytes, String>) -> Self {
        Self {
            stub,
            answer,
            asked: Arc::default(),
        }
    }
}

#[async_trait]
impl Paymaster for Noting {
    async fn stub(&self, operation: &UserOperation) -> Result<Bytes, PaymasterError> {
        self.asked.lock().unwrap().push(("stub", operation.clone()));
        Ok(self.stub.clone())
    }

    async fn sponsor(&self, operation: &UserOperation) -> Result<Bytes, PaymasterError> {
        self.asked.lock().unwrap().push(("sponsor", operation.clone()));
        let answer = self.answer.clone();
        answer.map_err(PaymasterError::declined)
    }
}

#[tokio::test]
async fn a_paymaster_sees_the_final_gas_and_its_answer_is_signed() {
    let (fixture, client) = Fixture::with_key(Permissions::new().contract(RECIPIENT)).await;
    fund_paymaster(&fixture).await;
    let data = |byte: u8| paymaster_data(fixture.stack.paymaster, &[byte; 40]);
    let paymaster = Noting::new(data(0xff), Ok(data(7)));
    let sponsored = client.clone().with_paymaster(paymaster.clone());
    let call = || [Call::transfer(RECIPIENT, U256::ZERO)];
    let signed = sponsored.execute(call()).sign().await.unwrap();
    let sent = &signed.operation;
    assert_eq!(sent.paymaster_and_data, data(7));
    assert_eq!(sent.hash(fixture.stack.entry_point, 31337), signed.hash);
    let asked = std::mem::take(&mut *paymaster.asked.lock().unwrap());
    match asked.as_slice() {
        [("stub", first), ("sponsor", last)] => {
            assert_eq!((first.nonce, &first.call_data), (sent.nonce, &sent.call_data));
            assert_eq!(first.signature, in_form(&DUMMY_SIGNATURE));
            // Whoever sponsors commits to these.
            let last = UserOperation {
                paymaster_and_data: sent.paymaster_and_data.clone(),
                signature: sent.signature.clone(),
                ..last.clone()
            };
            assert_eq!(&last, sent);
            assert!(last.verification_gas_limit > U256::ZERO && last.max_fee_per_gas > U256::ZERO);
        }
        other => panic!("{other:?}"),
    }
    hand_over(&*fixture.submitter, &signed).await;
    assert_eq!(operations_of(&fixture).await.last(), Some(&(signed.hash, true)));

    // It declines.
    let declining = client
        .clone()
        .with_paymaster(Noting::new(data(0), Err("no more this month".to_owned())));
    let error = declining.execute(call()).await.unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("paymaster_failed", Happened::No)
    );
    assert_eq!(
        *error.cause,
        Cause::Paymaster(PaymasterError::Declined {
            message: "no more this month".to_owned()
        })
    );
}

// With a paymaster, the key's gas limit counts validation three times.
#[tokio::test]
async fn a_paymaster_counts_against_the_gas_limit() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .gas_spend_limit(SpendLimit::total(U256::from(ETHER)));
    let (fixture, client) = Fixture::with_key(permissions).await;
    let client = client.with_bounds(unbounded());
    let call = || [Call::transfer(RECIPIENT, U256::ZERO)];
    let fee = U256::from(ETHER) / U256::from(1_200_000);
    let operation = |client: &SessionKeyClient| {
        let operation = client.execute(call());
        operation.gas_limits(ample_gas()).fees(fee, U256::ONE)
    };
    operation(&client).build().await.unwrap();
    let sponsored = client
        .clone()
        .with_paymaster(FixedPaymaster::new(fixture.stack.paymaster).with_gas_limits(200_000, 0));
    let error = operation(&sponsored).build().await.unwrap_err();
    assert_not_allowed(error, &["gas_limit_exceeded"]);
}

sol! {
    function spent(address account) returns (uint256);
}

/// The service of a paymaster that wants its signature over the operation.
#[derive(Clone, Debug)]
struct Signing {
    paymaster: Address,
    signer: PrivateKeySigner,
    stub: Bytes,
}

impl Signing {
    fn data(&self, signature: &[u8]) -> Bytes {
        paymaster_data(self.paymaster, signature)
    }

    /// What `VerifyingPaymaster.hash` says.
    fn hash(&self, operation: &UserOperation) -> B256 {
        let gas = [
            operation.call_gas_limit,
            operation.verification_gas_limit,
            operation.pre_verification_gas,
            operation.max_fee_per_gas,
            operation.max_priority_fee_per_gas,
        ];
        let words = [
            operation.sender.into_word(),
            operation.nonce.into(),
            keccak256(&operation.init_code),
            keccak256(&operation.call_data),
            keccak256(gas.abi_encode()),
            U256::from(31337).into(),
            self.paymaster.into_word(),
        ];
        keccak256(words.concat())
    }
}

#[async_trait]
impl Paymaster for Signing {
    async fn stub(&self, _: &UserOperation) -> Result<Bytes, PaymasterError> {
        Ok(self.data(&self.stub))
    }

    async fn sponsor(&self, operation: &UserOperation) -> Result<Bytes, PaymasterError> {
        let signature = self.signer.sign_hash_sync(&self.hash(operation)).unwrap();
        Ok(self.data(&signature.as_bytes()))
    }
}

#[tokio::test]
async fn a_paymaster_that_checks_and_books_takes_the_final_data() {
    if IS_V08 {
        // This paymaster's contract is written for EntryPoint v0.6.
        return;
    }
    let (fixture, client) = Fixture::with_spender().await;
    let signer = key(8);
    let arguments = (fixture.stack.entry_point, signer.address()).abi_encode();
    let paymaster = fixture
        .testkit
        .chain()
        .deploy(
            dev_accounts()[0].address,
            VERIFYING_PAYMASTER_CODE.with_constructor_arguments(&arguments),
        )
        .unwrap();
    fund(&fixture, paymaster).await;
    let service = Signing {
        paymaster,
        signer,
        stub: DUMMY_SIGNATURE,
    };
    let spent = || {
        let call = spentCall {
            account: fixture.account.address(),
        };
        fixture
            .testkit
            .chain()
            .read(Address::ZERO, paymaster, &call)
            .unwrap()
    };
    let before = fixture.balance(fixture.account.address());
    let sponsored = client.clone().with_paymaster(service.clone());
    let receipt = sponsored.execute(one()).await.unwrap().receipt;
    assert_eq!(receipt.paymaster, Some(paymaster));
    assert_eq!(before - fixture.balance(fixture.account.address()), U256::ONE);
    // Its `postOp` had gas enough to write that down.
    let booked = spent();
    assert!(
        booked > U256::ZERO && booked <= receipt.actual_gas_cost,
        "{booked}"
    );
    // An owner's operation, too.
    let owner = fixture.owner.clone().with_paymaster(service.clone());
    owner.execute(one()[0].clone()).await.unwrap();
    assert!(spent() > booked);

    // Consent to another operation is none.
    let mut signed = sponsored.execute(one()).sign().await.unwrap();
    signed.operation.call_gas_limit += U256::ONE;
    let signed = resigned(&fixture, signed).await;
    assert_not_taken(fixture.submitter.send(&signed).await, AaCode::PaymasterSignature);

    // A stub on which the paymaster reverts makes the estimation fail.
    let short = client.with_paymaster(Signing {
        stub: Bytes::new(),
        ..service
    });
    let error = short.execute(one()).build().await.unwrap_err();
    assert_refused(error, AaCode::PaymasterReverted);
}
