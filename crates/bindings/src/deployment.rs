//! Which contracts a deployment creates, from what, and where: a pure function of their bytecode and a few parameters.
//!
//! Everything that deploys them follows this plan. The forge script computes it once more in Solidity;
//! `script/bindings.sh --check` proves that both lead to the same init codes and addresses, and that
//! `deterministic.json` records them and the constants of this module.

use crate::{DEPLOYMENT_PROXY, ENTRY_POINT, bytecode, manifest_hash};
use alloy_primitives::{Address, B256, Bytes, address, keccak256};
use std::fmt;

/// Owns the recorded factory: nobody, which makes the factory the same for everyone. Nobody can stake it either.
pub const DEFAULT_FACTORY_OWNER: Address = address!("0x000000000000000000000000000000000000dEaD");

/// Predeployed on OP Stack chains, where posting a transaction's data is paid for on top of its gas.
pub const GAS_PRICE_ORACLE: Address = address!("0x420000000000000000000000000000000000000F");

/// Init code that copies nothing: it needs PUSH0 (Shanghai) and MCOPY (Cancun), as the contracts do.
pub const CANCUN_PROBE: [u8; 5] = [0x5f, 0x5f, 0x5f, 0x5e, 0x00];

/// A contract of a deployment. The variants are in the order in which the contracts are created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Contract {
    /// EntryPoint v0.6 (ERC-4337).
    EntryPoint,
    /// Keeps the owners of accounts.
    MultiOwnerPlugin,
    /// Keeps the session keys of accounts.
    SessionKeyPlugin,
    /// The implementation behind the accounts' proxies.
    ModularAccount,
    /// Makes accounts.
    ModularAccountFactory,
}

impl Contract {
    /// All contracts of a deployment, in the order in which they are created.
    pub const ALL: [Self; 5] = [
        Self::EntryPoint,
        Self::MultiOwnerPlugin,
        Self::SessionKeyPlugin,
        Self::ModularAccount,
        Self::ModularAccountFactory,
    ];

    /// The contract's name in Solidity.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EntryPoint => "EntryPoint",
            Self::MultiOwnerPlugin => "MultiOwnerPlugin",
            Self::SessionKeyPlugin => "SessionKeyPlugin",
            Self::ModularAccount => "ModularAccount",
            Self::ModularAccountFactory => "ModularAccountFactory",
        }
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What can be chosen. Salts are those of CREATE2. The defaults lead to the recorded addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeploymentParameters {
    /// Owns the factory, that is, its stake; not the accounts that it makes. Part of the factory's address.
    pub factory_owner: Address,
    /// Salt of the owner plugin.
    pub multi_owner_plugin_salt: B256,
    /// Salt of the session key plugin.
    pub session_key_plugin_salt: B256,
    /// Salt of the account implementation.
    pub modular_account_salt: B256,
    /// Salt of the factory.
    pub modular_account_factory_salt: B256,
}

impl Default for DeploymentParameters {
    fn default() -> Self {
        Self {
            factory_owner: DEFAULT_FACTORY_OWNER,
            multi_owner_plugin_salt: B256::ZERO,
            session_key_plugin_salt: B256::ZERO,
            modular_account_salt: B256::ZERO,
            modular_account_factory_salt: B256::ZERO,
        }
    }
}

/// What the [`DEPLOYMENT_PROXY`] creates a contract from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Creation {
    /// Salt of CREATE2.
    pub salt: B256,
    /// Creation bytecode and constructor arguments.
    pub init_code: Bytes,
}

impl Creation {
    /// A creation with salt zero.
    #[must_use]
    pub const fn unsalted(init_code: Bytes) -> Self {
        Self {
            salt: B256::ZERO,
            init_code,
        }
    }

    /// Where the contract will be.
    #[must_use]
    pub fn address(&self) -> Address {
        DEPLOYMENT_PROXY.create2(self.salt, self.init_code_hash())
    }

    /// `keccak256` of the init code.
    #[must_use]
    pub fn init_code_hash(&self) -> B256 {
        keccak256(&self.init_code)
    }

    /// Data of the call to the proxy that creates the contract: the salt, then the init code.
    #[must_use]
    pub fn call_data(&self) -> Bytes {
        [self.salt.as_slice(), &self.init_code].concat().into()
    }
}

/// The contracts of a deployment in the order of [`Contract::ALL`], and what creates each. `entry_point_code` is the creation
/// bytecode of EntryPoint v0.6, which is not part of this crate. Nothing is checked: a zero owner leads to a factory that
/// cannot be created, and other bytecode to an EntryPoint at another address than [`ENTRY_POINT`].
#[must_use]
pub fn plan(parameters: &DeploymentParameters, entry_point_code: Bytes) -> [(Contract, Creation); 5] {
    let multi_owner_plugin = Creation {
        salt: parameters.multi_owner_plugin_salt,
        init_code: bytecode::MULTI_OWNER_PLUGIN.bytes(),
    };
    let session_key_plugin = Creation {
        salt: parameters.session_key_plugin_salt,
        init_code: bytecode::SESSION_KEY_PLUGIN.bytes(),
    };
    let modular_account = Creation {
        salt: parameters.modular_account_salt,
        init_code: bytecode::modular_account(ENTRY_POINT),
    };
    let factory = Creation {
        salt: parameters.modular_account_factory_salt,
        init_code: bytecode::modular_account_factory(
            parameters.factory_owner,
            multi_owner_plugin.address(),
            modular_account.address(),
            manifest_hash::MULTI_OWNER_PLUGIN,
            ENTRY_POINT,
        ),
    };
    [
        (Contract::EntryPoint, Creation::unsalted(entry_point_code)),
        (Contract::MultiOwnerPlugin, multi_owner_plugin),
        (Contract::SessionKeyPlugin, session_key_plugin),
        (Contract::ModularAccount, modular_account),
        (Contract::ModularAccountFactory, factory),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(parameters: &DeploymentParameters) -> [Address; 5] {
        plan(parameters, Bytes::from_static(&[0])).map(|(_, creation)| creation.address())
    }

    #[test]
    fn the_plan_has_every_contract_in_order() {
        let planned = plan(&DeploymentParameters::default(), Bytes::new());
        assert_eq!(planned.map(|(contract, _)| contract), Contract::ALL);
        assert!(Contract::ALL.is_sorted());
        for contract in Contract::ALL {
            assert_eq!(contract.to_string(), format!("{contract:?}"));
        }
    }

    #[test]
    fn each_parameter_moves_the_contracts_that_depend_on_it() {
        let standard = addresses(&DeploymentParameters::default());
        let salt = B256::repeat_byte(1);
        let default = DeploymentParameters::default();
        // EntryPoint, owner plugin, session key plugin, implementation, factory.
        for (parameters, moved) in [
            (
                DeploymentParameters {
                    factory_owner: Address::repeat_byte(1),
                    ..default
                },
                [false, false, false, false, true],
            ),
            (
                DeploymentParameters {
                    multi_owner_plugin_salt: salt,
                    ..default
                },
                [false, true, false, false, true],
            ),
            (
                DeploymentParameters {
                    session_key_plugin_salt: salt,
                    ..default
                },
                [false, false, true, false, false],
            ),
            (
                DeploymentParameters {
                    modular_account_salt: salt,
                    ..default
                },
                [false, false, false, true, true],
            ),
            (
                DeploymentParameters {
                    modular_account_factory_salt: salt,
                    ..default
                },
                [false, false, false, false, true],
            ),
        ] {
            let chosen = addresses(&parameters);
            let found: Vec<_> = chosen.iter().zip(&standard).map(|(a, b)| a != b).collect();
            assert_eq!(found, moved, "{parameters:?}");
        }
    }

    #[test]
    fn the_proxy_is_called_with_salt_and_init_code() {
        let creation = Creation {
            salt: B256::repeat_byte(7),
            init_code: Bytes::from_static(&[1, 2]),
        };
        let data = creation.call_data();
        assert_eq!(data[..32], [7; 32]);
        assert_eq!(data[32..], [1, 2]);
    }
}
