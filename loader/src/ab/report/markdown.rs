//! The report as Markdown, to be pasted into an issue or kept beside the code.

use std::fmt::{self, Display};

use super::words;
use super::{AbReport, ArmTold, Compared};

/// `print!("{}", Markdown(&report))`.
#[derive(Clone, Copy, Debug)]
pub struct Markdown<'a>(pub &'a AbReport);

impl Display for Markdown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        writeln!(out, "# {}\n", words::title(report))?;
        writeln!(out, "**{}**\n", Cell(&words::answer(report)))?;
        for (name, arm) in ["A", "B"].into_iter().zip(&report.arms) {
            write_arm(out, name, arm)?;
        }
        writeln!(out, "\n## B beside A\n")?;
        table(out, &report.findings, "B")?;
        if !report.is_void() {
            writeln!(out)?;
            for compared in &report.findings {
                writeln!(out, "- {}", Cell(&words::sentence(compared, &report.rules)))?;
            }
        }
        writeln!(out, "\n## A beside A, the control\n")?;
        table(out, &report.control, "A")?;
        writeln!(out, "\n{}", Cell(&words::control(report)))?;
        if !report.warnings.is_empty() {
            writeln!(out, "\n## Reasons for distrust\n")?;
            for warning in &report.warnings {
                writeln!(out, "- {}", Cell(warning))?;
            }
        }
        writeln!(out, "\n{}", words::HOW_TO_READ)
    }
}

fn write_arm(out: &mut fmt::Formatter<'_>, name: &str, arm: &ArmTold) -> fmt::Result {
    writeln!(out, "- {name}: profile {}", Cell(&arm.profile))?;
    for (what, command) in [("server", &arm.server), ("load", &arm.load)] {
        // A back quote in a command would end the code: the longer fence is for that.
        writeln!(out, "  - {what}: `` {command} ``")?;
    }
    for applied in arm.settings.iter().filter(|applied| applied.is_in_force()) {
        writeln!(out, "  - {}", Cell(&applied.words()))?;
    }
    Ok(())
}

fn table(out: &mut fmt::Formatter<'_>, rows: &[Compared], other: &str) -> fmt::Result {
    writeln!(
        out,
        "| metric | A | {other} | effect | 95 % interval | p (Holm) | detectable | verdict |"
    )?;
    writeln!(out, "|---|--:|--:|--:|--:|--:|--:|---|")?;
    for Compared { metric, a, other, finding } in rows {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            metric.title(),
            metric.format(*a),
            metric.format(*other),
            words::change(finding.effect),
            words::interval(&finding.interval),
            Cell(&words::p(finding.p_holm)),
            words::percent(finding.detectable),
            words::verdict(finding),
        )?;
    }
    Ok(())
}

/// Text without what Markdown would take for its own.
struct Cell<'a>(&'a str);

impl Display for Cell<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '<' => out.write_str("&lt;")?,
                '|' | '*' | '_' | '`' | '[' | ']' | '\\' => write!(out, "\\{letter}")?,
                other => write!(out, "{other}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;

    #[test]
    fn tables_have_as_many_cells_as_heads() {
        let text = Markdown(&fixtures::report(0.03, 0.0)).to_string();
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(rows.len(), 2 * (2 + 7));
        for row in rows {
            assert_eq!(row.matches('|').count(), 9, "{row}");
        }
        assert!(text.contains("\n**A and B differ. requests/s: B is faster"), "{text}");
        assert!(text.contains("net.ipv4.tcp\\_tw\\_reuse = 1 (was 2)"));
        assert!(text.contains("`` server '<8080>' ``"));
    }

    #[test]
    fn a_void_comparison_says_so_first() {
        let text = Markdown(&fixtures::report(0.03, 0.03)).to_string();
        assert!(text.contains("\n**VOID: A differs") && !text.contains("B is faster"), "{text}");
    }
}
