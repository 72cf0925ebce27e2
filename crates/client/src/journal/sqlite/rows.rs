//! Converts records to rows, and back.

use super::Failure;
use crate::{
    journal::{
        BlockRef, IntentId, IntentRecord, JournalError, Lane, Lease, Moment, OperationRecord, ProcessId,
        Scope,
    },
    operation::{Open, Outcome},
    permissions::{SignedOperation, UserOperation, kept_operation},
};
use alloy::primitives::{Address, FixedBytes, aliases::U192, hex};
use rusqlite::{
    Connection, Params, Row, ToSql, named_params,
    types::{ToSqlOutput, Value, ValueRef},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A 64-bit number. SQLite's integers are signed: larger ones are stored as text.
pub(super) struct Number(pub(super) u64);

impl ToSql for Number {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match i64::try_from(self.0) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Text(self.0.to_string()),
        };
        Ok(ToSqlOutput::Owned(value))
    }
}

pub(super) fn text(bytes: impl AsRef<[u8]>) -> String {
    hex::encode_prefixed(bytes)
}

/// A lane in the format of its columns.
pub(super) struct LaneKey {
    pub(super) chain_id: Number,
    pub(super) entry_point: String,
    pub(super) account: String,
    pub(super) nonce_key: String,
}

impl LaneKey {
    pub(super) fn of(lane: &Lane) -> Self {
        Self {
            chain_id: Number(lane.chain_id),
            entry_point: text(lane.entry_point),
            account: text(lane.account),
            nonce_key: text(lane.nonce_key.to_be_bytes::<24>()),
        }
    }

    pub(super) fn params(&self) -> [(&'static str, &dyn ToSql); 4] {
        [
            (":chain_id", &self.chain_id),
            (":entry_point", &self.entry_point),
            (":account", &self.account),
            (":nonce_key", &self.nonce_key),
        ]
    }
}

/// The condition with the parameters of [`LaneKey::params`].
macro_rules! lane_is {
    () => {
        "chain_id = :chain_id AND entry_point = :entry_point AND account = :account AND nonce_key = :nonce_key"
    };
}
pub(super) use lane_is;

/// The row of a lane's included record with the highest nonce.
macro_rules! highest {
    () => {
        concat!(
            "(SELECT sequence FROM intents WHERE ",
            lane_is!(),
            " AND included_nonce IS NOT NULL ORDER BY included_nonce DESC, sequence DESC LIMIT 1)"
        )
    };
}
pub(super) use highest;

/// Columns derived from the rest of a record, for queries.
#[derive(Debug, PartialEq, Eq)]
struct Derived {
    state: &'static str,
    is_final: bool,
    is_untold: bool,
    is_spent: bool,
    holds_name: bool,
    included_nonce: Option<String>,
}

impl Derived {
    fn of(record: &IntentRecord) -> Self {
        let outcome = record.outcome();
        let state = match &outcome {
            Outcome::Included(included) if included.success => "included",
            Outcome::Included(_) => "reverted",
            Outcome::Void(_) => "void",
            Outcome::NeverSent => "never_sent",
            Outcome::Open(Open::NoAnswer) => "no_answer",
            Outcome::Open(Open::InPool) => "in_pool",
            Outcome::Open(Open::NotTaken(_)) => "not_taken",
            Outcome::Open(Open::NonceUsed { .. }) => "nonce_used",
            Outcome::Open(Open::NonceGap { .. }) => "nonce_gap",
        };
        let included_nonce = match &outcome {
            Outcome::Included(included) => Some(text(included.receipt.nonce.to_be_bytes::<32>())),
            _ => None,
        };
        Self {
            state,
            is_final: record.is_final(),
            is_untold: record.is_untold(),
            is_spent: record.is_spent(),
            holds_name: record.holds_name(),
            included_nonce,
        }
    }
}

/// Writes a record, replacing the one with its id.
pub(super) fn write(connection: &Connection, record: &IntentRecord) -> Result<(), Failure> {
    let IntentRecord {
        id,
        version,
        lane,
        signer,
        name,
        request,
        grants_to,
        asked,
        deadline,
        given_up,
        told,
        told_to,
        operations,
    } = record;
    let derived = Derived::of(record);
    let lane = LaneKey::of(lane);
    let id = text(id.0);
    connection
        .prepare_cached(
            "INSERT INTO intents (
                 id, version, chain_id, entry_point, account, nonce_key, signer, name, request, grants_to,
                 asked_at, asked_process, asked_sequence, deadline, given_up_at, given_up_process, given_up_sequence,
                 told, told_to, state, is_final, is_untold, is_spent, holds_name, included_nonce
             ) VALUES (
                 :id, :version, :chain_id, :entry_point, :account, :nonce_key, :signer, :name, :request, :grants_to,
                 :asked_at, :asked_process, :asked_sequence, :deadline, :given_up_at, :given_up_process,
                 :given_up_sequence, :told, :told_to, :state, :is_final, :is_untold, :is_spent, :holds_name,
                 :included_nonce
             ) ON CONFLICT (id) DO UPDATE SET
                 version = excluded.version, chain_id = excluded.chain_id, entry_point = excluded.entry_point,
                 account = excluded.account, nonce_key = excluded.nonce_key, signer = excluded.signer,
                 name = excluded.name, request = excluded.request, grants_to = excluded.grants_to,
                 asked_at = excluded.asked_at, asked_process = excluded.asked_process,
                 asked_sequence = excluded.asked_sequence, deadline = excluded.deadline,
                 given_up_at = excluded.given_up_at, given_up_process = excluded.given_up_process,
                 given_up_sequence = excluded.given_up_sequence, told = excluded.told, told_to = excluded.told_to,
                 state = excluded.state, is_final = excluded.is_final, is_untold = excluded.is_untold,
                 is_spent = excluded.is_spent, holds_name = excluded.holds_name,
                 included_nonce = excluded.included_nonce",
        )?
        .execute(named_params! {
            ":id": id,
            ":version": Number(*version),
            ":chain_id": lane.chain_id,
            ":entry_point": lane.entry_point,
            ":account": lane.account,
            ":nonce_key": lane.nonce_key,
            ":signer": text(signer),
            ":name": name,
            ":request": text(request),
            ":grants_to": json(grants_to)?,
            ":asked_at": Number(asked.at),
            ":asked_process": text(asked.process.0),
            ":asked_sequence": Number(asked.sequence),
            ":deadline": Number(*deadline),
            ":given_up_at": given_up.map(|moment| Number(moment.at)),
            ":given_up_process": given_up.map(|moment| text(moment.process.0)),
            ":given_up_sequence": given_up.map(|moment| Number(moment.sequence)),
            ":told": told,
            ":told_to": told_to.map(|other| text(other.0)),
            ":state": derived.state,
            ":is_final": derived.is_final,
            ":is_untold": derived.is_untold,
            ":is_spent": derived.is_spent,
            ":holds_name": derived.holds_name,
            ":included_nonce": derived.included_nonce,
        })?;
    connection
        .prepare_cached("DELETE FROM operations WHERE intent = ?1")?
        .execute([&id])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO operations (
             intent, position, hash, nonce, operation, made_number, made_hash, doubt, handover, nonce_past,
             nonce_gap, void, included
         ) VALUES (
             :intent, :position, :hash, :nonce, :operation, :made_number, :made_hash, :doubt, :handover, :nonce_past,
             :nonce_gap, :void, :included
         )",
    )?;
    for (position, operation) in (0..).zip(operations) {
        let OperationRecord {
            signed: SignedOperation { operation, hash },
            made,
            doubt,
            handover,
            nonce_past,
            nonce_gap,
            void,
            included,
        } = operation;
        insert.execute(named_params! {
            ":intent": id,
            ":position": Number(position),
            ":hash": text(hash),
            ":nonce": text(operation.nonce.to_be_bytes::<32>()),
            ":operation": json(&Kept(operation.clone()))?,
            ":made_number": Number(made.number),
            ":made_hash": text(made.hash),
            ":doubt": doubt.as_ref().map(json).transpose()?,
            ":handover": json(handover)?,
            ":nonce_past": nonce_past.as_ref().map(json).transpose()?,
            ":nonce_gap": nonce_gap.as_ref().map(json).transpose()?,
            ":void": void.as_ref().map(json).transpose()?,
            ":included": included.as_ref().map(json).transpose()?,
        })?;
    }
    Ok(())
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|_| {
        let message = "a record cannot be written as JSON".to_owned();
        Failure::Said(JournalError::Store { message })
    })
}

/// Reads the records that meet a condition, in order of first writing.
pub(super) fn read(
    connection: &Connection,
    condition: &str,
    params: impl Params,
) -> Result<Vec<IntentRecord>, Failure> {
    let mut intents = connection.prepare_cached(&format!(
        "SELECT * FROM intents WHERE {condition} ORDER BY sequence"
    ))?;
    let mut rows = intents.query(params)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(read_intent(connection, row)?);
    }
    Ok(records)
}

fn read_intent(connection: &Connection, row: &Row<'_>) -> Result<IntentRecord, Failure> {
    let sequence: i64 = row.get("sequence")?;
    let unnamed = Columns {
        row,
        of: &format!("the intent in row {sequence}"),
    };
    let id = IntentId(unnamed.bytes("id")?);
    let name = format!("intent {id}");
    let columns = Columns { row, of: &name };
    let given_up = match columns.optional("given_up_at", Columns::number)? {
        None => None,
        Some(at) => Some(Moment {
            at,
            process: ProcessId(columns.bytes("given_up_process")?),
            sequence: columns.number("given_up_sequence")?,
        }),
    };
    let mut operations =
        connection.prepare_cached("SELECT * FROM operations WHERE intent = ?1 ORDER BY position")?;
    let mut rows = operations.query([text(id.0)])?;
    let mut operations = Vec::new();
    while let Some(row) = rows.next()? {
        operations.push(read_operation(&Columns { row, of: &name }, operations.len())?);
    }
    let record = IntentRecord {
        id,
        version: columns.number("version")?,
        lane: columns.lane()?,
        signer: Address(columns.bytes("signer")?),
        name: columns.optional("name", |columns, name| columns.text(name).map(str::to_owned))?,
        request: columns.bytes("request")?,
        grants_to: columns.json("grants_to")?,
        asked: Moment {
            at: columns.number("asked_at")?,
            process: ProcessId(columns.bytes("asked_process")?),
            sequence: columns.number("asked_sequence")?,
        },
        deadline: columns.number("deadline")?,
        given_up,
        told: columns.flag("told")?,
        told_to: columns.optional("told_to", Columns::bytes)?.map(IntentId),
        operations,
    };
    let derived = Derived::of(&record);
    let is_equal = columns.text("state")? == derived.state
        && columns.flag("is_final")? == derived.is_final
        && columns.flag("is_untold")? == derived.is_untold
        && columns.flag("is_spent")? == derived.is_spent
        && columns.flag("holds_name")? == derived.holds_name
        && columns.optional("included_nonce", Columns::text)? == derived.included_nonce.as_deref();
    if is_equal {
        Ok(record)
    } else {
        Err(columns.unreadable("its state is not that of its operations"))
    }
}

/// An operation with its version, as JSON.
#[derive(Serialize, Deserialize)]
struct Kept(#[serde(with = "kept_operation")] UserOperation);

fn read_operation(columns: &Columns<'_>, position: usize) -> Result<OperationRecord, Failure> {
    if usize::try_from(columns.number("position")?) != Ok(position) {
        return Err(columns.unreadable(&format!("its operation {position} is missing")));
    }
    let record = OperationRecord {
        signed: SignedOperation {
            operation: columns.json::<Kept>("operation")?.0,
            hash: columns.bytes("hash")?,
        },
        made: BlockRef {
            number: columns.number("made_number")?,
            hash: columns.bytes("made_hash")?,
        },
        doubt: columns.optional("doubt", Columns::json)?,
        handover: columns.json("handover")?,
        nonce_past: columns.optional("nonce_past", Columns::json)?,
        nonce_gap: columns.optional("nonce_gap", Columns::json)?,
        void: columns.optional("void", Columns::json)?,
        included: columns.optional("included", Columns::json)?,
    };
    if columns.text("nonce")? == text(record.nonce().to_be_bytes::<32>()) {
        Ok(record)
    } else {
        Err(columns.unreadable(&format!("its operation {position} has two nonces")))
    }
}

/// Reads the lanes of rows that meet a condition.
pub(super) fn read_lanes(
    connection: &Connection,
    condition: &str,
    params: impl Params,
) -> Result<Vec<Lane>, Failure> {
    let mut lanes = connection.prepare_cached(&format!(
        "SELECT chain_id, entry_point, account, nonce_key, min(sequence) AS sequence FROM intents WHERE {condition}
         GROUP BY chain_id, account, entry_point, nonce_key"
    ))?;
    let mut rows = lanes.query(params)?;
    let mut lanes = Vec::new();
    while let Some(row) = rows.next()? {
        let sequence: i64 = row.get("sequence")?;
        let of = &format!("the intent in row {sequence}");
        lanes.push(Columns { row, of }.lane()?);
    }
    Ok(lanes)
}

/// Reads a lane's last epoch, and its lease unless it was released.
pub(super) fn read_lease(
    connection: &Connection,
    lane: &Lane,
) -> Result<Option<(u64, Option<Lease>)>, Failure> {
    let mut leases = connection.prepare_cached(concat!(
        "SELECT epoch, holder, until FROM leases WHERE ",
        lane_is!()
    ))?;
    let key = LaneKey::of(lane);
    let mut rows = leases.query(&key.params()[..])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let columns = Columns {
        row,
        of: &format!("the lease on {lane}"),
    };
    let epoch = columns.number("epoch")?;
    let lease = match columns.optional("holder", Columns::bytes)? {
        None => None,
        Some(holder) => Some(Lease {
            lane: *lane,
            holder: ProcessId(holder),
            epoch,
            until: columns.number("until")?,
        }),
    };
    Ok(Some((epoch, lease)))
}

/// Reads a record's version, and nothing else.
pub(super) fn read_version(connection: &Connection, id: IntentId) -> Result<Option<u64>, Failure> {
    let mut versions = connection.prepare_cached("SELECT version FROM intents WHERE id = ?1")?;
    let mut rows = versions.query([text(id.0)])?;
    match rows.next()? {
        None => Ok(None),
        Some(row) => Columns {
            row,
            of: &format!("intent {id}"),
        }
        .number("version")
        .map(Some),
    }
}

/// Reads the intent that holds a name.
pub(super) fn read_holder(
    connection: &Connection,
    scope: &Scope,
    name: &str,
) -> Result<Option<IntentId>, Failure> {
    let mut holders = connection.prepare_cached(
        "SELECT id, sequence FROM intents
         WHERE chain_id = :chain_id AND account = :account AND signer = :signer AND name = :name AND holds_name = 1",
    )?;
    let mut rows = holders.query(named_params! {
        ":chain_id": Number(scope.chain_id),
        ":account": text(scope.account),
        ":signer": text(scope.signer),
        ":name": name,
    })?;
    match rows.next()? {
        None => Ok(None),
        Some(row) => {
            let sequence: i64 = row.get("sequence")?;
            let of = &format!("the intent in row {sequence}");
            Columns { row, of }.bytes("id").map(|id| Some(IntentId(id)))
        }
    }
}

/// Gives a lane to a holder, with an epoch.
pub(super) fn write_lease(connection: &Connection, lease: &Lease) -> Result<(), Failure> {
    let key = LaneKey::of(&lease.lane);
    connection
        .prepare_cached(
            "INSERT INTO leases (chain_id, entry_point, account, nonce_key, epoch, holder, until)
             VALUES (:chain_id, :entry_point, :account, :nonce_key, :epoch, :holder, :until)
             ON CONFLICT DO UPDATE SET epoch = excluded.epoch, holder = excluded.holder, until = excluded.until",
        )?
        .execute(named_params! {
            ":chain_id": key.chain_id,
            ":entry_point": key.entry_point,
            ":account": key.account,
            ":nonce_key": key.nonce_key,
            ":epoch": Number(lease.epoch),
            ":holder": text(lease.holder.0),
            ":until": Number(lease.until),
        })?;
    Ok(())
}

/// Clears a lane's holder, keeping the epoch.
pub(super) fn clear_lease(connection: &Connection, lane: &Lane) -> Result<(), Failure> {
    connection
        .prepare_cached(concat!(
            "UPDATE leases SET holder = NULL, until = NULL WHERE ",
            lane_is!()
        ))?
        .execute(&LaneKey::of(lane).params()[..])?;
    Ok(())
}

/// Reads the block of the chain that an id stands for.
pub(super) fn read_bound(connection: &Connection, chain_id: u64) -> Result<Option<BlockRef>, Failure> {
    let mut chains = connection.prepare_cached("SELECT number, hash FROM chains WHERE chain_id = ?1")?;
    let mut rows = chains.query([Number(chain_id)])?;
    match rows.next()? {
        None => Ok(None),
        Some(row) => {
            let of = &format!("chain {chain_id}");
            let columns = Columns { row, of };
            Ok(Some(BlockRef {
                number: columns.number("number")?,
                hash: columns.bytes("hash")?,
            }))
        }
    }
}

/// Binds an id to the chain with this block.
pub(super) fn write_bound(connection: &Connection, chain_id: u64, block: BlockRef) -> Result<(), Failure> {
    connection
        .prepare_cached("INSERT INTO chains (chain_id, number, hash) VALUES (:chain_id, :number, :hash)")?
        .execute(named_params! {
            ":chain_id": Number(chain_id),
            ":number": Number(block.number),
            ":hash": text(block.hash),
        })?;
    Ok(())
}

/// Reads the blocks in which the newest operations on a chain were made, newest first.
pub(super) fn read_made(connection: &Connection, chain_id: u64) -> Result<Vec<BlockRef>, Failure> {
    let mut made = connection.prepare_cached(
        "SELECT DISTINCT made_number, made_hash FROM
             (SELECT made_number, made_hash FROM operations JOIN intents ON operations.intent = intents.id
              WHERE intents.chain_id = ?1 ORDER BY intents.sequence DESC, operations.position DESC LIMIT 16)",
    )?;
    let mut rows = made.query([Number(chain_id)])?;
    let mut blocks = Vec::new();
    while let Some(row) = rows.next()? {
        let columns = Columns {
            row,
            of: "an operation",
        };
        blocks.push(BlockRef {
            number: columns.number("made_number")?,
            hash: columns.bytes("made_hash")?,
        });
    }
    Ok(blocks)
}

/// The columns of an untrusted row.
pub(super) struct Columns<'r> {
    pub(super) row: &'r Row<'r>,
    /// The row's description, for errors.
    pub(super) of: &'r str,
}

impl<'r> Columns<'r> {
    pub(super) fn unreadable(&self, why: &str) -> Failure {
        let message = format!("{}: {why}", self.of);
        Failure::Said(JournalError::Unreadable { message })
    }

    fn damaged(&self, column: &str) -> Failure {
        self.unreadable(&format!(
            "its column {column} was damaged, or written by a later version"
        ))
    }

    fn optional<T>(
        &self,
        column: &str,
        read: impl FnOnce(&Self, &str) -> Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        match self.row.get_ref(column)? {
            ValueRef::Null => Ok(None),
            _ => read(self, column).map(Some),
        }
    }

    pub(super) fn text(&self, column: &str) -> Result<&'r str, Failure> {
        let value = self.row.get_ref(column)?;
        value.as_str().map_err(|_| self.damaged(column))
    }

    pub(super) fn number(&self, column: &str) -> Result<u64, Failure> {
        let number = match self.row.get_ref(column)? {
            ValueRef::Integer(number) => u64::try_from(number).ok(),
            ValueRef::Text(text) => std::str::from_utf8(text)
                .ok()
                .and_then(|text| {
                    text.parse()
                        .ok()
                        .filter(|number: &u64| number.to_string() == text)
                })
                // Numbers that fit are not stored as text: queries would not find them.
                .filter(|number| i64::try_from(*number).is_err()),
            _ => None,
        };
        number.ok_or_else(|| self.damaged(column))
    }

    fn flag(&self, column: &str) -> Result<bool, Failure> {
        match self.row.get_ref(column)? {
            ValueRef::Integer(0) => Ok(false),
            ValueRef::Integer(1) => Ok(true),
            _ => Err(self.damaged(column)),
        }
    }

    /// Reads hex as [`text`] writes it: in another format, queries would not find it.
    pub(super) fn bytes<const N: usize>(&self, column: &str) -> Result<FixedBytes<N>, Failure> {
        let written = self.text(column)?;
        let mut bytes = FixedBytes::ZERO;
        hex::decode_to_slice(written, bytes.as_mut_slice()).map_err(|_| self.damaged(column))?;
        if text(bytes) == written {
            Ok(bytes)
        } else {
            Err(self.damaged(column))
        }
    }

    pub(super) fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, Failure> {
        serde_json::from_str(self.text(column)?).map_err(|_| self.damaged(column))
    }

    fn lane(&self) -> Result<Lane, Failure> {
        Ok(Lane {
            chain_id: self.number("chain_id")?,
            entry_point: Address(self.bytes("entry_point")?),
            account: Address(self.bytes("account")?),
            nonce_key: U192::from_be_bytes(self.bytes::<24>("nonce_key")?.0),
        })
    }
}
