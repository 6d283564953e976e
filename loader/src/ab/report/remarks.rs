//! Reasons to doubt a comparison, and what should be known of it.

use super::super::metric::Metric;
use super::super::plan::{Arm, Mode};
use super::super::stats::{SIGNIFICANCE, fewest_rounds};
use super::words::percent;
use super::{AbReport, ArmTold, RunRecord};

/// So much of the machine may go to others before it is worth a word.
const DISTURBED_SHARE: f64 = 0.05;

/// All that there is to say.
pub(super) fn warnings(report: &AbReport) -> Vec<String> {
    let mut told = Vec::new();
    let fewest = fewest_rounds(report.tests(), SIGNIFICANCE);
    if report.rounds < fewest as usize {
        told.push(format!(
            "{} rounds cannot show any difference: {} tests together take at least {fewest}",
            report.rounds,
            report.tests()
        ));
    }
    if report.mode == Mode::Duet && report.rounds % 2 == 1 {
        told.push(
            "An odd number of rounds: each arm had one side of the machine once more than the other"
                .to_owned(),
        );
    }
    if report.places.iter().any(|place| place.server == place.load) {
        told.push(
            "Server and load of an arm share their cores: requests/s is of both together, and \
             latency holds the waiting of one for the other"
                .to_owned(),
        );
    }
    for (name, arm) in ["A", "B"].into_iter().zip(&report.arms) {
        settings(name, arm, &mut told);
    }
    for (name, wanted) in [("A", [Arm::A, Arm::Control]), ("B", [Arm::B, Arm::B])] {
        let runs = report.records.iter().flat_map(super::RoundRecord::runs);
        losses(name, runs.filter(|run| wanted.contains(&run.arm)), &mut told);
    }
    missing(report, &mut told);
    disturbances(report, &mut told);
    told
}

fn settings(name: &str, arm: &ArmTold, told: &mut Vec<String>) {
    let refused = arm.settings.iter().filter(|applied| !applied.is_in_force());
    told.extend(refused.map(|applied| format!("{name}: {}", applied.words())));
    told.extend(arm.drift.iter().map(|drift| format!("{name}, {drift}")));
    if !arm.left_out.is_empty() {
        told.push(format!(
            "{name}: of its profile only sysctl.conf is used here, not {}",
            arm.left_out.join(", ")
        ));
    }
}

fn losses<'a>(name: &str, runs: impl Iterator<Item = &'a RunRecord>, told: &mut Vec<String>) {
    let (mut count, mut errors, mut overflows, mut drops, mut distrusted) = (0_u32, 0, 0, 0, 0_u32);
    for run in runs {
        count += 1;
        errors += run.errors_total();
        let listen = run.listen.unwrap_or_default();
        (overflows, drops) = (overflows + listen.overflows, drops + listen.drops);
        distrusted += u32::from(!run.warnings.is_empty());
    }
    if errors > 0 {
        told.push(format!("{name}: {errors} errors in {count} runs"));
    }
    if overflows > 0 || drops > 0 {
        told.push(format!(
            "{name}: listeners lost connections: {overflows} queue overflows, {drops} drops"
        ));
    }
    if distrusted > 0 {
        told.push(format!(
            "{name}: ringload warns of {distrusted} of {count} runs; the warnings stand in the JSON"
        ));
    }
}

/// Rounds that do not count for a metric.
fn missing(report: &AbReport, told: &mut Vec<String>) {
    for metric in Metric::ALL {
        for (compared, who) in [(&report.findings, "B"), (&report.control, "the control")] {
            let title = metric.title();
            match compared.iter().find(|compared| compared.metric == metric) {
                None => told.push(format!(
                    "{title}: too few rounds of {who} have a figure to compare; it was not tested"
                )),
                Some(found) if found.finding.rounds < report.rounds => told.push(format!(
                    "{title}: {} of {} rounds of {who} have no figure to compare",
                    report.rounds - found.finding.rounds,
                    report.rounds
                )),
                Some(_) => {}
            }
        }
    }
}

fn disturbances(report: &AbReport, told: &mut Vec<String>) {
    let slots = || report.records.iter().flat_map(|round| &round.slots);
    for (what, shares) in [
        (
            "Other programs used",
            slots().filter_map(|slot| slot.foreign_share).collect::<Vec<f64>>(),
        ),
        ("A hypervisor took", slots().filter_map(|slot| slot.steal_share).collect()),
    ] {
        let mean = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
        let most = shares.iter().copied().fold(0.0, f64::max);
        if mean > DISTURBED_SHARE {
            told.push(format!(
                "{what} {} of the machine on average, {} at most",
                percent(mean),
                percent(most)
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;

    fn has(report: &AbReport, part: &str) -> bool {
        warnings(report).iter().any(|warning| warning.contains(part))
    }

    #[test]
    fn a_comparison_in_order_has_its_shared_cores_to_tell() {
        let report = fixtures::report(0.03, 0.0);
        assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
        assert!(has(&report, "share their cores"));
    }

    #[test]
    fn nothing_is_silent() {
        let mut report = fixtures::report(0.0, 0.0);
        report.rounds = 9;
        let slot = &mut report.records[3].slots[0];
        slot.runs[0].errors.insert("read".to_owned(), 7);
        slot.runs[1].listen = Some(crate::ab::netns::ListenLosses { overflows: 4, drops: 5 });
        slot.runs[1].warnings.push("slow".to_owned());
        slot.foreign_share = Some(5.0);
        report.arms[1].left_out.push("limits.conf".to_owned());
        for part in [
            "9 rounds cannot show any difference: 14 tests together take at least 10",
            "odd number",
            "A: 7 errors in 60 runs",
            "B: listeners lost connections: 4 queue overflows, 5 drops",
            "B: ringload warns of 1 of 20 runs",
            "Other programs used 14.4 % of the machine on average, 500 % at most",
            "B: of its profile only sysctl.conf is used here, not limits.conf",
        ] {
            assert!(has(&report, part), "{part}: {:?}", warnings(&report));
        }
    }

    #[test]
    fn a_setting_that_is_not_in_force_is_told() {
        let mut report = fixtures::report(0.0, 0.0);
        report.arms[1].settings[0].outcome = crate::ab::settings::Outcome::Refused("no".to_owned());
        assert!(has(&report, "B: net.ipv4.tcp_tw_reuse = 1 was refused: no"));
    }
}
