"""HunyuanImage: guiders with state, text in quotation marks, and the distilled variant."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daguerre.errors import InvalidRequestError, SettingsError
from daguerre.models.diffusers import checkpoint

from .conftest import REASON, Bench, Request, failure, steps, stock_images

pytest.importorskip("diffusers", reason=REASON)

FAMILY = "hunyuan-image"
PLAIN = Request("a red fox on the snow", seed=1, steps=5)
QUOTED = Request('a red fox on the snow and "sea" in red', seed=2, steps=6)


def test_text_in_quotation_marks(folder_of: Callable[[str], Path]) -> None:
    """Quoted text has an encoder and a guider of its own and changes the image. Concurrent requests
    with and without it get the stock pipeline's bits."""
    bench = Bench(folder_of(FAMILY))
    other = replace(QUOTED, prompt=QUOTED.prompt.replace("sea", "a ship"), seed=3, steps=4)
    requests = [PLAIN, QUOTED, replace(other, negative_prompt='"night"')]
    stock = stock_images(folder_of(FAMILY), bench, requests)
    assert bench.images(requests) == stock
    bare = replace(QUOTED, prompt=QUOTED.prompt.replace('"', ""))
    assert bench.images([bare]) != stock[1:2]


@pytest.mark.parametrize("param", ["prompt", "negative_prompt"])
def test_quoted_text_is_too_long(param: str, folder_of: Callable[[str], Path]) -> None:
    """The limit for quoted text is lower than that of the prompt, and is enforced."""
    bench = Bench(folder_of(FAMILY))
    changes: dict[str, Any] = {param: 'a "{}" ship'.format("night " * 30)}
    error = failure(bench.run([replace(PLAIN, **changes)])[0][-1])
    assert isinstance(error, InvalidRequestError) and error.param == param
    assert "in quotation marks" in error.message and "reads at most 128" in error.message
    changes = {param: "a {} ship".format("night " * 30)}
    assert bench.images([replace(PLAIN, **changes)])


def test_unguided(folder_of: Callable[[str], Path]) -> None:
    """With guidance 1 a step makes one call, as in the stock pipeline, and a negative prompt is
    refused."""
    bench = Bench(folder_of(FAMILY))
    request = replace(PLAIN, guidance=1.0)
    num_before = bench.loop.batcher.num_forwards
    assert bench.images([request]) == stock_images(folder_of(FAMILY), bench, [request])
    assert bench.loop.batcher.num_forwards - num_before == 1 + request.steps + 1
    error = failure(bench.run([replace(request, negative_prompt="blue")])[0][-1])
    assert isinstance(error, InvalidRequestError) and error.param == "negative_prompt"


def test_distilled(tmp_path: Path) -> None:
    """The guidance and the next timestep are inputs of the network; a step makes one call."""
    from . import tiny_llm

    folder = tiny_llm.hunyuan_image(tmp_path / "distilled", is_distilled=True)
    bench = Bench(folder)
    assert (bench.model.steps, bench.model.guidance) == (8, 3.25)
    requests = [PLAIN, replace(QUOTED, guidance=2.0)]
    assert bench.images(requests) == stock_images(folder, bench, requests)
    assert [len(steps(events)) for events in bench.run(requests)] == [5, 6]
    assert bench.images([replace(PLAIN, guidance=2.0)]) != bench.images([PLAIN])


def test_unsupported_guiders(tmp_path: Path) -> None:
    """Guiders that change the networks or skip steps are refused."""
    from . import tiny_llm

    folder = tiny_llm.hunyuan_image(tmp_path / "checkpoint")
    index = json.loads((folder / "model_index.json").read_text())

    def refusal(guider: list[str | None], **config: Any) -> str:
        (folder / "model_index.json").write_text(json.dumps({**index, "guider": guider}))
        (folder / "guider" / "guider_config.json").write_text(json.dumps(config))
        with pytest.raises(SettingsError) as error:
            checkpoint.read(folder)
        return str(error.value)

    served: list[str | None] = ["diffusers", "AdaptiveProjectedMixGuidance"]
    assert "guider is 'SkipLayerGuidance'" in refusal(["diffusers", "SkipLayerGuidance"])
    assert "guider_config.json: start is 0.2 and stop is 1.0" in refusal(served, start=0.2)
    assert "has no guider" in refusal([None, None])
