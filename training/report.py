"""The figures of `training.evaluate` in Markdown, as the model card shows them."""

from __future__ import annotations

from training import geneval

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


def table(figures: Figures) -> str:
    """The figures in Markdown, as the model card shows them."""
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
    tails, same = figures["tails"], figures["wordings"]["same"]
    return [
        f"- Style tails and filler that the training does not have: the object alone in"
        f" {tails['alone']:.2f}, with another one in {tails['extra']:.2f}, missing in"
        f" {tails['missing']:.2f}.",
        f"- Other wordings of a prompt: the same objects, counts and place in {same:.2f}.",
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
