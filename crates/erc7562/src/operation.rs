//! Who takes part in an operation, and the call of the EntryPoint that validates it.

use revm::context::transaction::SignedAuthorization;
use revm::primitives::{Address, Bytes, alloy_primitives::Selector};

/// `initCode` of an operation of an EIP-7702 account begins with these bytes: no factory is called.
const EIP7702_MARKER: [u8; 20] = {
    let mut marker = [0; 20];
    (marker[0], marker[1]) = (0x77, 0x02);
    marker
};

/// The parties of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parties {
    /// The EntryPoint, of any version from 0.6 on.
    pub entry_point: Address,
    /// The account.
    pub sender: Address,
    /// The contract that creates the account, if this operation does.
    pub factory: Option<Address>,
    /// The contract that pays, if the account does not.
    pub paymaster: Option<Address>,
}

impl Parties {
    /// The parties of an operation with these fields; `paymasterAndData` and `initCode` may be empty.
    #[must_use]
    pub fn new(entry_point: Address, sender: Address, init_code: &[u8], paymaster_and_data: &[u8]) -> Self {
        let first_address = |data: &[u8]| data.first_chunk::<20>().map(Address::from);
        let is_delegation = match init_code.first_chunk::<20>() {
            Some(first) => *first == EIP7702_MARKER,
            // The EntryPoint reads what is missing as zeros.
            None => EIP7702_MARKER.starts_with(init_code),
        };
        Self {
            entry_point,
            sender,
            factory: first_address(init_code).filter(|_| !is_delegation),
            paymaster: first_address(paymaster_and_data),
        }
    }

    /// The role in which an address takes part.
    #[must_use]
    pub fn role_of(&self, address: Address) -> Option<Role> {
        if address == self.sender {
            Some(Role::Account)
        } else if Some(address) == self.factory {
            Some(Role::Factory)
        } else if Some(address) == self.paymaster {
            Some(Role::Paymaster)
        } else {
            None
        }
    }

    /// The address that takes part in a role.
    #[must_use]
    pub const fn address_of(&self, role: Role) -> Option<Address> {
        match role {
            Role::Account => Some(self.sender),
            Role::Factory => self.factory,
            Role::Paymaster => self.paymaster,
            Role::Aggregator => None,
        }
    }
}

/// An entity, as ERC-7562 calls who is held responsible for a phase of the validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The contract that creates the account.
    Factory,
    /// The sender.
    Account,
    /// The contract that pays.
    Paymaster,
    /// The contract that checks the signatures of several operations at once.
    Aggregator,
}

impl Role {
    /// `factory`, `account`, `paymaster` or `aggregator`, as bundlers write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Factory => "factory",
            Self::Account => "account",
            Self::Paymaster => "paymaster",
            Self::Aggregator => "aggregator",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// An operation, ready to be validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its parties.
    pub parties: Parties,
    /// Call data of the EntryPoint: `handleOps` with this operation alone, or `simulateValidation`.
    /// `handleOps` is stopped where its execution phase begins.
    pub call: Bytes,
    /// The EIP-7702 authorization that travels with the operation, if any; it is applied
    /// before the validation.
    pub authorization: Option<SignedAuthorization>,
}

/// First bytes of what the EntryPoints call in a validation, and of what they and others answer with.
pub(crate) mod selectors {
    use super::Selector;

    /// `validateUserOp`, of EntryPoint v0.6 and of later ones.
    pub(crate) const VALIDATE_USER_OP: [Selector; 2] = [
        Selector::new([0x3a, 0x87, 0x1c, 0xdd]),
        Selector::new([0x19, 0x82, 0x2f, 0x7c]),
    ];
    /// `validatePaymasterUserOp`, of EntryPoint v0.6 and of later ones.
    pub(crate) const VALIDATE_PAYMASTER_USER_OP: [Selector; 2] = [
        Selector::new([0xf4, 0x65, 0xc7, 0x7e]),
        Selector::new([0x52, 0xb7, 0x51, 0x2c]),
    ];
    /// `depositTo(address)`
    pub(crate) const DEPOSIT_TO: Selector = Selector::new([0xb7, 0x60, 0xfa, 0xf9]);
    /// `getDepositInfo(address)`
    pub(crate) const DEPOSIT_INFO: Selector = Selector::new([0x52, 0x87, 0xce, 0x12]);
    /// `FailedOp(uint256,string)`
    pub(crate) const FAILED_OP: Selector = Selector::new([0x22, 0x02, 0x66, 0xb6]);
    /// `FailedOpWithRevert(uint256,string,bytes)`
    pub(crate) const FAILED_OP_WITH_REVERT: Selector = Selector::new([0x65, 0xc8, 0xfd, 0x4d]);
    /// `ValidationResult` and `ValidationResultWithAggregation`: with these EntryPoint v0.6 reverts when a
    /// validation passes.
    pub(crate) const VALIDATION_RESULTS: [Selector; 2] = [
        Selector::new([0xe0, 0xcf, 0xf0, 0x5f]),
        Selector::new([0xfa, 0xec, 0xb4, 0xe4]),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY_POINT: Address = Address::repeat_byte(0xee);
    const SENDER: Address = Address::repeat_byte(0x5e);

    #[test]
    fn factories_and_paymasters_are_the_first_bytes_of_their_fields() {
        let init_code = [[0xfa; 20].as_slice(), &[1, 2, 3]].concat();
        let paymaster = [[0xba; 20].as_slice(), &[0; 32]].concat();
        let parties = Parties::new(ENTRY_POINT, SENDER, &init_code, &paymaster);
        assert_eq!(parties.role_of(Address::repeat_byte(0xfa)), Some(Role::Factory));
        assert_eq!(parties.role_of(Address::repeat_byte(0xba)), Some(Role::Paymaster));
        assert_eq!(parties.role_of(SENDER), Some(Role::Account));
        assert_eq!(parties.role_of(ENTRY_POINT), None);
    }

    #[test]
    fn delegating_accounts_have_no_factory() {
        for length in 2..=20 {
            let parties = Parties::new(ENTRY_POINT, SENDER, &EIP7702_MARKER[..length], &[]);
            assert_eq!(parties.factory, None, "{length}");
        }
        let with_data = [&EIP7702_MARKER[..], &[1, 2, 3, 4]].concat();
        assert_eq!(Parties::new(ENTRY_POINT, SENDER, &with_data, &[]).factory, None);
        let mut factory = EIP7702_MARKER;
        factory[19] = 1;
        assert_eq!(
            Parties::new(ENTRY_POINT, SENDER, &factory, &[]).factory,
            Some(Address::from(factory))
        );
    }
}
