//! Values with units.

use std::fmt;

use ringbench_measure::units;

/// What is measured, and in which unit amounts of it are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A time in microseconds; a bare number would be ambiguous.
    Time,
    /// CPU time in microseconds: the metric's name says so.
    CpuTime,
    /// Requests per second.
    Rate,
    /// Bytes per second, in steps of 1024 as in reports.
    ByteRate,
    /// Bytes, in steps of 1024.
    Bytes,
    /// A number of things.
    Count,
    /// A percentage of requests.
    Percent,
}

impl Kind {
    pub(super) fn expected(self, has_share: bool) -> &'static str {
        match self {
            Self::Time => "a time with its unit, as in 5ms (ns, us, ms, s, m or h)",
            Self::CpuTime => "a number of microseconds, as in 5, or a time, as in 5us",
            Self::Rate => "a number per second, as in 100k (k, M or G, in steps of 1000)",
            Self::ByteRate => "bytes per second, as in 10MB (KB, MB or GB, in steps of 1024)",
            Self::Bytes => "bytes, as in 100MB (KB, MB or GB, in steps of 1024)",
            Self::Count if has_share => "a count, as in 10 or 1k, or a share, as in 0.1%",
            Self::Count | Self::Percent => "a count, as in 10 or 1k",
        }
    }

    /// What a unit is worth in the kind's base unit.
    fn unit(self, unit: &str) -> Option<f64> {
        let unit = unit.to_ascii_lowercase();
        match self {
            Self::CpuTime if unit.is_empty() => Some(1.0),
            Self::Time | Self::CpuTime => Some(match unit.as_str() {
                "ns" => 1e-3,
                "us" | "\u{b5}s" | "\u{3bc}s" => 1.0,
                "ms" => 1e3,
                "s" => 1e6,
                "m" => 60e6,
                "h" => 3_600e6,
                _ => return None,
            }),
            Self::Rate => power(unit.strip_suffix("/s").unwrap_or(&unit), 1_000.0),
            Self::Count => power(&unit, 1_000.0),
            Self::Percent => (unit == "%").then_some(1.0),
            Self::ByteRate | Self::Bytes => {
                let unit = match self {
                    Self::ByteRate => unit.strip_suffix("/s").unwrap_or(&unit),
                    _ => unit.as_str(),
                };
                power(unit.strip_suffix('b').unwrap_or(unit), 1_024.0)
            }
        }
    }
}

fn power(unit: &str, step: f64) -> Option<f64> {
    let exponent = ["", "k", "m", "g", "t"].iter().position(|known| *known == unit)?;
    Some(step.powi(exponent as i32))
}

/// An amount, in the base unit of its kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantity {
    /// How much.
    pub amount: f64,
    /// Of what.
    pub kind: Kind,
}

impl fmt::Display for Quantity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = self.amount;
        let text = match self.kind {
            Kind::Time | Kind::CpuTime => units::duration_us(amount),
            Kind::Rate => format!("{amount:.2}/s"),
            Kind::ByteRate => format!("{}/s", units::bytes(amount)),
            Kind::Bytes => units::bytes(amount),
            Kind::Count => format!("{amount}"),
            // Enough decimals for one in a million.
            Kind::Percent if amount > 0.0 && amount < 0.01 => format!("{amount:.4}%"),
            Kind::Percent => format!("{amount:.2}%"),
        };
        out.write_str(&text)
    }
}

/// Reads a number and its unit.
pub(super) fn parse(text: &str, kind: Kind, has_share: bool) -> Option<Quantity> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim_start();
    // "1.", ".5" and "." are read by Rust, but not in reports' units; they are typing mistakes.
    if number.starts_with('.') || number.ends_with('.') {
        return None;
    }
    let kind = if has_share && unit == "%" { Kind::Percent } else { kind };
    let amount = number.parse::<f64>().ok()? * kind.unit(unit)?;
    amount.is_finite().then_some(Quantity { amount, kind })
}
