#!/usr/bin/env node
// Writes, for each contract that is deployed, the standard JSON input that compiles to its checked-in bytecode: what block
// explorers take to verify a source. `script/bindings.sh --check` proves that it does.
//
//     script/standard-json.mjs out/standard-json [contracts/src/session-key/SessionKeyPlugin …]
//
// Needs forge on the PATH (`source script/toolchain.sh`), to read foundry.toml. An input holds the contract's sources and no
// others, and the settings of foundry.toml for it.
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

/** The settings that forge compiles a file with: the defaults, or those of the profile that the file is restricted to. */
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

/** The file and everything that it imports, as solc itself asks for it. */
function sources(path, remappings) {
  const found = { [path]: { content: readFileSync(path, "utf8") } };
  const input = { language: "Solidity", sources: found, settings: { remappings } };
  const read = (imported) => {
    const contents = readFileSync(imported, "utf8");
    found[imported] = { content: contents };
    return { contents };
  };
  // A copy of the input goes to solc before the first call of `read`.
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
