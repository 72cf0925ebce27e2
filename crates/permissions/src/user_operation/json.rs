//! JSON of operations, as bundlers read and write it (ERC-7769): v0.6 with `initCode` and
//! `paymasterAndData`, later versions with their parts.

use super::{EntryPointVersion, PaymasterFields, UserOperation, hash::EIP7702_INIT_CODE_MARKER};
use alloy_eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, U64, U256, hex};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};

/// The factory, in place of which v0.8 and later take `0x7702`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Factory {
    Contract(Address),
    /// `0x7702`.
    Short(Bytes),
}

/// `eip7702Auth`: an authorization (EIP-7702). Its r and s are written as 32 bytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownAuthorization {
    chain_id: U256,
    address: Address,
    nonce: U64,
    y_parity: U64,
    r: B256,
    s: B256,
}

/// For `#[serde(with = "…")]`.
mod eip7702_auth {
    use super::{
        Authorization, Deserialize as _, Deserializer, Serialize as _, Serializer, ShownAuthorization,
        SignedAuthorization, U64,
    };

    pub(super) fn serialize<S: Serializer>(
        authorization: &Option<SignedAuthorization>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let shown = authorization.as_ref().map(|authorization| {
            let Authorization {
                chain_id,
                address,
                nonce,
            } = *authorization.inner();
            ShownAuthorization {
                chain_id,
                address,
                nonce: U64::from(nonce),
                y_parity: U64::from(authorization.y_parity()),
                r: authorization.r().into(),
                s: authorization.s().into(),
            }
        });
        shown.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SignedAuthorization>, D::Error> {
        Option::deserialize(deserializer)
    }
}

/// All members of all versions.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    sender: Address,
    nonce: U256,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    init_code: Option<Bytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    factory: Option<Factory>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    factory_data: Option<Bytes>,
    call_data: Bytes,
    call_gas_limit: U256,
    verification_gas_limit: U256,
    pre_verification_gas: U256,
    max_fee_per_gas: U256,
    max_priority_fee_per_gas: U256,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paymaster_and_data: Option<Bytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paymaster: Option<Address>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paymaster_verification_gas_limit: Option<U256>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paymaster_post_op_gas_limit: Option<U256>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paymaster_data: Option<Bytes>,
    signature: Bytes,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "eip7702_auth")]
    eip7702_auth: Option<SignedAuthorization>,
}

impl Serialize for UserOperation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members {
            sender: self.sender,
            nonce: self.nonce,
            init_code: None,
            factory: None,
            factory_data: None,
            call_data: self.call_data.clone(),
            call_gas_limit: self.call_gas_limit,
            verification_gas_limit: self.verification_gas_limit,
            pre_verification_gas: self.pre_verification_gas,
            max_fee_per_gas: self.max_fee_per_gas,
            max_priority_fee_per_gas: self.max_priority_fee_per_gas,
            paymaster_and_data: None,
            paymaster: None,
            paymaster_verification_gas_limit: None,
            paymaster_post_op_gas_limit: None,
            paymaster_data: None,
            signature: self.signature.clone(),
            eip7702_auth: self.authorization.clone(),
        };
        if self.version.is_packed() {
            self.unpack_into(&mut members).map_err(S::Error::custom)?;
        } else {
            if self.authorization.is_some() {
                return Err(S::Error::custom(
                    "an operation of EntryPoint v0.6 carries no authorization",
                ));
            }
            members.init_code = Some(self.init_code.clone());
            members.paymaster_and_data = Some(self.paymaster_and_data.clone());
        }
        members.serialize(serializer)
    }
}

impl UserOperation {
    fn unpack_into(&self, members: &mut Members) -> Result<(), String> {
        if self.is_eip7702() && self.init_code.len() <= 20 {
            members.factory = Some(Factory::Short(Bytes::from_static(&hex!("7702"))));
        } else if !self.init_code.is_empty() {
            let factory = self
                .init_code
                .get(..20)
                .ok_or_else(|| format!("initCode of {} bytes names no factory", self.init_code.len()))?;
            members.factory = Some(Factory::Contract(Address::from_slice(factory)));
            members.factory_data = Some(self.init_code.slice(20..));
        }
        if !self.paymaster_and_data.is_empty() {
            let fields = self.paymaster_fields().ok_or_else(|| {
                let length = self.paymaster_and_data.len();
                format!("paymasterAndData of {length} bytes has no room for a paymaster and its gas limits")
            })?;
            members.paymaster = Some(fields.paymaster);
            members.paymaster_verification_gas_limit = Some(U256::from(fields.verification_gas_limit));
            members.paymaster_post_op_gas_limit = Some(U256::from(fields.post_op_gas_limit));
            members.paymaster_data = Some(fields.data);
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for UserOperation {
    /// An operation with `initCode` or `paymasterAndData` is of v0.6, which requires both; one with
    /// neither is taken for v0.7. JSON does not tell v0.7 from later versions; an operation of those reads
    /// as v0.7 unless its factory is `0x7702`, which begins with v0.8.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Members::deserialize(deserializer)?;
        members.operation().map_err(D::Error::custom)
    }
}

impl Members {
    fn operation(self) -> Result<UserOperation, String> {
        let (version, init_code, paymaster_and_data) = match (&self.init_code, &self.paymaster_and_data) {
            (Some(init_code), Some(paymaster_and_data)) => {
                self.require_unpacked_form()?;
                (
                    EntryPointVersion::V06,
                    init_code.clone(),
                    paymaster_and_data.clone(),
                )
            }
            (Some(_), None) => return Err("missing field `paymasterAndData`".to_owned()),
            (None, Some(_)) => return Err("missing field `initCode`".to_owned()),
            (None, None) => {
                let (version, init_code) = self.packed_init_code()?;
                self.require_numbers_of_128_bits()?;
                (version, init_code, self.packed_paymaster()?)
            }
        };
        Ok(UserOperation {
            version,
            sender: self.sender,
            nonce: self.nonce,
            init_code,
            call_data: self.call_data,
            call_gas_limit: self.call_gas_limit,
            verification_gas_limit: self.verification_gas_limit,
            pre_verification_gas: self.pre_verification_gas,
            max_fee_per_gas: self.max_fee_per_gas,
            max_priority_fee_per_gas: self.max_priority_fee_per_gas,
            paymaster_and_data,
            signature: self.signature,
            authorization: self.eip7702_auth,
        })
    }

    /// v0.6 has none of the parts: an operation with both could mean two things.
    fn require_unpacked_form(&self) -> Result<(), String> {
        let parts = [
            ("factory", self.factory.is_some()),
            ("factoryData", self.factory_data.is_some()),
            ("paymaster", self.paymaster.is_some()),
            (
                "paymasterVerificationGasLimit",
                self.paymaster_verification_gas_limit.is_some(),
            ),
            (
                "paymasterPostOpGasLimit",
                self.paymaster_post_op_gas_limit.is_some(),
            ),
            ("paymasterData", self.paymaster_data.is_some()),
            ("eip7702Auth", self.eip7702_auth.is_some()),
        ];
        match parts.iter().find(|(_, is_there)| *is_there) {
            None => Ok(()),
            Some((name, _)) => Err(format!(
                "`{name}` stands beside `initCode` and `paymasterAndData`"
            )),
        }
    }

    fn packed_init_code(&self) -> Result<(EntryPointVersion, Bytes), String> {
        let data = self.factory_data.clone().unwrap_or_default();
        match &self.factory {
            None if data.is_empty() => Ok((EntryPointVersion::V07, Bytes::new())),
            None => Err("`factoryData` without `factory`".to_owned()),
            Some(Factory::Short(marker)) if marker.as_ref() == hex!("7702") => {
                let marker = EIP7702_INIT_CODE_MARKER.as_slice();
                Ok((EntryPointVersion::V08, [marker, &data].concat().into()))
            }
            Some(Factory::Short(other)) => {
                Err(format!("`factory` is neither an address nor 0x7702: {other}"))
            }
            Some(Factory::Contract(factory)) => {
                let version = if *factory == EIP7702_INIT_CODE_MARKER {
                    EntryPointVersion::V08
                } else {
                    EntryPointVersion::V07
                };
                Ok((version, [factory.as_slice(), &data].concat().into()))
            }
        }
    }

    fn packed_paymaster(&self) -> Result<Bytes, String> {
        let data = self.paymaster_data.clone().unwrap_or_default();
        let limits = [
            self.paymaster_verification_gas_limit,
            self.paymaster_post_op_gas_limit,
        ]
        .map(Option::unwrap_or_default);
        let Some(paymaster) = self.paymaster else {
            if data.is_empty() && limits == [U256::ZERO; 2] {
                return Ok(Bytes::new());
            }
            return Err("`paymasterData` or a gas limit of the paymaster without `paymaster`".to_owned());
        };
        let [verification_gas_limit, post_op_gas_limit] = limits.map(|limit| limit.try_into().ok());
        let too_large = || "a gas limit of the paymaster is larger than 128 bits".to_owned();
        let fields = PaymasterFields {
            paymaster,
            verification_gas_limit: verification_gas_limit.ok_or_else(too_large)?,
            post_op_gas_limit: post_op_gas_limit.ok_or_else(too_large)?,
            data,
        };
        Ok(fields.pack())
    }

    /// What is packed two to a word.
    fn require_numbers_of_128_bits(&self) -> Result<(), String> {
        let numbers = [
            ("callGasLimit", self.call_gas_limit),
            ("verificationGasLimit", self.verification_gas_limit),
            ("maxFeePerGas", self.max_fee_per_gas),
            ("maxPriorityFeePerGas", self.max_priority_fee_per_gas),
        ];
        match numbers.iter().find(|(_, number)| number.bit_len() > 128) {
            None => Ok(()),
            Some((name, _)) => Err(format!("`{name}` is larger than 128 bits")),
        }
    }
}
