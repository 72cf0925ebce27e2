//! The wallet behind the one in the page: it holds keys, asks nobody, and signs for real.

use eyre::{Result, WrapErr as _, eyre};
use serde_json::{Value, json};
use session_key_client::alloy::{
    primitives::{Address, B256, Bytes},
    providers::Provider as _,
    rpc::types::TransactionRequest,
};
use session_key_devnet::{Devnet, testkit::DevAccount};

/// The script that stands for it in every page.
pub(crate) const SCRIPT: &str = include_str!("wallet.js");

/// What its user does when asked to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// Confirms.
    Confirms,
    /// Declines.
    Declines,
    /// Confirms, and the answer does not reach the page.
    ConfirmsUnheard,
}

/// The wallet.
#[derive(Debug)]
pub(crate) struct Wallet {
    devnet: Devnet,
    pub(crate) account: DevAccount,
    pub(crate) chain_id: u64,
    pub(crate) user: User,
    pub(crate) is_connected: bool,
    /// The transactions sent.
    pub(crate) sent: Vec<B256>,
    /// The methods asked for.
    pub(crate) asked: Vec<String>,
}

/// What it answers: a result, an EIP-1193 error, or nothing.
pub(crate) enum Answer {
    Result(Value),
    Error(i64, &'static str),
    Nothing,
}

impl Wallet {
    pub(crate) fn new(devnet: &Devnet, account: DevAccount) -> Self {
        Self {
            devnet: devnet.clone(),
            account,
            chain_id: devnet.testkit().chain().chain_id(),
            user: User::Confirms,
            is_connected: false,
            sent: Vec::new(),
            asked: Vec::new(),
        }
    }

    pub(crate) async fn answer(&mut self, method: &str, params: &Value) -> Result<Answer> {
        self.asked.push(method.to_owned());
        let accounts = json!([self.account.address.to_string().to_lowercase()]);
        Ok(match method {
            "eth_requestAccounts" => {
                self.is_connected = true;
                Answer::Result(accounts)
            }
            "eth_accounts" if self.is_connected => Answer::Result(accounts),
            "eth_accounts" => Answer::Result(json!([])),
            "eth_chainId" => Answer::Result(json!(format!("{:#x}", self.chain_id))),
            "wallet_switchEthereumChain" => {
                let wanted = params[0]["chainId"].as_str().unwrap_or_default();
                self.chain_id = u64::from_str_radix(wanted.trim_start_matches("0x"), 16)?;
                Answer::Result(Value::Null)
            }
            "eth_sendTransaction" => match self.user {
                User::Declines => Answer::Error(4001, "User rejected the request."),
                User::Confirms | User::ConfirmsUnheard => {
                    let hash = self.send(&params[0]).await?;
                    if self.user == User::Confirms {
                        Answer::Result(json!(hash))
                    } else {
                        Answer::Nothing
                    }
                }
            },
            _ => Answer::Error(4200, "Unsupported method."),
        })
    }

    async fn send(&mut self, transaction: &Value) -> Result<B256> {
        let text = |name: &str| {
            transaction[name]
                .as_str()
                .ok_or_else(|| eyre!("the page gives no {name}: {transaction}"))
        };
        let from: Address = text("from")?.parse()?;
        eyre::ensure!(from == self.account.address, "the wallet does not hold {from}");
        let provider = self.devnet.testkit().provider_with_signer(self.account.signer());
        let request = TransactionRequest::default()
            .from(from)
            .to(text("to")?.parse()?)
            .input(text("data")?.parse::<Bytes>()?.into());
        let sent = provider.send_transaction(request).await.wrap_err("sending")?;
        self.sent.push(*sent.tx_hash());
        Ok(*sent.tx_hash())
    }
}
