//! Validations and hooks, packed as accounts take and store them.

use alloy::primitives::{Address, FixedBytes};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The entity id of direct calls: the module itself calls the account.
pub const DIRECT_CALL_ENTITY_ID: u32 = u32::MAX;

/// The validation by the fallback signer of a semi-modular account: no module, entity 0.
pub const FALLBACK_VALIDATION: ModuleEntity = ModuleEntity::new(Address::ZERO, 0);

/// A function of a module: its address (20 bytes) and an entity id (4 bytes), which the installer chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModuleEntity {
    /// The module.
    pub module: Address,
    /// The entity id. For a validation, it is unique on a Modular Account v2, whatever the module.
    pub entity_id: u32,
}

impl ModuleEntity {
    /// Creates a module's entity.
    pub const fn new(module: Address, entity_id: u32) -> Self {
        Self { module, entity_id }
    }

    /// Returns the entity of the module's direct calls.
    pub const fn direct_call(module: Address) -> Self {
        Self::new(module, DIRECT_CALL_ENTITY_ID)
    }
}

impl From<ModuleEntity> for FixedBytes<24> {
    fn from(entity: ModuleEntity) -> Self {
        let mut packed = Self::ZERO;
        packed[..20].copy_from_slice(entity.module.as_slice());
        packed[20..].copy_from_slice(&entity.entity_id.to_be_bytes());
        packed
    }
}

impl From<FixedBytes<24>> for ModuleEntity {
    fn from(packed: FixedBytes<24>) -> Self {
        let [module @ .., a, b, c, d] = packed.0;
        Self::new(Address::new(module), u32::from_be_bytes([a, b, c, d]))
    }
}

impl fmt::Display for ModuleEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entity {:#010x} of module {}", self.entity_id, self.module)
    }
}

/// The permitted uses of a validation. Unknown bits are kept, as accounts keep them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ValidationFlags(pub u8);

impl ValidationFlags {
    /// Runtime calls only, which need no flag.
    pub const NONE: Self = Self(0);
    /// Validates user operations.
    pub const USER_OPERATIONS: Self = Self(1);
    /// Validates signatures (ERC-1271), and with them deferred actions.
    pub const SIGNATURES: Self = Self(2);
    /// May validate every function that allows global validations.
    pub const GLOBAL: Self = Self(4);

    /// Whether all flags of the other are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether a flag is set that ERC-6900 v0.8 does not define.
    #[must_use]
    pub const fn has_unknown(self) -> bool {
        self.0 & !(Self::USER_OPERATIONS.0 | Self::SIGNATURES.0 | Self::GLOBAL.0) != 0
    }

    /// Returns the union of both flags.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for ValidationFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::USER_OPERATIONS, "user operations"),
            (Self::SIGNATURES, "signatures"),
            (Self::GLOBAL, "global"),
        ];
        let set = names.iter().filter(|(flag, _)| self.contains(*flag));
        let set: Vec<&str> = set.map(|(_, name)| *name).collect();
        write!(f, "ValidationFlags({:#04x}: {})", self.0, set.join(", "))
    }
}

/// A validation with its flags (25 bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidationConfig {
    /// The validation.
    pub validation: ModuleEntity,
    /// Its permitted uses.
    pub flags: ValidationFlags,
}

impl From<ValidationConfig> for FixedBytes<25> {
    fn from(config: ValidationConfig) -> Self {
        with_flags(config.validation, config.flags.0)
    }
}

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum HookKind {
    /// Before the validation.
    Validation,
    /// Around the execution.
    Execution {
        /// Before the calls.
        is_pre: bool,
        /// After the calls.
        is_post: bool,
    },
}

/// A hook of a validation or of a function (25 bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HookConfig {
    /// The hook. Its entity id is independent of its validation's.
    pub hook: ModuleEntity,
    /// Its flags. Meaningless bits still distinguish hooks: [`kind`](Self::kind) returns when it runs.
    pub flags: u8,
}

impl HookConfig {
    const VALIDATION: u8 = 1;
    const POST: u8 = 2;
    const PRE: u8 = 4;

    /// Creates a hook of this kind, with no other flags.
    pub const fn new(hook: ModuleEntity, kind: HookKind) -> Self {
        let flags = match kind {
            HookKind::Validation => Self::VALIDATION,
            HookKind::Execution { is_pre, is_post } => {
                (if is_pre { Self::PRE } else { 0 }) | (if is_post { Self::POST } else { 0 })
            }
        };
        Self { hook, flags }
    }

    /// Returns when it runs.
    #[must_use]
    pub const fn kind(&self) -> HookKind {
        if self.flags & Self::VALIDATION == 0 {
            HookKind::Execution {
                is_pre: self.flags & Self::PRE != 0,
                is_post: self.flags & Self::POST != 0,
            }
        } else {
            HookKind::Validation
        }
    }
}

impl fmt::Display for HookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind() {
            HookKind::Validation => "validation hook",
            HookKind::Execution { .. } => "execution hook",
        };
        write!(f, "{kind} {}, flags {:#04x}", self.hook, self.flags)
    }
}

impl From<HookConfig> for FixedBytes<25> {
    fn from(config: HookConfig) -> Self {
        with_flags(config.hook, config.flags)
    }
}

impl From<FixedBytes<25>> for HookConfig {
    fn from(packed: FixedBytes<25>) -> Self {
        let [hook @ .., flags] = packed.0;
        Self {
            hook: FixedBytes::<24>::new(hook).into(),
            flags,
        }
    }
}

fn with_flags(entity: ModuleEntity, flags: u8) -> FixedBytes<25> {
    let mut packed = FixedBytes::ZERO;
    packed[..24].copy_from_slice(FixedBytes::<24>::from(entity).as_slice());
    packed[24] = flags;
    packed
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::fixed_bytes;

    const MODULE: Address = Address::repeat_byte(0xab);

    /// As returned by a deployed account.
    #[test]
    fn hooks_are_packed_as_accounts_store_them() {
        let execution = |is_pre, is_post| HookKind::Execution { is_pre, is_post };
        for (entity_id, kind, tail) in [
            (21, HookKind::Validation, fixed_bytes!("0000001501")),
            (9, execution(true, false), fixed_bytes!("0000000904")),
            (22, execution(true, true), fixed_bytes!("0000001606")),
            (1, execution(false, true), fixed_bytes!("0000000102")),
        ] {
            let config = HookConfig::new(ModuleEntity::new(MODULE, entity_id), kind);
            let packed = FixedBytes::<25>::from(config);
            assert_eq!(packed, MODULE.0.concat_const::<5, 25>(tail));
            assert_eq!(HookConfig::from(packed), config);
            assert_eq!(config.kind(), kind);
        }
        // The accounts' own client installs validation hooks with a meaningless bit.
        let other_bits = HookConfig {
            hook: ModuleEntity::new(MODULE, 1),
            flags: 5,
        };
        assert_eq!(other_bits.kind(), HookKind::Validation);
        assert_eq!(HookConfig::from(FixedBytes::<25>::from(other_bits)), other_bits);
    }

    #[test]
    fn validations_are_packed_with_their_flags() {
        let config = ValidationConfig {
            validation: ModuleEntity::new(MODULE, 5),
            flags: ValidationFlags::USER_OPERATIONS.union(ValidationFlags::GLOBAL),
        };
        let packed = FixedBytes::<25>::from(config);
        assert_eq!(packed, MODULE.0.concat_const::<5, 25>(fixed_bytes!("0000000505")));
        assert_eq!(
            format!("{:?}", config.flags),
            "ValidationFlags(0x05: user operations, global)"
        );
        assert!(!config.flags.contains(ValidationFlags::SIGNATURES));
        assert!(!config.flags.has_unknown() && ValidationFlags(0x0d).has_unknown());
        let entity = FixedBytes::<24>::from(config.validation);
        assert_eq!(ModuleEntity::from(entity), config.validation);
    }
}
