// Asks two bundlers about the same operations on the same contracts: the validation manager of @metamask/test-bundler, as it is,
// on anvil, and the bundler of `session-key devnet`. Compares the error's code, the rule, the entity, and what else the words name.
//
//   node run.mjs ANVIL_URL DEVNET_URL
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { EntryPoint__factory } = require("@account-abstraction/contracts");
const breakers = require("@metamask/test-bundler/dist/contract-types");
const { ValidationManager } = require("@metamask/test-bundler/dist/validation-manager");
const { ethers } = require("ethers");

const ENTRY_POINT = "0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789";
const DEPLOYMENT_PROXY = "0x4e59b44847b379578588920cA78FbF26c0B4956C";
const UNDEPLOYED = "0x00000000000000000000000000000000c0de1e55";
const ETHER = ethers.constants.WeiPerEther;

const both = (...names) => names.flatMap((name) => [`${name}, account`, `${name}, paymaster`]);
const staked = (names) => names.flatMap((name) => [name, `${name}, staked`]);
// Where the two differ, in what, and why. It fails the run if an operation of these agrees, or differs in something else.
const DIFFERENCES = [
  {
    differs: "code",
    why: "It knows a paymaster's failure by a member that FailedOp of EntryPoint v0.6 does not have. ERC-7769: -32501.",
    operations: staked([
      ...["TestRuleAccount", "TestOpcodesAccount", "TestStorageAccount", "TestRecursionAccount"].map(
        (name) => `${name} "fail", paymaster`,
      ),
      'TestRulesAccount "inner-revert", paymaster',
    ]),
  },
  {
    differs: "code",
    why:
      "handleOps within handleOps reverts, so for the devnet the validation fails. Within simulateValidation, which " +
      "the validation manager calls, it does not, and is an illegal call. Refused by both.",
    operations: staked(both('TestRecursionAccount "handleOps"')),
  },
  {
    differs: "slot",
    why: "Several words break the rule. It names the last one, the devnet the lowest.",
    operations: [
      ...["TestRulesAccount", "TestStorageAccount"].flatMap((name) => [
        `${name} "struct-1", account`,
        ...["struct-self", "struct-1"].flatMap((rule) => [`${name}Factory "${rule}"`, `${name} "${rule}", account to create`]),
      ]),
    ],
  },
  {
    differs: "verdict",
    why: "OP-080, which allows it to staked entities, is later.",
    operations: both("SELFBALANCE", "BALANCE of itself").map((name) => `${name}, staked`),
  },
  { differs: "verdict", why: "The opcode is later.", operations: both("BLOBHASH", "BLOBBASEFEE") },
  {
    differs: "verdict",
    why: "OP-070, by which transient storage is like storage, is later.",
    operations: ["own transient storage, paymaster"],
  },
  { differs: "verdict", why: "It does not look for OP-013.", operations: both("an unassigned opcode") },
  {
    differs: "verdict",
    why: "It takes up to two bytes of code for none.",
    operations: both("CALL to two bytes of code"),
  },
  {
    differs: "verdict",
    why: "It takes depositTo from everyone for everyone; OP-052: from sender and factory, for the sender.",
    operations: both("depositTo for another"),
  },
  {
    differs: "verdict",
    why: "It takes the fallback from everyone; OP-053: from the sender.",
    operations: ["a deposit by the fallback, paymaster"],
  },
  {
    differs: "rule",
    why: "It has no name for precompiles that are not allowed (OP-062), and takes them for addresses without code (OP-041).",
    operations: both("precompile 10"),
  },
  {
    differs: "verdict",
    why: "It associates 128 words, n from 0 to 127; the ERC 129, to 128.",
    operations: ["associated word + 128, read, account"],
  },
  {
    differs: "verdict",
    why: "It looks for the aggregator at a member that the answer of EntryPoint v0.6 does not have, and finds none.",
    operations: ["an aggregator"],
  },
];

// The validation manager prints the time of each operation that it accepts.
const print = console.log;
console.log = () => {};

const [anvil, devnet] = process.argv.slice(2).map((url) => new ethers.providers.StaticJsonRpcProvider(url));

// The same key deploys the same contracts in the same order, so they have the same addresses on both chains.
// Of the words that break a rule, the devnet names that of the lowest address, and the validation manager one of the
// contract that is touched first. With this key the token, which a breaker touches after its own storage, has a high address.
const keyOf = (n) => ethers.utils.id(`the deployer of the rule breakers, ${n}`);
const tokenOf = (key) => ethers.utils.getContractAddress({ from: ethers.utils.computeAddress(key), nonce: 1 }).toLowerCase();
let n = 0;
while (!tokenOf(keyOf(n)).startsWith("0xff")) n += 1;
const key = keyOf(n);
const chains = [anvil, devnet].map((node) => ({ node, deployer: new ethers.Wallet(key, node) }));
for (const chain of chains) {
  chain.node.pollingInterval = 50;
}
const mined = async (sending) => {
  const receipt = await (await sending).wait();
  if (receipt.status !== 1) throw new Error(`transaction ${receipt.transactionHash} failed`);
  return receipt;
};
const onBoth = async (action) => {
  const [first, second] = await Promise.all(chains.map(action));
  if (first !== second) throw new Error(`the chains differ: ${first}, ${second}`);
  return first;
};
const send = (to, data, value = 0) =>
  onBoth(async ({ deployer }) => {
    const receipt = await mined(deployer.sendTransaction({ to, data, value, gasLimit: 9_000_000 }));
    return receipt.contractAddress?.toLowerCase();
  });

await Promise.all(
  chains.map(async ({ node, deployer }) => {
    const [rich] = await node.listAccounts();
    await mined(node.getSigner(rich).sendTransaction({ to: deployer.address, value: ETHER.mul(1000) }));
  }),
);
if ((await anvil.getCode(ENTRY_POINT)) === "0x") {
  // The address follows from the bytecode and this salt.
  const data = ethers.utils.hexConcat([ethers.constants.HashZero, EntryPoint__factory.bytecode]);
  await mined(chains[0].deployer.sendTransaction({ to: DEPLOYMENT_PROXY, data, gasLimit: 9_000_000 }));
  // For the same nonces.
  await mined(chains[1].deployer.sendTransaction({ to: UNDEPLOYED }));
}
await onBoth(({ node }) => node.getCode(ENTRY_POINT));

const entryPoint = EntryPoint__factory.connect(ENTRY_POINT, anvil);
const manager = new ValidationManager(entryPoint, false);
const calls = EntryPoint__factory.createInterface();
const encode = (signature, ...args) => {
  const abi = new ethers.utils.Interface([`function ${signature}`]);
  return abi.encodeFunctionData(abi.fragments[0], args);
};

const deposit = (to) => send(ENTRY_POINT, calls.encodeFunctionData("depositTo", [to]), ETHER);
const deploy = async (name, ...args) => {
  const factory = new breakers[`${name}__factory`]();
  return send(undefined, factory.getDeployTransaction(...args).data);
};
// A contract of the package that can be account and paymaster; with stake, or without.
const coin = await deploy("TestCoin");
if (coin !== tokenOf(key)) throw new Error("these chains were used before");
const breaker = async (name, { args = [], staked = false } = {}) => {
  const contract = await deploy(name, ...args);
  if (["TestRulesAccount", "TestStorageAccount"].includes(name)) await send(contract, encode("setCoin(address)", coin));
  await deposit(contract);
  if (staked) await send(contract, encode("addStake(address)", ENTRY_POINT), ETHER);
  return contract;
};

const text = (rule) => ethers.utils.hexlify(ethers.utils.toUtf8Bytes(rule));
const operation = (fields) => ({
  nonce: "0x0",
  initCode: "0x",
  callData: "0x",
  callGasLimit: "0x186a0",
  verificationGasLimit: "0x1e8480",
  preVerificationGas: "0x186a0",
  maxFeePerGas: "0x77359400",
  maxPriorityFeePerGas: "0x3b9aca00",
  paymasterAndData: "0x",
  signature: "0x",
  ...fields,
});

// What each of the validation manager's messages says, by the rule that its source names there, or the closest of today's names.
const MEANINGS = [
  [/^(?<role>\w+) uses banned opcode: (?<opcode>GAS)$/, ["OP-012"]],
  [/^(?<role>\w+) uses banned opcode: (?<opcode>CREATE2)$/, ["OP-031"]],
  [/^(?<role>\w+) uses banned opcode: (?<opcode>BALANCE|SELFBALANCE)$/, ["OP-080"]],
  [/^(?<role>\w+) uses banned opcode: (?<opcode>CREATE)$/, ["OP-011", "EREP-060", "EREP-061"]],
  [/^(?<role>\w+) uses banned opcode: (?<opcode>\w+)$/, ["OP-011"]],
  [/^(?<role>\w+) with too many (?<opcode>CREATE2)$/, ["OP-031"]],
  [/^(?<role>\w+) internally reverts on oog$/, ["OP-020"]],
  [/^(?<role>\w+) accesses un-deployed contract address (?<of>\w+) with opcode (?<opcode>\w+)$/, ["OP-041"]],
  [/^(?<role>\w+) accesses EntryPoint contract address (?<of>\w+) with opcode/, ["OP-051", "OP-054"]],
  [/^illegal call into EntryPoint during validation/, ["OP-052", "OP-053", "OP-054"]],
  [/^May not may CALL with value$/, ["OP-061"]],
  [/^unstaked (?<role>\w+) accessed (?<of>\w+) slot (?<slot>0x\w+)$/, ["STO-022", "STO-031", "STO-032", "STO-033"]],
  [/^(?<role>\w+) has forbidden (?:read from|write to) (?<of>\w+) slot (?<slot>0x\w+)$/, ["STO-032"]],
  [/^unstaked (?<role>paymaster) must not return context$/, ["EREP-050"]],
];
// The same in the devnet's words, which come with the rule.
const OUR_WORDS = [
  /^(?<role>\w+) uses banned opcode: (?<opcode>\w+|opcode 0x\w+)$/,
  /^(?<role>\w+) internally reverts on oog$/,
  /^(?<role>\w+) accesses un-deployed contract address (?<of>\w+) with opcode (?<opcode>\w+)$/,
  /^illegal call into EntryPoint during validation by (?<role>\w+): \w+$/,
  /^(?<role>\w+) may not call (?<of>\w+) with value$/,
  /^(?<role>\w+) calls precompile (?<of>\w+), which is not allowed$/,
  /^unstaked (?<role>\w+) accessed (?<of>\w+) slot (?<slot>0x\w+)$/,
  /^unstaked (?<role>paymaster) must not return context$/,
];

// What an answer is about that is neither a rule nor the EntryPoint's own words.
const SUBJECTS = [
  [/^Invalid UserOp signature or paymaster signature$|^AA24 signature error$/, "the signature"],
  [/^time-range in the future time$|^already expired$|^expires too soon$|^AA22 expired or not due$/, "the time"],
  [/^Currently not supporting aggregator$|^aggregator \w+ is not supported$/, "the aggregator"],
];
const subject = (message) => SUBJECTS.find(([pattern]) => pattern.test(message))?.[1];

async function theirs(op) {
  try {
    await manager.validateUserOp(op);
    return { accepted: true };
  } catch (error) {
    if (typeof error.code !== "number") throw error;
    const { code, message } = error;
    for (const [pattern, rules] of MEANINGS) {
      const match = pattern.exec(message);
      if (match) return { code, message, rules, ...match.groups };
    }
    const failed = /^\w+ validation failed: (?<reason>AA\d\d.*)$/s.exec(message);
    const reason = failed?.groups.reason ?? subject(message);
    if (reason) return { code, message, reason };
    throw new Error(`the validation manager answers ${code}, ${message}, which this script does not know`);
  }
}

async function ours(op) {
  // Without reputations and earlier operations.
  await devnet.send("debug_bundler_clearState", []);
  const response = await fetch(devnet.connection.url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_sendUserOperation", params: [op, ENTRY_POINT] }),
  });
  const { result, error } = await response.json();
  if (result) return { accepted: true };
  const { code, message, data } = error;
  if (!data?.rule) return { code, message, reason: subject(message) ?? message };
  const match = OUR_WORDS.map((pattern) => pattern.exec(message)).find((found) => found);
  if (!match) throw new Error(`the devnet answers ${code}, ${message}, which this script does not know`);
  return { code, message, rules: [data.rule], ...match.groups };
}

// What differs between two answers, or nothing.
function difference(op, they, we) {
  if (they.accepted || we.accepted) return they.accepted === we.accepted ? undefined : "verdict";
  if (they.code !== we.code) return "code";
  if (!they.rules || !we.rules) return !they.rules && !we.rules && they.reason === we.reason ? undefined : "reason";
  if (!they.rules.includes(we.rules[0])) return "rule";
  // It names entities by their roles.
  const entity = (data) => (data.length >= 42 ? data.slice(0, 42) : undefined);
  const addresses = { account: op.sender, factory: entity(op.initCode), paymaster: entity(op.paymasterAndData) };
  const value = {
    role: (name) => name,
    opcode: (name) => name,
    of: (name) => (addresses[name] ?? name).toLowerCase(),
    slot: BigInt,
  };
  return Object.keys(value).find(
    (word) => they[word] !== undefined && we[word] !== undefined && value[word](they[word]) !== value[word](we[word]),
  );
}

const tally = { operations: 0, accepted: 0, rules: {}, failed: 0, known: 0, differences: 0 };
const expected = new Map(DIFFERENCES.flatMap(({ operations, ...rest }) => operations.map((name) => [name, rest])));
const names = new Set();
async function compare(name, fields) {
  if (names.has(name)) throw new Error(`two operations are named ${name}`);
  names.add(name);
  const op = operation(fields);
  const [they, we] = await Promise.all([theirs(op), ours(op)]);
  if (`${they.reason} ${we.reason}`.includes("unknown rule")) throw new Error(`${name}: the contract does not know this rule`);
  tally.operations += 1;
  const differs = difference(op, they, we);
  const known = expected.get(name);
  if (differs !== known?.differs) {
    const say = ({ accepted, code, rules, message }) =>
      accepted ? "accepted" : `${code} ${rules?.join(" or ") ?? ""} "${message}"`;
    tally.differences += 1;
    print(`not ok: ${name}: differs in ${differs ?? "nothing"}, not in ${known?.differs ?? "nothing"}`);
    print(`  validation manager: ${say(they)}\n  devnet:             ${say(we)}`);
  } else if (known) {
    tally.known += 1;
    print(`known: ${name}: differs in ${differs}. ${known.why}`);
  } else {
    if (we.accepted) tally.accepted += 1;
    else if (we.rules) tally.rules[we.rules[0]] = (tally.rules[we.rules[0]] ?? 0) + 1;
    else tally.failed += 1;
    print(`ok: ${name}: ${we.accepted ? "accepted" : `${we.code} ${we.rules ?? we.reason}`}`);
  }
}

// The package's contracts, by the rules that their bytecode knows, as accounts and as paymasters, without stake and with it.
const RULES = {
  TestRuleAccount: ["", "ok", "fail"],
  TestOpcodesAccount: ["", "number", "coinbase", "blockhash", "create2", "emit-msg", "ok", "fail"],
  TestRulesAccount: [
    ...["", "number", "coinbase", "blockhash", "create2", "balance-self", "allowance-self-1", "allowance-1-self", "mint-self"],
    ...["balance-1", "mint-1", "struct-self", "struct-1", "inner-revert", "emit-msg"],
  ],
  TestStorageAccount: [
    ...["", "number", "balance-self", "mint-self", "balance-1", "mint-1", "read-self", "allowance-self-1", "allowance-1-self"],
    ...["struct-self", "struct-1", "inner-revert", "oog", "ok", "fail"],
  ],
  TestRecursionAccount: ["", "handleOps", "ok", "fail"],
};
const plain = await breaker("TestRuleAccount");
for (const [name, rules] of Object.entries(RULES)) {
  const args = name === "TestRecursionAccount" ? [ENTRY_POINT] : [];
  for (const staked of [false, true]) {
    const contract = await breaker(name, { args, staked });
    const stake = staked ? ", staked" : "";
    for (const rule of rules) {
      await compare(`${name} "${rule}", account${stake}`, { sender: contract, signature: text(rule) });
      const paymasterAndData = ethers.utils.hexConcat([contract, text(rule)]);
      await compare(`${name} "${rule}", paymaster${stake}`, { sender: plain, paymasterAndData });
    }
    if (name === "TestStorageAccount") {
      const paymasterAndData = ethers.utils.hexConcat([contract, text("postOp-context")]);
      await compare(`${name} "postOp-context", paymaster${stake}`, { sender: plain, paymasterAndData });
    }
  }
}

// Accounts that factories of the package create. Where the account is does not depend on the rule.
for (const [name, args, creates] of [
  ["TestRuleAccount", [], (rule) => encode("create(string)", rule)],
  ["TestOpcodesAccount", [], (rule) => encode("create(string)", rule)],
  ["TestRulesAccount", [], (rule) => encode("create(string)", rule)],
  ["TestStorageAccount", [coin], (rule) => encode("create(uint256,string)", 0, rule)],
]) {
  const factory = await deploy(`${name}Factory`, ...args);
  const initCode = (rule) => ethers.utils.hexConcat([factory, creates(rule)]);
  const told = await entryPoint.callStatic.getSenderAddress(initCode("")).catch((error) => error);
  const sender = told.errorArgs.sender.toLowerCase();
  await deposit(sender);
  for (const rule of RULES[name]) {
    await compare(`${name}Factory "${rule}"`, { sender, initCode: initCode(rule) });
    await compare(`${name} "${rule}", account to create`, { sender, initCode: initCode(""), signature: text(rule) });
  }
}

// Contracts that run some instructions and give a good answer, for rules that the package's contracts do not break.
const byte = (value) => value.toString(16).padStart(2, "0");
const push = (value) => {
  const hex = BigInt(value).toString(16);
  const digits = hex === "0" ? "" : hex.padStart(hex.length + (hex.length % 2), "0");
  return byte(0x5f + digits.length / 2) + digits;
};
// Calls with what is in the memory from 0 on.
const callsTo = (to, size = 0, { value, gas, opcode = "f1" } = {}) =>
  push(0) + push(0) + push(size) + push(0) + (value === undefined && opcode !== "f1" ? "" : push(value ?? 0)) +
  push(to) + (gas === undefined ? "5a" : push(gas)) + opcode + "50";
const put = (data) =>
  (data.slice(2).match(/.{1,64}/g) ?? []).map((word, i) => push(`0x${word.padEnd(64, "0")}`) + push(32 * i) + "52").join("");
const asks = (to, data, options) => put(data) + callsTo(to, (data.length - 2) / 2, options);
const answers = (value) => `${push(value)}5f5260205ff3`;
const pays = (context = 0) => `${push(64)}5f52${push(0)}602052${push(context)}604052${push(96 + context)}5ff3`;
// Deposits an ether when it is created, stakes another if it is to have a stake, and keeps a wei.
const raw = async (runtime, { staked = false, deposits = true } = {}) => {
  let constructor = deposits ? callsTo(ENTRY_POINT, 0, { value: ETHER }) : "";
  if (staked) constructor += asks(ENTRY_POINT, encode("addStake(uint32)", 1), { value: ETHER });
  const size = runtime.length / 2;
  const push2 = (value) => `61${value.toString(16).padStart(4, "0")}`;
  const copies = `${push2(size)}80${push2(constructor.length / 2 + 11)}5f395ff3`;
  return send(undefined, `0x${constructor}${copies}${runtime}`, ETHER.mul((deposits ? 1 : 0) + (staked ? 1 : 0)).add(1));
};
// Codes of up to two bytes are none for the validation manager.
const helper = (runtime) => raw(runtime.padEnd(64, "0"), { deposits: false });
const stops = await helper("00");
const short = await raw("5f00", { deposits: false });
const reader = await helper("5f35545f5260205ff3");
const writer = await helper("60015f355500");
const destroyed = await helper("30ff");
const invalid = await helper("fe");
const unassigned = await helper("0c");
// The word keccak256(own address ‖ 5) + n.
const associated = (n) => `305f52600560205260405f20${push(n)}015f52`;
const own = "305f52";
const depositTo = (to) => encode("depositTo(address)", to);
const CODES = {
  nothing: "",
  ORIGIN: "3250",
  GASPRICE: "3a50",
  BLOCKHASH: "5f4050",
  COINBASE: "4150",
  TIMESTAMP: "4250",
  NUMBER: "4350",
  PREVRANDAO: "4450",
  GASLIMIT: "4550",
  SELFBALANCE: "4750",
  BASEFEE: "4850",
  BLOBHASH: "5f4950",
  BLOBBASEFEE: "4a50",
  "BALANCE of itself": "303150",
  GAS: "5a50",
  "GAS in front of a call": callsTo(stops),
  CREATE: "5f5f5ff050",
  CREATE2: "5f5f5f5ff550",
  SELFDESTRUCT: callsTo(destroyed),
  INVALID: callsTo(invalid, 0, { gas: 1000 }),
  "an unassigned opcode": callsTo(unassigned, 0, { gas: 1000 }),
  "out of gas within": callsTo(writer, 32, { gas: 1000 }),
  "EXTCODESIZE of no code": `${push(UNDEPLOYED)}3b50`,
  "EXTCODEHASH of no code": `${push(UNDEPLOYED)}3f50`,
  "EXTCODECOPY of no code": `5f5f5f${push(UNDEPLOYED)}3c`,
  "EXTCODESIZE of code": `${push(stops)}3b50`,
  "CALL to no code": callsTo(UNDEPLOYED),
  "CALL to two bytes of code": callsTo(short),
  "STATICCALL to no code": callsTo(UNDEPLOYED, 0, { opcode: "fa" }),
  "DELEGATECALL to no code": callsTo(UNDEPLOYED, 0, { opcode: "f4" }),
  "CALLCODE to no code": callsTo(UNDEPLOYED, 0, { opcode: "f2", value: 0 }),
  "EXTCODESIZE, ISZERO of the EntryPoint": `${push(ENTRY_POINT)}3b1550`,
  "EXTCODESIZE of the EntryPoint": `${push(ENTRY_POINT)}3b50`,
  "EXTCODEHASH of the EntryPoint": `${push(ENTRY_POINT)}3f50`,
  "balanceOf of the EntryPoint": asks(ENTRY_POINT, encode("balanceOf(address)", stops)),
  "depositTo for another": asks(ENTRY_POINT, depositTo(stops), { value: 1 }),
  "a deposit by the fallback": callsTo(ENTRY_POINT, 0, { value: 1 }),
  "a call with value": callsTo(stops, 0, { value: 1 }),
  "precompiles 1 to 9": [1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => callsTo(n, 0, { gas: 50_000 })).join(""),
  "precompile 10": callsTo(10, 0, { gas: 1000 }),
  "own storage, read": "5f5450",
  "own storage, written": "60015f55",
  "own transient storage": "5f5c50",
  "word of its address, read": own + callsTo(reader, 32),
  "word of its address, written": own + callsTo(writer, 32),
  "associated word + 0, read": associated(0) + callsTo(reader, 32),
  "associated word + 0, written": associated(0) + callsTo(writer, 32),
  "associated word + 127, read": associated(127) + callsTo(reader, 32),
  "associated word + 128, read": associated(128) + callsTo(reader, 32),
  "associated word + 129, read": associated(129) + callsTo(reader, 32),
  "a word of nobody, read": callsTo(reader, 32),
  "a word of nobody, written": callsTo(writer, 32),
};
for (const [name, code] of Object.entries(CODES)) {
  for (const staked of /stor|word|BALANCE|CREATE/.test(name) ? [false, true] : [false]) {
    const stake = staked ? ", staked" : "";
    const account = await raw(code + answers(0), { staked });
    await compare(`${name}, account${stake}`, { sender: account });
    const paymaster = await raw(code + pays(), { staked });
    await compare(`${name}, paymaster${stake}`, { sender: plain, paymasterAndData: paymaster });
  }
}
for (const staked of [false, true]) {
  const paymaster = await raw(pays(32), { staked });
  await compare(`a context${staked ? ", staked" : ""}`, { sender: plain, paymasterAndData: paymaster });
}
const year = 31_536_000n;
const now = BigInt(Math.floor(Date.now() / 1000));
for (const [name, validation] of Object.entries({
  "a signature that fails": 1n,
  "valid a year later": (now + year) << 208n,
  "valid until a year ago": (now - year) << 160n,
  "valid until in ten minutes": (now + 600n) << 160n,
  "valid until a year later": (now + year) << 160n,
  "an aggregator": BigInt(stops),
})) {
  await compare(name, { sender: await raw(answers(validation)) });
}

const rules = Object.entries(tally.rules).sort().map(([rule, count]) => `${rule} ${count}`);
print(`agreed: accepted ${tally.accepted}, ${rules.join(", ")}, failed otherwise ${tally.failed}; known to differ: ${tally.known}`);
for (const name of expected.keys()) {
  if (!names.has(name)) {
    tally.differences += 1;
    print(`not ok: ${name}: listed as different, and not among the operations`);
  }
}
print(`${tally.operations} operations, ${tally.differences} differences`);
process.exitCode = tally.differences > 0 ? 1 : 0;
