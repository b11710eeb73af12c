"""Weather in landscapes: rain and snow in front of everything, fog behind the objects."""

from __future__ import annotations

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import WHITE, hexa, mix
from daguerre.models.embedded.drawing.palette import Palette
from daguerre.models.embedded.drawing.scene import Scene


def paint_weather(c: Canvas, scene: Scene, p: Palette) -> None:
    """Paints rain or snow over the picture."""
    r = c.r
    area = c.w * c.h / (c.s * c.s)
    if scene.weather in ("rain", "storm"):
        d = []
        for _ in range(int(80 * area)):
            x, y, k = (
                r.uniform(0, c.w * 1.1),
                r.uniform(-0.05, 1) * c.h,
                c.s * r.uniform(0.025, 0.05),
            )
            d.append(f"M{x:.1f} {y:.1f}l{-k * 0.3:.1f} {k:.1f}")
        c.path(
            "".join(d),
            "none",
            f'stroke="{hexa(mix(p.haze, WHITE, 0.6))}" '
            f'stroke-width="{c.s * 0.004:.1f}" opacity="0.6" stroke-linecap="round"',
        )
    elif scene.weather == "snow":
        for _ in range(int(90 * area)):
            k = c.s * r.uniform(0.003, 0.009)
            c.oval(
                r.uniform(0, c.w),
                r.uniform(0, c.h),
                k,
                k,
                "#ffffff",
                f'opacity="{r.uniform(0.55, 0.95):.2f}"',
            )


def paint_fog(c: Canvas, scene: Scene, p: Palette) -> None:
    """Paints bands of fog; objects stand in front of them."""
    pale = mix(p.haze, WHITE, 0.35 if scene.time != "night" else 0.12)
    for _ in range(4):
        y, h = c.h * c.r.uniform(0.35, 0.75), c.h * c.r.uniform(0.1, 0.25)
        c.rect(-9, y, c.w + 18, h, c.linear([(0, pale, 0), (0.5, pale, 0.6), (1, pale, 0)]))
