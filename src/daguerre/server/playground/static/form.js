// The fields of the next picture: their values in and out, the nine shapes, the seed with its lock,
// and a refusal at the field that it names. Knows nothing of how pictures are made.

const SHAPES = {
  "21:9": [1536, 640], "16:9": [1344, 768], "3:2": [1216, 832],
  "5:4": [1088, 896], "1:1": [1024, 1024], "4:5": [896, 1088],
  "2:3": [832, 1216], "9:16": [768, 1344], "9:21": [640, 1536],
};
const MAX_SEED = 2 ** 32 - 1;
const DRAWN_PX = 25;  // the side of the square; all shapes have its area
const KEPT = "daguerre.form";
// Of two names for one thing the page has one.
const SHOWN_AT = { size: "aspect_ratio" };

const form = document.getElementById("form");
const seed = document.getElementById("seed");
const lock = document.getElementById("lock");

export const sizeOf = (shape) => SHAPES[shape];

export function setUp(say) {
  document.getElementById("shapes").append(...Object.keys(SHAPES).map(shapeChoice));
  restore();
  if (!isLocked()) drawSeed();
  showSize();
  form.addEventListener("change", showSize);
  form.addEventListener("input", (event) => {
    clearError(event.target.name);
    if (event.target === seed) setLock(true);
    keep();
  });
  document.getElementById("dice").addEventListener("click", () => {
    drawSeed();
    clearError("seed");
    say(`Seed ${seed.value}`);
  });
  lock.addEventListener("click", () => setLock(!isLocked()));
}

// As they are sent. What is no number is sent as it was typed, so the server says what is wrong.
export function values() {
  const data = new FormData(form);
  const text = data.get("seed").trim();
  const negative = data.get("negative_prompt");
  return {
    prompt: data.get("prompt"),
    ...(negative && { negative_prompt: negative }),
    aspect_ratio: data.get("aspect_ratio"),
    output_format: data.get("output_format"),
    seed: /^\d+$/.test(text) ? Number(text) : text,
  };
}

export function fill(fields) {
  form.elements.prompt.value = fields.prompt;
  form.elements.negative_prompt.value = fields.negative_prompt ?? "";
  form.elements.aspect_ratio.value = fields.aspect_ratio;
  form.elements.output_format.value = fields.output_format;
  seed.value = fields.seed;
  clearErrors();
  showSize();
  keep();
}

// For the next picture, unless the seed is to be kept.
export function nextSeed() {
  if (!isLocked()) drawSeed();
}

export function drawSeed() {
  seed.value = 1 + Math.floor(crypto.getRandomValues(new Uint32Array(1))[0] / (MAX_SEED + 1) * MAX_SEED);
  keep();
}

const isLocked = () => lock.getAttribute("aria-pressed") === "true";

export function setLock(isOn) {
  lock.setAttribute("aria-pressed", String(isOn));
  document.getElementById("seed-hint").textContent = isOn ? "Kept for the next pictures" : "A new one for each picture";
  keep();
}

// Puts the words where they belong, and the cursor there.
export function showError({ param, message }) {
  const name = SHOWN_AT[param] ?? param;
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
  const [width, height] = SHAPES[name];
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "radio", name: "aspect_ratio", value: name });
  input.defaultChecked = name === "1:1";
  const drawn = document.createElement("span");
  drawn.className = "shape";
  const unit = DRAWN_PX / Math.sqrt(width * height);
  drawn.style.width = `${width * unit}px`;
  drawn.style.height = `${height * unit}px`;
  const words = Object.assign(document.createElement("span"), { className: "name", textContent: name });
  label.append(input, drawn, words);
  return label;
}

function showSize() {
  const [width, height] = SHAPES[form.elements.aspect_ratio.value];
  document.getElementById("size").textContent = `${width} × ${height}`;
}

function keep() {
  localStorage.setItem(KEPT, JSON.stringify({ ...values(), isLocked: isLocked() }));
}

function restore() {
  try {
    const { isLocked, ...fields } = JSON.parse(localStorage.getItem(KEPT));
    if (!SHAPES[fields.aspect_ratio]) return;
    fill(fields);
    setLock(isLocked);
  } catch {
    // Nothing was kept, or it cannot be read: the form is as the page came.
  }
}
