// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Script} from "forge-std/Script.sol";
import {console} from "forge-std/console.sol";

/// @title Deploys the contracts at the same addresses on every chain
/// @notice Deploys EntryPoint v0.6, the two plugins, the account implementation and the factory; EntryPoint v0.7 and the
/// session key module. Each is created with CREATE2 through the deterministic deployment proxy. Contracts that exist
/// already are verified and skipped, so running the script again completes a failed deployment.
///
///     EXPECTED_CHAIN_ID=11155111 forge script script/Deploy.s.sol --rpc-url … --account …
///
/// is a dry run; `--broadcast` sends. The script prints owner, salts and addresses first. forge sends only after the whole
/// script has run without reverting, so any revert stops the deployment before anything is sent. See docs/deployment.md.
///
/// @dev Deploys the checked-in creation bytecode, not forge's current output: the output of solc's IR pipeline may depend on
/// which files are compiled together, and an address depends on every byte. `script/bindings.sh --check` verifies that the
/// bytecode comes from the sources, and `record` writes the resulting addresses.
contract Deploy is Script {
    /// @notice The parameters of a deployment. Salts are CREATE2 salts; zero gives the recorded addresses.
    struct Parameters {
        /// @dev The intended chain. Guards against an RPC URL of another chain.
        uint256 expectedChainId;
        /// @dev Owns the factory and its stake, not the accounts it creates. The factory's address depends on it.
        address factoryOwner;
        bytes32 multiOwnerPluginSalt;
        bytes32 sessionKeyPluginSalt;
        bytes32 modularAccountSalt;
        bytes32 modularAccountFactorySalt;
        bytes32 sessionKeyModuleSalt;
    }

    /// @notice A contract to create, and its address.
    struct Planned {
        string name;
        bytes32 salt;
        /// @dev Creation bytecode and constructor arguments.
        bytes initCode;
        address at;
    }

    /// @notice Constants shared by all deployments, as recorded. The Rust crates define them.
    struct Constants {
        /// @dev <https://github.com/Arachnid/deterministic-deployment-proxy>: creates from `salt ++ init code`.
        address deploymentProxy;
        bytes deploymentProxyCode;
        /// @dev Owner of the recorded factory: an address without a known key, so the factory's address is the same for
        /// everyone. Nobody can stake this factory.
        address factoryOwner;
        /// @dev Salt that gives EntryPoint v0.7 its address.
        bytes32 entryPointV07Salt;
        /// @dev `keccak256(abi.encode(manifest))` of the owner plugin. The manifest contains no addresses.
        bytes32 multiOwnerPluginManifestHash;
        /// @dev Predeployed on OP Stack chains, where a transaction pays a data fee on top of its gas.
        IGasPriceOracle gasPriceOracle;
        /// @dev Init code that copies zero bytes. Like the contracts, it needs PUSH0 (Shanghai) and MCOPY (Cancun).
        bytes cancunProbe;
    }

    /// @notice File with the constants, and with addresses and code hashes for the default parameters. The Rust client reads
    /// it too.
    string public constant RECORD = "crates/client/deployments/deterministic.json";

    /// @dev Tip in wei per gas unit if the node suggests none.
    uint256 private constant DEFAULT_TIP = 1 gwei;

    error WrongChain(uint256 expected, uint256 actual);
    error NoDeploymentProxy(address proxy, uint256 chainId);
    error UnknownDeploymentProxy(address proxy, bytes32 codeHash);
    error ChainBeforeCancun(uint256 chainId);
    error FactoryOwnerIsZero();
    error UnexpectedAddress(string name, address recorded, address computed);
    error CodeDiffers(string name, address at, bytes32 expectedCodeHash, bytes32 actualCodeHash);
    error CreationFails(string name, address at);
    error Underfunded(address deployer, uint256 balance, uint256 needed);
    error MalformedParameter(string variable, string value, string expected);
    error TransactionsPending(address deployer, uint256 included, uint256 known);
    error NoAnswer(string method);

    /// @notice Deploys with parameters from environment variables; see `docs/deployment.md`.
    function run() external {
        deploy(
            Parameters({
                expectedChainId: vm.envUint("EXPECTED_CHAIN_ID"),
                factoryOwner: vm.envExists("FACTORY_OWNER")
                    ? _parseAddress("FACTORY_OWNER", vm.envString("FACTORY_OWNER"))
                    : constants().factoryOwner,
                multiOwnerPluginSalt: _salt("MULTI_OWNER_PLUGIN_SALT"),
                sessionKeyPluginSalt: _salt("SESSION_KEY_PLUGIN_SALT"),
                modularAccountSalt: _salt("MODULAR_ACCOUNT_SALT"),
                modularAccountFactorySalt: _salt("MODULAR_ACCOUNT_FACTORY_SALT"),
                sessionKeyModuleSalt: _salt("SESSION_KEY_MODULE_SALT")
            })
        );
    }

    /// @notice Deploys the missing contracts. Reverts if any check fails.
    /// @return sent The number of missing contracts.
    function deploy(Parameters memory parameters) public returns (uint256 sent) {
        if (block.chainid != parameters.expectedChainId) revert WrongChain(parameters.expectedChainId, block.chainid);
        Constants memory shared = constants();
        _checkProxy(shared);
        _checkFork(shared.cancunProbe);
        Planned[] memory planned = plan(parameters);
        bytes32[] memory codeHashes = _codeHashes(planned);

        console.log("chain", block.chainid);
        address deployer = _deployer();
        // Without a wallet, forge runs the script as its default sender and sends nothing.
        bool isAnyone = deployer == DEFAULT_SENDER;
        console.log(
            "deployer", isAnyone ? "nobody: name one with --account, or --sender for a dry run" : vm.toString(deployer)
        );
        console.log("owner of the factory", parameters.factoryOwner);
        for (uint256 i = 0; i < planned.length; ++i) {
            bool isPresent = planned[i].at.code.length != 0;
            console.log(isPresent ? "  present" : "  missing", planned[i].at, planned[i].name);
            console.log("    salt", vm.toString(planned[i].salt));
            if (isPresent) _checkCode(planned[i], codeHashes[i]);
            else ++sent;
        }
        if (sent == 0) {
            console.log("nothing to do: all contracts are there, with the code that they must have");
            return sent;
        }
        if (!isAnyone) _checkNothingIsPending(deployer);

        uint256 gas = 0;
        uint256 dataFees = 0;
        for (uint256 i = 0; i < planned.length; ++i) {
            if (planned[i].at.code.length != 0) continue;
            bytes memory data = bytes.concat(planned[i].salt, planned[i].initCode);
            // The margin for changes until sending is the same as forge's.
            gas += _estimateGas(shared.deploymentProxy, data) * 13 / 10;
            dataFees += _dataFee(shared.gasPriceOracle, data);
            _create(shared.deploymentProxy, planned[i], data);
            _checkCode(planned[i], codeHashes[i]);
        }
        // The L1 fee may rise until the transactions are sent.
        uint256 cost = gas * _feePerGas() + 2 * dataFees;
        console.log("deploying takes at most %18e of the native token", cost);
        console.log("  in wei:", cost);
        if (!isAnyone && deployer.balance < cost) revert Underfunded(deployer, deployer.balance, cost);
    }

    /// @notice Returns the contracts in creation order, with their addresses. First checks that the default parameters give
    /// the recorded addresses.
    function plan(Parameters memory parameters) public view returns (Planned[] memory planned) {
        if (parameters.factoryOwner == address(0)) revert FactoryOwnerIsZero();
        Constants memory shared = constants();
        Planned[] memory standard = _plan(_defaultParameters(shared), shared);
        string memory record_ = _record();
        for (uint256 i = 0; i < standard.length; ++i) {
            address recorded = vm.parseJsonAddress(record_, string.concat(".contracts.", standard[i].name, ".address"));
            if (standard[i].at != recorded) revert UnexpectedAddress(standard[i].name, recorded, standard[i].at);
        }
        planned = _plan(parameters, shared);
    }

    /// @notice Reads the constants from the record.
    function constants() public view returns (Constants memory) {
        return _constants(_record());
    }

    /// @notice Writes addresses, init code hashes and code hashes for the default parameters to `out/deterministic.json`, for
    /// `script/bindings.sh`, which compares them with the Rust crates' plan. Runs on forge's in-process chain, without an RPC
    /// URL.
    /// @param constantsFile Path of a JSON file with the constants.
    function record(string calldata constantsFile) external {
        Constants memory shared = _constants(vm.readFile(constantsFile));
        vm.etch(shared.deploymentProxy, shared.deploymentProxyCode);
        Planned[] memory planned = _plan(_defaultParameters(shared), shared);
        string memory contracts;
        for (uint256 i = 0; i < planned.length; ++i) {
            bytes memory data = bytes.concat(planned[i].salt, planned[i].initCode);
            _create(shared.deploymentProxy, planned[i], data);
            string memory key = planned[i].name;
            vm.serializeAddress(key, "address", planned[i].at);
            vm.serializeBytes32(key, "salt", planned[i].salt);
            vm.serializeBytes32(key, "initCodeHash", keccak256(planned[i].initCode));
            string memory facts = vm.serializeBytes32(key, "codeHash", planned[i].at.codehash);
            contracts = vm.serializeString("contracts", key, facts);
        }
        vm.writeJson(vm.serializeString("record", "contracts", contracts), "out/deterministic.json");
    }

    function _constants(string memory json) private pure returns (Constants memory) {
        return Constants({
            deploymentProxy: vm.parseJsonAddress(json, ".deploymentProxy"),
            deploymentProxyCode: vm.parseJsonBytes(json, ".deploymentProxyCode"),
            factoryOwner: vm.parseJsonAddress(json, ".factoryOwner"),
            entryPointV07Salt: vm.parseJsonBytes32(json, ".entryPointV07Salt"),
            multiOwnerPluginManifestHash: vm.parseJsonBytes32(json, ".multiOwnerPluginManifestHash"),
            gasPriceOracle: IGasPriceOracle(vm.parseJsonAddress(json, ".gasPriceOracle")),
            cancunProbe: vm.parseJsonBytes(json, ".cancunProbe")
        });
    }

    /// @dev Reads a salt from an environment variable; zero if it is not set.
    function _salt(string memory variable) private view returns (bytes32) {
        return vm.envExists(variable) ? _parseSalt(variable, vm.envString(variable)) : bytes32(0);
    }

    /// @dev Parses an address with all 40 digits, in lower case or with a correct EIP-55 checksum. forge's own functions
    /// silently return the default for malformed values.
    function _parseAddress(string memory variable, string memory value) internal pure returns (address parsed) {
        if (!_isHex(value, 40)) revert MalformedParameter(variable, value, "an address: 0x and 40 hex digits");
        parsed = address(bytes20(vm.parseBytes(value)));
        bool hasChecksum = keccak256(bytes(vm.toLowercase(value))) != keccak256(bytes(value));
        if (hasChecksum && keccak256(bytes(vm.toString(parsed))) != keccak256(bytes(value))) {
            revert MalformedParameter(variable, value, "an address with a correct EIP-55 checksum, or in lower case");
        }
    }

    /// @dev Parses a salt with all 32 bytes. Padding a shorter one could give an unintended address.
    function _parseSalt(string memory variable, string memory value) internal pure returns (bytes32) {
        if (!_isHex(value, 64)) revert MalformedParameter(variable, value, "a salt: 0x and 64 hex digits");
        return bytes32(vm.parseBytes(value));
    }

    /// @dev Returns whether a text is `0x` followed by exactly `digits` hex digits.
    function _isHex(string memory text, uint256 digits) private pure returns (bool) {
        bytes memory characters = bytes(text);
        if (characters.length != digits + 2 || characters[0] != "0" || characters[1] != "x") return false;
        for (uint256 i = 2; i < characters.length; ++i) {
            bytes1 digit = characters[i];
            bool isDigit =
                (digit >= "0" && digit <= "9") || (digit >= "a" && digit <= "f") || (digit >= "A" && digit <= "F");
            if (!isDigit) return false;
        }
        return true;
    }

    function _plan(Parameters memory parameters, Constants memory shared)
        private
        view
        returns (Planned[] memory planned)
    {
        address proxy = shared.deploymentProxy;
        planned = new Planned[](7);
        planned[0] = _planned(proxy, "EntryPoint", 0, _creationCode("entry-point", "EntryPoint"));
        planned[1] = _planned(
            proxy, "MultiOwnerPlugin", parameters.multiOwnerPluginSalt, _creationCode("bindings", "MultiOwnerPlugin")
        );
        planned[2] = _planned(
            proxy, "SessionKeyPlugin", parameters.sessionKeyPluginSalt, _creationCode("bindings", "SessionKeyPlugin")
        );
        planned[3] = _planned(
            proxy,
            "ModularAccount",
            parameters.modularAccountSalt,
            bytes.concat(_creationCode("bindings", "ModularAccount"), abi.encode(planned[0].at))
        );
        planned[4] = _planned(
            proxy,
            "ModularAccountFactory",
            parameters.modularAccountFactorySalt,
            bytes.concat(
                _creationCode("bindings", "ModularAccountFactory"),
                abi.encode(
                    parameters.factoryOwner,
                    planned[1].at,
                    planned[3].at,
                    shared.multiOwnerPluginManifestHash,
                    planned[0].at
                )
            )
        );
        planned[5] =
            _planned(proxy, "EntryPointV07", shared.entryPointV07Salt, _creationCode("entry-point", "EntryPointV07"));
        planned[6] = _planned(
            proxy, "SessionKeyModule", parameters.sessionKeyModuleSalt, _creationCode("bindings", "SessionKeyModule")
        );
    }

    function _planned(address proxy, string memory name, bytes32 salt, bytes memory initCode)
        private
        pure
        returns (Planned memory)
    {
        address at = vm.computeCreate2Address(salt, keccak256(initCode), proxy);
        return Planned({name: name, salt: salt, initCode: initCode, at: at});
    }

    /// @dev Reads checked-in creation bytecode, one line of hex.
    function _creationCode(string memory crate, string memory name) private view returns (bytes memory) {
        string memory path = string.concat("crates/", crate, "/bytecode/", name, ".hex");
        return vm.parseBytes(vm.trim(vm.readFile(path)));
    }

    function _record() internal view virtual returns (string memory) {
        return vm.readFile(RECORD);
    }

    function _defaultParameters(Constants memory shared) private view returns (Parameters memory parameters) {
        parameters.expectedChainId = block.chainid;
        parameters.factoryOwner = shared.factoryOwner;
    }

    /// @dev Returns the expected code hashes. Code includes immutables, so the recorded hashes hold only at the recorded
    /// addresses; for other addresses the creation is simulated.
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

    /// @dev Runs the init code at the contract's address, whether or not the contract exists, and then reverts the state.
    function _simulatedCodeHash(Planned memory planned) private returns (bytes32 codeHash) {
        uint256 snapshot = vm.snapshotState();
        vm.etch(planned.at, planned.initCode);
        (bool success, bytes memory code) = planned.at.call("");
        if (!success) revert CreationFails(planned.name, planned.at);
        codeHash = keccak256(code);
        vm.revertToStateAndDelete(snapshot);
    }

    function _checkProxy(Constants memory shared) private view {
        address proxy = shared.deploymentProxy;
        if (proxy.code.length == 0) revert NoDeploymentProxy(proxy, block.chainid);
        if (keccak256(proxy.code) != keccak256(shared.deploymentProxyCode)) {
            revert UnknownDeploymentProxy(proxy, proxy.codehash);
        }
    }

    /// @dev Asks the node, because forge runs the script in its own EVM.
    function _checkFork(bytes memory probe) internal virtual {
        string memory call_ = string.concat('[{"data":"', vm.toString(probe), '"},"latest"]');
        try vm.rpc("eth_call", call_) {}
        catch {
            revert ChainBeforeCancun(block.chainid);
        }
    }

    /// @dev Refuses to deploy while a transaction is pending: it may belong to an earlier deployment and has a lower nonce.
    function _checkNothingIsPending(address deployer) private {
        uint256 included = _transactionCount(deployer, "latest");
        uint256 known = _transactionCount(deployer, "pending");
        if (known > included) revert TransactionsPending(deployer, included, known);
    }

    /// @dev Returns the number of an account's transactions known to the node at a block tag.
    function _transactionCount(address account, string memory tag) internal virtual returns (uint256) {
        return _ask("eth_getTransactionCount", string.concat('["', vm.toString(account), '","', tag, '"]'));
    }

    /// @dev Estimates the gas of a call to the proxy, from the zero address: the gas does not depend on the sender.
    function _estimateGas(address proxy, bytes memory data) internal virtual returns (uint256) {
        string memory from = string.concat('[{"from":"', vm.toString(address(0)), '","to":"', vm.toString(proxy));
        return _ask("eth_estimateGas", string.concat(from, '","data":"', vm.toString(data), '"}]'));
    }

    /// @dev Returns the maximum price of a gas unit in wei: twice the latest base fee plus the tip suggested by the node.
    function _feePerGas() private returns (uint256) {
        if (block.basefee == 0) return _gasPrice();
        return 2 * block.basefee + _tip();
    }

    /// @dev Returns the price of a gas unit on chains without a base fee.
    function _gasPrice() internal virtual returns (uint256) {
        return _ask("eth_gasPrice", "[]");
    }

    /// @dev Returns the priority fee per gas unit in wei.
    function _tip() internal virtual returns (uint256) {
        try vm.rpc("eth_maxPriorityFeePerGas", "[]") returns (bytes memory answer) {
            (bool isRead, uint256 tip) = _quantity(answer);
            return isRead ? tip : DEFAULT_TIP;
        } catch {
            return DEFAULT_TIP;
        }
    }

    /// @dev Returns the data fee in wei, or zero if there is no oracle or other code at its address.
    function _dataFee(IGasPriceOracle oracle, bytes memory data) private view returns (uint256) {
        (bool success, bytes memory answer) = address(oracle).staticcall(abi.encodeCall(IGasPriceOracle.getL1Fee, data));
        return success && answer.length >= 32 ? abi.decode(answer, (uint256)) : 0;
    }

    /// @dev Requests a number from the node. Errors are not passed on: they may contain the node's URL and its API key.
    function _ask(string memory method, string memory parameters) private returns (uint256) {
        try vm.rpc(method, parameters) returns (bytes memory answer) {
            (bool isRead, uint256 number) = _quantity(answer);
            if (!isRead) revert NoAnswer(method);
            return number;
        } catch {
            revert NoAnswer(method);
        }
    }

    /// @dev Reads a number as returned by `vm.rpc`: bytes without leading zeros. 32 bytes mean null or not a quantity.
    function _quantity(bytes memory answer) private pure returns (bool isRead, uint256 number) {
        if (answer.length == 0 || answer.length > 16) return (false, 0);
        for (uint256 i = 0; i < answer.length; ++i) {
            number = number << 8 | uint8(answer[i]);
        }
        return (true, number);
    }

    function _checkCode(Planned memory planned, bytes32 expected) private view {
        bytes32 actual = planned.at.codehash;
        if (actual != expected) revert CodeDiffers(planned.name, planned.at, expected, actual);
    }

    /// @dev Returns the sender of the transactions.
    function _deployer() internal virtual returns (address deployer) {
        vm.startBroadcast();
        (, deployer,) = vm.readCallers();
        vm.stopBroadcast();
    }

    /// @dev Creates a contract through the proxy.
    function _create(address proxy, Planned memory planned, bytes memory data) private {
        vm.broadcast();
        (bool success,) = proxy.call(data);
        if (!success || planned.at.code.length == 0) revert CreationFails(planned.name, planned.at);
    }
}

interface IGasPriceOracle {
    /// @notice Returns the fee in wei for posting a transaction's data to L1.
    function getL1Fee(bytes calldata transaction) external view returns (uint256);
}
