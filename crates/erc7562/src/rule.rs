//! The rules, by the names that ERC-7562 gives them.

use std::fmt;

/// A rule that a trace can show to be broken. Its [`Display`](fmt::Display) is the ERC's name,
/// `OP-011` for example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// A blocked opcode.
    Op011,
    /// `GAS` that no call follows immediately.
    Op012,
    /// An unassigned opcode.
    Op013,
    /// Out of gas.
    Op020,
    /// `CREATE2` other than once, in the deployment, for the sender.
    Op031,
    /// Access to an address without code.
    Op041,
    /// `EXTCODESIZE` of the EntryPoint that no `ISZERO` follows.
    Op051,
    /// `depositTo` of the EntryPoint for another account than the sender, or by another party than
    /// sender and factory.
    Op052,
    /// The fallback function of the EntryPoint, called by another party than the sender.
    Op053,
    /// Other access to the EntryPoint.
    Op054,
    /// A call with value.
    Op061,
    /// A precompile that is not accepted.
    Op062,
    /// `BALANCE` or `SELFBALANCE` by an entity without stake.
    Op080,
    /// Code that changed between two validations.
    Cod010,
    /// Storage associated with the account, which is created by a factory without stake.
    Sto022,
    /// Storage of an entity without stake.
    Sto031,
    /// Storage associated with an entity without stake; or a write to storage that is associated with nobody.
    Sto032,
    /// Reads other storage, without stake.
    Sto033,
    /// An aggregator without stake.
    Erep040,
    /// A paymaster without stake that returns a context.
    Erep050,
    /// `CREATE` by a factory without stake.
    Erep060,
    /// `CREATE` by a contract that a factory without stake calls.
    Erep061,
}

impl Rule {
    /// The name that ERC-7562 gives it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Op011 => "OP-011",
            Self::Op012 => "OP-012",
            Self::Op013 => "OP-013",
            Self::Op020 => "OP-020",
            Self::Op031 => "OP-031",
            Self::Op041 => "OP-041",
            Self::Op051 => "OP-051",
            Self::Op052 => "OP-052",
            Self::Op053 => "OP-053",
            Self::Op054 => "OP-054",
            Self::Op061 => "OP-061",
            Self::Op062 => "OP-062",
            Self::Op080 => "OP-080",
            Self::Cod010 => "COD-010",
            Self::Sto022 => "STO-022",
            Self::Sto031 => "STO-031",
            Self::Sto032 => "STO-032",
            Self::Sto033 => "STO-033",
            Self::Erep040 => "EREP-040",
            Self::Erep050 => "EREP-050",
            Self::Erep060 => "EREP-060",
            Self::Erep061 => "EREP-061",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
