//! Holm's correction: when many things are tested, one in twenty differs by chance.

/// The p-values, each raised so that the chance of even one wrong "different" among all of them
/// stays below the level that they are compared with. Holm 1979: the k-th smallest of m is
/// multiplied by m - k + 1, and none may be below one that was smaller.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&left, &right| p_values[left].total_cmp(&p_values[right]));
    let mut raised = vec![1.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (smaller, &place) in order.iter().enumerate() {
        let factor = (p_values.len() - smaller) as f64;
        largest = largest.max(p_values[place] * factor).min(1.0);
        raised[place] = largest;
    }
    raised
}

/// The fewest rounds that can show anything at `level` among so many tests: with fewer even rounds
/// that all agree, 2 chances in 2^n, are not rare enough.
pub fn fewest_rounds(tests: usize, level: f64) -> u32 {
    let mut rounds = 1;
    while tests as f64 * 2.0_f64.powi(1 - rounds as i32) >= level {
        rounds += 1;
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(got: &[f64], expected: &[f64]) {
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-12, "{got} {expected}");
        }
    }

    #[test]
    fn by_hand() {
        assert_close(&holm(&[0.01, 0.04, 0.03]), &[0.03, 0.06, 0.06]);
        assert_close(&holm(&[0.04, 0.01]), &[0.04, 0.02]);
        assert_close(&holm(&[0.6, 0.7]), &[1.0, 1.0]);
        assert_close(&holm(&[0.02]), &[0.02]);
        assert_close(&holm(&[]), &[]);
    }

    #[test]
    fn ties_are_raised_alike() {
        assert_close(&holm(&[0.02, 0.02, 0.02]), &[0.06, 0.06, 0.06]);
    }

    #[test]
    fn fewer_rounds_cannot_show_anything() {
        // 2/2^6 = 0.031.
        assert_eq!(fewest_rounds(1, 0.05), 6);
        // 14 * 2/2^10 = 0.027, 14 * 2/2^9 = 0.055.
        assert_eq!(fewest_rounds(14, 0.05), 10);
    }
}
