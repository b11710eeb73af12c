"""Objects, counts and sides of a prompt: which are stated beyond doubt."""

from __future__ import annotations

import numpy as np
import pytest

from daguerre.models.embedded.compatibility import CompatibilityTables
from daguerre.models.embedded.fields import AT, FIELDS, MAX_OBJECTS, NUM_LOGITS, STARTS
from daguerre.models.embedded.object_binding import BoundObjects, bound_objects
from daguerre.models.embedded.relation_phrases import ANY, APART
from daguerre.models.embedded.sampler import MAX_STEPS, Noise, SceneSampler


@pytest.mark.parametrize(
    ("prompt", "names", "relation"),
    [
        ("a photo of a bench left of a bear", ("bench", "bear"), "left"),
        ("A dog to the right of a cat", ("dog", "cat"), "right"),
        ("a dog on the left side of a big red bus", ("dog", "bus"), "left"),
        ("the dog is sitting to the left of the cat.", ("dog", "cat"), "left"),
        ("a photo of a carrot below an umbrella", ("carrot", "umbrella"), "below"),
        ("a bird directly above a house", ("bird", "house"), "above"),
        ("a photo of a book left of broccoli", ("book", "broccoli"), "left"),
        ("green broccoli above a cup, 4k", ("broccoli", "mug"), "above"),
        ("cat to the right of dog", ("cat", "dog"), "right"),
        ("a photo of a cow and a horse", ("cow", "horse"), ""),
        ("an astronaut riding a white horse", ("astronaut", "horse"), "riding"),
        ("a robot is holding a flower", ("robot", "flower"), "holding"),
        ("a girl in a red dress carrying a balloon", ("girl", "balloon"), "holding"),
        ("an apple, a banana and a pear", ("apple", "banana", "pear"), ""),
        ("two cats and three dogs", ("cat", "dog"), ""),
        ("a cat and a dog, oil painting, 8k", ("cat", "dog"), ""),
        ("a painting of a cat and a dog on a sofa", ("cat", "dog"), ""),
        ("a witch flying on a broom across a full moon", ("sorceress", "broom"), "riding"),
        ("a girl riding a bus", ("girl", "bus"), ""),
        ("a cat and a dog, no birds", ("cat", "dog"), ""),
    ],
)
def test_stated(prompt: str, names: tuple[str, ...], relation: str) -> None:
    """Objects with articles or numbers that only a side or a conjunction connects are fixed."""
    found = bound_objects(prompt)
    assert len(found.names) == len(names), found
    assert all(name in some for name, some in zip(names, found.names, strict=True))
    assert found.relations == {relation} or (not relation and found.relations in (ANY, APART))


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("a giant octopus attacking a ship", ("octopus", "ship")),
        ("a kitten that is chasing a butterfly in the garden", ("cat", "butterfly")),
        ("a monkey eating bananas", ("monkey", "banana")),
        ("dog catching frisbee", ("dog", "frisbee")),
        ("a cat playing with yarn", ("cat", "yarn")),
        ("a cat and a dog eating pizza", ("cat", "dog", "pizza")),
        ("a cat next to a dog", ("cat", "dog")),
        ("a dog watching television in a room with a cat", ("dog", "television")),
        ("a lion fleeing a bear", ("lion", "bear")),
        ("a bride and a groom in front of a church", ("bride", "groom", "church")),
    ],
)
def test_acts_and_neighbours(prompt: str, names: tuple[str, ...]) -> None:
    """Objects of a verb, and those next to another, are not inside one another."""
    found = bound_objects(prompt)
    assert len(found.names) == len(names), found
    assert all(name in some for name, some in zip(names, found.names, strict=True))
    assert found.relations == APART


@pytest.mark.parametrize(
    ("prompt", "relations"),
    [
        ("a baby dragon hatching from an egg", {"in"}),
        ("a witch flying on a broom", {"riding"}),
        ("a girl sitting on a horse", {"riding"}),
        ("a girl riding a bus", APART),
        ("a cat on a turtle", APART),
    ],
)
def test_riding(prompt: str, relations: frozenset[str]) -> None:
    """Only what the painter can draw a rider on is ridden."""
    assert bound_objects(prompt).relations == relations


@pytest.mark.parametrize(
    ("prompt", "relations"),
    [
        ("a cat in a suitcase", ANY),
        ("a dragon hatching from an egg", {"in"}),
        ("a bowl of a banana and a strawberry", ANY),
        ("three oranges and a bowl", ANY),
        ("a cat in the garden", ANY),
        ("two parrots on a branch", ANY),
        ("a cat and a butterfly in the garden", APART),
        ("a cat with a butterfly", APART),
    ],
)
def test_inside(prompt: str, relations: frozenset[str]) -> None:
    """One object is in another if that is a container, or the prompt says so."""
    assert bound_objects(prompt).relations == relations


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("a train that belongs to my uncle", ({"train"},)),
        ("a book, masterful brushwork", ({"book"},)),
        ("a poster showing a cat", ({"cat"},)),
        ("a house on an orange background", ({"house"},)),
        ("a close-up of a tiger", ()),
        ("a mountain, 8k", ()),
        ("the surface of the moon", ()),
        ("planets", ()),
        ("a dog with a zorbel", ()),
    ],
)
def test_a_lone_object(prompt: str, names: tuple[set[str], ...]) -> None:
    """It is fixed if it has an article, is drawn whole, and only style follows."""
    assert bound_objects(prompt).names == names


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "cat",
        "cats and dogs",
        "a cat on a table",
        "a cat with a hat",
        "a cat left of a dog and a bird",
        "a cat next to a mountain",
        "a cat chasing a cat",
        "a bowl holding a flower",
        "an owl in front of a window",
        "a cat on a chair",
        "a fox and a dog with a cat in the middle",
        "a cat and another cat",
        "a cat and no dog",
        "a bowl of oranges and a spoon",
        "left of a dog",
        "a cat and a dog toy",
        "a flamingoe between a synagogue and an eagle",
        "a zorbel, a rabbit and a tamale in a bedroom",
        "Mother Christmas with a book and a tuba",
    ],
)
def test_uncertain(prompt: str) -> None:
    """The network decides where other words connect the objects, or one has no article."""
    assert bound_objects(prompt).names == ()
    assert bound_objects(prompt).relations in (ANY, APART)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a cherry red car", {"car"}),
        ("a red cherry and a car", {"cherries", "car"}),
        ("a cat by Van Gogh", {"cat"}),
        ("a bird's eye view of a bus", {"bus"}),
        ("a road with no red cars", set()),
        ("a cat without a hat", {"cat"}),
        ("a baby dragon in a brick house", {"dragon", "house"}),
        ("a deer statue, a starfish cookie", {"statue", "cookie"}),
        ("cats dogs", {"cat", "dog"}),
        ("a fairy flies over the sea", {"fairy"}),
        ("a robot sheep", {"sheep"}),
        ("a man saw a dog", {"man", "dog"}),
        ("birds fly over a house", {"bird", "house"}),
        ("two saw blades", {"saw"}),
        ("a horse-drawn carriage", set()),
        ("a man-made lake and a dog-like robot", {"robot"}),
        ("a star-shaped cookie", {"cookie"}),
        ("a cat shaped cake, a leopard print dress", {"cake", "dress"}),
        ("a gluten-free cake on a tree-lined street", {"cake"}),
        ("paw prints", {"paw prints"}),
        ('a dog named Bear and a cat called "Tiger"', {"dog", "cat"}),
        ("a 'cat' and the dogs' bowl", {"cat", "bowl"}),
        ("an animal called giraffe", {"giraffe"}),
        ("Emma Stone with a dog", {"dog"}),
        ("a baby shower, a meteor shower", set()),
    ],
)
def test_words_that_are_no_names(prompt: str, said: set[str]) -> None:
    """Shades, names of something else and what is left out are no objects of the scene."""
    assert bound_objects(prompt).said == said


def test_no_object_is_bound_that_the_negative_prompt_excludes() -> None:
    """A prompt and a negative prompt that name the same object leave the rest to the network."""
    found = bound_objects("two cats and a dog", {"dog"})
    assert (found.names, found.counts) == ((), {})
    assert "cat" in found.said
    assert "dog" not in found.said


@pytest.mark.parametrize(
    ("prompt", "number"),
    [
        ("a cat", 1),
        ("a cat, bokeh, dslr, golden ratio", 1),
        ("a photo of a cat in the style of Lomi Sator", 1),
        ("a cat and a dog, 8k", 2),
        ("a cat left of a dog", 2),
        ("a cat with a zorbel", MAX_OBJECTS),
        ("a cat, a zorbel", MAX_OBJECTS),
        ("a cat that holds a zorbel", MAX_OBJECTS),
        ("a cat, dog", MAX_OBJECTS),
        ("a bowl of oranges", MAX_OBJECTS),
        ("please draw me a cute little cat", 1),
        ("red cat, 8k", 1),
        ("a picture of a grumpy zorbel holding a sword", MAX_OBJECTS),
        ("a zorbel and a basket", MAX_OBJECTS),
        ("a grey screen right of a basket", MAX_OBJECTS),
        ("a brroom ridden by a mouse", MAX_OBJECTS),
        ("a family, 8k", MAX_OBJECTS),
        ("a landscape, 8k", MAX_OBJECTS),
        ("a dog with soft lighting and warm colors", 1),
        ("a dog on a plain background", 1),
        ("a dog, zbrush sculpt, substance painter", 1),
        ("a dog that belongs to my uncle", 1),
        ("a dog seen from afar", 1),
        ("a dog, a painter", 2),
        ("(a cat)", MAX_OBJECTS),
        ("[[ a cat ]]/", MAX_OBJECTS),
    ],
)
def test_numbers_of_objects(prompt: str, number: int) -> None:
    """Words of style add no object; other words may name one that the table does not have."""
    assert bound_objects(prompt).max_number == number


def test_what_is_read_is_chosen() -> None:
    """Names, relation and counts win against the logits; the kind must permit them."""
    logits = np.zeros(NUM_LOGITS, np.float32)
    for slot, name in ((1, "bear"), (2, "chair"), (3, "dog")):
        field = AT[slot, "name"]
        logits[STARTS[field] + FIELDS[field].index[name]] = 50
    kinds, relation = FIELDS[AT[0, "kind"]], AT[0, "relation"]
    logits[STARTS[AT[0, "kind"]] + kinds.index["thing"]] = 50
    together = np.ones((len(kinds.values), NUM_LOGITS), bool)
    together[kinds.index["thing"], STARTS[relation] + 1 : STARTS[relation + 1]] = False
    rules = CompatibilityTables({AT[0, "kind"]: together})
    objects = bound_objects("two benches left of a bear")
    sampler = SceneSampler(Noise.draw(1), rules, MAX_STEPS, 0.5, objects=objects)
    for index in range(MAX_STEPS):
        sampler.step(logits, index)
    found = {
        (slot, name): FIELDS[AT[slot, name]].values[sampler.tokens[AT[slot, name]]]
        for slot, name in ((0, "relation"), (1, "name"), (2, "name"), (3, "name"), (1, "count"))
    }
    assert list(found.values()) == ["left", "bench", "bear", "", "2"]
    assert kinds.values[sampler.tokens[AT[0, "kind"]]] != "thing"


def test_as_many_objects_are_fixed_as_the_tables_permit() -> None:
    """If no kind permits all the objects that a prompt states, one with the first ones is taken."""
    kinds, second, third = FIELDS[AT[0, "kind"]], AT[2, "name"], AT[3, "name"]
    together = np.ones((len(kinds.values), NUM_LOGITS), bool)
    together[:, STARTS[third] + 1 : STARTS[third + 1]] = False
    together[:, STARTS[second] + 1 : STARTS[second + 1]] = False
    together[kinds.index["pair"], STARTS[second] + 1 : STARTS[second + 1]] = True
    rules = CompatibilityTables({AT[0, "kind"]: together})
    objects = bound_objects("an apple, a banana and a pear")
    sampler = SceneSampler(Noise.draw(1), rules, MAX_STEPS, 0.5, objects=objects)
    for index in range(MAX_STEPS):
        sampler.step(np.zeros(NUM_LOGITS, np.float32), index)
    names = [
        FIELDS[AT[slot, "name"]].values[sampler.tokens[AT[slot, "name"]]] for slot in (1, 2, 3)
    ]
    assert names == ["apple", "banana", ""]
    assert kinds.values[sampler.tokens[AT[0, "kind"]]] == "pair"


@pytest.mark.parametrize(("winner", "expected"), [("sofa", "chair"), ("", "")])
def test_a_name_that_the_prompt_has_is_preferred(winner: str, expected: str) -> None:
    """It wins against a somewhat likelier name, but not against no object at all."""
    field = AT[1, "name"]
    index = FIELDS[field].index
    logits = np.full(NUM_LOGITS, -50, np.float32)
    logits[STARTS[field] + index[winner]] = 0
    logits[STARTS[field] + index["chair"]] = -1.5
    objects = BoundObjects(said=frozenset({"chair"}))
    sampler = SceneSampler(Noise.draw(1), CompatibilityTables({}), MAX_STEPS, 0.0, objects=objects)
    found = sampler.estimate(logits)[field]
    assert FIELDS[field].values[found] == expected
