"""What the header of a textual inversion shows: its vectors, and their width. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from daguerre.errors import SettingsError
from daguerre.models.diffusers.adapters.textual_inversion import TextualInversion
from daguerre.models.diffusers.checkpoint import Checkpoint
from daguerre.models.diffusers.component_files import WEIGHTS, read_header, read_json
from daguerre.models.diffusers.single_file import recognition

# Text encoder -> names of its vectors in a file for several encoders.
_NAMES = {
    "text_encoder": ("clip_l", "text_encoders_0"),
    "text_encoder_2": ("clip_g", "text_encoders_1"),
}
# Numbers of a vector -> the checkpoints whose first text encoder has such vectors.
_WIDTHS = {
    768: "Stable Diffusion 1.x",
    1024: "Stable Diffusion 2.x",
    1280: "the second text encoder of SDXL",
}

Shapes = Mapping[str, tuple[int, ...]]


def check(embedding: TextualInversion, checkpoint: Checkpoint) -> None:
    """Raises `SettingsError` if the header shows that the vectors do not fit the checkpoint."""
    file, family = embedding.path, checkpoint.family
    if not family.has_prompt_chunks:
        raise SettingsError(
            f"embeddings is given, but {family.pipeline} has no text encoder that reads them;"
            " remove the key"
        )
    recognition.check_format(file, f"embeddings needs a {WEIGHTS} file")
    shapes = read_header(file).shapes
    for encoder, name in find_vectors(file, shapes, family.text_encoders).items():
        config = read_json(checkpoint.component_folder(encoder) / "config.json")
        width, expected = shapes[name][-1], config.get("hidden_size")
        if width != expected:
            found = f", as for {_WIDTHS[width]}" if width in _WIDTHS else ""
            raise SettingsError(
                f"{file}: the vectors of {name} have {width} numbers{found}; those of {encoder} in"
                f" {checkpoint.path} have {expected}; use a textual inversion for it"
            )


def find_vectors(file: Path, shapes: Shapes, encoders: Sequence[str]) -> dict[str, str]:
    """Text encoder -> name of its vectors. Raises `SettingsError` for any other file."""
    names = {name: encoder for encoder in _NAMES for name in _NAMES[encoder]}
    found = {names[name]: name for name in shapes if name in names}
    if len(shapes) == 1:  # for one text encoder, under the name of a token
        found = {"text_encoder": next(iter(shapes))}
    if len(found) != len(shapes) or not found:
        raise SettingsError(
            f"{file} is not a textual inversion, but {recognition.describe(shapes)}; embeddings"
            " takes textual inversions only"
        )
    if {*found} != {*encoders}:
        raise SettingsError(
            f"{file} has vectors for {', '.join(found)}, but the checkpoint has"
            f" {', '.join(encoders)}; use a textual inversion for it"
        )
    if len({shape[:-1] for shape in shapes.values()}) > 1 or not all(
        len(shape) in (1, 2) and 0 not in shape for shape in shapes.values()
    ):
        raise SettingsError(
            f"{file}: {' and '.join(map(str, shapes.values()))} are not shapes of vectors; each"
            " must be (vectors, numbers), with the same number of vectors"
        )
    return found
