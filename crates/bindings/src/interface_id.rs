//! ERC-165 interface ids: the XOR of an interface's function selectors.

use alloy_primitives::FixedBytes;

/// [`IERC165`](crate::IERC165).
pub const IERC165: FixedBytes<4> = FixedBytes([0x01, 0xff, 0xc9, 0xa7]);

/// [`IPlugin`](crate::IPlugin) of ERC-6900 v0.7.
pub const IPLUGIN: FixedBytes<4> = FixedBytes([0xf2, 0x3b, 0x1e, 0xd7]);

/// [`ISessionKeyPlugin`](crate::ISessionKeyPlugin::ISessionKeyPluginCalls).
pub const ISESSION_KEY_PLUGIN: FixedBytes<4> = FixedBytes([0x5b, 0x05, 0x1d, 0x22]);

/// [`IModule`](crate::IModule) of ERC-6900 v0.8.
pub const IMODULE: FixedBytes<4> = FixedBytes([0x46, 0xc0, 0xc1, 0xb4]);

/// [`IValidationModule`](crate::IValidationModule) of ERC-6900 v0.8, without the functions inherited from
/// `IModule`.
pub const IVALIDATION_MODULE: FixedBytes<4> = FixedBytes([0xab, 0x3e, 0x34, 0xc1]);

/// [`IExecutionModule`](crate::IExecutionModule) of ERC-6900 v0.8, without the functions inherited from
/// `IModule`.
pub const IEXECUTION_MODULE: FixedBytes<4> = FixedBytes([0xae, 0x56, 0x28, 0xc6]);

/// `IMultiOwnerPlugin`.
pub const IMULTI_OWNER_PLUGIN: FixedBytes<4> = FixedBytes([0xdb, 0x9b, 0x90, 0xa3]);
