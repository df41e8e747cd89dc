//! A whole cohort with patients of several radiographs, from its committed tables, against
//! scikit-learn's figures and against standard errors summed over all pairs.
//!
//! The values come from fixtures/golden/metrics.py.
#![expect(
    clippy::unwrap_used,
    reason = "a golden that cannot be read fails the test"
)]

use cxr_metrics::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Largest difference to scikit-learn.
const TOLERANCE: f64 = 1e-12;
/// Largest difference of a standard error to the papers' formulas by loops.
const OF_ERRORS: f64 = 1e-10;

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/golden")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Columns of a committed table by name; no quotes are in it.
fn table(name: &str) -> BTreeMap<String, Vec<String>> {
    let text = fixture(name);
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_string));
    let header: Vec<String> = lines.next().unwrap().collect();
    let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines {
        for (name, cell) in header.iter().zip(line) {
            columns.entry(name.clone()).or_default().push(cell);
        }
    }
    columns
}

struct Cohort {
    findings: Vec<String>,
    patients: Vec<String>,
    truths: Truths,
    scores: Scores,
}

fn cohort(prefix: &str, scale: ScoreScale) -> Cohort {
    let labels = table(&format!("metrics_{prefix}table.csv"));
    let findings: Vec<String> = labels
        .keys()
        .filter(|name| *name != "Image" && *name != "PatientId")
        .cloned()
        .collect();
    let suffix = if scale == ScoreScale::Logit {
        "_logits"
    } else {
        ""
    };
    let predictions = table(&format!("metrics_{prefix}predictions{suffix}.csv"));
    let images = &labels["Image"];
    let place = |image| {
        predictions["Image"]
            .iter()
            .position(|other| other == image)
            .unwrap()
    };
    let (mut truths, mut values) = (Vec::new(), Vec::new());
    for (row, image) in images.iter().enumerate() {
        for finding in &findings {
            truths.push(labels[finding][row] == "1");
            values.push(predictions[finding][place(image)].parse::<f64>().unwrap());
        }
    }
    let scores = match scale {
        ScoreScale::Logit => Logits::new(values, findings.len()).unwrap().into(),
        ScoreScale::Probability => Probabilities::from_external(values, findings.len())
            .unwrap()
            .into(),
    };
    let truths = Truths::known(&truths, findings.len()).unwrap();
    Cohort {
        findings,
        patients: labels["PatientId"].clone(),
        truths,
        scores,
    }
}

fn evaluation(scale: ScoreScale, rule: ThresholdRule, convention: Convention) -> Value {
    let (test, valid) = (cohort("", scale), cohort("valid_", scale));
    let points = choose_operating_points(&valid.scores, &valid.truths, rule).unwrap();
    let evaluation = evaluate(&EvaluationInput {
        findings: &test.findings,
        scores: &test.scores,
        truths: &test.truths,
        patients: &test.patients,
        operating_points: &points,
        calibrations: &[],
        attributes: &[],
        split_fingerprint: "",
        convention,
    });
    serde_json::to_value(evaluation.unwrap()).unwrap()
}

#[track_caller]
fn same(found: &Value, expected: &Value, tolerance: f64, what: &str) {
    match (found, expected) {
        (Value::Number(f), Value::Number(e)) => {
            let (f, e) = (f.as_f64().unwrap(), e.as_f64().unwrap());
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

const SCALES: [(ScoreScale, &str); 2] = [
    (ScoreScale::Logit, "logit"),
    (ScoreScale::Probability, "probability"),
];

#[test]
fn a_cohorts_figures_are_scikit_learns() {
    let golden: Value = serde_json::from_str(&fixture("metrics_evaluation.json")).unwrap();
    for (scale, key) in SCALES {
        let expected = &golden[key];
        let found = evaluation(scale, ThresholdRule::Half, Convention::Strict);
        for key in ["rows", "patients", "baselines"] {
            let parts = [
                "subset_accuracy_all_negative",
                "label_accuracy_all_negative",
            ];
            match key {
                "baselines" => parts.iter().for_each(|part| {
                    same(&found[key][part], &expected[key][part], TOLERANCE, part);
                }),
                _ => assert_eq!(found[key], expected[key]),
            }
        }
        let pairs = found["findings"]
            .as_array()
            .unwrap()
            .iter()
            .zip(expected["findings"].as_array().unwrap());
        for (found, expected) in pairs {
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
                    &format!("{} {key}", found["name"]),
                );
            }
        }
        for key in ["auroc", "average_precision", "over", "of"] {
            same(
                &found["macro"][key],
                &expected["macro"][key],
                TOLERANCE,
                key,
            );
        }
    }
}

#[test]
fn standard_errors_and_intervals_are_the_papers() {
    let golden: Value = serde_json::from_str(&fixture("metrics_evaluation.json")).unwrap();
    for (scale, key) in SCALES {
        let found = evaluation(scale, ThresholdRule::Half, Convention::Strict);
        let all = found["findings"]
            .as_array()
            .unwrap()
            .iter()
            .chain([&found["macro"]]);
        let expected = golden[key]["findings"]
            .as_array()
            .unwrap()
            .iter()
            .chain([&golden[key]["macro"]]);
        for (found, expected) in all.zip(expected) {
            for key in ["auroc_se", "auroc_se_delong", "auroc_ci"] {
                let both = (&found[key], &expected[key]);
                same(
                    both.0,
                    both.1,
                    OF_ERRORS,
                    &format!("{} {key}", found["name"]),
                );
            }
        }
    }
}

#[test]
fn points_chosen_on_valid_give_scikit_learns_shares_on_test() {
    let golden: Value = serde_json::from_str(&fixture("metrics_evaluation.json")).unwrap();
    for (scale, key) in SCALES {
        for name in ThresholdRule::NAMES {
            let expected = &golden[key]["at"][name];
            for (convention, suffix) in [
                (Convention::Strict, ""),
                (Convention::SklearnCompat, "_compat"),
            ] {
                let found = evaluation(scale, name.parse().unwrap(), convention);
                let pairs = found["findings"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .zip(expected["findings"].as_array().unwrap());
                for (found, expected) in pairs {
                    for share in ["precision", "recall", "specificity", "f1"] {
                        let what = format!("{} {share} at {name}", found["name"]);
                        same(
                            &found[share],
                            &expected[format!("{share}{suffix}")],
                            TOLERANCE,
                            &what,
                        );
                    }
                }
                same(
                    &found["macro"]["f1"],
                    &expected[format!("macro_f1{suffix}")],
                    TOLERANCE,
                    "macro F1",
                );
                for share in ["subset_accuracy", "label_accuracy"] {
                    same(&found[share], &expected[share], TOLERANCE, share);
                }
            }
        }
    }
}
