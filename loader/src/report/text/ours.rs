//! What Ringbench adds below wrk's lines: a line for each thing, a word in front that says what.

use std::fmt;

use ringbench_measure::{Histogram, units};

use crate::report::{OpenLoop, RunReport};

/// Writes all lines for which there is something to say.
pub(super) fn write(out: &mut fmt::Formatter<'_>, report: &RunReport) -> fmt::Result {
    match &report.open_loop {
        None => write_tail(out, report)?,
        Some(open) => {
            write_times(out, report, open)?;
            write_schedule(out, report, open)?;
        }
    }
    write_corrected(out, report)?;
    write_connections(out, report)?;
    write_closes(out, report)?;
    write_statuses(out, report)?;
    write_unanswered(out, report)?;
    write_machines(out, report)?;
    write_loader(out, report)?;
    write_engine(out, report)?;
    write_server(out, report)?;
    write_machine(out, report)?;
    write_tcp(out, report)
}

fn write_tail(out: &mut fmt::Formatter<'_>, report: &RunReport) -> fmt::Result {
    if report.latency.is_empty() {
        return Ok(());
    }
    let summary = report.latency.summary();
    writeln!(
        out,
        "  Tail         p99.9 {}, p99.99 {}, max {}",
        units::duration_us(summary.p999),
        units::duration_us(summary.p9999),
        units::duration_us(summary.max),
    )
}

/// The three times of an open loop in one shape, so that they can be compared by eye.
fn write_times(out: &mut fmt::Formatter<'_>, report: &RunReport, open: &OpenLoop) -> fmt::Result {
    if report.latency.is_empty() {
        return Ok(());
    }
    writeln!(out, "  Response     {}, from the intended start", times(&report.latency))?;
    writeln!(out, "  Service      {}, from the actual send", times(&open.service_time))?;
    writeln!(out, "  Send lag     {}, between the two", times(&open.send_lag))?;
    writeln!(out, "  Own lag      {}, with a connection idle", times(&open.own_lag))
}

fn times(histogram: &Histogram) -> String {
    let summary = histogram.summary();
    let [p50, p99, p9999, max] =
        [summary.p50, summary.p99, summary.p9999, summary.max].map(units::duration_us);
    format!("p50 {p50}, p99 {p99}, p99.99 {p9999}, max {max}")
}

fn write_schedule(
    out: &mut fmt::Formatter<'_>,
    report: &RunReport,
    open: &OpenLoop,
) -> fmt::Result {
    let OpenLoop { schedule, rate_asked, due, shed, unsent, waited_for_connection, .. } = open;
    writeln!(
        out,
        "  Schedule     {schedule}: {rate_asked:.2}/s asked for, {:.2}/s achieved; {due} due, \
         {shed} shed, {unsent} unsent, {waited_for_connection} waited for a connection",
        report.requests_per_sec(),
    )
}

fn write_corrected(out: &mut fmt::Formatter<'_>, report: &RunReport) -> fmt::Result {
    let Some(corrected) = &report.corrected else { return Ok(()) };
    writeln!(
        out,
        "  Corrected    {}: a guess at what one request per {} would have seen",
        times(&corrected.latency),
        units::duration_us(corrected.expected_interval_us as f64),
    )
}

fn write_connections(out: &mut fmt::Formatter<'_>, report: &RunReport) -> fmt::Result {
    let limit = report
        .requests_per_connection
        .map_or_else(String::new, |limit| format!(", at most {limit} requests each"));
    writeln!(
        out,
        "  Connections  {} wanted, {} at peak, {} opened, {} closed, {} reconnects{limit}",
        report.connections_wanted,
        report.connections_peak,
        report.counters.opened,
        report.counters.closed,
        report.counters.reconnects,
    )?;
    let Some(all_open_us) = report.all_open_us else { return Ok(()) };
    let all_open = units::duration_us(all_open_us as f64);
    writeln!(out, "  All open     {all_open} after the start")
}

/// A line for each way in which connections ended, below the line of the connections.
fn write_closes(out: &mut fmt::Formatter<'_>, report: &RunReport) -> fmt::Result {
    for line in &report.closes {
        let errno = line.errno.as_ref().map_or_else(String::new, |errno| format!(" ({errno})"));
        writeln!(out, "    {:>9}  {}{errno}", line.count, line.cause)?;
    }
    Ok(())
}

fn write_statuses(out: &mut fmt::Formatter<'_>, report: &RunReport) -> fmt::Result {
    let classes = report.counters.status_classes;
    let seen: Vec<String> = (1..)
        .zip(classes)
        .filter(|(_, count)| *count > 0)
        .map(|(class, count)| format!("{class}xx {count}"))
        .collect();
    if seen.is_empty() { Ok(()) } else { writeln!(out, "  Statuses     {}", seen.join(", ")) }
}

fn write_unanswered(out: &mut fmt::Formatter<'_>, report: &RunReport) -> fmt::Result {
    let waiting = report.unanswered;
    if waiting.count == 0 {
        return Ok(());
    }
    writeln!(
        out,
        "  Unanswered   {} at the end, the oldest for {}",
        waiting.count,
        units::duration_us(waiting.oldest_us as f64),
    )
}

fn write_loader(out: &mut fmt::Formatter<'_>, report: &RunReport) -> fmt::Result {
    let cost = report
        .cpu_us_per_request()
        .map(|cpu_us| format!("{} of CPU per request", units::duration_us(cpu_us)));
    let shares = &report.shard_core_shares;
    let busy = (!shares.is_empty()).then(|| {
        let busiest = shares.iter().copied().fold(0.0, f64::max) * 100.0;
        let mean = shares.iter().sum::<f64>() / shares.len() as f64 * 100.0;
        format!("busiest shard at {busiest:.0} % of its core, mean {mean:.0} %")
    });
    let parts: Vec<String> = cost.into_iter().chain(busy).collect();
    if parts.is_empty() { Ok(()) } else { writeln!(out, "  Loader       {}", parts.join("; ")) }
}

fn write_engine(out: &mut fmt::Formatter<'_>, report: &RunReport) -> fmt::Result {
    let (engine, requests) = (report.engine, report.counters.requests);
    if engine.enters == 0 || requests == 0 {
        return Ok(());
    }
    writeln!(
        out,
        "  Engine       {:.3} enters and {:.2} completions per request, out of buffers {}, queue \
         overflows {}",
        engine.enters as f64 / requests as f64,
        engine.completions as f64 / requests as f64,
        engine.enobufs,
        engine.cq_overflows,
    )
}

/// Of several load machines, what each of them did.
fn write_machines(out: &mut fmt::Formatter<'_>, report: &RunReport) -> fmt::Result {
    for machine in &report.machines {
        writeln!(
            out,
            "  Load from    {}: {} responses in {}, {:.2}/s, {} failures",
            machine.name,
            machine.requests,
            units::duration_us(machine.duration_us as f64),
            machine.requests_per_sec(),
            machine.errors.total(),
        )?;
    }
    Ok(())
}

fn write_server(out: &mut fmt::Formatter<'_>, report: &RunReport) -> fmt::Result {
    let Some(server) = &report.observed.server else { return Ok(()) };
    let cost = report.server_cpu_us_per_request().map_or_else(String::new, |cpu_us| {
        format!("{} of CPU per request, ", units::duration_us(cpu_us))
    });
    writeln!(
        out,
        "  Server       {} ({}): {cost}{:.2} cores, busiest thread at {:.0} %, waited {} for a \
         core; {} resident, {} threads, {} switches of its own and {} forced",
        server.name,
        server.pid,
        server.core_share(),
        server.busiest_thread_share * 100.0,
        units::duration_us(server.run_delay_ns as f64 / 1e3),
        units::bytes(server.rss_max_bytes as f64),
        server.threads,
        server.voluntary_switches,
        server.involuntary_switches,
    )
}

fn write_machine(out: &mut fmt::Formatter<'_>, report: &RunReport) -> fmt::Result {
    let Some(machine) = report.observed.machine else { return Ok(()) };
    let [idle, softirq, steal] =
        [machine.idle, machine.softirq, machine.steal].map(|share| share * 100.0);
    writeln!(
        out,
        "  Machine      {} cores, {idle:.1} % idle, {softirq:.1} % in soft interrupts, {steal:.1} \
         % stolen",
        machine.cores
    )
}

fn write_tcp(out: &mut fmt::Formatter<'_>, report: &RunReport) -> fmt::Result {
    let Some(tcp) = report.observed.tcp else { return Ok(()) };
    let [min, p50, p99, max] = [tcp.rtt_min_us, tcp.rtt_p50_us, tcp.rtt_p99_us, tcp.rtt_max_us]
        .map(|us| units::duration_us(us as f64));
    writeln!(
        out,
        "  TCP          round trips min {min}, p50 {p50}, p99 {p99}, max {max} in {} samples; {} \
         segments sent again, on {} connections",
        tcp.samples, tcp.retransmits, tcp.connections_with_retransmits,
    )
}
