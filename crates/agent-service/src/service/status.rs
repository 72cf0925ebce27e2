//! What is known of a bundle.

use super::{Client, Service, clean, failed, lock, name_of};
use crate::{
    bundles::{Bundles, Standing},
    rpc::{RpcError, code},
    wallet::{self, BundleId},
};
use serde_json::{Value, json};
use session_key_agent::client::{
    Node,
    alloy::primitives::B256,
    journal::BlockRef,
    operation::{Included, Outcome},
    submit::Receipt,
};

impl Service {
    /// Returns what is known of a bundle: by this process, or else by the journal, which looks at the chain.
    pub(super) async fn standing(
        &self,
        client: &Client,
        id: &BundleId,
    ) -> Result<Option<Standing>, RpcError> {
        let known = lock(&client.bundles).find(id.hash).cloned();
        match known.as_ref().map(|known| &known.standing) {
            None | Some(Standing::Open | Standing::Logged { .. }) => {}
            // A reorganization can still undo it.
            Some(Standing::Included(included)) if !included.is_final => {}
            Some(standing) => return Ok(Some(standing.clone())),
        }
        let found = match client.agent.client().named(&name_of(&client.name, id)).await {
            Ok(found) => found,
            Err(error) => {
                return match known.map(|known| known.standing) {
                    Some(included @ Standing::Included(_)) => Ok(Some(included)),
                    _ => Err(failed(&error.into())),
                };
            }
        };
        let standing = match found.map(|record| record.outcome()) {
            Some(Outcome::Included(included)) => Standing::Included(Box::new(included)),
            Some(Outcome::Open(_)) => return Ok(Some(Standing::Open)),
            // Nothing was signed for it, or what was signed can never be included.
            Some(_) => Standing::Refused(never()),
            None => match known.map(|known| known.standing) {
                Some(Standing::Logged {
                    operation,
                    transaction,
                }) => self.found_on_chain(operation, transaction).await?,
                Some(_) => Standing::Refused(never()),
                None => return Ok(None),
            },
        };
        lock(&client.bundles).note(id.hash, None, standing.clone());
        Ok(Some(standing))
    }

    /// Reads what the log says was included, and the journal does not know.
    async fn found_on_chain(&self, operation: B256, transaction: B256) -> Result<Standing, RpcError> {
        let account = self.0.client.account();
        let receipt = Node::new(account.provider().clone()).receipt(transaction).await;
        let receipt = receipt.map_err(|error| RpcError::new(code::INTERNAL, clean(&error.to_string())))?;
        let found = receipt.and_then(|receipt| {
            Receipt::find(
                &receipt,
                account.deployment().entry_point,
                operation,
                account.address(),
            )
        });
        let (receipt, success, reason) = found.ok_or_else(|| {
            RpcError::new(
                code::INTERNAL,
                format!(
                    "the log says that operation {operation} was included, and the node does not show it"
                ),
            )
        })?;
        let seen = BlockRef {
            number: receipt.block_number,
            hash: receipt.block_hash,
        };
        Ok(Standing::Included(Box::new(Included {
            receipt,
            success,
            reason,
            doubt: None,
            seen,
            is_final: false,
        })))
    }

    pub(super) async fn calls_status(&self, client: &Client, id: BundleId) -> Result<Value, RpcError> {
        let standing = self.standing(client, &id).await?;
        let standing = standing.ok_or_else(|| RpcError::new(code::UNKNOWN, "no bundle has this id"))?;
        let (status, included) = match &standing {
            Standing::Pending | Standing::Open | Standing::Logged { .. } => (100, None),
            Standing::Included(included) if included.success => (200, Some(&**included)),
            Standing::Included(included) => (500, Some(&**included)),
            Standing::Refused(_) => (400, None),
        };
        let mut answer = wallet::status(&id.text, self.chain_id(), status, included);
        if let Standing::Refused(error) = &standing {
            answer["capabilities"] = json!({ "refusal": { "message": error.message, "data": error.data } });
        }
        Ok(answer)
    }
}

/// Takes from the log what became of a bundle.
pub(super) fn remember(bundles: &mut Bundles, event: &str, data: &Value) {
    let hash = |member: &str| data.get(member)?.as_str()?.parse::<B256>().ok();
    let Some(id) = hash("idHash") else {
        return;
    };
    match event {
        // If nothing else follows, the journal knows.
        "accepted" | "open" => bundles.note(id, hash("callsHash"), Standing::Open),
        "decided" | "withdrawn" => {
            let refusal = data.get("error").filter(|error| error.is_object());
            let standing = match refusal {
                Some(refusal) => {
                    let message = refusal.get("message").and_then(Value::as_str).unwrap_or_default();
                    let error = RpcError::new(code::REJECTED, message);
                    Standing::Refused(match refusal.get("data") {
                        Some(data) if !data.is_null() => error.with(data.clone()),
                        _ => error,
                    })
                }
                None => match (hash("userOpHash"), hash("transactionHash")) {
                    (Some(operation), Some(transaction)) => Standing::Logged {
                        operation,
                        transaction,
                    },
                    _ => Standing::Open,
                },
            };
            bundles.note(id, None, standing);
        }
        _ => {}
    }
}

fn never() -> RpcError {
    RpcError::new(
        code::REJECTED,
        "nothing was signed for it, or what was signed can never be included",
    )
}
