// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LowLevelCall} from "@openzeppelin/utils/LowLevelCall.sol";
import {IERC165} from "@openzeppelin/utils/introspection/IERC165.sol";

import {IPlugin, PluginManifest} from "../../src/interfaces/IPlugin.sol";

/// @notice A configurable plugin: any manifest, any behaviour of any function.
/// @dev It does not inherit `IPlugin`, whose `pluginManifest` is pure. All functions except three reach the fallback.
contract MockPlugin {
    /// @notice The behaviour of a function when the account calls it.
    struct Behaviour {
        // The account is called with this first, if it is not empty; a failure bubbles up.
        bytes reenter;
        // Then the function reverts or returns with `data`; without `hasData` it returns the minimum that the account
        // needs.
        bool reverts;
        bool hasData;
        bytes data;
        // Emit no event, so the function works in a static call.
        bool silent;
    }

    /// @notice A function was called. `functionId` is the lowest byte of the first argument, whatever it means.
    event Called(address indexed account, bytes4 indexed selector, uint8 indexed functionId, uint256 value, bytes data);

    bytes private encodedManifest;
    bool private isNoPlugin;
    bool private hidesErc165;
    bool private hidesOnceInstalled;
    bool private answersEverythingTrue;
    // Zero: 1.
    uint256 private answerForTrue;
    uint256 private answerGas;
    // How many bytes of the word that is true are missing.
    uint256 private missingBytes;
    mapping(bytes4 interfaceId => bool) private extraInterfaces;
    mapping(bytes4 selector => mapping(uint8 functionId => Behaviour)) private behaviours;

    constructor() {
        PluginManifest memory manifest;
        encodedManifest = abi.encode(manifest);
    }

    function setManifest(PluginManifest memory manifest) external {
        encodedManifest = abi.encode(manifest);
    }

    /// @notice Sets the manifest as the plugin will return it, raw.
    function setEncodedManifest(bytes memory encoded) external {
        encodedManifest = encoded;
    }

    function setNoPlugin(bool value) external {
        isNoPlugin = value;
    }

    /// @notice Denies that it implements ERC-165, of all interfaces.
    function setHidesErc165(bool value) external {
        hidesErc165 = value;
    }

    /// @notice From `onInstall` on, denies that it is a plugin.
    function setHidesOnceInstalled(bool value) external {
        hidesOnceInstalled = value;
    }

    function setAnswersEverythingTrue(bool value) external {
        answersEverythingTrue = value;
    }

    /// @notice The answer about interfaces that it has: any word except zero is true.
    function setAnswerForTrue(uint256 word) external {
        answerForTrue = word;
    }

    /// @notice How many bytes it answers about interfaces that it has, up to 32.
    function setAnswerLength(uint256 length) external {
        missingBytes = 32 - length;
    }

    /// @notice Gas units that an answer about an interface takes.
    function setAnswerGas(uint256 amount) external {
        answerGas = amount;
    }

    function setInterface(bytes4 interfaceId, bool value) external {
        extraInterfaces[interfaceId] = value;
    }

    function setRevert(bytes4 selector, uint8 functionId, bytes memory data) external {
        behaviours[selector][functionId].reverts = true;
        behaviours[selector][functionId].data = data;
    }

    function setReturn(bytes4 selector, uint8 functionId, bytes memory data) external {
        behaviours[selector][functionId].hasData = true;
        behaviours[selector][functionId].data = data;
    }

    function setReenter(bytes4 selector, uint8 functionId, bytes memory callData) external {
        behaviours[selector][functionId].reenter = callData;
    }

    function setSilent(bytes4 selector, uint8 functionId) external {
        behaviours[selector][functionId].silent = true;
    }

    function reset(bytes4 selector, uint8 functionId) external {
        delete behaviours[selector][functionId];
    }

    /// @notice Makes a call from the plugin; bubbles up the target's revert.
    function doCall(address target, uint256 value, bytes calldata data) external payable returns (bytes memory) {
        return _bubble(target, value, data);
    }

    function supportsInterface(bytes4 interfaceId) external view returns (bool) {
        uint256 end = gasleft() > answerGas ? gasleft() - answerGas : 0;
        uint256 trueWord = answerForTrue == 0 ? 1 : answerForTrue;
        bytes memory answer = abi.encode(_supports(interfaceId) ? trueWord : 0);
        if (_supports(interfaceId)) {
            uint256 length = 32 - missingBytes;
            assembly ("memory-safe") {
                mstore(answer, length)
            }
        }
        _returnRaw(answer, answerGas == 0 ? type(uint256).max : end);
    }

    function _supports(bytes4 interfaceId) private view returns (bool) {
        if (answersEverythingTrue) return true;
        if (isNoPlugin) return false;
        if (interfaceId == type(IERC165).interfaceId) return !hidesErc165;
        return interfaceId == type(IPlugin).interfaceId || extraInterfaces[interfaceId];
    }

    /// @dev Returns when no more gas is left than `end`.
    function _returnRaw(bytes memory data, uint256 end) private view {
        while (gasleft() > end) {}
        _returnRaw(data);
    }

    function pluginManifest() external view {
        Behaviour storage behaviour = behaviours[msg.sig][0];
        if (behaviour.reverts) LowLevelCall.bubbleRevert(behaviour.data);
        _returnRaw(encodedManifest);
    }

    receive() external payable {}

    fallback() external payable {
        if (hidesOnceInstalled && msg.sig == IPlugin.onInstall.selector) isNoPlugin = true;
        uint8 functionId = msg.data.length >= 36 ? uint8(bytes1(msg.data[35])) : 0;
        Behaviour storage behaviour = behaviours[msg.sig][functionId];
        if (!behaviour.silent) emit Called(msg.sender, msg.sig, functionId, msg.value, msg.data);
        if (behaviour.reenter.length != 0) _bubble(msg.sender, 0, behaviour.reenter);
        if (behaviour.reverts) LowLevelCall.bubbleRevert(behaviour.data);
        if (behaviour.hasData) _returnRaw(behaviour.data);
        if (msg.sig == IPlugin.userOpValidationFunction.selector || msg.sig == IPlugin.preUserOpValidationHook.selector)
        {
            _returnRaw(abi.encode(uint256(0)));
        }
        if (msg.sig == IPlugin.preExecutionHook.selector) {
            _returnRaw(abi.encode(abi.encode(address(this), functionId)));
        }
    }

    function _bubble(address target, uint256 value, bytes memory data) private returns (bytes memory) {
        (bool success, bytes memory answer) = target.call{value: value}(data);
        if (!success) LowLevelCall.bubbleRevert(answer);
        return answer;
    }

    function _returnRaw(bytes memory data) private pure {
        assembly ("memory-safe") {
            return(add(data, 0x20), mload(data))
        }
    }
}
