"""Objects in landscapes: on the ground, on water, in the air, and in a relation to each other.

They take the light of the hour. Objects on the ground have a shadow, those on water a bow wave.
"""

from __future__ import annotations

from dataclasses import replace

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import rgb
from daguerre.models.embedded.drawing.dressing import AT_SEA, is_figure
from daguerre.models.embedded.drawing.glowing_plants import mushroom
from daguerre.models.embedded.drawing.grid import BACK_TO_FRONT, offset
from daguerre.models.embedded.drawing.objects import Tint, bounds, feet, put
from daguerre.models.embedded.drawing.palette import GLOWS, Palette
from daguerre.models.embedded.drawing.placement import Placement, fitted, fitted_together
from daguerre.models.embedded.drawing.proportions import in_landscape, proportions
from daguerre.models.embedded.drawing.relations import TOUCHING, related
from daguerre.models.embedded.drawing.scene import Scene, SceneObject

# Objects that give light in the dark.
LIGHTS = frozenset(
    "campfire,fire,fireplace,lantern,oil lamp,candle,street lamp,table lamp,floor lamp,light bulb,"
    "jack-o'-lantern,fireworks,heart on fire,traffic light".split(",")
)
MOST, ENLARGED = 0.5, 1.4  # size of the largest of two objects
LEAST = 0.125  # size of the smaller one, as a share of the short side


def place_objects(c: Canvas, scene: Scene, p: Palette | None) -> None:
    """Draws the objects of a mixed scene into its landscape."""
    dim = {"night": 0.55, "dusk": 0.5, "sunset": 0.45}.get(scene.time, 0.2)
    tint = Tint(p.ambient, dim, scene.is_dark) if p else None
    c.is_water = scene.terrain in AT_SEA
    if scene.is_dark:
        lit = tuple(replace(t, glowing=t.glowing or t.name in LIGHTS) for t in scene.objects)
        scene = replace(scene, objects=lit)
    if scene.relation in (*TOUCHING, "between") or len(scene.objects) > 2:
        for placement in together(c, scene):
            _stand(c, placement, tint)
        return
    scene = replace(scene, objects=in_proportion(scene))
    placed = [
        (item, _places(c, scene, item, centre))
        for item, centre in zip(scene.objects, sides_of(c, scene), strict=True)
    ]
    level = placed[0][1][0][1] if len(placed) > 1 and all(map(is_figure, scene.objects)) else None
    for item, places in placed:
        for x, foot, px in places:
            _put_on_ground(c, item, x, level or foot, px, tint)


def in_proportion(scene: Scene) -> tuple[SceneObject, ...]:
    """The objects with sizes in proportion to each other; what is above another one flies."""
    items = scene.objects
    if len(items) < 2:
        return tuple(map(in_landscape, items))
    largest = min(MOST, ENLARGED * max(item.size for item in items))
    found = [
        replace(item, size=max(LEAST, largest * share) * fitted(item, 1, 1).px)
        for item, share in zip(items, proportions(items), strict=True)
    ]
    if scene.relation == "above" and found[0].place in "gi":
        found[0] = replace(found[0], place="s")
    return tuple(found)


def together(c: Canvas, scene: Scene) -> list[Placement]:
    """Objects in a relation, as one group on the ground."""
    planned = related(c, scene)
    many = sum(item.count for item in scene.objects)
    row = scene.relation not in TOUCHING
    wide = min(c.w * 0.94, c.s * (0.3 * many if row else 0.9))
    high = c.s * (0.34 if row else 0.6)
    foot = c.h * c.r.uniform(0.87, 0.93)
    return fitted_together(planned, wide, min(high, c.h * 0.62), c.w / 2, foot)


def _stand(c: Canvas, placement: Placement, tint: Tint | None) -> None:
    """Draws one object of a group, with its shadow on the ground."""
    item = placement.item
    if item.place not in "su" and placement.lies:
        _shade(c, item, placement.corner[0] + placement.px / 2, placement.foot, placement.px)
    if item.glowing:
        middle = placement.foot - placement.height / 2
        c.glow(placement.x, middle, placement.px * 1.1, rgb("#ffcf6b"), 0.6)
    placement.draw(c, None if item.glowing else _weaker(tint, item))


def _shade(c: Canvas, item: SceneObject, x: float, foot: float, px: float) -> None:
    """The shadow of an object on the ground, or rings in water; its square of `px` is around x."""
    middle, wide = feet(item, x, px)
    if not c.is_water:
        c.shade(middle, foot - px * 0.01, wide * 0.56)
        return
    for k in (0.5, 0.75):
        ring = f'stroke="#ffffff" stroke-width="{px * 0.012:.1f}" opacity="{0.8 - 0.6 * k:.2f}"'
        c.oval(middle, foot - px * 0.015, wide * k, wide * k * 0.16, "none", ring)


def _weaker(tint: Tint | None, item: SceneObject) -> Tint | None:
    """The light on an object; a colour that the scene states stays recognisable."""
    return tint._replace(amount=tint.amount * 0.6) if tint and item.colour else tint


def _places(
    c: Canvas, scene: Scene, item: SceneObject, centre: float
) -> list[tuple[float, float, float]]:
    """Centre, foot and size of each copy of an object; the farthest first."""
    px, n = item.size * c.s, item.count
    low = foot_of(c, scene, item, px)
    rows = BACK_TO_FRONT.get(n, (n,)) if len(scene.objects) == 1 else (n,)
    if item.place in "su":
        low = max(low, (len(rows) + 0.3) * px)  # the upper row is below the top of the frame
    most = max(rows)
    is_side = _are_side_by_side(scene)
    room = c.w * (0.44 if is_side else 1.0)
    px = min(px, room * (1.0 if is_side else 0.9) / most)
    gap = min(px * c.r.uniform(1.0, 1.2), (room - px) / max(1, most - 1) if most > 1 else px)
    half = ((most - 1) * gap + px) / 2
    centre = min(max(centre, half), c.w - half)
    found = []
    for row, across in enumerate(rows):
        back = len(rows) - 1 - row
        shift = c.r.choice((-0.5, 0.5)) * gap if back and across == most else 0.0
        for i in range(across):
            x = centre + shift * 0.5 + offset(i, across, gap)
            k = px * c.r.uniform(0.9, 1.0) if n > 1 else px
            up = 0.1 * px if n > 1 and item.place in "su" else 0.02 * c.h
            foot = low + c.r.uniform(-up, up) - back * px * (1.0 if item.place in "su" else 0.72)
            found.append((x, foot, k))
    return found


def foot_of(c: Canvas, scene: Scene, item: SceneObject, px: float) -> float:
    """The height at which an object is on the ground, floats or flies."""
    if item.place in "su":
        band = (0.22, 0.40) if item.place == "s" else (0.34, 0.56)
        if scene.relation == "above":
            band = (0.16, 0.26)
        return max(px * 0.55, c.h * c.r.uniform(*band)) + px / 2
    return c.h * c.r.uniform(*((0.78, 0.88) if item.place == "w" else (0.86, 0.93)))


def _are_side_by_side(scene: Scene) -> bool:
    return len(scene.objects) == 2 and scene.relation != "above"


def sides_of(c: Canvas, scene: Scene) -> list[float]:
    """The horizontal centre of each object, from the relation or the spot."""
    first = scene.objects[0] if scene.objects else None
    if first is None:
        return []
    if _are_side_by_side(scene):
        half = max(sum(t.size for t in scene.objects) * c.s * 0.29, c.w * 0.14)
        half = min(half, c.w * 0.23)  # both are in the frame, with the shift
        turn = -1 if scene.relation == "right" else 1
        if scene.relation in ("and", "beside"):
            turn = c.r.choice((-1, 1))
        shift = c.w * c.r.uniform(-0.04, 0.04)
        return [c.w / 2 - turn * half + shift, c.w / 2 + turn * half + shift]
    if first.spot:
        return [c.w * (0.22 if first.spot == "left" else 0.78)]
    middle = c.w * c.r.uniform(0.36, 0.64) if first.count == 1 else c.w / 2
    return [middle] * len(scene.objects)


def _put_on_ground(
    c: Canvas, item: SceneObject, x: float, foot: float, px: float, tint: Tint | None
) -> None:
    """Draws one object with its light, reflection, shadow or bow wave."""
    if item.look[0] == "glow":
        mushroom(c, x, foot, px * 1.15, GLOWS[item.colour], c.r.uniform(0.62, 0.9))
        return
    bottom = bounds(item.look)[3]
    middle = foot + px * (0.5 - bottom)
    tint = _weaker(tint, item)
    if item.glowing:
        c.glow(x, middle, px * 1.1, rgb("#ffcf6b"), 0.6)
        tint = None
    if item.is_reflected:
        mark = len(c.parts)
        put(c, item, x, middle, px, tint)
        again = "".join(c.parts[mark:])
        del c.parts[mark:]
        c.mirror(again, foot - px * 0.03, 0.45, 0.85)
    if item.place in "gi":
        _shade(c, item, x, foot, px)
    put(c, item, x, middle, px, tint)
    if item.place == "w":
        for k in (0.46, 0.34):
            c.rect(
                x - px * k,
                foot - px * (0.49 - k) * 0.2,
                px * k * 2,
                px * 0.025,
                "#ffffff",
                f'rx="{px * 0.012:.1f}" opacity="0.4"',
            )
