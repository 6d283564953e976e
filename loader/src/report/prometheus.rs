//! The report in Prometheus' text format, for the textfile collector of its node exporter.
//!
//! Base units, as Prometheus has them: seconds and bytes, the unit last in a name.

use std::fmt::{self, Display, Write as _};

use ringbench_measure::Histogram;

use super::RunReport;

/// The quantiles of summaries.
const QUANTILES: [f64; 6] = [0.5, 0.75, 0.9, 0.99, 0.999, 0.9999];
/// The upper bounds of histogram buckets in microseconds: 1, 2, 5 in each decade.
const BOUNDS_US: [u64; 22] = [
    10,
    20,
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
];

/// Writes a report.
pub fn render(report: &RunReport) -> String {
    let mut page = Page { text: String::new(), url: escaped(&report.url) };
    counts(&mut page, report);
    latencies(&mut page, report);
    connections(&mut page, report);
    open_loop(&mut page, report);
    observed(&mut page, report);
    page.text
}

/// A page of metrics, all of them with the label `url`.
struct Page {
    text: String,
    url: String,
}

impl Page {
    /// Says what a metric is; samples follow.
    fn about(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP ringload_{name} {help}\n# TYPE ringload_{name} {kind}"));
    }

    /// One sample, with labels beside that of all, such as `,kind="read"`.
    fn sample(&mut self, name: &str, labels: impl Display, value: impl Display) {
        let url = std::mem::take(&mut self.url);
        self.line(format_args!("ringload_{name}{{url=\"{url}\"{labels}}} {value}"));
        self.url = url;
    }

    /// A metric of one sample.
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.about(name, "gauge", help);
        self.sample(name, "", value);
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing into a string cannot fail.
        let _ = writeln!(self.text, "{line}");
    }

    /// A histogram twice: as a summary of exact quantiles, and in buckets that can be added up over
    /// runs and machines.
    fn latency(&mut self, name: &str, what: &str, histogram: &Histogram) {
        let (sum, count) = (seconds(histogram.sum_ns() as f64), histogram.count());
        let summary = format!("{name}_summary_seconds");
        self.about(&summary, "summary", &format!("{what}, as quantiles."));
        for quantile in QUANTILES {
            let value = seconds(histogram.percentile_ns(quantile * 100.0) as f64);
            self.sample(&summary, format_args!(",quantile=\"{quantile}\""), value);
        }
        self.sample(&format!("{summary}_sum"), "", sum);
        self.sample(&format!("{summary}_count"), "", count);

        let buckets = format!("{name}_seconds");
        self.about(&buckets, "histogram", &format!("{what}, in buckets."));
        for bound_us in BOUNDS_US {
            let within = count - histogram.count_above(bound_us * 1_000);
            let bound = bound_us as f64 / 1e6;
            self.sample(&format!("{buckets}_bucket"), format_args!(",le=\"{bound}\""), within);
        }
        self.sample(&format!("{buckets}_bucket"), ",le=\"+Inf\"", count);
        self.sample(&format!("{buckets}_sum"), "", sum);
        self.sample(&format!("{buckets}_count"), "", count);
        let max = seconds(histogram.max_ns() as f64);
        self.gauge(&format!("{name}_max_seconds"), &format!("{what}, the largest."), max);
    }
}

fn counts(page: &mut Page, report: &RunReport) {
    let counters = &report.counters;
    let started = report.started_unix_ms as f64 / 1e3;
    page.gauge("start_time_seconds", "When the run began, since 1970.", started);
    let duration = report.duration_us as f64 / 1e6;
    page.gauge("duration_seconds", "How long the run went on.", duration);
    page.gauge("requests", "Complete responses.", counters.requests);
    let rate = report.requests_per_sec();
    page.gauge("requests_per_second", "Complete responses per second.", rate);
    page.gauge("received_bytes", "Bytes received, heads included.", counters.bytes_read);
    page.gauge("sent_bytes", "Bytes sent, heads included.", counters.bytes_written);
    page.about("errors", "gauge", "Failures, by kind.");
    let errors = counters.errors;
    for (kind, count) in [
        ("connect", errors.connect),
        ("read", errors.read),
        ("write", errors.write),
        ("timeout", errors.timeout),
        ("status", errors.status),
    ] {
        page.sample("errors", format_args!(",kind=\"{kind}\""), count);
    }
    page.about("responses", "gauge", "Complete responses, by class of status.");
    for (class, count) in (1..).zip(counters.status_classes) {
        page.sample("responses", format_args!(",class=\"{class}xx\""), count);
    }
    let unanswered = report.unanswered.count;
    page.gauge("unanswered_requests", "Requests without an answer at the end.", unanswered);
    let interrupted = u8::from(report.interrupted);
    page.gauge("interrupted", "Whether the run was stopped before its end.", interrupted);
}

fn latencies(page: &mut Page, report: &RunReport) {
    let what = if report.open_loop.is_some() {
        "From a request's intended start to the end of its response"
    } else {
        "From a request's actual send to the end of its response"
    };
    page.latency("latency", what, &report.latency);
    if let Some(open) = &report.open_loop {
        let what = "From a request's actual send to the end of its response";
        page.latency("service_time", what, &open.service_time);
        let what = "From a request's intended start to its actual send";
        page.latency("send_lag", what, &open.send_lag);
    }
}

fn connections(page: &mut Page, report: &RunReport) {
    let counters = &report.counters;
    let (wanted, peak) = (report.connections_wanted, report.connections_peak);
    page.gauge("connections_wanted", "Connections asked for.", wanted);
    page.gauge("connections_peak", "The most connections open at once.", peak);
    page.gauge("connections_opened", "Connections opened.", counters.opened);
    page.gauge("connections_closed", "Connections that ended.", counters.closed);
    page.about("closes", "gauge", "Connections that ended or could not be opened, by cause.");
    for line in &report.closes {
        let errno = escaped(line.errno.as_deref().unwrap_or_default());
        let labels = format!(",cause=\"{}\",errno=\"{errno}\"", line.cause.name());
        page.sample("closes", labels, line.count);
    }
}

fn open_loop(page: &mut Page, report: &RunReport) {
    let Some(open) = &report.open_loop else { return };
    let asked = open.rate_asked;
    page.gauge("asked_requests_per_second", "The rate of the schedule.", asked);
    page.gauge("due_requests", "Requests that were due.", open.due);
    page.gauge("shed_requests", "Requests given up unsent, too late.", open.shed);
    page.gauge("unsent_requests", "Requests due but not sent at the end.", open.unsent);
}

fn observed(page: &mut Page, report: &RunReport) {
    if let Some(cpu_ns) = report.loader_cpu_ns {
        let value = seconds(cpu_ns as f64);
        page.gauge("loader_cpu_seconds", "CPU time that ringload's shards used.", value);
    }
    if let Some(server) = &report.observed.server {
        let value = seconds(server.cpu_ns as f64);
        page.gauge("server_cpu_seconds", "CPU time that the server's process used.", value);
        let rss = server.rss_max_bytes;
        page.gauge("server_resident_max_bytes", "The largest resident memory of the server.", rss);
    }
    if let Some(machine) = report.observed.machine {
        page.about("machine_time_ratio", "gauge", "How the machine's cores spent the run.");
        for (mode, share) in
            [("idle", machine.idle), ("softirq", machine.softirq), ("steal", machine.steal)]
        {
            page.sample("machine_time_ratio", format_args!(",mode=\"{mode}\""), share);
        }
    }
    if let Some(tcp) = report.observed.tcp {
        page.gauge("tcp_retransmits", "Segments that TCP sent again.", tcp.retransmits);
    }
}

fn seconds(value_ns: f64) -> f64 {
    value_ns / 1e9
}

/// A value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::report::fixtures;

    const URL: &str = "url=\"http://127.0.0.1:8080/\"";

    #[test]
    fn samples_of_a_full_report() {
        let text = render(&fixtures::full());
        for line in [
            format!("ringload_requests{{{URL}}} 100000"),
            format!("ringload_errors{{{URL},kind=\"read\"}} 0"),
            format!("ringload_responses{{{URL},class=\"2xx\"}} 100000"),
            format!("ringload_latency_summary_seconds{{{URL},quantile=\"0.99\"}} 0.099024895"),
            format!("ringload_latency_summary_seconds_count{{{URL}}} 100000"),
            format!("ringload_latency_seconds_bucket{{{URL},le=\"+Inf\"}} 100000"),
            format!("ringload_latency_seconds_sum{{{URL}}} 5000.05"),
            format!("ringload_latency_max_seconds{{{URL}}} 0.1"),
            format!("ringload_closes{{{URL},cause=\"reset\",errno=\"ECONNRESET\"}} 5"),
            format!("ringload_closes{{{URL},cause=\"server_closed\",errno=\"\"}} 1"),
            format!("ringload_asked_requests_per_second{{{URL}}} 50000"),
            format!("ringload_server_cpu_seconds{{{URL}}} 1.6"),
            format!("ringload_machine_time_ratio{{{URL},mode=\"softirq\"}} 0.253"),
        ] {
            assert!(text.contains(&(line.clone() + "\n")), "no {line} in:\n{text}");
        }
        assert!(!render(&fixtures::healthy()).contains("send_lag"));
    }

    /// What promtool checks: each metric is explained once, before its samples, and the samples of
    /// one stand together.
    #[test]
    fn the_format() {
        let text = render(&fixtures::full());
        assert!(text.ends_with('\n'));
        let (mut explained, mut current) = (HashSet::new(), String::new());
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                current = help.split_once(' ').expect("a name and a text").0.to_owned();
                assert!(explained.insert(current.clone()), "{current} is explained twice");
                assert!(help.ends_with('.'), "{help}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a name and a type");
                assert_eq!(name, current);
                assert!(["gauge", "summary", "histogram"].contains(&kind), "{kind}");
            } else {
                let name = line.split_once('{').expect("labels").0;
                let rest = name.strip_prefix(current.as_str()).expect("below its explanation");
                assert!(["", "_sum", "_count", "_bucket"].contains(&rest), "{line}");
                let value = line.rsplit_once(' ').expect("a value").1;
                assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
            }
        }
    }

    #[test]
    fn buckets_rise_to_the_count() {
        let text = render(&fixtures::healthy());
        let counts: Vec<u64> = text
            .lines()
            .filter(|line| line.starts_with("ringload_latency_seconds_bucket"))
            .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
            .collect();
        assert_eq!(counts.len(), BOUNDS_US.len() + 1);
        assert!(counts.is_sorted(), "{counts:?}");
        // 1 us to 100 ms in steps of 1 us: half are below 50 ms, to a bucket's width.
        let half = BOUNDS_US.iter().position(|bound| *bound == 50_000).unwrap();
        assert!(counts[half].abs_diff(50_000) <= 50, "{}", counts[half]);
    }

    #[test]
    fn labels_are_escaped() {
        let mut report = fixtures::healthy();
        report.url = "http://h/\"a\\\n".to_owned();
        let text = render(&report);
        assert!(text.contains(r#"ringload_requests{url="http://h/\"a\\\n"} 100000"#), "{text}");
    }
}
