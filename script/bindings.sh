#!/usr/bin/env bash
# Regenerates the ABI (script/abi.mjs) and creation bytecode in the Rust crates from the Solidity sources, with the pinned
# compiler, and the deployment record (addresses and code hashes) that follows from them.
# With --check it changes nothing and fails if the checked-in files differ from the generated ones.
#
# Each contract is compiled alone, from the standard JSON input with which block explorers verify it
# (script/standard-json.mjs), because solc's IR output may depend on which other files are compiled with it.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
source script/toolchain.sh

case "${1-}" in
  "") check=false ;;
  --check) check=true ;;
  *) echo "usage: script/bindings.sh [--check]" >&2; exit 2 ;;
esac

# Under contracts/src.
bindings=(
  account/ModularAccount account/ModularAccountFactory owner/MultiOwnerPlugin session-key/SessionKeyPlugin
  session-key/SessionKeyModule
)
# Under contracts/test.
mocks=(
  mocks/TestMulticall mocks/TestPaymaster mocks/TestPaymasterV07 mocks/TestToken mocks/VerifyingPaymaster
  v08/accounts/AccountFactory v08/accounts/DelegatedAccount v08/accounts/ModuleOwnedAccount
  v08/accounts/SemiModularAccount v08/accounts/SignatureAccount v08/modules/EcdsaValidationModule
  v08/modules/standins/AllowlistStandIn v08/modules/standins/NativeTokenLimitStandIn
  v08/modules/standins/PaymasterGuardStandIn v08/modules/standins/TimeRangeStandIn
)
record=crates/client/deployments/deterministic.json
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bindings" "$work/entry-point" "$work/testkit"

# Prints the creation bytecode from an artifact or from solc's output for one contract, as one line of hex. From an artifact,
# `member` selects another bytecode. Fails if a library is not linked.
bytecode() { # file [member]
  node -e '
    const answer = JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"));
    const errors = (answer.errors ?? []).filter(({ severity }) => severity === "error");
    if (errors.length > 0) throw new Error(errors[0].formattedMessage);
    const compiled = answer.contracts && Object.values(Object.values(answer.contracts)[0])[0].evm.bytecode.object;
    const hex = compiled === undefined ? answer[process.argv[2]] : `0x${compiled}`;
    if (!/^0x([0-9a-f]{2})+$/.test(hex)) throw new Error(`${process.argv[1]}: no linked bytecode`);
    console.log(hex);
  ' "$1" "${2-bytecode}"
}

# The inputs are $work/inputs/CRATE/CONTRACT.json.
./script/standard-json.mjs "$work/inputs/bindings" "${bindings[@]/#/contracts/src/}"
./script/standard-json.mjs "$work/inputs/testkit" "${mocks[@]/#/contracts/test/}"
./script/plugin-without-strict-rules.mjs "$work/inputs/bindings/SessionKeyPlugin.json" \
  "$work/inputs/testkit/PluginWithoutStrictRules.json"
compile() {
  script/solc --standard-json "$work/inputs/$1.json" >"$work/$1.output.json"
  bytecode "$work/$1.output.json" >"$work/$1.hex"
}
export -f bytecode compile
export work
(cd "$work/inputs" && ls */*.json) | sed 's/\.json$//' | xargs -P "$(nproc)" -I {} bash -euc 'compile {}'
bytecode node_modules/@account-abstraction/contracts/artifacts/EntryPoint.json >"$work/entry-point/EntryPoint.hex"
bytecode node_modules/@account-abstraction/contracts-v0.7/artifacts/EntryPoint.json >"$work/entry-point/EntryPointV07.hex"
bytecode node_modules/@account-abstraction/contracts-v0.8/artifacts/EntryPoint.json >"$work/entry-point/EntryPointV08.hex"
bytecode node_modules/@account-abstraction/contracts-v0.9/artifacts/EntryPoint.json >"$work/entry-point/EntryPointV09.hex"

status=0
# Installs a generated file, or with --check reports that it differs from the checked-in one.
checkin() { # generated checked-in
  if cmp -s "$1" "$2"; then
    return
  elif $check; then
    echo "$2 differs from the generated file: run script/bindings.sh" >&2
    status=1
  else
    mkdir -p "$(dirname "$2")"
    cp "$1" "$2"
    echo "updated $2"
  fi
}

script/abi.mjs >"$work/abi.sol"
checkin "$work/abi.sol" crates/bindings/sol/abi.sol

for crate in bindings entry-point testkit; do
  for file in "$work/$crate"/*.hex; do
    checkin "$file" "crates/$crate/bytecode/$(basename "$file")"
  done
done

# The Rust crates' plan: constants, init codes and addresses.
mkdir -p out
cargo run --quiet --locked -p session-key-bindings --example plan -- \
  crates/entry-point/bytecode/EntryPoint.hex crates/entry-point/bytecode/EntryPointV07.hex >out/plan.json
# The forge script's plan, and the code hashes, from deploying the checked-in bytecode to forge's in-process chain.
if ! FOUNDRY_PROFILE=deploy forge script script/Deploy.s.sol --sig 'record(string)' out/plan.json >"$work/log" 2>&1; then
  cat "$work/log" >&2
  exit 1
fi
# The record: the plan, if both agree, and the compiler settings.
node - out/plan.json out/deterministic.json "$work/inputs/bindings" "$(script/solc --version)" "${bindings[@]}" \
  >"$work/record.json" <<'JS'
const { existsSync, readFileSync } = require("node:fs");
const { basename } = require("node:path");
const [planned, recorded, inputs, solc, ...paths] = process.argv.slice(2);
const read = (path) => JSON.parse(readFileSync(path, "utf8"));
const plan = read(planned);
const { contracts } = read(recorded);
const version = /Version: ([^+]+\+commit\.[0-9a-f]+)/.exec(solc)[1];
// In creation order.
const names = [
  "EntryPoint", "MultiOwnerPlugin", "SessionKeyPlugin", "ModularAccount", "ModularAccountFactory", "EntryPointV07", "SessionKeyModule",
];
const described = names.map((name) => {
  const { address, salt, initCodeHash, codeHash } = contracts[name];
  for (const [member, value] of Object.entries(plan.contracts[name])) {
    if (contracts[name][member] === value) continue;
    throw new Error(`${name}: ${member} is ${value} in the Rust crates, but ${contracts[name][member]} in the forge script`);
  }
  const deployed = { address, salt, initCodeHash, codeHash };
  const input = `${inputs}/${name}.json`;
  if (!existsSync(input)) {
    const release = name === "EntryPointV07" ? "0.7.0" : "0.6.0";
    const source = `npm @account-abstraction/contracts ${release}, artifacts/EntryPoint.json`;
    return [name, { ...deployed, source }];
  }
  const { settings } = read(input);
  const compiler = {
    version,
    evmVersion: settings.evmVersion,
    viaIR: settings.viaIR,
    optimizerRuns: settings.optimizer.runs,
    ...settings.metadata,
  };
  const path = paths.find((candidate) => basename(candidate) === name);
  return [name, { ...deployed, source: `contracts/src/${path}.sol:${name}`, compiler }];
});
const same = (list) => [...list].sort().join();
if (same(Object.keys(contracts)) !== same(names) || same(Object.keys(plan.contracts)) !== same(names))
  throw new Error("the Rust crates and the forge script do not create the same contracts");
const { deploymentProxy, deploymentProxyCode, gasPriceOracle, cancunProbe, factoryOwner, entryPointV07Salt } = plan;
const record = {
  deploymentProxy,
  deploymentProxyCode,
  gasPriceOracle,
  cancunProbe,
  factoryOwner,
  entryPointV07Salt,
  multiOwnerPluginManifestHash: plan.multiOwnerPluginManifestHash,
  contracts: Object.fromEntries(described),
};
console.log(JSON.stringify(record, null, 2));
JS
checkin "$work/record.json" "$record"
exit $status
