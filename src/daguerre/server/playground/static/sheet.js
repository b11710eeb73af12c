// The contact sheet: small pictures in a row that wraps, one of them chosen; arrow keys go along it.
// Knows nothing of where pictures are kept.

import { sizeOf } from "./form.js";

export const DRAFT = "draft";  // stands for the id of the picture that is being made

const list = document.getElementById("gallery");
const addresses = [];

// `shape` is that of a picture that is being made, or null.
export function render(pictures, shape, chosenId, onChoose) {
  for (const address of addresses.splice(0)) URL.revokeObjectURL(address);
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  list.replaceChildren(...pictures.map((picture) => item(picture, onChoose)));
  if (shape) list.prepend(draft(shape, onChoose));
  document.getElementById("clear").hidden = pictures.length === 0;
  mark(chosenId);
  if (focused) (button(focused) ?? button(chosenId))?.focus();
}

export function mark(chosenId) {
  for (const one of list.querySelectorAll("button")) {
    const isChosen = one.dataset.id === String(chosenId);
    one.setAttribute("aria-current", String(isChosen));
    one.tabIndex = isChosen ? 0 : -1;
  }
  // One of them can always be reached with Tab.
  if (!button(chosenId)) list.querySelector("button")?.setAttribute("tabindex", "0");
}

export function setUp(onRemove) {
  list.addEventListener("keydown", (event) => {
    const all = [...list.querySelectorAll("button")];
    const place = all.indexOf(document.activeElement);
    if (place < 0) return;
    const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined && event.key !== "Delete") return;
    event.preventDefault();
    if (event.key === "Delete") return all[place].dataset.id === DRAFT ? undefined : onRemove(Number(all[place].dataset.id));
    all[to]?.focus();
    all[to]?.click();
  });
}

const button = (id) => list.querySelector(`button[data-id="${id}"]`);

function item(picture, onChoose) {
  const [entry, choose] = place(picture.fields.aspect_ratio, picture.id, onChoose);
  const image = document.createElement("img");
  addresses.push(URL.createObjectURL(picture.small));
  Object.assign(image, { src: addresses.at(-1), alt: `${picture.fields.prompt}, seed ${picture.fields.seed}` });
  choose.append(image);
  return entry;
}

function draft(shape, onChoose) {
  const [entry, choose] = place(shape, DRAFT, onChoose);
  choose.setAttribute("aria-label", "The picture that is being made");
  return entry;
}

function place(shape, id, onChoose) {
  const [width, height] = sizeOf(shape);
  const entry = document.createElement("li");
  entry.style.setProperty("--ratio", String(width / height));
  const choose = Object.assign(document.createElement("button"), { type: "button" });
  choose.dataset.id = id;
  choose.addEventListener("click", () => onChoose(id));
  entry.append(choose);
  return [entry, choose];
}
