#!/usr/bin/env bash
# Runs the release checks that .ci/run does not cover: the oldest supported Rust compiles everything with all features (some
# need a C compiler), documentation has no warnings, dependencies have allowed licences and sources, and every crate can be
# published. Takes about 15 minutes on two cores. Installs a toolchain with rustup, and cargo-deny under cache/.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

msrv=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
step "Rust $msrv, the oldest supported"
rustup toolchain install "$msrv" --profile minimal --no-self-update
CARGO_TARGET_DIR=target/msrv cargo "+$msrv" check --workspace --all-targets --all-features --locked

step "Documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

step "Dependencies"
deny_version=0.20.2
if [ "$(cache/cargo-deny/bin/cargo-deny --version 2>/dev/null)" != "cargo-deny $deny_version" ]; then
  cargo install cargo-deny --version "$deny_version" --locked --root cache/cargo-deny
fi
# Advisories need a database from the network, so they are not checked here: `cache/cargo-deny/bin/cargo-deny check advisories`.
cache/cargo-deny/bin/cargo-deny --locked check bans licenses sources

step "Packages"
cargo publish --dry-run --workspace --locked
