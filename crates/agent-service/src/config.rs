//! The configuration file: who may ask, and for what.

use crate::token::TokenHash;
use serde::{Deserialize, Deserializer, de::Error as _};
use session_key_agent::client::alloy::primitives::B256;
use std::{collections::BTreeSet, path::PathBuf};

/// The most clients.
pub const MOST_CLIENTS: usize = 64;
/// The maximum size of a configuration, in bytes.
pub const MAX_CONFIG: usize = 256 << 10;

/// A configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It is not TOML of this form.
    #[error("{line}: {message}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What was expected.
        message: String,
    },
    /// It is too large.
    #[error("{length} bytes are too many for a configuration: at most {MAX_CONFIG}")]
    TooLarge {
        /// Its length.
        length: usize,
    },
    /// There is no client.
    #[error("there is no client: add one with [[clients]]")]
    NoClients,
    /// There are too many clients.
    #[error("{count} clients are too many: at most {MOST_CLIENTS}")]
    TooManyClients {
        /// How many.
        count: usize,
    },
    /// Two clients have the same name.
    #[error("two clients are called {0:?}")]
    SameName(String),
    /// Two clients, or a client and the metrics, have the same token.
    #[error("{first} and {second} have the same token")]
    SameToken {
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// A name that is not one.
    #[error("{0:?} is not a client's name: 1 to 32 of a-z, 0-9 and -")]
    Name(String),
    /// A number out of its range.
    #[error("{client}: {what} is {found}, not within 1 and {most}")]
    OutOfRange {
        /// The client.
        client: String,
        /// The member.
        what: &'static str,
        /// Its value.
        found: u32,
        /// The most.
        most: u32,
    },
}

/// What one client may do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    /// Its name: 1 to 32 lower-case letters, digits and hyphens. It is part of the names of its operations in
    /// the journal: a client keeps it.
    pub name: String,
    /// The hash of its token.
    #[serde(deserialize_with = "hash")]
    pub token_hash: TokenHash,
    /// The policy file whose `[agent]` table it is held to, from the configuration's folder.
    pub policy: PathBuf,
    /// The most bundles that wait or are on their way, between 1 and 1,024; 32 by default.
    #[serde(default = "most_pending")]
    pub most_pending: u32,
    /// The most requests within a second, between 1 and 10,000; 50 by default.
    #[serde(default = "requests_per_second")]
    pub requests_per_second: u32,
    /// Whether its bundles may share operations with each other. That makes one receipt, with the logs
    /// of all of them.
    #[serde(default)]
    pub share: bool,
}

/// Who may read the metrics.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsConfig {
    /// The hash of the token.
    #[serde(deserialize_with = "hash")]
    pub token_hash: TokenHash,
}

/// The configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The clients.
    #[serde(default)]
    pub clients: Vec<ClientConfig>,
    /// Metrics; without it, there are none.
    pub metrics: Option<MetricsConfig>,
}

const fn most_pending() -> u32 {
    32
}

const fn requests_per_second() -> u32 {
    50
}

fn hash<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TokenHash, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 64);
    let hash = digits.and_then(|digits| digits.parse::<B256>().ok());
    hash.map(TokenHash)
        .ok_or_else(|| D::Error::custom("expected the hash of a token: 0x and 64 hexadecimal digits"))
}

impl Config {
    /// Parses a configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]. A token that stands in place of its hash is not repeated.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.len() > MAX_CONFIG {
            return Err(ConfigError::TooLarge { length: text.len() });
        }
        let config: Self = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start.min(text.len()));
            ConfigError::Syntax {
                line: text.get(..start).unwrap_or_default().matches('\n').count() + 1,
                message: error.message().to_owned(),
            }
        })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let count = self.clients.len();
        if count == 0 {
            return Err(ConfigError::NoClients);
        } else if count > MOST_CLIENTS {
            return Err(ConfigError::TooManyClients { count });
        }
        let mut names = BTreeSet::new();
        let mut tokens: Vec<(TokenHash, String)> = Vec::new();
        let metrics = self
            .metrics
            .iter()
            .map(|metrics| (metrics.token_hash, "the metrics"));
        for client in &self.clients {
            let is_name = (1..=32).contains(&client.name.len())
                && client
                    .name
                    .bytes()
                    .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
            if !is_name {
                return Err(ConfigError::Name(client.name.clone()));
            }
            if !names.insert(client.name.as_str()) {
                return Err(ConfigError::SameName(client.name.clone()));
            }
            for (what, found, most) in [
                ("most_pending", client.most_pending, 1_024),
                ("requests_per_second", client.requests_per_second, 10_000),
            ] {
                if !(1..=most).contains(&found) {
                    return Err(ConfigError::OutOfRange {
                        client: client.name.clone(),
                        what,
                        found,
                        most,
                    });
                }
            }
        }
        let all = self
            .clients
            .iter()
            .map(|client| (client.token_hash, client.name.as_str()))
            .chain(metrics);
        for (hash, name) in all {
            if let Some((_, first)) = tokens.iter().find(|(other, _)| *other == hash) {
                return Err(ConfigError::SameToken {
                    first: first.clone(),
                    second: name.to_owned(),
                });
            }
            tokens.push((hash, name.to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Token;

    fn client(name: &str, hash: &str, rest: &str) -> String {
        format!("[[clients]]\nname = \"{name}\"\ntoken_hash = \"{hash}\"\npolicy = \"p.toml\"\n{rest}\n")
    }

    #[test]
    fn a_configuration_is_read_strictly() {
        let one = Token::random().hash().to_string();
        let two = Token::random().hash().to_string();
        let good = format!(
            "{}{}[metrics]\ntoken_hash = \"{}\"\n",
            client("shop", &one, "share = true"),
            client("b-2", &two, "most_pending = 1024"),
            Token::random().hash()
        );
        let config = Config::parse(&good).unwrap();
        assert_eq!(
            (config.clients[0].most_pending, config.clients[0].share),
            (32, true)
        );
        let wrong = |text: String| Config::parse(&text).unwrap_err().to_string();
        for (text, expected) in [
            (String::new(), "no client"),
            (client("Shop", &one, ""), "not a client's name"),
            (client("a", &one, "") + &client("a", &two, ""), "two clients"),
            (client("a", &one, "") + &client("b", &one, ""), "same token"),
            (
                format!("{}[metrics]\ntoken_hash = \"{one}\"\n", client("a", &one, "")),
                "same token",
            ),
            (client("a", &one, "most_pending = 0"), "most_pending is 0"),
            (client("a", &one, "requests_per_second = 10001"), "10000"),
            (client("a", &one, "alowed = true"), "5: unknown field"),
            ("#".repeat(MAX_CONFIG + 1), "too many"),
        ] {
            let error = wrong(text);
            assert!(error.contains(expected), "{error}");
        }
        // A token in place of its hash is not repeated.
        let token = Token::random();
        let error = wrong(client("a", token.expose_secret(), ""));
        assert!(
            error.contains("hash of a token") && !error.contains(token.expose_secret()),
            "{error}"
        );
    }
}
