"""Random food with other food on it: a cake with strawberries, noodles with an egg."""

from __future__ import annotations

import random
from functools import lru_cache

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.scene import SceneObject
from training.scenes.sample import placed

# Sweet and savoury foods, by weight, and what is on them.
SWEET = {
    **{"cake": 5.0, "birthday cake": 1.5, "cupcake": 1.0, "pancakes": 3.0, "waffle": 1.5},
    **{"ice cream": 2.0, "pie": 1.0, "custard": 0.5, "shaved ice": 0.4, "toast": 0.6},
}
SAVOURY = {
    **{"noodles": 3.5, "rice": 1.5, "curry": 0.7, "stew": 0.7, "salad": 1.2, "pizza": 1.5},
    **{"toast": 1.0, "spaghetti": 1.2},
}
SWEET_TOPPINGS = (
    "strawberry,strawberry,strawberry,cherries,cherries,raspberry,blueberries,blueberries,banana,"
    "kiwi,peach,plum,orange,lemon,lime,mango,apple,cookie,candy,chocolate bar,ice cream,butter,"
    "grapes,donut,lollipop,pear,pineapple"
).split(",")
SAVOURY_TOPPINGS = (
    "egg,egg,egg,fried egg,fried egg,shrimp,tomato,tomato,olive,onion,chili pepper,cheese,bacon,"
    "broccoli,carrot,avocado,sausage,corn,garlic,lemon,meat on a bone,chicken leg,fried shrimp,"
    "bell pepper,cucumber,radish,dumpling,steak"
).split(",")
COUNTS = {1: 3.0, 2: 1.2, 3: 1.6, 4: 0.8, 5: 0.7, 6: 0.3}
RECOLOURED = 0.25


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(t.name for t in things.THINGS if t.kind == "f" and things.looks(t))


def sample_topped(r: random.Random) -> tuple[SceneObject, ...]:
    """One or two kinds of toppings, and last the food below them."""
    bases, toppings = (SWEET, SWEET_TOPPINGS) if r.random() < 0.65 else (SAVOURY, SAVOURY_TOPPINGS)
    base = r.choices(tuple(bases), tuple(bases.values()))[0]
    names = [name for name in toppings if name in _known() and name != base]
    chosen = [r.choice(names)]
    if r.random() < 0.15:
        chosen.append(r.choice([name for name in names if name not in chosen]))
    items = []
    for name in chosen:
        single = name.endswith("s") or len(chosen) > 1
        count = 1 if single else r.choices(tuple(COUNTS), tuple(COUNTS.values()))[0]
        items.append(placed(r, things.BY_NAME[name], r.uniform(0.85, 1.0), count, RECOLOURED / 2))
    return (*items, placed(r, things.BY_NAME[base], 1.0, 1, RECOLOURED))
