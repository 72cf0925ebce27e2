// Runs viem's EIP-5792 actions and the official client of the Model Context Protocol against `session-key agent serve`, as they are.
//
//   node run.mjs LINE.json SERVING.json TOKEN_FILE SESSION_KEY
//
// LINE.json is the line that `session-key devnet --json` prints, SERVING.json that of `agent serve --port 0 --json`; SESSION_KEY is the
// command.
import assert from "node:assert/strict";
import fs from "node:fs";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import * as viem from "viem";

const [, , lineFile, servingFile, tokenFile, command] = process.argv;
const line = JSON.parse(fs.readFileSync(lineFile, "utf8"));
const serving = JSON.parse(fs.readFileSync(servingFile, "utf8"));
const token = fs.readFileSync(tokenFile, "utf8").trim();

const chain = viem.defineChain({
  id: line.chainId,
  name: "devnet",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [line.rpcUrl] } },
});
const erc20 = viem.parseAbi([
  "event Transfer(address indexed from, address indexed to, uint256 amount)",
  "function transfer(address to, uint256 amount) returns (bool)",
  "function balanceOf(address account) view returns (uint256)",
]);
const node = viem.createPublicClient({ chain, transport: viem.http(line.rpcUrl) });
const walletOf = (bearer) =>
  viem.createWalletClient({
    account: line.account,
    chain,
    pollingInterval: 100,
    transport: viem.http(serving.address, {
      fetchOptions: { headers: { authorization: `Bearer ${bearer}` } },
      retryCount: 0,
    }),
  });
const wallet = walletOf(token);
const contract = line.contracts.testToken;
const balance = (account) =>
  node.readContract({ abi: erc20, address: contract, functionName: "balanceOf", args: [account] });
const shop = viem.getAddress("0x7777777777777777777777777777777777777777");
const transfer = (amount) => ({ abi: erc20, to: contract, functionName: "transfer", args: [shop, amount] });

let passed = 0;
const step = async (name, action) => {
  try {
    await action();
  } catch (error) {
    console.error(`not ok: ${name}`);
    throw error;
  }
  passed += 1;
  console.log(`ok: ${name}`);
};
const fails = async (promise, code, name) => {
  const error = await promise.then(
    () => assert.fail("it is not refused"),
    (error) => error,
  );
  const cause = error.walk ? error.walk((cause) => cause.code === code) : error;
  assert.ok(cause, `${error}`);
  if (name) {
    assert.ok(error.name === name || cause.name === name, `${error.name}, ${cause.name}`);
  }
};

await step("viem reads the account, the chain and the capabilities", async () => {
  assert.deepEqual(await wallet.getAddresses(), [line.account]);
  assert.equal(await wallet.getChainId(), line.chainId);
  assert.deepEqual(await wallet.getCapabilities({ chainId: line.chainId }), { atomic: { status: "supported" } });
});

await step("viem sends a batch, waits for it, and reads its events", async () => {
  const { id } = await wallet.sendCalls({
    id: "viem 1",
    calls: [transfer(1_000_000n), transfer(500_000n)],
    forceAtomic: true,
  });
  assert.equal(id, "viem 1");
  const result = await wallet.waitForCallsStatus({ id, timeout: 60_000 });
  assert.equal(result.status, "success");
  assert.equal(result.statusCode, 200);
  assert.equal(result.atomic, true);
  assert.equal(result.chainId, line.chainId);
  assert.equal(result.receipts.length, 1);
  assert.equal(result.receipts[0].status, "success");
  const events = viem.parseEventLogs({ abi: erc20, logs: result.receipts[0].logs, eventName: "Transfer" });
  const paid = events.filter((event) => event.args.to === shop).map((event) => event.args.amount);
  assert.deepEqual(paid, [1_000_000n, 500_000n]);
  assert.equal(await balance(shop), 1_500_000n);
});

await step("viem knows the errors of the standard", async () => {
  await fails(wallet.sendCalls({ id: "viem 1", calls: [transfer(1n)] }), 5720, "DuplicateIdError");
  await fails(wallet.getCallsStatus({ id: "never" }), 5730, "UnknownBundleIdError");
  await fails(wallet.sendCalls({ calls: [transfer(4_000_000n)] }), 4001, "UserRejectedRequestError");
  await fails(
    wallet.sendCalls({ calls: [transfer(1n)], capabilities: { paymasterService: { url: "https://x.example" } } }),
    5700,
    "UnsupportedNonOptionalCapabilityError",
  );
  const many = Array.from({ length: 65 }, () => transfer(1n));
  await fails(wallet.sendCalls({ calls: many }), 5740, "BundleTooLargeError");
  await assert.rejects(walletOf("0".repeat(64)).getChainId(), /401/);
  assert.equal(await balance(shop), 1_500_000n);
});

const transport = new StdioClientTransport({
  command,
  args: ["agent", "mcp", "--port", new URL(serving.address).port],
  env: { ...process.env, SESSION_KEY_AGENT_TOKEN: token },
});
const model = new Client({ name: "interop", version: "1.0.0" });
const call = async (name, args) => {
  const result = await model.callTool({ name, arguments: args }, undefined, { timeout: 120_000 });
  assert.deepEqual(JSON.parse(result.content[0].text), result.structuredContent);
  return result;
};
const pay = (amount) => [
  { to: contract, data: viem.encodeFunctionData({ abi: erc20, functionName: "transfer", args: [shop, amount] }) },
];

await step("the MCP client connects, and lists the tools", async () => {
  await model.connect(transport);
  assert.equal(model.getServerVersion().name, "session-key-agent");
  assert.match(model.getInstructions(), /real money/);
  const { tools } = await model.listTools();
  assert.deepEqual(
    tools.map((tool) => tool.name),
    ["check", "execute", "budget", "explain", "request_grant"],
  );
  await model.ping();
});

await step("the MCP client pays once, and reads a refusal as an answer", async () => {
  const checked = await call("check", { calls: pay(1_000_000n) });
  assert.equal(checked.structuredContent.passes, true);
  for (let times = 0; times < 2; times += 1) {
    const done = await call("execute", { id: "mcp 1", calls: pay(1_000_000n) });
    assert.equal(done.structuredContent.outcome, "included");
    assert.equal(done.isError, false);
  }
  assert.equal(await balance(shop), 2_500_000n);
  const refused = await call("execute", { id: "mcp 2", calls: pay(4_000_000n) });
  assert.equal(refused.structuredContent.outcome, "refused");
  assert.equal(typeof refused.structuredContent.earliest, "number");
  assert.equal(refused.isError, false);
  assert.equal(await balance(shop), 2_500_000n);
});

await step("the MCP client reads budgets and explanations, and asks for permissions", async () => {
  const budget = (await call("budget", {})).structuredContent;
  assert.equal(budget.windows[0].used, "2500000");
  assert.equal((await call("explain", { id: "mcp 1" })).structuredContent.bundle, "included");
  const grant = await call("request_grant", { policy: '[limits]\nnative = "1 ETH per 1 day"\n' });
  assert.equal(grant.structuredContent.request.sessionKey, line.sessionKey);
  const wrong = await call("execute", { id: "mcp 3", calls: [{ to: "the shop" }] });
  assert.equal(wrong.isError, true);
  await assert.rejects(call("export_key", {}));
  await model.close();
});

console.log(`${passed} steps passed`);
