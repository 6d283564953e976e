"""Whether a series of measurements grows: a slope over time with an interval that can be trusted.

Why not plain least squares. Memory, descriptors and sockets are not independent from one sample to
the next: a buffer that was made for one burst stays for the next. Least squares over time takes such
samples for more evidence than they are, and finds trends where there are none; in a series that moves
by lasting steps it finds one nearly always (Nelson and Kang, "Pitfalls in the use of time as an
explanatory variable in regression", Journal of Business & Economic Statistics 2, 1984).

What is done instead, on what is left after a warm-up:

1. *Batch means.* The samples are put together into at most 20 batches, one after the other. Means of
   batches that are long beside the correlation are nearly independent, and 10 to 30 of them lose
   little of the evidence (Schmeiser, "Batch size effects in the analysis of simulation output",
   Operations Research 30, 1982).
2. *Two intervals for the slope.* One is right where the series swings around a line (least squares
   over the means, Student's t with two degrees of freedom less than batches). The other is right where
   it moves by steps that stay (the mean of the differences from one batch to the next, Student's t;
   differences of averages of such a series are correlated by 1/4, Working, "Note on the correlation of
   first differences of averages in a random chain", Econometrica 28, 1960). Which of the two a series
   is, few samples cannot tell.
3. *The hull of both.* So the interval reported reaches from the lower of the lower ends to the higher
   of the higher ones: there is growth only if both say so. (Harvey, Leybourne and Taylor, "A simple,
   robust and powerful test of the trend hypothesis", Journal of Econometrics 141, 2007, weigh the same
   two statistics; to demand both is simpler, and errs to the side of saying nothing.)

One step, however high, is no leak then, and a steady climb is. What grows ever more slowly is not one
either: the slope of the later half must be at least half of the whole one.
"""

import math
from dataclasses import dataclass
from typing import Sequence

CONFIDENCE = 0.95
# A process fills its pools and tables while its first connections come.
WARM_UP_SHARE = 0.25
MOST_BATCHES = 20
FEWEST_BATCHES = 8
FEWEST_SAMPLES_PER_BATCH = 4
# What the correlation of 1/4 between differences adds to the variance of their mean: 1 + 2/4.
DIFFERENCES_VARIANCE = 1.5
# Of the whole slope, what is left in the later half of something that is settling is less.
LATER_SHARE = 0.5

LEAK, FLAT, SMALL, SETTLING, SHORT = "leak", "flat", "small", "settling", "too short"


def t_quantile(probability: float, degrees: int) -> float:
    """Student's t: the value that is not exceeded with this probability (above one half)."""
    low, high = 0.0, 1.0
    while t_probability(high, degrees) < probability:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        if t_probability(middle, degrees) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def t_probability(value: float, degrees: int) -> float:
    """The probability that Student's t is at most `value`, which is not negative."""
    x = degrees / (degrees + value * value)
    return 1 - incomplete_beta(x, degrees / 2, 0.5) / 2


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (Lentz's method)."""
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):
        # There it converges quickly.
        return 1 - incomplete_beta(1 - x, b, a)
    scale = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    c, d = 1.0, 1 / away_from_zero(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 300):
        for factor in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / away_from_zero(1 + factor * d)
            c = away_from_zero(1 + factor / c)
            fraction *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return scale * fraction / a


def away_from_zero(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def least_squares(times: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """The slope of the line through the points, and its standard error."""
    centre, level = mean(times), mean(values)
    spread = math.fsum((t - centre) ** 2 for t in times)
    slope = math.fsum((t - centre) * (v - level) for t, v in zip(times, values)) / spread
    residuals = [v - level - slope * (t - centre) for t, v in zip(times, values)]
    if len(times) <= 2:
        return slope, 0.0
    return slope, math.sqrt(math.fsum(r * r for r in residuals) / (len(times) - 2) / spread)


def drift(times: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """The mean step from one mean of a batch to the next, per unit of time, and its standard error."""
    step_time = (times[-1] - times[0]) / (len(times) - 1)
    steps = [(b - a) / step_time for a, b in zip(values, values[1:])]
    middle = mean(steps)
    variance = math.fsum((step - middle) ** 2 for step in steps) / (len(steps) - 1)
    return middle, math.sqrt(DIFFERENCES_VARIANCE * variance / len(steps))


def batch_means(
    times: Sequence[float], values: Sequence[float], batches: int
) -> tuple[list[float], list[float]]:
    """Means over so many stretches of about as many samples each."""
    count = len(times)
    bounds = [count * batch // batches for batch in range(batches + 1)]
    stretches = list(zip(bounds, bounds[1:]))
    return [mean(times[a:b]) for a, b in stretches], [mean(values[a:b]) for a, b in stretches]


@dataclass(frozen=True)
class Trend:
    """What is to be said of the growth of one series. Slopes are per second, with their interval."""

    verdict: str
    samples: int = 0
    batches: int = 0
    # From the first to the last sample that counts.
    span_s: float = 0.0
    level: float = 0.0
    last: float = 0.0
    slope: float = 0.0
    low: float = 0.0
    high: float = 0.0
    # The slope of the later half.
    later_slope: float = 0.0
    # Growth below this is none.
    granularity: float = 0.0
    # What grows by design, per second, and was taken off the values.
    allowed_slope: float = 0.0

    @property
    def growth(self) -> float:
        """Over the span."""
        return self.slope * self.span_s

    @property
    def resolution(self) -> float:
        """Growth over the span that this series could just have shown."""
        return max((self.high - self.low) / 2 * self.span_s, self.granularity)


def after_warm_up(
    times: Sequence[float], values: Sequence[float]
) -> tuple[list[float], list[float]]:
    if not times:
        return [], []
    start = times[0] + (times[-1] - times[0]) * WARM_UP_SHARE
    kept = [(t, v) for t, v in zip(times, values) if t >= start]
    return [t for t, _ in kept], [v for _, v in kept]


def judge(
    times: Sequence[float],
    values: Sequence[float],
    granularity: float,
    allowed_slope: float = 0.0,
) -> Trend:
    """Whether what these values measure leaks. Times are in seconds and rise.

    `granularity` is the growth over the series that means nothing; `allowed_slope` what may come on
    in each second because it is kept on purpose.
    """
    times, values = after_warm_up(times, values)
    values = [value - allowed_slope * (time - times[0]) for time, value in zip(times, values)]
    batches = min(MOST_BATCHES, len(times) // FEWEST_SAMPLES_PER_BATCH)
    if batches < FEWEST_BATCHES:
        last = values[-1] if values else 0.0
        level = mean(values) if values else 0.0
        return Trend(SHORT, samples=len(times), level=level, last=last, granularity=granularity)
    xs, ys = batch_means(times, values, batches)
    quantile = t_quantile((1 + CONFIDENCE) / 2, batches - 2)
    slope, error = least_squares(xs, ys)
    step, step_error = drift(xs, ys)
    low = min(slope - quantile * error, step - quantile * step_error)
    high = max(slope + quantile * error, step + quantile * step_error)
    later_slope, _ = least_squares(xs[batches // 2 :], ys[batches // 2 :])
    span_s = times[-1] - times[0]
    if low <= 0:
        verdict = FLAT
    elif slope * span_s <= granularity:
        verdict = SMALL
    elif later_slope < LATER_SHARE * slope:
        verdict = SETTLING
    else:
        verdict = LEAK
    return Trend(
        verdict=verdict,
        samples=len(times),
        batches=batches,
        span_s=span_s,
        level=mean(values),
        last=values[-1],
        slope=slope,
        low=low,
        high=high,
        later_slope=later_slope,
        granularity=granularity,
        allowed_slope=allowed_slope,
    )
