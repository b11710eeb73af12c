"""The Python API: five lines to a file, previews, validation, and the page that documents it."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import MODEL, FakeEngine, wait_until
from PIL import Image

import daguerre
from daguerre import factory
from daguerre.cli.main import main
from daguerre.config import Settings
from daguerre.errors import (
    InternalError,
    InvalidRequestError,
    NotFoundError,
    SettingsError,
    UnavailableError,
)
from daguerre.models.catalog import Catalog
from daguerre.params import ImageParams
from daguerre.protocol.parsing import parse_request

PAGE = Path(__file__).parents[1] / "docs" / "guides" / "library.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGUERRE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    monkeypatch.setattr(factory, "build_engine", lambda settings, catalog: fake)
    return fake


@pytest.fixture
def model(engine: FakeEngine) -> Iterator[daguerre.Model]:
    with daguerre.Model.load(MODEL) as model:
        yield model


def test_import_loads_nothing_heavy() -> None:
    """`import daguerre` loads no other package, only the modules of Python that it needs."""
    code = "import sys, daguerre; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(Path(daguerre.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert set(done.stdout.split()) - sys.stdlib_module_names == {"daguerre", "__main__"}, (
        done.stderr
    )


def test_names() -> None:
    """The package lists its public names and rejects others."""
    assert {"Model", "ImageParams", "Image", "Step"} <= set(dir(daguerre))
    assert not hasattr(daguerre, "Modell")


def test_same_bytes_as_the_command(directory: Path) -> None:
    """The library writes the bytes that `daguerre generate` writes, as PNG and as JPEG."""
    options = ["--seed", "7", "--size", "1344x768", "--negative-prompt", "snow"]
    with daguerre.Model.load() as model:
        for name in ("x.png", "x.jpg"):
            assert main(["generate", "a red fox", *options, "-o", name]) == 0
            image = model.generate("a red fox", seed=7, size="1344x768", negative_prompt="snow")
            image.save(f"library-{name}")
            assert Path(f"library-{name}").read_bytes() == Path(name).read_bytes()
        assert (image.seed, image.pixels.shape) == (7, (768, 1344, 3))


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_guide(code: str, directory: Path) -> None:
    """Every Python block of the guide runs as it is, and each file it names is an image."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=directory
    )
    assert (done.returncode, done.stderr) == (0, "")
    written = [path for path in directory.iterdir() if path.is_file()]
    assert written
    for path in written:
        with Image.open(path) as image:
            image.load()


def test_stream(model: daguerre.Model, engine: FakeEngine) -> None:
    """Steps come in order, as many as asked for have a preview, and only the last has the image."""
    steps = list(model.stream("a fox", seed=5, previews=2))
    assert [(step.index, step.total) for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4), (4, 4)]
    assert sum(step.preview is not None for step in steps) == 2
    assert [step.image is not None for step in steps] == [False] * 4 + [True]
    assert engine.params[0].num_previews == 2


def test_previews_change_no_pixel() -> None:
    """The bundled model draws the same image with and without previews."""
    with daguerre.Model.load() as model:
        *_, last = model.stream("a fox", seed=5, previews=3)
        assert last.image is not None
        assert np.array_equal(last.image.pixels, model.generate("a fox", seed=5).pixels)


def test_closing_the_iterator_cancels(
    model: daguerre.Model, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed iterator cancels the job in the engine."""

    def hold_from_now_on(params: ImageParams, index: int) -> None:
        engine.is_held = True

    monkeypatch.setattr(engine, "_preview", hold_from_now_on)
    steps = model.stream("a fox")
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert (engine.num_running, engine.num_cancelled) == (0, 1)


@pytest.mark.parametrize(
    "fields",
    [{"size": "12x12"}, {"seed": -1}, {"sed": 1}, {"prompt": " "}, {"output_format": "gif"}],
)
def test_messages_are_those_of_the_api(
    model: daguerre.Model, engine: FakeEngine, fields: dict[str, object]
) -> None:
    """Invalid fields get the message of the HTTP API, before anything reaches the engine."""
    body = {"prompt": "a fox", **fields}
    with pytest.raises(InvalidRequestError) as of_the_api:
        parse_request({"model": MODEL, **body})
    functions: list[Callable[..., object]] = [daguerre.ImageParams, model.generate, model.stream]
    for create in functions:
        with pytest.raises(InvalidRequestError) as error:
            create(**body)
        assert error.value.message == of_the_api.value.message
    assert engine.params == []


def test_model_is_not_a_field(model: daguerre.Model, engine: FakeEngine) -> None:
    """A request cannot choose another model than the loaded one."""
    functions: list[Callable[..., object]] = [daguerre.ImageParams, model.generate, model.stream]
    for create in functions:
        with pytest.raises(InvalidRequestError, match="model is 'x'; omit it"):
            create("a fox", model="x")
    assert engine.params == []


@pytest.mark.parametrize("previews", [-1, 4, "2", True])
def test_number_of_previews(previews: object) -> None:
    """The number of previews is 0 to 3."""
    with pytest.raises(InvalidRequestError, match="previews is .*an integer from 0 to 3"):
        daguerre.ImageParams("a fox", previews=previews)  # type: ignore[arg-type]


def test_params_are_those_of_the_engine(model: daguerre.Model, engine: FakeEngine) -> None:
    """`daguerre.ImageParams` creates what the engine gets: comparable, and copied by `replace`."""
    fox = daguerre.ImageParams("a fox", seed=7, size="1344x768", previews=2)
    assert fox == ImageParams(MODEL, "a fox", width=1344, height=768, seed=7)
    model.generate(replace(fox, seed=8))
    assert engine.params == [ImageParams(MODEL, "a fox", width=1344, height=768, seed=8)]
    assert engine.params[0].num_previews == fox.num_previews == 2


def test_extra_sizes(model: daguerre.Model, engine: FakeEngine) -> None:
    """A loaded model accepts its own sizes."""
    engine.model_infos = (replace(engine.model_infos[0], extra_sizes=("512x512",)),)
    assert model.generate("a fox", size="512x512").pixels.shape == (512, 512, 3)
    with pytest.raises(InvalidRequestError, match='"auto", "512x512"'):
        model.generate("a fox", size="512x500")


def test_params_are_resolved(model: daguerre.Model, engine: FakeEngine) -> None:
    """`ImageParams` draws the seed once, and takes no further fields."""
    params = daguerre.ImageParams("a fox", aspect_ratio="16:9")
    assert 1 <= params.seed < 2**32 and (params.width, params.height) == (1344, 768)
    assert model.generate(params).seed == model.generate(params).seed == params.seed
    with pytest.raises(InvalidRequestError, match="seed .* pass them to ImageParams"):
        model.generate(params, seed=3)


def test_save_by_suffix(model: daguerre.Model, directory: Path) -> None:
    """The suffix decides the format; another suffix is an error that lists the suffixes."""
    image = model.generate("a fox")
    for name, kind in (("x.png", "PNG"), ("x.JPEG", "JPEG")):
        image.save(directory / name)
        with Image.open(name) as opened:
            assert opened.format == kind
    with pytest.raises(InvalidRequestError, match=r"'x.gif' is none of .png, .jpg, .jpeg"):
        image.save("x.gif")
    with pytest.raises(InvalidRequestError, match=r"'gif'; it must be one of png, jpeg"):
        image.encode("gif")


def test_works_inside_an_event_loop(model: daguerre.Model) -> None:
    """The library works where an event loop runs already, as in a notebook."""

    async def main() -> daguerre.Image:
        return model.generate("a fox")

    assert asyncio.run(main()).pixels.shape == (1024, 1024, 3)


def test_threads_share_a_model(model: daguerre.Model, engine: FakeEngine) -> None:
    """Several threads generate at the same time."""
    engine.is_held = True
    with ThreadPoolExecutor(3) as pool:
        images = [pool.submit(model.generate, "a fox", seed=seed) for seed in (1, 2, 3)]
        wait_until(lambda: engine.num_running == 3)
        engine.is_held = False
        assert [image.result().seed for image in images] == [1, 2, 3]


def test_errors(model: daguerre.Model, engine: FakeEngine) -> None:
    """A failed job raises the engine's error, and the model stays usable."""
    engine.failure = InternalError("the network failed")
    with pytest.raises(InternalError, match="the network failed"):
        model.generate("a fox")
    engine.failure = None
    assert model.generate("a fox").pixels.any()


def test_failed_load(engine: FakeEngine) -> None:
    """A model that cannot be loaded raises the reason and stops the engine."""
    engine.is_ready, engine.load_failure = False, "the model could not be loaded: no weights"
    with pytest.raises(InternalError, match="no weights"):
        daguerre.Model.load(MODEL)
    assert engine.num_stops == 1


def test_unknown_model() -> None:
    """An ID that is not in the catalog is an error that lists the IDs."""
    with pytest.raises(NotFoundError, match=MODEL):
        daguerre.Model.load("sdxl")


def test_number_of_threads(
    monkeypatch: pytest.MonkeyPatch, engine: FakeEngine, directory: Path
) -> None:
    """`threads` overrides the environment only if it is given; an error names the argument."""
    monkeypatch.setenv("DAGUERRE_THREADS_PER_WORKER", "3")
    used: list[int] = []

    def build(settings: Settings, catalog: Catalog) -> FakeEngine:
        used.append(settings.threads_per_worker)
        return engine

    monkeypatch.setattr(factory, "build_engine", build)
    for threads in (None, 2):
        daguerre.Model.load(threads=threads).close()
    assert used == [3, 2]
    with pytest.raises(SettingsError, match="^threads is 0; it must be an integer from 1 to 1024"):
        daguerre.Model.load(threads=0)


def test_closed_model(model: daguerre.Model) -> None:
    """A closed model says so; closing twice is allowed."""
    model.close()
    model.close()
    with pytest.raises(UnavailableError, match="closed"):
        model.generate("a fox")


def test_signed_files(engine: FakeEngine, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a certificate, files are signed, and the same as those of the command."""
    import c2pa

    assert main(["certificate", "trial"]) == 0
    flags = []
    for name in ("c2pa_certificate", "c2pa_private_key"):
        monkeypatch.setenv(f"DAGUERRE_{name.upper()}", f"trial/{name}.pem")
        flags += [f"--{name.replace('_', '-')}", f"trial/{name}.pem"]
    with daguerre.Model.load(MODEL) as model:
        model.generate("a red fox", seed=7).save("a.png")
    monkeypatch.delenv("DAGUERRE_C2PA_CERTIFICATE")
    monkeypatch.delenv("DAGUERRE_C2PA_PRIVATE_KEY")
    assert main(["generate", "a red fox", "--seed", "7", "-o", "b.png", *flags]) == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    with c2pa.Reader("a.png") as reader:
        assert reader.get_validation_state() == "Valid"
    assert main(["generate", "a red fox", "--seed", "7", "-o", "c.png"]) == 0
    assert b"c2pa" not in Path("c.png").read_bytes()
