//! Errors of policy files.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A place in a text. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl Place {
    /// The place of a byte in a text.
    pub(super) fn of(text: &str, byte: usize) -> Self {
        let mut byte = byte.min(text.len());
        while !text.is_char_boundary(byte) {
            byte -= 1;
        }
        let before = &text[..byte];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal,)+) => {
        /// The kind of an error in a policy. Codes never change their meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum PolicyErrorCode {
            $($(#[doc = $doc])+ #[serde(rename = $code)] $variant,)+
        }

        impl PolicyErrorCode {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code, as in JSON and in the documentation.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }
        }
    };
}

codes! {
    /// The text is not valid TOML or JSON.
    Syntax = "syntax",
    /// The text is too long, or nested too deeply.
    TooLarge = "too_large",
    /// The member does not exist.
    UnknownMember = "unknown_member",
    /// A member appears twice.
    DuplicateMember = "duplicate_member",
    /// A member is missing.
    MissingMember = "missing_member",
    /// A member has the wrong type.
    WrongType = "wrong_type",
    /// Not an address, or one with a wrong checksum.
    BadAddress = "bad_address",
    /// A name without a token in the file.
    UnknownName = "unknown_name",
    /// A token's name that could be mistaken for something else.
    BadName = "bad_name",
    /// Two tokens with one address, or two entries or limits for one contract.
    Duplicate = "duplicate",
    /// Not a function's signature or selector.
    BadFunction = "bad_function",
    /// Not an amount.
    BadAmount = "bad_amount",
    /// An amount without its unit, or an interval without one.
    MissingUnit = "missing_unit",
    /// An unknown unit, or the unit of another coin.
    UnknownUnit = "unknown_unit",
    /// More decimal places than the unit has.
    TooManyDecimals = "too_many_decimals",
    /// An amount or an interval that the plugin cannot store, or that is implausible.
    OutOfRange = "out_of_range",
    /// Not an interval.
    BadInterval = "bad_interval",
    /// Not a time with an offset.
    BadTime = "bad_time",
    /// An unknown access type.
    BadAccess = "bad_access",
    /// Not a tag.
    BadTag = "bad_tag",
    /// Two members that exclude each other.
    Contradiction = "contradiction",
    /// A token's decimals are needed but not known.
    MissingDecimals = "missing_decimals",
    /// A token's decimals differ from those in the file.
    OtherDecimals = "other_decimals",
    /// A time relative to the grant, whose time is not known.
    RelativeTime = "relative_time",
}

impl fmt::Display for PolicyErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error in a policy: the place, what is wrong, and what was expected. The caller knows the file's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct PolicyError {
    /// The kind of error.
    pub code: PolicyErrorCode,
    /// The place.
    pub place: Place,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl PolicyError {
    pub(super) fn new(code: PolicyErrorCode, place: Place, message: impl Into<String>) -> Self {
        Self {
            code,
            place,
            message: message.into(),
        }
    }
}

/// An error in a single value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) code: PolicyErrorCode,
    pub(super) message: String,
}

impl Wrong {
    pub(super) fn new(code: PolicyErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    pub(super) fn at(self, place: Place) -> PolicyError {
        PolicyError::new(self.code, place, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_from_one() {
        let text = "ä = 1\nöb\n";
        for (byte, line, column) in [
            (0, 1, 1),
            (2, 1, 2),
            (7, 2, 1),
            (9, 2, 2),
            (10, 2, 3),
            (99, 3, 1),
            (1, 1, 1),
        ] {
            assert_eq!(Place::of(text, byte), Place { line, column }, "{byte}");
        }
    }

    #[test]
    fn codes_are_what_json_has() {
        for code in PolicyErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
