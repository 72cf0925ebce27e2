//! Error codes of the EntryPoint.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! aa_codes {
    ($($code:literal $variant:ident $text:literal,)*) => {
        /// The reason EntryPoint v0.6 refused an operation: the code at the start of the reason in its
        /// `FailedOp`.
        ///
        /// The first digit is the cause: 1 factory, 2 account, 3 paymaster, 4 gas of the operation, 5 the
        /// paymaster's `postOp`, 9 the bundler.
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

            /// Finds the first code of EntryPoint v0.6 in a text. Bundlers wrap the EntryPoint's reason in
            /// their own messages. A code must be a separate word: "AA21" inside an address does not count.
            pub fn find(text: &str) -> Option<Self> {
                text.match_indices("AA")
                    .filter(|(at, _)| !text[..*at].ends_with(char::is_alphanumeric))
                    .find_map(|(at, _)| Self::parse(&text[at..]))
            }

            /// Parses the code at the start of a reason. `None` if EntryPoint v0.6 does not have it, or if a
            /// letter or digit follows.
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
    "AA10" SenderAlreadyConstructed "the operation would create an account that already exists",
    "AA13" InitCodeFailed "creating the account failed or ran out of gas",
    "AA14" InitCodeWrongSender "the factory created another account than the operation's sender",
    "AA15" InitCodeCreatedNothing "the factory did not create the account",
    "AA20" AccountNotDeployed "the account does not exist",
    "AA21" PrefundNotPaid "the account cannot pay for the operation",
    "AA22" ExpiredOrNotDue "the operation is not valid at this time",
    "AA23" AccountReverted "the account refused the operation in validation, or validation ran out of gas",
    "AA24" AccountSignature "the signer may not sign this operation",
    "AA25" InvalidNonce "the nonce was already used, or is not the next in its lane",
    "AA30" PaymasterNotDeployed "the paymaster does not exist",
    "AA31" PaymasterDepositTooLow "the paymaster's deposit cannot pay for the operation",
    "AA32" PaymasterExpiredOrNotDue "the paymaster's consent is not valid at this time",
    "AA33" PaymasterReverted "the paymaster refused the operation, or ran out of gas",
    "AA34" PaymasterSignature "the paymaster's signature is wrong",
    "AA40" OverVerificationGasLimit "validation used more than the verification gas limit",
    "AA41" TooLittleVerificationGas "the verification gas limit is too low",
    "AA50" PostOpReverted "the paymaster failed after the operation",
    "AA51" PrefundBelowCost "the operation cost more than its prefund",
    "AA90" InvalidBeneficiary "the bundle has no beneficiary",
    "AA91" BeneficiaryTransferFailed "the beneficiary did not accept the fees",
    "AA92" InternalCallOnly "only the EntryPoint itself may call this function",
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
    fn a_code_is_a_separate_word() {
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
            // Codes of other EntryPoints are skipped.
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
