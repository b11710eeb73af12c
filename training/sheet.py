"""A contact sheet of prompts drawn by exported weights, by the code that serves.

    python -m training.sheet --weights FOLDER --prompts training/prompts.txt --out sheet.png

One prompt a line; `#` starts a comment. The seed of a prompt is its number in the file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from daguerre.models.embedded.model import EmbeddedModel
from daguerre.params import ImageParams


def read_prompts(file: Path) -> list[str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def draw(
    model: EmbeddedModel, networks: dict[str, object], params: ImageParams
) -> NDArray[np.uint8]:
    """Pixels (height, width, 3): one request run without an engine."""
    pipeline = model.pipeline(params)
    forward = next(pipeline)
    try:
        while True:
            forward = pipeline.send(networks[forward.network](forward.inputs))  # type: ignore[operator]
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


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
