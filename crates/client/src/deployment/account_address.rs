//! Computed addresses of accounts: a factory creates each account with CREATE2.

use super::Deployment;
use crate::calldata::{self, OwnersError};
use alloy::{
    primitives::{Address, B256, U256, keccak256},
    sol_types::SolValue,
};

/// The proxy's init code before and after the implementation's address.
const PROXY_HEAD: [u8; 9] = alloy::hex!("603d3d8160223d3973");
const PROXY_TAIL: [u8; 66] = alloy::hex!(
    "60095155f3363d3d373d3d363d7f360894a13ba1a3210667c828492db98dca3e2076"
    "cc3735a920a3ca505d382bbc545af43d6000803e6038573d6000fd5b3d6000f3"
);

/// Returns the init code that this repository's factory creates accounts from: a minimal ERC-1967 proxy to
/// the implementation.
#[must_use]
pub fn account_init_code(implementation: Address) -> [u8; 95] {
    let mut code = [0; 95];
    let (head, rest) = code.split_at_mut(PROXY_HEAD.len());
    let (middle, tail) = rest.split_at_mut(Address::len_bytes());
    head.copy_from_slice(&PROXY_HEAD);
    middle.copy_from_slice(implementation.as_slice());
    tail.copy_from_slice(&PROXY_TAIL);
    code
}

/// Returns `keccak256` of [`account_init_code`]: the [`Deployment::account_init_code_hash`] for this
/// repository's factory with this account implementation.
#[must_use]
pub fn account_init_code_hash(implementation: Address) -> B256 {
    keccak256(account_init_code(implementation))
}

impl Deployment {
    /// Computes the address of the account that the factory creates, or has created, for these owners and
    /// this salt, without a node. Owners are first sorted for the factory ([`calldata::factory_owners`]).
    /// `None` if the init code hash is not known.
    pub fn account_address(
        &self,
        owners: impl IntoIterator<Item = Address>,
        salt: U256,
    ) -> Result<Option<Address>, OwnersError> {
        let owners = calldata::factory_owners(owners)?;
        let Some(init_code_hash) = self.account_init_code_hash else {
            return Ok(None);
        };
        // keccak256(abi.encode(salt, abi.encode(owners)))
        let owners = calldata::multi_owner_plugin_install_data(&owners);
        let salt = keccak256((salt, owners).abi_encode_params());
        Ok(Some(self.factory.create2(salt, init_code_hash)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::address;

    // Answers of the deployed factory on Sepolia, Polygon Amoy and OP Sepolia, as recorded in an application
    // note's tests.
    #[test]
    fn computed_addresses_match_the_deployed_factory() {
        for chain_id in [11_155_111, 80_002, 11_155_420] {
            let deployment = Deployment::on_chain(chain_id).unwrap();
            for (owner, account) in [
                (
                    address!("0x19e4057A38a730be37c4DA690b103267AAE1d75d"),
                    address!("0x564BB9C687BE0Ff8474aD67b9D2c6a1b402A86C7"),
                ),
                (
                    address!("0x83fCFe8Ba2FEce9578F0BbaFeD4Ebf5E915045B9"),
                    address!("0xeA20DB45a5D8FdF65249Eb5d22b0730aB7d2Ba9A"),
                ),
                (
                    address!("0xDaDC3e4Fa2CF41BC4ea0aD0e627935A5c2DB433d"),
                    address!("0x130233195449F1046F77b1bd93ab9243361BB7E8"),
                ),
            ] {
                assert_eq!(deployment.account_address([owner], U256::ZERO), Ok(Some(account)));
            }
        }
    }

    #[test]
    fn an_address_depends_on_everything_that_the_factory_uses() {
        let deployment = Deployment::deterministic();
        let [a, b] = [1, 2].map(Address::repeat_byte);
        let address = |deployment: &Deployment, owners: &[Address], salt| {
            let address = deployment.account_address(owners.iter().copied(), U256::from(salt));
            address.unwrap().unwrap()
        };
        let standard = address(&deployment, &[a], 0);
        assert_ne!(address(&deployment, &[a], 1), standard);
        assert_ne!(address(&deployment, &[b], 0), standard);
        assert_ne!(address(&deployment, &[a, b], 0), standard);
        assert_eq!(address(&deployment, &[a, Address::ZERO, a], 0), standard);
        let other_factory = Deployment {
            factory: a,
            ..deployment
        };
        assert_ne!(address(&other_factory, &[a], 0), standard);
        let other_implementation = Deployment {
            account_init_code_hash: Some(account_init_code_hash(b)),
            ..deployment
        };
        assert_ne!(address(&other_implementation, &[a], 0), standard);
    }

    #[test]
    fn an_address_needs_the_init_code_hash() {
        let unknown = Deployment {
            account_init_code_hash: None,
            ..Deployment::deterministic()
        };
        let owner = Address::repeat_byte(1);
        assert_eq!(unknown.account_address([owner], U256::ZERO), Ok(None));
        assert_eq!(unknown.account_address([], U256::ZERO), Err(OwnersError::Empty));
    }
}
