//! The setup of the examples: an in-process simulated chain, an account address with some funds, its owner,
//! and a submitter that sends operations to the EntryPoint. On a live chain, use an HTTP provider and
//! `Deployment::on_chain`.

// Each example uses only part of it.
#![allow(dead_code)]

use session_key_client::{
    Deployment, OwnerClient, SmartAccount,
    alloy::{
        primitives::{Address, Bytes, U256},
        signers::local::PrivateKeySigner,
        sol_types::SolCall,
    },
    deployment::account_init_code_hash,
    submit::{EntryPointSubmitter, Submitter},
};
use session_key_testkit::{Stack, TestToken, Testkit, dev_accounts};
use std::{error::Error, sync::Arc};

pub(crate) struct Start {
    pub(crate) testkit: Testkit,
    pub(crate) stack: Stack,
    pub(crate) account: SmartAccount,
    pub(crate) owner: OwnerClient,
    pub(crate) owner_signer: PrivateKeySigner,
    pub(crate) submitter: Arc<dyn Submitter>,
}

pub(crate) const RECIPIENT: Address = Address::repeat_byte(0x77);

pub(crate) async fn start() -> Result<Start, Box<dyn Error>> {
    let testkit = Testkit::default();
    let stack = Stack::deploy(&mut testkit.chain())?;
    let deployment = Deployment {
        entry_point: stack.entry_point,
        session_key_plugin: stack.session_key_plugin,
        multi_owner_plugin: stack.multi_owner_plugin,
        factory: stack.account_factory,
        account_init_code_hash: Some(account_init_code_hash(stack.account_implementation)),
    };
    let [sender, owner, ..] = dev_accounts();
    let owner_signer = owner.signer();
    let account =
        SmartAccount::from_factory(testkit.provider(), deployment, [owner.address], U256::ZERO).await?;
    {
        let mut chain = testkit.chain();
        chain.set_balance(account.address(), U256::from(10).pow(U256::from(19)));
        stack.mint(&mut chain, account.address(), U256::from(1_000_000_000))?;
    }
    let provider = testkit.provider_with_signer(sender.signer());
    let submitter: Arc<dyn Submitter> = Arc::new(EntryPointSubmitter::new(
        provider,
        stack.entry_point,
        sender.address,
    ));
    let owner = OwnerClient::shared(account.clone(), Arc::new(owner_signer.clone()), submitter.clone());
    Ok(Start {
        testkit,
        stack,
        account,
        owner,
        owner_signer,
        submitter,
    })
}

/// Returns the call data of an ERC-20 transfer; the amount is in base units.
pub(crate) fn transfer(to: Address, amount: u64) -> Bytes {
    TestToken::transferCall {
        to,
        amount: U256::from(amount),
    }
    .abi_encode()
    .into()
}
