"""The sampler: times, guidance and the solver against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from daguerre.models.embedded.sampler import Multistep, guide, times


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("num_steps", [1, 4, 20])
def test_times_rise_from_noise_to_image(num_steps: int, shift: float) -> None:
    """There are steps + 1 times, strictly rising from 0 to 1."""
    schedule = times(num_steps, shift)
    assert (schedule[0], schedule[-1], len(schedule)) == (0.0, 1.0, num_steps + 1)
    assert all(a < b for a, b in zip(schedule, schedule[1:], strict=False))


def test_a_larger_shift_stays_longer_near_the_noise() -> None:
    """Shift 2 is behind shift 1 at every inner time."""
    assert all(a < b for a, b in zip(times(10, 2.0)[1:-1], times(10, 1.0)[1:-1], strict=True))


def test_guidance_is_an_extrapolation() -> None:
    """Scale 0 gives the unwanted, 1 the wanted, 2 as far again beyond it."""
    wanted, unwanted = np.full((1, 1), 3.0, np.float32), np.full((1, 1), 1.0, np.float32)
    assert [guide(wanted, unwanted, s).item() for s in (0.0, 1.0, 2.0)] == [1.0, 3.0, 5.0]


@pytest.mark.parametrize("num_steps", [1, 2, 7])
def test_a_constant_prediction_is_reached_from_any_noise(num_steps: int) -> None:
    """If the network predicts the same image at every step, the solver goes straight there."""
    schedule = times(num_steps, 1.0)
    solver = Multistep(schedule)
    clean = np.full((2, 3), 0.25, np.float32)
    noise = np.random.default_rng(1).standard_normal((2, 3)).astype(np.float32)
    x = noise
    for index in range(num_steps):
        x = solver.step(x, clean, index)
        t = schedule[index + 1]
        np.testing.assert_allclose(x, t * clean + (1 - t) * noise, atol=1e-6)


def test_second_order_beats_first_order() -> None:
    """On data that is normal with deviation 0.5 the ideal network has a closed form; the two-step
    solver ends nearer to the exact end of the path than Euler's steps do."""
    deviation = 0.5

    def ideal(x: float, t: float) -> float:
        return x * t * deviation**2 / (t**2 * deviation**2 + (1 - t) ** 2)

    noise, schedule = 1.7, times(12, 1.0)
    solver, x = Multistep(schedule), np.array([noise], np.float32)
    euler = noise
    for index, (t, after) in enumerate(zip(schedule, schedule[1:], strict=False)):
        x = solver.step(x, np.array([ideal(x.item(), t)], np.float32), index)
        euler += (after - t) * (ideal(euler, t) - euler) / (1 - t)
    exact = noise * deviation  # the flow of a normal distribution scales
    assert abs(x.item() - exact) < 0.5 * abs(euler - exact)
