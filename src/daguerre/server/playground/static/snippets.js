// Code samples that repeat a picture's request and write the same bytes to a file. They need no
// packages: curl and Python, Python only, or Node 18 and later.

const DECODE = 'import base64, json, sys; a = json.load(sys.stdin); sys.exit(a["error"]["message"]) if "error" in a else open("FILE", "wb").write(base64.b64decode(a["data"][0]["b64_json"]))';

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

// Invisible characters are escaped: a terminal acts on control characters in pasted text, and marks
// for right-to-left text make code look like other code. JSON.stringify escapes the first 32.
const INVISIBLE = /[\u007f-\u009f\u2028\u2029\p{Cf}]/gu;
const escaped = (text) => text.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
const json = (value, indent) => JSON.stringify(value, null, indent).replace(INVISIBLE, escaped);

export function snippet(language, { url, key, fields, file }) {
  return { curl, python, javascript }[language](`${url}/v1/images/generations`, key, fields, file);
}

function curl(url, key, fields, file) {
  const authorization = key ? quoted(`Authorization: Bearer ${key}`) : '"Authorization: Bearer $DIFFUSION_KEY"';
  return [
    `curl -sS ${quoted(url)} \\`,
    ` -H ${authorization} \\`,
    ` -d ${quoted(json(fields))} \\`,
    ` | python3 -c ${quoted(DECODE.replace("FILE", file))}`,
    "",
  ].join("\n");
}

function python(url, key, fields, file) {
  const bearer = key ? json(`Bearer ${key}`) : '"Bearer " + os.environ["DIFFUSION_KEY"]';
  // JSON strings and numbers are valid Python.
  const items = Object.entries(fields).map(([name, value]) => `    ${json(name)}: ${json(value)},`);
  return [
    "import base64",
    "import json",
    ...(key ? [] : ["import os"]),
    "import urllib.request",
    "",
    "fields = {",
    ...items,
    "}",
    "request = urllib.request.Request(",
    `    ${json(url)},`,
    "    data=json.dumps(fields).encode(),",
    `    headers={"Authorization": ${bearer}},`,
    ")",
    "with urllib.request.urlopen(request) as answer:",
    '    image = json.load(answer)["data"][0]["b64_json"]',
    `with open(${json(file)}, "wb") as opened:`,
    "    opened.write(base64.b64decode(image))",
    "",
  ].join("\n");
}

function javascript(url, key, fields, file) {
  const bearer = key ? json(`Bearer ${key}`) : '"Bearer " + process.env.DIFFUSION_KEY';
  return [
    'import { writeFile } from "node:fs/promises";',
    "",
    `const answer = await fetch(${json(url)}, {`,
    '  method: "POST",',
    `  headers: { Authorization: ${bearer} },`,
    `  body: JSON.stringify(${json(fields, 2).replaceAll("\n", "\n  ")}),`,
    "});",
    "const body = await answer.json();",
    "if (!answer.ok) throw new Error(body.error.message);",
    `await writeFile(${json(file)}, Buffer.from(body.data[0].b64_json, "base64"));`,
    "",
  ].join("\n");
}
