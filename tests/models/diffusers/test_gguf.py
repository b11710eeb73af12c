"""A denoiser in a GGUF file, written with the authors' names as published ones are."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from daguerre.errors import SettingsError
from daguerre.models.diffusers import gguf_file, quantization

from .conftest import REASON, Bench, Request, stock_images

diffusers = pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)
gguf = pytest.importorskip("gguf", reason="the extra daguerre[gguf] is not installed")

from . import original_layout  # noqa: E402
from .test_single_file import _tiny_flux  # noqa: E402, F401

REQUESTS = [Request("a red fox in the snow", seed=1), Request("blue ship", seed=2, steps=3)]
BLOCK = 32  # weights that have one scale


def write(
    file: Path,
    state: original_layout.State,
    kind: str,
    architecture: str = "flux",
    are_all: bool = False,
) -> Path:
    """Matrices whose rows are whole blocks are quantized; the others are float32.

    With `are_all`, all tensors are of the kind.
    """
    writer = gguf.GGUFWriter(file, architecture)
    for name, tensor in state.items():
        data = tensor.float().numpy()
        if are_all or (data.ndim == 2 and data.shape[1] % BLOCK == 0):
            quant_type = gguf.GGMLQuantizationType[kind]
            data = gguf.quants.quantize(data, quant_type)
            writer.add_tensor(name, data, raw_dtype=quant_type)
        else:
            writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def transformer_of(folder: Path) -> Any:
    return diffusers.FluxTransformer2DModel.from_pretrained(folder / "transformer")


@pytest.mark.parametrize("kind", ["Q4_0", "BF16"])
def test_images(kind: str, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """The image is the stock pipeline's with diffusers' loader, alone and next to another."""
    folder = folder_of("flux")
    state = original_layout.flux(transformer_of(folder))
    file = write(tmp_path / "model.gguf", state, kind)
    bench = Bench(folder, components=(("transformer", file),), executor="auto")
    stock = diffusers.FluxTransformer2DModel.from_single_file(
        str(file),
        quantization_config=diffusers.GGUFQuantizationConfig(compute_dtype=torch.float32),
        config=str(folder / "transformer"),
        dtype=torch.float32,
    )
    images = bench.images(REQUESTS)
    assert images == stock_images(folder, bench, REQUESTS, transformer=stock)
    assert images != Bench(folder).images(REQUESTS)
    assert file in bench.model.weights_key.checkpoint.files()


def test_bfloat16_in_all_tensors(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """diffusers would read the bytes of biases and norms as numbers."""
    folder = folder_of("flux")
    module = transformer_of(folder).bfloat16().float()
    state = original_layout.flux(module)
    file = write(tmp_path / "model.gguf", state, "BF16", are_all=True)
    bench = Bench(folder, components=(("transformer", file),))
    assert bench.images(REQUESTS) == stock_images(folder, bench, REQUESTS, transformer=module)


def test_memory(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """The weights stay quantized, so they take the size of the file."""
    folder = folder_of("flux")
    state = original_layout.flux(transformer_of(folder))
    file = write(tmp_path / "model.gguf", state, "Q4_0")
    own, quantized = (
        Bench(folder, components=components).model for components in ((), (("transformer", file),))
    )
    stored = sum(int(tensor.n_bytes) for tensor in gguf.GGUFReader(file).tensors)
    weights = sum(tensor.nbytes for tensor in transformer_of(folder).parameters())
    assert own.num_bytes - quantized.num_bytes == weights - stored > 0


def test_refusals_in_words(
    folder_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each message is one line that names the file."""
    folder = folder_of("flux")
    state = original_layout.flux(transformer_of(folder))
    file = write(tmp_path / "model.gguf", state, "Q8_0")
    truncated = tmp_path / "truncated.gguf"
    truncated.write_bytes(file.read_bytes()[:-100])
    text = write(tmp_path / "llm.gguf", {"blk.0.attn_q.weight": torch.zeros(1)}, "Q8_0", "llama")
    (tmp_path / "no.gguf").write_bytes(b"no")
    lacking = {name: tensor for name, tensor in state.items() if name != "img_in.weight"}
    wider = {**state, "img_in.weight": torch.zeros(32, 128)}
    cases: list[tuple[str, Path, dict[str, Any], str]] = [
        ("transformer", truncated, {}, "is not a GGUF file, or is damaged: "),
        ("transformer", tmp_path / "no.gguf", {}, "is not a GGUF file, or is damaged: "),
        ("transformer", text, {}, "which is a language model, by its tensor blk.0.attn_q.weight"),
        ("transformer", write(tmp_path / "a.gguf", lacking, "Q8_0"), {}, "img_in.weight"),
        (
            "transformer",
            write(tmp_path / "b.gguf", wider, "Q8_0"),
            {},
            "x_embedder.weight of FluxTransformer2DModel has the shape (32, 128) instead of",
        ),
        (
            "transformer",
            file,
            {"executor": "openvino"},
            "'openvino'; with a GGUF file it must",
        ),
        ("transformer", file, {"quantization": "int8-weight-only"}, "already quantized; remove"),
        ("vae", file, {}, "it must be the directory of a vae in diffusers format, or a .safeten"),
    ]
    for name, path, config, words in cases:
        with pytest.raises(SettingsError) as caught:
            Bench(folder, components=((name, path),), **config)
        message = caught.value.message
        assert words in message and "\n" not in message, message
    monkeypatch.setattr(gguf_file, "LIBRARY", "no_such_library")
    with pytest.raises(SettingsError, match="pip install 'daguerre"):
        Bench(folder, components=(("transformer", file),))


def test_fingerprint() -> None:
    """It has the version of the package that reads the weights."""
    assert quantization.stored_fingerprint(["gguf"]) == f"gguf {metadata.version('gguf')}"
