//! Bundles, from the request to what became of them.

use super::{Client, LONGEST_QUESTION, Service, clean, failed, lock, name_of, no_log};
use crate::{
    bundles::{Bundle, Standing},
    metrics::{Ended, OfClient},
    rpc::{RpcError, code},
    wallet::{BundleId, SendCalls},
    words,
};
use serde_json::{Value, json};
use session_key_agent::{
    ADMITTED, Admitted, AgentError,
    client::{
        Call,
        alloy::primitives::{B256, keccak256},
        journal::Scope,
        operation::{Cause, Happened, Machine, Surroundings as _},
        request::clean_text,
    },
};
use std::{sync::atomic::Ordering, time::Instant};
use tokio::time::timeout;

impl Service {
    pub(super) async fn send_calls(&self, index: usize, asked: SendCalls) -> Result<Value, RpcError> {
        let Some(client) = self.0.clients.get(index) else {
            return Err(RpcError::new(code::UNAUTHORIZED, "there is no such client"));
        };
        let id = match asked.id.clone() {
            Some(id) => BundleId::new(id)?,
            None => {
                let mut random = B256::ZERO;
                Machine.fill_random(random.as_mut_slice());
                BundleId::new(random.to_string())?
            }
        };
        let calls = asked.calls(self.chain_id(), self.account())?;
        if self.is_stopping() {
            return Err(RpcError::new(code::STOPPING, "the service is stopping"));
        }
        let begun = client
            .pending
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |pending| {
                (pending < client.most_pending).then_some(pending + 1)
            });
        if begun.is_err() {
            return Err(RpcError::new(
                code::LIMIT,
                format!(
                    "{} bundles are on their way: ask again when one is decided",
                    client.most_pending
                ),
            ));
        }
        // Counts until it is dropped, by whichever task has it last.
        let work = Work::new(self.clone(), index);
        let calls_hash = hash_of(&calls);
        if let Err(known) = lock(&client.bundles).begin(id.hash, calls_hash) {
            return Err(duplicate(&known, calls_hash));
        }
        // Forgets the bundle, unless it is accepted: also if the asker goes away.
        let mut beginning = Beginning {
            client,
            id: id.hash,
            is_accepted: false,
        };
        let accepted = self.accept(client, &id, calls, calls_hash).await;
        let admitted = match accepted {
            Ok(admitted) => admitted,
            Err(error) => {
                if error.code == code::REJECTED {
                    let data = json!({
                        "id": shown(&id.text),
                        "idHash": id.hash,
                        "callsHash": calls_hash,
                        "error": { "message": error.message, "data": error.data },
                    });
                    self.logged(Some(&client.name), "refused", data)
                        .await
                        .map_err(|error| no_log(&error))?;
                }
                return Err(error);
            }
        };
        beginning.is_accepted = true;
        let service = self.clone();
        let accepted_id = id.clone();
        tokio::spawn(async move {
            service.carry_out(index, accepted_id, admitted).await;
            drop(work);
        });
        Ok(json!({ "id": id.text }))
    }

    /// Decides on a bundle, and writes that down.
    async fn accept(
        &self,
        client: &Client,
        id: &BundleId,
        calls: Vec<Call>,
        calls_hash: B256,
    ) -> Result<Admitted, RpcError> {
        let name = name_of(&client.name, id);
        let journal = client.agent.client().account().desk().journal();
        let scope = Scope {
            chain_id: self.chain_id(),
            account: self.account(),
            signer: self.0.client.session_key(),
        };
        let known = journal.named(&scope, &name).await;
        let known = known.map_err(|error| RpcError::new(code::INTERNAL, clean(&error.to_string())))?;
        if known.is_some() {
            return Err(
                RpcError::new(code::DUPLICATE, "the id was used before").with(json!({ "sameCalls": null }))
            );
        }
        let shown_calls: Vec<Value> = calls.iter().map(words::logged_call).collect();
        let request = client.agent.execute(calls).id(name).timeout(self.0.timeout);
        let preflight = match timeout(LONGEST_QUESTION, request.check()).await {
            Ok(checked) => checked.map_err(|error| failed(&error))?,
            Err(_) => {
                return Err(RpcError::new(
                    code::INTERNAL,
                    "the chain could not be read in time",
                ));
            }
        };
        if !words::passes(&preflight) {
            let data = words::preflight(&preflight, &self.0.names);
            return Err(RpcError::new(code::REJECTED, words::refusal(&preflight, &self.0.names)).with(data));
        }
        let admitted = request.admit().await.map_err(|error| failed(&error))?;
        let data = json!({
            "id": shown(&id.text),
            "idHash": id.hash,
            "callsHash": calls_hash,
            "calls": shown_calls,
            "intent": admitted.intent(),
        });
        if let Err(error) = self.logged(Some(&client.name), "accepted", data).await {
            let _ = admitted.withdraw().await;
            return Err(no_log(&error));
        }
        Ok(admitted)
    }

    /// Carries an accepted bundle out, and writes down what became of it.
    async fn carry_out(&self, index: usize, id: BundleId, admitted: Admitted) {
        let Some(client) = self.0.clients.get(index) else {
            return;
        };
        let begun = Instant::now();
        let mut withdraw = self.0.withdraw.subscribe();
        let turn = tokio::select! {
            biased;
            _ = withdraw.wait_for(|is_so| *is_so) => Err("the service stopped before its turn"),
            turn = timeout(ADMITTED, self.0.queue.turn(index)) => match turn {
                Ok(Some(turn)) => Ok(turn),
                Ok(None) => Err("there is no such client"),
                Err(_) => Err("its turn did not come in time: ask again"),
            },
        };
        let (standing, event, outcome) = match turn {
            Err(reason) => {
                if let Err(error) = admitted.withdraw().await {
                    tracing::warn!(%error, "a reservation stays until its time is over");
                }
                let error = RpcError::new(code::LIMIT, reason);
                (Standing::Refused(error), "withdrawn", "withdrawn")
            }
            Ok(turn) => {
                let done = admitted.await;
                drop(turn);
                match done {
                    Ok(included) => (Standing::Included(Box::new(included)), "decided", "included"),
                    Err(error) => self.ended_with(&error),
                }
            }
        };
        let mut data = json!({ "id": shown(&id.text), "idHash": id.hash, "outcome": outcome });
        match &standing {
            Standing::Included(included) => {
                data["userOpHash"] = json!(included.receipt.user_op_hash);
                data["transactionHash"] = json!(included.receipt.transaction_hash);
                data["block"] = json!(included.receipt.block_number);
            }
            Standing::Refused(error) => {
                data["error"] = json!({ "message": error.message, "data": error.data });
            }
            Standing::Pending | Standing::Open | Standing::Logged { .. } => {}
        }
        lock(&client.bundles).note(id.hash, None, standing);
        let ended = Ended {
            client: client.name.clone(),
            outcome,
        };
        self.0.metrics.bundles.get_or_create(&ended).inc();
        self.0.metrics.seconds.observe(begun.elapsed().as_secs_f64());
        if let Err(error) = self.logged(Some(&client.name), event, data).await {
            tracing::error!(%error, "what became of a bundle is not in the log");
        }
    }

    fn ended_with(&self, error: &AgentError) -> (Standing, &'static str, &'static str) {
        if let AgentError::Operation(operation) = error
            && let Cause::Reverted { included } = &*operation.cause
        {
            return (Standing::Included(included.clone()), "decided", "reverted");
        }
        match error.happened() {
            Happened::No => {
                let error = RpcError::new(code::REJECTED, clean(&error.to_string()))
                    .with(words::error(error, &self.0.names));
                (Standing::Refused(error), "decided", "refused")
            }
            _ => (Standing::Open, "open", "open"),
        }
    }
}

/// One bundle of the client, from the request until its outcome.
struct Work {
    service: Service,
    client: usize,
}

impl Work {
    fn new(service: Service, client: usize) -> Self {
        service.0.working.fetch_add(1, Ordering::SeqCst);
        let work = Self { service, client };
        work.gauge(1);
        work
    }

    fn gauge(&self, change: i64) {
        if let Some(client) = self.service.0.clients.get(self.client) {
            let of = OfClient {
                client: client.name.clone(),
            };
            self.service.0.metrics.pending.get_or_create(&of).inc_by(change);
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.gauge(-1);
        if let Some(client) = self.service.0.clients.get(self.client) {
            client.pending.fetch_sub(1, Ordering::SeqCst);
        }
        self.service.0.working.fetch_sub(1, Ordering::SeqCst);
        self.service.0.ended.notify_waiters();
    }
}

/// A bundle that is not accepted yet.
struct Beginning<'a> {
    client: &'a Client,
    id: B256,
    is_accepted: bool,
}

impl Drop for Beginning<'_> {
    fn drop(&mut self) {
        if !self.is_accepted {
            lock(&self.client.bundles).forget(self.id);
        }
    }
}

fn duplicate(known: &Bundle, calls: B256) -> RpcError {
    let same = known.calls.map(|known| known == calls);
    RpcError::new(code::DUPLICATE, "the id was used before").with(json!({ "sameCalls": same }))
}

/// The start of an id, for people.
fn shown(id: &str) -> String {
    clean_text(id, 80)
}

/// The hash of calls, in order.
pub(crate) fn hash_of(calls: &[Call]) -> B256 {
    let parts = calls.iter().flat_map(|call| {
        [
            call.target.to_vec(),
            call.value.to_be_bytes::<32>().to_vec(),
            keccak256(&call.data).to_vec(),
        ]
    });
    keccak256(parts.collect::<Vec<_>>().concat())
}
