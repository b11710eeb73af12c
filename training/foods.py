"""Templates of captions for food with other food on it. They are a part of `templates`.

The `object` is the food below, the `subject` what is on it; `contents` are the subject without its
number.
"""

from __future__ import annotations

TOPPED: dict[str, tuple[str, ...]] = {
    "topped": (
        "{object} with {contents}",
        "{object} with {contents}",
        "{object} with {contents}",
        "{object} with {subject}",
        "{object} with {subject}",
        "{object} with {contents} on top",
        "{object} with {subject} on top",
        "{object} with {subject} on it",
        "{object} topped with {contents}",
        "{object} topped with {subject}",
        "{object} decorated with {contents}",
        "{object} garnished with {contents}",
        "{object} and {contents} on top",
        "{subject} on {object}",
        "{contents} on top of {object}",
        "{subject} {relation} {object}",
        "{object} with {contents} {on_back}",
        "{object} with {subject} {on_back}",
        "{style} of {object} with {contents}",
        "{object} with {contents}, {style}",
        "{object} with {contents}, {back_tag}",
        "a picture of {object} topped with {contents}",
        "{object} with {contents}. {back_sentence}",
        "there is {object} with {subject} on top",
        "{on_back}, {object} with {contents}",
    ),
    "room topped": (
        "{object} with {contents} {indoors}",
        "{object} with {contents} {indoors}",
        "{object} with {subject} {indoors}",
        "{object} with {contents} on top {indoors}",
        "{object} topped with {contents} {indoors}",
        "{object} topped with {subject}, {indoors}",
        "{furniture} with {object} topped with {contents}",
        "{style} of {object} with {contents} {indoors}",
        "{object} with {contents} {indoors}, {style}",
        "{indoors}, {object} with {contents}",
        "there is {object} with {subject} on top {indoors}",
    ),
}
TOPPED_HELD_OUT: dict[str, tuple[str, ...]] = {
    "topped": ("show me {object} and on it {contents}", "{object} crowned with {contents}"),
    "room topped": ("show me {object} and on it {contents} {indoors}",),
}
