// The key: typed once, or brought by a link that works once, and kept in this browser alone.

import { ApiError, keyOf, modelOf } from "./api.js";

const KEPT = "daguerre.key";
const SIGN_IN = "#sign-in=";
const find = (id) => document.getElementById(id);
const dialog = find("key-dialog"), input = find("key");

let model = "";

export const key = () => localStorage.getItem(KEPT) ?? "";
export const modelId = () => model;

// The model of the key that is kept; refreshes what the page says of it.
export async function check() {
  model = key() ? await modelOf(key()) : "";
  find("open-key").textContent = key() ? "Key" : "Sign in";
  return model;
}

// True where the address brought a key. The token goes from the address and its history at once.
export async function takeFromAddress() {
  if (!location.hash.startsWith(SIGN_IN)) return false;
  const token = location.hash.slice(SIGN_IN.length);
  history.replaceState(null, "", location.pathname + location.search);
  localStorage.setItem(KEPT, await keyOf(token));
  return true;
}

export function ask(message = "") {
  showError(message);
  input.value = key();
  find("key-forget").hidden = !key();
  if (!dialog.open) dialog.showModal();
  input.focus();
}

export function setUp(onChange) {
  find("open-key").addEventListener("click", () => ask());
  find("key-close").addEventListener("click", () => dialog.close());
  find("key-forget").addEventListener("click", async () => {
    localStorage.removeItem(KEPT);
    dialog.close();
    await onChange();
  });
  find("key-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const typed = input.value.trim();
      await modelOf(typed);
      localStorage.setItem(KEPT, typed);
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof TypeError)) throw error;
      return showError(error instanceof ApiError ? error.message : "This is no key; keys begin with inf-.");
    }
    dialog.close();
    await onChange();
  });
}

function showError(message) {
  find("key-error").textContent = message;
  find("key-error").hidden = !message;
  if (message) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}
