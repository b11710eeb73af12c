"""Outer space with nebulae, stars and planets, and the surface of the moon."""

from __future__ import annotations

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import WHITE, Rgb, hexa, mix, rgb
from daguerre.models.embedded.drawing.line import waves
from daguerre.models.embedded.drawing.scene import Scene
from daguerre.models.embedded.drawing.sky import stars


def space(c: Canvas, scene: Scene) -> None:
    a, b = c.r.choice(
        (
            ("#0a0a2a", "#2a1458"),
            ("#050a20", "#102a5c"),
            ("#12061f", "#40155c"),
            ("#06121f", "#0f3a50"),
        )
    )
    c.rect(0, 0, c.w, c.h, c.linear([(0, rgb(a), 1), (1, rgb(b), 1)]))
    for _ in range(3):
        colour = rgb(c.r.choice(("#7a4bd0", "#3f6fd0", "#d04b9a", "#2fa0b0")))
        c.glow(c.r.uniform(0, c.w), c.r.uniform(0, c.h), c.s * c.r.uniform(0.3, 0.6), colour, 0.38)
    stars(c, c.h, 1.2)
    n = c.r.choice((1, 2, 3)) if not scene.objects else c.r.choice((1, 2))
    for i in range(n):
        x = c.w * (i + c.r.uniform(0.25, 0.75)) / n
        y = c.h * c.r.uniform(0.15, 0.85)
        if scene.objects:
            y = c.h * c.r.choice((c.r.uniform(0.08, 0.2), c.r.uniform(0.8, 0.95)))
        planet(c, x, y, c.s * c.r.uniform(0.07, 0.2) * (1.3 if n == 1 else 1))


def planet(c: Canvas, x: float, y: float, k: float) -> None:
    colour = rgb(c.r.choice(("#f2935c", "#6fb0f0", "#e88ab0", "#8fd09a", "#f0cf7a", "#a88af0")))
    clip = c.new_id()
    c.defs.append(
        f'<clipPath id="{clip}"><circle cx="{x:.1f}" cy="{y:.1f}" r="{k:.1f}"/></clipPath>'
    )
    c.glow(x, y, k * 1.6, colour, 0.35)
    has_ring = c.r.random() < 0.45
    turn = f'transform="rotate({c.r.uniform(-25, 25):.1f} {x:.1f} {y:.1f})"'
    if has_ring:
        half_ring(c, x, y, k, colour, turn, 1)
    c.raw(f'<g clip-path="url(#{clip})">')
    c.oval(x, y, k, k, hexa(colour))
    for dy, h in ((-0.5, 0.16), (-0.1, 0.22), (0.38, 0.14)):
        c.rect(
            x - k,
            y + dy * k,
            2 * k,
            h * k,
            hexa(mix(colour, WHITE, 0.22)),
            turn,
        )
    c.path(
        f"M{x + k * 0.2:.1f} {y - k * 1.1:.1f}a{k * 1.4:.1f} {k * 1.4:.1f} 0 0 1 {-k * 0.4:.1f} "
        f"{k * 2.2:.1f}h{k * 2:.1f}v{-k * 2.2:.1f}z",
        "#0a0a2a",
        'opacity="0.28"',
    )
    c.raw("</g>")
    if has_ring:
        half_ring(c, x, y, k, colour, turn, 0)


def half_ring(c: Canvas, x: float, y: float, k: float, colour: Rgb, turn: str, sweep: int) -> None:
    """The half of a planet's ring behind it (sweep 1) or before it (0)."""
    c.path(
        f"M{x - k * 1.7:.1f} {y:.1f}a{k * 1.7:.1f} {k * 0.42:.1f} 0 0 {sweep} {k * 3.4:.1f} 0",
        "none",
        f'stroke="{hexa(mix(colour, WHITE, 0.55))}" stroke-width="{k * 0.14:.1f}" {turn}',
    )


def moonscape(c: Canvas, scene: Scene) -> None:
    """The surface of the moon: grey hills with craters, and the earth in a black sky."""
    c.rect(0, 0, c.w, c.h, c.linear([(0, rgb("#05060f"), 1), (1, rgb("#1a1f38"), 1)]))
    stars(c, c.h * 0.62, 1.1)
    x, y, k = c.w * c.r.uniform(0.18, 0.82), c.h * c.r.uniform(0.16, 0.26), c.s * 0.11
    _earth(c, x, y, k * c.r.uniform(0.8, 1.1))
    for i, tone in enumerate(("#6f7484", "#8b8f9d", "#a9acb8")):
        line = waves(c, c.h * (0.6 + 0.08 * i), c.s * 0.02, 0.8)
        c.land(line, rgb(tone), mix(rgb(tone), (0.2, 0.2, 0.28), 0.25))
    for t in sorted(c.r.random() for _ in range(int(11 * c.w / c.s))):
        cx, cy = c.r.uniform(0, c.w), c.h * (0.72 + 0.26 * t)
        k = c.s * (0.02 + 0.06 * t) * c.r.uniform(0.6, 1.2)
        c.oval(cx, cy, k, k * 0.32, "#c6c9d2")
        c.oval(cx, cy + k * 0.05, k * 0.86, k * 0.25, "#7d8190")
        c.oval(cx + k * 0.08, cy + k * 0.09, k * 0.68, k * 0.17, "#8f93a1")


def _earth(c: Canvas, x: float, y: float, k: float) -> None:
    c.glow(x, y, k * 1.8, rgb("#6fb8ff"), 0.45)
    clip = c.new_id()
    c.defs.append(
        f'<clipPath id="{clip}"><circle cx="{x:.1f}" cy="{y:.1f}" r="{k:.1f}"/></clipPath>'
    )
    c.raw(f'<g clip-path="url(#{clip})">')
    c.oval(x, y, k, k, "#3f8fe0")
    for dx, dy, rx, ry in (
        (-0.4, -0.35, 0.5, 0.34),
        (0.45, 0.15, 0.34, 0.5),
        (-0.3, 0.6, 0.4, 0.2),
    ):
        c.oval(x + dx * k, y + dy * k, rx * k, ry * k, "#63b56a")
    for dx, dy in ((0.1, -0.6), (-0.5, 0.2), (0.2, 0.75)):
        c.oval(x + dx * k, y + dy * k, k * 0.45, k * 0.08, "#f4f9ff", 'opacity="0.85"')
    c.oval(x + k * 0.55, y + k * 0.4, k * 1.05, k * 1.05, "#0a1030", 'opacity="0.28"')
    c.raw("</g>")
