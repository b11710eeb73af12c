"""The bundled model: its pipeline from prompt to pixels, and loading.

Three networks: the text encoder (all-MiniLM-L6-v2), the denoiser (a transformer that fills in the
fields of a scene), and the decoder (which draws the scene at its size).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daguerre.cpu import num_cores
from daguerre.engine.forward import ForwardRequest, Inputs, Network, Outputs
from daguerre.engine.pipeline import Pipeline, Pixels
from daguerre.errors import InternalError
from daguerre.params import ImageParams, ModelInfo

if TYPE_CHECKING:
    from concurrent.futures import Future

    from daguerre.models.embedded.fields import CompatibilityTables
    from daguerre.models.embedded.text import PromptTokenizer

WEIGHTS = Path(__file__).parent / "weights"
# Art and the table of things; the networks' outputs index its rows.
ART = tuple(
    Path(__file__).parent / "drawing" / name
    for name in ("art.json.gz", "drawings.svg", "things.txt")
)
MIN_CORES_TO_SHARE = 4
PREVIEW_SCALE = 8  # a preview has the image's width and height divided by this
_MAX_WINDOWS = 8  # text windows in one forward; bounds the delay by a very long prompt


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Metadata of the weights, from model.json."""

    name: str
    created: int
    num_inference_steps: int
    guidance_scale: float
    temperature: float
    weights_sha256: str


def read_card(folder: Path) -> ModelCard:
    """Raises `InternalError` if the file is missing or malformed."""
    try:
        facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        return ModelCard(**{name: facts[name] for name in ModelCard.__slots__})
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InternalError(
            f"the embedded model's card cannot be read: {error!r}; the installation is damaged,"
            " install it again"
        ) from None


def weights_sha256(folder: Path) -> str:
    """One digest of everything that determines the picture: networks, tokenizer, rules and art."""
    digest = hashlib.sha256()
    networks = (*folder.glob("*.xml"), *folder.glob("*.bin"))
    for file in (*sorted((*networks, folder / "tokenizer.json", folder / "rules.npz")), *ART):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


class EmbeddedModel:
    """The bundled model under the ID `model`; implements `daguerre.engine.pipeline.Model`."""

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
        # On two cores, batching would save an eighth of an image's time, but it is not exact.
        can_share = self._num_threads >= MIN_CORES_TO_SHARE
        self.max_batch_size: Mapping[str, int] = {"denoiser": 8} if can_share else {}
        self._num_steps = num_inference_steps or self.card.num_inference_steps

    def load(self) -> Mapping[str, Network]:
        with ThreadPoolExecutor() as threads:
            hashing = threads.submit(weights_sha256, self._folder)
            try:
                from daguerre.models.embedded.networks import load_networks

                sha256 = self.card.weights_sha256
                loaded = load_networks(self._folder, sha256, self._num_threads, self._precision)
                # The first calls compile without the GIL while the decoder's data is read here.
                calls = [threads.submit(loaded[name], inputs) for name, inputs in _first_inputs()]
                networks = self._with_decoder(loaded)
                for call in calls:
                    call.result()
                self._warm_up(networks)
            finally:
                # Raised in place of any other error that damaged weights cause.
                self._check_weights(hashing)
        return networks

    def _check_weights(self, hashing: Future[str]) -> None:
        try:
            found = hashing.result()
        except OSError as error:
            raise InternalError(
                f"the embedded weights cannot be read: {error}; the installation is damaged,"
                " install it again"
            ) from None
        if found != self.card.weights_sha256:
            raise InternalError(
                f"the embedded weights have sha256 {found}, model.json says "
                f"{self.card.weights_sha256}; the installation is damaged, install it again"
            ) from None

    def _with_decoder(self, networks: Mapping[str, Network]) -> Mapping[str, Network]:
        """Adds the decoder, and loads the tokenizer, the rules and the art."""
        from daguerre.models.embedded.decoder import SceneDecoder, picture
        from daguerre.models.embedded.fields import NUM_LOGITS
        from daguerre.models.embedded.sampler import Noise, SceneSampler

        _ = self._tokenizer
        sampler = SceneSampler(Noise.draw(1), self._rules, num_steps=1, temperature=0.0)
        picture(sampler.estimate(np.zeros(NUM_LOGITS, np.float32)), 0, 0, 0, PREVIEW_SCALE)
        return {**networks, "decoder": SceneDecoder(self.card.weights_sha256)}

    def pipeline(self, params: ImageParams) -> Pipeline:
        return self._generate(params, self._num_steps)

    @cached_property
    def _tokenizer(self) -> PromptTokenizer:
        from daguerre.models.embedded.text import PromptTokenizer

        return PromptTokenizer(self._folder / "tokenizer.json")

    @cached_property
    def _rules(self) -> CompatibilityTables:
        from daguerre.models.embedded.fields import CompatibilityTables

        with (self._folder / "rules.npz").open("rb") as file, np.load(file) as arrays:
            return CompatibilityTables.from_arrays(dict(arrays))

    def _warm_up(self, networks: Mapping[str, Network]) -> None:
        """Generates an image of the default size, so that the first request is fast."""
        pipeline = self._generate(ImageParams(self.info.model, "a cat", seed=1), num_steps=1)
        forward = next(pipeline)
        try:
            while True:
                forward = pipeline.send(networks[forward.network](forward.inputs))
        except StopIteration:
            pass

    def _generate(self, params: ImageParams, num_steps: int) -> Pipeline:
        # Imported here, because the server process only lists models.
        from daguerre.models.embedded.decoder import picture
        from daguerre.models.embedded.fields import SHAPE_INDEX
        from daguerre.models.embedded.negative_prompt import excluded_values
        from daguerre.models.embedded.sampler import Noise, SceneSampler

        text = yield from self._encode((params.prompt, params.negative_prompt))  # (2, 25, 384)
        texts = zip(("text", "negative"), text, strict=True)
        rows = {name: np.stack((one, np.zeros_like(one))) for name, one in texts}
        noise = Noise.draw(params.seed)
        refused = excluded_values(params.negative_prompt)
        sampler = SceneSampler(noise, self._rules, num_steps, self.card.temperature, refused)
        shape = SHAPE_INDEX[params.width, params.height]

        def preview(outputs: Outputs) -> Pixels:
            tokens = sampler.estimate(self._guided(outputs))
            return picture(tokens, shape, noise.layout, noise.palette, PREVIEW_SCALE)

        for index in range(num_steps):
            tokens = np.stack((sampler.tokens,) * 2)
            inputs = {**rows, "tokens": tokens, "shape": np.full(2, shape)}
            step = (index + 1, num_steps)
            outputs = yield ForwardRequest("denoiser", inputs, "denoise", step, preview)
            sampler.step(self._guided(outputs), index)
        layout = np.array([[noise.layout, noise.palette]])
        drawn = {"tokens": sampler.tokens[None], "layout": layout, "shape": shape}
        (pixels,) = yield ForwardRequest("decoder", drawn, stage="decode")
        result: Pixels = np.asarray(pixels[0])
        return result

    def _guided(self, outputs: Outputs) -> NDArray[np.float32]:
        """Logits of all fields, with classifier-free guidance."""
        from daguerre.models.embedded.sampler import classifier_free_guidance

        prompted, free = np.asarray(outputs[0])
        return classifier_free_guidance(prompted, free, self.card.guidance_scale)

    def _encode(
        self, texts: tuple[str, ...]
    ) -> Generator[ForwardRequest, Outputs, NDArray[np.float32]]:
        """The text input of the denoiser, (len(texts), 25, 384)."""
        from daguerre.models.embedded.text import condition

        windows = self._tokenizer.windows(texts)
        hidden: list[NDArray[np.float32]] = []
        for start in range(0, len(windows.ids), _MAX_WINDOWS):
            part = slice(start, start + _MAX_WINDOWS)
            inputs = {"ids": windows.ids[part], "mask": windows.mask[part]}
            (rows,) = yield ForwardRequest("text_encoder", inputs, stage="encode")
            hidden.extend(rows)
        out, row = [], 0
        for counts in windows.counts:
            out.append(condition(np.array(hidden[row : row + len(counts)]), counts))
            row += len(counts)
        return np.stack(out)


def _first_inputs() -> Iterator[tuple[str, Inputs]]:
    """Networks with inputs of the usual shapes, the slowest to compile first."""
    ids, text = np.zeros((2, 32), np.int64), np.zeros((2, 25, 384), np.float32)
    yield (
        "denoiser",
        {
            "text": text,
            "negative": text,
            "tokens": np.zeros((2, 46), np.int64),
            "shape": np.zeros(2, np.int64),
        },
    )
    yield "text_encoder", {"ids": ids, "mask": np.ones_like(ids)}
