// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {Call} from "../../../src/interfaces/IStandardExecutor.sol";
import {IAccountV08} from "../../../src/interfaces/IAccountV08.sol";
import {IModule, PackedUserOperation} from "../../../src/interfaces/IModule.sol";
import {IEntryPointV07} from "../../../src/interfaces/IEntryPointV07.sol";
import {IExecutionHookModule, IValidationHookModule} from "../interfaces/IHookModules.sol";
import {AllowlistStandIn} from "../modules/standins/AllowlistStandIn.sol";
import {HookStandIn} from "../modules/standins/HookStandIn.sol";
import {NativeTokenLimitStandIn} from "../modules/standins/NativeTokenLimitStandIn.sol";
import {PaymasterGuardStandIn} from "../modules/standins/PaymasterGuardStandIn.sol";
import {TimeRangeStandIn} from "../modules/standins/TimeRangeStandIn.sol";
import {AccountV08Test} from "../utils/AccountV08Test.sol";

/// @dev Takes every call, and every payment.
contract Anything {
    fallback() external payable {}
}

/// @dev Pays for everything.
contract AnyPaymaster {
    function validatePaymasterUserOp(PackedUserOperation calldata, bytes32, uint256)
        external
        pure
        returns (bytes memory, uint256)
    {
        return ("", 0);
    }
}

/// @notice The rules of the stand-ins for Modular Account v2's permission modules, on an account behind the EntryPoint, as an owner
/// installs them for a key.
contract PermissionModulesTest is AccountV08Test {
    bytes4 private constant EXECUTE = IAccountV08.execute.selector;
    bytes4 private constant BATCH = IAccountV08.executeBatch.selector;
    bytes4 private constant CREATE = IAccountV08.performCreate.selector;
    bytes4 private constant TRANSFER = 0xa9059cbb;
    bytes4 private constant APPROVE = 0x095ea7b3;
    bytes4 private constant BUY = 0xd96a094a;

    uint32 private constant ENTITY = 5;
    /// @dev Of the second set of hooks.
    uint32 private constant SECOND = ENTITY + 0x7fffffff;

    AllowlistStandIn private allowlist;
    AllowlistStandIn private earlier;
    NativeTokenLimitStandIn private limit;
    TimeRangeStandIn private time;
    PaymasterGuardStandIn private guard;
    Vm.Wallet private key;
    address private shop;
    address private token;
    address private elsewhere;
    address private paymaster;

    function setUp() public override {
        super.setUp();
        allowlist = new AllowlistStandIn(false);
        earlier = new AllowlistStandIn(true);
        limit = new NativeTokenLimitStandIn();
        time = new TimeRangeStandIn();
        guard = new PaymasterGuardStandIn();
        key = vm.createWallet("key");
        (shop, token, elsewhere) = (address(new Anything()), address(new Anything()), address(new Anything()));
        paymaster = address(new AnyPaymaster());
        vm.deal(address(this), 1 ether);
        ENTRY_POINT.depositTo{value: 1 ether}(paymaster);
    }

    /* Installation and use */

    function install(bytes memory first) private {
        install(first, "");
    }

    /// @dev The key's validation, with one or two hooks, for executions and creations.
    function install(bytes memory first, bytes memory second) private {
        bytes4[] memory list = new bytes4[](3);
        (list[0], list[1], list[2]) = (EXECUTE, BATCH, CREATE);
        bytes[] memory hooks = new bytes[](second.length == 0 ? 1 : 2);
        hooks[0] = first;
        if (second.length != 0) hooks[1] = second;
        bytes25 config = validation(address(ownerModule), ENTITY, USER_OP);
        callAsOwner(installCall(config, list, abi.encode(ENTITY, key.addr), hooks));
    }

    function asAccount(address module, bytes memory data) private {
        vm.prank(address(account));
        (bool success,) = module.call(data);
        assertTrue(success, "setter");
    }

    function keyOp(bytes memory callData) private view returns (PackedUserOperation memory op) {
        op = buildUserOp(callData, nonceKey(0, ENTITY, 0));
        sign(op, key);
    }

    function paidOp(bytes memory callData, address by) private view returns (PackedUserOperation memory op) {
        op = buildUserOp(callData, nonceKey(0, ENTITY, 0));
        op.paymasterAndData = abi.encodePacked(by, uint128(200_000), uint128(100_000));
        sign(op, key);
    }

    function refusedByHook(bytes memory callData, address module, uint32 entityId, bytes memory reason) private {
        refusedByHook(keyOp(callData), module, entityId, reason);
    }

    function refusedByHook(PackedUserOperation memory op, address module, uint32 entityId, bytes memory reason)
        private
    {
        bytes4 wrapper = IAccountV08.PreUserOpValidationHookReverted.selector;
        refusedInValidation(op, err(wrapper, entity(module, entityId), reason));
    }

    function refusedInHook(bytes memory callData, address module, uint32 entityId, bytes memory reason) private {
        bytes4 wrapper = IAccountV08.PreExecHookReverted.selector;
        refusedInExecution(keyOp(wrapped(callData)), err(wrapper, entity(module, entityId), reason));
    }

    function call(address target, bytes4 selector) private pure returns (bytes memory) {
        return executeCall(target, 0, abi.encodePacked(selector));
    }

    function spend(bytes4 selector, uint256 amount) private view returns (bytes memory) {
        return executeCall(token, 0, abi.encodeWithSelector(selector, elsewhere, amount));
    }

    function create(uint256 value) private pure returns (bytes memory) {
        return abi.encodeCall(IAccountV08.performCreate, (value, hex"00", false, 0));
    }

    function entry(address target, bool hasSelectors, bytes4 selector)
        private
        pure
        returns (AllowlistStandIn.AllowlistInput memory)
    {
        return AllowlistStandIn.AllowlistInput(target, hasSelectors, false, 0, selectors(selector));
    }

    function listed(AllowlistStandIn.AllowlistInput memory first) private pure returns (bytes memory) {
        AllowlistStandIn.AllowlistInput[] memory inputs = new AllowlistStandIn.AllowlistInput[](1);
        inputs[0] = first;
        return abi.encode(ENTITY, inputs);
    }

    function listed(AllowlistStandIn.AllowlistInput memory first, AllowlistStandIn.AllowlistInput memory second)
        private
        pure
        returns (bytes memory)
    {
        AllowlistStandIn.AllowlistInput[] memory inputs = new AllowlistStandIn.AllowlistInput[](2);
        (inputs[0], inputs[1]) = (first, second);
        return abi.encode(ENTITY, inputs);
    }

    /// @dev As the account's own client installs it.
    function allowlistHook(bytes memory data) private view returns (bytes memory) {
        return hookData(hook(address(allowlist), ENTITY, 5), data);
    }

    function tokenLimitHook(uint256 amount) private view returns (bytes memory) {
        AllowlistStandIn.AllowlistInput[] memory inputs = new AllowlistStandIn.AllowlistInput[](1);
        inputs[0] = AllowlistStandIn.AllowlistInput(token, false, true, amount, new bytes4[](0));
        return hookData(hook(address(allowlist), SECOND, PRE_HOOK), abi.encode(SECOND, inputs));
    }

    /* Allowlist */

    function test_allowlist_ofAddresses() public {
        install(allowlistHook(listed(entry(shop, false, BUY))));
        passes(keyOp(call(shop, BUY)));
        // Any function, any data, any value.
        passes(keyOp(call(shop, TRANSFER)));
        passes(keyOp(executeCall(shop, 1, hex"01")));
        passes(keyOp(wrapped(call(shop, BUY))));
        bytes memory refused = err(AllowlistStandIn.AddressNotAllowed.selector);
        refusedByHook(call(elsewhere, BUY), address(allowlist), ENTITY, refused);
        refusedByHook(wrapped(call(elsewhere, BUY)), address(allowlist), ENTITY, refused);
        Call[] memory calls = new Call[](2);
        (calls[0], calls[1]) = (Call(shop, 0, ""), Call(elsewhere, 0, ""));
        refusedByHook(batchCall(calls), address(allowlist), ENTITY, refused);
        // Functions of the account that are no execution are not looked at.
        passes(keyOp(create(1)));
    }

    function test_allowlist_ofFunctions() public {
        install(allowlistHook(listed(entry(shop, true, BUY), entry(address(0), false, TRANSFER))));
        passes(keyOp(call(shop, BUY)));
        // On any address that is not allowed itself.
        passes(keyOp(call(elsewhere, TRANSFER)));
        bytes memory refused = err(AllowlistStandIn.SelectorNotAllowed.selector);
        refusedByHook(call(shop, TRANSFER), address(allowlist), ENTITY, refused);
        refused = err(AllowlistStandIn.NoSelectorSpecified.selector);
        refusedByHook(executeCall(shop, 1, ""), address(allowlist), ENTITY, refused);
        refusedByHook(executeCall(shop, 0, hex"d96a09"), address(allowlist), ENTITY, refused);
        refused = err(AllowlistStandIn.AddressNotAllowed.selector);
        refusedByHook(executeCall(elsewhere, 1, ""), address(allowlist), ENTITY, refused);
    }

    function test_allowlist_anyAddressForNoFunction_letsValueGoAnywhere() public {
        install(allowlistHook(listed(entry(address(0), false, 0))));
        passes(keyOp(executeCall(elsewhere, 1, "")));
        passes(keyOp(executeCall(elsewhere, 1, hex"000000")));
        bytes memory refused = err(AllowlistStandIn.AddressNotAllowed.selector);
        refusedByHook(call(elsewhere, BUY), address(allowlist), ENTITY, refused);
    }

    function test_allowlist_keepsOlderSelectors() public {
        install(allowlistHook(listed(entry(shop, true, BUY))));
        asAccount(address(allowlist), abi.encodeCall(IModule.onInstall, (listed(entry(shop, true, TRANSFER)))));
        passes(keyOp(call(shop, BUY)));
        passes(keyOp(call(shop, TRANSFER)));
        // Selectors of an address are not added without a list of them.
        asAccount(address(allowlist), abi.encodeCall(IModule.onInstall, (listed(entry(shop, false, APPROVE)))));
        assertFalse(allowlist.selectorAllowlist(ENTITY, APPROVE, shop, address(account)));
        passes(keyOp(call(shop, APPROVE)));
    }

    function test_earlierAllowlist_doesNotLookIntoExecuteUserOp() public {
        bytes memory data = listed(entry(shop, false, BUY));
        install(hookData(hook(address(earlier), ENTITY, VALIDATION_HOOK), data));
        bytes memory refused = err(AllowlistStandIn.AddressNotAllowed.selector);
        refusedByHook(call(elsewhere, TRANSFER), address(earlier), ENTITY, refused);
        passes(keyOp(wrapped(call(elsewhere, TRANSFER))));
    }

    /* Limits on tokens */

    function test_tokenLimit_countsTransferAndApprove() public {
        install(tokenLimitHook(100));
        passes(keyOp(wrapped(spend(TRANSFER, 60))));
        passes(keyOp(wrapped(spend(APPROVE, 30))));
        assertEq(allowlist.erc20SpendLimits(SECOND, token, address(account)), 10);
        bytes memory refused = err(AllowlistStandIn.ExceededTokenLimit.selector);
        refusedInHook(spend(APPROVE, 11), address(allowlist), SECOND, refused);
        Call[] memory calls = new Call[](2);
        calls[0] = Call(token, 0, abi.encodeWithSelector(TRANSFER, elsewhere, 6));
        calls[1] = Call(token, 0, abi.encodeWithSelector(APPROVE, elsewhere, 5));
        refusedInHook(batchCall(calls), address(allowlist), SECOND, refused);
        assertEq(allowlist.erc20SpendLimits(SECOND, token, address(account)), 10, "nothing of the batch is booked");
        passes(keyOp(wrapped(spend(TRANSFER, 10))));
    }

    function test_tokenLimit_refusesOtherFunctions() public {
        install(tokenLimitHook(100));
        bytes memory data = abi.encodeWithSelector(BUY, elsewhere, 1);
        bytes memory refused = err(AllowlistStandIn.SelectorNotAllowed.selector);
        refusedInHook(executeCall(token, 0, data), address(allowlist), SECOND, refused);
        refused = err(AllowlistStandIn.InvalidCalldataLength.selector);
        refusedInHook(call(token, TRANSFER), address(allowlist), SECOND, refused);
        refusedInHook(executeCall(token, 1, ""), address(allowlist), SECOND, refused);
        // Other targets are free; other functions of the account are refused.
        passes(keyOp(wrapped(executeCall(elsewhere, 1, ""))));
        refused = err(AllowlistStandIn.SpendingRequestNotAllowed.selector, CREATE);
        refusedInHook(create(0), address(allowlist), SECOND, refused);
    }

    function test_tokenLimit_isTakenBackWithTheExecution() public {
        install(tokenLimitHook(100));
        vm.mockCallRevert(token, abi.encodePacked(TRANSFER), "no");
        refusedInExecution(keyOp(wrapped(spend(TRANSFER, 60))), "no");
        assertEq(allowlist.erc20SpendLimits(SECOND, token, address(account)), 100);
    }

    function test_tokenLimit_isSetAlsoWhereItDoesNotCount() public {
        AllowlistStandIn.AllowlistInput memory input =
            AllowlistStandIn.AllowlistInput(token, false, false, 7, new bytes4[](0));
        install(allowlistHook(listed(input)));
        assertEq(allowlist.erc20SpendLimits(ENTITY, token, address(account)), 7);
        asAccount(address(allowlist), abi.encodeCall(AllowlistStandIn.updateLimits, (ENTITY, token, true, 8)));
        (, bool hasSelectors, bool hasLimit) = allowlist.addressAllowlist(ENTITY, token, address(account));
        assertTrue(hasLimit && !hasSelectors);
    }

    function test_executionHooks_needExecuteUserOp() public {
        install(tokenLimitHook(100));
        refusedInValidation(keyOp(spend(TRANSFER, 1)), err(IAccountV08.RequireUserOperationContext.selector));
    }

    /* Limits on the native token */

    function limitHook(uint32 entityId, uint8 flags, uint256 wei_) private view returns (bytes memory) {
        return hookData(hook(address(limit), entityId, flags), abi.encode(entityId, wei_));
    }

    function test_nativeLimit_countsValue() public {
        install(limitHook(ENTITY, PRE_HOOK, 100));
        passes(keyOp(wrapped(executeCall(shop, 40, ""))));
        Call[] memory calls = new Call[](2);
        (calls[0], calls[1]) = (Call(shop, 20, ""), Call(elsewhere, 10, ""));
        passes(keyOp(wrapped(batchCall(calls))));
        passes(keyOp(wrapped(create(5))));
        assertEq(limit.limits(ENTITY, address(account)), 25);
        bytes memory refused = err(NativeTokenLimitStandIn.ExceededNativeTokenLimit.selector);
        refusedInHook(executeCall(shop, 26, ""), address(limit), ENTITY, refused);
        vm.mockCallRevert(shop, bytes(""), "no");
        refusedInExecution(keyOp(wrapped(executeCall(shop, 20, ""))), "no");
        assertEq(limit.limits(ENTITY, address(account)), 25);
    }

    /// @dev 3,000,000 + 5,000,000 gas units at 1 gwei.
    uint256 private constant COST = 0.008 ether;

    function test_gasLimit_countsLimitsAlsoOfWhatFails() public {
        install(limitHook(SECOND, VALIDATION_HOOK, 2 * COST + COST - 1));
        passes(keyOp(executeCall(shop, 0, "")));
        assertEq(limit.limits(SECOND, address(account)), 2 * COST - 1);
        vm.mockCallRevert(shop, bytes(""), "no");
        refusedInExecution(keyOp(executeCall(shop, 0, "")), "no");
        assertEq(limit.limits(SECOND, address(account)), COST - 1);
        bytes memory refused = err(NativeTokenLimitStandIn.ExceededNativeTokenLimit.selector);
        refusedByHook(executeCall(shop, 0, ""), address(limit), SECOND, refused);
    }

    function test_gasLimit_countsNothingThatAPaymasterPays_unlessItIsSpecial() public {
        install(limitHook(SECOND, 5, 2 * COST));
        passes(paidOp(executeCall(shop, 0, ""), paymaster));
        assertEq(limit.limits(SECOND, address(account)), 2 * COST);
        asAccount(address(limit), abi.encodeCall(NativeTokenLimitStandIn.updateSpecialPaymaster, (paymaster, true)));
        passes(paidOp(executeCall(shop, 0, ""), paymaster));
        assertEq(limit.limits(SECOND, address(account)), COST - 300_000 * 1 gwei);
        bytes memory refused = err(NativeTokenLimitStandIn.ExceededNativeTokenLimit.selector);
        refusedByHook(paidOp(executeCall(shop, 0, ""), paymaster), address(limit), SECOND, refused);
    }

    function test_nativeLimit_ofOneEntityIsOneBudget() public {
        install(limitHook(ENTITY, VALIDATION_HOOK, COST + 10), limitHook(ENTITY, PRE_HOOK, COST + 10));
        passes(keyOp(wrapped(executeCall(shop, 10, ""))));
        assertEq(limit.limits(ENTITY, address(account)), 0);
    }

    /* Time */

    function timeHook(uint48 validUntil, uint48 validAfter) private view returns (bytes memory) {
        bytes25 config = hook(address(time), ENTITY, VALIDATION_HOOK);
        return hookData(config, abi.encode(ENTITY, validUntil, validAfter));
    }

    function test_timeRange_isInclusive() public {
        install(timeHook(1_700_000_200, 1_700_000_100));
        vm.warp(1_700_000_099);
        refusedByEntryPoint(keyOp(executeCall(shop, 0, "")), "AA22 expired or not due");
        vm.warp(1_700_000_100);
        passes(keyOp(executeCall(shop, 0, "")));
        vm.warp(1_700_000_200);
        passes(keyOp(executeCall(shop, 0, "")));
        vm.warp(1_700_000_201);
        refusedByEntryPoint(keyOp(executeCall(shop, 0, "")), "AA22 expired or not due");
    }

    function test_timeRange_withoutSettings_hasNoBounds() public {
        install(hookData(hook(address(time), ENTITY, VALIDATION_HOOK)));
        passes(keyOp(executeCall(shop, 0, "")));
        vm.prank(address(account));
        vm.expectRevert(TimeRangeStandIn.TimeRangeNotValid.selector);
        time.preRuntimeValidationHook(ENTITY, stranger, 0, "", "");
    }

    function test_timeRange_storesOnlyRanges() public {
        vm.startPrank(address(account));
        vm.expectRevert(TimeRangeStandIn.TimeRangeNotValid.selector);
        time.onInstall(abi.encode(ENTITY, 0, 0));
        vm.expectRevert(TimeRangeStandIn.TimeRangeNotValid.selector);
        time.onInstall(abi.encode(ENTITY, 5, 5));
        time.onInstall(abi.encode(ENTITY, 0, 5));
        (uint48 validUntil, uint48 validAfter) = time.timeRanges(ENTITY, address(account));
        assertEq(validUntil, type(uint48).max);
        assertEq(validAfter, 5);
    }

    /* Paymaster */

    function test_paymasterGuard_wantsItsPaymaster() public {
        bytes25 config = hook(address(guard), ENTITY, VALIDATION_HOOK);
        install(hookData(config, abi.encode(ENTITY, paymaster)));
        passes(paidOp(executeCall(shop, 0, ""), paymaster));
        refusedByHook(executeCall(shop, 0, ""), address(guard), ENTITY, "");
        address other = address(new AnyPaymaster());
        vm.deal(address(this), 1 ether);
        ENTRY_POINT.depositTo{value: 1 ether}(other);
        bytes memory refused = err(PaymasterGuardStandIn.BadPaymasterSpecified.selector);
        refusedByHook(paidOp(executeCall(shop, 0, ""), other), address(guard), ENTITY, refused);
        vm.expectRevert(PaymasterGuardStandIn.InvalidPaymaster.selector);
        guard.onInstall(abi.encode(ENTITY, address(0)));
    }

    /* All */

    function test_hooks_takeNoSegments() public {
        install(timeHook(0, 5));
        PackedUserOperation memory op = buildUserOp(executeCall(shop, 0, ""), nonceKey(0, ENTITY, 0));
        op.signature = abi.encodePacked(hex"00", uint32(1), hex"aa", hex"ff00", signatureOf(op, key));
        refusedByHook(op, address(time), ENTITY, err(HookStandIn.UnexpectedDataPassed.selector));
    }

    function test_hooks_afterTheExecutionAreNotThere() public {
        bytes25 config = hook(address(limit), ENTITY, PRE_HOOK | POST_HOOK);
        install(hookData(config, abi.encode(ENTITY, 100)));
        bytes memory reason = err(
            IAccountV08.PostExecHookReverted.selector,
            entity(address(limit), ENTITY),
            err(HookStandIn.NotImplemented.selector)
        );
        refusedInExecution(keyOp(wrapped(executeCall(shop, 1, ""))), reason);
    }

    function test_errors_haveTheSelectorsOfTheDeployedModules() public pure {
        assertEq(HookStandIn.NotImplemented.selector, bytes4(0xd6234725));
        assertEq(HookStandIn.UnexpectedDataPassed.selector, bytes4(0xd218aafb));
        assertEq(AllowlistStandIn.AddressNotAllowed.selector, bytes4(0x2b53784e));
        assertEq(AllowlistStandIn.NoSelectorSpecified.selector, bytes4(0x3aeca77f));
        assertEq(AllowlistStandIn.SelectorNotAllowed.selector, bytes4(0xbdb518d2));
        assertEq(AllowlistStandIn.SpendingRequestNotAllowed.selector, bytes4(0xf61c9d52));
        assertEq(AllowlistStandIn.InvalidCalldataLength.selector, bytes4(0xca0ad260));
        assertEq(AllowlistStandIn.ExceededTokenLimit.selector, bytes4(0xa55ac877));
        assertEq(NativeTokenLimitStandIn.InvalidPaymaster.selector, bytes4(0x8b9c642c));
        assertEq(NativeTokenLimitStandIn.ExceededNativeTokenLimit.selector, bytes4(0x94c58c94));
        assertEq(TimeRangeStandIn.TimeRangeNotValid.selector, bytes4(0x22863066));
        assertEq(PaymasterGuardStandIn.BadPaymasterSpecified.selector, bytes4(0xbe179485));
        assertEq(AllowlistStandIn.updateAllowlist.selector, bytes4(0x798053f1));
        assertEq(AllowlistStandIn.updateLimits.selector, bytes4(0x4380c278));
        assertEq(NativeTokenLimitStandIn.updateLimits.selector, bytes4(0x71280be3));
        assertEq(NativeTokenLimitStandIn.updateSpecialPaymaster.selector, bytes4(0x5c6e5169));
    }

    function test_hooks_sayWhichTheyAre() public view {
        bytes4 validationHook = type(IValidationHookModule).interfaceId;
        bytes4 executionHook = type(IExecutionHookModule).interfaceId;
        HookStandIn[5] memory modules = [HookStandIn(allowlist), earlier, limit, time, guard];
        for (uint256 i = 0; i < modules.length; ++i) {
            assertTrue(modules[i].supportsInterface(validationHook));
            assertEq(modules[i].supportsInterface(executionHook), i < 3);
        }
    }
}
