// API client. Paths are relative to the page, so it also works behind a proxy with a path prefix.

import { events } from "./events.js";
import { requestFields } from "./schema.js";

export const base = new URL(".", document.baseURI).href.replace(/\/$/, "");

export class ApiError extends Error {
  constructor({ status, message, param, retryAfter }) {
    super(message);
    Object.assign(this, { status, param, retryAfter });
  }
}

async function call(path, options) {
  let answer;
  try {
    answer = await fetch(`${base}${path}`, { cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError({ status: 0, message: "The server cannot be reached." });
  }
  if (!answer.ok) throw await errorOf(answer);
  return answer;
}

async function errorOf(answer) {
  const { error } = await answer.json().catch(() => ({}));
  const retryAfter = Number(answer.headers.get("retry-after")) || 0;
  const message = error?.message ?? `The server answered ${answer.status}.`;
  return new ApiError({ status: answer.status, message, param: error?.param, retryAfter });
}

// Throws a TypeError if the key has characters that a header cannot hold.
const authorized = (key) => new Headers({ Authorization: `Bearer ${key}` });

// The card of the model that the key belongs to.
export async function modelOf(key) {
  const answer = await call("/v1/models", { headers: authorized(key) });
  const { data } = await answer.json();
  if (!data.length) throw new ApiError({ status: 404, message: "This server does not serve the model of this key." });
  return data[0];
}

// Exchanges the token of a one-time link for its key.
export async function redeem(token) {
  const answer = await call("/playground/sign-in", { method: "POST", body: JSON.stringify({ token }) });
  return (await answer.json()).key;
}

// Yields {seed}, {queued}, {step, total}, {preview}, and finally {image}.
export async function* generate(key, fields, signal) {
  const body = JSON.stringify({ ...fields, stream: true, partial_images: requestFields.partial_images.maximum });
  const headers = authorized(key);
  headers.set("Content-Type", "application/json");
  const answer = await call("/v1/images/generations", { method: "POST", headers, body, signal });
  yield { seed: Number(answer.headers.get("x-seed")) };
  for await (const event of events(answer.body)) {
    const update = event.comment === undefined ? image(event) : progress(event.comment);
    if (update) yield update;
    if (update?.image) return;
  }
  throw new ApiError({ status: 0, message: "The connection ended before the picture was done." });
}

function progress(comment) {
  const queued = /^queued (\d+)$/.exec(comment);
  if (queued) return { queued: Number(queued[1]) };
  const step = /^step (\d+)\/(\d+)$/.exec(comment);
  if (step) return { step: Number(step[1]), total: Number(step[2]) };
}

function image({ event, data }) {
  const fields = JSON.parse(data);
  if (event === "error") {
    const { code, message, param } = fields.error;
    throw new ApiError({ status: code, message, param });
  }
  if (event === "image_generation.partial_image") return { preview: blob(fields) };
  if (event === "image_generation.completed") return { image: blob(fields) };
}

function blob({ b64_json, output_format }) {
  const bytes = Uint8Array.from(atob(b64_json), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: `image/${output_format}` });
}
