"""The bundled model: its card, its weights and loading. `pipeline` makes its images.

Four networks: the text encoder (all-MiniLM-L6-v2), the reader (which reads the prompt once), the
denoiser (a transformer that fills in the fields of a scene), and the decoder (which draws the scene
at its size).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from daguerre.cpu import can_batch, num_cpus
from daguerre.engine.forward import Network
from daguerre.engine.pipeline import Pipeline
from daguerre.errors import InternalError
from daguerre.params import ImageParams, ModelInfo

if TYPE_CHECKING:
    from daguerre.models.embedded.pipeline import EmbeddedPipelines

WEIGHTS = Path(__file__).parent / "weights"
DRAWING = Path(__file__).parent / "drawing"
# What pictures are drawn with. The networks' outputs index the rows of things.txt.
ART = (
    "art.json.gz",
    "drawings.svg",
    "letters.json.gz",
    "people.txt",
    "props.svg",
    "things.txt",
    "vessels.svg",
    "wardrobe.svg",
)


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
        card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        return ModelCard(**{name: card[name] for name in ModelCard.__slots__})
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise _damaged(f"card cannot be read: {error!r}") from None


def weights_sha256(folder: Path) -> str:
    """One digest of everything that determines the picture: networks, tokenizer, rules and art."""
    digest = hashlib.sha256()
    networks = (*folder.glob("*.xml"), *folder.glob("*.bin"), *folder.glob("*.npz"))
    art = (DRAWING / name for name in ART)
    for file in (*sorted((*networks, folder / "tokenizer.json")), *art):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


class EmbeddedModel:
    """The bundled model under the ID `model_id`; implements `daguerre.engine.pipeline.Model`."""

    num_bytes = 330_000_000  # of a worker with it, measured (docs/concepts/reliability.md)

    def __init__(
        self,
        model_id: str,
        *,
        folder: Path = WEIGHTS,
        num_threads: int = 0,
        precision: str = "auto",
        num_inference_steps: int = 0,
    ) -> None:
        self.card = read_card(folder)
        self.info = ModelInfo(
            id=model_id,
            weights_sha256=self.card.weights_sha256,
            created=self.card.created,
            name=self.card.name,
            description="the bundled model: flat illustration, English prompts",
        )
        self._folder, self._precision = folder, precision
        self._num_threads = num_threads or num_cpus()
        self.max_batch_size: Mapping[str, int] = {"denoiser": 8} if can_batch(num_threads) else {}
        self._num_steps = num_inference_steps or self.card.num_inference_steps

    def load(self) -> Mapping[str, Network]:
        with ThreadPoolExecutor() as threads:
            check = threads.submit(self._check_weights)
            try:
                return self._load(threads)
            finally:
                check.result()  # raised in place of any other error that damaged weights cause

    def pipeline(self, params: ImageParams) -> Pipeline:
        return self._pipelines.pipeline(params, self._num_steps)

    def batch_class(self, params: ImageParams) -> None:
        return None  # the networks do not depend on the size

    @cached_property
    def _pipelines(self) -> EmbeddedPipelines:
        # Imported here, because the server process only lists models.
        from daguerre.models.embedded.pipeline import EmbeddedPipelines

        return EmbeddedPipelines(self._folder, self.card.temperature, self.card.guidance_scale)

    def _load(self, threads: ThreadPoolExecutor) -> Mapping[str, Network]:
        from daguerre.models.embedded.decoder import SceneDecoder
        from daguerre.models.embedded.memory import read_unprompted
        from daguerre.models.embedded.networks import first_inputs, load_networks

        sha256 = self.card.weights_sha256
        networks = load_networks(self._folder, sha256, self._num_threads, self._precision)
        # The first calls compile without the GIL while the decoder's data is read here: the
        # denoiser's in one thread, the other two in another, because each thread has its own heap.
        (largest, first), *others = first_inputs(read_unprompted(self._folder))
        large = threads.submit(networks[largest], first)
        small = threads.submit(lambda: [networks[name](inputs) for name, inputs in others])
        self._pipelines.read_art()
        large.result()
        small.result()
        all_networks: Mapping[str, Network] = {**networks, "decoder": SceneDecoder(sha256)}
        self._pipelines.warm_up(all_networks)
        return all_networks

    def _check_weights(self) -> None:
        try:
            actual = weights_sha256(self._folder)
        except OSError as error:
            raise _damaged(f"weights cannot be read: {error}") from None
        if actual != (expected := self.card.weights_sha256):
            raise _damaged(f"weights have sha256 {actual}, model.json says {expected}") from None


def _damaged(what: str) -> InternalError:
    return InternalError(
        f"the bundled model's {what}; the installation is damaged, install it again"
    )
