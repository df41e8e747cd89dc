//! A whole evaluation: its JSON keys, its figures against scikit-learn, its undefined values, and
//! the time it takes.
#![expect(
    clippy::unwrap_used,
    reason = "an evaluation that cannot be made fails the test"
)]

use cxr_metrics::*;
use cxr_stream::{Purpose, Stream};
use serde_json::Value;
use std::time::Instant;

/// The keys that docs promise, as they are nested.
const CONTRACT: &str = r#"{"rows":1,"patients":1,"split_fingerprint":"",
 "findings":[{"name":"Hernia","support":42,"auroc":0.91753,"auroc_se":0.0259,"auroc_se_delong":0.02215,"auroc_ci":[0.85,0.96],
   "average_precision":0.02,"threshold":0.5,"precision":null,"recall":0.0,"specificity":1.0,"f1":0.0,"brier":0.0019,"log_loss":0.01,"ece":0.001,
   "undefined":{"precision":"no predicted positive"}}],
 "macro":{"auroc":0.83827,"auroc_se":0.00317,"auroc_ci":[0.832,0.844],"over":14,"of":14,"average_precision":0.25935,"f1":0.17247},
 "subset_accuracy":0.52753,"label_accuracy":0.94806,
 "baselines":{"subset_accuracy_all_negative":0.5315,"label_accuracy_all_negative":0.9473}}"#;

fn evaluation(
    scores: &Scores,
    labels: &[Option<bool>],
    patients: &[&str],
    convention: Convention,
) -> Evaluation {
    let n_findings = scores.n_findings();
    let findings: Vec<String> = (0..n_findings)
        .map(|finding| format!("finding {finding}"))
        .collect();
    evaluate(&EvaluationInput {
        findings: &findings,
        scores,
        truths: &Truths::new(labels.to_vec(), n_findings).unwrap(),
        patients,
        operating_points: &vec![OperatingPoint::half(); n_findings],
        calibrations: &[],
        attributes: &[],
        split_fingerprint: "abc",
        convention,
    })
    .unwrap()
}

/// Four radiographs; the second finding is on none, and nothing is predicted for the first.
fn lopsided(convention: Convention) -> Evaluation {
    let logits = Logits::new(vec![-1.0, 1.0, -2.0, 0.5, -3.0, -1.0, -4.0, -1.0], 2).unwrap();
    let labels = [true, false, false, false, true, false, false, false].map(Some);
    evaluation(
        &Scores::Logits(logits),
        &labels,
        &["a", "b", "c", "d"],
        convention,
    )
}

fn missing_keys(expected: &Value, found: &Value, path: &str) -> Vec<String> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) if !path.ends_with("undefined") => expected
            .iter()
            .flat_map(|(key, value)| {
                let path = format!("{path}/{key}");
                match found.get(key) {
                    Some(found) => missing_keys(value, found, &path),
                    None => vec![path],
                }
            })
            .collect(),
        (Value::Array(expected), Value::Array(found)) if expected[0].is_object() => {
            missing_keys(&expected[0], &found[0], &format!("{path}[0]"))
        }
        _ => vec![],
    }
}

#[test]
fn json_has_every_key_of_the_contract_and_reads_back() {
    let evaluation = lopsided(Convention::Strict);
    let text = serde_json::to_string(&evaluation).unwrap();
    let contract: Value = serde_json::from_str(CONTRACT).unwrap();
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(missing_keys(&contract, &found, ""), Vec::<String>::new());
    assert_eq!(
        serde_json::from_str::<Evaluation>(&text).unwrap(),
        evaluation
    );
}

#[test]
fn what_is_undefined_is_null_with_its_reason() {
    let evaluation = lopsided(Convention::Strict);
    let json = serde_json::to_value(&evaluation).unwrap();
    let [first, second] = &evaluation.findings[..] else {
        panic!("two findings")
    };
    assert_eq!(
        (first.precision, first.recall, first.f1),
        (None, Some(0.0), Some(0.0))
    );
    assert_eq!(
        json["findings"][0]["undefined"]["precision"],
        "no predicted positive"
    );
    assert!(json["findings"][0]["precision"].is_null());
    assert_eq!(second.auroc, None);
    for key in [
        "auroc",
        "auroc_se",
        "auroc_se_delong",
        "auroc_ci",
        "average_precision",
        "recall",
    ] {
        assert_eq!(second.undefined[key], Undefined::NoPositive, "{key}");
        assert!(json["findings"][1][key].is_null(), "{key}");
    }
    assert_eq!(
        (second.precision, second.specificity),
        (Some(0.0), Some(0.5))
    );
    assert_eq!(
        (evaluation.macro_mean.over, evaluation.macro_mean.of),
        (1, 2)
    );
    assert_eq!(evaluation.macro_mean.auroc, first.auroc);
}

#[test]
fn every_null_has_a_reason_and_every_reason_a_null() {
    let evaluation = lopsided(Convention::Strict);
    let json = serde_json::to_value(&evaluation).unwrap();
    let places = [
        &json["findings"][0],
        &json["findings"][1],
        &json["macro"],
        &json,
    ];
    for place in places {
        let nulls: Vec<&String> = place
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| value.is_null())
            .map(|(key, _)| key)
            .collect();
        let reasons: Vec<&String> = place["undefined"].as_object().unwrap().keys().collect();
        assert_eq!(nulls, reasons);
    }
}

#[test]
fn sklearns_conventions_are_zero_for_shares_and_no_mean_over_nan() {
    let evaluation = lopsided(Convention::SklearnCompat);
    assert_eq!(evaluation.findings[0].precision, Some(0.0));
    assert_eq!(
        evaluation.findings[0].undefined["precision"],
        Undefined::NoPredictedPositive
    );
    let second = &evaluation.findings[1];
    assert_eq!(
        (second.auroc, second.average_precision, second.recall),
        (None, Some(0.0), Some(0.0))
    );
    assert_eq!(evaluation.macro_mean.auroc, None);
    assert_eq!(
        evaluation.macro_mean.undefined["auroc"],
        Undefined::NotEveryFinding
    );
    assert_eq!(evaluation.macro_mean.average_precision_over, 2);
}

#[test]
fn a_mean_with_a_finding_of_one_positive_has_no_standard_error() {
    let logits = Logits::new(vec![1.0, 2.0, 0.5, -2.0, 0.7, 0.1, -4.0, -1.0], 2).unwrap();
    let labels = [true, true, false, false, true, false, false, false].map(Some);
    let scores = Scores::Logits(logits);
    let evaluation = evaluation(&scores, &labels, &["a", "b", "c", "d"], Convention::Strict);
    assert_eq!(
        evaluation.findings[1].undefined["auroc_se"],
        Undefined::PositivesOfOnePatient
    );
    assert_eq!(
        evaluation.macro_mean.undefined["auroc_se"],
        Undefined::TermWithoutError
    );
    assert!(evaluation.macro_mean.auroc.is_some());
}

#[test]
fn an_evaluation_of_nothing_is_all_reasons() {
    let scores = Scores::Logits(Logits::new(vec![], 2).unwrap());
    let evaluation = evaluation(&scores, &[], &[], Convention::Strict);
    assert_eq!((evaluation.rows, evaluation.patients), (0, 0));
    assert_eq!(
        evaluation.findings[0].undefined["brier"],
        Undefined::NoKnownLabel
    );
    assert_eq!(
        evaluation.undefined["subset_accuracy"],
        Undefined::NoCompleteRow
    );
}

#[test]
fn sizes_that_disagree_are_refused_by_name() {
    let scores = Scores::Logits(Logits::new(vec![0.0; 4], 2).unwrap());
    let truths = Truths::known(&[true; 4], 2).unwrap();
    let input = EvaluationInput {
        findings: &["Edema".to_string(), "Mass".to_string()],
        scores: &scores,
        truths: &truths,
        patients: &["a"],
        operating_points: &[OperatingPoint::half(); 2],
        calibrations: &[],
        attributes: &[],
        split_fingerprint: "",
        convention: Convention::Strict,
    };
    let fault = evaluate(&input).unwrap_err();
    assert_eq!(
        fault,
        MetricFault::SizeMismatch {
            what: "patients",
            expected: 2,
            found: 1
        }
    );
    let fault = evaluate(&EvaluationInput {
        findings: &[],
        patients: &["a", "b"],
        ..input
    });
    assert_eq!(fault.unwrap_err().code(), "E002");
}

#[test]
fn a_cohort_of_nihs_test_size_is_evaluated_in_a_moment() {
    const ROWS: u64 = 22_433;
    const FINDINGS: usize = 14;
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for row in 0..ROWS {
        let mut stream = Stream::new(1, Purpose::Test, 0, row);
        for finding in 0..FINDINGS {
            let sick = stream.uniform() < 0.02 * (finding + 1) as f64;
            values.push(stream.normal() + f64::from(u8::from(sick)));
            labels.push(Some(sick));
        }
    }
    let patients: Vec<String> = (0..ROWS).map(|row| (row / 4).to_string()).collect();
    let patients: Vec<&str> = patients.iter().map(String::as_str).collect();
    let scores = Scores::Logits(Logits::new(values, FINDINGS).unwrap());
    let start = Instant::now();
    let evaluation = evaluation(&scores, &labels, &patients, Convention::Strict);
    let seconds = start.elapsed().as_secs_f64();
    println!("{ROWS} x {FINDINGS}: {seconds:.3} s");
    // Φ(1/√2): two normals one apart.
    let expected = 0.760_249_938_906_523_3;
    assert!((evaluation.macro_mean.auroc.unwrap() - expected).abs() < 0.01);
    assert!(evaluation.macro_mean.auroc_ci.unwrap().contains(expected));
    assert!(seconds < 5.0, "{seconds} s even without optimisation");
}
