"""Exports a checkpoint for OpenVINO GenAI, and serves it. Runs in an environment of its own.

    python genai_program.py export CHECKPOINT FOLDER
    python genai_program.py serve FOLDER --dtype f32 --steps 20 --guidance 7.5 --size 1024x1024

It needs openvino-genai; the export also needs optimum-intel and diffusers. The shapes are static
and one request runs at a time on all cores, as in GenAI's documentation.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Generate = Callable[[dict[str, Any]], bytes]


def export(checkpoint: Path, folder: Path) -> None:
    """Exports in float32; `serve` chooses the type of the arithmetic."""
    index = json.loads((checkpoint / "model_index.json").read_text())
    missing = {name: None for name, entry in index.items() if entry == [None, None]}
    from diffusers import DiffusionPipeline
    from optimum.exporters.openvino import export_from_model
    from optimum.exporters.openvino.__main__ import maybe_convert_tokenizers

    pipeline = DiffusionPipeline.from_pretrained(checkpoint, local_files_only=True, **missing)
    export_from_model(pipeline, folder, task="text-to-image")
    maybe_convert_tokenizers("diffusers", folder, pipeline, task="text-to-image")


def load(folder: Path, dtype: str, steps: int, guidance: float, size: str) -> Generate:
    """The function that makes a PNG for the fields of a request."""
    import openvino_genai
    from PIL import Image

    width, height = map(int, size.split("x"))
    pipeline, lock = openvino_genai.Text2ImagePipeline(folder), threading.Lock()
    pipeline.reshape(1, height, width, guidance)
    pipeline.compile("CPU", INFERENCE_PRECISION_HINT=dtype)

    def generate(fields: dict[str, Any]) -> bytes:
        with lock:
            images = pipeline.generate(
                fields["prompt"],
                negative_prompt=fields["negative_prompt"],
                width=width,
                height=height,
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=openvino_genai.TorchGenerator(fields["seed"]),
            ).data
        file = io.BytesIO()
        Image.fromarray(images[0]).save(file, "PNG")
        return file.getvalue()

    return generate


def serve(generate: Generate) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            fields = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            b64_json = base64.b64encode(generate(fields)).decode()
            answer = {"created": int(time.time()), "data": [{"b64_json": b64_json}]}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"listens on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    exporting, serving = commands.add_parser("export"), commands.add_parser("serve")
    exporting.add_argument("checkpoint", type=Path)
    exporting.add_argument("folder", type=Path)
    serving.add_argument("folder", type=Path)
    serving.add_argument("--dtype", required=True)
    serving.add_argument("--steps", type=int, required=True)
    serving.add_argument("--guidance", type=float, required=True)
    serving.add_argument("--size", required=True)
    options = parser.parse_args()
    if options.command == "export":
        export(options.checkpoint, options.folder)
    else:
        kind = (options.dtype, options.steps, options.guidance, options.size)
        serve(load(options.folder, *kind))


if __name__ == "__main__":
    main()
