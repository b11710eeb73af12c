"""Underwater scenes: light rays, the sea floor with weed, and small fish if there is no object."""

from __future__ import annotations

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import BLACK, WHITE, Rgb, hexa, mix, rgb
from daguerre.models.embedded.drawing.line import Line, height_at, waves
from daguerre.models.embedded.drawing.scene import Scene


def underwater(c: Canvas, scene: Scene) -> None:
    top, deep = c.r.choice((("#6fe0e6", "#0b4f86"), ("#58c4f0", "#12386f"), ("#7ee8d0", "#0a5a70")))
    c.rect(0, 0, c.w, c.h, c.linear([(0, rgb(top), 1), (1, rgb(deep), 1)]))
    rays(c)
    for i in range(3):
        line = waves(c, c.h * (0.74 + 0.07 * i), c.s * 0.03, 0.9)
        tone = mix(rgb(deep), rgb("#e6cf94"), 0.15 + 0.22 * i)
        c.land(line, tone, mix(tone, rgb(deep), 0.3))
        for _ in range(int(5 * c.w / c.s)):
            weed(c, line, rgb(deep), 0.45 + 0.25 * i)
    if not scene.objects:
        for _ in range(c.r.choice((3, 5, 8))):
            small_fish(
                c,
                c.r.uniform(0.08, 0.92) * c.w,
                c.h * c.r.uniform(0.15, 0.68),
                c.s * c.r.uniform(0.03, 0.07),
            )
    for _ in range(14):
        k = c.s * c.r.uniform(0.004, 0.012)
        c.oval(c.r.uniform(0, c.w), c.r.uniform(0.1, 0.85) * c.h, k, k, "#ffffff", 'opacity="0.45"')


def rays(c: Canvas) -> None:
    """Slanting light from above that fades with depth."""
    for _ in range(6):
        x, w = c.r.uniform(-0.1, 1.0) * c.w, c.s * c.r.uniform(0.04, 0.12)
        lean = c.s * c.r.uniform(0.15, 0.35)
        fill = c.linear([(0, WHITE, 0.32), (1, WHITE, 0.0)])
        c.poly(
            [(x, -9), (x + w, -9), (x + w * 2.2 + lean, c.h * 0.85), (x + lean, c.h * 0.85)], fill
        )


def weed(c: Canvas, line: Line, deep: Rgb, near: float) -> None:
    """One swaying stalk on the sea floor; `near` is 0 (blue with distance) to 1."""
    x = c.r.uniform(0, c.w)
    y, h = height_at(line, x) + c.s * 0.02, c.s * c.r.uniform(0.08, 0.22)
    sway = h * c.r.uniform(-0.25, 0.25)
    hue = rgb(c.r.choice(("#3fc48a", "#f2789a", "#f7a35c", "#b07be0", "#2fa878")))
    c.path(
        f"M{x:.1f} {y:.1f}q{sway:.1f} {-h * 0.3:.1f} 0 {-h * 0.55:.1f}t0 {-h * 0.45:.1f}",
        "none",
        f'stroke="{hexa(mix(deep, hue, near))}" stroke-width="{c.s * 0.016:.1f}" '
        'stroke-linecap="round"',
    )


def small_fish(c: Canvas, x: float, y: float, k: float) -> None:
    colour = c.r.choice(("#ff9a4f", "#ffd34f", "#f2688a", "#f4f4ff", "#8fe0ff"))
    f = c.r.choice((-1, 1))
    c.poly(
        [(x - f * k * 0.7, y), (x - f * k * 1.5, y - k * 0.55), (x - f * k * 1.5, y + k * 0.55)],
        hexa(mix(rgb(colour), BLACK, 0.12)),
    )
    c.oval(x, y, k, k * 0.6, colour)
    c.oval(x + f * k * 0.55, y - k * 0.12, k * 0.1, k * 0.1, "#1d2440")
