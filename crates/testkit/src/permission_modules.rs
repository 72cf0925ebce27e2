//! Stand-ins for the permission modules that Modular Account v2 comes with.

use crate::{Chain, ChainError, PlannedContract, stack::deploy_all};
use alloy::{primitives::Address, sol_types::SolValue};
use session_key_bindings::bytecode::CreationCode;

static ALLOWLIST: CreationCode = CreationCode::new(
    "AllowlistStandIn",
    include_str!("../bytecode/AllowlistStandIn.hex"),
);
static NATIVE_TOKEN_LIMIT: CreationCode = CreationCode::new(
    "NativeTokenLimitStandIn",
    include_str!("../bytecode/NativeTokenLimitStandIn.hex"),
);
static TIME_RANGE: CreationCode = CreationCode::new(
    "TimeRangeStandIn",
    include_str!("../bytecode/TimeRangeStandIn.hex"),
);
static PAYMASTER_GUARD: CreationCode = CreationCode::new(
    "PaymasterGuardStandIn",
    include_str!("../bytecode/PaymasterGuardStandIn.hex"),
);

/// Contracts with the rules, errors, functions and events of the modules that Modular Account v2 is deployed
/// with. The deployed ones' code is not in this project. The validation that they are hooks of is
/// [`StackV08::single_signer_module`](crate::StackV08::single_signer_module)'s.
///
/// ```
/// use session_key_testkit::{Chain, PermissionModules};
///
/// let mut chain = Chain::default();
/// let modules = PermissionModules::deploy(&mut chain)?;
/// assert!(modules.all().iter().all(|module| !chain.code(*module).is_empty()));
/// # Ok::<(), session_key_testkit::ChainError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermissionModules {
    /// Behaves as AllowlistModule 2.0.1.
    pub allowlist: Address,
    /// Behaves as AllowlistModule 2.0.0: its validation hook does not look into `executeUserOp`.
    pub earlier_allowlist: Address,
    /// Behaves as NativeTokenLimitModule.
    pub native_token_limit: Address,
    /// Behaves as TimeRangeModule.
    pub time_range: Address,
    /// Behaves as PaymasterGuardModule.
    pub paymaster_guard: Address,
}

impl PermissionModules {
    /// Deploys them. What is there already is left as it is.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] when a constructor reverts.
    pub fn deploy(chain: &mut Chain) -> Result<Self, ChainError> {
        let allowlist = |is_earlier: bool| {
            let code = ALLOWLIST.with_constructor_arguments(&is_earlier.abi_encode());
            PlannedContract::new(ALLOWLIST.name(), code)
        };
        let unsalted = |code: &CreationCode| PlannedContract::new(code.name(), code.bytes());
        let plan = [
            allowlist(false),
            allowlist(true),
            unsalted(&NATIVE_TOKEN_LIMIT),
            unsalted(&TIME_RANGE),
            unsalted(&PAYMASTER_GUARD),
        ];
        deploy_all(chain, &plan)?;
        let [
            allowlist,
            earlier_allowlist,
            native_token_limit,
            time_range,
            paymaster_guard,
        ] = plan.map(|contract| contract.address);
        Ok(Self {
            allowlist,
            earlier_allowlist,
            native_token_limit,
            time_range,
            paymaster_guard,
        })
    }

    /// Their addresses, in the order of the fields.
    #[must_use]
    pub const fn all(&self) -> [Address; 5] {
        [
            self.allowlist,
            self.earlier_allowlist,
            self.native_token_limit,
            self.time_range,
            self.paymaster_guard,
        ]
    }
}
