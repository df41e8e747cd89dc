//! Faults that well-known libraries have, or had, each as a claim that holds here.
#![expect(
    clippy::unwrap_used,
    reason = "a figure that cannot be computed fails the test"
)]

use cxr_metrics::*;
use cxr_stream::{Purpose, Stream};

const NEGATIVE: Option<bool> = Some(false);

fn macro_auroc(logits: Vec<f64>, labels: Vec<Option<bool>>, n_findings: usize) -> MacroEvaluation {
    let scores = Scores::from(Logits::new(logits, n_findings).unwrap());
    let names: Vec<String> = (0..n_findings).map(|finding| finding.to_string()).collect();
    let patients: Vec<String> = (0..scores.n_rows()).map(|row| row.to_string()).collect();
    let evaluation = evaluate(&EvaluationInput {
        findings: &names,
        scores: &scores,
        truths: &Truths::new(labels, n_findings).unwrap(),
        patients: &patients,
        operating_points: &vec![OperatingPoint::half(); n_findings],
        calibrations: &[],
        attributes: &[],
        split_fingerprint: "",
        convention: Convention::Strict,
    });
    evaluation.unwrap().macro_mean
}

/// torchmetrics: 0, with a warning.
#[test]
fn the_auroc_of_one_class_is_neither_zero_nor_a_half() {
    assert_eq!(
        auroc(&[0.2, 0.7], &[true, true]),
        Err(Undefined::NoNegative)
    );
    assert_eq!(
        auroc(&[0.2, 0.7], &[false, false]),
        Err(Undefined::NoPositive)
    );
}

/// torchmetrics squashes a batch whose values leave [0, 1] and leaves one whose values do not, so that
/// logits of two batches end on two scales.
#[test]
fn logits_that_look_like_probabilities_in_one_batch_stay_logits() {
    let (first, second) = ([0.2, 0.5], [-0.1, 0.3]);
    let truths = [true, true, false, false];
    let squashed = Logits::new(second.to_vec(), 1).unwrap().sigmoid().column(0);
    let mixed = [&first[..], &squashed].concat();
    assert_eq!(auroc(&mixed, &truths), Ok(0.25), "the fault itself");
    let scores = Scores::from(Logits::new([first, second].concat(), 1).unwrap());
    let cells = Cells::of(&scores, &Truths::known(&truths, 1).unwrap(), 0).unwrap();
    assert_eq!(auroc(&cells.scores, &cells.truths), Ok(0.75));
}

/// torchmetrics ranks f32 sigmoids: from a logit of 17 they are all 1.
#[test]
fn logits_beyond_17_are_ranked() {
    let logits = Logits::from_f32(&[17.5, 18.0, 19.0, 25.0], 1).unwrap();
    let scores = Scores::from(logits);
    let truths = [false, false, true, true];
    let cells = Cells::of(&scores, &Truths::known(&truths, 1).unwrap(), 0).unwrap();
    let in_f32 = |z: &f64| f64::from(1.0 / (1.0 + (-*z as f32).exp()));
    let squashed: Vec<f64> = cells.scores.iter().map(in_f32).collect();
    assert_eq!(auroc(&squashed, &truths), Ok(0.5), "the fault itself");
    assert_eq!(auroc(&cells.scores, &cells.truths), Ok(1.0));
}

/// burn compares all pairs: an n × n × K tensor, 26 GiB at this size.
#[test]
fn the_memory_of_an_auroc_grows_with_the_radiographs_and_not_with_their_square() {
    // A million radiographs have 10¹² pairs: no machine holds them.
    let mut stream = Stream::new(1, Purpose::Test, 0, 0);
    let scores: Vec<f64> = (0..1_000_000).map(|_| stream.uniform()).collect();
    let truths: Vec<bool> = scores.iter().map(|&p| stream.uniform() < p).collect();
    // Scores and labels drawn so have P(s₊ > s₋) = 5/6.
    assert!((auroc(&scores, &truths).unwrap() - 5.0 / 6.0).abs() < 0.002);
}

/// burn: 0.5.
#[test]
fn a_mean_over_no_finding_is_undefined_and_one_over_some_says_over_how_many() {
    let nothing = macro_auroc(vec![0.1, 0.2, 0.3, 0.4], vec![NEGATIVE; 4], 2);
    assert_eq!((nothing.auroc, nothing.over, nothing.of), (None, 0, 2));
    assert_eq!(nothing.undefined["auroc"], Undefined::NoDefinedFinding);
    let some = macro_auroc(
        vec![0.1, 0.2, 0.3, 0.4],
        vec![NEGATIVE, NEGATIVE, Some(true), NEGATIVE],
        2,
    );
    assert_eq!((some.auroc, some.over, some.of), (Some(1.0), 1, 2));
}

/// linfa: 0.
#[test]
fn scores_that_are_all_zero_are_chance() {
    assert_eq!(
        auroc(&[0.0; 5], &[true, false, true, false, false]),
        Ok(0.5)
    );
}

/// candle's `log(sigmoid(z))`: NaN at 17, as 0 · log 0.
#[test]
fn the_log_loss_of_a_sure_and_right_logit_is_tiny_and_of_a_wrong_one_finite() {
    let sure = log_loss_of_logits(&[17.0, -17.0], &[true, false]).unwrap();
    assert!((sure - 4.139_937_633_089_4e-8).abs() < 1e-20);
    let wrong = log_loss_of_logits(&[1e4, -1e4], &[false, true]).unwrap();
    assert!((wrong - 1e4).abs() < 1e-8);
}
