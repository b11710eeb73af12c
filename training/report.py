"""Writes into docs/model-card.md what the weights are, and the figures of `training.evaluate`.

    python -m training.report --weights FOLDER --figures training/figures.json

Rows of the card's first table are replaced by name, and the figures between two comments. What has
been seen by eye is not touched.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.fields import FIELDS
from daguerre.models.embedded.model import ART, DRAWING, WEIGHTS
from training import geneval
from training.ir import read_parameters

ROOT = Path(__file__).parents[1]
CARD = ROOT / "docs" / "model-card.md"
FIGURES = ROOT / "training" / "figures.json"
BEGIN, END = "<!-- figures: python -m training.report -->", "<!-- end of figures -->"
Figures = dict[str, dict[str, float]]
# Key in the figures -> heading in the model card.
WORDINGS = {
    "plain": "plain",
    "paraphrased": "paraphrased",
    "by synonym": "synonym",
    "by a word never seen": "unseen word",
}
# Key in the figures -> heading of the prompts of GenEval's kind.
GENEVAL = {"geneval": "own prompts", "geneval, given prompts": "GenEval's prompts"}


def facts(folder: Path) -> dict[str, str]:
    """Rows of the card's first table that depend on the code or the weights in `folder`."""
    card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    trained, created = card["trained"], datetime.fromtimestamp(card["created"], UTC)
    found = read_parameters(folder / "reader.xml") | read_parameters(folder / "denoiser.xml")
    blocks, text_blocks = (_num_blocks(name, found) for name in ("blocks", "text_blocks"))
    width = found["denoiser.embed_field.weight"].shape[1]
    drawings = sum(len(things.looks(thing)) for thing in things.THINGS)
    return {
        "how": f"decides a scene of {len(FIELDS)} fields by masked discrete diffusion in"
        f" {card['num_inference_steps']} steps, then renders it with vector art",
        "denoiser": f"transformer, width {width}, {blocks} blocks over the scene and {text_blocks}"
        f" over the text, {sum(a.size for a in found.values()) / 1e6:.1f} million parameters",
        "decoder": "a renderer of places, people and lettering, with"
        f" {drawings:,} drawings of {len(things.THINGS):,} objects; no parameters",
        "weights": "int8 with a scale for each row,"
        f" {_megabytes(list(folder.iterdir()))}, and {_megabytes([DRAWING / n for n in ART])} of"
        " art; run in float32, or in bfloat16 on CPUs with AMX or AMD's `avx512_bf16`",
        "trained": f"last with {trained['captions']:,.0f} captions in"
        f" {trained['seconds'] / 60:.0f} minutes on two shared CPU cores, {created:%Y-%m-%d};"
        " before, see the [log](../training/LOG.md)",
    }


def _num_blocks(kind: str, names: Iterable[str]) -> int:
    return len({m[1] for name in names if (m := re.match(rf"denoiser\.{kind}\.(\d+)\.", name))})


def _megabytes(files: list[Path]) -> str:
    return f"{sum(file.stat().st_size for file in files) / 1e6:.0f} MB"


def with_facts(text: str, facts: Mapping[str, str]) -> str:
    """The card's text with rows of its first table replaced."""
    lines = text.split("\n")
    for name, fact in facts.items():
        (row,) = (i for i, line in enumerate(lines) if line.startswith(f"| {name} |"))
        lines[row] = f"| {name} | {fact} |"
    return "\n".join(lines)


def with_figures(text: str, figures: Figures) -> str:
    """The card's text with its figures replaced."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, f"the model card needs {BEGIN!r} and {END!r}"
    return f"{before}{BEGIN}\n\n{table(figures)}\n\n{END}{after}"


def table(figures: Figures) -> str:
    """The figures in Markdown."""
    lines = [
        f"| share correct | {' | '.join(WORDINGS.values())} |",
        "|---" * (1 + len(WORDINGS)) + "|",
    ]
    for figure, found in figures.items():
        if "plain" in found:
            cells = (f"{found[w]:.2f}" if w in found else "" for w in WORDINGS)
            lines.append(f"| {figure} | {' | '.join(cells)} |")
    negative, data = figures["negative"], figures["against the data"]
    lines += [
        "",
        *_geneval_table({name: figures[key] for key, name in GENEVAL.items() if key in figures}),
        "",
        *_robustness_lines(figures),
        f"- Negative prompts: obeyed in {negative['gone']:.2f} of {negative['there']:.0f} images"
        " that show the excluded content without one.",
        f"- Compared with images of the training data: sharpness {data['sharpness']:.2f}, diversity"
        f" {data['diversity']:.2f}.",
    ]
    return "\n".join(lines)


def _robustness_lines(figures: Figures) -> list[str]:
    """What style tails and other wordings change; nothing for figures without them."""
    if "tails" not in figures:
        return []
    kinds = {"tails": "style tails that no caption has", "new tails": "sixteen further tails"}
    return [
        *(
            f"- After {which}: the object alone in {figures[key]['alone']:.2f}, with another one in"
            f" {figures[key]['extra']:.2f}, missing in {figures[key]['missing']:.2f}."
            for key, which in kinds.items()
            if key in figures
        ),
        "- Other wordings of a prompt: the same objects, counts and place in"
        f" {figures['wordings']['same']:.2f}.",
    ]


def _geneval_table(columns: Figures) -> list[str]:
    """GenEval's categories, one column for each set of prompts."""
    categories = (*geneval.CATEGORIES, geneval.OVERALL)
    lines = [
        f"| GenEval, share correct | {' | '.join(columns)} |",
        "|---" * (1 + len(columns)) + "|",
    ]
    for category in categories:
        cells = " | ".join(f"{found[category]:.2f}" for found in columns.values())
        lines.append(f"| {category.replace('_', ' ')} | {cells} |")
    return lines


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--weights", type=Path, default=WEIGHTS)
    p.add_argument("--figures", type=Path, default=FIGURES)
    p.add_argument("--card", type=Path, default=CARD)
    args = p.parse_args()
    text = with_facts(args.card.read_text(encoding="utf-8"), facts(args.weights))
    figures = json.loads(args.figures.read_text(encoding="utf-8"))
    args.card.write_text(with_figures(text, figures), encoding="utf-8")


if __name__ == "__main__":
    main()
