//! The report for people and for scripts that read wrk's: wrk's layout, a blank line, and what
//! Ringbench adds.

use std::fmt;

use ringbench_measure::units;

use super::remarks::Remarks;
use super::wrk::{Figures, Row};
use super::wrk2::{Distribution, RECORDED, UNCORRECTED};
use super::{Extent, Judgement, RunReport};

mod ours;

/// Writes a report as text: `print!("{}", Text(&report))`.
///
/// wrk's lines come first and byte for byte in wrk's form. None of the words that scripts look for
/// in them (`Latency`, `Requests/sec`, ...) occurs again in what follows.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(pub &'a RunReport);

impl fmt::Display for Text<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Judged { report: self.0, judgement: None }.fmt(out)
    }
}

/// The same with a verdict on the run.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// The report.
    pub report: &'a RunReport,
    /// The verdict, if there is one.
    pub judgement: Option<&'a Judgement>,
}

impl fmt::Display for Judged<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        writeln!(out, "{}", figures(report))?;
        ours::write(out, report)?;
        if let Some(Judgement { line, .. }) = self.judgement {
            writeln!(out, "  Verdict      {line}")?;
        }
        let remarks = Remarks::of(report);
        for warning in &remarks.warnings {
            writeln!(out, "  WARNING: {warning}")?;
        }
        for note in &remarks.notes {
            writeln!(out, "  Note: {note}")?;
        }
        Ok(())
    }
}

fn figures(report: &RunReport) -> Figures {
    let (latency, rates) = (report.latency.summary(), report.rates.moments());
    Figures {
        extent: extent(report.extent),
        url: report.url.clone(),
        threads: report.shards as u64,
        connections: report.connections_wanted,
        latency: Row {
            mean: latency.mean,
            stdev: latency.stdev,
            max: latency.max,
            within_stdev_percent: report.latency.within_stdev_percent(),
        },
        rate: Row {
            mean: rates.mean(),
            stdev: rates.stdev(),
            max: rates.max() as f64,
            within_stdev_percent: report.rates.within_stdev_percent(),
        },
        percentiles_us: (report.show_latency && report.open_loop.is_none()).then_some([
            latency.p50,
            latency.p75,
            latency.p90,
            latency.p99,
        ]),
        distributions: distributions(report),
        requests: report.counters.requests,
        duration_us: report.duration_us as f64,
        bytes_read: report.counters.bytes_read as f64,
        errors: report.counters.errors,
        requests_per_sec: report.requests_per_sec(),
        bytes_per_sec: report.transfer_bytes_per_sec(),
    }
}

/// What wrk2 has in place of wrk's percentiles, where a run goes by a schedule as wrk2's do.
fn distributions(report: &RunReport) -> String {
    let Some(open) = &report.open_loop else { return String::new() };
    let spectrum = report.show_spectrum;
    let recorded = report
        .show_latency
        .then(|| Distribution { histogram: &report.latency, of: RECORDED, spectrum }.to_string());
    let uncorrected = report.show_uncorrected.then(|| {
        let of = UNCORRECTED;
        format!("\n{}", Distribution { histogram: &open.service_time, of, spectrum })
    });
    recorded.into_iter().chain(uncorrected).collect()
}

/// The length of the run in the title, always one word.
fn extent(extent: Extent) -> String {
    match extent {
        Extent::Time(time) if time.subsec_nanos() == 0 => units::duration_s(time.as_secs() as f64),
        // wrk takes whole seconds only, so these are ours to write.
        Extent::Time(time) => units::duration_us(time.as_secs_f64() * 1e6),
        Extent::Requests(requests) | Extent::RequestsWithin(requests, _) => {
            format!("{requests}-request")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ringbench_measure::Errors;

    use super::*;
    use crate::report::{fixtures, wrk};

    #[test]
    fn a_healthy_run() {
        let expected = "\
Running 2s test @ http://127.0.0.1:8080/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    50.00ms   28.87ms 100.00ms   57.74%
    Req/Sec    25.00k   816.50    26.00k    50.00%
  Latency Distribution
     50%   50.00ms
     75%   75.04ms
     90%   90.05ms
     99%   99.02ms
  100000 requests in 2.00s, 15.54MB read
Requests/sec:  50000.00
Transfer/sec:      7.77MB

  Tail         p99.9 99.94ms, p99.99 100.00ms, max 100.00ms
  Connections  64 wanted, 64 at peak, 64 opened, 0 closed, 0 reconnects
  All open     2.50ms after the start
  Statuses     2xx 100000
  Unanswered   64 at the end, the oldest for 20.00ms
  Loader       7.50us of CPU per request; busiest shard at 39 % of its core, mean 38 %
  Engine       0.050 enters and 1.03 completions per request, out of buffers 0, queue overflows 0
";
        assert_eq!(Text(&fixtures::healthy()).to_string(), expected);
    }

    #[test]
    fn a_doubtful_run() {
        let expected = "\
Running 1000-request test @ http://127.0.0.1:8080/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.50ms  707.11us   3.00ms  100.00%
    Req/Sec     0.00      0.00     0.00      0.00%
  Latency Distribution
     50%    2.00ms
     75%    3.00ms
     90%    3.00ms
     99%    3.00ms
  2 requests in 1.50s, 400.00B read
  Socket errors: connect 4, read 3, write 0, timeout 2
  Non-2xx or 3xx responses: 1
Requests/sec:      1.33
Transfer/sec:     266.67B
";
        let text = Text(&fixtures::doubtful()).to_string();
        let (wrk, ours) = text.split_once("\n\n").expect("a blank line between wrk's and ours");
        assert_eq!(format!("{wrk}\n"), expected);
        let remarks = Remarks::of(&fixtures::doubtful());
        for line in remarks.warnings {
            assert!(ours.contains(&format!("  WARNING: {line}\n")), "{ours}");
        }
        for line in remarks.notes {
            assert!(ours.contains(&format!("  Note: {line}\n")), "{ours}");
        }
        assert!(ours.contains("  Statuses     2xx 1, 5xx 1\n"), "{ours}");
        assert!(ours.contains(" 65 closed, 5 reconnects, at most 10 requests each\n"), "{ours}");
    }

    #[test]
    fn a_silent_run() {
        let expected = "\
Running 2s test @ http://127.0.0.1:8080/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     0.00us    0.00us   0.00us    0.00%
    Req/Sec     0.00      0.00     0.00      0.00%
  0 requests in 2.00s, 0.00B read
  Socket errors: connect 64, read 0, write 0, timeout 0
Requests/sec:      0.00
Transfer/sec:       0.00B

  Connections  64 wanted, 0 at peak, 0 opened, 0 closed, 0 reconnects
  WARNING: no response was completed: there is nothing to measure
  WARNING: only 0 of 64 connections were open at once: the load was less than asked for
  WARNING: 64 connections failed: requests lost by that are missing from the latencies
";
        let mut report = fixtures::silent();
        report.show_latency = false;
        assert_eq!(Text(&report).to_string(), expected);
    }

    /// A script's view: each of wrk's patterns is found exactly once (the parser insists), and the
    /// numbers behind them are those of the run.
    #[test]
    fn what_reads_wrk_reads_this() {
        for report in [fixtures::healthy(), fixtures::doubtful(), fixtures::silent()] {
            let text = Text(&report).to_string();
            let (read, written) = (wrk::tests::parse(&text), figures(&report));
            assert_eq!(read.extent, written.extent);
            assert_eq!((&read.url, read.threads), (&written.url, written.threads));
            assert_eq!(read.connections, written.connections);
            assert_eq!((read.requests, read.errors), (written.requests, written.errors));
            let close = |read: f64, written: f64| (read - written).abs() <= written * 0.006 + 0.005;
            for (read, written) in [(read.latency, written.latency), (read.rate, written.rate)] {
                assert!(close(read.mean, written.mean), "{read:?} {written:?}");
                assert!(close(read.stdev, written.stdev), "{read:?} {written:?}");
                assert!(close(read.max, written.max), "{read:?} {written:?}");
                assert!(close(read.within_stdev_percent, written.within_stdev_percent));
            }
            let (read_us, written_us) =
                (read.percentiles_us.unwrap(), written.percentiles_us.unwrap());
            assert!(
                read_us.into_iter().zip(written_us).all(|(read, written)| close(read, written))
            );
            assert!(close(read.duration_us, written.duration_us));
            assert!(close(read.bytes_read, written.bytes_read));
            assert!(close(read.requests_per_sec, written.requests_per_sec));
            assert!(close(read.bytes_per_sec, written.bytes_per_sec));
        }
    }

    #[test]
    fn titles() {
        for (time_ms, expected) in
            [(30_000, "30s"), (51_000, "1m"), (500, "500.00ms"), (1_500, "1.50s")]
        {
            assert_eq!(extent(Extent::Time(Duration::from_millis(time_ms))), expected);
        }
        assert_eq!(extent(Extent::Requests(10)), "10-request");
    }

    #[test]
    fn an_open_loop_with_all_that_was_watched() {
        let text = Text(&fixtures::full()).to_string();
        let (wrk, ours) = text.split_once("\n\n").expect("a blank line between wrk's and ours");
        assert_eq!(format!("{wrk}\n"), include_str!("../testdata/open-wrk2.txt"));
        assert_eq!(ours, include_str!("../testdata/open-ours.txt"));
    }

    #[test]
    fn wrk2s_layout_where_it_is_asked_for() {
        let mut report = fixtures::open();
        (report.show_spectrum, report.show_uncorrected) = (true, true);
        let text = Text(&report).to_string();
        let blocks = ["Recorded Latency)", "Detailed Percentile", "Uncorrected Latency (measured"];
        for (block, times) in blocks.into_iter().zip([1, 2, 1]) {
            assert_eq!(text.matches(block).count(), times, "{block}");
        }
        assert!(text.contains("\n---------") && text.contains("---\n\n  Latency Dist"), "{text}");
        assert!(text.contains("---\n  100000 requests in 2.00s,"), "{text}");
        report.show_latency = false;
        report.show_uncorrected = false;
        assert!(!Text(&report).to_string().contains("HdrHistogram"));
        let mut closed = fixtures::healthy();
        (closed.show_spectrum, closed.show_uncorrected) = (true, true);
        assert_eq!(Text(&closed).to_string(), Text(&fixtures::healthy()).to_string());
    }

    #[test]
    fn the_verdict_stands_before_the_remarks() {
        let object = serde_json::Value::Null;
        let judgement = Judgement { line: "the server was the limit".to_owned(), object };
        let report = fixtures::full();
        let text = Judged { report: &report, judgement: Some(&judgement) }.to_string();
        assert!(
            text.contains("\n  Verdict      the server was the limit\n  WARNING: clock"),
            "{text}"
        );
    }

    #[test]
    fn lines_of_unknown_things_are_left_out() {
        let mut report = fixtures::healthy();
        report.shard_core_shares.clear();
        assert!(Text(&report).to_string().contains("  Loader       7.50us of CPU per request\n"));
        report.loader_cpu_ns = None;
        report.engine.enters = 0;
        report.counters.errors = Errors::default();
        let text = Text(&report).to_string();
        assert!(!text.contains("Loader") && !text.contains("Engine") && !text.contains("errors"));
    }
}
