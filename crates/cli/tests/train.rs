//! The main job through the binary: a small synthetic cohort, from nothing to a page.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop and say where"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A cohort and a network small enough for a test, large enough to have every part of a run.
const SMALL: [&str; 10] = [
    "--set",
    "phantom.rows=[96,32,32]",
    "--set",
    "phantom.size=48",
    "--set",
    "size=32",
    "--set",
    "batch_size=20",
    "--set",
    "learning_rate=0.001",
];

fn cxr(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cxr"));
    command
        .args(words)
        .current_dir(folder)
        .env_remove("CXR_SET_EPOCHS");
    command
}

fn train(folder: &Path, words: &[&str]) -> Output {
    let words: Vec<&str> = ["train", "--json"]
        .iter()
        .chain(&SMALL)
        .chain(words)
        .copied()
        .collect();
    cxr(folder, &words).output().expect("started")
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!(
            "{error}\n{text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

fn digest(output: &Output) -> String {
    json(output)["weight_digest"]
        .as_str()
        .expect("a digest")
        .to_owned()
}

#[test]
fn a_bare_run_leaves_everything_that_the_contract_names() {
    let folder = TempDir::new().expect("folder");
    let output = train(folder.path(), &["--set", "epochs=2"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let printed = json(&output);
    let run = PathBuf::from(printed["run"].as_str().expect("a path"));
    let run = folder.path().join(run);
    assert!(run.ends_with("runs/phantom-001"), "{}", run.display());
    for file in [
        "config.toml",
        "run.json",
        "events.jsonl",
        "results.csv",
        "data/train.csv",
        "data/valid.csv",
        "data/test.csv",
        "data/leakage.json",
        "data/skipped_images.json",
        "data/class_weights.json",
        "data/ceilings.json",
        "plots/class_distribution.svg",
        "plots/loss.svg",
        "plots/accuracy.svg",
        "plots/auroc.svg",
        "plots/auroc_per_finding.svg",
        "plots/roc.svg",
        "plots/pr.svg",
        "plots/train_batch.png",
        "predictions/valid.csv",
        "predictions/valid_logits.csv",
        "predictions/test.csv",
        "predictions/test_logits.csv",
        "evaluation.json",
        "weights/LATEST",
        "weights/best.safetensors",
        "weights/last.safetensors",
        "report.html",
    ] {
        assert!(run.join(file).is_file(), "{file} is missing");
    }
    let record: Value = read_json(&run.join("run.json"));
    assert_eq!(
        (&record["status"], &record["exit_code"]),
        (&"finished".into(), &0.into())
    );
    let leakage: Value = read_json(&run.join("data/leakage.json"));
    assert_eq!(leakage["clean"], false, "the planted leak is found");
    assert!(leakage["repaired_rows"]["valid"].as_u64() < leakage["rows"]["valid"].as_u64());
    assert_eq!(
        fs::read_to_string(run.join("results.csv"))
            .expect("readable")
            .lines()
            .count(),
        3
    );
    assert_eq!(
        printed["test"]["findings"].as_array().map(Vec::len),
        Some(14)
    );
    the_checkpoint_says_the_same_of_test_as_the_run(folder.path(), &run);
}

/// Thresholds and calibrations that valid gave go with the checkpoint, and so do their figures.
fn the_checkpoint_says_the_same_of_test_as_the_run(folder: &Path, run: &Path) {
    let cohorts = fs::read_dir(folder.join("runs/cohorts")).expect("cohorts");
    let cohort = cohorts.flatten().next().expect("a cohort").path();
    let checkpoint = run.join("weights/best.safetensors");
    let (checkpoint, table, images) = (
        checkpoint.to_string_lossy(),
        run.join("data/test.csv"),
        cohort.join("images"),
    );
    let words = [
        "--checkpoint",
        &checkpoint,
        "--table",
        &table.to_string_lossy(),
        "--images",
        &images.to_string_lossy(),
        "--json",
    ];
    let output = cxr(folder, &[&["evaluate"], &words[..]].concat())
        .output()
        .expect("started");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let ours = read_json(&run.join("evaluation.json"));
    let again = json(&output);
    for key in ["findings", "macro", "subset_accuracy", "baselines"] {
        same(&again[key], &ours["test"][key], key);
    }
    let rows = again["findings"][4]["calibrations"].as_array();
    assert_eq!(
        rows.map(Vec::len),
        Some(6),
        "Effusion has every calibration"
    );

    let image = images.join("00050078_000.png");
    let image = fs::read_dir(&images)
        .expect("images")
        .flatten()
        .next()
        .map_or(image, |entry| entry.path());
    let words = [
        "predict",
        "--checkpoint",
        &checkpoint,
        &image.to_string_lossy(),
        "--json",
    ];
    let predicted = json(&cxr(folder, &words).output().expect("started"));
    let effusion = &predicted[0]["findings"][4];
    let in_force = rows
        .and_then(|rows| rows.iter().find(|row| row["in_force"] == true))
        .expect("one is in force");
    let number = |value: &Value| value.as_f64().expect("a number");
    let moved = number(&in_force["slope"])
        .mul_add(number(&effusion["logit"]), number(&in_force["intercept"]));
    let (floor, ceiling) = (number(&in_force["floor"]), number(&in_force["ceiling"]));
    let expected = floor + (ceiling - floor) / (1.0 + (-moved).exp());
    assert!((number(&effusion["calibrated_probability"]) - expected).abs() < 1e-9);
}

/// Numbers may differ by what JSON rounds.
fn same(found: &Value, expected: &Value, what: &str) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            assert!(found.keys().eq(expected.keys()), "{what}");
            for (key, value) in found {
                same(value, &expected[key], &format!("{what}.{key}"));
            }
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{what}");
            for (place, value) in found.iter().enumerate() {
                same(value, &expected[place], &format!("{what}[{place}]"));
            }
        }
        (Value::Number(found), Value::Number(expected)) => {
            let (found, expected) = (found.as_f64(), expected.as_f64());
            let distance = found.zip(expected).map(|(a, b)| (a - b).abs());
            assert!(
                distance.is_some_and(|d| d < 1e-9),
                "{what}: {found:?} {expected:?}"
            );
        }
        _ => assert_eq!(found, expected, "{what}"),
    }
}

#[test]
fn a_checkpoint_knows_whom_it_was_trained_on() {
    let folder = TempDir::new().expect("folder");
    let output = train(folder.path(), &["--set", "epochs=1", "--run", "run"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let cohorts = folder.path().join("runs/cohorts");
    let cohort = fs::read_dir(cohorts).expect("listed").next();
    let cohort = cohort.expect("one cohort").expect("a folder").path();
    let images = cohort.join("images").to_string_lossy().into_owned();
    let evaluate = |table: &str| {
        let words = [
            "evaluate",
            "--checkpoint",
            "run/weights/best.safetensors",
            "--table",
            table,
            "--images",
            &images,
            "--json",
        ];
        let output = cxr(folder.path(), &words).output().expect("started");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (json(&output), said)
    };
    let (found, said) = evaluate("run/data/test.csv");
    let patients = &found["patients"];
    let overlap = |n: &Value| json!({"patients": n, "of": patients, "is_estimate": false});
    assert_eq!(found["training_overlap"], overlap(&0.into()));
    assert_eq!(found["known_as"], Value::Null);
    assert!(!said.contains("training data"), "{said}");

    // A part of train has another fingerprint; its patients are known all the same.
    let table = fs::read_to_string(folder.path().join("run/data/train.csv")).expect("readable");
    let part: Vec<&str> = table.lines().take(30).collect();
    fs::write(folder.path().join("part.csv"), part.join("\n") + "\n").expect("written");
    let (found, said) = evaluate("part.csv");
    let patients = &found["patients"];
    let overlap = json!({"patients": patients, "of": patients, "is_estimate": false});
    assert_eq!(found["training_overlap"], overlap);
    let warning =
        format!("{patients} of its {patients} patients were in the checkpoint's training");
    assert!(said.contains(&warning), "{said}");
    assert!(!said.contains("these very radiographs"), "{said}");
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("readable")).expect("JSON")
}

#[test]
fn one_and_two_threads_give_the_same_weights_and_another_seed_gives_others() {
    let folder = TempDir::new().expect("folder");
    let one = digest(&train(
        folder.path(),
        &["--set", "epochs=1", "--threads", "1"],
    ));
    let two = digest(&train(
        folder.path(),
        &["--set", "epochs=1", "--threads", "2"],
    ));
    let other = digest(&train(
        folder.path(),
        &["--set", "epochs=1", "--set", "seed=2"],
    ));
    assert_eq!(one, two);
    assert_ne!(one, other);
}

#[test]
fn where_decoded_pictures_are_kept_changes_no_figure() {
    let folder = TempDir::new().expect("folder");
    let of = |words: &[&str]| {
        let words: Vec<&str> = ["--set", "epochs=1"].iter().chain(words).copied().collect();
        digest(&train(folder.path(), &words))
    };
    let in_memory = of(&[]);
    assert_eq!(of(&["--no-cache"]), in_memory);
    assert_eq!(of(&["--cache", "kept"]), in_memory);
    let size = || {
        let files = fs::read_dir(folder.path().join("kept")).expect("kept");
        let sizes = files.map(|file| file.and_then(|f| f.metadata()).expect("a file").len());
        sizes.max().expect("files")
    };
    let before = size();
    assert_eq!(of(&["--cache", "kept"]), in_memory);
    assert_eq!(size(), before, "the second run keeps nothing more");
    let both = train(folder.path(), &["--cache", "kept", "--no-cache"]);
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn a_run_killed_in_epoch_2_resumes_to_the_same_weights_and_results() {
    let folder = TempDir::new().expect("folder");
    let words = ["--set", "epochs=3", "--set", "augment.flip_probability=0.5"];
    let whole = train(folder.path(), &[&words[..], &["--run", "whole"]].concat());
    let killed = folder.path().join("killed");
    let arguments: Vec<&str> = ["train", "--json"]
        .iter()
        .chain(&SMALL)
        .chain(&words)
        .chain(&["--run", "killed"])
        .copied()
        .collect();
    let mut child = cxr(folder.path(), &arguments)
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("started");
    let began = Instant::now();
    while !killed.join("weights/LATEST").is_file() {
        assert!(
            began.elapsed() < Duration::from_secs(300),
            "epoch 1 never ended"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("killed");
    child.wait().expect("gone");
    let n_epochs =
        |run: &Path| fs::read_to_string(run.join("results.csv")).map(|t| t.lines().count() - 1);
    assert!(
        n_epochs(&killed).expect("readable") < 3,
        "the run was over before it could be killed"
    );

    let resumed = cxr(folder.path(), &["train", "--json", "--resume", "killed"])
        .output()
        .expect("ran");
    assert!(
        resumed.status.success(),
        "{}",
        String::from_utf8_lossy(&resumed.stderr)
    );
    assert_eq!(digest(&resumed), digest(&whole));
    assert_eq!(json(&resumed)["test"], json(&whole)["test"]);
    let without_times = |run: &str| -> Vec<String> {
        let text =
            fs::read_to_string(folder.path().join(run).join("results.csv")).expect("readable");
        let header: Vec<&str> = text.lines().next().expect("a header").split(',').collect();
        let is_time = |place: usize| ["seconds", "images_per_second"].contains(&header[place]);
        let fields = |line: &str| {
            let kept = line
                .split(',')
                .enumerate()
                .filter(|(place, _)| !is_time(*place));
            kept.map(|(_, field)| field.to_owned())
                .collect::<Vec<_>>()
                .join(",")
        };
        text.lines().map(fields).collect()
    };
    assert_eq!(without_times("killed"), without_times("whole"));
}

#[test]
fn every_fault_of_a_configuration_is_told_at_once_with_exit_code_2() {
    let folder = TempDir::new().expect("folder");
    let output = train(
        folder.path(),
        &["--set", "epocs=2", "--set", "batch_size=0"],
    );
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("did you mean `epochs`?"), "{text}");
    assert!(text.contains("batch_size: must be at least 1"), "{text}");
    assert!(!folder.path().join("runs").exists(), "nothing was begun");
}

#[test]
fn tables_that_share_a_patient_are_refused_with_exit_code_3() {
    let folder = TempDir::new().expect("folder");
    fs::write(
        folder.path().join("t.csv"),
        "Image,PatientId,Edema\na.png,7,0\nb.png,8,1\n",
    )
    .expect("t");
    fs::write(
        folder.path().join("v.csv"),
        "Image,PatientId,Edema\nc.png,8,0\nd.png,9,1\n",
    )
    .expect("v");
    let words = [
        "train", "--train", "t.csv", "--valid", "v.csv", "--images", ".",
    ];
    let output = cxr(folder.path(), &words).output().expect("ran");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("error[D040]") && text.contains('8'), "{text}");
}

#[test]
fn images_that_are_missing_are_all_named_with_exit_code_3() {
    let folder = TempDir::new().expect("folder");
    fs::write(
        folder.path().join("t.csv"),
        "Image,PatientId,Edema\na.png,7,0\nb.png,8,1\n",
    )
    .expect("t");
    fs::write(
        folder.path().join("v.csv"),
        "Image,PatientId,Edema\nc.png,9,0\n",
    )
    .expect("v");
    let words = [
        "train", "--train", "t.csv", "--valid", "v.csv", "--images", ".",
    ];
    let output = cxr(folder.path(), &words).output().expect("ran");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    for name in ["a.png", "b.png", "c.png"] {
        assert!(text.contains(name), "{name}: {text}");
    }
    assert!(!folder.path().join("runs").exists(), "nothing was begun");
}
