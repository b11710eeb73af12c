"""Skies: gradient, sun, moon, stars, clouds, and weather above the horizon."""

from __future__ import annotations

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import BLACK, WHITE, Rgb, hexa, mix, rgb
from daguerre.models.embedded.drawing.line import waves
from daguerre.models.embedded.drawing.palette import Palette
from daguerre.models.embedded.drawing.scene import RIDGED, Scene


def paint_sky(c: Canvas, scene: Scene, p: Palette, horizon: float) -> float:
    """Paints the sky down to the horizon. Returns x of the sun or moon."""
    r = c.r
    n = len(p.sky) - 1
    low = min(1.0, horizon / c.h + 0.04)
    c.rect(0, 0, c.w, c.h, c.linear([(i / n * low, s, 1) for i, s in enumerate(p.sky)]))
    at = c.w * r.uniform(0.22, 0.78)
    if scene.time == "night" and scene.weather in ("clear", "aurora"):
        stars(c, horizon, at=at if scene.moon else None)
    elif scene.time == "dusk" and scene.weather == "clear":
        stars(c, horizon * 0.5, 0.4)
    if scene.weather == "aurora":
        aurora(c, horizon)
    if scene.moon:
        moon(c, at, horizon * r.uniform(0.18, 0.42), p)
    if scene.sun:
        sun(c, scene, at, horizon, p)
    if scene.weather == "rainbow":
        rainbow(c, horizon * 1.05)
    clouds(c, scene, p, horizon)
    if scene.weather == "storm":
        bolt(c, horizon)
    if scene.weather == "clear" and scene.time in ("dawn", "day", "sunset") and r.random() < 0.5:
        birds(c, horizon, p)
    return at


def birds(c: Canvas, low: float, p: Palette) -> None:
    """A few distant birds, two pen strokes each."""
    x, y = c.w * c.r.uniform(0.15, 0.8), low * c.r.uniform(0.2, 0.6)
    ink = hexa(mix(p.sky[0], BLACK, 0.45))
    for _ in range(c.r.choice((3, 4, 5, 7))):
        a, b = x + c.s * c.r.uniform(-0.13, 0.13), y + c.s * c.r.uniform(-0.05, 0.05)
        k = c.s * c.r.uniform(0.009, 0.016)
        c.path(
            f"M{a - k:.1f} {b - k * 0.45:.1f}Q{a - k * 0.4:.1f} {b - k * 0.5:.1f} {a:.1f} {b:.1f}"
            f"Q{a + k * 0.4:.1f} {b - k * 0.5:.1f} {a + k:.1f} {b - k * 0.45:.1f}",
            "none",
            f'stroke="{ink}" stroke-width="{c.s * 0.0028:.1f}" stroke-linecap="round"'
            ' opacity="0.75"',
        )


def stars(c: Canvas, low: float, many: float = 1.0, at: float | None = None) -> None:
    """Stars from the top of the picture down to `low`, but not around a moon's x."""
    for _ in range(int(many * 90 * c.w * low / (c.s * c.s))):
        x, y = c.r.uniform(0, c.w), c.r.uniform(0, low)
        if at is not None and abs(x - at) < 0.1 * c.s and y < 0.55 * low:
            continue
        size = c.s * c.r.choice((0.0016, 0.002, 0.0026, 0.004)) * c.r.uniform(0.8, 1.2)
        c.oval(x, y, size, size, "#fffbe8", f'opacity="{c.r.uniform(0.45, 1):.2f}"')


def moon(c: Canvas, x: float, y: float, p: Palette) -> None:
    radius = c.s * c.r.uniform(0.045, 0.085)
    c.glow(x, y, radius * 4.5, p.light, 0.40)
    crescent = c.r.random() < 0.45
    if crescent:
        k = radius
        c.path(
            f"M{x:.1f} {y - k:.1f}a{k:.1f} {k:.1f} 0 1 1 {-k * 0.9:.1f} {k * 1.45:.1f}"
            f"a{k * 0.86:.1f} {k * 0.86:.1f} 0 0 0 {k * 0.9:.1f} {-k * 1.45:.1f}z",
            hexa(p.light),
        )
        return
    c.oval(x, y, radius, radius, hexa(p.light))
    dim = hexa(mix(p.light, p.haze, 0.22))
    for dx, dy, k in ((-0.3, -0.25, 0.22), (0.35, 0.1, 0.16), (-0.1, 0.42, 0.14)):
        c.oval(x + dx * radius, y + dy * radius, k * radius, k * radius, dim)


def sun(c: Canvas, scene: Scene, x: float, horizon: float, p: Palette) -> None:
    low = scene.time in ("sunset", "dawn")
    radius = c.s * (c.r.uniform(0.07, 0.14) if low else c.r.uniform(0.05, 0.08))
    y = horizon - radius * c.r.uniform(-0.1, 1.6) if low else horizon * c.r.uniform(0.15, 0.4)
    if low and scene.terrain in RIDGED:
        y = horizon - c.s * c.r.uniform(0.14, 0.36)
    if low:
        c.glow(x, y, c.s * 0.85, p.light, 0.55)
        c.glow(x, y, radius * 2.6, WHITE, 0.35)
    else:
        c.glow(x, y, radius * 4, p.light, 0.6)
    c.oval(x, y, radius, radius, hexa(mix(p.light, WHITE, 0.25)))


def clouds(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    r = c.r
    bright = (
        mix(p.sky[-1], WHITE, 0.65)
        if scene.time in ("day", "dawn")
        else mix(p.sky[-1], p.haze, 0.5)
    )
    if scene.weather == "storm":
        bright = mix(p.sky[0], BLACK, 0.25)
    elif scene.weather == "rain":
        bright = mix(bright, mix(p.sky[0], (0.6, 0.62, 0.68), 0.3), 0.75)
    many = {
        "clear": r.choice((0, 1, 2, 3)),
        "cloudy": 8,
        "rain": 7,
        "snow": 4,
        "storm": 9,
        "fog": 0,
        "rainbow": 3,
        "aurora": 0,
    }[scene.weather]
    if scene.time in ("sunset", "dusk", "dawn") and scene.weather == "clear":
        tone = mix(p.sky[len(p.sky) // 2], p.sky[-1], 0.55)
        streaks(c, horizon, tone, 0.55, r.choice((2, 4, 6)))
        return
    if scene.time == "night" and scene.weather == "clear":
        many = 0
    for _ in range(int(many * max(1.0, c.w / c.s))):
        size = c.s * r.uniform(0.10, 0.22)
        y = horizon * r.uniform(0.08, 0.62)
        shadow = mix(bright, p.sky[0], r.uniform(0.0, 0.35))
        puff(c, r.uniform(-0.05, 1.05) * c.w, y, size, shadow)


def puff(c: Canvas, x: float, y: float, size: float, colour: Rgb) -> None:
    """One flat-bottomed cloud."""
    r = c.r
    lobes = [(-0.62, 0.26), (-0.2, 0.44), (0.26, 0.36), (0.64, 0.22)]
    d = f'<g fill="{hexa(colour)}">'
    base = y
    for shift, high in lobes:
        radius = size * high * r.uniform(0.85, 1.15) * 0.62
        cx, cy = x + shift * size * 0.8, base - radius * 0.8
        d += f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="{radius:.1f}"/>'
    d += (
        f'<rect x="{x - size * 0.78:.1f}" y="{base - size * 0.2:.1f}" width="{size * 1.56:.1f}" '
        f'height="{size * 0.2:.1f}" rx="{size * 0.1:.1f}"/></g>'
    )
    c.raw(d)


def streaks(c: Canvas, y: float, colour: Rgb, alpha: float, many: int) -> None:
    """Long thin clouds near a low sun."""
    for _ in range(many):
        w = c.s * c.r.uniform(0.25, 0.7)
        h = c.s * c.r.uniform(0.008, 0.022)
        x, at = c.r.uniform(-0.1, 1) * c.w, y * c.r.uniform(0.35, 0.95)
        c.rect(x, at, w, h, hexa(colour), f'rx="{h / 2:.1f}" opacity="{alpha:.2f}"')
        c.rect(
            x + w * 0.25,
            at + h * 1.0,
            w * 0.6,
            h * 0.8,
            hexa(colour),
            f'rx="{h * 0.4:.1f}" opacity="{alpha * 0.8:.2f}"',
        )


def aurora(c: Canvas, low: float) -> None:
    """Two or three curtains of light."""
    for _ in range(c.r.choice((2, 3))):
        colour = c.r.choice((rgb("#5df2b0"), rgb("#4fd8d0"), rgb("#9a7bff"), rgb("#7cf08a")))
        top = waves(c, low * c.r.uniform(0.15, 0.5), c.s * 0.09, 1.1)
        drop = low * c.r.uniform(0.3, 0.5)
        fill = c.linear([(0, colour, 0.0), (0.45, colour, 0.55), (1, colour, 0.0)])
        c.poly([*top, *[(x, y + drop) for x, y in reversed(top)]], fill)


def rainbow(c: Canvas, y: float) -> None:
    x, radius = c.w * c.r.uniform(0.3, 0.7), min(c.w * 0.55, y * 0.95) * c.r.uniform(0.8, 1)
    band = c.s * 0.016
    for i, colour in enumerate(("#f25c5c", "#f79b4b", "#fbe06a", "#6fd08c", "#58a9e8", "#9a7be0")):
        c.oval(
            x,
            y,
            radius - i * band,
            radius - i * band,
            "none",
            f'stroke="{colour}" stroke-width="{band * 1.05:.1f}" opacity="0.7"',
        )


def bolt(c: Canvas, low: float) -> None:
    """A zigzag of lightning, with its light in the clouds."""
    x, y = c.w * c.r.uniform(0.2, 0.8), low * 0.12
    c.glow(x, y + low * 0.2, c.s * 0.45, (0.86, 0.86, 1.0), 0.7)
    points = [(x, y)]
    while y < low * 0.92:
        y += low * c.r.uniform(0.1, 0.2)
        x += c.s * c.r.uniform(-0.09, 0.09)
        points.append((x, y))
    text = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    c.raw(
        f'<polyline points="{text}" fill="none" stroke="#fffbe0" stroke-width="{c.s * 0.012:.1f}"'
        f' stroke-linejoin="bevel"/>'
    )
