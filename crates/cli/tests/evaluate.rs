//! `cxr evaluate` through the binary: against scikit-learn's figures, and with bad input.
//!
//! The tables and expected values come from fixtures/golden/metrics.py.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on should stop and say where"
)]

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// Largest difference to scikit-learn.
const TOLERANCE: f64 = 1e-12;
/// Largest difference of a standard error to the papers' formulas summed over all pairs.
const OF_ERRORS: f64 = 1e-10;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/golden")
        .join(name)
}

struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

fn evaluate(words: &[&str]) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_cxr"))
        .arg("evaluate")
        .args(words)
        .output()
        .expect("started");
    Outcome {
        code: output.status.code().expect("an exit code"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

fn path(name: &str) -> String {
    golden(name).to_str().expect("text").to_owned()
}

/// The JSON of the golden cohort under some more words.
fn json_of_golden(scale: &str, more: &[&str]) -> (Value, String) {
    let suffix = if scale == "logit" { "_logits" } else { "" };
    let predictions = path(&format!("metrics_predictions{suffix}.csv"));
    let table = path("metrics_table.csv");
    let words = [
        "--predictions",
        &predictions,
        "--table",
        &table,
        "--scores",
        scale,
        "--json",
    ];
    let outcome = evaluate(&[&words[..], more].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    (
        serde_json::from_str(&outcome.stdout).expect("JSON"),
        outcome.stderr,
    )
}

fn expected() -> Value {
    let text = fs::read_to_string(golden("metrics_evaluation.json")).expect("golden");
    serde_json::from_str(&text).expect("JSON")
}

#[track_caller]
fn same(found: &Value, expected: &Value, tolerance: f64, what: &str) {
    match (found, expected) {
        (Value::Number(f), Value::Number(e)) => {
            let (f, e) = (f.as_f64().expect("f64"), e.as_f64().expect("f64"));
            assert!((f - e).abs() <= tolerance, "{what}: {f} is not {e}");
        }
        (Value::Array(f), Value::Array(e)) => {
            assert_eq!(f.len(), e.len(), "{what}");
            f.iter()
                .zip(e)
                .for_each(|(f, e)| same(f, e, tolerance, what));
        }
        _ => assert_eq!(found, expected, "{what}"),
    }
}

/// Pairs of (found, expected) finding.
fn findings<'a>(found: &'a Value, expected: &'a Value) -> Vec<(&'a Value, &'a Value)> {
    let of = |value: &'a Value| value["findings"].as_array().expect("findings");
    assert_eq!(of(found).len(), of(expected).len());
    of(found).iter().zip(of(expected)).collect()
}

#[test]
fn figures_equal_scikit_learns_from_probabilities_and_from_logits() {
    for scale in ["probability", "logit"] {
        let (found, _) = json_of_golden(scale, &[]);
        let expected = &expected()[scale];
        assert_eq!(
            (&found["rows"], &found["patients"]),
            (&expected["rows"], &expected["patients"])
        );
        for (found, expected) in findings(&found, expected) {
            let name = &found["name"];
            for key in [
                "name",
                "support",
                "auroc",
                "average_precision",
                "brier",
                "log_loss",
                "ece",
            ] {
                same(
                    &found[key],
                    &expected[key],
                    TOLERANCE,
                    &format!("{name} {key}"),
                );
            }
            for key in ["auroc_se", "auroc_se_delong", "auroc_ci"] {
                same(
                    &found[key],
                    &expected[key],
                    OF_ERRORS,
                    &format!("{name} {key}"),
                );
            }
        }
        for key in ["auroc", "over", "of", "average_precision"] {
            same(
                &found["macro"][key],
                &expected["macro"][key],
                TOLERANCE,
                key,
            );
        }
        for key in ["auroc_se", "auroc_ci"] {
            same(
                &found["macro"][key],
                &expected["macro"][key],
                OF_ERRORS,
                key,
            );
        }
        for key in [
            "subset_accuracy_all_negative",
            "label_accuracy_all_negative",
        ] {
            same(
                &found["baselines"][key],
                &expected["baselines"][key],
                TOLERANCE,
                key,
            );
        }
        assert_eq!(found["thresholds_from"], "fixed");
        assert_eq!(found["split_fingerprint"].as_str().expect("text").len(), 64);
    }
}

#[test]
fn thresholds_are_chosen_on_valid_and_carried_to_test() {
    let (table, plain) = (
        path("metrics_valid_table.csv"),
        path("metrics_valid_predictions.csv"),
    );
    let logits = path("metrics_valid_predictions_logits.csv");
    for (scale, predictions) in [("probability", plain), ("logit", logits)] {
        for rule in ["youden", "max-f1"] {
            for (compat, suffix) in [(&[][..], ""), (&["--sklearn-compat"][..], "_compat")] {
                let from = [
                    "--thresholds-from",
                    &predictions,
                    "--thresholds-table",
                    &table,
                ];
                let words = [&["--thresholds", rule][..], &from[..], compat].concat();
                let (found, stderr) = json_of_golden(scale, &words);
                assert_eq!(found["thresholds_from"], "valid");
                assert!(stderr.contains("Hernia: no threshold by"), "{stderr}");
                let expected = &expected()[scale]["at"][rule];
                for (found, expected) in findings(&found, expected) {
                    let key = if scale == "logit" {
                        "threshold_logit"
                    } else {
                        "threshold"
                    };
                    same(&found[key], &expected["threshold"], 0.0, "threshold");
                    for share in ["precision", "recall", "specificity", "f1"] {
                        let what = format!("{} {share} by {rule}", found["name"]);
                        same(
                            &found[share],
                            &expected[format!("{share}{suffix}")],
                            TOLERANCE,
                            &what,
                        );
                    }
                }
                for share in ["subset_accuracy", "label_accuracy"] {
                    same(&found[share], &expected[share], TOLERANCE, share);
                }
                let f1 = &expected[format!("macro_f1{suffix}")];
                same(&found["macro"]["f1"], f1, TOLERANCE, "macro F1");
            }
        }
    }
}

#[test]
fn thresholds_chosen_on_the_evaluated_radiographs_are_said_to_be() {
    let (found, stderr) = json_of_golden("probability", &["--thresholds", "youden"]);
    assert_eq!(found["thresholds_from"], "in-sample");
    assert!(
        stderr.contains("chosen on the radiographs under evaluation"),
        "{stderr}"
    );
}

#[test]
fn a_rule_with_a_number_is_kept_and_one_that_makes_no_sense_is_refused_with_what_is_known() {
    let (found, _) = json_of_golden("logit", &["--thresholds", "sensitivity=0.75"]);
    let first = &found["findings"][0];
    assert_eq!(first["threshold_rule"], "sensitivity=0.75");
    assert!(
        first["recall"]
            .as_f64()
            .is_some_and(|recall| recall >= 0.75)
    );
    let (predictions, table) = (path("metrics_predictions.csv"), path("metrics_table.csv"));
    for (typed, said) in [
        ("sensitivity=75", "a share above 0 and at most 1"),
        (
            "yuden",
            "did you mean `youden`? known: 0.5, youden, max-f1, f-beta=2",
        ),
    ] {
        let words = [
            "--predictions",
            &predictions,
            "--table",
            &table,
            "--thresholds",
            typed,
        ];
        let outcome = evaluate(&words);
        assert_eq!(outcome.code, 2, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
    }
}

#[test]
fn what_is_undefined_is_null_with_its_reason_and_zero_for_scikit_learn() {
    let (strict, stderr) = json_of_golden("probability", &[]);
    let hernia = &strict["findings"][3];
    assert_eq!(hernia["name"], "Hernia");
    for key in [
        "auroc",
        "auroc_se",
        "auroc_ci",
        "average_precision",
        "recall",
    ] {
        assert!(hernia[key].is_null(), "{key}");
        assert_eq!(hernia["undefined"][key], "no positive", "{key}");
    }
    assert_eq!(
        (&strict["macro"]["over"], &strict["macro"]["of"]),
        (&5.into(), &6.into())
    );
    assert!(stderr.is_empty(), "{stderr}");

    let (compat, stderr) = json_of_golden("probability", &["--sklearn-compat"]);
    assert_eq!(compat["findings"][3]["recall"], 0.0);
    assert!(compat["findings"][3]["auroc"].is_null() && compat["macro"]["auroc"].is_null());
    let expected = &expected()["probability"]["macro"]["average_precision_compat"];
    same(
        &compat["macro"]["average_precision"],
        expected,
        TOLERANCE,
        "macro AP",
    );
    assert!(stderr.contains("warning: Hernia"), "{stderr}");
}

#[test]
fn people_get_a_table_with_every_finding_its_interval_and_the_baselines() {
    let (predictions, table) = (path("metrics_predictions.csv"), path("metrics_table.csv"));
    let outcome = evaluate(&["--predictions", &predictions, "--table", &table]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    let text = outcome.stdout;
    for part in [
        "Atelectasis",
        "Hernia",
        "macro",
        "over 5 of 6",
        "all-negative",
        "no positive",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("NaN"), "{text}");
}

/// A table of three radiographs and predictions that are changed before they are evaluated.
fn with_predictions(predictions: &str, words: &[&str]) -> (Outcome, TempDir) {
    let folder = TempDir::new().expect("folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let table = file(
        "table.csv",
        "Image,PatientId,Edema,Mass\na.png,1,0,1\nb.png,1,1,0\nc.png,2,0,0\n",
    );
    let predictions = file("p.csv", predictions);
    let base = ["--predictions", &predictions, "--table", &table];
    let outcome = evaluate(&[&base[..], words].concat());
    (outcome, folder)
}

#[track_caller]
fn refused(predictions: &str, code: &str, parts: &[&str]) {
    let (outcome, _folder) = with_predictions(predictions, &[]);
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert_eq!(outcome.stdout, "", "a refusal prints no data");
    for part in [&[&format!("error[{code}]: ")[..], "help: "][..], parts].concat() {
        assert!(
            outcome.stderr.contains(part),
            "{part:?} is not in\n{}",
            outcome.stderr
        );
    }
}

#[test]
fn bad_predictions_are_refused_with_row_column_and_value() {
    let good = "a.png,1,0.1,0.2\nb.png,1,0.3,0.4\n";
    let head = "Image,PatientId,Edema,Mass\n";
    refused(
        &format!("{head}{good}"),
        "E109",
        &["radiograph has no predictions", "\"c.png\""],
    );
    refused(
        &format!("{head}{good}c.png,2,0.1,0.1\nd.png,2,0.1,0.1\n"),
        "E110",
        &["p.csv:5, column \"Image\"", "\"d.png\""],
    );
    refused(
        &format!("{head}{good}c.png,2,NaN,0.1\n"),
        "E107",
        &["p.csv:4, column \"Edema\"", "\"NaN\""],
    );
    refused(
        &format!("{head}{good}c.png,2,0.1,-2.5\n"),
        "E108",
        &["p.csv:4, column \"Mass\"", "\"-2.5\"", "--scores logit"],
    );
    refused(
        &format!("{head}{good}b.png,1,0.1,0.1\n"),
        "E105",
        &["p.csv:4, column \"Image\"", "\"b.png\"", "line 3"],
    );
    refused(
        "Image,PatientId,Edema\na.png,1,0.1\n",
        "E101",
        &["column \"Mass\"", "p.csv:1"],
    );
    refused(
        &format!("{head}{good}c.png,2,0.1,\u{1b}[31m\n"),
        "E106",
        &["\"\\u{1b}[31m\""],
    );
    refused(head, "E111", &["p.csv"]);
}

#[test]
fn all_faults_are_shown_at_once_and_json_has_the_same_fields() {
    let text = "Image,PatientId,Edema,Mass\na.png,1,x,2\nb.png,1,0.3,inf\n";
    let (outcome, _folder) = with_predictions(text, &["--json"]);
    assert_eq!(outcome.code, 3);
    let printed: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    let codes: Vec<_> = printed["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|one| &one["code"])
        .collect();
    assert_eq!(codes, ["E106", "E108", "E107"]);
    assert_eq!(printed["errors"][0]["value"], "\"x\"");
}

#[test]
fn a_missing_file_is_the_systems_fault_and_a_bad_word_is_the_users() {
    let table = path("metrics_table.csv");
    let outcome = evaluate(&["--predictions", "/nowhere/p.csv", "--table", &table]);
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("error[E114]"), "{}", outcome.stderr);
    let predictions = path("metrics_predictions.csv");
    let base = ["--predictions", &predictions, "--table", &table];
    for words in [
        &["--thresholds", "yuden"][..],
        &["--scores", "percent"],
        &["--thresholds-from", &predictions],
        &[
            "--thresholds-from",
            &predictions,
            "--thresholds-table",
            &table,
        ],
    ] {
        let outcome = evaluate(&[&base[..], words].concat());
        assert_eq!(outcome.code, 2, "{words:?}: {}", outcome.stderr);
        assert_eq!(outcome.stdout, "", "{words:?}");
    }
}

#[test]
fn columns_without_labels_and_scores_of_another_kind_are_remarked_on() {
    let text = "Image,Edema,Mass,Rib\na.png,0.1,0.2,0\nb.png,0.3,0.4,0\nc.png,0.5,0.6,0\n";
    let (outcome, _folder) = with_predictions(text, &["--scores", "logit"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("Rib"), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("are these probabilities?"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn patients_that_valid_and_test_share_are_remarked_on() {
    let (predictions, table) = (path("metrics_predictions.csv"), path("metrics_table.csv"));
    let from = [
        "--thresholds-from",
        &predictions,
        "--thresholds-table",
        &table,
    ];
    let (_, stderr) = json_of_golden(
        "probability",
        &[&["--thresholds", "youden"], &from[..]].concat(),
    );
    assert!(stderr.contains("patients are in both"), "{stderr}");
}

#[test]
fn a_gate_that_is_missed_exits_with_7_after_every_figure_was_printed() {
    let (predictions, table) = (path("metrics_predictions.csv"), path("metrics_table.csv"));
    let words = ["--predictions", &predictions, "--table", &table, "--json"];
    let gated = |least: &str| evaluate(&[&words[..], &["--min-auroc", least]].concat());
    let reached = evaluate(&words);
    let json: Value = serde_json::from_str(&reached.stdout).expect("JSON");
    let auroc = json["macro"]["auroc"].as_f64().expect("a mean");
    assert_eq!(gated(&auroc.to_string()).code, 0, "reached exactly");
    let missed = gated(&(auroc + 1e-9).to_string());
    assert_eq!(missed.code, 7);
    assert_eq!(missed.stdout, reached.stdout);
    assert!(
        missed.stderr.contains("quality gate missed"),
        "{}",
        missed.stderr
    );
    for nonsense in ["1.5", "-0.1", "NaN", "high"] {
        assert_eq!(gated(nonsense).code, 2, "{nonsense}");
    }
}

#[test]
fn a_gate_on_an_undefined_mean_is_missed() {
    let text = "Image,Edema,Mass\na.png,0.1,0.2\nb.png,0.3,0.4\nc.png,0.5,0.6\n";
    let folder = TempDir::new().expect("folder");
    let (predictions, table) = (folder.path().join("p.csv"), folder.path().join("t.csv"));
    fs::write(&predictions, text).expect("written");
    let labels = "Image,PatientId,Edema,Mass\na.png,1,0,1\nb.png,2,0,1\nc.png,3,0,1\n";
    fs::write(&table, labels).expect("written");
    let outcome = evaluate(&[
        "--predictions",
        &predictions.to_string_lossy(),
        "--table",
        &table.to_string_lossy(),
        "--min-auroc",
        "0",
    ]);
    assert_eq!(outcome.code, 7, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("undefined over 0 of 2"),
        "{}",
        outcome.stderr
    );
}
