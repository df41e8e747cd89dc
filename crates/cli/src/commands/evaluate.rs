//! `cxr evaluate`: every metric of scores against a table of labels.
//!
//! The scores come from a table of predictions, ours or anybody's; another source fits in beside
//! `from_predictions`, which makes the `Subject` that `run` measures.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use cxr_data::{Cohort, FindingSet, ReadOptions, SharedPatients, Uncertain, read_cohort};
use cxr_infer::Predictions;
use cxr_metrics::{
    Convention, Evaluation, EvaluationInput, FindingEvaluation, OperatingPoint, Reasons,
    ScoreScale, Scores, ThresholdRule, Truths, choose_operating_points, evaluate,
};
use serde::Serialize;

use super::Outcome;
use crate::console::Console;
use crate::failure::Failure;

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Scores to evaluate: a CSV of Image,PatientId and one column a finding.
    #[arg(long, value_name = "CSV")]
    predictions: PathBuf,
    /// The table of labels.
    #[arg(long, value_name = "CSV")]
    table: PathBuf,
    /// What the predictions are.
    #[arg(long, value_name = "SCALE", default_value = "probability", value_parser = scale_parser())]
    scores: ScoreScale,
    /// How thresholds are chosen.
    #[arg(long, value_name = "RULE", default_value = "0.5", value_parser = rule_parser())]
    thresholds: ThresholdRule,
    /// Predictions of valid, where thresholds are chosen.
    #[arg(long, value_name = "CSV", requires = "thresholds_table")]
    thresholds_from: Option<PathBuf>,
    /// The table of labels of valid.
    #[arg(long, value_name = "CSV", requires = "thresholds_from")]
    thresholds_table: Option<PathBuf>,
    /// What −1 and empty labels mean: refuse, zeros, ones or ignore.
    #[arg(long, value_name = "POLICY", default_value = "refuse")]
    uncertain: Uncertain,
    /// 0 or no mean in place of undefined figures, as scikit-learn has it, with a warning.
    #[arg(long)]
    sklearn_compat: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

fn scale_parser() -> impl TypedValueParser<Value = ScoreScale> {
    PossibleValuesParser::new(["probability", "logit"]).map(|name| match name.as_str() {
        "logit" => ScoreScale::Logit,
        _ => ScoreScale::Probability,
    })
}

fn rule_parser() -> impl TypedValueParser<Value = ThresholdRule> {
    PossibleValuesParser::new(ThresholdRule::NAMES).try_map(|name| name.parse::<ThresholdRule>())
}

/// Where the thresholds come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum ThresholdsFrom {
    /// Fixed beforehand.
    Fixed,
    /// Chosen on another cohort.
    Valid,
    /// Chosen on the very radiographs that are evaluated.
    InSample,
}

/// What is measured.
struct Subject {
    cohort: Cohort,
    scores: Scores,
    operating_points: Vec<OperatingPoint>,
    thresholds_from: ThresholdsFrom,
}

/// What `--json` prints: the evaluation's keys, and one that says how honest its thresholds are.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    thresholds_from: ThresholdsFrom,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    let subject = from_predictions(args, console)?;
    let convention =
        if args.sklearn_compat { Convention::SklearnCompat } else { Convention::Strict };
    let evaluation = measure(&subject, convention)?;
    if args.sklearn_compat {
        warn_of_conventions(&evaluation, console);
    }
    if console.wants_json() {
        let thresholds_from = subject.thresholds_from;
        console.json(&Printed { evaluation: &evaluation, thresholds_from })?;
    } else {
        console.line(Table { evaluation: &evaluation, name: subject.cohort.name() });
    }
    Ok(Outcome::Done)
}

fn from_predictions(args: &Args, console: Console) -> Result<Subject, Failure> {
    let cohort = read_labels(&args.table, args.uncertain, None, console)?;
    let scores = read_scores(&args.predictions, args.scores, &cohort, console)?;
    let (operating_points, thresholds_from) = choose_thresholds(args, &cohort, &scores, console)?;
    Ok(Subject { cohort, scores, operating_points, thresholds_from })
}

fn measure(subject: &Subject, convention: Convention) -> Result<Evaluation, Failure> {
    let cohort = &subject.cohort;
    let patients: Vec<&str> = cohort.radiographs().iter().map(|one| one.patient.key()).collect();
    Ok(evaluate(&EvaluationInput {
        findings: &cohort.findings().to_strings(),
        scores: &subject.scores,
        truths: &truths_of(cohort)?,
        patients: &patients,
        operating_points: &subject.operating_points,
        split_fingerprint: &cohort.fingerprint(),
        convention,
    })?)
}

/// A table of labels, in the order of some findings where they are given.
fn read_labels(
    path: &Path,
    uncertain: Uncertain,
    findings: Option<&FindingSet>,
    console: Console,
) -> Result<Cohort, Failure> {
    let read = read_cohort(path, &ReadOptions { uncertain })?;
    read.warnings.iter().for_each(|warning| console.warn(warning));
    match findings {
        Some(findings) => Ok(read.cohort.in_finding_order(findings)?),
        None => Ok(read.cohort),
    }
}

/// The scores of a cohort's radiographs, in its order of radiographs and findings.
fn read_scores(
    path: &Path,
    scale: ScoreScale,
    cohort: &Cohort,
    console: Console,
) -> Result<Scores, Failure> {
    let predictions = Predictions::read(path, scale, &cohort.findings().to_strings())?;
    if !predictions.unused_columns().is_empty() {
        let names = predictions.unused_columns().join(", ");
        console.warn(format_args!("{}: columns that no label belongs to: {names:?}", path.display()));
    }
    let images: Vec<&str> = cohort.radiographs().iter().map(|one| one.image.as_str()).collect();
    let scores = predictions.matched_to(&images)?;
    if scores.scale() == ScoreScale::Logit && scores.lie_between_0_and_1() {
        console.warn(format_args!(
            "{}: every logit lies between 0 and 1; are these probabilities?",
            path.display()
        ));
    }
    Ok(scores)
}

fn choose_thresholds(
    args: &Args,
    cohort: &Cohort,
    scores: &Scores,
    console: Console,
) -> Result<(Vec<OperatingPoint>, ThresholdsFrom), Failure> {
    let rule = args.thresholds;
    match (&args.thresholds_from, &args.thresholds_table) {
        (Some(_), Some(_)) if rule == ThresholdRule::Half => Err(Failure::usage(
            "--thresholds-from has nothing to choose by the rule 0.5",
            "name a rule, such as --thresholds youden, or leave --thresholds-from out",
        )),
        (Some(predictions), Some(table)) => {
            let valid = read_labels(table, args.uncertain, Some(cohort.findings()), console)?;
            warn_of_shared_patients(&valid, cohort, console);
            let of_valid = read_scores(predictions, args.scores, &valid, console)?;
            let points = choose_operating_points(&of_valid, &truths_of(&valid)?, rule)?;
            warn_of_fall_backs(&points, &valid, console);
            Ok((points, ThresholdsFrom::Valid))
        }
        _ if rule == ThresholdRule::Half => {
            Ok((vec![OperatingPoint::half(); cohort.findings().len()], ThresholdsFrom::Fixed))
        }
        _ => {
            console.warn(
                "thresholds are chosen on the radiographs under evaluation, so precision, recall, \
                 specificity, F1 and accuracy are too good; give --thresholds-from and \
                 --thresholds-table",
            );
            let points = choose_operating_points(scores, &truths_of(cohort)?, rule)?;
            warn_of_fall_backs(&points, cohort, console);
            Ok((points, ThresholdsFrom::InSample))
        }
    }
}

fn warn_of_fall_backs(points: &[OperatingPoint], cohort: &Cohort, console: Console) {
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

fn warn_of_shared_patients(valid: &Cohort, test: &Cohort, console: Console) {
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

fn warn_of_conventions(evaluation: &Evaluation, console: Console) {
    for finding in &evaluation.findings {
        for (reason, keys) in by_reason(&finding.undefined) {
            console.warn(format_args!(
                "{}: {keys}: {reason}; as scikit-learn has it, shares are 0 and an AUROC is none",
                finding.name
            ));
        }
    }
}

fn truths_of(cohort: &Cohort) -> Result<Truths, Failure> {
    let labels = cohort.radiographs().iter().flat_map(|one| &one.labels);
    Ok(Truths::new(labels.map(|label| label.known()).collect(), cohort.findings().len())?)
}

/// The evaluation for people.
struct Table<'a> {
    evaluation: &'a Evaluation,
    name: &'a str,
}

const HEADER: [&str; 11] = [
    "finding", "positives", "AUROC", "95 %", "AP", "threshold", "precision", "recall",
    "specificity", "F1", "Brier",
];

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let evaluation = self.evaluation;
        writeln!(
            f,
            "{}: {} radiographs of {} patients, fingerprint {:.12}\n",
            self.name, evaluation.rows, evaluation.patients, evaluation.split_fingerprint
        )?;
        let mut rows = vec![HEADER.map(str::to_string)];
        rows.extend(evaluation.findings.iter().map(row_of));
        rows.push(macro_row(evaluation));
        write_aligned(f, &rows)?;
        let mean = &evaluation.macro_mean;
        let baselines = &evaluation.baselines;
        writeln!(f, "\nmacro: AUROC over {} of {}, AP over {}, F1 over {} findings",
            mean.over, mean.of, mean.average_precision_over, mean.f1_over)?;
        writeln!(f, "subset accuracy {} (all-negative {})",
            shown(evaluation.subset_accuracy), shown(baselines.subset_accuracy_all_negative))?;
        write!(f, "label accuracy  {} (all-negative {})",
            shown(evaluation.label_accuracy), shown(baselines.label_accuracy_all_negative))?;
        for finding in &evaluation.findings {
            for (reason, keys) in by_reason(&finding.undefined) {
                write!(f, "\n{}: {keys}: {reason}", finding.name)?;
            }
        }
        for (reason, keys) in by_reason(&mean.undefined) {
            write!(f, "\nmacro: {keys}: {reason}")?;
        }
        Ok(())
    }
}

fn row_of(finding: &FindingEvaluation) -> [String; 11] {
    [
        finding.name.clone(),
        finding.support.to_string(),
        shown(finding.auroc),
        finding.auroc_ci.map_or_else(none, |ci| format!("{:.3}–{:.3}", ci.lower, ci.upper)),
        shown(finding.average_precision),
        shown(Some(finding.threshold)),
        shown(finding.precision),
        shown(finding.recall),
        shown(finding.specificity),
        shown(finding.f1),
        shown(finding.brier),
    ]
}

fn macro_row(evaluation: &Evaluation) -> [String; 11] {
    let mean = &evaluation.macro_mean;
    let mut row = [const { String::new() }; 11];
    row[0] = "macro".to_string();
    row[2] = shown(mean.auroc);
    row[3] = mean.auroc_ci.map_or_else(none, |ci| format!("{:.3}–{:.3}", ci.lower, ci.upper));
    row[4] = shown(mean.average_precision);
    row[9] = shown(mean.f1);
    row
}

fn write_aligned(f: &mut fmt::Formatter<'_>, rows: &[[String; 11]]) -> fmt::Result {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 11] = std::array::from_fn(width);
    for row in rows {
        write!(f, "{:<width$}", row[0], width = widths[0])?;
        for (cell, width) in row.iter().zip(widths).skip(1) {
            write!(f, "  {cell:>width$}")?;
        }
        writeln!(f)?;
    }
    Ok(())
}

/// Keys of undefined figures, joined, for each reason.
fn by_reason(undefined: &Reasons) -> Vec<(String, String)> {
    let mut reasons: Vec<_> = undefined.values().copied().collect();
    reasons.sort_unstable();
    reasons.dedup();
    let keys_of = |wanted| {
        let keys = undefined.iter().filter(move |(_, reason)| **reason == wanted);
        keys.map(|(key, _)| key.as_str()).collect::<Vec<_>>().join(", ")
    };
    reasons.into_iter().map(|reason| (reason.to_string(), keys_of(reason))).collect()
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(none, |value| format!("{value:.4}"))
}

/// What has no value is neither 0 nor a blank.
fn none() -> String {
    "–".to_string()
}
