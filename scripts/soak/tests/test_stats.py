"""That growth is found where there is some, and only there. All series follow from seeds."""

import math
import random
import unittest
from typing import Callable

import stats
from stats import FLAT, LEAK, SETTLING, SHORT, SMALL

SAMPLES = 400
MANY = 500


def times(samples: int = SAMPLES) -> list[float]:
    return [5.0 * number for number in range(samples)]


def noise(seed: int, correlation: float, samples: int = SAMPLES) -> list[float]:
    """An autoregressive series of order 1, of variance 1."""
    draw = random.Random(seed)
    values, value = [], draw.gauss(0, 1)
    for _ in range(samples):
        value = correlation * value + math.sqrt(1 - correlation**2) * draw.gauss(0, 1)
        values.append(value)
    return values


def walk(seed: int, samples: int = SAMPLES) -> list[float]:
    """A random walk: every step stays."""
    draw = random.Random(seed)
    values, value = [], 0.0
    for _ in range(samples):
        value += draw.gauss(0, 1)
        values.append(value)
    return values


def leaks(series: Callable[[int], list[float]], count: int = MANY, granularity: float = 0.0) -> int:
    """How many of so many series are found to leak."""
    found = 0
    for seed in range(count):
        values = series(seed)
        found += stats.judge(times(len(values)), values, granularity).verdict == LEAK
    return found


class StudentTest(unittest.TestCase):
    def test_quantiles_are_those_of_the_tables(self) -> None:
        for probability, degrees, expected in (
            (0.975, 1, 12.7062),
            (0.975, 6, 2.44691),
            (0.975, 18, 2.10092),
            (0.95, 10, 1.81246),
            (0.995, 30, 2.75000),
            (0.975, 1000, 1.96234),
        ):
            self.assertAlmostEqual(stats.t_quantile(probability, degrees), expected, places=4)


class LinesTest(unittest.TestCase):
    def test_least_squares(self) -> None:
        slope, error = stats.least_squares([0, 1, 2, 3], [1, 3, 5, 7])
        self.assertAlmostEqual(slope, 2)
        self.assertAlmostEqual(error, 0)
        # By hand: slope 0.6, sum of squared residuals 0.2, over 2 degrees and a spread of 5.
        slope, error = stats.least_squares([0, 1, 2, 3], [0, 1, 1, 2])
        self.assertAlmostEqual(slope, 0.6)
        self.assertAlmostEqual(error, math.sqrt(0.2 / 2 / 5))

    def test_drift(self) -> None:
        # Steps of 1, 0 and 1 in two seconds each: 1/3 a second, standard deviation 0.2887.
        middle, error = stats.drift([0, 2, 4, 6], [0, 1, 1, 2])
        self.assertAlmostEqual(middle, 1 / 3)
        self.assertAlmostEqual(error, 0.288675 * math.sqrt(1.5 / 3), places=5)

    def test_batches_take_all_samples_once(self) -> None:
        xs, ys = stats.batch_means(times(103), [1.0] * 103, 20)
        self.assertEqual(len(xs), 20)
        self.assertEqual(ys, [1.0] * 20)
        self.assertEqual(xs, sorted(xs))


class NothingLeaksTest(unittest.TestCase):
    """At most one in twenty of many series without growth may be said to leak."""

    def test_noise_of_every_correlation(self) -> None:
        for correlation in (0.0, 0.5, 0.9, 0.98):
            with self.subTest(correlation=correlation):
                self.assertLessEqual(leaks(lambda seed, r=correlation: noise(seed, r)), MANY // 20)

    def test_few_samples(self) -> None:
        for correlation in (0.0, 0.7):
            with self.subTest(correlation=correlation):
                self.assertLessEqual(leaks(lambda seed, r=correlation: noise(seed, r, 48)), MANY // 20)

    def test_least_squares_alone_would_not_do(self) -> None:
        """What the hull is for: of random walks, least squares finds most to have a trend."""

        def is_trend(seed: int) -> bool:
            xs, ys = stats.batch_means(times(), walk(seed), stats.MOST_BATCHES)
            slope, error = stats.least_squares(xs, ys)
            return abs(slope) > stats.t_quantile(0.975, stats.MOST_BATCHES - 2) * error

        self.assertGreater(sum(is_trend(seed) for seed in range(200)), 100)
        self.assertLessEqual(leaks(walk), MANY // 20)

    def test_constants(self) -> None:
        self.assertEqual(stats.judge(times(), [7.0] * SAMPLES, 0).verdict, FLAT)

    def test_one_step_anywhere(self) -> None:
        for at in range(0, SAMPLES, 7):
            values = [float(number >= at) * 1e6 + swing for number, swing in enumerate(noise(at, 0.3))]
            self.assertNotEqual(stats.judge(times(), values, 0).verdict, LEAK, f"a step at {at}")

    def test_a_buffer_that_grows_to_the_largest_burst_so_far(self) -> None:
        def records(seed: int) -> list[float]:
            most, values = 0.0, []
            for burst in noise(seed, 0.0):
                most = max(most, burst)
                values.append(65536 * most)
            return values

        self.assertLessEqual(leaks(records), MANY // 20)

    def test_saw_teeth(self) -> None:
        for period in (9, 40, 77, 150):
            values = [float(number % period) + 0.1 * swing for number, swing in enumerate(noise(period, 0.5))]
            self.assertNotEqual(stats.judge(times(), values, 0).verdict, LEAK, f"teeth of {period}")

    def test_what_fills_up_is_no_leak(self) -> None:
        for share in (0.02, 0.1, 0.25):
            for seed in range(40):
                values = [
                    1e6 * (1 - math.exp(-number / SAMPLES / share)) + 1e3 * swing
                    for number, swing in enumerate(noise(seed, 0.5))
                ]
                self.assertNotEqual(stats.judge(times(), values, 0).verdict, LEAK, f"{share} of the run, {seed}")

    def test_it_is_said_to_settle(self) -> None:
        values = [1e6 * (1 - math.exp(-number / 100)) for number in range(SAMPLES)]
        self.assertEqual(stats.judge(times(), values, 0).verdict, SETTLING)


class LeaksTest(unittest.TestCase):
    """What grows steadily is found, as soon as it stands out of the noise."""

    def test_a_slow_leak_in_correlated_noise(self) -> None:
        def leaking(seed: int) -> list[float]:
            # Over the run 15 times the standard deviation of the noise.
            return [15 * number / SAMPLES + swing for number, swing in enumerate(noise(seed, 0.5))]

        self.assertGreaterEqual(leaks(leaking, 200), 190)

    def test_the_slope_and_its_interval(self) -> None:
        inside = 0
        for seed in range(200):
            values = [0.02 * time + swing for time, swing in zip(times(), noise(seed, 0.5))]
            trend = stats.judge(times(), values, 0)
            inside += trend.low <= 0.02 <= trend.high
            self.assertAlmostEqual(trend.slope, 0.02, delta=0.002)
        self.assertGreaterEqual(inside, 190)

    def test_a_leak_seen_in_whole_pages(self) -> None:
        # 300 bytes in each interval, of which the kernel shows pages.
        values = [float(300 * number // 4096 * 4096) for number in range(SAMPLES)]
        trend = stats.judge(times(), values, 65536)
        self.assertEqual(trend.verdict, LEAK)
        self.assertAlmostEqual(trend.slope, 60, delta=2)

    def test_one_descriptor_now_and_then(self) -> None:
        values = [float(9 + number // 25) for number in range(SAMPLES)]
        self.assertEqual(stats.judge(times(), values, 1).verdict, LEAK)

    def test_growth_below_the_grain_is_none(self) -> None:
        values = [100.0 * number for number in range(SAMPLES)]
        self.assertEqual(stats.judge(times(), values, 65536).verdict, SMALL)
        self.assertEqual(stats.judge(times(), values, 20000).verdict, LEAK)

    def test_what_is_kept_on_purpose_is_taken_off(self) -> None:
        values = [1000.0 * number + swing for number, swing in enumerate(noise(1, 0.0))]
        self.assertEqual(stats.judge(times(), values, 0).verdict, LEAK)
        self.assertEqual(stats.judge(times(), values, 0, allowed_slope=200.0).verdict, FLAT)

    def test_too_few_samples_are_not_judged(self) -> None:
        few = [float(number) for number in range(40)]
        self.assertEqual(stats.judge(times(40), few, 0).verdict, SHORT)
        self.assertEqual(stats.judge([], [], 0).verdict, SHORT)
        self.assertEqual(stats.judge(times(44), [float(n) for n in range(44)], 0).verdict, LEAK)

    def test_the_resolution_is_what_would_have_been_found(self) -> None:
        flat = noise(3, 0.5)
        trend = stats.judge(times(), flat, 0)
        self.assertEqual(trend.verdict, FLAT)
        grown = 2.5 * trend.resolution
        span_s = trend.span_s
        values = [value + grown * time / span_s for time, value in zip(times(), flat)]
        self.assertEqual(stats.judge(times(), values, 0).verdict, LEAK)


if __name__ == "__main__":
    unittest.main()
