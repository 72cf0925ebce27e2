// Times `session-key devnet` beside anvil and alto that do the same: the start of the stack with its bundler, and an operation from
// being sent to having a receipt. Prints ratios; times depend on the machine and what else runs on it.
//
//   node bench.mjs SESSION_KEY ANVIL ALTO LOOPBACK
//
// LOOPBACK is a module that makes alto listen on loopback and write its port to LISTENING_FILE.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

import { toSimpleSmartAccount } from "permissionless/accounts";
import * as viem from "viem";
import { entryPoint07Address, formatUserOperationRequest } from "viem/account-abstraction";
import { privateKeyToAccount } from "viem/accounts";

const [sessionKey, anvil, alto, loopback] = process.argv.slice(2);
const rounds = Number(process.env.ROUNDS ?? 5);
const operations = Number(process.env.OPERATIONS ?? 20);
const accounts = Number(process.env.ACCOUNTS ?? 100);
const home = fs.mkdtempSync(path.join(os.tmpdir(), "bench-devnet-"));

// Development accounts 0, 8 and 9, whose keys are public.
const funder = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const executor = "0xdbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97";
const utility = "0x2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6";
const entryPoints = `0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789,${entryPoint07Address}`;

const started = new Set();
process.on("exit", () => started.forEach((process) => process.kill("SIGKILL")));
const start = (command, args, env = {}) => {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
  started.add(child);
  child.output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (child.output += data));
  child.ended = new Promise((resolve) => child.on("exit", resolve));
  return child;
};
const end = async (child) => {
  child.kill("SIGKILL");
  await child.ended;
  started.delete(child);
};
const ask = async (url, method, params = []) => {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
  const { result, error } = await response.json();
  if (error) throw new Error(`${method}: ${JSON.stringify(error)}`);
  return result;
};
const until = async (what, child) => {
  for (;;) {
    const found = await what().catch(() => undefined);
    if (found !== undefined && found !== null) return found;
    if (child.exitCode !== null) throw new Error(`it ended: ${child.output}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
};
const median = (times) => [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)];

/** Our network: contracts, bundler, and two accounts with keys. */
const ours = async () => {
  const child = start(sessionKey, ["devnet", "--port", "0", "--json"]);
  const line = await until(async () => (child.stdout.readableEnded ? undefined : JSON.parse(child.output)), child);
  return { rpc: line.rpcUrl, bundler: line.bundlerUrl, children: [child] };
};

/** The same contracts on anvil, and alto; without the accounts and keys. */
const theirs = async () => {
  const node = start(anvil, ["--host", "127.0.0.1", "--port", "0", "--hardfork", "prague", "--balance", "1000000"]);
  const rpc = await until(async () => {
    const [, address] = node.output.match(/Listening on (\S+)/);
    await ask(`http://${address}`, "eth_chainId");
    return `http://${address}`;
  }, node);
  const deploy = start(
    sessionKey,
    ["deploy", "--broadcast", "--rpc-url", rpc, "--chain-id", "31337", "--state", path.join(home, `${Math.random()}`)],
    { SESSION_KEY_DEPLOYER: funder, SESSION_KEY_FUNDER: funder },
  );
  assert.equal(await deploy.ended, 0, deploy.output);
  started.delete(deploy);
  const listening = path.join(home, `${Math.random()}`);
  fs.writeFileSync(listening, "");
  const bundler = start(
    alto,
    [
      ...["--rpc-url", rpc, "--port", "0", "--entrypoints", entryPoints, "--executor-private-keys", executor],
      ...["--utility-private-key", utility, "--safe-mode", "false", "--min-entity-stake", "1"],
      ...["--min-entity-unstake-delay", "1", "--min-bundle-interval", "10", "--max-bundle-interval", "50"],
      ...["--block-time", "200", "--utility-wallet-monitor", "false", "--refilling-wallets", "false"],
    ],
    { NODE_OPTIONS: `--require ${loopback}`, LISTENING_FILE: listening },
  );
  const url = await until(async () => {
    const [, address] = fs.readFileSync(listening, "utf8").match(/Listening on (\S+)/);
    await ask(`http://${address}`, "eth_supportedEntryPoints");
    return `http://${address}`;
  }, bundler);
  return { rpc, bundler: url, children: [bundler, node] };
};

const artifact = (name) =>
  JSON.parse(
    fs.readFileSync(new URL(`../../node_modules/@account-abstraction/contracts-v0.7/artifacts/${name}.json`, import.meta.url), "utf8"),
  );

/** Signed operations of one account, and what else there has to be. */
const prepared = async ({ rpc }, count, accounts = 1) => {
  const chain = viem.defineChain({
    id: 31337,
    name: "test",
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [rpc] } },
  });
  const client = viem.createPublicClient({ chain, transport: viem.http(rpc), pollingInterval: 10 });
  const wallet = viem.createWalletClient({ chain, transport: viem.http(rpc), account: privateKeyToAccount(funder) });
  const { abi, bytecode } = artifact("SimpleAccountFactory");
  const mined = async (hash) => client.waitForTransactionReceipt({ hash });
  const { contractAddress } = await mined(await wallet.deployContract({ abi, bytecode, args: [entryPoint07Address] }));
  const operations = [];
  for (let index = 0; index < accounts; index += 1) {
    const owner = privateKeyToAccount(viem.toHex(0xbe9c0000 + index, { size: 32 }));
    const account = await toSimpleSmartAccount({
      client,
      owner,
      factoryAddress: contractAddress,
      entryPoint: { address: entryPoint07Address, version: "0.7" },
    });
    await mined(await wallet.sendTransaction({ to: account.address, value: viem.parseEther("5") }));
    await mined(await wallet.writeContract({ address: contractAddress, abi, functionName: "createAccount", args: [owner.address, 0n] }));
    for (let sequence = 0; sequence < count; sequence += 1) {
      const operation = {
        sender: account.address,
        nonce: BigInt(sequence),
        callData: await account.encodeCalls([{ to: viem.padHex("0xbeef", { size: 20 }), value: 1n, data: "0x" }]),
        callGasLimit: 80_000n,
        verificationGasLimit: 120_000n,
        preVerificationGas: 60_000n,
        maxFeePerGas: 4_000_000_000n,
        maxPriorityFeePerGas: 2_000_000_000n,
        signature: "0x",
      };
      operation.signature = await account.signUserOperation(operation);
      operations.push(formatUserOperationRequest(operation));
    }
  }
  return operations;
};

const send = (bundler, operation) => ask(bundler, "eth_sendUserOperation", [operation, entryPoint07Address]);
const receipt = (bundler, hash) => ask(bundler, "eth_getUserOperationReceipt", [hash]);

const times = { start: [[], []], operation: [[], []] };
for (let round = 0; round < rounds; round += 1) {
  for (const [index, network] of [ours, theirs].entries()) {
    const begun = performance.now();
    const up = await network();
    times.start[index].push(performance.now() - begun);
    if (round === 0) {
      const [warm, ...rest] = await prepared(up, operations + 1);
      for (const operation of [warm, ...rest]) {
        const sent = performance.now();
        const hash = await send(up.bundler, operation);
        const found = await until(() => receipt(up.bundler, hash), up.children[0]);
        if (operation !== warm) times.operation[index].push(performance.now() - sent);
        assert.equal(found.success, true);
      }
    }
    if (round === 0 && index === 0) {
      await ask(up.bundler, "debug_bundler_setBundlingMode", ["manual"]);
      const many = await prepared(up, 1, accounts);
      const hashes = [];
      for (const operation of many) hashes.push(await send(up.bundler, operation));
      const bundled = performance.now();
      await ask(up.bundler, "debug_bundler_sendBundleNow");
      times.bundle = performance.now() - bundled;
      const found = await Promise.all(hashes.map((hash) => receipt(up.bundler, hash)));
      const transactions = new Set(found.map((found) => found.receipt.transactionHash));
      assert.equal(transactions.size, 1, "one bundle has them all");
      assert.ok(found.every((found) => found.success));
    }
    for (const child of up.children) await end(child);
  }
}
const row = (name, [ours, theirs]) => {
  const ratio = median(theirs) / median(ours);
  console.log(`${name.padEnd(44)} ${median(ours).toFixed(1).padStart(9)} ${median(theirs).toFixed(1).padStart(12)} ${ratio.toFixed(1).padStart(7)}`);
};
console.log(`${"medians, in milliseconds".padEnd(44)} ${"devnet".padStart(9)} ${"anvil, alto".padStart(12)} ${"ratio".padStart(7)}`);
row("start of the stack with its bundler", times.start);
row("an operation, from being sent to its receipt", times.operation);
console.log(`${accounts} accounts' operations in one bundle: ${times.bundle.toFixed(1)} ms`);
fs.rmSync(home, { recursive: true });
process.exit(0);
