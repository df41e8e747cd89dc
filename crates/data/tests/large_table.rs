//! 1.1 million rows under 1 GiB and 10 s. A process of its own, so that its memory is its own.

use std::fmt::Write;
use std::time::Instant;

use cxr_data::{FindingSet, ReadOptions, read_cohort};

const ROWS: usize = 1_100_000;

#[test]
fn a_table_of_a_million_rows_is_read_in_10_s_and_1_gib() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.csv");
    {
        let mut text = String::with_capacity(ROWS * 60);
        let names = FindingSet::nih().to_strings().join(",");
        writeln!(text, "Image,{names},PatientId").unwrap();
        for row in 0..ROWS {
            let patient = row / 4;
            write!(text, "{patient:08}_{:03}.png", row % 4).unwrap();
            for finding in 0..14 {
                text.push_str(if (row * 7 + finding * 3) % 19 == 0 {
                    ",1"
                } else {
                    ",0"
                });
            }
            writeln!(text, ",{patient}").unwrap();
        }
        std::fs::write(&path, text).unwrap();
    }
    let (started, cpu_started) = (Instant::now(), cpu_seconds());
    let cohort = read_cohort(&path, &ReadOptions::default()).unwrap().cohort;
    let elapsed = started.elapsed();
    // A busy machine makes every program late; what counts is the work.
    let seconds = cpu_seconds()
        .zip(cpu_started)
        .map_or(elapsed.as_secs_f64(), |(now, then)| now - then);
    assert_eq!((cohort.len(), cohort.n_patients()), (ROWS, ROWS / 4));
    println!(
        "{ROWS} rows in {elapsed:?}, {seconds:.2} s of work, peak {:?} bytes",
        peak_bytes()
    );
    assert!(seconds < 10.0, "{seconds}");
    if let Some(peak) = peak_bytes() {
        assert!(peak < 1 << 30, "{peak}");
    }
}

/// The most memory that this process ever had, where the system tells.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Seconds that this thread has worked, where the system tells. Reading uses no other thread.
fn cpu_seconds() -> Option<f64> {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = statistics.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}
