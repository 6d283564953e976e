//! The report for people, on a terminal.

use std::fmt::{self, Display};

use super::words;
use super::{AbReport, Compared};

/// `print!("{}", Text(&report))`.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(pub &'a AbReport);

impl Display for Text<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        writeln!(out, "{}", words::title(report))?;
        for (name, arm) in ["A", "B"].into_iter().zip(&report.arms) {
            writeln!(out, "  {name}  {}", words::arm(arm))?;
            let in_force = arm.settings.iter().filter(|applied| applied.is_in_force());
            for applied in in_force {
                writeln!(out, "       {}", applied.words())?;
            }
        }
        writeln!(out, "\nB beside A (medians of rounds)")?;
        table(out, &report.findings, "B")?;
        writeln!(out, "\nA beside A, the control")?;
        table(out, &report.control, "A")?;
        writeln!(out, "\n{}", words::control(report))?;
        if !report.is_void() {
            for compared in &report.findings {
                writeln!(out, "{}", words::sentence(compared, &report.rules))?;
            }
        }
        for warning in &report.warnings {
            writeln!(out, "WARNING: {warning}")?;
        }
        writeln!(out, "{}", words::answer(report))
    }
}

fn table(out: &mut fmt::Formatter<'_>, rows: &[Compared], other: &str) -> fmt::Result {
    writeln!(
        out,
        "  {:<18}  {:>10}  {:>10}  {:>8}  {:>20}  {:>8}  {:>10}  Verdict",
        "", "A", other, "Effect", "95 % interval", "p (Holm)", "Detectable"
    )?;
    for Compared { metric, a, other, finding } in rows {
        writeln!(
            out,
            "  {:<18}  {:>10}  {:>10}  {:>8}  {:>20}  {:>8}  {:>10}  {}",
            metric.title(),
            metric.format(*a),
            metric.format(*other),
            words::change(finding.effect),
            words::interval(&finding.interval),
            words::p(finding.p_holm),
            words::percent(finding.detectable),
            words::verdict(finding),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;

    #[test]
    fn all_is_in_it_and_the_answer_is_last() {
        let report = fixtures::report(0.03, 0.0);
        let text = Text(&report).to_string();
        for part in [
            "A/B comparison: duet, 20 rounds, margin 1.0 %, seed 1\n",
            "  A  profile default; server '<8080>'; ringload -c 64 http://127.0.0.1:8080/\n",
            "       net.ipv4.tcp_tw_reuse = 1 (was 2)\n",
            "  requests/s             50000/s     51",
            "  different\n",
            "  equivalent\n",
            "  not shown\n",
            "\nControl (A against A): no difference can be shown, as it must be",
            "\nWARNING: Server and load of an arm share",
        ] {
            assert!(text.contains(part), "{part:?}: {text}");
        }
        let last = text.lines().last().expect("a line");
        assert!(last.starts_with("A and B differ. requests/s: B is faster"), "{last}");
        for line in text.lines().filter(|line| line.contains(" to ") && line.starts_with("  ")) {
            assert!(line.chars().count() <= 110, "{line}");
        }
    }

    #[test]
    fn a_void_comparison_says_nothing_of_b() {
        let text = Text(&fixtures::report(0.03, 0.03)).to_string();
        assert!(text.lines().last().is_some_and(|last| last.starts_with("VOID: ")), "{text}");
        assert!(!text.contains("B is faster") && text.contains("differs, see below"));
    }
}
