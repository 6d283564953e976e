"""Curves over time as SVG, for a page that is light or dark: colours are classes of its style sheet."""

import html
import math
from dataclasses import dataclass
from typing import Sequence

WIDTH, HEIGHT = 860, 260
LEFT, RIGHT, TOP, BOTTOM = 74, 16, 14, 34
# More points than this are not to be told apart on so many pixels.
MOST_POINTS = 700

Point = tuple[float, float | None]


@dataclass(frozen=True)
class Line:
    name: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Axis:
    low: float
    high: float
    ticks: tuple[float, ...]
    is_log: bool = False

    def share(self, value: float) -> float:
        if self.is_log:
            value, low, high = (math.log10(max(v, self.low)) for v in (value, self.low, self.high))
        else:
            low, high = self.low, self.high
        return (value - low) / (high - low)


def linear_axis(low: float, high: float) -> Axis:
    """Round numbers around the values; from zero on, if that is not far."""
    if low > 0 and low < 0.7 * high or low == high:
        low = min(0.0, low)
    if high <= low:
        high = low + 1
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if (high - low) / (step * factor) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(step * number for number in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks)


def log_axis(low: float, high: float) -> Axis:
    first = math.floor(math.log10(max(low, 1e-3)))
    last = max(math.ceil(math.log10(max(high, 1e-3)) - 1e-9), first + 1)
    return Axis(10.0**first, 10.0**last, tuple(10.0**power for power in range(first, last + 1)), True)


def number(value: float) -> str:
    if value != 0 and (abs(value) >= 1e5 or abs(value) < 1e-2):
        for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if abs(value) >= scale:
                return f"{value / scale:g}{letter}"
    return f"{value:g}"


def thin(points: Sequence[Point]) -> list[Point]:
    """Of each stretch its smallest and its largest, so that no peak is lost."""
    if len(points) <= MOST_POINTS:
        return list(points)
    per = math.ceil(2 * len(points) / MOST_POINTS)
    kept: list[Point] = []
    for start in range(0, len(points), per):
        stretch = points[start : start + per]
        values = [point for point in stretch if point[1] is not None]
        if len(values) < len(stretch):
            kept.append((stretch[0][0], None))
        if values:
            ends = {min(values, key=lambda point: point[1] or 0.0), max(values, key=lambda point: point[1] or 0.0)}
            kept += sorted(ends)
    return kept


def path(points: Sequence[Point], times: Axis, values: Axis) -> str:
    """The curve, with a gap where nothing is known."""
    words, is_down = [], False
    for time, value in points:
        if value is None:
            is_down = False
            continue
        x = LEFT + times.share(time) * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - values.share(value) * (HEIGHT - TOP - BOTTOM)
        words.append(f"{'L' if is_down else 'M'}{x:.1f} {y:.1f}")
        is_down = True
    return "".join(words)


def time_unit(seconds: float) -> tuple[float, str]:
    if seconds > 2 * 3600:
        return 3600.0, "h"
    return (60.0, "min") if seconds > 300 else (1.0, "s")


def chart(title: str, lines: Sequence[Line], marks: Sequence[float] = (), is_log: bool = False) -> str:
    """One picture; `marks` are moments. Empty if there is nothing to show."""
    lines = [line for line in lines if any(value is not None for _, value in line.points)]
    known = [(time, value) for line in lines for time, value in line.points if value is not None]
    if not known:
        return ""
    scale, unit = time_unit(max(time for time, _ in known))
    times = linear_axis(0.0, max(max(time for time, _ in known) / scale, 1e-3))
    levels = [value for _, value in known]
    if is_log:
        values = log_axis(min(value for value in levels if value > 0) if max(levels) > 0 else 1, max(levels))
    else:
        values = linear_axis(min(levels), max(levels))
    out = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">']
    for tick in values.ticks:
        y = HEIGHT - BOTTOM - values.share(tick) * (HEIGHT - TOP - BOTTOM)
        out.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number(tick)}</text>')
    for tick in times.ticks:
        x = LEFT + times.share(tick) * (WIDTH - LEFT - RIGHT)
        out.append(f'<path class="grid" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        out.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{number(tick)} {unit}</text>')
    for mark in marks:
        x = LEFT + times.share(mark / scale) * (WIDTH - LEFT - RIGHT)
        out.append(f'<path class="mark" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"><title>restart</title></path>')
    for index, line in enumerate(lines):
        scaled = [(time / scale, value) for time, value in thin(line.points)]
        curve = path(scaled, times, values)
        out.append(f'<path class="curve c{index}" d="{curve}"><title>{html.escape(line.name)}</title></path>')
    out.append("</svg>")
    legend = "".join(
        f'<span><i class="c{index}"></i>{html.escape(line.name)}</span>' for index, line in enumerate(lines)
    )
    return f'<figure><figcaption>{html.escape(title)} {legend}</figcaption>{"".join(out)}</figure>'
