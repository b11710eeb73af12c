// The dialog that shows and copies a picture's request as code.

import { base } from "./api.js";
import { fileName } from "./viewer.js";
import { snippet } from "./snippets.js";

const find = (id) => document.getElementById(id);
const dialog = find("code-dialog");
let picture = null, keyOf = () => "";

export function setUp(key) {
  keyOf = key;
  dialog.addEventListener("change", render);
  find("code-close").addEventListener("click", () => dialog.close());
  find("code-copy").addEventListener("click", copy);
}

export function show(selected) {
  picture = selected;
  render();
  dialog.showModal();
}

function render() {
  const language = dialog.querySelector("[name=language]:checked").value;
  const key = find("with-key").checked ? keyOf() : "";
  const { fields } = picture;
  find("code").textContent = snippet(language, { url: base, key, fields, file: fileName(fields) });
  find("code-copied").textContent = "";
}

async function copy() {
  const text = find("code").textContent;
  try {
    await navigator.clipboard.writeText(text);
    find("code-copied").textContent = "Copied";
  } catch {
    // The clipboard needs TLS and permission; without them, select the text for Ctrl+C.
    getSelection().selectAllChildren(find("code"));
    find("code-copied").textContent = "Selected; press Ctrl+C";
  }
}
