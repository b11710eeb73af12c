// The form: values of the request, aspect ratios, the seed with its lock, and errors at their fields.
// Choices and limits come from the server's request schema.

import { requestFields, sizes } from "./schema.js";

const DEFAULT_SHAPE = "1:1";
const ICON_PX = 25;  // side of the square icon; all icons have its area
const STORAGE_KEY = "daguerre.form";
// Errors of `size` are shown at the field that the form has instead.
const ERROR_FIELD = { size: "aspect_ratio" };

const form = document.getElementById("form");
const seed = document.getElementById("seed");
const lock = document.getElementById("lock");

let wanted = DEFAULT_SHAPE;  // the chosen shape, also while the model that has it is unknown

// A shape is an aspect ratio, or an extra size of the model such as "512x512".
export const shapeOf = (fields) => fields.size ?? fields.aspect_ratio;
export const sizeOf = (shape) => sizes[shape] ?? shape.split("x").map(Number);

export function setUp(say) {
  document.getElementById("shapes").append(...Object.keys(sizes).map(shapeChoice));
  document.getElementById("formats").append(...requestFields.output_format.enum.map(formatChoice));
  restore();
  if (!isLocked()) drawSeed();
  showSize();
  form.addEventListener("change", showSize);
  form.addEventListener("input", (event) => {
    clearError(event.target.name);
    if (event.target.name === "aspect_ratio") wanted = shape();
    if (event.target === seed) setLock(true);
    save();
  });
  document.getElementById("dice").addEventListener("click", () => {
    drawSeed();
    clearError("seed");
    say(`Seed ${seed.value}`);
  });
  lock.addEventListener("click", () => setLock(!isLocked()));
}

// Offers the extra sizes of the model, in place of those of another one.
export function offer(extraSizes) {
  for (const label of document.querySelectorAll("#shapes .extra")) label.remove();
  const choices = extraSizes.map(shapeChoice);
  for (const label of choices) label.classList.add("extra");
  document.getElementById("shapes").append(...choices);
  choose(wanted);
  showSize();
}

const shape = () => form.elements.aspect_ratio.value;

// Checks a shape; the default if the model does not have it.
function choose(name) {
  wanted = name;
  form.elements.aspect_ratio.value = DEFAULT_SHAPE;
  form.elements.aspect_ratio.value = name;
}

// The request fields. A seed that is not a number is sent as typed: the server explains the error.
export function values() {
  const data = new FormData(form);
  const text = data.get("seed").trim();
  const negative = data.get("negative_prompt");
  return {
    prompt: data.get("prompt"),
    ...(negative && { negative_prompt: negative }),
    ...(sizes[shape()] ? { aspect_ratio: shape() } : { size: shape() }),
    output_format: data.get("output_format"),
    seed: /^\d+$/.test(text) ? Number(text) : text,
  };
}

export function fill(fields) {
  form.elements.prompt.value = fields.prompt;
  form.elements.negative_prompt.value = fields.negative_prompt ?? "";
  choose(shapeOf(fields));
  form.elements.output_format.value = fields.output_format;
  seed.value = fields.seed;
  clearErrors();
  showSize();
  save();
}

// Draws the seed of the next picture, unless the seed is locked.
export function nextSeed() {
  if (!isLocked()) drawSeed();
}

export function drawSeed() {
  const unit = crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32;  // 0 to 1, exclusive
  seed.value = 1 + Math.floor(unit * requestFields.seed.maximum);
  save();
}

const isLocked = () => lock.getAttribute("aria-pressed") === "true";

export function setLock(isOn) {
  lock.setAttribute("aria-pressed", String(isOn));
  document.getElementById("seed-hint").textContent = isOn ? "Kept for the next pictures" : "A new one for each picture";
  save();
}

// Shows the message at its field and focuses the field.
export function showError({ param, message }) {
  const name = ERROR_FIELD[param] ?? param;
  const place = document.getElementById(`${name}-error`);
  const field = form.elements[name];
  if (!place || !field) return showAt(document.getElementById("form-error"), message);
  showAt(place, message);
  const inputs = field instanceof RadioNodeList ? [...field] : [field];
  for (const input of inputs) input.setAttribute("aria-invalid", "true");
  (inputs.find((input) => input.checked) ?? inputs[0]).focus();
}

export function clearErrors() {
  for (const place of form.querySelectorAll(".error")) place.hidden = true;
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

function clearError(name) {
  const place = document.getElementById(`${name}-error`);
  if (place) place.hidden = true;
  for (const input of form.querySelectorAll(`[name="${name}"]`)) input.removeAttribute("aria-invalid");
}

function showAt(place, message) {
  place.textContent = message;
  place.hidden = false;
}

function shapeChoice(name) {
  const [width, height] = sizeOf(name);
  const icon = Object.assign(document.createElement("span"), { className: "shape" });
  const scale = ICON_PX / Math.sqrt(width * height);
  icon.style.width = `${width * scale}px`;
  icon.style.height = `${height * scale}px`;
  const text = Object.assign(document.createElement("span"), { className: "name", textContent: name.replace("x", " × ") });
  return radio("aspect_ratio", name, name === DEFAULT_SHAPE, icon, text);
}

function formatChoice(name) {
  const text = Object.assign(document.createElement("span"), { textContent: name.toUpperCase() });
  return radio("output_format", name, name === requestFields.output_format.default, text);
}

function radio(name, value, defaultChecked, ...content) {
  const label = document.createElement("label");
  label.append(Object.assign(document.createElement("input"), { type: "radio", name, value, defaultChecked }), ...content);
  return label;
}

function showSize() {
  const [width, height] = sizeOf(shape());
  document.getElementById("size").textContent = `${width} × ${height}`;
}

function save() {
  localStorage.setItem(STORAGE_KEY, JSON.stringify({ ...values(), shape: wanted, isLocked: isLocked() }));
}

function restore() {
  try {
    const { isLocked, shape, ...fields } = JSON.parse(localStorage.getItem(STORAGE_KEY));
    if (!sizes[shape] && !/^\d+x\d+$/.test(shape)) return;
    fill({ ...fields, size: shape });
    setLock(isLocked);
  } catch {
    // Nothing is stored, or it cannot be read: the form keeps its defaults.
  }
}
