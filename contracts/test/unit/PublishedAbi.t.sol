// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Bytes} from "@openzeppelin/utils/Bytes.sol";

import {Test} from "forge-std/Test.sol";

/// @notice Every function, event and error of the published ABIs is in ours, with the same types, mutability, and (events and
/// errors) names and indexing. Ours may have more.
contract PublishedAbiTest is Test {
    mapping(bytes32 signatureHash => bool) private ours;

    function test_modularAccount_hasAllThatIsPublished() public {
        _compare("ModularAccount", 67);
    }

    function test_sessionKeyPlugin_hasAllThatIsPublished() public {
        _compare("SessionKeyPlugin", 45);
    }

    function test_multiOwnerPlugin_hasAllThatIsPublished() public {
        _compare("MultiOwnerPlugin", 28);
    }

    function test_modularAccountFactory_hasAllThatIsPublished() public {
        _compare("ModularAccountFactory", 23);
    }

    function _compare(string memory name, uint256 expectedCount) private {
        string memory artifact = vm.readFile(string.concat("out/", name, ".sol/", name, ".json"));
        string[] memory signatures = _signatures(artifact, ".abi");
        for (uint256 i = 0; i < signatures.length; ++i) {
            ours[keccak256(bytes(signatures[i]))] = true;
        }
        string[] memory published = _signatures(vm.readFile(string.concat("contracts/test/abi/", name, ".json")), "$");
        for (uint256 i = 0; i < published.length; ++i) {
            assertTrue(ours[keccak256(bytes(published[i]))], string.concat("missing: ", published[i]));
        }
        assertEq(published.length, expectedCount, "entries of the published ABI");
    }

    function _signatures(string memory json, string memory path) private view returns (string[] memory signatures) {
        uint256 count;
        while (vm.keyExistsJson(json, _at(path, count))) ++count;
        signatures = new string[](count);
        for (uint256 i = 0; i < count; ++i) {
            string memory entry = _at(path, i);
            string memory kind = vm.parseJsonString(json, string.concat(entry, ".type"));
            bool isFunction = keccak256(bytes(kind)) == keccak256("function");
            bool isLog = keccak256(bytes(kind)) == keccak256("event");
            bool isNamed = isFunction || isLog || keccak256(bytes(kind)) == keccak256("error");
            signatures[i] = kind;
            if (isNamed) {
                signatures[i] = string.concat(kind, " ", vm.parseJsonString(json, string.concat(entry, ".name")));
            }
            if (isNamed || keccak256(bytes(kind)) == keccak256("constructor")) {
                signatures[i] = string.concat(
                    signatures[i], _parameters(json, string.concat(entry, ".inputs"), isNamed && !isFunction, isLog)
                );
            }
            if (isFunction) {
                signatures[i] = string.concat(
                    signatures[i],
                    " ",
                    vm.parseJsonString(json, string.concat(entry, ".stateMutability")),
                    " returns ",
                    _parameters(json, string.concat(entry, ".outputs"), false, false)
                );
            }
        }
    }

    function _parameters(string memory json, string memory path, bool withNames, bool withIndexed)
        private
        view
        returns (string memory list)
    {
        list = "(";
        for (uint256 i = 0; vm.keyExistsJson(json, _at(path, i)); ++i) {
            string memory parameter = _at(path, i);
            if (i != 0) list = string.concat(list, ",");
            list = string.concat(list, _type(json, parameter));
            if (withIndexed && vm.parseJsonBool(json, string.concat(parameter, ".indexed"))) {
                list = string.concat(list, " indexed");
            }
            if (withNames) {
                list = string.concat(list, " ", vm.parseJsonString(json, string.concat(parameter, ".name")));
            }
        }
        list = string.concat(list, ")");
    }

    function _type(string memory json, string memory path) private view returns (string memory) {
        string memory name = vm.parseJsonString(json, string.concat(path, ".type"));
        if (!vm.keyExistsJson(json, string.concat(path, ".components"))) return name;
        // "tuple", "tuple[]": keeps the suffix.
        string memory suffix = string(Bytes.slice(bytes(name), 5));
        return string.concat(_parameters(json, string.concat(path, ".components"), false, false), suffix);
    }

    function _at(string memory path, uint256 index) private pure returns (string memory) {
        return string.concat(path, "[", vm.toString(index), "]");
    }
}
