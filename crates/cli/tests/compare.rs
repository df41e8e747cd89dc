//! `cxr compare` through the binary, on the golden cohort of fixtures/golden/metrics.py.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/golden")
        .join(name)
}

fn compare(a: &Path, b: &Path, more: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_cxr"))
        .arg("compare")
        .arg("--predictions")
        .arg(a)
        .arg("--predictions")
        .arg(b)
        .arg("--table")
        .arg(golden("metrics_table.csv"))
        .args(["--uncertain", "ignore"])
        .args(more)
        .output()
        .unwrap()
}

fn json(a: &Path, b: &Path) -> Value {
    let output = compare(a, b, &["--json"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// The golden predictions, each probability subtracted from 1.
fn reversed(folder: &Path) -> PathBuf {
    let text = std::fs::read_to_string(golden("metrics_predictions.csv")).unwrap();
    let mut lines = text.lines();
    let mut turned = vec![lines.next().unwrap().to_owned()];
    for line in lines {
        let cells = line
            .split(',')
            .enumerate()
            .map(|(place, cell)| match place {
                0 | 1 => cell.to_owned(),
                _ => (1.0 - cell.parse::<f64>().unwrap()).to_string(),
            });
        turned.push(cells.collect::<Vec<_>>().join(","));
    }
    let path = folder.join("reversed.csv");
    std::fs::write(&path, turned.join("\n") + "\n").unwrap();
    path
}

#[test]
fn predictions_do_not_differ_from_themselves() {
    let a = golden("metrics_predictions.csv");
    let found = json(&a, &a);
    let findings = found["findings"].as_array().unwrap();
    let defined = findings.iter().filter(|one| !one["difference"].is_null());
    assert!(defined.clone().count() > 3);
    for one in defined {
        assert!(number(&one["difference"]).abs() <= 0.0, "{one}");
        assert!((number(&one["p_value"]) - 1.0).abs() <= 0.0, "{one}");
    }
    assert!(number(&found["macro"]["difference"]).abs() <= 0.0);
}

#[test]
fn against_their_reverse_the_aurocs_mirror_at_one_half() {
    let folder = tempfile::tempdir().unwrap();
    let a = golden("metrics_predictions.csv");
    let found = json(&a, &reversed(folder.path()));
    let mut n_undefined = 0;
    for one in found["findings"].as_array().unwrap() {
        if one["difference"].is_null() {
            assert!(!one["undefined"].as_object().unwrap().is_empty(), "{one}");
            n_undefined += 1;
            continue;
        }
        let (a, b) = (number(&one["auroc"][0]), number(&one["auroc"][1]));
        assert!((a + b - 1.0).abs() < 1e-9, "{one}");
        assert!(
            (number(&one["difference"]) - (a - b)).abs() < 1e-12,
            "{one}"
        );
        let interval = &one["difference_ci"];
        assert!(
            number(&interval[0]) <= a - b && a - b <= number(&interval[1]),
            "{one}"
        );
        assert!((0.0..=1.0).contains(&number(&one["p_value"])), "{one}");
        assert!(number(&one["difference_se"]) > 0.0, "{one}");
    }
    let over = found["macro"]["over"].as_u64().unwrap() as usize;
    let of = found["macro"]["of"].as_u64().unwrap() as usize;
    assert!(over > 0 && over + n_undefined >= of);
}

#[test]
fn the_table_names_both_files_and_one_or_three_are_refused() {
    let a = golden("metrics_predictions.csv");
    let output = compare(&a, &a, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("A: ") && text.contains("B: ") && text.contains("macro"),
        "{text}"
    );
    let words = ["--predictions", a.to_str().unwrap()];
    assert_eq!(compare(&a, &a, &words).status.code(), Some(2));
}
