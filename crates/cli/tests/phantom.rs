//! `cxr phantom`: a cohort in a folder, told as a table or as JSON, and refusals with their codes.

use assert_cmd::Command;
use serde_json::Value;
use std::path::Path;

fn phantom(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cxr"));
    command
        .arg("phantom")
        .arg("--out")
        .arg(folder)
        .args(arguments);
    command
}

const SMALL: [&str; 6] = ["--rows", "16", "8", "5", "--size", "32"];

#[test]
fn a_cohort_is_drawn_once_and_then_reused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new");
    let told = phantom(&path, &SMALL)
        .assert()
        .success()
        .get_output()
        .stdout
        .clone();
    let told = String::from_utf8(told).unwrap();
    assert!(told.contains("29 radiographs of 32×32 pixels"), "{told}");
    assert!(
        told.contains("Pleural_Thickening") && told.contains("drawn into"),
        "{told}"
    );
    for name in [
        "train.csv",
        "valid.csv",
        "test.csv",
        "truth.csv",
        "ceilings.json",
    ] {
        assert!(path.join(name).is_file(), "{name}");
    }
    let told = phantom(&path, &SMALL)
        .arg("--json")
        .assert()
        .success()
        .get_output()
        .stdout
        .clone();
    let json: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(json["drawn"], false);
    assert_eq!(json["recipe"]["rows"], serde_json::json!([16, 8, 5]));
    assert_eq!(json["findings"][0]["name"], "Atelectasis");
    let auroc = json["findings"][1]["splits"][2]["ceiling"]["auroc"]
        .as_f64()
        .unwrap();
    assert!((auroc - 0.97).abs() < 1e-12);
}

#[test]
fn like_seed_tells_the_write_ups_counts() {
    let folder = tempfile::tempdir().unwrap();
    let told = phantom(folder.path(), &["--like", "seed", "--size", "32", "--json"])
        .assert()
        .success()
        .get_output()
        .stdout
        .clone();
    let json: Value = serde_json::from_slice(&told).unwrap();
    let counts: Vec<u64> = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["splits"][0]["positives"].as_u64().unwrap())
        .collect();
    assert_eq!(
        counts,
        [106, 20, 33, 16, 128, 13, 14, 2, 175, 45, 54, 21, 10, 38]
    );
}

#[test]
fn what_cannot_be_drawn_is_refused_with_its_code() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("mine.txt"), "mine").unwrap();
    let cases: [(&[&str], &str); 5] = [
        (&["--size", "16"], "P001"),
        (&["--rows", "16", "0", "5"], "P002"),
        (&["--like", "nih"], "P003"),
        (&SMALL, "P005"),
        (&["--rows", "16", "5"], "P009"),
    ];
    for (arguments, code) in cases {
        let assert = phantom(folder.path(), arguments).assert().code(2);
        let told = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(told.contains(&format!("error[{code}]")), "{code}: {told}");
        assert!(told.contains("help:"), "{code}: {told}");
        assert!(assert.get_output().stdout.is_empty());
    }
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
}
