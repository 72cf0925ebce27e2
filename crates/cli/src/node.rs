//! The chain that the demonstration runs on: simulated in this process, or a node behind a URL.

use std::{task, time::Duration};

use alloy::{
    eips::BlockNumberOrTag,
    network::{EthereumWallet, TransactionBuilder as _},
    primitives::{Address, Bytes, U256},
    providers::{DynProvider, Provider as _, ProviderBuilder},
    rpc::{
        client::RpcClient,
        json_rpc::{RequestPacket, ResponsePacket},
        types::{TransactionReceipt, TransactionRequest},
    },
    signers::local::PrivateKeySigner,
    transports::{
        RpcError, TransportError, TransportErrorKind, TransportFut,
        http::{
            Client, Http,
            reqwest::{self, Url},
        },
        utils::guess_local_url,
    },
};
use eyre::{Result, WrapErr as _, bail, ensure, eyre};
use session_key_client::Revert;
use session_key_testkit::{DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE, Testkit, dev_accounts};
use tower::Service;

use crate::report::show_ether;

/// What the demonstration spends at most, in wei: deposits of the account, and gas. What is left stays with the funder and
/// the account.
pub(crate) const REQUIRED_FUNDS: u128 = 200_000_000_000_000_000;

/// The option that names the node.
pub(crate) const RPC_URL: &str = "--rpc-url";

/// How long a node may take to include a transaction.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(180);

/// How time passes on the chain.
#[derive(Debug)]
enum Clock {
    /// By our own hand.
    Simulated(Testkit),
    /// By `evm_increaseTime`, on a development node.
    Development,
    /// By itself.
    Real,
}

/// A chain, and the account that pays for everything on it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) provider: DynProvider,
    /// Pays for deployments and bundles.
    pub(crate) funder: Address,
    /// What the chain is, in a few words.
    pub(crate) description: String,
    clock: Clock,
}

impl Node {
    /// A chain of its own, in this process.
    pub(crate) fn simulated() -> Result<Self> {
        let testkit = Testkit::default();
        testkit
            .chain()
            .set_code(DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE)?;
        let funder = &dev_accounts()[0];
        let chain_id = testkit.chain().chain_id();
        Ok(Self {
            provider: testkit.provider_with_signer(funder.signer()),
            funder: funder.address,
            description: format!(
                "simulated in this process (chain id {chain_id}); nothing leaves this machine"
            ),
            clock: Clock::Simulated(testkit),
        })
    }

    /// The chain of a node. Checks, before anything is sent, that it answers, that the funder has enough, and that the
    /// contracts can be deployed there.
    pub(crate) async fn connect(url: &str, funder: PrivateKeySigner) -> Result<Self> {
        let address = funder.address();
        let provider = connect(RPC_URL, url, Some(funder))?;
        let chain_id = chain_id(&provider, url).await?;
        let balance = provider
            .get_balance(address)
            .await
            .map_err(|error| eyre!(brief(&error)))?;
        ensure!(
            balance >= U256::from(REQUIRED_FUNDS),
            "{address} has {} on chain {chain_id}, and the demonstration may need {}: fund it, or name another key",
            show_ether(balance),
            show_ether(U256::from(REQUIRED_FUNDS)),
        );
        let proxy = provider
            .get_code_at(DEPLOYMENT_PROXY)
            .await
            .map_err(|error| eyre!(brief(&error)))?;
        ensure!(
            !proxy.is_empty(),
            "chain {chain_id} has no deployment proxy at {DEPLOYMENT_PROXY}: deploy it there first, or use another chain"
        );
        // A node that can move its clock says so by moving it by nothing.
        let development = provider
            .raw_request::<_, serde_json::Value>("evm_increaseTime".into(), (0,))
            .await
            .is_ok();
        let clock = if development {
            Clock::Development
        } else {
            Clock::Real
        };
        Ok(Self {
            provider,
            funder: address,
            description: format!("{} (chain id {chain_id})", origin(url)),
            clock,
        })
    }

    /// How long the limit that the demonstration refreshes takes to do so, in seconds: a day where time can be moved, else
    /// as short as can be waited for.
    pub(crate) fn refresh_interval(&self) -> u64 {
        match self.clock {
            Clock::Simulated(_) | Clock::Development => 86_400,
            Clock::Real => 60,
        }
    }

    /// Time of the latest block, in unix seconds.
    pub(crate) async fn time(&self) -> Result<u64> {
        let block = self
            .provider
            .get_block_by_number(BlockNumberOrTag::Latest)
            .await
            .map_err(|error| eyre!(brief(&error)))?
            .ok_or_else(|| eyre!("the node has no latest block"))?;
        Ok(block.header.timestamp)
    }

    /// Lets time pass until the chain has come to `time`.
    pub(crate) async fn wait_until(&self, time: u64) -> Result<()> {
        let missing = time.saturating_sub(self.time().await?);
        match &self.clock {
            Clock::Simulated(testkit) => {
                let mut chain = testkit.chain();
                chain.increase_time(missing);
                chain.mine();
            }
            Clock::Development => {
                let request = |method: &'static str, seconds: Option<u64>| async move {
                    let parameters: Vec<u64> = seconds.into_iter().collect();
                    self.provider
                        .raw_request::<_, serde_json::Value>(method.into(), parameters)
                        .await
                        .map_err(|error| eyre!(brief(&error)))
                };
                request("evm_increaseTime", Some(missing)).await?;
                request("evm_mine", None).await?;
            }
            Clock::Real => {
                let arrival = async {
                    while self.time().await? < time {
                        tokio::time::sleep(Duration::from_secs(2)).await;
                    }
                    eyre::Ok(())
                };
                let patience = Duration::from_secs(missing).saturating_add(RECEIPT_TIMEOUT);
                tokio::time::timeout(patience, arrival).await.map_err(|_| {
                    eyre!(
                        "the chain's clock stands still: no block for {} s",
                        patience.as_secs()
                    )
                })??;
            }
        }
        Ok(())
    }

    /// Sends a transaction of the funder and waits for it.
    pub(crate) async fn send(
        &self,
        what: &str,
        transaction: TransactionRequest,
    ) -> Result<TransactionReceipt> {
        let pending = self
            .provider
            .send_transaction(transaction.with_from(self.funder))
            .await
            .map_err(|error| eyre!("{what}: {}", explain(&error)))?;
        let receipt = pending
            .with_timeout(Some(RECEIPT_TIMEOUT))
            .get_receipt()
            .await
            .wrap_err_with(|| format!("{what}: not included in {} s", RECEIPT_TIMEOUT.as_secs()))?;
        ensure!(
            receipt.status(),
            "{what}: transaction {} reverted",
            receipt.transaction_hash
        );
        Ok(receipt)
    }

    /// Calls a contract as the funder, with ether or without.
    pub(crate) async fn transact(
        &self,
        what: &str,
        to: Address,
        value: U256,
        data: Bytes,
    ) -> Result<TransactionReceipt> {
        let transaction = TransactionRequest::default()
            .with_to(to)
            .with_value(value)
            .with_input(data);
        self.send(what, transaction).await
    }
}

/// A provider that asks the node at a URL, which `option` gave, and signs with the key if there is one. Asks nothing yet.
pub(crate) fn connect(option: &str, url: &str, signer: Option<PrivateKeySigner>) -> Result<DynProvider> {
    let parsed: Url = url
        .parse()
        .map_err(|error| eyre!("{option} is not a URL ({error}): give one like http://127.0.0.1:8545"))?;
    match parsed.scheme() {
        "http" => {}
        "https" if cfg!(feature = "tls") => {}
        "https" => bail!("built without TLS: run with `--features tls` for an https URL"),
        scheme => bail!("{option} has the scheme {scheme:?}: only http and https are supported"),
    }
    let is_local = guess_local_url(url);
    let client = RpcClient::new(Discreet::new(parsed), is_local);
    Ok(match signer {
        Some(signer) => ProviderBuilder::new()
            .wallet(EthereumWallet::from(signer))
            .connect_client(client)
            .erased(),
        None => ProviderBuilder::new().connect_client(client).erased(),
    })
}

/// What may be printed of a URL: its scheme, host and port. What follows them may hold an API key.
pub(crate) fn origin(url: &str) -> String {
    url.parse::<Url>().map_or_else(
        |_| "what is not a URL".to_owned(),
        |url| url.origin().ascii_serialization(),
    )
}

/// HTTP whose errors do not tell the URL.
#[derive(Clone, Debug)]
struct Discreet {
    http: Http<Client>,
    /// What follows the host.
    hidden: String,
}

impl Discreet {
    fn new(url: Url) -> Self {
        Self {
            hidden: [
                url.path(),
                url.query().map_or("", |_| "?"),
                url.query().unwrap_or_default(),
            ]
            .concat(),
            http: Http::new(url),
        }
    }
}

impl Service<RequestPacket> for Discreet {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> task::Poll<Result<(), Self::Error>> {
        self.http.poll_ready(context)
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        let (answer, hidden) = (self.http.call(request), self.hidden.clone());
        Box::pin(async move { answer.await.map_err(|error| without_url(error, &hidden)) })
    }
}

fn without_url(error: TransportError, hidden: &str) -> TransportError {
    let RpcError::Transport(mut kind) = error else {
        return error;
    };
    match &mut kind {
        // Where it could not be read, the body is the error of the HTTP client.
        TransportErrorKind::HttpError(error) | TransportErrorKind::HttpErrorWithRetryAfter { error, .. }
            if hidden.len() > 1 =>
        {
            error.body = error.body.replace(hidden, "/…");
        }
        _ => {}
    }
    RpcError::Transport(match kind {
        TransportErrorKind::Custom(error) => {
            TransportErrorKind::Custom(match error.downcast::<reqwest::Error>() {
                Ok(error) => Box::new(error.without_url()),
                Err(error) => error,
            })
        }
        kind => kind,
    })
}

/// The chain of the node at a URL, if it is a node.
pub(crate) async fn chain_id(provider: &DynProvider, url: &str) -> Result<u64> {
    provider.get_chain_id().await.map_err(|error| {
        eyre!(
            "no Ethereum node answers at {} ({}): check {RPC_URL}",
            origin(url),
            brief(&error)
        )
    })
}

/// What the contract said, or else the node, in one line.
pub(crate) fn explain(error: &TransportError) -> String {
    Revert::from_rpc_error(error).map_or_else(|| brief(error), |revert| revert.to_string())
}

/// One line of an error that may go on for many.
pub(crate) fn brief(error: &TransportError) -> String {
    let text = match error {
        RpcError::ErrorResp(payload) => payload.message.to_string(),
        RpcError::DeserError { .. } => "its answer is not JSON-RPC".to_owned(),
        RpcError::Transport(error) => error.to_string(),
        other => other.to_string(),
    };
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_tell_the_url_do_not_tell_it_whole() {
        let url: Url = "http://node.example/v2/s3cr3t?key=s3cr3t".parse().unwrap();
        let body = format!("error decoding response body for url ({url})");
        let error = TransportErrorKind::http_error(502, body);
        let text = without_url(error, &Discreet::new(url).hidden).to_string();
        assert!(text.contains("(http://node.example/…)"), "{text}");
    }
}
