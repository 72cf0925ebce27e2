// A wallet for the page to find (EIP-6963) and to ask (EIP-1193). The test answers, and signs.
(() => {
  const asked = [];
  const waiting = new Map();
  const listeners = new Map();
  let next = 0;
  const provider = {
    request: ({ method, params }) => new Promise((resolve, reject) => {
      const id = next++;
      waiting.set(id, { resolve, reject });
      asked.push({ id, method, params: params ?? [] });
    }),
    on: (name, listener) => listeners.set(name, [...(listeners.get(name) ?? []), listener]),
  };
  window.testWallet = {
    asked: () => asked.splice(0),
    answer: (id, result, error) => {
      const { resolve, reject } = waiting.get(id);
      waiting.delete(id);
      if (error) reject(Object.assign(new Error(error.message), { code: error.code }));
      else resolve(result);
    },
    emit: (name, value) => (listeners.get(name) ?? []).forEach((listener) => listener(value)),
  };
  const info = Object.freeze({
    uuid: "5c1d1a44-0000-4000-8000-000000000000",
    name: "Test Wallet",
    icon: "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>",
    rdns: "wallet.test",
  });
  const announce = () => window.dispatchEvent(
    new CustomEvent("eip6963:announceProvider", { detail: Object.freeze({ info, provider }) }),
  );
  window.addEventListener("eip6963:requestProvider", announce);
  announce();
})();
