#!/usr/bin/env node
// Takes out of the session key plugin what it demands beyond the ABI, and names it 1.0.1: a stand-in, for tests, for the plugins of
// the same ABI that are deployed elsewhere. It is nobody's plugin: deploy it nowhere.
//
//     script/plugin-without-strict-rules.mjs SessionKeyPlugin.json PluginWithoutStrictRules.json
//
// Reads the standard JSON input of the plugin (script/standard-json.mjs), and writes one that compiles to the stand-in. Each passage
// must stand in the sources exactly once: when they change, this fails.
import { readFileSync, writeFileSync } from "node:fs";
import { argv, exit } from "node:process";

const [from, to] = argv.slice(2);
if (to === undefined) {
  console.error("usage: script/plugin-without-strict-rules.mjs FROM TO");
  exit(2);
}
const plugin = "contracts/src/session-key/SessionKeyPlugin.sol";
const permissions = "contracts/src/session-key/SessionKeyPermissions.sol";
const refuse = "revert PermissionsCheckFailed();";
const passages = [
  [plugin, 'VERSION = "1.1.0"', 'VERSION = "1.0.1"'],
  // Operations without calls.
  [permissions, "if (key.id() == 0 || calls.length == 0)", "if (key.id() == 0)"],
  // The account and the EntryPoint as targets.
  [permissions, `if (target == account) ${refuse}`, ""],
  [permissions, `if (_isEntryPoint(target) && !(isOnList && isAllowlist)) ${refuse}`, ""],
  // Functions of limited tokens whose amounts do not count.
  [permissions, `if (entry.hasTokenLimit() && !_isTokenCall(data)) ${refuse}`, ""],
  [permissions, "spend(slot, _tokenAmount(data), _now())", "spend(slot, _isTokenCall(data) ? _tokenAmount(data) : 0, _now())"],
  // Call data that names no function.
  [permissions, `if (data.length < 4 && data.length > 0) ${refuse}`, ""],
  // In execution, everything but what is booked.
  [permissions, `if (calls.length == 0 || !_isInTimeRange(key)) ${refuse}`, ""],
  [
    permissions,
    "(uint256 slot, ContractEntry entry) = _checkCall(account, key, target, data);",
    "uint256 slot = LibSessionKeySlots.contractEntry(account, key.id(), target); ContractEntry entry = LibContractEntry.load(slot);",
  ],
  [permissions, `if (gas.asSpendLimit().isExceeded(slot)) ${refuse}`, ""],
];
const input = JSON.parse(readFileSync(from, "utf8"));
for (const [path, passage, other] of passages) {
  const { content } = input.sources[path];
  const [before, after, more] = content.split(passage);
  if (after === undefined || more !== undefined) throw new Error(`${path}: not there exactly once: ${passage}`);
  input.sources[path].content = before + other + after;
}
writeFileSync(to, JSON.stringify(input));
