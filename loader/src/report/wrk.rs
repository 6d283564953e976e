//! wrk's report, line by line, from plain figures.
//!
//! The figures are apart from [`super::RunReport`] so that the tests can read a real report of wrk,
//! write it again and compare the bytes.

use std::fmt;

use ringbench_measure::{Errors, units};

/// A row of the "Thread Stats" table. The row's label decides the unit: microseconds, or requests
/// per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Row {
    /// Mean.
    pub mean: f64,
    /// Sample standard deviation.
    pub stdev: f64,
    /// Largest.
    pub max: f64,
    /// Percentage within one standard deviation of the mean. Of nothing it is 0 here; wrk writes
    /// `-nan`, which most readers of numbers refuse.
    pub within_stdev_percent: f64,
}

/// The figures in wrk's report, in the order of their lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// The length of the run as in the title: `30s`.
    pub extent: String,
    /// The URL.
    pub url: String,
    /// Threads.
    pub threads: u64,
    /// Connections.
    pub connections: u64,
    /// Latencies, in microseconds.
    pub latency: Row,
    /// Requests per second, of a thread in 100 ms.
    pub rate: Row,
    /// Latencies at [`Figures::PERCENTILES`] in microseconds, if they are to be printed.
    pub percentiles_us: Option<[f64; 4]>,
    /// What wrk2 prints in their place: whole lines, empty in wrk's own layout.
    pub distributions: String,
    /// Complete responses.
    pub requests: u64,
    /// Actual duration.
    pub duration_us: f64,
    /// Bytes received.
    pub bytes_read: f64,
    /// Failures; the lines are left out where there are none.
    pub errors: Errors,
    /// Complete responses per second.
    pub requests_per_sec: f64,
    /// Bytes received per second.
    pub bytes_per_sec: f64,
}

impl Figures {
    /// The rows of "Latency Distribution".
    pub const PERCENTILES: [f64; 4] = [50.0, 75.0, 90.0, 99.0];
}

impl fmt::Display for Figures {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "Running {} test @ {}", self.extent, self.url)?;
        writeln!(out, "  {} threads and {} connections", self.threads, self.connections)?;
        writeln!(out, "  Thread Stats{:>6}{:>11}{:>8}{:>12}", "Avg", "Stdev", "Max", "+/- Stdev")?;
        write_row(out, "Latency", &self.latency, units::duration_us)?;
        write_row(out, "Req/Sec", &self.rate, units::count)?;
        if let Some(percentiles_us) = self.percentiles_us {
            writeln!(out, "  Latency Distribution")?;
            for (percent, value_us) in Self::PERCENTILES.iter().zip(percentiles_us) {
                let cell = units::cell(&units::duration_us(value_us), 10);
                writeln!(out, "{percent:>7.0}%{cell}")?;
            }
        }
        out.write_str(&self.distributions)?;
        let (duration, read) =
            (units::duration_us(self.duration_us), units::bytes(self.bytes_read));
        writeln!(out, "  {} requests in {duration}, {read} read", self.requests)?;
        if self.errors.socket() > 0 {
            let Errors { connect, read, write, timeout, .. } = self.errors;
            writeln!(
                out,
                "  Socket errors: connect {connect}, read {read}, write {write}, timeout {timeout}"
            )?;
        }
        if self.errors.status > 0 {
            writeln!(out, "  Non-2xx or 3xx responses: {}", self.errors.status)?;
        }
        writeln!(out, "Requests/sec: {:>9.2}", self.requests_per_sec)?;
        writeln!(out, "Transfer/sec: {:>11}", units::bytes(self.bytes_per_sec))
    }
}

fn write_row(
    out: &mut fmt::Formatter<'_>,
    label: &str,
    row: &Row,
    format: fn(f64) -> String,
) -> fmt::Result {
    writeln!(
        out,
        "    {label:<10}{}{}{}{:>8.2}%",
        units::cell(&format(row.mean), 8),
        units::cell(&format(row.stdev), 10),
        units::cell(&format(row.max), 9),
        row.within_stdev_percent
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Reports of wrk 4.1.0 (Debian) against nginx on loopback; the command lines are
    /// `-t2 -c10 -d2s /`, `-t1 -c64 -d2s --latency /`, `-t1 -c10 -d1s --latency /missing` (404),
    /// `-t1 -c5 -d1s --latency /drop` (closed without an answer) and
    /// `-t1 -c4 -d6s --timeout 1s --latency /slow` (answers after 2 s).
    const CAPTURED: [(&str, &str); 5] = [
        ("plain", include_str!("testdata/wrk-plain.txt")),
        ("latency", include_str!("testdata/wrk-latency.txt")),
        ("status", include_str!("testdata/wrk-status.txt")),
        ("dropped", include_str!("testdata/wrk-dropped.txt")),
        ("timeout", include_str!("testdata/wrk-timeout.txt")),
    ];

    /// Reads wrk's report as scripts do: a pattern per line, found anywhere in the text, blanks of
    /// any number between words. Also for reports with more text behind.
    pub(in crate::report) fn parse(text: &str) -> Figures {
        let running = words_of(text, "Running ");
        let threads = line_with(text, " threads and ").split_whitespace().collect::<Vec<_>>();
        let totals = line_with(text, " requests in ").replace(',', "");
        let totals: Vec<&str> = totals.split_whitespace().collect();
        let errors: Vec<u64> = text.find("Socket errors:").map_or(vec![0; 4], |_| {
            let words = words_of(text, "Socket errors:");
            words.iter().filter_map(|word| word.trim_end_matches(',').parse().ok()).collect()
        });
        let status = text.find("Non-2xx or 3xx responses:").map_or(0, |_| {
            words_of(text, "Non-2xx or 3xx responses:")[0].parse().expect("a count")
        });
        Figures {
            extent: running[0].to_owned(),
            url: running[3].to_owned(),
            threads: threads[0].parse().expect("threads"),
            connections: threads[3].parse().expect("connections"),
            latency: parse_row(&words_of(text, "Latency  ")),
            rate: parse_row(&words_of(text, "Req/Sec")),
            percentiles_us: text.find("Latency Distribution").map(|_| {
                Figures::PERCENTILES
                    .map(|percent| amount(words_of(text, &format!("{percent}%  "))[0]))
            }),
            distributions: String::new(),
            requests: totals[0].parse().expect("requests"),
            duration_us: amount(totals[3]),
            bytes_read: amount(totals[4]),
            errors: Errors {
                connect: errors[0],
                read: errors[1],
                write: errors[2],
                timeout: errors[3],
                status,
            },
            requests_per_sec: amount(words_of(text, "Requests/sec:")[0]),
            bytes_per_sec: amount(words_of(text, "Transfer/sec:")[0]),
        }
    }

    fn line_with<'a>(text: &'a str, pattern: &str) -> &'a str {
        let mut lines = text.lines().filter(|line| line.contains(pattern));
        let line = lines.next().unwrap_or_else(|| panic!("no line with {pattern:?} in:\n{text}"));
        assert_eq!(lines.next(), None, "{pattern:?} is there twice");
        line
    }

    /// The words behind a pattern, on its line.
    fn words_of<'a>(text: &'a str, pattern: &str) -> Vec<&'a str> {
        let line = line_with(text, pattern);
        let behind = line.split_once(pattern).expect("found above").1;
        behind.split_whitespace().collect()
    }

    fn parse_row(words: &[&str]) -> Row {
        assert_eq!(words.len(), 4, "{words:?}");
        Row {
            mean: amount(words[0]),
            stdev: amount(words[1]),
            max: amount(words[2]),
            within_stdev_percent: amount(words[3]),
        }
    }

    /// A number with any of wrk's units, in microseconds, bytes or plain.
    fn amount(word: &str) -> f64 {
        let (digits, unit) = word.split_at(
            word.find(|c: char| c.is_ascii_alphabetic() || c == '%').unwrap_or(word.len()),
        );
        let scale = match unit {
            "" | "us" | "B" | "%" => 1.0,
            "ms" | "k" => 1e3,
            "s" | "M" => 1e6,
            "m" => 60e6,
            "KB" => 1_024.0,
            "MB" => 1_048_576.0,
            "GB" => 1_073_741_824.0,
            _ => panic!("{word:?} has no unit of wrk's"),
        };
        digits.parse::<f64>().unwrap_or_else(|_| panic!("{word:?} is no number")) * scale
    }

    /// A captured report with the one deviation made: no share of nothing.
    fn without_nan(text: &str) -> String {
        text.replace("-nan%", "0.00%")
    }

    #[test]
    fn real_reports_of_wrk_are_written_byte_for_byte() {
        for (name, captured) in CAPTURED {
            let expected = without_nan(captured);
            assert_eq!(parse(&expected).to_string(), expected, "{name}");
        }
    }

    #[test]
    fn every_line_of_wrk_is_in_a_captured_report() {
        let all: String = CAPTURED.iter().map(|(_, text)| *text).collect();
        for line in ["Latency Distribution", "Socket errors:", "Non-2xx or 3xx responses:", "-nan%"]
        {
            assert!(all.contains(line), "{line}");
        }
    }

    #[test]
    fn fields_of_a_real_report_are_read() {
        let figures = parse(&without_nan(CAPTURED[3].1));
        assert_eq!((figures.errors.read, figures.requests), (21_981, 0));
        let figures = parse(CAPTURED[0].1);
        assert_eq!((figures.threads, figures.connections, figures.requests), (2, 10, 195_485));
        assert_eq!((figures.percentiles_us, figures.errors), (None, Errors::default()));
        assert!((figures.requests_per_sec - 93_107.69).abs() < 1e-9);
    }

    #[test]
    fn the_published_example() {
        let figures = Figures {
            extent: units::duration_s(30.0),
            url: "URL".to_owned(),
            threads: 12,
            connections: 400,
            latency: Row { mean: 635.91, stdev: 890.0, max: 12_920.0, within_stdev_percent: 93.69 },
            rate: Row {
                mean: 56_200.0,
                stdev: 8_070.0,
                max: 62_000.0,
                within_stdev_percent: 86.54,
            },
            percentiles_us: Some([635.0, 1_000.0, 2_000.0, 1_500_000.0]),
            distributions: String::new(),
            requests: 22_464_657,
            duration_us: 30e6,
            bytes_read: 17.76 * 1_073_741_824.0,
            errors: Errors { status: 5, timeout: 1, ..Errors::default() },
            requests_per_sec: 748_868.53,
            bytes_per_sec: 606.33 * 1_048_576.0,
        };
        let expected = "\
Running 30s test @ URL
  12 threads and 400 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   635.91us    0.89ms  12.92ms   93.69%
    Req/Sec    56.20k     8.07k   62.00k    86.54%
  Latency Distribution
     50%  635.00us
     75%    1.00ms
     90%    2.00ms
     99%    1.50s\x20
  22464657 requests in 30.00s, 17.76GB read
  Socket errors: connect 0, read 0, write 0, timeout 1
  Non-2xx or 3xx responses: 5
Requests/sec: 748868.53
Transfer/sec:    606.33MB
";
        assert_eq!(figures.to_string(), expected);
        assert_eq!(parse(expected), figures);
    }
}
