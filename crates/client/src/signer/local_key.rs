//! Signs with a key held by this process. Both implementations choose nonces by RFC 6979, and produce the
//! same signatures.

use super::{KeyError, PrivateKey};
use alloy::primitives::{Address, B256, Signature};

/// The Rust implementation.
#[cfg(not(feature = "secp256k1"))]
mod implementation {
    use super::*;
    use alloy::signers::{SignerSync as _, local::PrivateKeySigner};

    /// Zeroizes its key when dropped.
    pub(in super::super) struct LocalKey(PrivateKeySigner);

    impl LocalKey {
        pub(in super::super) fn new(key: PrivateKey) -> Result<Self, KeyError> {
            let signer = PrivateKeySigner::from_slice(key.expose_secret());
            signer.map(Self).map_err(|_| KeyError::InvalidKey)
        }

        pub(in super::super) const fn address(&self) -> Address {
            self.0.address()
        }

        pub(in super::super) fn sign(&self, hash: &B256) -> alloy::signers::Result<Signature> {
            self.0.sign_hash_sync(hash)
        }
    }
}

/// The C implementation.
#[cfg(feature = "secp256k1")]
mod implementation {
    use super::*;
    use alloy::signers::local::PrivateKeySigner;
    use secp256k1::{Message, Secp256k1, SecretKey, SignOnly};
    use std::sync::LazyLock;

    /// Blinded once per process, against timing attacks.
    static CONTEXT: LazyLock<Secp256k1<SignOnly>> = LazyLock::new(|| {
        let mut context = Secp256k1::signing_only();
        context.seeded_randomize(PrivateKey::random().expose_secret());
        context
    });

    /// libsecp256k1's key type is not zeroized when dropped: it exists only while signing.
    pub(in super::super) struct LocalKey {
        key: PrivateKey,
        address: Address,
    }

    impl LocalKey {
        pub(in super::super) fn new(key: PrivateKey) -> Result<Self, KeyError> {
            let signer = PrivateKeySigner::from_slice(key.expose_secret());
            let address = signer.map_err(|_| KeyError::InvalidKey)?.address();
            Ok(Self { key, address })
        }

        pub(in super::super) const fn address(&self) -> Address {
            self.address
        }

        pub(in super::super) fn sign(&self, hash: &B256) -> alloy::signers::Result<Signature> {
            let mut key = SecretKey::from_byte_array(*self.key.expose_secret())
                .map_err(alloy::signers::Error::other)?;
            let signature = CONTEXT.sign_ecdsa_recoverable(Message::from_digest(hash.0), &key);
            key.non_secure_erase();
            let (recovery_id, bytes) = signature.serialize_compact();
            // Ids above 1 are for a reduced r: one has never been seen, and Ethereum cannot express it.
            match i32::from(recovery_id) {
                parity @ (0 | 1) => Ok(Signature::from_bytes_and_parity(&bytes, parity == 1)),
                _ => Err(alloy::signers::Error::message(
                    "the signature cannot be recovered",
                )),
            }
        }
    }
}

pub(super) use implementation::LocalKey;

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::{
        primitives::keccak256,
        signers::{SignerSync as _, local::PrivateKeySigner},
    };

    // Whichever implementation was compiled.
    #[test]
    fn signatures_match_alloys() {
        for number in 1..=100u8 {
            let bytes = keccak256([number]);
            let key = LocalKey::new(PrivateKey::from_bytes(&bytes).unwrap()).unwrap();
            let alloy = PrivateKeySigner::from_bytes(&bytes).unwrap();
            assert_eq!(key.address(), alloy.address());
            let hash = keccak256(bytes);
            let signature = key.sign(&hash).unwrap();
            assert_eq!(signature, alloy.sign_hash_sync(&hash).unwrap());
            assert_eq!(
                signature.recover_address_from_prehash(&hash).unwrap(),
                key.address()
            );
        }
    }
}
