//! Codes of the EntryPoint.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! aa_codes {
    ($($code:literal $variant:ident $text:literal,)*) => {
        /// Why EntryPoint v0.6 did not take an operation: the code that the reason of its `FailedOp` starts with.
        ///
        /// The first digit says whose fault it is: 1 factory, 2 account, 3 paymaster, 4 gas of the operation, 5 the paymaster's
        /// `postOp`, 9 the bundler.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum AaCode {
            $(#[doc = concat!("`", $code, "`: ", $text, ".")]
            #[serde(rename = $code)]
            $variant,)*
        }

        impl AaCode {
            /// All codes of EntryPoint v0.6.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as the EntryPoint writes it, such as `AA23`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// What the code means.
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// Finds a code in a text: the first that EntryPoint v0.6 has. Bundlers put the EntryPoint's reason into
            /// sentences of their own. A code is a word of its own: "AA21" inside an address is none.
            pub fn find(text: &str) -> Option<Self> {
                text.match_indices("AA")
                    .filter(|(at, _)| !text[..*at].ends_with(char::is_alphanumeric))
                    .find_map(|(at, _)| Self::parse(&text[at..]))
            }

            /// Reads the code at the start of a reason. `None` for one that EntryPoint v0.6 does not have, or that a letter or
            /// digit follows.
            pub fn parse(reason: &str) -> Option<Self> {
                let (code, rest) = reason.split_at_checked(4)?;
                if rest.starts_with(char::is_alphanumeric) {
                    return None;
                }
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

// Source: `core/EntryPoint.sol` of @account-abstraction/contracts 0.6.0.
aa_codes! {
    "AA10" SenderAlreadyConstructed "the operation would create an account that exists already",
    "AA13" InitCodeFailed "creating the account failed or ran out of gas",
    "AA14" InitCodeWrongSender "the factory created another account than the operation's sender",
    "AA15" InitCodeCreatedNothing "the factory did not create the account",
    "AA20" AccountNotDeployed "the account does not exist",
    "AA21" PrefundNotPaid "the account cannot pay for the operation",
    "AA22" ExpiredOrNotDue "the operation is not valid at this time",
    "AA23" AccountReverted "the account refused the operation in validation, or validation ran out of gas",
    "AA24" AccountSignature "the signature is not of whoever may sign this operation",
    "AA25" InvalidNonce "the nonce is used already, or not the next of its lane",
    "AA30" PaymasterNotDeployed "the paymaster does not exist",
    "AA31" PaymasterDepositTooLow "the paymaster's deposit cannot pay for the operation",
    "AA32" PaymasterExpiredOrNotDue "the paymaster's consent is not valid at this time",
    "AA33" PaymasterReverted "the paymaster refused the operation, or ran out of gas",
    "AA34" PaymasterSignature "the paymaster's signature is wrong",
    "AA40" OverVerificationGasLimit "validation used more than the verification gas limit",
    "AA41" TooLittleVerificationGas "the verification gas limit is too low",
    "AA50" PostOpReverted "the paymaster failed after the operation",
    "AA51" PrefundBelowCost "the operation cost more than was paid for it in advance",
    "AA90" InvalidBeneficiary "the bundle has no beneficiary",
    "AA91" BeneficiaryTransferFailed "the beneficiary did not take the fees",
    "AA92" InternalCallOnly "a function that is for the EntryPoint only was called",
    "AA93" InvalidPaymasterAndData "the paymaster data is too short to name a paymaster",
    "AA94" GasValuesOverflow "a gas value is too large",
    "AA95" OutOfGas "the bundle has too little gas",
    "AA96" InvalidAggregator "the aggregator is invalid",
}

impl fmt::Display for AaCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back() {
        for code in AaCode::ALL {
            assert_eq!(AaCode::parse(&format!("{code} and more")), Some(*code));
        }
        assert_eq!(AaCode::ALL.len(), 26);
    }

    #[test]
    fn a_code_is_a_word_of_its_own() {
        for (text, code) in [
            ("AA21", Some(AaCode::PrefundNotPaid)),
            ("AA21 didn't pay prefund", Some(AaCode::PrefundNotPaid)),
            (
                "FailedOp(0, \"AA23 reverted (or OOG)\")",
                Some(AaCode::AccountReverted),
            ),
            ("reason:AA24", Some(AaCode::AccountSignature)),
            // In an address or other hexadecimal digits, before or after a code.
            ("for sender 0x00000000000000000000000000000000078AA21ec", None),
            ("for sender 0xAA21000000000000000000000000000000000000", None),
            (
                "0xffAA21 and AA25 invalid account nonce",
                Some(AaCode::InvalidNonce),
            ),
            ("call AA2100000 failed", None),
            ("AAA21", None),
            ("AA213", None),
            ("AA21ec", None),
            ("éAA21", None),
            ("AA21é", None),
            // Codes of other EntryPoints are passed over.
            ("AA99, then AA10", Some(AaCode::SenderAlreadyConstructed)),
            ("AA2", None),
            ("AA", None),
            ("AA2é", None),
            ("", None),
        ] {
            assert_eq!(AaCode::find(text), code, "{text}");
        }
        assert_eq!(AaCode::parse("AA21ec"), None);
        assert_eq!(AaCode::parse("AA21: no"), Some(AaCode::PrefundNotPaid));
    }
}
