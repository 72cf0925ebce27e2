//! Sends the transactions of a deployment one by one, and determines the outcome of each.

use super::{
    Contract, DeployError, Deployer, KeptError, PlannedContract, SignedCreation, Survey, signed::Checked,
};
use crate::{
    request::RequestError,
    transaction::{
        Fees, INCLUSION_TIMEOUT, INTERVALS, Seen, SendError, SignedTransaction, Signer, TransactionEnd,
        TransactionSender, UnfitTransaction,
    },
};
use alloy::primitives::{Address, B256, U256};
use tokio::time::{Instant, sleep};

/// How many times a contract's creation is attempted, if other transactions of the account use the nonce.
const ATTEMPTS: u32 = 3;

/// Why a transaction could not be kept.
pub type KeeperError = Box<dyn std::error::Error + Send + Sync>;

/// Keeps what a deployment has signed, and receives its progress.
pub trait Keeper: Send {
    /// Called with each transaction before it is sent. If this returns `Ok`, the transaction is sent: it must
    /// be kept where the next run finds it ([`Deployer::resume`]), whatever happens to this process. On an
    /// error, nothing is sent.
    ///
    /// There may be several with the same nonce, each with higher fees than the one before; keep all of them.
    fn keep(&mut self, transaction: &SignedCreation) -> Result<(), KeeperError>;

    /// The outcome of the kept transactions, which all have the same nonce, is known: they can be forgotten.
    fn settled(&mut self, transactions: &[SignedCreation], fate: Fate) {
        let _ = (transactions, fate);
    }

    /// A contract exists.
    fn created(&mut self, created: &Created) {
        let _ = created;
    }
}

/// The outcome of transactions with the same nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// One was included.
    Included {
        /// The included transaction.
        transaction: B256,
        /// Whether it succeeded; `None` if the node does not return it.
        success: Option<bool>,
    },
    /// None can be included: another transaction used the nonce.
    Void,
    /// No byte of them left this process.
    NeverSent,
    /// The contract exists without them. One may still be included, and then fails.
    Superfluous,
}

/// A contract that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The contract.
    pub contract: Contract,
    /// Its address.
    pub address: Address,
    /// Hash of the transaction that created it. `None` if someone else's did.
    pub transaction: Option<B256>,
    /// Number of that transaction's block.
    pub block: Option<u64>,
    /// Hash of this deployment's transaction if it failed, because someone else's came first.
    pub failed: Option<B256>,
    /// Gas used by this deployment's transaction; 0 if there was none.
    pub gas_used: u64,
}

/// The outcome of a kept transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resumed {
    /// The contract exists.
    Created(Created),
    /// The transaction was included and failed, and the contract does not exist.
    Failed {
        /// The contract it should have created.
        contract: Contract,
        /// Its hash.
        transaction: B256,
    },
    /// Another transaction used the nonce, and the contract does not exist.
    Void {
        /// The contract it should have created.
        contract: Contract,
        /// The nonce.
        nonce: u64,
    },
}

/// An error about a transaction of a deployment.
fn about(contract: Contract) -> impl FnOnce(SendError) -> DeployError {
    move |error| match error {
        SendError::NotTaken { transaction, error } => DeployError::NotTaken {
            contract,
            transaction,
            error,
        },
        SendError::NoAnswer { transaction, error } => DeployError::NoAnswer {
            contract,
            transaction,
            error,
        },
        SendError::Unread { transaction, error } => DeployError::Unread {
            contract,
            transaction,
            error,
        },
        // Unreachable: a contract can be created only once, and another transaction with the nonce, in any
        // block, suffices here.
        SendError::NonceUsed { transaction, .. } | SendError::NotIncluded { transaction } => {
            DeployError::NotIncluded {
                contract,
                transaction,
            }
        }
        SendError::Unfit { transaction, error } => DeployError::NotOfThisDeployment {
            transaction,
            error: error.into(),
        },
        SendError::NotSigned { reason } => DeployError::NotSigned { contract, reason },
        SendError::OverBound(over) => over.into(),
        SendError::NotPrepared(error) | SendError::NeverLeft { error, .. } => error.into(),
    }
}

fn transactions(kept: &[SignedCreation]) -> Vec<SignedTransaction> {
    kept.iter().map(SignedCreation::transaction).collect()
}

impl Deployer {
    /// Creates the missing contracts one by one, and verifies each. `signer` signs and pays. Each transaction
    /// is [kept](Keeper::keep) before it is sent.
    ///
    /// Waits up to 180 seconds for the signer's pending transactions before signing; if they stay pending,
    /// that is an error.
    #[tracing::instrument(level = "debug", skip_all, fields(chain_id = survey.chain_id))]
    pub async fn deploy(
        &self,
        survey: &Survey,
        signer: &Signer,
        keeper: &mut dyn Keeper,
    ) -> Result<(), DeployError> {
        let chain_id = self.check_chain().await?;
        let fees = Fees {
            base_fee: 0,
            max_fee: survey.max_fee_per_gas,
            max_priority_fee: survey.max_priority_fee_per_gas,
        };
        let mut next_nonce = 0;
        for (planned, surveyed) in self.plan.contracts().iter().zip(&survey.contracts) {
            let Some(gas_limit) = surveyed.gas_limit else {
                continue;
            };
            let offer = Checked {
                planned,
                gas_limit,
                fees,
            };
            let created = self
                .create(
                    chain_id,
                    &offer,
                    surveyed.code_hash,
                    signer,
                    keeper,
                    &mut next_nonce,
                )
                .await?;
            keeper.created(&created);
        }
        Ok(())
    }

    /// Resumes transactions that an earlier run kept without seeing their outcome; all have the same nonce.
    /// They must be of this signer, this chain and this plan. `None` if there are none.
    ///
    /// Returns their outcome if it is known. Otherwise sends the last one again or, if its fees are now too
    /// low, a replacement with the same nonce and fees at least a tenth higher, within the
    /// [bounds](Self::bounds); and waits for it.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn resume(
        &self,
        kept: &[SignedCreation],
        signer: &Signer,
        keeper: &mut dyn Keeper,
    ) -> Result<Option<Resumed>, DeployError> {
        let Some(last) = kept.last() else {
            return Ok(None);
        };
        let chain_id = self.check_chain().await?;
        let sender = signer.address();
        let check = |signed: &SignedCreation| {
            self.check_kept(signed, last, chain_id, sender).map_err(|error| {
                DeployError::NotOfThisDeployment {
                    transaction: signed.hash,
                    error,
                }
            })
        };
        for signed in kept {
            check(signed)?;
        }
        let offer = check(last)?;
        let planned = offer.planned;
        let code_hash = self.code_hash(planned).await?;
        let mut kept = kept.to_vec();
        let courier = TransactionSender::on(self.node.clone(), chain_id);
        let about = || about(planned.contract);
        let seen = courier.look(sender, &transactions(&kept)).await?;
        let end = match seen {
            Seen::Included(receipt) => TransactionEnd::Included(receipt),
            Seen::Used => courier
                .wait_to(sender, &transactions(&kept), false)
                .await
                .map_err(about())?,
            Seen::Waiting if self.is_present(planned, code_hash).await? => {
                keeper.settled(&kept, Fate::Superfluous);
                let created = by_others(planned);
                keeper.created(&created);
                return Ok(Some(Resumed::Created(created)));
            }
            Seen::Waiting => {
                let replacement = self.replacement(last, &offer, chain_id, signer).await?;
                if let Some(replacement) = replacement {
                    keep(keeper, &replacement)?;
                    kept.push(replacement);
                }
                let all = transactions(&kept);
                if let Some(newest) = all.last() {
                    courier.hand_over(newest).await.map_err(about())?;
                }
                courier.wait_to(sender, &all, false).await.map_err(about())?
            }
        };
        let nonce = last.nonce;
        let resumed = match self.conclude(planned, code_hash, &kept, end, keeper).await {
            Ok(Some(created)) => {
                keeper.created(&created);
                Resumed::Created(created)
            }
            Ok(None) => Resumed::Void {
                contract: planned.contract,
                nonce,
            },
            Err(DeployError::Reverted {
                contract,
                transaction,
            }) => Resumed::Failed {
                contract,
                transaction,
            },
            Err(error) => return Err(error),
        };
        Ok(Some(resumed))
    }

    /// Returns the number of an account's transactions known to the node and not included.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn pending(&self, sender: Address) -> Result<u64, DeployError> {
        let (included, known) = self.counts(sender).await?;
        Ok(known.saturating_sub(included))
    }

    /// Waits until an account has no pending transactions: up to 180 seconds, then that is an error.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn settle(&self, sender: Address) -> Result<(), DeployError> {
        self.free_nonce(sender, 0).await.map(drop)
    }

    async fn counts(&self, sender: Address) -> Result<(u64, u64), RequestError> {
        tokio::try_join!(
            self.node.transaction_count(sender, false),
            self.node.transaction_count(sender, true)
        )
    }

    /// Returns the next nonce, at least `least`, of an account without pending transactions.
    async fn free_nonce(&self, sender: Address, least: u64) -> Result<u64, DeployError> {
        let until = Instant::now() + INCLUSION_TIMEOUT;
        let [mut interval, longest] = INTERVALS;
        loop {
            let (included, known) = self.counts(sender).await?;
            let next = included.max(least);
            if known <= next {
                return Ok(next);
            }
            if Instant::now() >= until {
                return Err(DeployError::TransactionsPending {
                    deployer: sender,
                    included: next,
                    known,
                });
            }
            sleep(interval).await;
            interval = (interval * 2).min(longest);
        }
    }

    /// Creates a contract, unless someone else does first.
    async fn create(
        &self,
        chain_id: u64,
        offer: &Checked<'_>,
        code_hash: B256,
        signer: &Signer,
        keeper: &mut dyn Keeper,
        next_nonce: &mut u64,
    ) -> Result<Created, DeployError> {
        let (sender, planned) = (signer.address(), offer.planned);
        let courier = TransactionSender::on(self.node.clone(), chain_id);
        for _ in 0..ATTEMPTS {
            // A lagging node does not know the last transaction yet.
            let nonce = self.free_nonce(sender, *next_nonce).await?;
            // The address is the same for everyone: someone else may have created it.
            if self.is_present(planned, code_hash).await? {
                return Ok(by_others(planned));
            }
            let (gas_limit, fees) = (offer.gas_limit, &offer.fees);
            let signed = SignedCreation::sign(planned, chain_id, nonce, gas_limit, fees, signer).await?;
            keep(keeper, &signed)?;
            let kept = [signed];
            let all = transactions(&kept);
            for transaction in &all {
                courier.hand_over(transaction).await.map_err(|error| {
                    if matches!(error, SendError::NeverLeft { .. }) {
                        keeper.settled(&kept, Fate::NeverSent);
                    }
                    about(planned.contract)(error)
                })?;
            }
            let end = courier
                .wait_to(sender, &all, false)
                .await
                .map_err(about(planned.contract))?;
            *next_nonce = nonce.saturating_add(1);
            if let Some(created) = self.conclude(planned, code_hash, &kept, end, keeper).await? {
                return Ok(created);
            }
        }
        Err(DeployError::NoncesTaken {
            contract: planned.contract,
            deployer: sender,
            attempts: ATTEMPTS,
        })
    }

    /// Checks one of several transactions with the same nonce.
    fn check_kept(
        &self,
        signed: &SignedCreation,
        last: &SignedCreation,
        chain_id: u64,
        sender: Address,
    ) -> Result<Checked<'_>, KeptError> {
        let checked = signed.check(chain_id, sender, &self.plan)?;
        if signed.nonce != last.nonce {
            return Err(KeptError::Unfit(UnfitTransaction::NonceDiffers {
                expected: last.nonce,
                actual: signed.nonce,
            }));
        }
        if signed.contract != last.contract {
            return Err(KeptError::OtherCreation {
                contract: last.contract,
            });
        }
        Ok(checked)
    }

    /// Returns a replacement for a transaction whose fees are now too low.
    async fn replacement(
        &self,
        last: &SignedCreation,
        offer: &Checked<'_>,
        chain_id: u64,
        signer: &Signer,
    ) -> Result<Option<SignedCreation>, DeployError> {
        let now = self.current_fees().await?;
        if !offer.fees.is_too_low_for(&now) {
            return Ok(None);
        }
        let fees = offer.fees.replacement(&now);
        self.check_fees(&fees)?;
        let cost = U256::from(offer.gas_limit).saturating_mul(U256::from(fees.max_fee));
        self.bounds.check_cost(cost)?;
        SignedCreation::sign(
            offer.planned,
            chain_id,
            last.nonce,
            offer.gas_limit,
            &fees,
            signer,
        )
        .await
        .map(Some)
    }

    /// Returns the result of a wait: a contract that exists, or `None` if none of the transactions can be
    /// included and the contract does not exist.
    async fn conclude(
        &self,
        planned: &PlannedContract,
        code_hash: B256,
        kept: &[SignedCreation],
        end: TransactionEnd,
        keeper: &mut dyn Keeper,
    ) -> Result<Option<Created>, DeployError> {
        let receipt = match end {
            TransactionEnd::Included(receipt) => receipt,
            TransactionEnd::Void => {
                keeper.settled(kept, Fate::Void);
                let is_present = self.is_present(planned, code_hash).await?;
                return Ok(is_present.then(|| by_others(planned)));
            }
        };
        let (contract, transaction) = (planned.contract, receipt.transaction_hash);
        let success = receipt.success;
        keeper.settled(kept, Fate::Included { transaction, success });
        let in_place = self.is_in_place(planned, code_hash, success != Some(false)).await;
        let in_place = in_place.map_err(|error| match error {
            DeployError::Rpc(error) => DeployError::Unread {
                contract,
                transaction,
                error,
            },
            error => error,
        })?;
        if !in_place {
            return Err(DeployError::Reverted {
                contract,
                transaction,
            });
        }
        let is_ours = success == Some(true);
        Ok(Some(Created {
            transaction: is_ours.then_some(transaction),
            block: is_ours.then_some(receipt.block_number),
            failed: (success == Some(false)).then_some(transaction),
            gas_used: receipt.gas_used.unwrap_or_default().saturating_to(),
            ..by_others(planned)
        }))
    }
}

/// Passes a transaction to the keeper.
fn keep(keeper: &mut dyn Keeper, signed: &SignedCreation) -> Result<(), DeployError> {
    keeper.keep(signed).map_err(|error| DeployError::NotKept {
        contract: signed.contract,
        transaction: signed.hash,
        error,
    })
}

/// Returns a contract created by someone else.
const fn by_others(planned: &PlannedContract) -> Created {
    Created {
        contract: planned.contract,
        address: planned.address,
        transaction: None,
        block: None,
        failed: None,
        gas_used: 0,
    }
}
