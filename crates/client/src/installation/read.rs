//! Reads how an account has the module.

use super::{
    AccountCode, FunctionState, Installation, ValidationState,
    findings::{BATCH, EXECUTE, FUNCTIONS},
};
use crate::{
    abi::{AccountV08, Plugin},
    account::ReadError,
    node::{LogFilter, Node},
    v08::{DIRECT_CALL_ENTITY_ID, HookConfig, ModuleEntity, SESSION_KEY_ENTITY_ID, ValidationFlags},
};
use alloy::{
    eips::BlockId,
    network::TransactionBuilder as _,
    primitives::{Address, B256, FixedBytes, Selector, U256, b256, keccak256},
    rpc::types::TransactionRequest,
    sol_types::{SolCall, SolEvent, SolValue},
};
use session_key_bindings::{IModule, ValidationData};
use std::collections::BTreeSet;

/// Where a proxy keeps the address of its implementation (ERC-1967).
const IMPLEMENTATION_SLOT: B256 = b256!("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc");

/// Where Modular Account v2 keeps its validations: base of a mapping from `entity id << 8`.
const VALIDATIONS: B256 = b256!("596912a710dec01bac203cb0ed2c7e56a2ce6b2a68276967fff6dd57561bdd02");

/// Where a module's address is in a word.
const LOW_160_BITS: B256 = b256!("000000000000000000000000ffffffffffffffffffffffffffffffffffffffff");

/// What the code of an account that delegates begins with (EIP-7702); the delegate's address follows.
const DESIGNATOR: [u8; 3] = [0xef, 0x01, 0x00];

/// How the ids of the module's versions begin.
const MODULE_ID: &str = "session-keys.session-key-module.";

/// The most validations that are looked at.
const MAX_VALIDATIONS: usize = 256;

impl Installation {
    /// Reads how the account has this module. `None`: there is code, but not that of an ERC-6900 v0.8 account (it has no
    /// `accountId()`); or there is none.
    ///
    /// Which validations an account has is in its events alone. Nodes that refuse logs of a whole chain are believed with
    /// [`has_all_validations`](Self::has_all_validations) false, and then the entity ids in `entity_ids` are looked at.
    #[tracing::instrument(level = "debug", skip_all, fields(%account, %module))]
    pub async fn read(
        node: &Node,
        account: Address,
        module: Address,
        entity_ids: &[u32],
    ) -> Result<Option<Self>, ReadError> {
        let reader = Reader { node, account };
        let code = node.code_at(account, BlockId::latest()).await?;
        if code.is_empty() {
            return Ok(None);
        }
        let Some(account_id) = reader.try_ask(account, AccountV08::accountIdCall {}).await? else {
            return Ok(None);
        };
        let entry_point = reader.ask(account, AccountV08::entryPointCall {}).await?;
        let code = reader.code(&code).await?;

        let mut functions = Vec::new();
        for selector in FUNCTIONS.into_iter().chain([EXECUTE, BATCH]) {
            functions.push(reader.function(selector).await?);
        }

        let installed = reader.installed().await?;
        let is_answered = installed.is_some();
        // Some accounts tell entities apart by their modules, too. Direct-call validations are told apart by nothing else.
        let mut entities: BTreeSet<(u32, Address)> = BTreeSet::new();
        let mut direct_callers = BTreeSet::from([module]);
        for entity_id in entity_ids.iter().chain([&SESSION_KEY_ENTITY_ID]) {
            entities.insert((*entity_id, module));
        }
        for (of, entity_id) in installed.into_iter().flatten() {
            if entity_id == DIRECT_CALL_ENTITY_ID {
                direct_callers.insert(of);
            } else {
                entities.insert((entity_id, of));
            }
        }
        let direct = direct_callers
            .into_iter()
            .map(|caller| (DIRECT_CALL_ENTITY_ID, caller));
        // The module's own first: they are never left out.
        let mut wanted: Vec<_> = entities.into_iter().chain(direct).collect();
        wanted.sort_by_key(|(_, of)| *of != module);
        let has_all_validations = is_answered && wanted.len() <= MAX_VALIDATIONS;
        let mut validations = Vec::new();
        for (entity_id, of) in wanted.into_iter().take(MAX_VALIDATIONS) {
            let state = reader.validation(of, entity_id, module).await?;
            if state.is_there() {
                validations.push(state);
            }
        }
        // Where the module does not matter, one validation was found under each that it ever had.
        validations.sort_by_key(|validation: &ValidationState| (validation.entity_id, validation.module));
        validations.dedup_by_key(|validation| (validation.entity_id, validation.module));
        let keys = reader
            .try_ask(module, Plugin::sessionKeysOfCall { account })
            .await?;
        Ok(Some(Self {
            account,
            code,
            account_id,
            entry_point,
            module,
            functions,
            validations,
            has_all_validations,
            session_keys: keys.map(|keys| keys.len()),
        }))
    }
}

fn hooks(packed: Vec<FixedBytes<25>>) -> Vec<HookConfig> {
    packed.into_iter().map(HookConfig::from).collect()
}

struct Reader<'a> {
    node: &'a Node,
    account: Address,
}

impl Reader<'_> {
    async fn code(&self, code: &[u8]) -> Result<AccountCode, ReadError> {
        if let Some(delegate) = code.strip_prefix(&DESIGNATOR)
            && delegate.len() == Address::len_bytes()
        {
            return Ok(AccountCode::Delegation(Address::from_slice(delegate)));
        }
        let slot = U256::from_be_bytes(IMPLEMENTATION_SLOT.0);
        let word = self
            .node
            .storage_at(self.account, slot, BlockId::latest())
            .await?;
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

    /// Every validation that was ever installed, in order; `None` if the node refuses to say.
    async fn installed(&self) -> Result<Option<Vec<(Address, u32)>>, ReadError> {
        let head = self.node.head().await?;
        let topic = AccountV08::ValidationInstalled::SIGNATURE_HASH;
        let filter = LogFilter::new(self.account, vec![vec![topic]]);
        let logs = match self.node.logs(&filter, 0, head.number).await {
            Ok(logs) => logs,
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(_) => return Ok(None),
        };
        let installed = logs.iter().filter_map(|log| {
            let event = AccountV08::ValidationInstalled::decode_log_validate(&log.inner).ok()?;
            Some((event.module, event.entityId))
        });
        Ok(Some(installed.collect()))
    }

    /// A validation, as far as it is there.
    async fn validation(
        &self,
        module: Address,
        entity_id: u32,
        session_key_module: Address,
    ) -> Result<ValidationState, ReadError> {
        let data = self.validation_data(module, entity_id).await?;
        let mut state = ValidationState {
            module,
            entity_id,
            flags: ValidationFlags(data.flags),
            validation_hooks: hooks(data.validationHooks),
            execution_hooks: hooks(data.executionHooks),
            selectors: data.selectors,
            // Its key is the module.
            is_module_certain: entity_id == DIRECT_CALL_ENTITY_ID,
            is_session_key_module: module == session_key_module,
        };
        if !state.is_there() {
            return Ok(state);
        }
        if !state.is_module_certain {
            let slot = keccak256((U256::from(entity_id) << 8, VALIDATIONS).abi_encode());
            let slot = U256::from_be_bytes(slot.0);
            let word = self
                .node
                .storage_at(self.account, slot, BlockId::latest())
                .await?;
            let stored = Address::from_word(B256::from(word) & LOW_160_BITS);
            // The flags are the byte above the module, and numbers of hooks may follow.
            let flags = (word >> 160) & U256::from(u8::MAX);
            if !stored.is_zero() && flags == U256::from(state.flags.0) {
                state.module = stored;
                state.is_module_certain = true;
            } else {
                // An account that looks at the module as well does not find the entity under another.
                let other = self.validation_data(Address::ZERO, entity_id).await?;
                let is_same = other.flags == state.flags.0 && other.selectors == state.selectors;
                state.is_module_certain = !is_same;
            }
        }
        if state.module != session_key_module && !state.module.is_zero() {
            let id = self.try_ask(state.module, IModule::moduleIdCall {}).await?;
            state.is_session_key_module = id.is_some_and(|id| id.starts_with(MODULE_ID));
        } else {
            state.is_session_key_module = state.module == session_key_module;
        }
        Ok(state)
    }

    async fn validation_data(&self, module: Address, entity_id: u32) -> Result<ValidationData, ReadError> {
        let question = AccountV08::getValidationDataCall {
            validationFunction: ModuleEntity::new(module, entity_id).into(),
        };
        self.ask(self.account, question).await
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
        self.node.call(&question, BlockId::latest()).await
    }
}
