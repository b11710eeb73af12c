// The API key: typed once, or redeemed from a one-time link, and stored in this browser only.

import { ApiError, modelOf, redeem } from "./api.js";

const STORAGE_KEY = "daguerre.key";
const SIGN_IN = "#sign-in=";
const find = (id) => document.getElementById(id);
const dialog = find("key-dialog"), input = find("key");

let model = null;

export const key = () => localStorage.getItem(STORAGE_KEY) ?? "";
export const modelId = () => model?.id;

// The model of the stored key, or null without one; updates the button.
export async function check() {
  model = key() ? await modelOf(key()) : null;
  find("open-key").textContent = key() ? "Key" : "Sign in";
  return model;
}

// Stores the key of a one-time link in the URL; first removes the token from the URL and the history.
export async function redeemLink() {
  if (!location.hash.startsWith(SIGN_IN)) return;
  const token = location.hash.slice(SIGN_IN.length);
  history.replaceState(null, "", location.pathname + location.search);
  localStorage.setItem(STORAGE_KEY, await redeem(token));
  dialog.close();
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
    localStorage.removeItem(STORAGE_KEY);
    dialog.close();
    await onChange();
  });
  find("key-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const typed = input.value.trim();
      await modelOf(typed);
      localStorage.setItem(STORAGE_KEY, typed);
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof TypeError)) throw error;
      return showError(error instanceof ApiError ? error.message : "This is not a key; keys start with inf-.");
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
