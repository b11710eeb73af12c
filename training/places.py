"""Words for built places and furnished rooms; a part of the vocabulary in `wording`."""

from __future__ import annotations

Phrases = tuple[tuple[str, ...], tuple[str, ...]]

# For each terrain: noun phrases with articles, then bare nouns for tags.
PLACE_TERRAINS: dict[str, Phrases] = {
    "street": (
        (
            "a street",
            "the street",
            "a city street",
            "a town street",
            "an old street",
            "a street with houses",
            "a street with lamps",
            "a street corner",
            "an alley",
            "a town square",
        ),
        ("street", "city street", "street scene", "urban street", "town"),
    ),
    "park": (
        (
            "a park",
            "the park",
            "a city park",
            "a green park",
            "a park with a bench",
            "a park with trees",
            "a path in a park",
            "a playground",
        ),
        ("park", "city park", "park bench", "park path"),
    ),
    "garden": (
        (
            "a garden",
            "the garden",
            "a flower garden",
            "a backyard",
            "a garden with a white fence",
            "a cottage garden",
            "a back garden",
        ),
        ("garden", "flower garden", "backyard", "white fence"),
    ),
    "farm": (
        (
            "a farm",
            "the farm",
            "a farm with a red barn",
            "a farmyard",
            "farmland",
            "a field on a farm",
            "a farm field",
        ),
        ("farm", "farmland", "red barn", "farm field"),
    ),
    "cliff": (
        (
            "a cliff by the sea",
            "a cliff",
            "sea cliffs",
            "white cliffs",
            "the cliffs",
            "a rocky coast",
            "a cliff above the ocean",
            "the coast",
        ),
        ("cliff", "sea cliffs", "rocky coast", "coast"),
    ),
    "waterfront": (
        (
            "a city by a lake",
            "a city by the water",
            "a city on a river",
            "a city skyline by the water",
            "a skyline reflected in the water",
            "a waterfront",
            "a city by the sea",
            "a city across the water",
        ),
        ("city by the water", "waterfront", "skyline reflection", "riverside city"),
    ),
    "harbour": (
        (
            "a harbour",
            "a harbor",
            "a port",
            "a fishing harbour",
            "a harbour with boats",
            "a fishing village by the sea",
            "a marina",
            "a coastal town",
        ),
        ("harbour", "harbor", "port", "fishing village"),
    ),
    "moonscape": (
        (
            "the surface of the moon",
            "the moon surface",
            "the moon's surface",
            "a lunar landscape",
            "craters on the moon",
            "a moonscape",
            "the ground of the moon with the earth in the sky",
        ),
        ("moon surface", "lunar landscape", "moonscape", "lunar surface"),
    ),
}
PLACE_INSIDE: dict[str, tuple[str, ...]] = {  # where a thing is said to be
    "street": (
        "on a street",
        "on the street",
        "in the street",
        "on a city street",
        "on the road in a town",
        "in front of houses",
        "in a town square",
        "in an alley",
    ),
    "park": (
        "in a park",
        "in the park",
        "in a city park",
        "on a path in a park",
        "in a playground",
    ),
    "garden": ("in a garden", "in the garden", "in the backyard", "in a flower garden"),
    "farm": ("on a farm", "on the farm", "in front of a barn", "in a farmyard", "in a farm field"),
    "cliff": (
        "on a cliff",
        "on a cliff by the sea",
        "on the edge of a cliff",
        "on a cliff above the sea",
        "on a clifftop",
    ),
    "waterfront": (
        "on a river in the city",
        "in front of a city by the water",
        "on the water before a city skyline",
        "on a lake by a city",
    ),
    "harbour": ("in a harbour", "in the harbor", "in a port", "in a marina"),
    "moonscape": (
        "on the moon",
        "on the moon",
        "on the surface of the moon",
        "on the moon's surface",
        "in a lunar landscape",
    ),
}
# For each furnished room: where things are, and what has them.
PLACE_ROOMS: dict[str, Phrases] = {
    "kitchen": (
        ("in a kitchen", "in the kitchen", "in a cosy kitchen", "in a modern kitchen"),
        ("a kitchen", "the kitchen", "a cosy kitchen", "a modern kitchen"),
    ),
    "living room": (
        (
            "in a living room",
            "in the living room",
            "in a cosy living room",
            "in a lounge",
            "in a sitting room",
            "at home",
        ),
        ("a living room", "a cosy living room", "a lounge"),
    ),
    "bedroom": (
        ("in a bedroom", "in the bedroom", "in a cosy bedroom", "in a kid's bedroom"),
        ("a bedroom", "the bedroom", "a cosy bedroom"),
    ),
    "bathroom": (
        ("in a bathroom", "in the bathroom", "in a tiled bathroom", "in a washroom"),
        ("a bathroom", "the bathroom", "a tiled bathroom"),
    ),
    "library": (
        (
            "in a library",
            "in the library",
            "in an old library",
            "among bookshelves",
            "in front of bookshelves",
            "in a bookstore",
        ),
        ("a library", "the library", "an old library", "a library full of books", "a bookstore"),
    ),
    "classroom": (
        (
            "in a classroom",
            "in the classroom",
            "at school",
            "in front of a blackboard",
            "in front of a chalkboard",
        ),
        ("a classroom", "the classroom", "a school classroom", "a room with a blackboard"),
    ),
    "office": (
        ("in an office", "in the office", "at the office", "in a home office", "at work"),
        ("an office", "the office", "a home office", "a modern office"),
    ),
    "cafe": (
        (
            "in a cafe",
            "in the cafe",
            "in a coffee shop",
            "in a restaurant",
            "in a bar",
            "at a cafe",
            "in a diner",
        ),
        ("a cafe", "a coffee shop", "a cosy cafe", "a restaurant", "a bar"),
    ),
    "stage": (
        (
            "on a stage",
            "on stage",
            "on the stage",
            "in a theatre",
            "in the spotlight",
            "on a theater stage",
        ),
        ("a stage", "a theatre stage", "a stage with red curtains", "an empty stage", "a theater"),
    ),
}
MOON_DETAILS = ("with craters", "with the earth in the sky", "under a black sky")
WALLLESS = ("library", "stage")  # whose walls are not seen
ROOM_TIMES = ("at night", "at night", "late at night", "in the evening", "by lamplight")
EMPTY_ROOM = (
    "{furniture}",
    "{furniture}",
    "{furniture} {room_time}",
    "{furniture} {by_wall}",
    "an empty {setting}",
    "the inside of {furniture}",
    "interior of {furniture}",
    "{setting} interior",
    "{setting}, {style}",
    "{style} of {furniture}",
    "a {praise} {setting} {room_time}",
    "{furniture} {by_wall} {room_time}",
    "a picture of {furniture}",
    "a view of {furniture}",
    "{setting}",
)
