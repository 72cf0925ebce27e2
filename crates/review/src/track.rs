//! Transactions that were handed to the wallet, followed to their end.

use crate::{
    Review,
    act::{Goal, Prepared, Wish},
    read::words_of,
};
use rand::{RngCore as _, rngs::OsRng};
use serde::Serialize;
use session_key_client::{
    alloy::{
        eips::BlockId,
        hex,
        primitives::{Address, B256, Bytes},
    },
    permissions::policy::LockedGrant,
    request::RequestError,
    transaction::{Fate, SeenTransaction, TransactionSender, WalletTransaction},
};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The maximum number of transactions remembered.
const MOST_REMEMBERED: usize = 64;

/// What the wallet has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Nothing yet: it waits for the owner, or its answer was lost with the page.
    Nothing,
    /// The owner declined.
    Declined,
    /// It has sent this.
    Sent(B256),
}

/// A transaction that was handed to the wallet.
#[derive(Clone, Debug)]
pub(crate) struct Tracked {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) goal: Goal,
    pub(crate) wish: Wish,
    pub(crate) said: Said,
    /// The facts of an approval, with the index of its offer.
    grant: Option<(usize, LockedGrant)>,
    /// Whether its end was shown.
    is_over: bool,
    owner: Address,
    to: Address,
    data: Bytes,
    /// The owner's next nonce when it was made.
    first_nonce: u64,
    /// Its own nonce, once the node has shown it.
    nonce: Option<u64>,
    /// Whether the node has shown another transaction under its hash.
    is_other: bool,
}

/// The transaction for the wallet, as `eth_sendTransaction` takes it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ForWallet {
    id: String,
    from: String,
    to: String,
    data: Bytes,
    chain_id: String,
}

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// A stable code.
    pub(crate) code: &'static str,
    pub(crate) heading: &'static str,
    pub(crate) words: String,
    /// Whether this is the end of it.
    pub(crate) is_over: bool,
    /// Whether the owner has what was wanted.
    pub(crate) is_done: bool,
}

impl Standing {
    fn new(code: &'static str, heading: &'static str, words: impl Into<String>) -> Self {
        Self {
            code,
            heading,
            words: words.into(),
            is_over: false,
            is_done: false,
        }
    }

    const fn over(mut self) -> Self {
        self.is_over = true;
        self
    }

    const fn done(mut self) -> Self {
        self.is_over = true;
        self.is_done = true;
        self
    }
}

/// The transactions, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Tracks(Mutex<VecDeque<Tracked>>);

impl Tracks {
    fn all(&self) -> MutexGuard<'_, VecDeque<Tracked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn find(&self, id: &str) -> Option<Tracked> {
        self.all().iter().find(|tracked| tracked.id == id).cloned()
    }

    fn add(&self, tracked: Tracked) {
        let mut all = self.all();
        if all.len() >= MOST_REMEMBERED {
            all.pop_front();
        }
        all.push_back(tracked);
    }

    /// Notes what the wallet said. What it said first stays. `false`: there is no such transaction.
    pub(crate) fn note(&self, id: &str, said: Said) -> bool {
        let mut all = self.all();
        let found = all.iter_mut().find(|tracked| tracked.id == id);
        let is_found = found.is_some();
        if let Some(tracked) = found.filter(|tracked| tracked.said == Said::Nothing) {
            tracked.said = said;
        }
        is_found
    }

    fn note_seen(&self, id: &str, seen: &SeenTransaction) {
        if let Some(tracked) = self.all().iter_mut().find(|tracked| tracked.id == id) {
            tracked.nonce = Some(seen.nonce());
            tracked.is_other =
                seen.from != tracked.owner || seen.to != Some(tracked.to) || seen.input != tracked.data;
        }
    }

    /// Those whose end was not shown, newest first.
    pub(crate) fn open(&self) -> Vec<Tracked> {
        let all = self.all();
        all.iter()
            .rev()
            .filter(|tracked| !tracked.is_over)
            .cloned()
            .collect()
    }

    /// Notes that the end of one was shown.
    pub(crate) fn end(&self, id: &str) {
        if let Some(tracked) = self.all().iter_mut().find(|tracked| tracked.id == id) {
            tracked.is_over = true;
        }
    }
}

impl Review {
    /// Makes the owner's transaction and remembers it; an error in words.
    pub(crate) async fn hand_over(
        &self,
        prepared: Prepared,
        owner: Address,
        tracks: &Tracks,
    ) -> Result<ForWallet, String> {
        let is_owner = self.account.is_owner(owner).await;
        if !is_owner.map_err(|error| words_of(&error))? {
            return Err(format!("{owner} does not own this account."));
        }
        if prepared.actions.is_empty() {
            return Err("There is nothing to change.".to_owned());
        }
        let transaction = self.account.owner_transaction(owner, prepared.actions).await;
        let transaction = transaction.map_err(|error| words_of(&error))?;
        let node = self.node();
        match node.call(&transaction, BlockId::latest()).await {
            Ok(_) => {}
            Err(error @ RequestError::Answered(_)) => {
                return Err(format!(
                    "It would fail, so it was not given to the wallet: {}",
                    words_of(&error)
                ));
            }
            Err(error) => return Err(words_of(&error)),
        }
        self.keep(prepared.grant.as_ref()).map_err(|words| {
            format!("The facts of the grant cannot be kept, so it was not given to the wallet: {words}")
        })?;
        let first_nonce = node.transaction_count(owner, false).await;
        let mut id = [0; 16];
        OsRng.fill_bytes(&mut id);
        let tracked = Tracked {
            id: hex::encode(id),
            title: prepared.title,
            goal: prepared.goal,
            wish: prepared.wish,
            said: Said::Nothing,
            grant: prepared.grant,
            is_over: false,
            owner,
            to: self.account.address(),
            data: transaction.input.input().cloned().unwrap_or_default(),
            first_nonce: first_nonce.map_err(|error| words_of(&error))?,
            nonce: None,
            is_other: false,
        };
        let for_wallet = ForWallet {
            id: tracked.id.clone(),
            from: owner.to_string(),
            to: tracked.to.to_string(),
            data: tracked.data.clone(),
            chain_id: format!("{:#x}", self.account.chain_id()),
        };
        tracks.add(tracked);
        Ok(for_wallet)
    }

    /// Looks up how a transaction stands.
    pub(crate) async fn standing(&self, tracked: &Tracked, tracks: &Tracks) -> Standing {
        match self.look(tracked, tracks).await {
            Ok(mut standing) => {
                if standing.is_done
                    && !tracked.is_over
                    && let Err(words) = self.keep(tracked.grant.as_ref())
                {
                    standing.words = format!(
                        "{} The facts of the grant could not be kept: {words}",
                        standing.words
                    );
                }
                standing
            }
            Err(words) => Standing::new(
                "unread",
                "The node does not answer",
                format!("So it is not known what became of the transaction; it may have happened. {words}"),
            ),
        }
    }

    /// Keeps the facts of an approval; an error in words.
    fn keep(&self, grant: Option<&(usize, LockedGrant)>) -> Result<(), String> {
        let (Some(keeper), Some((index, grant))) = (&self.keeper, grant) else {
            return Ok(());
        };
        (keeper.0)(*index, grant).map_err(|error| words_of(error.as_ref()))
    }

    async fn is_reached(&self, goal: &Goal) -> Result<bool, String> {
        let inspection = self.inspect(Some(&goal.keys())).await;
        let inspection = inspection.map_err(|error| words_of(&error))?;
        Ok(inspection.is_some_and(|inspection| goal.is_reached(&inspection)))
    }

    async fn look(&self, tracked: &Tracked, tracks: &Tracks) -> Result<Standing, String> {
        let node = self.node();
        let hash = match tracked.said {
            Said::Sent(hash) => hash,
            Said::Declined => {
                return Ok(Standing::new(
                    "declined",
                    "You declined",
                    "Nothing was signed, and nothing has changed.",
                )
                .over());
            }
            Said::Nothing => {
                let next = node.transaction_count(tracked.owner, false).await;
                let next = next.map_err(|error| words_of(&error))?;
                if next > tracked.first_nonce && self.is_reached(&tracked.goal).await? {
                    return Ok(Standing::new(
                        "done",
                        "Done",
                        "This page did not get the wallet’s answer, but the change is on the chain.",
                    )
                    .done());
                }
                return Ok(Standing::new(
                    "wallet",
                    "The wallet has not answered",
                    "If its window is still open, confirm or decline there. If you have confirmed already, this page shows it \
                     once it is on the chain. So far, nothing has changed.",
                ));
            }
        };
        let sender = TransactionSender::new(self.account.provider().clone(), self.account.chain_id());
        let transaction = WalletTransaction {
            sender: tracked.owner,
            hash,
            nonce: tracked.nonce,
        };
        let fate = sender.fate(&transaction).await;
        Ok(match fate.map_err(|error| words_of(&error))? {
            Fate::Included(receipt) if receipt.success == Some(false) => Standing::new(
                "reverted",
                "It failed",
                format!(
                    "The transaction is in block {} and failed: it changed nothing, and its fee is paid. The account may have \
                     changed in the meantime: load this account again, and try once more.",
                    receipt.block_number
                ),
            )
            .over(),
            Fate::Included(receipt) => {
                let block = receipt.block_number;
                if self.is_reached(&tracked.goal).await? {
                    Standing::new("done", "Done", format!("The change is in block {block}.")).done()
                } else if tracked.is_other {
                    Standing::new(
                        "other",
                        "Another transaction",
                        format!(
                            "The wallet sent something else than this page asked for. It is in block {block}, and the key is \
                             not as intended."
                        ),
                    )
                    .over()
                } else {
                    Standing::new(
                        "undone",
                        "Included, but the key is different",
                        format!(
                            "The transaction is in block {block}, but the key is not as intended now: it was changed again, or \
                             the node is behind. Look at the account."
                        ),
                    )
                    .over()
                }
            }
            Fate::Pending(seen) => {
                tracks.note_seen(&tracked.id, &seen);
                Standing::new(
                    "pending",
                    "Waiting for a block",
                    "The wallet has sent the transaction. Nothing has changed yet; this page shows it as soon as it is in a block.",
                )
            }
            Fate::Replaced { .. } if self.is_reached(&tracked.goal).await? => Standing::new(
                "done",
                "Done",
                "Another transaction of the same owner took its place, and the change is on the chain.",
            )
            .done(),
            Fate::Replaced { by } => Standing::new(
                "replaced",
                "Replaced",
                format!(
                    "Another transaction of the same owner took its place{}: this one can no longer happen, and nothing has changed.",
                    by.map_or_else(String::new, |by| format!(" ({by})"))
                ),
            )
            .over(),
            _ if self.is_reached(&tracked.goal).await? => {
                Standing::new("done", "Done", "The change is on the chain.").done()
            }
            _ if tracked.nonce.is_some() => Standing::new(
                "dropped",
                "Dropped, for now",
                "The node had the transaction and no longer has it. Nothing has changed. It can still happen if the wallet sends it \
                 again: look there. Trying once more is safe: the change cannot happen twice.",
            ),
            _ => Standing::new(
                "notSeen",
                "Not seen yet",
                "The wallet says that it has sent the transaction, and this command’s node does not know it yet. Nothing has changed \
                 so far.",
            ),
        })
    }
}
