//! Reads the account: everything that the page shows comes from here.

use crate::Review;
use session_key_client::{
    Node, SmartAccount,
    account::{Generation, ReadError},
    account_keys::{AccountKeys, ReadOptions},
    alloy::primitives::{Address, B256},
    deployment::native_symbol,
    inspect::{InspectOptions, InspectedKey, Inspection, inspect},
    nft::nfts,
    node::Head,
    permissions::{
        KeyState,
        account_modules::AccountKey,
        lint::{Lint, Warning},
        words::Names,
    },
    request::{RequestError, clean_text},
    tokens,
};
use std::{collections::BTreeSet, error::Error};

/// The account could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the node could not answer")]
    Rpc(#[from] RequestError),
}

/// An error with its causes, cleaned.
pub(crate) fn words_of(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = error.source();
    }
    clean_text(&words, 400)
}

/// A tag: as text, if it is one, else in hexadecimal.
pub(crate) fn tag_text(tag: B256) -> String {
    let end = tag.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let text = &tag[..end];
    let is_text = text.len() > 1 && text.iter().all(|byte| (b' '..=b'~').contains(byte));
    match std::str::from_utf8(text) {
        Ok(text) if is_text => format!("“{text}”"),
        _ => tag.to_string(),
    }
}

/// The account at one block.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) block: Head,
    pub(crate) inspection: Option<Inspection>,
    pub(crate) names: Names,
    pub(crate) nfts: BTreeSet<Address>,
    /// Whether [`nfts`](Self::nfts) are known.
    pub(crate) has_asked_nfts: bool,
    /// Keys of the account's own client; an error in words.
    pub(crate) own: Option<Result<AccountKeys, String>>,
    pub(crate) own_names: Names,
    /// The owners; an error in words.
    pub(crate) owners: Result<Vec<Address>, String>,
}

impl Snapshot {
    pub(crate) fn keys(&self) -> &[InspectedKey] {
        self.inspection.as_ref().map_or(&[], Inspection::keys)
    }

    pub(crate) fn key(&self, key: Address) -> Option<&InspectedKey> {
        self.keys().iter().find(|found| found.session_key == key)
    }

    pub(crate) const fn now(&self) -> u64 {
        self.block.timestamp
    }

    /// The warnings about a key.
    pub(crate) fn lint(&self, state: &KeyState) -> Vec<Warning> {
        Lint::of_key(state)
            .at(self.now())
            .nfts(self.nfts.iter().copied())
            .run()
    }
}

impl Review {
    pub(crate) fn node(&self) -> Node {
        Node::new(self.account.provider().clone())
    }

    pub(crate) fn names(&self) -> Names {
        Names::new().native_symbol(native_symbol(self.account.chain_id()))
    }

    /// Reads the account's keys; with `only`, no others.
    pub(crate) async fn inspect(&self, only: Option<&[Address]>) -> Result<Option<Inspection>, Unread> {
        if !self.has_keys {
            return Ok(None);
        }
        let mut options = InspectOptions::new().from_block(self.from_block);
        if let Some(keys) = only {
            options = options.keys(keys.iter().copied());
        }
        Ok(Some(inspect(&self.account, &options).await?))
    }

    /// Reads everything.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, Unread> {
        self.account.check_chain().await?;
        let node = self.node();
        let inspection = self.inspect(None).await?;
        let block = match &inspection {
            Some(inspection) => inspection.block,
            None => node.head().await?,
        };
        let states: Vec<&KeyState> = inspection
            .iter()
            .flat_map(|inspection| inspection.keys().iter().map(|key| &key.state))
            .collect();
        let (names, nfts, owners, own) = tokio::join!(
            tokens::name_tokens(&node, states.iter().copied(), self.names()),
            nfts(&node, tokens::tokens_of(states.iter().copied())),
            self.account.owners(),
            own_keys(&node, &self.account, block),
        );
        let own_tokens: BTreeSet<Address> = match &own {
            Some(Ok(own)) => own
                .keys
                .iter()
                .map(|read| &read.key)
                .flat_map(AccountKey::tokens)
                .collect(),
            _ => BTreeSet::new(),
        };
        let own_names = tokens::tokens(&node, own_tokens).await;
        let own_names = own_names
            .into_iter()
            .fold(self.names(), |names, (address, token)| {
                names.token(address, token)
            });
        let has_asked_nfts = nfts.is_ok();
        Ok(Snapshot {
            block,
            names,
            nfts: nfts.unwrap_or_default(),
            has_asked_nfts,
            own,
            own_names,
            owners: owners.map_err(|error| words_of(&error)),
            inspection,
        })
    }
}

/// Reads the keys of the account's own client; `None` for a v0.7 account.
async fn own_keys(node: &Node, account: &SmartAccount, block: Head) -> Option<Result<AccountKeys, String>> {
    let Generation::V08(validations) = account.generation() else {
        return None;
    };
    let options = ReadOptions::new()
        .at(block)
        .session_key_module(account.deployment().session_key_plugin)
        .owner(validations.owner.entity_id);
    let read = AccountKeys::read(node, account.address(), &options).await;
    read.map_err(|error| words_of(&error)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_text_only_if_all_of_it_is() {
        let mut tag = B256::ZERO;
        tag[..10].copy_from_slice(b"weekly buy");
        assert_eq!(tag_text(tag), "“weekly buy”");
        tag[10] = 0x07;
        assert_eq!(tag_text(tag), tag.to_string());
        let hash = B256::repeat_byte(0xab);
        assert_eq!(tag_text(hash), hash.to_string());
        assert_eq!(tag_text(B256::ZERO), B256::ZERO.to_string());
    }
}
