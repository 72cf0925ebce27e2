//! Session keys in the encrypted keystore.

use super::{Json, Outcome, clean, not_begun};
use crate::{
    answer::{Answer, Tone},
    failure::WrongInput,
    report::print_note,
    settings::FromFile,
};
use clap::Args;
use eyre::{Result, WrapErr as _, ensure};
use session_key_client::{
    SessionKeySigner,
    alloy::primitives::Address,
    permissions::parse_address,
    signer::{KeyError, KeyStorage, KeystoreFile, PrivateKey},
};
use std::path::{Path, PathBuf};

/// Environment variable with the password of the session keys.
const PASSWORD: &str = "SESSION_KEY_PASSWORD";

/// The keystore options.
#[derive(Clone, Debug, Args)]
pub(crate) struct Keystore {
    /// The folder with the encrypted session keys. Their password is read from SESSION_KEY_PASSWORD.
    #[arg(long = "keystore", value_name = "DIR", env = "SESSION_KEY_KEYSTORE")]
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct KeygenArguments {
    #[command(flatten)]
    keystore: Keystore,

    /// The settings file [default: session-key.toml in the working directory, if it exists].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct KeysArguments {
    #[command(flatten)]
    keystore: Keystore,

    /// The settings file [default: session-key.toml in the working directory, if it exists].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) json: Json,
}

impl Keystore {
    pub(crate) fn folder(&self) -> Result<&Path> {
        let folder = self.folder.as_deref();
        Ok(folder.ok_or_else(|| {
            WrongInput("a keystore is needed: give --keystore or SESSION_KEY_KEYSTORE".to_owned())
        })?)
    }

    /// Falls back to the keystore of this settings file, or of the one in the working directory.
    pub(crate) fn or_of_file(&self, config: Option<&Path>) -> Result<Self> {
        let folder = match &self.folder {
            Some(folder) => Some(folder.clone()),
            None => {
                let folder = FromFile::read(config)?.keystore().map(Path::to_owned);
                if let Some(folder) = &folder {
                    let file = config.unwrap_or(Path::new(crate::settings::FILE));
                    print_note(&format!(
                        "using the keystore {}, named by {}",
                        clean(&folder.display().to_string()),
                        file.display()
                    ));
                }
                folder
            }
        };
        Ok(Self { folder })
    }

    fn password() -> Result<String> {
        let password = std::env::var(PASSWORD).unwrap_or_default();
        ensure!(
            password.chars().count() >= 20,
            WrongInput(format!(
                "{PASSWORD} must hold the keystore's password: a random one of at least 20 characters"
            ))
        );
        Ok(password)
    }

    fn file(folder: &Path, key: Address, password: String) -> KeystoreFile {
        KeystoreFile::new(folder.join(format!("{key}.json")), password)
    }

    /// Checks that a key could be created, as far as possible without creating one.
    pub(crate) fn check(&self) -> Result<()> {
        self.folder()?;
        Self::password().map(drop)
    }

    /// Removes a key that was never made known.
    pub(crate) fn remove(&self, key: Address) -> Result<()> {
        let path = self.folder()?.join(format!("{key}.json"));
        std::fs::remove_file(&path).wrap_err_with(|| format!("{}", path.display()))
    }

    /// Creates a key and stores it.
    pub(crate) fn generate(&self) -> Result<Address> {
        let folder = self.folder()?;
        let password = Self::password()?;
        std::fs::create_dir_all(folder).wrap_err_with(|| format!("--keystore {}", folder.display()))?;
        let key = PrivateKey::random();
        let address =
            session_key_client::alloy::signers::local::PrivateKeySigner::from_slice(key.expose_secret())?
                .address();
        Self::file(folder, address, password).store(&key)?;
        Ok(address)
    }

    /// Loads a key.
    pub(crate) fn load(&self, key: Address) -> Result<SessionKeySigner> {
        let folder = self.folder()?;
        let file = Self::file(folder, key, Self::password()?);
        match SessionKeySigner::load(file) {
            Err(KeyError::NotFound(_)) => Err(WrongInput(format!(
                "there is no session key {key} in --keystore {}",
                folder.display()
            ))
            .into()),
            loaded => Ok(loaded?),
        }
    }

    fn list(&self) -> Result<Vec<Address>> {
        let folder = self.folder()?;
        let files = std::fs::read_dir(folder).wrap_err_with(|| format!("--keystore {}", folder.display()))?;
        let mut keys = Vec::new();
        for file in files {
            let name = file?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".json"));
            keys.extend(name.and_then(|name| parse_address(name).ok()));
        }
        keys.sort();
        Ok(keys)
    }
}

pub(crate) fn keygen(arguments: &KeygenArguments) -> Outcome {
    not_begun((|| {
        let address = arguments
            .keystore
            .or_of_file(arguments.config.as_deref())?
            .generate()?;
        let mut answer = Answer::new();
        answer
            .raw(address.to_string())
            .data("sessionKey", address.to_string());
        Ok(answer)
    })())
}

pub(crate) fn list(arguments: &KeysArguments) -> Outcome {
    not_begun((|| {
        let keys = arguments
            .keystore
            .or_of_file(arguments.config.as_deref())?
            .list()?;
        let mut answer = Answer::new();
        for key in &keys {
            answer.raw(key.to_string());
        }
        if keys.is_empty() {
            answer.line(Tone::Quiet, 0, "No keys.");
        }
        let keys: Vec<String> = keys.iter().map(Address::to_string).collect();
        answer.data("keys", keys);
        Ok(answer)
    })())
}
