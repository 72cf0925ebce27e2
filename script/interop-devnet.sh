#!/usr/bin/env bash
# Runs published clients against `session-key devnet`, as they are: cast (foundry), viem, permissionless, ethers, the TypeScript
# clients of both generations of accounts (npm @alchemy/aa-accounts, @account-kit/smart-contracts), and the Rust client (alloy)
# with the tests that it has for a node and a bundler. Everything is on a free loopback port.
set -euo pipefail
cd "$(dirname "$0")/.."

home=target/interop
mkdir -p "$home"

source script/toolchain.sh
for package in devnet typescript; do
  if ! cmp -s "interop/$package/package-lock.json" "interop/$package/node_modules/.installed-lock.json"; then
    npm ci --prefix "interop/$package" --ignore-scripts --no-audit --no-fund
    cp "interop/$package/package-lock.json" "interop/$package/node_modules/.installed-lock.json"
  fi
done

cargo build -p session-key-cli --locked
line=$PWD/$home/devnet.json
: >"$line"
target/debug/session-key devnet --port 0 --json --env "$home/devnet.env" >"$line" 2>"$home/devnet.log" &
devnet=$!
trap 'kill "$devnet" 2>/dev/null || true; wait 2>/dev/null || true' EXIT
until [ -s "$line" ]; do
  if ! kill -0 "$devnet" 2>/dev/null; then
    echo "interop-devnet.sh: the network did not start:" >&2
    cat "$home/devnet.log" >&2
    exit 1
  fi
  sleep 0.2
done

set -a
# shellcheck source=/dev/null
. "$home/devnet.env"
set +a

expect() { # wanted found what
  if [ "$1" != "$2" ]; then
    printf 'not ok: cast %s: %s, not %s\n' "$3" "$2" "$1" >&2
    exit 1
  fi
  echo "ok: cast $3"
}
payee=0x00000000000000000000000000000000000CA570
expect 31337 "$(cast chain-id)" chain-id
expect 0 "$(cast balance "$payee")" balance
# Signed by cast, and by the node.
cast send "$payee" --value 3 --private-key "$SESSION_KEY_FUNDER" >/dev/null
unlocked=$(cast rpc eth_accounts | node -p 'JSON.parse(require("fs").readFileSync(0, "utf8"))[0]')
cast send "$payee" --value 4 --unlocked --from "$unlocked" >/dev/null
expect 7 "$(cast balance "$payee")" "send, signed and unlocked"
block=$(cast block-number)
cast send "$DEVNET_TOKEN" "mint(address,uint256)" "$payee" 9 --private-key "$SESSION_KEY_FUNDER" >/dev/null
expect 9 "$(cast call "$DEVNET_TOKEN" "balanceOf(address)(uint256)" "$payee")" call
logs=$(cast logs --json --from-block "$((block + 1))" --address "$DEVNET_TOKEN" "Transfer(address,address,uint256)")
expect 1 "$(node -p 'JSON.parse(process.argv[1]).length' "$logs")" logs
hash=$(node -p 'JSON.parse(process.argv[1])[0].transactionHash' "$logs")
expect "$((block + 1))" "$(cast receipt "$hash" blockNumber)" receipt
expect "$((block + 1))" "$(cast block latest --field number)" block
cast estimate "$DEVNET_TOKEN" "mint(address,uint256)" "$payee" 9 >/dev/null
echo "ok: cast estimate"
expect 0 "$(cast nonce "$payee")" nonce
[ "$(cast code "$DEVNET_TOKEN")" != 0x ] && echo "ok: cast code"

node interop/devnet/run.mjs "$line"

# The Rust client and the TypeScript client of v0.7 accounts, as against any node and bundler.
export SESSION_KEY_RPC_URL=$ETH_RPC_URL SESSION_KEY_INTEROP_FILE=$PWD/$home/devnet-shared.json
cargo test -p session-key-client --locked --test it -- --ignored interop_through_the_entry_point
cargo test -p session-key-client --locked --test v08 -- --ignored interop_of_v08_accounts_through_the_entry_point
# The factory of these tests has no stake, without which this bundler, other than alto in its unsafe mode, takes no operation that
# creates an account (ERC-7562). Its owner is development account 0.
owner=0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
factory=$(cast logs --json --from-block 0 "OwnershipTransferred(address indexed,address indexed)" "" "$owner" |
  node -p 'JSON.parse(require("fs").readFileSync(0, "utf8"))[0].address')
cast send "$factory" "addStake(uint32,uint256)" 86400 1000000000000000000 --value 1ether --private-key "$SESSION_KEY_FUNDER" >/dev/null
unset SESSION_KEY_ACCOUNT SESSION_KEY_OWNER SESSION_KEY_CHAIN_ID SESSION_KEY_FUNDER
cargo test -p session-key-client --locked --test it -- --ignored interop_through_a_bundler
cargo test -p session-key-client --locked --test v08 -- --ignored interop_of_v08_accounts_through_a_bundler
cargo test -p session-key-client --locked --test it -- --ignored interop_grants_a_key_to_typescript
node interop/typescript/run.mjs "$SESSION_KEY_INTEROP_FILE"
cargo test -p session-key-client --locked --test it -- --ignored interop_uses_a_key_of_typescript
