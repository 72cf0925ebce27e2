//! Calls: what may be called, and how much may be spent.

use super::*;

/// Calls, permissions, and the codes of the rules that the calls break.
type CallCase = (PermissionUpdates, Vec<Call>, Vec<&'static str>);

fn call_cases(account: Address, entry_point: Address) -> Vec<CallCase> {
    use AccessControlType::{AllowAllAccess, Allowlist, Denylist};
    let everything = || list(AllowAllAccess);
    let off_list_with_selectors = AddressEntry {
        contract: SHOP,
        is_on_list: false,
        check_selectors: true,
    };
    let short = |length: usize| Call::new(SHOP, BUY[..length].to_vec());
    let short_transfer = |length: usize| {
        let mut call = transfer(n(1));
        call.data.truncate(length);
        call
    };
    let limited = |updates: PermissionUpdates| {
        updates.erc20_spend_limit(TOKEN, SpendLimit::total(n(100)), LimitChange::Raw)
    };
    vec![
        // A fresh key.
        (PermissionUpdates::new(), vec![], vec!["no_calls"]),
        (
            PermissionUpdates::new(),
            vec![call(SHOP, BUY)],
            vec!["contract_not_on_allowlist"],
        ),
        (everything(), vec![wei(1)], vec!["native_limit_exceeded"]),
        (everything(), vec![wei(0)], vec![]),
        // Allowlist.
        (list(Allowlist).contract(SHOP), vec![call(SHOP, BUY)], vec![]),
        (list(Allowlist).contract(SHOP), vec![short(0)], vec![]),
        (list(Allowlist).contract(SHOP), vec![short(3)], vec![]),
        (
            list(Allowlist).contract(SHOP),
            vec![call(SHOP, BUY), call(OTHER, BUY)],
            vec!["contract_not_on_allowlist"],
        ),
        (
            list(Allowlist).contract_functions(SHOP, [BUY]),
            vec![call(SHOP, BUY)],
            vec![],
        ),
        (
            list(Allowlist).contract_functions(SHOP, [BUY]),
            vec![call(SHOP, SELL), short(0), short(1), short(3)],
            vec![
                "function_not_on_allowlist",
                "function_not_on_allowlist",
                "short_call_data",
                "short_call_data",
            ],
        ),
        (
            list(Allowlist).contract_functions(SHOP, [Selector::ZERO]),
            vec![short(0)],
            vec![],
        ),
        (
            list(Allowlist)
                .contract_functions(SHOP, [BUY])
                .without_function(SHOP, BUY),
            vec![call(SHOP, BUY)],
            vec!["function_not_on_allowlist"],
        ),
        (
            list(Allowlist)
                .contract_functions(SHOP, [BUY])
                .address_entry(off_list_with_selectors),
            vec![call(SHOP, BUY), short(2)],
            vec![
                "contract_not_on_allowlist",
                "short_call_data",
                "contract_not_on_allowlist",
            ],
        ),
        // Denylist.
        (list(Denylist), vec![call(SHOP, BUY), short(3)], vec![]),
        (
            list(Denylist).contract(SHOP),
            vec![call(SHOP, BUY)],
            vec!["contract_on_denylist"],
        ),
        (
            list(Denylist).contract_functions(SHOP, [BUY]),
            vec![call(SHOP, BUY)],
            vec!["function_on_denylist"],
        ),
        (
            list(Denylist).contract_functions(SHOP, [BUY]),
            vec![call(SHOP, SELL), short(0)],
            vec![],
        ),
        (
            list(Denylist).contract_functions(SHOP, [Selector::ZERO]),
            vec![short(0)],
            vec!["function_on_denylist"],
        ),
        (
            list(Denylist).address_entry(off_list_with_selectors),
            vec![short(1)],
            vec!["short_call_data"],
        ),
        (
            list(Denylist).address_entry(off_list_with_selectors),
            vec![call(SHOP, BUY)],
            vec![],
        ),
        // Everything.
        (everything(), vec![call(SHOP, BUY), short(1)], vec![]),
        (
            everything().address_entry(off_list_with_selectors),
            vec![short(1)],
            vec![],
        ),
        // The account and the EntryPoint.
        (
            everything(),
            vec![call(account, BUY), call(entry_point, BUY)],
            vec!["target_is_account", "target_is_entry_point"],
        ),
        (
            list(Allowlist).contract(account),
            vec![call(account, BUY)],
            vec!["target_is_account"],
        ),
        (
            list(Allowlist),
            vec![call(entry_point, BUY)],
            vec!["target_is_entry_point", "contract_not_on_allowlist"],
        ),
        (
            list(Allowlist).contract(entry_point),
            vec![Call::new(entry_point, Bytes::new())],
            vec![],
        ),
        (
            list(Denylist),
            vec![Call::new(entry_point, Bytes::new())],
            vec!["target_is_entry_point"],
        ),
        // Limited tokens.
        (limited(everything()), vec![transfer(n(100))], vec![]),
        (
            limited(everything()),
            vec![transfer(n(101))],
            vec!["erc20_limit_exceeded"],
        ),
        (
            limited(everything()),
            vec![
                transfer(n(60)),
                token_call(Selector::new(hex!("095ea7b3")), n(40)),
                transfer(n(0)),
            ],
            vec![],
        ),
        (
            limited(everything()),
            vec![
                transfer(n(60)),
                transfer(n(41)),
                transfer(U256::MAX),
                transfer(n(40)),
            ],
            vec!["erc20_limit_exceeded", "erc20_limit_exceeded"],
        ),
        (
            limited(everything()),
            vec![
                token_call(BUY, n(1)),
                short_transfer(0),
                short_transfer(3),
                short_transfer(4),
                short_transfer(67),
            ],
            vec![
                "token_function_not_allowed",
                "token_function_not_allowed",
                "token_function_not_allowed",
                "short_token_call_data",
                "short_token_call_data",
            ],
        ),
        (limited(everything()), vec![short_transfer(68)], vec![]),
        (
            limited(list(Allowlist)),
            vec![transfer(n(1))],
            vec!["contract_not_on_allowlist"],
        ),
        (
            limited(list(Denylist).contract(TOKEN)),
            vec![transfer(n(101))],
            vec!["contract_on_denylist", "erc20_limit_exceeded"],
        ),
        (
            limited(everything()).erc20_spend_limit(TOKEN, SpendLimit::UNLIMITED, LimitChange::Raw),
            vec![transfer(U256::MAX), token_call(BUY, n(1))],
            vec![],
        ),
        (
            everything().erc20_spend_limit(
                TOKEN,
                SpendLimit::total(U256::MAX - U256::from(1)),
                LimitChange::Raw,
            ),
            vec![transfer(U256::MAX - U256::from(1)), transfer(n(1))],
            vec!["erc20_limit_exceeded"],
        ),
        // The native token.
        (
            everything().native_token_spend_limit(SpendLimit::total(n(10)), LimitChange::Raw),
            vec![wei(4), wei(6)],
            vec![],
        ),
        (
            everything().native_token_spend_limit(SpendLimit::total(n(10)), LimitChange::Raw),
            vec![wei(4), wei(7)],
            vec!["native_limit_exceeded"],
        ),
        (
            everything()
                .native_token_spend_limit(SpendLimit::total(U256::MAX - U256::from(1)), LimitChange::Raw),
            vec![Call::transfer(SHOP, U256::MAX), wei(2)],
            vec!["native_limit_exceeded"],
        ),
        (
            everything().native_token_spend_limit(SpendLimit::UNLIMITED, LimitChange::Raw),
            vec![wei(u64::MAX)],
            vec![],
        ),
        // Several rules at once, in both phases.
        (
            limited(list(Allowlist).contract(TOKEN)),
            vec![transfer(n(101)), wei(1), call(account, BUY)],
            vec![
                "contract_not_on_allowlist",
                "target_is_account",
                "contract_not_on_allowlist",
                "native_limit_exceeded",
                "erc20_limit_exceeded",
            ],
        ),
    ]
}

#[tokio::test]
async fn calls_are_judged_as_on_chain() {
    let world = World::new(&PermissionUpdates::new());
    let (account, entry_point) = (world.account.address(), world.account.deployment().entry_point);
    for (updates, calls, expected) in call_cases(account, entry_point) {
        let mut world = World::new(&updates);
        let operation = world.operation(&calls);
        assert_eq!(
            codes(&world.state.check_calls(&calls, START + 1)),
            expected,
            "{updates:?} {calls:?}"
        );
        let verdict = world.compare(operation, START + 1).await;
        assert_eq!(codes(&verdict), expected, "{updates:?} {calls:?}");
    }
}
