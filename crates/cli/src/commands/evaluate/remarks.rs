//! What a user should know beside the figures: warnings on stderr.

use cxr_data::{Cohort, FindingSet, SharedPatients};
use cxr_infer::LoadedModel;
use cxr_metrics::{Evaluation, OperatingPoint};

use super::table::by_reason;
use crate::console::Console;

pub(super) fn warn_of_training_data(model: &LoadedModel, cohort: &Cohort, console: Console) {
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
