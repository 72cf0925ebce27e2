#!/usr/bin/env node
// Prints the interfaces of contracts/src/interfaces as one Solidity file, from which the Rust bindings are generated. alloy's
// `sol!` supports neither imports nor inheritance.
//
//     script/abi.mjs >crates/bindings/sol/abi.sol
//
// Inherited members are copied into each interface. NatSpec becomes plain text, and comments on fields become documentation.
// The definitions are copied verbatim from the sources, at the positions reported by solc's parser.
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { chdir } from "node:process";
import { fileURLToPath } from "node:url";

chdir(fileURLToPath(new URL("..", import.meta.url)));
const folder = "contracts/src/interfaces";
const paths = [
  ...readdirSync(folder).sort().map((name) => `${folder}/${name}`),
  "node_modules/@openzeppelin/contracts/utils/introspection/IERC165.sol",
];
const texts = new Map(paths.map((path) => [path, readFileSync(path)]));
const input = {
  language: "Solidity",
  sources: Object.fromEntries(paths.map((path) => [path, { content: texts.get(path).toString() }])),
  settings: { stopAfter: "parsing", outputSelection: { "*": { "": ["ast"] } } },
};
const output = JSON.parse(execFileSync("script/solc", ["--standard-json"], { input: JSON.stringify(input), maxBuffer: 2 ** 26 }));
for (const { severity, formattedMessage } of output.errors ?? []) if (severity === "error") throw new Error(formattedMessage);

/** Returns the source of a node, without the indentation of its first line. */
function source(path, { src }) {
  const [start, length] = src.split(":").map(Number);
  return texts.get(path).subarray(start, start + length).toString();
}

/** Returns NatSpec as lines of text: a paragraph per `@notice` and `@dev`, a list item per parameter and return value. */
function prose({ documentation, returnParameters }) {
  if (!documentation) return [];
  const results = new Set(returnParameters?.parameters.map(({ name }) => name));
  const tags = [];
  for (const line of documentation.text.split("\n").map((line) => line.trim())) {
    const [, tag, rest] = /^@([a-z]+) ?(.*)$/.exec(line) ?? [];
    if (tag) tags.push({ tag, lines: [rest] });
    else if (tags.length > 0) tags.at(-1).lines.push(line);
    else tags.push({ tag: "notice", lines: [line] });
  }
  const lines = [];
  for (const { tag, lines: [first, ...rest] } of tags) {
    const item = tag === "param" || tag === "return";
    const [, name, text] = /^(\w+) (.*)$/s.exec(first) ?? [];
    if (lines.length > 0 && !(item && lines.at(-1).startsWith("- "))) lines.push("");
    if (tag === "param" || (tag === "return" && results.has(name))) lines.push(`- \`${name}\`: ${text}`);
    else if (tag === "return") lines.push(`- returned: ${first}`);
    else lines.push(tag === "title" ? `${first}.` : first);
    lines.push(...rest.map((line) => (item ? `  ${line}` : line)));
  }
  return lines;
}

const comment = (lines, indent) => lines.map((line) => `${indent}/// ${line}`.trimEnd() + "\n").join("");

/** Returns a definition with its documentation, indented like its source. */
function definition(path, node, indent) {
  let text = source(path, node);
  if (!/[;}]$/.test(text)) text += ";";
  if (node.nodeType === "StructDefinition" || node.nodeType === "EnumDefinition") text = text.replaceAll(/^(\s+)\/\/ /gm, "$1/// ");
  return `${comment(prose(node), indent)}${indent}${text}\n`;
}

const units = paths.map((path) => ({ path, nodes: output.sources[path].ast.nodes }));
const interfaces = new Map();
for (const { path, nodes } of units)
  for (const node of nodes) if (node.nodeType === "ContractDefinition") interfaces.set(node.name, { path, node });

/** Returns the members of an interface. Inherited members come first, in the order of the bases. */
function members(name, seen = new Set()) {
  if (seen.has(name)) return [];
  seen.add(name);
  const { path, node } = interfaces.get(name);
  const inherited = node.baseContracts.flatMap(({ baseName }) => members(baseName.name, seen));
  return [...inherited, ...node.nodes.map((member) => ({ path, member }))];
}

const parts = [];
for (const { path, nodes } of units)
  for (const node of nodes) {
    if (node.nodeType === "PragmaDirective" || node.nodeType === "ImportDirective") continue;
    if (node.nodeType !== "ContractDefinition") {
      parts.push(definition(path, node, ""));
      continue;
    }
    const body = members(node.name).map(({ path, member }) => definition(path, member, "    "));
    parts.push(`${comment(prose(node), "")}interface ${node.name} {\n${body.join("\n")}}\n`);
  }
process.stdout.write(`// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from contracts/src/interfaces (and OpenZeppelin's IERC165, MIT) by script/bindings.sh. Do not edit.
pragma solidity ^0.8.30;

${parts.join("\n")}`);
