#!/usr/bin/env bash
# Verifies the sources of the deployed contracts with a block explorer:
#
#     EXPLORER_API=https://… EXPLORER_KEY=… script/verify-source.sh 11155111 [record of `session-key deploy --record`]
#
# EXPLORER_API is an Etherscan-compatible API; Blockscout has one too. Without it, nothing is sent: the script writes the
# inputs to out/standard-json and prints the other fields of an explorer's form. FACTORY_OWNER overrides the record's factory
# owner. The script fails if the sources and constructor arguments do not match the deployment.
#
# It submits one contract at a time and polls the explorer until it has decided. Contracts that are already verified count as
# verified, so the script can be run again after a failure. It waits EXPLORER_INTERVAL seconds (default 5) between requests
# and sends at most EXPLORER_ATTEMPTS requests (default 40) per contract.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
source script/toolchain.sh

chain=${1:?usage: script/verify-source.sh CHAIN_ID [RECORD]}
standard=crates/client/deployments/deterministic.json
record=${2:-$standard}
interval=${EXPLORER_INTERVAL:-5}
attempts=${EXPLORER_ATTEMPTS:-40}
inputs=out/standard-json
./script/standard-json.mjs "$inputs"

# Prints a member of a contract's record; reads both record formats.
recorded() { # contract member …
  node -e '
    const [path, ...members] = process.argv.slice(1);
    const record = JSON.parse(require("node:fs").readFileSync(path, "utf8"));
    const { contracts } = record.deployments?.[0] ?? record;
    console.log(members.reduce((value, member) => value[member], contracts));
  ' "$record" "$@"
}
owner=$(node -p '
  const [record, standard] = process.argv.slice(1).map((path) => JSON.parse(require("node:fs").readFileSync(path, "utf8")));
  record.deployments?.[0].deployed?.factoryOwner ?? standard.factoryOwner;
' "$record" "$standard")
manifest_hash=$(node -p 'JSON.parse(require("node:fs").readFileSync(process.argv[1])).multiOwnerPluginManifestHash' "$standard")
arguments() { # contract
  local entry_point
  entry_point=$(recorded EntryPoint address)
  case "$1" in
    ModularAccount) cast abi-encode 'constructor(address)' "$entry_point" ;;
    ModularAccountFactory)
      cast abi-encode 'constructor(address,address,address,bytes32,address)' "${FACTORY_OWNER:-$owner}" \
        "$(recorded MultiOwnerPlugin address)" "$(recorded ModularAccount address)" "$manifest_hash" "$entry_point"
      ;;
    *) echo 0x ;;
  esac
}

# Sends one request, EXPLORER_INTERVAL after the previous one. The key is not an argument: other users could see it.
asked=false
ask() { # option of curl …
  if $asked; then sleep "$interval"; fi
  asked=true
  # A failed request is tried again later.
  answer=$(curl -sS --fail --max-time 60 --config - "$@" 2>&1 <<<"data-urlencode = \"apikey=${EXPLORER_KEY-}\"") \
    || answer=$(node -p 'JSON.stringify({ status: "", result: "no answer: " + process.argv[1] })' "$answer")
}

# Prints the verdict in an answer (`guid GUID`, `verified`, `later` or `failed`), then the explorer's text.
said() { # submitted|status
  node -e '
    const [step, text] = process.argv.slice(1);
    let answer;
    try {
      answer = JSON.parse(text);
    } catch {
      answer = { result: text };
    }
    const words = String(answer?.result ?? answer?.message ?? text).replace(/\s+/g, " ").trim().slice(0, 300);
    const has = (pattern) => pattern.test(words);
    const verdict = has(/already\s+verified/i) ? "verified"
      : has(/rate limit|too many requests|no answer|timeout|try again/i) ? "later"
      // The explorer has not indexed the contract yet.
      : has(/unable to locate contract|not found|no contract code|does not exist/i) ? "later"
      : step === "submitted" ? (answer.status === "1" && /^[\w-]+$/.test(words) ? `guid ${words}` : "failed")
      : has(/pending|in queue|in progress/i) ? "later"
      : answer.status === "1" || has(/^pass\b/i) ? "verified"
      : "failed";
    console.log(`${verdict}\n${words}`);
  ' "$1" "$answer"
}

# Submits a contract's sources and waits for the verdict.
verify() { # contract address name compiler constructor-arguments
  local step=submitted guid verdict words
  for _ in $(seq "$attempts"); do
    if [ "$step" = submitted ]; then
      ask "$EXPLORER_API?chainid=$chain" \
        --data-urlencode module=contract \
        --data-urlencode action=verifysourcecode \
        --data-urlencode codeformat=solidity-standard-json-input \
        --data-urlencode "contractaddress=$2" \
        --data-urlencode "contractname=$3" \
        --data-urlencode "compilerversion=$4" \
        --data-urlencode "constructorArguements=$5" \
        --data-urlencode "sourceCode@$inputs/$1.json"
    else
      ask --get "$EXPLORER_API?chainid=$chain" \
        --data-urlencode module=contract \
        --data-urlencode action=checkverifystatus \
        --data-urlencode "guid=$guid"
    fi
    { read -r verdict; read -r words || true; } <<<"$(said "$step")"
    echo "  $words"
    case "$verdict" in
      "guid "*) step=status guid=${verdict#guid } ;;
      verified) return 0 ;;
      failed) return 1 ;;
    esac
  done
  echo "  not decided after $attempts requests"
  return 1
}

failed=()
for contract in MultiOwnerPlugin SessionKeyPlugin ModularAccount ModularAccountFactory SessionKeyModule; do
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
  verify "$contract" "$address" "$name" "$compiler" "${encoded#0x}" || failed+=("$contract")
done
if [ "${#failed[@]}" -gt 0 ]; then
  echo "verify-source.sh: not verified: ${failed[*]}" >&2
  exit 1
fi
