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

/// @dev The script without a node: nobody to ask for the chain's hard fork, and a deployer and a record to choose.
contract DeployHarness is Deploy {
    address private chosenDeployer = DEFAULT_SENDER;
    string private chosenRecord;

    function useDeployer(address deployer) external {
        chosenDeployer = deployer;
    }

    function useRecord(string calldata record_) external {
        chosenRecord = record_;
    }

    function _checkFork() internal pure override {}

    function _deployer() internal view override returns (address) {
        return chosenDeployer;
    }

    function _record() internal view override returns (string memory) {
        return bytes(chosenRecord).length == 0 ? super._record() : chosenRecord;
    }
}

/// @notice The deployment script on a chain of forge's own; `script/deploy-test.sh` runs it on nodes.
contract DeployTest is Test {
    DeployHarness private script;
    Deploy.Parameters private parameters;
    address private proxy;

    function setUp() public {
        script = new DeployHarness();
        proxy = script.DEPLOYMENT_PROXY();
        vm.etch(proxy, script.DEPLOYMENT_PROXY_CODE());
        parameters.expectedChainId = block.chainid;
        parameters.factoryOwner = script.DEFAULT_FACTORY_OWNER();
        vm.txGasPrice(1 gwei);
    }

    function test_deploy_createsEveryContractAsRecorded() public {
        assertEq(script.deploy(parameters), 5);
        string memory record = vm.readFile(script.RECORD());
        Deploy.Planned[] memory planned = script.plan(parameters);
        for (uint256 i = 0; i < planned.length; ++i) {
            string memory path = string.concat(".contracts.", planned[i].name);
            address at = vm.parseJsonAddress(record, string.concat(path, ".address"));
            assertEq(planned[i].at, at, planned[i].name);
            assertEq(at.codehash, vm.parseJsonBytes32(record, string.concat(path, ".codeHash")), planned[i].name);
            assertEq(keccak256(planned[i].initCode), vm.parseJsonBytes32(record, string.concat(path, ".initCodeHash")));
        }
        assertEq(planned[0].at, script.ENTRY_POINT());
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
        assertEq(keccak256(abi.encode(plugin.pluginManifest())), script.MULTI_OWNER_PLUGIN_MANIFEST_HASH());
    }

    function test_deploy_again_sendsNothing() public {
        script.deploy(parameters);
        // Not even funds are needed.
        script.useDeployer(makeAddr("poor"));
        assertEq(script.deploy(parameters), 0);
    }

    /// forge-config: default.fuzz.runs = 16
    function testFuzz_deploy_completesWhatIsThere(uint256 present) public {
        present = bound(present, 0, 31);
        Deploy.Planned[] memory planned = script.plan(parameters);
        uint256 missing = 5;
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
        bytes32 factorySalt
    ) public {
        factoryOwner = address(uint160(bound(uint160(factoryOwner), 1, type(uint160).max)));
        Deploy.Planned[] memory standard = script.plan(parameters);
        parameters.factoryOwner = factoryOwner;
        parameters.multiOwnerPluginSalt = pluginSalt;
        parameters.modularAccountSalt = accountSalt;
        parameters.modularAccountFactorySalt = factorySalt;
        assertEq(script.deploy(parameters), 5);

        Deploy.Planned[] memory planned = script.plan(parameters);
        assertEq(planned[0].at, standard[0].at, "EntryPoint");
        assertEq(planned[2].at, standard[2].at, "SessionKeyPlugin");
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
        Deploy.Planned memory planned = script.plan(parameters)[index % 5];
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

    function test_deploy_revertsIfThereIsNoProxy() public {
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

    function test_deploy_revertsIfTheBytecodeIsNotTheRecorded() public {
        string memory record = vm.readFile(script.RECORD());
        Deploy.Planned memory plugin = script.plan(parameters)[2];
        address other = makeAddr("other");
        script.useRecord(vm.replace(record, vm.toString(plugin.at), vm.toString(other)));
        vm.expectRevert(abi.encodeWithSelector(Deploy.UnexpectedAddress.selector, plugin.name, other, plugin.at));
        script.deploy(parameters);
    }

    function test_deploy_revertsIfUnderfunded() public {
        address poor = makeAddr("poor");
        script.useDeployer(poor);
        uint256 needed = _needed(poor, 0);
        vm.deal(poor, needed - 1);
        assertEq(_needed(poor, needed - 1), needed);
        vm.deal(poor, needed);
        assertEq(script.deploy(parameters), 5);
        // All five take 19 million gas; with what forge adds to its estimate, at twice the gas price.
        assertGt(needed, 20_000_000 * 2 gwei);
        assertLt(needed, 40_000_000 * 2 gwei);
    }

    function test_deploy_countsTheFeeForDataOnOpStackChains() public {
        address poor = makeAddr("poor");
        script.useDeployer(poor);
        uint256 withoutFee = _needed(poor, 0);
        address oracle = 0x420000000000000000000000000000000000000F;
        vm.etch(oracle, hex"00");
        vm.mockCall(oracle, abi.encodeWithSelector(IGasPriceOracle.getL1Fee.selector), abi.encode(1 ether));
        assertApproxEqAbs(_needed(poor, 0), withoutFee + 5 ether, 0.001 ether);
    }

    /// @dev What a deployer must have, from the refusal.
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
