"""Weather in landscapes: rain and snow before everything, fog and puddles behind the objects."""

from __future__ import annotations

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import WHITE, hexa, mix
from daguerre.models.embedded.drawing.palette import Palette
from daguerre.models.embedded.drawing.scene import RAINY, WATERS, Scene


def paint_weather(c: Canvas, scene: Scene, p: Palette) -> None:
    """Paints rain or snow over the picture."""
    r = c.r
    area = c.w * c.h / (c.s * c.s)
    if scene.weather in RAINY:
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


def paint_puddles(c: Canvas, scene: Scene, p: Palette) -> None:
    """Paints puddles that mirror the sky, with rings of drops; only the rings on water."""
    is_water = scene.terrain in (*WATERS, "city") and scene.terrain != "beach"
    low, many = (0.66, 16) if is_water else (0.84, 6)
    shine = mix(p.sky[-1], WHITE, 0.25)
    rim = f'stroke="{hexa(shine)}" stroke-width="{c.s * 0.0025:.1f}" opacity="0.6"'
    for k in range(round(many * c.w / c.s)):
        t = c.r.random()
        x, y = c.w * (k + c.r.random()) / round(many * c.w / c.s), c.h * (low + (0.98 - low) * t)
        wide = c.s * (0.05 + 0.07 * t) * c.r.uniform(0.7, 1.3)
        if not is_water:
            fill = c.linear([(0, mix(p.sky[-1], p.sky[0], 0.5), 1), (1, shine, 1)])
            c.oval(x - wide * 0.4, y + wide * 0.05, wide * 0.75, wide * 0.11, fill)
            c.oval(x, y, wide, wide * 0.14, fill)
        for ring in (0.5, 0.26):
            c.path(_ring(x, y, wide * ring * 0.6), "none", rim)


def _ring(x: float, y: float, k: float) -> str:
    """The path of a flat ellipse."""
    half = f"a{k:.1f} {k * 0.2:.1f} 0 0 1"
    return f"M{x - k:.1f} {y:.1f}{half} {2 * k:.1f} 0{half} {-2 * k:.1f} 0z"


def paint_fog(c: Canvas, scene: Scene, p: Palette) -> None:
    """Paints bands of fog; objects stand in front of them."""
    pale = mix(p.haze, WHITE, 0.35 if scene.time != "night" else 0.12)
    for _ in range(4):
        y, h = c.h * c.r.uniform(0.35, 0.75), c.h * c.r.uniform(0.1, 0.25)
        c.rect(-9, y, c.w + 18, h, c.linear([(0, pale, 0), (0.5, pale, 0.6), (1, pale, 0)]))
