#!/usr/bin/env python3
"""Writes what SciPy says of some data, for the tests of `ringload ab`'s statistics.

    python3 -m venv /tmp/scipy && /tmp/scipy/bin/pip install scipy
    /tmp/scipy/bin/python scripts/tests/scipy_reference.py > loader/src/ab/stats/testdata/scipy.json

The figures in the tree were written by SciPy 1.17.1 and numpy of the same year; another version may
draw other numbers, and the tests hold for any.
"""

import json
import sys

import numpy
import scipy
from scipy import stats

# How often the bootstrap is repeated to see how far chance moves its ends.
SEEDS = 20
RESAMPLES = 10_000
# All signs of so many values are gone through.
PERMUTED_MAX = 14


def data(random):
    """Names and values: as measured, with ties, with zeros, and too many for an exact test."""
    for count in (6, 7, 10, 15, 20, 30, 50):
        yield f"noise of {count}", random.normal(0.0, 0.025, count)
        yield f"3 % in {count}", random.normal(numpy.log(1.03), 0.025, count)
    yield "heavy tails", random.standard_t(2, 20) * 0.02
    yield "all agree", numpy.arange(1, 13) / 100
    yield "ties", numpy.array([1, 1, -1, 2, 2, -2, 3, 3, 4, 5, -5, 6]) / 100
    yield "one size", numpy.array([1, 1, 1, -1, 1, 1, 1, 1]) / 100
    yield "zeros", numpy.array([0, 0.01, 0.02, -0.015, 0.03, 0, 0.04, 0.05, -0.001])
    yield "ties and zeros", numpy.array([0, 1, 1, -1, 2, 0, 2, 3, 4, 0, -4]) / 100
    for count in (51, 80, 200):
        yield f"many: {count}", random.normal(0.005, 0.025, count)
    yield "many ties", numpy.round(random.normal(0.004, 0.02, 120), 2)


def signed_rank(values):
    nonzero = values[values != 0]
    tied = len(set(numpy.abs(nonzero))) < len(nonzero)
    few = len(nonzero) <= PERMUTED_MAX
    every = stats.PermutationMethod(n_resamples=numpy.inf)
    return {
        # With ties SciPy counts out a distribution that is not that of the data.
        "exact_p": None if tied else stats.wilcoxon(nonzero, method="exact").pvalue,
        "permuted_p": stats.wilcoxon(nonzero, method=every).pvalue if few else None,
        "asymptotic_p": stats.wilcoxon(values, method="asymptotic", correction=False).pvalue,
    }


def bootstrap(values):
    ends = []
    for seed in range(SEEDS):
        interval = stats.bootstrap(
            (values,),
            numpy.median,
            confidence_level=0.95,
            n_resamples=RESAMPLES,
            method="percentile",
            rng=numpy.random.default_rng(seed),
        ).confidence_interval
        ends.append((interval.low, interval.high))
    low, high = numpy.array(ends).T
    # Twice the range of 20 seeds holds nearly all others.
    return {
        "low": float(numpy.mean(low)),
        "high": float(numpy.mean(high)),
        "low_spread": float(2 * numpy.ptp(low)) + 1e-12,
        "high_spread": float(2 * numpy.ptp(high)) + 1e-12,
    }


def main():
    random = numpy.random.default_rng(20)
    cases = []
    for name, values in data(random):
        figures = {"median": float(numpy.median(values)), "stdev": float(numpy.std(values, ddof=1))}
        ranks = {key: None if p is None else float(p) for key, p in signed_rank(values).items()}
        cases.append({"name": name, "values": values.tolist(), **figures, **ranks, **bootstrap(values)})
    versions = {"scipy": scipy.__version__, "numpy": numpy.__version__}
    json.dump({**versions, "cases": cases}, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
