// The viewer: one picture, in progress or stored, with its caption, state and actions.

import { shapeOf, sizeOf } from "./form.js";

const find = (id) => document.getElementById(id);
const opening = find("opening"), picture = find("picture"), progress = find("progress");
let address = "";
let draft = null;  // the picture in progress: its shape, its latest preview, and whether it is shown

export function begin(shape) {
  draft = { shape, preview: null };
  setProgress(null);
  showDraft();
}

// Shows the picture in progress.
export function showDraft() {
  draft.isShown = true;
  setShape(draft.shape);
  opening.classList.add("developing");
  find("caption").hidden = find("actions").hidden = true;
  find("empty").hidden = true;
  showPreview();
}

export function end() {
  draft = null;
  progress.hidden = true;
  opening.classList.remove("developing");
}

// `fraction` is 0 to 1, or null while it is unknown.
export function setProgress(fraction) {
  progress.hidden = false;
  if (fraction === null) progress.removeAttribute("value");
  else progress.value = fraction;
  opening.style.setProperty("--developed", fraction ?? 0);
}

export function setState(words) {
  find("state").textContent = words;
}

export function preview(file) {
  draft.preview = file;
  if (draft.isShown) showPreview();
}

function showPreview() {
  show(draft.preview);
  picture.alt = "A preview of the picture that is being made";
}

// Shows a stored picture, or none; a picture in progress continues in the background.
export function showStored(stored) {
  if (draft) draft.isShown = false;
  opening.classList.remove("developing");
  find("caption").hidden = find("actions").hidden = stored === null;
  find("empty").hidden = stored !== null;
  if (stored === null) return show(null);
  const { file, fields, seconds } = stored;
  setShape(shapeOf(fields));
  show(file);
  picture.alt = fields.prompt;
  find("caption-words").textContent = fields.prompt;
  const [width, height] = sizeOf(shapeOf(fields));
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
