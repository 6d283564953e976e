"""Draws latencies by percentile, as reports of ringload (JSON) have them, as SVG.

    omission.py OUT TITLE LABEL FILE HISTOGRAM [LABEL FILE HISTOGRAM]...

HISTOGRAM is a key under "histograms". Needs nothing but Python's library.
"""

import base64
import json
import math
import struct
import sys
import zlib

WIDTH, HEIGHT = 760, 490
LEFT, RIGHT, TOP, BOTTOM = 70, 36, 46, 106
COLOURS = ["#0b6e4f", "#c1121f", "#e07a00", "#2a5caa"]
DASHES = ["", "", "7 4", "2 3"]
# Nines: 0 is 0 %, 1 is 90 %, 2 is 99 %.
NINES = 5


def counts(text):
    """The counts in an HdrHistogram V2 payload: LEB128 with zigzag, negative for a stretch of zeros."""
    raw = base64.b64decode(text)
    data = zlib.decompress(raw[8:])
    _, length, _, digits, lowest, _, _ = struct.unpack(">iiiiqqd", data[:40])
    index, at, end = 0, 40, 40 + length
    while at < end:
        number, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            # The ninth byte is whole.
            number |= (byte if shift == 56 else byte & 0x7F) << shift
            shift += 7
            if byte < 0x80 or shift > 56:
                break
        number = (number >> 1) ^ -(number & 1)
        if number < 0:
            index -= number
        else:
            if number:
                yield highest(index, digits, lowest), number
            index += 1


def highest(index, digits, lowest):
    """The highest value that belongs to the bucket with this index."""
    half_bits = math.ceil(math.log2(2 * 10**digits)) - 1
    unit_bits = int(math.log2(lowest))
    bucket = (index >> half_bits) - 1
    sub = (index & ((1 << half_bits) - 1)) + (1 << half_bits)
    if bucket < 0:
        bucket, sub = 0, sub - (1 << half_bits)
    return ((sub + 1) << (bucket + unit_bits)) - 1


def curve(path, histogram):
    """Pairs of nines and nanoseconds."""
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    buckets = list(counts(report["histograms"][histogram]["hdr_v2"]))
    total, seen, points = sum(count for _, count in buckets), 0, []
    for value, count in buckets:
        # A bucket is a stair: it holds from the share below it to the share with it.
        for share in (seen / total, (seen + count) / total):
            nines = -math.log10(max(1 - share, 10**-NINES))
            points.append((min(nines, NINES), value))
        seen += count
    return points


def x_of(nines):
    return LEFT + nines / NINES * (WIDTH - LEFT - RIGHT)


def y_of(value, low, high):
    share = (math.log10(value) - low) / (high - low)
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def name(value):
    for unit, scale in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if value >= scale:
            return f"{value / scale:g} {unit}"
    return f"{value:g} ns"


def thin(points):
    """Leaves out what no eye would see."""
    kept = []
    for x, y in points:
        if len(kept) < 2 or abs(x - kept[-1][0]) + abs(y - kept[-1][1]) > 0.7:
            kept.append((x, y))
        else:
            kept[-1] = (x, y)
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in kept)


def draw(title, curves):
    values = [value for _, points in curves for _, value in points]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) - 0.05)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="24" font-size="14" font-weight="bold">{title}</text>',
    ]
    for power in range(low, high + 1):
        y = y_of(10**power, low, high)
        out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{name(10**power)}</text>')
    for nines in range(NINES + 1):
        x = x_of(nines)
        label = "0 %" if nines == 0 else f"{100 - 10 ** (2 - nines):.{max(0, nines - 2)}f} %"
        out.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        out.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{label}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    out.append(f'<text x="{middle}" y="{HEIGHT - BOTTOM + 40}" text-anchor="middle">of requests took at most</text>')
    for number, (label, points) in enumerate(curves):
        style = f'stroke="{COLOURS[number]}" stroke-width="2" stroke-dasharray="{DASHES[number]}"'
        line = thin([(x_of(nines), y_of(value, low, high)) for nines, value in points])
        out.append(f'<polyline points="{line}" fill="none" {style}/>')
        # Below, two in a row: curves may be anywhere above.
        x, y = LEFT + number % 2 * 340, HEIGHT - BOTTOM + 68 + 22 * (number // 2)
        out.append(f'<path d="M{x} {y - 4}h28" {style}/>')
        out.append(f'<text x="{x + 36}" y="{y}">{label}</text>')
    return "\n".join([*out, "</svg>", ""])


def main():
    path, title, *rest = sys.argv[1:]
    curves = [(rest[i], curve(rest[i + 1], rest[i + 2])) for i in range(0, len(rest), 3)]
    with open(path, "w", encoding="utf-8") as file:
        file.write(draw(title, curves))


if __name__ == "__main__":
    main()
