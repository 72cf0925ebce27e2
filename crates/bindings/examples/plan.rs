//! Prints the deployment plan for the default parameters as JSON, for `script/bindings.sh`.
//!
//! Takes two paths: files with the creation bytecode, in hex, of EntryPoint v0.6 and v0.7.

use alloy_primitives::{Bytes, hex};
use serde_json::{Map, Value, json};
use session_key_bindings::{
    DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE,
    deployment::{
        self, CANCUN_PROBE, DEFAULT_FACTORY_OWNER, DeploymentParameters, ENTRY_POINT_V07_SALT,
        EntryPointCodes, GAS_PRICE_ORACLE,
    },
    manifest_hash,
};
use std::{env, error::Error, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let code = |position| -> Result<Bytes, Box<dyn Error>> {
        let path = env::args()
            .nth(position)
            .ok_or("usage: plan ENTRY_POINT_V06_BYTECODE ENTRY_POINT_V07_BYTECODE")?;
        Ok(hex::decode(fs::read_to_string(path)?.trim())?.into())
    };
    let entry_points = EntryPointCodes {
        v06: code(1)?,
        v07: code(2)?,
    };
    let planned = deployment::plan(&DeploymentParameters::default(), entry_points);
    let contracts: Map<String, Value> = planned
        .iter()
        .map(|(contract, creation)| {
            let facts = json!({
                "address": creation.address().to_string(),
                "salt": creation.salt.to_string(),
                "initCodeHash": creation.init_code_hash().to_string(),
            });
            (contract.name().to_owned(), facts)
        })
        .collect();
    let plan = json!({
        "deploymentProxy": DEPLOYMENT_PROXY.to_string(),
        "deploymentProxyCode": hex::encode_prefixed(DEPLOYMENT_PROXY_CODE),
        "gasPriceOracle": GAS_PRICE_ORACLE.to_string(),
        "cancunProbe": hex::encode_prefixed(CANCUN_PROBE),
        "factoryOwner": DEFAULT_FACTORY_OWNER.to_string(),
        "entryPointV07Salt": ENTRY_POINT_V07_SALT.to_string(),
        "multiOwnerPluginManifestHash": manifest_hash::MULTI_OWNER_PLUGIN.to_string(),
        "contracts": contracts,
    });
    println!("{plan:#}");
    Ok(())
}
