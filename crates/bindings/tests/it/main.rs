//! Compares the constants that compatible contracts, wallets and indexers rely on with values computed from
//! the ABIs.

use alloy_primitives::{B256, FixedBytes, address, b256, keccak256};
use alloy_sol_types::{SolCall, SolError, SolEvent, SolInterface, SolValue};
use session_key_bindings::{
    ExecutionManifest, IERC165, IEntryPoint, IExecutionModule, IModularAccount, IModularAccountFactory,
    IModule, IMultiOwnerPlugin, IPlugin, IPluginErrors, ISessionKeyModule, ISessionKeyPermissionsUpdates,
    ISessionKeyPlugin, IValidationModule, ManifestAssociatedFunction, ManifestAssociatedFunctionType,
    ManifestExecutionFunction, ManifestFunction, PluginManifest, function_id, interface_id, manifest_hash,
};

/// Returns the ERC-165 interface id: the XOR of all selectors.
fn interface_id<I: SolInterface>() -> FixedBytes<4> {
    I::selectors().fold(FixedBytes::ZERO, |id, selector| id ^ FixedBytes(selector))
}

#[test]
fn interface_ids_follow_from_the_selectors() {
    assert_eq!(interface_id::<IERC165::IERC165Calls>(), interface_id::IERC165);
    assert_eq!(interface_id::<IPlugin::IPluginCalls>(), interface_id::IPLUGIN);
    assert_eq!(
        interface_id::<ISessionKeyPlugin::ISessionKeyPluginCalls>(),
        interface_id::ISESSION_KEY_PLUGIN
    );
    assert_eq!(
        interface_id::<IMultiOwnerPlugin::IMultiOwnerPluginCalls>(),
        interface_id::IMULTI_OWNER_PLUGIN
    );
}

/// Solidity's `interfaceId` excludes inherited functions; the generated ABI includes them.
#[test]
fn interface_ids_of_modules_follow_from_the_selectors() {
    let inherited = interface_id::<IModule::IModuleCalls>();
    assert_eq!(inherited, interface_id::IMODULE);
    assert_eq!(
        interface_id::<IValidationModule::IValidationModuleCalls>() ^ inherited,
        interface_id::IVALIDATION_MODULE
    );
    assert_eq!(
        interface_id::<IExecutionModule::IExecutionModuleCalls>() ^ inherited,
        interface_id::IEXECUTION_MODULE
    );
}

/// Every ERC-6900 v0.8 account calls these functions.
#[test]
fn selectors_of_modules_are_those_of_the_standard() {
    let selectors = [
        (IModule::onInstallCall::SELECTOR, 0x6d61_fe70_u32),
        (IModule::onUninstallCall::SELECTOR, 0x8a91_b0e3),
        (IModule::moduleIdCall::SELECTOR, 0xa130_8f27),
        (IValidationModule::validateUserOpCall::SELECTOR, 0x0ab8_785f),
        (IValidationModule::validateRuntimeCall::SELECTOR, 0x465d_33e0),
        (IValidationModule::validateSignatureCall::SELECTOR, 0xe7db_7f7e),
        (IExecutionModule::executionManifestCall::SELECTOR, 0xae56_28c6),
    ];
    for (selector, expected) in selectors {
        assert_eq!(u32::from_be_bytes(selector), expected, "{expected:#010x}");
    }
}

#[test]
fn errors_of_the_session_key_module_have_their_documented_signatures() {
    let signatures = [
        ISessionKeyModule::TargetIsModule::SIGNATURE,
        ISessionKeyModule::TargetNotAsked::SIGNATURE,
    ];
    assert_eq!(signatures, ["TargetIsModule(address)", "TargetNotAsked(address)"]);
}

#[test]
fn selectors_of_the_session_key_plugin_are_the_published_ones() {
    use ISessionKeyPermissionsUpdates::*;
    let selectors = [
        (
            ISessionKeyPlugin::executeWithSessionKeyCall::SELECTOR,
            0x31d9_9c2c_u32,
        ),
        (setAccessListTypeCall::SELECTOR, 0x8f29_20d8),
        (updateAccessListAddressEntryCall::SELECTOR, 0x9e73_45eb),
        (updateAccessListFunctionEntryCall::SELECTOR, 0x0c8d_e002),
        (updateTimeRangeCall::SELECTOR, 0x9a37_b113),
        (setNativeTokenSpendLimitCall::SELECTOR, 0xb3a2_6f5c),
        (setERC20SpendLimitCall::SELECTOR, 0x7b1f_0893),
        (setGasSpendLimitCall::SELECTOR, 0x585c_a4a5),
        (setRequiredPaymasterCall::SELECTOR, 0xb856_31d7),
        (ISessionKeyPlugin::PermissionsCheckFailed::SELECTOR, 0xb4d7_8304),
    ];
    for (selector, expected) in selectors {
        assert_eq!(u32::from_be_bytes(selector), expected);
    }
}

/// The contract at the canonical address is immutable, so its selectors never change.
#[test]
fn selectors_of_entry_point_v06_are_those_of_the_deployed_contract() {
    use IEntryPoint::*;
    let selectors = [
        (handleOpsCall::SELECTOR, 0x1fad_948c_u32),
        (handleAggregatedOpsCall::SELECTOR, 0x4b1d_7cf5),
        (getUserOpHashCall::SELECTOR, 0xa619_3531),
        (getNonceCall::SELECTOR, 0x3556_7e1a),
        (incrementNonceCall::SELECTOR, 0x0bd2_8e3b),
        (getSenderAddressCall::SELECTOR, 0x9b24_9f69),
        (simulateValidationCall::SELECTOR, 0xee21_9423),
        (simulateHandleOpCall::SELECTOR, 0xd638_3f94),
        (balanceOfCall::SELECTOR, 0x70a0_8231),
        (getDepositInfoCall::SELECTOR, 0x5287_ce12),
        (depositToCall::SELECTOR, 0xb760_faf9),
        (withdrawToCall::SELECTOR, 0x205c_2878),
        (addStakeCall::SELECTOR, 0x0396_cb60),
        (unlockStakeCall::SELECTOR, 0xbb9f_e6bf),
        (withdrawStakeCall::SELECTOR, 0xc23a_5cea),
        (FailedOp::SELECTOR, 0x220266b6),
        (ValidationResult::SELECTOR, 0xe0cff05f),
        (ExecutionResult::SELECTOR, 0x8b7ac980),
        (SenderAddressResult::SELECTOR, 0x6ca7b806),
        (
            session_key_bindings::IAccount::validateUserOpCall::SELECTOR,
            0x3a87_1cdd,
        ),
    ];
    for (selector, expected) in selectors {
        assert_eq!(u32::from_be_bytes(selector), expected, "{expected:#010x}");
    }
    assert_eq!(
        UserOperationEvent::SIGNATURE_HASH,
        b256!("0x49628fd1471006c1482da88028e9ce4dbb080b815c9b0344d39e5a8e6ec1419f")
    );
}

/// Clients of the deployed accounts use these selectors and topics.
#[test]
fn selectors_and_topics_of_the_account_are_those_of_deployed_accounts() {
    use IModularAccount::*;
    assert_eq!(u32::from_be_bytes(executeCall::SELECTOR), 0xb61d_27f6);
    assert_eq!(u32::from_be_bytes(executeBatchCall::SELECTOR), 0x34fc_d5be);
    assert_eq!(u32::from_be_bytes(upgradeToAndCallCall::SELECTOR), 0x4f1e_f286);
    assert_eq!(
        validateUserOpCall::SELECTOR,
        session_key_bindings::IAccount::validateUserOpCall::SELECTOR
    );
    assert_eq!(
        IModularAccountFactory::createAccountCall::SIGNATURE,
        "createAccount(uint256,address[])"
    );
    assert_eq!(
        Upgraded::SIGNATURE_HASH,
        b256!("0xbc7cd75a20ee27fd9adebab32041f755214dbc6bffa90cc0225b39da2e5c2d3b")
    );
}

/// Writes out the plugin's manifest: its hash shows that the Rust types encode like the contracts' types.
#[test]
fn manifest_of_the_session_key_plugin_has_the_known_hash() {
    use ISessionKeyPlugin::*;
    let associate = |selector: [u8; 4], kind, dependency: u64| ManifestAssociatedFunction {
        executionSelector: selector.into(),
        associatedFunction: ManifestFunction {
            functionType: kind,
            functionId: 0,
            dependencyIndex: alloy_primitives::U256::from(dependency),
        },
    };
    let managed = [
        addSessionKeyCall::SELECTOR,
        removeSessionKeyCall::SELECTOR,
        rotateSessionKeyCall::SELECTOR,
        updateKeyPermissionsCall::SELECTOR,
    ];
    let execute = executeWithSessionKeyCall::SELECTOR;
    use ManifestAssociatedFunctionType::{DEPENDENCY, PRE_HOOK_ALWAYS_DENY, SELF};
    let manifest = PluginManifest {
        interfaceIds: vec![],
        dependencyInterfaceIds: vec![interface_id::IPLUGIN; 2],
        executionFunctions: [execute].into_iter().chain(managed).map(Into::into).collect(),
        permittedExecutionSelectors: vec![],
        permitAnyExternalAddress: true,
        canSpendNativeToken: true,
        permittedExternalCalls: vec![],
        userOpValidationFunctions: [associate(execute, SELF, 0)]
            .into_iter()
            .chain(managed.map(|selector| associate(selector, DEPENDENCY, 1)))
            .collect(),
        runtimeValidationFunctions: managed
            .map(|selector| associate(selector, DEPENDENCY, 0))
            .to_vec(),
        preUserOpValidationHooks: vec![],
        preRuntimeValidationHooks: vec![associate(execute, PRE_HOOK_ALWAYS_DENY, 0)],
        executionHooks: vec![],
    };
    assert_eq!(
        keccak256(manifest.abi_encode()),
        manifest_hash::SESSION_KEY_PLUGIN
    );
}

/// Writes out the module's manifest: every function but `executeWithSessionKey` allows global validation.
#[test]
fn manifest_of_the_session_key_module_has_the_known_hash() {
    use ISessionKeyPlugin::*;
    let selectors = [
        executeWithSessionKeyCall::SELECTOR,
        addSessionKeyCall::SELECTOR,
        removeSessionKeyCall::SELECTOR,
        rotateSessionKeyCall::SELECTOR,
        updateKeyPermissionsCall::SELECTOR,
    ];
    let manifest = ExecutionManifest {
        executionFunctions: selectors
            .map(|selector| ManifestExecutionFunction {
                executionSelector: selector.into(),
                skipRuntimeValidation: false,
                allowGlobalValidation: selector != executeWithSessionKeyCall::SELECTOR,
            })
            .to_vec(),
        executionHooks: vec![],
        interfaceIds: vec![],
    };
    assert_eq!(
        keccak256(manifest.abi_encode()),
        manifest_hash::SESSION_KEY_MODULE
    );
}

#[test]
fn errors_of_every_plugin_have_their_published_signatures() {
    let signatures = [
        IPluginErrors::AlreadyInitialized::SIGNATURE,
        IPluginErrors::InvalidAction::SIGNATURE,
        IPluginErrors::NotContractCaller::SIGNATURE,
        IPluginErrors::NotImplemented::SIGNATURE,
        IPluginErrors::NotInitialized::SIGNATURE,
    ];
    let published = [
        "AlreadyInitialized()",
        "InvalidAction()",
        "NotContractCaller(address)",
        "NotImplemented(bytes4,uint8)",
        "NotInitialized()",
    ];
    assert_eq!(signatures, published);
}

#[test]
fn a_function_reference_is_the_address_followed_by_the_id() {
    let plugin = address!("0x0102030405060708090a0b0c0d0e0f1011121314");
    let reference = function_id::function_reference(plugin, function_id::USER_OP_VALIDATION_OWNER);
    assert_eq!(
        reference.to_string(),
        "0x0102030405060708090a0b0c0d0e0f101112131401"
    );
}

#[cfg(feature = "bytecode")]
mod bytecode {
    use super::*;
    use session_key_bindings::{ENTRY_POINT, bytecode};

    /// The maximum size of init code in bytes (EIP-3860).
    const MAX_INIT_CODE_SIZE: usize = 2 * 24_576;

    #[test]
    fn creation_code_of_every_contract_is_within_the_size_limit() {
        let contracts = [
            bytecode::SESSION_KEY_PLUGIN,
            bytecode::SESSION_KEY_MODULE,
            bytecode::MULTI_OWNER_PLUGIN,
            bytecode::MODULAR_ACCOUNT,
            bytecode::MODULAR_ACCOUNT_FACTORY,
        ];
        for contract in contracts {
            let size = contract.bytes().len();
            assert!(size > 1_000, "{} is {size} bytes", contract.name());
            assert!(size <= MAX_INIT_CODE_SIZE, "{} is {size} bytes", contract.name());
        }
    }

    #[test]
    fn constructor_arguments_follow_the_creation_code() {
        let account = bytecode::modular_account(ENTRY_POINT);
        let code = bytecode::MODULAR_ACCOUNT.bytes();
        assert_eq!(account[..code.len()], code);
        assert_eq!(account[code.len()..], *ENTRY_POINT.into_word());

        let hash = B256::repeat_byte(0x44);
        let [owner, plugin, implementation] = [0x11, 0x22, 0x33].map(alloy_primitives::Address::repeat_byte);
        let factory = bytecode::modular_account_factory(owner, plugin, implementation, hash, ENTRY_POINT);
        let code = bytecode::MODULAR_ACCOUNT_FACTORY.bytes();
        let words = [
            owner.into_word(),
            plugin.into_word(),
            implementation.into_word(),
            hash,
            ENTRY_POINT.into_word(),
        ];
        assert_eq!(factory[code.len()..], words.concat());
    }
}
