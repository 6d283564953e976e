//! Searches of simulated servers: sharp ones, noisy ones, and such that lie once.
#![allow(clippy::float_cmp, reason = "a rate is the one that was run, or another one")]

use proptest::prelude::*;

use super::*;

/// Runs a search to its end; all runs that were made, with their outcomes.
fn search(limits: Limits, mut server: impl FnMut(Step) -> bool) -> (Found, Vec<(Step, bool)>) {
    let mut search = Search::new(limits).expect("limits");
    let mut runs = Vec::new();
    while let Some(step) = search.next_step() {
        assert_eq!(search.next_step(), Some(step), "the same until it is observed");
        assert!((limits.min_rate..=limits.max_rate).contains(&step.rate), "{step:?}");
        let met = server(step);
        runs.push((step, met));
        assert_eq!(step.number as usize, runs.len());
        search.observe(StepResult { met });
    }
    search.observe(StepResult { met: true });
    assert_eq!(search.next_step(), None, "over is over");
    (search.finish(), runs)
}

/// A uniform number from 0 to 1 of a seeded stream (xorshift64*).
fn uniform(state: &mut u64) -> f64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Steps that a search needs at most if no run contradicts another.
fn steps_enough(limits: Limits) -> f64 {
    let doublings = (limits.max_rate / limits.min_rate).log2() + 2.0;
    // Rounding to whole rates may cost a bisection one step more.
    let bisections = (2_f64.ln() / limits.precision.ln_1p()).log2().max(0.0) + 3.0;
    doublings + bisections + f64::from(2 * limits.repeats)
}

fn agreement() -> impl Strategy<Value = Agreement> {
    prop_oneof![Just(Agreement::All), Just(Agreement::Majority)]
}

fn limits() -> impl Strategy<Value = Limits> {
    (0.0..6.0_f64, 0.0..1.0_f64, 0.001..0.3_f64, 1..6_u32, agreement()).prop_map(
        |(span, start, precision, repeats, agreement)| {
            let max_rate = 10_f64.powf(span) * 10.0;
            let start_rate = max_rate.powf(start);
            let max_steps = 1_000;
            Limits { start_rate, min_rate: 1.0, max_rate, precision, repeats, agreement, max_steps }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_sharp_limit_is_found(limits in limits(), place in -0.1..1.1_f64) {
        let limit = limits.max_rate.powf(place);
        let (found, runs) = search(limits, |step| step.rate <= limit);
        prop_assert!(runs.len() as f64 <= steps_enough(limits), "{} steps", runs.len());
        if limit < limits.min_rate {
            prop_assert_eq!((found.reason, found.confirmed), (Reason::MinRate, None));
            return Ok(());
        }
        let confirmed = found.confirmed.expect("there is a rate that passes");
        prop_assert_eq!((confirmed.runs, confirmed.met), (limits.repeats, limits.repeats));
        prop_assert!(confirmed.rate <= limit);
        if limit >= limits.max_rate {
            prop_assert_eq!((found.reason, confirmed.rate), (Reason::MaxRate, limits.max_rate));
            prop_assert_eq!(found.failed, None);
        } else {
            let failed = found.failed.expect("there is a rate that fails");
            prop_assert_eq!(found.reason, Reason::Bracketed);
            prop_assert!(failed.rate > limit && failed.runs > 0 && failed.met == 0);
            let gap = failed.rate / confirmed.rate - 1.0;
            prop_assert!(gap <= limits.precision * 1.001, "a gap of {}", gap);
        }
    }

    /// Runs that pass with a probability which falls around the limit, and now and then fail for no
    /// reason at all: whatever is reported was seen.
    #[test]
    fn noise_is_never_reported_as_a_result(
        limits in limits(), place in -0.1..1.1_f64, width in 0.001..0.5_f64, hiccups in 0.0..0.3_f64,
        seed in 1..u64::MAX,
    ) {
        let limit = limits.max_rate.powf(place);
        let limits = Limits { max_steps: 150, ..limits };
        let mut state = seed;
        let (found, runs) = search(limits, |step| {
            let beyond = (step.rate / limit).ln() / width;
            uniform(&mut state) >= hiccups && uniform(&mut state) > 1.0 / (1.0 + (-beyond).exp())
        });
        prop_assert!(runs.len() <= 150);
        let needed = match limits.agreement {
            Agreement::All => limits.repeats,
            Agreement::Majority => limits.repeats / 2 + 1,
        };
        let at = |rate: f64| runs.iter().filter(move |(step, _)| step.rate == rate);
        if let Some(confirmed) = found.confirmed {
            prop_assert_eq!(confirmed.runs, limits.repeats);
            prop_assert!(confirmed.met >= needed);
            let met = at(confirmed.rate).filter(|(_, met)| *met).count();
            prop_assert!(met >= confirmed.met as usize, "all of it was seen");
            if limits.agreement == Agreement::All {
                prop_assert!(at(confirmed.rate).all(|(_, met)| *met), "no run failed there");
            }
        }
        if let Some(failed) = found.failed {
            prop_assert!(at(failed.rate).any(|(_, met)| !met));
            prop_assert!(failed.runs == 0 || failed.met < needed);
            prop_assert!(found.confirmed.is_none_or(|confirmed| confirmed.rate < failed.rate));
        }
        match found.reason {
            Reason::Bracketed => {
                let (confirmed, failed) = (found.confirmed.unwrap(), found.failed.unwrap());
                prop_assert!(failed.runs > 0 && failed.met < needed);
                prop_assert!(failed.rate / confirmed.rate - 1.0 <= limits.precision * 1.001);
            }
            Reason::MaxRate => {
                let gap = limits.max_rate / found.confirmed.unwrap().rate - 1.0;
                prop_assert!(gap <= limits.precision * 1.001, "a gap of {}", gap);
                prop_assert!(gap == 0.0 || limits.agreement == Agreement::All);
                prop_assert_eq!(found.failed, None);
            }
            Reason::MinRate => {
                prop_assert_eq!(found.confirmed, None);
                prop_assert_eq!(found.failed.unwrap().rate, limits.min_rate);
            }
            Reason::Steps => prop_assert_eq!(runs.len(), 150),
            Reason::Stopped => prop_assert!(false, "nobody stopped it"),
        }
    }

    /// One run that fails for no reason, wherever it is, does not decide where the search ends.
    #[test]
    fn one_hiccup_does_not_change_the_outcome(
        hiccup in 1..25_u32, limit in 100.0..1e6_f64, agreement in agreement(),
    ) {
        let limits = Limits { agreement, max_rate: 2e6, ..Limits::default() };
        let (found, runs) = search(limits, |step| step.rate <= limit && step.number != hiccup);
        prop_assert_eq!(found.reason, Reason::Bracketed, "{:?}", runs);
        let rate = found.confirmed.unwrap().rate;
        // A confirmation that fails by chance costs one gap: it is not made again.
        prop_assert!(rate <= limit && rate >= limit / 1.01_f64.powi(3), "{} of {}", rate, limit);
    }
}

#[test]
fn limits_that_leave_nothing_to_search_are_refused() {
    let limits = Limits::default();
    for (limits, part) in [
        (Limits { start_rate: 0.5, ..limits }, "start rate 0.5 must be between 1 and --max-rate"),
        (Limits { max_rate: 10.0, ..limits }, "--max-rate 10"),
        (Limits { min_rate: 0.0, ..limits }, "must be between 0"),
        (Limits { max_rate: f64::INFINITY, ..limits }, "--max-rate inf"),
        (Limits { start_rate: f64::NAN, ..limits }, "start rate NaN"),
        (Limits { precision: 0.0, ..limits }, "--precision 0"),
        (Limits { precision: 2.0, ..limits }, "--precision 2"),
        (Limits { repeats: 0, ..limits }, "--repeats"),
    ] {
        let message = Search::new(limits).expect_err(part).to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_search_without_steps_says_so() {
    let (found, runs) = search(Limits { max_steps: 4, ..Limits::default() }, |_| true);
    assert_eq!((found.reason, runs.len()), (Reason::Steps, 4));
    assert_eq!(found.confirmed, None);
}

/// Three runs of a hundred fail for no reason; nine searches of ten come within 3 % nevertheless.
#[test]
fn hiccups_cost_little_precision() {
    let (limit, mut near) = (40_000.0, 0);
    for seed in 1..=500 {
        let mut state = seed * 0x9e37_79b9;
        let limits = Limits::default();
        let (found, _) = search(limits, |step| uniform(&mut state) >= 0.03 && step.rate <= limit);
        let rate = found.confirmed.map_or(0.0, |confirmed| confirmed.rate);
        assert!(rate <= limit);
        near += u32::from(rate >= limit * 0.97);
    }
    assert!(near >= 450, "{near} of 500");
}
