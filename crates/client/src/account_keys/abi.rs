//! What the permission modules of Modular Account v2 answer, and their events.

#![allow(missing_docs, clippy::too_many_arguments)]

alloy::sol! {
    interface SingleSigner {
        function signers(uint32 entityId, address account) external view returns (address signer);
    }

    interface Allowlist {
        struct AllowlistEntry {
            bool allowed;
            bool hasSelectorAllowlist;
            bool hasERC20SpendLimit;
        }

        event AddressAllowlistUpdated(uint32 indexed entityId, address indexed account, address indexed target, AllowlistEntry entry);
        event SelectorAllowlistUpdated(uint32 indexed entityId, address indexed account, bytes24 indexed targetAndSelector, bool allowed);
        event ERC20SpendLimitUpdated(uint32 indexed entityId, address indexed account, address indexed token, uint256 newLimit);

        function addressAllowlist(uint32 entityId, address target, address account) external view returns (bool allowed, bool hasSelectorAllowlist, bool hasERC20SpendLimit);
        function selectorAllowlist(uint32 entityId, bytes4 selector, address target, address account) external view returns (bool allowed);
        function erc20SpendLimits(uint32 entityId, address target, address account) external view returns (uint256 left);
    }

    interface NativeTokenLimit {
        event SpecialPaymasterUpdated(address indexed account, address indexed paymaster, bool allowed);

        function limits(uint256 entityId, address account) external view returns (uint256 left);
        function specialPaymasters(address paymaster, address account) external view returns (bool allowed);
    }

    interface TimeRange {
        function timeRanges(uint32 entityId, address account) external view returns (uint48 validUntil, uint48 validAfter);
    }

    interface PaymasterGuard {
        function paymasters(uint32 entityId, address account) external view returns (address paymaster);
    }
}
