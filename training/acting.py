"""Templates of captions for riding, holding and walking a dog. They are a part of `templates`.

Fields named first and second are the two in the order of the scene; `relating` knows the verbs.
"""

from __future__ import annotations

# For a walking person beside a dog.
WALKING: dict[str, tuple[str, ...]] = {
    "walking": (
        "{walker} walking {second}",
        "{walker} walking {second}",
        "{walker} walking {second} {on_back}",
        "{walker} is walking {second}",
        "{walker} who walks {second}",
        "{first} with {second}",
        "{walker} taking {second} for a walk",
        "{walker} and {second} on a walk",
        "{style} of {walker} walking {second}",
        "{walker} walking {second}, {back_tag}",
        "a photo of {walker} walking {second}",
        "{walker} walking {second}. {back_sentence}",
    ),
    "walking outdoors": (
        "{walker} walking {second} {inside}",
        "{walker} walking {second} {inside} {when}",
        "{walker} walking {second} {when}",
        "{walker} is walking {second} {inside}",
        "{walker} taking {second} for a walk {inside}",
        "{walker} and {second} on a walk {inside} {weather}",
        "{style} of {walker} walking {second} {inside}",
        "a photo of {walker} walking {second} {inside}",
        "{walker} walking {second}, {tag}, {time_noun}",
        "{walker} walking {second} {inside}. {light_sentence}",
    ),
}
ACTING: dict[str, tuple[str, ...]] = {
    **WALKING,
    "acting": (
        "{first} {relation} {second}",
        "{first} {relation} {second}",
        "{first} {relation} {second}",
        "{first} {relation} {second} {on_back}",
        "{first} who is {acting} {second}",
        "{bare1} {acting} {second}",
        "{bare1} {acting} {bare2}",
        "{bare1} {acting} {bare2}, {back_tag}",
        "{first} is {acting} {second}",
        "{first} is {acting} {second} {on_back}",
        "{second} {done_by} {first}",
        "a picture of {first} {relation} {second}",
        "a photo of {first} {relation} {second}",
        "{style} of {first} {relation} {second}",
        "{first} {relation} {second}, {style}",
        "{first} {acting} {second}, {back_tag}, {style}",
        "there is {first} {acting} {second}",
        "{first} {relation} {second}. {back_sentence}",
        "{first}. The {name1} is {acting} {second}.",
    ),
    "acting outdoors": (
        "{first} {relation} {second} {inside}",
        "{first} {relation} {second} {inside}",
        "{first} {relation} {second} {inside} {when}",
        "{first} {relation} {second} {when}",
        "{first} {acting} {second} {inside} {weather}",
        "{first} is {acting} {second} {inside}",
        "{inside}, {first} {relation} {second}",
        "{bare1} {acting} {bare2}, {tag}, {time_noun}",
        "{bare1} {acting} {bare2} {inside} {when}",
        "{second} {done_by} {first} {inside}",
        "a picture of {first} {relation} {second} {inside} {when}",
        "a photo of {first} {acting} {second} {inside}",
        "{style} of {first} {relation} {second} {inside}",
        "{first} {relation} {second} {inside} {when}, {style}",
        "{terrain} with {first} {acting} {second}",
        "{first} {acting} {second} {inside}. {light_sentence}",
    ),
}
