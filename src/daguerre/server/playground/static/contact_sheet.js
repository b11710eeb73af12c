// The contact sheet: thumbnails in rows, one of them selected; arrow keys move the selection.

import { shapeOf, sizeOf } from "./form.js";

export const DRAFT = "draft";  // id of the picture in progress

const list = document.getElementById("gallery");
const addresses = [];

// `shape` is the aspect ratio of the picture in progress, or null.
export function render(pictures, shape, selectedId, onSelect) {
  for (const address of addresses.splice(0)) URL.revokeObjectURL(address);
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  list.replaceChildren(...pictures.map((picture) => item(picture, onSelect)));
  if (shape) list.prepend(draft(shape, onSelect));
  document.getElementById("clear").hidden = pictures.length === 0;
  mark(selectedId);
  if (focused) (button(focused) ?? button(selectedId))?.focus();
}

export function mark(selectedId) {
  for (const one of list.querySelectorAll("button")) {
    const isSelected = one.dataset.id === String(selectedId);
    one.setAttribute("aria-current", String(isSelected));
    one.tabIndex = isSelected ? 0 : -1;
  }
  // Keep one thumbnail reachable with Tab.
  if (!button(selectedId)) list.querySelector("button")?.setAttribute("tabindex", "0");
}

export function setUp(onRemove) {
  list.addEventListener("keydown", (event) => {
    const all = [...list.querySelectorAll("button")];
    const index = all.indexOf(document.activeElement);
    if (index < 0) return;
    const to = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined && event.key !== "Delete") return;
    event.preventDefault();
    if (event.key === "Delete") return all[index].dataset.id === DRAFT ? undefined : onRemove(Number(all[index].dataset.id));
    all[to]?.focus();
    all[to]?.click();
  });
}

const button = (id) => list.querySelector(`button[data-id="${id}"]`);

function item(picture, onSelect) {
  const [entry, choice] = thumbnail(shapeOf(picture.fields), picture.id, onSelect);
  const image = document.createElement("img");
  addresses.push(URL.createObjectURL(picture.small));
  Object.assign(image, { src: addresses.at(-1), alt: `${picture.fields.prompt}, seed ${picture.fields.seed}` });
  choice.append(image);
  return entry;
}

function draft(shape, onSelect) {
  const [entry, choice] = thumbnail(shape, DRAFT, onSelect);
  choice.setAttribute("aria-label", "The picture that is being made");
  return entry;
}

function thumbnail(shape, id, onSelect) {
  const [width, height] = sizeOf(shape);
  const entry = document.createElement("li");
  entry.style.setProperty("--ratio", String(width / height));
  const choice = Object.assign(document.createElement("button"), { type: "button" });
  choice.dataset.id = id;
  choice.addEventListener("click", () => onSelect(id));
  entry.append(choice);
  return [entry, choice];
}
