//! The result of an evaluation, as `evaluate --json` prints it: every figure, or `null` and why.
//!
//! For JSON, tables and pages. Deliberately not here: how the figures come about
//! ([`crate::evaluate`]).

use crate::{
    BrierDecomposition, CalibrationMethod, Confusion, Interval, MacroMean, Parts, ThresholdRule,
    Undefined,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Why figures have no value (or, under [`Convention::SklearnCompat`], a conventional one), by key.
pub type Reasons = BTreeMap<String, Undefined>;

/// What stands for a figure that is not defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Convention {
    /// Nothing, and the reason.
    Strict,
    /// scikit-learn's choice, and the reason: 0 for precision, recall, specificity, F1 and average
    /// precision; NaN for AUROC, which is `null` in JSON, and so is a macro AUROC that holds one.
    SklearnCompat,
}

/// Everything that was measured on a cohort.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Radiographs.
    pub rows: usize,
    /// Patients.
    pub patients: usize,
    /// SHA-256 of the sorted image names.
    pub split_fingerprint: String,
    /// What stands for an undefined figure.
    pub convention: Convention,
    /// One entry a finding.
    pub findings: Vec<FindingEvaluation>,
    /// Means over the findings.
    #[serde(rename = "macro")]
    pub macro_mean: MacroEvaluation,
    /// Share of radiographs whose whole row is right.
    pub subset_accuracy: Option<f64>,
    /// Share of labels that are right.
    pub label_accuracy: Option<f64>,
    /// What saying "negative" to everything, or the prevalence, reaches.
    pub baselines: Baselines,
    /// Groups of radiographs, where attributes were given.
    #[serde(flatten)]
    pub parts: Parts,
    /// Why a figure of this level has no value.
    pub undefined: Reasons,
}

/// What was measured for one finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingEvaluation {
    /// The finding.
    pub name: String,
    /// Positives.
    pub support: usize,
    /// Negatives; what is left of the rows is unknown.
    pub negatives: usize,
    /// Positives ÷ (positives + negatives): the average precision of a score without skill.
    pub prevalence: Option<f64>,
    /// Area under the ROC curve.
    pub auroc: Option<f64>,
    /// Its standard error, patients independent.
    pub auroc_se: Option<f64>,
    /// Its standard error as if radiographs were independent.
    pub auroc_se_delong: Option<f64>,
    /// 95 % interval from `auroc_se`.
    pub auroc_ci: Option<Interval>,
    /// Average precision.
    pub average_precision: Option<f64>,
    /// Threshold in force, as a probability.
    pub threshold: f64,
    /// The same as a logit; `None` for the probabilities 0 and 1.
    pub threshold_logit: Option<f64>,
    /// The rule it was chosen by; the fall-back where the rule found nothing to choose by.
    pub threshold_rule: ThresholdRule,
    /// True positives among predicted ones.
    pub precision: Option<f64>,
    /// Found positives among all; sensitivity.
    pub recall: Option<f64>,
    /// Its 95 % interval, patients independent.
    pub recall_ci: Option<Interval>,
    /// Negatives left alone.
    pub specificity: Option<f64>,
    /// Its 95 % interval, patients independent.
    pub specificity_ci: Option<Interval>,
    /// Harmonic mean of precision and recall.
    pub f1: Option<f64>,
    /// The four counts at the threshold.
    pub confusion: Confusion,
    /// What the rule would have chosen on these very radiographs: too good, and shown so that the
    /// distance of the carried point is.
    pub oracle: Option<OraclePoint>,
    /// Brier score.
    pub brier: Option<f64>,
    /// Log loss.
    pub log_loss: Option<f64>,
    /// Expected calibration error over 15 bins of equal width.
    pub ece: Option<f64>,
    /// The same over 15 bins of equal mass.
    pub ece_equal_mass: Option<f64>,
    /// The `ece` that probabilities exactly right would show on so many radiographs, by chance.
    pub ece_by_chance: Option<f64>,
    /// The Brier score's three parts on the bins of equal width.
    pub brier_parts: Option<BrierDecomposition>,
    /// What needs no model.
    pub baselines: FindingBaselines,
    /// Calibration before and after each way to mend it; empty where none was fitted.
    pub calibrations: Vec<CalibratedFigures>,
    /// Why a figure has no value, by its key; `threshold` where the fall-back is in force.
    pub undefined: Reasons,
}

/// A threshold chosen on the radiographs that it is measured on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OraclePoint {
    /// The rule; where a fixed 0.5 is in force, Youden's.
    pub rule: ThresholdRule,
    /// The threshold, as a probability.
    pub threshold: f64,
    /// The same as a logit; `None` for the probabilities 0 and 1.
    pub threshold_logit: Option<f64>,
    /// Precision there.
    pub precision: Option<f64>,
    /// Recall there.
    pub recall: Option<f64>,
    /// Specificity there.
    pub specificity: Option<f64>,
    /// F1 there.
    pub f1: Option<f64>,
}

/// What a constant reaches for one finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FindingBaselines {
    /// F1 of saying "positive" to everything.
    pub f1_all_positive: Option<f64>,
    /// Brier score of saying the prevalence.
    pub brier_prevalence: Option<f64>,
    /// Log loss of saying the prevalence.
    pub log_loss_prevalence: Option<f64>,
}

/// Calibration of one finding's probabilities after one way to mend it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibratedFigures {
    /// The way.
    pub method: CalibrationMethod,
    /// Whether calibrated probabilities come from it.
    pub in_force: bool,
    /// Factor of the logit; `None` where the map does not exist.
    pub slope: Option<f64>,
    /// What is added to it.
    pub intercept: Option<f64>,
    /// Least probability of the map; 0 for most.
    #[serde(default)]
    pub floor: Option<f64>,
    /// Largest probability of the map; 1 for most.
    #[serde(default)]
    pub ceiling: Option<f64>,
    /// What is added to the calibrated logit for another prevalence; 0 for most.
    #[serde(default)]
    pub shift: Option<f64>,
    /// Mean probability, to be held against the prevalence.
    pub mean_probability: Option<f64>,
    /// Brier score.
    pub brier: Option<f64>,
    /// Log loss.
    pub log_loss: Option<f64>,
    /// Expected calibration error over 15 bins of equal width.
    pub ece: Option<f64>,
    /// The same over 15 bins of equal mass.
    pub ece_equal_mass: Option<f64>,
    /// The `ece` that probabilities exactly right would show by chance.
    pub ece_by_chance: Option<f64>,
    /// Why a figure has no value, by its key; `map` where the map does not exist.
    pub undefined: Reasons,
}

/// Means over the findings where a figure is defined.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MacroEvaluation {
    /// Mean AUROC.
    pub auroc: Option<f64>,
    /// Its standard error, patients independent.
    pub auroc_se: Option<f64>,
    /// 95 % interval from `auroc_se`.
    pub auroc_ci: Option<Interval>,
    /// Findings in the mean AUROC.
    pub over: usize,
    /// Findings there are.
    pub of: usize,
    /// Mean average precision.
    pub average_precision: Option<f64>,
    /// Findings in it.
    pub average_precision_over: usize,
    /// Mean F1.
    pub f1: Option<f64>,
    /// Findings in it.
    pub f1_over: usize,
    /// Why a mean has no value.
    pub undefined: Reasons,
}

impl MacroEvaluation {
    /// The mean AUROC with its "k of n".
    pub fn auroc_summary(&self) -> MacroMean {
        MacroMean {
            value: self.auroc,
            over: self.over,
            of: self.of,
        }
    }
}

/// The value, or a note of why there is none.
pub(crate) fn keep<T>(
    undefined: &mut Reasons,
    key: &str,
    value: Result<T, Undefined>,
) -> Option<T> {
    value
        .map_err(|reason| undefined.insert(key.to_string(), reason))
        .ok()
}

/// What needs no model reaches on the same rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baselines {
    /// Subset accuracy of all-negative decisions.
    pub subset_accuracy_all_negative: Option<f64>,
    /// Their label accuracy.
    pub label_accuracy_all_negative: Option<f64>,
    /// Mean prevalence of the findings that the macro average precision is a mean over: what it is
    /// without skill. The AUROC without skill is one half.
    pub average_precision_no_skill: Option<f64>,
}
