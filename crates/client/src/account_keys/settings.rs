//! Reads a permission module's settings for an entity id.

use super::{
    abi::{Allowlist, NativeTokenLimit, PaymasterGuard, TimeRange},
    read::{Logs, MissingSetting, events},
};
use crate::{
    inspect::Views,
    node::{Head, LogFilter, LogsBackwards, MissingBlocks, Node},
    permissions::account_modules::{AccountModule, AllowlistSettings, AllowlistTarget, Hook, Settings},
    request::{RequestError, patiently},
};
use alloy::{
    eips::BlockId,
    network::TransactionBuilder as _,
    primitives::{Address, B256, Bytes, Selector},
    rpc::types::TransactionRequest,
    sol_types::{SolCall, SolEvent},
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) use alloy::rpc::types::Log;

/// The most entries of an allowlist that are read.
const MAX_ENTRIES: usize = 2_000;
/// The most requests for logs, where a node does not answer those of the whole chain at once.
const MAX_LOG_REQUESTS: usize = 1_000;
/// Number of unanswered block ranges after which reading stops.
const MAX_MISSING: usize = 16;

/// Entries to read even if no event shows them.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) targets: BTreeSet<Address>,
    /// Functions of a target; of zero, those on every target.
    pub(super) functions: BTreeSet<(Address, Selector)>,
    pub(super) paymasters: BTreeSet<Address>,
}

/// What was read of an entity.
#[derive(Default)]
pub(super) struct Read {
    pub(super) settings: Option<Settings>,
    pub(super) missing: Vec<MissingSetting>,
}

pub(super) struct Reader<'a> {
    node: &'a Node,
    account: Address,
    head: &'a Head,
    asked: &'a Asked,
    has_multicall: bool,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(
        node: &'a Node,
        account: Address,
        head: &'a Head,
        asked: &'a Asked,
        has_multicall: bool,
    ) -> Self {
        Self {
            node,
            account,
            head,
            asked,
            has_multicall,
        }
    }

    pub(super) const fn account(&self) -> Address {
        self.account
    }

    const fn at(&self) -> BlockId {
        BlockId::hash(self.head.hash)
    }

    /// Returns a view's answer, or why there is none.
    pub(super) async fn view<C: SolCall>(&self, module: Address, call: &C) -> Result<C::Return, String> {
        let question = TransactionRequest::default()
            .with_to(module)
            .with_input(call.abi_encode());
        let answer = patiently(|| self.node.call(&question, self.at())).await;
        let answer = answer.map_err(|error| error.to_string())?;
        C::abi_decode_returns_validate(&answer)
            .map_err(|_| format!("{} was not answered as expected", C::SIGNATURE))
    }

    /// Reads the settings of a hook; none if its module is unknown.
    pub(super) async fn settings(&self, hook: &Hook) -> Read {
        let (module, entity_id, account) = (hook.module.address, hook.entity_id, self.account);
        let view = |reason: String| Read {
            settings: None,
            missing: vec![MissingSetting::View {
                module,
                entity_id,
                reason,
            }],
        };
        let only = |settings: Settings| Read {
            settings: Some(settings),
            missing: Vec::new(),
        };
        match hook.module.kind {
            Some(AccountModule::Allowlist | AccountModule::EarlierAllowlist) => {
                self.allowlist(module, entity_id).await
            }
            Some(AccountModule::NativeTokenLimit) => {
                let question = NativeTokenLimit::limitsCall {
                    entityId: alloy::primitives::U256::from(entity_id),
                    account,
                };
                let mut read = Read::default();
                let (left, special_paymasters) = tokio::join!(
                    self.view(module, &question),
                    self.paymasters(module, entity_id, &mut read.missing),
                );
                match left {
                    Ok(left) => {
                        read.settings = Some(Settings::NativeTokenLimit {
                            left,
                            special_paymasters,
                            complete: read.missing.is_empty(),
                        });
                        read
                    }
                    Err(reason) => view(reason),
                }
            }
            Some(AccountModule::TimeRange) => {
                let question = TimeRange::timeRangesCall {
                    entityId: entity_id,
                    account,
                };
                match self.view(module, &question).await {
                    Ok(range) => only(Settings::TimeRange {
                        valid_after: range.validAfter.to::<u64>(),
                        valid_until: range.validUntil.to::<u64>(),
                    }),
                    Err(reason) => view(reason),
                }
            }
            Some(AccountModule::PaymasterGuard) => {
                let question = PaymasterGuard::paymastersCall {
                    entityId: entity_id,
                    account,
                };
                match self.view(module, &question).await {
                    Ok(paymaster) => only(Settings::PaymasterGuard { paymaster }),
                    Err(reason) => view(reason),
                }
            }
            _ => Read::default(),
        }
    }

    /// Reads whether the paymasters named by events or the caller are special.
    async fn paymasters(
        &self,
        module: Address,
        entity_id: u32,
        missing: &mut Vec<MissingSetting>,
    ) -> BTreeMap<Address, bool> {
        let event = NativeTokenLimit::SpecialPaymasterUpdated::SIGNATURE_HASH;
        let filter = LogFilter::new(module, vec![vec![event], vec![self.account.into_word()]]);
        let (logs, blocks) = self.logs(filter).await;
        missing.extend(blocks.into_iter().map(|blocks| events(module, entity_id, blocks)));
        let mut named = self.asked.paymasters.clone();
        for log in &logs {
            let (topics, data) = (log.topics(), &log.data().data);
            match NativeTokenLimit::SpecialPaymasterUpdated::decode_raw_log_validate(topics, data) {
                Ok(event) => {
                    named.insert(event.paymaster);
                }
                Err(_) => {
                    let blocks = MissingBlocks::of_malformed(log, "malformed event of a paymaster");
                    missing.push(events(module, entity_id, blocks));
                }
            }
        }
        let named: Vec<Address> = named.into_iter().collect();
        let calls: Vec<Bytes> = named
            .iter()
            .map(|paymaster| {
                let call = NativeTokenLimit::specialPaymastersCall {
                    paymaster: *paymaster,
                    account: self.account,
                };
                call.abi_encode().into()
            })
            .collect();
        let mut found = BTreeMap::new();
        let answers = self.views(module, &calls).await;
        for (paymaster, answer) in named.into_iter().zip(answers) {
            match decoded::<NativeTokenLimit::specialPaymastersCall>(answer) {
                Ok(is_special) => {
                    found.insert(paymaster, is_special);
                }
                Err(reason) => missing.push(MissingSetting::View {
                    module,
                    entity_id,
                    reason,
                }),
            }
        }
        found
    }

    async fn allowlist(&self, module: Address, entity_id: u32) -> Read {
        let account = self.account;
        let entity = B256::left_padding_from(&entity_id.to_be_bytes());
        let topics = vec![
            vec![
                Allowlist::AddressAllowlistUpdated::SIGNATURE_HASH,
                Allowlist::SelectorAllowlistUpdated::SIGNATURE_HASH,
                Allowlist::ERC20SpendLimitUpdated::SIGNATURE_HASH,
            ],
            vec![entity],
            vec![account.into_word()],
        ];
        let (logs, blocks) = self.logs(LogFilter::new(module, topics)).await;
        let mut missing: Vec<MissingSetting> = blocks
            .into_iter()
            .map(|blocks| events(module, entity_id, blocks))
            .collect();
        let (mut targets, mut functions) = (self.asked.targets.clone(), self.asked.functions.clone());
        let mut left_out = BTreeSet::new();
        for log in &logs {
            let Some((target, selector)) = entry_of(log) else {
                let blocks = MissingBlocks::of_malformed(log, "malformed event of an allowlist");
                missing.push(events(module, entity_id, blocks));
                continue;
            };
            let function = selector.map(|selector| (target, selector));
            let is_known =
                targets.contains(&target) && function.is_none_or(|function| functions.contains(&function));
            if !is_known && targets.len().saturating_add(functions.len()) >= MAX_ENTRIES {
                left_out.insert((target, selector));
                continue;
            }
            targets.insert(target);
            functions.extend(function);
        }
        if !left_out.is_empty() {
            missing.push(MissingSetting::TooMany {
                module,
                entity_id,
                left_out: left_out.len(),
            });
        }
        // The zero address stands for every target.
        targets.remove(&Address::ZERO);
        let mut failed = |reason: String| {
            missing.push(MissingSetting::View {
                module,
                entity_id,
                reason,
            });
        };

        let targets: Vec<Address> = targets.into_iter().collect();
        let functions: Vec<(Address, Selector)> = functions.into_iter().collect();
        let entries = targets.iter().map(|target| {
            let call = Allowlist::addressAllowlistCall {
                entityId: entity_id,
                target: *target,
                account,
            };
            Bytes::from(call.abi_encode())
        });
        let limits = targets.iter().map(|target| {
            let call = Allowlist::erc20SpendLimitsCall {
                entityId: entity_id,
                target: *target,
                account,
            };
            Bytes::from(call.abi_encode())
        });
        let listed = functions.iter().map(|(target, selector)| {
            let call = Allowlist::selectorAllowlistCall {
                entityId: entity_id,
                selector: *selector,
                target: *target,
                account,
            };
            Bytes::from(call.abi_encode())
        });
        let calls: Vec<Bytes> = entries.chain(limits).chain(listed).collect();
        let mut answers = self.views(module, &calls).await.into_iter();
        let entries: Vec<_> = answers.by_ref().take(targets.len()).collect();
        let limits: Vec<_> = answers.by_ref().take(targets.len()).collect();

        let mut settings = AllowlistSettings::default();
        for (target, (entry, left)) in targets.into_iter().zip(entries.into_iter().zip(limits)) {
            let entry = decoded::<Allowlist::addressAllowlistCall>(entry);
            let left = decoded::<Allowlist::erc20SpendLimitsCall>(left);
            match (entry, left) {
                (Ok(entry), Ok(left)) => {
                    let found = AllowlistTarget {
                        allowed: entry.allowed,
                        has_selector_list: entry.hasSelectorAllowlist,
                        has_limit: entry.hasERC20SpendLimit,
                        left,
                        functions: BTreeMap::new(),
                    };
                    settings.targets.insert(target, found);
                }
                (Err(reason), _) | (_, Err(reason)) => failed(reason),
            }
        }
        for ((target, selector), answer) in functions.into_iter().zip(answers) {
            match decoded::<Allowlist::selectorAllowlistCall>(answer) {
                Ok(is_listed) if target.is_zero() => {
                    settings.any_target.insert(selector, is_listed);
                }
                Ok(is_listed) => {
                    if let Some(entry) = settings.targets.get_mut(&target) {
                        entry.functions.insert(selector, is_listed);
                    }
                }
                Err(reason) => failed(reason),
            }
        }
        settings.complete = missing.is_empty();
        Read {
            settings: Some(Settings::Allowlist(settings)),
            missing,
        }
    }

    async fn views(&self, module: Address, calls: &[Bytes]) -> Vec<Result<Bytes, RequestError>> {
        Views::with(self.node, module, self.at(), self.has_multicall)
            .read(calls)
            .await
    }

    /// Reads a module's logs up to the block, and lists the missing ranges.
    async fn logs(&self, filter: LogFilter) -> Logs {
        let last = self.head.number;
        match patiently(|| self.node.logs(&filter, 0, last)).await {
            Ok(logs) => return (logs, Vec::new()),
            Err(error) => {
                // It may name the number of blocks that it answers.
                self.node.log_page_failed(last.saturating_add(1), &error);
            }
        }
        let mut scan = LogsBackwards::new(self.node, filter, (0, last), MAX_LOG_REQUESTS);
        let (mut logs, mut missing) = (Vec::new(), Vec::new());
        while missing.len() < MAX_MISSING
            && let Some(wave) = scan.next().await
        {
            logs.extend(wave.logs);
            missing.extend(wave.missing);
        }
        if let Some(to) = scan.unread() {
            missing.push(MissingBlocks {
                from: 0,
                to,
                reason: "too many requests would be needed".to_owned(),
            });
        }
        (logs, missing)
    }
}

/// Returns the target that an allowlist's event is about, and its function if it is about one; `None` if the
/// event is malformed.
fn entry_of(log: &Log) -> Option<(Address, Option<Selector>)> {
    let (topics, data) = (log.topics(), &log.data().data);
    match *log.topic0()? {
        Allowlist::AddressAllowlistUpdated::SIGNATURE_HASH => {
            let event = Allowlist::AddressAllowlistUpdated::decode_raw_log_validate(topics, data).ok()?;
            Some((event.target, None))
        }
        Allowlist::ERC20SpendLimitUpdated::SIGNATURE_HASH => {
            let event = Allowlist::ERC20SpendLimitUpdated::decode_raw_log_validate(topics, data).ok()?;
            Some((event.token, None))
        }
        Allowlist::SelectorAllowlistUpdated::SIGNATURE_HASH => {
            let event = Allowlist::SelectorAllowlistUpdated::decode_raw_log_validate(topics, data).ok()?;
            // The target (20 bytes), then the selector.
            let (target, selector) = event.targetAndSelector.split_at(Address::len_bytes());
            Some((Address::from_slice(target), Some(Selector::from_slice(selector))))
        }
        _ => None,
    }
}

/// Decodes a view's answer, or says why it cannot be.
fn decoded<C: SolCall>(answer: Result<Bytes, RequestError>) -> Result<C::Return, String> {
    let answer = answer.map_err(|error| error.to_string())?;
    C::abi_decode_returns_validate(&answer)
        .map_err(|_| format!("{} was not answered as expected", C::SIGNATURE))
}
