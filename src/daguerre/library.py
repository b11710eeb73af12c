"""The Python API: load a model, generate images and watch their previews, without a server.

    import daguerre

    with daguerre.Model.load() as model:
        model.generate("a red apple", seed=7).save("apple.png")

The same fields and seed produce the same bytes as `daguerre generate` and the server.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from daguerre import factory, params
from daguerre.config import Settings
from daguerre.errors import InternalError, InvalidRequestError, UnavailableError
from daguerre.imagefile.encoding import SUFFIXES, encode, format_of
from daguerre.models.catalog import DEFAULT_MODEL, checkpoint_catalog
from daguerre.params import MAX_PREVIEWS, JobFailed, JobSucceeded, StepCompleted
from daguerre.protocol.parsing import describe_constraint, field_schemas, parse_request

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from daguerre.engine.interface import Engine

__all__ = ["Image", "ImageParams", "Model", "Step"]

_LOADING_POLL_S = 0.02
_Result = TypeVar("_Result")


class ImageParams(params.ImageParams):
    """Parameters of one image, validated when they are created.

    Takes the fields of `POST /v1/images/generations`, for example `negative_prompt`, `size`,
    `aspect_ratio`, `seed` and `output_format`. Raises `InvalidRequestError` with the message of
    the HTTP API. Without a seed, a random one is drawn. `previews` is the number of previews, 0
    to 3.
    """

    __slots__ = ()

    def __init__(self, prompt: str, *, previews: int = 0, **fields: object) -> None:
        if previews not in range(MAX_PREVIEWS + 1):
            rule = describe_constraint(field_schemas()["partial_images"])
            raise InvalidRequestError(
                f"previews is {previews!r}; it must be {rule}", param="previews"
            )
        request = {"model": DEFAULT_MODEL, "prompt": prompt, **fields}
        request |= {"stream": True, "partial_images": previews} if previews else {}
        super().__init__(**asdict(parse_request(request).to_image_params()))


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A generated image."""

    generated: params.GeneratedImage
    embed_prompt: bool = False

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """(height, width, 3) uint8, sRGB."""
        return self.generated.pixels

    @property
    def seed(self) -> int:
        return self.generated.params.seed

    def encode(self, output_format: str | None = None) -> bytes:
        """The image file with its metadata; by default in the format of the request."""
        wanted = self.generated.params
        if output_format is not None:
            wanted = replace(wanted, output_format=output_format)
        return encode(replace(self.generated, params=wanted), with_prompt=self.embed_prompt)

    def save(self, path: str | Path) -> None:
        """Writes the file, in the format of its suffix: .png, .jpg or .jpeg."""
        output_format = format_of(path)
        if output_format is None:
            raise InvalidRequestError(
                f"the suffix of {str(path)!r} is none of {', '.join(SUFFIXES)}; rename the file"
            )
        Path(path).write_bytes(self.encode(output_format))

    def _repr_png_(self) -> bytes:
        """Shows the image in notebooks."""
        return self.encode("png")


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Progress of a generation: step `index` (1-based) of `total` is complete.

    `preview` is the estimated image (h, w, 3) uint8, smaller than the image, at the steps that have
    one. Only the last `Step` has the image.
    """

    index: int
    total: int
    preview: NDArray[np.uint8] | None = None
    image: Image | None = None


class Model:
    """A loaded model; `Model.load` creates one.

    Threads may share it: their requests are batched as in the server. `close`, or the end of a
    `with` block, frees its memory.
    """

    def __init__(self, engine: Engine, model_id: str, *, embed_prompt: bool) -> None:
        """Use `load`, `from_settings` or `from_engine`."""
        self.id = model_id
        self._engine, self._embed_prompt = engine, embed_prompt
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="daguerre-library", daemon=True
        )
        self._thread.start()

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        *,
        catalog: str | Path | None = None,
        threads: int = 0,
    ) -> Self:
        """Loads a model into this process; returns when it is ready.

        `model` is a model ID of the catalog or the path of a checkpoint in diffusers format; by
        default the bundled model, or the catalog's first. `catalog` is a `daguerre.toml`, by
        default that of the data directory. `threads` is the number of CPU threads; 0 uses all
        cores. Other settings come from the environment. Raises `SettingsError`, `NotFoundError`
        for an unknown ID, and `InternalError` if loading fails.
        """
        settings = Settings.load({"catalog": catalog, "threads_per_worker": threads})
        served = factory.read_catalog(settings)
        if model is None or str(model) in served.models or not Path(model).is_dir():
            return cls.from_settings(settings, str(model or served.default_model))
        path = Path(model)
        engine = factory.build_engine(settings, checkpoint_catalog(path))
        return cls.from_engine(engine, path.resolve().name, embed_prompt=settings.embed_prompt)

    @classmethod
    def from_settings(cls, settings: Settings, model_id: str) -> Self:
        """Loads a model of the catalog as `load` does, with all settings given."""
        engine = factory.build_engine(settings, factory.read_catalog(settings).only(model_id))
        return cls.from_engine(engine, model_id, embed_prompt=settings.embed_prompt)

    @classmethod
    def from_engine(cls, engine: Engine, model_id: str, *, embed_prompt: bool = False) -> Self:
        """Starts an engine that serves the model, and stops it in `close`."""
        loaded = cls(engine, model_id, embed_prompt=embed_prompt)
        try:
            loaded._run(loaded._start())
        except BaseException:
            loaded.close()
            raise
        return loaded

    def generate(self, prompt: str | params.ImageParams, **fields: object) -> Image:
        """Generates one image of `ImageParams`, or of a prompt and their fields."""
        *_, last = self._steps(self._params(prompt, fields))
        assert last.image is not None, "the last step has no image. This is a bug."
        return last.image

    def stream(self, prompt: str | params.ImageParams, **fields: object) -> Iterator[Step]:
        """Like `generate`, but yields a `Step` after each denoising step and one with the image.

        `previews` is the number of steps with a preview. Closing the iterator cancels the
        generation.
        """
        return self._steps(self._params(prompt, fields))

    def close(self) -> None:
        """Cancels what is running and frees the model's memory; may be called twice."""
        if self._loop.is_closed():
            return
        self._run(self._engine.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _params(
        self, prompt: str | params.ImageParams, fields: dict[str, Any]
    ) -> params.ImageParams:
        if isinstance(prompt, str):
            prompt = ImageParams(prompt, **fields)
        elif fields:
            raise InvalidRequestError(
                f"{', '.join(fields)} given together with ImageParams; pass them to ImageParams"
            )
        return params.ImageParams(**asdict(prompt) | {"model": self.id})

    async def _start(self) -> None:
        await self._engine.start()
        while not (stats := self._engine.stats()).is_ready:
            if stats.failure:
                raise InternalError(stats.failure)
            await asyncio.sleep(_LOADING_POLL_S)

    def _steps(self, resolved: params.ImageParams) -> Iterator[Step]:
        if self._loop.is_closed():
            raise UnavailableError("the model is closed; load it again")
        events = self._engine.generate(resolved)
        index = total = 0
        try:
            while True:
                event = self._run(anext(events))
                if isinstance(event, StepCompleted):
                    index, total = event.index, event.total
                    yield Step(index, total, event.preview)
                elif isinstance(event, JobSucceeded):
                    yield Step(index, total, image=Image(event.image, self._embed_prompt))
                    return
                elif isinstance(event, JobFailed):
                    raise event.error
        finally:
            if not self._loop.is_closed():
                self._run(events.aclose())

    def _run(self, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
        """Runs a coroutine on the model's own event loop, so that callers may have one, too."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:  # for example KeyboardInterrupt
            future.cancel()
            raise
