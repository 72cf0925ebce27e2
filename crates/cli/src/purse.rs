//! The paying key, and a bound on what it spends.

use async_trait::async_trait;
use eyre::{Result, eyre};
use session_key_client::alloy::{
    self,
    consensus::SignableTransaction,
    network::{Ethereum, EthereumWallet, TxSigner},
    primitives::{Address, Signature, U256},
    providers::{DynProvider, Provider as _, ProviderBuilder},
    signers::local::PrivateKeySigner,
};
use std::{
    env::VarError,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Environment variable with the private key that pays on a node.
pub(crate) const FUNDER_VARIABLE: &str = "SESSION_KEY_FUNDER";

/// Reads the funder's key, if set. Errors never contain any of it.
pub(crate) fn funder() -> Result<Option<PrivateKeySigner>> {
    let key = match std::env::var(FUNDER_VARIABLE) {
        Ok(key) => key,
        Err(VarError::NotPresent) => return Ok(None),
        Err(VarError::NotUnicode(_)) => String::new(),
    };
    key.trim().parse().map(Some).map_err(|_| {
        eyre!("{FUNDER_VARIABLE} is not a private key: it takes 64 hex digits, with or without 0x")
    })
}

/// Reads the funder's key, which must be set.
pub(crate) fn required_funder() -> Result<PrivateKeySigner> {
    funder()?.ok_or_else(|| {
        eyre!("a node needs a funded key: set {FUNDER_VARIABLE} to its private key (64 hex digits)")
    })
}

/// Signs the funder's transactions: for one chain, and only while their total maximum cost stays within the
/// allowance. Nothing else is signed, whatever a node asks for.
#[derive(Clone)]
pub(crate) struct Purse {
    signer: PrivateKeySigner,
    chain_id: u64,
    contents: Arc<Mutex<Contents>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Contents {
    /// The remaining allowance, in wei: it pays for all of a transaction's gas at its maximum fee, and its
    /// value.
    left: U256,
    has_signed: bool,
}

impl Purse {
    /// Creates an empty purse.
    pub(crate) fn new(signer: PrivateKeySigner, chain_id: u64) -> Self {
        Self {
            signer,
            chain_id,
            contents: Arc::default(),
        }
    }

    /// Returns the address that it signs for.
    pub(crate) const fn address(&self) -> Address {
        self.signer.address()
    }

    /// Returns the signer.
    pub(crate) const fn signer(&self) -> &PrivateKeySigner {
        &self.signer
    }

    /// Raises the allowance by this amount, in wei.
    pub(crate) fn allow(&self, wei: U256) {
        let mut contents = self.contents();
        contents.left = contents.left.saturating_add(wei);
    }

    /// Sets the allowance to zero.
    pub(crate) fn close(&self) {
        self.contents().left = U256::ZERO;
    }

    /// Whether anything was signed.
    pub(crate) fn has_signed(&self) -> bool {
        self.contents().has_signed
    }

    /// Returns the provider with this purse as its signer, without fillers.
    pub(crate) fn over(&self, provider: DynProvider) -> DynProvider {
        ProviderBuilder::<_, _, Ethereum>::default()
            .wallet(EthereumWallet::new(self.clone()))
            .connect_provider(provider)
            .erased()
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deducts a transaction's maximum cost from the allowance.
    fn pay(&self, transaction: &dyn SignableTransaction<Signature>) -> Result<(), String> {
        if transaction.chain_id() != Some(self.chain_id) {
            return Err(match transaction.chain_id() {
                Some(other) => format!("a transaction for chain {other}, not {}", self.chain_id),
                None => "a transaction for any chain".to_owned(),
            });
        }
        let gas = U256::from(transaction.gas_limit());
        let cost = gas
            .saturating_mul(U256::from(transaction.max_fee_per_gas()))
            .saturating_add(transaction.value());
        let mut contents = self.contents();
        let left = contents.left;
        contents.left = left.checked_sub(cost).ok_or_else(|| {
            format!("the transaction may cost {cost} wei, and {left} wei are left to spend")
        })?;
        contents.has_signed = true;
        Ok(())
    }
}

impl fmt::Debug for Purse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Purse")
            .field("address", &self.address())
            .field("chain_id", &self.chain_id)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TxSigner<Signature> for Purse {
    fn address(&self) -> Address {
        self.signer.address()
    }

    async fn sign_transaction(
        &self,
        transaction: &mut dyn SignableTransaction<Signature>,
    ) -> alloy::signers::Result<Signature> {
        self.pay(transaction)
            .map_err(|reason| alloy::signers::Error::message(format!("not signed: {reason}")))?;
        self.signer.sign_transaction(transaction).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use session_key_client::alloy::consensus::TxEip1559;

    fn transaction(chain_id: u64, value: u64) -> TxEip1559 {
        TxEip1559 {
            chain_id,
            gas_limit: 10,
            max_fee_per_gas: 3,
            value: U256::from(value),
            ..TxEip1559::default()
        }
    }

    #[tokio::test]
    async fn nothing_is_signed_beyond_the_allowance() {
        let purse = Purse::new(PrivateKeySigner::random(), 7);
        let sign = async |value| purse.sign_transaction(&mut transaction(7, value)).await;
        assert!(sign(0).await.is_err());
        assert!(!purse.has_signed());
        purse.allow(U256::from(100));
        sign(20).await.unwrap();
        assert!(purse.has_signed());
        let refusal = sign(21).await.unwrap_err().to_string();
        assert_eq!(
            refusal,
            "not signed: the transaction may cost 51 wei, and 50 wei are left to spend"
        );
        sign(20).await.unwrap();
        assert!(sign(0).await.is_err());
        purse.allow(U256::MAX);
        purse.close();
        assert!(sign(0).await.is_err());
    }

    #[tokio::test]
    async fn nothing_is_signed_for_another_chain() {
        let purse = Purse::new(PrivateKeySigner::random(), 7);
        purse.allow(U256::MAX);
        let refusal = purse.sign_transaction(&mut transaction(8, 0)).await.unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "not signed: a transaction for chain 8, not 7"
        );
        assert!(!format!("{purse:?}").contains(&purse.signer.to_bytes().to_string()));
    }
}
