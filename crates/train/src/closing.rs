//! The end of a run: operating points and calibrations on valid, then one look at test, then
//! everything is written.

use cxr_augment::PixelCache;
use cxr_data::Cohort;
use cxr_infer::{Predictions, Predictor};
use cxr_metrics::{
    Convention, Evaluation, EvaluationInput, FindingCalibration, OperatingPoint, Scores, Truths,
    choose_operating_points, evaluate, fit_calibrations,
};
use cxr_models::{Checkpoint, Compute, SavedOperatingPoint};
use cxr_report::{EVALUATION, Evaluations, EventKind, RunFolder};
use serde_json::json;

use crate::attributes::attributes_of;
use crate::config::RunConfig;
use crate::examples::{Said, examples_of};
use crate::run::{BEST, LAST, Prepared, RunOutcome, header};
use crate::state::TrainState;
use crate::train_error::TrainError;
use crate::truths::truths_of;

/// Measures the best weights and writes what a run leaves behind.
pub(crate) fn close(
    state: &TrainState,
    config: &RunConfig,
    folder: &RunFolder,
    prepared: &Prepared,
    (compute, outcome): (Compute, RunOutcome),
) -> Result<RunOutcome, TrainError> {
    Checkpoint::of(&state.network, header(state, config, prepared)?)?.save(&folder.path(LAST)?)?;
    let best = Checkpoint::load(&folder.path(BEST)?)?;
    if best.header().training.epoch != state.best_epoch() {
        let reason = format!("{BEST} is not of the epoch that the history calls the best");
        return Err(TrainError::Resume { reason });
    }
    let network = best.network()?;
    let splits = &prepared.pictured.splits;
    let predictor = Predictor::on(&compute, &network, &prepared.preprocess)?;
    let valid = scored(&predictor, splits.valid(), &prepared.pictured.valid)?;
    let points = choose_operating_points(&valid.scores, &valid.truths, config.threshold.rule)?;
    let weights = &prepared.pos_weights.weights;
    let calibrations = fit_calibrations(&prepared.findings, &valid.scores, &valid.truths, weights)?;
    let mut learned = best.header().clone();
    learned.operating_points = Some(saved_points(&prepared.findings, &points));
    learned.calibration = Some(as_json(&calibrations)?);
    let best = best.with_header(learned)?;
    best.save(&folder.path(BEST)?)?;

    let chosen = Chosen {
        points,
        calibrations,
    };
    let valid_evaluation = report_split("valid", &valid, &chosen, folder, prepared)?;
    // Test is read here, once, when nothing is left to choose.
    let test = match (splits.test(), &prepared.pictured.test) {
        (Some(cohort), Some(pixels)) => Some(scored(&predictor, cohort, pixels)?),
        _ => None,
    };
    let test_evaluation = test
        .as_ref()
        .map(|test| report_split("test", test, &chosen, folder, prepared))
        .transpose()?;
    let evaluations = Evaluations {
        valid: Some(valid_evaluation.clone()),
        test: test_evaluation.clone(),
    };
    folder.write_json(EVALUATION, &evaluations)?;
    folder.draw_history(&state.history, Some(&valid_evaluation.baselines))?;
    let (name, shown, evaluation) = match (&test, &test_evaluation) {
        (Some(test), Some(evaluation)) => ("test", test, evaluation),
        _ => ("valid", &valid, &valid_evaluation),
    };
    draw(name, shown, evaluation, &chosen, folder)?;
    let weight_digest = best.weight_digest()?;
    folder.append_event(
        EventKind::RunEnd,
        &json!({ "best_epoch": state.best_epoch(), "weight_digest": weight_digest }),
    )?;
    Ok(RunOutcome {
        weight_digest: Some(weight_digest),
        valid: Some(valid_evaluation),
        test: test_evaluation,
        ..outcome
    })
}

/// What was chosen on valid, to be used on both splits.
struct Chosen {
    points: Vec<OperatingPoint>,
    calibrations: Vec<FindingCalibration>,
}

/// A split with the network's word on each of its radiographs.
struct Scored<'a> {
    cohort: &'a Cohort,
    pixels: &'a PixelCache,
    scores: Scores,
    truths: Truths,
}

fn scored<'a>(
    predictor: &Predictor,
    cohort: &'a Cohort,
    pixels: &'a PixelCache,
) -> Result<Scored<'a>, TrainError> {
    let logits = predictor.logits(pixels)?;
    let places: Vec<usize> = (0..cohort.len()).collect();
    Ok(Scored {
        cohort,
        pixels,
        scores: Scores::Logits(logits),
        truths: truths_of(cohort, &places)?,
    })
}

/// Evaluates a split with what was chosen, and writes its predictions.
fn report_split(
    split: &str,
    scored: &Scored<'_>,
    chosen: &Chosen,
    folder: &RunFolder,
    prepared: &Prepared,
) -> Result<Evaluation, TrainError> {
    let radiographs = scored.cohort.radiographs();
    let patients: Vec<&str> = radiographs.iter().map(|r| r.patient.as_str()).collect();
    let predictions = Predictions::new(
        radiographs.iter().map(|r| r.image.to_string()).collect(),
        patients.iter().map(ToString::to_string).collect(),
        prepared.findings.clone(),
        scored.scores.clone(),
    )?;
    for (name, predictions) in [
        (split.to_owned(), predictions.as_probabilities()),
        (format!("{split}_logits"), predictions),
    ] {
        predictions.write(&folder.path(&format!("predictions/{name}.csv"))?)?;
    }
    Ok(evaluate(&EvaluationInput {
        findings: &prepared.findings,
        scores: &scored.scores,
        truths: &scored.truths,
        patients: &patients,
        operating_points: &chosen.points,
        calibrations: &chosen.calibrations,
        attributes: &attributes_of(scored.cohort),
        split_fingerprint: &scored.cohort.fingerprint(),
        convention: Convention::Strict,
    })?)
}

/// The pictures of the split that the run is judged by.
fn draw(
    split: &str,
    scored: &Scored<'_>,
    evaluation: &Evaluation,
    chosen: &Chosen,
    folder: &RunFolder,
) -> Result<(), TrainError> {
    let (scores, truths) = (&scored.scores, &scored.truths);
    folder.draw_evaluation(split, evaluation, scores, truths)?;
    folder.draw_findings(split, evaluation, (scores, truths), &chosen.calibrations)?;
    let said = Said {
        cohort: scored.cohort,
        pixels: scored.pixels,
        scores,
        truths,
    };
    folder.draw_examples(split, &examples_of(&said, &chosen.points)?)?;
    Ok(())
}

fn as_json(calibrations: &[FindingCalibration]) -> Result<serde_json::Value, TrainError> {
    serde_json::to_value(calibrations).map_err(|error| TrainError::Resume {
        reason: error.to_string(),
    })
}

fn saved_points(findings: &[String], points: &[OperatingPoint]) -> Vec<SavedOperatingPoint> {
    let saved = |(finding, point): (&String, &OperatingPoint)| {
        let rule = if point.own.is_some() {
            point.rule
        } else {
            point.fall_back
        };
        SavedOperatingPoint {
            finding: finding.clone(),
            threshold_logit: Some(point.threshold_logit()),
            rule: rule.to_string(),
            reason: point.reason.map(|reason| reason.to_string()),
        }
    };
    findings.iter().zip(points).map(saved).collect()
}
