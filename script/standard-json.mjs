#!/usr/bin/env node
// Writes the standard JSON input of each deployed contract, with which block explorers verify its source.
// `script/bindings.sh --check` verifies that each input compiles to the checked-in bytecode.
//
//     script/standard-json.mjs out/standard-json [contracts/src/session-key/SessionKeyPlugin …]
//
// Needs forge on the PATH (`source script/toolchain.sh`) to read foundry.toml. An input contains only the contract's own
// sources and its settings from foundry.toml.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { chdir, argv, exit } from "node:process";
import { fileURLToPath } from "node:url";

const [folder, ...named] = argv.slice(2);
if (folder === undefined) {
  console.error("usage: script/standard-json.mjs FOLDER [CONTRACT…]");
  exit(2);
}
chdir(fileURLToPath(new URL("..", import.meta.url)));
const require = createRequire(import.meta.url);
const solc = require("solc");
const config = JSON.parse(execFileSync("forge", ["config", "--json"], { encoding: "utf8" }));

/** Returns forge's compiler settings for a file: the defaults, or those of the profile to which the file is restricted. */
function settings(path) {
  const restriction = config.compilation_restrictions.find((candidate) => candidate.paths === path);
  const profile = config.additional_compiler_profiles.find(
    ({ via_ir, optimizer_runs }) =>
      restriction && via_ir === restriction.via_ir && optimizer_runs === restriction.optimizer_runs,
  );
  if (restriction && !profile) throw new Error(`${path}: no compiler profile of foundry.toml meets its restriction`);
  return {
    remappings: config.remappings,
    optimizer: { enabled: config.optimizer, runs: profile?.optimizer_runs ?? config.optimizer_runs },
    evmVersion: config.evm_version,
    viaIR: profile?.via_ir ?? config.via_ir,
    metadata: { bytecodeHash: config.bytecode_hash, appendCBOR: config.cbor_metadata },
  };
}

/** Returns the file and all of its imports, as requested by solc. */
function sources(path, remappings) {
  const found = { [path]: { content: readFileSync(path, "utf8") } };
  const input = { language: "Solidity", sources: found, settings: { remappings } };
  const read = (imported) => {
    const contents = readFileSync(imported, "utf8");
    found[imported] = { content: contents };
    return { contents };
  };
  // solc gets a copy of the input before the first call of `read`.
  const { errors = [] } = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
  const [error] = errors.filter(({ severity }) => severity === "error");
  if (error) throw new Error(error.formattedMessage);
  return Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)));
}

const paths = named.length > 0 ? named.map((name) => `${name}.sol`) : config.compilation_restrictions.map(({ paths }) => paths);
mkdirSync(folder, { recursive: true });
for (const path of paths) {
  const contract = basename(path, ".sol");
  const chosen = settings(path);
  const input = {
    language: "Solidity",
    sources: sources(path, chosen.remappings),
    settings: { ...chosen, outputSelection: { [path]: { [contract]: ["evm.bytecode.object"] } } },
  };
  writeFileSync(join(folder, `${contract}.json`), JSON.stringify(input));
}
