// The page: what each button does, and what happens at the start. The parts are in files of their own.

import { ApiError } from "./api.js";
import * as code from "./code.js";
import * as form from "./form.js";
import { Gallery } from "./gallery.js";
import * as key from "./key.js";
import * as plate from "./plate.js";
import * as sheet from "./sheet.js";
import { make } from "./work.js";

const find = (id) => document.getElementById(id);
const gallery = new Gallery();
let chosen = null;  // the picture on the plate, or null where that is being made or there is none
let running = null;  // of the picture that is being made: its AbortController and shape, and what was chosen before

// For ears: what eyes see on the plate.
const say = (words) => { find("spoken").textContent = words; };

async function start() {
  form.setUp(say);
  key.setUp(refresh);
  code.setUp(key.key);
  sheet.setUp(remove);
  listen();
  const isKept = await gallery.open();
  if (!isKept) find("sheet-note").textContent = "This browser keeps nothing: pictures go with the page.";
  choose(gallery.pictures[0]?.id);
  let problem = "";
  try {
    await key.takeFromAddress();
  } catch (error) {
    problem = told(error);
  }
  await refresh();
  if (problem && !key.key()) key.ask(problem);
  // Whoever has begun elsewhere is left there.
  if (document.activeElement !== document.body) return;
  find("prompt").focus();
  find("prompt").select();
}

async function refresh() {
  try {
    const model = await key.check();
    find("service").textContent = model || "Not signed in";
  } catch (error) {
    find("service").textContent = "";
    if (error.status === 401) key.ask(told(error));
    else form.showError({ message: told(error) });
  }
}

function listen() {
  find("form").addEventListener("submit", (event) => {
    event.preventDefault();
    form.nextSeed();
    draw();
  });
  find("cancel").addEventListener("click", cancel);
  find("again").addEventListener("click", () => {
    form.fill(chosen.fields);
    draw();
  });
  find("vary").addEventListener("click", () => {
    form.fill(chosen.fields);
    form.drawSeed();
    draw();
  });
  find("copy").addEventListener("click", () => code.show(chosen));
  find("remove").addEventListener("click", () => remove(chosen.id));
  find("clear").addEventListener("click", askToClear);
  find("clear-no").addEventListener("click", () => find("clear-dialog").close());
  find("clear-yes").addEventListener("click", clear);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !document.querySelector("dialog[open]")) {
      event.preventDefault();
      if (!running) find("form").requestSubmit();
    }
    if (event.key === "Escape" && running) cancel();
  });
}

async function draw() {
  if (running) return;
  if (!key.key()) return key.ask();
  if (!key.modelId()) await refresh();
  if (!key.modelId()) return;
  const fields = { model: key.modelId(), ...form.values() };
  begin(fields.aspect_ratio);
  try {
    const { file, seed, seconds } = await make(key.key(), fields, running.signal, say);
    await keep(file, { ...fields, seed }, seconds);
  } catch (error) {
    failed(error);
  }
}

function begin(shape) {
  const controller = new AbortController();
  running = { controller, signal: controller.signal, shape, before: chosen?.id };
  form.clearErrors();
  plate.begin(shape);
  choose(sheet.DRAFT);
  plate.setState("Sent");
  showRunning();
  if (document.activeElement === document.body) find("cancel").focus();
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  find("plate").scrollIntoView({ block: "nearest", behavior: isCalm ? "auto" : "smooth" });
}

function end() {
  const isCancelFocused = document.activeElement === find("cancel");
  running = null;
  plate.end();
  showRunning();
  if (isCancelFocused) find("make").focus();
}

function showRunning() {
  find("make").hidden = find("again").disabled = find("vary").disabled = Boolean(running);
  find("cancel").hidden = !running;
}

function cancel() {
  running?.controller.abort(new DOMException("cancelled", "AbortError"));
}

async function keep(file, fields, seconds) {
  let result;
  try {
    result = await gallery.add(file, fields, seconds);
    find("sheet-error").hidden = true;
  } catch (error) {
    tellSheet(`The picture could not be kept in this browser (${error.message}); download it, or remove others.`);
  }
  const picture = result?.picture ?? gallery.pictures[0];
  const other = chosen;  // that is looked at meanwhile, and stays
  end();
  choose(other ? other.id : picture.id);
  const words = result?.isKnown ? "The same bytes as before." : "";
  plate.setState(other ? `The picture is done. ${words}` : words);
  say(`Done. ${words}`);
}

function failed(error) {
  const { before } = running;
  end();
  choose(chosen?.id ?? before);
  if (error.name === "AbortError") {
    plate.setState("Cancelled");
    return say("Cancelled");
  }
  say("");
  if (error.status === 401) return key.ask(told(error));
  form.showError({ param: error.param, message: told(error) });
}

function told(error) {
  if (error instanceof ApiError) return error.message;
  console.error(error);
  return "The connection broke.";
}

// One that is kept, or else the one that is being made.
function choose(id) {
  chosen = gallery.pictures.find((picture) => picture.id === id) ?? null;
  if (chosen || !running) plate.settle(chosen);
  else plate.develop();
  if (!running) plate.setState("");
  const chosenId = chosen?.id ?? (running ? sheet.DRAFT : undefined);
  sheet.render(gallery.pictures, running?.shape ?? null, chosenId, choose);
}

async function remove(id) {
  const before = gallery.pictures.map((picture) => picture.id);
  const after = before[before.indexOf(id) + 1] ?? before[before.indexOf(id) - 1];
  await gallery.remove(id).catch((error) => tellSheet(`It could not be removed: ${error.message}`));
  choose(after);
  say("Removed");
  if (!chosen) find("prompt").focus();
}

function askToClear() {
  const count = gallery.pictures.length;
  find("clear-note").textContent = `${count === 1 ? "One picture" : `${count} pictures`} of this browser will be gone; downloads are not touched.`;
  find("clear-dialog").showModal();
}

async function clear() {
  find("clear-dialog").close();
  await gallery.clear().catch((error) => tellSheet(`They could not be removed: ${error.message}`));
  choose();
  say("All removed");
  find("prompt").focus();
}

function tellSheet(words) {
  find("sheet-error").textContent = words;
  find("sheet-error").hidden = false;
}

start();
