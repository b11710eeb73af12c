"""Lines across the whole width of the picture, soft or jagged, as points from left to right."""

from __future__ import annotations

import math

from daguerre.models.embedded.drawing.canvas import Canvas, Point

Line = list[Point]


def waves(c: Canvas, y: float, swing: float, bumps: float) -> Line:
    """A soft line around height y."""
    r = c.r
    n = max(24, int(14 * c.w / c.s * bumps))
    terms = [
        (r.uniform(0.5, 1) * bumps, r.uniform(0, 6.3), 0.6),
        (r.uniform(1.3, 2.2) * bumps, r.uniform(0, 6.3), 0.3),
        (r.uniform(2.6, 4.0) * bumps, r.uniform(0, 6.3), 0.12),
    ]
    line = []
    for i in range(n + 1):
        x = -9 + (c.w + 18) * i / n
        t = x / c.s * 3.1
        line.append((x, y + swing * sum(a * math.sin(f * t + p) for f, p, a in terms)))
    return line


def crags(c: Canvas, y: float, swing: float, peaks: int) -> Line:
    """A jagged ridge with peaks of up to `swing` above y."""
    r = c.r
    line: Line = []
    step = (c.w + 18) / peaks
    x = -9 - step * r.uniform(0, 0.5)
    high = False
    while x < c.w + step:
        rise = r.uniform(0.6, 1.0) if high else r.uniform(0.05, 0.35)
        line.append((x, y - swing * rise))
        if r.random() < 0.7:
            last = x + step * r.uniform(0.18, 0.3)
            line.append((last, y - swing * (rise * 0.6 + r.uniform(0.05, 0.22))))
        high = not high
        x += step * r.uniform(0.4, 0.62)
    return line


def winding(c: Canvas, x: float, top: float, wide: float, swing: float) -> Line:
    """The outline of a river or a path from (x, top) to the bottom, half `wide` there."""
    left, right = [], []
    for i in range(25):
        t = i / 24
        mid = x + swing * math.sin(t**0.7 * 6.0) * t**0.8
        half = c.s * 0.006 + wide * t**1.6
        y = top + (c.h + 9 - top) * t
        left.append((mid - half, y))
        right.append((mid + half, y))
    return [*left, *reversed(right)]


def height_at(line: Line, x: float) -> float:
    """The height of a line at x."""
    for (x0, y0), (x1, y1) in zip(line, line[1:], strict=False):
        if x0 <= x <= x1:
            return y0 + (y1 - y0) * (x - x0) / max(1e-6, x1 - x0)
    return line[0][1] if x < line[0][0] else line[-1][1]
