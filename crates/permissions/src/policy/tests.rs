use super::*;
use crate::{
    ERC20_APPROVE, ERC20_TRANSFER, KeyState, Permissions, SpendLimit, TimeRange,
    words::{Names, Token},
};
use alloy_primitives::{B256, U256, address, keccak256};
use proptest::{collection::vec, prelude::*, test_runner::RngSeed};

const USDC: Address = address!("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48");
const SHOP: Address = address!("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed");
const DAY: u64 = 86_400;

const WEEKLY_BUY: &str = r#"# weekly-buy.toml
tag = "weekly buy"
valid_until = "2027-03-01T00:00:00Z"
required_paymaster = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"

[tokens.USDC]
address = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
decimals = 6

[[allow]]
contract = "USDC"
functions = ["approve(address,uint256)"]

[[allow]]
contract = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"

[limits]
native = "0.5 ETH per day"
gas = "0.01 ETH per 7 days"
tokens = ["100 USDC per 7 days"]
"#;

const WEEKLY_BUY_JSON: &str = r#"{
  "tag": "weekly buy",
  "valid_until": "2027-03-01T00:00:00Z",
  "required_paymaster": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
  "tokens": { "USDC": { "address": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", "decimals": 6 } },
  "allow": [
    { "contract": "USDC", "functions": ["approve(address,uint256)"] },
    { "contract": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed" }
  ],
  "limits": { "native": "0.5 ETH per day", "gas": "0.01 ETH per 7 days", "tokens": ["100 USDC per 7 days"] }
}
"#;

fn toml(text: &str) -> Policy {
    Policy::parse(text, PolicyFormat::Toml).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn n(amount: u64) -> U256 {
    U256::from(amount)
}

fn weekly_buy() -> Permissions {
    Permissions::new()
        .contract(SHOP)
        .contract_functions(USDC, [ERC20_APPROVE])
        .valid_until(1_803_859_200)
        .native_token_spend_limit(SpendLimit::per(n(500_000_000_000_000_000), DAY))
        .erc20_spend_limit(USDC, SpendLimit::per(n(100_000_000), 7 * DAY))
        .gas_spend_limit(SpendLimit::per(n(10_000_000_000_000_000), 7 * DAY))
        .required_paymaster(SHOP)
}

#[test]
fn toml_and_json_say_the_same() {
    let policy = toml(WEEKLY_BUY);
    assert_eq!(
        Policy::parse(WEEKLY_BUY_JSON, PolicyFormat::Json).as_ref(),
        Ok(&policy)
    );
    let resolved = policy.resolve(&Facts::new()).unwrap();
    assert_eq!(resolved.permissions, weekly_buy());
    assert_eq!(resolved.tag, keccak256("weekly buy"));
    assert!(resolved.assumed_decimals.is_empty());
    for format in [PolicyFormat::Toml, PolicyFormat::Json] {
        let text = policy.to_text(format);
        assert_eq!(Policy::parse(&text, format).as_ref(), Ok(&policy), "{text}");
    }
}

#[test]
fn an_empty_policy_is_a_new_key() {
    for (text, format) in [
        ("", PolicyFormat::Toml),
        ("{}", PolicyFormat::Json),
        ("# nothing\n[limits]\n", PolicyFormat::Toml),
    ] {
        let resolved = Policy::parse(text, format)
            .unwrap()
            .resolve(&Facts::new())
            .unwrap();
        assert_eq!(resolved.permissions, Permissions::new());
        assert_eq!(resolved.tag, B256::ZERO);
    }
}

#[test]
fn a_time_from_the_grant_needs_the_grant() {
    let policy = toml("valid_for = \"90 days\"\nvalid_after = 2027-01-01T00:00:00Z\n");
    assert!(policy.is_relative());
    assert_eq!(
        policy.resolve(&Facts::new()).unwrap_err().code,
        PolicyErrorCode::RelativeTime
    );
    let granted = 1_800_000_000;
    let resolved = policy.resolve(&Facts::new().granted_at(granted)).unwrap();
    let range = TimeRange {
        valid_after: 1_798_761_600,
        valid_until: granted + 90 * DAY,
    };
    assert_eq!(resolved.permissions, Permissions::new().time_range(range));
    let early = policy.resolve(&Facts::new().granted_at(1)).unwrap_err();
    assert_eq!(early.code, PolicyErrorCode::Contradiction);
    let late = policy.resolve(&Facts::new().granted_at(u64::MAX)).unwrap_err();
    assert_eq!(late.code, PolicyErrorCode::OutOfRange);
    // It is written as read.
    assert_eq!(toml(&policy.to_text(PolicyFormat::Toml)), policy);
}

#[test]
fn decimals_come_from_the_file_or_are_named() {
    let limit = |limit: &str, decimals: &str| {
        toml(&format!(
            "[tokens.USDC]\naddress = \"{USDC}\"\n{decimals}\n[limits]\ntokens = [\"{limit}\"]\n"
        ))
    };
    let unknown = limit("1.5 USDC", "");
    assert_eq!(unknown.tokens_without_decimals(), BTreeSet::from([USDC]));
    let error = unknown.resolve(&Facts::new()).unwrap_err();
    assert_eq!(error.code, PolicyErrorCode::MissingDecimals);
    assert_eq!(error.place, Place { line: 5, column: 11 });
    let resolved = unknown.resolve(&Facts::new().decimals(USDC, 6)).unwrap();
    assert_eq!(resolved.assumed_decimals, BTreeMap::from([(USDC, 6)]));
    assert_eq!(
        resolved.permissions.erc20_spend_limits[0].limit,
        SpendLimit::total(n(1_500_000))
    );
    // The file's decimals must be right.
    let said = limit("1.5 USDC", "decimals = 6");
    assert!(said.tokens_without_decimals().is_empty());
    assert!(said.resolve(&Facts::new().decimals(USDC, 6)).is_ok());
    let error = said.resolve(&Facts::new().decimals(USDC, 18)).unwrap_err();
    assert_eq!(error.code, PolicyErrorCode::OtherDecimals);
    assert_eq!(error.message, "USDC has 18 decimals, not 6");
    // Base units and zero need no decimals.
    for text in ["1500000 units of USDC", "0 USDC per 7 days"] {
        let policy = limit(text, "");
        assert!(policy.tokens_without_decimals().is_empty());
        assert!(policy.resolve(&Facts::new()).is_ok());
    }
    let error = limit("0.5 units of USDC", "").resolve(&Facts::new()).unwrap_err();
    assert_eq!(error.code, PolicyErrorCode::TooManyDecimals);
    let error = limit("0.0000001 USDC", "decimals = 6")
        .resolve(&Facts::new())
        .unwrap_err();
    assert_eq!(error.code, PolicyErrorCode::TooManyDecimals);
    // A token by its address.
    let policy = toml(&format!("[limits]\ntokens = [\"2 {USDC}\"]\n"));
    let resolved = policy.resolve(&Facts::new().decimals(USDC, 6)).unwrap();
    assert_eq!(
        resolved.permissions.erc20_spend_limits[0].limit.spend_limit,
        n(2_000_000)
    );
}

#[test]
fn native_amounts_are_in_the_coin_of_the_chain() {
    let native = |text: &str, symbol: &str| {
        toml(&format!("[limits]\nnative = \"{text}\"\n"))
            .resolve(&Facts::new().native_symbol(symbol))
            .map(|resolved| resolved.permissions.native_token_spend_limit.unwrap().spend_limit)
    };
    let ether = n(1_000_000_000_000_000_000);
    assert_eq!(native("1 ETH", "ETH"), Ok(ether));
    assert_eq!(native("1 eth", "ETH"), Ok(ether));
    assert_eq!(native("1 POL", "POL"), Ok(ether));
    assert_eq!(native("1 native", "POL"), Ok(ether));
    assert_eq!(native("1 gwei", "POL"), Ok(n(1_000_000_000)));
    assert_eq!(native("7 wei", "ETH"), Ok(n(7)));
    assert_eq!(native("0", "POL"), Ok(U256::ZERO));
    assert_eq!(native("unlimited", "POL"), Ok(U256::MAX));
    let error = native("1 ETH", "POL").unwrap_err();
    assert_eq!(error.code, PolicyErrorCode::UnknownUnit);
    assert_eq!(
        native("1 USDC", "ETH").unwrap_err().code,
        PolicyErrorCode::UnknownUnit
    );
    assert_eq!(
        native("0.5 wei", "ETH").unwrap_err().code,
        PolicyErrorCode::TooManyDecimals
    );
    // A token with the coin's name would be mistaken for it.
    let policy = toml(&format!("[tokens.POL]\naddress = \"{USDC}\"\n"));
    assert!(policy.resolve(&Facts::new()).is_ok());
    let error = policy.resolve(&Facts::new().native_symbol("POL")).unwrap_err();
    assert_eq!((error.code, error.place.line), (PolicyErrorCode::BadName, 1));
}

// Every code, with the place that the error must name.
#[test]
fn errors_name_line_column_and_what_was_expected() {
    use PolicyErrorCode as Code;
    let usdc = format!("[tokens.USDC]\naddress = \"{USDC}\"\n");
    let cases: Vec<(String, (usize, usize), Code)> = vec![
        ("tag = \n".into(), (1, 7), Code::Syntax),
        ("tag = \"a\"\ntag = \"b\"\n".into(), (2, 1), Code::DuplicateMember),
        ("native = \"1 ETH\"\n".into(), (1, 1), Code::UnknownMember),
        ("[limits]\neth = \"1 ETH\"\n".into(), (2, 1), Code::UnknownMember),
        ("[[allow]]\nfunctions = []\n".into(), (1, 1), Code::MissingMember),
        ("[tokens.X]\ndecimals = 6\n".into(), (1, 1), Code::MissingMember),
        ("tag = 5\n".into(), (1, 7), Code::WrongType),
        ("allow = \"all\"\n".into(), (1, 9), Code::WrongType),
        (
            "[limits]\ntokens = \"100 USDC\"\n".into(),
            (2, 10),
            Code::WrongType,
        ),
        ("valid_until = true\n".into(), (1, 15), Code::WrongType),
        (
            "[[allow]]\ncontract = \"0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed\"\n".into(),
            (2, 12),
            Code::BadAddress,
        ),
        (
            "required_paymaster = \"0x0000000000000000000000000000000000000000\"\n".into(),
            (1, 22),
            Code::BadAddress,
        ),
        (
            "[[allow]]\ncontract = \"USDC\"\n".into(),
            (2, 12),
            Code::UnknownName,
        ),
        (
            format!("[tokens.\"a b\"]\naddress = \"{USDC}\"\n"),
            (1, 9),
            Code::BadName,
        ),
        (
            format!("[tokens.Eth]\naddress = \"{USDC}\"\n"),
            (1, 9),
            Code::BadName,
        ),
        (
            format!("{usdc}[tokens.X]\naddress = \"{USDC}\"\n"),
            (4, 11),
            Code::Duplicate,
        ),
        (
            format!("[[allow]]\ncontract = \"{USDC}\"\n[[allow]]\ncontract = \"{USDC}\"\n"),
            (3, 1),
            Code::Duplicate,
        ),
        (
            format!(
                "[[allow]]\ncontract = \"{USDC}\"\nfunctions = [\"approve(address,uint256)\", \"0x095ea7b3\"]\n"
            ),
            (3, 42),
            Code::Duplicate,
        ),
        (
            format!("{usdc}[limits]\ntokens = [\"1 USDC\", \"2 {USDC}\"]\n"),
            (4, 21),
            Code::Duplicate,
        ),
        (
            format!("[[allow]]\ncontract = \"{USDC}\"\nfunctions = [\"approve\"]\n"),
            (3, 14),
            Code::BadFunction,
        ),
        ("[limits]\nnative = \"much\"\n".into(), (2, 10), Code::BadAmount),
        ("[limits]\nnative = 5\n".into(), (2, 10), Code::MissingUnit),
        ("[limits]\ngas = \"0.1\"\n".into(), (2, 7), Code::MissingUnit),
        ("[limits]\ntokens = [\"5\"]\n".into(), (2, 11), Code::MissingUnit),
        ("[limits]\ntokens = [\"0\"]\n".into(), (2, 11), Code::MissingUnit),
        ("valid_for = 90\n".into(), (1, 13), Code::MissingUnit),
        (
            "[limits]\ntokens = [\"5 DAI\"]\n".into(),
            (2, 11),
            Code::UnknownUnit,
        ),
        ("valid_for = \"90 moons\"\n".into(), (1, 13), Code::BadInterval),
        (
            "valid_for = \"7776000000 seconds\"\n".into(),
            (1, 13),
            Code::OutOfRange,
        ),
        (
            format!("[tokens.X]\naddress = \"{USDC}\"\ndecimals = 78\n"),
            (3, 12),
            Code::OutOfRange,
        ),
        ("valid_until = 1803859200\n".into(), (1, 15), Code::BadTime),
        ("valid_until = 2027-03-01\n".into(), (1, 15), Code::BadTime),
        ("access = \"all\"\n".into(), (1, 10), Code::BadAccess),
        (format!("tag = \"0x{}\"\n", "z".repeat(64)), (1, 7), Code::BadTag),
        (
            "valid_for = \"1 day\"\nvalid_until = 2027-03-01T00:00:00Z\n".into(),
            (1, 13),
            Code::Contradiction,
        ),
        (
            "valid_after = 2027-03-02T00:00:00Z\nvalid_until = 2027-03-01T00:00:00Z\n".into(),
            (2, 15),
            Code::Contradiction,
        ),
        (
            format!("[[deny]]\ncontract = \"{USDC}\"\n"),
            (1, 1),
            Code::Contradiction,
        ),
        (
            format!("access = \"denylist\"\n[[allow]]\ncontract = \"{USDC}\"\n"),
            (2, 1),
            Code::Contradiction,
        ),
        (
            format!("access = \"everything\"\n[[deny]]\ncontract = \"{USDC}\"\n"),
            (2, 1),
            Code::Contradiction,
        ),
        (
            format!("a = {}1{}\n", "[".repeat(20), "]".repeat(20)),
            (1, 22),
            Code::TooLarge,
        ),
        ("#".repeat(1 << 21), (1, 1), Code::TooLarge),
    ];
    let mut seen = BTreeSet::new();
    for (text, (line, column), code) in cases {
        let error = Policy::parse(&text, PolicyFormat::Toml).expect_err(&text);
        let found = (error.code, error.place.line, error.place.column);
        assert_eq!(found, (code, line, column), "{text}: {error}");
        assert!(!error.message.is_empty());
        seen.insert(code);
    }
    // Errors of resolving are tested above.
    let of_resolving = [
        Code::TooManyDecimals,
        Code::MissingDecimals,
        Code::OtherDecimals,
        Code::RelativeTime,
    ];
    for code in Code::ALL {
        assert!(
            seen.contains(code) || of_resolving.contains(code),
            "{code} is not tested"
        );
    }
}

#[test]
fn json_is_read_as_strictly() {
    use PolicyErrorCode as Code;
    for (text, (line, column), code) in [
        ("", (1, 1), Code::Syntax),
        ("{", (1, 1), Code::Syntax),
        ("{\"tag\": \"a\",}", (1, 12), Code::Syntax),
        ("{\"tag\": 'a'}", (1, 9), Code::Syntax),
        ("// no\n{}", (1, 1), Code::Syntax),
        ("{} {}", (1, 4), Code::Syntax),
        ("[]", (1, 1), Code::WrongType),
        ("{\"tag\": null}", (1, 9), Code::WrongType),
        (
            "{\"tag\": \"a\",\n \"tag\": \"b\"}",
            (2, 2),
            Code::DuplicateMember,
        ),
        ("{\"limits\": {\n\"native\": 5}}", (2, 11), Code::MissingUnit),
        ("{\"Tag\": \"a\"}", (1, 2), Code::UnknownMember),
    ] {
        let error = Policy::parse(text, PolicyFormat::Json).expect_err(text);
        assert_eq!(
            (error.code, error.place.line, error.place.column),
            (code, line, column),
            "{text}: {error}"
        );
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Policy::parse(&deep, PolicyFormat::Json).is_err());
    let deep = format!("a = {deep}");
    assert!(Policy::parse(&deep, PolicyFormat::Toml).is_err());
}

#[test]
fn every_part_has_its_place() {
    let policy = toml(WEEKLY_BUY);
    let line = |part: Part| policy.place(&part).map(|place| place.line);
    assert_eq!(line(Part::TimeRange), Some(3));
    assert_eq!(line(Part::RequiredPaymaster), Some(4));
    assert_eq!(line(Part::Contract { contract: USDC }), Some(11));
    let function = |selector| Part::Function {
        contract: USDC,
        selector,
    };
    assert_eq!(line(function(ERC20_APPROVE)), Some(12));
    assert_eq!(line(function(ERC20_TRANSFER)), None);
    assert_eq!(line(Part::NativeLimit), Some(18));
    assert_eq!(line(Part::GasLimit), Some(19));
    assert_eq!(line(Part::TokenLimit { token: USDC }), Some(20));
    assert_eq!(line(Part::AccessControlType), Some(10));
}

#[test]
fn permissions_become_a_policy_with_the_names_that_are_known() {
    let names = Names::new().token(USDC, Token::new("USDC", 6));
    let tag = keccak256("weekly buy");
    let (policy, not_shown) = Policy::of(&weekly_buy(), Some(tag), &names).unwrap();
    assert!(not_shown.is_empty());
    let resolved = policy.resolve(&Facts::new()).unwrap();
    assert_eq!((resolved.permissions, resolved.tag), (weekly_buy(), tag));
    let text = policy.to_text(PolicyFormat::Toml);
    assert!(text.contains("tokens = [\"100 USDC per 7 days\"]"), "{text}");
    assert!(
        text.contains("functions = [\"approve(address,uint256)\"]"),
        "{text}"
    );
    // A name that would be mistaken for something else is not used.
    for symbol in ["ETH", "wei", "a b", "U\"\nSD", "", &"x".repeat(33)] {
        let names = Names::new().token(USDC, Token::new(symbol, 6));
        let (policy, _) = Policy::of(&weekly_buy(), None, &names).unwrap();
        let text = policy.to_text(PolicyFormat::Toml);
        assert!(
            text.contains(&format!("tokens = [\"100000000 units of {USDC} per 7 days\"]")),
            "{text}"
        );
        assert_eq!(
            toml(&text).resolve(&Facts::new()).unwrap().permissions,
            weekly_buy()
        );
    }
}

#[test]
fn two_tokens_with_one_name_are_not_confused() {
    let names = Names::new()
        .token(USDC, Token::new("USDC", 6))
        .token(SHOP, Token::new("USDC", 18));
    let set = Permissions::new()
        .erc20_spend_limit(USDC, SpendLimit::total(n(5)))
        .erc20_spend_limit(SHOP, SpendLimit::total(n(7)));
    let (policy, _) = Policy::of(&set, None, &names).unwrap();
    let named: Vec<Address> = policy.token_names().map(|(token, _)| token).collect();
    // The one with the lower address keeps it; the other is named by its address.
    assert_eq!(named, [SHOP]);
    let resolved = toml(&policy.to_text(PolicyFormat::Toml))
        .resolve(&Facts::new())
        .unwrap();
    let limits: BTreeMap<Address, SpendLimit> = resolved
        .permissions
        .erc20_spend_limits
        .iter()
        .map(|limit| (limit.token, limit.limit))
        .collect();
    assert_eq!(
        limits,
        BTreeMap::from([(USDC, SpendLimit::total(n(5))), (SHOP, SpendLimit::total(n(7)))])
    );
}

#[test]
fn entries_without_effect_are_reported_and_left_out() {
    let dead = Permissions::new()
        .contract_functions(USDC, [ERC20_APPROVE])
        .address_entry(crate::AddressEntry {
            contract: USDC,
            is_on_list: false,
            check_selectors: true,
        })
        .contract(SHOP)
        .function_entry(crate::FunctionEntry {
            contract: SHOP,
            selector: ERC20_TRANSFER,
            is_on_list: true,
        });
    let (policy, not_shown) = Policy::of(&dead, None, &Names::new()).unwrap();
    assert_eq!(
        not_shown,
        [
            Part::Function {
                contract: SHOP,
                selector: ERC20_TRANSFER
            },
            Part::Contract { contract: USDC },
            Part::Function {
                contract: USDC,
                selector: ERC20_APPROVE
            },
        ]
    );
    assert_eq!(
        policy.resolve(&Facts::new()).unwrap().permissions,
        Permissions::new().contract(SHOP)
    );
    let milliseconds = Permissions::new().valid_until(1_803_859_200_000);
    assert!(Policy::of(&milliseconds, None, &Names::new()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, rng_seed: RngSeed::Fixed(0), ..Default::default() })]

    // file → permissions → state → file → permissions, in both forms.
    #[test]
    fn round_trips_lose_nothing_that_has_an_effect(
        access in 0u8..3,
        entries in vec((0u8..4, prop::option::of(vec(any::<[u8; 4]>(), 0..3))), 0..4),
        range in (0u64..3_600_000_000, 0u64..3_600_000_000),
        limits in vec((any::<[u64; 4]>(), 0u64..1_000_000), 3),
        native_unlimited in any::<bool>(),
        decimals in 0u8..30,
        has_limits in any::<[bool; 3]>(),
        paymaster in any::<bool>(),
        tag in any::<[u8; 32]>(),
    ) {
        let limit = |index: usize| {
            let (amount, interval) = limits[index];
            SpendLimit::per(U256::from_limbs(amount).min(U256::MAX - U256::ONE), interval)
        };
        let contract = |index: u8| [USDC, SHOP, Address::ZERO, Address::repeat_byte(9)][usize::from(index)];
        let mut set = Permissions::new().access_control_type(access.try_into().unwrap());
        if access < 2 {
            for (index, functions) in entries {
                set = match functions {
                    None => set.contract(contract(index)),
                    Some(functions) => set.contract_functions(contract(index), functions.into_iter().map(Into::into)),
                };
            }
        }
        let (start, length) = range;
        if start % 3 > 0 { set = set.valid_after(start); }
        if length % 3 > 0 { set = set.valid_until(start + length); }
        if native_unlimited { set = set.native_token_spend_limit(SpendLimit::UNLIMITED); }
        else if has_limits[0] { set = set.native_token_spend_limit(limit(0)); }
        if has_limits[1] { set = set.gas_spend_limit(limit(1)); }
        if has_limits[2] { set = set.erc20_spend_limit(USDC, limit(2)).erc20_spend_limit(SHOP, limit(0)); }
        if paymaster { set = set.required_paymaster(SHOP); }
        let state = |set: &Permissions| {
            let mut state = KeyState::fresh(USDC, SHOP);
            state.apply(&set.updates().collect(), 0).unwrap();
            state
        };
        let names = Names::new().token(USDC, Token::new("USDC", decimals));
        let (policy, not_shown) = Policy::of(&set, Some(tag.into()), &names).unwrap();
        for format in [PolicyFormat::Toml, PolicyFormat::Json] {
            let text = policy.to_text(format);
            let read = Policy::parse(&text, format).unwrap_or_else(|error| panic!("{error}\n{text}"));
            prop_assert_eq!(&read, &policy, "{}", text);
            let resolved = read.resolve(&Facts::new()).unwrap();
            prop_assert_eq!(resolved.tag, B256::from(tag));
            if not_shown.is_empty() {
                prop_assert!(crate::plan::is_as(&state(&set), &resolved.permissions), "{}", text);
            }
            let again = Policy::of_key(&state(&resolved.permissions), Some(tag.into()), &names).unwrap();
            prop_assert_eq!(&again.0, &policy);
        }
    }

    #[test]
    fn no_text_panics(text in ".{0,200}", line in "(tag|valid_for|access|allow|limits\\.native|tokens\\.a\\.address) = [\\PC]{0,40}") {
        for format in [PolicyFormat::Toml, PolicyFormat::Json] {
            let _ = Policy::parse(&text, format);
            let _ = Policy::parse(&line, format).map(|policy| policy.resolve(&Facts::new()));
            let _ = PolicyLock::parse(&text);
        }
    }
}
