//! The report as JSON; docs/ab.md says what each key means.

use serde_json::{Map, Value, json};

use super::super::metric::Metric;
use super::super::stats::Verdict;
use super::words;
use super::{AbReport, Compared, RoundRecord, RunRecord, SlotRecord};

/// One object.
pub fn value(report: &AbReport) -> Value {
    let findings = |rows: &[Compared]| rows.iter().map(finding).collect::<Vec<_>>();
    let [a, b] = &report.arms;
    json!({
        "mode": report.mode,
        "rounds": report.rounds,
        "margin_share": report.rules.margin,
        "resamples": report.rules.resamples,
        "seed": report.rules.seed,
        "tests": report.tests(),
        "places": report.places,
        "arms": { "a": a, "b": b },
        "void": report.is_void(),
        "answer": words::answer(report),
        "sentences": if report.is_void() { Vec::new() } else {
            report.findings.iter().map(|row| words::sentence(row, &report.rules)).collect()
        },
        "b_to_a": findings(&report.findings),
        "control_to_a": findings(&report.control),
        "warnings": report.warnings,
        "round_records": report.records.iter().map(round).collect::<Vec<_>>(),
    })
}

/// The object as text, on one line.
pub fn render(report: &AbReport) -> String {
    format!("{}\n", value(report))
}

fn finding(row: &Compared) -> Value {
    let Compared { metric, a, other, finding } = row;
    json!({
        "metric": metric.key(),
        "a_median": a,
        "other_median": other,
        "rounds": finding.rounds,
        "effect_ratio": finding.effect,
        "interval_ratio": finding.interval,
        "p": finding.p,
        "p_is_exact": finding.is_exact,
        "p_holm": finding.p_holm,
        "stdev_ln": finding.stdev_ln,
        "detectable_share": finding.detectable,
        "rounds_needed": finding.rounds_needed,
        "verdict": verdict(finding.verdict),
    })
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Different => "different",
        Verdict::Equivalent => "equivalent",
        Verdict::NotShown => "not_shown",
    }
}

fn round(round: &RoundRecord) -> Value {
    json!({ "slots": round.slots.iter().map(slot).collect::<Vec<_>>() })
}

fn slot(slot: &SlotRecord) -> Value {
    json!({
        "steal_share": slot.steal_share,
        "foreign_share": slot.foreign_share,
        "runs": slot.runs.iter().map(run).collect::<Vec<_>>(),
    })
}

fn run(run: &RunRecord) -> Value {
    let values = Metric::ALL.into_iter().zip(run.values);
    let values: Map<String, Value> =
        values.map(|(metric, value)| (metric.key().to_owned(), json!(value))).collect();
    json!({
        "arm": run.arm,
        "place": run.place,
        "metrics": values,
        "requests": run.requests,
        "errors": run.errors,
        "unanswered": run.unanswered,
        "listen_overflows": run.listen.map(|losses| losses.overflows),
        "listen_drops": run.listen.map(|losses| losses.drops),
        "cpu_ns": run.cpu_ns,
        "warnings": run.warnings,
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;

    #[test]
    fn everything_is_in_it() {
        let text = render(&fixtures::report(0.03, 0.0));
        assert_eq!(text.lines().count(), 1);
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["void"], false);
        assert_eq!(value["b_to_a"].as_array().map(Vec::len), Some(7));
        assert_eq!(value["b_to_a"][0]["verdict"], "different");
        assert_eq!(value["b_to_a"][6]["verdict"], "not_shown");
        assert_eq!(value["control_to_a"][0]["metric"], "requests_per_sec");
        assert_eq!(value["arms"]["b"]["settings"][0]["outcome"], "applied");
        assert_eq!(value["places"][1]["server"], json!([1]));
        let runs = value.pointer("/round_records/19/slots/1/runs").and_then(Value::as_array);
        assert_eq!(runs.map(Vec::len), Some(2));
        assert_eq!(runs.map(|runs| &runs[1]["arm"]), Some(&json!("control")));
        assert_eq!(value["sentences"].as_array().map(Vec::len), Some(7));
    }

    /// Every key is described.
    #[test]
    fn the_documentation_has_every_key() {
        let documentation = include_str!("../../../../docs/ab.md");
        let mut keys = Vec::new();
        collect(&value(&fixtures::report(0.03, 0.0)), &mut keys);
        for key in keys {
            assert!(documentation.contains(&format!("`{key}`")), "docs/ab.md does not know {key}");
        }
    }

    fn collect(value: &Value, keys: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (key, member) in members {
                    // Kinds of errors are those of docs/json.md.
                    if key != "read" {
                        keys.push(key.clone());
                    }
                    collect(member, keys);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, keys)),
            _ => {}
        }
    }
}
