"""English forms for captions: articles, plurals, adjectives, and superfluous commas.

The rules cover the nouns of the table of things and the phrases of `wording`, not English at large;
a test checks the whole table.
"""

from __future__ import annotations

import re

from daguerre.models.embedded.drawing import plurals


def _words(text: str) -> frozenset[str]:
    return frozenset(" ".join(text.split()).split(", "))


# Uncountable nouns: materials, games and proper names. They have no article.
MASS = _words(
    """applause, asparagus, bacon, badminton, bamboo, bamboo with paper wishes, beer, blood,
    boba, boba tea, bok choy, bowling, bread, broccoli, bubble tea, butter, canned food,
    champagne, cheese, chinese takeout, chocolate, coffee, cooked rice, coral, corn, corn on the
    cob, curry, curry rice, cutlery, dna, dracula, earth, father christmas, field hockey, fire,
    firewood, flame, flying money, french bread, fried shrimp, fuji, garlic, ginger, ginger
    root, green salad, green tea, honey, horse racing, ice, ice hockey, juice, fruit juice,
    orange juice, toast, buttered toast, lacrosse, lemonade, lavender, lettuce, lightning,
    luggage, mail, maize, mate, meat, meat on a bone, milk, milk tea, money, money with wings,
    mother christmas, mount fuji, mrs claus, nail polish, noodle soup, oden, paella, parchment,
    pasta, ping pong, pirate treasure, popcorn, ramen, rice, sake, salad, salt, santa, santa
    claus, saturn, shampoo, shaved ice, sheet music, silverware, soap, soda, soft serve, soup,
    spaghetti, stew, sunscreen, sushi, table tennis, tea, tempura, thread, toilet paper, tokyo
    tower, treasure, wheat, whiskey, whisky, wine, wood, yarn, yerba mate, yin yang, yoga"""
)
# Plural nouns, which have no article either.
PLURALS = _words(
    """children, friends, kids, people,
    admission tickets, animal tracks, autumn leaves, ballet shoes, ballet slippers, bamboo
    stalks, beads, beans, beers, biceps, blueberries, bookmark tabs, books, bowling ball and
    pins, bowling pins, boxing gloves, bricks, briefs, bubbles, building blocks, bunny girls,
    busts in silhouette, card index dividers, chains, champagne glasses, cherries, chopsticks,
    cinema tickets, circling hearts, clapping hands, clinking beer mugs, clinking glasses,
    comedy and tragedy masks, crossbones, crossed fingers, crossed hammers, crossed swords,
    crutches, curtains, cupped hands, drama masks, eyeglasses, eyes, fallen leaves, film frames,
    fireworks, flip flops, folded hands, footprints, french fries, fries, glasses, gloves,
    goggles, googly eyes, grapes, hands in the air, hands making a heart, headphones, heart
    hands, hiking boots, hina dolls, houses, hugging people, ice skates, index cards, index
    dividers, japanese dolls, jeans, kidney beans, leafy greens, linked paperclips, lips, lungs,
    man and woman holding hands, maracas, meatballs, metal horns, mining tools, mittens, music
    notes, musical notes, nesting dolls, noodles, olives, open hands, painted nails, palms up
    together, pancakes, pants, paper bags, parents and child, paw prints, peanuts, peas, people
    hugging, people wrestling, pinched fingers, pliers, pointe shoes, prayer beads, praying
    hands, puppy eyes, raised hands, recycle arrows, revolving hearts, roller skates, rolling
    eyes, safety goggles, scales, scales of justice, scissors, stairs, steps, shaking hands,
    shopping bags, shorts, silhouettes of two people, ski goggles, skis, soap bubbles, socks,
    sparkles, spectacles, starry eyes, sticky tabs, strips of bacon, sunglasses, sweat droplets,
    swim briefs, swim trunks, swimming shorts, tears of joy, theater masks, theatre masks, toy
    blocks, traffic lights, trousers, twinkles, two men holding hands, two paperclips, two
    swords, two women holding hands, underpants, water drops, window curtains, women with bunny
    ears, wrestlers"""
)
UNCOUNTED = MASS | PLURALS
DEFINITE = {
    "sun": "the sun",
    "moon": "the moon",
    "earth": "the earth",
    "world": "the world",
    "statue of liberty": "the statue of liberty",
    "eiffel tower": "the eiffel tower",
    "kaaba": "the kaaba",
    "man in the moon": "the man in the moon",
    "hand of fatima": "the hand of fatima",
}
# The head of a name precedes these words; the rest does not change in the plural.
_TAIL = re.compile(r"(.+?)( (?:of|with|without|in|on|from|behind|under|taking off)\b.*)")
_DOING = re.compile(
    r"((?:.+ )?(?:person|people|man|woman|couple|mother|father|face|monkey|hand|finger|airplane))"
    r"( \w+ing\b.*)"
)
# Sounds against the letter: "a unicorn", "an hourglass", "an x-ray".
_SOUNDS_LIKE_A_CONSONANT = re.compile(r"(uni(?!m|n)|ufo|uk|us[aeiu]|eu|ewe|one\b)")
_SOUNDS_LIKE_A_VOWEL = re.compile(r"([aeiou]|hour|heir|honest|x\b|8|11\b|18\b|suv\b)")
_ARTICLE = re.compile(r"\b(?:a|an) (?=(\S+))")


def article(words: str) -> str:
    lowered = words.lower()
    if _SOUNDS_LIKE_A_CONSONANT.match(lowered):
        return "a"
    return "an" if _SOUNDS_LIKE_A_VOWEL.match(lowered) else "a"


def with_article(noun: str) -> str:
    """A name as a sentence says it: "a cat", "the sun", "jeans"."""
    if noun in DEFINITE:
        return DEFINITE[noun]
    return noun if noun in UNCOUNTED else f"{article(noun)} {noun}"


def add_adjective(phrase: str, adjective: str) -> str:
    """Set an adjective after a phrase's article, or before a bare noun."""
    first, _, rest = phrase.partition(" ")
    if first in ("a", "an"):
        return f"{article(adjective)} {adjective} {rest}"
    return f"the {adjective} {rest}" if first == "the" else f"{adjective} {phrase}"


def plural(noun: str) -> str:
    """More than one; what cannot be counted stays as it is."""
    if noun in UNCOUNTED:
        return noun
    for pattern in (_TAIL, _DOING):
        if found := pattern.fullmatch(noun):
            return plural(found[1]) + found[2].replace(" its ", " their ")
    if " and " in noun:
        return " and ".join(plural(part) for part in noun.split(" and "))
    return plurals.plural(noun)


def clean(text: str) -> str:
    """Collapse what empty fields leave behind, and let articles fit the words after them."""
    text = " ".join(text.split()).replace(" ,", ",").replace(" .", ".")
    while ",," in text or ", ," in text:
        text = text.replace(", ,", ",").replace(",,", ",")
    text = " ".join(text.split()).strip(" ,")
    return _ARTICLE.sub(lambda found: f"{article(found[1])} ", text)
