// Entry point of the page: connects the form, the viewer, the contact sheet and the dialogs.

import { ApiError } from "./api.js";
import * as code from "./code.js";
import * as sheet from "./contact_sheet.js";
import * as form from "./form.js";
import { Gallery } from "./gallery.js";
import { make } from "./generation.js";
import * as key from "./key.js";
import * as viewer from "./viewer.js";

const find = (id) => document.getElementById(id);
const gallery = new Gallery();
let selected = null;  // the stored picture in the viewer, or null
let running = null;  // the picture in progress: its AbortController, its shape, and the selection before it

// Announces the state of the viewer to screen readers.
const say = (text) => { find("spoken").textContent = text; };

async function start() {
  form.setUp(say);
  key.setUp(refresh);
  code.setUp(key.key);
  sheet.setUp(remove);
  listen();
  const isPersistent = await gallery.open();
  if (!isPersistent) find("sheet-note").textContent = "This browser stores nothing: pictures are lost when the page closes.";
  select(gallery.pictures[0]?.id);
  addEventListener("hashchange", signIn);
  await signIn();
  // Leave the focus where the user has put it.
  if (document.activeElement !== document.body) return;
  find("prompt").focus();
  find("prompt").select();
}

// Redeems a sign-in link in the URL, also one that is pasted into an open page.
async function signIn() {
  let problem = "";
  try {
    await key.redeemLink();
  } catch (error) {
    problem = messageOf(error);
  }
  await refresh();
  if (problem && !key.key()) key.ask(problem);
}

async function refresh() {
  try {
    const model = await key.check();
    find("service").textContent = model?.id ?? "Not signed in";
    form.offer(model?.extra_sizes ?? []);
  } catch (error) {
    find("service").textContent = "";
    if (error.status === 401) key.ask(messageOf(error));
    else form.showError({ message: messageOf(error) });
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
    form.fill(selected.fields);
    draw();
  });
  find("vary").addEventListener("click", () => {
    form.fill(selected.fields);
    form.drawSeed();
    draw();
  });
  find("copy").addEventListener("click", () => code.show(selected));
  find("remove").addEventListener("click", () => remove(selected.id));
  find("clear").addEventListener("click", confirmClear);
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
  begin(form.shapeOf(fields));
  try {
    const { file, seed, seconds } = await make(key.key(), fields, running.signal, say);
    await store(file, { ...fields, seed }, seconds);
  } catch (error) {
    failed(error);
  }
}

function begin(shape) {
  const controller = new AbortController();
  running = { controller, signal: controller.signal, shape, before: selected?.id };
  form.clearErrors();
  viewer.begin(shape);
  select(sheet.DRAFT);
  viewer.setState("Sent");
  showRunning();
  if (document.activeElement === document.body) find("cancel").focus();
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  find("viewer").scrollIntoView({ block: "nearest", behavior: isCalm ? "auto" : "smooth" });
}

function end() {
  const isCancelFocused = document.activeElement === find("cancel");
  running = null;
  viewer.end();
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

async function store(file, fields, seconds) {
  let result;
  try {
    result = await gallery.add(file, fields, seconds);
    find("sheet-error").hidden = true;
  } catch (error) {
    showSheetError(`This browser could not store the picture (${error.message}). Download it, or remove others.`);
  }
  const picture = result?.picture ?? gallery.pictures[0];
  const other = selected;  // a picture that the user selected during the generation stays
  end();
  select(other ? other.id : picture.id);
  const note = result?.isKnown ? "The same bytes as before." : "";
  viewer.setState(other ? `The picture is done. ${note}` : note);
  say(`Done. ${note}`);
}

function failed(error) {
  const { before } = running;
  end();
  select(selected?.id ?? before);
  if (error.name === "AbortError") {
    viewer.setState("Cancelled");
    return say("Cancelled");
  }
  say("");
  if (error.status === 401) return key.ask(messageOf(error));
  form.showError({ param: error.param, message: messageOf(error) });
}

function messageOf(error) {
  if (error instanceof ApiError) return error.message;
  console.error(error);
  return "The connection was interrupted.";
}

// Shows the stored picture with this id, or else the picture in progress.
function select(id) {
  selected = gallery.pictures.find((picture) => picture.id === id) ?? null;
  if (selected || !running) viewer.showStored(selected);
  else viewer.showDraft();
  if (!running) viewer.setState("");
  const selectedId = selected?.id ?? (running ? sheet.DRAFT : undefined);
  sheet.render(gallery.pictures, running?.shape ?? null, selectedId, select);
}

async function remove(id) {
  const before = gallery.pictures.map((picture) => picture.id);
  const after = before[before.indexOf(id) + 1] ?? before[before.indexOf(id) - 1];
  await gallery.remove(id).catch((error) => showSheetError(`It could not be removed: ${error.message}`));
  select(after);
  say("Removed");
  if (!selected) find("prompt").focus();
}

function confirmClear() {
  const count = gallery.pictures.length;
  find("clear-note").textContent = `${count === 1 ? "One picture" : `${count} pictures`} will be removed from this browser; downloaded files stay.`;
  find("clear-dialog").showModal();
}

async function clear() {
  find("clear-dialog").close();
  await gallery.clear().catch((error) => showSheetError(`They could not be removed: ${error.message}`));
  select();
  say("All removed");
  find("prompt").focus();
}

function showSheetError(message) {
  find("sheet-error").textContent = message;
  find("sheet-error").hidden = false;
}

start();
