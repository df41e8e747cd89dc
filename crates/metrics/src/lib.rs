//! Pure functions from scores and truths to numbers: f64 in, numbers with reasons out.
//!
//! For whoever holds scores of radiographs and their labels: the training loop ([`History`]), the
//! evaluation of a model ([`evaluate`]), or a test of one definition ([`auroc`], [`Confusion`],
//! [`brier`], …). Definitions are scikit-learn's (1.6 and later), checked to 1e-12; what
//! scikit-learn replaces by 0 or NaN is [`Undefined`] here, with its reason.
//! Deliberately not here: files, tensors, tables, plots, and anything that prints.
//!
//! ```
//! use cxr_metrics::*;
//! // Three radiographs of two patients, two findings; one label is unknown.
//! let logits = Logits::new(vec![2.0, -1.0, -0.5, 0.3, -3.0, 0.8], 2)?;
//! let truths = Truths::new(vec![Some(true), Some(false), Some(true), None, Some(false), Some(false)], 2)?;
//! let findings = ["Edema".to_string(), "Hernia".to_string()];
//! let scores = Scores::Logits(logits);
//! let points = vec![OperatingPoint::half(); 2];
//! let evaluation = evaluate(&EvaluationInput {
//!     findings: &findings, scores: &scores, truths: &truths, patients: &["7", "7", "9"],
//!     operating_points: &points, calibrations: &[], attributes: &[], split_fingerprint: "", convention: Convention::Strict,
//! })?;
//! assert_eq!(evaluation.findings[0].auroc, Some(1.0));
//! assert_eq!(evaluation.findings[0].recall, Some(0.5));
//! assert_eq!(evaluation.findings[1].undefined["auroc"], Undefined::NoPositive);
//! assert_eq!(evaluation.macro_mean.auroc_summary().to_string(), "1.0000 over 1 of 2");
//! # Ok::<(), MetricFault>(())
//! ```

mod accuracy;
mod bootstrap;
mod calibrate;
mod calibration;
mod compare;
mod confusion;
mod curves;
mod decisions;
mod delong;
mod evaluate;
mod evaluation;
mod fault;
mod fit_map;
mod grid;
mod history;
mod interval;
mod logit_map;
mod macro_mean;
mod operating_point;
mod ranking;
mod scores;
mod shares;
mod subgroups;
mod summation;
mod threshold_rule;
mod truths;
mod undefined;

pub use accuracy::{RowAccuracy, label_accuracy, subset_accuracy};
pub use bootstrap::{Bootstrapped, PatientBootstrap, Resample};
pub use calibrate::{CalibrationMethod, FindingCalibration, fit_calibrations};
pub use calibration::{
    Binning, BrierDecomposition, DEFAULT_BINS, ReliabilityBin, ReliabilityCurve, brier,
    log_loss_of_logits, log_loss_of_probabilities,
};
pub use compare::{Comparison, FindingComparison, MacroComparison, PairedDifference, compare};
pub use confusion::Confusion;
pub use curves::{PrecisionRecallCurve, RocCurve};
pub use decisions::{Decisions, Threshold};
pub use delong::{Clusters, Placements, macro_degrees_of_freedom, macro_standard_error};
pub use evaluate::{EvaluationInput, evaluate};
pub use evaluation::{
    Baselines, CalibratedFigures, Convention, Evaluation, FindingBaselines, FindingEvaluation,
    MacroEvaluation, OraclePoint, Reasons,
};
pub use fault::MetricFault;
pub use history::{EpochRecord, History, PassSummary};
pub use interval::{Interval, NORMAL_975};
pub use logit_map::LogitMap;
pub use macro_mean::MacroMean;
pub use operating_point::{OperatingPoint, choose_operating_point, choose_operating_points};
pub use ranking::{Ranking, auroc, average_precision};
pub use scores::{Logits, Probabilities, ScoreScale, Scores};
pub use subgroups::{
    Attribute, Parts, RecallGap, Shortcut, ShortcutFinding, Subgroup, SubgroupFinding,
};
pub use threshold_rule::{RelativeWeight, TargetShare, ThresholdRule};
pub use truths::{Cells, Truths};
pub use undefined::Undefined;
