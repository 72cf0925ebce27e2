//! Manifest hashes, `keccak256(abi.encode(manifest))`. An owner consents to this hash when installing a
//! plugin. The manifests contain no addresses, so every deployment of a compatible plugin has the same hash.

use alloy_primitives::{B256, b256};

/// Manifest hash of the session key plugin.
pub const SESSION_KEY_PLUGIN: B256 =
    b256!("0x833a1f0442e68769684efcd91c9fbd90948637d3d3bae76a4c7fd65f58e2947b");

/// Hash of the session key module's [`ExecutionManifest`](crate::ExecutionManifest).
pub const SESSION_KEY_MODULE: B256 =
    b256!("0xa152696c31f7d8dfd66cbe40030a7261d3417d37c2919cfbb657bf4ddca656bf");

/// Manifest hash of the owner plugin.
pub const MULTI_OWNER_PLUGIN: B256 =
    b256!("0x21d0f6cca8bef15ac65bf93ae5ae9ec383ea5010bf3e02b44d3c0abd2d2bd0fb");
