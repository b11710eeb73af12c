"""Rows of the documentation's tables of families and step caches, generated from the code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from daguerre.models.diffusers.caches import METHODS
from daguerre.models.diffusers.families import FAMILIES
from daguerre.models.diffusers.family import Family

FAMILY_COLUMNS = (
    *("checkpoints", "pipeline", "networks", "steps", "guidance"),
    *("negative prompt", "longest prompt", "caches", "notes"),
)
CACHE_COLUMNS = ("method", "effect", "options", "pipelines")


def family_rows() -> Iterator[tuple[str, ...]]:
    """Markdown cells for `FAMILY_COLUMNS`; each family is followed by its distilled variant."""
    pairs = ((family, family.distilled_variant()) for family in FAMILIES.values())
    return (_family_row(family) for family in chain.from_iterable(pairs) if family)


def cache_rows() -> Iterator[tuple[str, ...]]:
    """Markdown cells for `CACHE_COLUMNS`."""
    for name, method in METHODS.items():
        options = (
            f"`{key}`: {validator.rule} (default: {method.defaults.get(key, 'none')})"
            for key, validator in method.keys.items()
        )
        pipelines = (f.pipeline for f in FAMILIES.values() if name in f.caches)
        yield f"`{name}`", method.description, "; ".join(options), _codes(pipelines)


def _family_row(family: Family) -> tuple[str, ...]:
    guidance = "none" if family.guidance is None else f"{family.guidance:g}"
    limit = family.prompt_tokenizers[0][1] or 77  # that of CLIP's tokenizers
    return (
        family.checkpoints,
        f"`{family.pipeline}`",
        _codes((*family.text_encoders, family.denoiser, "vae")),
        str(family.steps),
        guidance,
        "yes" if family.has_negative_prompt else "no",
        f"{limit} tokens",
        _codes(sorted(family.caches)),
        family.notes,
    )


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
