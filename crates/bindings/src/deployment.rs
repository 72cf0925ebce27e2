//! The deployment plan: the contracts, their init codes and their addresses, computed from the bytecode and a
//! few parameters.
//!
//! All Rust code that deploys the contracts follows this plan. The forge script computes it independently in
//! Solidity; `script/bindings.sh --check` verifies that both give the same init codes and addresses, and that
//! `deterministic.json` records them along with this module's constants.

use crate::{DEPLOYMENT_PROXY, ENTRY_POINT, bytecode, manifest_hash};
use alloy_primitives::{Address, B256, Bytes, address, b256, keccak256};
use std::fmt;

/// The default factory owner: an address without a known key, so the factory's address is the same for
/// everyone. Nobody can stake this factory.
pub const DEFAULT_FACTORY_OWNER: Address = address!("0x000000000000000000000000000000000000dEaD");

/// The gas price oracle predeployed on OP Stack chains, where a transaction pays a data fee on top of its
/// gas.
pub const GAS_PRICE_ORACLE: Address = address!("0x420000000000000000000000000000000000000F");

/// Init code that copies zero bytes. Like the contracts, it needs PUSH0 (Shanghai) and MCOPY (Cancun).
pub const CANCUN_PROBE: [u8; 5] = [0x5f, 0x5f, 0x5f, 0x5e, 0x00];

/// Salt of EntryPoint v0.7. Its authors mined it for the address.
pub const ENTRY_POINT_V07_SALT: B256 =
    b256!("0x90d8084deab30c2a37c45e8d47f49f2f7965183cb6990a98943ef94940681de3");

/// A contract of a deployment. The variants are in creation order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Contract {
    /// EntryPoint v0.6 (ERC-4337).
    EntryPoint,
    /// The plugin that stores the accounts' owners.
    MultiOwnerPlugin,
    /// The plugin that stores the accounts' session keys.
    SessionKeyPlugin,
    /// The implementation behind the accounts' proxies.
    ModularAccount,
    /// The factory that creates accounts.
    ModularAccountFactory,
    /// EntryPoint v0.7, used by accounts with the session key module.
    EntryPointV07,
    /// The module that stores the session keys of ERC-6900 v0.8 accounts.
    SessionKeyModule,
}

impl Contract {
    /// All contracts of a deployment, in creation order.
    pub const ALL: [Self; 7] = [
        Self::EntryPoint,
        Self::MultiOwnerPlugin,
        Self::SessionKeyPlugin,
        Self::ModularAccount,
        Self::ModularAccountFactory,
        Self::EntryPointV07,
        Self::SessionKeyModule,
    ];

    /// Returns the contract's name in Solidity; EntryPoint v0.7 is `EntryPointV07`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EntryPoint => "EntryPoint",
            Self::MultiOwnerPlugin => "MultiOwnerPlugin",
            Self::SessionKeyPlugin => "SessionKeyPlugin",
            Self::ModularAccount => "ModularAccount",
            Self::ModularAccountFactory => "ModularAccountFactory",
            Self::EntryPointV07 => "EntryPointV07",
            Self::SessionKeyModule => "SessionKeyModule",
        }
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The parameters of a deployment. Salts are CREATE2 salts. The defaults give the recorded addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeploymentParameters {
    /// The owner of the factory and its stake, not of the accounts it creates. The factory's address depends
    /// on it.
    pub factory_owner: Address,
    /// Salt of the owner plugin.
    pub multi_owner_plugin_salt: B256,
    /// Salt of the session key plugin.
    pub session_key_plugin_salt: B256,
    /// Salt of the account implementation.
    pub modular_account_salt: B256,
    /// Salt of the factory.
    pub modular_account_factory_salt: B256,
    /// Salt of the session key module.
    pub session_key_module_salt: B256,
}

impl Default for DeploymentParameters {
    fn default() -> Self {
        Self {
            factory_owner: DEFAULT_FACTORY_OWNER,
            multi_owner_plugin_salt: B256::ZERO,
            session_key_plugin_salt: B256::ZERO,
            modular_account_salt: B256::ZERO,
            modular_account_factory_salt: B256::ZERO,
            session_key_module_salt: B256::ZERO,
        }
    }
}

/// The input from which the [`DEPLOYMENT_PROXY`] creates a contract.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Creation {
    /// Salt of CREATE2.
    pub salt: B256,
    /// Creation bytecode and constructor arguments.
    pub init_code: Bytes,
}

impl Creation {
    /// Creates it with salt zero.
    #[must_use]
    pub const fn unsalted(init_code: Bytes) -> Self {
        Self {
            salt: B256::ZERO,
            init_code,
        }
    }

    /// Returns the address the contract will have.
    #[must_use]
    pub fn address(&self) -> Address {
        DEPLOYMENT_PROXY.create2(self.salt, self.init_code_hash())
    }

    /// Returns the `keccak256` hash of the init code.
    #[must_use]
    pub fn init_code_hash(&self) -> B256 {
        keccak256(&self.init_code)
    }

    /// Returns the call data for the proxy: the salt (32 bytes) followed by the init code.
    #[must_use]
    pub fn call_data(&self) -> Bytes {
        [self.salt.as_slice(), &self.init_code].concat().into()
    }
}

/// Creation bytecode of the EntryPoints. It has another licence and is therefore not part of this crate;
/// `session_key_entry_point::codes` returns it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryPointCodes {
    /// Creation bytecode of EntryPoint v0.6.
    pub v06: Bytes,
    /// Creation bytecode of EntryPoint v0.7.
    pub v07: Bytes,
}

/// Returns the contracts of a deployment, in the order of [`Contract::ALL`], with the [`Creation`] of each.
///
/// The arguments are not checked. With a zero factory owner, the factory cannot be created. With other
/// EntryPoint bytecode, the EntryPoints' addresses differ from [`ENTRY_POINT`] and
/// [`ENTRY_POINT_V07`](crate::ENTRY_POINT_V07).
#[must_use]
pub fn plan(parameters: &DeploymentParameters, entry_points: EntryPointCodes) -> [(Contract, Creation); 7] {
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
    let entry_point_v07 = Creation {
        salt: ENTRY_POINT_V07_SALT,
        init_code: entry_points.v07,
    };
    let session_key_module = Creation {
        salt: parameters.session_key_module_salt,
        init_code: bytecode::SESSION_KEY_MODULE.bytes(),
    };
    [
        (Contract::EntryPoint, Creation::unsalted(entry_points.v06)),
        (Contract::MultiOwnerPlugin, multi_owner_plugin),
        (Contract::SessionKeyPlugin, session_key_plugin),
        (Contract::ModularAccount, modular_account),
        (Contract::ModularAccountFactory, factory),
        (Contract::EntryPointV07, entry_point_v07),
        (Contract::SessionKeyModule, session_key_module),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry_points() -> EntryPointCodes {
        EntryPointCodes {
            v06: Bytes::from_static(&[0]),
            v07: Bytes::from_static(&[1]),
        }
    }

    fn addresses(parameters: &DeploymentParameters) -> [Address; 7] {
        plan(parameters, entry_points()).map(|(_, creation)| creation.address())
    }

    #[test]
    fn the_plan_has_every_contract_in_order() {
        let planned = plan(&DeploymentParameters::default(), entry_points());
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
        // EntryPoint, owner plugin, session key plugin, implementation, factory, EntryPoint v0.7, session key
        // module.
        for (parameters, moved) in [
            (
                DeploymentParameters {
                    factory_owner: Address::repeat_byte(1),
                    ..default
                },
                [false, false, false, false, true, false, false],
            ),
            (
                DeploymentParameters {
                    multi_owner_plugin_salt: salt,
                    ..default
                },
                [false, true, false, false, true, false, false],
            ),
            (
                DeploymentParameters {
                    session_key_plugin_salt: salt,
                    ..default
                },
                [false, false, true, false, false, false, false],
            ),
            (
                DeploymentParameters {
                    modular_account_salt: salt,
                    ..default
                },
                [false, false, false, true, true, false, false],
            ),
            (
                DeploymentParameters {
                    modular_account_factory_salt: salt,
                    ..default
                },
                [false, false, false, false, true, false, false],
            ),
            (
                DeploymentParameters {
                    session_key_module_salt: salt,
                    ..default
                },
                [false, false, false, false, false, false, true],
            ),
        ] {
            let chosen = addresses(&parameters);
            let found: Vec<_> = chosen.iter().zip(&standard).map(|(a, b)| a != b).collect();
            assert_eq!(found, moved, "{parameters:?}");
        }
    }

    #[test]
    fn the_call_data_for_the_proxy_are_the_salt_and_the_init_code() {
        let creation = Creation {
            salt: B256::repeat_byte(7),
            init_code: Bytes::from_static(&[1, 2]),
        };
        let data = creation.call_data();
        assert_eq!(data[..32], [7; 32]);
        assert_eq!(data[32..], [1, 2]);
    }
}
