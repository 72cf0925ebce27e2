//! What happens to an account and its session keys: operations, what owners do, time. Everything leans to
//! what is allowed but for one thing, and to the boundaries of limits and intervals.
//!
//! The larger strategies are boxed: a test's stack would be too small for what they are made of.

use crate::{
    Generation,
    account::{AccountWorld, RECIPIENT, REFUSER, SHOP, START},
};
use alloy::{
    primitives::{Address, B256, Selector, U256, hex},
    signers::local::PrivateKeySigner,
    sol_types::SolCall,
};
use proptest::prelude::*;
use session_key_bindings::{IModularAccount, IMultiOwnerPlugin};
use session_key_client::{
    Call,
    permissions::{
        AccessControlType, AddressEntry, ERC20_APPROVE, ERC20_TRANSFER, Erc20SpendLimit, FunctionEntry,
        MAX_SECONDS, PermissionUpdate, SpendLimit, TimeRange, model::KeyState,
    },
};

/// Seconds of a day.
pub const DAY: u64 = 86_400;

/// How many session keys there are to choose from.
pub const KEYS: usize = 4;

/// Functions of nothing in particular.
pub const BUY: Selector = Selector::new(hex!("a0712d68"));
/// See [`BUY`].
pub const SELL: Selector = Selector::new(hex!("e4849b32"));

/// Functions that turn up.
pub const SELECTORS: [Selector; 5] = [BUY, SELL, ERC20_TRANSFER, ERC20_APPROVE, Selector::ZERO];

/// Gas units that an operation asks for, three times: for its call, its validation, and what is around it.
pub const GAS: u64 = 1_500_000;

/// Wei per gas unit of most operations.
pub const FEE: u64 = 2_000_000_000;

/// One of the session keys.
pub fn session_key(index: usize) -> PrivateKeySigner {
    let scalar = B256::from(U256::from(0x5e55_0001 + index % KEYS));
    PrivateKeySigner::from_bytes(&scalar).expect("a small number is a private key")
}

/// A session key, as it is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// By its number, registered or not.
    Number(usize),
    /// By its place in the list of registered keys, counted modulo their number; without any, by its number.
    Registered(usize),
    /// The same, of those whose gas reset is pending; without any, of all.
    Pending(usize),
}

impl Key {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            1 => (0..KEYS).prop_map(Self::Number),
            16 => (0..KEYS).prop_map(Self::Registered),
            5 => (0..KEYS).prop_map(Self::Pending),
        ]
    }
}

/// A contract that is known before the world is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Without code.
    Shop,
    /// The ERC-20 token.
    Token,
    /// Refuses every call.
    Refuser,
    /// The account itself.
    Account,
    /// The EntryPoint.
    EntryPoint,
    /// The session key plugin.
    Plugin,
    /// The owner plugin.
    OwnerPlugin,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Shop,
        Self::Token,
        Self::Refuser,
        Self::Account,
        Self::EntryPoint,
        Self::Plugin,
        Self::OwnerPlugin,
    ];

    /// Its address.
    pub const fn address(self, world: &AccountWorld) -> Address {
        match self {
            Self::Shop => SHOP,
            Self::Token => world.stack.token,
            Self::Refuser => REFUSER,
            Self::Account => world.account,
            Self::EntryPoint => world.stack.entry_point,
            Self::Plugin => world.stack.session_key_plugin,
            Self::OwnerPlugin => world.stack.multi_owner_plugin,
        }
    }

    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            12 => Just(Self::Shop),
            18 => Just(Self::Token),
            3 => Just(Self::Refuser),
            1 => Just(Self::EntryPoint),
            1 => Just(Self::Account),
            1 => Just(Self::Plugin),
            1 => Just(Self::OwnerPlugin),
        ]
    }
}

fn any_selector() -> impl Strategy<Value = Selector> {
    prop::sample::select(&SELECTORS)
}

/// An amount of wei, of tokens, or of what an operation costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// As it is.
    Exactly(U256),
    /// What is left of the limit, and so much more or less. [`Exactly`](Self::Exactly) 1 without a limit.
    Left(i8),
}

impl Amount {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            10 => (0..4u64).prop_map(|amount| Self::Exactly(U256::from(amount))),
            5 => prop_oneof![3 => Just(0i8), 2 => Just(1), 1 => Just(-1)].prop_map(Self::Left),
            1 => (0..3u64).prop_map(|less| Self::Exactly(U256::MAX - U256::from(less))),
            1 => (0..3u64).prop_map(|less| Self::Exactly((U256::from(1) << 80) + U256::from(1) - U256::from(less))),
        ]
    }

    /// The amount, where so much is left of the limit.
    pub fn of(self, left: Option<U256>) -> U256 {
        match (self, left) {
            (Self::Exactly(amount), _) => amount,
            (Self::Left(_), None) => U256::from(1),
            (Self::Left(more), Some(left)) => {
                let step = U256::from(more.unsigned_abs());
                match more {
                    0.. => left.saturating_add(step),
                    _ => left.saturating_sub(step),
                }
            }
        }
    }
}

/// An update of permissions.
#[derive(Clone, Debug)]
pub enum Change {
    /// The same everywhere.
    Update(PermissionUpdate),
    /// A contract: on the list, check selectors.
    Contract(Target, bool, bool),
    /// A function: on the list.
    Function(Target, Selector, bool),
    /// A limit of a token: mostly the token.
    TokenLimit(Target, SpendLimit),
    /// From so many seconds after [`START`], to so many. `None`: no bound.
    Range(Option<i64>, Option<i64>),
    /// One of the paymasters, or somebody else.
    Paymaster(Paymaster),
}

/// A paymaster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paymaster {
    /// No one.
    None,
    /// The first, or the second.
    Number(usize),
    /// Somebody who is none. Never used by an operation.
    Nobody,
}

impl Paymaster {
    const fn address(self, world: &AccountWorld) -> Address {
        match self {
            Self::None => Address::ZERO,
            Self::Number(index) => world.paymasters[index % 2],
            Self::Nobody => RECIPIENT,
        }
    }
}

fn any_limit(amounts: impl Strategy<Value = U256>) -> impl Strategy<Value = SpendLimit> {
    let intervals = prop_oneof![
        3 => Just(0),
        4 => Just(10),
        2 => Just(1),
        1 => Just(DAY),
        1 => Just(MAX_SECONDS),
        1 => Just(1 << 40),
    ];
    (amounts, intervals).prop_map(|(spend_limit, refresh_interval)| SpendLimit {
        spend_limit,
        refresh_interval,
    })
}

fn any_limit_amount() -> impl Strategy<Value = U256> {
    prop_oneof![
        12 => (0..6u64).prop_map(U256::from),
        1 => (0..3u64).prop_map(|less| U256::MAX - U256::from(less)),
        // Where a limit no longer fits into one word of storage.
        1 => (0..3u64).prop_map(|less| (U256::from(1) << 80) + U256::from(1) - U256::from(less)),
    ]
}

/// About the cost of one operation or a few, with and without a paymaster.
fn any_gas_limit_amount() -> impl Strategy<Value = U256> {
    let gas = prop::sample::select(vec![3, 5, 6, 8, 10]).prop_map(|limits: u64| U256::from(limits * GAS));
    prop_oneof![
        5 => (gas.clone(), 0..3u64).prop_map(|(gas, less)| gas * U256::from(FEE) + U256::from(1) - U256::from(less)),
        3 => (gas, 0..3u64).prop_map(|(gas, less)| gas + U256::from(1) - U256::from(less)),
        1 => Just(U256::MAX),
        1 => Just(U256::ZERO),
    ]
}

impl Change {
    fn any() -> BoxedStrategy<Self> {
        let kinds = prop::sample::select(vec![
            AccessControlType::Allowlist,
            AccessControlType::Denylist,
            AccessControlType::AllowAllAccess,
        ]);
        let tokens = prop_oneof![4 => Just(Target::Token), 1 => Just(Target::Shop)];
        let bound = || prop::option::of(-20..100i64);
        let paymaster = prop_oneof![
            1 => Just(Paymaster::None),
            3 => (0..2usize).prop_map(Paymaster::Number),
            1 => Just(Paymaster::Nobody),
        ];
        prop_oneof![
            3 => kinds.prop_map(|kind| Self::Update(PermissionUpdate::AccessListType(kind))),
            6 => (Target::any(), prop::bool::weighted(0.8), any::<bool>())
                .prop_map(|(target, is_on_list, check)| Self::Contract(target, is_on_list, check)),
            4 => (Target::any(), any_selector(), prop::bool::weighted(0.8))
                .prop_map(|(target, selector, is_on_list)| Self::Function(target, selector, is_on_list)),
            1 => (bound(), bound()).prop_map(|(from, until)| Self::Range(from, until)),
            4 => any_limit(any_limit_amount())
                .prop_map(|limit| Self::Update(PermissionUpdate::NativeTokenSpendLimit(limit))),
            4 => (tokens, any_limit(any_limit_amount()))
                .prop_map(|(token, limit)| Self::TokenLimit(token, limit)),
            4 => any_limit(any_gas_limit_amount())
                .prop_map(|limit| Self::Update(PermissionUpdate::GasSpendLimit(limit))),
            1 => paymaster.prop_map(Self::Paymaster),
        ]
        .boxed()
    }

    /// Permissions that let calls through, or all would fail for the first rule; then a few changes.
    pub fn any_permissions() -> BoxedStrategy<Vec<Self>> {
        let list_type = |kind| Self::Update(PermissionUpdate::AccessListType(kind));
        let list = prop_oneof![
            Just(vec![list_type(AccessControlType::AllowAllAccess)]),
            Just(vec![list_type(AccessControlType::Denylist)]),
            Just(
                [Target::Shop, Target::Token, Target::Refuser]
                    .map(|target| Self::Contract(target, true, false))
                    .to_vec()
            ),
        ];
        let limit = || any_limit((4..30u64).prop_map(U256::from));
        (
            list,
            limit(),
            limit(),
            prop::option::weighted(0.4, any_limit(any_gas_limit_amount())),
            prop_oneof![
                1 => Just(Vec::new()).boxed(),
                1 => prop::collection::vec(Self::any(), 0..4).boxed(),
            ],
        )
            .prop_map(|(mut changes, native, token, gas, more)| {
                changes.push(Self::Update(PermissionUpdate::NativeTokenSpendLimit(native)));
                changes.push(Self::TokenLimit(Target::Token, token));
                changes.extend(gas.map(|limit| Self::Update(PermissionUpdate::GasSpendLimit(limit))));
                changes.extend(more);
                changes
            })
            .boxed()
    }

    /// A few changes.
    pub fn any_few() -> impl Strategy<Value = Vec<Self>> {
        prop::collection::vec(Self::any(), 0..4)
    }

    /// The update.
    pub fn update(&self, world: &AccountWorld) -> PermissionUpdate {
        let time = |offset: Option<i64>| offset.map_or(0, |offset| START.saturating_add_signed(offset));
        match *self {
            Self::Update(update) => update,
            Self::Contract(target, is_on_list, check_selectors) => {
                PermissionUpdate::AddressEntry(AddressEntry {
                    contract: target.address(world),
                    is_on_list,
                    check_selectors,
                })
            }
            Self::Function(target, selector, is_on_list) => PermissionUpdate::FunctionEntry(FunctionEntry {
                contract: target.address(world),
                selector,
                is_on_list,
            }),
            Self::TokenLimit(target, limit) => PermissionUpdate::Erc20SpendLimit(Erc20SpendLimit {
                token: target.address(world),
                limit,
            }),
            Self::Range(from, until) => PermissionUpdate::TimeRange(TimeRange {
                valid_after: time(from),
                valid_until: time(until),
            }),
            Self::Paymaster(paymaster) => PermissionUpdate::RequiredPaymaster(paymaster.address(world)),
        }
    }
}

/// A call that a session key makes.
#[derive(Clone, Debug)]
pub struct KeyCall {
    /// Whom.
    pub target: Target,
    /// Which function.
    pub selector: Selector,
    /// The second argument, in tokens.
    pub amount: Amount,
    /// In wei.
    pub value: Amount,
    /// Length of the data: cut here, if it is longer.
    pub length: usize,
}

impl KeyCall {
    fn any() -> BoxedStrategy<Self> {
        let lengths = || {
            prop_oneof![
                40 => Just(68),
                4 => Just(69),
                1 => Just(67),
                1 => Just(4),
                1 => 0..4usize,
            ]
        };
        let values = || prop_oneof![2 => Just(Amount::Exactly(U256::ZERO)), 3 => Amount::any()];
        let nothing = || Just(Amount::Exactly(U256::ZERO));
        let token_function = prop_oneof![3 => Just(ERC20_TRANSFER), 1 => Just(ERC20_APPROVE)];
        prop_oneof![
            8 => (Just(Target::Token), token_function, Amount::any(), nothing(), lengths()),
            6 => (Just(Target::Shop), any_selector(), nothing(), values(), 0..9usize),
            2 => (Just(Target::Refuser), any_selector(), nothing(), nothing(), 0..9usize),
            1 => (Target::any(), any_selector(), Amount::any(), values(), lengths()),
        ]
        .prop_map(|(target, selector, amount, value, length)| Self {
            target,
            selector,
            amount,
            value,
            length,
        })
        .boxed()
    }

    /// The call, of a key in this state, at this time.
    pub fn call(&self, world: &AccountWorld, state: &KeyState, time: u64) -> Call {
        let target = self.target.address(world);
        let limit = state.contracts.get(&target).map(|contract| contract.token_limit);
        let amount = self.amount.of(limit.and_then(|limit| limit.remaining(time)));
        let value = self.value.of(state.native_limit.remaining(time));
        let mut data = self.selector.to_vec();
        data.extend(RECIPIENT.into_word());
        data.extend(amount.to_be_bytes::<32>());
        data.push(0xff);
        data.truncate(self.length);
        Call::new(target, data).with_value(value)
    }
}

/// What an operation offers to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fee {
    /// Nothing.
    Free,
    /// [`GAS`] three times, at [`FEE`].
    Usual,
    /// So much in all, at one wei per gas unit, by means of `preVerificationGas`.
    Cost(Amount),
}

/// What is odd about an operation.
#[derive(Clone, Debug)]
pub enum Oddity {
    /// Another key signs.
    SignedByKey(usize),
    /// The account's owner signs.
    SignedByOwner,
    /// The signature's twin: the other `s`. It is nobody's.
    HighS,
    /// The signature is cut to so many bytes.
    ShortSignature(u8),
    /// The signature has this last byte.
    V(u8),
    /// The nonce's lane is another key's.
    LaneOfKey(usize),
    /// The nonce's lane is a number.
    Lane(u64),
    /// It is another account's.
    OtherAccount,
    /// It calls another function of the account.
    Function(Selector),
    /// A byte of the call data, as a share of its length, and what is xored to it.
    Flip(prop::sample::Index, u8),
    /// So many bytes of the call data are cut off.
    Cut(usize),
    /// It has no calls.
    NoCalls,
    /// There are so many bytes of paymaster data in all; fewer than 20 name none.
    PaymasterData(usize),
    /// It pays nothing, but asks for as much gas as can be, or for one unit more.
    ExtremeGas {
        /// One unit more.
        over: bool,
    },
}

impl Oddity {
    fn any() -> impl Strategy<Value = Self> {
        // The account's own, the owner plugin's, and nobody's.
        let functions = vec![
            Selector::new(IModularAccount::executeCall::SELECTOR),
            Selector::new(IMultiOwnerPlugin::updateOwnersCall::SELECTOR),
            Selector::ZERO,
        ];
        let v = prop_oneof![Just(0u8), Just(1), Just(26), Just(29), any::<u8>()];
        let flip = (any::<prop::sample::Index>(), 1u8..);
        prop_oneof![
            2 => (0..KEYS).prop_map(Self::SignedByKey),
            1 => Just(Self::SignedByOwner),
            1 => Just(Self::HighS),
            1 => (0..65u8).prop_map(Self::ShortSignature),
            1 => v.prop_map(Self::V),
            2 => (0..KEYS).prop_map(Self::LaneOfKey),
            2 => (0..2u64).prop_map(|lane| Self::Lane(7 * lane)),
            1 => Just(Self::OtherAccount),
            1 => prop::sample::select(functions).prop_map(Self::Function),
            6 => flip.prop_map(|(index, bits)| Self::Flip(index, bits)),
            2 => (0..200usize).prop_map(Self::Cut),
            1 => Just(Self::NoCalls),
            2 => prop::sample::select(vec![1usize, 19, 21, 52]).prop_map(Self::PaymasterData),
            1 => any::<bool>().prop_map(|over| Self::ExtremeGas { over }),
        ]
    }
}

/// An operation that a session key makes.
#[derive(Clone, Debug)]
pub struct KeyOperation {
    /// The key that it names, and that signs it.
    pub key: Key,
    /// What it calls.
    pub calls: Vec<KeyCall>,
    /// What it pays.
    pub fee: Fee,
    /// The paymaster.
    pub paymaster: Option<usize>,
    /// Most have nothing.
    pub odd: Option<Oddity>,
}

impl KeyOperation {
    /// Any operation of one of these keys; odd with this probability.
    pub fn any(keys: impl Strategy<Value = Key> + 'static, odd: f64) -> BoxedStrategy<Self> {
        let more = prop_oneof![3 => Just(0i8), 2 => Just(1), 1 => Just(-1)];
        let fee = prop_oneof![
            5 => Just(Fee::Usual),
            3 => Just(Fee::Free),
            4 => more.prop_map(|more| Fee::Cost(Amount::Left(more))),
        ];
        // The more calls, the more often one of them is refused.
        let calls = prop_oneof![
            3 => prop::collection::vec(KeyCall::any(), 1).boxed(),
            1 => prop::collection::vec(KeyCall::any(), 2..4).boxed(),
        ];
        (
            keys,
            calls,
            fee,
            prop::option::weighted(0.3, 0..2usize),
            prop::option::weighted(odd, Oddity::any()),
        )
            .prop_map(|(key, calls, fee, paymaster, odd)| Self {
                key,
                calls,
                fee,
                paymaster,
                odd,
            })
            .boxed()
    }
}

/// The entry before a key in the list, as an owner gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predecessor {
    /// The right one.
    Right,
    /// Zero: the plugin is to search it.
    Search,
    /// That of the first entry.
    First,
    /// A key, whether right or not.
    Key(usize),
}

/// What an owner does, by transaction or by operation.
#[derive(Clone, Debug)]
pub enum OwnerAction {
    /// `addSessionKey`.
    Add(usize, Vec<Change>),
    /// `removeSessionKey`.
    Remove(Key, Predecessor),
    /// `rotateSessionKey`, from the one to the other.
    Rotate(Key, Predecessor, usize),
    /// `updateKeyPermissions`; spoilt: the last update is none.
    Update {
        /// The key.
        key: Key,
        /// The updates.
        changes: Vec<Change>,
        /// Whether one that does not exist follows.
        spoilt: bool,
    },
    /// `uninstallPlugin`; starved: by force, and without gas for the plugin. On a v0.8 account, the batch of
    /// three calls that takes the module off; starved: no call has data for the module.
    Uninstall {
        /// Whether the plugin does not notice.
        starved: bool,
    },
    /// `installPlugin`, with these keys. On a v0.8 account, the batch of three calls that
    /// installs the module.
    Install(Vec<(usize, Vec<Change>)>),
    /// Takes the module off a v0.8 account, and tells it so or not: with the validation of operations, with
    /// that of direct calls, with its functions.
    Dismantle([bool; 3]),
    /// Installs the module on a v0.8 account, and does not tell it so.
    Reassemble,
}

impl OwnerAction {
    /// Whether the account itself does it, and not the plugin.
    pub const fn is_accounts(&self) -> bool {
        match self {
            Self::Uninstall { .. } | Self::Install(_) | Self::Dismantle(_) | Self::Reassemble => true,
            Self::Add(..) | Self::Remove(..) | Self::Rotate(..) | Self::Update { .. } => false,
        }
    }

    /// Any action of accounts of this generation.
    pub fn any(generation: Generation) -> BoxedStrategy<Self> {
        match generation {
            Generation::V07 => Self::any_of_both(),
            Generation::V08 => prop_oneof![
                22 => Self::any_of_both(),
                1 => any::<[bool; 3]>().prop_map(Self::Dismantle),
                1 => Just(Self::Reassemble),
            ]
            .boxed(),
        }
    }

    fn any_of_both() -> BoxedStrategy<Self> {
        let predecessor = || {
            prop_oneof![
                5 => Just(Predecessor::Right),
                2 => Just(Predecessor::Search),
                1 => Just(Predecessor::First),
                2 => (0..KEYS).prop_map(Predecessor::Key),
            ]
        };
        let added = || {
            (
                0..KEYS,
                prop_oneof![4 => Change::any_permissions(), 1 => Change::any_few().boxed()],
            )
        };
        prop_oneof![
            6 => added().prop_map(|(key, changes)| Self::Add(key, changes)),
            3 => (Key::any(), predecessor()).prop_map(|(key, predecessor)| Self::Remove(key, predecessor)),
            3 => (Key::any(), predecessor(), 0..KEYS)
                .prop_map(|(old, predecessor, new)| Self::Rotate(old, predecessor, new)),
            8 => (Key::any(), Change::any_few(), prop::bool::weighted(0.1))
                .prop_map(|(key, changes, spoilt)| Self::Update { key, changes, spoilt }),
            1 => prop::bool::weighted(0.3).prop_map(|starved| Self::Uninstall { starved }),
            2 => prop::collection::vec(added(), 0..3).prop_map(Self::Install),
        ]
        .boxed()
    }
}

/// One operation of a bundle.
#[derive(Clone, Debug)]
pub enum BundleOperation {
    /// A session key's.
    Key(KeyOperation),
    /// The owner's.
    Owner(OwnerAction),
}

/// One transaction.
#[derive(Clone, Debug)]
pub enum Action {
    /// By the owner.
    Owner(OwnerAction),
    /// The same, by somebody else.
    Stranger(OwnerAction),
    /// `resetSessionKeyGasLimitTimestamp`, by anyone.
    ResetGas(Key),
    /// `handleOps`.
    Bundle(Vec<BundleOperation>),
}

impl Action {
    /// Any transaction, of an account of this generation.
    pub fn any(generation: Generation) -> BoxedStrategy<Self> {
        let operation = || {
            prop_oneof![
                6 => KeyOperation::any(Key::any(), 0.05).prop_map(BundleOperation::Key),
                1 => OwnerAction::any(generation).prop_map(BundleOperation::Owner),
            ]
        };
        // One operation that is refused takes the whole bundle with it.
        let bundle = prop_oneof![
            2 => prop::collection::vec(operation(), 1).boxed(),
            3 => prop::collection::vec(operation(), 2..5).boxed(),
        ];
        prop_oneof![
            10 => OwnerAction::any(generation).prop_map(Self::Owner),
            1 => OwnerAction::any(generation).prop_map(Self::Stranger),
            1 => Key::any().prop_map(Self::ResetGas),
            3 => (0..KEYS).prop_map(|place| Self::ResetGas(Key::Pending(place))),
            20 => bundle.prop_map(Self::Bundle),
        ]
        .boxed()
    }
}

/// How much later the next transaction comes: at least a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// So many seconds.
    Seconds(u64),
    /// When an interval or a range begins or ends, chosen by the first number; and so many seconds
    /// later or earlier.
    Boundary(usize, i8),
    /// About where the plugin's `uint48` ends.
    EndOfTime(u8),
}

impl Pause {
    /// Any pause.
    pub fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            8 => (1..4u64).prop_map(Self::Seconds),
            2 => prop::sample::select(vec![9, 10, 11, DAY - 1, DAY, DAY + 1]).prop_map(Self::Seconds),
            8 => (0..16usize, -1..2i8).prop_map(|(index, offset)| Self::Boundary(index, offset)),
            // Afterwards nothing refreshes any more.
            1 => prop_oneof![8 => Just(Self::Seconds(5)), 1 => (0..4u8).prop_map(Self::EndOfTime)],
        ]
    }

    /// When the next transaction comes.
    pub fn until(self, now: u64, states: &[&KeyState]) -> u64 {
        let later = match self {
            Self::Seconds(seconds) => now + seconds,
            Self::Boundary(index, offset) => {
                let boundaries = boundaries(now, states);
                match boundaries.len() {
                    0 => now + 1,
                    count => boundaries[index % count].saturating_add_signed(offset.into()),
                }
            }
            Self::EndOfTime(seconds) => MAX_SECONDS - 1 + u64::from(seconds),
        };
        later.max(now + 1)
    }
}

/// The times after now at which something changes by itself, the far future aside.
fn boundaries(now: u64, states: &[&KeyState]) -> Vec<u64> {
    let mut times: Vec<u64> = states
        .iter()
        .flat_map(|state| {
            let limits = [&state.native_limit, &state.gas_limit.info]
                .into_iter()
                .chain(state.contracts.values().map(|contract| &contract.token_limit));
            limits
                .filter(|limit| limit.has_limit)
                .filter_map(|limit| limit.refreshes_at())
                .chain([state.time_range.valid_after, state.time_range.valid_until])
                .collect::<Vec<_>>()
        })
        .filter(|time| (now..now + 2 * DAY).contains(time))
        .collect();
    times.sort_unstable();
    times.dedup();
    times
}
