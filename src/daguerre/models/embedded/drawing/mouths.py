"""The places of food, prey and toys at the mouths and paws of animals."""

from __future__ import annotations

from daguerre.models.embedded.drawing import things

# The mouth, or the paws that feed it, on the first look of an animal, as shares of its square.
MOUTHS: dict[str, tuple[float, float]] = {
    "cat": (0.13, 0.42),
    "black cat": (0.1, 0.38),
    "dog": (0.36, 0.56),
    "poodle": (0.08, 0.32),
    "service dog": (0.04, 0.28),
    "rabbit": (0.24, 0.54),
    "mouse": (0.06, 0.52),
    "rat": (0.06, 0.47),
    "squirrel": (0.13, 0.64),
    "beaver": (0.18, 0.42),
    "monkey": (0.3, 0.6),
    "gorilla": (0.16, 0.36),
    "orangutan": (0.5, 0.5),
    "bird": (0.04, 0.42),
    "raven": (0.04, 0.42),
    "seagull": (0.03, 0.33),
    "pigeon": (0.02, 0.28),
    "parrot": (0.05, 0.26),
    "eagle": (0.13, 0.53),
    "owl": (0.5, 0.42),
    "penguin": (0.02, 0.16),
    "duck": (0.04, 0.2),
    "goose": (0.04, 0.2),
    "hen": (0.12, 0.3),
    "tiger": (0.08, 0.48),
    "leopard": (0.02, 0.38),
    "raccoon": (0.05, 0.57),
    "otter": (0.3, 0.44),
    "hedgehog": (0.05, 0.62),
    "skunk": (0.06, 0.73),
    "goat": (0.1, 0.42),
    "horse": (0.06, 0.3),
    "cow": (0.03, 0.42),
    "pig": (0.16, 0.6),
    "deer": (0.26, 0.36),
    "giraffe": (0.17, 0.18),
    "elephant": (0.14, 0.62),
    "crocodile": (0.14, 0.9),
    "t-rex": (0.06, 0.26),
    "shark": (0.24, 0.42),
    "dolphin": (0.03, 0.4),
    "seal": (0.14, 0.28),
    "sheep": (0.24, 0.56),
    "kangaroo": (0.04, 0.3),
    "turtle": (0.12, 0.58),
    "llama": (0.06, 0.2),
    "snake": (0.07, 0.32),
    "dragon": (0.14, 0.22),
    "dinosaur": (0.24, 0.12),
}
PAWS = (0.5, 0.66)  # of a sitting animal that faces us
TOYS = frozenset(
    "ball,tennis ball,baseball,frisbee,boomerang,bone,teddy bear,newspaper,shoe,hat,rose,flower,"
    "tulip,daisy,sunflower,leaf,maple leaf,herb,four-leaf clover,acorn,bamboo,mushroom,envelope,"
    "heart,butterfly,fish,worm,fly,mouse,shrimp,crab,key,seedling".split(",")
)
# Toys on the ground, before the paws.
ROLLING = frozenset("yarn,soccer ball,basketball,volleyball".split(","))


def is_mouthful(name: str) -> bool:
    """True for food and toys that animals have in the mouth or between the paws."""
    return name in TOYS or (name in things.BY_NAME and things.BY_NAME[name].kind == "f")
