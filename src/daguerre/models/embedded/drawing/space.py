"""Outer space: nebulae, stars and planets, away from an object in the centre."""

from __future__ import annotations

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import WHITE, Rgb, hexa, mix, rgb
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
