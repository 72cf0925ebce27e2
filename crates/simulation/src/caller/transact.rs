//! Owners' plain transactions: kept before they leave, handed over, replaced, and taken up by the next life
//! of a process, until one of them is in a block or none can be.

use super::Caller;
use crate::{
    caller::Belief,
    ledger::Check,
    net::Purpose,
    plan::{Follow, Role, Style},
    prepared::{CHAIN_ID, owner},
    process::provider_of,
    world::short,
};
use alloy::{
    primitives::{Address, B256, TxKind, U256},
    signers::local::PrivateKeySigner,
};
use session_key_client::{
    Call, OwnerAction, SmartAccount,
    operation::Bounds,
    transaction::{SendError, SignedTransaction, TransactionEnd, TransactionSender},
};
use tokio::time::{Duration, Instant, sleep, timeout};

/// How long one attempt may take: the client's own time limit, and what it asks before and after.
const LIMIT: Duration = Duration::from_secs(180 + 400);

/// How an attempt ended that decides nothing.
enum Failure {
    Prepare(String),
    Send(SendError),
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}

/// Who sends what, to which account.
struct Desk {
    account: SmartAccount,
    sender: TransactionSender,
    signer: PrivateKeySigner,
}

impl Caller {
    /// Has an owner's plain transaction included, once.
    pub(super) async fn transact(&self) {
        let (world, wish) = (&self.world, &self.wish);
        let Role::Owner { account } = self.process.role else {
            return self.believe(Belief::No);
        };
        let address = world.prepared.accounts[usize::from(account)];
        let provider = provider_of(world, &self.process);
        let desk = Desk {
            account: world.prepared.account(provider.clone(), address),
            sender: TransactionSender::new(provider, CHAIN_ID),
            signer: owner(account),
        };
        loop {
            let attempt = self.state(|state| {
                state.attempts += 1;
                state.is_in_flight = true;
                state.attempts
            });
            self.count_asked();
            let purpose = Purpose::new(Some((wish.number, attempt)));
            let started = Instant::now();
            let seen = purpose.scope(self.seen_to_its_end(&desk));
            let ended = match wish.style {
                // Whoever never waits never knows.
                Style::Drop(millis) if attempt <= 2 => {
                    timeout(Duration::from_millis(millis.into()), seen).await
                }
                _ => timeout(LIMIT, seen).await,
            };
            if started.elapsed() >= LIMIT {
                world.violate(
                    Check::TimeLimit,
                    format!("transaction of wish {} takes {LIMIT:?}", wish.number),
                );
            }
            match ended {
                Ok(Ok(TransactionEnd::Included(receipt))) => {
                    self.count("included");
                    let (hash, block) = (receipt.transaction_hash, receipt.block_hash);
                    world.say(format!(
                        "wish {} is told that transaction {} is included",
                        wish.number,
                        short(hash)
                    ));
                    world.check_included_transaction(wish.number, hash, block);
                    return self.believe(match receipt.success {
                        Some(false) => Belief::Reverted,
                        _ => Belief::Yes,
                    });
                }
                Ok(Ok(_)) => {
                    self.count("void");
                    self.give_up_kept("void");
                }
                Ok(Err(Failure::Prepare(text))) => {
                    self.count("not prepared");
                    self.note_words(&text);
                }
                Ok(Err(Failure::Send(error))) => {
                    self.count(error.code());
                    self.note_words(&format!("{error}"));
                    world.check_text(&format!("{error:?}"));
                    if matches!(error, SendError::NeverLeft { .. }) {
                        self.give_up_kept("never sent");
                    }
                }
                Err(_) => self.count("interrupted"),
            }
            if wish.follow == Follow::Once {
                let is_open = !world.kept_transactions(wish.number).is_empty();
                return self.believe(if is_open { Belief::Unknown } else { Belief::No });
            }
            sleep(Duration::from_secs(2)).await;
            if !self.is_patient() && self.waits_behind(&desk.signer) {
                return self.believe(Belief::Blocked("an earlier nonce".to_owned()));
            }
            self.give_up_late(attempt, "a transaction");
            if self.state(|state| state.belief != Belief::Asking) {
                return;
            }
        }
    }

    /// What is kept is taken up, in place of it something dearer if its fees are too low by now. Else,
    /// something is signed, kept and handed over.
    async fn seen_to_its_end(&self, desk: &Desk) -> Result<TransactionEnd, Failure> {
        let Desk {
            account,
            sender,
            signer,
        } = desk;
        let (from, bounds) = (signer.address(), Bounds::default());
        let mut kept = self.world.kept_transactions(self.wish.number);
        if kept.is_empty() {
            let to = Address::repeat_byte(0xe0 | self.wish.number);
            let pay = OwnerAction::Call(Call::transfer(to, U256::from(self.wish.number) + U256::ONE));
            let request = account
                .owner_transaction(from, [pay])
                .await
                .map_err(|error| Failure::Prepare(format!("{error}")))?;
            let (Some(TxKind::Call(to)), Some(input)) = (request.to, request.input.into_input()) else {
                return Err(Failure::Prepare("it calls nothing".to_owned()));
            };
            let signed = sender.sign(to, U256::ZERO, input, &bounds, signer).await?;
            self.keep(&signed).await;
            sender.hand_over(&signed).await?;
            return Ok(sender.wait(from, &[signed]).await?);
        }
        match sender.replacement(&kept, &bounds, signer).await {
            Ok(Some(raised)) => {
                self.count("replaced");
                self.keep(&raised).await;
                kept.push(raised);
            }
            Ok(None) => {}
            // It shows again.
            Err(error) => self.world.check_text(&format!("{error} {error:?}")),
        }
        Ok(sender.take_up(from, &kept).await?)
    }

    async fn keep(&self, signed: &SignedTransaction) {
        let text = format!(
            "wish {} signs transaction {} (nonce {})",
            self.wish.number,
            short(signed.hash),
            signed.nonce
        );
        self.world.say(text);
        self.world.keep_transaction(self.wish.number, signed.clone());
        // A crash can come now, as anywhere.
        sleep(Duration::from_millis(1)).await;
    }

    /// None of what was kept is included any more, it is told: what comes next is something new.
    fn give_up_kept(&self, why: &'static str) {
        let hashes = self.world.forget_transactions(self.wish.number, why);
        let hashes: Vec<String> = hashes.into_iter().map(short).collect();
        self.world.say(format!(
            "wish {} is told that {} is {why}",
            self.wish.number,
            hashes.join(", ")
        ));
    }

    /// Whether what is kept waits for an earlier nonce of its sender, which somebody else has and
    /// does not send.
    fn waits_behind(&self, signer: &PrivateKeySigner) -> bool {
        let kept = self.world.kept_transactions(self.wish.number);
        let next = self.world.main.chain().nonce(signer.address());
        kept.last().is_some_and(|signed| signed.nonce > next)
    }

    fn note_words(&self, text: &str) {
        self.world.check_text(text);
        self.world
            .say(format!("the transaction of wish {}: {text}", self.wish.number));
        self.state(|state| text.clone_into(&mut state.last));
    }

    fn count(&self, how: &'static str) {
        self.world.state().counts.outcome("plain transactions", how);
    }
}

/// A signed transaction of a wish, and what its caller was told of it.
#[derive(Clone, Debug)]
pub(crate) struct KeptTransaction {
    pub(crate) wish: u8,
    pub(crate) signed: SignedTransaction,
    /// Why it is never included, if that was told.
    pub(crate) never: Option<&'static str>,
}

impl KeptTransaction {
    /// Its hash.
    pub(crate) const fn hash(&self) -> B256 {
        self.signed.hash
    }
}
