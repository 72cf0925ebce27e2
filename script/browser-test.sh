#!/usr/bin/env bash
# Tests the review page in headless Chromium, through WebDriver, and takes the pictures in docs/images. Installs what it needs: Chromium
# and ChromeDriver from Debian's packages (as root), and axe-core from npm. The last line of output is the result.
#
#     script/browser-test.sh          every case
#     script/browser-test.sh narrow   those whose name contains `narrow`
set -euo pipefail
cd "$(dirname "$0")/.."

# Of one version, whatever it is: Debian replaces it with each security update, and keeps no other.
if ! command -v chromedriver >/dev/null || ! command -v chromium >/dev/null; then
  if [ "$(id -u)" != 0 ]; then
    echo "browser-test.sh: install the packages chromium and chromium-driver, or run as root on Debian" >&2
    exit 2
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends chromium chromium-driver fonts-dejavu-core >/dev/null
fi
if ! cmp -s interop/browser/package-lock.json interop/browser/node_modules/.installed-lock.json; then
  npm ci --prefix interop/browser --ignore-scripts --no-audit --no-fund
  cp interop/browser/package-lock.json interop/browser/node_modules/.installed-lock.json
fi

chromium --version
cargo build --locked -p session-key-cli -p session-key-browser-test
built=${CARGO_TARGET_DIR:-target}/debug
export SESSION_KEY=$PWD/$built/session-key
case $built in /*) SESSION_KEY=$built/session-key ;; esac
export AXE=$PWD/interop/browser/node_modules/axe-core/axe.min.js
export IMAGES=$PWD/docs/images
# Nothing of the user's settings.
unset ETH_RPC_URL SESSION_KEY_ACCOUNT SESSION_KEY_CHAIN_ID SESSION_KEY_BUNDLER_URL
"$built/session-key-browser-test" "$@"
