#!/usr/bin/env node
// Removes from the session key plugin the checks that go beyond the published ABI, and names the result 1.0.1. Tests use it
// in place of the plugins with the same ABI that others have deployed. Never deploy it.
//
//     script/plugin-without-strict-rules.mjs SessionKeyPlugin.json PluginWithoutStrictRules.json
//
// Reads the plugin's standard JSON input (script/standard-json.mjs) and writes one that compiles to the modified plugin.
// Each passage below must occur exactly once in the sources, or the script fails.
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
  // Functions of limited tokens whose amounts are not counted.
  [permissions, `if (entry.hasTokenLimit() && !_isTokenCall(data)) ${refuse}`, ""],
  [permissions, "spend(slot, _tokenAmount(data), _now())", "spend(slot, _isTokenCall(data) ? _tokenAmount(data) : 0, _now())"],
  // Call data without a complete selector.
  [permissions, `if (data.length < 4 && data.length > 0) ${refuse}`, ""],
  // All checks at execution except spending.
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
  if (after === undefined || more !== undefined) throw new Error(`${path}: does not occur exactly once: ${passage}`);
  input.sources[path].content = before + other + after;
}
writeFileSync(to, JSON.stringify(input));
