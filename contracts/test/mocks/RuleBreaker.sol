// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC165} from "@openzeppelin/utils/introspection/IERC165.sol";

import {UserOperation} from "../../src/interfaces/IAccount.sol";
import {
    IPlugin,
    ManifestAssociatedFunction,
    ManifestAssociatedFunctionType,
    ManifestFunction,
    PluginManifest
} from "../../src/interfaces/IPlugin.sol";

/// @notice A plugin whose validation breaks the ERC-7562 rule that the operation's signature names, to show that the
/// test of the rules detects it. `IPlugin`'s `pluginManifest` is pure, so it does not inherit it.
contract RuleBreaker {
    enum Break {
        NOTHING,
        ORIGIN,
        BALANCE,
        TIMESTAMP,
        SELF_BALANCE,
        CREATE,
        CREATE2,
        GAS,
        OUT_OF_GAS,
        SIZE_OF_NO_CODE,
        HASH_OF_NO_CODE,
        COPY_OF_NO_CODE,
        CALL_OF_NO_CODE,
        STATICCALL_OF_NO_CODE,
        DELEGATECALL_OF_NO_CODE,
        CALL_WITH_VALUE,
        CALL_OF_ENTRY_POINT,
        OTHER_PRECOMPILE,
        FOREIGN_LOAD,
        FOREIGN_STORE,
        FOREIGN_TRANSIENT_LOAD
    }

    /// @notice The execution function, which is the break's.
    function foo() external {}

    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return interfaceId == type(IERC165).interfaceId || interfaceId == type(IPlugin).interfaceId;
    }

    function onInstall(bytes calldata) external {}

    function pluginManifest() external pure returns (PluginManifest memory manifest) {
        manifest.executionFunctions = new bytes4[](1);
        manifest.executionFunctions[0] = this.foo.selector;
        manifest.userOpValidationFunctions = new ManifestAssociatedFunction[](1);
        manifest.userOpValidationFunctions[0] =
            ManifestAssociatedFunction(this.foo.selector, ManifestFunction(ManifestAssociatedFunctionType.SELF, 0, 0));
    }

    receive() external payable {}

    /// @dev Everything is logged, so the compiler removes nothing.
    function userOpValidationFunction(uint8, UserOperation calldata userOp, bytes32) external returns (uint256) {
        Break broken = Break(uint8(bytes1(userOp.signature)));
        address noCode = address(0xC0DE1E55);
        uint256 word;
        if (broken == Break.ORIGIN) word = uint160(tx.origin);
        if (broken == Break.BALANCE) word = noCode.balance;
        if (broken == Break.TIMESTAMP) word = block.timestamp;
        if (broken == Break.SELF_BALANCE) word = address(this).balance;
        if (broken == Break.SIZE_OF_NO_CODE) word = noCode.code.length;
        if (broken == Break.HASH_OF_NO_CODE) word = uint256(noCode.codehash);
        assembly ("memory-safe") {
            switch broken
            case 5 { word := create(0, 0, 0) }
            case 6 { word := create2(0, 0, 0, 0) }
            case 7 { word := gas() }
            case 8 { word := call(10, address(), 0, 0, 0, 0, 0) }
            case 11 { extcodecopy(noCode, 0, 0, 32) }
            case 12 { word := call(gas(), noCode, 0, 0, 0, 0, 0) }
            case 13 { word := staticcall(gas(), noCode, 0, 0, 0, 0) }
            case 14 { word := delegatecall(gas(), noCode, 0, 0, 0, 0) }
            case 15 { word := call(gas(), caller(), 1, 0, 0, 0, 0) }
            case 16 { word := call(gas(), 0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789, 0, 0, 4, 0, 0) }
            case 17 { word := staticcall(gas(), 10, 0, 0, 0, 0) }
            case 18 { word := sload(7) }
            case 19 { sstore(7, 1) }
            case 20 { word := tload(7) }
            mstore(0, word)
            log0(0, 32)
        }
        return 0;
    }
}
