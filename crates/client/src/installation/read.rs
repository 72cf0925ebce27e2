//! Reads how an account has the module installed.

use super::{
    AccountCode, FunctionState, Installation, ValidationState,
    findings::{BATCH, EXECUTE, FUNCTIONS},
};
use crate::{
    abi::{AccountV08, Plugin},
    account::ReadError,
    node::{Head, LogFilter, LogsBackwards, MissingBlocks, Node},
    request::patiently,
    v08::{
        DIRECT_CALL_ENTITY_ID, FALLBACK_VALIDATION, HookConfig, ModuleEntity, SESSION_KEY_ENTITY_ID,
        ValidationFlags,
    },
};
use alloy::{
    eips::BlockId,
    network::TransactionBuilder as _,
    primitives::{Address, B256, FixedBytes, Selector, U256, b256, keccak256},
    rpc::types::{Log, TransactionRequest},
    sol_types::{SolCall, SolEvent, SolValue},
};
use futures_util::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use session_key_bindings::{IModule, ValidationData};
use std::collections::BTreeSet;

/// The ERC-1967 slot of a proxy's implementation.
const IMPLEMENTATION_SLOT: B256 = b256!("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc");

/// The base slot of Modular Account v2's validations, a mapping from `entity id << 8`.
const VALIDATIONS: B256 = b256!("596912a710dec01bac203cb0ed2c7e56a2ce6b2a68276967fff6dd57561bdd02");

/// The position of a module's address in a word.
const LOW_160_BITS: B256 = b256!("000000000000000000000000ffffffffffffffffffffffffffffffffffffffff");

/// The prefix of a delegating account's code (EIP-7702); the delegate's address follows.
const DESIGNATOR: [u8; 3] = [0xef, 0x01, 0x00];

/// The common prefix of the ids of the module's versions.
const MODULE_ID: &str = "session-keys.session-key-module.";

/// The maximum number of validations checked, and of other modules' functions.
const MAX_ENTRIES: usize = 256;

/// The maximum number of log requests, if the node cannot return the whole chain's at once.
const MAX_LOG_REQUESTS: usize = 1_000;

/// The maximum number of validations, or of functions, that are asked for at once.
const SIDE_BY_SIDE: usize = 8;

/// The maximum number of unanswered block ranges before giving up.
const MAX_MISSING: usize = 16;

impl Installation {
    /// Reads how the account has this module installed, in the latest block. See [`read_at`](Self::read_at).
    pub async fn read(
        node: &Node,
        account: Address,
        module: Address,
        entity_ids: &[u32],
    ) -> Result<Option<Self>, ReadError> {
        let head = node.head().await?;
        Self::read_at(node, account, module, entity_ids, &head).await
    }

    /// Reads how the account has this module installed, all in one block. `None`: there is no code, or not
    /// that of an ERC-6900 v0.8 account (it does not answer `accountId()`, `entryPoint()`, `getExecutionData`
    /// and `getValidationData` by their ABI).
    ///
    /// Only events show which validations an account has. A node that limits log requests is queried page by
    /// page, with at most 1,000 requests. If any are missing,
    /// [`has_all_validations`](Self::has_all_validations) is false; the entity ids in `entity_ids` are
    /// checked in any case.
    #[tracing::instrument(level = "debug", skip_all, fields(%account, %module, block = head.number))]
    pub async fn read_at(
        node: &Node,
        account: Address,
        module: Address,
        entity_ids: &[u32],
        head: &Head,
    ) -> Result<Option<Self>, ReadError> {
        let at = BlockId::hash(head.hash);
        Self::read_with(node, account, module, entity_ids, head, at, true).await
    }

    /// Reads only the account's views, and the validations of these entity ids. No logs are requested, so
    /// other validations are [not known](Self::has_all_validations). Each view is of the latest block, on
    /// which nodes behind one address may disagree.
    #[tracing::instrument(level = "debug", skip_all, fields(%account, %module))]
    pub async fn read_views(
        node: &Node,
        account: Address,
        module: Address,
        entity_ids: &[u32],
    ) -> Result<Option<Self>, ReadError> {
        let head = node.head().await?;
        Self::read_with(node, account, module, entity_ids, &head, BlockId::latest(), false).await
    }

    async fn read_with(
        node: &Node,
        account: Address,
        module: Address,
        entity_ids: &[u32],
        head: &Head,
        at: BlockId,
        with_events: bool,
    ) -> Result<Option<Self>, ReadError> {
        let reader = Reader {
            node,
            account,
            module,
            head,
            at,
        };
        let code = node.code_at(account, reader.at).await?;
        if code.is_empty() {
            return Ok(None);
        }
        let Some((account_id, entry_point)) = reader.identity().await? else {
            return Ok(None);
        };
        let selectors = FUNCTIONS.into_iter().chain([EXECUTE, BATCH]);
        let functions = try_join_all(selectors.map(|selector| reader.function(selector)));
        let events = async {
            if with_events {
                return reader.events().await;
            }
            Ok(Events {
                missing: vec![MissingBlocks {
                    from: 0,
                    to: head.number,
                    reason: "not requested".to_owned(),
                }],
                ..Events::default()
            })
        };
        let (code, mut functions, events, session_keys) =
            tokio::try_join!(reader.code(&code), functions, events, reader.session_keys())?;
        let (validations, validations_left_out) = reader.validations(&events, entity_ids).await?;
        let (others, functions_left_out) = reader.other_functions(&events, &validations).await?;
        functions.extend(others);
        let mut missing_blocks = events.missing.clone();
        if missing_blocks.is_empty() && events.contradict(module, &functions, &validations) {
            missing_blocks.push(MissingBlocks {
                from: 0,
                to: head.number,
                reason: "the node omits events of what the account has".to_owned(),
            });
        }
        let entries_left_out = validations_left_out.saturating_add(functions_left_out);
        Ok(Some(Self {
            block: *head,
            account,
            code,
            account_id,
            entry_point,
            module,
            functions,
            validations,
            has_all_validations: missing_blocks.is_empty() && entries_left_out == 0,
            missing_blocks,
            entries_left_out,
            session_keys,
        }))
    }
}

/// Everything that an account's events say was installed.
#[derive(Default)]
struct Events {
    /// Validations, in order.
    validations: Vec<(Address, u32)>,
    /// Functions of modules.
    functions: BTreeSet<Selector>,
    /// Blocks whose events could not be read.
    missing: Vec<MissingBlocks>,
}

impl Events {
    /// Returns the module last installed under an entity id.
    fn latest(&self, entity_id: u32) -> Option<Address> {
        let mut installed = self.validations.iter().rev();
        installed
            .find(|(_, of)| *of == entity_id)
            .map(|(module, _)| *module)
    }

    fn add(&mut self, log: &Log) {
        let (topics, data) = (log.topics(), &log.data().data);
        let is_read = if log.topic0() == Some(&AccountV08::ValidationInstalled::SIGNATURE_HASH) {
            AccountV08::ValidationInstalled::decode_raw_log_validate(topics, data)
                .map(|event| self.validations.push((event.module, event.entityId)))
                .is_ok()
        } else {
            AccountV08::ExecutionInstalled::decode_raw_log_validate(topics, data)
                .map(|event| {
                    let functions = event.manifest.executionFunctions.iter();
                    self.functions
                        .extend(functions.map(|function| function.executionSelector));
                })
                .is_ok()
        };
        if !is_read {
            let missing = MissingBlocks::of_malformed(log, "malformed event of the account");
            self.missing.push(missing);
        }
    }

    /// Whether the account has something that no event installed.
    fn contradict(
        &self,
        module: Address,
        functions: &[FunctionState],
        validations: &[ValidationState],
    ) -> bool {
        let has_functions = functions.iter().any(|function| function.module == module);
        let is_said = |validation: &ValidationState| {
            self.validations.iter().any(|(module, entity_id)| {
                *entity_id == validation.entity_id
                    && (*entity_id != DIRECT_CALL_ENTITY_ID || *module == validation.module)
            })
        };
        (has_functions && self.validations.is_empty()) || !validations.iter().all(is_said)
    }
}

fn validation_question(module: Address, entity_id: u32) -> AccountV08::getValidationDataCall {
    AccountV08::getValidationDataCall {
        validationFunction: ModuleEntity::new(module, entity_id).into(),
    }
}

fn hooks(packed: Vec<FixedBytes<25>>) -> Vec<HookConfig> {
    packed.into_iter().map(HookConfig::from).collect()
}

struct Reader<'a> {
    node: &'a Node,
    account: Address,
    /// The session key module.
    module: Address,
    head: &'a Head,
    at: BlockId,
}

impl Reader<'_> {
    /// Id and EntryPoint of an ERC-6900 v0.8 account. Accounts of other standards have `accountId()`, too.
    async fn identity(&self) -> Result<Option<(String, Address)>, ReadError> {
        let account = self.account;
        let execution = AccountV08::getExecutionDataCall { selector: EXECUTE };
        let validation = validation_question(self.module, DIRECT_CALL_ENTITY_ID);
        let (id, entry_point, execution, validation) = tokio::try_join!(
            self.try_ask(account, AccountV08::accountIdCall {}),
            self.try_ask(account, AccountV08::entryPointCall {}),
            self.try_ask(account, execution),
            self.try_ask(account, validation),
        )?;
        let is_answered = execution.is_some() && validation.is_some();
        Ok(id.zip(entry_point).filter(|_| is_answered))
    }

    /// How many keys the module keeps; `None` if it does not say.
    async fn session_keys(&self) -> Result<Option<usize>, ReadError> {
        let account = self.account;
        let question = Plugin::sessionKeysOfCall { account };
        if let Some(keys) = self.try_ask(self.module, question).await? {
            return Ok(Some(keys.len()));
        }
        let code = self.node.code_at(self.module, self.at).await?;
        Ok(code.is_empty().then_some(0))
    }

    /// Validations that events or the caller name, as far as they are there; and how many were not looked at.
    async fn validations(
        &self,
        events: &Events,
        entity_ids: &[u32],
    ) -> Result<(Vec<ValidationState>, usize), ReadError> {
        // Some accounts tell entities apart by their modules, too. Direct-call validations are told apart by
        // nothing else.
        let named = entity_ids
            .iter()
            .chain(&[SESSION_KEY_ENTITY_ID, DIRECT_CALL_ENTITY_ID]);
        let mut wanted: BTreeSet<(u32, Address)> = named.map(|id| (*id, self.module)).collect();
        wanted.extend(events.validations.iter().map(|(of, id)| (*id, *of)));
        // The module's own first: they are never left out.
        let mut wanted: Vec<_> = wanted.into_iter().collect();
        wanted.sort_by_key(|(_, of)| *of != self.module);
        let left_out = wanted.len().saturating_sub(MAX_ENTRIES);
        let mut validations: Vec<ValidationState> = stream::iter(wanted.into_iter().take(MAX_ENTRIES))
            .map(|(entity_id, of)| self.validation(of, entity_id, events.latest(entity_id)))
            .buffered(SIDE_BY_SIDE)
            .try_collect()
            .await?;
        validations.retain(ValidationState::is_there);
        // Where the module does not matter, one validation was found under each that it ever had.
        validations.sort_by_key(|validation: &ValidationState| (validation.entity_id, validation.module));
        validations.dedup_by_key(|validation| (validation.entity_id, validation.module));
        Ok((validations, left_out))
    }

    /// Functions of other modules that events or validations name; and how many were not looked at.
    async fn other_functions(
        &self,
        events: &Events,
        validations: &[ValidationState],
    ) -> Result<(Vec<FunctionState>, usize), ReadError> {
        let mut selectors = events.functions.clone();
        selectors.extend(validations.iter().flat_map(|validation| &validation.selectors));
        selectors.retain(|selector| !FUNCTIONS.contains(selector) && ![EXECUTE, BATCH].contains(selector));
        let left_out = selectors.len().saturating_sub(MAX_ENTRIES);
        let mut functions: Vec<FunctionState> = stream::iter(selectors.into_iter().take(MAX_ENTRIES))
            .map(|selector| self.function(selector))
            .buffered(SIDE_BY_SIDE)
            .try_collect()
            .await?;
        // Everybody may call the account's own views.
        functions.retain(|function| !function.module.is_zero() && function.module != self.account);
        Ok((functions, left_out))
    }

    async fn code(&self, code: &[u8]) -> Result<AccountCode, ReadError> {
        if let Some(delegate) = code.strip_prefix(&DESIGNATOR)
            && delegate.len() == Address::len_bytes()
        {
            return Ok(AccountCode::Delegation(Address::from_slice(delegate)));
        }
        let slot = U256::from_be_bytes(IMPLEMENTATION_SLOT.0);
        let word = self.node.storage_at(self.account, slot, self.at).await?;
        let implementation = Address::from_word(word.into());
        // Anything else than an address was put there by something else than a proxy.
        let is_proxy = word >> 160 == U256::ZERO && !implementation.is_zero();
        Ok(if is_proxy {
            AccountCode::Proxy(implementation)
        } else {
            AccountCode::Own
        })
    }

    async fn function(&self, selector: Selector) -> Result<FunctionState, ReadError> {
        let data = self
            .ask(self.account, AccountV08::getExecutionDataCall { selector })
            .await?;
        Ok(FunctionState {
            selector,
            module: data.module,
            skips_runtime_validation: data.skipRuntimeValidation,
            allows_global_validation: data.allowGlobalValidation,
            hooks: hooks(data.executionHooks),
        })
    }

    /// What was ever installed.
    async fn events(&self) -> Result<Events, ReadError> {
        let topics = vec![
            AccountV08::ValidationInstalled::SIGNATURE_HASH,
            AccountV08::ExecutionInstalled::SIGNATURE_HASH,
        ];
        let filter = LogFilter::new(self.account, vec![topics]);
        let last = self.head.number;
        let mut events = Events::default();
        let mut logs = match patiently(|| self.node.logs(&filter, 0, last)).await {
            Ok(logs) => logs,
            Err(error) => {
                // It may name the number of blocks that it answers.
                self.node.log_page_failed(last.saturating_add(1), &error);
                self.pages(filter, &mut events.missing).await
            }
        };
        logs.sort_by_key(|log| (log.block_number, log.log_index));
        for log in &logs {
            events.add(log);
        }
        // Logs were asked for by number: they are of this chain only if the block still is.
        let again = self.node.header(BlockId::number(last)).await?;
        if again.is_none_or(|again| again.hash != self.head.hash) {
            events.missing.push(MissingBlocks {
                from: 0,
                to: last,
                reason: "the chain was reorganized meanwhile".to_owned(),
            });
        }
        Ok(events)
    }

    async fn pages(&self, filter: LogFilter, missing: &mut Vec<MissingBlocks>) -> Vec<Log> {
        let mut scan = LogsBackwards::new(self.node, filter, (0, self.head.number), MAX_LOG_REQUESTS);
        let mut logs = Vec::new();
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
        logs
    }

    /// A validation, as far as it is there. `latest`: the module that was installed last under the entity id.
    async fn validation(
        &self,
        module: Address,
        entity_id: u32,
        latest: Option<Address>,
    ) -> Result<ValidationState, ReadError> {
        let slot = keccak256((U256::from(entity_id) << 8, VALIDATIONS).abi_encode());
        let stored = async {
            let slot = U256::from_be_bytes(slot.0);
            Ok(self.node.storage_at(self.account, slot, self.at).await?)
        };
        let (data, word) = tokio::try_join!(self.validation_data(module, entity_id), stored)?;
        let mut state = ValidationState {
            module,
            entity_id,
            flags: ValidationFlags(data.flags),
            validation_hooks: hooks(data.validationHooks),
            execution_hooks: hooks(data.executionHooks),
            selectors: data.selectors,
            // Its key is the module.
            is_module_certain: entity_id == DIRECT_CALL_ENTITY_ID,
            is_session_key_module: false,
        };
        if !state.is_there() {
            return Ok(state);
        }
        if !state.is_module_certain {
            let stored = Address::from_word(B256::from(word) & LOW_160_BITS);
            // The flags are the byte above the module, and numbers of hooks may follow.
            let flags = (word >> 160) & U256::from(u8::MAX);
            // The validation of an owner that is built in has no module.
            let is_fallback =
                ModuleEntity::new(stored, entity_id) == FALLBACK_VALIDATION && latest == Some(stored);
            if (!stored.is_zero() || is_fallback) && flags == U256::from(state.flags.0) {
                state.module = stored;
                state.is_module_certain = true;
            } else {
                // An account that looks at the module as well does not find the entity under another.
                let other = self.validation_data(Address::ZERO, entity_id).await?;
                let is_same = other.flags == state.flags.0
                    && other.selectors == state.selectors
                    && hooks(other.validationHooks) == state.validation_hooks
                    && hooks(other.executionHooks) == state.execution_hooks;
                state.is_module_certain = !is_same;
                if is_same {
                    state.module = latest.unwrap_or_default();
                }
            }
        }
        state.is_session_key_module = if state.module == self.module {
            true
        } else if state.module.is_zero() {
            false
        } else {
            let id = self.try_ask(state.module, IModule::moduleIdCall {}).await?;
            id.is_some_and(|id| id.starts_with(MODULE_ID))
        };
        Ok(state)
    }

    async fn validation_data(&self, module: Address, entity_id: u32) -> Result<ValidationData, ReadError> {
        self.ask(self.account, validation_question(module, entity_id))
            .await
    }

    async fn ask<C: SolCall>(&self, contract: Address, call: C) -> Result<C::Return, ReadError> {
        let answer = self.call(contract, &call).await;
        let answer = answer.map_err(|error| match error.revert() {
            Some(revert) => ReadError::Reverted {
                contract,
                function: C::SIGNATURE,
                revert: Box::new(revert),
            },
            None => error.into(),
        })?;
        C::abi_decode_returns_validate(&answer).map_err(|_| ReadError::UnexpectedAnswer {
            contract,
            function: C::SIGNATURE,
        })
    }

    /// `None` if the contract does not answer by its ABI.
    async fn try_ask<C: SolCall>(&self, contract: Address, call: C) -> Result<Option<C::Return>, ReadError> {
        match self.ask(contract, call).await {
            Ok(answer) => Ok(Some(answer)),
            Err(ReadError::Reverted { .. } | ReadError::UnexpectedAnswer { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn call<C: SolCall>(
        &self,
        contract: Address,
        call: &C,
    ) -> Result<alloy::primitives::Bytes, crate::request::RequestError> {
        let question = TransactionRequest::default()
            .with_to(contract)
            .with_input(call.abi_encode());
        self.node.call(&question, self.at).await
    }
}
