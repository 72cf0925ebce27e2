//! An owner on a chain, about to sign.

use super::{
    Done, INCLUSION, Signed, Writing, done, is_void,
    ledger::{BegunNotes, Kept, Ledger, NoteScope, OperationNote, by_nonce, open_journal},
};
use crate::{
    amount::show_coin,
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
    operation::{Bounds, Cause, Happened, Operation, OperationError, Progress},
    submit::BundlerSubmitter,
    transaction::SendError,
};
use std::{
    fs::File,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

/// The spinner's message before a transaction is sent.
const EARLIER: &str = "waiting for earlier transactions of the owner";
/// The label of the transaction that creates the account.
pub(super) const CREATING: &str = "creating the account";

/// Shows the call of a dry run.
pub(super) fn show_call(answer: &mut Answer, target: Address, data: &Bytes) {
    answer.heading("A dry run: nothing was signed.");
    answer.plain(format!("call of {target}:"));
    answer.raw(format!("  {data}"));
}

/// An owner on a chain, about to sign.
pub(super) struct Desk<'a> {
    pub(super) writing: &'a Writing,
    pub(super) chain: Chain,
    /// The session keys' keystore, from options or the settings file.
    pub(super) keystore: Keystore,
    pub(super) signed: Signed,
    /// Whether to send plain transactions.
    pub(super) is_direct: bool,
    pub(super) command: &'static str,
    /// Where plain transactions are recorded, if any are sent.
    pub(super) ledger: Option<Ledger>,
    /// Where operations are noted, if any are sent.
    pub(super) notes: Option<BegunNotes>,
    /// Keeps other processes from sending plain transactions while operations are sent.
    pub(super) shared: Option<File>,
    /// The session key created for this command.
    pub(super) generated: Mutex<Option<Address>>,
    /// The outcome of what an earlier run of the same command sent.
    pub(super) taken: Option<Result<Taken, TransactionError>>,
}

/// What an earlier run of the same command did.
pub(super) struct Taken {
    pub(super) answer: Answer,
    pub(super) done: Done,
}

impl Taken {
    /// Returns the answer it would have given.
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
    /// Fails early if there is no way to send: before a key is created.
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

    /// Completes when the process is asked to stop.
    pub(super) async fn interrupted(&self) -> Interrupted {
        if asked_to_end().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.signed.interrupted()
    }

    /// Creates a session key in the keystore.
    pub(super) fn generate(&self) -> Result<Address> {
        let key = self.keystore.generate()?;
        *self.generated.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        Ok(key)
    }

    /// Removes the generated key after an error, unless something signed here or adopted by another process
    /// names it. Returns whether it was removed.
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

    /// Whether the error's transaction is recorded: the same command sends it again.
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

    /// Forgets what an earlier run sent: it no longer answers the command, which continues.
    pub(super) async fn forget_taken(&self) {
        self.writing.told.forget().await;
        self.signed.nothing();
    }

    /// Returns what an earlier run of the same command did, if it succeeded.
    pub(super) fn taken(&mut self) -> Result<Option<Taken>> {
        Ok(self.taken.take().transpose().map_err(OfEarlierRun)?)
    }

    /// Returns what an earlier run of the same command did, if it still holds. If `is_undone` says that the
    /// chain has moved on, the record is forgotten and the command runs.
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
                let what = "an earlier run did this";
                bail!(self.writing.not_reported(&taken.done, what, &error).await);
            }
        }
        print_note("an earlier run did this, but it has been undone since: doing it again");
        self.forget_taken().await;
        Ok(None)
    }

    /// Settles what earlier runs signed. The outcome for the same command is stored in `taken`.
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
                "an earlier run signed transaction {hash} for this (nonce {nonce}): resuming it"
            ));
            self.signed.transaction(hash);
            let seen_to_its_end = async {
                let mut all: Vec<_> = group.iter().map(|kept| kept.signed.clone()).collect();
                match transactions.replacement(&all).await {
                    Ok(None) => {}
                    Ok(Some(raised)) => {
                        print_note(&format!(
                            "its fees are now too low: transaction {} replaces it at higher fees; only one of the two can be included",
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
                    // Problems with the node or the recorded transactions will show again.
                    Err(error @ (SendError::OverBound(_) | SendError::NotSigned { .. })) => {
                        print_note(&format!("its fees are now too low, and were not raised: {error}"));
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
            // Each has its own answer: the one of the included transaction counts.
            let decided = match &end {
                Ok(receipt) => Some(receipt.transaction_hash),
                Err(error) => error.transaction(),
            };
            let note = group
                .iter()
                .find(|kept| Some(kept.signed.hash) == decided)
                .map_or(last_note, |kept| kept.note.clone());
            match end {
                // The command continues from there.
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
            .wrap_err("nothing was signed; with --again, it is sent after the pending transactions")?;
        for Kept { signed, note } in others {
            ensure!(
                !transactions.is_undecided(&signed).await?,
                WrongInput(format!(
                    "transaction {} of an earlier run ({}, nonce {}) is in no block, and the node does not know it: repeat that \
                     command, which sends it again; with --again, this one takes its nonce and makes that one void",
                    signed.hash, note.command, signed.nonce
                ))
            );
        }
        Ok(())
    }

    /// Records a plain transaction, sends it and waits for it; an interruption ends the wait.
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

    /// `is_last`: whether this completes the command. `answer`: the command's answer in that case.
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
                // A record that remains is found settled by the next run.
                let _ = ledger.forget(hash).await;
            }
            Ok(_) | Err(TransactionError::Void { .. } | TransactionError::Reverted { .. }) => {
                ledger.decided(hash);
            }
            Err(TransactionError::Failed {
                error: SendError::NeverLeft { .. },
                ..
            }) => {
                // A record that remains is sent by the next run, as intended.
                if ledger.forget(hash).await.is_ok() {
                    self.signed.nothing();
                }
            }
            Err(_) => {}
        }
        Ok(Done::by_transaction(&sent?))
    }

    /// Carries out these actions, all or none, and waits until they are done.
    ///
    /// A repeated name returns the first outcome. `answer`: the command's answer on success.
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
                        (Some(name), _) => {
                            // What an earlier run signed is settled, whatever is left on the account.
                            if client.named(&name).await?.is_none() {
                                self.check_can_sign(account, signer).await?;
                            }
                            self.operation(client.batch(actions), name).await
                        }
                        (None, Some(notes)) => {
                            self.check_can_sign(account, signer).await?;
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

    /// Starts an operation that is noted.
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

    /// Settles an operation that an earlier run of the same command started.
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
                    "an earlier run noted an operation of account {} with EntryPoint {} for this: ignoring it",
                    note.scope.account, note.scope.entry_point
                ));
                continue;
            }
            if client.named(&note.name).await?.is_none() {
                // Nothing was signed for it.
                notes.remove(&note);
                continue;
            }
            print_note("an earlier run signed an operation for this: resuming it");
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
        let journal = open_journal(&self.journal(), &self.chain).await?;
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
                Progress::Sent(hash) | Progress::SentEarlier(hash) => *hash,
                _ => return,
            };
            signed.operation(hash);
        });
        let included = operation.id(name).await.map_err(|error| {
            let is_journals = matches!(*error.cause, Cause::NodeBehind { .. });
            let error = eyre::Report::new(error);
            if is_journals {
                error.wrap_err(format!("{}", self.journal().display()))
            } else {
                error
            }
        })?;
        Ok(Done {
            user_op_hash: Some(included.receipt.user_op_hash),
            transaction_hash: Some(included.receipt.transaction_hash),
            block: Some(included.receipt.block_number),
        })
    }

    /// Refuses, before anything is signed, a signer that the account does not have as owner, and an account
    /// that cannot pay for an operation.
    pub(super) async fn check_can_sign(&self, account: &SmartAccount, owner: Address) -> Result<()> {
        /// Less gas than any operation takes.
        const LEAST_GAS: u64 = 50_000;
        let address = account.address();
        if account.is_deployed().await? {
            ensure!(
                account.is_owner(owner).await?,
                WrongInput(format!("{owner} is not an owner of account {address}"))
            );
        }
        let (balance, deposit, head) = tokio::try_join!(
            async { Ok::<_, eyre::Report>(account.balance().await?) },
            async { Ok(account.deposit().await?) },
            self.chain.head(),
        )?;
        let funds = balance.saturating_add(deposit);
        let base_fee = U256::from(head.base_fee.unwrap_or_default());
        let least = base_fee.saturating_mul(U256::from(LEAST_GAS));
        let symbol = self.chain.symbol();
        ensure!(
            !funds.is_zero() && funds >= least,
            WrongInput(format!(
                "account {address} cannot pay for an operation: it has {} and a deposit of {}, and at this base fee an operation \
                 costs more than {}. Send it {symbol}, or use --direct, for which the owner pays",
                show_coin(balance, symbol),
                show_coin(deposit, symbol),
                show_coin(least, symbol)
            ))
        );
        Ok(())
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
                    "there is no account at {}, and no known way to create it",
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

    /// Shows the calls of the actions for a dry run, and whether they would succeed. `tried`: actions to
    /// simulate instead, if those shown contain a placeholder.
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
            not_simulated(answer, "the account does not exist yet");
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
        // A v0.7 account accepts calls from its EntryPoint like an owner's; a v0.8 account checks who signed.
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

    /// Shows whether a call would succeed now.
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

/// Adds a dry run's verdict to the JSON.
fn verdict(answer: &mut Answer, verdict: &str, reason: Option<&str>) {
    answer.data("simulation", json!({ "verdict": verdict, "reason": reason }));
}

/// Says that the call was not simulated, and why.
fn not_simulated(answer: &mut Answer, reason: &str) {
    verdict(answer, "notSimulated", Some(reason));
    answer.line(
        Tone::Doubt,
        2,
        format!("Whether it would succeed is not simulated: {reason}."),
    );
}
