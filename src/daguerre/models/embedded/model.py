"""The model in the box: prompt to pixels as a coroutine that asks for forwards.

Three networks: the text encoder (all-MiniLM-L6-v2), the denoiser (a transformer on patches of the
canvas at 1/8 size) and the decoder (canvas to pixels). Knows nothing of other requests, of files or
of how a forward is run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daguerre.engine.forward import Forward, Network, Outputs
from daguerre.engine.pipeline import Pipeline
from daguerre.errors import InternalError
from daguerre.models.embedded.canvas import NUM_PATCHES, PATCH_VALUES, Canvas, canvas
from daguerre.models.embedded.sampler import Multistep, guide, times
from daguerre.params import ImageParams, ModelInfo

if TYPE_CHECKING:
    from daguerre.models.embedded.text import PromptTokenizer

WEIGHTS = Path(__file__).parent / "weights"
MIN_CORES_TO_SHARE = 4
_MAX_WINDOWS = 8  # of text in one forward, so that a very long prompt does not hold up others


@dataclass(frozen=True, slots=True)
class ModelCard:
    """model.json beside the weights: facts that came with them."""

    name: str
    created: int
    num_inference_steps: int
    guidance_scale: float
    time_shift: float
    weights_sha256: str


def read_card(folder: Path) -> ModelCard:
    """Raises `InternalError` where the file is missing or is not what the recipe writes."""
    try:
        facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        return ModelCard(**{name: facts[name] for name in ModelCard.__slots__})
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InternalError(
            f"the embedded model's card cannot be read: {error!r}; the installation is damaged,"
            " install it again"
        ) from None


def weights_sha256(folder: Path) -> str:
    """One digest of all that decides the picture: the networks and the tokenizer, in name order."""
    digest = hashlib.sha256()
    for file in sorted((*folder.glob("*.xml"), *folder.glob("*.bin"), folder / "tokenizer.json")):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


class EmbeddedModel:
    """Implements `daguerre.engine.pipeline.Model` under the id `model`."""

    def __init__(
        self,
        model: str,
        *,
        folder: Path = WEIGHTS,
        num_threads: int = 0,
        precision: str = "auto",
        num_inference_steps: int = 0,
    ) -> None:
        self.card = read_card(folder)
        self.info = ModelInfo(
            model=model,
            weights_sha256=self.card.weights_sha256,
            created=self.card.created,
            name=self.card.name,
            description="daguerre's embedded model: flat illustration, English prompts",
        )
        self._folder, self._precision = folder, precision
        self._num_threads = num_threads or num_cores()
        # On few cores four rows take twice the time of two, and another 90 MB for good.
        can_share = self._num_threads >= MIN_CORES_TO_SHARE
        self.max_rows: Mapping[str, int] = {"denoiser": 8} if can_share else {}
        self._num_steps = num_inference_steps or self.card.num_inference_steps

    def load(self) -> Mapping[str, Network]:
        from daguerre.models.embedded.networks import load_networks

        found = weights_sha256(self._folder)
        if found != self.card.weights_sha256:
            raise InternalError(
                f"the embedded weights have sha256 {found}, model.json says "
                f"{self.card.weights_sha256}; the installation is damaged, install it again"
            )
        networks = load_networks(self._folder, found, self._num_threads, self._precision)
        self._warm_up(networks)
        return networks

    def pipeline(self, params: ImageParams) -> Pipeline:
        return self._generate(params, self._num_steps)

    @cached_property
    def _tokenizer(self) -> PromptTokenizer:
        from daguerre.models.embedded.text import PromptTokenizer

        return PromptTokenizer(self._folder / "tokenizer.json")

    def _warm_up(self, networks: Mapping[str, Network]) -> None:
        """One step of the default size; another size costs its first request 0.1 s of compiling."""
        pipeline = self._generate(ImageParams(self.info.model, "a cat", seed=1), num_steps=1)
        forward = next(pipeline)
        try:
            while True:
                forward = pipeline.send(networks[forward.network](forward.inputs))
        except StopIteration:
            pass

    def _generate(self, params: ImageParams, num_steps: int) -> Pipeline:
        where = canvas(params.width, params.height)
        text = yield from self._encode((params.prompt, params.negative_prompt))  # (2, 25, 384)
        x = initial_noise(params.seed, where)  # (256, 192)
        schedule = times(num_steps, self.card.time_shift)
        solver = Multistep(schedule)
        fixed = {
            "text": text,
            "position": np.stack((where.position,) * 2),
            "bias": np.stack((where.bias,) * 2),
        }
        for index, t in enumerate(schedule[:-1]):
            inputs = {"patches": np.stack((x, x)), "t": np.full(2, t, np.float32), **fixed}
            step = (index + 1, num_steps)
            (clean,) = yield Forward("denoiser", inputs, stage="denoise", step=step)
            x = solver.step(x, guide(clean[0], clean[1], self.card.guidance_scale), index)
        image = np.clip(where.unpatchify(x), -1, 1)
        (pixels,) = yield Forward("decoder", {"canvas": image[None]}, stage="decode")
        result: NDArray[np.uint8] = pixels[0]
        return result

    def _encode(self, texts: tuple[str, ...]) -> Generator[Forward, Outputs, NDArray[np.float32]]:
        """The denoiser's text input (len(texts), 25, 384)."""
        from daguerre.models.embedded.text import condition

        windows = self._tokenizer.windows(texts)
        hidden: list[NDArray[np.float32]] = []
        for start in range(0, len(windows.ids), _MAX_WINDOWS):
            part = slice(start, start + _MAX_WINDOWS)
            inputs = {"ids": windows.ids[part], "mask": windows.mask[part]}
            (rows,) = yield Forward("text_encoder", inputs, stage="encode")
            hidden.extend(rows)
        out, row = [], 0
        for counts in windows.counts:
            out.append(condition(np.array(hidden[row : row + len(counts)]), counts))
            row += len(counts)
        return np.stack(out)


def initial_noise(seed: int, where: Canvas) -> NDArray[np.float32]:
    """Standard normal (256, 192) float32, zero in the padding.

    From `RandomState`, whose stream numpy has frozen (NEP 19): a seed means the same picture under
    every version of numpy.
    """
    noise = np.zeros((NUM_PATCHES, PATCH_VALUES), np.float32)
    real = where.rows * where.columns
    noise[:real] = np.random.RandomState(seed).standard_normal((real, PATCH_VALUES))
    return noise


def num_cores() -> int:
    """That this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
