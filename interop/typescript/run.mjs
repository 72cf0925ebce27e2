// Runs the published TypeScript client against our contracts through a real bundler, with all of its session key functions.
//
//   node run.mjs STATE.json
//
// STATE.json, written by the Rust interop test, has: rpcUrl, bundlerUrl, entryPoint, factory, multiOwnerPlugin,
// sessionKeyPlugin, token, funderKey; and account and sessionKey of a key granted by the Rust client (private keys and addresses
// of this test chain only). The script adds a key that it has granted, for the Rust client to use.
import assert from "node:assert/strict";
import fs from "node:fs";

import {
  accountLoupeActions,
  createMultiOwnerModularAccount,
  MultiOwnerPlugin,
  multiOwnerPluginActions,
  pluginManagerActions,
  SessionKeyAccessListType,
  SessionKeyPermissionsBuilder,
  SessionKeyPlugin,
  sessionKeyPluginActions,
  SessionKeySigner,
} from "@alchemy/aa-accounts";
import { createSmartAccountClient, LocalAccountSigner, split } from "@alchemy/aa-core";
import {
  createPublicClient,
  createWalletClient,
  defineChain,
  encodeFunctionData,
  http,
  keccak256,
  parseAbi,
  parseEther,
  stringToHex,
  zeroHash,
} from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";

const stateFile = process.argv[2];
const state = JSON.parse(fs.readFileSync(stateFile, "utf8"));

const chain = defineChain({
  id: 31337,
  name: "anvil",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [state.rpcUrl] } },
});
MultiOwnerPlugin.meta.addresses[chain.id] = state.multiOwnerPlugin;
SessionKeyPlugin.meta.addresses[chain.id] = state.sessionKeyPlugin;

const erc20 = parseAbi([
  "function transfer(address to, uint256 amount) returns (bool)",
  "function approve(address spender, uint256 amount) returns (bool)",
  "function mint(address to, uint256 amount)",
  "function balanceOf(address account) view returns (uint256)",
]);
const node = createPublicClient({ chain, transport: http(state.rpcUrl) });
const funder = createWalletClient({ account: privateKeyToAccount(state.funderKey), chain, transport: http(state.rpcUrl) });
const bundlerMethods = [
  "eth_sendUserOperation",
  "eth_estimateUserOperationGas",
  "eth_getUserOperationReceipt",
  "eth_getUserOperationByHash",
  "eth_supportedEntryPoints",
];
const transport = split({
  overrides: [{ methods: bundlerMethods, transport: http(state.bundlerUrl) }],
  fallback: http(state.rpcUrl),
});

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

const clientOf = async (signer, accountAddress, options = {}) => {
  const account = await createMultiOwnerModularAccount({
    transport,
    chain,
    signer,
    factoryAddress: state.factory,
    accountAddress,
    salt: BigInt(keccak256(stringToHex(signer === owner ? "typescript" : "session"))),
  });
  // Two minutes for an operation to be included are enough on any machine.
  const opts = { txMaxRetries: 1_200, txRetryIntervalMs: 100, txRetryMultiplier: 1 };
  return createSmartAccountClient({ transport, chain, account, opts, ...options })
    .extend(pluginManagerActions)
    .extend(accountLoupeActions)
    .extend(multiOwnerPluginActions)
    .extend(sessionKeyPluginActions);
};

const memory = () => {
  const values = new Map();
  return { getItem: (key) => values.get(key) ?? null, setItem: (key, value) => values.set(key, value) };
};

/** Waits for an operation and returns whether its call succeeded. */
const included = async (client, { hash }) => {
  await client.waitForUserOperationTransaction({ hash });
  const receipt = await client.getUserOperationReceipt(hash);
  return receipt.success;
};
const succeeds = async (client, sent) => assert.equal(await included(client, await sent), true, "the call succeeds");

/** Expects the bundler to refuse the operation with this text in its answer. viem's message also quotes the request. */
const refused = async (sent, expected) => {
  const error = await sent.then(
    () => assert.fail("not refused"),
    (error) => error,
  );
  assert.match(String(error.details ?? ""), expected, error.stack);
};

const owner = LocalAccountSigner.privateKeyToAccountSigner(generatePrivateKey());
const payee = privateKeyToAccount(generatePrivateKey()).address;
const ownerClient = await clientOf(owner);
const account = ownerClient.getAddress();
const signer = new SessionKeySigner({ storageType: memory() });
const key = await signer.getAddress();

const transfer = (amount) => ({
  target: state.token,
  value: 0n,
  data: encodeFunctionData({ abi: erc20, functionName: "transfer", args: [payee, amount] }),
});
const use = (client, keyAddress, calls, overrides = { nonceKey: BigInt(keyAddress) }) =>
  client.executeWithSessionKey({ args: [calls, keyAddress], overrides });
const balance = () => node.readContract({ abi: erc20, address: state.token, functionName: "balanceOf", args: [payee] });
const transaction = async (hash) => {
  const receipt = await node.waitForTransactionReceipt({ hash, pollingInterval: 50 });
  assert.equal(receipt.status, "success");
};

await transaction(await funder.sendTransaction({ to: account, value: parseEther("10") }));
await transaction(
  await funder.writeContract({ abi: erc20, address: state.token, functionName: "mint", args: [account, 1_000_000_000n] }),
);

const permissions = () =>
  new SessionKeyPermissionsBuilder()
    .setContractAccessControlType(SessionKeyAccessListType.ALLOWLIST)
    .addContractAddressAccessEntry({ contractAddress: state.token, isOnList: true, checkSelectors: true })
    .addContractFunctionAccessEntry({ contractAddress: state.token, methodSelector: "0xa9059cbb", isOnList: true })
    .addContractAddressAccessEntry({ contractAddress: payee, isOnList: true, checkSelectors: false })
    .setTimeRange({ validFrom: 0, validUntil: Math.floor(Date.now() / 1000) + 86_400 })
    .setNativeTokenSpendLimit({ spendLimit: 1_000n })
    .addErc20TokenSpendLimit({ tokenAddress: state.token, spendLimit: 100n, refreshInterval: 86_400 })
    .setGasSpendLimit({ spendLimit: parseEther("1") });

await step("the first operation creates the account and installs the plugin with a key", async () => {
  await succeeds(
    ownerClient,
    ownerClient.installSessionKeyPlugin({ args: [[key], [zeroHash], [permissions().encode()]] }),
  );
  const installed = (await ownerClient.getInstalledPlugins({})).map((plugin) => plugin.toLowerCase());
  assert.ok(installed.includes(state.sessionKeyPlugin.toLowerCase()));
});

const sessionClient = await clientOf(signer, account);
// Of operations that the Rust client explains.
const hashes = {};

await step("reads", async () => {
  assert.equal(await ownerClient.isAccountSessionKey({ key }), true);
  assert.deepEqual(await ownerClient.getAccountSessionKeys({}), [key]);
  assert.deepEqual(await ownerClient.readOwners({}), [await owner.getAddress()]);
  const plugin = SessionKeyPlugin.getContract(ownerClient);
  assert.equal(await plugin.read.getAccessControlType([account, key]), 0);
  assert.deepEqual(await plugin.read.getAccessControlEntry([account, key, state.token]), [true, true]);
  assert.equal(await plugin.read.isSelectorOnAccessControlList([account, key, state.token, "0xa9059cbb"]), true);
  const native = await plugin.read.getNativeTokenSpendLimitInfo([account, key]);
  assert.deepEqual([native.hasLimit, native.limit, native.limitUsed], [true, 1_000n, 0n]);
  const token = await plugin.read.getERC20SpendLimitInfo([account, key, state.token]);
  assert.deepEqual([token.hasLimit, token.limit, token.refreshInterval], [true, 100n, 86_400]);
  const [gas, shouldReset] = await plugin.read.getGasSpendLimit([account, key]);
  assert.deepEqual([gas.hasLimit, gas.limit, shouldReset], [true, parseEther("1"), false]);
});

await step("execution within the permissions", async () => {
  const before = await balance();
  const sent = await use(sessionClient, key, [transfer(60n), { target: payee, value: 1_000n, data: "0x" }]);
  await succeeds(sessionClient, sent);
  hashes.within = sent.hash;
  assert.equal(await balance(), before + 60n);
  assert.equal(await node.getBalance({ address: payee }), 1_000n);
});

await step("refusals", async () => {
  const stranger = privateKeyToAccount(generatePrivateKey()).address;
  await refused(use(sessionClient, key, [{ target: stranger, value: 0n, data: "0x" }]), /AA23/);
  const approve = encodeFunctionData({ abi: erc20, functionName: "approve", args: [stranger, 1n] });
  await refused(use(sessionClient, key, [{ target: state.token, value: 0n, data: approve }]), /AA23/);
  await refused(use(sessionClient, key, [{ target: payee, value: 1n, data: "0x" }]), /AA23/);
  await refused(use(sessionClient, key, [transfer(1n)], {}), /AA23/);
});

await step("a transfer over the ERC-20 limit does nothing", async () => {
  const before = await balance();
  // The client notices when it estimates gas.
  await assert.rejects(use(sessionClient, key, [transfer(41n)]));
  // Without an estimate, the operation is included and fails.
  const ample = { callGasLimit: 500_000n, verificationGasLimit: 500_000n, preVerificationGas: 100_000n };
  const client = await clientOf(signer, account, { gasEstimator: async (struct) => ({ ...struct, ...ample }) });
  const sent = await use(client, key, [transfer(41n)]);
  assert.equal(await included(client, sent), false);
  assert.equal(await balance(), before);
  hashes.overLimit = sent.hash;
});

await step("an update", async () => {
  const raised = permissions()
    .addErc20TokenSpendLimit({ tokenAddress: state.token, spendLimit: 200n, refreshInterval: 86_400 })
    .encode();
  await succeeds(ownerClient, ownerClient.updateSessionKeyPermissions({ key, permissions: raised }));
  await succeeds(sessionClient, use(sessionClient, key, [transfer(41n)]));
});

const secondSigner = new SessionKeySigner({ storageType: memory() });
const second = await secondSigner.getAddress();
const rotatedSigner = new SessionKeySigner({ storageType: memory() });
const rotated = await rotatedSigner.getAddress();

await step("adding, rotating and removing keys", async () => {
  const simple = new SessionKeyPermissionsBuilder()
    .addContractAddressAccessEntry({ contractAddress: state.token, isOnList: true, checkSelectors: false })
    .encode();
  await succeeds(ownerClient, ownerClient.addSessionKey({ key: second, permissions: simple, tag: keccak256("0x01") }));
  assert.deepEqual(await ownerClient.getAccountSessionKeys({}), [second, key]);
  await succeeds(ownerClient, ownerClient.rotateSessionKey({ oldKey: key, newKey: rotated }));
  assert.deepEqual(await ownerClient.getAccountSessionKeys({}), [rotated, second]);

  await refused(use(sessionClient, key, [transfer(1n)]), /AA23/);
  const rotatedClient = await clientOf(rotatedSigner, account);
  await succeeds(rotatedClient, use(rotatedClient, rotated, [transfer(1n)]));

  await succeeds(ownerClient, ownerClient.removeSessionKey({ key: second }));
  assert.deepEqual(await ownerClient.getAccountSessionKeys({}), [rotated]);
});

await step("a key that the Rust client has granted", async () => {
  const granted = LocalAccountSigner.privateKeyToAccountSigner(state.sessionKey);
  const client = await clientOf(granted, state.account);
  const before = await balance();
  await succeeds(client, use(client, await granted.getAddress(), [transfer(7n)]));
  assert.equal(await balance(), before + 7n);
});

await step("a key for the Rust client to use", async () => {
  const privateKey = generatePrivateKey();
  const grantee = privateKeyToAccount(privateKey).address;
  await succeeds(
    ownerClient,
    ownerClient.addSessionKey({ key: grantee, permissions: permissions().encode(), tag: keccak256("0x02") }),
  );
  const granted = { ...state, grantedByTypeScript: { account, sessionKey: privateKey, payee, ...hashes } };
  fs.writeFileSync(stateFile, JSON.stringify(granted, null, 2));
});

console.log(`${passed} passed, 0 failed`);
