//! `inspect`: after a random history of an account, what is rebuilt from logs and views is what the model
//! says: every key with its tag, every entry, limit and amount used.

use crate::{
    Generation, Outcomes, Property,
    account::AccountWorld,
    history::{History, fail},
    sequence::{Case, histories, live},
};
use alloy::primitives::Bytes;
use proptest::prelude::*;
use session_key_client::{
    Deployment, SmartAccount,
    account::Generation as AccountGeneration,
    inspect::{InspectOptions, Inspection, inspect},
};
use session_key_testkit::{LogLimits, NodeOptions, Testkit};

/// See the [module](self).
#[derive(Debug)]
pub struct Inspections {
    world: AccountWorld,
    runtime: tokio::runtime::Runtime,
}

impl Property for Inspections {
    type Case = Case;

    const NAME: &'static str = "inspect";

    fn prepare(generation: Generation, plugin: Option<&Bytes>) -> eyre::Result<Self> {
        Ok(Self {
            world: AccountWorld::new(generation, plugin)?,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
        })
    }

    fn cases(&self) -> BoxedStrategy<Case> {
        histories(self.world.generation, 1..12)
    }

    fn check(&mut self, case: &Case, outcomes: &mut Outcomes) -> Result<(), TestCaseError> {
        let mut history = History::begin(&mut self.world)?;
        live(&mut history, case, outcomes)?;
        let inspection = self.runtime.block_on(inspected(history.world)).map_err(fail)?;

        let keys: Vec<_> = inspection.keys().iter().map(|key| key.session_key).collect();
        prop_assert_eq!(&keys[..], history.model.keys.as_slice(), "keys");
        prop_assert!(inspection.missing_blocks().is_empty());
        for key in inspection.keys() {
            prop_assert!(key.is_complete(), "{}: {:?}", key.session_key, key.missing);
            let expected = history
                .model
                .state(key.session_key)
                .ok_or_else(|| fail("no state"))?;
            let mut found = key.state.clone();
            // The model notes contracts that were only looked at.
            let mut expected = expected.clone();
            for state in [&mut found, &mut expected] {
                state
                    .contracts
                    .retain(|_, contract| *contract != Default::default());
                for contract in state.contracts.values_mut() {
                    contract.functions.retain(|_, is_on_list| *is_on_list);
                }
            }
            // Which targets are modules is not of the key's.
            found.modules.clone_from(&expected.modules);
            prop_assert_eq!(found, expected, "rebuilt (left) differs from the model (right)");
            prop_assert_eq!(key.tag, Some(crate::prepared::TAG));
        }
        outcomes.reached(format!("{} keys", keys.len()));
        Ok(())
    }
}

/// Inspects the account through a node that answers few blocks at once.
pub(crate) async fn inspected(
    world: &AccountWorld,
) -> Result<Inspection, session_key_client::account::ReadError> {
    let node = Testkit::from(world.chain.clone()).node(NodeOptions {
        logs: LogLimits {
            blocks: Some(7),
            ..LogLimits::default()
        },
        ..NodeOptions::default()
    });
    let deployment = Deployment {
        entry_point: world.stack.entry_point,
        session_key_plugin: world.stack.session_key_plugin,
        multi_owner_plugin: world.stack.multi_owner_plugin,
        factory: world.stack.account_factory,
        account_init_code_hash: None,
    };
    let (provider, chain_id) = (node.provider(), crate::account::CHAIN_ID);
    let account = match world.account_generation {
        AccountGeneration::V08(validations) => {
            SmartAccount::new_v08(provider, chain_id, world.account, deployment, validations)
        }
        _ => SmartAccount::new(provider, chain_id, world.account, deployment),
    };
    inspect(&account, &InspectOptions::new()).await
}
