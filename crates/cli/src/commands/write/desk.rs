//! An owner at a chain, about to sign.

use super::{Done, INCLUSION, Writing};
use crate::{
    answer::{Answer, hashes},
    commands::{ASKING, chain::Chain, keys::Keystore, waited},
    failure::{Interrupted, WrongInput, asked_to_end},
    purse::Purse,
    transactions::{INCLUSION_TIMEOUT, Transactions},
};
use eyre::{Result, WrapErr as _, bail, ensure, eyre};
use serde_json::{Value, json};
use session_key_client::{
    OwnerAction, OwnerClient, SmartAccount,
    alloy::{
        primitives::{Address, B256, Bytes, U256},
        signers::local::PrivateKeySigner,
    },
    journal::SqliteJournal,
    operation::{Bounds, Operation, Progress},
    submit::BundlerSubmitter,
};
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// An owner at a chain, about to sign.
pub(super) struct Desk<'a> {
    pub(super) writing: &'a Writing,
    pub(super) chain: Chain,
    /// With session keys: as it was given, or as the settings file says.
    pub(super) keystore: Keystore,
    pub(super) has_signed: Arc<AtomicBool>,
    /// The operation that was signed last.
    pub(super) signed: Arc<Mutex<Option<B256>>>,
}

impl Desk<'_> {
    /// What would have to be found out later otherwise, when a key is made already: whether there is a way to send.
    pub(super) fn require_way(&self) -> Result<()> {
        ensure!(
            self.writing.dry_run || self.writing.direct || self.chain.bundler.is_some(),
            WrongInput(
                "an operation needs a bundler: give --bundler-url, or --direct for a plain transaction"
                    .to_owned()
            )
        );
        Ok(())
    }

    pub(super) async fn within<T>(&self, questions: impl Future<Output = Result<T>>) -> Result<T> {
        waited(ASKING, self.writing.sources.time_limit.all(questions)).await
    }

    pub(super) fn journal(&self) -> PathBuf {
        let beside = &self.keystore.folder;
        match (&self.writing.journal, beside) {
            (Some(path), _) => path.clone(),
            (None, Some(folder)) => folder.join("journal.sqlite"),
            (None, None) => PathBuf::from("journal.sqlite"),
        }
    }

    /// Ends when the process is asked to end.
    pub(super) async fn interrupted(&self) -> Interrupted {
        if asked_to_end().await.is_err() {
            std::future::pending::<()>().await;
        }
        Interrupted {
            has_signed: self.has_signed.load(Ordering::SeqCst),
            user_op_hash: *self.signed.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// One plain transaction, waited for; an interruption ends it.
    pub(super) async fn transaction(&self, what: &str, to: Address, call: Vec<u8>) -> Result<Done> {
        let transactions = self.transactions(self.writing.owner()?);
        let receipt = tokio::select! {
            biased;
            interrupted = self.interrupted() => return Err(interrupted.into()),
            receipt = waited(INCLUSION, async {
                self.has_signed.store(true, Ordering::SeqCst);
                transactions.call(what, to, U256::ZERO, call).await
            }) => receipt?,
        };
        Ok(Done {
            user_op_hash: None,
            transaction_hash: Some(receipt.transaction_hash),
            block: Some(receipt.block_number),
        })
    }

    /// Does these things, all or none, and waits until they are done.
    /// Under a name, what was asked for before under it is what is answered.
    pub(super) async fn carry_out(
        &self,
        account: &SmartAccount,
        actions: Vec<OwnerAction>,
        name: Option<String>,
    ) -> Result<Done> {
        let owner = self.writing.owner()?;
        tokio::select! {
            biased;
            interrupted = self.interrupted() => Err(interrupted.into()),
            done = waited(INCLUSION, async {
                if self.writing.direct {
                    self.directly(account, owner, actions).await
                } else {
                    let client = self.client(account, owner).await?;
                    self.operation(client.batch(actions), name).await
                }
            }) => done,
        }
    }

    pub(super) async fn client(
        &self,
        account: &SmartAccount,
        owner: PrivateKeySigner,
    ) -> Result<OwnerClient> {
        let bundler = self
            .chain
            .bundler
            .as_ref()
            .ok_or_else(|| WrongInput("this goes through a bundler: give --bundler-url".to_owned()))?;
        let path = self.journal();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).wrap_err_with(|| format!("{}", folder.display()))?;
        }
        let journal = SqliteJournal::open(&path)
            .await
            .wrap_err_with(|| format!("{}", path.display()))?;
        let account = account.clone().with_journal(journal);
        let entry_point = account.deployment().entry_point;
        let submitter = BundlerSubmitter::new(bundler.node.provider().clone(), entry_point)
            .with_node(self.chain.provider());
        Ok(OwnerClient::new(account, owner, submitter))
    }

    async fn operation(&self, operation: Operation, name: Option<String>) -> Result<Done> {
        let has_signed = self.has_signed.clone();
        let signed = self.signed.clone();
        let mut operation = operation.timeout(INCLUSION_TIMEOUT).on_progress(move |progress| {
            let hash = match progress {
                Progress::Signed(operation) => operation.hash,
                Progress::Sent(hash) => *hash,
                _ => return,
            };
            *signed.lock().unwrap_or_else(PoisonError::into_inner) = Some(hash);
            has_signed.store(true, Ordering::SeqCst);
        });
        if let Some(name) = name {
            operation = operation.id(name);
        } else if self.writing.again {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            operation = operation.id(format!("again {} {}", std::process::id(), now.as_nanos()));
        }
        let included = operation.await?;
        Ok(Done {
            user_op_hash: Some(included.receipt.user_op_hash),
            transaction_hash: Some(included.receipt.transaction_hash),
            block: Some(included.receipt.block_number),
        })
    }

    pub(super) fn transactions(&self, owner: PrivateKeySigner) -> Transactions {
        let from = owner.address();
        let bounds = Bounds::on_chain(self.chain.chain_id);
        let purse = Purse::new(owner, self.chain.chain_id);
        purse.allow(bounds.max_cost);
        self.has_signed.store(false, Ordering::SeqCst);
        Transactions::new(
            purse.over(self.chain.provider()),
            from,
            self.chain.chain_id,
            bounds,
        )
    }

    async fn directly(
        &self,
        account: &SmartAccount,
        owner: PrivateKeySigner,
        actions: Vec<OwnerAction>,
    ) -> Result<Done> {
        let from = owner.address();
        let transactions = self.transactions(owner);
        if !account.is_deployed().await? {
            let init_code = account.init_code().await?;
            let (factory, call) = init_code.split_at_checked(20).ok_or_else(|| {
                eyre!(
                    "there is no account at {}, and nothing is known that would create it",
                    account.address()
                )
            })?;
            self.has_signed.store(true, Ordering::SeqCst);
            let factory = Address::from_slice(factory);
            transactions
                .call("creating the account", factory, U256::ZERO, call.to_vec())
                .await?;
        }
        ensure!(
            account.is_owner(from).await?,
            WrongInput(format!("{from} is not an owner of account {}", account.address()))
        );
        let transaction = account.owner_transaction(from, actions).await?;
        let data = transaction.input.input().cloned().unwrap_or_default();
        self.has_signed.store(true, Ordering::SeqCst);
        let receipt = transactions
            .call(
                "the owner's transaction",
                account.address(),
                U256::ZERO,
                data.to_vec(),
            )
            .await?;
        Ok(Done {
            user_op_hash: None,
            transaction_hash: Some(receipt.transaction_hash),
            block: Some(receipt.block_number),
        })
    }

    /// The calls that the actions make, for a dry run.
    pub(super) async fn dry(
        &self,
        answer: &mut Answer,
        account: &SmartAccount,
        actions: Vec<OwnerAction>,
    ) -> Result<()> {
        let owner = self
            .writing
            .owner()
            .map(|owner| owner.address())
            .unwrap_or_default();
        answer.heading("A dry run: nothing was signed.");
        let call = match account.owner_transaction(owner, actions).await {
            Ok(transaction) => {
                let data: Bytes = transaction.input.input().cloned().unwrap_or_default();
                answer.plain(format!("call of {}:", account.address()));
                answer.raw(format!("  {data}"));
                json!([{ "target": account.address().to_string(), "valueWei": "0", "data": data }])
            }
            Err(error) => bail!("{error}"),
        };
        answer
            .data("dryRun", true)
            .data("calls", call)
            .data("block", Value::Null);
        hashes(answer, None, None);
        Ok(())
    }
}
