//! HdrHistogram's log format: a line with a whole histogram for each interval, so that any part of
//! a run can be looked at later, with any of HdrHistogram's tools.

use std::io::{self, Write};
use std::time::Duration;

use ringbench_measure::Histogram;

/// Writes a log while a run goes on. The caller should give it a buffered writer and flush that
/// whenever somebody may be reading.
#[derive(Debug)]
pub struct HlogWriter<W> {
    out: W,
    tag: Option<String>,
}

impl<W: Write> HlogWriter<W> {
    /// Begins a log of a run that began then, in milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn new(mut out: W, started_unix_ms: u64) -> io::Result<Self> {
        let (secs, millis) = (started_unix_ms / 1_000, started_unix_ms % 1_000);
        writeln!(out, "#[Latencies in nanoseconds, written by ringload]")?;
        writeln!(out, "#[Histogram log format version 1.3]")?;
        writeln!(out, "#[StartTime: {secs}.{millis:03} (seconds since epoch)]")?;
        // Time stamps are relative to the base.
        writeln!(out, "#[BaseTime: {secs}.{millis:03} (seconds since epoch)]")?;
        writeln!(
            out,
            r#""StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram""#
        )?;
        Ok(Self { out, tag: None })
    }

    /// Gives all lines from here on a tag, by which tools tell several histograms of one interval
    /// apart. Characters that would end it are left out.
    #[must_use]
    pub fn tagged(mut self, tag: &str) -> Self {
        let kept = |c: &char| !c.is_control() && !c.is_whitespace() && *c != ',';
        self.tag = Some(tag.chars().filter(kept).collect());
        self
    }

    /// Writes one interval: when it began (since the run did), how long it was, and the latencies
    /// recorded in it.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write_interval(
        &mut self,
        start: Duration,
        length: Duration,
        latency: &Histogram,
    ) -> io::Result<()> {
        if let Some(tag) = &self.tag {
            write!(self.out, "Tag={tag},")?;
        }
        // By convention the largest value is in milliseconds, for those who only read the text.
        writeln!(
            self.out,
            "{:.3},{:.3},{:.3},{}",
            start.as_secs_f64(),
            length.as_secs_f64(),
            latency.max_ns() as f64 / 1e6,
            latency.to_hdr_v2(),
        )
    }

    /// Writes out what a buffered writer still holds.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Gives the writer back.
    pub fn into_inner(self) -> W {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_log() {
        let mut log = HlogWriter::new(Vec::new(), 1_795_000_000_042).unwrap().tagged("a, b\n");
        let mut latency = Histogram::new();
        latency.record(2_769_000);
        let (start, length) = (Duration::from_millis(127), Duration::from_micros(1_007_400));
        log.write_interval(start, length, &latency).unwrap();
        log.flush().unwrap();
        let text = String::from_utf8(log.into_inner()).unwrap();
        let (head, interval) = text.trim_end().rsplit_once('\n').unwrap();
        assert_eq!(
            head,
            "#[Latencies in nanoseconds, written by ringload]\n\
             #[Histogram log format version 1.3]\n\
             #[StartTime: 1795000000.042 (seconds since epoch)]\n\
             #[BaseTime: 1795000000.042 (seconds since epoch)]\n\
             \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\""
        );
        let expected = format!("Tag=ab,0.127,1.007,2.769,{}", latency.to_hdr_v2());
        assert_eq!(interval, expected);
    }
}
