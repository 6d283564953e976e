//! The statistics against `SciPy`'s figures on the same data: `testdata/scipy.json`, written by
//! `scripts/tests/scipy_reference.py`.

use serde::Deserialize;

use super::bootstrap::{median, median_interval};
use super::power::stdev;
use super::signed_rank;

#[derive(Debug, Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

/// What `SciPy` says of some values; `None` where it cannot, or where another method is the right
/// one.
#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    values: Vec<f64>,
    median: f64,
    stdev: f64,
    /// `wilcoxon(method="exact")`: without ties only.
    exact_p: Option<f64>,
    /// `wilcoxon(method=PermutationMethod())`, all signs: exact also with ties, for few values.
    permuted_p: Option<f64>,
    /// `wilcoxon(method="asymptotic", correction=False)`.
    asymptotic_p: Option<f64>,
    /// `bootstrap(method="percentile")`, and how far its ends move from seed to seed.
    low: f64,
    high: f64,
    low_spread: f64,
    high_spread: f64,
}

fn reference() -> Vec<Case> {
    let text = include_str!("testdata/scipy.json");
    let reference: Reference = serde_json::from_str(text).expect("the reference can be read");
    reference.cases
}

fn assert_close(got: f64, expected: f64, what: &str) {
    assert!((got - expected).abs() <= 1e-10 * expected.abs().max(1e-6), "{what}: {got} {expected}");
}

#[test]
fn the_signed_rank_test_is_scipys() {
    let (mut exact, mut permuted, mut asymptotic) = (0, 0, 0);
    for case in reference() {
        let test = signed_rank(&case.values);
        if test.is_exact {
            for (p, seen) in [(case.exact_p, &mut exact), (case.permuted_p, &mut permuted)] {
                if let Some(expected) = p {
                    assert_close(test.p, expected, &case.name);
                    *seen += 1;
                }
            }
        } else if let Some(expected) = case.asymptotic_p {
            assert_close(test.p, expected, &case.name);
            asymptotic += 1;
        }
    }
    assert!(exact >= 8 && permuted >= 4 && asymptotic >= 3, "{exact} {permuted} {asymptotic}");
}

#[test]
fn medians_and_deviations_are_numpys() {
    for case in reference() {
        assert_close(median(&case.values).expect("values"), case.median, &case.name);
        assert_close(stdev(&case.values), case.stdev, &case.name);
    }
}

#[test]
fn bootstrap_intervals_are_scipys_but_for_chance() {
    for case in reference() {
        let interval = median_interval(&case.values, 0.95, 10_000, 1);
        for (got, expected, spread) in [
            (interval.low, case.low, case.low_spread),
            (interval.high, case.high, case.high_spread),
        ] {
            assert!((got - expected).abs() <= spread, "{}: {got} {expected} {spread}", case.name);
        }
    }
}
