use clap::ValueEnum;

/// The generations of accounts. Every property holds for both, in the same words: a "plugin" is the module on
/// an ERC-6900 v0.8 account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Generation {
    /// ERC-6900 v0.7 accounts with the session key plugin, and EntryPoint v0.6.
    V07,
    /// ERC-6900 v0.8 accounts with the session key module, and EntryPoint v0.7.
    V08,
}

impl Generation {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::V07, Self::V08];

    /// As it is given to the program.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V07 => "v07",
            Self::V08 => "v08",
        }
    }

    /// What a file or a test of this generation's is called, of a property or a folder that is called so.
    #[must_use]
    pub fn named(self, name: &str) -> String {
        match self {
            Self::V07 => name.to_owned(),
            Self::V08 => format!("{name}_v08"),
        }
    }

    pub(crate) const fn is_v08(self) -> bool {
        matches!(self, Self::V08)
    }
}
