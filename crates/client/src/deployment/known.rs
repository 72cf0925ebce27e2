//! Deployments as data: the files in `deployments/`.

use super::{Contract, Deployment};
use alloy::primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::LazyLock};

/// The files of known chains.
const CHAINS: [&str; 15] = [
    include_str!("../../deployments/1.json"),
    include_str!("../../deployments/10.json"),
    include_str!("../../deployments/137.json"),
    include_str!("../../deployments/252.json"),
    include_str!("../../deployments/2523.json"),
    include_str!("../../deployments/8453.json"),
    include_str!("../../deployments/42161.json"),
    include_str!("../../deployments/80001.json"),
    include_str!("../../deployments/80002.json"),
    include_str!("../../deployments/84532.json"),
    include_str!("../../deployments/421614.json"),
    include_str!("../../deployments/7777777.json"),
    include_str!("../../deployments/11155111.json"),
    include_str!("../../deployments/11155420.json"),
    include_str!("../../deployments/999999999.json"),
];

static KNOWN_CHAINS: LazyLock<Vec<ChainDeployments>> =
    LazyLock::new(|| CHAINS.into_iter().map(of_this_crate).collect());

static DETERMINISTIC: LazyLock<Deterministic> =
    LazyLock::new(|| of_this_crate(include_str!("../../deployments/deterministic.json")));

/// Parses a file that is part of this crate. It cannot fail: the tests read each of them.
fn of_this_crate<T: for<'a> Deserialize<'a>>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("a file of this crate: {error}"))
}

/// The deployments on a chain, as in `deployments/<chain id>.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChainDeployments {
    /// The chain's id (EIP-155).
    pub chain_id: u64,
    /// The chain's name.
    pub name: String,
    /// Its deployments, preferred first.
    pub deployments: Vec<KnownDeployment>,
}

/// A set of contracts that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KnownDeployment {
    /// A name that distinguishes it from others on the same chain.
    pub name: String,
    /// `keccak256` of the init code that the factory creates accounts from, if known: see
    /// [`Deployment::account_init_code_hash`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_init_code_hash: Option<B256>,
    /// The contracts. All except the account implementation are required.
    pub contracts: BTreeMap<Contract, KnownContract>,
    /// Who deployed it and how, if `session-key deploy --record` recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed: Option<DeploymentHistory>,
}

/// Who deployed contracts, and how. Every member is always present; unknown ones are null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeploymentHistory {
    /// The payer of the transactions; null if none of them created a contract.
    #[serde(with = "optional_address_text")]
    pub deployer: Option<Address>,
    /// The owner of the factory.
    #[serde(with = "address_text")]
    pub factory_owner: Address,
    /// The creation of each contract.
    pub created: BTreeMap<Contract, CreationRecord>,
    /// The versions of the tools used.
    pub versions: Versions,
}

/// The creation of a contract. Both members are null if it existed before, or someone else created it
/// meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreationRecord {
    /// Hash of the transaction.
    pub transaction: Option<B256>,
    /// Number of its block.
    pub block: Option<u64>,
}

/// The versions of the tools used for a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Versions {
    /// Version of this crate.
    pub client: String,
    /// Version and commit of solc, which compiled the contracts; null if versions differ.
    pub solc: Option<String>,
}

impl Versions {
    /// Returns the versions of this crate and of the contracts that it deploys.
    pub fn current() -> Self {
        Self {
            client: env!("CARGO_PKG_VERSION").to_owned(),
            solc: Deterministic::record().compiler_version().map(str::to_owned),
        }
    }
}

/// The record of a contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KnownContract {
    /// Its address. Mixed-case addresses must have a correct EIP-55 checksum.
    #[serde(with = "address_text")]
    pub address: Address,
    /// The CREATE2 salt, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<B256>,
    /// `keccak256` of the creation bytecode with constructor arguments, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_code_hash: Option<B256>,
    /// `keccak256` of its code, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_hash: Option<B256>,
    /// The source of this data: a package, or the compiled source.
    pub source: String,
    /// The compiler settings, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiler: Option<Compiler>,
}

/// Addresses written with their EIP-55 checksum, which is checked when a mixed-case address is read.
mod address_text {
    use alloy::primitives::Address;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(address: &Address, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&address.to_checksum(None))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        let text = String::deserialize(deserializer)?;
        let address: Address = text.parse().map_err(D::Error::custom)?;
        let has_checksum = text
            .trim_start_matches("0x")
            .bytes()
            .any(|digit| digit.is_ascii_uppercase());
        if has_checksum && Address::parse_checksummed(&text, None).is_err() {
            return Err(D::Error::custom(format!("the checksum of {text} is wrong")));
        }
        Ok(address)
    }
}

/// Like [`address_text`], or null.
mod optional_address_text {
    use super::address_text;
    use alloy::primitives::Address;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize, Serialize)]
    struct Text(#[serde(with = "address_text")] Address);

    pub(super) fn serialize<S: Serializer>(
        address: &Option<Address>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        address.map(Text).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Address>, D::Error> {
        Ok(Option::<Text>::deserialize(deserializer)?.map(|Text(address)| address))
    }
}

/// Settings of solc.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Compiler {
    /// Version and commit, as block explorers show them (without their `v`).
    pub version: String,
    /// The target hard fork.
    pub evm_version: String,
    /// Whether it compiles through the IR.
    #[serde(rename = "viaIR")]
    pub via_ir: bool,
    /// The optimizer runs.
    pub optimizer_runs: u64,
    /// The metadata hash appended to the code.
    pub bytecode_hash: String,
    /// Whether metadata is appended.
    #[serde(rename = "appendCBOR")]
    pub append_cbor: bool,
}

/// A deployment lacks a contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deployment {deployment:?} has no {contract}")]
pub struct MissingContract {
    /// The deployment's name.
    pub deployment: String,
    /// The missing contract.
    pub contract: Contract,
}

impl KnownDeployment {
    /// Returns the addresses.
    pub fn deployment(&self) -> Result<Deployment, MissingContract> {
        let address = |contract| match self.contracts.get(&contract) {
            Some(known) => Ok(known.address),
            None => Err(MissingContract {
                deployment: self.name.clone(),
                contract,
            }),
        };
        Ok(Deployment {
            entry_point: address(Contract::EntryPoint)?,
            session_key_plugin: address(Contract::SessionKeyPlugin)?,
            multi_owner_plugin: address(Contract::MultiOwnerPlugin)?,
            factory: address(Contract::ModularAccountFactory)?,
            account_init_code_hash: self.account_init_code_hash,
        })
    }
}

/// The record of this repository's contracts, `deployments/deterministic.json`: their addresses on every
/// chain where they were deployed with the default parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deterministic {
    /// Creates the contracts, from salt and init code.
    #[serde(with = "address_text")]
    pub deployment_proxy: Address,
    /// Code of the proxy.
    pub deployment_proxy_code: Bytes,
    /// Returns the cost of a transaction's data on OP Stack chains.
    #[serde(with = "address_text")]
    pub gas_price_oracle: Address,
    /// Init code that does nothing, and runs only on chains that support the contracts.
    pub cancun_probe: Bytes,
    /// The owner of the factory: no one, which makes the factory the same for everyone.
    #[serde(with = "address_text")]
    pub factory_owner: Address,
    /// The salt that gives EntryPoint v0.7 its address.
    pub entry_point_v07_salt: B256,
    /// `keccak256` of the owner plugin's ABI-encoded manifest, with which the factory installs the plugin.
    pub multi_owner_plugin_manifest_hash: B256,
    /// The contracts.
    pub contracts: BTreeMap<Contract, KnownContract>,
}

impl Deterministic {
    /// Returns the record.
    pub fn record() -> &'static Self {
        &DETERMINISTIC
    }

    /// Returns the record as a deployment.
    pub fn known(&self) -> KnownDeployment {
        KnownDeployment {
            name: "deterministic".to_owned(),
            account_init_code_hash: Deployment::deterministic().account_init_code_hash,
            contracts: self.contracts.clone(),
            deployed: None,
        }
    }

    /// Returns version and commit of solc, which compiled this repository's contracts; `None` if versions
    /// differ.
    pub fn compiler_version(&self) -> Option<&str> {
        let mut versions = self
            .contracts
            .values()
            .filter_map(|known| Some(known.compiler.as_ref()?.version.as_str()));
        let first = versions.next()?;
        versions.all(|version| version == first).then_some(first)
    }
}

/// Returns a contract's record. All exist: a test compares them with the plan.
pub(super) fn recorded(contract: Contract) -> &'static KnownContract {
    &DETERMINISTIC.contracts[&contract]
}

/// Returns the chains with known deployments.
pub fn known_chains() -> &'static [ChainDeployments] {
    &KNOWN_CHAINS
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    #[test]
    fn every_file_parses_and_names_its_own_chain() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deployments");
        let mut files: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".json") && name != "deterministic.json")
            .collect();
        let mut read: Vec<String> = known_chains()
            .iter()
            .map(|chain| format!("{}.json", chain.chain_id))
            .collect();
        files.sort();
        read.sort();
        assert_eq!(read, files);
        for (chain, text) in known_chains().iter().zip(CHAINS) {
            assert!(text.contains(&format!("\"chainId\": {},", chain.chain_id)));
        }
    }

    #[test]
    fn every_known_deployment_is_complete() {
        for chain in known_chains() {
            assert!(!chain.deployments.is_empty(), "{}", chain.name);
            for known in &chain.deployments {
                let deployment = known.deployment().unwrap();
                assert_eq!(deployment.entry_point, session_key_bindings::ENTRY_POINT);
            }
            assert!(Deployment::on_chain(chain.chain_id).is_some());
        }
    }

    #[test]
    fn an_address_with_a_wrong_checksum_is_refused() {
        let text = CHAINS[0].replace(
            "0x0000003E0000a96de4058e1E02a62FaaeCf23d8d",
            "0x0000003e0000a96de4058e1E02a62FaaeCf23d8d",
        );
        assert_ne!(text, CHAINS[0]);
        let error = serde_json::from_str::<ChainDeployments>(&text).unwrap_err();
        assert!(error.to_string().contains("checksum"), "{error}");
        let text = CHAINS[0].replace(
            "0x0000003E0000a96de4058e1E02a62FaaeCf23d8d",
            "0x0000003e0000a96de4058e1e02a62faaecf23d8d",
        );
        let lower_case: ChainDeployments = serde_json::from_str(&text).unwrap();
        assert_eq!(lower_case, known_chains()[0]);
    }

    #[test]
    fn addresses_have_checksums_and_histories_have_every_member() {
        let history = DeploymentHistory {
            deployer: Some(Address::repeat_byte(0xab)),
            factory_owner: Deterministic::record().factory_owner,
            created: BTreeMap::from([(Contract::EntryPoint, CreationRecord::default())]),
            versions: Versions {
                client: "0.1.0".to_owned(),
                solc: None,
            },
        };
        let written = serde_json::to_string(&history).unwrap();
        assert_eq!(
            written,
            "{\"deployer\":\"0xABaBaBaBABabABabAbAbABAbABabababaBaBABaB\",\
             \"factoryOwner\":\"0x000000000000000000000000000000000000dEaD\",\
             \"created\":{\"EntryPoint\":{\"transaction\":null,\"block\":null}},\
             \"versions\":{\"client\":\"0.1.0\",\"solc\":null}}"
        );
        assert_eq!(
            serde_json::from_str::<DeploymentHistory>(&written).unwrap(),
            history
        );
        let written = serde_json::to_string(&known_chains()[0]).unwrap();
        assert!(
            written.contains("\"0x0000003E0000a96de4058e1E02a62FaaeCf23d8d\""),
            "{written}"
        );
    }

    #[test]
    fn one_compiler_version_compiled_all_contracts() {
        let mut record = Deterministic::record().clone();
        assert!(record.compiler_version().unwrap().starts_with("0.8."));
        let plugin = record.contracts.get_mut(&Contract::SessionKeyPlugin).unwrap();
        plugin.compiler.as_mut().unwrap().version = "0.8.0".to_owned();
        assert_eq!(record.compiler_version(), None);
    }

    #[test]
    fn unknown_chains_have_no_deployment() {
        let base = Deployment::on_chain(8453).unwrap();
        assert_eq!(
            base.session_key_plugin.to_string(),
            "0x0000003E0000a96de4058e1E02a62FaaeCf23d8d"
        );
        assert_eq!(Deployment::on_chain(31337), None);
    }

    #[test]
    fn a_deployment_without_a_plugin_is_refused() {
        let mut known = known_chains()[0].deployments[0].clone();
        known.contracts.remove(&Contract::SessionKeyPlugin);
        let missing = known.deployment().unwrap_err();
        assert_eq!(missing.contract, Contract::SessionKeyPlugin);
        assert_eq!(
            missing.to_string(),
            "the deployment \"canonical\" has no SessionKeyPlugin"
        );
    }
}
