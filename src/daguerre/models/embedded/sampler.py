"""Sampling of a scene: which fields are decided at a step, and with which values.

At first every field is masked. At each step the network predicts logits of all fields, and the next
fields of `ORDER` are decided: a few at first, then more, as in MaskGIT (Chang et al. 2022). One
prediction names only one object; the next name and the relation wait for the next prediction, which
knows that object. A value is the maximum of logits plus Gumbel noise, which samples from their
softmax. All noise comes from the seed, before the first step.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from daguerre.models.embedded.compatibility import CompatibilityTables
from daguerre.models.embedded.fields import (
    AT,
    FIELDS,
    MASKED,
    NUM_LOGITS,
    OBJECT_FIELDS,
    ORDER,
    SCENE_FIELDS,
    STARTS,
)
from daguerre.models.embedded.fixed_fields import FixedFields
from daguerre.models.embedded.object_binding import NO_OBJECTS, BoundObjects

MAX_STEPS = len(FIELDS)
NUM_PALETTES = 60
_ONE_AT_A_TIME = ("name", "relation")  # not decided by a prediction that has named an object


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """The randomness of one image: Gumbel noise (NUM_LOGITS,) for the fields, and the layout."""

    gumbel: NDArray[np.float64]
    layout: int  # 32-bit seed
    palette: int

    @classmethod
    def draw(cls, seed: int, prompt: str = "") -> Noise:
        """Uses `RandomState`, whose stream numpy keeps frozen (NEP 19).

        The prompt is part of the seed. Otherwise, what a prompt leaves open would be the same for
        all prompts with one seed, for example a background with checks.
        """
        random = np.random.RandomState((seed, zlib.crc32(prompt.encode())))
        layout, palette = random.randint(2**32, dtype=np.uint32), random.randint(NUM_PALETTES)
        return cls(random.gumbel(size=NUM_LOGITS), int(layout), int(palette))


def decided_after(num_steps: int) -> list[int]:
    """How many fields of `ORDER` are decided after each step, at most; all after the last one.

    `num_steps` is 1 to `MAX_STEPS`.
    """
    return [max(i, round(MAX_STEPS * (i / num_steps) ** 2)) for i in range(1, num_steps + 1)]


def classifier_free_guidance(
    prompted: NDArray[np.float32], free: NDArray[np.float32], scale: float
) -> NDArray[np.float32]:
    """Classifier-free guidance (Ho and Salimans 2022) on the log probabilities of each field.

    Both inputs are logits (NUM_LOGITS,), with and without the prompts. Scale 1 returns the first.
    """
    first, second = log_softmax(prompted), log_softmax(free)
    guided: NDArray[np.float32] = second + np.float32(scale) * (first - second)
    return guided


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log softmax of each field separately."""
    sizes = np.diff(STARTS)
    highest = np.maximum.reduceat(logits, STARTS[:-1])
    shifted = logits - np.repeat(highest, sizes)
    totals = np.add.reduceat(np.exp(shifted), STARTS[:-1])
    result: NDArray[np.float32] = shifted - np.repeat(np.log(totals), sizes)
    return result


class SceneSampler:
    """Decides the scene of one request; `tokens` (F,) int64 are its fields.

    `excluded` are values by the name of their field; one is chosen only if the tables permit no
    other. `colours` are those of objects by name, and `objects` what the prompt states of them;
    another value is chosen only if the tables do not permit these. `given` are values of the whole
    scene that are decided before the first step.
    """

    def __init__(
        self,
        noise: Noise,
        rules: CompatibilityTables,
        num_steps: int,
        temperature: float,
        excluded: Mapping[str, Collection[str]] = MappingProxyType({}),
        colours: Mapping[str, str] = MappingProxyType({}),
        objects: BoundObjects = NO_OBJECTS,
        given: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._noise, self._rules, self._temperature = noise, rules, temperature
        self._wanted = {
            name: np.array(
                [value not in values for value in {**SCENE_FIELDS, **OBJECT_FIELDS}[name]]
            )
            for name, values in excluded.items()
        }
        self._fixed = FixedFields(rules, colours, objects)
        self._ends = decided_after(num_steps)
        self._num_decided = 0
        self.tokens: NDArray[np.int64] = MASKED.copy()
        for name, value in given.items():
            self.tokens[AT[0, name]] = FIELDS[AT[0, name]].index[value]

    def step(self, logits: NDArray[np.float32], index: int) -> None:
        """Decides the fields of step `index` from logits (NUM_LOGITS,)."""
        is_last, is_named = index + 1 == len(self._ends), False
        for field in ORDER[self._num_decided : self._ends[index]]:
            if self.tokens[field] != FIELDS[field].mask:
                self._num_decided += 1
                continue
            span = slice(STARTS[field], STARTS[field + 1])
            noise = self._temperature * self._noise.gumbel[span]
            value = self._choose(field, logits[span] + noise, self.tokens)
            if value and is_named and not is_last and FIELDS[field].name in _ONE_AT_A_TIME:
                break
            is_named = is_named or (value > 0 and FIELDS[field].name == "name")
            self.tokens[field] = value
            self._num_decided += 1

    def estimate(self, logits: NDArray[np.float32]) -> NDArray[np.int64]:
        """The most likely scene (F,) at present; decides nothing."""
        tokens = self.tokens.copy()
        for field in ORDER:
            if tokens[field] == FIELDS[field].mask:
                span = slice(STARTS[field], STARTS[field + 1])
                tokens[field] = self._choose(field, logits[span], tokens)
        return tokens

    def _choose(self, field: int, scores: NDArray[np.floating], tokens: NDArray[np.int64]) -> int:
        allowed = self._rules.allowed(field, tokens)
        for wanted in (self._wanted.get(FIELDS[field].name), self._fixed.values(field, tokens)):
            if wanted is not None and (allowed & wanted).any():
                allowed &= wanted
        return int(self._fixed.preferred(field, np.where(allowed, scores, -np.inf)).argmax())
