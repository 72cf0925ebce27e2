//! Tokens: secrets by which clients are told apart. Only their hashes are stored.

use serde::{Deserialize, Serialize};
use session_key_agent::client::{
    alloy::{
        hex,
        primitives::{B256, keccak256},
    },
    operation::{Machine, Surroundings as _},
};
use std::fmt;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The longest token that is looked at, in bytes.
const LONGEST: usize = 256;

/// A token: 256 random bits, in hexadecimal. Never in `Debug`.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// Makes a new one.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        Machine.fill_random(bytes.as_mut_slice());
        Self(Zeroizing::new(hex::encode(bytes.as_slice())))
    }

    /// Takes one that was given.
    #[must_use]
    pub fn given(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Returns the token, to be shown once, or sent.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    /// Returns its hash.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(keccak256(self.0.as_bytes()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The keccak256 of a token. A token has 256 random bits: whoever reads its hash cannot find it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(pub B256);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Returns which of these hashes a given token has. Takes as long for every token and every answer.
pub(crate) fn find(given: &[u8], hashes: impl Iterator<Item = TokenHash>) -> Option<usize> {
    let is_short = given.len() <= LONGEST;
    let hash = keccak256(if is_short { given } else { &[] });
    let mut found = None;
    for (index, known) in hashes.enumerate() {
        if bool::from(hash.as_slice().ct_eq(known.0.as_slice())) && is_short {
            found = Some(index);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_by_its_hash_only() {
        let tokens: Vec<Token> = (0..3).map(|_| Token::random()).collect();
        let hashes = || tokens.iter().map(Token::hash);
        for (index, token) in tokens.iter().enumerate() {
            assert_eq!(find(token.expose_secret().as_bytes(), hashes()), Some(index));
            assert_eq!(find(token.hash().to_string().as_bytes(), hashes()), None);
            assert!(!format!("{token:?}").contains(token.expose_secret()));
        }
        let long = "a".repeat(LONGEST + 1);
        assert_eq!(find(b"", hashes()), None);
        assert_eq!(find(long.as_bytes(), hashes()), None);
        assert_eq!(
            find(long.as_bytes(), [Token::given(long.clone()).hash()].into_iter()),
            None
        );
        let empty = Token::given(String::new());
        assert_eq!(find(long.as_bytes(), [empty.hash()].into_iter()), None);
    }
}
