# For sourcing with bash: `source script/toolchain.sh`. Installs the pinned npm packages if they are missing or differ from
# package-lock.json, and puts the pinned forge, cast and anvil on the PATH.
#
# It uses the platform packages' binaries. npm's wrappers in node_modules/.bin lose the exit codes, so a failed test would
# pass.

_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if ! cmp -s "$_root/package-lock.json" "$_root/node_modules/.installed-lock.json"; then
  npm ci --prefix "$_root" --ignore-scripts --no-audit --no-fund || return 1
  cp "$_root/package-lock.json" "$_root/node_modules/.installed-lock.json"
fi

case "$(uname -s)" in
  Darwin) _platform=darwin ;;
  *) _platform=linux ;;
esac
case "$(uname -m)" in
  arm64 | aarch64) _platform=$_platform-arm64 ;;
  *) _platform=$_platform-amd64 ;;
esac
for _tool in forge cast anvil; do
  PATH="$_root/node_modules/@foundry-rs/$_tool-$_platform/bin:$PATH"
done
export PATH
unset _root _platform _tool
