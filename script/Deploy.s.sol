// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Script} from "forge-std/Script.sol";
import {console} from "forge-std/console.sol";

/// @title Deploys the contracts, at the same addresses on every chain
/// @notice EntryPoint v0.6, the two plugins, the account implementation and the factory, each by CREATE2 through the
/// deterministic deployment proxy. What is there already is verified and skipped, so that running it again completes what a
/// failure left half done.
///
///     EXPECTED_CHAIN_ID=11155111 forge script script/Deploy.s.sol --rpc-url … --account …
///
/// is a dry run; `--broadcast` sends. forge sends only after the whole script has run without reverting: whatever reverts
/// here stops the deployment before anything is sent. See docs/deployment.md.
///
/// @dev What is deployed is the checked-in creation bytecode, not what forge compiles at the moment: the output of solc's IR
/// pipeline may depend on which files are compiled together, and an address depends on every byte. `script/bindings.sh
/// --check` proves that the bytecode is that of the sources, and `record` writes the addresses that follow from it.
contract Deploy is Script {
    /// @notice What can be chosen. The salts are those of CREATE2; zero gives the recorded addresses.
    struct Parameters {
        /// @dev The chain that is meant, in case the RPC URL is of another.
        uint256 expectedChainId;
        /// @dev Owns the factory, that is, its stake; not the accounts that it makes. Part of the factory's address.
        address factoryOwner;
        bytes32 multiOwnerPluginSalt;
        bytes32 sessionKeyPluginSalt;
        bytes32 modularAccountSalt;
        bytes32 modularAccountFactorySalt;
    }

    /// @notice A contract, and where it belongs.
    struct Planned {
        string name;
        bytes32 salt;
        /// @dev Creation bytecode and constructor arguments.
        bytes initCode;
        address at;
    }

    /// @notice <https://github.com/Arachnid/deterministic-deployment-proxy>: creates from `salt ++ init code`.
    address public constant DEPLOYMENT_PROXY = 0x4e59b44847b379578588920cA78FbF26c0B4956C;
    bytes public constant DEPLOYMENT_PROXY_CODE =
        hex"7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3";

    /// @notice EntryPoint v0.6 (ERC-4337), which the plugins know by this address.
    address public constant ENTRY_POINT = 0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789;

    /// @notice Owns the recorded factory: nobody, so that it is the same for everyone. Nobody can stake it either.
    address public constant DEFAULT_FACTORY_OWNER = 0x000000000000000000000000000000000000dEaD;

    /// @notice `keccak256(abi.encode(manifest))` of the owner plugin: it has no addresses inside.
    bytes32 public constant MULTI_OWNER_PLUGIN_MANIFEST_HASH =
        0x21d0f6cca8bef15ac65bf93ae5ae9ec383ea5010bf3e02b44d3c0abd2d2bd0fb;

    /// @notice Addresses and code hashes with the default parameters. The Rust client reads the same file.
    string public constant RECORD = "crates/client/deployments/deterministic.json";

    /// @dev Predeployed on OP Stack chains, where posting a transaction's data is paid for besides its gas.
    IGasPriceOracle private constant GAS_PRICE_ORACLE = IGasPriceOracle(0x420000000000000000000000000000000000000F);

    /// @dev Init code that copies nothing: needs PUSH0 (Shanghai) and MCOPY (Cancun), as the contracts do.
    bytes private constant CANCUN_PROBE = hex"5f5f5f5e00";

    error WrongChain(uint256 expected, uint256 actual);
    error NoDeploymentProxy(address proxy, uint256 chainId);
    error UnknownDeploymentProxy(address proxy, bytes32 codeHash);
    error ChainBeforeCancun(uint256 chainId);
    error FactoryOwnerIsZero();
    error UnexpectedAddress(string name, address recorded, address computed);
    error CodeDiffers(string name, address at, bytes32 expectedCodeHash, bytes32 actualCodeHash);
    error CreationFails(string name, address at);
    error Underfunded(address deployer, uint256 balance, uint256 needed);

    /// @notice Deploys with the parameters of the environment; see `docs/deployment.md`.
    function run() external {
        deploy(
            Parameters({
                expectedChainId: vm.envUint("EXPECTED_CHAIN_ID"),
                factoryOwner: vm.envOr("FACTORY_OWNER", DEFAULT_FACTORY_OWNER),
                multiOwnerPluginSalt: vm.envOr("MULTI_OWNER_PLUGIN_SALT", bytes32(0)),
                sessionKeyPluginSalt: vm.envOr("SESSION_KEY_PLUGIN_SALT", bytes32(0)),
                modularAccountSalt: vm.envOr("MODULAR_ACCOUNT_SALT", bytes32(0)),
                modularAccountFactorySalt: vm.envOr("MODULAR_ACCOUNT_FACTORY_SALT", bytes32(0))
            })
        );
    }

    /// @notice Deploys what is missing. Reverts if anything is not as it must be.
    /// @return sent How many contracts were missing.
    function deploy(Parameters memory parameters) public returns (uint256 sent) {
        if (block.chainid != parameters.expectedChainId) revert WrongChain(parameters.expectedChainId, block.chainid);
        _checkProxy();
        _checkFork();
        Planned[] memory planned = plan(parameters);
        bytes32[] memory codeHashes = _codeHashes(planned);

        for (uint256 i = 0; i < planned.length; ++i) {
            if (planned[i].at.code.length != 0) _checkCode(planned[i], codeHashes[i]);
        }

        console.log("chain", block.chainid);
        address deployer = _deployer();
        uint256 cost = 0;
        for (uint256 i = 0; i < planned.length; ++i) {
            if (planned[i].at.code.length != 0) {
                console.log("  present", planned[i].at, planned[i].name);
                continue;
            }
            cost += _create(planned[i]);
            _checkCode(planned[i], codeHashes[i]);
            console.log("  missing", planned[i].at, planned[i].name);
            ++sent;
        }
        if (sent == 0) {
            console.log("nothing to do: all contracts are there, with the code that they must have");
            return sent;
        }
        console.log("deploying takes at most %18e of the native token", cost);
        // Without a wallet, forge runs the script as an address of its own, and sends nothing.
        if (deployer == DEFAULT_SENDER) {
            console.log("no deployer was given: name one with --account, or --sender for a dry run");
        } else if (deployer.balance < cost) {
            revert Underfunded(deployer, deployer.balance, cost);
        }
    }

    /// @notice The contracts in the order they are created in, and where. Checks first that the default parameters lead to
    /// the recorded addresses.
    function plan(Parameters memory parameters) public view returns (Planned[] memory planned) {
        if (parameters.factoryOwner == address(0)) revert FactoryOwnerIsZero();
        Planned[] memory standard = _plan(_defaultParameters());
        string memory record_ = _record();
        for (uint256 i = 0; i < standard.length; ++i) {
            address recorded = vm.parseJsonAddress(record_, string.concat(".contracts.", standard[i].name, ".address"));
            if (standard[i].at != recorded) revert UnexpectedAddress(standard[i].name, recorded, standard[i].at);
        }
        planned = _plan(parameters);
    }

    /// @notice Writes what follows from the bytecode and the default parameters into `out/deterministic.json`, for
    /// `script/bindings.sh`. Runs on a chain of forge's own, without an RPC URL.
    function record() external {
        vm.etch(DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE);
        Planned[] memory planned = _plan(_defaultParameters());
        string memory contracts;
        for (uint256 i = 0; i < planned.length; ++i) {
            _create(planned[i]);
            string memory key = planned[i].name;
            vm.serializeAddress(key, "address", planned[i].at);
            vm.serializeBytes32(key, "salt", planned[i].salt);
            vm.serializeBytes32(key, "initCodeHash", keccak256(planned[i].initCode));
            string memory facts = vm.serializeBytes32(key, "codeHash", planned[i].at.codehash);
            contracts = vm.serializeString("contracts", key, facts);
        }
        vm.serializeAddress("record", "deploymentProxy", DEPLOYMENT_PROXY);
        vm.serializeAddress("record", "factoryOwner", DEFAULT_FACTORY_OWNER);
        vm.writeJson(vm.serializeString("record", "contracts", contracts), "out/deterministic.json");
    }

    function _plan(Parameters memory parameters) private view returns (Planned[] memory planned) {
        planned = new Planned[](5);
        planned[0] = _planned("EntryPoint", 0, _creationCode("testkit", "EntryPoint"));
        planned[1] = _planned(
            "MultiOwnerPlugin", parameters.multiOwnerPluginSalt, _creationCode("bindings", "MultiOwnerPlugin")
        );
        planned[2] = _planned(
            "SessionKeyPlugin", parameters.sessionKeyPluginSalt, _creationCode("bindings", "SessionKeyPlugin")
        );
        planned[3] = _planned(
            "ModularAccount",
            parameters.modularAccountSalt,
            bytes.concat(_creationCode("bindings", "ModularAccount"), abi.encode(ENTRY_POINT))
        );
        planned[4] = _planned(
            "ModularAccountFactory",
            parameters.modularAccountFactorySalt,
            bytes.concat(
                _creationCode("bindings", "ModularAccountFactory"),
                abi.encode(
                    parameters.factoryOwner, planned[1].at, planned[3].at, MULTI_OWNER_PLUGIN_MANIFEST_HASH, ENTRY_POINT
                )
            )
        );
    }

    function _planned(string memory name, bytes32 salt, bytes memory initCode) private pure returns (Planned memory) {
        address at = vm.computeCreate2Address(salt, keccak256(initCode), DEPLOYMENT_PROXY);
        return Planned({name: name, salt: salt, initCode: initCode, at: at});
    }

    /// @dev The checked-in creation bytecode: one line of hex.
    function _creationCode(string memory crate, string memory name) private view returns (bytes memory) {
        string memory path = string.concat("crates/", crate, "/bytecode/", name, ".hex");
        return vm.parseBytes(vm.trim(vm.readFile(path)));
    }

    function _record() internal view virtual returns (string memory) {
        return vm.readFile(RECORD);
    }

    function _defaultParameters() private view returns (Parameters memory parameters) {
        parameters.expectedChainId = block.chainid;
        parameters.factoryOwner = DEFAULT_FACTORY_OWNER;
    }

    /// @dev Hashes of the code that the contracts must have. Immutables are part of it: recorded hashes hold at the recorded
    /// addresses only, and for others the creation is simulated.
    function _codeHashes(Planned[] memory planned) private returns (bytes32[] memory codeHashes) {
        string memory record_ = _record();
        codeHashes = new bytes32[](planned.length);
        for (uint256 i = 0; i < planned.length; ++i) {
            string memory path = string.concat(".contracts.", planned[i].name);
            bool isRecorded = planned[i].at == vm.parseJsonAddress(record_, string.concat(path, ".address"));
            codeHashes[i] = isRecorded
                ? vm.parseJsonBytes32(record_, string.concat(path, ".codeHash"))
                : _simulatedCodeHash(planned[i]);
        }
    }

    /// @dev Runs the init code at the contract's own address, whether or not the contract is there, and forgets it again.
    function _simulatedCodeHash(Planned memory planned) private returns (bytes32 codeHash) {
        uint256 snapshot = vm.snapshotState();
        vm.etch(planned.at, planned.initCode);
        (bool success, bytes memory code) = planned.at.call("");
        if (!success) revert CreationFails(planned.name, planned.at);
        codeHash = keccak256(code);
        vm.revertToStateAndDelete(snapshot);
    }

    function _checkProxy() private view {
        if (DEPLOYMENT_PROXY.code.length == 0) revert NoDeploymentProxy(DEPLOYMENT_PROXY, block.chainid);
        if (keccak256(DEPLOYMENT_PROXY.code) != keccak256(DEPLOYMENT_PROXY_CODE)) {
            revert UnknownDeploymentProxy(DEPLOYMENT_PROXY, DEPLOYMENT_PROXY.codehash);
        }
    }

    /// @dev forge runs the script in its own EVM, which is not the chain's: asks the node itself.
    function _checkFork() internal virtual {
        string memory call_ = string.concat('[{"data":"', vm.toString(CANCUN_PROBE), '"},"latest"]');
        try vm.rpc("eth_call", call_) {}
        catch {
            revert ChainBeforeCancun(block.chainid);
        }
    }

    function _checkCode(Planned memory planned, bytes32 expected) private view {
        bytes32 actual = planned.at.codehash;
        if (actual != expected) revert CodeDiffers(planned.name, planned.at, expected, actual);
    }

    /// @dev Who sends the transactions.
    function _deployer() internal virtual returns (address deployer) {
        vm.startBroadcast();
        (, deployer,) = vm.readCallers();
        vm.stopBroadcast();
    }

    /// @dev Creates a contract through the proxy.
    /// @return cost Wei that the transaction takes at most.
    function _create(Planned memory planned) private returns (uint256 cost) {
        bytes memory data = bytes.concat(planned.salt, planned.initCode);
        vm.startBroadcast();
        uint256 gas = gasleft();
        (bool success,) = DEPLOYMENT_PROXY.call(data);
        gas -= gasleft();
        vm.stopBroadcast();
        if (!success || planned.at.code.length == 0) revert CreationFails(planned.name, planned.at);

        // forge estimates a few per cent more than what is used, multiplies that by 1.3, and offers twice the base fee and the
        // tip.
        uint256 limit = (gas + _intrinsicGas(data)) * 14 / 10;
        cost = limit * 2 * tx.gasprice;
        if (address(GAS_PRICE_ORACLE).code.length != 0) cost += GAS_PRICE_ORACLE.getL1Fee(data);
    }

    /// @dev Gas of a transaction before it runs (yellow paper, appendix G, and EIP-2028).
    function _intrinsicGas(bytes memory data) private pure returns (uint256 gas) {
        gas = 21_000;
        for (uint256 i = 0; i < data.length; ++i) {
            gas += data[i] == 0 ? 4 : 16;
        }
    }
}

interface IGasPriceOracle {
    /// @notice Wei for posting a transaction's data to the layer below.
    function getL1Fee(bytes calldata transaction) external view returns (uint256);
}
