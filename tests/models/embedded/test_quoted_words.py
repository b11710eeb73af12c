import unicodedata

import pytest

from daguerre.models.embedded.drawing.scene import LETTERINGS
from daguerre.models.embedded.plain_text import plain_text
from daguerre.models.embedded.quoted_words import (
    MAX_CHARACTERS,
    NOUNS,
    PLACEHOLDER,
    quoted_words,
    shortened,
)


@pytest.mark.parametrize(
    ("prompt", "words", "surface"),
    [
        ('a sign that says "OPEN"', "OPEN", "sign"),
        ("a cat holding a sign that says “hello”", "hello", "sign"),
        ("ein Schild mit „Größe“", "Größe", "sign"),
        ("une affiche «Été»", "Été", "sign"),
        ("a robot next to a banner saying 'WELCOME'", "WELCOME", "banner"),
        ("a banner with ‘Don’t stop’", "Don’t stop", "banner"),
        ("a poster that says 'Don't panic'", "Don't panic", "poster"),
        ('a t-shirt with the text "I love NY"', "I love NY", "shirt"),
        ('a neon sign "BAR" at night', "BAR", "neon"),
        ('a storefront with "Bakery" written on it', "Bakery", "storefront"),
        ('the words "DREAM BIG" painted on a brick wall', "DREAM BIG", "wall"),
        ('a "Happy Birthday" banner over a table', "Happy Birthday", "banner"),
        ('a movie poster titled "Space Cats"', "Space Cats", "poster"),
        ('a small shop called "Joe\'s"', "Joe's", "storefront"),
        ('a cake with "Happy" and "40" on it', "Happy\n40", "cake"),
        ('a dog saying "woof"', "woof", "bubble"),
        ('a chalkboard reading "2 + 2 = 4"', "2 + 2 = 4", "chalkboard"),
        ('a chalkboard menu with "Soup"', "Soup", "chalkboard"),
        ('an old tavern named "The Pony"', "The Pony", "storefront"),
        ('a panda, "HELLO"', "HELLO", "sign"),
        ("a sign that says hello", "hello", "sign"),
        ("a sign that says stop in the desert", "stop", "sign"),
        ("a banner reading GO TEAM over a road", "GO TEAM", "banner"),
        ("a cat with a sign saying free hugs, at sunset", "free hugs", "sign"),
        ('a mug with "❤"', "❤", "mug"),
        ('a sign that says "a cat"', "a cat", "sign"),
        ('"a cat" painted on a wall', "a cat", "wall"),
        ('a photo of "HELLO"', "HELLO", "sign"),
    ],
)
def test_words(prompt: str, words: str, surface: str) -> None:
    found = quoted_words(prompt)
    assert (found.words, found.surface) == (words, surface)
    assert PLACEHOLDER in found.prompt
    assert words.splitlines()[0] not in found.prompt.replace(PLACEHOLDER, "")


@pytest.mark.parametrize(
    "prompt",
    [
        "the dog's ball and the cats' toys",
        "rock 'n' roll band",
        '"a cat on a sofa"',
        '"a cat on a sofa", 4k, oil painting',
        'draw "a red car on a road"',
        "please generate an image of “two dogs on a wall”",
        'a cat named "Tom"',
        '"a cat" and "a dog"',
        'a scene from the movie "Frozen"',
        'in the style of "Starry Night"',
        'a "happy" dog',
        'a 15" pizza and a 6" knife',
        "a 15” pizza and a 6” knife",
        "a stop sign",
        "a girl reading a book",
        "a red sign in the rain",
        "a sign '",
        'a sign that says "日本"',
        'a sign that says "🎉"',
        "",
    ],
)
def test_no_words(prompt: str) -> None:
    assert quoted_words(prompt).words == ""
    assert quoted_words(prompt).prompt == prompt


@pytest.mark.parametrize(
    ("prompt", "colour"),
    [
        ('a red sign that says "OPEN"', "red"),
        ('a big pink neon sign "BAR"', "pink"),
        ('a grey wooden sign "OPEN"', "gray"),
        ('a red fox with a sign "OPEN"', ""),
        ('"LOVE" on a blue wall', "blue"),
        ('a sign that says "red"', ""),
    ],
)
def test_colour_of_the_surface(prompt: str, colour: str) -> None:
    assert quoted_words(prompt).colour == colour


def test_long_words_end_at_a_word() -> None:
    text = shortened("seven " * 30)
    assert len(text) <= MAX_CHARACTERS
    assert text.endswith("seven…")
    assert len(shortened("x" * 200)) == MAX_CHARACTERS


def test_every_surface_has_nouns() -> None:
    assert set(NOUNS) == set(LETTERINGS)


def test_the_surface_is_no_object() -> None:
    """The surface's noun is not in the text in which objects are looked for."""
    found = quoted_words('a cat with a red book next to a cake that says "Happy"')
    assert found.others == 'a cat with a red book next to a surface that says "words"'
    assert found.fields() == {"lettering": "cake", "lettering_colour": ""}
    assert quoted_words("a cat and a cake").fields() == {"lettering": "", "lettering_colour": ""}


def test_nothing_is_lettered_without_words() -> None:
    assert quoted_words("a cat").excluded() == {"kind": {"lettering"}}
    assert quoted_words('a sign "OPEN"').excluded() == {}


def test_letters_of_quoted_words_are_no_object() -> None:
    assert "letter" not in quoted_words('"LOVE" in big letters').others


def test_hostile_prompts() -> None:
    """Eight quotations are read, and none of more than 200 characters; marks alone are none."""
    assert quoted_words('"a" sign ' * 1000).words == "\n".join("a" * 8)
    assert quoted_words(f'a sign "{"word " * 60}"').words == ""
    assert quoted_words(f'a sign that says{" " * 9000}"').words == ""
    for text in ("'a ", "‘a ", "“", "'", '" ', "a 'b c ", "A'"):
        assert quoted_words((text * 9000)[:9000]).words == ""


@pytest.mark.parametrize("sign", ["ſign", "sİgn", "sıgn", "SIGN", "si\u200bgn", "s\u0131gn"])
def test_surfaces_in_other_letters(sign: str) -> None:
    """Letters that are equal without regard to case, and invisible characters."""
    found = quoted_words(f'a blue {sign} that says "OPEN"')
    assert (found.words, found.surface, found.colour) == ("OPEN", "sign", "blue")


def test_composed_and_decomposed_letters_are_equal() -> None:
    prompt = 'a café called "Été"'
    assert quoted_words(unicodedata.normalize("NFD", prompt)) == quoted_words(prompt)


@pytest.mark.parametrize(
    "marks", ["“”", "„“", "””", "„”", "«»", "‹›", "「」", "『』", "＂＂", "〝〞"]
)
def test_all_double_marks_are_equal(marks: str) -> None:
    """The words and the text around them are those of plain marks."""
    prompt = f"a red cup, a sign that says {marks[0]}OPEN{marks[1]} and a dog"
    plain = plain_text(prompt)
    assert plain == 'a red cup, a sign that says "OPEN" and a dog'
    assert quoted_words(prompt) == quoted_words(plain)
    assert quoted_words(plain).words == "OPEN"
