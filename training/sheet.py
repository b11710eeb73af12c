"""A contact sheet of prompts drawn by exported weights, by the code that serves.

    python -m training.sheet --weights FOLDER --prompts training/prompts.txt --out sheet.png

One prompt a line; `#` starts a comment. The seed of a prompt is its number in the file.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from daguerre.engine.batching.batcher import merge, split
from daguerre.engine.forward import ForwardRequest, Network, Outputs
from daguerre.engine.pipeline import Pixels
from daguerre.models.embedded import fields
from daguerre.models.embedded.drawing import Scene
from daguerre.models.embedded.model import EmbeddedModel
from daguerre.params import ImageParams

TOGETHER = 32  # requests in one evaluation


def read_prompts(file: Path) -> list[str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


@dataclass(frozen=True)
class Decided:
    """What the model decided to draw for one request."""

    params: ImageParams
    scene: Scene


def draw(model: EmbeddedModel, networks: Mapping[str, Network], params: ImageParams) -> Pixels:
    """Pixels (height, width, 3): one request run without an engine."""
    pipeline = model.pipeline(params)
    forward = next(pipeline)
    try:
        while True:
            forward = pipeline.send(networks[forward.network](forward.inputs))
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def decide(
    model: EmbeddedModel, networks: Mapping[str, Network], requests: Sequence[ImageParams]
) -> list[Decided]:
    """The scenes of many requests, `TOGETHER` at a time; nothing is drawn."""
    found: list[Decided] = []
    for start in range(0, len(requests), TOGETHER):
        some = requests[start : start + TOGETHER]
        pipelines = [model.pipeline(params) for params in some]
        forwards = [next(pipeline) for pipeline in pipelines]
        while any(forward.network != "decoder" for forward in forwards):
            answers = _evaluate(networks, forwards)
            forwards = [
                forward if answer is None else pipeline.send(answer)
                for pipeline, forward, answer in zip(pipelines, forwards, answers, strict=True)
            ]
        for params, forward in zip(some, forwards, strict=True):
            tokens = np.asarray(forward.inputs["tokens"])[0]
            seed, palette = np.asarray(forward.inputs["layout"])[0].tolist()
            scene = fields.decode(tokens, (params.width, params.height), seed, palette)
            found.append(Decided(params, scene))
    return found


def _evaluate(
    networks: Mapping[str, Network], forwards: Sequence[ForwardRequest]
) -> list[Outputs | None]:
    """Of forwards of one signature all at once; none for those that wait to be drawn."""
    answers: list[Outputs | None] = [None] * len(forwards)
    signatures = {f.signature for f in forwards if f.network != "decoder"}
    for signature in signatures:
        mine = [i for i, forward in enumerate(forwards) if forward.signature == signature]
        group = [forwards[i] for i in mine]
        outputs = networks[group[0].network](merge(group))
        for i, rows in zip(mine, split(outputs, [f.rows for f in group]), strict=True):
            answers[i] = rows
    return answers


def sheet(images: list[tuple[str, NDArray[np.uint8]]], columns: int, side: int) -> Image.Image:
    """Pictures reduced into cells of `side` pixels, each with its prompt under it."""
    rows = -(-len(images) // columns)
    out = Image.new("RGB", (columns * (side + 8), rows * (side + 26)), "white")
    pen = ImageDraw.Draw(out)
    for i, (prompt, pixels) in enumerate(images):
        picture = Image.fromarray(pixels)
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        x, y = i % columns * (side + 8) + 4, i // columns * (side + 26) + 4
        out.paste(picture, (x, y))
        pen.text((x, y + side + 4), prompt[: side // 6], fill="black")
    return out


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--weights", type=Path, default=Path("src/daguerre/models/embedded/weights"))
    p.add_argument("--prompts", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--steps", type=int, default=0)
    p.add_argument("--columns", type=int, default=6)
    p.add_argument("--side", type=int, default=256)
    args = p.parse_args()
    prompts = read_prompts(args.prompts)
    model = EmbeddedModel("embedded", folder=args.weights, num_inference_steps=args.steps)
    networks = dict(model.load())
    images = [
        (prompt, draw(model, networks, ImageParams("embedded", prompt, seed=i)))
        for i, prompt in enumerate(prompts, 1)
    ]
    sheet(images, args.columns, args.side).save(args.out)


if __name__ == "__main__":
    main()
