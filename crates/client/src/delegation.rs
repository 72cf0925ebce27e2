//! Externally owned accounts that become v0.8 accounts by delegation (EIP-7702), and their authorizations.
//!
//! The account's own key signs an authorization. It accompanies the account's first operation, in the
//! transaction that includes the operation. It is valid for one nonce of the account, and the account's
//! own transactions use the same nonces.

use crate::permissions::{DUMMY_SIGNATURE, UserOperation};
use alloy::{
    eips::eip7702::{Authorization, SignedAuthorization, constants::EIP7702_DELEGATION_DESIGNATOR},
    primitives::{Address, Bytes, U256},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Gas units of an authorization in a transaction (EIP-7702). Part is refunded if the account exists.
pub(crate) const AUTHORIZATION_GAS: u64 = 25_000;

/// An authorization (EIP-7702) is invalid, or cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "authorization", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuthorizationError {
    /// It is for another chain. Chain 0 (every chain) is refused too: the code at the delegate's address
    /// can differ between chains.
    #[error("the authorization is for chain {found}, not for {expected} alone")]
    OtherChain {
        /// The account's chain.
        expected: u64,
        /// The authorization's value.
        found: U256,
    },
    /// A key other than the account's signed it.
    #[error("the authorization is not signed by {account}{}", found.map(|found| format!(", but by {found}")).unwrap_or_default())]
    OtherSigner {
        /// The account.
        account: Address,
        /// The signer. `None`: no key can have signed it.
        found: Option<Address>,
    },
    /// It is for another delegate.
    #[error("the authorization is for delegate {found}, not for {expected}")]
    OtherDelegate {
        /// The expected delegate.
        expected: Address,
        /// The authorization's value.
        found: Address,
    },
    /// It is for another nonce of the account: a used one, perhaps by this very authorization, or a future
    /// one.
    #[error("the authorization is for nonce {found} of {account}, whose next one is {expected}")]
    OtherNonce {
        /// The account.
        account: Address,
        /// The account's nonce when the authorization takes effect.
        expected: u64,
        /// The authorization's value.
        found: u64,
    },
    /// The account already delegates to another contract.
    #[error("{account} delegates to {found} already, not to {expected}")]
    DelegatesElsewhere {
        /// The account.
        account: Address,
        /// The expected delegate.
        expected: Address,
        /// The account's.
        found: Address,
    },
    /// The account is a contract.
    #[error("{account} is a contract, which cannot delegate")]
    Contract {
        /// The account.
        account: Address,
    },
    /// The client's signer is not the account's own key, which must sign the authorization.
    #[error("only the key of {account} can make it delegate, and the signer is {signer}")]
    NotTheKey {
        /// The account.
        account: Address,
        /// The client's signer.
        signer: Address,
    },
    /// The chain has no transactions with authorizations: its blocks have no base fee.
    #[error("chain {chain_id} has no transactions with authorizations (EIP-7702)")]
    NoTransactions {
        /// The chain.
        chain_id: u64,
    },
}

/// Returns the code of an account that delegates to this contract.
#[must_use]
pub fn delegation_code(delegate: Address) -> Bytes {
    [&EIP7702_DELEGATION_DESIGNATOR[..], delegate.as_slice()]
        .concat()
        .into()
}

/// Returns the delegate in an account's code. `None`: the account does not delegate.
#[must_use]
pub fn delegate_of(code: &[u8]) -> Option<Address> {
    let delegate = code.strip_prefix(&EIP7702_DELEGATION_DESIGNATOR[..])?;
    (delegate.len() == Address::len_bytes()).then(|| Address::from_slice(delegate))
}

/// Whether an account with this code delegates to this contract. It is an error if the account delegates
/// to another, or is a contract.
pub(crate) fn delegates(
    account: Address,
    code: &[u8],
    expected: Address,
) -> Result<bool, AuthorizationError> {
    match delegate_of(code) {
        Some(found) if found == expected => Ok(true),
        Some(found) => Err(AuthorizationError::DelegatesElsewhere {
            account,
            expected,
            found,
        }),
        None if code.is_empty() => Ok(false),
        None => Err(AuthorizationError::Contract { account }),
    }
}

/// Checks that an authorization is the account's, and for this chain only. Does not check its nonce, which
/// depends on the chain's state.
pub fn check_authorization(
    authorization: &SignedAuthorization,
    account: Address,
    chain_id: u64,
) -> Result<(), AuthorizationError> {
    if authorization.chain_id != U256::from(chain_id) {
        return Err(AuthorizationError::OtherChain {
            expected: chain_id,
            found: authorization.chain_id,
        });
    }
    let found = authorization.recover_authority().ok();
    if found == Some(account) {
        Ok(())
    } else {
        Err(AuthorizationError::OtherSigner { account, found })
    }
}

/// Checks that an authorization is for this nonce of the account.
pub(crate) const fn check_nonce(
    authorization: &SignedAuthorization,
    account: Address,
    expected: u64,
) -> Result<(), AuthorizationError> {
    let found = authorization.inner().nonce;
    if found == expected {
        Ok(())
    } else {
        Err(AuthorizationError::OtherNonce {
            account,
            expected,
            found,
        })
    }
}

/// Returns the authorization with a placeholder signature, which is not the account's, for estimates.
pub(crate) fn unsigned(authorization: Authorization) -> SignedAuthorization {
    let word = |start: usize| U256::from_be_slice(&DUMMY_SIGNATURE[start..start + 32]);
    SignedAuthorization::new_unchecked(authorization, 1, word(0), word(32))
}

/// Returns state overrides for simulations, in which the operations' accounts delegate as authorized.
/// `None`: no operation carries an authorization.
pub(crate) fn state_of<'a>(operations: impl IntoIterator<Item = &'a UserOperation>) -> Option<Value> {
    let accounts: serde_json::Map<String, Value> = operations
        .into_iter()
        .filter_map(|operation| {
            let delegate = operation.authorization.as_ref()?.address;
            let state = json!({ "code": delegation_code(delegate) });
            Some((operation.sender.to_string(), state))
        })
        .collect();
    (!accounts.is_empty()).then_some(Value::Object(accounts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::signers::{SignerSync as _, local::PrivateKeySigner};

    const DELEGATE: Address = Address::repeat_byte(0xde);

    fn signed(signer: &PrivateKeySigner, chain_id: u64) -> SignedAuthorization {
        let authorization = Authorization {
            chain_id: U256::from(chain_id),
            address: DELEGATE,
            nonce: 3,
        };
        let signature = signer.sign_hash_sync(&authorization.signature_hash()).unwrap();
        authorization.into_signed(signature)
    }

    #[test]
    fn only_the_account_authorizes_and_for_one_chain_alone() {
        let [signer, other] = [PrivateKeySigner::random(), PrivateKeySigner::random()];
        let account = signer.address();
        assert_eq!(check_authorization(&signed(&signer, 1), account, 1), Ok(()));
        for chain_id in [0, 2] {
            let error = AuthorizationError::OtherChain {
                expected: 1,
                found: U256::from(chain_id),
            };
            assert_eq!(
                check_authorization(&signed(&signer, chain_id), account, 1),
                Err(error)
            );
        }
        let error = AuthorizationError::OtherSigner {
            account,
            found: Some(other.address()),
        };
        assert_eq!(check_authorization(&signed(&other, 1), account, 1), Err(error));
        let nobodys = SignedAuthorization::new_unchecked(
            signed(&signer, 1).strip_signature(),
            0,
            U256::ZERO,
            U256::ZERO,
        );
        let error = AuthorizationError::OtherSigner { account, found: None };
        assert_eq!(check_authorization(&nobodys, account, 1), Err(error));
        assert_eq!(check_nonce(&nobodys, account, 3), Ok(()));
        for expected in [2, 4] {
            let error = AuthorizationError::OtherNonce {
                account,
                expected,
                found: 3,
            };
            assert_eq!(check_nonce(&nobodys, account, expected), Err(error));
        }
    }

    #[test]
    fn what_stands_for_a_signature_is_not_the_accounts() {
        let signer = PrivateKeySigner::random();
        let unsigned = unsigned(signed(&signer, 1).strip_signature());
        let error = check_authorization(&unsigned, signer.address(), 1).unwrap_err();
        assert!(
            matches!(error, AuthorizationError::OtherSigner { found: Some(_), .. }),
            "{error}"
        );
    }

    #[test]
    fn code_says_whether_an_account_delegates() {
        let account = Address::repeat_byte(1);
        let code = delegation_code(DELEGATE);
        assert_eq!(code.len(), 23);
        assert_eq!(delegate_of(&code), Some(DELEGATE));
        assert_eq!(delegate_of(&code[..22]), None);
        assert_eq!(delegates(account, &[], DELEGATE), Ok(false));
        assert_eq!(delegates(account, &code, DELEGATE), Ok(true));
        let elsewhere = AuthorizationError::DelegatesElsewhere {
            account,
            expected: account,
            found: DELEGATE,
        };
        assert_eq!(delegates(account, &code, account), Err(elsewhere));
        assert_eq!(
            delegates(account, &[0x60], DELEGATE),
            Err(AuthorizationError::Contract { account })
        );
    }

    #[test]
    fn accounts_that_bring_an_authorization_delegate_in_simulations() {
        let operation = UserOperation {
            sender: Address::repeat_byte(7),
            ..Default::default()
        };
        assert_eq!(state_of([&operation]), None);
        let authorized = UserOperation {
            authorization: Some(signed(&PrivateKeySigner::random(), 1)),
            ..operation.clone()
        };
        let code = delegation_code(DELEGATE);
        let sender = operation.sender.to_string();
        assert_eq!(
            state_of([&operation, &authorized]),
            Some(json!({ sender: { "code": code } }))
        );
    }
}
