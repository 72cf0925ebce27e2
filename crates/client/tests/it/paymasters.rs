//! Operations that somebody else pays for.

use crate::fixture::{ETHER, Fixture, RECIPIENT, ample_gas, assert_permissions_refused, key, send};
use async_trait::async_trait;
use session_key_client::{
    Call, UserOperation,
    alloy::{
        network::TransactionBuilder as _,
        primitives::{Bytes, U256},
        rpc::types::TransactionRequest,
        sol_types::SolCall as _,
    },
    operation::{FixedPaymaster, OperationError, Paymaster, PaymasterError},
    permissions::{Permissions, SpendLimit},
    user_operation::DUMMY_SIGNATURE,
};
use std::sync::{Arc, Mutex};

/// Deposits 1 ether for the paymaster.
async fn fund_paymaster(fixture: &Fixture) {
    let provider = fixture.testkit.provider_with_signer(fixture.owner_signer.clone());
    let deposit = session_key_bindings::IEntryPoint::depositToCall {
        account: fixture.stack.paymaster,
    };
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
    assert_permissions_refused(client.execute(one()).execute().await.unwrap_err());
    let before = fixture.balance(fixture.account.address());
    let sponsored = client.clone().with_paymaster(FixedPaymaster::new(paymaster));
    let receipt = sponsored.execute(one()).execute().await.unwrap();
    assert_eq!(receipt.paymaster, Some(paymaster));
    assert_eq!(fixture.balance(fixture.account.address()), before);
    // Without the client's paymaster for once.
    assert_permissions_refused(
        sponsored
            .execute(one())
            .paymaster_and_data(Bytes::new())
            .execute()
            .await
            .unwrap_err(),
    );
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
        answer.map_err(|reason| PaymasterError(reason.into()))
    }
}

#[tokio::test]
async fn a_paymaster_sees_the_final_gas_and_its_answer_is_signed() {
    let (fixture, client) = Fixture::with_key(Permissions::new().contract(RECIPIENT)).await;
    fund_paymaster(&fixture).await;
    let data = |byte: u8| -> Bytes { [fixture.stack.paymaster.as_slice(), &[byte; 40]].concat().into() };
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
            assert_eq!(first.signature, DUMMY_SIGNATURE);
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
    fixture.submitter.send(&signed).await.unwrap();
    let receipt = fixture.submitter.outcome(signed.hash).await.unwrap().unwrap();
    assert_eq!(
        receipt.receipt().unwrap().paymaster,
        Some(fixture.stack.paymaster)
    );

    // It declines.
    let declining = client
        .clone()
        .with_paymaster(Noting::new(data(0), Err("no more this month".to_owned())));
    let error = declining.execute(call()).execute().await.unwrap_err();
    assert!(matches!(error, OperationError::Paymaster(_)), "{error:?}");
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "no more this month");
}

// With a paymaster, the key's gas limit counts validation three times.
#[tokio::test]
async fn a_paymaster_that_the_stub_did_not_announce_counts_against_the_gas_limit() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .gas_spend_limit(SpendLimit::total(U256::from(ETHER)));
    let (fixture, client) = Fixture::with_key(permissions).await;
    let call = || [Call::transfer(RECIPIENT, U256::ZERO)];
    let fee = U256::from(ETHER) / U256::from(1_200_000);
    let operation = |client: &session_key_client::SessionKeyClient| {
        let client = client.clone();
        async move {
            client
                .execute(call())
                .gas_limits(ample_gas())
                .fees(fee, U256::ONE)
                .build()
                .await
        }
    };
    operation(&client).await.unwrap();
    let paymaster = Bytes::copy_from_slice(fixture.stack.paymaster.as_slice());
    let late = client
        .clone()
        .with_paymaster(Noting::new(Bytes::new(), Ok(paymaster)));
    assert!(matches!(
        operation(&late).await.unwrap_err(),
        OperationError::GasBudget(_)
    ));
}
