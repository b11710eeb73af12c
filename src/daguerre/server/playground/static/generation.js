// One generation: the request, retries while the server is busy, and its progress in the viewer.

import { ApiError, generate } from "./api.js";
import * as viewer from "./viewer.js";

const DURATION_KEY = "daguerre.seconds";  // duration of the last picture; estimates the wait in the queue
const BUSY = 503;

// Returns the file, its seed and its duration in seconds. Rejects with an AbortError if cancelled.
export async function make(key, fields, signal, say) {
  for (;;) {
    try {
      return await once(key, fields, signal, say);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== BUSY || !error.retryAfter) throw error;
      say(`${sentence(error.message)} Trying again.`);
      await countDown(error, signal);
    }
  }
}

async function once(key, fields, signal, say) {
  const started = performance.now();
  const queue = new Queue(say);
  let seed = fields.seed, firstStep = 0;
  try {
    for await (const update of generate(key, fields, signal)) {
      if (update.seed) seed = update.seed;
      if (update.queued !== undefined) queue.move(update.queued);
      if (update.step) {
        queue.leave();
        if (update.step === 1) {
          firstStep = performance.now();
          say("Drawing.");
        }
        showStep(update, firstStep);
      }
      if (update.preview) viewer.preview(update.preview);
      if (update.image) {
        const seconds = (performance.now() - started) / 1000;
        localStorage.setItem(DURATION_KEY, String((performance.now() - (firstStep || started)) / 1000));
        return { file: update.image, seed, seconds };
      }
    }
  } finally {
    queue.leave();
  }
}

// Shows the queue position that was reported last, and a countdown of the estimated wait.
class Queue {
  #say;
  #ahead = 0;
  #moved = 0;
  #timer = 0;

  constructor(say) {
    this.#say = say;
  }

  move(ahead) {
    this.#ahead = ahead;
    this.#moved = performance.now();
    viewer.setProgress(null);
    this.#show();
    this.#say(this.#text());  // screen readers announce each position once, not every second
    if (!this.#timer) this.#timer = setInterval(() => this.#show(), 1000);
  }

  leave() {
    clearInterval(this.#timer);
    this.#timer = 0;
  }

  #show() {
    viewer.setState(this.#text());
  }

  #text() {
    const duration = Number(localStorage.getItem(DURATION_KEY));
    // The first job ahead may already have run longer than the last picture; the others have not started.
    const first = Math.max(0, duration - (performance.now() - this.#moved) / 1000);
    const left = duration ? `, about ${time(first + duration * this.#ahead)} left` : "";
    return this.#ahead === 0 ? `Next in line${left}` : `${this.#ahead} ahead of you${left}`;
  }
}

function showStep({ step, total }, firstStep) {
  viewer.setProgress(step / total);
  const perStep = (performance.now() - firstStep) / (step - 1);
  const left = step > 1 && step < total ? ` · about ${time(perStep * (total - step) / 1000)} left` : "";
  viewer.setState(`Step ${step} of ${total}${left}`);
}

async function countDown(error, signal) {
  for (let left = error.retryAfter; left > 0; left -= 1) {
    viewer.setProgress(null);
    viewer.setState(`${sentence(error.message)} Trying again in ${left} s.`);
    await pause(1000, signal);
  }
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.?$/, ".")}`;

function time(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return `${Math.round(seconds / 60)} min`;
}
