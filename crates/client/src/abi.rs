//! Short names for the Solidity ABIs that this crate encodes and decodes.

pub(crate) use session_key_bindings::{
    IAccount, IEntryPoint as EntryPoint, IModularAccount as Account, IModularAccountFactory as Factory,
    IMultiOwnerPlugin as Owners, IPlugin, IPluginErrors as PluginBase, ISessionKeyPlugin as Plugin,
};

alloy::sol! {
    /// ERC-1271.
    interface IERC1271 {
        /// Whether a contract accepts a signature for a digest: 0x1626ba7e if it does.
        function isValidSignature(bytes32 digest, bytes signature) external view returns (bytes4 magicValue);
    }
}
