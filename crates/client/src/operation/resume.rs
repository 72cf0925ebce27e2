//! Settles the intents in the journal: after a restart, and on request.

use super::{
    DEFAULT_TIMEOUT,
    core::Core,
    course::handover_after,
    desk::{LEASE, TurnError},
    error::{Cause, OperationError},
    settle::{SettleError, View},
};
use crate::{
    journal::{Handover, IntentId, IntentRecord, Lane, Lease, OperationRecord},
    permissions::UserOperation,
    request::RequestError,
};
use alloy::primitives::B256;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long `resume` tries to acquire a lane before it continues with the others.
const TURN: Duration = Duration::from_millis(50);
/// How long `resume` waits for lanes that other processes hold. A dead process holds its lanes no longer than
/// this; a live one extends its leases.
const LAPSE: Duration = LEASE.saturating_add(Duration::from_secs(1));
/// How long `resume` waits for operations undone by a reorganization to be included again.
const UNDONE: Duration = Duration::from_secs(30);
/// The first pause between two looks at the chain.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause between two looks at the chain.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

fn settling_failed(error: SettleError) -> OperationError {
    match error {
        SettleError::Request(error) => node_failed(error),
        SettleError::Journal(error) => OperationError::nothing_sent(error),
        SettleError::WrongChain { expected, found } => {
            OperationError::nothing_sent(Cause::WrongChain { expected, found })
        }
    }
}

fn node_failed(error: RequestError) -> OperationError {
    OperationError::nothing_sent(Cause::Request {
        by: "node".to_owned(),
        error,
    })
}

/// The maximum wait of `resume` for an intent whose process died, in addition to acquiring its lane and
/// querying its outcome.
const LONGEST_RESUME: Duration = Duration::from_secs(600);

impl Core {
    /// Returns the maximum total duration of `resume`.
    pub(crate) const fn longest_wait(&self) -> Duration {
        LONGEST_RESUME
            .saturating_add(LAPSE)
            .saturating_add(DEFAULT_TIMEOUT)
    }

    /// Like [`check_history`](Self::check_history), for questions about intents.
    pub(crate) async fn require_history(&self) -> Result<(), OperationError> {
        self.check_history().await.map_err(settling_failed)
    }

    /// Settles the account's open intents. Those whose processes died are sent again within their callers'
    /// time.
    #[tracing::instrument(level = "debug", skip_all, fields(account = %self.account.address()))]
    pub(crate) async fn resume(&self) -> Result<Vec<IntentRecord>, OperationError> {
        self.require_history().await?;
        let account = (self.chain_id(), self.account.address());
        let lanes = self.desk.journal().unsettled_lanes(Some(account)).await?;
        let lapse = Instant::now() + LAPSE;
        let mut settled = Vec::new();
        let mut held = Vec::new();
        // Records for other contracts are not this client's.
        for lane in lanes
            .into_iter()
            .filter(|lane| lane.entry_point == self.entry_point())
        {
            match self.resume_lane(lane, Instant::now() + TURN).await? {
                Some(records) => settled.extend(records),
                None => held.push(lane),
            }
        }
        for lane in held {
            settled.extend(match self.resume_lane(lane, lapse).await? {
                Some(records) => records,
                None => self.desk.journal().unsettled(&lane).await?,
            });
        }
        Ok(settled)
    }

    /// Settles a lane's intents. `None`: another process works on it.
    async fn resume_lane(
        &self,
        lane: Lane,
        until: Instant,
    ) -> Result<Option<Vec<IntentRecord>>, OperationError> {
        let turn = match self.desk.turn(lane, until).await {
            Ok(turn) => turn,
            Err(TurnError::Busy) => return Ok(None),
            Err(TurnError::Journal(error)) => return Err(error.into()),
        };
        let mut records = self.desk.journal().unsettled(&lane).await?;
        let ids: Vec<IntentId> = records.iter().map(|record| record.id).collect();
        let mut pause = FIRST_PAUSE;
        let mut sent_at: Option<Instant> = None;
        let started = Instant::now();
        loop {
            // Others may have recorded that no one waits any more.
            for record in &mut records {
                if let Ok(Some(newest)) = self.desk.journal().intent(record.id).await {
                    *record = newest;
                }
            }
            let view = self.view(&lane).await.map_err(node_failed);
            let settled = match &view {
                Ok(view) => self.settle(view, &mut records).await.map_err(settling_failed),
                Err(error) => Err(error.clone()),
            };
            let now = self.desk.now();
            let is_waited_for = |record: &IntentRecord| {
                // A reorganization has undone an inclusion that its caller was told about.
                let is_undone = record.told && started.elapsed() < UNDONE;
                let is_in_time =
                    record.given_up.is_none() && now < record.deadline && started.elapsed() < LONGEST_RESUME;
                (is_undone || is_in_time)
                    && self.desk.dropped_at(record.id).is_none()
                    && record.open_operations().any(|operation| {
                        !matches!(&operation.handover, Handover::NotTaken(reason) if !reason.is_passing())
                    })
            };
            if !records.iter().any(is_waited_for) {
                settled?;
                break;
            }
            if let Ok(view) = &view
                && sent_at.is_none_or(|sent_at| sent_at.elapsed() >= Duration::from_secs(2))
            {
                sent_at = Some(Instant::now());
                self.send_again(view, &mut records, is_waited_for).await;
            }
            sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
        for record in &mut records {
            self.leave_alone(record, turn.lapsed.as_ref()).await?;
        }
        turn.release().await;
        let mut settled = Vec::new();
        for (id, known) in ids.into_iter().zip(records) {
            settled.push(self.desk.journal().intent(id).await?.unwrap_or(known));
        }
        Ok(Some(settled))
    }

    /// Sends open operations again, lowest nonce first.
    async fn send_again(
        &self,
        view: &View,
        records: &mut [IntentRecord],
        is_waited_for: impl Fn(&IntentRecord) -> bool,
    ) {
        let mut again = Vec::new();
        for (position, record) in records.iter().enumerate() {
            if !is_waited_for(record) {
                continue;
            }
            for (index, operation) in record.operations.iter().enumerate() {
                if operation.is_open() && operation.nonce() >= view.nonce {
                    again.push((operation.nonce(), position, index));
                }
            }
        }
        again.sort_unstable();
        for (_, position, index) in again {
            let record = &mut records[position];
            // The records may be outdated by now: the chain can take long to answer.
            let Ok(Some(newest)) = self.desk.journal().intent(record.id).await else {
                continue;
            };
            *record = newest;
            if !is_waited_for(record) || !record.operations.get(index).is_some_and(OperationRecord::is_open) {
                continue;
            }
            // An inconsistent record was damaged, or tampered with.
            if self.check_ours(record).is_err() {
                continue;
            }
            let operation = &mut record.operations[index];
            let sent = self.hand_over(&operation.signed).await;
            // It may have left before its process died.
            let handover = handover_after(operation.handover.clone(), &sent, false);
            if handover != operation.handover {
                operation.handover = handover;
                if let Ok(written) = self.desk.journal().put(record.clone(), None).await {
                    *record = written;
                }
            }
        }
    }

    /// Records that no one waits for an intent any more: its caller is gone, and its time is over, or it is
    /// decided.
    async fn leave_alone(
        &self,
        record: &mut IntentRecord,
        lapsed: Option<&Lease>,
    ) -> Result<(), OperationError> {
        if record.given_up.is_some() || record.told {
            return Ok(());
        }
        let Some(given_up) = self.desk.left_alone_at(record, lapsed) else {
            return Ok(());
        };
        if let Some(written) = self.give_up(record.clone(), given_up).await? {
            *record = written;
        }
        Ok(())
    }

    /// Returns the journal's record of an intent, after looking at the chain.
    #[tracing::instrument(level = "debug", skip_all, fields(intent = %id))]
    pub(crate) async fn looked_up(&self, id: IntentId) -> Result<Option<IntentRecord>, OperationError> {
        let Some(record) = self.desk.journal().intent(id).await? else {
            return Ok(None);
        };
        self.check_ours(&record)?;
        self.require_history().await?;
        let view = self.view(&record.lane).await.map_err(node_failed)?;
        // The operations it may wait for must be up to date. A reorganization can undo them with it.
        let may_wait = |operation: &OperationRecord| {
            let is_settled = match &operation.included {
                Some(included) => included.is_final,
                None => !operation.is_open(),
            };
            !is_settled && operation.nonce() > view.nonce
        };
        if record.operations.iter().any(may_wait) {
            let mut others = self.desk.journal().unsettled(&record.lane).await?;
            others.retain(|other| other.id != id);
            self.settle(&view, &mut others).await.map_err(settling_failed)?;
        }
        let mut records = [record];
        self.settle(&view, &mut records).await.map_err(settling_failed)?;
        let [record] = records;
        Ok(Some(record))
    }

    /// Removes a settled intent.
    pub(crate) async fn forget(&self, id: IntentId) -> Result<(), OperationError> {
        let Some(record) = self.looked_up(id).await? else {
            return Ok(());
        };
        if let Some(open) = record.open_operations().next() {
            let by = open.signed.hash;
            return Err(OperationError {
                cause: Box::new(Cause::BlockedBy { by }),
                happened: record.outcome().happened(),
                intent: Some(id),
                user_op_hash: Some(by),
            });
        }
        Ok(self.desk.journal().remove(id).await?)
    }

    /// Returns the last operation signed for an open intent.
    pub(crate) async fn newest_operation(&self, id: IntentId) -> Result<UserOperation, OperationError> {
        let unknown = || {
            OperationError::nothing_sent(Cause::NotOurs {
                what: "intent".to_owned(),
                expected: "one of the journal".to_owned(),
                found: id.to_string(),
            })
        };
        let record = self.desk.journal().intent(id).await?.ok_or_else(unknown)?;
        self.check_ours(&record)?;
        let newest = record.operations.last().ok_or_else(unknown)?;
        Ok(newest.signed.operation.clone())
    }

    /// Whether an intent has exactly this request.
    pub(crate) async fn asks_for(&self, id: IntentId, request: B256) -> Result<bool, OperationError> {
        let record = self.desk.journal().intent(id).await?;
        Ok(record.is_none_or(|record| record.request == request))
    }

    /// Kept operations are used only with the chain, EntryPoint and account they were signed for, and their
    /// hashes are checked.
    pub(crate) fn check_ours(&self, record: &IntentRecord) -> Result<(), Cause> {
        let differs = |what: &str, expected: String, found: String| {
            if expected == found {
                return Ok(());
            }
            Err(Cause::NotOurs {
                what: what.to_owned(),
                expected,
                found,
            })
        };
        let lane = &record.lane;
        differs("chain", self.chain_id().to_string(), lane.chain_id.to_string())?;
        differs(
            "EntryPoint",
            self.entry_point().to_string(),
            lane.entry_point.to_string(),
        )?;
        let account = self.account.address().to_string();
        differs("account", account.clone(), lane.account.to_string())?;
        for operation in &record.operations {
            let signed = &operation.signed;
            differs("sender", account.clone(), signed.operation.sender.to_string())?;
            let hash = signed.operation.hash(self.entry_point(), self.chain_id());
            differs("hash", hash.to_string(), signed.hash.to_string())?;
        }
        Ok(())
    }
}
