// Prints golden vectors of Modular Account v2 as JSON, generated with its TypeScript client (npm @account-kit/smart-contracts).
// Needs no network: a stub answers the client's few requests to a node. The keys are public test keys.

// The client reports usage to its publisher, except in development.
process.env.NODE_ENV = "development";
globalThis.fetch = () => {
  throw new Error("these vectors are made without a network");
};

const { getEntryPoint, LocalAccountSigner } = await import("@aa-sdk/core");
const { createModularAccountV2Client, predictModularAccountV2Address } = await import("@account-kit/smart-contracts");
const kit = await import("@account-kit/smart-contracts/experimental");
const { custom, decodeFunctionData, encodeAbiParameters, encodeFunctionData, hashMessage, hashTypedData, toFunctionSelector, toHex } =
  await import("viem");
const { foundry: chain } = await import("viem/chains");
const { readFileSync } = await import("node:fs");

const installed = (name) => {
  const { dependencies } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));
  const path = new URL(`node_modules/${name}/package.json`, import.meta.url);
  const { version } = JSON.parse(readFileSync(path, "utf8"));
  if (version !== dependencies[name]) throw new Error(`${name} is ${version}, not ${dependencies[name]}`);
  return `${name} ${version}`;
};

// Accounts 1 and 2 of every development node.
const ownerPrivateKey = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const sessionKeyPrivateKey = "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";
const ownerSigner = LocalAccountSigner.privateKeyToAccountSigner(ownerPrivateKey);
const sessionKeySigner = LocalAccountSigner.privateKeyToAccountSigner(sessionKeyPrivateKey);
const owner = await ownerSigner.getAddress();
const sessionKey = await sessionKeySigner.getAddress();

const address = (byte) => `0x${byte.repeat(20)}`;
const inputs = {
  token: address("a1"),
  otherToken: address("a2"),
  target: address("b1"),
  otherTarget: address("b2"),
  module: address("c1"),
  paymaster: address("d1"),
  functions: ["0x11223344", "0xaabbccdd"],
  accountFunction: "0x55667788",
  nativeLimit: toHex(10n ** 18n + 1n),
  gasLimit: toHex(2n * 10n ** 16n + 3n),
  tokenLimit: toHex(5_000_000n),
  otherTokenLimit: toHex(2n ** 256n - 1n),
  validAfter: 1_800_000_000,
  // In 2106, because the client refuses past deadlines.
  deadline: 4_294_967_295,
};

const entryPoint = getEntryPoint(chain, { version: "0.7.0" });

// A node on which the account has code if execution hooks are given, with these on every validation; and on which the next
// sequence number of every nonce key is 0 or the given one.
const stub = ({ executionHooks, sequence = 0n } = {}) =>
  custom({
    async request({ method, params }) {
      switch (method) {
        case "eth_chainId":
          return toHex(chain.id);
        case "eth_getCode":
          return executionHooks === undefined ? "0x" : "0x01";
        case "eth_call": {
          const [{ to, data }] = params;
          if (to.toLowerCase() === entryPoint.address.toLowerCase()) {
            const { functionName, args } = decodeFunctionData({ abi: entryPoint.abi, data });
            if (functionName !== "getNonce") throw new Error(`unexpected call of ${functionName}`);
            return encodeAbiParameters([{ type: "uint256" }], [(args[1] << 64n) | sequence]);
          }
          const { functionName } = decodeFunctionData({ abi: kit.semiModularAccountBytecodeAbi, data });
          if (functionName !== "getValidationData") throw new Error(`unexpected call of ${functionName}`);
          const { outputs } = kit.semiModularAccountBytecodeAbi.find(({ name }) => name === functionName);
          const validation = { validationFlags: 1, validationHooks: [], executionHooks: executionHooks ?? [], selectors: [] };
          return encodeAbiParameters(outputs, [validation]);
        }
        default:
          throw new Error(`unexpected request ${method}`);
      }
    },
  });

const client = ({ signer = ownerSigner, node = {}, ...rest } = {}) =>
  createModularAccountV2Client({ chain, signer, transport: stub(node), ...rest });

const owners = await client();
const account = owners.account.address;
const singleSigner = kit.getDefaultSingleSignerValidationModuleAddress(chain);

// ---- packing

const moduleEntities = [];
for (const [moduleAddress, entityId] of [
  [inputs.module, 0],
  [inputs.module, 5],
  [inputs.module, 0x80000000],
  [inputs.module, 0xffffffff],
]) {
  moduleEntities.push({ module: moduleAddress, entityId, packed: kit.serializeModuleEntity({ moduleAddress, entityId }) });
}
const bits = [false, true];
const validationConfigs = [];
for (const isUserOpValidation of bits)
  for (const isSignatureValidation of bits)
    for (const isGlobal of bits) {
      const [moduleAddress, entityId] = [inputs.module, 0x01020304];
      const flags = { isUserOpValidation, isSignatureValidation, isGlobal };
      const packed = kit.serializeValidationConfig({ moduleAddress, entityId, ...flags });
      validationConfigs.push({ module: moduleAddress, entityId, ...flags, packed });
    }
const hookConfigs = [];
for (const hookType of [kit.HookType.EXECUTION, kit.HookType.VALIDATION])
  for (const hasPreHooks of bits)
    for (const hasPostHooks of bits) {
      const hook = { address: inputs.module, entityId: 0x01020304, hookType, hasPreHooks, hasPostHooks };
      const packed = kit.serializeHookConfig(hook);
      const isValidation = hookType === kit.HookType.VALIDATION;
      hookConfigs.push({ module: hook.address, entityId: hook.entityId, isValidation, hasPreHooks, hasPostHooks, packed });
    }
const nonceKeys = [];
for (const lane of [0n, 0x102n, BigInt(sessionKey) & (2n ** 152n - 1n), 2n ** 152n - 1n])
  for (const entityId of [0, 5, 0x80000000, 0xfffffffe])
    for (const isGlobalValidation of bits)
      for (const isDeferredAction of bits) {
        const key = kit.buildFullNonceKey({ nonceKey: lane, entityId, isGlobalValidation, isDeferredAction });
        nonceKeys.push({ lane: toHex(lane), entityId, isGlobalValidation, isDeferredAction, key: toHex(key) });
      }

// ---- addresses

const accounts = [];
for (const salt of [0n, 1n, 2n ** 256n - 1n]) {
  const made = await client({ salt });
  accounts.push({ salt: toHex(salt), entityId: null, address: made.account.address, initCode: await made.account.getInitCode() });
}
// The client does not create such accounts, but computes their addresses.
const factoryAddress = (await owners.account.getInitCode()).slice(0, 42);
const implementationAddress = "0x00000000000002377B26b1EdA7b0BC371C60DD4f";
for (const [salt, entityId] of [
  [0n, 0],
  [7n, 9],
]) {
  const predicted = predictModularAccountV2Address({
    type: "MA", factoryAddress, implementationAddress, salt, ownerAddress: owner, entityId,
  });
  const args = [owner, salt, entityId];
  const create = encodeFunctionData({ abi: kit.accountFactoryAbi, functionName: "createAccount", args });
  accounts.push({ salt: toHex(salt), entityId, address: predicted, initCode: `${factoryAddress}${create.slice(2)}` });
}

// ---- session keys

const entityId = 3;
const permission = {
  native: { type: kit.PermissionType.NATIVE_TOKEN_TRANSFER, data: { allowance: inputs.nativeLimit } },
  gas: { type: kit.PermissionType.GAS_LIMIT, data: { limit: inputs.gasLimit } },
  token: { type: kit.PermissionType.ERC20_TOKEN_TRANSFER, data: { address: inputs.token, allowance: inputs.tokenLimit } },
  otherToken: { type: kit.PermissionType.ERC20_TOKEN_TRANSFER, data: { address: inputs.otherToken, allowance: inputs.otherTokenLimit } },
  target: { type: kit.PermissionType.CONTRACT_ACCESS, data: { address: inputs.target } },
  functions: { type: kit.PermissionType.FUNCTIONS_ON_CONTRACT, data: { address: inputs.otherTarget, functions: inputs.functions } },
  anywhere: { type: kit.PermissionType.FUNCTIONS_ON_ALL_CONTRACTS, data: { functions: inputs.functions } },
  account: { type: kit.PermissionType.ACCOUNT_FUNCTIONS, data: { functions: [inputs.accountFunction] } },
  root: { type: kit.PermissionType.ROOT },
};
const builder = (permissions, rest = {}) =>
  new kit.PermissionBuilder({ client: owners, key: { publicKey: sessionKey, type: "secp256k1" }, entityId, nonce: 0n, ...rest })
    .addPermissions({ permissions: permissions.map((name) => permission[name]) });
const timeRange = () => {
  const { validAfter, deadline: validUntil } = inputs;
  return kit.TimeRangeModule.buildHook({ entityId, validUntil, validAfter }, kit.getDefaultTimeRangeModuleAddress(chain));
};
const install = async (permissions, hooks = []) => builder(permissions, { hooks }).compileRaw();
const bare = {
  validationConfig: { moduleAddress: singleSigner, entityId, isGlobal: false, isSignatureValidation: false, isUserOpValidation: true },
  selectors: ["0xb61d27f6", "0x34fcd5be"],
  installData: kit.SingleSignerValidationModule.encodeOnInstallData({ entityId, signer: sessionKey }),
  hooks: [],
};
const validations = kit.installValidationActions(owners);
const installations = {
  bare: await validations.encodeInstallValidation(bare),
  accountFunction: await install(["account"]),
  root: await install(["root"]),
  allowlistAndTimeRange: await install(["target", "functions", "anywhere"], [timeRange()]),
  nativeLimit: await install(["native", "target"]),
  gasLimit: await install(["gas", "target"]),
  tokenLimits: await install(["token", "otherToken"]),
  everything: await install(["account", "anywhere", "target", "token", "gas", "native"], [timeRange()]),
};
const paymasterGuard = {
  hookConfig: {
    address: kit.getDefaultPaymasterGuardModuleAddress(chain), entityId, hookType: kit.HookType.VALIDATION,
    hasPreHooks: true, hasPostHooks: false,
  },
  initData: kit.PaymasterGuardModule.encodeOnInstallData({ entityId, paymaster: inputs.paymaster }),
};
installations.paymasterGuard = await install(["target"], [paymasterGuard]);

const uninstall = (moduleAddress, id, uninstallData = "0x", hookUninstallDatas = []) =>
  validations.encodeUninstallValidation({ moduleAddress, entityId: id, uninstallData, hookUninstallDatas });
const uninstallations = {
  bare: await uninstall(singleSigner, entityId, kit.SingleSignerValidationModule.encodeOnUninstallData({ entityId })),
  withHooks: await uninstall(singleSigner, entityId, kit.SingleSignerValidationModule.encodeOnUninstallData({ entityId }), [
    kit.TimeRangeModule.encodeOnUninstallData({ entityId }),
    "0x",
    kit.NativeTokenLimitModule.encodeOnUninstallData({ entityId: 0x7fffffff + entityId }),
  ]),
};

// The validations of this project's session key module, as an owner with this client would install and uninstall them.
const executeWithSessionKey = toFunctionSelector("executeWithSessionKey((address,uint256,bytes)[],address)");
const moduleEntityId = 0x80000000;
const flags = { isGlobal: false, isSignatureValidation: false };
const sessionKeyModule = {
  install: [
    await validations.encodeInstallValidation({
      validationConfig: { moduleAddress: inputs.module, entityId: moduleEntityId, ...flags, isUserOpValidation: true },
      selectors: [executeWithSessionKey], installData: "0x", hooks: [],
    }),
    await validations.encodeInstallValidation({
      validationConfig: { moduleAddress: inputs.module, entityId: 0xffffffff, ...flags, isUserOpValidation: false },
      selectors: bare.selectors, installData: "0x", hooks: [],
    }),
  ],
  uninstall: [await uninstall(inputs.module, moduleEntityId), await uninstall(inputs.module, 0xffffffff)],
};

// ---- call data

const calls = [
  { target: inputs.target, value: 1n, data: "0x11223344" },
  { target: inputs.otherTarget, value: 0n, data: "0x" },
];
const hook = kit.serializeHookConfig({ address: inputs.module, entityId: 9, hookType: kit.HookType.EXECUTION, hasPreHooks: true });
const hooked = await client({ node: { executionHooks: [hook] }, signer: sessionKeySigner, accountAddress: account,
  signerEntity: { entityId, isGlobalValidation: false } });
const accountFunction = (functionName, args) =>
  encodeFunctionData({ abi: kit.semiModularAccountBytecodeAbi, functionName, args });
const manifest = {
  executionFunctions: [{ executionSelector: "0x11223344", skipRuntimeValidation: true, allowGlobalValidation: false }],
  executionHooks: [{ executionSelector: "0xaabbccdd", entityId: 9, isPreHook: true, isPostHook: false }],
  interfaceIds: ["0x01020304"],
};
const callData = {
  execute: await owners.account.encodeExecute(calls[0]),
  executeBatch: await owners.account.encodeBatchExecute(calls),
  wrappedExecute: await hooked.account.encodeExecute(calls[0]),
  wrappedExecuteBatch: await hooked.account.encodeBatchExecute(calls),
  callOfItself: await owners.account.encodeExecute({ target: account, data: installations.bare }),
  updateFallbackSigner: accountFunction("updateFallbackSignerData", [sessionKey, true]),
  executeWithRuntimeValidation: accountFunction("executeWithRuntimeValidation", ["0x11223344", "0x0000000000ff00"]),
  upgradeToAndCall: accountFunction("upgradeToAndCall", [inputs.target, "0x11223344"]),
  installExecution: accountFunction("installExecution", [inputs.module, manifest, "0x1234"]),
  uninstallExecution: accountFunction("uninstallExecution", [inputs.module, manifest, "0x1234"]),
};

// ---- operations

const operations = {};
const operation = async (name, { account: sender }, { nonceKey = 0n, call, ...rest }) => {
  const request = {
    sender: sender.address,
    nonce: toHex(await sender.getAccountNonce(nonceKey)),
    callData: call,
    callGasLimit: toHex(100_001n),
    verificationGasLimit: toHex(200_002n),
    preVerificationGas: toHex(50_005n),
    maxFeePerGas: toHex(3_000_000_003n),
    maxPriorityFeePerGas: toHex(1_000_000_001n),
    ...rest,
  };
  const hash = entryPoint.getUserOperationHash(request);
  operations[name] = { ...request, hash, signature: await sender.signUserOperationHash(hash) };
};
const init = await owners.account.getInitCode();
await operation("ownerCreates", owners, { call: callData.execute, factory: init.slice(0, 42), factoryData: `0x${init.slice(42)}` });
await operation("ownerInstallsInALane", owners, { nonceKey: 0x102n, call: installations.bare });
const withPaymaster = {
  paymaster: inputs.paymaster, paymasterVerificationGasLimit: toHex(70_007n), paymasterPostOpGasLimit: toHex(80_008n),
  paymasterData: "0x99",
};
const sequenced = await client({ node: { executionHooks: [hook], sequence: 4n }, signer: sessionKeySigner, accountAddress: account,
  signerEntity: { entityId, isGlobalValidation: false } });
await operation("keyExecutes", sequenced, { call: callData.wrappedExecute, ...withPaymaster });
const ownerEntityId = 9;
const modular = accounts.find((made) => made.entityId === ownerEntityId).address;
const modularOwners = await client({ accountAddress: modular, signerEntity: { entityId: ownerEntityId, isGlobalValidation: true } });
await operation("moduleOwnerExecutes", modularOwners, { call: callData.execute });

// ---- messages

const message = "a message";
const typedData = {
  domain: { name: "an application", chainId: chain.id },
  types: { Order: [{ name: "amount", type: "uint256" }] },
  primaryType: "Order",
  message: { amount: 12n },
};
const messages = [];
const entityZero = await client({ accountAddress: accounts.find((made) => made.entityId === 0).address });
for (const [name, { account: signer }, id] of [
  ["fallbackSigner", owners, null],
  ["singleSigner", modularOwners, ownerEntityId],
  ["singleSignerOfEntityZero", entityZero, 0],
]) {
  for (const [type, data, hash, signature] of [
    ["personal_sign", message, hashMessage(message), await signer.signMessage({ message })],
    ["eth_signTypedData_v4", typedData, hashTypedData(typedData), await signer.signTypedData(typedData)],
  ]) {
    const prepared = await signer.prepareSign({ type, data });
    messages.push({
      name, account: signer.address, entityId: id, hash, replaySafeHash: hashTypedData(prepared.data), signature,
    });
  }
}

// ---- deferred actions

const deferredActions = {};
const deferred = async (name, by, permissions, { deadline, lane = 0n }) => {
  const nonce = kit.buildFullNonceKey({ nonceKey: lane, entityId, isGlobalValidation: false, isDeferredAction: true }) << 64n;
  const made = await new kit.PermissionBuilder({
    client: by, key: { publicKey: sessionKey, type: "secp256k1" }, entityId, nonce, deadline,
  })
    .addPermissions({ permissions: permissions.map((each) => permission[each]) })
    .compileDeferred();
  const signature = await by.account.signTypedData(made.typedData);
  const digest = kit.buildDeferredActionDigest({
    fullPreSignatureDeferredActionDigest: made.fullPreSignatureDeferredActionDigest, sig: signature,
  });
  // The key's client takes the action from the digest.
  const carrier = await client({ signer: sessionKeySigner, accountAddress: by.account.address, deferredAction: digest });
  const call = await carrier.account.encodeExecute(calls[0]);
  await operation(name, carrier, { call });
  deferredActions[name] = {
    account: by.account.address,
    nonce: toHex(nonce),
    deadline: deadline ?? 0,
    call: made.typedData.message.call,
    typedDataHash: hashTypedData(made.typedData),
    preSignatureDigest: made.fullPreSignatureDeferredActionDigest,
    signature,
    digest,
  };
};
await deferred("deferredByFallbackSigner", owners, ["target"], { deadline: inputs.deadline });
await deferred("deferredWithExecutionHooks", owners, ["native", "target"], { lane: 0x102n });
await deferred("deferredBySingleSigner", modularOwners, ["target"], { deadline: inputs.deadline });

const vectors = {
  madeBy: ["@account-kit/smart-contracts", "@aa-sdk/core", "viem"].map(installed),
  chainId: chain.id,
  entryPoint: entryPoint.address,
  modules: {
    singleSigner,
    allowlist: kit.getDefaultAllowlistModuleAddress(chain),
    nativeTokenLimit: kit.getDefaultNativeTokenLimitModuleAddress(chain),
    timeRange: kit.getDefaultTimeRangeModuleAddress(chain),
    paymasterGuard: kit.getDefaultPaymasterGuardModuleAddress(chain),
  },
  owner, ownerPrivateKey, sessionKey, sessionKeyPrivateKey, inputs,
  moduleEntities, validationConfigs, hookConfigs, nonceKeys, accounts,
  entityId, installations, uninstallations, moduleEntityId, sessionKeyModule,
  callData, operations, messages, deferredActions,
};
console.log(JSON.stringify(vectors, null, 2));
