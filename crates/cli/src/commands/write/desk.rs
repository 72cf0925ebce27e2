//! An owner at a chain, about to sign.

use super::{
    Done, INCLUSION, Signed, Writing, done, is_void,
    ledger::{BegunNotes, Kept, Ledger, NoteScope, OperationNote, by_nonce, open_journal},
};
use crate::{
    answer::{Answer, Tone, hashes},
    commands::{ASKING, chain::Chain, clean, keys::Keystore, waited},
    failure::{AfterEarlierRun, Interrupted, OfEarlierRun, WrongInput, asked_to_end},
    purse::Purse,
    report::print_note,
    transactions::{INCLUSION_TIMEOUT, TransactionError, Transactions},
};
use eyre::{Result, WrapErr as _, bail, ensure, eyre};
use serde_json::{Value, json};
use session_key_client::{
    OwnerAction, OwnerClient, SmartAccount,
    account::Generation,
    alloy::{
        eips::BlockId,
        network::TransactionBuilder as _,
        primitives::{Address, Bytes, U256},
        rpc::types::TransactionRequest,
        signers::local::PrivateKeySigner,
    },
    node::TransactionReceipt,
    operation::{Bounds, Happened, Operation, OperationError, Progress},
    submit::BundlerSubmitter,
    transaction::SendError,
};
use std::{
    fs::File,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

/// What is waited for before a transaction is sent.
const EARLIER: &str = "waiting for earlier transactions of the owner";
/// What the first transaction does where there is no account.
pub(super) const CREATING: &str = "creating the account";

/// The call of a dry run.
pub(super) fn show_call(answer: &mut Answer, target: Address, data: &Bytes) {
    answer.heading("A dry run: nothing was signed.");
    answer.plain(format!("call of {target}:"));
    answer.raw(format!("  {data}"));
}

/// An owner at a chain, about to sign.
pub(super) struct Desk<'a> {
    pub(super) writing: &'a Writing,
    pub(super) chain: Chain,
    /// With session keys: as it was given, or as the settings file says.
    pub(super) keystore: Keystore,
    pub(super) signed: Signed,
    /// Whether it sends plain transactions.
    pub(super) is_direct: bool,
    pub(super) command: &'static str,
    /// Where plain transactions are written down, if it sends them.
    pub(super) ledger: Option<Ledger>,
    /// Where operations are noted, if it sends them.
    pub(super) notes: Option<BegunNotes>,
    /// As long as it sends operations, no other process sends plain transactions.
    pub(super) shared: Option<File>,
    /// The session key that was made for this.
    pub(super) generated: Mutex<Option<Address>>,
    /// What became of what the same command has sent before.
    pub(super) taken: Option<Result<Taken, TransactionError>>,
}

/// What the same command has done before.
pub(super) struct Taken {
    pub(super) answer: Answer,
    pub(super) done: Done,
}

impl Taken {
    /// What it would have answered.
    pub(super) fn answered(&self) -> Answer {
        let mut answer = self.answer.clone();
        done(&mut answer, &self.done);
        answer
    }
}

const fn note_scope(account: &SmartAccount, signer: Address) -> NoteScope {
    NoteScope {
        chain_id: account.chain_id(),
        entry_point: account.deployment().entry_point,
        account: account.address(),
        signer,
    }
}

impl Done {
    const fn by_transaction(receipt: &TransactionReceipt) -> Self {
        Self {
            user_op_hash: None,
            transaction_hash: Some(receipt.transaction_hash),
            block: Some(receipt.block_number),
        }
    }
}

impl Desk<'_> {
    /// What would have to be found out later otherwise, when a key is made already: whether there is a way to send.
    pub(super) fn require_way(&self) -> Result<()> {
        ensure!(
            self.writing.dry_run || self.is_direct || self.chain.bundler.is_some(),
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
        self.signed.interrupted()
    }

    /// Makes a session key in the keystore.
    pub(super) fn generate(&self) -> Result<Address> {
        let key = self.keystore.generate()?;
        *self.generated.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        Ok(key)
    }

    /// After an error: removes the key that was made, if nothing that names it was signed, here or by another process that took it
    /// along. Whether it was removed.
    pub(super) fn discard_generated(&self, error: &eyre::Report) -> bool {
        let may_be_signed = error.chain().any(|cause| {
            cause.is::<Interrupted>() && !self.is_direct
                || cause
                    .downcast_ref::<OperationError>()
                    .is_some_and(|error| error.happened() != Happened::No || error.user_op_hash.is_some())
        });
        if may_be_signed || self.signed.is_anything() {
            return false;
        }
        let key = self
            .generated
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        key.is_some_and(|key| self.keystore.remove(key).is_ok())
    }

    /// Whether the transaction that an error is about is kept: the same command sends it again.
    pub(super) fn is_kept(&self, error: &eyre::Report) -> bool {
        let is_not_taken = |error: &TransactionError| {
            matches!(
                error,
                TransactionError::Failed {
                    error: SendError::NotTaken { .. },
                    ..
                }
            )
        };
        error
            .chain()
            .any(|cause| cause.downcast_ref().is_some_and(is_not_taken))
    }

    /// What the same command has sent before is not the answer any more: it is forgotten, and the command goes on.
    pub(super) async fn forget_taken(&self) {
        self.writing.told.forget().await;
        self.signed.nothing();
    }

    /// What the same command has sent before, if it was done.
    pub(super) fn taken(&mut self) -> Result<Option<Taken>> {
        Ok(self.taken.take().transpose().map_err(OfEarlierRun)?)
    }

    /// What the same command has done before, if that stands. `is_undone` says whether the chain has moved on since: then it is
    /// forgotten, and the command does what it was asked for.
    pub(super) async fn standing(
        &mut self,
        is_undone: impl AsyncFnOnce(&Self, &Taken) -> Result<bool>,
    ) -> Result<Option<Taken>> {
        let Some(taken) = self.taken()? else {
            return Ok(None);
        };
        match self.within(is_undone(self, &taken)).await {
            Ok(false) => return Ok(Some(taken)),
            Ok(true) => {}
            Err(error) => {
                let what = "an earlier run has done this";
                bail!(self.writing.not_reported(&taken.done, what, &error).await);
            }
        }
        print_note("an earlier run has done this, and it has been undone since: it is done again");
        self.forget_taken().await;
        Ok(None)
    }

    /// Sees what earlier runs have signed to its end. What the same command has done stands in `taken` then.
    pub(super) async fn take_up(&mut self) -> Result<()> {
        let transactions = self.transactions(self.writing.owner()?);
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        let (same, others) = ledger.kept().await?;
        for (nonce, mut group) in by_nonce(same) {
            let Some(Kept { signed, note }) = group.last() else {
                continue;
            };
            let (mut latest, what, last_note) = (signed.clone(), note.what.clone(), note.clone());
            let hash = latest.hash;
            print_note(&format!(
                "an earlier run has signed transaction {hash} for this (nonce {nonce}): it is taken up"
            ));
            self.signed.transaction(hash);
            let seen_to_its_end = async {
                let mut all: Vec<_> = group.iter().map(|kept| kept.signed.clone()).collect();
                match transactions.replacement(&all).await {
                    Ok(None) => {}
                    Ok(Some(raised)) => {
                        print_note(&format!(
                            "its fees are too low by now: transaction {} offers more for the same, and one of the two is included",
                            raised.hash
                        ));
                        let kept = ledger.keep_with(&raised, &last_note).await;
                        kept.map_err(|error| TransactionError::NotKept {
                            what: what.clone(),
                            transaction: raised.hash,
                            reason: error.to_string(),
                        })?;
                        self.signed.transaction(raised.hash);
                        group.push(Kept {
                            signed: raised.clone(),
                            note: last_note.clone(),
                        });
                        all.push(raised.clone());
                        latest = raised;
                    }
                    // What is wrong with the node or the kept ones shows again.
                    Err(error @ (SendError::OverBound(_) | SendError::NotSigned { .. })) => {
                        print_note(&format!(
                            "its fees are too low by now, and were not raised: {error}"
                        ));
                    }
                    Err(_) => {}
                }
                transactions.take_up(&what, &all, &latest).await
            };
            let end = tokio::select! {
                biased;
                interrupted = self.interrupted() => return Err(interrupted.into()),
                end = waited(INCLUSION, seen_to_its_end) => end,
            };
            if let Err(error @ (TransactionError::Failed { .. } | TransactionError::NotKept { .. })) = end {
                return Err(OfEarlierRun(error).into());
            }
            // Each has its own answer: that of the one that was included counts.
            let decided = match &end {
                Ok(receipt) => Some(receipt.transaction_hash),
                Err(error) => error.transaction(),
            };
            let note = group
                .iter()
                .find(|kept| Some(kept.signed.hash) == decided)
                .map_or(last_note, |kept| kept.note.clone());
            match end {
                // The command goes on from there.
                Ok(_) | Err(TransactionError::Void { .. }) if !note.is_last => {
                    if let Err(error) = &end {
                        print_note(&error.to_string());
                    }
                    for kept in &group {
                        ledger.forget(kept.signed.hash).await?;
                    }
                    self.signed.nothing();
                }
                end => {
                    for kept in &group {
                        ledger.decided(kept.signed.hash);
                    }
                    self.taken = Some(end.map(|receipt| Taken {
                        answer: note.answer,
                        done: Done::by_transaction(&receipt),
                    }));
                    return Ok(());
                }
            }
        }
        waited(EARLIER, transactions.settle())
            .await
            .wrap_err("nothing was signed; with --again, it is sent behind what waits")?;
        for Kept { signed, note } in others {
            ensure!(
                !transactions.is_undecided(&signed).await?,
                WrongInput(format!(
                    "transaction {} of an earlier run ({}, nonce {}) is in no block, and the node does not know it: give that \
                     command again, which sends it again; with --again, this one takes its nonce, and that one is void",
                    signed.hash, note.command, signed.nonce
                ))
            );
        }
        Ok(())
    }

    /// One plain transaction, written down and waited for; an interruption ends the wait.
    pub(super) async fn transaction(
        &self,
        what: &str,
        to: Address,
        call: Vec<u8>,
        answer: &Answer,
    ) -> Result<Done> {
        tokio::select! {
            biased;
            interrupted = self.interrupted() => Err(interrupted.into()),
            done = waited(INCLUSION, self.step(what, to, call, answer, true)) => done,
        }
    }

    /// `is_last`: it does what the command was asked for. `answer`: what the command says then.
    async fn step(
        &self,
        what: &str,
        to: Address,
        call: Vec<u8>,
        answer: &Answer,
        is_last: bool,
    ) -> Result<Done> {
        let owner = self.writing.owner()?;
        let ledger = self
            .ledger
            .as_ref()
            .ok_or_else(|| eyre!("there is no journal to write a transaction down in"))?;
        let transactions = self.transactions(owner);
        let signed = transactions.sign(what, to, U256::ZERO, call).await?;
        let hash = signed.hash;
        self.signed.transaction(hash);
        ledger
            .keep(&signed, what, is_last, answer)
            .await
            .map_err(|error| TransactionError::NotKept {
                what: what.to_owned(),
                transaction: hash,
                reason: error.to_string(),
            })?;
        let sent = transactions.send(what, &signed).await;
        match &sent {
            Ok(_) if !is_last => {
                // What stays is found to be done the next time.
                let _ = ledger.forget(hash).await;
            }
            Ok(_) | Err(TransactionError::Void { .. } | TransactionError::Reverted { .. }) => {
                ledger.decided(hash);
            }
            Err(TransactionError::Failed {
                error: SendError::NeverLeft { .. },
                ..
            }) => {
                // What stays is sent the next time, as it was meant to be.
                if ledger.forget(hash).await.is_ok() {
                    self.signed.nothing();
                }
            }
            Err(_) => {}
        }
        Ok(Done::by_transaction(&sent?))
    }

    /// Does these things, all or none, and waits until they are done.
    /// Under a name, what was asked for before under it is what is answered. `answer`: what the command says then.
    pub(super) async fn carry_out(
        &self,
        account: &SmartAccount,
        actions: Vec<OwnerAction>,
        name: Option<String>,
        answer: &Answer,
    ) -> Result<Done> {
        let owner = self.writing.owner()?;
        tokio::select! {
            biased;
            interrupted = self.interrupted() => Err(interrupted.into()),
            done = waited(INCLUSION, async {
                if self.is_direct {
                    self.directly(account, owner, actions, answer).await
                } else {
                    let signer = owner.address();
                    let client = self.client(account, owner).await?;
                    match (name, &self.notes) {
                        (Some(name), _) => self.operation(client.batch(actions), name).await,
                        (None, Some(notes)) => {
                            let scope = note_scope(account, signer);
                            let note = notes.add(scope, self.command, &actions, answer)?;
                            self.begun(&client, notes, note).await
                        }
                        (None, None) => bail!("there is nowhere to note the operation"),
                    }
                }
            }) => done,
        }
    }

    /// An operation that is noted.
    async fn begun(&self, client: &OwnerClient, notes: &BegunNotes, note: OperationNote) -> Result<Done> {
        let OperationNote { name, actions, .. } = note.clone();
        let done = self.operation(client.batch(actions), name).await;
        match &done {
            Ok(_) => self.writing.told.operation(notes.clone(), note),
            Err(error) if is_void(error) => self.writing.told.operation(notes.clone(), note),
            Err(_) => {}
        }
        done
    }

    /// Sees an operation to its end that an earlier run of the same command has begun.
    pub(super) async fn go_on(&mut self) -> Result<()> {
        let Some(notes) = self.notes.clone() else {
            return Ok(());
        };
        let begun = notes.read()?;
        if begun.is_empty() {
            return Ok(());
        }
        let owner = self.writing.owner()?;
        let account = self.within(self.chain.account()).await?;
        let scope = note_scope(&account, owner.address());
        let client = self.client(&account, owner).await?;
        for note in begun {
            if note.scope != scope {
                print_note(&format!(
                    "an earlier run has noted an operation of account {} with EntryPoint {} for this: it is left alone",
                    note.scope.account, note.scope.entry_point
                ));
                continue;
            }
            if client.named(&note.name).await?.is_none() {
                // Nothing was signed for it.
                notes.remove(&note);
                continue;
            }
            print_note("an earlier run has signed an operation for this: it is taken up");
            self.signed.anything();
            let answer = note.answer.clone();
            let done = tokio::select! {
                biased;
                interrupted = self.interrupted() => return Err(interrupted.into()),
                done = waited(INCLUSION, self.begun(&client, &notes, note)) => done,
            };
            let done = done.map_err(|error| error.wrap_err(AfterEarlierRun))?;
            self.taken = Some(Ok(Taken { answer, done }));
            return Ok(());
        }
        Ok(())
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
        let journal = open_journal(&self.journal()).await?;
        let account = account.clone().with_journal(journal);
        let entry_point = account.deployment().entry_point;
        let submitter = BundlerSubmitter::new(bundler.node.provider().clone(), entry_point)
            .with_node(self.chain.provider());
        Ok(OwnerClient::new(account, owner, submitter))
    }

    async fn operation(&self, operation: Operation, name: String) -> Result<Done> {
        let signed = self.signed.clone();
        let operation = operation.timeout(INCLUSION_TIMEOUT).on_progress(move |progress| {
            let hash = match progress {
                Progress::Signed(operation) => operation.hash,
                Progress::Sent(hash) => *hash,
                _ => return,
            };
            signed.operation(hash);
        });
        let included = operation.id(name).await?;
        Ok(Done {
            user_op_hash: Some(included.receipt.user_op_hash),
            transaction_hash: Some(included.receipt.transaction_hash),
            block: Some(included.receipt.block_number),
        })
    }

    pub(super) fn transactions(&self, owner: PrivateKeySigner) -> Transactions {
        let bounds = Bounds::on_chain(self.chain.chain_id);
        let purse = Purse::new(owner, self.chain.chain_id);
        purse.allow(bounds.max_cost);
        Transactions::new(self.chain.provider(), purse, self.chain.chain_id, bounds)
    }

    async fn directly(
        &self,
        account: &SmartAccount,
        owner: PrivateKeySigner,
        actions: Vec<OwnerAction>,
        answer: &Answer,
    ) -> Result<Done> {
        let from = owner.address();
        if !account.is_deployed().await? {
            ensure!(
                account.delegate().is_none(),
                WrongInput(format!(
                    "{} does not delegate yet (EIP-7702), and only an operation brings its authorization along: give --bundler-url, and \
                     no --direct",
                    account.address()
                ))
            );
            let init_code = account.init_code().await?;
            let (factory, call) = init_code.split_at_checked(20).ok_or_else(|| {
                eyre!(
                    "there is no account at {}, and nothing is known that would create it",
                    account.address()
                )
            })?;
            let factory = Address::from_slice(factory);
            self.step(CREATING, factory, call.to_vec(), answer, false).await?;
        }
        ensure!(
            account.is_owner(from).await?,
            WrongInput(format!("{from} is not an owner of account {}", account.address()))
        );
        let transaction = account.owner_transaction(from, actions).await?;
        let data = transaction.input.input().cloned().unwrap_or_default();
        let what = "the owner's transaction";
        self.step(what, account.address(), data.to_vec(), answer, true)
            .await
    }

    /// The calls that the actions make, for a dry run, and whether they would go through. `tried`: the actions to try instead, where
    /// those that are shown leave something open.
    pub(super) async fn dry(
        &self,
        answer: &mut Answer,
        account: &SmartAccount,
        actions: Vec<OwnerAction>,
        tried: Option<Vec<OwnerAction>>,
    ) -> Result<()> {
        let owner = self.writing.owner().ok().map(|owner| owner.address());
        let data = async |actions| {
            let transaction = account
                .owner_transaction(owner.unwrap_or_default(), actions)
                .await?;
            Ok::<_, eyre::Report>(transaction.input.input().cloned().unwrap_or_default())
        };
        let shown: Bytes = data(actions).await?;
        show_call(answer, account.address(), &shown);
        answer
            .data("dryRun", true)
            .data(
                "calls",
                json!([{ "target": account.address().to_string(), "valueWei": "0", "data": shown }]),
            )
            .data("block", Value::Null);
        hashes(answer, None, None);
        if !account.is_deployed().await? {
            not_simulated(answer, "the account is not there yet");
            return Ok(());
        }
        if let Some(owner) = owner
            && !account.is_owner(owner).await?
        {
            let reason = format!("{owner} is not an owner of account {}", account.address());
            verdict(answer, "notAnOwner", Some(&reason));
            answer.line(Tone::Bad, 2, format!("It would be refused: {reason}."));
            answer.no(true);
            return Ok(());
        }
        // An account of v0.7 takes the calls from its EntryPoint as from an owner; one of v0.8 knows who has signed.
        let from = if matches!(account.generation(), Generation::V08(_)) || self.is_direct {
            match owner {
                Some(owner) => Some(owner),
                None => account.owners().await?.first().copied(),
            }
        } else {
            Some(account.deployment().entry_point)
        };
        let Some(from) = from else {
            not_simulated(answer, "no owner is known");
            return Ok(());
        };
        let tried = match tried {
            Some(tried) => data(tried).await?,
            None => shown,
        };
        self.simulate(answer, from, account.address(), tried).await;
        Ok(())
    }

    /// Says whether a call would go through now.
    pub(super) async fn simulate(&self, answer: &mut Answer, from: Address, to: Address, data: Bytes) {
        let request = TransactionRequest::default()
            .with_from(from)
            .with_to(to)
            .with_input(data);
        match self.chain.node.call(&request, BlockId::latest()).await {
            Ok(_) => {
                verdict(answer, "wouldSucceed", None);
                answer.line(Tone::Good, 2, "Simulated at the latest block, it would succeed.");
            }
            Err(error) => match error.revert() {
                Some(revert) => {
                    let reason = clean(&revert.to_string());
                    verdict(answer, "wouldRevert", Some(&reason));
                    answer.line(
                        Tone::Bad,
                        2,
                        format!("Simulated at the latest block, it would revert: {reason}"),
                    );
                    answer.no(true);
                }
                None => not_simulated(answer, &clean(&error.to_string())),
            },
        }
    }
}

/// What a dry run says of whether it would go through.
fn verdict(answer: &mut Answer, verdict: &str, reason: Option<&str>) {
    answer.data("simulation", json!({ "verdict": verdict, "reason": reason }));
}

/// It could not be tried.
fn not_simulated(answer: &mut Answer, reason: &str) {
    verdict(answer, "notSimulated", Some(reason));
    answer.line(
        Tone::Doubt,
        2,
        format!("Whether it would succeed is not simulated: {reason}."),
    );
}
