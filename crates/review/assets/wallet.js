// The wallet: found by EIP-6963, asked by EIP-1193. Everything else on the page works without this script.
"use strict";

(() => {
  const panel = document.getElementById("wallet");
  const standing = document.getElementById("standing");
  const REMEMBERED = "session-key-wallet";

  const request = async (path, content) => {
    const answer = await fetch(path, content === undefined ? {} : {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(content),
    });
    let value = {};
    try {
      value = await answer.json();
    } catch {
      // Not JSON: a session that ended, for example.
    }
    if (!answer.ok) {
      throw new Error(value.error || (answer.status === 401
        ? "This page’s session has ended: open the address that the command has printed last."
        : `The command refused (${answer.status}).`));
    }
    return value;
  };
  const unreachable = (error) => error instanceof TypeError
    ? "The command does not answer: it may have ended. Nothing was given to the wallet."
    : error.message;

  if (panel) wallet();
  if (standing) follow();

  function wallet() {
    const status = document.getElementById("wallet-status");
    const choices = document.getElementById("wallet-choices");
    const sign = document.getElementById("sign");
    const items = [...panel.querySelectorAll("[data-owner]")];
    const chain = panel.dataset.chain.toLowerCase();
    const found = new Map();
    let chosen = null;
    let accounts = [];
    let chainId = null;
    let isBusy = false;
    let note = "";

    const owner = () => items
      .map((item) => item.dataset.owner)
      .find((address) => accounts.includes(address.toLowerCase()));
    const isOnChain = () => chainId === chain;
    const words = (error) => String((error && error.message) || error).slice(0, 300);

    const button = (text, act) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = text;
      made.addEventListener("click", act);
      return made;
    };

    const show = () => {
      for (const item of items) {
        const held = item.querySelector(".held");
        const isHeld = accounts.includes(item.dataset.owner.toLowerCase());
        item.classList.toggle("is-held", isHeld);
        held.textContent = !chosen || accounts.length === 0 ? "" : isHeld ? "in this wallet" : "not in this wallet";
      }
      const buttons = [];
      let text;
      if (!chosen) {
        text = found.size === 0
          ? "No wallet was found in this browser."
          : "Choose the wallet that holds an owner of this account.";
        for (const wallet of found.values()) {
          buttons.push(button(`Connect ${wallet.info.name}`.slice(0, 60), () => choose(wallet, true)));
        }
      } else if (accounts.length === 0) {
        text = `${chosen.info.name} is not connected.`;
        buttons.push(button(`Connect ${chosen.info.name}`.slice(0, 60), () => choose(chosen, true)));
      } else if (!owner()) {
        text = `${chosen.info.name} shows ${accounts.join(", ")}, which does not own this account. Choose an owner in the wallet.`;
        buttons.push(button("Choose another account", () => choose(chosen, true)));
      } else if (!isOnChain()) {
        text = `${chosen.info.name} holds an owner, but is on another network.`;
        buttons.push(button("Switch the wallet to this network", change));
      } else {
        text = sign ? `Ready: ${chosen.info.name} holds an owner of this account.` : `${chosen.info.name} holds an owner of this account.`;
      }
      if (chosen && found.size > 1) {
        buttons.push(button("Use another wallet", forget));
      }
      if (note) text = note;
      if (status.textContent !== text) status.textContent = text;
      // Buttons that stay keep the focus.
      if ([...choices.children].map((old) => old.textContent).join() !== buttons.map((made) => made.textContent).join()) {
        choices.replaceChildren(...buttons);
      }
      if (sign) sign.disabled = isBusy || !owner() || !isOnChain();
    };

    const read = (value) => Array.isArray(value) ? value.map((address) => String(address).toLowerCase()) : [];

    const choose = async (wallet, asks) => {
      note = "";
      try {
        const provider = wallet.provider;
        if (chosen !== wallet) {
          provider.on?.("accountsChanged", (now) => {
            if (chosen === wallet) {
              accounts = read(now);
              note = "";
              show();
            }
          });
          provider.on?.("chainChanged", (now) => {
            if (chosen === wallet) {
              chainId = String(now).toLowerCase();
              note = "";
              show();
            }
          });
        }
        const now = read(await provider.request({ method: asks ? "eth_requestAccounts" : "eth_accounts" }));
        if (!asks && now.length === 0) return;
        chosen = wallet;
        accounts = now;
        chainId = String(await provider.request({ method: "eth_chainId" })).toLowerCase();
        sessionStorage.setItem(REMEMBERED, wallet.info.rdns);
      } catch (error) {
        note = error && error.code === 4001
          ? "You did not connect the wallet."
          : `The wallet answered with an error: ${words(error)}`;
      }
      show();
    };

    const forget = () => {
      chosen = null;
      accounts = [];
      note = "";
      sessionStorage.removeItem(REMEMBERED);
      show();
    };

    const change = async () => {
      note = "";
      try {
        await chosen.provider.request({ method: "wallet_switchEthereumChain", params: [{ chainId: chain }] });
        chainId = String(await chosen.provider.request({ method: "eth_chainId" })).toLowerCase();
      } catch (error) {
        note = error && error.code === 4001
          ? "You did not switch the network."
          : `The wallet cannot switch to this network (${words(error)}): add it there, and try again.`;
      }
      show();
    };

    const act = async () => {
      const from = owner();
      if (isBusy || !from) return;
      isBusy = true;
      note = "Making the transaction…";
      show();
      let made;
      try {
        made = await request("/transactions", {
          wish: JSON.parse(sign.dataset.wish),
          owner: from,
          shown: sign.dataset.shown,
        });
      } catch (error) {
        isBusy = false;
        note = unreachable(error);
        show();
        return;
      }
      note = "Look at your wallet: it asks you to confirm.";
      show();
      const { id, chainId: onChain, ...transaction } = made;
      try {
        // A wallet that was switched meanwhile must not send to another network.
        const now = String(await chosen.provider.request({ method: "eth_chainId" })).toLowerCase();
        if (now !== onChain) {
          chainId = now;
          throw Object.assign(new Error("it is on another network"), { code: "network" });
        }
        const hash = await chosen.provider.request({ method: "eth_sendTransaction", params: [{ ...transaction, value: "0x0" }] });
        await request(`/transactions/${id}`, { hash });
      } catch (error) {
        if (error && (error.code === 4001 || error.code === "network")) {
          isBusy = false;
          note = error.code === 4001
            ? "You declined: nothing was signed, and nothing has changed."
            : "The wallet is on another network now, so nothing was signed.";
          await request(`/transactions/${id}`, { declined: null }).catch(() => {});
          show();
          return;
        }
        // It may have been sent all the same: its page says so.
      }
      location.assign(`/transactions/${id}`);
    };

    sign?.addEventListener("click", act);
    window.addEventListener("eip6963:announceProvider", (event) => {
      const wallet = event.detail;
      if (!wallet || !wallet.info || !wallet.provider || found.has(wallet.info.uuid)) return;
      found.set(wallet.info.uuid, wallet);
      if (!chosen && wallet.info.rdns === sessionStorage.getItem(REMEMBERED)) choose(wallet, false);
      show();
    });
    window.dispatchEvent(new Event("eip6963:requestProvider"));
    show();
  }

  // Loads the page again when the transaction stands differently.
  function follow() {
    const EVERY = 1500;
    const { id, code, over } = standing.dataset;
    const note = document.getElementById("standing-note");
    if (over === "true") return;
    const look = async () => {
      let text = "";
      try {
        const { state } = await request(`/transactions/${id}/state`);
        if (state !== code) {
          location.reload();
          return;
        }
      } catch (error) {
        text = error instanceof TypeError
          ? "The command does not answer: it may have ended. What the wallet has sent may still happen."
          : error.message;
      }
      if (note.textContent !== text) note.textContent = text;
      setTimeout(look, EVERY);
    };
    setTimeout(look, EVERY);
  }
})();
