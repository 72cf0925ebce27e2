//! A paymaster service that can fail or lie.

use crate::{
    dice::Dice,
    fault::Fault,
    hostile,
    spot::{Actor, Step},
    words::FIELD_ERRORS,
    world::World,
};
use alloy::primitives::{Address, Bytes};
use async_trait::async_trait;
use session_key_client::{
    UserOperation,
    operation::{Paymaster, PaymasterError},
};
use std::sync::Arc;
use tokio::time::{Duration, sleep};

/// A process's connection to the service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) world: Arc<World>,
    pub(crate) process: u8,
}

impl Service {
    async fn ask(&self, step: Step) -> Result<Bytes, PaymasterError> {
        let (from, to) = (Actor::Process(self.process), Actor::Paymaster);
        let (spot, fault) = self.world.fate(from, to, step);
        let mut dice = self
            .world
            .dice(&[0xfa7, from.number(), step as u64, spot.nth.into()]);
        sleep(Duration::from_millis(dice.between(1, 40))).await;
        let paymaster = self.world.prepared.stack.paymaster;
        let mut data = [0; 16];
        if step == Step::Sponsor {
            dice.fill(&mut data);
        } else {
            data.fill(0xff);
        }
        let prepared = self.world.prepared;
        let honest = |data: &[u8]| Ok(Bytes::from(prepared.paymaster_data(paymaster.as_slice(), data)));
        match fault {
            None => honest(&data),
            Some(Fault::Late { millis } | Fault::AnswerLate { millis }) => {
                sleep(Duration::from_millis(millis.into())).await;
                honest(&data)
            }
            Some(Fault::Said { index, .. }) => Err(PaymasterError::declined(
                FIELD_ERRORS
                    .get(usize::from(index))
                    .map_or_else(String::new, |error| format!("HTTP {}", error.status)),
            )),
            Some(Fault::Hostile { seed }) => {
                let mut dice = Dice::keyed(u64::from(seed), &[0xfa7]);
                Ok(hostile::paymaster_data(&mut dice).into())
            }
            Some(Fault::Twice { .. }) => honest(&[&data[..], &data[..]].concat()),
            Some(Fault::Cut { .. }) => Ok(Bytes::copy_from_slice(&paymaster[..7])),
            Some(Fault::Lost { reset: false } | Fault::AnswerLost { reset: false }) => {
                sleep(Duration::from_secs(30)).await;
                Err(PaymasterError::declined("timed out"))
            }
            Some(Fault::NotReached) => Ok(Bytes::new()),
            Some(Fault::AnswerLost { .. }) => Ok(Bytes::from(
                prepared.paymaster_data(Address::repeat_byte(0xbb).as_slice(), &data),
            )),
            Some(_) => Err(PaymasterError::declined("connection closed")),
        }
    }
}

#[async_trait]
impl Paymaster for Service {
    async fn stub(&self, _: &UserOperation) -> Result<Bytes, PaymasterError> {
        self.ask(Step::Stub).await
    }

    async fn sponsor(&self, _: &UserOperation) -> Result<Bytes, PaymasterError> {
        self.ask(Step::Sponsor).await
    }
}
