// Parses server-sent events from the body of a response, comments included (HTML standard, 9.2).

export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let event = "", data = [];
  try {
    for await (const line of lines(reader)) {
      if (line === "") {
        if (data.length) yield { event: event || "message", data: data.join("\n") };
        event = "";
        data = [];
      } else if (line.startsWith(":")) {
        yield { comment: line.slice(1).trimStart() };
      } else {
        const [, name, value] = /^([^:]*):? ?([^]*)$/.exec(line);
        if (name === "event") event = value;
        if (name === "data") data.push(value);
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function* lines(reader) {
  // An image is one line of several megabytes in many chunks; they are joined once, at its end.
  let parts = [];
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const pieces = part.value.split("\n");
    for (const piece of pieces.slice(0, -1)) {
      parts.push(piece);
      yield parts.join("").replace(/\r$/, "");
      parts = [];
    }
    parts.push(pieces.at(-1));
  }
}
