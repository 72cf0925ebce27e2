//! Prints the plan of a deployment with the default parameters as JSON, for `script/bindings.sh`. Takes the path of a file with
//! the EntryPoint's creation bytecode in hex.

use alloy_primitives::hex;
use serde_json::{Map, Value, json};
use session_key_bindings::{
    DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE,
    deployment::{self, CANCUN_PROBE, DEFAULT_FACTORY_OWNER, DeploymentParameters, GAS_PRICE_ORACLE},
    manifest_hash,
};
use std::{env, error::Error, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("usage: plan ENTRY_POINT_BYTECODE")?;
    let entry_point_code = hex::decode(fs::read_to_string(path)?.trim())?;
    let planned = deployment::plan(&DeploymentParameters::default(), entry_point_code.into());
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
        "multiOwnerPluginManifestHash": manifest_hash::MULTI_OWNER_PLUGIN.to_string(),
        "contracts": contracts,
    });
    println!("{plan:#}");
    Ok(())
}
