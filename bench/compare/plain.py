"""The plain server of the comparison: a stock pipeline in eager torch behind one lock.

    python -m bench.compare.plain FOLDER --dtype float32 --steps 20 --guidance 7.5

It follows the documentation of diffusers: weights in the requested type, no gradients, one request
at a time on all cores. It uses nothing of daguerre.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

DTYPES = ("float32", "bfloat16")


def create_app(pipeline: Any, steps: int, guidance: float) -> Starlette:
    lock = threading.Lock()

    def generate(body: dict[str, Any]) -> dict[str, Any]:
        width, height = map(int, body["size"].split("x"))
        with lock:
            image = pipeline(
                prompt=body["prompt"],
                negative_prompt=body["negative_prompt"] or None,
                width=width,
                height=height,
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=torch.Generator("cpu").manual_seed(body["seed"]),
            ).images[0]
        file = io.BytesIO()
        image.save(file, "PNG")
        b64_json = base64.b64encode(file.getvalue()).decode()
        return {"created": int(time.time()), "data": [{"b64_json": b64_json}]}

    async def images(request: Request) -> JSONResponse:
        return JSONResponse(await run_in_threadpool(generate, await request.json()))

    return Starlette(routes=[Route("/v1/images/generations", images, methods=["POST"])])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m bench.compare.plain")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", choices=DTYPES, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--guidance", type=float, required=True)
    options = parser.parse_args(arguments)
    index = json.loads((options.folder / "model_index.json").read_text())
    pipeline = diffusers.DiffusionPipeline.from_pretrained(
        options.folder,
        dtype=getattr(torch, options.dtype),
        local_files_only=True,
        **{name: None for name, entry in index.items() if entry == [None, None]},
    )
    pipeline.set_progress_bar_config(disable=True)
    app = create_app(pipeline, options.steps, options.guidance)
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"listens on http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    main()
