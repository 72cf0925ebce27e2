//! Finds an account's keys, and reads them.

use super::{
    abi::SingleSigner,
    known::{KnownCode, is_proxy},
    settings::{Asked, Log, Read, Reader},
};
use crate::{
    abi::AccountV08,
    account::ReadError,
    deployment::Deployment,
    inspect::Views,
    installation::{AccountCode, FunctionState, Installation, ValidationState},
    node::{Head, MissingBlocks, Node},
    permissions::{
        Call,
        account_modules::{AccountForm, AccountKey, AccountModule, Hook, Module, ModuleSettings},
    },
    v08::{DIRECT_CALL_ENTITY_ID, HookConfig, ModuleEntity, ValidationFlags},
};
use alloy::{
    eips::BlockId,
    primitives::{Address, Selector},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::collections::{BTreeMap, BTreeSet};

/// The most functions of the account whose hooks are asked for, for one key.
const MAX_FUNCTIONS: usize = 64;
/// The most keys, modules or settings that are asked for at once.
const SIDE_BY_SIDE: usize = 8;

/// Options for reading keys. By default: all keys at the latest block, with the deployed contracts as known
/// code.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ReadOptions {
    known: KnownCode,
    block: Option<Head>,
    session_key_module: Option<Address>,
    entity_ids: BTreeSet<u32>,
    owner: Option<u32>,
    asked: Asked,
}

impl ReadOptions {
    /// The default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds known contracts.
    pub fn known(mut self, known: KnownCode) -> Self {
        self.known = known;
        self
    }

    /// Sets the block to read at. The node must have its state.
    pub const fn at(mut self, block: Head) -> Self {
        self.block = Some(block);
        self
    }

    /// Sets the session key module, whose validations are skipped. Defaults to the one at its planned
    /// address.
    pub const fn session_key_module(mut self, module: Address) -> Self {
        self.session_key_module = Some(module);
        self
    }

    /// Adds entity ids to read even if the node shows no event of their installation.
    pub fn entity_ids(mut self, entity_ids: impl IntoIterator<Item = u32>) -> Self {
        self.entity_ids.extend(entity_ids);
        self
    }

    /// Skips the owner's validation, if it is as factories install it: with all flags, and without hooks and
    /// selectors. Any other validation with this entity id is read as a key.
    pub const fn owner(mut self, entity_id: u32) -> Self {
        self.owner = Some(entity_id);
        self
    }

    /// Adds calls to check. Their allowlist entries are read even if no event shows them.
    pub fn calls<'a>(mut self, calls: impl IntoIterator<Item = &'a Call>) -> Self {
        for call in calls {
            self.asked.targets.insert(call.target);
            self.asked.functions.insert((call.target, call.selector()));
            self.asked.functions.insert((Address::ZERO, call.selector()));
        }
        self
    }

    /// Adds a paymaster to check. Whether it is special is read even if no event shows it.
    pub fn paymaster(mut self, paymaster: Address) -> Self {
        self.asked.paymasters.insert(paymaster);
        self
    }
}

/// A part of a key that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingSetting {
    /// A module's events of these blocks: what it allows may be more.
    Events {
        /// The module.
        module: Address,
        /// Its entity.
        entity_id: u32,
        /// The blocks.
        blocks: MissingBlocks,
    },
    /// A view of a module, or of the account, did not answer.
    View {
        /// The module, or the account.
        module: Address,
        /// Its entity.
        entity_id: u32,
        /// Why.
        reason: String,
    },
    /// More is listed than is read.
    TooMany {
        /// The module, or the account.
        module: Address,
        /// Its entity.
        entity_id: u32,
        /// How many entries were left out.
        left_out: usize,
    },
    /// The chain was reorganized while it was read.
    Reorganized,
}

impl MissingSetting {
    /// Its kind, as a stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Events { .. } => "events",
            Self::View { .. } => "view",
            Self::TooMany { .. } => "tooMany",
            Self::Reorganized => "reorganized",
        }
    }
}

impl std::fmt::Display for MissingSetting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Events {
                module,
                entity_id,
                blocks,
            } => write!(
                f,
                "events of module {module}, entity {entity_id}, in the blocks {} to {}: {}",
                blocks.from, blocks.to, blocks.reason
            ),
            Self::View {
                module,
                entity_id,
                reason,
            } => write!(f, "settings of module {module}, entity {entity_id}: {reason}"),
            Self::TooMany {
                module,
                entity_id,
                left_out,
            } => write!(
                f,
                "{left_out} entries of module {module}, entity {entity_id}, were left out: there are too many"
            ),
            Self::Reorganized => f.write_str("the chain was reorganized meanwhile"),
        }
    }
}

/// A key, and the parts of it that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadKey {
    /// The key.
    pub key: AccountKey,
    /// Parts that could not be read; empty if all were.
    pub missing: Vec<MissingSetting>,
}

impl ReadKey {
    /// Whether the key is completely known: the code of account and modules, and all settings.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let modules =
            std::iter::once(&self.key.validation).chain(self.key.hooks.iter().map(|hook| &hook.module));
        self.missing.is_empty()
            && self.key.form != AccountForm::Unknown
            && modules.into_iter().all(|module| module.kind.is_some())
    }
}

/// All keys of an account's own client, at one block.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountKeys {
    /// The block that everything is of.
    pub block: Head,
    /// The account.
    pub account: Address,
    /// Which account it is.
    pub form: AccountForm,
    /// The keys, by entity id.
    pub keys: Vec<ReadKey>,
    /// Blocks whose account events could not be read. Keys installed there may be missing.
    pub missing_blocks: Vec<MissingBlocks>,
    /// Number of validations and functions of the account that were left out because there are too many.
    pub left_out: usize,
}

impl AccountKeys {
    /// Reads all keys of an account; `None` if it is not an ERC-6900 v0.8 account. Parts that cannot be read
    /// are listed per key; an error means that nothing could be read.
    #[tracing::instrument(level = "debug", skip_all, fields(%account))]
    pub async fn read(
        node: &Node,
        account: Address,
        options: &ReadOptions,
    ) -> Result<Option<Self>, ReadError> {
        let head = match options.block {
            Some(head) => head,
            None => node.head().await?,
        };
        let module = options
            .session_key_module
            .unwrap_or_else(|| Deployment::for_v08_accounts().session_key_plugin);
        let entity_ids: Vec<u32> = options.entity_ids.iter().copied().collect();
        let Some(installation) = Installation::read_at(node, account, module, &entity_ids, &head).await?
        else {
            return Ok(None);
        };
        let at = BlockId::hash(head.hash);
        let (form, has_multicall) = tokio::try_join!(
            form(node, account, installation.code, &options.known, at),
            async { Ok(Views::has_multicall(node, at).await?) },
        )?;
        let reader = Reader::new(node, account, &head, &options.asked, has_multicall);
        let is_key = |validation: &&ValidationState| {
            let is_built_in = validation.module.is_zero() && validation.entity_id == 0;
            let is_owners = Some(validation.entity_id) == options.owner && is_owner(validation);
            !validation.is_session_key_module
                && !is_built_in
                && !is_owners
                && validation.entity_id != DIRECT_CALL_ENTITY_ID
        };
        let found = installation
            .validations
            .iter()
            .filter(is_key)
            .map(|validation| Validated {
                validation,
                key: AccountKey::new(account, form, validation.entity_id),
                function_hooks: Vec::new(),
                missing: Vec::new(),
            });
        let mut found: Vec<Validated<'_>> = found.collect();

        // Which functions have hooks; which modules those and the others are; what they store.
        let functions: Vec<_> = found
            .iter_mut()
            .map(|of| of.read_function_hooks(&reader, &installation.functions))
            .collect();
        let () = stream::iter(functions)
            .buffer_unordered(SIDE_BY_SIDE)
            .collect()
            .await;
        let modules: BTreeSet<Address> = found.iter().flat_map(Validated::modules).collect();
        let kinds: BTreeMap<Address, Option<AccountModule>> = stream::iter(modules)
            .map(async |module| {
                let code = node.code_at(module, at).await?;
                Ok::<_, ReadError>((module, options.known.module_of(module, &code)))
            })
            .buffer_unordered(SIDE_BY_SIDE)
            .try_collect()
            .await?;
        for of in &mut found {
            of.set_hooks(&kinds);
        }
        let wanted: Vec<(usize, Wanted)> = found
            .iter()
            .enumerate()
            .flat_map(|(index, of)| of.wanted().into_iter().map(move |wanted| (index, wanted)))
            .collect();
        let answers: Vec<(usize, Answered)> = stream::iter(wanted)
            .map(async |(index, wanted)| (index, reader.answer(wanted).await))
            .buffered(SIDE_BY_SIDE)
            .collect()
            .await;
        for (index, answered) in answers {
            if let Some(of) = found.get_mut(index) {
                of.take(answered);
            }
        }
        let keys = found.into_iter().map(|of| ReadKey {
            key: of.key,
            missing: of.missing,
        });
        let mut keys: Vec<ReadKey> = keys.collect();
        // Logs were asked for by number: they are of this chain only if the block still is.
        let again = node.header(BlockId::number(head.number)).await?;
        if again.is_none_or(|again| again.hash != head.hash) {
            for key in &mut keys {
                key.missing.push(MissingSetting::Reorganized);
            }
        }
        Ok(Some(Self {
            block: head,
            account,
            form,
            keys,
            missing_blocks: installation.missing_blocks,
            left_out: installation.entries_left_out,
        }))
    }

    /// Whether all keys were found, and all are completely known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing_blocks.is_empty() && self.left_out == 0 && self.keys.iter().all(ReadKey::is_complete)
    }

    /// Returns the key with an entity id.
    #[must_use]
    pub fn of_entity(&self, entity_id: u32) -> Option<&ReadKey> {
        self.keys.iter().find(|read| read.key.entity_id == entity_id)
    }

    /// Returns the keys of a signer.
    pub fn of_signer(&self, signer: Address) -> impl Iterator<Item = &ReadKey> {
        self.keys
            .iter()
            .filter(move |read| read.key.signer == Some(signer))
    }
}

/// A key that is being read.
struct Validated<'a> {
    validation: &'a ValidationState,
    key: AccountKey,
    function_hooks: Vec<HookConfig>,
    missing: Vec<MissingSetting>,
}

/// What is asked of a module.
enum Wanted {
    /// The signer of this validation.
    Signer(ModuleEntity),
    /// The settings of this hook.
    Settings(Hook),
}

/// What was asked, and what was found.
enum Answered {
    Signer(Result<Address, MissingSetting>),
    Settings(Hook, Read),
}

impl Reader<'_> {
    async fn answer(&self, wanted: Wanted) -> Answered {
        match wanted {
            Wanted::Signer(ModuleEntity { module, entity_id }) => {
                Answered::Signer(self.signer(module, entity_id).await)
            }
            Wanted::Settings(hook) => Answered::Settings(hook, self.settings(&hook).await),
        }
    }

    async fn signer(&self, module: Address, entity_id: u32) -> Result<Address, MissingSetting> {
        let question = SingleSigner::signersCall {
            entityId: entity_id,
            account: self.account(),
        };
        let answer = self.view(module, &question).await;
        answer.map_err(|reason| MissingSetting::View {
            module,
            entity_id,
            reason,
        })
    }
}

impl Validated<'_> {
    /// Reads the hooks of the account's functions that the key may call.
    async fn read_function_hooks(&mut self, reader: &Reader<'_>, known: &[FunctionState]) {
        let Self { validation, key, .. } = self;
        key.flags = validation.flags.0;
        key.selectors.clone_from(&validation.selectors);
        let module = key.account;
        let entity_id = validation.entity_id;
        let used = known
            .iter()
            .filter(|function| uses(validation, function.selector));
        self.function_hooks = used.flat_map(|function| function.hooks.clone()).collect();
        // The account's own functions are not all among them.
        let mut others = key.functions();
        others.retain(|selector| known.iter().all(|of| of.selector != *selector));
        let answers: Vec<_> = stream::iter(others.iter().copied().take(MAX_FUNCTIONS))
            .map(async |selector| {
                let question = AccountV08::getExecutionDataCall { selector };
                reader.view(module, &question).await
            })
            .buffered(SIDE_BY_SIDE)
            .collect()
            .await;
        for answer in answers {
            match answer {
                Ok(data) => {
                    let hooks = data.executionHooks.into_iter().map(HookConfig::from);
                    self.function_hooks.extend(hooks);
                }
                Err(reason) => self.missing.push(MissingSetting::View {
                    module,
                    entity_id,
                    reason,
                }),
            }
        }
        let left_out = others.len().saturating_sub(MAX_FUNCTIONS);
        if left_out > 0 {
            self.missing.push(MissingSetting::TooMany {
                module,
                entity_id,
                left_out,
            });
        }
        self.key.are_function_hooks_read = self.missing.is_empty();
    }

    /// The validation's hooks: those of validation, then those of execution.
    fn hooks(&self) -> impl Iterator<Item = &HookConfig> {
        let of = &self.validation;
        of.validation_hooks.iter().chain(&of.execution_hooks)
    }

    fn modules(&self) -> Vec<Address> {
        let hooks = self.hooks().chain(&self.function_hooks);
        std::iter::once(self.validation.module)
            .chain(hooks.map(|hook| hook.hook.module))
            .collect()
    }

    /// Sets the validation's module and all hooks.
    fn set_hooks(&mut self, kinds: &BTreeMap<Address, Option<AccountModule>>) {
        let module = |address: Address| Module {
            address,
            kind: kinds.get(&address).copied().flatten(),
        };
        let hook = |config: &HookConfig| Hook {
            module: module(config.hook.module),
            entity_id: config.hook.entity_id,
            flags: config.flags,
        };
        let hooks = self.hooks().map(hook).collect();
        let function_hooks = self.function_hooks.iter().map(hook).collect();
        self.key.hooks = hooks;
        self.key.function_hooks = function_hooks;
        self.key.validation = module(self.validation.module);
        // An account that does not show whose the validation is may ask another module.
        if !self.validation.is_module_certain {
            self.key.validation.kind = None;
        }
    }

    /// What to ask of its modules: each entity once.
    fn wanted(&self) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        if self.key.validation.kind == Some(AccountModule::SingleSignerValidation) {
            let (module, entity_id) = (self.validation.module, self.validation.entity_id);
            wanted.push(Wanted::Signer(ModuleEntity { module, entity_id }));
        }
        let mut seen = BTreeSet::new();
        let hooks = self.key.hooks.iter();
        let distinct = hooks.filter(|hook| seen.insert((hook.module.address, hook.entity_id)));
        wanted.extend(distinct.map(|hook| Wanted::Settings(*hook)));
        wanted
    }

    fn take(&mut self, answered: Answered) {
        match answered {
            Answered::Signer(Ok(signer)) => self.key.signer = Some(signer),
            Answered::Signer(Err(missing)) => self.missing.push(missing),
            Answered::Settings(hook, read) => {
                self.missing.extend(read.missing);
                self.key
                    .settings
                    .extend(read.settings.map(|settings| ModuleSettings {
                        module: hook.module.address,
                        entity_id: hook.entity_id,
                        settings,
                    }));
            }
        }
    }
}

/// Whether a validation is as factories install an owner's.
fn is_owner(validation: &ValidationState) -> bool {
    let all = ValidationFlags::USER_OPERATIONS
        .union(ValidationFlags::SIGNATURES)
        .union(ValidationFlags::GLOBAL);
    validation.flags == all
        && validation.selectors.is_empty()
        && validation.validation_hooks.is_empty()
        && validation.execution_hooks.is_empty()
}

/// Whether a validation is for a function.
fn uses(validation: &ValidationState, selector: Selector) -> bool {
    validation.selectors.contains(&selector) || validation.flags.contains(ValidationFlags::GLOBAL)
}

/// Which account it is, by its code, or the code that it delegates to.
async fn form(
    node: &Node,
    account: Address,
    code: AccountCode,
    known: &KnownCode,
    at: BlockId,
) -> Result<AccountForm, ReadError> {
    let Some(implementation) = code.implementation() else {
        return Ok(AccountForm::Unknown);
    };
    let form = known.account_of(implementation, &node.code_at(implementation, at).await?);
    let is_proxy = match code {
        AccountCode::Proxy(_) => is_proxy(&node.code_at(account, at).await?),
        _ => false,
    };
    Ok(if is_proxy != form.is_delegated() {
        form
    } else {
        // A proxy of other code does what that code wants.
        AccountForm::Unknown
    })
}

/// Where the events of a module's entity are.
pub(super) const fn events(module: Address, entity_id: u32, blocks: MissingBlocks) -> MissingSetting {
    MissingSetting::Events {
        module,
        entity_id,
        blocks,
    }
}

/// Logs and what of them is missing.
pub(super) type Logs = (Vec<Log>, Vec<MissingBlocks>);
