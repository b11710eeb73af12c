// Making one picture: the request, tries while the server is busy, progress in words, and the end,
// whatever that is. Knows the plate, and nothing of where pictures are kept.

import { ApiError, generate } from "./api.js";
import * as plate from "./plate.js";

const PACE = "daguerre.seconds";  // what a picture took of late, for the time left in the queue
const BUSY = 503;

// The file, the seed that was used and the seconds it took. Rejects with an AbortError when cancelled.
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
    for await (const told of generate(key, fields, signal)) {
      if (told.seed) seed = told.seed;
      if (told.queued !== undefined) queue.move(told.queued);
      if (told.step) {
        queue.leave();
        if (told.step === 1) {
          firstStep = performance.now();
          say("Drawing.");
        }
        drawing(told, firstStep);
      }
      if (told.preview) plate.preview(told.preview);
      if (told.image) {
        const seconds = (performance.now() - started) / 1000;
        localStorage.setItem(PACE, String((performance.now() - (firstStep || started)) / 1000));
        return { file: told.image, seed, seconds };
      }
    }
  } finally {
    queue.leave();
  }
}

// The place in the queue as it was told last, and the time left, which goes on by itself.
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
    plate.setProgress(null);
    this.#tell();
    this.#say(this.#words());  // ears hear of each place once, and of no second
    if (!this.#timer) this.#timer = setInterval(() => this.#tell(), 1000);
  }

  leave() {
    clearInterval(this.#timer);
    this.#timer = 0;
  }

  #tell() {
    plate.setState(this.#words());
  }

  #words() {
    const pace = Number(localStorage.getItem(PACE));
    // The first of those ahead may take longer than this browser's last picture did, the others are still to come.
    const first = Math.max(0, pace - (performance.now() - this.#moved) / 1000);
    const left = pace ? `, about ${time(first + pace * this.#ahead)} left` : "";
    return this.#ahead === 0 ? `Next in line${left}` : `${this.#ahead} ahead of you${left}`;
  }
}

function drawing({ step, total }, firstStep) {
  plate.setProgress(step / total);
  const perStep = (performance.now() - firstStep) / (step - 1);
  const left = step > 1 && step < total ? ` · about ${time(perStep * (total - step) / 1000)} left` : "";
  plate.setState(`Step ${step} of ${total}${left}`);
}

async function countDown(error, signal) {
  for (let left = error.retryAfter; left > 0; left -= 1) {
    plate.setProgress(null);
    plate.setState(`${sentence(error.message)} Trying again in ${left} s.`);
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

const sentence = (words) => `${words.charAt(0).toUpperCase()}${words.slice(1).replace(/\.?$/, ".")}`;

function time(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return `${Math.round(seconds / 60)} min`;
}
