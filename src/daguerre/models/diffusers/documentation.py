"""Rows of the documentation's tables of families and step caches, generated from the code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from daguerre.models.diffusers.caches import METHODS
from daguerre.models.diffusers.checkpoint import DECODER
from daguerre.models.diffusers.families import FAMILIES
from daguerre.models.diffusers.family import Family

_CLIP_MAX_TOKENS = 77  # `model_max_length` of the CLIP tokenizers, the only ones without a limit


@dataclass(frozen=True, slots=True)
class FamilyRow:
    """One family, or one distilled variant; `guidance` None means that it cannot be set."""

    checkpoints: str
    pipeline: str
    networks: tuple[str, ...]
    steps: int
    guidance: float | None
    has_negative_prompt: bool
    max_prompt_tokens: int
    caches: tuple[str, ...]
    notes: str


@dataclass(frozen=True, slots=True)
class CacheRow:
    """One step cache; `options` are (catalog key, allowed values, default or None)."""

    method: str
    description: str
    options: tuple[tuple[str, str, int | float | None], ...]
    pipelines: tuple[str, ...]


def family_rows() -> Iterator[FamilyRow]:
    """Rows in the order of `FAMILIES`, each family followed by its distilled variant."""
    for family in FAMILIES.values():
        yield _family_row(family)
        if variant := family.distilled_variant():
            yield _family_row(variant)


def cache_rows() -> Iterator[CacheRow]:
    for name, method in METHODS.items():
        options = tuple(
            (key, validator.rule, method.defaults.get(key))
            for key, validator in method.keys.items()
        )
        pipelines = tuple(f.pipeline for f in FAMILIES.values() if name in f.caches)
        yield CacheRow(name, method.description, options, pipelines)


def _family_row(family: Family) -> FamilyRow:
    return FamilyRow(
        checkpoints=family.checkpoints,
        pipeline=family.pipeline,
        networks=(*family.text_encoders, family.denoiser, DECODER),
        steps=family.steps,
        guidance=family.guidance,
        has_negative_prompt=family.has_negative_prompt,
        max_prompt_tokens=family.prompt_tokenizers[0][1] or _CLIP_MAX_TOKENS,
        caches=tuple(sorted(family.caches)),
        notes=family.notes,
    )
