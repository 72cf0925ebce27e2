//! Requests for session keys: an agent generates a key, states what it needs, and proves that it holds the
//! key; an owner reads the request in words, and grants it as is or narrower.
//!
//! The proof is EIP-712 typed data with its own domain, over the policy's hash, the key and an expiry: no
//! wallet mistakes it for anything else, and it is never a user operation's hash.
//!
//! ```
//! use session_key_client::{SessionKeySigner, alloy::primitives::Address, key_request::KeyRequest, permissions::policy::PolicyFormat};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (account, now) = (Address::repeat_byte(1), 1_800_000_000);
//! let agent = SessionKeySigner::random();
//! let need = "[[allow]]\ncontract = \"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed\"\n";
//! let request = KeyRequest::new(&agent, 8453, account, need, PolicyFormat::Toml, KeyRequest::expiry(now)).await?;
//! let file = request.to_json();
//!
//! // At the owner's.
//! let policy = KeyRequest::from_json(&file)?.verify(8453, account, now)?;
//! # Ok(())
//! # }
//! ```

use crate::permissions::{
    figures::checksummed,
    policy::{Policy, PolicyError, PolicyFormat},
    words::UnixTime,
};
use alloy::{
    primitives::{Address, B256, Bytes, Signature, keccak256},
    signers::Signer,
    sol_types::{Eip712Domain, SolStruct, eip712_domain},
};
use serde::{Deserialize, Serialize};

/// The default validity of a request: 7 days.
pub const DEFAULT_VALIDITY: u64 = 7 * 86_400;
/// Maximum size of a request file, in bytes.
const MAX_LENGTH: usize = 2 << 20;

alloy::sol! {
    /// The typed data that the key signs.
    #[derive(Debug)]
    struct SessionKeyRequest {
        bytes32 policyHash;
        string policyFormat;
        address sessionKey;
        uint64 expiresAt;
    }
}

/// A request for a session key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyRequest {
    /// The version of the format: 1.
    version: u32,
    /// The chain.
    chain_id: u64,
    /// The account to grant the key on.
    #[serde(with = "checksummed")]
    account: Address,
    /// The key.
    #[serde(with = "checksummed")]
    session_key: Address,
    /// `toml` or `json`.
    policy_format: Format,
    /// The permissions needed: the text of a policy.
    policy: String,
    /// The last second in which the request is valid, in unix seconds.
    expires_at: u64,
    /// The key's signature.
    signature: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Format {
    Toml,
    Json,
}

impl Format {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Toml => "toml",
            Self::Json => "json",
        }
    }
}

/// A request is invalid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRequestError {
    /// It is not the JSON of a request.
    #[error("this is not a request for a session key: {0}")]
    Unreadable(String),

    /// It is for another chain.
    #[error("the request is for chain {found}, not for {expected}")]
    OtherChain {
        /// The intended chain.
        expected: u64,
        /// The request's chain.
        found: u64,
    },

    /// It is for another account.
    #[error("the request is for account {found}, not for {expected}")]
    OtherAccount {
        /// The intended account.
        expected: Address,
        /// The request's account.
        found: Address,
    },

    /// It has expired.
    #[error("the request was valid until {}, and it is {}", UnixTime(*.expires_at), UnixTime(*.now))]
    Expired {
        /// The last second in which it was valid.
        expires_at: u64,
        /// The current time.
        now: u64,
    },

    /// Its author does not hold the key, or it was changed since.
    #[error("the request was changed after it was signed, or session key {session_key} has not signed it")]
    NotSigned {
        /// The key.
        session_key: Address,
    },

    /// Its policy is invalid.
    #[error("the policy in the request is invalid: {0}")]
    Policy(#[from] PolicyError),

    /// The key could not sign.
    #[error("the session key could not sign: {0}")]
    Signer(#[from] alloy::signers::Error),
}

impl KeyRequest {
    /// Returns the default expiry of a request created now.
    pub const fn expiry(now: u64) -> u64 {
        now.saturating_add(DEFAULT_VALIDITY)
    }

    /// Creates a request, signed by the key. Its policy must be valid.
    pub async fn new(
        key: &(impl Signer + Sync),
        chain_id: u64,
        account: Address,
        policy: impl Into<String>,
        format: PolicyFormat,
        expires_at: u64,
    ) -> Result<Self, KeyRequestError> {
        let policy = policy.into();
        Policy::parse(&policy, format)?;
        let mut request = Self {
            version: 1,
            chain_id,
            account,
            session_key: key.address(),
            policy_format: match format {
                PolicyFormat::Toml => Format::Toml,
                PolicyFormat::Json => Format::Json,
            },
            policy,
            expires_at,
            signature: Bytes::new(),
        };
        let signature = key.sign_hash(&request.signing_hash()).await?;
        request.signature = signature.as_bytes().into();
        Ok(request)
    }

    /// Parses a request. Its content is not checked yet: [`verify`](Self::verify).
    pub fn from_json(text: &str) -> Result<Self, KeyRequestError> {
        if text.len() > MAX_LENGTH {
            let message = format!("{} bytes are too long: at most {MAX_LENGTH}", text.len());
            return Err(KeyRequestError::Unreadable(message));
        }
        let clean = |error: serde_json::Error| {
            KeyRequestError::Unreadable(crate::request::clean_text(&error.to_string(), 200))
        };
        let request: Self = serde_json::from_str(text).map_err(clean)?;
        if request.version != 1 {
            let message = format!("version {} is not known", request.version);
            return Err(KeyRequestError::Unreadable(message));
        }
        Ok(request)
    }

    /// Formats the request as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Serialization cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Checks that the request is for this chain and account, has not expired at `now` (unix seconds), and is
    /// as signed by the key. Returns the permissions needed.
    pub fn verify(&self, chain_id: u64, account: Address, now: u64) -> Result<Policy, KeyRequestError> {
        if self.chain_id != chain_id {
            return Err(KeyRequestError::OtherChain {
                expected: chain_id,
                found: self.chain_id,
            });
        }
        if self.account != account {
            return Err(KeyRequestError::OtherAccount {
                expected: account,
                found: self.account,
            });
        }
        self.verify_proof(now)
    }

    /// Like [`verify`](Self::verify), for the chain and account that the request names.
    pub fn verify_proof(&self, now: u64) -> Result<Policy, KeyRequestError> {
        let signature = Signature::from_raw(&self.signature)
            .ok()
            .filter(|signature| signature.normalize_s().is_none());
        let signer =
            signature.and_then(|signature| signature.recover_address_from_prehash(&self.signing_hash()).ok());
        if signer != Some(self.session_key) {
            return Err(KeyRequestError::NotSigned {
                session_key: self.session_key,
            });
        }
        if self.expires_at < now {
            return Err(KeyRequestError::Expired {
                expires_at: self.expires_at,
                now,
            });
        }
        Ok(Policy::parse(&self.policy, self.format())?)
    }

    /// Returns the chain id.
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Returns the account to grant the key on.
    pub const fn account(&self) -> Address {
        self.account
    }

    /// Returns the key.
    pub const fn session_key(&self) -> Address {
        self.session_key
    }

    /// Returns the last second in which the request is valid, in unix seconds.
    pub const fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// Returns the text of the policy.
    pub fn policy_text(&self) -> &str {
        &self.policy
    }

    /// Returns the format of the policy.
    pub const fn format(&self) -> PolicyFormat {
        match self.policy_format {
            Format::Toml => PolicyFormat::Toml,
            Format::Json => PolicyFormat::Json,
        }
    }

    /// Returns the hash that the key signs.
    pub fn signing_hash(&self) -> B256 {
        let domain: Eip712Domain = eip712_domain! {
            name: "session-key request",
            version: "1",
            chain_id: self.chain_id,
            verifying_contract: self.account,
        };
        let data = SessionKeyRequest {
            policyHash: keccak256(&self.policy),
            policyFormat: self.policy_format.as_str().to_owned(),
            sessionKey: self.session_key,
            expiresAt: self.expires_at,
        };
        data.eip712_signing_hash(&domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::{primitives::U256, signers::local::PrivateKeySigner};

    const ACCOUNT: Address = Address::repeat_byte(0xac);
    const NOW: u64 = 1_800_000_000;

    fn key() -> PrivateKeySigner {
        PrivateKeySigner::from_slice(&[7; 32]).unwrap()
    }

    async fn request() -> KeyRequest {
        KeyRequest::new(&key(), 10, ACCOUNT, "tag = \"a\"\n", PolicyFormat::Toml, NOW + 5)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_request_round_trips() {
        let request = request().await;
        let read = KeyRequest::from_json(&request.to_json()).unwrap();
        assert_eq!(read, request);
        let policy = read.verify(10, ACCOUNT, NOW + 5).unwrap();
        assert_eq!(policy.tag(), Some("a"));
        assert_eq!(read.session_key(), key().address());
        assert_eq!(KeyRequest::expiry(NOW), NOW + 604_800);
    }

    #[tokio::test]
    async fn every_change_is_detected() {
        let good = serde_json::to_value(request().await).unwrap();
        let other = PrivateKeySigner::random().address().to_string();
        for (member, value) in [
            ("chainId", 11.into()),
            ("account", Address::ZERO.to_string().into()),
            ("sessionKey", other.into()),
            ("policyFormat", "json".into()),
            ("policy", "tag = \"b\"\n".into()),
            ("expiresAt", (NOW + 6).into()),
            ("signature", "0x".into()),
        ] {
            let mut bad = good.clone();
            bad[member] = value;
            let bad = KeyRequest::from_json(&bad.to_string()).unwrap();
            let refused = bad.verify_proof(NOW).unwrap_err();
            assert!(
                matches!(refused, KeyRequestError::NotSigned { .. }),
                "{member}: {refused}"
            );
        }
        for (member, value) in [("version", 2.into()), ("more", 1.into()), ("chainId", "x".into())] {
            let mut bad: serde_json::Value = good.clone();
            bad[member] = value;
            let refused = KeyRequest::from_json(&bad.to_string()).unwrap_err();
            assert!(
                matches!(refused, KeyRequestError::Unreadable(_)),
                "{member}: {refused}"
            );
        }
        assert!(KeyRequest::from_json(&" ".repeat(3 << 20)).is_err());
    }

    #[tokio::test]
    async fn a_request_is_for_one_account_and_expires() {
        let request = request().await;
        let refused = |chain, account, now| request.verify(chain, account, now).unwrap_err();
        assert!(matches!(
            refused(1, ACCOUNT, NOW),
            KeyRequestError::OtherChain {
                expected: 1,
                found: 10
            }
        ));
        assert!(matches!(
            refused(10, Address::ZERO, NOW),
            KeyRequestError::OtherAccount { .. }
        ));
        assert!(matches!(
            refused(10, ACCOUNT, NOW + 6),
            KeyRequestError::Expired { .. }
        ));
        let no_policy = KeyRequest::new(&key(), 10, ACCOUNT, "tag = ", PolicyFormat::Toml, NOW).await;
        assert!(matches!(no_policy, Err(KeyRequestError::Policy(_))));
    }

    #[tokio::test]
    async fn a_malleated_signature_is_refused() {
        let mut request = request().await;
        let signature = Signature::from_raw(&request.signature).unwrap();
        let order =
            alloy::primitives::uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);
        let high = Signature::new(signature.r(), order - signature.s(), !signature.v());
        request.signature = high.as_bytes().into();
        assert!(matches!(
            request.verify_proof(NOW),
            Err(KeyRequestError::NotSigned { .. })
        ));
        assert!(high.s() > U256::from(1) << 255);
    }

    // The EIP-712 hash, assembled by hand.
    #[tokio::test]
    async fn the_hash_is_eip_712() {
        let request = request().await;
        let word = |text: &str| keccak256(text).to_vec();
        let number = |number: u64| U256::from(number).to_be_bytes::<32>().to_vec();
        let domain = keccak256(
            [
                word("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                word("session-key request"),
                word("1"),
                number(10),
                ACCOUNT.into_word().to_vec(),
            ]
            .concat(),
        );
        let data = keccak256(
            [
                word("SessionKeyRequest(bytes32 policyHash,string policyFormat,address sessionKey,uint64 expiresAt)"),
                word("tag = \"a\"\n"),
                word("toml"),
                key().address().into_word().to_vec(),
                number(NOW + 5),
            ]
            .concat(),
        );
        let expected = keccak256([&[0x19, 1][..], domain.as_slice(), data.as_slice()].concat());
        assert_eq!(request.signing_hash(), expected);
    }
}
