//! The sources of a command's settings: option, environment, `session-key.toml`, default.

use crate::endpoint::TimeLimit;
use clap::Args;
use eyre::{Result, WrapErr as _, ensure, eyre};
use serde::{Deserialize, Deserializer, de::Error as _};
use session_key_client::{
    alloy::primitives::{Address, U256},
    permissions::parse_address,
    request::clean_text,
};
use std::path::{Path, PathBuf};

/// The settings file in the working directory.
pub(crate) const FILE: &str = "session-key.toml";
/// The maximum size of a settings file, in bytes.
const MAX_SIZE: u64 = 64 << 10;

/// Options of commands that read a chain.
#[derive(Clone, Debug, Args)]
pub(crate) struct Sources {
    /// JSON-RPC URL of a node of the chain.
    #[arg(long, value_name = "URL", env = "ETH_RPC_URL", hide_env_values = true)]
    pub(crate) rpc_url: Option<String>,

    /// JSON-RPC URL of a bundler.
    #[arg(
        long,
        value_name = "URL",
        env = "SESSION_KEY_BUNDLER_URL",
        hide_env_values = true
    )]
    pub(crate) bundler_url: Option<String>,

    /// The account.
    #[arg(long, value_name = "ADDRESS", env = "SESSION_KEY_ACCOUNT", value_parser = parse_address)]
    pub(crate) account: Option<Address>,

    /// Entity id of the session key module on an ERC-6900 v0.8 account, or the one to install it under
    /// [default: looked up].
    #[arg(long, value_name = "ID")]
    pub(crate) entity_id: Option<u32>,

    /// The intended chain; a node on another chain is an error [default: the node's chain].
    #[arg(long, value_name = "ID", env = "SESSION_KEY_CHAIN_ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) chain_id: Option<u64>,

    /// The first block with events of the account's keys [default: 0].
    #[arg(long, value_name = "BLOCK")]
    pub(crate) from_block: Option<u64>,

    /// The contracts to install or create accounts with: `canonical`, `deterministic`, or a file that `deploy
    /// --record` wrote.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) deployment: Option<String>,

    /// The settings file [default: session-key.toml in the working directory, if it exists].
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) time_limit: TimeLimit,

    /// Print one JSON document instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A settings file. It never names an owner's keystore: the file may come with someone else's repository.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsFile {
    rpc_url: Option<String>,
    bundler_url: Option<String>,
    #[serde(default, deserialize_with = "address")]
    account: Option<Address>,
    chain_id: Option<u64>,
    from_block: Option<u64>,
    deployment: Option<String>,
    keystore: Option<PathBuf>,
    #[serde(default, deserialize_with = "address")]
    owner: Option<Address>,
    #[serde(default, deserialize_with = "number")]
    salt: Option<U256>,
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let address = parse_address(&text).map(Some);
    address.map_err(|_| D::Error::custom("expected an address, with its checksum if it has capitals"))
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<U256>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse()
        .map(Some)
        .map_err(|_| D::Error::custom("expected a number"))
}

/// Returns what was expected. The value found is left out: it may be a URL with an API key.
fn without_value(message: &str) -> String {
    let is_about_value = ["invalid type: ", "invalid value: ", "invalid length "];
    let message = if is_about_value.iter().any(|start| message.starts_with(start)) {
        match message.rsplit_once(", expected ") {
            Some((_, expected)) => format!("the value has the wrong type: expected {expected}"),
            None => "the value has the wrong type".to_owned(),
        }
    } else if message.starts_with("unknown field `") {
        match message.rsplit_once(", expected ") {
            Some((_, expected)) => format!("unknown member: expected {expected}"),
            None => "unknown member".to_owned(),
        }
    } else if message.contains("://") {
        "this is not valid".to_owned()
    } else {
        message.to_owned()
    };
    clean_text(&message, 200)
}

/// A command's settings file, if there is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct FromFile {
    /// Its path, if there is one.
    pub(crate) path: Option<PathBuf>,
    /// Whether `--config` named it.
    pub(crate) is_named: bool,
    values: SettingsFile,
}

impl FromFile {
    /// Returns the folder with session keys.
    pub(crate) fn keystore(&self) -> Option<&Path> {
        self.values.keystore.as_deref()
    }

    /// Returns the account.
    pub(crate) const fn account(&self) -> Option<Address> {
        self.values.account
    }

    /// Returns the chain id.
    pub(crate) const fn chain_id(&self) -> Option<u64> {
        self.values.chain_id
    }

    /// Returns the salt.
    pub(crate) const fn salt(&self) -> Option<U256> {
        self.values.salt
    }

    /// Returns the owner.
    pub(crate) const fn owner(&self) -> Option<Address> {
        self.values.owner
    }

    /// Returns the contracts.
    pub(crate) fn deployment(&self) -> Option<&str> {
        self.values.deployment.as_deref()
    }

    pub(crate) fn read(named: Option<&Path>) -> Result<Self> {
        let path = named.unwrap_or(Path::new(FILE));
        if named.is_none() && !path.exists() {
            return Ok(Self::default());
        }
        let shown = path.display();
        let size = std::fs::metadata(path)
            .wrap_err_with(|| format!("{shown}"))?
            .len();
        ensure!(size <= MAX_SIZE, "{shown} is too long for a settings file");
        let text = std::fs::read_to_string(path).wrap_err_with(|| format!("{shown}"))?;
        // The parser's error quotes the line, which may hold a URL with an API key.
        let values = toml::from_str(&text).map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| {
                text[..span.start.min(text.len())].matches('\n').count() + 1
            });
            eyre!("{shown}:{line}: {}", without_value(error.message()))
        })?;
        Ok(Self {
            path: Some(path.to_owned()),
            is_named: named.is_some(),
            values,
        })
    }
}

/// The settings of a command.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) rpc_url: Option<String>,
    pub(crate) bundler_url: Option<String>,
    pub(crate) account: Option<Address>,
    pub(crate) entity_id: Option<u32>,
    pub(crate) chain_id: Option<u64>,
    pub(crate) from_block: u64,
    pub(crate) deployment: Option<String>,
    pub(crate) keystore: Option<PathBuf>,
    pub(crate) owner: Option<Address>,
    pub(crate) salt: Option<U256>,
    pub(crate) time_limit: TimeLimit,
    /// Values from the file, shown before anything is signed.
    pub(crate) of_file: Vec<String>,
}

impl Settings {
    /// Removes owner or salt from the values shown, if an option overrides them.
    pub(crate) fn of_options(&mut self, owner: bool, salt: bool) {
        for (name, is_given) in [("owner", owner), ("salt", salt)] {
            if is_given {
                self.is_given(name);
            }
        }
    }

    /// Removes a value from those shown, because an option overrides it.
    pub(crate) fn is_given(&mut self, name: &str) {
        let start = format!("{name} = ");
        self.of_file.retain(|value| !value.starts_with(&start));
    }
}

impl Sources {
    /// Merges the settings, with the file's values where nothing stronger is given.
    pub(crate) fn settings(&self) -> Result<Settings> {
        let file = FromFile::read(self.config.as_deref())?;
        Ok(self.merged(&file))
    }

    /// Merges the settings for signing without a question: a file that was only found is ignored.
    pub(crate) fn settings_for_signing(&self, is_agreed: bool) -> Result<Settings> {
        let file = FromFile::read(self.config.as_deref())?;
        match &file.path {
            Some(path) if is_agreed && !file.is_named => {
                ensure!(
                    self.chain_id.is_some(),
                    "{} was found, and --yes ignores it: give --chain-id (or SESSION_KEY_CHAIN_ID), and \
                     the other values in it, as options",
                    path.display()
                );
                Ok(self.merged(&FromFile::default()))
            }
            _ => Ok(self.merged(&file)),
        }
    }

    fn merged(&self, file: &FromFile) -> Settings {
        let mut of_file = Vec::new();
        let values = &file.values;
        let mut merge_text =
            |name: &str, own: &Option<String>, other: &Option<String>, shown: fn(&str) -> String| {
                if own.is_none()
                    && let Some(other) = other
                {
                    of_file.push(format!("{name} = {}", shown(other)));
                }
                own.clone().or_else(|| other.clone())
            };
        let origin = |url: &str| clean_text(url, 200);
        let rpc_url = merge_text("rpc_url", &self.rpc_url, &values.rpc_url, origin);
        let bundler_url = merge_text("bundler_url", &self.bundler_url, &values.bundler_url, origin);
        let deployment = merge_text("deployment", &self.deployment, &values.deployment, origin);
        if self.account.is_none()
            && let Some(account) = values.account
        {
            of_file.push(format!("account = {account}"));
        }
        if self.chain_id.is_none()
            && let Some(chain_id) = values.chain_id
        {
            of_file.push(format!("chain_id = {chain_id}"));
        }
        if self.from_block.is_none()
            && let Some(from_block) = values.from_block
        {
            of_file.push(format!("from_block = {from_block}"));
        }
        // Commands remove those that an option overrides.
        of_file.extend(values.owner.map(|owner| format!("owner = {owner}")));
        of_file.extend(values.salt.map(|salt| format!("salt = {salt}")));
        if let Some(keystore) = &values.keystore {
            let keystore = keystore.display().to_string();
            of_file.push(format!("keystore = {}", clean_text(&keystore, 200)));
        }
        Settings {
            rpc_url,
            bundler_url,
            account: self.account.or(values.account),
            entity_id: self.entity_id,
            chain_id: self.chain_id.or(values.chain_id),
            from_block: self.from_block.or(values.from_block).unwrap_or(0),
            deployment,
            keystore: values.keystore.clone(),
            owner: values.owner,
            salt: values.salt,
            time_limit: self.time_limit,
            of_file,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settings_file_has_known_members_only() {
        let read = |text: &str| toml::from_str::<SettingsFile>(text);
        let address = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        let file = read(&format!(
            "rpc_url = \"http://x\"\naccount = \"{address}\"\nsalt = \"7\"\n"
        ))
        .unwrap();
        assert_eq!(file.account, Some(address.parse().unwrap()));
        assert_eq!(file.salt, Some(U256::from(7)));
        for bad in [
            "owner_keystore = \"k\"\n",
            "private_key = \"k\"\n",
            "account = \"0x12\"\n",
            "chain_id = \"1\"\n",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
