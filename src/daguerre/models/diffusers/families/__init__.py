"""The supported families of pipelines.

Each denoiser was read for operations that depend on the whole batch, and tests/models/diffusers
compares its images bit for bit with the stock pipeline's. Loads neither torch nor diffusers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from daguerre.models.diffusers.families.clip_and_t5 import CLIP_AND_T5
from daguerre.models.diffusers.families.language_models import LANGUAGE_MODELS
from daguerre.models.diffusers.family import Family

FAMILIES: Mapping[str, Family] = {
    family.pipeline: family for family in (*CLIP_AND_T5, *LANGUAGE_MODELS)
}


def find_family(index: Mapping[str, Any], denoiser_config: Mapping[str, Any]) -> Family:
    """Family of a checkpoint, by the index of a supported pipeline and its denoiser's config."""
    family = FAMILIES[index["_class_name"]]
    option, value = family.distilled_if
    is_distilled = bool({**index, **denoiser_config}.get(option)) is value
    return replace(family, **family.distilled) if is_distilled else family
