"""The bundled model's pipeline: from the prompt through its networks to pixels."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daguerre.engine.forward import ForwardRequest, Network, Outputs
from daguerre.engine.pipeline import Pipeline, Pixels
from daguerre.models.embedded.colour_binding import bound_colours
from daguerre.models.embedded.compatibility import CompatibilityTables
from daguerre.models.embedded.decoder import code_points, picture
from daguerre.models.embedded.fields import NUM_LOGITS, SHAPE_INDEX
from daguerre.models.embedded.kinds import with_known_names
from daguerre.models.embedded.memory import both_rows, of_reader, read_unprompted
from daguerre.models.embedded.negation import affirmed
from daguerre.models.embedded.negative_prompt import excluded_values
from daguerre.models.embedded.object_binding import bound_objects
from daguerre.models.embedded.pairs import with_pairs
from daguerre.models.embedded.place_phrases import (
    excluded_moons,
    excluded_terrains,
    stated_terrain,
    with_known_places,
)
from daguerre.models.embedded.plain_text import plain_text
from daguerre.models.embedded.quoted_words import quoted_words
from daguerre.models.embedded.sampler import Noise, SceneSampler, classifier_free_guidance
from daguerre.models.embedded.style_phrases import excluded_styles
from daguerre.models.embedded.text import (
    NUM_NEGATIVE_SLOTS,
    PromptTokenizer,
    condition,
    text_slots,
)
from daguerre.models.embedded.weather_phrases import stated_weather
from daguerre.params import ImageParams

PREVIEW_SCALE = 8  # a preview has the image's width and height divided by this
_MAX_WINDOWS = 8  # text windows in one forward; bounds the delay by a very long prompt


class EmbeddedPipelines:
    """Makes the pipelines of requests, with the tokenizer and the rules of `folder`."""

    def __init__(self, folder: Path, temperature: float, guidance_scale: float) -> None:
        self._temperature, self._guidance_scale = temperature, guidance_scale
        self._tokenizer = PromptTokenizer(folder / "tokenizer.json")
        with (folder / "rules.npz").open("rb") as file, np.load(file) as arrays:
            self._rules = CompatibilityTables.from_arrays(dict(arrays))
        self._unprompted = read_unprompted(folder)

    def read_art(self) -> None:
        """Draws a preview, which reads the art; needs no network."""
        sampler = SceneSampler(Noise.draw(1), self._rules, num_steps=1, temperature=0.0)
        tokens = sampler.estimate(np.zeros(NUM_LOGITS, np.float32))
        picture(tokens, 0, 0, 0, "", PREVIEW_SCALE)

    def warm_up(self, networks: Mapping[str, Network]) -> None:
        """Generates an image of the default size, so that the first request is fast."""
        pipeline = self.pipeline(ImageParams("", "a cat"), num_steps=1)
        forward = next(pipeline)
        try:
            while True:
                forward = pipeline.send(networks[forward.network](forward.inputs))
        except StopIteration:
            pass

    def pipeline(self, params: ImageParams, num_steps: int) -> Pipeline:
        """The forwards of one request; returns its pixels."""
        quoted = quoted_words(params.prompt)
        unwanted = plain_text(params.negative_prompt)
        prompt = _known(quoted.prompt)
        others = _known(quoted.others) if quoted.others != quoted.prompt else prompt
        wanted = affirmed(prompt)
        texts = yield from self._encode(wanted.prompt, unwanted)
        prompted = yield ForwardRequest("reader", texts, "encode")
        rows = both_rows(of_reader(prompted), self._unprompted)
        noise = Noise.draw(params.seed, plain_text(params.prompt))
        excluded = excluded_values(f"{unwanted}, {wanted.absent}")
        places = excluded.get("terrain", frozenset())
        terrain = {} if quoted.words else stated_terrain(others, places)
        weather = stated_weather(others, excluded.get("weather", ()))
        moons = excluded.get("name", frozenset()) | excluded_moons(others)
        excluded = {**excluded, "terrain": places | excluded_terrains(others), "name": moons}
        sampler = SceneSampler(
            noise,
            self._rules,
            num_steps,
            self._temperature,
            excluded={**excluded, **quoted.excluded(), "style": excluded_styles(others)},
            colours=bound_colours(others),
            objects=bound_objects(others, excluded.get("name", ())),
            given={**quoted.fields(), **terrain, **weather},
        )
        shape = SHAPE_INDEX[params.width, params.height]

        def preview(outputs: Outputs) -> Pixels:
            tokens = sampler.estimate(self._guided(outputs))
            return picture(tokens, shape, noise.layout, noise.palette, quoted.words, PREVIEW_SCALE)

        for index in range(num_steps):
            tokens = np.stack((sampler.tokens,) * 2)
            inputs = {**rows, "tokens": tokens, "shape": np.full(2, shape)}
            step = (index + 1, num_steps)
            outputs = yield ForwardRequest("denoiser", inputs, "denoise", step, preview)
            sampler.step(self._guided(outputs), index)
        layout = np.array([[noise.layout, noise.palette]])
        words = code_points(quoted.words)
        drawn = {"tokens": sampler.tokens[None], "layout": layout, "words": words, "shape": shape}
        (pixels,) = yield ForwardRequest("decoder", drawn, stage="decode")
        result: Pixels = np.asarray(pixels[0])
        return result

    def _guided(self, outputs: Outputs) -> NDArray[np.float32]:
        """Logits of all fields, with classifier-free guidance."""
        prompted, free = np.asarray(outputs[0])
        return classifier_free_guidance(prompted, free, self._guidance_scale)

    def _encode(
        self, prompt: str, negative: str
    ) -> Generator[ForwardRequest, Outputs, dict[str, NDArray[np.float32]]]:
        """The input of the reader: text (1, 25 or 65, 384) and negative (1, 9, 384)."""
        windows = self._tokenizer.windows((prompt, negative))
        hidden: list[NDArray[np.float32]] = []
        for start in range(0, len(windows.ids), _MAX_WINDOWS):
            part = slice(start, start + _MAX_WINDOWS)
            inputs = {"ids": windows.ids[part], "mask": windows.mask[part]}
            (rows,) = yield ForwardRequest("text_encoder", inputs, stage="encode")
            hidden.extend(rows)
        first, second = windows.counts
        slots = (text_slots(sum(first)), NUM_NEGATIVE_SLOTS)
        text = condition(np.array(hidden[: len(first)]), first, slots[0])
        unwanted = condition(np.array(hidden[len(first) :]), second, slots[1])
        return {"text": text[None], "negative": unwanted[None]}


def _known(text: str) -> str:
    """The text in plain characters and with names that the network and the rules know."""
    return with_pairs(with_known_names(with_known_places(plain_text(text))))
