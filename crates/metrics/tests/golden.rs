//! The definitions against scikit-learn's own output, to 1e-12.
//!
//! The values come from fixtures/golden/metrics.py. Thresholds and counts are compared exactly.
#![expect(
    clippy::unwrap_used,
    reason = "a golden that cannot be read fails the test"
)]

use cxr_metrics::*;
use serde::Deserialize;
use std::path::PathBuf;

/// Largest difference to scikit-learn, absolute below 1 and relative above.
const TOLERANCE: f64 = 1e-12;

#[derive(Deserialize)]
struct Column {
    name: String,
    scale: ScoreScale,
    scores: Vec<f64>,
    truths: Vec<bool>,
    auroc: Option<f64>,
    average_precision: Option<f64>,
    brier: f64,
    log_loss: f64,
    equal_width: Bins,
    equal_mass: Bins,
    decided: Vec<Decided>,
    youden: Option<f64>,
    max_f1: Option<f64>,
    roc: Option<Roc>,
    roc_corners: Option<Roc>,
    precision_recall: Option<PrecisionRecall>,
}

#[derive(Deserialize)]
struct Bins {
    positive_share: Vec<f64>,
    mean_probability: Vec<f64>,
    count: Vec<usize>,
    lower: Vec<f64>,
    upper: Vec<f64>,
    ece: f64,
}

#[derive(Deserialize)]
struct Decided {
    threshold: f64,
    precision: Option<f64>,
    recall: Option<f64>,
    specificity: Option<f64>,
    f1: Option<f64>,
    label_accuracy: f64,
}

#[derive(Deserialize)]
struct Roc {
    false_positive_rate: Vec<f64>,
    true_positive_rate: Vec<f64>,
    thresholds_after_infinity: Vec<f64>,
}

#[derive(Deserialize)]
struct PrecisionRecall {
    precision: Vec<f64>,
    recall: Vec<f64>,
    thresholds: Vec<f64>,
}

impl Column {
    fn as_scores(&self) -> Scores {
        match self.scale {
            ScoreScale::Logit => Logits::new(self.scores.clone(), 1).unwrap().into(),
            ScoreScale::Probability => Probabilities::from_external(self.scores.clone(), 1)
                .unwrap()
                .into(),
        }
    }

    fn probabilities(&self) -> Vec<f64> {
        self.as_scores().probabilities().column(0)
    }

    fn ranking(&self) -> Ranking {
        Ranking::new(&self.scores, &self.truths).unwrap()
    }
}

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/golden")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

fn columns() -> Vec<Column> {
    serde_json::from_str(&fixture("metrics_columns.json")).unwrap()
}

#[track_caller]
fn close(found: f64, expected: f64, what: &str) {
    let allowed = TOLERANCE * expected.abs().max(1.0);
    assert!(
        (found - expected).abs() <= allowed,
        "{what}: {found} is not {expected}"
    );
}

#[track_caller]
fn close_or_both_undefined<E>(found: Result<f64, E>, expected: Option<f64>, what: &str) {
    match (found, expected) {
        (Ok(found), Some(expected)) => close(found, expected, what),
        (Err(_), None) => {}
        (found, expected) => {
            let (found, expected) = (found.is_ok(), expected.is_some());
            assert_eq!(found, expected, "{what}: defined here and defined there");
        }
    }
}

#[track_caller]
fn all_close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    found
        .iter()
        .zip(expected)
        .for_each(|(&f, &e)| close(f, e, what));
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn auroc_and_average_precision_are_scikit_learns() {
    for column in columns() {
        let ranking = column.ranking();
        close_or_both_undefined(ranking.auroc(), column.auroc, &column.name);
        close_or_both_undefined(
            ranking.average_precision(),
            column.average_precision,
            &column.name,
        );
    }
}

#[test]
fn brier_and_log_loss_are_scikit_learns() {
    for column in columns() {
        let p = column.probabilities();
        close(
            brier(&p, &column.truths).unwrap(),
            column.brier,
            &column.name,
        );
        let loss = match column.scale {
            ScoreScale::Logit => log_loss_of_logits(&column.scores, &column.truths),
            ScoreScale::Probability => log_loss_of_probabilities(&p, &column.truths),
        };
        close(loss.unwrap(), column.log_loss, &column.name);
    }
}

#[test]
fn reliability_bins_are_scikit_learns() {
    for column in columns() {
        let p = column.probabilities();
        for (binning, expected) in [
            (Binning::EqualWidth, &column.equal_width),
            (Binning::EqualMass, &column.equal_mass),
        ] {
            let curve = ReliabilityCurve::of(&p, &column.truths, binning, DEFAULT_BINS).unwrap();
            let what = format!("{}, {binning:?}", column.name);
            let counts: Vec<usize> = curve.bins.iter().map(|bin| bin.count).collect();
            assert_eq!(counts, expected.count, "{what}");
            let edges = |edge: fn(&ReliabilityBin) -> f64| -> Vec<u64> {
                curve.bins.iter().map(|bin| edge(bin).to_bits()).collect()
            };
            assert_eq!(edges(|bin| bin.lower), bits(&expected.lower), "{what}");
            assert_eq!(edges(|bin| bin.upper), bits(&expected.upper), "{what}");
            let shares: Vec<f64> = curve.bins.iter().map(|bin| bin.positive_share).collect();
            all_close(&shares, &expected.positive_share, &what);
            let means: Vec<f64> = curve.bins.iter().map(|bin| bin.mean_probability).collect();
            all_close(&means, &expected.mean_probability, &what);
            close(curve.expected_calibration_error(), expected.ece, &what);
        }
    }
}

#[test]
fn precision_recall_specificity_and_f1_are_scikit_learns() {
    for column in columns() {
        for expected in &column.decided {
            let threshold = Threshold::new(column.scale, expected.threshold).unwrap();
            let limit = threshold.on(column.scale);
            let counts = Confusion::at(&column.scores, &column.truths, limit).unwrap();
            let what = format!("{} at {}", column.name, expected.threshold);
            close_or_both_undefined(counts.precision(), expected.precision, &what);
            close_or_both_undefined(counts.recall(), expected.recall, &what);
            close_or_both_undefined(counts.specificity(), expected.specificity, &what);
            close_or_both_undefined(counts.f1(), expected.f1, &what);
            close(
                counts.label_accuracy().unwrap(),
                expected.label_accuracy,
                &what,
            );
        }
    }
}

#[test]
fn roc_curves_are_scikit_learns_with_and_without_corners_only() {
    for column in columns() {
        let curves = [
            (RocCurve::of(&column.ranking()), &column.roc),
            (RocCurve::corners_of(&column.ranking()), &column.roc_corners),
        ];
        for (found, expected) in curves {
            assert_eq!(found.is_ok(), expected.is_some(), "{}", column.name);
            let (Ok(found), Some(expected)) = (found, expected) else {
                continue;
            };
            assert!(found.thresholds[0].is_infinite());
            assert_eq!(
                bits(&found.thresholds[1..]),
                bits(&expected.thresholds_after_infinity)
            );
            all_close(
                &found.false_positive_rate,
                &expected.false_positive_rate,
                &column.name,
            );
            all_close(
                &found.true_positive_rate,
                &expected.true_positive_rate,
                &column.name,
            );
        }
    }
}

#[test]
fn precision_recall_curves_are_scikit_learns() {
    for column in columns() {
        let found = PrecisionRecallCurve::of(&column.ranking());
        assert_eq!(
            found.is_ok(),
            column.precision_recall.is_some(),
            "{}",
            column.name
        );
        let (Ok(found), Some(expected)) = (found, column.precision_recall) else {
            continue;
        };
        assert_eq!(
            bits(&found.thresholds),
            bits(&expected.thresholds),
            "{}",
            column.name
        );
        all_close(&found.precision, &expected.precision, &column.name);
        all_close(&found.recall, &expected.recall, &column.name);
    }
}

#[test]
fn chosen_thresholds_are_the_best_of_scikit_learns() {
    for column in columns() {
        let truths = Truths::known(&column.truths, 1).unwrap();
        for (rule, expected) in [
            (ThresholdRule::Youden, column.youden),
            (ThresholdRule::MaxF1, column.max_f1),
        ] {
            let scores = column.as_scores();
            let point = choose_operating_points(&scores, &truths, rule).unwrap()[0];
            let own = point.own.map(|own| own.on(column.scale).to_bits());
            assert_eq!(own, expected.map(f64::to_bits), "{}, {rule}", column.name);
            assert_eq!(
                point.reason.is_some(),
                own.is_none(),
                "{}, {rule}",
                column.name
            );
        }
    }
}
