//! The journal in PostgreSQL.

use super::{
    PostgresStore,
    database::{Failure, Session},
};
use alloy::primitives::{Address, B256, FixedBytes};
use async_trait::async_trait;
use session_key_client::{
    journal::{
        Acquired, BlockRef, History, IntentId, IntentRecord, Journal, JournalError, Lane, Lease, ProcessId,
        Scope,
    },
    operation::{Open, Outcome},
};
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

type Failed = Failure<JournalError>;
type Params<'a> = Vec<(&'a (dyn ToSql + Sync), Type)>;

/// A lane in the format of its columns.
struct LaneKey {
    chain_id: String,
    entry_point: Vec<u8>,
    account: Vec<u8>,
    nonce_key: Vec<u8>,
}

/// The condition with the parameters of [`LaneKey::params`].
macro_rules! lane_is {
    () => {
        "chain_id = $1::numeric AND entry_point = $2 AND account = $3 AND nonce_key = $4"
    };
}

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

/// The condition with the parameters of [`ScopeKey::params`], and a name.
macro_rules! named {
    () => {
        "chain_id = $1::numeric AND account = $2 AND signer = $3 AND sha256(name) = sha256($4) AND name = $4 AND holds_name"
    };
}
impl LaneKey {
    fn of(lane: &Lane) -> Self {
        Self {
            chain_id: lane.chain_id.to_string(),
            entry_point: lane.entry_point.to_vec(),
            account: lane.account.to_vec(),
            nonce_key: lane.nonce_key.to_be_bytes::<24>().to_vec(),
        }
    }

    fn params(&self) -> Params<'_> {
        vec![
            (&self.chain_id, Type::TEXT),
            (&self.entry_point, Type::BYTEA),
            (&self.account, Type::BYTEA),
            (&self.nonce_key, Type::BYTEA),
        ]
    }
}

/// Columns that follow from a record, for queries.
#[derive(Debug, PartialEq, Eq)]
struct Derived {
    state: &'static str,
    is_final: bool,
    is_untold: bool,
    is_spent: bool,
    holds_name: bool,
    included_nonce: Option<Vec<u8>>,
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
            _ => "open",
        };
        Self {
            state,
            is_final: record.is_final(),
            is_untold: record.is_untold(),
            is_spent: record.is_spent(),
            holds_name: record.holds_name(),
            included_nonce: match &outcome {
                Outcome::Included(included) => Some(included.receipt.nonce.to_be_bytes::<32>().to_vec()),
                _ => None,
            },
        }
    }
}

fn unreadable(of: &str, why: &str) -> Failed {
    let message = format!("{of}: {why}");
    Failure::Said(JournalError::Unreadable { message })
}

fn damaged(of: &str, column: &str) -> Failed {
    unreadable(
        of,
        &format!("its column {column} was damaged, or written by a later version"),
    )
}

fn column<'r, T: tokio_postgres::types::FromSql<'r>>(
    row: &'r Row,
    of: &str,
    name: &str,
) -> Result<T, Failed> {
    row.try_get(name).map_err(|_| damaged(of, name))
}

fn number(row: &Row, of: &str, name: &str) -> Result<u64, Failed> {
    let text: &str = column(row, of, name)?;
    text.parse().map_err(|_| damaged(of, name))
}

fn bytes<const N: usize>(row: &Row, of: &str, name: &str) -> Result<FixedBytes<N>, Failed> {
    let bytes: &[u8] = column(row, of, name)?;
    FixedBytes::try_from(bytes).map_err(|_| damaged(of, name))
}

/// The number of operations by which an unbound chain is known.
const NEWEST: usize = 16;

/// The columns of a record. Numbers are read as text.
const INTENT: &str = "sequence, id, version::text AS version, chain_id::text AS chain_id, entry_point, account, \
     nonce_key, signer, name, request, record, state, is_final, is_untold, is_spent, holds_name, included_nonce";

/// Reads records that meet a condition, in order of first writing.
async fn read(session: &Session, condition: &str, params: Params<'_>) -> Result<Vec<IntentRecord>, Failed> {
    let sql = format!("SELECT {INTENT} FROM intents WHERE {condition} ORDER BY sequence");
    let rows = session.query(&sql, &params).await?;
    rows.iter().map(read_intent).collect()
}

fn read_intent(row: &Row) -> Result<IntentRecord, Failed> {
    let sequence: i64 = column(row, "an intent", "sequence")?;
    let id = IntentId(bytes(row, &format!("the intent in row {sequence}"), "id")?);
    let of = format!("intent {id}");
    let text: &str = column(row, &of, "record")?;
    let record: IntentRecord = serde_json::from_str(text).map_err(|_| damaged(&of, "record"))?;
    let derived = Derived::of(&record);
    let lane = LaneKey::of(&record.lane);
    let name = record.name.as_ref().map(|name| name.as_bytes());
    let is_equal = record.id == id
        && record.version == number(row, &of, "version")?
        && record.lane.chain_id == number(row, &of, "chain_id")?
        && lane.entry_point == column::<&[u8]>(row, &of, "entry_point")?
        && lane.account == column::<&[u8]>(row, &of, "account")?
        && lane.nonce_key == column::<&[u8]>(row, &of, "nonce_key")?
        && record.signer == Address(bytes(row, &of, "signer")?)
        && name == column::<Option<&[u8]>>(row, &of, "name")?
        && record.request == bytes::<32>(row, &of, "request")?
        && derived.state == column::<&str>(row, &of, "state")?
        && derived.is_final == column::<bool>(row, &of, "is_final")?
        && derived.is_untold == column::<bool>(row, &of, "is_untold")?
        && derived.is_spent == column::<bool>(row, &of, "is_spent")?
        && derived.holds_name == column::<bool>(row, &of, "holds_name")?
        && derived.included_nonce.as_deref() == column::<Option<&[u8]>>(row, &of, "included_nonce")?;
    if is_equal {
        Ok(record)
    } else {
        Err(unreadable(&of, "its columns are not those of its record"))
    }
}

/// Reads a lane's last epoch, and its lease unless it was released. Locks both until the end of the
/// transaction.
async fn read_lease(
    session: &Session,
    lane: &Lane,
    lock: &str,
) -> Result<Option<(u64, Option<Lease>)>, Failed> {
    let sql = format!(
        concat!(
            "SELECT epoch::text AS epoch, holder, until::text AS until FROM leases WHERE ",
            lane_is!(),
            " {lock}"
        ),
        lock = lock
    );
    let rows = session.query(&sql, &LaneKey::of(lane).params()).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let of = format!("the lease on {lane}");
    let epoch = number(row, &of, "epoch")?;
    let lease = match column::<Option<&[u8]>>(row, &of, "holder")? {
        None => None,
        Some(_) => Some(Lease {
            lane: *lane,
            holder: ProcessId(bytes(row, &of, "holder")?),
            epoch,
            until: number(row, &of, "until")?,
        }),
    };
    Ok(Some((epoch, lease)))
}

/// Returns the lane's lease, if it is this one.
async fn held(session: &Session, lease: &Lease, lock: &str) -> Result<Option<Lease>, Failed> {
    let held = read_lease(session, &lease.lane, lock)
        .await?
        .and_then(|(_, held)| held);
    Ok(held.filter(|held| held.holder == lease.holder && held.epoch == lease.epoch))
}

async fn write_lease(session: &Session, lease: &Lease, is_new: bool) -> Result<(), Failed> {
    let key = LaneKey::of(&lease.lane);
    let (epoch, holder, until) = (
        lease.epoch.to_string(),
        lease.holder.0.to_vec(),
        lease.until.to_string(),
    );
    let mut params = key.params();
    params.push((&epoch, Type::TEXT));
    params.push((&holder, Type::BYTEA));
    params.push((&until, Type::TEXT));
    // Of two that insert it, one finds it there, and runs again.
    let sql = if is_new {
        "INSERT INTO leases (chain_id, entry_point, account, nonce_key, epoch, holder, until)
         VALUES ($1::numeric, $2, $3, $4, $5::numeric, $6, $7::numeric)"
    } else {
        concat!(
            "UPDATE leases SET epoch = $5::numeric, holder = $6, until = $7::numeric WHERE ",
            lane_is!()
        )
    };
    session.query(sql, &params).await?;
    Ok(())
}

/// Writes one record, if it has the version of the stored one and its name is free.
async fn write(session: &Session, mut record: IntentRecord) -> Result<IntentRecord, Failed> {
    let conflict = || Failure::Said(JournalError::Conflict { id: record.id });
    let id = record.id.0.to_vec();
    let stored = session
        .query(
            "SELECT version::text AS version FROM intents WHERE id = $1 FOR UPDATE",
            &[(&id, Type::BYTEA)],
        )
        .await?;
    let stored = match stored.first() {
        None => None,
        Some(row) => Some(number(row, &format!("intent {}", record.id), "version")?),
    };
    if stored.unwrap_or(0) != record.version {
        return Err(conflict());
    }
    if let Some(name) = record.name.clone().filter(|_| record.holds_name())
        && let Some(holder) = holder(session, &record.scope(), &name).await?
        && holder != record.id
    {
        return Err(Failure::Said(JournalError::NameTaken { name, holder }));
    }
    record.version = record.version.checked_add(1).ok_or_else(conflict)?;
    let json = serde_json::to_string(&record).map_err(|_| {
        let message = "a record cannot be written as JSON".to_owned();
        Failure::Said(JournalError::Store { message })
    })?;
    // Refuse to write what cannot be read back.
    if serde_json::from_str::<IntentRecord>(&json).ok().as_ref() != Some(&record) {
        let message = format!("intent {} cannot be read back from its JSON", record.id);
        return Err(Failure::Said(JournalError::Store { message }));
    }
    let derived = Derived::of(&record);
    let key = LaneKey::of(&record.lane);
    let version = record.version.to_string();
    let signer = record.signer.to_vec();
    let name = record.name.as_ref().map(|name| name.as_bytes());
    let request = record.request.to_vec();
    let mut params = key.params();
    let rest: [(&(dyn ToSql + Sync), Type); 12] = [
        (&id, Type::BYTEA),
        (&version, Type::TEXT),
        (&signer, Type::BYTEA),
        (&name, Type::BYTEA),
        (&request, Type::BYTEA),
        (&json, Type::TEXT),
        (&derived.state, Type::TEXT),
        (&derived.is_final, Type::BOOL),
        (&derived.is_untold, Type::BOOL),
        (&derived.is_spent, Type::BOOL),
        (&derived.holds_name, Type::BOOL),
        (&derived.included_nonce, Type::BYTEA),
    ];
    params.extend(rest);
    let sql = if stored.is_none() {
        "INSERT INTO intents (
             chain_id, entry_point, account, nonce_key, id, version, signer, name, request, record, state,
             is_final, is_untold, is_spent, holds_name, included_nonce
         ) VALUES ($1::numeric, $2, $3, $4, $5, $6::numeric, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
    } else {
        "UPDATE intents SET
             chain_id = $1::numeric, entry_point = $2, account = $3, nonce_key = $4, version = $6::numeric,
             signer = $7, name = $8, request = $9, record = $10, state = $11, is_final = $12, is_untold = $13,
             is_spent = $14, holds_name = $15, included_nonce = $16
         WHERE id = $5"
    };
    session.query(sql, &params).await?;
    Ok(record)
}

/// Returns the intent that holds a name.
async fn holder(session: &Session, scope: &Scope, name: &str) -> Result<Option<IntentId>, Failed> {
    let scope = ScopeKey::of(scope);
    let name = name.as_bytes();
    let mut params = scope.params();
    params.push((&name, Type::BYTEA));
    let sql = concat!("SELECT id FROM intents WHERE ", named!());
    let rows = session.query(sql, &params).await?;
    match rows.first() {
        None => Ok(None),
        Some(row) => Ok(Some(IntentId(bytes(row, "the intent with a name", "id")?))),
    }
}

/// Reads the block of the chain that an id stands for.
async fn read_bound(session: &Session, chain_id: u64) -> Result<Option<BlockRef>, Failed> {
    let key = chain_id.to_string();
    let sql = "SELECT number::text AS number, hash FROM chains WHERE chain_id = $1::numeric";
    let rows = session.query(sql, &[(&key, Type::TEXT)]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let of = format!("chain {chain_id}");
    Ok(Some(BlockRef {
        number: number(row, &of, "number")?,
        hash: bytes(row, &of, "hash")?,
    }))
}

/// Reads the blocks in which the newest operations on a chain were made, newest first.
async fn read_made(session: &Session, chain_id: u64) -> Result<Vec<BlockRef>, Failed> {
    let key = chain_id.to_string();
    let sql = format!(
        "SELECT {INTENT} FROM intents WHERE chain_id = $1::numeric ORDER BY sequence DESC LIMIT {NEWEST}"
    );
    let rows = session.query(&sql, &[(&key, Type::TEXT)]).await?;
    let mut made = Vec::new();
    for row in &rows {
        for operation in read_intent(row)?.operations.iter().rev() {
            if !made.contains(&operation.made) {
                made.push(operation.made);
            }
        }
    }
    made.truncate(NEWEST);
    Ok(made)
}

/// A scope in the format of its columns.
struct ScopeKey {
    chain_id: String,
    account: Vec<u8>,
    signer: Vec<u8>,
}

impl ScopeKey {
    fn of(scope: &Scope) -> Self {
        Self {
            chain_id: scope.chain_id.to_string(),
            account: scope.account.to_vec(),
            signer: scope.signer.to_vec(),
        }
    }

    fn params(&self) -> Params<'_> {
        vec![
            (&self.chain_id, Type::TEXT),
            (&self.account, Type::BYTEA),
            (&self.signer, Type::BYTEA),
        ]
    }
}

#[async_trait]
impl Journal for PostgresStore {
    async fn acquire(
        &self,
        lane: &Lane,
        holder: ProcessId,
        now: u64,
        until: u64,
    ) -> Result<Acquired, JournalError> {
        let lane = *lane;
        self.database
            .writing(Box::new(move |session| {
                Box::pin(async move {
                    let known = read_lease(session, &lane, "FOR UPDATE").await?;
                    let is_new = known.is_none();
                    let (epoch, held) = known.unwrap_or_default();
                    if let Some(held) = &held
                        && held.holder != holder
                        && now < held.until
                    {
                        return Ok(Acquired::Held {
                            holder: held.holder,
                            until: held.until,
                        });
                    }
                    let Some(epoch) = epoch.checked_add(1) else {
                        let message = format!("the lane {lane} has no epochs left");
                        return Err(Failure::Said(JournalError::Store { message }));
                    };
                    let lease = Lease {
                        lane,
                        holder,
                        epoch,
                        until,
                    };
                    write_lease(session, &lease, is_new).await?;
                    Ok(Acquired::Lease {
                        lease,
                        lapsed: held.filter(|held| held.holder != holder),
                    })
                })
            }))
            .await
    }

    async fn renew(&self, lease: &Lease, until: u64) -> Result<Lease, JournalError> {
        let lease = lease.clone();
        self.database
            .writing(Box::new(move |session| {
                let lease = lease.clone();
                Box::pin(async move {
                    let held = held(session, &lease, "FOR UPDATE").await?;
                    let held = held.ok_or(Failure::Said(JournalError::LeaseLost))?;
                    let renewed = Lease { until, ..held };
                    write_lease(session, &renewed, false).await?;
                    Ok(renewed)
                })
            }))
            .await
    }

    async fn release(&self, lease: &Lease) -> Result<(), JournalError> {
        let lease = lease.clone();
        self.database
            .writing(Box::new(move |session| {
                let lease = lease.clone();
                Box::pin(async move {
                    if held(session, &lease, "FOR UPDATE").await?.is_some() {
                        let sql = concat!("UPDATE leases SET holder = NULL, until = NULL WHERE ", lane_is!());
                        session.query(sql, &LaneKey::of(&lease.lane).params()).await?;
                    }
                    Ok(())
                })
            }))
            .await
    }

    async fn put_all(
        &self,
        records: Vec<IntentRecord>,
        lease: Option<(&Lease, u64)>,
    ) -> Result<Vec<IntentRecord>, JournalError> {
        let lease = lease.map(|(lease, now)| (lease.clone(), now));
        self.database
            .writing(Box::new(move |session| {
                let (records, lease) = (records.clone(), lease.clone());
                Box::pin(async move {
                    // Nobody takes the lane before the records are visible.
                    if let Some((lease, now)) = &lease
                        && held(session, lease, "FOR SHARE")
                            .await?
                            .is_none_or(|held| *now >= held.until)
                    {
                        return Err(Failure::Said(JournalError::LeaseLost));
                    }
                    let mut written = Vec::with_capacity(records.len());
                    for record in records {
                        written.push(write(session, record).await?);
                    }
                    Ok(written)
                })
            }))
            .await
    }

    async fn intent(&self, id: IntentId) -> Result<Option<IntentRecord>, JournalError> {
        self.database
            .reading(Box::new(move |session| {
                Box::pin(async move {
                    let id = id.0.to_vec();
                    let found = read(session, "id = $1", vec![(&id, Type::BYTEA)]).await?;
                    Ok(found.into_iter().next())
                })
            }))
            .await
    }

    async fn named(&self, scope: &Scope, name: &str) -> Result<Option<IntentRecord>, JournalError> {
        let (scope, name) = (*scope, name.to_owned());
        self.database
            .reading(Box::new(move |session| {
                let name = name.clone();
                Box::pin(async move {
                    let scope = ScopeKey::of(&scope);
                    let name = name.as_bytes();
                    let mut params = scope.params();
                    params.push((&name, Type::BYTEA));
                    let found = read(session, named!(), params).await?;
                    Ok(found.into_iter().next())
                })
            }))
            .await
    }

    async fn unsettled(&self, lane: &Lane) -> Result<Vec<IntentRecord>, JournalError> {
        let lane = *lane;
        self.database
            .reading(Box::new(move |session| {
                Box::pin(async move {
                    let condition = concat!(lane_is!(), " AND NOT is_final");
                    read(session, condition, LaneKey::of(&lane).params()).await
                })
            }))
            .await
    }

    async fn untold(&self, scope: &Scope, request: B256) -> Result<Vec<IntentRecord>, JournalError> {
        let scope = *scope;
        self.database
            .reading(Box::new(move |session| {
                Box::pin(async move {
                    let scope = ScopeKey::of(&scope);
                    let request = request.to_vec();
                    let mut params = scope.params();
                    params.push((&request, Type::BYTEA));
                    let condition = "chain_id = $1::numeric AND account = $2 AND signer = $3 AND request = $4 \
                         AND is_untold";
                    read(session, condition, params).await
                })
            }))
            .await
    }

    async fn unsettled_lanes(&self, account: Option<(u64, Address)>) -> Result<Vec<Lane>, JournalError> {
        self.database
            .reading(Box::new(move |session| {
                Box::pin(async move {
                    let (chain_id, account) = match account {
                        Some((chain_id, account)) => (Some(chain_id.to_string()), Some(account.to_vec())),
                        None => (None, None),
                    };
                    let sql = "SELECT chain_id::text AS chain_id, entry_point, account, nonce_key FROM intents \
                         WHERE NOT is_final AND ($1 IS NULL OR (chain_id = $1::numeric AND account = $2)) \
                         GROUP BY chain_id, account, entry_point, nonce_key";
                    let rows = session
                        .query(sql, &[(&chain_id, Type::TEXT), (&account, Type::BYTEA)])
                        .await?;
                    rows.iter()
                        .map(|row| {
                            let of = "a lane";
                            let nonce_key = bytes::<24>(row, of, "nonce_key")?;
                            Ok(Lane {
                                chain_id: number(row, of, "chain_id")?,
                                entry_point: Address(bytes(row, of, "entry_point")?),
                                account: Address(bytes(row, of, "account")?),
                                nonce_key: alloy::primitives::aliases::U192::from_be_bytes(nonce_key.0),
                            })
                        })
                        .collect()
                })
            }))
            .await
    }

    async fn highest_included(&self, lane: &Lane) -> Result<Option<IntentRecord>, JournalError> {
        let lane = *lane;
        self.database
            .reading(Box::new(move |session| {
                Box::pin(async move {
                    let condition = concat!("sequence = ", highest!());
                    let found = read(session, condition, LaneKey::of(&lane).params()).await?;
                    Ok(found.into_iter().next())
                })
            }))
            .await
    }

    async fn prune(&self, lane: &Lane) -> Result<(), JournalError> {
        let lane = *lane;
        self.database
            .writing(Box::new(move |session| {
                Box::pin(async move {
                    let sql = concat!(
                        "DELETE FROM intents WHERE ",
                        lane_is!(),
                        " AND is_spent AND sequence IS DISTINCT FROM ",
                        highest!(),
                    );
                    session.query(sql, &LaneKey::of(&lane).params()).await?;
                    Ok(())
                })
            }))
            .await
    }

    async fn intents(&self, chain_id: u64, account: Address) -> Result<Vec<IntentRecord>, JournalError> {
        self.database
            .reading(Box::new(move |session| {
                Box::pin(async move {
                    let (chain_id, account) = (chain_id.to_string(), account.to_vec());
                    let params: Params<'_> = vec![(&chain_id, Type::TEXT), (&account, Type::BYTEA)];
                    read(session, "chain_id = $1::numeric AND account = $2", params).await
                })
            }))
            .await
    }

    async fn remove(&self, id: IntentId) -> Result<(), JournalError> {
        self.database
            .writing(Box::new(move |session| {
                Box::pin(async move {
                    let id = id.0.to_vec();
                    session
                        .query("DELETE FROM intents WHERE id = $1", &[(&id, Type::BYTEA)])
                        .await?;
                    Ok(())
                })
            }))
            .await
    }

    async fn history(&self, chain_id: u64) -> Result<History, JournalError> {
        self.database
            .reading(Box::new(move |session| {
                Box::pin(async move {
                    Ok(match read_bound(session, chain_id).await? {
                        Some(to) => History::Bound { to },
                        None => History::Unbound {
                            made: read_made(session, chain_id).await?,
                        },
                    })
                })
            }))
            .await
    }

    async fn bind(&self, chain_id: u64, block: BlockRef) -> Result<BlockRef, JournalError> {
        self.database
            .writing(Box::new(move |session| {
                Box::pin(async move {
                    let (key, number) = (chain_id.to_string(), block.number.to_string());
                    let hash = block.hash.to_vec();
                    let params: Params<'_> =
                        vec![(&key, Type::TEXT), (&number, Type::TEXT), (&hash, Type::BYTEA)];
                    let sql = "INSERT INTO chains (chain_id, number, hash) \
                         VALUES ($1::numeric, $2::numeric, $3) ON CONFLICT (chain_id) DO NOTHING";
                    session.query(sql, &params).await?;
                    // Committed by another process, if not by this one.
                    Ok(read_bound(session, chain_id).await?.unwrap_or(block))
                })
            }))
            .await
    }
}
