//! `user_operation`: the hash of any operation is the EntryPoint's, and what the client signs is taken by the
//! plugin for the key's signature; what else it is given is somebody else's signature, or none. Of packed
//! operations, the members are as large as can be packed, and `initCode` and `paymasterAndData` of every
//! form, those that mean something to later EntryPoints among them.

use crate::{
    ACCOUNT, Generation, Outcomes, Property, World,
    generators::{CONTRACTS, any_address, any_word},
};
use alloy::{
    primitives::{Address, B256, Bytes, Signature, U256, b256, hex, uint},
    signers::local::PrivateKeySigner,
    sol_types::SolError,
};
use proptest::prelude::*;
use session_key_bindings::ISessionKeyPlugin::InvalidSignature;
use session_key_client::{
    Call, UserOperation,
    permissions::{
        AbiOperation, AccessControlType, EntryPointVersion, LimitChange, PaymasterFields, PermissionUpdates,
        SpendLimit, execute_with_session_key,
    },
    signer::sign_user_operation,
};
use session_key_testkit::ChainError;
use std::{
    fmt,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

/// Order of secp256k1.
const ORDER: U256 = uint!(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141_U256);

/// A key that is nobody's.
const OTHER_KEY: B256 = b256!("0x00000000000000000000000000000000000000000000000000000000000007e5");

/// What becomes of a good signature.
#[derive(Clone, Debug)]
pub enum Tampering {
    /// Nothing.
    None,
    /// Another key signs.
    OtherSigner,
    /// Another hash is signed.
    OtherHash,
    /// It is turned into its twin: the other `s`, the other parity.
    HighS,
    /// Its last byte.
    V(u8),
    /// Its first word.
    R(U256),
    /// Its second word.
    S(U256),
    /// A bit, counted modulo the length.
    FlipBit(usize),
    /// It becomes shorter.
    Truncate(usize),
    /// It becomes longer.
    Extend(Vec<u8>),
}

/// An operation, and who signs it.
#[derive(Clone)]
pub struct Case {
    /// Any operation; its signature is not part of the hash.
    pub operation: UserOperation,
    /// The session key's private key.
    pub private_key: B256,
    /// What becomes of its signature.
    pub tampering: Tampering,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "key {}, {:?}, {:?}",
            self.private_key, self.tampering, self.operation
        )
    }
}

/// See the [module](self).
#[derive(Debug)]
pub struct UserOperations {
    world: World,
}

impl Property for UserOperations {
    type Case = Case;

    const NAME: &'static str = "user_operation";

    fn prepare(generation: Generation, plugin: Option<&Bytes>) -> eyre::Result<Self> {
        let world = World::new(generation, plugin)?;
        Ok(Self { world })
    }

    fn cases(&self) -> BoxedStrategy<Case> {
        let (init_codes, paymasters, version, most) = match self.world.generation {
            Generation::V07 => (bytes(), bytes(), EntryPointVersion::V06, U256::MAX),
            Generation::V08 => (
                any_init_code(),
                any_paymaster(),
                EntryPointVersion::V07,
                U256::from(u128::MAX),
            ),
        };
        let operation = (
            (
                prop_oneof![any_address(), Just(ACCOUNT)],
                any_word(),
                init_codes,
                bytes(),
                paymasters,
            ),
            (any_word(), any_word(), any_word(), any_word(), any_word()),
            bytes(),
        )
            .prop_map(
                move |(
                    (sender, nonce, init_code, call_data, paymaster_and_data),
                    (call_gas_limit, verification_gas_limit, pre_verification_gas, max_fee, max_priority_fee),
                    signature,
                )| UserOperation {
                    version,
                    sender,
                    nonce,
                    init_code,
                    call_data,
                    call_gas_limit: call_gas_limit & most,
                    verification_gas_limit: verification_gas_limit & most,
                    pre_verification_gas,
                    max_fee_per_gas: max_fee & most,
                    max_priority_fee_per_gas: max_priority_fee & most,
                    paymaster_and_data,
                    signature,
                    authorization: None,
                },
            );
        let private_key = prop_oneof![
            1 => (1u64..4).prop_map(U256::from),
            1 => (1u64..4).prop_map(|less| ORDER - U256::from(less)),
            2 => any::<[u8; 32]>().prop_map(|bytes| U256::from_be_bytes(bytes) % (ORDER - U256::ONE) + U256::ONE),
        ]
        .prop_map(B256::from);
        // Where the range of r and s ends, and the lower half of that of s.
        let scalar = || {
            prop_oneof![
                1 => any_word(),
                1 => (0u64..3).prop_map(|less| ORDER + U256::ONE - U256::from(less)),
                1 => (0u64..3).prop_map(|less| (ORDER >> 1) + U256::ONE - U256::from(less)),
            ]
        };
        let v = prop_oneof![3 => 26u8..30, 2 => 0u8..3, 1 => any::<u8>()];
        let tampering = prop_oneof![
            5 => Just(Tampering::None),
            1 => Just(Tampering::OtherSigner),
            1 => Just(Tampering::OtherHash),
            1 => Just(Tampering::HighS),
            2 => v.prop_map(Tampering::V),
            1 => scalar().prop_map(Tampering::R),
            1 => scalar().prop_map(Tampering::S),
            2 => any::<usize>().prop_map(Tampering::FlipBit),
            1 => (0usize..66).prop_map(Tampering::Truncate),
            1 => prop::collection::vec(any::<u8>(), 1..33).prop_map(Tampering::Extend),
        ];
        (operation, private_key, tampering)
            .prop_map(|(operation, private_key, tampering)| Case {
                operation,
                private_key,
                tampering,
            })
            .boxed()
    }

    fn check(&mut self, case: &Case, outcomes: &mut Outcomes) -> Result<(), TestCaseError> {
        let world = &mut self.world;
        let fail = |error: ChainError| TestCaseError::fail(error.to_string());
        let (chain_id, entry_point) = (world.chain.chain_id(), world.stack.entry_point);
        let mut operation = case.operation.clone();
        let theirs = world.user_operation_hash(operation.clone()).map_err(fail)?;
        let ours = operation.hash(entry_point, chain_id);
        prop_assert_eq!(ours, theirs, "hash (left) is not the EntryPoint's (right)");
        // No EntryPoint here looks at what an account delegates to.
        let delegated = operation.hash_of_delegation(CONTRACTS[0], entry_point, chain_id);
        prop_assert_eq!(delegated, theirs, "hash of a delegated account's (left)");
        if let AbiOperation::Packed(packed) = operation.clone().into() {
            let back = UserOperation::from_packed(packed, operation.version);
            prop_assert_eq!(
                &back,
                &operation,
                "unpacked (left) is not what was packed (right)"
            );
        }
        if let Some(fields) = operation.paymaster_fields() {
            prop_assert_eq!(
                fields.pack(),
                operation.paymaster_and_data.clone(),
                "paymaster's fields"
            );
        }
        outcomes.reached(format!(
            "hash: init code {}, paymaster {}",
            !operation.init_code.is_empty(),
            !operation.paymaster_and_data.is_empty()
        ));

        // The same operation, but one that the key may sign.
        let signer = signer(case.private_key)?;
        let session_key = signer.address();
        operation.sender = ACCOUNT;
        if world.generation.is_v08() {
            // Whatever is below the lane.
            let own = world.operation(Bytes::new(), session_key).nonce;
            operation.nonce = own >> 104 << 104 | operation.nonce << 152 >> 152;
        }
        operation.call_data = execute_with_session_key(&[Call::new(CONTRACTS[0], Bytes::new())], session_key);
        let other = signer_of(&case.tampering, &signer)?;
        let hash = match case.tampering {
            Tampering::OtherHash => {
                let mut other_operation = operation.clone();
                sign(&mut other_operation, &other, (entry_point, chain_id + 1))?;
                operation.signature = other_operation.signature;
                operation.hash(entry_point, chain_id)
            }
            _ => sign(&mut operation, &other, (entry_point, chain_id))?,
        };
        operation.signature = tamper(&operation.signature, &case.tampering);

        world.reset().map_err(fail)?;
        let permissions = PermissionUpdates::new()
            .access_control_type(AccessControlType::AllowAllAccess)
            .native_token_spend_limit(SpendLimit::UNLIMITED, LimitChange::Raw)
            .encode()
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        world
            .add_key(session_key, permissions)
            .and_then(|execution| execution.ok())
            .map_err(fail)?;
        let theirs = world.user_operation_hash(operation.clone()).map_err(fail)?;
        prop_assert_eq!(theirs, hash, "what was signed is not the EntryPoint's hash");
        let validate = world.validation(operation.clone(), hash);
        let validation = world.chain.call(&world.as_account(validate));

        if matches!(case.tampering, Tampering::None) {
            let signed = recovered(&operation.signature, hash);
            prop_assert_eq!(signed, Some(session_key), "the client's own signature");
        }
        match (recovered(&operation.signature, hash), validation) {
            (Some(signed), Ok(data)) => {
                let authorizer = U256::from(u64::from(signed != session_key));
                prop_assert_eq!(
                    U256::from_be_slice(&data),
                    authorizer,
                    "validation data; signed by {}",
                    signed
                );
                let whose = if signed == session_key {
                    "the key's"
                } else {
                    "another's"
                };
                outcomes.reached(format!("signature: {whose}, {}", kind(&case.tampering)));
            }
            (None, Err(ChainError::Reverted { output })) => {
                let error = InvalidSignature {
                    sessionKey: session_key,
                };
                prop_assert_eq!(&output[..], &error.abi_encode()[..]);
                outcomes.reached(format!("signature: invalid, {}", kind(&case.tampering)));
            }
            (signed, validation) => {
                return Err(TestCaseError::fail(format!(
                    "signed by {signed:?}, but validation says {validation:?}"
                )));
            }
        }
        Ok(())
    }
}

fn signer(private_key: B256) -> Result<PrivateKeySigner, TestCaseError> {
    PrivateKeySigner::from_bytes(&private_key).map_err(|error| TestCaseError::fail(error.to_string()))
}

fn signer_of(tampering: &Tampering, signer_: &PrivateKeySigner) -> Result<PrivateKeySigner, TestCaseError> {
    match tampering {
        Tampering::OtherSigner => signer(OTHER_KEY),
        _ => Ok(signer_.clone()),
    }
}

fn bytes() -> BoxedStrategy<Bytes> {
    prop_oneof![
        2 => Just(Vec::new()),
        3 => prop::collection::vec(any::<u8>(), 0..70),
        // About where words end.
        1 => (31usize..34).prop_map(|length| vec![0; length]),
    ]
    .prop_map(Bytes::from)
    .boxed()
}

/// `initCode`: none, any bytes, or what stands for an EIP-7702 authorization, to later EntryPoints.
fn any_init_code() -> BoxedStrategy<Bytes> {
    let delegation = (bytes(), 2usize..21).prop_map(|(data, length)| {
        let mut marker = [0; 20];
        marker[..2].copy_from_slice(&hex!("7702"));
        // The padding may be left out where nothing follows.
        let data = if length == 20 { data } else { Bytes::new() };
        Bytes::from([&marker[..length], &data].concat())
    });
    prop_oneof![2 => bytes(), 1 => delegation].boxed()
}

/// `paymasterAndData`: none, any bytes, or a paymaster with its gas limits and data, which may end as a
/// paymaster's signature does, to later EntryPoints.
fn any_paymaster() -> BoxedStrategy<Bytes> {
    let end = prop_oneof![
        2 => Just(Vec::new()),
        1 => (0u8..4).prop_map(|length| [&[7; 3][..], &[0, length], &hex!("22e325a297439656")].concat()),
    ];
    let fields = (any_address(), any::<u128>(), any::<u128>(), bytes(), end).prop_map(
        |(paymaster, verification_gas_limit, post_op_gas_limit, data, end)| {
            let fields = PaymasterFields {
                paymaster,
                verification_gas_limit,
                post_op_gas_limit,
                data: [data.to_vec(), end].concat().into(),
            };
            fields.pack()
        },
    );
    prop_oneof![1 => bytes(), 2 => fields].boxed()
}

/// Signs as clients do. A key in memory signs without ever waiting.
fn sign(
    operation: &mut UserOperation,
    signer: &PrivateKeySigner,
    (entry_point, chain_id): (Address, u64),
) -> Result<B256, TestCaseError> {
    let signing = pin!(sign_user_operation(operation, signer, entry_point, chain_id));
    match signing.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result.map_err(|error| TestCaseError::fail(error.to_string())),
        Poll::Pending => Err(TestCaseError::fail("signing waits for something")),
    }
}

fn tamper(signature: &Bytes, tampering: &Tampering) -> Bytes {
    let mut bytes = signature.to_vec();
    match tampering {
        Tampering::None | Tampering::OtherSigner | Tampering::OtherHash => {}
        Tampering::HighS => {
            let s = U256::from_be_slice(&bytes[32..64]);
            bytes[32..64].copy_from_slice(&(ORDER - s).to_be_bytes::<32>());
            bytes[64] = 27 + 28 - bytes[64];
        }
        Tampering::V(v) => bytes[64] = *v,
        Tampering::R(r) => bytes[..32].copy_from_slice(&r.to_be_bytes::<32>()),
        Tampering::S(s) => bytes[32..64].copy_from_slice(&s.to_be_bytes::<32>()),
        Tampering::FlipBit(bit) => {
            let bit = bit % (8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        Tampering::Truncate(length) => bytes.truncate((*length).min(64)),
        Tampering::Extend(more) => bytes.extend(more),
    }
    bytes.into()
}

/// Whose signature of the hash as EIP-191 personal message it is: 65 bytes, low `s`, `v` of 27 or 28.
fn recovered(signature: &[u8], hash: B256) -> Option<Address> {
    let (rs, [v @ 27..=28]) = signature.split_at_checked(64)? else {
        return None;
    };
    let [r, s] = [&rs[..32], &rs[32..]].map(U256::from_be_slice);
    if s > ORDER >> 1 {
        return None;
    }
    Signature::new(r, s, *v == 28).recover_address_from_msg(hash).ok()
}

const fn kind(tampering: &Tampering) -> &'static str {
    match tampering {
        Tampering::None => "untouched",
        Tampering::OtherSigner => "by another key",
        Tampering::OtherHash => "of another chain's hash",
        Tampering::HighS => "high s",
        Tampering::V(_) => "v set",
        Tampering::R(_) => "r set",
        Tampering::S(_) => "s set",
        Tampering::FlipBit(_) => "bit flipped",
        Tampering::Truncate(_) => "short",
        Tampering::Extend(_) => "long",
    }
}
