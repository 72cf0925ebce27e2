// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Script} from "forge-std/Script.sol";
import {console} from "forge-std/console.sol";

/// @title Deploys the contracts, at the same addresses on every chain
/// @notice EntryPoint v0.6, the two plugins, the account implementation and the factory; EntryPoint v0.7 and the session key
/// module; each by CREATE2 through the deterministic deployment proxy. What is there already is verified and skipped, so that running it again completes what a
/// failure left half done.
///
///     EXPECTED_CHAIN_ID=11155111 forge script script/Deploy.s.sol --rpc-url … --account …
///
/// is a dry run; `--broadcast` sends. Owner, salts and addresses are printed first. forge sends only after the whole script has run without reverting: whatever reverts
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
        bytes32 sessionKeyModuleSalt;
    }

    /// @notice A contract, and where it belongs.
    struct Planned {
        string name;
        bytes32 salt;
        /// @dev Creation bytecode and constructor arguments.
        bytes initCode;
        address at;
    }

    /// @notice What every deployment shares, as recorded. The Rust crates are where it is defined.
    struct Constants {
        /// @dev <https://github.com/Arachnid/deterministic-deployment-proxy>: creates from `salt ++ init code`.
        address deploymentProxy;
        bytes deploymentProxyCode;
        /// @dev Owns the recorded factory: nobody, which makes the factory the same for everyone. Nobody can stake it either.
        address factoryOwner;
        /// @dev Leads to EntryPoint v0.7's address.
        bytes32 entryPointV07Salt;
        /// @dev `keccak256(abi.encode(manifest))` of the owner plugin: it has no addresses inside.
        bytes32 multiOwnerPluginManifestHash;
        /// @dev Predeployed on OP Stack chains, where posting a transaction's data is paid for on top of its gas.
        IGasPriceOracle gasPriceOracle;
        /// @dev Init code that copies nothing: needs PUSH0 (Shanghai) and MCOPY (Cancun), as the contracts do.
        bytes cancunProbe;
    }

    /// @notice Constants, and addresses and code hashes with the default parameters. The Rust client reads the same file.
    string public constant RECORD = "crates/client/deployments/deterministic.json";

    /// @dev Wei per gas unit, for whoever includes a transaction, where the node suggests nothing.
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

    /// @notice Deploys with the parameters of the environment; see `docs/deployment.md`.
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

    /// @notice Deploys what is missing. Reverts if anything is not as it must be.
    /// @return sent How many contracts were missing.
    function deploy(Parameters memory parameters) public returns (uint256 sent) {
        if (block.chainid != parameters.expectedChainId) revert WrongChain(parameters.expectedChainId, block.chainid);
        Constants memory shared = constants();
        _checkProxy(shared);
        _checkFork(shared.cancunProbe);
        Planned[] memory planned = plan(parameters);
        bytes32[] memory codeHashes = _codeHashes(planned);

        console.log("chain", block.chainid);
        address deployer = _deployer();
        // Without a wallet, forge runs the script as an address of its own, and sends nothing.
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
            // Room for what changes until it is sent; what forge offers, too.
            gas += _estimateGas(shared.deploymentProxy, data) * 13 / 10;
            dataFees += _dataFee(shared.gasPriceOracle, data);
            _create(shared.deploymentProxy, planned[i], data);
            _checkCode(planned[i], codeHashes[i]);
        }
        // The fee of the layer below moves until the transactions are sent.
        uint256 cost = gas * _feePerGas() + 2 * dataFees;
        console.log("deploying takes at most %18e of the native token", cost);
        console.log("  in wei:", cost);
        if (!isAnyone && deployer.balance < cost) revert Underfunded(deployer, deployer.balance, cost);
    }

    /// @notice The contracts in the order they are created in, and where. Checks first that the default parameters lead to
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

    /// @notice What every deployment shares, from the record.
    function constants() public view returns (Constants memory) {
        return _constants(_record());
    }

    /// @notice Writes what follows from the bytecode and the default parameters into `out/deterministic.json`, for
    /// `script/bindings.sh`, which compares it with the plan of the Rust crates. Runs on a chain of forge's own, without an
    /// RPC URL.
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

    /// @dev A salt of the environment, or zero where it is not given.
    function _salt(string memory variable) private view returns (bytes32) {
        return vm.envExists(variable) ? _parseSalt(variable, vm.envString(variable)) : bytes32(0);
    }

    /// @dev An address as people write it: all of its digits, in lower case or with a correct EIP-55 checksum. forge's own
    /// readers take what they cannot read for the default.
    function _parseAddress(string memory variable, string memory value) internal pure returns (address parsed) {
        if (!_isHex(value, 40)) revert MalformedParameter(variable, value, "an address: 0x and 40 hex digits");
        parsed = address(bytes20(vm.parseBytes(value)));
        bool hasChecksum = keccak256(bytes(vm.toLowercase(value))) != keccak256(bytes(value));
        if (hasChecksum && keccak256(bytes(vm.toString(parsed))) != keccak256(bytes(value))) {
            revert MalformedParameter(variable, value, "an address with a correct EIP-55 checksum, or in lower case");
        }
    }

    /// @dev All 32 bytes of a salt: a shorter one would lead to another address than meant.
    function _parseSalt(string memory variable, string memory value) internal pure returns (bytes32) {
        if (!_isHex(value, 64)) revert MalformedParameter(variable, value, "a salt: 0x and 64 hex digits");
        return bytes32(vm.parseBytes(value));
    }

    /// @dev Whether a text is `0x` and so many hex digits.
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

    /// @dev The checked-in creation bytecode: one line of hex.
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

    function _checkProxy(Constants memory shared) private view {
        address proxy = shared.deploymentProxy;
        if (proxy.code.length == 0) revert NoDeploymentProxy(proxy, block.chainid);
        if (keccak256(proxy.code) != keccak256(shared.deploymentProxyCode)) {
            revert UnknownDeploymentProxy(proxy, proxy.codehash);
        }
    }

    /// @dev forge runs the script in its own EVM, which is not the chain's: asks the node itself.
    function _checkFork(bytes memory probe) internal virtual {
        string memory call_ = string.concat('[{"data":"', vm.toString(probe), '"},"latest"]');
        try vm.rpc("eth_call", call_) {}
        catch {
            revert ChainBeforeCancun(block.chainid);
        }
    }

    /// @dev A transaction that waits may be one of an earlier deployment, and its nonce would come before those of this one.
    function _checkNothingIsPending(address deployer) private {
        uint256 included = _transactionCount(deployer, "latest");
        uint256 known = _transactionCount(deployer, "pending");
        if (known > included) revert TransactionsPending(deployer, included, known);
    }

    /// @dev How many transactions of an account the node knows of.
    function _transactionCount(address account, string memory tag) internal virtual returns (uint256) {
        return _ask("eth_getTransactionCount", string.concat('["', vm.toString(account), '","', tag, '"]'));
    }

    /// @dev Gas of a call to the proxy, from nobody in particular: what it takes does not depend on who sends it.
    function _estimateGas(address proxy, bytes memory data) internal virtual returns (uint256) {
        string memory from = string.concat('[{"from":"', vm.toString(address(0)), '","to":"', vm.toString(proxy));
        return _ask("eth_estimateGas", string.concat(from, '","data":"', vm.toString(data), '"}]'));
    }

    /// @dev The most that a gas unit may cost, in wei: twice the latest base fee, and the tip that the node suggests.
    function _feePerGas() private returns (uint256) {
        if (block.basefee == 0) return _gasPrice();
        return 2 * block.basefee + _tip();
    }

    /// @dev The price of a gas unit, on chains without a base fee.
    function _gasPrice() internal virtual returns (uint256) {
        return _ask("eth_gasPrice", "[]");
    }

    /// @dev What whoever includes a transaction wants for a gas unit.
    function _tip() internal virtual returns (uint256) {
        try vm.rpc("eth_maxPriorityFeePerGas", "[]") returns (bytes memory answer) {
            (bool isRead, uint256 tip) = _quantity(answer);
            return isRead ? tip : DEFAULT_TIP;
        } catch {
            return DEFAULT_TIP;
        }
    }

    /// @dev Wei for posting a transaction's data; nothing where there is no oracle, or something else at its address.
    function _dataFee(IGasPriceOracle oracle, bytes memory data) private view returns (uint256) {
        (bool success, bytes memory answer) = address(oracle).staticcall(abi.encodeCall(IGasPriceOracle.getL1Fee, data));
        return success && answer.length >= 32 ? abi.decode(answer, (uint256)) : 0;
    }

    /// @dev A number that the node answers. What it says instead may hold its URL, and so a key: it is not passed on.
    function _ask(string memory method, string memory parameters) private returns (uint256) {
        try vm.rpc(method, parameters) returns (bytes memory answer) {
            (bool isRead, uint256 number) = _quantity(answer);
            if (!isRead) revert NoAnswer(method);
            return number;
        } catch {
            revert NoAnswer(method);
        }
    }

    /// @dev Reads a number as `vm.rpc` gives it: its bytes, without leading zeros. 32 of them are null, or no quantity.
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

    /// @dev Who sends the transactions.
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
    /// @notice Wei for posting a transaction's data to the layer below.
    function getL1Fee(bytes calldata transaction) external view returns (uint256);
}
