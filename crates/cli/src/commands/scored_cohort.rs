//! A table of labels with somebody's scores of its radiographs: what `evaluate` and `compare` read.

use std::path::Path;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use cxr_data::{Cohort, ReadOptions, Uncertain, read_cohort};
use cxr_infer::Predictions;
use cxr_metrics::{ScoreScale, Scores, Truths};

use crate::console::Console;
use crate::failure::Failure;

pub(super) fn scale_parser() -> impl TypedValueParser<Value = ScoreScale> {
    PossibleValuesParser::new(["probability", "logit"]).map(|name| match name.as_str() {
        "logit" => ScoreScale::Logit,
        _ => ScoreScale::Probability,
    })
}

/// A table of labels; what its reader noticed goes to the console.
pub(super) fn read_table(
    path: &Path,
    uncertain: Uncertain,
    console: Console,
) -> Result<Cohort, Failure> {
    let read = read_cohort(path, &ReadOptions { uncertain })?;
    read.warnings
        .iter()
        .for_each(|warning| console.warn(warning));
    Ok(read.cohort)
}

/// The scores of a cohort's radiographs, in its order of radiographs and findings.
pub(super) fn read_scores(
    path: &Path,
    scale: ScoreScale,
    cohort: &Cohort,
    console: Console,
) -> Result<Scores, Failure> {
    let predictions = Predictions::read(path, scale, &cohort.findings().to_strings())?;
    if !predictions.unused_columns().is_empty() {
        let names = predictions.unused_columns().join(", ");
        console.warn(format_args!(
            "{}: columns that no label belongs to: {names:?}",
            path.display()
        ));
    }
    let scores = predictions.matched_to(&image_names(cohort))?;
    if scores.scale() == ScoreScale::Logit && scores.lie_between_0_and_1() {
        console.warn(format_args!(
            "{}: every logit lies between 0 and 1; are these probabilities?",
            path.display()
        ));
    }
    Ok(scores)
}

/// The labels, in the order of radiographs and findings.
pub(super) fn truths_of(cohort: &Cohort) -> Result<Truths, Failure> {
    let labels = cohort.radiographs().iter().flat_map(|one| &one.labels);
    Ok(Truths::new(
        labels.map(|label| label.known()).collect(),
        cohort.findings().len(),
    )?)
}

/// The names of the images, in their order.
pub(super) fn image_names(cohort: &Cohort) -> Vec<&str> {
    cohort
        .radiographs()
        .iter()
        .map(|one| one.image.as_str())
        .collect()
}

/// Whose radiograph each row is.
pub(super) fn patients_of(cohort: &Cohort) -> Vec<&str> {
    cohort
        .radiographs()
        .iter()
        .map(|one| one.patient.key())
        .collect()
}
