#!/usr/bin/env bash
# Has a block explorer verify the sources of the deployed contracts:
#
#     EXPLORER_API=https://… EXPLORER_KEY=… script/verify-source.sh 11155111 [record of `session-key deploy --record`]
#
# EXPLORER_API is an API like Etherscan's; Blockscout has one too. Without it nothing is sent: the inputs are written to
# out/standard-json, and what else an explorer's form asks for is printed. FACTORY_OWNER is that of the deployment, if it was
# given one. Refuses if sources and constructor arguments are not what was deployed.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
source script/toolchain.sh

chain=${1:?usage: script/verify-source.sh CHAIN_ID [RECORD]}
record=${2:-crates/client/deployments/deterministic.json}
inputs=out/standard-json
./script/standard-json.mjs "$inputs"

# What the record says of a contract; both forms of record.
recorded() { # contract member …
  node -e '
    const [path, ...members] = process.argv.slice(1);
    const record = JSON.parse(require("node:fs").readFileSync(path, "utf8"));
    const { contracts } = record.deployments?.[0] ?? record;
    console.log(members.reduce((value, member) => value[member], contracts));
  ' "$record" "$@"
}
default_owner=$(node -p 'JSON.parse(require("node:fs").readFileSync("crates/client/deployments/deterministic.json")).factoryOwner')
# keccak256(abi.encode(manifest)) of the owner plugin.
manifest_hash=0x21d0f6cca8bef15ac65bf93ae5ae9ec383ea5010bf3e02b44d3c0abd2d2bd0fb
arguments() { # contract
  local entry_point
  entry_point=$(recorded EntryPoint address)
  case "$1" in
    ModularAccount) cast abi-encode 'constructor(address)' "$entry_point" ;;
    ModularAccountFactory)
      cast abi-encode 'constructor(address,address,address,bytes32,address)' "${FACTORY_OWNER:-$default_owner}" \
        "$(recorded MultiOwnerPlugin address)" "$(recorded ModularAccount address)" "$manifest_hash" "$entry_point"
      ;;
    *) echo 0x ;;
  esac
}

for contract in MultiOwnerPlugin SessionKeyPlugin ModularAccount ModularAccountFactory; do
  address=$(recorded "$contract" address)
  compiler=v$(recorded "$contract" compiler version)
  name=$(recorded "$contract" source)
  encoded=$(arguments "$contract")
  if [ "$(cast keccak "$(cat "crates/bindings/bytecode/$contract.hex")${encoded#0x}")" != "$(recorded "$contract" initCodeHash)" ]; then
    echo "verify-source.sh: $contract at $address was not created from this bytecode and ${encoded#0x}" >&2
    exit 1
  fi
  echo "$contract $address"
  echo "  name $name, compiler $compiler, input $inputs/$contract.json"
  echo "  constructor arguments ${encoded#0x}"
  if [ -z "${EXPLORER_API-}" ]; then continue; fi
  answer=$(curl -sS --fail "$EXPLORER_API?chainid=$chain" \
    --data-urlencode "apikey=${EXPLORER_KEY-}" \
    --data-urlencode module=contract \
    --data-urlencode action=verifysourcecode \
    --data-urlencode codeformat=solidity-standard-json-input \
    --data-urlencode "contractaddress=$address" \
    --data-urlencode "contractname=$name" \
    --data-urlencode "compilerversion=$compiler" \
    --data-urlencode "constructorArguements=${encoded#0x}" \
    --data-urlencode "sourceCode@$inputs/$contract.json")
  echo "  $answer"
  # {"status": "1", …}: queued, under a number by which the explorer tells how it went.
  node -e 'process.exit(JSON.parse(process.argv[1]).status === "1" ? 0 : 1)' "$answer"
done
