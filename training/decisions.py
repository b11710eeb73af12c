"""What exported weights decide to draw, by the serving code; nothing is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from daguerre.engine.batching.batcher import batch_inputs, split_outputs
from daguerre.engine.forward import ForwardRequest, Network, Outputs
from daguerre.models.embedded import fields
from daguerre.models.embedded.decoder import words_from
from daguerre.models.embedded.drawing import Scene
from daguerre.models.embedded.model import EmbeddedModel
from daguerre.params import ImageParams

TOGETHER = 32  # requests in one evaluation


@dataclass(frozen=True)
class Decided:
    """What the model decided to draw for one request."""

    params: ImageParams
    scene: Scene


Decide = Callable[[list[ImageParams]], list[Decided]]


def decide(
    model: EmbeddedModel, networks: Mapping[str, Network], requests: Sequence[ImageParams]
) -> list[Decided]:
    """The scenes of many requests, `TOGETHER` at a time."""
    found: list[Decided] = []
    for start in range(0, len(requests), TOGETHER):
        some = requests[start : start + TOGETHER]
        pipelines = [model.pipeline(params) for params in some]
        forwards = [next(pipeline) for pipeline in pipelines]
        while any(forward.network != "decoder" for forward in forwards):
            answers = _evaluate(networks, forwards)
            forwards = [
                forward if answer is None else pipeline.send(answer)
                for pipeline, forward, answer in zip(pipelines, forwards, answers, strict=True)
            ]
        for params, forward in zip(some, forwards, strict=True):
            tokens = np.asarray(forward.inputs["tokens"])[0]
            seed, palette = np.asarray(forward.inputs["layout"])[0].tolist()
            scene = fields.decode(tokens, (params.width, params.height), seed, palette)
            words = words_from(np.asarray(forward.inputs["words"])[0])
            scene = replace(scene, words=words)
            found.append(Decided(params, scene))
    return found


def decider(folder: Path, num_steps: int = 0) -> Decide:
    """Decides with the weights of a folder; 0 steps are the model's own."""
    model = EmbeddedModel("embedded", folder=folder, num_inference_steps=num_steps)
    networks = model.load()
    return lambda requests: decide(model, networks, requests)


def _evaluate(
    networks: Mapping[str, Network], forwards: Sequence[ForwardRequest]
) -> list[Outputs | None]:
    """Outputs of each forward, one evaluation per signature; None for those of the decoder."""
    answers: list[Outputs | None] = [None] * len(forwards)
    signatures = {f.signature for f in forwards if f.network != "decoder"}
    for signature in signatures:
        mine = [i for i, forward in enumerate(forwards) if forward.signature == signature]
        group = [forwards[i] for i in mine]
        outputs = networks[group[0].network](batch_inputs(group))
        for i, rows in zip(mine, split_outputs(outputs, [f.rows for f in group]), strict=True):
            answers[i] = rows
    return answers
