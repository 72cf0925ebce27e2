// Runs published clients against a development network, as they are: viem, permissionless, ethers, and the TypeScript client of
// Modular Account v2.
//
//   node run.mjs LINE.json
//
// LINE.json is the line that `session-key devnet --json` prints.
import assert from "node:assert/strict";
import fs from "node:fs";

// The client of Modular Account v2 reports usage to its publisher, except in development.
process.env.NODE_ENV = "development";
const { createModularAccountV2Client } = await import("@account-kit/smart-contracts");
const { LocalAccountSigner } = await import("@aa-sdk/core");
const ethers = await import("ethers");
const { createSmartAccountClient } = await import("permissionless");
const { toSimpleSmartAccount } = await import("permissionless/accounts");
const viem = await import("viem");
const { createBundlerClient, entryPoint06Address, entryPoint07Address } = await import("viem/account-abstraction");
const { privateKeyToAccount } = await import("viem/accounts");

const line = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const artifacts = new URL("../../node_modules/@account-abstraction/", import.meta.url);
const artifact = (version, name) =>
  JSON.parse(fs.readFileSync(new URL(`${version}/artifacts/${name}.json`, artifacts), "utf8"));

const chain = viem.defineChain({
  id: line.chainId,
  name: "devnet",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [line.rpcUrl] } },
});
const transport = viem.http(line.rpcUrl);
const node = viem.createPublicClient({ chain, transport, pollingInterval: 50 });
const wallet = viem.createWalletClient({ chain, transport });
const erc20 = viem.parseAbi([
  "event Transfer(address indexed from, address indexed to, uint256 amount)",
  "function transfer(address to, uint256 amount) returns (bool)",
  "function mint(address to, uint256 amount)",
  "function balanceOf(address account) view returns (uint256)",
]);
const token = { abi: erc20, address: line.contracts.testToken };
const balance = (account) => node.readContract({ ...token, functionName: "balanceOf", args: [account] });
const [unlocked] = await wallet.getAddresses();
const mined = async (hash) => {
  const receipt = await node.waitForTransactionReceipt({ hash });
  assert.equal(receipt.status, "success");
  return receipt;
};
const transfer = (to, amount) => ({
  to: token.address,
  data: viem.encodeFunctionData({ abi: erc20, functionName: "transfer", args: [to, amount] }),
});
let payees = 0;
const payee = () => viem.padHex(viem.toHex(0xbeef00 + (payees += 1)), { size: 20 });

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
const soon = (promise) =>
  Promise.race([
    promise,
    new Promise((_, reject) => {
      setTimeout(() => reject(new Error("nothing came within 20 seconds")), 20_000).unref();
    }),
  ]);

await step("viem reads, sends transactions of unlocked accounts, and finds them again", async () => {
  assert.equal(await node.getChainId(), line.chainId);
  const to = payee();
  const seen = new Promise((resolve, reject) => {
    const stop = node.watchContractEvent({
      ...token,
      eventName: "Transfer",
      args: { to },
      onError: reject,
      onLogs: ([log]) => {
        stop();
        resolve(log.args.amount);
      },
    });
  });
  const pending = new Promise((resolve, reject) => {
    const stop = node.watchBlockNumber({
      onError: reject,
      onBlockNumber: (number) => {
        stop();
        resolve(number);
      },
    });
  });
  // A watcher sees what comes after it.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const hash = await wallet.writeContract({ ...token, account: unlocked, functionName: "mint", args: [to, 5n] });
  const receipt = await mined(hash);
  assert.equal(await balance(to), 5n);
  assert.equal(await soon(seen), 5n);
  assert.ok((await soon(pending)) <= receipt.blockNumber);
  const filter = await node.createContractEventFilter({ ...token, eventName: "Transfer", fromBlock: 0n });
  assert.ok((await node.getFilterLogs({ filter })).length > 0);
  assert.equal(await node.uninstallFilter({ filter }), true);
  const { baseFeePerGas } = await node.getBlock();
  assert.ok(baseFeePerGas <= 1_000_000_000n);
  const fees = await node.estimateFeesPerGas();
  assert.ok(fees.maxFeePerGas > 0n);
});

await step("ethers reads, sends, and hears of logs", async () => {
  const provider = new ethers.JsonRpcProvider(line.rpcUrl, undefined, { pollingInterval: 50 });
  const signer = new ethers.Wallet(line.ownerPrivateKey, provider);
  const abi = ["event Transfer(address indexed, address indexed, uint256)", "function mint(address, uint256)"];
  const contract = new ethers.Contract(token.address, abi, signer);
  const to = payee();
  const heard = new Promise((resolve) => contract.once(contract.filters.Transfer(null, to), resolve));
  const blocks = new Promise((resolve) => provider.once("block", resolve));
  await new Promise((resolve) => setTimeout(resolve, 500));
  const receipt = await (await contract.mint(to, 6n)).wait();
  assert.equal(receipt.status, 1);
  await soon(heard);
  await soon(blocks);
  assert.equal(await balance(to), 6n);
});

for (const [version, address, contracts] of [
  ["0.6", entryPoint06Address, "contracts"],
  ["0.7", entryPoint07Address, "contracts-v0.7"],
]) {
  const { abi, bytecode } = artifact(contracts, "SimpleAccountFactory");
  const { contractAddress } = await mined(await wallet.deployContract({ account: unlocked, abi, bytecode, args: [address] }));
  // A factory of many accounts has a stake.
  await mined(
    await wallet.writeContract({
      account: unlocked,
      address,
      abi: viem.parseAbi(["function depositTo(address account) payable"]),
      functionName: "depositTo",
      args: [contractAddress],
      value: 1n,
    }),
  );
  const simple = (key) =>
    toSimpleSmartAccount({
      client: node,
      owner: privateKeyToAccount(key),
      factoryAddress: contractAddress,
      entryPoint: { address, version },
    });
  const funded = async (key) => {
    const account = await simple(key);
    await mined(await wallet.sendTransaction({ account: unlocked, to: account.address, value: viem.parseEther("1") }));
    await mined(
      await wallet.writeContract({ ...token, account: unlocked, functionName: "mint", args: [account.address, 100n] }),
    );
    return account;
  };
  const fees = { maxFeePerGas: 3_000_000_000n, maxPriorityFeePerGas: 1_000_000_000n };

  await step(`viem's bundler client creates an account of EntryPoint v${version} and uses it`, async () => {
    const account = await funded(viem.toHex(0xa11ce, { size: 32 }));
    const client = createBundlerClient({ account, client: node, transport: viem.http(line.bundlerUrl), pollingInterval: 50 });
    assert.ok((await client.getSupportedEntryPoints()).map((found) => viem.getAddress(found)).includes(address));
    const to = payee();
    for (const amount of [7n, 8n]) {
      const hash = await client.sendUserOperation({ calls: [transfer(to, amount)], ...fees });
      const { success, logs } = await client.waitForUserOperationReceipt({ hash });
      assert.equal(success, true);
      assert.equal(logs.length, 1);
      assert.equal((await client.getUserOperation({ hash })).userOperation.sender.toLowerCase(), account.address.toLowerCase());
    }
    assert.equal(await balance(to), 15n);
    const refused = await client.sendUserOperation({ calls: [transfer(to, 1_000n)], ...fees }).then(
      () => assert.fail("it is not refused"),
      (error) => error,
    );
    assert.equal(refused.name, "UserOperationExecutionError");
  });

  await step(`permissionless sends transactions of an account of EntryPoint v${version}`, async () => {
    const account = await funded(viem.toHex(0xb0b, { size: 32 }));
    const client = createSmartAccountClient({
      account,
      chain,
      client: node,
      bundlerTransport: viem.http(line.bundlerUrl),
      pollingInterval: 50,
      userOperation: { estimateFeesPerGas: async () => fees },
    });
    const to = payee();
    await mined(await client.sendTransaction(transfer(to, 9n)));
    const hash = await client.writeContract({ ...token, functionName: "transfer", args: [to, 2n] });
    await mined(hash);
    assert.equal(await balance(to), 11n);
  });
}

await step("the TypeScript client of Modular Account v2 uses the account of ERC-6900 v0.8", async () => {
  const [, { account, ownerPrivateKey }] = line.accounts;
  const client = await createModularAccountV2Client({
    chain,
    transport,
    signer: LocalAccountSigner.privateKeyToAccountSigner(ownerPrivateKey),
    accountAddress: account,
    opts: { txMaxRetries: 400, txRetryIntervalMs: 50, txRetryMultiplier: 1 },
  });
  const to = payee();
  const { to: target, data } = transfer(to, 10n);
  const sent = await client.sendUserOperation({ uo: { target, data, value: 0n } });
  await client.waitForUserOperationTransaction(sent);
  assert.equal(await balance(to), 10n);
});

console.log(`${passed} steps passed`);
process.exit(0);
