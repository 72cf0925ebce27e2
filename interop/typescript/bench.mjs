// Benchmarks the TypeScript client on the work of `cargo bench -p session-key-client`: the same permission set of ten updates and
// the same operation. Prints the medians in microseconds as JSON.
import { SessionKeyPermissionsBuilder, SessionKeyPluginExecutionFunctionAbi } from "@alchemy/aa-accounts";
import { getEntryPoint, LocalAccountSigner, sepolia } from "@alchemy/aa-core";
import { encodeFunctionData, zeroHash } from "viem";

const entryPoint = getEntryPoint(sepolia, { version: "0.6.0" });
const signer = LocalAccountSigner.privateKeyToAccountSigner(`0x${"01".repeat(32)}`);
const address = (byte) => `0x${byte.repeat(20)}`;
const key = await signer.getAddress();

const permissions = () =>
  new SessionKeyPermissionsBuilder()
    .addContractAddressAccessEntry({ contractAddress: address("01"), isOnList: true, checkSelectors: true })
    .addContractAddressAccessEntry({ contractAddress: address("02"), isOnList: true, checkSelectors: true })
    .addContractFunctionAccessEntry({ contractAddress: address("01"), methodSelector: "0x01010101", isOnList: true })
    .addContractFunctionAccessEntry({ contractAddress: address("01"), methodSelector: "0x02020202", isOnList: true })
    .addContractFunctionAccessEntry({ contractAddress: address("02"), methodSelector: "0x03030303", isOnList: true })
    .setTimeRange({ validFrom: 0, validUntil: 2_000_000_000 })
    .setNativeTokenSpendLimit({ spendLimit: 1_000_000n, refreshInterval: 86_400 })
    .addErc20TokenSpendLimit({ tokenAddress: address("03"), spendLimit: 1_000n, refreshInterval: 86_400 })
    .setGasSpendLimit({ spendLimit: 50_000n, refreshInterval: 86_400 })
    .encode();
const encoded = permissions();
if (encoded.length !== 10) throw new Error(`${encoded.length} updates`);

const abi = SessionKeyPluginExecutionFunctionAbi;
const addSessionKey = (updates) =>
  encodeFunctionData({ abi, functionName: "addSessionKey", args: [address("09"), zeroHash, updates] });

const call = { target: address("07"), value: 123n, data: `0x${"ab".repeat(36)}` };
const encodeHashAndSign = async () => {
  const operation = {
    sender: address("01"),
    nonce: `0x${((BigInt(key) << 64n) | 5n).toString(16)}`,
    initCode: "0x",
    callData: encodeFunctionData({ abi, functionName: "executeWithSessionKey", args: [[call], key] }),
    callGasLimit: "0x493e0",
    verificationGasLimit: "0x3d090",
    preVerificationGas: "0xea60",
    maxFeePerGas: "0xb2d05e00",
    maxPriorityFeePerGas: "0x3b9aca00",
    paymasterAndData: "0x",
  };
  return signer.signMessage({ raw: entryPoint.getUserOperationHash(operation) });
};

const median = async (action) => {
  for (let i = 0; i < 500; i += 1) await action();
  const times = [];
  for (let i = 0; i < 1_000; i += 1) {
    const start = process.hrtime.bigint();
    await action();
    times.push(Number(process.hrtime.bigint() - start) / 1_000);
  }
  return times.sort((a, b) => a - b)[times.length / 2];
};

console.log(
  JSON.stringify({
    add_session_key_call_data: await median(() => addSessionKey(encoded)),
    add_session_key_from_permissions: await median(() => addSessionKey(permissions())),
    encode_hash_and_sign: await median(encodeHashAndSign),
  }),
);
