//! Records are written and read again as they were, and nothing that is not understood is read.

use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
};
use serde_json::{Value, json};
use session_key_client::{
    SignedOperation, UserOperation,
    alloy::{
        eips::eip7702::{Authorization, SignedAuthorization},
        primitives::{Address, B256, Bytes, FixedBytes, LogData, U256, aliases::U192},
        rpc::types::Log,
    },
    journal::{
        BlockRef, Handover, IntentId, IntentRecord, Journal, JournalError, Lane, Moment, NonceGap, NoncePast,
        OperationRecord, ProcessId, SqliteJournal, VoidDepth,
    },
    operation::{
        Cause, Depth, Happened, Included, NotTaken, NotTakenReason, Open, OperationError, Outcome, OverBound,
        PaymasterError, Setting, Void,
    },
    permissions::{AaCode, EntryPointVersion, Verdict, model::Remaining},
    request::{ErrorAnswer, RequestError},
    revert::Revert,
    submit::{Receipt, Refusal},
};
use std::time::Duration;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..100u64,
        Just(u64::MAX),
        Just(1 << 63),
        Just((1 << 63) - 1)
    ]
}

fn word() -> impl Strategy<Value = U256> {
    prop_oneof![
        any::<[u64; 4]>().prop_map(U256::from_limbs),
        any::<u64>().prop_map(U256::from),
        Just(U256::MAX)
    ]
}

fn hash() -> impl Strategy<Value = B256> {
    any::<[u8; 32]>().prop_map(B256::from)
}

fn address() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(Address::from)
}

fn id() -> impl Strategy<Value = FixedBytes<16>> {
    any::<[u8; 16]>().prop_map(FixedBytes)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..80).prop_map(Bytes::from)
}

/// Any characters: of other scripts, quotes, control characters, zero.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        vec(any::<char>(), 0..20).prop_map(String::from_iter)
    ]
}

fn moment() -> impl Strategy<Value = Moment> {
    (number(), id(), number()).prop_map(|(at, process, sequence)| Moment {
        at,
        process: ProcessId(process),
        sequence,
    })
}

fn block() -> impl Strategy<Value = BlockRef> {
    (number(), hash()).prop_map(|(number, hash)| BlockRef { number, hash })
}

fn revert() -> impl Strategy<Value = Revert> {
    prop_oneof![
        text().prop_map(Revert::Error),
        word().prop_map(Revert::Panic),
        bytes().prop_map(|bytes| Revert::decode(&bytes)),
        Just(Revert::decode(&[0xb4, 0xd7, 0x83, 0x04])),
    ]
}

fn verdict() -> BoxedStrategy<Verdict> {
    let violation = prop_oneof![
        number().prop_map(|at| json!({ "code": "gas_values_overflow", "phase": "validation", "passes_from": at })),
        (address(), address()).prop_map(|(sender, account)| {
            json!({ "code": "sender_mismatch", "phase": "execution", "sender": sender, "account": account, "call": 3 })
        }),
    ];
    let violations = vec(
        violation.prop_map(|json| serde_json::from_value(json).unwrap()),
        0..3,
    );
    let remaining = (
        option::of(word()),
        option::of(word()),
        btree_map(address(), word(), 0..3),
    )
        .prop_map(|(native, gas, erc20)| {
            let mut remaining = Remaining::default();
            (remaining.native, remaining.gas, remaining.erc20) = (native, gas, erc20);
            remaining
        });
    prop_oneof![
        (number(), number(), remaining).prop_map(|(valid_after, valid_until, remaining)| Verdict::Accepted {
            valid_after,
            valid_until,
            remaining
        }),
        violations
            .clone()
            .prop_map(|violations| Verdict::Refused { violations }),
        violations.prop_map(|violations| Verdict::MayPass { violations }),
    ]
    .boxed()
}

fn refusal() -> impl Strategy<Value = Refusal> {
    let code = option::of(prop::sample::select(AaCode::ALL));
    (code, text(), option::of(revert())).prop_map(|(code, reason, cause)| Refusal { code, reason, cause })
}

fn reason() -> impl Strategy<Value = NotTakenReason> {
    prop_oneof![
        refusal().prop_map(NotTakenReason::Refused),
        revert().prop_map(|revert| NotTakenReason::WouldRevert { revert }),
        option::of(word()).prop_map(|least| NotTakenReason::FeeTooLow { least }),
        option::of(word()).prop_map(|least| NotTakenReason::PreVerificationGasTooLow { least }),
        Just(NotTakenReason::ReplacementUnderpriced),
        Just(NotTakenReason::Funds),
        Just(NotTakenReason::Reputation),
        Just(NotTakenReason::NonceAhead),
        any::<u16>().prop_map(|status| NotTakenReason::TurnedAway { status }),
        option::of(number()).prop_map(|retry_after| NotTakenReason::RateLimited { retry_after }),
        Just(NotTakenReason::Other),
    ]
}

fn not_taken() -> BoxedStrategy<NotTaken> {
    (text(), option::of(any::<i64>()), text(), reason())
        .prop_map(|(by, code, message, reason)| NotTaken {
            by,
            code,
            message,
            reason,
        })
        .boxed()
}

fn handover() -> BoxedStrategy<Handover> {
    prop_oneof![
        Just(Handover::Written),
        Just(Handover::NeverLeft),
        Just(Handover::NoAnswer),
        Just(Handover::InPool),
        not_taken().prop_map(Handover::NotTaken),
    ]
    .boxed()
}

fn void() -> impl Strategy<Value = Void> {
    let depth = prop_oneof![Just(VoidDepth::Finalized), number().prop_map(VoidDepth::Blocks)];
    (word(), block(), depth, option::of(hash())).prop_map(|(nonce, block, depth, used_by)| Void {
        nonce,
        block,
        depth,
        used_by,
    })
}

fn log() -> BoxedStrategy<Log> {
    let data = (vec(hash(), 0..=4), bytes()).prop_map(|(topics, data)| LogData::new_unchecked(topics, data));
    let hashes = (option::of(hash()), option::of(hash()));
    let numbers = (option::of(number()), option::of(number()), option::of(number()));
    (address(), data, hashes, numbers, any::<bool>())
        .prop_map(|(address, data, hashes, numbers, removed)| Log {
            inner: session_key_client::alloy::primitives::Log { address, data },
            block_hash: hashes.0,
            block_number: numbers.0,
            block_timestamp: numbers.1,
            transaction_hash: hashes.1,
            transaction_index: numbers.2,
            log_index: numbers.2,
            removed,
        })
        .boxed()
}

fn receipt() -> BoxedStrategy<Receipt> {
    let hashes = (hash(), hash(), hash());
    let words = (word(), word(), word());
    let addresses = (address(), option::of(address()));
    (hashes, words, addresses, number(), vec(log(), 0..3))
        .prop_map(|(hashes, words, addresses, block_number, logs)| Receipt {
            user_op_hash: hashes.0,
            sender: addresses.0,
            nonce: words.0,
            paymaster: addresses.1,
            actual_gas_cost: words.1,
            actual_gas_used: words.2,
            transaction_hash: hashes.1,
            block_number,
            block_hash: hashes.2,
            logs,
        })
        .boxed()
}

fn included() -> BoxedStrategy<Included> {
    let how = (any::<bool>(), option::of(revert()), option::of(verdict()));
    (receipt(), how, block(), any::<bool>())
        .prop_map(|(receipt, (success, reason, doubt), seen, is_final)| Included {
            receipt,
            success,
            reason,
            doubt,
            seen,
            is_final,
        })
        .boxed()
}

fn signed() -> BoxedStrategy<SignedOperation> {
    let words = (word(), word(), word(), word(), word(), word());
    let version = prop::sample::select(&EntryPointVersion::ALL[..]);
    (
        version,
        hash(),
        address(),
        words,
        (bytes(), bytes(), bytes(), bytes()),
        option::of(authorization()),
    )
        .prop_map(|(version, hash, sender, words, bytes, authorization)| {
            let operation = UserOperation {
                version: EntryPointVersion::V06,
                sender,
                nonce: words.0,
                init_code: bytes.0,
                call_data: bytes.1,
                call_gas_limit: words.1,
                verification_gas_limit: words.2,
                pre_verification_gas: words.3,
                max_fee_per_gas: words.4,
                max_priority_fee_per_gas: words.5,
                paymaster_and_data: bytes.2,
                signature: bytes.3,
                authorization: None,
            };
            let operation = if version.is_packed() {
                UserOperation {
                    authorization,
                    ..packed(operation, version)
                }
            } else {
                operation
            };
            SignedOperation { operation, hash }
        })
        .boxed()
}

fn authorization() -> impl Strategy<Value = SignedAuthorization> {
    let signed = (any::<bool>(), word(), word());
    (word(), address(), any::<u64>(), signed).prop_map(|(chain_id, address, nonce, (is_odd, r, s))| {
        let authorization = Authorization {
            chain_id,
            address,
            nonce,
        };
        SignedAuthorization::new_unchecked(authorization, is_odd.into(), r, s)
    })
}

/// The operation with numbers that fit half a word, a factory and a paymaster that are whole or not there.
fn packed(operation: UserOperation, version: EntryPointVersion) -> UserOperation {
    let half = |number: U256| number >> 128;
    let whole = |bytes: Bytes, least: usize| {
        if bytes.len() < least { Bytes::new() } else { bytes }
    };
    UserOperation {
        version,
        call_gas_limit: half(operation.call_gas_limit),
        verification_gas_limit: half(operation.verification_gas_limit),
        max_fee_per_gas: half(operation.max_fee_per_gas),
        max_priority_fee_per_gas: half(operation.max_priority_fee_per_gas),
        init_code: whole(operation.init_code, 20),
        paymaster_and_data: whole(operation.paymaster_and_data, 52),
        ..operation
    }
}

fn depth() -> impl Strategy<Value = Depth> {
    prop_oneof![
        Just(Depth::Latest),
        number().prop_map(Depth::Blocks),
        Just(Depth::Final)
    ]
}

fn operation() -> BoxedStrategy<OperationRecord> {
    let past = (block(), option::of(hash())).prop_map(|(block, used_by)| NoncePast { block, used_by });
    let gap =
        (word(), option::of(hash()), block()).prop_map(|(next, by, block)| NonceGap { next, by, block });
    let became = (
        option::of(past),
        option::of(gap),
        option::of(void()),
        option::of(included()),
    );
    (signed(), block(), option::of(verdict()), handover(), became)
        .prop_map(|(signed, made, doubt, handover, became)| OperationRecord {
            signed,
            made,
            doubt,
            handover,
            nonce_past: became.0,
            nonce_gap: became.1,
            void: became.2,
            included: became.3,
        })
        .boxed()
}

fn record() -> BoxedStrategy<IntentRecord> {
    let lane = (number(), address(), address(), any::<[u64; 3]>()).prop_map(
        |(chain_id, entry_point, account, nonce_key)| Lane {
            chain_id,
            entry_point,
            account,
            nonce_key: U192::from_limbs(nonce_key),
        },
    );
    let asked_for = (address(), option::of(text()), hash(), vec(address(), 0..3));
    let times = (moment(), number(), option::of(moment()));
    let told = (any::<bool>(), option::of(id()));
    (id(), lane, asked_for, times, told, vec(operation(), 0..4))
        .prop_map(
            |(
                id,
                lane,
                (signer, name, request, grants_to),
                (asked, deadline, given_up),
                told,
                operations,
            )| {
                IntentRecord {
                    id: IntentId(id),
                    version: 0,
                    lane,
                    signer,
                    name,
                    request,
                    grants_to,
                    asked,
                    deadline,
                    given_up,
                    told: told.0,
                    told_to: told.1.map(IntentId),
                    operations,
                }
            },
        )
        .boxed()
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        included().prop_map(Outcome::Included),
        void().prop_map(Outcome::Void),
        Just(Outcome::NeverSent),
        Just(Outcome::Open(Open::NoAnswer)),
        Just(Outcome::Open(Open::InPool)),
        not_taken().prop_map(|reason| Outcome::Open(Open::NotTaken(reason))),
        option::of(hash()).prop_map(|by| Outcome::Open(Open::NonceUsed { by })),
        (word(), word(), option::of(hash())).prop_map(|(nonce, next, by)| Outcome::Open(Open::NonceGap {
            nonce,
            next,
            by
        })),
    ]
}

fn request_error() -> impl Strategy<Value = RequestError> {
    prop_oneof![
        text().prop_map(|message| RequestError::NotReached { message }),
        text().prop_map(|message| RequestError::NotMade { message }),
        (any::<u16>(), text()).prop_map(|(status, message)| RequestError::TurnedAway { status, message }),
        (text(), option::of(number()))
            .prop_map(|(message, retry_after)| RequestError::RateLimited { message, retry_after }),
        (text(), option::of(any::<u16>()))
            .prop_map(|(message, status)| RequestError::NoAnswer { message, status }),
        (option::of(any::<i64>()), text(), option::of(bytes())).prop_map(|(code, message, data)| {
            let mut answer = ErrorAnswer::new(code, &message);
            answer.data = data;
            RequestError::Answered(answer)
        }),
        (text(), text()).prop_map(|(method, found)| RequestError::Unreadable { method, found }),
        any::<usize>().prop_map(|limit| RequestError::TooLarge { limit }),
    ]
}

/// Every way in which an operation can end in an error.
fn cause() -> impl Strategy<Value = Cause> {
    let waited =
        || (number(), 0..1_000_000_000u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos));
    let key = || (address(), address());
    let settings = [
        Setting::MaxCost,
        Setting::MaxPriorityFee,
        Setting::MaxFee,
        Setting::VerificationGasLimit,
        Setting::CallGasLimit,
        Setting::PreVerificationGas,
    ];
    let before = prop_oneof![
        (text(), any::<bool>()).prop_map(|(message, is_transient)| Cause::Read {
            message,
            is_transient
        }),
        (text(), request_error()).prop_map(|(by, error)| Cause::Request { by, error }),
        text().prop_map(|message| Cause::Permission { message }),
        key().prop_map(|(account, session_key)| Cause::KeyNotFound { account, session_key }),
        address().prop_map(|account| Cause::AccountNotDeployed { account }),
        key().prop_map(|(account, plugin)| Cause::PluginNotInstalled { account, plugin }),
        (number(), number()).prop_map(|(expected, found)| Cause::WrongChain { expected, found }),
        Just(Cause::NoAction),
        Just(Cause::NoVerdict),
        verdict().prop_map(|verdict| Cause::NotAllowed {
            verdict: Box::new(verdict)
        }),
        refusal().prop_map(Cause::Refused),
        revert().prop_map(|revert| Cause::WouldRevert { revert }),
        (word(), word()).prop_map(|(max_fee_per_gas, max_priority_fee_per_gas)| {
            Cause::ReplacementUnderpriced {
                max_fee_per_gas,
                max_priority_fee_per_gas,
            }
        }),
        (word(), word()).prop_map(|(needed, remaining)| Cause::GasBudget { needed, remaining }),
        (prop::sample::select(settings.to_vec()), word(), word()).prop_map(|(setting, asked, bound)| {
            Cause::OverBound(OverBound {
                setting,
                asked,
                bound,
            })
        }),
        text().prop_map(|message| Cause::Signer { message }),
    ];
    let outside = prop_oneof![
        prop_oneof![
            text().prop_map(|message| PaymasterError::Declined { message }),
            Just(PaymasterError::NoData),
            key().prop_map(|(expected, found)| PaymasterError::OtherPaymaster { expected, found }),
            any::<usize>().prop_map(|length| PaymasterError::TooShort { length }),
        ]
        .prop_map(Cause::Paymaster),
        prop_oneof![
            Just(JournalError::LeaseLost),
            id().prop_map(|id| JournalError::Conflict { id: IntentId(id) }),
            (text(), id()).prop_map(|(name, holder)| JournalError::NameTaken {
                name,
                holder: IntentId(holder)
            }),
            text().prop_map(|message| JournalError::Store { message }),
            text().prop_map(|message| JournalError::Unreadable { message }),
        ]
        .prop_map(Cause::Journal),
        (text(), text(), text()).prop_map(|(what, expected, found)| Cause::NotOurs {
            what,
            expected,
            found
        }),
        request_error().prop_map(|error| Cause::NotReached { error }),
        not_taken().prop_map(Cause::NotTaken),
    ];
    let after = prop_oneof![
        waited().prop_map(|waited| Cause::LaneBusy { waited }),
        waited().prop_map(|waited| Cause::NotSentInTime { waited }),
        waited().prop_map(|waited| Cause::NoAnswerInTime { waited }),
        waited().prop_map(|waited| Cause::NotIncludedInTime { waited }),
        hash().prop_map(|by| Cause::BlockedBy { by }),
        option::of(hash()).prop_map(|by| Cause::NonceUsed { by }),
        (word(), word(), option::of(hash())).prop_map(|(nonce, next, by)| Cause::NonceGap {
            nonce,
            next,
            by
        }),
        (id(), included()).prop_map(|(intent, included)| Cause::AlreadyHappened {
            intent: IntentId(intent),
            included: Box::new(included)
        }),
        Just(Cause::Shared),
        (text(), id(), outcome()).prop_map(|(name, intent, outcome)| Cause::NameTaken {
            name,
            intent: IntentId(intent),
            outcome: Box::new(outcome)
        }),
        (included(), depth(), waited()).prop_map(|(included, depth, waited)| Cause::NotDeepInTime {
            depth,
            included: Box::new(included),
            waited
        }),
        included().prop_map(|included| Cause::Reverted {
            included: Box::new(included)
        }),
        key().prop_map(|(account, session_key)| Cause::StillThere { account, session_key }),
        Just(Cause::NeverSent),
        void().prop_map(|void| Cause::Void { void: Box::new(void) }),
    ];
    prop_oneof![before, outside, after]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn an_error_is_read_as_it_was_written(
        cause in cause(), intent in option::of(id()), user_op_hash in option::of(hash()),
        happened in prop::sample::select(vec![
            Happened::Yes, Happened::No, Happened::Reverted, Happened::NotYet, Happened::Unknown,
        ]),
    ) {
        let error = OperationError { cause: Box::new(cause), happened, intent: intent.map(IntentId), user_op_hash };
        let written = serde_json::to_string(&error).unwrap();
        prop_assert_eq!(&serde_json::from_str::<OperationError>(&written).unwrap(), &error);
        // In whatever order the members come.
        let sorted: Value = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(&serde_json::from_value::<OperationError>(sorted).unwrap(), &error);
        prop_assert!(!error.code().is_empty());
        prop_assert_eq!(error.happened(), happened);
        let _ = (error.to_string(), error.advice());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_record_is_read_as_it_was_written(record in record(), version in number()) {
        let record = IntentRecord { version, ..record };
        let written = serde_json::to_string(&record).unwrap();
        prop_assert_eq!(serde_json::from_str::<IntentRecord>(&written).unwrap(), record.clone());
        // In whatever order the members come.
        let sorted: Value = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(serde_json::from_value::<IntentRecord>(sorted).unwrap(), record);
    }

    #[test]
    fn a_record_with_a_member_too_many_or_too_few_is_not_read(record in record(), operation in operation()) {
        let record = IntentRecord {
            given_up: Some(record.asked),
            operations: vec![OperationRecord {
                nonce_past: Some(NoncePast {
                    block: operation.made,
                    used_by: None,
                }),
                void: Some(Void {
                    nonce: operation.nonce(),
                    block: operation.made,
                    depth: VoidDepth::Finalized,
                    used_by: None,
                }),
                ..operation
            }],
            ..record
        };
        let written = serde_json::to_value(&record).unwrap();
        let objects = [
            "", "/lane", "/asked", "/givenUp", "/operations/0", "/operations/0/signed", "/operations/0/made",
            "/operations/0/noncePast", "/operations/0/void", "/operations/0/void/block",
        ];
        for object in objects {
            let mut changed = written.clone();
            let members = changed.pointer_mut(object).and_then(Value::as_object_mut).unwrap();
            members.insert("later".to_owned(), json!(1));
            prop_assert!(serde_json::from_value::<IntentRecord>(changed).is_err(), "{object}/later was ignored");
        }
        let needed = [
            ("", "id"), ("", "version"), ("", "lane"), ("", "signer"), ("", "request"), ("", "grantsTo"),
            ("", "asked"), ("", "deadline"), ("", "told"), ("", "operations"), ("/lane", "nonceKey"),
            ("/operations/0", "signed"), ("/operations/0/signed", "hash"),
            ("/operations/0/signed", "operation"), ("/operations/0/signed/operation", "signature"),
            ("/operations/0/signed/operation", "nonce"), ("/operations/0", "made"),
            ("/operations/0", "handover"), ("/operations/0/handover", "state"),
        ];
        for (object, member) in needed {
            let mut changed = written.clone();
            let members = changed.pointer_mut(object).and_then(Value::as_object_mut).unwrap();
            prop_assert!(members.remove(member).is_some(), "{object}/{member} is not there");
            prop_assert!(serde_json::from_value::<IntentRecord>(changed).is_err(), "{object}/{member} was not missed");
        }
    }
}

#[test]
fn a_refusal_under_its_former_names_is_read() {
    let refusal = Refusal {
        code: Some(AaCode::AccountReverted),
        reason: "AA23 reverted (or OOG)".to_owned(),
        cause: Some(Revert::decode(&[0xb4, 0xd7, 0x83, 0x04])),
    };
    let mut written = serde_json::to_value(&refusal).unwrap();
    let members = written.as_object_mut().unwrap();
    let revert = members.remove("revert").unwrap();
    members.insert("cause".to_owned(), revert);
    assert_eq!(serde_json::from_value::<Refusal>(written).unwrap(), refusal);
}

#[test]
fn a_file_keeps_any_record() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let journal = runtime
        .block_on(SqliteJournal::open(folder.path().join("journal.db")))
        .unwrap();
    let config = ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(record in record(), next in record())| {
        runtime.block_on(async {
            let written = journal.put(record.clone(), None).await.unwrap();
            let expected = IntentRecord { version: 1, ..record.clone() };
            prop_assert_eq!(&written, &expected);
            prop_assert_eq!(journal.intent(record.id).await.unwrap(), Some(expected));
            let next = IntentRecord { id: record.id, version: 1, ..next };
            journal.put(next.clone(), None).await.unwrap();
            let expected = IntentRecord { version: 2, ..next };
            prop_assert_eq!(journal.intent(record.id).await.unwrap(), Some(expected.clone()));
            if expected.holds_name() {
                let name = expected.name.clone().unwrap();
                prop_assert_eq!(journal.named(&expected.scope(), &name).await.unwrap(), Some(expected));
            }
            Ok(())
        })?;
    });
}
