// One image through one of the packages: node call.mjs CLIENT FILE FIELDS
// Writes the image to FILE. FIELDS is JSON: what is asked for beyond the model and the prompt, sent
// in the way that this client has for it. A refusal goes to FILE.refused as JSON, in the client's own
// words; what the packages print is their own affair.

import { writeFile } from "node:fs/promises";

const { DIFFUSION_URL, DIFFUSION_KEY: apiKey, DIFFUSION_MODEL_ID: model } = process.env;
const baseURL = `${DIFFUSION_URL}/v1`;
const prompt = "the mountains at sunset";

async function openai(fields) {
  const { default: OpenAI } = await import("openai");
  const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
  const answer = await client.images.generate({ model, prompt, ...fields });
  return Buffer.from(answer.data[0].b64_json, "base64");
}

async function linked(fields) {
  const { default: OpenAI } = await import("openai");
  const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
  const asked = { model, prompt, response_format: "url", ...fields };
  const [{ url, b64_json }] = (await client.images.generate(asked)).data;
  if (b64_json !== undefined) throw new Error("the answer has both url and b64_json");
  const file = await fetch(url);
  if (!file.ok) throw new Error(`${url} is answered ${file.status}`);
  return new Uint8Array(await file.arrayBuffer());
}

async function* events(fields) {
  const { default: OpenAI } = await import("openai");
  const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
  yield* await client.images.generate({ model, prompt, stream: true, ...fields });
}

async function streamed(fields) {
  let last;
  for await (last of events(fields));
  return Buffer.from(last.b64_json, "base64");
}

async function previews(fields) {
  const told = [];
  for await (const { type, partial_image_index } of events(fields)) {
    told.push([type, partial_image_index ?? null]);
  }
  return JSON.stringify(told);
}

function aiSdk(core, provider, imageModel) {
  return async ({ n, size, ...fields }) => {
    const { generateImage } = await import(core);
    const providerOptions = { [provider]: fields };
    const { image } = await generateImage({
      model: await imageModel(), prompt, n, size, providerOptions, maxRetries: 0,
    });
    return image.uint8Array;
  };
}

function compatible(module) {
  return async () => {
    const { createOpenAICompatible } = await import(module);
    return createOpenAICompatible({ name: "daguerre", baseURL, apiKey }).imageModel(model);
  };
}

function ofOpenAI(module) {
  return async () => (await import(module)).createOpenAI({ baseURL, apiKey }).image(model);
}

async function ofHeroku() {
  const { createHerokuAI } = await import("heroku-ai-provider");
  return createHerokuAI({ imageBaseUrl: DIFFUSION_URL, imageApiKey: apiKey }).image(model);
}

const clients = {
  "openai": openai,
  "openai-url": linked,
  "openai-stream": streamed,
  "openai-previews": previews,
  "ai-7-compatible": aiSdk("ai", "daguerre", compatible("@ai-sdk/openai-compatible")),
  "ai-7-openai": aiSdk("ai", "openai", ofOpenAI("@ai-sdk/openai")),
  "ai-7-heroku": aiSdk("ai", "heroku", ofHeroku),
  "ai-6-compatible": aiSdk("ai-6", "daguerre", compatible("ai-6-openai-compatible")),
  "ai-6-openai": aiSdk("ai-6", "openai", ofOpenAI("ai-6-openai")),
  "ai-6-heroku": aiSdk("ai-6", "heroku", ofHeroku),
};

const [client, file, fields] = process.argv.slice(2);
try {
  await writeFile(file, await clients[client](JSON.parse(fields)));
} catch (error) {
  const refusal = { status: error.status ?? error.statusCode, message: error.message };
  await writeFile(`${file}.refused`, JSON.stringify(refusal));
}
