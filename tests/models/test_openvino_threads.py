"""What the runtime says of its threads."""

from __future__ import annotations

import pytest

from daguerre.cpu import num_cpus
from daguerre.models.embedded.model import WEIGHTS
from daguerre.models.embedded.networks import load_networks
from daguerre.models.openvino import effective_num_threads, openvino_core


@pytest.mark.parametrize("asked", [1, 1000])
def test_no_more_than_there_are_cores(asked: int) -> None:
    """Whatever is asked for; and the networks' fingerprints name those that are taken."""
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": str(asked)}
    taken = effective_num_threads(openvino_core(), config)
    assert 1 <= taken <= min(asked, num_cpus())
    networks = load_networks(WEIGHTS, "0" * 64, asked, "auto")
    assert all(f" {taken} threads " in network.fingerprint for network in networks.values())
