//! What a user should know beside the figures: warnings on stderr.

use cxr_data::{Cohort, FindingSet, PatientOverlap, PatientSketch, SharedPatients};
use cxr_infer::LoadedModel;
use cxr_metrics::{Evaluation, OperatingPoint};
use cxr_train::TRAIN_PATIENTS;

use super::table::by_reason;
use crate::console::Console;

/// The published list that the table is, said with what to beware of in it.
pub(super) fn note_known_split(cohort: &Cohort, console: Console) -> Option<&'static str> {
    let known = cohort.known_split()?;
    let (table, name, caution) = (cohort.name(), known.name, known.caution);
    console.note(format_args!("{table} is {name}: {caution}"));
    Some(known.name)
}

/// How many patients of the table the checkpoint was trained on, where it knows them. Says so, and
/// whether it was trained or validated on the very table.
pub(super) fn warn_of_training_data(
    model: &LoadedModel,
    cohort: &Cohort,
    console: Console,
) -> Option<PatientOverlap> {
    let training = &model.header().training;
    let fingerprint = Some(cohort.fingerprint());
    for (split, seen) in [
        ("trained", &training.train_fingerprint),
        ("validated", &training.valid_fingerprint),
    ] {
        if *seen == fingerprint {
            console.warn(format_args!(
                "{}: the checkpoint was {split} on these very radiographs",
                cohort.name()
            ));
        }
    }
    let overlap = sketch_of(model, console)?.overlap(cohort)?;
    if overlap.patients > 0 {
        let estimated = if overlap.is_estimate {
            "an estimated "
        } else {
            ""
        };
        console.warn(format_args!(
            "{}: {estimated}{} of its {} patients were in the checkpoint's training data, by their \
             identifiers: the figures are of people it has seen",
            cohort.name(),
            overlap.patients,
            overlap.of
        ));
    }
    Some(overlap)
}

/// The patients that the checkpoint was trained on. Imported and older ones do not know them.
fn sketch_of(model: &LoadedModel, console: Console) -> Option<PatientSketch> {
    let note = model.header().training.notes.get(TRAIN_PATIENTS)?;
    let read = serde_json::from_value(note.clone());
    if let Err(error) = &read {
        console.warn(format_args!(
            "the checkpoint's note of its patients cannot be read: {error}"
        ));
    }
    read.ok()
}

pub(super) fn warn_of_fall_backs(points: &[OperatingPoint], cohort: &Cohort, console: Console) {
    for (point, finding) in points.iter().zip(cohort.findings().iter()) {
        if let Some(reason) = point.reason {
            let (rule, fall_back) = (point.rule, point.fall_back);
            console.warn(format_args!(
                "{finding}: no threshold by {rule} ({reason} in {}); {fall_back} in its place",
                cohort.name()
            ));
        }
    }
}

pub(super) fn warn_of_shared_patients(valid: &Cohort, test: &Cohort, console: Console) {
    let shared = SharedPatients::between(valid, test, None).train_valid;
    if let Some(first) = shared.first() {
        console.warn(format_args!(
            "{} patients are in both {} and {} ({first}, …): thresholds were chosen on people who \
             are evaluated",
            shared.len(),
            valid.name(),
            test.name()
        ));
    }
}

pub(super) fn warn_of_conventions(evaluation: &Evaluation, console: Console) {
    for finding in &evaluation.findings {
        for (reason, keys) in by_reason(&finding.undefined) {
            console.warn(format_args!(
                "{}: {keys}: {reason}; as scikit-learn has it, shares are 0 and an AUROC is none",
                finding.name
            ));
        }
    }
}

pub(super) fn warn_of_dropped_findings(table: &Cohort, kept: &FindingSet, console: Console) {
    let dropped: Vec<&str> = table
        .findings()
        .iter()
        .map(AsRef::as_ref)
        .filter(|name| kept.index_of(name).is_none())
        .collect();
    if !dropped.is_empty() {
        console.warn(format_args!(
            "{}: labels that nothing is predicted for: {:?}",
            table.name(),
            dropped.join(", ")
        ));
    }
}
