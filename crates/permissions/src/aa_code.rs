//! Codes of the EntryPoint.

use std::fmt;

macro_rules! aa_codes {
    ($($code:literal $variant:ident $text:literal,)*) => {
        /// Why EntryPoint v0.6 did not take an operation: the code that the reason of its `FailedOp` starts with.
        ///
        /// The first digit says whose fault it is: 1 factory, 2 account, 3 paymaster, 4 gas of the operation, 5 the paymaster's
        /// `postOp`, 9 the bundler.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum AaCode {
            $(#[doc = concat!("`", $code, "`: ", $text, ".")]
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
            /// sentences of their own.
            pub fn find(text: &str) -> Option<Self> {
                text.match_indices("AA").find_map(|(at, _)| Self::parse(&text[at..]))
            }

            /// Reads the code at the start of a reason. `None` for one that EntryPoint v0.6 does not have.
            pub fn parse(reason: &str) -> Option<Self> {
                match reason.get(..4)? {
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
}
