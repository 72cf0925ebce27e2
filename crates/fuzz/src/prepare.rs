//! What random steps come to, given the account as it is: call data of owners, and signed operations.

use crate::{
    account::AccountWorld,
    model::Model,
    prepared::{Maker, NO_UPDATE, Prepared, TAG, updates},
    steps::{Change, FEE, Fee, GAS, KEYS, Key, KeyOperation, Oddity, OwnerAction, Predecessor, session_key},
};
use alloy::{
    primitives::{Address, B256, Bytes, U256, uint},
    signers::local::PrivateKeySigner,
};
use session_key_client::{
    Call, SignedOperation, UserOperation,
    calldata::{self, NewSessionKey},
    key_list::SENTINEL,
    permissions::{execute_with_session_key, model::decode_execute_with_session_key},
};
use session_key_testkit::ChainError;

/// Order of secp256k1.
const ORDER: U256 = uint!(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141_U256);

impl Model {
    /// The key that was chosen.
    pub(crate) fn choose(&self, key: Key) -> PrivateKeySigner {
        let registered = self.keys.as_slice();
        let pending: Vec<_> = registered
            .iter()
            .filter(|key| self.states[*key].gas_limit.should_reset)
            .copied()
            .collect();
        let (place, among) = match key {
            Key::Number(number) => (number, &[][..]),
            Key::Pending(place) if !pending.is_empty() => (place, &pending[..]),
            Key::Registered(place) | Key::Pending(place) => (place, registered),
        };
        let number = match among.len() {
            0 => place,
            count => (0..KEYS)
                .find(|number| session_key(*number).address() == among[place % count])
                .unwrap_or_default(),
        };
        session_key(number)
    }

    /// The predecessor that the owner gives.
    fn predecessor(&self, predecessor: Predecessor, key: Address) -> B256 {
        match predecessor {
            Predecessor::Right => self.keys.predecessor(key).unwrap_or(SENTINEL),
            Predecessor::Search => B256::ZERO,
            Predecessor::First => SENTINEL,
            Predecessor::Key(index) => B256::right_padding_from(session_key(index).address().as_slice()),
        }
    }

    /// Call data of an owner's action.
    pub(crate) fn call_data(&self, world: &AccountWorld, action: &OwnerAction) -> eyre::Result<Bytes> {
        let address = |index: &usize| session_key(*index).address();
        Ok(match action {
            OwnerAction::Add(key, changes) => calldata::add_session_key(&new_key(world, *key, changes)?),
            OwnerAction::Remove(key, predecessor) => {
                let key = self.choose(*key).address();
                calldata::remove_session_key(key, self.predecessor(*predecessor, key))
            }
            OwnerAction::Rotate(old, predecessor, new) => {
                let old = self.choose(*old).address();
                calldata::rotate_session_key(old, self.predecessor(*predecessor, old), address(new))
            }
            OwnerAction::Update { key, changes, spoilt } => {
                let mut updates = updates(world, changes).encode_unchecked()?;
                if *spoilt {
                    updates.push(NO_UPDATE.into());
                }
                calldata::update_key_permissions(self.choose(*key).address(), updates)
            }
            OwnerAction::Uninstall { starved } => world.uninstall(*starved)?,
            OwnerAction::Dismantle(told) => world.dismantle(*told),
            OwnerAction::Reassemble => world.reassemble()?,
            OwnerAction::Install(keys) => {
                let keys: Vec<_> = keys
                    .iter()
                    .map(|(key, changes)| new_key(world, *key, changes))
                    .collect::<Result<_, _>>()?;
                world.install(world.account, &keys)
            }
        })
    }

    /// Puts a session key's operation together, and signs it. `before`: operations of the same
    /// bundle that come first.
    pub(crate) fn prepare(
        &self,
        world: &AccountWorld,
        random: &KeyOperation,
        before: &[Prepared],
        time: u64,
    ) -> eyre::Result<Prepared> {
        let own = self.choose(random.key);
        let key = own.address();
        let state = &self.states[&key];
        let calls: Vec<Call> = random
            .calls
            .iter()
            .map(|call| call.call(world, state, time))
            .collect();
        let calls = match random.odd {
            Some(Oddity::NoCalls) => Vec::new(),
            _ => calls,
        };
        let gas = U256::from(GAS);
        let mut operation = UserOperation {
            sender: world.account,
            call_data: execute_with_session_key(&calls, key),
            call_gas_limit: gas,
            verification_gas_limit: gas,
            pre_verification_gas: gas,
            version: world.account_generation.entry_point_version(),
            ..Default::default()
        };
        if let Some(index) = random.paymaster {
            operation.paymaster_and_data = world.paymaster_data(world.paymasters[index % 2], GAS);
        }
        match random.fee {
            Fee::Free => {}
            Fee::Usual => operation.max_fee_per_gas = U256::from(FEE),
            Fee::Cost(cost) => {
                operation.max_fee_per_gas = U256::from(1);
                let others = UserOperation {
                    pre_verification_gas: U256::ZERO,
                    ..operation.clone()
                };
                let left = state.gas_limit.info.remaining(time);
                // As far as the deposit can pay.
                operation.pre_verification_gas = cost
                    .of(left)
                    .checked_sub(others.max_cost().unwrap_or_default())
                    .filter(|gas| gas.bit_len() <= 90)
                    .unwrap_or(gas);
            }
        }
        let mut lane = world.nonce_key(key, None);
        match random.odd {
            Some(Oddity::LaneOfKey(index)) => {
                lane = world.nonce_key(session_key(index).address(), None);
            }
            Some(Oddity::Lane(number)) => lane = world.nonce_key(key, Some(number)),
            _ => {}
        }
        if let Some(odd) = &random.odd {
            make_odd(world, &mut operation, odd);
        }
        operation.nonce = next_nonce(world, operation.sender, lane, before)?;
        let other;
        let signer = match random.odd {
            Some(Oddity::SignedByKey(index)) => {
                other = session_key(index);
                &other
            }
            Some(Oddity::SignedByOwner) => &world.owner,
            _ => &own,
        };
        let hash = world.sign(&mut operation, signer)?;
        if let Some(odd) = &random.odd {
            operation.signature = spoil(&operation.signature, odd);
        }
        operation.signature = world.formed(&operation.signature);
        // The key that it names is what the bytes say.
        let named = match decode_execute_with_session_key(&operation.call_data) {
            Ok((_, named)) => named,
            Err(_) => key,
        };
        Ok(Prepared {
            signed: SignedOperation { operation, hash },
            maker: Maker::Key(named),
        })
    }

    pub(crate) fn prepare_owners(
        &self,
        world: &AccountWorld,
        action: &OwnerAction,
        before: &[Prepared],
    ) -> eyre::Result<Prepared> {
        let gas = U256::from(GAS);
        let mut operation = UserOperation {
            version: world.account_generation.entry_point_version(),
            sender: world.account,
            nonce: next_nonce(world, world.account, world.owner_nonce_key(), before)?,
            call_data: self.call_data(world, action)?,
            call_gas_limit: gas + gas,
            verification_gas_limit: gas,
            pre_verification_gas: gas,
            max_fee_per_gas: U256::from(FEE),
            ..Default::default()
        };
        let hash = world.sign(&mut operation, &world.owner)?;
        operation.signature = world.formed_by_owner(&operation.signature);
        Ok(Prepared {
            signed: SignedOperation { operation, hash },
            maker: Maker::Owner(action.clone()),
        })
    }
}

fn new_key(world: &AccountWorld, key: usize, changes: &[Change]) -> eyre::Result<NewSessionKey> {
    Ok(NewSessionKey {
        key: session_key(key).address(),
        tag: TAG,
        permissions: updates(world, changes).encode_unchecked()?,
    })
}

fn next_nonce(
    world: &AccountWorld,
    sender: Address,
    lane: U256,
    before: &[Prepared],
) -> Result<U256, ChainError> {
    let earlier = before
        .iter()
        .map(|prepared| &prepared.signed.operation)
        .filter(|operation| operation.sender == sender && operation.nonce >> 64 == lane)
        .count();
    Ok(world.nonce(sender, lane)? + U256::from(earlier))
}

/// Before it is signed.
fn make_odd(world: &AccountWorld, operation: &mut UserOperation, odd: &Oddity) {
    let mut data = operation.call_data.to_vec();
    match odd {
        Oddity::OtherAccount => operation.sender = world.other_account,
        Oddity::Function(function) => data[..4].copy_from_slice(function.as_slice()),
        Oddity::Flip(index, bits) => {
            let index = index.index(data.len());
            data[index] ^= bits;
        }
        Oddity::Cut(bytes) => data.truncate(data.len() - bytes.min(&data.len())),
        Oddity::PaymasterData(length) => {
            let mut paymaster = world.paymasters[0].to_vec();
            paymaster.resize(*length, 0xff);
            operation.paymaster_and_data = paymaster.into();
        }
        Oddity::ExtremeGas { over } => {
            operation.max_fee_per_gas = U256::ZERO;
            let most = (U256::from(1) << 120) - U256::from(1);
            operation.pre_verification_gas = most + U256::from(u64::from(*over));
        }
        _ => {}
    }
    operation.call_data = data.into();
}

/// After it is signed.
fn spoil(signature: &Bytes, odd: &Oddity) -> Bytes {
    let mut bytes = signature.to_vec();
    match odd {
        Oddity::HighS => {
            let s = U256::from_be_slice(&bytes[32..64]);
            bytes[32..64].copy_from_slice(&(ORDER - s).to_be_bytes::<32>());
            bytes[64] = 27 + 28 - bytes[64];
        }
        Oddity::ShortSignature(length) => bytes.truncate((*length).into()),
        Oddity::V(v) => bytes[64] = *v,
        _ => {}
    }
    bytes.into()
}
