"""The sampler: steps, noise, guidance and draws against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from daguerre.models.embedded.compatibility import CompatibilityTables
from daguerre.models.embedded.fields import AT, FIELDS, MASKED, NUM_LOGITS, ORDER, STARTS
from daguerre.models.embedded.sampler import (
    MAX_STEPS,
    NUM_PALETTES,
    Noise,
    SceneSampler,
    classifier_free_guidance,
    decided_after,
    log_softmax,
)

FREE = CompatibilityTables({})  # tables that exclude nothing
KIND = AT[0, "kind"]


def logits(seed: int, spread: float = 2.0) -> NDArray[np.float32]:
    found = np.random.default_rng(seed).normal(0, spread, NUM_LOGITS)
    return found.astype(np.float32)


def span(field: int) -> slice:
    return slice(STARTS[field], STARTS[field + 1])


@pytest.mark.parametrize("num_steps", range(1, MAX_STEPS + 1))
def test_every_field_is_decided_once(num_steps: int) -> None:
    """For any number of steps, the fields are decided in order, at least one at each step."""
    sampler, num_decided = SceneSampler(Noise.draw(3), FREE, num_steps, temperature=1.0), 0
    for index in range(num_steps):
        before = sampler.tokens.copy()
        sampler.step(logits(index), index)
        known = sampler.tokens[list(ORDER)] != MASKED[list(ORDER)]
        assert known.sum() > num_decided and known[: known.sum()].all()
        assert np.array_equal(sampler.tokens[before != MASKED], before[before != MASKED])
        num_decided = int(known.sum())
    assert num_decided == len(FIELDS)


def test_first_steps_decide_few_fields() -> None:
    """The first step decides one field, and later steps decide more and more."""
    ends = decided_after(8)
    sizes = np.diff(ends, prepend=0).tolist()
    assert sizes[0] == 1 and sizes[-1] > 8 and sizes == sorted(sizes) and ends[-1] == MAX_STEPS
    assert ORDER[0] == KIND


def named(sampler: SceneSampler) -> list[str]:
    """The objects that are named so far, and the relation."""
    at = [*(AT[slot, "name"] for slot in range(1, 6)), AT[0, "relation"]]
    values = [(FIELDS[i].values, sampler.tokens[i]) for i in at]
    return [known[token] for known, token in values if 0 < token < len(known)]


@pytest.mark.parametrize("num_steps", [5, 6, 8])
@pytest.mark.parametrize("names", [("cat", "dog"), ("cat", "dog", "owl", "fox", "bee")])
def test_each_prediction_names_one_object(num_steps: int, names: tuple[str, ...]) -> None:
    """An object after the first, and the relation, are decided once the one before is known."""
    sampler = SceneSampler(Noise.draw(1), FREE, num_steps, temperature=0.0)
    found: list[list[str]] = []
    for index in range(num_steps):
        wanted = np.zeros(NUM_LOGITS, np.float32)
        wanted[STARTS[AT[0, "relation"]] + FIELDS[AT[0, "relation"]].index["left"]] = 9.0
        for slot in range(1, 6):
            name = names[slot - 1] if slot <= len(names) else ""
            wanted[STARTS[AT[slot, "name"]] + FIELDS[AT[slot, "name"]].index[name]] = 9.0
        sampler.step(wanted, index)
        found.append(named(sampler))
    sizes = [len(now) - ("left" in now) for now in found]
    assert max(np.diff(sizes, prepend=0)) == 1 and sizes[-1] == len(names)
    assert ["left" in now for now in found].index(True) > sizes.index(1)


def test_noise_stays_the_same() -> None:
    """The stream behind a seed is frozen: these values must never change."""
    noise = Noise.draw(123)
    assert (noise.layout, noise.palette) == (2452298814, 42)
    np.testing.assert_allclose(noise.gumbel[:3], [-1.11049918, 0.58024491, 1.818627], rtol=1e-7)


def test_noise_differs_between_prompts() -> None:
    """What prompts leave open, such as the background, is not the same for all with one seed."""
    noises = [Noise.draw(1, f"prompt {i}") for i in range(40)]
    assert len({noise.layout for noise in noises}) == 40
    at = AT[0, "ground"]
    grounds = {int(noise.gumbel[STARTS[at] : STARTS[at + 1]].argmax()) for noise in noises}
    assert len(grounds) > 4


def test_noise_depends_on_the_seed_alone() -> None:
    """A seed always gives the same noise; other seeds give other noise."""
    np.random.seed(4)
    first = [Noise.draw(seed) for seed in range(1, 60)]
    np.random.seed(5)
    again = [Noise.draw(seed) for seed in range(1, 60)]
    for a, b in zip(first, again, strict=True):
        assert (a.layout, a.palette) == (b.layout, b.palette)
        assert np.array_equal(a.gumbel, b.gumbel)
    assert len({noise.layout for noise in first}) == len(first)
    assert len({noise.gumbel.tobytes() for noise in first}) == len(first)
    assert len({noise.palette for noise in first}) > 20
    assert all(0 <= n.layout < 2**32 and 0 <= n.palette < NUM_PALETTES for n in first)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_seeds_at_the_ends_are_drawn(seed: int) -> None:
    """The smallest and the largest seed give finite noise for every value."""
    noise = Noise.draw(seed)
    assert noise.gumbel.shape == (NUM_LOGITS,) and np.isfinite(noise.gumbel).all()


def test_probabilities_of_each_field_sum_to_one() -> None:
    """The softmax is per field, and large logits do not overflow."""
    for spread in (0.0, 2.0, 1e4):
        found = log_softmax(logits(1, spread))
        assert np.isfinite(found).all() and found.dtype == np.float32
        sums = np.add.reduceat(np.exp(found.astype(np.float64)), STARTS[:-1])
        np.testing.assert_allclose(sums, 1.0, rtol=1e-4)


def test_a_shift_of_a_field_changes_nothing() -> None:
    """Adding a constant to all logits of a field does not change its probabilities."""
    shifted = logits(2)
    shifted[span(KIND)] += 5.0
    np.testing.assert_allclose(log_softmax(shifted), log_softmax(logits(2)), atol=1e-5)


def test_guidance_of_one_is_the_prompt_alone() -> None:
    """At scale 1, the negative logits have no influence."""
    found = classifier_free_guidance(logits(3), logits(4), 1.0)
    np.testing.assert_allclose(found, log_softmax(logits(3)), atol=1e-4)


@pytest.mark.parametrize("scale", [0.0, 1.5, 7.0])
def test_guidance_away_from_the_same_is_nothing(scale: float) -> None:
    """If both logits agree, every scale returns their probabilities."""
    np.testing.assert_allclose(
        classifier_free_guidance(logits(5), logits(5), scale), log_softmax(logits(5))
    )


def test_guidance_is_an_extrapolation() -> None:
    """Scale 0 returns the second logits; scale 2 extrapolates beyond the first."""
    wanted, unwanted = log_softmax(logits(6)), log_softmax(logits(7))
    np.testing.assert_allclose(
        classifier_free_guidance(logits(6), logits(7), 0.0), unwanted, atol=1e-4
    )
    found = classifier_free_guidance(logits(6), logits(7), 2.0)
    np.testing.assert_allclose(found, 2 * wanted - unwanted, atol=1e-3)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_values_are_drawn_as_often_as_their_softmax_says(temperature: float) -> None:
    """Over many seeds, the frequency of each value matches its probability."""
    num, given = 1200, logits(8, 1.0)
    counts = np.zeros(len(FIELDS[KIND].values))
    for seed in range(num):
        sampler = SceneSampler(Noise.draw(seed), FREE, MAX_STEPS, temperature)
        sampler.step(given, 0)
        counts[sampler.tokens[KIND]] += 1
    wanted = np.exp(given[span(KIND)] / temperature)
    wanted /= wanted.sum()
    deviation = np.sqrt(wanted * (1 - wanted) / num)
    assert (np.abs(counts / num - wanted) < 4 * deviation).all()


def test_without_temperature_the_likeliest_is_taken() -> None:
    """At temperature 0, every seed selects the largest logit."""
    for seed in range(20):
        sampler = SceneSampler(Noise.draw(seed), FREE, MAX_STEPS, 0.0)
        sampler.step(logits(9), 0)
        assert sampler.tokens[KIND] == logits(9)[span(KIND)].argmax()


def test_an_estimate_decides_nothing() -> None:
    """An estimate has no masks, keeps decided fields, and does not change the scene."""
    sampler = SceneSampler(Noise.draw(2), FREE, 5, 1.0)
    for index in range(5):
        sampler.step(logits(20), index)
        before = sampler.tokens.copy()
        found = sampler.estimate(logits(21))
        assert np.array_equal(sampler.tokens, before) and (found < MASKED).all()
        known = before != MASKED
        assert np.array_equal(found[known], before[known])
    assert np.array_equal(sampler.estimate(logits(22)), sampler.tokens)


def test_the_number_of_steps_decides_no_field_twice() -> None:
    """With the same logits at every step, any number of steps gives the same scene."""
    scenes = []
    for num_steps in (1, 3, 12, MAX_STEPS):
        sampler = SceneSampler(Noise.draw(3), FREE, num_steps, 1.0)
        for index in range(num_steps):
            sampler.step(logits(30), index)
        scenes.append(sampler.tokens)
    assert all(np.array_equal(scenes[0], other) for other in scenes[1:])


def test_given_fields_are_decided_before_the_first_step() -> None:
    """A given value is known from the start, and the steps decide all other fields."""
    given = {"lettering": "cake", "lettering_colour": "red"}
    sampler = SceneSampler(Noise.draw(3), FREE, 4, temperature=1.0, given=given)
    at = {name: AT[0, name] for name in given}
    for index in range(4):
        values = {name: FIELDS[i].values[sampler.tokens[i]] for name, i in at.items()}
        assert values == given
        sampler.step(logits(index), index)
    assert (sampler.tokens < MASKED).all()
