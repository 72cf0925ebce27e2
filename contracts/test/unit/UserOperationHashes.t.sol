// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";

/// @notice The hashes of user operations that the Rust crates compute are those of the EntryPoints v0.6 to v0.9 (v0.9: of the release
/// candidate). The operations are in crates/permissions/golden/user-operation-hashes.json, which a test there writes and compares.
contract UserOperationHashesTest is Test {
    string private constant VECTORS = "crates/permissions/golden/user-operation-hashes.json";
    string private constant PACKAGES = "node_modules/@account-abstraction/contracts";

    /// @dev `getUserOpHash` of v0.6, which takes operations of eleven members, and of later versions, which take packed ones.
    bytes4 private constant OF_UNPACKED = 0xa6193531;
    bytes4 private constant OF_PACKED = 0x22cdde4c;

    struct Vector {
        uint64 chainId;
        address delegate;
        bytes encoded;
        address entryPoint;
        string name;
        bytes32 userOpHash;
        string version;
    }

    function test_hashesAreThoseOfTheEntryPoints() public {
        Vector[] memory vectors = abi.decode(vm.parseJson(vm.readFile(VECTORS)), (Vector[]));
        assertEq(vectors.length, 64);
        for (uint256 i; i < vectors.length; i++) {
            Vector memory vector = vectors[i];
            _deploy(vector.version, vector.entryPoint);
            vm.chainId(vector.chainId);
            address sender = abi.decode(_firstWord(vector.encoded), (address));
            vm.etch(sender, vector.delegate == address(0) ? bytes("") : abi.encodePacked(hex"ef0100", vector.delegate));
            bool isPacked = !_equal(vector.version, "0.6");
            (bool ok, bytes memory hash) =
                vector.entryPoint.call(bytes.concat(isPacked ? OF_PACKED : OF_UNPACKED, vector.encoded));
            string memory label = string.concat("v", vector.version, " ", vector.name);
            assertTrue(ok, label);
            assertEq(abi.decode(hash, (bytes32)), vector.userOpHash, label);
        }
    }

    /// @dev From the artifact of the npm package, by its constructor, at the vector's address. Its EIP-712 domain is that of the chain
    /// at the time of the call.
    function _deploy(string memory version, address at) private {
        if (at.code.length != 0) return;
        string memory suffix = _equal(version, "0.6") ? "" : string.concat("-v", version);
        string memory artifact = vm.readFile(string.concat(PACKAGES, suffix, "/artifacts/EntryPoint.json"));
        vm.etch(at, vm.parseJsonBytes(artifact, ".bytecode"));
        (bool ok, bytes memory code) = at.call("");
        assertTrue(ok, "constructor");
        vm.etch(at, code);
    }

    /// @dev The first member of an encoded tuple, behind the offset of the tuple.
    function _firstWord(bytes memory encoded) private pure returns (bytes memory word) {
        word = new bytes(32);
        for (uint256 i; i < 32; i++) {
            word[i] = encoded[32 + i];
        }
    }

    function _equal(string memory a, string memory b) private pure returns (bool) {
        return keccak256(bytes(a)) == keccak256(bytes(b));
    }
}
