//! What was found, in words.

use super::super::metric::Metric;
use super::super::plan::Mode;
use super::super::stats::{Finding, Interval, Rules, Verdict};
use super::{AbReport, Compared};

/// A share as a percentage, with as many digits as it is worth: `0.25 %`, `3.1 %`, `120 %`.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    match value.abs() {
        size if size < 0.995 => format!("{value:.2} %"),
        size if size < 99.95 => format!("{value:.1} %"),
        _ => format!("{value:.0} %"),
    }
}

/// A change with its sign: `+3.1 %`.
pub fn change(ratio: f64) -> String {
    let share = ratio - 1.0;
    if share > 0.0 { format!("+{}", percent(share)) } else { percent(share) }
}

/// An interval of changes: `+2.0 % to +4.1 %`.
pub fn interval(interval: &Interval) -> String {
    format!("{} to {}", change(interval.low), change(interval.high))
}

/// A p-value.
pub fn p(p: f64) -> String {
    if p < 0.0001 { "< 0.0001".to_owned() } else { format!("{p:.4}") }
}

/// A verdict in a word or two.
pub fn verdict(finding: &Finding) -> &'static str {
    match finding.verdict {
        Verdict::Different => "different",
        Verdict::Equivalent => "equivalent",
        Verdict::NotShown => "not shown",
    }
}

/// What can be said of a metric of B.
pub fn sentence(compared: &Compared, rules: &Rules) -> String {
    let Compared { metric, finding, .. } = compared;
    let title = metric.title();
    let margin = percent(rules.margin);
    let held = interval(&finding.interval);
    match finding.verdict {
        Verdict::Different => {
            let small = if finding.is_within_margin(rules) {
                format!(", which is within the margin of {margin}")
            } else {
                String::new()
            };
            format!(
                "{} ({held}; p {}){small}",
                difference(*metric, finding.effect),
                with_sign(finding.p_holm)
            )
        }
        Verdict::Equivalent => {
            format!("{title}: equivalent within the margin of {margin} ({held})")
        }
        Verdict::NotShown => {
            let detectable = percent(finding.detectable);
            let more = finding.rounds_needed.map_or_else(String::new, |rounds| {
                format!("; {rounds} rounds would show one of {margin}")
            });
            format!(
                "{title}: no difference can be shown ({held}; smallest detectable: {detectable}{more})"
            )
        }
    }
}

/// `requests/s: B is faster by 3.1 %`.
fn difference(metric: Metric, effect: f64) -> String {
    let (more, less) = metric.words();
    let how = if effect > 1.0 { more } else { less };
    format!("{}: B {how} {}", metric.title(), percent((effect - 1.0).abs()))
}

fn with_sign(value: f64) -> String {
    let text = p(value);
    if text.starts_with('<') { text } else { format!("= {text}") }
}

/// The answer in one paragraph.
pub fn answer(report: &AbReport) -> String {
    let void: Vec<String> =
        report.void_because().map(|compared| compared.metric.title().to_owned()).collect();
    if !void.is_empty() {
        return format!(
            "VOID: A differs from itself in {}. Whatever made it differ may have made B differ, too: \
             no conclusion follows from this comparison.",
            void.join(", ")
        );
    }
    let different: Vec<String> = of_verdict(report, Verdict::Different)
        .map(|compared| difference(compared.metric, compared.finding.effect))
        .collect();
    if different.is_empty() {
        let all_equivalent =
            of_verdict(report, Verdict::Equivalent).count() == report.findings.len();
        return if all_equivalent {
            format!("A and B are equivalent within {}.", percent(report.rules.margin))
        } else {
            "No difference between A and B can be shown.".to_owned()
        };
    }
    format!("A and B differ. {}.", different.join("; "))
}

fn of_verdict(report: &AbReport, verdict: Verdict) -> impl Iterator<Item = &Compared> {
    report.findings.iter().filter(move |compared| compared.finding.verdict == verdict)
}

/// What the control says.
pub fn control(report: &AbReport) -> String {
    let apart = |compared: &Compared| (compared.finding.effect.ln()).abs();
    let widest = report.control.iter().max_by(|left, right| apart(left).total_cmp(&apart(right)));
    match widest {
        _ if report.is_void() => "Control (A against A): differs, see below.".to_owned(),
        None => "Control (A against A): no figure.".to_owned(),
        Some(widest) => format!(
            "Control (A against A): no difference can be shown, as it must be; farthest apart is {} \
             ({}, {}).",
            widest.metric.title(),
            change(widest.finding.effect),
            interval(&widest.finding.interval)
        ),
    }
}

/// What was done.
pub fn title(report: &AbReport) -> String {
    let mode = match report.mode {
        Mode::Duet => "duet",
        Mode::Interleaved => "interleaved",
    };
    format!(
        "A/B comparison: {mode}, {} rounds, margin {}, seed {}",
        report.rounds,
        percent(report.rules.margin),
        report.rules.seed
    )
}

/// An arm in a line.
pub fn arm(arm: &super::ArmTold) -> String {
    format!("profile {}; {}; {}", arm.profile, arm.server, arm.load)
}

/// How the figures are to be read.
pub const HOW_TO_READ: &str = "Effect is B as a multiple of A, exp(median of ln(B/A) over rounds), with a 95 % percentile \
bootstrap interval; p is of Wilcoxon's signed-rank test, raised by Holm's way for all tests of this \
comparison. Different: p below 0.05 and an interval without 1. Equivalent: the whole interval within \
the margin. Detectable: the smallest true difference that so many rounds find four times of five.";

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;

    #[test]
    fn percentages_have_the_digits_that_they_are_worth() {
        assert_eq!([0.0025, 0.031, 1.2].map(percent), ["0.25 %", "3.1 %", "120 %"]);
        assert_eq!([0.009_96, 0.9998].map(percent), ["1.0 %", "100 %"]);
        assert_eq!([1.031, 0.969, 1.0].map(change), ["+3.1 %", "-3.1 %", "0.00 %"]);
        assert_eq!([0.000_01, 0.01].map(p), ["< 0.0001", "0.0100"]);
    }

    #[test]
    fn each_verdict_has_its_sentence() {
        let report = fixtures::report(0.03, 0.0);
        let of = |place: usize| sentence(&report.findings[place], &report.rules);
        let faster = of(0);
        assert!(
            faster.starts_with("requests/s: B is faster by 3.") && faster.contains("; p "),
            "{faster}"
        );
        let less = of(1);
        assert!(less.starts_with("server CPU/request: B is lower by 2.9 % (-"), "{less}");
        let same = of(2);
        assert!(
            same.starts_with("loader CPU/request: equivalent within the margin of 1.0 % ("),
            "{same}"
        );
        let noise = of(6);
        assert!(noise.starts_with("max: no difference can be shown (-"), "{noise}");
        assert!(
            noise.contains("smallest detectable: ")
                && noise.contains(" rounds would show one of 1.0 %")
        );
    }

    #[test]
    fn a_small_difference_is_told_as_such() {
        let text = sentence(&fixtures::report(0.005, 0.0).findings[0], &Rules::default());
        assert!(text.ends_with("which is within the margin of 1.0 %"), "{text}");
    }

    #[test]
    fn the_answer_is_one_of_four() {
        let of = |effect, control| answer(&fixtures::report(effect, control));
        assert!(of(0.03, 0.0).starts_with("A and B differ. requests/s: B is faster by 3."));
        assert!(of(0.03, 0.03).starts_with("VOID: A differs from itself in requests/s"));
        assert_eq!(of(0.0, 0.0), "No difference between A and B can be shown.");
        let mut report = fixtures::report(0.0, 0.0);
        report.findings.truncate(3);
        report.findings.retain(|compared| compared.finding.verdict == Verdict::Equivalent);
        assert_eq!(answer(&report), "A and B are equivalent within 1.0 %.");
    }
}
