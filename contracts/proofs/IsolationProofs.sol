// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {SessionKeyModule} from "../src/session-key/SessionKeyModule.sol";
import {SessionKeyPlugin} from "../src/session-key/SessionKeyPlugin.sol";
import {ISessionKeyPermissionsUpdates as Updates, ISessionKeyPlugin} from "../src/interfaces/ISessionKeyPlugin.sol";
import {LibSessionKeySlots} from "../src/session-key/LibSessionKeySlots.sol";

/// @notice Proofs that an update of permissions changes only what it names: no other permission of the key, no other
/// key, no other account. They run the whole plugin, and the whole module, with arbitrary storage, and examine any word
/// that has a name.
///
/// Names stand for slots here; `SlotProofs` shows that different names have different slots.
abstract contract IsolationProofs {
    /// @notice The name of a word, with the fields of `LibSessionKeySlots`; `offset` counts from the name's first word.
    struct Name {
        uint8 kind;
        address account;
        uint48 keyId;
        address target;
        bytes4 selector;
        uint8 offset;
    }

    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint8 private constant KEY = 2;
    uint8 private constant LIMITS = 3;
    uint8 private constant CONTRACT = 4;
    uint8 private constant FUNCTION = 5;

    // Bits of `KeyRecord`.
    uint256 private constant TIME_RANGE = (1 << 144) - (1 << 48);
    uint256 private constant LIST_TYPE = (1 << 152) - (1 << 144);
    uint256 private constant NATIVE_FLAGS = 3 << 152;
    uint256 private constant GAS_FLAG = 1 << 154;
    uint256 private constant PAYMASTER_FLAG = 1 << 155;

    /// @dev The bits of a contract entry that belong to the access list; all others belong to the token limit.
    uint256 private constant LIST_ENTRY = 3;

    ISessionKeyPlugin private plugin;

    function setUp() external {
        plugin = _deploy();
        vm.setArbitraryStorage(address(plugin));
    }

    /// @dev Deploys the contract under proof.
    function _deploy() internal virtual returns (ISessionKeyPlugin);

    function check_setAccessListType(address account, address key, uint8 listType, Name calldata name) external {
        if (listType > 2) return;
        ISessionKeyPlugin.ContractAccessControlType kind = ISessionKeyPlugin.ContractAccessControlType(listType);
        (, uint256 changed) = _update(account, key, abi.encodeCall(Updates.setAccessListType, (kind)), name);
        assert(changed & ~_recordBits(name, account, key, LIST_TYPE) == 0);
    }

    function check_updateTimeRange(address account, address key, uint48 from, uint48 until, Name calldata name)
        external
    {
        (, uint256 changed) = _update(account, key, abi.encodeCall(Updates.updateTimeRange, (from, until)), name);
        assert(changed & ~_recordBits(name, account, key, TIME_RANGE) == 0);
    }

    function check_updateAccessListAddressEntry(
        address account,
        address key,
        address target,
        bool isOnList,
        bool checkSelectors,
        Name calldata name
    ) external {
        bytes memory data = abi.encodeCall(Updates.updateAccessListAddressEntry, (target, isOnList, checkSelectors));
        (uint48 keyId, uint256 changed) = _update(account, key, data, name);
        bool isOwn = _isContract(name, account, keyId, target) && name.offset == 0;
        assert(changed & ~(isOwn ? LIST_ENTRY : 0) == 0);
    }

    function check_updateAccessListFunctionEntry(
        address account,
        address key,
        address target,
        bytes4 selector,
        bool isOnList,
        Name calldata name
    ) external {
        bytes memory data = abi.encodeCall(Updates.updateAccessListFunctionEntry, (target, selector, isOnList));
        (uint48 keyId, uint256 changed) = _update(account, key, data, name);
        bool isOwn = name.kind == FUNCTION && name.account == account && name.keyId == keyId && name.target == target
            && name.selector == selector && name.offset == 0;
        assert(isOwn || changed == 0);
    }

    function check_setNativeTokenSpendLimit(
        address account,
        address key,
        uint256 limit,
        uint48 interval,
        Name calldata name
    ) external {
        bytes memory data = abi.encodeCall(Updates.setNativeTokenSpendLimit, (limit, interval));
        (uint48 keyId, uint256 changed) = _update(account, key, data, name);
        bool isOwn = _isLimit(name, account, keyId) && name.offset < 3;
        assert(isOwn || changed & ~_recordBits(name, account, key, NATIVE_FLAGS) == 0);
    }

    function check_setGasSpendLimit(address account, address key, uint256 limit, uint48 interval, Name calldata name)
        external
    {
        bytes memory data = abi.encodeCall(Updates.setGasSpendLimit, (limit, interval));
        (uint48 keyId, uint256 changed) = _update(account, key, data, name);
        bool isOwn = _isLimit(name, account, keyId) && name.offset >= 3 && name.offset < 6;
        assert(isOwn || changed & ~_recordBits(name, account, key, GAS_FLAG) == 0);
    }

    function check_setRequiredPaymaster(address account, address key, address paymaster, Name calldata name) external {
        bytes memory data = abi.encodeCall(Updates.setRequiredPaymaster, (paymaster));
        (uint48 keyId, uint256 changed) = _update(account, key, data, name);
        bool isOwn = _isLimit(name, account, keyId) && name.offset == 6;
        assert(isOwn || changed & ~_recordBits(name, account, key, PAYMASTER_FLAG) == 0);
    }

    function check_setERC20SpendLimit(
        address account,
        address key,
        address token,
        uint256 limit,
        uint48 interval,
        Name calldata name
    ) external {
        bytes memory data = abi.encodeCall(Updates.setERC20SpendLimit, (token, limit, interval));
        (uint48 keyId, uint256 changed) = _update(account, key, data, name);
        if (_isContract(name, account, keyId, token) && name.offset < 3) {
            if (name.offset == 0) assert(changed & LIST_ENTRY == 0);
        } else {
            assert(changed == 0);
        }
    }

    /* The update */

    /// @dev Applies one update to the key, and returns the bits of the named word that it changed.
    /// @return keyId The key's id before the update.
    function _update(address account, address key, bytes memory data, Name calldata name)
        private
        returns (uint48 keyId, uint256 changed)
    {
        keyId = uint48(_load(LibSessionKeySlots.keyRecord(account, key)));
        uint256 slot = _slotOf(name);
        uint256 before = _load(slot);
        bytes[] memory updates = new bytes[](1);
        updates[0] = data;
        vm.prank(account);
        plugin.updateKeyPermissions(key, updates);
        changed = before ^ _load(slot);
    }

    function _load(uint256 slot) private view returns (uint256) {
        return uint256(vm.load(address(plugin), bytes32(slot)));
    }

    /* Names */

    /// @dev Discards the case if there is no such name.
    function _slotOf(Name calldata name) private pure returns (uint256) {
        vm.assume(name.offset < 7);
        unchecked {
            if (name.kind == 1) return LibSessionKeySlots.accountRecord(name.account) + name.offset;
            if (name.kind == KEY) return LibSessionKeySlots.keyRecord(name.account, name.target) + name.offset;
            if (name.kind == LIMITS) return LibSessionKeySlots.nativeLimit(name.account, name.keyId) + name.offset;
            if (name.kind == CONTRACT) {
                return LibSessionKeySlots.contractEntry(name.account, name.keyId, name.target) + name.offset;
            }
            vm.assume(name.kind == FUNCTION);
            return LibSessionKeySlots.functionEntry(name.account, name.keyId, name.target, name.selector) + name.offset;
        }
    }

    /// @dev Returns `bits` if the name is that of the key's record, else zero.
    function _recordBits(Name calldata name, address account, address key, uint256 bits)
        private
        pure
        returns (uint256)
    {
        bool isOwn =
            name.kind == KEY && name.account == account && name.target == key && name.offset == 0;
        return isOwn ? bits : 0;
    }

    function _isLimit(Name calldata name, address account, uint48 keyId) private pure returns (bool) {
        return name.kind == LIMITS && name.account == account && name.keyId == keyId;
    }

    function _isContract(Name calldata name, address account, uint48 keyId, address target)
        private
        pure
        returns (bool)
    {
        return name.kind == CONTRACT && name.account == account && name.keyId == keyId && name.target == target;
    }
}

contract PluginIsolationProofs is IsolationProofs {
    function _deploy() internal override returns (ISessionKeyPlugin) {
        return new SessionKeyPlugin();
    }
}

contract ModuleIsolationProofs is IsolationProofs {
    function _deploy() internal override returns (ISessionKeyPlugin) {
        return new SessionKeyModule();
    }
}
