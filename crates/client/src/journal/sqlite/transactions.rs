//! Signed plain transactions, stored next to the intents.

use super::{
    Failure, SqliteJournal,
    rows::{Columns, Number, text},
};
use crate::{
    journal::{JournalError, TransactionRecord},
    transaction::SignedTransaction,
};
use alloy::primitives::{Address, B256};
use rusqlite::named_params;

impl SqliteJournal {
    /// Records a transaction before it is sent. An existing one gets this request and note.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn keep_transaction(&self, record: TransactionRecord) -> Result<(), JournalError> {
        self.writing(move |transaction| {
            let TransactionRecord {
                chain_id,
                sender,
                request,
                signed_at,
                note,
                signed: SignedTransaction { nonce, hash, raw },
            } = record;
            let note = serde_json::to_string(&note).map_err(|_| JournalError::Store {
                message: "a note cannot be written as JSON".to_owned(),
            })?;
            transaction
                .prepare_cached(
                    "INSERT INTO transactions (hash, chain_id, sender, nonce, raw, request, signed_at, note)
                     VALUES (:hash, :chain_id, :sender, :nonce, :raw, :request, :signed_at, :note)
                     -- The same bytes, signed once more.
                     ON CONFLICT (hash) DO UPDATE SET request = excluded.request, note = excluded.note",
                )?
                .execute(named_params! {
                    ":hash": text(hash),
                    ":chain_id": Number(chain_id),
                    ":sender": text(sender),
                    ":nonce": Number(nonce),
                    ":raw": text(raw),
                    ":request": text(request),
                    ":signed_at": Number(signed_at),
                    ":note": note,
                })?;
            Ok(())
        })
        .await
    }

    /// Returns a sender's transactions on a chain, in order of recording.
    pub async fn transactions(
        &self,
        chain_id: u64,
        sender: Address,
    ) -> Result<Vec<TransactionRecord>, JournalError> {
        self.kept_transactions(chain_id, Some(sender)).await
    }

    /// Returns all senders' transactions on a chain, in order of recording.
    pub async fn all_transactions(&self, chain_id: u64) -> Result<Vec<TransactionRecord>, JournalError> {
        self.kept_transactions(chain_id, None).await
    }

    async fn kept_transactions(
        &self,
        chain_id: u64,
        sender: Option<Address>,
    ) -> Result<Vec<TransactionRecord>, JournalError> {
        self.reading(move |transaction| {
            let mut kept = transaction.prepare_cached(
                "SELECT * FROM transactions
                 WHERE chain_id = :chain_id AND (:sender IS NULL OR sender = :sender) ORDER BY sequence",
            )?;
            let mut rows = kept.query(named_params! {
                ":chain_id": Number(chain_id),
                ":sender": sender.map(text),
            })?;
            let mut records = Vec::new();
            while let Some(row) = rows.next()? {
                let sequence: i64 = row.get("sequence")?;
                let of = &format!("the transaction in row {sequence}");
                let columns = Columns { row, of };
                let raw = columns.text("raw")?.parse();
                records.push(TransactionRecord {
                    chain_id,
                    sender: Address(columns.bytes("sender")?),
                    request: columns.bytes("request")?,
                    signed_at: columns.number("signed_at")?,
                    note: columns.json("note")?,
                    signed: SignedTransaction {
                        nonce: columns.number("nonce")?,
                        hash: columns.bytes("hash")?,
                        raw: raw.map_err(|_| columns.unreadable("its bytes are not hexadecimal"))?,
                    },
                });
            }
            Ok::<_, Failure>(records)
        })
        .await
    }

    /// Removes a transaction: its outcome is known and reported, or it never left the process.
    pub async fn forget_transaction(&self, hash: B256) -> Result<(), JournalError> {
        self.writing(move |transaction| {
            transaction
                .prepare_cached("DELETE FROM transactions WHERE hash = ?1")?
                .execute([text(hash)])?;
            Ok(())
        })
        .await
    }
}
