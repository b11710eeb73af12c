"""The Python API: load a model, generate images and watch their previews, without a server.

    import daguerre

    with daguerre.Model.load() as model:
        model.generate("a red apple", seed=7).save("apple.png")

The same fields and seed produce the same bytes as `daguerre generate` and the server.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self

from daguerre import factory, params
from daguerre.config import Settings
from daguerre.engine.interface import find_model
from daguerre.errors import InternalError, InvalidRequestError, SettingsError, UnavailableError
from daguerre.imagefile import open_credentials
from daguerre.imagefile.encoding import FORMATS, SUFFIXES, encode, format_of
from daguerre.models.catalog import DEFAULT_MODEL, Catalog
from daguerre.params import MAX_PREVIEWS, Event, JobFailed, JobSucceeded, StepCompleted
from daguerre.protocol.parsing import parse_request
from daguerre.validation import int_range

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from daguerre.engine.thread_engine import ThreadEngine
    from daguerre.imagefile.content_credentials import ContentCredentials

__all__ = ["Image", "ImageParams", "Model", "Step"]

_LOADING_POLL_S = 0.02
_PREVIEWS, _THREADS = int_range(0, MAX_PREVIEWS), int_range(1, 1024)


def ImageParams(prompt: str, *, previews: int = 0, **fields: object) -> params.ImageParams:
    """Creates validated `daguerre.params.ImageParams`, which `dataclasses.replace` can copy.

    Takes the fields of `POST /v1/images/generations`, for example `negative_prompt`, `size`,
    `aspect_ratio`, `seed` and `output_format`, but no `model`: the `Model` sets it. `previews` is
    the number of previews, 0 to 3. Without a seed, a random one is drawn. Extra sizes of a model
    are accepted by `Model.generate` alone. Raises `InvalidRequestError` with the message of the
    HTTP API.
    """
    return _params(prompt, previews, fields)


def _params(
    prompt: str, previews: int, fields: dict[str, object], extra_sizes: tuple[str, ...] = ()
) -> params.ImageParams:
    if "model" in fields:
        message = f"model is {fields['model']!r}; omit it and choose the model with Model.load"
        raise InvalidRequestError(message, param="model")
    if not _PREVIEWS.accepts(previews):
        message = f"previews is {previews!r}; it must be {_PREVIEWS.rule}"
        raise InvalidRequestError(message, param="previews")
    body = {"model": DEFAULT_MODEL, "prompt": prompt, **fields}
    request = parse_request(body, {DEFAULT_MODEL: extra_sizes})
    return replace(request.to_image_params(), num_previews=previews)


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A generated image."""

    generated: params.GeneratedImage
    embed_prompt: bool = False
    credentials: ContentCredentials | None = None

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """(height, width, 3) uint8, sRGB."""
        return self.generated.pixels

    @property
    def seed(self) -> int:
        return self.generated.params.seed

    def encode(self, output_format: str | None = None) -> bytes:
        """The image file with its metadata; by default in the format of the request."""
        wanted = output_format or self.generated.params.output_format
        if wanted not in FORMATS:
            rule = f"it must be one of {', '.join(FORMATS)}"
            raise InvalidRequestError(f"output_format is {wanted!r}; {rule}", param="output_format")
        changed = replace(self.generated.params, output_format=wanted)
        return encode(
            replace(self.generated, params=changed),
            with_prompt=self.embed_prompt,
            credentials=self.credentials,
        )

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
class Step(StepCompleted):
    """Step `index` (1-based) of `total` is complete; only the last `Step` has the image.

    `preview` is the estimated image (h, w, 3) uint8, smaller than the image, at the steps that have
    one.
    """

    image: Image | None = None


class Model:
    """A loaded model; `Model.load` creates one.

    Threads may share it: their requests are batched as in the server. `close`, or the end of a
    `with` block, frees its memory.
    """

    def __init__(
        self,
        engine: ThreadEngine,
        model_id: str,
        *,
        embed_prompt: bool,
        credentials: ContentCredentials | None = None,
    ) -> None:
        """Starts the engine, and returns when it serves the model; `load` is the usual way."""
        self.id = model_id
        self._engine, self._is_closed = engine, False
        self._embed_prompt, self._credentials = embed_prompt, credentials
        engine.start_thread()
        try:
            while not (stats := engine.stats()).is_ready:
                if stats.failure:
                    raise InternalError(stats.failure)
                time.sleep(_LOADING_POLL_S)
        except BaseException:
            self.close()
            raise

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        *,
        base: str | Path | None = None,
        catalog: str | Path | None = None,
        threads: int | None = None,
    ) -> Self:
        """Loads a model into this process; returns when it is ready.

        `model` is a model ID of the catalog, the path of a checkpoint (a directory in diffusers
        format, a single file or a hub's cache), or a repository that `daguerre pull` downloaded; by
        default the bundled model, or the catalog's first. `base` is a checkpoint of the same family
        that has what a single file lacks. `catalog` is a `daguerre.toml`, by default that of the
        data directory. `threads` is the number of CPU threads. Its default and all other settings
        come from the environment. Raises `SettingsError`, `NotFoundError` for an unknown ID, and
        `InternalError` if loading fails.
        """
        settings = Settings.load()
        if catalog is not None:
            settings = replace(settings, catalog=Path(catalog))
        if threads is not None:
            if not _THREADS.accepts(threads):
                raise SettingsError(f"threads is {threads!r}; it must be {_THREADS.rule}")
            settings = replace(settings, threads_per_worker=threads)
        served = factory.choose_model(settings, _text(model), _text(base))
        return cls.from_settings(settings, served.default_model, served)

    @classmethod
    def from_settings(cls, settings: Settings, model: str, catalog: Catalog | None = None) -> Self:
        """Loads a model of a catalog, by default the catalog that the settings name."""
        catalog = (catalog or factory.read_catalog(settings)).only(model)
        credentials = open_credentials(settings.c2pa_certificate, settings.c2pa_private_key)
        engine = factory.build_engine(settings, catalog)
        return cls(engine, model, embed_prompt=settings.embed_prompt, credentials=credentials)

    def generate(self, prompt: str | params.ImageParams, **fields: Any) -> Image:
        """Generates one image of `ImageParams`, or of a prompt and their fields."""
        *_, last = self.stream(prompt, **fields)
        assert last.image is not None, "the last step has no image. This is a bug."
        return last.image

    def stream(self, prompt: str | params.ImageParams, **fields: Any) -> Iterator[Step]:
        """Like `generate`, but yields a `Step` after each denoising step and one with the image.

        `previews` is the number of steps with a preview. Closing the iterator cancels the
        generation.
        """
        if isinstance(prompt, str):
            info = find_model(self.id, self._engine.models())
            prompt = _params(prompt, fields.pop("previews", 0), fields, info.extra_sizes)
        elif fields:
            raise InvalidRequestError(
                f"{', '.join(fields)} given together with ImageParams; pass them to ImageParams"
            )
        return self._steps(replace(prompt, model=self.id))

    def close(self) -> None:
        """Cancels what is running and frees the model's memory; may be called twice."""
        self._is_closed = True
        self._engine.stop_thread()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _steps(self, resolved: params.ImageParams) -> Iterator[Step]:
        if self._is_closed:
            raise UnavailableError("the model is closed; load it again")
        events: SimpleQueue[Event] = SimpleQueue()
        number, _ = self._engine.submit(resolved, events.put)
        index = total = 0
        try:
            while True:
                match events.get():
                    case StepCompleted(index, total, preview):
                        yield Step(index, total, preview)
                    case JobSucceeded(generated):
                        image = Image(generated, self._embed_prompt, self._credentials)
                        yield Step(index, total, image=image)
                        return
                    case JobFailed(error):
                        raise error
        finally:
            self._engine.cancel(number)


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)
