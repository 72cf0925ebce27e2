//! Short names for the Solidity ABIs that this crate encodes and decodes.

pub(crate) use session_key_bindings::{
    IAccount, IAccountFactoryV08 as FactoryV08, IAccountV07, IAccountV08 as AccountV08,
    IEntryPoint as EntryPoint, IEntryPointV07 as EntryPointV07, IModularAccount as Account,
    IModularAccountFactory as Factory, IMultiOwnerPlugin as Owners, INonceAccount as NonceAccount, IPlugin,
    IPluginErrors as PluginBase, ISemiModularAccount as SemiModularAccount, ISessionKeyModule as Module,
    ISessionKeyPlugin as Plugin,
};

alloy::sol! {
    /// ERC-1271.
    interface IERC1271 {
        /// Returns 0x1626ba7e if the contract accepts the signature for the digest.
        function isValidSignature(bytes32 digest, bytes signature) external view returns (bytes4 magicValue);
    }
}

alloy::sol! {
    /// Batches calls; at the same address on most chains (0xcA11bde05977b3631167028862bE2a173976CA11).
    interface Multicall3 {
        /// A call.
        struct Call3 {
            address target;
            bool allowFailure;
            bytes callData;
        }

        /// The result of a call.
        struct Result {
            bool success;
            bytes returnData;
        }

        /// Makes the calls in order.
        function aggregate3(Call3[] calls) external payable returns (Result[] returnData);
    }
}
