//! Bundlers: the testkit's, at a pace of their own, and with transactions that can be lost.

use crate::{
    dice::Dice,
    fault::Fault,
    plan::{BundlerPlan, Plan},
    prepared::bundler_account,
    spot::{Actor, Step},
    world::{World, short},
};
use alloy::{
    eips::Encodable2718,
    primitives::{B256, Bytes},
    rpc::json_rpc::{RequestPacket, Response, ResponsePacket, SerializedRequest},
};
use session_key_client::submit::BundlerFees;
use session_key_testkit::{
    AbsentForm, Bundler as Inner, BundlerOptions, BundlerStyle, BundlerWords, Duplicates, Fate, NumberForm,
    RevertDataForm, SuccessForm, Testkit, VerificationGasName,
};
use std::sync::Arc;
use tokio::time::{Duration, sleep};
use tower::Service;

/// A bundler.
#[derive(Clone, Debug)]
pub(crate) struct Bundler {
    inner: Inner,
}

impl Bundler {
    /// The bundler of a plan with this index.
    pub(crate) fn new(testkit: &Testkit, plan: &Plan, index: u8) -> Self {
        let planned = plan.bundlers[usize::from(index)];
        let mut dice = Dice::keyed(planned.manner, &[0xb07d]);
        let words = words_of(&planned);
        let style = BundlerStyle {
            words,
            numbers: *dice.pick(&[
                NumberForm::Hex,
                NumberForm::Hex,
                NumberForm::PaddedHex,
                NumberForm::DecimalText,
                NumberForm::Number,
            ]),
            success: *dice.pick(&[SuccessForm::Bool, SuccessForm::Text, SuccessForm::Hex]),
            no_paymaster: *dice.pick(&[AbsentForm::Null, AbsentForm::Empty, AbsentForm::Absent]),
            verification_gas: *dice.pick(&[
                VerificationGasName::VerificationGasLimit,
                VerificationGasName::VerificationGas,
                VerificationGasName::Both,
            ]),
            revert_data: *dice.pick(&[
                RevertDataForm::Data,
                RevertDataForm::Object,
                RevertDataForm::Absent,
            ]),
            sparse_receipts: dice.chance(300),
            hides_pending: dice.chance(300),
            ..BundlerStyle::default()
        };
        let options = BundlerOptions {
            executor: bundler_account(index),
            style,
            // The testkit's tests show that these contracts keep to them. Here, tracing would only cost time;
            // and this world loses so many operations that every paymaster would be banned.
            rules: None,
            reputation: None,
            duplicates: *dice.pick(&[
                Duplicates::AlreadyKnown,
                Duplicates::Accepted,
                Duplicates::Underpriced,
            ]),
            after_reorganization: *dice.pick(&[Fate::Pooled, Fate::Pooled, Fate::Dropped]),
            lag: planned.lag,
            nonces_ahead: *dice.pick(&[0, 0, 1, 10]),
            replaces_bundled: dice.chance(500),
            // Whoever wants more than the node suggests says how much.
            min_priority_fee: if fees_of(&planned).is_some() {
                100_000_000
            } else {
                0
            },
            estimates_with_fees: dice.chance(500),
            max_bundle: planned.most as usize,
            ..BundlerOptions::default()
        };
        Self {
            inner: testkit.bundler(options),
        }
    }

    /// Forgets what waits.
    pub(crate) fn forget(&self) {
        for pooled in self.inner.pool() {
            self.inner.drop_operation(pooled.hash);
        }
    }

    /// Forgets one operation.
    pub(crate) fn forget_one(&self, hash: B256) {
        self.inner.drop_operation(hash);
    }

    /// Answers a request, as it should.
    pub(crate) async fn answer(&self, packet: &RequestPacket) -> Option<ResponsePacket> {
        self.inner.transport().call(packet.clone()).await.ok()
    }

    /// Answers one request, as it should.
    pub(crate) async fn answer_one(&self, request: &SerializedRequest) -> Option<Response> {
        match self.answer(&RequestPacket::Single(request.clone())).await? {
            ResponsePacket::Single(response) => Some(response),
            ResponsePacket::Batch(responses) => responses.into_iter().next(),
        }
    }

    /// Puts operations into transactions until the history is over.
    pub(crate) async fn work(world: Arc<World>, index: u8) {
        let Some(plan) = world.plan.bundlers.get(usize::from(index)).copied() else {
            return;
        };
        loop {
            sleep(Duration::from_millis(plan.interval)).await;
            if world.is_over() {
                return;
            }
            if world.now() >= world.state().away_until[usize::from(index)] {
                world.bundlers[usize::from(index)].bundle(&world, index);
            }
        }
    }

    fn bundle(&self, world: &Arc<World>, index: u8) {
        let Ok(Some(bundle)) = self.inner.bundle_now() else {
            return;
        };
        let hash = bundle.transaction;
        let Some(encoded) = pooled(world, hash) else {
            return;
        };
        let names: Vec<String> = bundle.operations.into_iter().map(short).collect();
        world.say(format!(
            "bundler {index} sends {} with {}",
            short(hash),
            names.join(" ")
        ));
        world.state().transactions.insert(hash, encoded.clone());
        let (_, fault) = world.fate(Actor::Bundler(index), Actor::Node(0), Step::Bundle);
        match fault {
            Some(Fault::Lost { .. }) => {
                let _ = world.main.chain().drop_pooled(hash);
            }
            Some(Fault::Late { millis }) => {
                let _ = world.main.chain().hold_pooled(hash);
                let world = world.clone();
                tokio::spawn(async move {
                    sleep(Duration::from_millis(millis.into())).await;
                    let _ = world.main.chain().release_pooled(hash);
                });
            }
            Some(Fault::Twice { millis }) => {
                let world = world.clone();
                tokio::spawn(async move {
                    sleep(Duration::from_millis(millis.into())).await;
                    let _ = world.main.chain().submit_raw(&encoded);
                });
            }
            _ => {}
        }
    }
}

/// Whose words a bundler uses.
fn words_of(plan: &BundlerPlan) -> BundlerWords {
    *Dice::keyed(plan.manner, &[0x30d5]).pick(&[
        BundlerWords::Plain,
        BundlerWords::Alto,
        BundlerWords::Rundler,
        BundlerWords::Reference,
    ])
}

/// How a bundler says which fees it wants, if it wants others than nodes suggest.
pub(crate) fn fees_of(plan: &BundlerPlan) -> Option<BundlerFees> {
    let wants_more = Dice::keyed(plan.manner, &[0xfee5]).chance(500);
    match words_of(plan) {
        BundlerWords::Alto if wants_more => Some(BundlerFees::Pimlico),
        BundlerWords::Rundler if wants_more => Some(BundlerFees::Rundler),
        _ => None,
    }
}

/// A transaction of the pool, as it is sent.
fn pooled(world: &World, hash: B256) -> Option<Bytes> {
    let pool = world.main.chain().pool();
    let found = pool
        .into_iter()
        .find(|pooled| *pooled.transaction.inner.tx_hash() == hash)?;
    Some(found.transaction.inner.inner().encoded_2718().into())
}
