//! ERC-165 interface ids: the exclusive or of an interface's selectors.

use alloy_primitives::FixedBytes;

/// [`IERC165`](crate::IERC165).
pub const IERC165: FixedBytes<4> = FixedBytes([0x01, 0xff, 0xc9, 0xa7]);

/// [`IPlugin`](crate::IPlugin) of ERC-6900 v0.7.
pub const IPLUGIN: FixedBytes<4> = FixedBytes([0xf2, 0x3b, 0x1e, 0xd7]);

/// [`ISessionKeyPlugin`](crate::ISessionKeyPlugin::ISessionKeyPluginCalls).
pub const ISESSION_KEY_PLUGIN: FixedBytes<4> = FixedBytes([0x5b, 0x05, 0x1d, 0x22]);

/// `IMultiOwnerPlugin`.
pub const IMULTI_OWNER_PLUGIN: FixedBytes<4> = FixedBytes([0xdb, 0x9b, 0x90, 0xa3]);
