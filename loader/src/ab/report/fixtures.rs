//! A comparison without a machine: noise by a formula, so that each test knows what it has.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::ab::settings::{Outcome, Profile, Setting};

/// How much each metric varies from round to round, in ln(ratio).
const NOISE: [f64; 7] = [0.002, 0.002, 0.002, 0.02, 0.05, 0.1, 0.3];
const TYPICAL: [f64; 7] = [50_000.0, 10.0, 8.0, 900.0, 2_000.0, 4_000.0, 9_000.0];
const ROUNDS: usize = 20;

pub(crate) fn run(arm: Arm, place: usize) -> RunRecord {
    RunRecord {
        arm,
        place,
        values: TYPICAL.map(Some),
        requests: 100_000,
        errors: [("read".to_owned(), 0)].into(),
        unanswered: 0,
        listen: Some(ListenLosses::default()),
        cpu_ns: Some(1_800_000_000),
        warnings: Vec::new(),
    }
}

/// Noise that is even about 0, and different for each metric and arm.
fn noise(round: usize, metric: usize, arm: Arm) -> f64 {
    let salt = if arm == Arm::B { 3 } else { 11 };
    let place = (round * 7 + metric * salt) % ROUNDS;
    (2.0 * place as f64 / (ROUNDS - 1) as f64 - 1.0) * NOISE[metric]
}

/// B has so much more throughput and so much less server CPU than A; the control, throughput.
pub(crate) fn report(effect: f64, of_control: f64) -> AbReport {
    of(effect, of_control, None)
}

/// A comparison in which no run has this metric.
pub(crate) fn report_without(metric: Metric) -> AbReport {
    of(0.0, 0.0, Some(metric))
}

fn of(effect: f64, of_control: f64, missing: Option<Metric>) -> AbReport {
    let mut records = Vec::new();
    for round in 0..ROUNDS {
        // One duet has a slower machine than the other: that must not matter.
        let slots = [(Arm::B, 1.0, effect), (Arm::Control, 0.7, of_control)];
        let slots = slots.map(|(arm, speed, effect)| {
            let mut runs = [run(Arm::A, round % 2), run(arm, 1 - round % 2)];
            for (metric, typical) in TYPICAL.into_iter().enumerate() {
                let base = typical * speed;
                let truth = match metric {
                    0 => 1.0 + effect,
                    1 if arm == Arm::B => 1.0 / (1.0 + effect),
                    _ => 1.0,
                };
                let value = base * truth * noise(round, metric, arm).exp();
                let present = missing != Some(Metric::ALL[metric]);
                runs[0].values[metric] = present.then_some(base);
                runs[1].values[metric] = present.then_some(value);
            }
            SlotRecord { steal_share: Some(0.01), foreign_share: Some(0.02), runs: runs.to_vec() }
        });
        records.push(RoundRecord { slots: slots.to_vec() });
    }
    let comparison = comparison();
    let mut arms = [ArmTold::new(&comparison.a), ArmTold::new(&comparison.b)];
    let setting = comparison.b.profile.settings[0].clone();
    let applied = Applied {
        setting,
        before: Some("2".to_owned()),
        now: Some("1".to_owned()),
        outcome: Outcome::Applied,
    };
    arms[1].take(1, vec![applied]);
    let places =
        [Place { server: vec![0], load: vec![0] }, Place { server: vec![1], load: vec![1] }];
    AbReport::new(&comparison, &places, arms, records)
}

fn comparison() -> Comparison {
    let arm = |name: &str, settings: Vec<Setting>| ArmSetup {
        profile: Profile {
            name: name.to_owned(),
            folder: Some(PathBuf::from(name)),
            settings,
            left_out: Vec::new(),
        },
        server: vec!["server".to_owned(), "<8080>".to_owned()],
        load: vec!["-c".to_owned(), "64".to_owned()],
        url: "http://127.0.0.1:8080/".to_owned(),
        load_duration: Some(Duration::from_secs(2)),
    };
    let setting = Setting {
        key: "net.ipv4.tcp_tw_reuse".to_owned(),
        path: "net/ipv4/tcp_tw_reuse".to_owned(),
        value: "1".to_owned(),
    };
    Comparison {
        a: arm("default", Vec::new()),
        b: arm("documented", vec![setting]),
        mode: Mode::Duet,
        rounds: ROUNDS,
        rules: Rules::default(),
        sets_host: false,
    }
}
