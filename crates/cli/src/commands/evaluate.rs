//! `cxr evaluate`: every metric of a checkpoint, or of anybody's predictions, against labels.
//!
//! Each source of scores has a function that makes the `Subject` that `run` measures.

mod gate;
mod remarks;
mod table;

use std::path::{Path, PathBuf};

use clap::ArgGroup;
use cxr_augment::{CacheEvent, ImageFolder, Keep, PixelCache};
use cxr_data::{Cohort, FindingSet, PatientOverlap, Uncertain};
use cxr_infer::LoadedModel;
use cxr_metrics::{
    Convention, Evaluation, EvaluationInput, FindingCalibration, MetricFault, OperatingPoint,
    ScoreScale, Scores, ThresholdRule, choose_operating_points, evaluate, fit_calibrations,
};
use cxr_train::attributes_of;
use serde::Serialize;

use self::gate::Gate;
use self::remarks::{
    note_known_split, warn_of_conventions, warn_of_dropped_findings, warn_of_fall_backs,
    warn_of_shared_patients, warn_of_training_data,
};
use self::table::Table;
use super::Outcome;
use super::cache_words::CacheWords;
use super::compute_words::ComputeWords;
use super::scored_cohort::{
    image_names, patients_of, read_scores, read_table, scale_parser, truths_of,
};
use crate::console::Console;
use crate::failure::{Failure, Fault};

/// What can be typed.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("source").required(true).args(["predictions", "checkpoint"])))]
pub(crate) struct Args {
    /// Scores to evaluate: a CSV of Image,PatientId and one column a finding.
    #[arg(long, value_name = "CSV")]
    predictions: Option<PathBuf>,
    /// A checkpoint to run over the table's images.
    #[arg(long, value_name = "C", requires = "images")]
    checkpoint: Option<PathBuf>,
    /// The folder of the table's images.
    #[arg(long, value_name = "DIR", requires = "checkpoint")]
    images: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheWords,
    #[command(flatten)]
    compute: ComputeWords,
    /// The table of labels.
    #[arg(long, value_name = "CSV")]
    table: PathBuf,
    /// What tables of predictions hold.
    #[arg(long, value_name = "SCALE", default_value = "probability", value_parser = scale_parser())]
    scores: ScoreScale,
    /// How thresholds are chosen: 0.5, youden, max-f1, f-beta=2, sensitivity=0.9, specificity=0.95,
    /// ppv=0.5 or cost=5, the numbers being yours; otherwise the checkpoint's own, or 0.5.
    #[arg(long, value_name = "RULE", value_parser = read_rule)]
    thresholds: Option<ThresholdRule>,
    /// Predictions of valid, where thresholds are chosen.
    #[arg(long, value_name = "CSV", requires = "thresholds_table")]
    thresholds_from: Option<PathBuf>,
    /// The table of labels of valid.
    #[arg(long, value_name = "CSV", requires = "thresholds_from")]
    thresholds_table: Option<PathBuf>,
    /// What −1 and empty labels mean: refuse, zeros, ones or ignore.
    #[arg(long, value_name = "POLICY", default_value = "refuse")]
    uncertain: Uncertain,
    #[command(flatten)]
    gate: Gate,
    /// 0 or no mean in place of undefined figures, as scikit-learn has it, with a warning.
    #[arg(long)]
    sklearn_compat: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A rule, or what is wrong with it and what would be right, in one line.
fn read_rule(text: &str) -> Result<ThresholdRule, String> {
    text.parse()
        .map_err(|fault: MetricFault| format!("{fault}: {}", fault.help().unwrap_or_default()))
}

/// Where the thresholds come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum ThresholdsFrom {
    /// Fixed beforehand.
    Fixed,
    /// Chosen when the checkpoint was made.
    Checkpoint,
    /// Chosen on another cohort.
    Valid,
    /// Chosen on the very radiographs that are evaluated.
    InSample,
}

/// What is measured.
struct Subject {
    cohort: Cohort,
    scores: Scores,
    chosen: Chosen,
    training_overlap: Option<PatientOverlap>,
}

/// What was chosen elsewhere, or should have been.
struct Chosen {
    operating_points: Vec<OperatingPoint>,
    calibrations: Vec<FindingCalibration>,
    thresholds_from: ThresholdsFrom,
}

/// What `--json` prints: the evaluation's keys, and those that say how honest it is.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    thresholds_from: ThresholdsFrom,
    /// The published list that was evaluated on.
    known_as: Option<&'static str>,
    /// How many patients the checkpoint was trained on too; `null` where that is not known.
    training_overlap: Option<PatientOverlap>,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    let subject = match (&args.predictions, &args.checkpoint, &args.images) {
        (Some(predictions), _, _) => from_predictions(args, predictions, console)?,
        (_, Some(checkpoint), Some(images)) => from_checkpoint(args, checkpoint, images, console)?,
        _ => {
            return Err(Failure::usage(
                "nothing to evaluate",
                "give --predictions, or --checkpoint with --images",
            ));
        }
    };
    let convention = if args.sklearn_compat {
        Convention::SklearnCompat
    } else {
        Convention::Strict
    };
    let evaluation = measure(&subject, convention)?;
    let known_as = note_known_split(&subject.cohort, console);
    if args.sklearn_compat {
        warn_of_conventions(&evaluation, console);
    }
    if console.wants_json() {
        let thresholds_from = subject.chosen.thresholds_from;
        console.json(&Printed {
            evaluation: &evaluation,
            thresholds_from,
            known_as,
            training_overlap: subject.training_overlap,
        })?;
    } else {
        console.line(Table {
            evaluation: &evaluation,
            name: subject.cohort.name(),
        });
    }
    Ok(args.gate.judge(&evaluation, console))
}

fn from_predictions(args: &Args, path: &Path, console: Console) -> Result<Subject, Failure> {
    let cohort = read_labels(&args.table, args.uncertain, None, console)?;
    let scores = read_scores(path, args.scores, &cohort, console)?;
    let rule = args.thresholds.unwrap_or(ThresholdRule::Half);
    let chosen = choose(args, rule, &cohort, &scores, console)?;
    Ok(Subject {
        cohort,
        scores,
        chosen,
        training_overlap: None,
    })
}

fn from_checkpoint(
    args: &Args,
    checkpoint: &Path,
    images: &Path,
    console: Console,
) -> Result<Subject, Failure> {
    let model = LoadedModel::open(checkpoint)?;
    let findings = FindingSet::from_names(model.findings().to_vec())?;
    let cohort = read_labels(&args.table, args.uncertain, Some(&findings), console)?;
    let training_overlap = warn_of_training_data(&model, &cohort, console);
    let folder = ImageFolder::open(images)?;
    let predictor = model.predictor(&args.compute.compute())?;
    let cache = open_cache(&model, &cohort, (&folder, &args.cache.keep()), console)?;
    let scores = Scores::Logits(predictor.logits(&cache)?);
    let mut chosen = match args.thresholds {
        Some(rule) => choose(args, rule, &cohort, &scores, console)?,
        None if args.thresholds_from.is_some() => return Err(no_rule()),
        None => Chosen {
            operating_points: model.operating_points()?,
            calibrations: Vec::new(),
            thresholds_from: ThresholdsFrom::Checkpoint,
        },
    };
    if chosen.calibrations.is_empty() {
        chosen.calibrations = model.calibrations()?;
    }
    Ok(Subject {
        cohort,
        scores,
        chosen,
        training_overlap,
    })
}

/// A cohort's images as the checkpoint wants them.
fn open_cache(
    model: &LoadedModel,
    cohort: &Cohort,
    (folder, keep): (&ImageFolder, &Keep),
    console: Console,
) -> Result<PixelCache, Failure> {
    let names = image_names(cohort);
    let tell = |event: CacheEvent<'_>| {
        if !matches!(event, CacheEvent::Ready(_)) {
            console.warn(event);
        }
    };
    let cache =
        PixelCache::open(folder, &names, model.preprocess(), keep, &tell).map_err(|faults| {
            Failure::of_many(faults.iter().map(Fault::from).collect(), faults.len())
        })?;
    cache
        .warnings()
        .iter()
        .for_each(|warning| console.warn(warning));
    Ok(cache)
}

fn measure(subject: &Subject, convention: Convention) -> Result<Evaluation, Failure> {
    let cohort = &subject.cohort;
    let patients = patients_of(cohort);
    Ok(evaluate(&EvaluationInput {
        findings: &cohort.findings().to_strings(),
        scores: &subject.scores,
        truths: &truths_of(cohort)?,
        patients: &patients,
        operating_points: &subject.chosen.operating_points,
        calibrations: &subject.chosen.calibrations,
        attributes: &attributes_of(cohort),
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
    let cohort = read_table(path, uncertain, console)?;
    match findings {
        Some(findings) => {
            warn_of_dropped_findings(&cohort, findings, console);
            Ok(cohort.in_finding_order(findings)?)
        }
        None => Ok(cohort),
    }
}

/// Operating points and calibrations: from valid where it is given.
fn choose(
    args: &Args,
    rule: ThresholdRule,
    cohort: &Cohort,
    scores: &Scores,
    console: Console,
) -> Result<Chosen, Failure> {
    match (&args.thresholds_from, &args.thresholds_table) {
        (Some(_), Some(_)) if rule == ThresholdRule::Half => Err(no_rule()),
        (Some(predictions), Some(table)) => {
            let valid = read_labels(table, args.uncertain, Some(cohort.findings()), console)?;
            warn_of_shared_patients(&valid, cohort, console);
            let of_valid = read_scores(predictions, args.scores, &valid, console)?;
            let truths = truths_of(&valid)?;
            let operating_points = choose_operating_points(&of_valid, &truths, rule)?;
            warn_of_fall_backs(&operating_points, &valid, console);
            let names = valid.findings().to_strings();
            let unknown_weights = vec![1.0; names.len()];
            Ok(Chosen {
                operating_points,
                calibrations: fit_calibrations(&names, &of_valid, &truths, &unknown_weights)?,
                thresholds_from: ThresholdsFrom::Valid,
            })
        }
        _ if rule == ThresholdRule::Half => Ok(Chosen {
            operating_points: vec![OperatingPoint::half(); cohort.findings().len()],
            calibrations: Vec::new(),
            thresholds_from: ThresholdsFrom::Fixed,
        }),
        _ => {
            console.warn(
                "thresholds are chosen on the radiographs under evaluation, so precision, recall, \
                 specificity, F1 and accuracy are too good; give --thresholds-from and \
                 --thresholds-table",
            );
            let operating_points = choose_operating_points(scores, &truths_of(cohort)?, rule)?;
            warn_of_fall_backs(&operating_points, cohort, console);
            Ok(Chosen {
                operating_points,
                calibrations: Vec::new(),
                thresholds_from: ThresholdsFrom::InSample,
            })
        }
    }
}

fn no_rule() -> Failure {
    Failure::usage(
        "--thresholds-from has no rule to choose by",
        "name one, such as --thresholds youden, or leave --thresholds-from out",
    )
}
