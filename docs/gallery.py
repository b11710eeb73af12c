"""Writes docs/gallery.md and its images: the bundled model's first result for each prompt.

    python -m docs.gallery             make the images and the page

`ENTRIES` has the prompts, aspect ratios and seeds. For each image the page shows a command that
makes the same bytes. No image is selected after the fact.
"""

from __future__ import annotations

import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path

from daguerre.config import Settings
from daguerre.errors import DaguerreError
from daguerre.library import Image, Model
from daguerre.models.catalog import DEFAULT_MODEL
from daguerre.params import SIZES, ImageParams

FOLDER = Path(__file__).parent
PAGE, PICTURES = "gallery.md", "images/gallery"
JPEG_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Entry:
    prompt: str
    aspect_ratio: str = "1:1"
    seed: int = 1

    def params(self, model: str) -> ImageParams:
        width, height = SIZES[self.aspect_ratio]
        return ImageParams(model, self.prompt, "", width, height, self.seed, "jpeg", JPEG_QUALITY)


# Most kinds of scenes, in all nine aspect ratios.
ENTRIES = (
    Entry("The mountains at sunset", "21:9"),
    Entry("A girl in a yellow raincoat with a red umbrella, in the rain", "4:5"),
    Entry('A cat holding a sign that says "hello"'),
    Entry("A city street at night", "16:9"),
    Entry("A lit cabin in a snowy forest at night", "9:16"),
    Entry("A red fox in the snow", "5:4"),
    Entry("An old man sitting on a bench in the park", "3:2"),
    Entry("A bowl of oranges on a kitchen table"),
    Entry('A small bakery with the name "Fresh Bread"', "5:4"),
    Entry("A knight riding a white horse over green hills", "3:2"),
    Entry("A lighthouse on the coast at dusk", "2:3"),
    Entry("A blue cup to the left of a yellow book"),
    Entry("A train on a bridge in autumn", "16:9"),
    Entry("A watercolour of a sailing boat on a calm sea", "3:2"),
    Entry('A birthday cake that says "Happy Birthday Mia"', "4:5"),
    Entry("Six penguins on the ice", "16:9"),
    Entry("A desert under a starry sky", "9:21"),
    Entry("A neon sign of a flamingo", "2:3"),
)


def draw(model: Model, entries: tuple[Entry, ...]) -> list[Image]:
    """The image of each entry."""
    return [model.generate(entry.params(model.id)) for entry in entries]


def write(folder: Path, entries: tuple[Entry, ...], images: list[Image]) -> None:
    """Write the images first, so that the page never names a missing one."""
    pictures = folder / PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    for old in pictures.glob("*.jpg"):
        old.unlink()
    for place, image in enumerate(images, start=1):
        (pictures / _name(place)).write_bytes(image.encode())
    (folder / PAGE).write_text(page(entries, images), encoding="utf-8")


def page(entries: tuple[Entry, ...], images: list[Image]) -> str:
    info = images[0].generated.model_info
    return "\n".join(
        (
            "<!-- Made by `python -m docs.gallery`; edit that instead. -->",
            "",
            "# Gallery",
            "",
            f"Images by the bundled model ({info.name or info.id}, weights"
            f" `{info.weights_sha256[:12]}`): the first result for each prompt, unselected."
            " The command below each image makes the same bytes.",
            "",
            *(_entry(place, entry) for place, entry in enumerate(entries, start=1)),
        )
    )


def _entry(place: int, entry: Entry) -> str:
    command = (
        f"daguerre generate {shlex.quote(entry.prompt)} -o {place:02}.jpg --seed {entry.seed}"
        f" --aspect-ratio {entry.aspect_ratio} --output-compression {JPEG_QUALITY}"
        " --embed-prompt"
    )
    picture = f"{PICTURES}/{_name(place)}"
    return f"## {entry.prompt}\n\n![{entry.prompt}]({picture})\n\n```console\n$ {command}\n```\n"


def _name(place: int) -> str:
    return f"{place:02}.jpg"


def main() -> None:
    # A temporary data directory: the user's catalog could name another model.
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), embed_prompt=True)
        try:
            with Model.from_settings(settings, DEFAULT_MODEL) as model:
                images = draw(model, ENTRIES)
        except DaguerreError as error:
            raise SystemExit(f"cannot make the gallery: {error.message}") from None
    write(FOLDER, ENTRIES, images)


if __name__ == "__main__":
    main()
