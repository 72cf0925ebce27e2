//! Creation bytecode of the contracts, as compiled from `contracts/src` with the pinned compiler.
//!
//! `script/bindings.sh` regenerates the files, and `script/bindings.sh --check` verifies that they are up to
//! date. Deployments always use this bytecode, never another build's output: solc's output may depend on
//! which files are compiled together, and the contracts' addresses depend on every byte.

use alloy_primitives::{Address, B256, Bytes, hex};
use alloy_sol_types::SolValue;

/// The creation bytecode of one contract, without constructor arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreationCode {
    name: &'static str,
    hex: &'static str,
}

impl CreationCode {
    /// Creates it from a contract's name and its bytecode as one line of hex (with or without a `0x` prefix).
    #[must_use]
    pub const fn new(name: &'static str, hex: &'static str) -> Self {
        Self { name, hex }
    }

    /// Returns the contract's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the bytecode in hex.
    #[must_use]
    pub const fn hex(&self) -> &'static str {
        self.hex.trim_ascii()
    }

    /// Returns the bytecode. If the constructor takes no arguments, this is the complete init code.
    ///
    /// # Panics
    ///
    /// Panics if the text is not hex. This crate's tests rule that out for the statics in this module.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        hex::decode(self.hex())
            .unwrap_or_else(|error| panic!("bytecode of {}: {error}", self.name))
            .into()
    }

    /// Returns the init code: the bytecode followed by `arguments`, the ABI-encoded constructor arguments.
    #[must_use]
    pub fn with_constructor_arguments(&self, arguments: &[u8]) -> Bytes {
        [&self.bytes(), arguments].concat().into()
    }
}

/// `SessionKeyPlugin`; its constructor takes no arguments.
pub static SESSION_KEY_PLUGIN: CreationCode = CreationCode::new(
    "SessionKeyPlugin",
    include_str!("../bytecode/SessionKeyPlugin.hex"),
);

/// `SessionKeyModule`, for ERC-6900 v0.8 accounts; its constructor takes no arguments.
pub static SESSION_KEY_MODULE: CreationCode = CreationCode::new(
    "SessionKeyModule",
    include_str!("../bytecode/SessionKeyModule.hex"),
);

/// `MultiOwnerPlugin`; its constructor takes no arguments.
pub static MULTI_OWNER_PLUGIN: CreationCode = CreationCode::new(
    "MultiOwnerPlugin",
    include_str!("../bytecode/MultiOwnerPlugin.hex"),
);

/// `ModularAccount`, the implementation behind the accounts' proxies; see [`modular_account`].
pub static MODULAR_ACCOUNT: CreationCode =
    CreationCode::new("ModularAccount", include_str!("../bytecode/ModularAccount.hex"));

/// `ModularAccountFactory`; see [`modular_account_factory`].
pub static MODULAR_ACCOUNT_FACTORY: CreationCode = CreationCode::new(
    "ModularAccountFactory",
    include_str!("../bytecode/ModularAccountFactory.hex"),
);

/// Returns the init code of the account implementation.
#[must_use]
pub fn modular_account(entry_point: Address) -> Bytes {
    MODULAR_ACCOUNT.with_constructor_arguments(&entry_point.abi_encode())
}

/// Returns the init code of the account factory. `owner` owns the factory (its stake), not the accounts it
/// creates.
#[must_use]
pub fn modular_account_factory(
    owner: Address,
    multi_owner_plugin: Address,
    implementation: Address,
    multi_owner_plugin_manifest_hash: B256,
    entry_point: Address,
) -> Bytes {
    MODULAR_ACCOUNT_FACTORY.with_constructor_arguments(
        &(
            owner,
            multi_owner_plugin,
            implementation,
            multi_owner_plugin_manifest_hash,
            entry_point,
        )
            .abi_encode_params(),
    )
}
