"""What must not change a picture: tails of style words, and other wordings of one prompt.

    python -m training.robustness        the figures, as `training.evaluate` has them

No training caption has these tails or wordings. For new scenes, each field that a caption describes
is compared with the field that the model decides.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from daguerre.models.embedded import fields
from daguerre.models.embedded.drawing import Scene, things
from daguerre.models.embedded.model import WEIGHTS
from daguerre.params import ImageParams
from training import scenes
from training.captions import caption
from training.decisions import Decide, decider
from training.grammar import with_article

NAMES = (
    "dog,cat,horse,owl,fox,car,bicycle,boat,castle,lighthouse,apple,pizza,banana,coffee,guitar,"
    "chair,book,key,rose,mushroom,robot,penguin,turtle,train,house,umbrella,backpack,elephant,"
    "balloon,clock"
).split(",")
TAILS = (
    "{}, shot on a gopro, award-winning",
    "{}, zbrush sculpt, substance painter, 16k",
    "{}, by ilya kuvshin and ruan jia, 8k uhd",
    "{} in the style of studio mappa, trending on threadless",
    "{}, cottagecore, dreamcore, hyper-maximalist",
    "{}, masterful brushwork, exhibited in 1889",
    "{}, bokeh, dslr, golden ratio",
    "{} --chaos 20 --style raw",
    "a gleaming, weathered and storied {noun}",
    "{} that belongs to my uncle",
    "{} from a distant century",
    "the {noun} was there when we arrived",
)
# Written and drawn before any rule or caption for them; some rules were written since.
NEW_TAILS = (
    "{}, macro lens, ethereal, dreamy haze, unsplash",
    "{}, art by loish and sachin teng, deviantart hd",
    "{}, wallpaper engine, ultrawide, midjourney v6",
    "{}, textured stock, muted tones, letterpress feel",
    "{} as a pixar character, rendered in arnold",
    "{}, vaporware, glitchcore, y2k album cover",
    "{}, procreate brushes, speedpaint, hand-lettered zine",
    "{} - a study in contrast and texture",
    "a thoroughly unremarkable {noun}",
    "{}, the kind my grandmother used to love",
    "an otherworldly, iridescent {noun}, behance hd, no people",
    "{}, tack sharp, golden hour, nikon z9 85mm",
    "{} drawn with crayons on paper",
    "{}, featured in a museum catalogue",
    "{}, mystery, tension, slow living",
    "cinematic still of {} from a wes anderson movie",
)
PROMPTS = (
    "a cat",
    "a red car",
    "a blue bicycle",
    "three apples",
    "five balloons",
    "a dog and a cat",
    "a red apple and a green bottle",
    "a horse to the left of a tree",
    "a bird above a house",
    "two cats and three dogs",
    "the mountains at sunset",
    "a lake at night",
    "a city in the rain",
    "a beach by day",
    "a lighthouse on the beach at sunset",
    "a tent in the forest at night",
    "a robot in the city",
    "a cat on a table",
    "a book and a lamp on a shelf",
    "a rocket in space",
    "a giant elephant",
    "a tiny mouse",
    "a pizza on a blue background",
    "a snowman in the snow",
    "a pattern of strawberries",
    "a close-up of a lion",
    "a penguin next to a snowman",
    "a sailboat on the sea at dawn",
    "a rainbow over green hills",
    "a yellow umbrella under a cloud",
)
WORDINGS = (
    "could I please get a drawing of {}",
    "{}!!",
    "pls {}",
    "hello there, {} would be great",
    "A plain scene: {}.",
    "so basically what I am after is {}, nothing more",
    "{} (any style)",
    "{}, whatever looks best",
)
NUM_SCENES = 600
UNSAID = ("look", "size", "flip")  # fields that no caption mentions


def tails(decide: Decide, num_seeds: int, chosen: Sequence[str] = TAILS) -> dict[str, float]:
    """The shares of images with the object alone, with another object, and without it."""
    asked = [
        (name, tail.format(with_article(name), noun=name), seed)
        for name in NAMES
        for tail in chosen
        for seed in range(1, num_seeds + 1)
    ]
    found = decide([ImageParams("embedded", prompt, seed=seed) for _, prompt, seed in asked])
    outcomes = [_outcome(name, f.scene) for (name, _, _), f in zip(asked, found, strict=True)]
    names = ("alone", "extra", "missing")
    return {name: round(outcomes.count(name) / len(outcomes), 3) for name in names}


def _outcome(name: str, scene: Scene) -> str:
    shown = [item.name for item in scene.objects]
    right = [other for other in shown if _is_one(other, name)]
    if not right:
        return "missing"
    return "alone" if len(shown) == 1 else "extra"


def _is_one(shown: str, name: str) -> bool:
    """True for the object itself and for more specific names: a kitchen table is a table."""
    row = things.BY_NAME.get(shown)
    return row is not None and (name in (row.name, *row.synonyms) or name in row.name.split())


def paraphrases(decide: Decide, num_seeds: int) -> float:
    """Share of reworded prompts that show the same objects, counts and place as the plain one."""
    texts = [(p, wording.format(p)) for p in PROMPTS for wording in ("{}", *WORDINGS)]
    texts += [(prompt, prompt.upper()) for prompt in PROMPTS]
    seeds = range(1, num_seeds + 1)
    asked = [ImageParams("embedded", text, seed=seed) for _, text in texts for seed in seeds]
    found = decide(asked)
    plain: dict[tuple[str, int], object] = {}
    same = []
    pairs = [(prompt, text) for prompt, text in texts for _ in seeds]
    for (prompt, text), params, decided in zip(pairs, asked, found, strict=True):
        content = _content(decided.scene)
        if text == prompt:
            plain[prompt, params.seed] = content
        else:
            same.append(content == plain[prompt, params.seed])
    return round(float(np.mean(same)), 3)


def _content(scene: Scene) -> object:
    return scene.terrain, sorted((item.name, item.count) for item in scene.objects)


def agreement(decide: Decide, num: int = NUM_SCENES) -> dict[str, float]:
    """For each field, how often the model decides what a scene has that its caption describes.

    Captions omit facts, so a share alone does not measure quality; it serves to compare two sets
    of weights. The objects are compared in the order of the scene.
    """
    rng = np.random.default_rng(20261130)
    true = [scenes.sample_scene(rng, (1024, 1024)) for _ in range(num)]
    params = [ImageParams("embedded", caption(s, rng, held_out=True), seed=1) for s in true]
    hits: dict[str, list[bool]] = defaultdict(list)
    for scene, decided in zip(true, decide(params), strict=True):
        wanted, got = fields.encode(scene), fields.encode(decided.scene)
        for i, field in enumerate(fields.FIELDS):
            if field.name in UNSAID or not field.values[wanted[i]]:
                continue
            hits[field.name].append(bool(wanted[i] == got[i]))
    return {name: round(float(np.mean(found)), 3) for name, found in sorted(hits.items())}


def measure(decide: Decide, num_seeds: int) -> dict[str, dict[str, float]]:
    """All figures of this module."""
    return {
        "tails": tails(decide, num_seeds),
        "new tails": tails(decide, num_seeds, NEW_TAILS),
        "wordings": {"same": paraphrases(decide, num_seeds)},
        "fields": agreement(decide),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--weights", type=Path, default=WEIGHTS)
    p.add_argument("--seeds", type=int, default=1)
    args = p.parse_args(arguments)
    figures = measure(decider(args.weights), args.seeds)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
