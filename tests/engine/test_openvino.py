"""Verification on OpenVINO: a tiny network with a matrix product and a softmax."""

from __future__ import annotations

import numpy as np
import pytest

from daguerre.engine.batching.batcher import Batcher
from daguerre.engine.batching.certificates import CertificateStore
from daguerre.engine.batching.verification import NUM_CHECKS, is_same
from daguerre.engine.forward import ForwardRequest, Inputs, Outputs
from daguerre.models.openvino import openvino_core, ov
from daguerre.models.openvino import opset13 as op

WIDTH, TOKENS = 48, 6


class AttentionNetwork:
    """x (R, 6, 48) float32, t (R, 1, 1) float32 -> (R, 6, 48): one attention, scaled by t."""

    name = "denoiser"

    def __init__(self) -> None:
        x = op.parameter([-1, TOKENS, WIDTH], np.float32, name="x")
        t = op.parameter([-1, 1, 1], np.float32, name="t")
        weights = np.random.default_rng(0).standard_normal((WIDTH, WIDTH)).astype(np.float32)
        q = op.matmul(x, op.constant(weights / WIDTH**0.5), False, False)
        attention = op.softmax(op.matmul(q, x, False, True), -1)
        y = op.add(op.multiply(op.matmul(attention, x, False, False), t), x)
        self.compiled = openvino_core().compile_model(
            ov.Model([y], [x, t]), "CPU", {"INFERENCE_NUM_THREADS": 1}
        )
        self.fingerprint = f"attention cpu float32 openvino {ov.__version__}"

    def __call__(self, inputs: Inputs) -> Outputs:
        request = self.compiled.create_infer_request()
        return tuple(request.infer(dict(inputs), share_outputs=True).values())


def step(seed: int) -> ForwardRequest:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((2, TOKENS, WIDTH), np.float32)
    t = np.full((2, 1, 1), generator.random(), np.float32)
    return ForwardRequest("denoiser", {"x": x, "t": t}, "denoise")


@pytest.mark.parametrize("jobs", [2, 3])
def test_certificate_on_openvino(jobs: int) -> None:
    """OpenVINO on the CPU passes every check, and a batch then has the bits of the jobs alone."""
    network, certificates = AttentionNetwork(), CertificateStore()
    batcher = Batcher(certificates, clock=iter(range(10**6)).__next__)
    for check in range(NUM_CHECKS):
        batcher.run(network, [step(10 * check + job) for job in range(jobs)])
    assert list(certificates.results({network.fingerprint}).values()) == [True]
    forwards = [step(100 + job) for job in range(jobs)]
    batched = batcher.run(network, forwards)
    for result, forward in zip(batched, forwards, strict=True):
        (alone,) = batcher.run(AttentionNetwork(), [forward])
        assert result.outputs is not None and alone.outputs is not None
        assert is_same(result.outputs, alone.outputs)
