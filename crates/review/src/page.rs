//! The pages, as HTML. maud escapes everything that is put into them; nothing is styled or scripted inline.

use crate::{
    Offer, Review,
    act::{MOST_REVOKED, Prepared, Shown, Wish, short},
    read::{Snapshot, tag_text, words_of},
    track::{Standing, Tracked},
};
use maud::{DOCTYPE, Markup, html};
use session_key_client::{
    account::Generation,
    account_keys::ReadKey,
    alloy::primitives::{Address, U256},
    deployment::known_chains,
    inspect::InspectedKey,
    permissions::{
        KeyState,
        figures::{BudgetFigures, KeyStatus, LimitStatus},
        lint::{Severity, Warning},
        plan::LimitMode,
        words::{Lookup, Names, UnixTime, decimal, every, interval, token_amount, token_symbol},
    },
    request::clean_text,
};

/// The width of a bar, in its own units.
const BAR: u64 = 1_000;

/// A whole document.
fn document(title: &str, has_script: bool, main: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " – Session keys" }
                link rel="stylesheet" href="/style.css";
                @if has_script {
                    script src="/wallet.js" defer {}
                }
            }
            body {
                main { (main) }
            }
        }
    }
}

/// A page with a message and a way back.
pub(crate) fn message(title: &str, words: &str, back: Option<(&str, &str)>) -> Markup {
    document(
        title,
        false,
        html! {
            h1 { (title) }
            p { (words) }
            @if let Some((address, text)) = back {
                p { a href=(address) { (text) } }
            }
        },
    )
}

/// The page that the printed address answers with: the browser goes on by itself, from this site,
/// with its cookie.
pub(crate) fn opened() -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="refresh" content="0;url=/";
                title { "Session keys" }
                link rel="stylesheet" href="/style.css";
            }
            body {
                main {
                    h1 { "Session keys" }
                    p { a href="/" { "Go on" } }
                }
            }
        }
    }
}

/// An address; long, so it may break anywhere.
fn address(address: Address) -> Markup {
    html! { code.address { (address) } }
}

/// A text with its addresses set apart: they are long, and few readers compare them.
fn prose(text: &str) -> Markup {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((at, end)) = address_in(rest) {
        let (before, from) = rest.split_at(at);
        let (address, after) = from.split_at(end - at);
        parts.push((before, Some(address)));
        rest = after;
    }
    parts.push((rest, None));
    html! {
        @for (before, address) in parts {
            (before)
            @if let Some(address) = address {
                code.address { (address) }
            }
        }
    }
}

/// Where the first address in a text begins and ends.
fn address_in(text: &str) -> Option<(usize, usize)> {
    const DIGITS: usize = 40;
    text.match_indices("0x").map(|(at, _)| at).find_map(|at| {
        let digits = text[at + 2..].bytes().take_while(u8::is_ascii_hexdigit).count();
        (digits == DIGITS).then_some((at, at + 2 + DIGITS))
    })
}

const fn status_class(status: KeyStatus) -> &'static str {
    match status {
        KeyStatus::Active => "active",
        _ => "resting",
    }
}

const fn status_words(status: KeyStatus) -> &'static str {
    match status {
        KeyStatus::Active => "can be used now",
        KeyStatus::NotYetValid => "cannot be used yet",
        KeyStatus::Expired => "has expired",
        _ => "is not registered",
    }
}

const fn severity_class(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "bad",
        Severity::Warning => "doubt",
        Severity::Note => "note",
    }
}

const fn severity_words(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "Dangerous or broken",
        Severity::Warning => "Take care",
        Severity::Note => "Good to know",
    }
}

fn warning_item(severity: Severity, words: &str) -> Markup {
    html! {
        li class=(severity_class(severity)) {
            strong { (severity_words(severity)) ": " }
            (prose(words))
        }
    }
}

fn warnings(found: &[Warning], names: &Names) -> Markup {
    html! {
        @if !found.is_empty() {
            ul.warnings aria-label="Warnings" {
                @for warning in found {
                    (warning_item(warning.severity, &warning.describe(names)))
                }
            }
        }
    }
}

/// How full a limit is: what is left of it, as a bar with the figures beside it.
fn bar(budget: &BudgetFigures, names: &Names) -> Markup {
    let symbol = names.native_symbol().into_owned();
    let (label, of): (String, Box<dyn Fn(U256) -> String>) = match budget {
        BudgetFigures::Token { token, .. } => {
            let token = *token;
            let label = token_symbol(names, token);
            let amount: Box<dyn Fn(U256) -> String> = match (Lookup::token(names, token), &label) {
                // The address stands in the label already.
                (Some(known), None) => Box::new(move |amount| decimal(amount, known.decimals)),
                (None, _) => Box::new(|amount| format!("{amount} base units")),
                _ => Box::new(move |amount| token_amount(names, token, amount)),
            };
            (
                format!("Spending {}", label.unwrap_or_else(|| token.to_string())),
                amount,
            )
        }
        BudgetFigures::Gas { .. } => (
            "Transaction fees".to_owned(),
            Box::new(move |wei| format!("{} {symbol}", decimal(wei, 18))),
        ),
        _ => (
            format!("Sending {symbol}"),
            Box::new(move |wei| format!("{} {symbol}", decimal(wei, 18))),
        ),
    };
    let (left, used, limit) = (budget.remaining(), budget.used(), budget.limit());
    let share = if limit.is_zero() {
        0
    } else {
        let share = left.min(limit).saturating_mul(U256::from(BAR)) / limit;
        u64::try_from(share).unwrap_or(BAR).min(BAR)
    };
    let interval_figures = budget.interval();
    let refresh = match (
        interval_figures.status,
        interval_figures.refreshes_at,
        interval_figures.refresh_interval_seconds,
    ) {
        (LimitStatus::ResetPending, ..) => "a reset is pending".to_owned(),
        (_, Some(at), Some(seconds)) => {
            format!("full again at {}, then {}", UnixTime(at), every(seconds))
        }
        (_, _, Some(seconds)) => format!("full, for {} from the next use on", interval(seconds)),
        (_, _, None) => "never refilled".to_owned(),
    };
    let figures = format!("{} left of {}", of(left), of(limit));
    html! {
        div.limit {
            div.what {
                span.label { (label) }
                " "
                span.figures { (figures) }
            }
            svg.bar viewBox=(format!("0 0 {BAR} 10")) preserveAspectRatio="none" role="img"
                aria-label=(format!("{label}: {figures}")) {
                rect.track width=(BAR) height="10" {}
                rect.left width=(share) height="10" {}
            }
            div.detail { (of(used)) " used · " (refresh) }
        }
    }
}

fn bars(state: &KeyState, names: &Names, now: u64) -> Markup {
    let budgets = state.budget_figures(now);
    // None may be sent: the words say so.
    let shown = budgets
        .iter()
        .filter(|budget| !(matches!(budget, BudgetFigures::Native { .. }) && budget.limit().is_zero()));
    html! {
        @for budget in shown {
            (bar(budget, names))
        }
    }
}

fn words(lines: &[String]) -> Markup {
    html! {
        ul.words {
            @for line in lines {
                li { (prose(line)) }
            }
        }
    }
}

/// A key: what it may do, what it has used, what is dangerous about it.
fn key_card(key: &InspectedKey, account: &Snapshot, actions: &Markup) -> Markup {
    let state = &key.state;
    let now = account.now();
    let status = state.status(now);
    let found = account.lint(state);
    let heading = format!("key-{}", key.session_key);
    html! {
        article.key aria-labelledby=(heading) {
            header {
                h3 id=(heading) {
                    @match key.tag {
                        Some(tag) if tag.is_zero() => { "Key " (short(key.session_key)) }
                        Some(tag) if tag_text(tag).starts_with('“') => (tag_text(tag)),
                        _ => { "Key " (short(key.session_key)) }
                    }
                }
                span class=(format!("status {}", status_class(status))) { (status_words(status)) }
            }
            p.identity {
                "Key " (address(key.session_key))
                @match key.tag {
                    None => ", tag unknown",
                    Some(tag) if tag.is_zero() || tag_text(tag).starts_with('“') => "",
                    Some(tag) => { ", tag " code.address { (tag) } }
                }
            }
            @for missing in &key.missing {
                p.incomplete {
                    strong { "Not everything about this key is known: " }
                    (clean_text(&missing.to_string(), 300)) ". It may be able to do more than what is written here."
                }
            }
            (words(state.describe(&account.names).lines()))
            (bars(state, &account.names, now))
            (warnings(&found, &account.names))
            (actions)
        }
    }
}

/// A key of the account's own client.
fn own_card(read: &ReadKey, account: &Snapshot) -> Markup {
    let key = &read.key;
    let heading = format!("entity-{}", key.entity_id);
    html! {
        article.key aria-labelledby=(heading) {
            header {
                h3 id=(heading) {
                    @match key.signer {
                        Some(signer) => { "Key " (short(signer)) }
                        None => "Key with an unknown signer",
                    }
                }
            }
            p.identity {
                @if let Some(signer) = key.signer {
                    "Key " (address(signer)) ", "
                }
                "entity " (key.entity_id)
            }
            @for missing in &read.missing {
                p.incomplete {
                    strong { "Not everything about this key is known: " }
                    (clean_text(&missing.to_string(), 300)) ". It may be able to do more than what is written here."
                }
            }
            (words(key.describe(&account.own_names).lines()))
            @let found = key.lint(Some(account.now()));
            @if !found.is_empty() {
                ul.warnings aria-label="Warnings" {
                    @for warning in found {
                        (warning_item(warning.severity(), &warning.describe(&account.own_names)))
                    }
                }
            }
        }
    }
}

/// A chain by its name, if it has one.
fn chain_words(chain_id: u64) -> String {
    let known = known_chains().iter().find(|chain| chain.chain_id == chain_id);
    known.map_or_else(
        || format!("chain {chain_id}"),
        |chain| format!("{} (chain {chain_id})", chain.name),
    )
}

impl Review {
    /// The owners, and which of them the wallet holds.
    fn wallet_panel(&self, account: &Snapshot) -> Markup {
        let owners = account.owners.as_deref().unwrap_or_default();
        html! {
            section.wallet id="wallet" aria-labelledby="wallet-heading"
                data-chain=(format!("{:#x}", self.account.chain_id())) {
                h2 id="wallet-heading" { "Your wallet" }
                p {
                    @match owners {
                        [] => "No owner of this account is known.",
                        [_] => "Only the owner of this account can change its keys:",
                        _ => "Only an owner of this account can change its keys:",
                    }
                }
                @if let Err(error) = &account.owners {
                    p.incomplete { "The owners could not be read: " (error) }
                }
                ul.owners {
                    @for owner in owners {
                        li data-owner=(owner) { (address(*owner)) " " span.held {} }
                    }
                }
                p id="wallet-status" role="status" {
                    "To change something, this page needs JavaScript and a wallet in the browser. Reading works without."
                }
                div.choices id="wallet-choices" {}
            }
        }
    }

    /// What is said about the account above everything else.
    fn summary(&self, account: &Snapshot) -> Markup {
        let keys = account.keys();
        let generation = match self.account.generation() {
            Generation::V08(_) => "ERC-6900 v0.8",
            _ => "ERC-6900 v0.7",
        };
        html! {
            p.lead {
                "A session key lets an app or a program act for your account without asking you each time. "
                "Each key below can do what its card says, and nothing else. You can take it away at any time."
            }
            dl.facts {
                div { dt { "Account" } dd { (address(self.account.address())) } }
                div { dt { "Keys" } dd { (keys.len()) } }
                div { dt { "Network" } dd { (chain_words(self.account.chain_id())) ", account of " (generation) } }
                div { dt { "As of" } dd { "block " (account.block.number) ", " (UnixTime(account.now())) } }
            }
        }
    }

    fn alarm(account: &Snapshot) -> Markup {
        let dangerous = account
            .keys()
            .iter()
            .filter(|key| {
                let found = account.lint(&key.state);
                found.iter().any(|warning| warning.severity == Severity::Error)
            })
            .count();
        let plural = if dangerous == 1 { "key is" } else { "keys are" };
        html! {
            @if dangerous > 0 {
                p.alarm { (dangerous) " " (plural) " dangerous or broken: look for “Dangerous or broken” below." }
            }
            @if !account.has_asked_nfts {
                p.incomplete { "It could not be asked whether tokens are NFTs, so a warning about that may be missing." }
            }
        }
    }

    fn offer_words(&self, offer: &Offer) -> (String, String) {
        match offer {
            Offer::Apply(application) => (
                format!("Change key {}", short(application.key)),
                format!("to what {} says", clean_text(&application.name, 80)),
            ),
            Offer::Approve(approval) => (
                format!("A request for key {}", short(approval.request.session_key())),
                "from an app or a program that wants to act for your account".to_owned(),
            ),
        }
    }

    /// The start page.
    pub(crate) fn start(&self, account: &Snapshot, open: &[Tracked]) -> Markup {
        let keys = account.keys();
        let own = account.own.as_ref();
        document(
            "Who can act for this account",
            true,
            html! {
                h1 { "Who can act for this account" }
                (self.summary(account))
                (Self::alarm(account))
                @if !open.is_empty() {
                    section.open aria-labelledby="open-heading" {
                        h2 id="open-heading" { "Not finished" }
                        ul {
                            @for tracked in open {
                                li { a href=(format!("/transactions/{}", tracked.id)) { (tracked.title) ": see what became of it" } }
                            }
                        }
                    }
                }
                @if !self.offers.is_empty() {
                    section.offers aria-labelledby="offers-heading" {
                        h2 id="offers-heading" { "For you to decide" }
                        ul {
                            @for (index, offer) in self.offers.iter().enumerate() {
                                @let (title, words) = self.offer_words(offer);
                                li { a href=(format!("/offers/{index}")) { (title) } ", " (words) }
                            }
                        }
                    }
                }
                section aria-labelledby="keys-heading" {
                    h2 id="keys-heading" { "Session keys" }
                    @if keys.is_empty() {
                        p { "There are none: nobody but the account’s owners can act for it by a session key." }
                    }
                    @for key in keys {
                        (key_card(key, account, &html! {
                            p.actions {
                                a.button href=(format!("/revoke?key={}", key.session_key))
                                    aria-label=(format!("Revoke this key… {}", key.session_key)) { "Revoke this key…" }
                            }
                        }))
                    }
                    @if keys.len() > 1 {
                        p.actions { a.button href="/revoke?all" { "Revoke all " (keys.len()) " keys…" } }
                    }
                }
                @if let Some(own) = own {
                    section aria-labelledby="own-heading" {
                        h2 id="own-heading" { "Keys of the account’s own client" }
                        @match own {
                            Err(error) => { p.incomplete { "They could not be read: " (error) } }
                            Ok(own) => {
                                @if own.keys.is_empty() {
                                    p { "There are none." }
                                } @else {
                                    p { "These were made with another program. They are shown here, and are taken away with that program." }
                                }
                                @if !own.is_complete() && (own.left_out > 0 || !own.missing_blocks.is_empty()) {
                                    p.incomplete { "There may be more: not everything could be read." }
                                }
                                @for read in &own.keys {
                                    (own_card(read, account))
                                }
                            }
                        }
                    }
                }
                (self.wallet_panel(account))
            },
        )
    }

    /// The page on which a change is looked at and signed.
    pub(crate) fn confirm(&self, prepared: &Prepared, account: &Snapshot) -> Markup {
        let verb = match &prepared.shown {
            Shown::Revoked(_) => "Revoke with the wallet",
            Shown::Plan { .. } => "Change with the wallet",
            Shown::Grant { .. } => "Approve with the wallet",
        };
        // Serialization cannot fail: it has no maps.
        let wish = serde_json::to_string(&prepared.wish).unwrap_or_default();
        document(
            &prepared.title,
            true,
            html! {
                p.back { a href="/" { "← All keys" } }
                h1 { (prepared.title) }
                (self.shown(prepared, account))
                @if prepared.actions.is_empty() {
                    p { "There is nothing to sign." }
                } @else {
                    (self.wallet_panel(account))
                    p.actions {
                        button.primary id="sign" type="button" disabled aria-describedby="wallet-status"
                            data-wish=(wish) data-shown=(prepared.fingerprint()) { (verb) }
                    }
                    p.small {
                        "The wallet asks you once more, and its fee is yours to pay. The transaction goes from the owner to this account "
                        "and does nothing but what is written here."
                    }
                }
            },
        )
    }

    fn shown(&self, prepared: &Prepared, account: &Snapshot) -> Markup {
        match &prepared.shown {
            Shown::Revoked(keys) => html! {
                p.lead {
                    @if keys.len() == 1 {
                        "The key can then do nothing for this account any more. What it has done stays done, and tokens that it has "
                        "allowed others to take can still be taken."
                    } @else {
                        "The keys can then do nothing for this account any more. What they have done stays done, and tokens that they have "
                        "allowed others to take can still be taken."
                    }
                }
                @if keys.len() == MOST_REVOKED && account.keys().len() > keys.len() {
                    p { "One transaction revokes at most " (MOST_REVOKED) " keys, the newest first: revoke the others after it." }
                }
                h2 { "What is taken away" }
                @for key in keys.iter().filter_map(|key| account.key(*key)) {
                    (key_card(key, account, &html! {}))
                }
            },
            Shown::Plan {
                key,
                policy,
                plan,
                asks_limits,
                warnings: found,
                assumed,
                other_tag,
            } => html! {
                p.lead { "So that key " (address(*key)) " can do exactly what " strong { (clean_text(policy, 80)) } " says." }
                @if *asks_limits {
                    (limits_choice(prepared))
                }
                @if plan.is_empty() {
                    p.good { "Nothing to change: the key has exactly these permissions." }
                } @else {
                    ul.changes {
                        @for change in plan.changes() {
                            li class=(if change.widens { "wider" } else { "narrower" }) {
                                @if change.widens {
                                    strong { "Allows more: " }
                                }
                                (prose(&change.describe(&prepared.names)))
                            }
                        }
                    }
                    @if plan.widens() {
                        p.alarm { "This lets the key do more than now." }
                    } @else {
                        p.good { "Nothing here lets the key do more than now." }
                    }
                }
                @if let Some(tag) = other_tag {
                    p.small { "The key’s tag, " code.address { (tag_text(*tag)) } ", differs from the policy’s and stays." }
                }
                (assumptions(assumed))
                (warnings(found, &prepared.names))
            },
            Shown::Grant {
                key,
                policy,
                permissions,
                warnings: found,
                withheld,
                assumed,
                installs,
                tag,
                expires_at,
                claimed,
            } => html! {
                p.lead { "An app or a program asks that key " (address(*key)) " may act for your account. It has proven that it holds the key." }
                @if let Some(policy) = policy {
                    p { "You grant " strong { (clean_text(policy, 80)) } ", which is no more than what was asked for." }
                }
                h2 { "What the key may do then" }
                (words(permissions.describe(&prepared.names).lines()))
                @if !withheld.is_empty() {
                    h2 { "Asked for, and not granted" }
                    (words(withheld))
                }
                (warnings(found, &prepared.names))
                @if *installs {
                    p { "Session keys are installed on the account with it: this is its first one." }
                }
                @if !claimed.is_empty() {
                    p.small {
                        "The request names these contracts itself; above, tokens have the names that they give themselves: "
                        @for (index, (contract, name)) in claimed.iter().enumerate() {
                            @if index > 0 { ", " }
                            (address(*contract)) " “" (name) "”"
                        }
                        "."
                    }
                }
                (assumptions(assumed))
                p.small {
                    "Tag " code.address { (tag_text(*tag)) } ". The request is valid until " (UnixTime(*expires_at)) "."
                }
            },
        }
    }

    /// The page of a transaction.
    pub(crate) fn transaction(
        &self,
        tracked: &Tracked,
        standing: &Standing,
        after: Option<&Snapshot>,
    ) -> Markup {
        let back = match &tracked.wish {
            Wish::Revoke { keys } => match keys.as_slice() {
                [key] => format!("/revoke?key={key}"),
                _ => "/revoke?all".to_owned(),
            },
            Wish::Offer { index, .. } => format!("/offers/{index}"),
        };
        let class = match (standing.is_done, standing.is_over) {
            (true, _) => "standing good",
            (false, true) => "standing bad",
            (false, false) => "standing",
        };
        document(
            &tracked.title,
            true,
            html! {
                p.back { a href="/" { "← All keys" } }
                h1 { (tracked.title) }
                section class=(class) id="standing" data-id=(tracked.id) data-code=(standing.code)
                    data-over=(standing.is_over) aria-live="polite" {
                    h2 { (standing.heading) }
                    p { (standing.words) }
                    @if let crate::track::Said::Sent(hash) = tracked.said {
                        p.small { "Transaction " code.address { (hash) } }
                    }
                    p id="standing-note" role="status" {}
                }
                @if !standing.is_over {
                    noscript { p { a href=(format!("/transactions/{}", tracked.id)) { "Look again" } } }
                }
                @if !standing.is_done {
                    p.actions { a.button href=(back) { "Look at the change again" } }
                }
                @if let Some(account) = after {
                    h2 { "As it is now" }
                    @for key in tracked.goal.keys() {
                        @match account.key(key) {
                            Some(key) => (key_card(key, account, &html! {})),
                            None => p { "Key " (address(key)) " can do nothing for this account." },
                        }
                    }
                    p { a href="/" { "All keys of the account" } }
                }
            },
        )
    }

    /// The account could not be read.
    pub(crate) fn unread(error: &crate::read::Unread) -> Markup {
        message(
            "The account could not be read",
            &format!("{}. Nothing is shown rather than something old.", words_of(error)),
            Some(("", "Try again")),
        )
    }
}

fn assumptions(assumed: &[(Address, u8)]) -> Markup {
    html! {
        @for (token, decimals) in assumed {
            p.small {
                "Amounts of " (address(*token)) " are counted with " (decimals) " decimals: the policy does not say how many it has."
            }
        }
    }
}

fn limits_choice(prepared: &Prepared) -> Markup {
    let Wish::Offer { index, limits, .. } = &prepared.wish else {
        return html! {};
    };
    let choices = [
        (
            LimitMode::Keep,
            "keep",
            "What is used already counts, until its time is over",
        ),
        (LimitMode::Afresh, "afresh", "Start again: nothing counts as used"),
    ];
    html! {
        nav.limits aria-label="What happens to amounts that are used already" {
            p { "Part of a limit that changes is used already. What happens to it?" }
            ul {
                @for (mode, name, words) in choices {
                    li {
                        a href=(format!("/offers/{index}?limits={name}"))
                            aria-current=[(mode == *limits).then_some("true")] { (words) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_set_apart_and_everything_is_escaped() {
        let address = Address::repeat_byte(0xab).to_string();
        let text = format!("<b> {address} é 0x1234 {address}{address}0x{address}.");
        let page = prose(&text).into_string();
        let set_apart = format!("<code class=\"address\">{address}</code>");
        // One that goes on is none: the second is followed by a digit.
        assert!(
            page.starts_with(&format!("&lt;b&gt; {set_apart} é 0x1234 {address}")),
            "{page}"
        );
        assert_eq!(
            page.replace("<code class=\"address\">", "")
                .replace("</code>", ""),
            text.replace('<', "&lt;").replace('>', "&gt;")
        );
        assert_eq!(address_in("0x"), None);
        assert_eq!(prose("").into_string(), "");
    }
}
