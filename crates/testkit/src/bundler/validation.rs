//! Checks whether an operation can be accepted.

use super::{
    State,
    entities::{check_deposit, check_entities},
    operation::{
        EntryPointVersion, VersionedOperation, handle_ops, lane, next_sequence, nonce_slot, overhead,
        sequence,
    },
    simulation::{Validation, simulate},
    words::{BundlerWords, Party, Refusal},
};
use crate::{
    BundlerOptions, CallOptions, Chain, Duplicates, call::CALL_GAS_CAP, chain::code_of, state::Version,
    vantage::Vantage,
};
use alloy::{
    eips::{
        BlockId,
        eip7702::{SignedAuthorization, constants::EIP7702_DELEGATION_DESIGNATOR},
    },
    primitives::{Address, B256, Bytes, U256},
    rpc::types::state::{StateOverride, StateOverridesBuilder},
};
use erc7562::{Policy, Report};
use std::borrow::Cow;

/// Of a bundle that is only traced: nobody is paid.
const BENEFICIARY: Address = Address::repeat_byte(0xbe);

/// The result of a successful check.
pub(super) enum Checked {
    /// It can be taken in; this is what was found out about its validation.
    New(Box<Validated>),
    /// It is there already, which is not an error.
    Known,
}

/// Checks an operation: fees, nonce, gas, replacement and simulation.
pub(super) fn check(
    state: &State,
    chain: &Chain,
    operation: &VersionedOperation,
) -> Result<Checked, Refusal> {
    let options = &state.options;
    let seen = chain.vantage_behind(options.lag, true);
    if let Some(known) = state.mempool.find(operation.hash(chain.chain_id())) {
        return match options.duplicates {
            Duplicates::Accepted => Ok(Checked::Known),
            Duplicates::AlreadyKnown => Err(Refusal::AlreadyKnown),
            Duplicates::Underpriced => {
                let known = known.operation.numbers();
                Err(Refusal::ReplacementUnderpriced {
                    max_fee: known.max_fee,
                    max_priority_fee: known.tip,
                })
            }
        };
    }
    check_numbers(state, &seen, operation)?;
    let nonce = match check_nonce(state, &seen, operation) {
        // The EntryPoint checks the creation first, and most bundlers report its error.
        Err(Refusal::NonceUsed)
            if !operation.init_code().is_empty() && options.style.words != BundlerWords::Alto =>
        {
            simulate(
                &seen,
                options.executor.address,
                operation,
                StateOverride::default(),
            )?;
            return Err(Refusal::NonceUsed);
        }
        nonce => nonce?,
    };
    state
        .mempool
        .check_replacement(operation, options.replaces_bundled)?;
    check_entities(state, &seen, operation)?;
    let validated = validate(&seen, options, operation, nonce, options.min_seconds_valid)?;
    check_deposit(state, &seen, operation)?;
    Ok(Checked::New(Box::new(validated)))
}

fn check_numbers(state: &State, seen: &Vantage<'_>, operation: &VersionedOperation) -> Result<(), Refusal> {
    let options = &state.options;
    let numbers = operation.numbers();
    let (max_fee, tip) = (numbers.max_fee, numbers.tip);
    if tip > max_fee {
        return Err(Refusal::TipAboveMaxFee);
    }
    let least_tip = U256::from(options.min_priority_fee);
    if tip < least_tip {
        return Err(Refusal::TooLow {
            what: "maxPriorityFeePerGas",
            is: tip,
            least: least_tip,
        });
    }
    let base_fee = U256::from(seen.next_base_fee());
    let least = base_fee * U256::from(options.base_fee_percent) / U256::from(100) + least_tip;
    if max_fee < least {
        return Err(Refusal::TooLow {
            what: "maxFeePerGas",
            is: max_fee,
            least,
        });
    }
    let for_validation = U256::from(options.max_verification_gas);
    let for_calls = U256::from(most_gas_for_calls(seen));
    for (what, is, most) in [
        ("verificationGasLimit", numbers.verification_gas, for_validation),
        (
            "paymasterVerificationGasLimit",
            numbers.paymaster_verification_gas,
            for_validation,
        ),
        ("callGasLimit", numbers.call_gas, for_calls),
        ("paymasterPostOpGasLimit", numbers.post_op_gas, for_calls),
    ] {
        if is > most {
            return Err(Refusal::TooHigh { what, is, most });
        }
    }
    let required = required_pre_verification_gas(options.data_fee, base_fee, operation, overhead(operation));
    if numbers.pre_verification_gas < required {
        return Err(Refusal::PreVerificationGas {
            is: numbers.pre_verification_gas,
            required,
        });
    }
    Ok(())
}

/// Returns the maximum `callGasLimit`: no block can fit more, and beside it a simulation has room for the
/// other limits.
pub(super) fn most_gas_for_calls(seen: &Vantage<'_>) -> u64 {
    seen.head_block().header.gas_limit.min(CALL_GAS_CAP / 2)
}

/// Returns the minimum `preVerificationGas`: for what the EntryPoint does not measure, and for the data fee
/// at the operation's fees.
pub(super) fn required_pre_verification_gas(
    data_fee: u128,
    base_fee: U256,
    operation: &VersionedOperation,
    overhead: u64,
) -> U256 {
    let bytes = U256::from(operation.call_data().len() + operation.init_code().len() + 12 * 32);
    let numbers = operation.numbers();
    let price = numbers.max_fee.min(base_fee.saturating_add(numbers.tip));
    let data_gas = bytes
        .saturating_mul(U256::from(data_fee))
        .checked_div(price)
        .unwrap_or_default();
    U256::from(overhead).saturating_add(data_gas)
}

/// Returns the state overrides that make the operation's nonce the next one.
pub(super) fn check_nonce(
    state: &State,
    seen: &Vantage<'_>,
    operation: &VersionedOperation,
) -> Result<StateOverride, Refusal> {
    let (sender, nonce) = (operation.sender(), operation.nonce());
    let next = next_sequence(seen, operation);
    let ahead = sequence(nonce).checked_sub(next).ok_or(Refusal::NonceUsed)?;
    if ahead > state.options.nonces_ahead {
        return Err(Refusal::NonceTooFar);
    }
    if ahead == 0 {
        return Ok(StateOverride::default());
    }
    let slot = B256::from(nonce_slot(sender, lane(nonce)));
    let value = B256::from(U256::from(sequence(nonce)));
    Ok(StateOverridesBuilder::default()
        .with_state_diff(operation.entry_point(), [(slot, value)])
        .build())
}

/// Checks that the operation's delegation of its sender is valid.
fn check_authorization(
    seen: &Vantage<'_>,
    operation: &VersionedOperation,
    authorization: &SignedAuthorization,
) -> Result<(), Refusal> {
    let invalid = |problem: String| Err(Refusal::InvalidFields(format!("eip7702Auth: {problem}")));
    let sender = operation.sender();
    match authorization.recover_authority() {
        Ok(signer) if signer == sender => (),
        Ok(signer) => return invalid(format!("it is signed by {signer}, not by the sender {sender}")),
        Err(_) => return invalid("its signature is not valid".into()),
    }
    let chain_id = U256::from(seen.chain().chain_id());
    if !authorization.chain_id.is_zero() && authorization.chain_id != chain_id {
        return invalid(format!(
            "its chainId is {}, the chain's {chain_id}",
            authorization.chain_id
        ));
    }
    let account = seen
        .account_at(sender, BlockId::latest())
        .ok()
        .flatten()
        .unwrap_or_default();
    if authorization.nonce != account.nonce {
        // Well formed, but without effect.
        return Err(Refusal::Unexplained(format!(
            "eip7702Auth: its nonce is {}, the sender's {}",
            authorization.nonce, account.nonce
        )));
    }
    let code = code_of(&account);
    if !code.is_empty() && !code.starts_with(&EIP7702_DELEGATION_DESIGNATOR) {
        return invalid("the sender is a contract".into());
    }
    Ok(())
}

/// Overrides the state as if the sender had delegated already.
pub(super) fn with_delegation(mut state: StateOverride, operation: &VersionedOperation) -> StateOverride {
    if let Some(authorization) = operation.authorization() {
        let code: Bytes = if authorization.address.is_zero() {
            Bytes::new()
        } else {
            [
                &EIP7702_DELEGATION_DESIGNATOR[..],
                authorization.address.as_slice(),
            ]
            .concat()
            .into()
        };
        state.entry(operation.sender()).or_default().code = Some(code);
    }
    state
}

/// A validation that passed.
#[derive(Clone, Debug)]
pub(super) struct Validated {
    /// What was found out about it, where validations are traced.
    pub(super) report: Option<Report>,
    validation: Validation,
    /// What it rests on; `None`: on a state that the chain does not have.
    basis: Option<Basis>,
}

impl Validated {
    /// Whether validating the operation again would come to the same, except for the time.
    pub(super) fn is_current(&self, seen: &Vantage<'_>, options: &BundlerOptions) -> bool {
        self.basis.as_ref() == Some(&Basis::of(seen, options))
    }
}

/// All that the outcome of an operation's validation depends on, besides the time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Basis {
    block: B256,
    state: Version,
    base_fee: u64,
    executor: Address,
    rules: Option<Policy>,
}

impl Basis {
    fn of(seen: &Vantage<'_>, options: &BundlerOptions) -> Self {
        Self {
            block: seen.head_block().hash,
            state: seen.chain().state.version(),
            base_fee: seen.next_base_fee(),
            executor: options.executor.address,
            rules: options.rules.clone(),
        }
    }
}

/// Simulates the validation of an operation. It must succeed, in the next block too, and stay valid for the
/// configured time.
pub(super) fn validate(
    seen: &Vantage<'_>,
    options: &BundlerOptions,
    operation: &VersionedOperation,
    state: StateOverride,
    min_seconds_valid: u64,
) -> Result<Validated, Refusal> {
    let basis = state.is_empty().then(|| Basis::of(seen, options));
    if let Some(authorization) = operation.authorization() {
        check_authorization(seen, operation, authorization)?;
    }
    let state = with_delegation(state, operation);
    let validation = simulate(seen, options.executor.address, operation, state.clone())?;
    check_answers(seen, operation, &validation, min_seconds_valid)?;
    let report = match &options.rules {
        Some(policy) => Some(check_rules(seen, policy, operation, state)?),
        None => None,
    };
    Ok(Validated {
        report,
        validation,
        basis,
    })
}

/// Whether account and paymaster accept the signatures, from the next block on for so many seconds.
fn check_answers(
    seen: &Vantage<'_>,
    operation: &VersionedOperation,
    validation: &Validation,
    min_seconds_valid: u64,
) -> Result<(), Refusal> {
    let account = match operation.version() {
        EntryPointVersion::V06 => Party::Either {
            with_paymaster: operation.paymaster().is_some(),
        },
        EntryPointVersion::V07 => Party::Account,
    };
    let answers = [
        (account, validation.account),
        (Party::Paymaster, validation.paymaster),
    ];
    for (party, answer) in answers {
        if answer.signature_failed {
            return Err(Refusal::Signature(party));
        }
    }
    let now = seen.next_timestamp();
    for (party, answer) in answers {
        if answer.valid_after > now || answer.valid_until < now.saturating_add(min_seconds_valid) {
            return Err(Refusal::OutOfTime {
                party,
                now,
                valid_after: answer.valid_after,
                valid_until: answer.valid_until,
            });
        }
    }
    Ok(())
}

/// Validates an operation once more, unless all is as it was, but for the time. The code that it rests on has
/// to be the same as before. Source: COD-010.
pub(super) fn validate_again<'a>(
    seen: &Vantage<'_>,
    options: &BundlerOptions,
    operation: &VersionedOperation,
    earlier: Option<&'a Validated>,
) -> Result<Cow<'a, Validated>, Refusal> {
    if let Some(earlier) = earlier
        && earlier.is_current(seen, options)
    {
        check_answers(seen, operation, &earlier.validation, 0)?;
        return Ok(Cow::Borrowed(earlier));
    }
    let now = validate(seen, options, operation, StateOverride::default(), 0)?;
    if let (Some(earlier), Some(report)) = (earlier.and_then(|earlier| earlier.report.as_ref()), &now.report)
        && let Some(changed) = report
            .changed_code(earlier, &operation.parties())
            .into_iter()
            .next()
    {
        return Err(Refusal::Rule(changed));
    }
    Ok(Cow::Owned(now))
}

/// Whether the validation keeps to ERC-7562.
fn check_rules(
    seen: &Vantage<'_>,
    policy: &Policy,
    operation: &VersionedOperation,
    state: StateOverride,
) -> Result<Report, Refusal> {
    let (env, overlay) = seen.environment(&CallOptions {
        state,
        ..Default::default()
    })?;
    let traced = erc7562::Operation {
        parties: operation.parties(),
        call: handle_ops(operation.version(), [operation], BENEFICIARY),
        // The state has it already.
        authorization: None,
    };
    // As EntryPoint v0.6 pays paymasters twice for what they do after an operation, they need stake for it.
    let policy = Policy {
        refuses_context_without_stake: operation.version() == EntryPointVersion::V06,
        ..policy.clone()
    };
    let report = erc7562::validate(
        &mut seen.view(&overlay),
        &seen.chain().cfg,
        &env,
        &traced,
        &policy,
    )
    .map_err(|error| Refusal::Unexplained(error.to_string()))?;
    match report.violations.first() {
        Some(violation) => Err(Refusal::Rule(violation.clone())),
        None => Ok(report),
    }
}
