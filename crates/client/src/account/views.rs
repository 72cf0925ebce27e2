//! Reads an account and its session keys with the contracts' views.

use super::{ReadError, SmartAccount};
use crate::{
    abi::{Account, IERC1271, IPlugin, Owners, Plugin},
    calldata::{self, FunctionReference},
    key_list::KeyList,
};
use alloy::{
    primitives::{Address, B256, Bytes, Selector},
    sol_types::Eip712Domain,
};
use serde::{Deserialize, Serialize};
use session_key_permissions::{
    AccessControlType, EXECUTE_WITH_SESSION_KEY, GasSpendLimitInfo, SpendLimitInfo, TimeRange,
};

/// A contract's entry on a key's access control list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AccessListEntry {
    /// Whether the contract is on the list.
    pub is_on_list: bool,
    /// Whether the entry covers only functions that are listed themselves.
    pub check_selectors: bool,
}

/// The plugin and the validators behind a function of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ExecutionFunctionConfig {
    /// The plugin that implements it; the account itself for its own functions.
    pub plugin: Address,
    /// Validates user operations that call it.
    pub user_op_validation_function: FunctionReference,
    /// Validates direct calls.
    pub runtime_validation_function: FunctionReference,
}

/// Session keys.
impl SmartAccount {
    /// Returns all session keys, newest first. If another plugin than the deployment's stores the account's
    /// keys, the error is [`ReadError::OtherSessionKeyPlugin`].
    pub async fn session_keys(&self) -> Result<Vec<Address>, ReadError> {
        let account = self.address();
        let (keys, ()) = tokio::try_join!(
            self.plugin(Plugin::sessionKeysOfCall { account }),
            self.confirm_session_key_plugin(),
        )?;
        Ok(keys)
    }

    /// Returns all session keys as a list that tracks a batch of changes.
    pub async fn key_list(&self) -> Result<KeyList, ReadError> {
        self.session_keys().await.map(KeyList::new)
    }

    /// Whether this is a session key of the account. If another plugin than the deployment's stores the
    /// account's keys, the error is [`ReadError::OtherSessionKeyPlugin`], not `false`.
    pub async fn is_session_key(&self, session_key: Address) -> Result<bool, ReadError> {
        let account = self.address();
        let call = Plugin::isSessionKeyOfCall {
            account,
            sessionKey: session_key,
        };
        let is_session_key = self.plugin(call).await?;
        if !is_session_key {
            self.confirm_session_key_plugin().await?;
        }
        Ok(is_session_key)
    }

    /// Returns the list entry before the key, as the plugin computes it.
    pub async fn find_predecessor(&self, session_key: Address) -> Result<B256, ReadError> {
        let account = self.address();
        self.plugin(Plugin::findPredecessorCall {
            account,
            sessionKey: session_key,
        })
        .await
    }

    /// Returns the type of the key's access control list. This view and those below revert with
    /// `InvalidSessionKey` if the key is not registered.
    pub async fn access_control_type(&self, session_key: Address) -> Result<AccessControlType, ReadError> {
        let account = self.address();
        let answer = self
            .plugin(Plugin::getAccessControlTypeCall {
                account,
                sessionKey: session_key,
            })
            .await?;
        AccessControlType::try_from(answer as u8).map_err(|_| ReadError::UnexpectedAnswer {
            contract: self.deployment().session_key_plugin,
            function: "getAccessControlType(address,address)",
        })
    }

    /// Returns the entry of a contract on the key's access control list.
    pub async fn access_list_entry(
        &self,
        session_key: Address,
        contract: Address,
    ) -> Result<AccessListEntry, ReadError> {
        let account = self.address();
        let call = Plugin::getAccessControlEntryCall {
            account,
            sessionKey: session_key,
            contractAddress: contract,
        };
        let entry = self.plugin(call).await?;
        Ok(AccessListEntry {
            is_on_list: entry.isOnList,
            check_selectors: entry.checkSelectors,
        })
    }

    /// Whether a function of a contract is on the key's access control list.
    pub async fn is_function_on_list(
        &self,
        session_key: Address,
        contract: Address,
        selector: Selector,
    ) -> Result<bool, ReadError> {
        self.plugin(Plugin::isSelectorOnAccessControlListCall {
            account: self.address(),
            sessionKey: session_key,
            contractAddress: contract,
            selector,
        })
        .await
    }

    /// Returns the key's validity period.
    pub async fn time_range(&self, session_key: Address) -> Result<TimeRange, ReadError> {
        let account = self.address();
        let range = self
            .plugin(Plugin::getKeyTimeRangeCall {
                account,
                sessionKey: session_key,
            })
            .await?;
        Ok(TimeRange {
            valid_after: range.validAfter.to(),
            valid_until: range.validUntil.to(),
        })
    }

    /// Returns the key's native token limit, in wei.
    pub async fn native_token_spend_limit(&self, session_key: Address) -> Result<SpendLimitInfo, ReadError> {
        let account = self.address();
        let call = Plugin::getNativeTokenSpendLimitInfoCall {
            account,
            sessionKey: session_key,
        };
        self.plugin(call).await.map(Into::into)
    }

    /// Returns the key's limit on a token, in base units.
    pub async fn erc20_spend_limit(
        &self,
        session_key: Address,
        token: Address,
    ) -> Result<SpendLimitInfo, ReadError> {
        let account = self.address();
        let call = Plugin::getERC20SpendLimitInfoCall {
            account,
            sessionKey: session_key,
            token,
        };
        self.plugin(call).await.map(Into::into)
    }

    /// Returns the key's gas limit, in wei.
    pub async fn gas_spend_limit(&self, session_key: Address) -> Result<GasSpendLimitInfo, ReadError> {
        let account = self.address();
        let answer = self
            .plugin(Plugin::getGasSpendLimitCall {
                account,
                sessionKey: session_key,
            })
            .await?;
        Ok(GasSpendLimitInfo {
            info: answer.info.into(),
            should_reset: answer.shouldReset,
        })
    }

    /// Returns the paymaster that every operation of the key must use.
    pub async fn required_paymaster(&self, session_key: Address) -> Result<Option<Address>, ReadError> {
        let account = self.address();
        let paymaster = self
            .plugin(Plugin::getRequiredPaymasterCall {
                account,
                sessionKey: session_key,
            })
            .await?;
        Ok((!paymaster.is_zero()).then_some(paymaster))
    }

    async fn plugin<C: alloy::sol_types::SolCall>(&self, call: C) -> Result<C::Return, ReadError> {
        self.call(self.deployment().session_key_plugin, call).await
    }
}

/// Owners.
impl SmartAccount {
    /// Returns the account's owners, newest first. On a v0.8 account: the owner whose validation this crate
    /// uses.
    pub async fn owners(&self) -> Result<Vec<Address>, ReadError> {
        if let Some(validation) = self.generation().owner_validation() {
            return Ok(self.owner_behind(validation).await?.into_iter().collect());
        }
        let call = Owners::ownersOfCall {
            account: self.address(),
        };
        self.call(self.deployment().multi_owner_plugin, call).await
    }

    /// Whether this address owns the account.
    pub async fn is_owner(&self, owner: Address) -> Result<bool, ReadError> {
        if let Some(validation) = self.generation().owner_validation() {
            return Ok(self.owner_behind(validation).await? == Some(owner));
        }
        let call = Owners::isOwnerOfCall {
            account: self.address(),
            ownerToCheck: owner,
        };
        self.call(self.deployment().multi_owner_plugin, call).await
    }

    /// Returns the EIP-712 domain of owners' ERC-1271 signatures.
    pub async fn eip712_domain(&self) -> Result<Eip712Domain, ReadError> {
        if let Some(validation) = self.generation().owner_validation() {
            return Ok(self.domain_of(validation));
        }
        let domain = self.call(self.address(), Owners::eip712DomainCall {}).await?;
        Ok(Eip712Domain::new(
            Some(domain.name.into()),
            Some(domain.version.into()),
            Some(domain.chainId),
            Some(domain.verifyingContract),
            Some(domain.salt),
        ))
    }

    /// Whether the account accepts the signature for the digest (ERC-1271). The account must exist; a
    /// signature made before it did ([`erc6492_signature`](Self::erc6492_signature)) is unwrapped.
    pub async fn is_valid_signature(&self, digest: B256, signature: Bytes) -> Result<bool, ReadError> {
        let signature = super::erc6492::inner(signature);
        const VALID: [u8; 4] = [0x16, 0x26, 0xba, 0x7e];
        let answer = self
            .call(
                self.address(),
                IERC1271::isValidSignatureCall { digest, signature },
            )
            .await?;
        Ok(answer == VALID)
    }

    /// Returns the hash that an owner signs, without EIP-191. The account accepts that signature for `digest`
    /// (ERC-1271).
    pub async fn message_hash(&self, digest: B256) -> Result<B256, ReadError> {
        if let Some(validation) = self.generation().owner_validation() {
            return Ok(self.replay_safe_hash(validation, digest));
        }
        let message = digest.to_vec().into();
        let call = Owners::getMessageHashCall {
            account: self.address(),
            message,
        };
        self.call(self.deployment().multi_owner_plugin, call).await
    }
}

/// The account loupe of ERC-6900. A v0.8 account does not have functions specific to v0.7
/// ([`ReadError::UnexpectedAnswer`] or [`ReadError::Reverted`]); see
/// [`Installation`](crate::installation::Installation) for it.
impl SmartAccount {
    /// Returns installed plugins, newest first. A v0.8 account does not list its modules: returns the one
    /// behind `executeWithSessionKey`, if any.
    pub async fn installed_plugins(&self) -> Result<Vec<Address>, ReadError> {
        if self.generation().owner_validation().is_some() {
            let module = self.session_key_executor().await?;
            return Ok((!module.is_zero()).then_some(module).into_iter().collect());
        }
        self.call(self.address(), Account::getInstalledPluginsCall {})
            .await
    }

    /// Returns the plugin or module behind `executeWithSessionKey`; zero if there is none.
    pub(super) async fn session_key_executor(&self) -> Result<Address, ReadError> {
        if self.generation().owner_validation().is_some() {
            return self.executor(EXECUTE_WITH_SESSION_KEY).await;
        }
        let config = self.execution_function_config(EXECUTE_WITH_SESSION_KEY).await?;
        Ok(config.plugin)
    }

    /// Whether the session key plugin, or the module's functions, are installed.
    pub async fn is_session_key_plugin_installed(&self) -> Result<bool, ReadError> {
        Ok(self
            .installed_plugins()
            .await?
            .contains(&self.deployment().session_key_plugin))
    }

    /// Returns the plugin and the validators behind a function of the account.
    pub async fn execution_function_config(
        &self,
        selector: Selector,
    ) -> Result<ExecutionFunctionConfig, ReadError> {
        let config = self
            .call(
                self.address(),
                Account::getExecutionFunctionConfigCall { selector },
            )
            .await?;
        Ok(ExecutionFunctionConfig {
            plugin: config.plugin,
            user_op_validation_function: config.userOpValidationFunction.into(),
            runtime_validation_function: config.runtimeValidationFunction.into(),
        })
    }

    /// Returns the pairs of execution hooks of a function.
    pub async fn execution_hooks(
        &self,
        selector: Selector,
    ) -> Result<Vec<(FunctionReference, FunctionReference)>, ReadError> {
        let hooks = self
            .call(self.address(), Account::getExecutionHooksCall { selector })
            .await?;
        Ok(hooks
            .into_iter()
            .map(|hooks| (hooks.preExecHook.into(), hooks.postExecHook.into()))
            .collect())
    }

    /// Returns the validation hooks of a function: for user operations, and for direct calls.
    pub async fn pre_validation_hooks(
        &self,
        selector: Selector,
    ) -> Result<(Vec<FunctionReference>, Vec<FunctionReference>), ReadError> {
        let hooks = self
            .call(self.address(), Account::getPreValidationHooksCall { selector })
            .await?;
        let references = |packed: Vec<_>| packed.into_iter().map(FunctionReference::from).collect();
        Ok((
            references(hooks.preUserOpValidationHooks),
            references(hooks.preRuntimeValidationHooks),
        ))
    }

    /// Returns a plugin's manifest hash, from its manifest on chain.
    pub async fn manifest_hash(&self, plugin: Address) -> Result<B256, ReadError> {
        let manifest = self.call(plugin, IPlugin::pluginManifestCall {}).await?;
        Ok(calldata::manifest_hash(&manifest))
    }
}
