//! Signatures of accounts that do not exist yet (ERC-6492).

use super::{ReadError, SmartAccount};
use alloy::{
    primitives::{Address, B256, Bytes, b256},
    sol_types::SolValue,
};

/// The suffix that marks a wrapped signature.
const SUFFIX: B256 = b256!("6492649264926492649264926492649264926492649264926492649264926492");

/// `abi.encode(factory, factoryCallData, signature)`.
type Wrapped = (Address, Bytes, Bytes);

impl SmartAccount {
    /// Wraps an owner's signature so that it can be checked before the account exists: with the factory and
    /// the call that creates the account (ERC-6492). A verifier that supports the standard simulates the
    /// creation and asks the account.
    ///
    /// Returns the signature unchanged if the account exists.
    pub async fn erc6492_signature(&self, signature: Bytes) -> Result<Bytes, ReadError> {
        let init_code = self.init_code().await?;
        let Some((factory, call_data)) = init_code.split_first_chunk::<20>() else {
            return Ok(signature);
        };
        let wrapped: Wrapped = (factory.into(), call_data.to_vec().into(), signature);
        Ok([&wrapped.abi_encode_params(), SUFFIX.as_slice()].concat().into())
    }
}

/// Unwraps a signature; returns others unchanged.
pub(super) fn inner(signature: Bytes) -> Bytes {
    let Some(wrapped) = signature.strip_suffix(SUFFIX.as_slice()) else {
        return signature;
    };
    match Wrapped::abi_decode_params_validate(wrapped) {
        Ok((_, _, inner)) => inner,
        Err(_) => signature,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wrapped_signatures_are_unwrapped() {
        let signature = Bytes::from_static(&[7; 65]);
        let wrapped: Wrapped = (
            Address::repeat_byte(1),
            Bytes::from_static(&[2, 3]),
            signature.clone(),
        );
        let wrapped: Bytes = [&wrapped.abi_encode_params(), SUFFIX.as_slice()].concat().into();
        assert_eq!(inner(wrapped.clone()), signature);
        assert_eq!(inner(signature.clone()), signature);
        for broken in [SUFFIX.as_slice(), &wrapped[..wrapped.len() - 1], &wrapped[1..]] {
            let broken = Bytes::copy_from_slice(broken);
            assert_eq!(inner(broken.clone()), broken);
        }
    }
}
