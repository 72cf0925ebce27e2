//! Questions that change nothing: what is left, what happened, and the request for a grant.

use super::{Client, Service, clean, no_log, now};
use crate::{
    bundles::Standing,
    rpc::{RpcError, code},
    wallet::BundleId,
    words,
};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use session_key_agent::client::{
    alloy::{
        primitives::{Address, B256, ChainId, Signature},
        signers::{self, Signer},
    },
    explain::{ExplainOptions, explain_hash},
    inspect::{InspectOptions, inspect},
    key_request::KeyRequest,
    permissions::{parse_address, policy::PolicyFormat},
};
use std::sync::Arc;

/// The longest policy that a grant can be requested for, in bytes.
const LONGEST_POLICY: usize = 32 << 10;

/// A parameter of `request_grant`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Grant {
    policy: String,
}

impl Service {
    pub(super) async fn budget(&self, client: &Client, params: &[Value]) -> Result<Value, RpcError> {
        let wrong = || RpcError::params("at most 32 addresses of recipients are expected");
        let recipients: Option<Vec<Address>> = params
            .iter()
            .map(|address| parse_address(address.as_str()?).ok())
            .collect();
        let recipients = recipients
            .filter(|recipients| recipients.len() <= 32)
            .ok_or_else(wrong)?;
        let key = self.0.client.session_key();
        let options = InspectOptions::new().keys([key]).from_block(self.0.from_block);
        let inspection = inspect(self.0.client.account(), &options).await;
        let inspection =
            inspection.map_err(|error| RpcError::new(code::INTERNAL, clean(&error.to_string())))?;
        let time = inspection.block.timestamp;
        let found = inspection.key(key);
        let windows = client.agent.windows(&recipients).await;
        let windows = windows.map_err(|error| RpcError::new(code::INTERNAL, clean(&error.to_string())))?;
        let rules = client.agent.rules();
        Ok(json!({
            "account": self.account().to_string(),
            "sessionKey": key.to_string(),
            "block": inspection.block.number,
            "time": time,
            "status": found.map(|found| found.state.status(time)),
            "complete": found.is_some_and(session_key_agent::client::inspect::InspectedKey::is_complete),
            "budgets": found.map(|found| found.state.budget_figures(time)).unwrap_or_default(),
            "windows": windows.iter().map(words::window).collect::<Vec<_>>(),
            "recipients": rules.recipients.as_ref().map(|recipients| {
                recipients.iter().map(ToString::to_string).collect::<Vec<_>>()
            }),
            "perCall": rules.per_call.iter().map(|(asset, most)| json!({
                "asset": words::asset(*asset), "most": most.to_string(),
            })).collect::<Vec<_>>(),
        }))
    }

    pub(super) async fn explain(&self, client: &Client, what: String) -> Result<Value, RpcError> {
        let id = BundleId::new(what)?;
        let standing = self.standing(client, &id).await?;
        let own = match &standing {
            Some(Standing::Included(included)) => Some(included.receipt.user_op_hash),
            _ => None,
        };
        let refusal = match &standing {
            Some(Standing::Refused(error)) => json!({ "message": error.message, "data": error.data }),
            _ => Value::Null,
        };
        let hash = own.or_else(|| {
            let digits = id.text.strip_prefix("0x").filter(|digits| digits.len() == 64)?;
            digits.parse::<B256>().ok()
        });
        let bundle = standing.as_ref().map(|standing| match standing {
            Standing::Pending | Standing::Open | Standing::Logged { .. } => "pending",
            Standing::Included(included) if included.success => "included",
            Standing::Included(_) => "reverted",
            Standing::Refused(_) => "refused",
        });
        let mut operations = Vec::new();
        // An id that is a bundle's is not looked for as a hash.
        if let Some(hash) = hash.filter(|_| own.is_some() || standing.is_none()) {
            let options = ExplainOptions::new().from_block(self.0.from_block);
            let found = explain_hash(self.0.client.account(), hash, &options).await;
            let found = found.map_err(|error| RpcError::new(code::INTERNAL, clean(&error.to_string())))?;
            if let Ok(found) = found {
                operations.extend(found.iter().map(|found| words::explanation(found, &self.0.names)));
            }
        }
        if bundle.is_none() && operations.is_empty() {
            let message = "no bundle, operation or transaction has this id or hash";
            return Err(RpcError::new(code::UNKNOWN, message));
        }
        Ok(json!({ "bundle": bundle, "refusal": refusal, "operations": operations }))
    }

    pub(super) async fn request_grant(&self, client: &Client, grant: Grant) -> Result<Value, RpcError> {
        if grant.policy.len() > LONGEST_POLICY {
            return Err(RpcError::params(format!(
                "a policy has at most {LONGEST_POLICY} bytes"
            )));
        }
        let format = if grant.policy.trim_start().starts_with('{') {
            PolicyFormat::Json
        } else {
            PolicyFormat::Toml
        };
        let expires_at = KeyRequest::expiry(now() / 1_000);
        let signer = Shared(self.0.signer.clone());
        let request = KeyRequest::new(
            &signer,
            self.chain_id(),
            self.account(),
            grant.policy,
            format,
            expires_at,
        );
        let request = request
            .await
            .map_err(|error| RpcError::params(clean(&error.to_string())))?;
        let data = json!({ "signingHash": request.signing_hash(), "expiresAt": expires_at });
        self.logged(Some(&client.name), "grant_requested", data)
            .await
            .map_err(|error| no_log(&error))?;
        Ok(json!({
            "request": request,
            "next": "Nothing is granted. The account's owner reads the request with `session-key request show FILE`, and decides. \
                     For a key that the account does not have yet: `session-key request approve FILE`. For one that it has: \
                     `session-key apply KEY POLICY`.",
        }))
    }
}

/// A signer behind a pointer.
struct Shared(Arc<dyn Signer + Send + Sync>);

#[async_trait]
impl Signer for Shared {
    async fn sign_hash(&self, hash: &B256) -> signers::Result<Signature> {
        self.0.sign_hash(hash).await
    }

    fn address(&self) -> Address {
        self.0.address()
    }

    fn chain_id(&self) -> Option<ChainId> {
        self.0.chain_id()
    }

    // A request for a grant names its chain itself.
    fn set_chain_id(&mut self, _: Option<ChainId>) {}
}
