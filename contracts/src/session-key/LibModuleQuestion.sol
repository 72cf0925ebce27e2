// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC165} from "@openzeppelin/utils/introspection/IERC165.sol";

import {IModule} from "../interfaces/IModule.sol";
import {ISessionKeyModule} from "../interfaces/ISessionKeyModule.sol";
import {Call} from "../interfaces/IStandardExecutor.sol";
import {LibSessionKeyCalls} from "./LibSessionKeyCalls.sol";

/// @title Module check of call targets
/// @notice A module obeys calls from the account (one that validates would hand the account over), and an ERC-6900 v0.8
/// account does not refuse to call it. ERC-6900 requires every module to report `IModule` through ERC-165. Modules that
/// do not, and targets that change their answer later, are not detected.
library LibModuleQuestion {
    using LibSessionKeyCalls for Call[];

    /// @dev Gas units for the target's answer: a third of what ERC-165 allows, and many times what modules need. A
    /// fallback that does not know the selector may burn all of it.
    uint256 private constant QUESTION_GAS = 10_000;

    /// @dev Gas units that must be left before the query: enough that 63/64 of them (EIP-150) suffice, and some for the
    /// call itself.
    uint256 private constant GAS_TO_ASK = QUESTION_GAS * 64 / 63 + 300;

    /// @dev Reverts with `TargetIsModule` if a target reports itself as a module. Consecutive calls to the same target
    /// cost one query.
    function requireNoModules(Call[] calldata calls) internal view {
        address asked;
        for (uint256 i = 0; i < calls.length; ++i) {
            // Only the target matters here.
            // slither-disable-next-line unused-return
            (address target,,) = calls.at(i);
            // `asked` starts as the zero address, which has no code.
            if (target != asked && _isModule(target)) revert ISessionKeyModule.TargetIsModule(target);
            asked = target;
        }
    }

    /// @dev Whether the target reports itself as a module: within the gas, with at least one word that is not zero. A
    /// target without code is not asked: a precompile would take the query as its input.
    ///
    /// With too little gas the query could fail for lack of it, which would read as "no". So this reverts with
    /// `TargetNotAsked` instead of asking. Reading the code has warmed the target, so the call itself costs 100.
    function _isModule(address target) private view returns (bool isModule) {
        if (target.code.length == 0) return false;
        if (gasleft() < GAS_TO_ASK) revert ISessionKeyModule.TargetNotAsked(target);
        bytes4 selector = IERC165.supportsInterface.selector;
        bytes4 id = type(IModule).interfaceId;
        assembly ("memory-safe") {
            // Scratch space: 4 bytes selector, 32 bytes argument (which has zeros from byte 8 on).
            mstore(0x00, selector)
            mstore(0x04, id)
            let success := staticcall(QUESTION_GAS, target, 0x00, 0x24, 0x00, 0x20)
            isModule := and(success, and(gt(returndatasize(), 0x1f), iszero(iszero(mload(0x00)))))
        }
    }
}
