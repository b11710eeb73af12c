// The plate: the picture in its mat, while it comes and after, with its words, state and actions.
// Knows nothing of the server, nor of where pictures are kept.

import { sizeOf } from "./form.js";

const find = (id) => document.getElementById(id);
const opening = find("opening"), picture = find("picture"), progress = find("progress");
let address = "";
let draft = null;  // of the picture that is being made: its shape, its newest preview, and whether it is shown

export function begin(shape) {
  draft = { shape, preview: null };
  setProgress(null);
  develop();
}

// Shows the picture that is being made.
export function develop() {
  draft.isShown = true;
  setShape(draft.shape);
  opening.classList.add("developing");
  find("caption").hidden = find("actions").hidden = true;
  find("empty").hidden = true;
  showDraft();
}

export function end() {
  draft = null;
  progress.hidden = true;
  opening.classList.remove("developing");
}

// A part from 0 to 1, or null while nothing is known.
export function setProgress(part) {
  progress.hidden = false;
  if (part === null) progress.removeAttribute("value");
  else progress.value = part;
  opening.style.setProperty("--developed", part ?? 0);
}

export function setState(words) {
  find("state").textContent = words;
}

export function preview(file) {
  draft.preview = file;
  if (draft.isShown) showDraft();
}

function showDraft() {
  show(draft.preview);
  picture.alt = "A preview of the picture that is being made";
}

// The picture as it is kept, or the empty plate; one that is being made goes on behind it.
export function settle(kept) {
  if (draft) draft.isShown = false;
  opening.classList.remove("developing");
  find("caption").hidden = find("actions").hidden = kept === null;
  find("empty").hidden = kept !== null;
  if (kept === null) return show(null);
  const { file, fields, seconds } = kept;
  setShape(fields.aspect_ratio);
  show(file);
  picture.alt = fields.prompt;
  find("caption-words").textContent = fields.prompt;
  const [width, height] = sizeOf(fields.aspect_ratio);
  const facts = [`${width} × ${height}`, `seed ${fields.seed}`, fields.output_format.toUpperCase(), `${seconds.toFixed(1)} s`];
  if (fields.negative_prompt) facts.unshift(`not: ${fields.negative_prompt}`);
  find("caption-facts").textContent = facts.join(" · ");
  const link = find("download");
  link.href = address;
  link.download = fileName(fields);
}

export function fileName({ prompt, seed, output_format }) {
  const words = prompt.toLowerCase().normalize("NFKD").match(/[a-z0-9]+/g) ?? ["picture"];
  const suffix = output_format === "jpeg" ? "jpg" : "png";
  return `${words.slice(0, 6).join("-").slice(0, 60)}-${seed}.${suffix}`;
}

function show(file) {
  const before = address;
  address = file ? URL.createObjectURL(file) : "";
  if (file) picture.src = address;
  else picture.removeAttribute("src");
  picture.hidden = !file;
  if (before) URL.revokeObjectURL(before);
}

function setShape(shape) {
  const [width, height] = sizeOf(shape);
  opening.style.setProperty("--ratio", String(width / height));
}
