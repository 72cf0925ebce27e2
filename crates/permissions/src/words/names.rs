//! Names of tokens, contracts and functions, from the caller.

use super::quantity::{decimal, grouped};
use alloy_primitives::{Address, Selector, U256};
use std::{borrow::Cow, collections::BTreeMap};

/// The maximum length of a shown name, in characters.
const MAX_NAME: usize = 40;

/// A token's symbol and decimals.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// Its symbol.
    pub symbol: String,
    /// The number of decimal places of an amount.
    pub decimals: u8,
}

impl Token {
    /// A token.
    pub fn new(symbol: impl Into<String>, decimals: u8) -> Self {
        Self {
            symbol: symbol.into(),
            decimals,
        }
    }
}

/// Names and decimals, as far as the caller knows them.
pub trait Lookup {
    /// A token.
    fn token(&self, token: Address) -> Option<Token>;

    /// Whether another token has the same symbol, however it is written, so that the symbol alone does not
    /// say which of them is meant. Amounts then name the token's address, too.
    fn is_ambiguous(&self, token: Address) -> bool {
        let _ = token;
        false
    }

    /// The name of a contract that is not a known token.
    fn contract(&self, contract: Address) -> Option<String> {
        let _ = contract;
        None
    }

    /// The signature of a function, such as `buy(uint256)`. The selectors of [`well_known_function`] are
    /// always known.
    fn function(&self, contract: Address, selector: Selector) -> Option<String> {
        let _ = (contract, selector);
        None
    }

    /// The symbol of the native token.
    fn native_symbol(&self) -> Cow<'_, str> {
        Cow::Borrowed("ETH")
    }
}

/// No names are known.
impl Lookup for () {
    fn token(&self, _: Address) -> Option<Token> {
        None
    }
}

impl<L: Lookup + ?Sized> Lookup for &L {
    fn token(&self, token: Address) -> Option<Token> {
        (**self).token(token)
    }

    fn is_ambiguous(&self, token: Address) -> bool {
        (**self).is_ambiguous(token)
    }

    fn contract(&self, contract: Address) -> Option<String> {
        (**self).contract(contract)
    }

    fn function(&self, contract: Address, selector: Selector) -> Option<String> {
        (**self).function(contract, selector)
    }

    fn native_symbol(&self) -> Cow<'_, str> {
        (**self).native_symbol()
    }
}

/// Names by address and selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Names {
    tokens: BTreeMap<Address, Token>,
    contracts: BTreeMap<Address, String>,
    functions: BTreeMap<Selector, String>,
    native_symbol: Option<String>,
}

impl Names {
    /// No names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a token.
    pub fn token(mut self, address: Address, token: Token) -> Self {
        self.tokens.insert(address, token);
        self
    }

    /// Adds a contract.
    pub fn contract(mut self, address: Address, name: impl Into<String>) -> Self {
        self.contracts.insert(address, name.into());
        self
    }

    /// Adds a function by its selector, with its signature.
    pub fn function(mut self, selector: Selector, signature: impl Into<String>) -> Self {
        self.functions.insert(selector, signature.into());
        self
    }

    /// Sets the symbol of the native token. The default is `ETH`.
    pub fn native_symbol(mut self, symbol: impl Into<String>) -> Self {
        self.native_symbol = Some(symbol.into());
        self
    }

    /// The named tokens.
    pub const fn tokens(&self) -> &BTreeMap<Address, Token> {
        &self.tokens
    }
}

impl Lookup for Names {
    fn token(&self, token: Address) -> Option<Token> {
        self.tokens.get(&token).cloned()
    }

    fn is_ambiguous(&self, token: Address) -> bool {
        let folded = |token: &Token| clean(&token.symbol).to_lowercase();
        let Some(symbol) = self.tokens.get(&token).map(folded) else {
            return false;
        };
        self.tokens
            .iter()
            .any(|(other, named)| *other != token && folded(named) == symbol)
    }

    fn contract(&self, contract: Address) -> Option<String> {
        self.contracts.get(&contract).cloned()
    }

    fn function(&self, _: Address, selector: Selector) -> Option<String> {
        self.functions.get(&selector).cloned()
    }

    fn native_symbol(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.native_symbol.as_deref().unwrap_or("ETH"))
    }
}

/// Signatures of token functions, by selector.
#[must_use]
pub const fn well_known_function(selector: Selector) -> Option<&'static str> {
    Some(match u32::from_be_bytes(selector.0) {
        0xa905_9cbb => "transfer(address,uint256)",
        0x095e_a7b3 => "approve(address,uint256)",
        0x23b8_72dd => "transferFrom(address,address,uint256)",
        0x3950_9351 => "increaseAllowance(address,uint256)",
        0xa457_c2d7 => "decreaseAllowance(address,uint256)",
        0xd505_accf => "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
        0x4284_2e0e => "safeTransferFrom(address,address,uint256)",
        0xb88d_4fde => "safeTransferFrom(address,address,uint256,bytes)",
        0xa22c_b465 => "setApprovalForAll(address,bool)",
        0xf242_432a => "safeTransferFrom(address,address,uint256,uint256,bytes)",
        0x2eb2_c2d6 => "safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)",
        0xd0e3_0db0 => "deposit()",
        0x2e1a_7d4d => "withdraw(uint256)",
        _ => return None,
    })
}

/// Removes characters that could mislead the reader from untrusted text, and cuts it.
pub(crate) fn clean(text: &str) -> String {
    let is_harmless = |character: &char| {
        !character.is_control()
            && !matches!(*character,
                '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    let mut cleaned: String = text.chars().filter(is_harmless).take(MAX_NAME + 1).collect();
    if cleaned.chars().count() > MAX_NAME {
        cleaned = cleaned.chars().take(MAX_NAME - 1).collect();
        cleaned.push('…');
    }
    cleaned.trim().to_owned()
}

/// A signature, without its types if it would be too long.
fn signature(text: &str) -> String {
    match text.split_once('(') {
        Some((name, _)) if text.chars().count() > MAX_NAME => {
            let name = clean(name);
            if name.is_empty() {
                name
            } else {
                format!("{name}(…)")
            }
        }
        _ => clean(text),
    }
}

/// Units of native coins, which no token may have for its symbol.
const NATIVE: [&str; 5] = ["eth", "ether", "wei", "gwei", "native"];

/// Whether a token's symbol, or a word of it, reads like a native coin: that of the chain, or ether.
pub(crate) fn is_like_native(symbol: &str, native: &str) -> bool {
    symbol
        .split(|character: char| !character.is_alphanumeric())
        .any(|word| {
            word.eq_ignore_ascii_case(native) || NATIVE.iter().any(|unit| word.eq_ignore_ascii_case(unit))
        })
}

/// Whether a symbol has no characters but those that look like no other, and is one word.
fn is_plain(symbol: &str) -> bool {
    symbol
        .chars()
        .all(|character| character.is_ascii_alphanumeric() || "._-+$".contains(character))
}

/// An amount of a token, as [`Words`](super::Words) name it: `1.5 USDC`. The token's address stands beside
/// its symbol where that may be taken for another's, and in the place of one that reads like a native coin. A
/// token that is not known is counted in base units.
#[must_use]
pub fn token_amount(names: &dyn Lookup, token: Address, amount: U256) -> String {
    Shown(names).amount(token, amount)
}

/// A token's symbol, unless it reads like a native coin or may be taken for another token's.
#[must_use]
pub fn token_symbol(names: &dyn Lookup, token: Address) -> Option<String> {
    let names = Shown(names);
    let symbol = names.token(token)?.symbol?;
    names.is_clear(token, &symbol).then_some(symbol)
}

/// A token as it is shown.
struct ShownToken {
    /// `None` if its own would mislead.
    symbol: Option<String>,
    decimals: u8,
}

/// A lookup whose texts are safe to show.
pub(crate) struct Shown<'a>(pub(crate) &'a dyn Lookup);

impl Shown<'_> {
    fn token(&self, token: Address) -> Option<ShownToken> {
        let found = self.0.token(token)?;
        let symbol = clean(&found.symbol);
        (!symbol.is_empty()).then(|| ShownToken {
            symbol: (!is_like_native(&symbol, &self.native_symbol())).then_some(symbol),
            decimals: found.decimals,
        })
    }

    /// Whether a token's symbol alone says which token it is.
    fn is_clear(&self, token: Address, symbol: &str) -> bool {
        is_plain(symbol) && !self.0.is_ambiguous(token)
    }

    /// `USDC (0x…)`, or the address alone.
    pub(crate) fn contract(&self, contract: Address) -> String {
        let name = self.token(contract).and_then(|token| token.symbol);
        let name = name.or_else(|| self.0.contract(contract).map(|name| clean(&name)));
        match name.filter(|name| !name.is_empty()) {
            Some(name) => format!("{name} ({contract})"),
            None => contract.to_string(),
        }
    }

    /// `transfer`, or `buy(uint256)`, or the selector alone.
    pub(crate) fn function(&self, contract: Address, selector: Selector) -> String {
        if selector.is_zero() {
            return "plain payments (no call data)".to_owned();
        }
        match well_known_function(selector) {
            Some(signature @ ("transfer(address,uint256)" | "approve(address,uint256)")) => {
                signature.split('(').next().unwrap_or(signature).to_owned()
            }
            Some(signature) => signature.to_owned(),
            None => match self.0.function(contract, selector).map(|name| signature(&name)) {
                Some(name) if !name.is_empty() => name,
                _ => format!("the function {selector}"),
            },
        }
    }

    /// An amount of the native token.
    pub(crate) fn native(&self, wei: U256) -> String {
        format!("{} {}", grouped(&decimal(wei, 18)), self.native_symbol())
    }

    pub(crate) fn native_symbol(&self) -> String {
        clean(&self.0.native_symbol())
    }

    /// An amount of a token.
    pub(crate) fn amount(&self, token: Address, amount: U256) -> String {
        match self.token(token) {
            Some(ShownToken { symbol, decimals }) => {
                let amount = grouped(&decimal(amount, decimals));
                match symbol {
                    Some(symbol) if self.is_clear(token, &symbol) => format!("{amount} {symbol}"),
                    Some(symbol) => format!("{amount} {symbol} ({token})"),
                    None => format!("{amount} of token {token}"),
                }
            }
            None => format!("{} base units of {token}", grouped(&amount.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::keccak256;

    #[test]
    fn well_known_functions_have_their_selectors() {
        let mut known = 0;
        for signature in [
            "transfer(address,uint256)",
            "approve(address,uint256)",
            "transferFrom(address,address,uint256)",
            "increaseAllowance(address,uint256)",
            "decreaseAllowance(address,uint256)",
            "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
            "safeTransferFrom(address,address,uint256)",
            "safeTransferFrom(address,address,uint256,bytes)",
            "setApprovalForAll(address,bool)",
            "safeTransferFrom(address,address,uint256,uint256,bytes)",
            "safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)",
            "deposit()",
            "withdraw(uint256)",
        ] {
            let selector = Selector::from_slice(&keccak256(signature)[..4]);
            assert_eq!(well_known_function(selector), Some(signature));
            known += 1;
        }
        assert_eq!(known, 13);
        assert_eq!(well_known_function(Selector::ZERO), None);
    }

    #[test]
    fn a_token_cannot_pass_for_the_native_coin_or_for_another_token() {
        let (one, other) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let amount = U256::from(7);
        for symbol in [
            "ETH",
            "eth",
            "POL",
            "ETH.",
            "ETH in total. May",
            "\u{200b}GWEI",
            "Ether",
        ] {
            let names = Names::new()
                .native_symbol("POL")
                .token(one, Token::new(symbol, 6));
            assert_eq!(
                token_amount(&names, one, amount),
                format!("0.000007 of token {one}"),
                "{symbol}"
            );
            assert_eq!(Shown(&names).contract(one), one.to_string());
            assert_eq!(token_symbol(&names, one), None);
        }
        for symbol in ["WETH", "stETH", "USDC.e"] {
            let names = Names::new().token(one, Token::new(symbol, 6));
            assert_eq!(token_amount(&names, one, amount), format!("0.000007 {symbol}"));
            assert_eq!(token_symbol(&names, one).as_deref(), Some(symbol));
        }
        // Two with one symbol, and letters that look like others.
        let two = Names::new()
            .token(one, Token::new("USDC", 6))
            .token(other, Token::new("usdc\u{200b}", 6));
        assert_eq!(token_amount(&two, one, amount), format!("0.000007 USDC ({one})"));
        assert_eq!(token_symbol(&two, other), None);
        let greek = Names::new().token(one, Token::new("\u{395}TH", 6));
        assert_eq!(
            token_amount(&greek, one, amount),
            format!("0.000007 \u{395}TH ({one})")
        );
    }

    #[test]
    fn untrusted_names_cannot_mislead_the_reader() {
        let token = Address::repeat_byte(1);
        let names = Names::new().token(token, Token::new("US\u{202e}\u{1b}[2J\nDC\u{200b}\0 ", 6));
        assert_eq!(Shown(&names).contract(token), format!("US[2JDC ({token})"));
        let long = "x".repeat(1_000);
        let names = Names::new().contract(token, &long);
        let shown = Shown(&names).contract(token);
        assert_eq!(shown, format!("{}… ({token})", "x".repeat(39)));
        let selector = Selector::repeat_byte(7);
        let tuple = "exactInputSingle((address,address,uint24,address,uint256))";
        for (signature, shown) in [
            ("buy(uint256)", "buy(uint256)"),
            (tuple, "exactInputSingle(…)"),
            (&*format!("\u{1b}{long}("), &*format!("{}…(…)", "x".repeat(39))),
        ] {
            let names = Names::new().function(selector, signature);
            assert_eq!(Shown(&names).function(token, selector), shown);
        }
        // Nothing is left of the name.
        let names = Names::new().token(token, Token::new("\u{200b}\u{feff}", 6));
        assert_eq!(Shown(&names).contract(token), token.to_string());
        assert_eq!(
            Shown(&names).amount(token, U256::from(1_500)),
            format!("1,500 base units of {token}")
        );
    }
}
