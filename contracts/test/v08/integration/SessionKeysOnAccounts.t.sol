// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {PackedUserOperation} from "../../../src/interfaces/IModule.sol";
import {ISessionKeyModule} from "../../../src/interfaces/ISessionKeyModule.sol";
import {ISessionKeyPlugin} from "../../../src/interfaces/ISessionKeyPlugin.sol";
import {Counter} from "../../mocks/Counter.sol";
import {PingTarget} from "../../mocks/PingTarget.sol";
import {TestToken} from "../../mocks/TestToken.sol";
import {call, join, listOf} from "../../utils/ListLiterals.sol";
import {Call} from "../../../src/interfaces/IStandardExecutor.sol";
import {IAccountV08} from "../../../src/interfaces/IAccountV08.sol";
import {IEntryPointV07, IPaymasterV07} from "../../../src/interfaces/IEntryPointV07.sol";
import {
    allow,
    entry,
    functionEntry,
    gasLimit,
    listType,
    nativeLimit,
    requiredPaymaster,
    timeRange,
    tokenLimit
} from "../utils/PermissionUpdates.sol";
import {SessionKeyAccountTest} from "../utils/SessionKeyAccountTest.sol";

/// @notice Session keys in use through the real EntryPoint v0.7, on every kind of ERC-6900 v0.8 account.
contract SessionKeysOnAccountsTest is SessionKeyAccountTest {
    ISessionKeyPlugin.ContractAccessControlType private constant DENYLIST =
    ISessionKeyPlugin.ContractAccessControlType.DENYLIST;
    ISessionKeyPlugin.ContractAccessControlType private constant ALLOW_ALL =
    ISessionKeyPlugin.ContractAccessControlType.ALLOW_ALL_ACCESS;

    /* One operation */

    function test_key_callsAsTheAccount() public onEveryAccount {
        Counter counter = new Counter();
        grant(listOf(allow(address(counter)), nativeLimit(3, 0)));
        Call[] memory calls = call(address(counter), 1, abi.encodeCall(Counter.increment, ()));
        runs(calls);
        assertEq(counter.lastCaller(), address(account));
        runs(join(calls, calls));
        assertEq(counter.count(), 3);
        assertEq(address(counter).balance, 3);
    }

    function test_freshKey_canDoNothing() public onEveryAccount {
        grant(new bytes[](0));
        refusesToValidate(ping());
        refusesToValidate(call(payee, 0, ""));
    }

    function test_unregisteredKey_isRefused() public onEveryAccount {
        refusesToValidate(ping());
    }

    function test_wrongSigner_isRefusedBySignature() public onEveryAccount {
        grant(listOf(allow(address(target))));
        PackedUserOperation memory op = keyOp(ping());
        op.signature = abi.encodePacked(keyPrefix(), signatureOf(op, owner));
        refusedByEntryPoint(op, "AA24 signature error");
    }

    function test_signatureOfAnotherLength_isRefused() public onEveryAccount {
        grant(listOf(allow(address(target))));
        PackedUserOperation memory op = keyOp(ping());
        bytes memory reason = err(ISessionKeyPlugin.InvalidSignature.selector, key.addr);
        bytes memory signature = op.signature;
        op.signature = abi.encodePacked(signature, hex"00");
        refusesToValidate(op, reason);
        // Prefixed with a type, as in other modules.
        op.signature = abi.encodePacked(keyPrefix(), hex"00", signatureOf(op, key));
        refusesToValidate(op, reason);
        op.signature = keyPrefix();
        refusesToValidate(op, reason);
    }

    function test_failedCall_undoesTheWholeBatch() public onEveryAccount {
        Counter counter = new Counter();
        grant(listOf(allow(address(counter)), nativeLimit(10, 0)));
        refusesToRun(
            join(
                call(address(counter), 4, abi.encodeCall(Counter.increment, ())),
                call(address(counter), 0, abi.encodeCall(Counter.refuse, (5)))
            ),
            abi.encodeWithSelector(Counter.Refused.selector, 5)
        );
        assertEq(counter.count(), 0);
        assertEq(module.getNativeTokenSpendLimitInfo(address(account), key.addr).limitUsed, 0);
    }

    function test_batch_withABrokenRule_runsNoCall() public onEveryAccount {
        grant(listOf(allow(address(target)), allow(address(token)), tokenLimit(address(token), 5, 0)));
        refusesToValidate(join(ping(), call(payee, 0, "")));
        refusesToRun(join(transfer(3), transfer(3)), overTokenLimit());
        assertEq(token.balanceOf(payee), 1 ether);
    }

    /* Rules */

    function test_allowlist_allowsOnlyListedCalls() public onEveryAccount {
        grant(
            listOf(
                allow(payee),
                entry(address(target), true, true),
                functionEntry(address(target), PingTarget.ping.selector, true)
            )
        );
        runs(ping());
        runs(call(payee, 0, hex"01"));
        refusesToValidate(call(address(target), 0, abi.encodeCall(PingTarget.pong, ())));
        refusesToValidate(call(address(target), 0, hex"01"));
        refusesToValidate(transfer(1));
    }

    function test_denylist_allowsAllExceptListedCalls() public onEveryAccount {
        grant(
            listOf(
                listType(DENYLIST),
                entry(address(target), true, true),
                functionEntry(address(target), PingTarget.ping.selector, true)
            )
        );
        refusesToValidate(ping());
        refusesToValidate(call(address(target), 0, hex"0102"));
        runs(call(address(target), 0, abi.encodeCall(PingTarget.pong, ())));
        runs(transfer(1));
    }

    function test_timeRange_isInclusive() public onEveryAccount {
        grant(listOf(allow(address(target)), timeRange(1_700_000_100, 1_700_000_200)));
        vm.warp(1_700_000_099);
        refusedByEntryPoint(keyOp(ping()), "AA22 expired or not due");
        vm.warp(1_700_000_100);
        runs(ping());
        vm.warp(1_700_000_200);
        runs(ping());
        vm.warp(1_700_000_201);
        refusedByEntryPoint(keyOp(ping()), "AA22 expired or not due");
    }

    function test_nativeLimit_countsTheBatchAndNeverWraps() public onEveryAccount {
        grant(listOf(allow(address(target)), nativeLimit(3, 0)));
        runs(join(ping(1), ping(1)));
        refusesToValidate(join(ping(1), ping(1)));
        refusesToValidate(join(ping(type(uint256).max), ping(2)));
        runs(ping(1));
        refusesToValidate(ping(1));
    }

    /// @dev An interval begins with the first use, not when the key is added.
    function test_nativeLimit_refreshesAnIntervalAfterItsFirstUse() public onEveryAccount {
        grant(listOf(allow(address(target)), nativeLimit(10, INTERVAL)));
        assertEq(module.getNativeTokenSpendLimitInfo(address(account), key.addr).lastUsedTime, 0);
        uint256 start = 1_700_050_000;
        vm.warp(start);
        runs(ping(10));
        assertEq(module.getNativeTokenSpendLimitInfo(address(account), key.addr).lastUsedTime, start);
        vm.warp(start + INTERVAL - 1);
        refusedByEntryPoint(keyOp(ping(1)), "AA22 expired or not due");
        vm.warp(start + INTERVAL);
        runs(ping(4));
        assertEq(module.getNativeTokenSpendLimitInfo(address(account), key.addr).limitUsed, 4);
    }

    function test_tokenLimit_countsTransfersAndApprovalsAndRefusesOtherFunctions() public onEveryAccount {
        grant(listOf(allow(address(token)), tokenLimit(address(token), 100, 0)));
        runs(transfer(60));
        runs(call(address(token), 0, abi.encodeCall(TestToken.approve, (payee, 30))));
        refusesToRun(transfer(11), overTokenLimit());
        runs(transfer(10));
        for (uint256 i = 0; i < 3; ++i) {
            update(listType(ISessionKeyPlugin.ContractAccessControlType(i)));
            update(entry(address(token), i == 0, false));
            refusesToValidate(
                call(address(token), 0, abi.encodeCall(TestToken.transferFrom, (address(account), payee, 1)))
            );
            refusesToValidate(call(address(token), 0, ""));
        }
    }

    /* Gas and paymasters */

    /// @dev 8,000,000 gas units at 1 gwei, plus the paymaster's limits.
    function test_gasLimit_isChargedTheMaximumCost() public onEveryAccount {
        address paymaster = _paymaster();
        grant(listOf(allow(address(target)), gasLimit(0.0171 ether, 0)));
        runs(ping());
        assertEq(_gasUsed(), 0.008 ether);
        PackedUserOperation memory op = keyOp(ping());
        op.preVerificationGas = 100_000;
        op.paymasterAndData = abi.encodePacked(paymaster, uint128(700_000), uint128(300_000));
        signAsKey(op);
        passes(op);
        assertEq(_gasUsed(), 0.0171 ether);
        refusesToValidate(ping());
    }

    function test_gasLimit_isChargedEvenIfExecutionFails() public onEveryAccount {
        grant(listOf(allow(address(token)), tokenLimit(address(token), 5, 0), gasLimit(0.009 ether, 0)));
        refusesToRun(transfer(6), overTokenLimit());
        assertEq(_gasUsed(), 0.008 ether);
        refusesToValidate(transfer(5));
    }

    /// @dev A reset is pending from the start; the first execution begins the interval.
    function test_gasLimit_refreshesAnIntervalAfterItsFirstUse() public onEveryAccount {
        grant(listOf(allow(address(target)), gasLimit(0.009 ether, INTERVAL)));
        uint256 start = 1_700_050_000;
        vm.warp(start);
        runs(ping());
        (ISessionKeyPlugin.SpendLimitInfo memory info, bool isPending) =
            module.getGasSpendLimit(address(account), key.addr);
        assertEq(info.lastUsedTime, start);
        assertFalse(isPending);
        vm.warp(start + INTERVAL - 1);
        refusedByEntryPoint(keyOp(ping()), "AA22 expired or not due");
        vm.warp(start + INTERVAL);
        runs(ping());
    }

    function _gasUsed() private view returns (uint256) {
        (ISessionKeyPlugin.SpendLimitInfo memory info,) = module.getGasSpendLimit(address(account), key.addr);
        return info.limitUsed;
    }

    /// @dev A paymaster that accepts every operation.
    function _paymaster() private returns (address paymaster) {
        paymaster = makeAddr("paymaster");
        vm.etch(paymaster, hex"00");
        vm.mockCall(
            paymaster,
            abi.encodeWithSelector(IPaymasterV07.validatePaymasterUserOp.selector),
            abi.encode(bytes(""), uint256(0))
        );
        vm.deal(address(this), 1 ether);
        ENTRY_POINT.depositTo{value: 1 ether}(paymaster);
    }

    function test_requiredPaymaster_mustPay() public onEveryAccount {
        address paymaster = _paymaster();
        grant(listOf(allow(address(target)), requiredPaymaster(paymaster)));
        refusesToValidate(ping());
        PackedUserOperation memory op = keyOp(ping());
        op.paymasterAndData = abi.encodePacked(paymaster, uint128(700_000), uint128(0));
        signAsKey(op);
        passes(op);
        // Another paymaster.
        op = keyOp(ping());
        op.paymasterAndData = abi.encodePacked(_otherPaymaster(), uint128(700_000), uint128(0));
        signAsKey(op);
        refusesToValidate(op, denied());
    }

    function _otherPaymaster() private returns (address) {
        return makeAddr("other paymaster");
    }

    /* Lanes */

    function test_lane_isTheKeysOwn() public onEveryAccount {
        grant(listOf(allow(address(target))));
        refusesToValidate(keyOp(useCall(ping()), nonceKey(0, ENTITY, 0)), denied());
        refusesToValidate(keyOp(useCall(ping()), nonceKey(laneOf(key.addr) + 1, ENTITY, 0)), denied());
        refusesToValidate(keyOp(useCall(ping()), nonceKey(laneOf(owner.addr), ENTITY, 0)), denied());
        runs(ping());
    }

    /// @dev An operation waits only for earlier ones in its own lane.
    function test_lanes_doNotWaitForEachOther() public onEveryAccount {
        Vm.Wallet memory second = vm.createWallet("second key");
        grant(listOf(allow(address(target))));
        callAsOwner(addCall(second.addr, listOf(allow(address(target)))));
        PackedUserOperation memory op =
            buildUserOp(useCall(ping(), second.addr), nonceKey(laneOf(second.addr), ENTITY, 0));
        op.signature = abi.encodePacked(keyPrefix(), signatureOf(op, second));
        runs(ping());
        runs(ping());
        passes(ownerOp(executeCall(payee, 0, "")));
        passes(op);
    }

    /* Forbidden targets */

    function test_account_isNeverATarget() public onEveryAccount {
        grant(listOf(allow(address(account))));
        refusesToValidate(call(address(account), 0, ""));
        update(listType(ALLOW_ALL));
        refusesToValidate(call(address(account), 0, removeCall()));
        refusesToValidate(join(ping(), call(address(account), 0, executeCall(payee, 1, ""))));
    }

    function test_module_isNeverATarget() public onEveryAccount {
        grant(listOf(allow(address(module))));
        refusesToValidate(call(address(module), 0, addCall(payee, new bytes[](0))));
        update(listType(ALLOW_ALL));
        refusesToValidate(call(address(module), 0, addCall(payee, new bytes[](0))));
        update(listType(DENYLIST));
        update(entry(address(module), false, false));
        refusesToValidate(call(address(module), 0, addCall(payee, new bytes[](0))));
    }

    function test_entryPoints_areTargetsOnlyByAllowlist() public onEveryAccount {
        address[4] memory entryPoints = [
            0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789,
            address(ENTRY_POINT),
            0x4337084D9E255Ff0702461CF8895CE9E3b5Ff108,
            0x433709009B8330FDa32311DF1C2AFA402eD8D009
        ];
        grant(listOf(listType(ALLOW_ALL)));
        bytes memory withdraw = abi.encodeCall(IEntryPointV07.withdrawTo, (payable(payee), 1 ether));
        for (uint256 i = 0; i < entryPoints.length; ++i) {
            refusesToValidate(call(entryPoints[i], 0, withdraw));
        }
        update(listType(DENYLIST));
        for (uint256 i = 0; i < entryPoints.length; ++i) {
            refusesToValidate(call(entryPoints[i], 0, withdraw));
        }
        update(listType(ISessionKeyPlugin.ContractAccessControlType.ALLOWLIST));
        update(allow(address(ENTRY_POINT)));
        runs(call(address(ENTRY_POINT), 0, withdraw));
        assertEq(payee.balance, 1 ether);
    }

    /// @dev A call to it could make the key the owner's signer.
    function test_otherModules_areNotReachedUnderAnyList() public onEveryAccount {
        bytes memory handOver = abi.encodeCall(ownerModule.transferSigner, (OWNER_ENTITY, key.addr));
        bytes memory reason = err(ISessionKeyModule.TargetIsModule.selector, address(ownerModule));
        grant(listOf(listType(ALLOW_ALL), allow(address(ownerModule)), allow(address(target))));
        refusesToRun(call(address(ownerModule), 0, handOver), reason);
        refusesToRun(join(ping(), call(address(ownerModule), 0, handOver)), reason);
        update(listType(ISessionKeyPlugin.ContractAccessControlType.ALLOWLIST));
        refusesToRun(call(address(ownerModule), 0, handOver), reason);
        update(listType(DENYLIST));
        update(entry(address(ownerModule), false, false));
        refusesToRun(call(address(ownerModule), 0, handOver), reason);
        assertNotEq(ownerModule.signers(OWNER_ENTITY, address(account)), key.addr);
    }

    /* What a key signs */

    function test_key_signsOnlyItsFunction() public onEveryAccount {
        grant(listOf(listType(ALLOW_ALL), nativeLimit(NO_LIMIT, 0)));
        uint192 lane = nonceKey(laneOf(key.addr), ENTITY, 0);
        bytes4[5] memory others = [
            EXECUTE,
            BATCH,
            IAccountV08.installValidation.selector,
            ISessionKeyPlugin.addSessionKey.selector,
            IAccountV08.executeWithRuntimeValidation.selector
        ];
        for (uint256 i = 0; i < others.length; ++i) {
            refusedInValidation(
                keyOp(abi.encodePacked(others[i], new bytes(64)), lane),
                err(IAccountV08.ValidationFunctionMissing.selector, others[i])
            );
        }
        // Nor its function in another form.
        refusesToValidate(keyOp(wrapped(useCall(ping())), lane), denied());
    }

    /// @dev Even if an owner gives the validation more selectors, and with arguments that the module could decode.
    function test_key_signsOnlyItsFunction_whateverTheSelectors() public onEveryAccount {
        grant(listOf(listType(ALLOW_ALL)));
        callAsOwner(installCall(validation(address(module), ENTITY, USER_OP), selectors(EXECUTE)));
        bytes memory callData = useCall(ping());
        for (uint256 i = 0; i < 4; ++i) {
            callData[i] = EXECUTE[i];
        }
        refusesToValidate(keyOp(callData, nonceKey(laneOf(key.addr), ENTITY, 0)), denied());
    }

    function test_key_isNoGlobalValidation() public onEveryAccount {
        grant(listOf(listType(ALLOW_ALL), nativeLimit(NO_LIMIT, 0)));
        PackedUserOperation memory op =
            buildUserOp(executeCall(payee, 1, ""), nonceKey(laneOf(key.addr), ENTITY, AS_GLOBAL));
        bytes memory prefix = selectionPrefix(entity(address(module), ENTITY), true);
        op.signature = abi.encodePacked(prefix, hex"ff", signatureOf(op, key));
        refusedInValidation(op, err(IAccountV08.ValidationFunctionMissing.selector, EXECUTE));
        op.callData = useCall(ping());
        op.signature = abi.encodePacked(prefix, hex"ff", signatureOf(op, key));
        refusedInValidation(op, err(IAccountV08.ValidationFunctionMissing.selector, USE));
    }

    /// @dev The module's direct-call validation does not validate operations.
    function test_directCallValidation_validatesNoOperation() public onEveryAccount {
        grant(listOf(listType(ALLOW_ALL), nativeLimit(NO_LIMIT, 0)));
        uint192 ofNonceKey = directNonceKey(uint24(laneOf(key.addr)), address(module), 0);
        PackedUserOperation memory op = buildUserOp(executeCall(payee, 1, ""), ofNonceKey);
        bytes24 direct = entity(address(module), DIRECT_CALL);
        op.signature = abi.encodePacked(selectionPrefix(direct, false), hex"ff", signatureOf(op, key));
        refusedInValidation(op, errOf(IAccountV08.UserOpValidationInvalid.selector, direct));
    }

    function test_key_doesNotSignForTheAccount() public onEveryAccount {
        grant(listOf(listType(ALLOW_ALL)));
        bytes32 hash = keccak256("message");
        bytes24 name = entity(address(module), ENTITY);
        bytes memory signature = abi.encodePacked(
            kind == Kind.SIGNATURE ? abi.encodePacked(name) : authorizationOf(name, false), hex"ff", ecdsa(hash, key)
        );
        vm.expectRevert(abi.encodeWithSelector(IAccountV08.SignatureValidationInvalid.selector, name));
        account.isValidSignature(hash, signature);
    }

    /// @dev Even if an owner gives the validation the flag.
    function test_key_doesNotSignForTheAccount_whateverTheFlags() public onEveryAccount {
        grant(listOf(listType(ALLOW_ALL)));
        callAsOwner(installCall(validation(address(module), ENTITY, USER_OP | SIGNATURE), new bytes4[](0)));
        bytes32 hash = keccak256("message");
        bytes24 name = entity(address(module), ENTITY);
        bytes memory signature = abi.encodePacked(
            kind == Kind.SIGNATURE ? abi.encodePacked(name) : authorizationOf(name, false), hex"ff", ecdsa(hash, key)
        );
        assertEq(account.isValidSignature(hash, signature), bytes4(0xffffffff));
    }

    /* Others */

    function test_strangers_reachNothing() public onEveryAccount {
        grant(listOf(allow(address(target))));
        refusedTo(stranger, useCall(ping()), err(IAccountV08.ValidationFunctionMissing.selector, USE));
        refusedTo(key.addr, useCall(ping()), err(IAccountV08.ValidationFunctionMissing.selector, USE));
        refusedTo(key.addr, executeCall(payee, 1, ""), err(IAccountV08.ValidationFunctionMissing.selector, EXECUTE));
        // At the module, a caller acts only for itself.
        vm.expectRevert(keyIsGone());
        vm.prank(key.addr);
        module.executeWithSessionKey(ping(), key.addr);
    }

    /// @dev Anyone can name any validation of the account in a runtime call, whatever its flags.
    function test_runtimeValidation_letsNobodyThrough() public onEveryAccount {
        grant(listOf(listType(ALLOW_ALL), nativeLimit(NO_LIMIT, 0)));
        _refusedAtRuntime(entity(address(module), ENTITY), useCall(ping()));
        _refusedAtRuntime(entity(address(module), DIRECT_CALL), executeCall(payee, 1, ""));
        _refusedAtRuntime(entity(address(module), DIRECT_CALL), abi.encodeWithSelector(BATCH, new Call[](0)));
    }

    function _refusedAtRuntime(bytes24 name, bytes memory data) private {
        bytes memory authorization =
            abi.encodePacked(authorizationOf(name, false), hex"ff", ecdsa(keccak256(data), key));
        bytes memory reason = err(
            IAccountV08.RuntimeValidationFunctionReverted.selector,
            name,
            abi.encodeWithSignature("NotImplemented(bytes4,uint8)", bytes4(0x465d33e0), 0)
        );
        bytes memory callData = abi.encodeCall(IAccountV08.executeWithRuntimeValidation, (data, authorization));
        refusedTo(stranger, callData, reason);
        refusedTo(key.addr, callData, reason);
        refusedTo(address(module), callData, reason);
    }

    /// @dev The function does not allow global validations: not even the owner's can run it.
    function test_owner_cannotUseKeys() public onEveryAccount {
        grant(listOf(allow(address(target))));
        refusedInValidation(ownerOp(useCall(ping())), err(IAccountV08.ValidationFunctionMissing.selector, USE));
        refusedToOwner(useCall(ping()), err(IAccountV08.ValidationFunctionMissing.selector, USE));
    }

    function test_executionOfNoCalls_isRefused() public onEveryAccount {
        grant(listOf(listType(ALLOW_ALL)));
        refusesToValidate(new Call[](0));
        vm.prank(address(account));
        vm.expectRevert(ISessionKeyPlugin.PermissionsCheckFailed.selector);
        module.executeWithSessionKey(new Call[](0), key.addr);
    }
}
