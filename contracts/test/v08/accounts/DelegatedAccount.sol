// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/utils/cryptography/ECDSA.sol";

import {IAccountV08} from "../../../src/interfaces/IAccountV08.sol";
import {ModuleAccount} from "./ModuleAccount.sol";
import {SemiModularAccount} from "./SemiModularAccount.sol";

/// @notice An account for EIP-7702 delegation: the delegating key is the fallback signer.
///
/// Two versions are deployed on chains. The earlier one accepts the account's own contract signature.
contract DelegatedAccount is SemiModularAccount {
    bool private immutable IS_EARLIER;

    constructor(bool isEarlier) {
        IS_EARLIER = isEarlier;
    }

    function accountId() external pure override returns (string memory) {
        return "session-keys.test-delegated-account.1.0.0";
    }

    function _firstSigner() internal view override returns (address) {
        return address(this);
    }

    /// @dev Only the key's holder decides what code the account runs.
    function upgradeToAndCall(address, bytes calldata) public payable override(IAccountV08, ModuleAccount) {
        revert UpgradeNotAllowed();
    }

    function _maySignAsContract(address signer) internal view override returns (bool) {
        return IS_EARLIER || signer != address(this);
    }

    /// @dev The later version also accepts the key's plain signature of the hash itself.
    function isValidSignature(bytes32 hash, bytes calldata signature)
        public
        view
        override(IAccountV08, ModuleAccount)
        returns (bytes4)
    {
        bool isPlain = !IS_EARLIER && (signature.length == 64 || signature.length == 65) && _signer() == address(this)
            && !_stored().isDisabled && _layout().validations[0].validationHooks.length == 0;
        if (!isPlain) return super.isValidSignature(hash, signature);
        (address recovered, ECDSA.RecoverError error) = _recover(hash, signature);
        bool isGood = error == ECDSA.RecoverError.NoError && recovered == address(this);
        return isGood ? IAccountV08.isValidSignature.selector : bytes4(0xffffffff);
    }

    function _recover(bytes32 hash, bytes calldata signature)
        private
        pure
        returns (address recovered, ECDSA.RecoverError error)
    {
        if (signature.length == 65) (recovered, error,) = ECDSA.tryRecoverCalldata(hash, signature);
        else (recovered, error,) = ECDSA.tryRecover(hash, bytes32(signature[:32]), bytes32(signature[32:]));
    }
}
