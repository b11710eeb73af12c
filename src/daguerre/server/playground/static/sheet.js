// The contact sheet: small pictures in a row that wraps, one of them chosen; arrow keys go along it.
// Knows nothing of where pictures are kept.

import { sizeOf } from "./form.js";

const list = document.getElementById("gallery");
const addresses = [];

export function render(pictures, chosenId, onChoose) {
  for (const address of addresses.splice(0)) URL.revokeObjectURL(address);
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  list.replaceChildren(...pictures.map((picture) => item(picture, chosenId, onChoose)));
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
    if (event.key === "Delete") return onRemove(Number(all[place].dataset.id));
    all[to]?.focus();
    all[to]?.click();
  });
}

const button = (id) => list.querySelector(`button[data-id="${id}"]`);

function item(picture, chosenId, onChoose) {
  const [width, height] = sizeOf(picture.fields.aspect_ratio);
  const entry = document.createElement("li");
  entry.style.setProperty("--ratio", String(width / height));
  const choose = Object.assign(document.createElement("button"), { type: "button" });
  choose.dataset.id = picture.id;
  choose.addEventListener("click", () => onChoose(picture.id));
  const image = document.createElement("img");
  addresses.push(URL.createObjectURL(picture.small));
  Object.assign(image, { src: addresses.at(-1), alt: `${picture.fields.prompt}, seed ${picture.fields.seed}` });
  choose.append(image);
  entry.append(choose);
  return entry;
}
