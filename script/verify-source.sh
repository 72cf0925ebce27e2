#!/usr/bin/env bash
# Has a block explorer verify the sources of the deployed contracts:
#
#     EXPLORER_API=https://… EXPLORER_KEY=… script/verify-source.sh 11155111 [record of `session-key deploy --record`]
#
# EXPLORER_API is an API like Etherscan's; Blockscout has one too. Without it nothing is sent: the inputs are written to
# out/standard-json, and what else an explorer's form asks for is printed. The factory's owner is that of the record, unless
# FACTORY_OWNER names another. Refuses if sources and constructor arguments are not what was deployed.
#
# Sources go out one contract after the other, and each is waited for: the explorer is asked about the GUID that it gave until it
# has decided. What is verified already is fine: run it again after a failure. EXPLORER_INTERVAL seconds (5) lie between requests,
# and a contract takes EXPLORER_ATTEMPTS requests (40) at most.
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

# What a record says of a contract; both forms of record.
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

# One request, some time after the one before. The key is not among the arguments, which every user of the machine can see.
asked=false
ask() { # option of curl …
  if $asked; then sleep "$interval"; fi
  asked=true
  # A server that cannot answer now may do so later.
  answer=$(curl -sS --fail --max-time 60 --config - "$@" 2>&1 <<<"data-urlencode = \"apikey=${EXPLORER_KEY-}\"") \
    || answer=$(node -p 'JSON.stringify({ status: "", result: "no answer: " + process.argv[1] })' "$answer")
}

# What an answer says: `guid GUID` of a submission, `verified`, `later`, or `failed`; and the explorer's words.
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
      // An explorer that has not seen the contract yet.
      : has(/unable to locate contract|not found|no contract code|does not exist/i) ? "later"
      : step === "submitted" ? (answer.status === "1" && /^[\w-]+$/.test(words) ? `guid ${words}` : "failed")
      : has(/pending|in queue|in progress/i) ? "later"
      : answer.status === "1" || has(/^pass\b/i) ? "verified"
      : "failed";
    console.log(`${verdict}\n${words}`);
  ' "$1" "$answer"
}

# Submits the sources of a contract, and waits for the verdict.
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
