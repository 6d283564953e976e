//! Wilcoxon's signed-rank test: are the values spread evenly about 0?

/// Up to so many values the distribution is counted out. With one more the counts would still fit,
/// but beyond 52 they would not, and the normal distribution is as good by then.
pub const EXACT_MAX: usize = 50;

/// The outcome of a test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignedRank {
    /// Values that are not 0: only these were ranked.
    pub ranked: usize,
    /// The sum of the ranks of the positive ones.
    pub rank_sum: f64,
    /// The probability of a sum at least as far out, on either side, if there is no difference.
    pub p: f64,
    /// Whether `p` was counted out instead of taken from the normal distribution.
    pub is_exact: bool,
}

/// Tests, two-sided.
///
/// Values of 0 are left out (Wilcoxon's own way, and `SciPy`'s default): a round without any
/// difference speaks for neither side. Values of equal size share the mean of their ranks, and the
/// distribution is that of these very ranks: what `SciPy` counts with `method=PermutationMethod()`,
/// and without ties the same as its `method="exact"`. Above [`EXACT_MAX`] values it is the normal
/// distribution with the variance corrected for ties, as `SciPy`'s `method="asymptotic"`.
pub fn signed_rank(values: &[f64]) -> SignedRank {
    let mut ranked: Vec<f64> = values.iter().copied().filter(|value| *value != 0.0).collect();
    ranked.sort_by(|left, right| left.abs().total_cmp(&right.abs()));
    let mut doubled_ranks = Vec::with_capacity(ranked.len());
    let mut tie_sizes = Vec::new();
    for tie in ranked.chunk_by(|left, right| left.abs().total_cmp(&right.abs()).is_eq()) {
        // Twice the mean of the ranks first..=last is a whole number.
        let (first, last) = (doubled_ranks.len() + 1, doubled_ranks.len() + tie.len());
        doubled_ranks.extend(std::iter::repeat_n(first + last, tie.len()));
        tie_sizes.push(tie.len() as f64);
    }
    let positive = ranked.iter().zip(&doubled_ranks).filter(|(value, _)| **value > 0.0);
    let doubled_sum = positive.map(|(_, rank)| rank).sum::<usize>();
    let is_exact = ranked.len() <= EXACT_MAX;
    let p = if is_exact {
        counted(&doubled_ranks, doubled_sum)
    } else {
        approximated(&tie_sizes, doubled_sum as f64 / 2.0)
    };
    SignedRank { ranked: ranked.len(), rank_sum: doubled_sum as f64 / 2.0, p, is_exact }
}

/// Of all ways to give signs to these ranks, the share whose sum is at least as far out.
fn counted(doubled_ranks: &[usize], doubled_sum: usize) -> f64 {
    let total = doubled_ranks.iter().sum::<usize>();
    // ways[s]: subsets of the ranks so far with the sum s. At most 2^50: exact as f64.
    let mut ways = vec![0.0; total + 1];
    ways[0] = 1.0;
    for &rank in doubled_ranks {
        for sum in (rank..=total).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    let all = ways.iter().sum::<f64>();
    let at_most = ways[..=doubled_sum].iter().sum::<f64>() / all;
    let at_least = ways[doubled_sum..].iter().sum::<f64>() / all;
    (2.0 * at_most.min(at_least)).min(1.0)
}

fn approximated(tie_sizes: &[f64], rank_sum: f64) -> f64 {
    let count = tie_sizes.iter().sum::<f64>();
    let ties = tie_sizes.iter().map(|size| size.powi(3) - size).sum::<f64>();
    let mean = count * (count + 1.0) / 4.0;
    let variance = (count * (count + 1.0) * (2.0 * count + 1.0) - ties / 2.0) / 24.0;
    let deviation = (rank_sum - mean) / variance.sqrt();
    libm::erfc(deviation.abs() / std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(values: &[f64]) -> f64 {
        signed_rank(values).p
    }

    #[test]
    fn six_that_agree_are_one_chance_in_32() {
        let test = signed_rank(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!((test.ranked, test.is_exact), (6, true));
        assert!((test.p - 2.0 / 64.0).abs() < 1e-15 && (test.rank_sum - 21.0).abs() < 1e-15);
        assert!((p(&[-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]) - 2.0 / 64.0).abs() < 1e-15);
    }

    #[test]
    fn nothing_and_zeros_alone_show_nothing() {
        assert!((p(&[]) - 1.0).abs() < 1e-15);
        let zeros = signed_rank(&[0.0; 20]);
        assert_eq!((zeros.ranked, zeros.p.to_bits()), (0, 1.0_f64.to_bits()));
        let with_zeros = signed_rank(&[0.0, 1.0, 2.0, -0.0, -3.0]);
        assert_eq!(with_zeros, signed_rank(&[1.0, 2.0, -3.0]));
    }

    #[test]
    fn the_counts_of_the_largest_exact_test_are_exact() {
        let values: Vec<f64> = (1..=EXACT_MAX).map(|value| value as f64).collect();
        let test = signed_rank(&values);
        assert!(test.is_exact && (test.p / 2.0_f64.powi(-49) - 1.0).abs() < 1e-12, "{}", test.p);
    }

    #[test]
    fn both_ways_agree_where_they_meet() {
        // A little shifted, in an order that no rank prefers.
        let of = |count: usize| {
            let values: Vec<f64> =
                (0..count).map(|k| ((k * 37 % count) as f64 / count as f64) - 0.4).collect();
            signed_rank(&values)
        };
        let (exact, normal) = (of(EXACT_MAX), of(EXACT_MAX + 1));
        assert!(exact.is_exact && !normal.is_exact);
        assert!((exact.p - normal.p).abs() < 0.02, "{exact:?} {normal:?}");
    }
}
