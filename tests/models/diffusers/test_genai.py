"""The benchmark against OpenVINO GenAI, whose packages stand-ins replace here."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from .conftest import REASON

pytest.importorskip("diffusers", reason=REASON)

# Take the arguments that the real packages take; the seed decides the colours of an image.
OPENVINO_GENAI = """
from types import SimpleNamespace
import numpy as np

def TorchGenerator(seed):
    return seed

class Text2ImagePipeline:
    def __init__(self, folder):
        self.folder = folder

    def reshape(self, num_images, height, width, guidance):
        assert (num_images, height, width, guidance) == (1, 1024, 1024, 7.5)

    def compile(self, device, INFERENCE_PRECISION_HINT):
        assert (device, INFERENCE_PRECISION_HINT) == ("CPU", "f32")

    def generate(self, prompt, *, negative_prompt, width, height, num_inference_steps,
                 guidance_scale, generator):
        assert (prompt[:12], num_inference_steps, guidance_scale) == ("a lighthouse", 2, 7.5)
        rows = np.arange(height)[:, None, None] + generator
        image = np.broadcast_to(rows, (height, width, 3)).astype(np.uint8)
        return SimpleNamespace(data=image[None])
"""
OPTIMUM = """
def export_from_model(pipeline, folder, task):
    folder.mkdir()
    (folder / "exported").write_text(f"{type(pipeline).__name__} for {task}")

def maybe_convert_tokenizers(library, folder, pipeline, task):
    (folder / "tokenizers").touch()
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes the packages importable by other processes, with their versions."""
    packages = tmp_path / "packages"
    exporter = packages / "optimum" / "exporters" / "openvino"
    exporter.mkdir(parents=True)
    (packages / "openvino_genai.py").write_text(OPENVINO_GENAI)
    (exporter / "__init__.py").write_text(OPTIMUM)
    (exporter / "__main__.py").write_text(OPTIMUM)
    for name in ("openvino_genai", "optimum_intel"):
        about = packages / f"{name}-1.2.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    monkeypatch.setenv("PYTHONPATH", str(packages))
    return packages


def test_load(packages: Path, tmp_path: Path) -> None:
    """The checkpoint is exported once. The server gets all options, and is stopped."""
    from bench.compare import Load, checkpoints, genai, servers
    from bench.load import Asked

    from . import tiny

    kind = checkpoints.Kind(lambda folder: 0, "none", 2, 7.5)
    checkpoint, exported = tiny.stable_diffusion(tmp_path / "sd"), tmp_path / "exported"
    python = Path(sys.executable)
    assert genai.version(python) == "openvino-genai 1.2, optimum-intel 1.2"
    for _ in range(2):
        with genai.serving(python, exported, checkpoint, kind, "f32", "1024x1024") as server:
            load = Load(server, math.inf)
            load.run(1, [1])
            (result,) = load.results("GenAI f32", [1])
            assert load.first is not None
            first, second = load.first.answers[0], result.answers[0]
            assert first.asked == Asked(servers.MODEL, first.asked.prompt, seed=1)
            assert first.digest != second.digest
        assert server.process is not None and server.process.poll() is not None
    assert (exported / "exported").read_text() == "StableDiffusionPipeline for text-to-image"
    assert (exported / "tokenizers").exists()


def test_failed_export(packages: Path, tmp_path: Path) -> None:
    """The error has the end of the program's output."""
    from bench.compare import checkpoints, genai
    from bench.load import LoadError

    kind = checkpoints.Kind(lambda folder: 0, "none", 2, 7.5)
    missing, python = tmp_path / "missing", Path(sys.executable)
    starting = genai.serving(python, tmp_path / "exported", missing, kind, "f32", "1024x1024")
    with pytest.raises(LoadError, match="status 1(.|\n)*model_index.json"), starting:
        pass


def test_wrong_python(packages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bench.compare.options import parse

    options = ["--genai-python", sys.executable]
    assert parse(options, None).genai_dtypes == ["f32", "bf16"]
    for about in packages.glob("*.dist-info"):
        (about / "METADATA").unlink()
        about.rmdir()
    for python, reason in ((sys.executable, "status 1"), ("/none", "No such file")):
        with pytest.raises(SystemExit):
            parse(["--genai-python", python], None)
        error = capsys.readouterr().err
        assert f"--genai-python is {python!r}" in error and reason in error
