// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Bytes} from "@openzeppelin/utils/Bytes.sol";
import {Ownable} from "@openzeppelin/access/Ownable.sol";
import {Test} from "forge-std/Test.sol";

import {Deploy, IGasPriceOracle} from "../../../script/Deploy.s.sol";
import {IModularAccountFactory} from "../../src/interfaces/IModularAccountFactory.sol";
import {IMultiOwnerPlugin} from "../../src/interfaces/IMultiOwnerPlugin.sol";
import {IPlugin} from "../../src/interfaces/IPlugin.sol";
import {listOf} from "../utils/ListLiterals.sol";

/// @dev The script without a node: a deployer, a record and a node's answers to choose.
contract DeployHarness is Deploy {
    address private chosenDeployer = DEFAULT_SENDER;
    string private chosenRecord;
    uint256 private waiting;

    /// @dev The node's suggestions per gas unit: the gas price, and the priority fee.
    uint256 public constant GAS_PRICE = 7 gwei;
    uint256 public constant TIP = 3 gwei;
    /// @dev The node's estimate per byte of data.
    uint256 public constant GAS_PER_BYTE = 100;

    function useDeployer(address deployer) external {
        chosenDeployer = deployer;
    }

    function useRecord(string calldata record_) external {
        chosenRecord = record_;
    }

    function useWaiting(uint256 transactions) external {
        waiting = transactions;
    }

    function parseAddress(string calldata variable, string calldata value) external pure returns (address) {
        return _parseAddress(variable, value);
    }

    function parseSalt(string calldata variable, string calldata value) external pure returns (bytes32) {
        return _parseSalt(variable, value);
    }

    function _checkFork(bytes memory) internal pure override {}

    function _deployer() internal view override returns (address) {
        return chosenDeployer;
    }

    function _record() internal view override returns (string memory) {
        return bytes(chosenRecord).length == 0 ? super._record() : chosenRecord;
    }

    function _transactionCount(address, string memory tag) internal view override returns (uint256) {
        return keccak256(bytes(tag)) == keccak256("pending") ? 5 + waiting : 5;
    }

    function _estimateGas(address, bytes memory data) internal pure override returns (uint256) {
        return data.length * GAS_PER_BYTE;
    }

    function _gasPrice() internal pure override returns (uint256) {
        return GAS_PRICE;
    }

    function _tip() internal pure override returns (uint256) {
        return TIP;
    }
}

/// @notice The deployment script on forge's own chain; `script/deploy-test.sh` runs it on nodes.
contract DeployTest is Test {
    DeployHarness private script;
    Deploy.Parameters private parameters;
    address private proxy;

    function setUp() public {
        script = new DeployHarness();
        proxy = script.constants().deploymentProxy;
        vm.etch(proxy, script.constants().deploymentProxyCode);
        parameters.expectedChainId = block.chainid;
        parameters.factoryOwner = script.constants().factoryOwner;
    }

    function test_deploy_createsEveryContractAsRecorded() public {
        assertEq(script.deploy(parameters), 7);
        string memory record = vm.readFile(script.RECORD());
        Deploy.Planned[] memory planned = script.plan(parameters);
        for (uint256 i = 0; i < planned.length; ++i) {
            string memory path = string.concat(".contracts.", planned[i].name);
            address at = vm.parseJsonAddress(record, string.concat(path, ".address"));
            assertEq(planned[i].at, at, planned[i].name);
            assertEq(at.codehash, vm.parseJsonBytes32(record, string.concat(path, ".codeHash")), planned[i].name);
            assertEq(keccak256(planned[i].initCode), vm.parseJsonBytes32(record, string.concat(path, ".initCodeHash")));
        }
        assertEq(planned[0].at, 0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789, "where plugins expect the EntryPoint");
        assertEq(planned[5].at, 0x0000000071727De22E5E9d8BAf0edAc6f37da032, "where the module expects EntryPoint v0.7");
    }

    function test_deploy_makesAFactoryThatMakesAccounts() public {
        script.deploy(parameters);
        Deploy.Planned[] memory planned = script.plan(parameters);
        address owner = makeAddr("owner");
        address account = IModularAccountFactory(payable(planned[4].at)).createAccount(0, listOf(owner));
        assertTrue(IMultiOwnerPlugin(planned[1].at).isOwnerOf(account, owner));
    }

    function test_manifestHash_isThatOfTheOwnerPlugin() public {
        script.deploy(parameters);
        IPlugin plugin = IPlugin(script.plan(parameters)[1].at);
        assertEq(keccak256(abi.encode(plugin.pluginManifest())), script.constants().multiOwnerPluginManifestHash);
    }

    function test_deploy_again_sendsNothing() public {
        script.deploy(parameters);
        // Not even funds are needed.
        script.useDeployer(makeAddr("poor"));
        assertEq(script.deploy(parameters), 0);
    }

    /// forge-config: default.fuzz.runs = 16
    function testFuzz_deploy_completesAPartialDeployment(uint256 present) public {
        present = bound(present, 0, 127);
        Deploy.Planned[] memory planned = script.plan(parameters);
        uint256 missing = 7;
        for (uint256 i = 0; i < planned.length; ++i) {
            if (present >> i & 1 == 0) continue;
            (bool success,) = proxy.call(bytes.concat(planned[i].salt, planned[i].initCode));
            assertTrue(success);
            --missing;
        }
        assertEq(script.deploy(parameters), missing);
        assertEq(script.deploy(parameters), 0);
    }

    /// @dev With other parameters, code hashes come from simulated creations: the script compares them with what is created.
    /// forge-config: default.fuzz.runs = 8
    function testFuzz_deploy_withOtherParameters(
        address factoryOwner,
        bytes32 pluginSalt,
        bytes32 accountSalt,
        bytes32 factorySalt,
        bytes32 moduleSalt
    ) public {
        factoryOwner = address(uint160(bound(uint160(factoryOwner), 1, type(uint160).max)));
        Deploy.Planned[] memory standard = script.plan(parameters);
        parameters.factoryOwner = factoryOwner;
        parameters.multiOwnerPluginSalt = pluginSalt;
        parameters.modularAccountSalt = accountSalt;
        parameters.modularAccountFactorySalt = factorySalt;
        parameters.sessionKeyModuleSalt = moduleSalt;
        assertEq(script.deploy(parameters), 7);

        Deploy.Planned[] memory planned = script.plan(parameters);
        assertEq(planned[0].at, standard[0].at, "EntryPoint");
        assertEq(planned[2].at, standard[2].at, "SessionKeyPlugin");
        assertEq(planned[5].at, standard[5].at, "EntryPoint v0.7");
        assertEq(planned[6].at == standard[6].at, moduleSalt == 0, "SessionKeyModule");
        assertEq(planned[1].at == standard[1].at, pluginSalt == 0, "MultiOwnerPlugin");
        assertEq(planned[3].at == standard[3].at, accountSalt == 0, "ModularAccount");
        IModularAccountFactory factory = IModularAccountFactory(payable(planned[4].at));
        assertEq(Ownable(address(factory)).owner(), factoryOwner);
        assertEq(factory.MULTI_OWNER_PLUGIN(), planned[1].at);
        assertEq(factory.IMPL(), planned[3].at);
        assertEq(script.deploy(parameters), 0);
    }

    function test_deploy_revertsIfTheCodeDiffersAtChosenAddressesToo() public {
        parameters.modularAccountSalt = bytes32(uint256(1));
        Deploy.Planned memory account = script.plan(parameters)[3];
        script.deploy(parameters);
        bytes32 expected = account.at.codehash;
        vm.etch(account.at, hex"00");
        vm.expectRevert(
            abi.encodeWithSelector(Deploy.CodeDiffers.selector, account.name, account.at, expected, keccak256(hex"00"))
        );
        script.deploy(parameters);
    }

    /// forge-config: default.fuzz.runs = 16
    function testFuzz_deploy_revertsIfTheCodeDiffers(uint256 index, bytes memory code) public {
        Deploy.Planned memory planned = script.plan(parameters)[index % 7];
        bytes32 expected =
            vm.parseJsonBytes32(vm.readFile(script.RECORD()), string.concat(".contracts.", planned.name, ".codeHash"));
        // Not empty, and not what no contract's code begins with (EIP-3541).
        code = bytes.concat(hex"00", code);
        vm.etch(planned.at, code);
        vm.expectRevert(
            abi.encodeWithSelector(Deploy.CodeDiffers.selector, planned.name, planned.at, expected, keccak256(code))
        );
        script.deploy(parameters);
    }

    function test_deploy_revertsIfTheChainIsAnother() public {
        parameters.expectedChainId = 11155111;
        vm.expectRevert(abi.encodeWithSelector(Deploy.WrongChain.selector, 11155111, block.chainid));
        script.deploy(parameters);
    }

    function test_deploy_revertsWithoutProxy() public {
        vm.etch(proxy, "");
        vm.expectRevert(abi.encodeWithSelector(Deploy.NoDeploymentProxy.selector, proxy, block.chainid));
        script.deploy(parameters);
    }

    function test_deploy_revertsIfTheProxyIsAnother() public {
        vm.etch(proxy, hex"00");
        vm.expectRevert(abi.encodeWithSelector(Deploy.UnknownDeploymentProxy.selector, proxy, keccak256(hex"00")));
        script.deploy(parameters);
    }

    function test_deploy_revertsIfTheFactoryOwnerIsZero() public {
        parameters.factoryOwner = address(0);
        vm.expectRevert(Deploy.FactoryOwnerIsZero.selector);
        script.deploy(parameters);
    }

    function test_deploy_revertsIfTheBytecodeDiffersFromTheRecord() public {
        string memory record = vm.readFile(script.RECORD());
        Deploy.Planned memory plugin = script.plan(parameters)[2];
        address other = makeAddr("other");
        script.useRecord(vm.replace(record, vm.toString(plugin.at), vm.toString(other)));
        vm.expectRevert(abi.encodeWithSelector(Deploy.UnexpectedAddress.selector, plugin.name, other, plugin.at));
        script.deploy(parameters);
    }

    function test_deploy_needsGasForEveryMissingContractAtTwiceTheBaseFeeAndTheTip() public {
        address poor = makeAddr("poor");
        script.useDeployer(poor);
        vm.fee(10 gwei);
        uint256 needed = _gas(0) * (2 * 10 gwei + script.TIP());
        assertEq(_needed(poor, 0), needed);
        vm.deal(poor, needed - 1);
        assertEq(_needed(poor, needed - 1), needed);
        vm.deal(poor, needed);
        assertEq(script.deploy(parameters), 7);
    }

    function test_deploy_needsNoFundsForDeployedContracts() public {
        address poor = makeAddr("poor");
        script.useDeployer(poor);
        vm.fee(10 gwei);
        for (uint256 i = 0; i < 2; ++i) {
            Deploy.Planned memory planned = script.plan(parameters)[i];
            (bool success,) = proxy.call(bytes.concat(planned.salt, planned.initCode));
            assertTrue(success);
        }
        assertEq(_needed(poor, 0), _gas(2) * (2 * 10 gwei + script.TIP()));
    }

    function test_deploy_needsTheGasPriceWithoutBaseFee() public {
        address poor = makeAddr("poor");
        script.useDeployer(poor);
        vm.fee(0);
        assertEq(_needed(poor, 0), _gas(0) * script.GAS_PRICE());
    }

    function test_deploy_needsTwiceTheFeeForDataOnOpStackChains() public {
        address poor = makeAddr("poor");
        script.useDeployer(poor);
        uint256 withoutFee = _needed(poor, 0);
        address oracle = address(script.constants().gasPriceOracle);
        vm.etch(oracle, hex"00");
        assertEq(_needed(poor, 0), withoutFee, "something else at the oracle's address");
        vm.mockCall(oracle, abi.encodeWithSelector(IGasPriceOracle.getL1Fee.selector), abi.encode(1 ether));
        assertEq(_needed(poor, 0), withoutFee + 2 * 7 ether);
    }

    function test_deploy_revertsWhileTransactionsOfTheDeployerArePending() public {
        address deployer = makeAddr("deployer");
        vm.deal(deployer, 100 ether);
        script.useDeployer(deployer);
        script.useWaiting(1);
        vm.expectRevert(abi.encodeWithSelector(Deploy.TransactionsPending.selector, deployer, 5, 6));
        script.deploy(parameters);
        script.useWaiting(0);
        assertEq(script.deploy(parameters), 7);
        // Without anything to do, there is nothing to wait for.
        script.useWaiting(1);
        assertEq(script.deploy(parameters), 0);
    }

    function test_parameters_areReadAsTheyAreWritten() public view {
        address owner = 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed;
        assertEq(script.parseAddress("FACTORY_OWNER", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"), owner);
        assertEq(script.parseAddress("FACTORY_OWNER", "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"), owner);
        assertEq(script.parseAddress("FACTORY_OWNER", "0x0000000000000000000000000000000000000000"), address(0));
        bytes32 salt = 0x00112233445566778899aabbccddeeffffeeddccbbaa99887766554433221100;
        assertEq(script.parseSalt("SALT", "0x00112233445566778899aabbccddeeffffeeddccbbaa99887766554433221100"), salt);
        assertEq(script.parseSalt("SALT", "0x00112233445566778899AABBCCDDEEFFFFEEDDCCBBAA99887766554433221100"), salt);
    }

    function test_parameters_thatAreMalformedAreRefused() public {
        string[9] memory addresses = [
            "",
            "0x",
            "0x1234",
            "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0X5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beae",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed0",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaeg",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beae "
        ];
        for (uint256 i = 0; i < addresses.length; ++i) {
            _expectMalformed(addresses[i], "an address: 0x and 40 hex digits");
            script.parseAddress("THE_VARIABLE", addresses[i]);
        }
        string[2] memory mistyped =
            ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", "0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED"];
        for (uint256 i = 0; i < mistyped.length; ++i) {
            _expectMalformed(mistyped[i], "an address with a correct EIP-55 checksum, or in lower case");
            script.parseAddress("THE_VARIABLE", mistyped[i]);
        }
        string[5] memory salts = [
            "",
            "0x01",
            "00112233445566778899aabbccddeeffffeeddccbbaa99887766554433221100",
            "0x00112233445566778899aabbccddeeffffeeddccbbaa9988776655443322110",
            "0x00112233445566778899aabbccddeeffffeeddccbbaa998877665544332211zz"
        ];
        for (uint256 i = 0; i < salts.length; ++i) {
            _expectMalformed(salts[i], "a salt: 0x and 64 hex digits");
            script.parseSalt("THE_VARIABLE", salts[i]);
        }
    }

    function _expectMalformed(string memory value, string memory expected) private {
        vm.expectRevert(abi.encodeWithSelector(Deploy.MalformedParameter.selector, "THE_VARIABLE", value, expected));
    }

    /// @dev The gas limit of the transactions of the contracts from `first` on: the node's estimate, plus three tenths.
    function _gas(uint256 first) private view returns (uint256 gas) {
        Deploy.Planned[] memory planned = script.plan(parameters);
        for (uint256 i = first; i < planned.length; ++i) {
            gas += (32 + planned[i].initCode.length) * script.GAS_PER_BYTE() * 13 / 10;
        }
    }

    /// @dev The funds that a deployer must have, from the refusal.
    function _needed(address poor, uint256 balance) private returns (uint256 needed) {
        try script.deploy(parameters) {
            fail();
        } catch (bytes memory reason) {
            assertEq(bytes4(reason), Deploy.Underfunded.selector);
            address deployer;
            uint256 has;
            (deployer, has, needed) = abi.decode(Bytes.slice(reason, 4), (address, uint256, uint256));
            assertEq(deployer, poor);
            assertEq(has, balance);
        }
    }
}
