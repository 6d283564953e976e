//! HDR logs are for other people's tools: one of them, the Python library, has to read the same in
//! ours as we do.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ringbench_measure::Histogram;
use ringload::report::hlog::HlogWriter;
use serde_json::Value;

/// As in `read_hlog.py`.
const PERCENTILES: [f64; 8] = [1.0, 50.0, 75.0, 90.0, 99.0, 99.9, 99.99, 100.0];

/// A python3 that has the library, if there is one: that of `HDR_PYTHON`, or the one in the path.
fn python() -> Option<String> {
    let python = std::env::var("HDR_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let probe = Command::new(&python).args(["-c", "import hdrh.log"]).output();
    probe.is_ok_and(|output| output.status.success()).then_some(python)
}

/// Latencies of several magnitudes, from a generator with a fixed seed.
fn latencies(seed: u64, count: u64) -> Histogram {
    let mut histogram = Histogram::new();
    let mut state = seed;
    for _ in 0..count {
        // Knuth's constants; the upper bits are good enough.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let magnitude = 8 + (state >> 59);
        histogram.record((state >> 16) % (1 << magnitude));
    }
    histogram
}

#[test]
fn the_python_library_reads_what_we_wrote() {
    let Some(python) = python() else {
        let hint = "python3 -m venv DIR && DIR/bin/pip install hdrhistogram, then HDR_PYTHON=DIR/bin/python3";
        assert!(std::env::var_os("CI").is_none(), "no python3 with hdrhistogram: {hint}");
        eprintln!("skipped: no python3 with hdrhistogram ({hint})");
        return;
    };
    let written = [latencies(1, 50_000), Histogram::new(), latencies(2, 1_000), latencies(3, 1)];
    let mut log = HlogWriter::new(Vec::new(), 1_795_000_000_250).unwrap();
    for (number, histogram) in (0_u32..).zip(&written) {
        let length = Duration::from_millis(500);
        log.write_interval(length * number, length, histogram).unwrap();
    }
    let file = std::env::temp_dir().join(format!("ringload-{}.hlog", std::process::id()));
    std::fs::write(&file, log.into_inner()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_hlog.py");
    let output = Command::new(python).arg(script).arg(&file).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();

    assert_eq!(read.len(), written.len());
    for ((number, read), written) in (0_u32..).zip(&read).zip(&written) {
        assert_eq!(read["count"], written.count(), "interval {number}");
        let start_s = read["start_s"].as_f64().unwrap();
        assert!((start_s - f64::from(number) * 0.5).abs() < 0.002, "interval {number}: {start_s}");
        assert!((read["length_s"].as_f64().unwrap() - 0.5).abs() < 0.002, "interval {number}");
        for (percent, value) in PERCENTILES.iter().zip(read["values"].as_array().unwrap()) {
            let (theirs, ours) = (value.as_u64().unwrap(), written.percentile_ns(*percent));
            // They know only buckets, we the exact ends: ours may be less, by a bucket at most.
            let width = (ours / 1_000).max(Histogram::UNIT_NS);
            assert!(
                ours <= theirs && theirs - ours <= width,
                "interval {number}, p{percent}: {theirs} is not {ours}"
            );
        }
    }
}
