// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC165} from "@openzeppelin/utils/introspection/IERC165.sol";

import {IModule} from "../interfaces/IModule.sol";
import {ISessionKeyModule} from "../interfaces/ISessionKeyModule.sol";
import {Call} from "../interfaces/IStandardExecutor.sol";
import {LibSessionKeyCalls} from "./LibSessionKeyCalls.sol";

/// @title Asking targets whether they are modules
/// @notice A module takes orders from the account's calls (one that validates would hand the account over), and an ERC-6900
/// v0.8 account does not refuse to call it. ERC-6900 demands that every module answers true for `IModule` by ERC-165. Modules that
/// do not, and targets that answer otherwise later, are not recognised.
library LibModuleQuestion {
    using LibSessionKeyCalls for Call[];

    /// @dev Gas units that a target gets to answer. A third of what ERC-165 allows, and many times what modules need: a fallback
    /// that does not know the question may use up all of it.
    uint256 private constant QUESTION_GAS = 10_000;

    /// @dev What must be left before the question, so that 63/64 of it (EIP-150) are enough: and some for the call itself.
    uint256 private constant GAS_TO_ASK = QUESTION_GAS * 64 / 63 + 300;

    /// @dev Reverts with `TargetIsModule` if one of the targets says that it is a module. Consecutive calls of one target are one
    /// question.
    function requireNoModules(Call[] calldata calls) internal view {
        address asked;
        for (uint256 i = 0; i < calls.length; ++i) {
            // The question is of the target alone.
            // slither-disable-next-line unused-return
            (address target,,) = calls.at(i);
            // The zero address, which is the first not to be asked, has no code.
            if (target != asked && _isModule(target)) revert ISessionKeyModule.TargetIsModule(target);
            asked = target;
        }
    }

    /// @dev Whether the target says that it is a module: in time, with at least a word, and not zero. Of a target without code
    /// there is nothing to ask; a precompile would take the question for its input.
    ///
    /// A target that got less gas than it should might fail for lack of it, which reads as "no". So it is not asked then: reverts
    /// with `TargetNotAsked`. Reading its code made it warm, so that the call itself costs 100.
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
