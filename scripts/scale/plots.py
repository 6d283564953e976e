"""Plots with logarithmic axes as inline SVG: medians as marks on a line, all that was seen as a bar through them.

Narrow enough to stand alone on a telephone and beside each other on a desk. Colours are the page's (CSS), so that they
follow its light and dark.
"""

import html
import math

WIDTH, HEIGHT = 360, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 30, 40
# Ticks of an axis, within each power of ten.
STEPS = (1, 2, 5)
# Labels nearer than this to each other are left out.
LABEL_ROOM = 26


def amount(value):
    """7, 1.5k, 100k, 2M."""
    return _scaled(value, ((1e9, "G"), (1e6, "M"), (1e3, "k")), "")


def time_us(value):
    """90 us, 1.2 ms, 3 s."""
    return _scaled(value, ((1e6, " s"), (1e3, " ms")), " us")


def size(value):
    """0, 100 B, 10 kB, 1 MB."""
    return _scaled(value, ((1e9, " GB"), (1e6, " MB"), (1e3, " kB")), " B") if value else "0"


def memory(value):
    """512 B, 10 KiB, 1.5 MiB."""
    return _scaled(value, ((2**30, " GiB"), (2**20, " MiB"), (2**10, " KiB")), " B")


def _scaled(value, units, smallest):
    for scale, unit in units:
        if value >= scale * 0.9995:
            return f"{value / scale:.3g}{unit}"
    return f"{value:.3g}{smallest}"


class Axis:
    """Where a value stands between two ends."""

    def __init__(self, low, high, begin, end):
        self.low, self.high, self.begin, self.end = math.log10(low), math.log10(high), begin, end

    def at(self, value):
        """Its place; there is room for zero before the lowest."""
        power = math.log10(value) if value > 0 else self.low
        return self.begin + (power - self.low) / (self.high - self.low) * (self.end - self.begin)


def x_axis(values):
    """Through these, with a place for zero on the left if it is one of them."""
    positive = [value for value in values if value > 0]
    low, high = min(positive), max(positive)
    if low == high:
        low, high = low / 2, high * 2
    if 0 in values:
        # As far from the lowest as that is from the next.
        next_up = min((value for value in positive if value > low), default=low * 10)
        low = low * low / next_up
    return Axis(low, high, LEFT + 8, WIDTH - RIGHT - 8)


def y_axis(lows, highs):
    """From the tick below all of them to the one above."""
    low, high = tick_below(min(lows)), tick_above(max(highs))
    if low == high:
        high = tick_above(high * 1.01)
    return Axis(low, high, HEIGHT - BOTTOM, TOP)


def ticks(low, high):
    """1, 2, 5, 10 ... from low to high, both included."""
    power, found = math.floor(math.log10(low)), []
    while 10.0**power <= high * 1.001:
        found += [step * 10.0**power for step in STEPS]
        power += 1
    return [tick for tick in found if low * 0.999 <= tick <= high * 1.001]


def tick_below(value):
    """The highest tick that is not above."""
    power = math.floor(math.log10(value))
    return max(step * 10.0**power for step in STEPS if step * 10.0**power <= value * 1.0001)


def tick_above(value):
    """The lowest tick that is not below."""
    power = math.floor(math.log10(value))
    candidates = [step * 10.0**p for p in (power, power + 1) for step in STEPS]
    return min(tick for tick in candidates if tick >= value * 0.9999)


def plot(title, series, x_name, x_label, y_label):
    """An SVG. `series` has pairs of a name and a list of (value, Spread); `x_label` and `y_label` make text of a
    value. None where there is nothing positive to draw."""
    series = [(name, [(x, it) for x, it in points if it.low > 0]) for name, points in series]
    points = [point for _, drawn in series for point in drawn]
    if not points:
        return None
    xs = sorted({x for x, _ in points})
    if xs == [0]:
        return None
    across = x_axis(xs)
    up = y_axis([it.low for _, it in points], [it.high for _, it in points])
    out = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title, quote=True)}">',
        f'<text class="title" x="0" y="14">{html.escape(title)}</text>',
    ]
    out += _grid(xs, across, up, x_name, x_label, y_label)
    for number, (name, drawn) in enumerate(series):
        out += _line(number, name, drawn, across, up, x_label, y_label)
    return "\n".join([*out, "</svg>"])


def _grid(xs, across, up, x_name, x_label, y_label):
    out, last = [], None
    for tick in ticks(10**up.low, 10**up.high):
        y = up.at(tick)
        out.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        if last is None or last - y >= 13:
            out.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{y_label(tick)}</text>')
            last = y
    last = None
    for value in xs:
        x = across.at(value)
        out.append(f'<path class="grid" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        if last is None or x - last >= LABEL_ROOM:
            out.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{x_label(value)}</text>')
            last = x
    middle = (LEFT + WIDTH - RIGHT) / 2
    out.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{html.escape(x_name)}</text>')
    return out


def _line(number, name, drawn, across, up, x_label, y_label):
    style = f'class="series s{number}"'
    path = " ".join(f"{across.at(x):.1f},{up.at(it.median):.1f}" for x, it in drawn)
    out = [f'<polyline {style} points="{path}"/>'] if len(drawn) > 1 else []
    for x_value, it in drawn:
        x, y = across.at(x_value), up.at(it.median)
        told = f"{name}, {x_label(x_value)}: {y_label(it.median)} [{y_label(it.low)} .. {y_label(it.high)}]"
        out.append(f'<path {style} d="M{x:.1f} {up.at(it.low):.1f}V{up.at(it.high):.1f}"/>')
        out.append(f"{mark(number, x, y)}<title>{html.escape(told)}</title></path>")
    return out


def mark(number, x, y):
    """A mark that is told from the others without its colour; its element is left open."""
    if number == 0:
        shape = f"M{x - 3.5:.1f} {y:.1f}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0"
    else:
        shape = f"M{x - 3:.1f} {y - 3:.1f}h6v6h-6z"
    return f'<path class="mark s{number}" d="{shape}">'


def legend(names):
    """Which mark is whose."""
    out = []
    for number, name in enumerate(names):
        line = f'<path class="series s{number}" d="M1 6H25"/>{mark(number, 13, 6)}</path>'
        out.append(f'<span class="key"><svg viewBox="0 0 26 12" width="26" height="12">{line}</svg> {html.escape(name)}</span>')
    return f'<p class="legend">{" ".join(out)}</p>'
