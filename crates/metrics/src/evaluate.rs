//! From scores, truths and operating points to an [`Evaluation`].
//!
//! Deliberately not here: the choice of operating points, which never sees these radiographs.

use crate::accuracy::{label_accuracy, subset_accuracy};
use crate::evaluation::keep;
use crate::shares::ClusteredShare;
use crate::subgroups::Whole;
use crate::{
    Attribute, Baselines, Cells, Clusters, Confusion, Convention, Decisions, Evaluation,
    FindingCalibration, FindingEvaluation, Interval, MacroEvaluation, MacroMean, MetricFault,
    OperatingPoint, OraclePoint, Parts, Placements, Ranking, Reasons, Scores, Threshold,
    ThresholdRule, Truths, Undefined, choose_operating_point, macro_standard_error,
};
use rayon::prelude::*;

mod said;

use said::Said;

/// What is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct EvaluationInput<'a, Patient> {
    /// The findings' names, in the order of the columns.
    pub findings: &'a [String],
    /// What the model said.
    pub scores: &'a Scores,
    /// What was so.
    pub truths: &'a Truths,
    /// Whose radiograph each row is.
    pub patients: &'a [Patient],
    /// One a finding, chosen elsewhere.
    pub operating_points: &'a [OperatingPoint],
    /// How logits are mended, one a finding, fitted elsewhere; empty for not at all.
    pub calibrations: &'a [FindingCalibration],
    /// What puts radiographs into groups; empty for nothing.
    pub attributes: &'a [Attribute],
    /// Which radiographs these are.
    pub split_fingerprint: &'a str,
    /// What stands for an undefined figure.
    pub convention: Convention,
}

/// Every figure of these radiographs. Findings are measured in parallel; no figure depends on it.
///
/// # Errors
/// [`MetricFault::SizeMismatch`] where sizes do not agree.
pub fn evaluate<Patient: AsRef<str> + Sync>(
    input: &EvaluationInput<'_, Patient>,
) -> Result<Evaluation, MetricFault> {
    check_sizes(input)?;
    let thresholds: Vec<Threshold> = input
        .operating_points
        .iter()
        .map(OperatingPoint::threshold)
        .collect();
    let decisions = Decisions::at(input.scores, &thresholds)?;
    let clusters = Clusters::by_name(input.patients);

    let measured: Vec<Measured> = (0..input.findings.len())
        .into_par_iter()
        .map(|finding| measure_finding(input, &clusters, finding))
        .collect();
    let whole = Whole {
        findings: input.findings,
        scores: input.scores,
        truths: input.truths,
        clusters: &clusters,
        thresholds: &thresholds,
    };
    let parts = Parts::of(&whole, input.attributes)?;
    let macro_mean = average(&measured, clusters.n_clusters(), input.convention);

    let figures = measured.iter().map(|measured| &measured.figures);
    let no_skill = MacroMean::of(
        figures
            .filter(|figures| figures.average_precision.is_some())
            .map(|figures| figures.prevalence),
    )
    .value;

    let mut undefined = Reasons::new();
    let subset = keep(
        &mut undefined,
        "subset_accuracy",
        subset_accuracy(&decisions, input.truths)?,
    );
    let label = keep(
        &mut undefined,
        "label_accuracy",
        label_accuracy(&decisions, input.truths)?,
    );
    Ok(Evaluation {
        rows: input.scores.n_rows(),
        patients: clusters.n_clusters(),
        split_fingerprint: input.split_fingerprint.to_string(),
        convention: input.convention,
        findings: measured
            .into_iter()
            .map(|measured| measured.figures)
            .collect(),
        macro_mean,
        subset_accuracy: subset.map(|accuracy| accuracy.value),
        label_accuracy: label.map(|accuracy| accuracy.value),
        baselines: Baselines {
            subset_accuracy_all_negative: subset.map(|accuracy| accuracy.all_negative),
            label_accuracy_all_negative: label.map(|accuracy| accuracy.all_negative),
            average_precision_no_skill: no_skill,
        },
        parts,
        undefined,
    })
}

/// One finding's figures, and each patient's influence on its AUROC.
struct Measured {
    figures: FindingEvaluation,
    influence: Option<Vec<f64>>,
}

fn measure_finding<Patient>(
    input: &EvaluationInput<'_, Patient>,
    clusters: &Clusters,
    finding: usize,
) -> Measured {
    let cells = Cells::gather(input.scores.grid(), input.truths, finding);
    let patients = clusters.of_rows(&cells.rows);
    let point = &input.operating_points[finding];
    let ranking = Ranking::new(&cells.scores, &cells.truths);

    let mut undefined = Reasons::new();
    let ranked = (ranking.as_ref(), patients.as_slice());
    let discrimination = Discrimination::of(&cells, ranked, &mut undefined, input.convention);
    let limit = point.threshold().on(input.scores.scale());
    let decided = Decided::of(&cells, limit, &mut undefined, input.convention);
    let mut share_interval = |key, class, reason| {
        let share = class_share(&cells, &patients, limit, class).ok_or(reason);
        keep(&mut undefined, key, share.map(|share| share.interval()))
    };
    let recall_ci = share_interval("recall_ci", true, Undefined::NoPositive);
    let specificity_ci = share_interval("specificity_ci", false, Undefined::NoNegative);
    let oracle = keep(
        &mut undefined,
        "oracle",
        oracle(&cells, input.scores, point),
    );
    let said = Said::of(&cells, input.scores.scale());
    let calibration = said.figures(&mut undefined);
    if let Some(reason) = point.reason {
        undefined.insert("threshold".to_string(), reason);
    }
    let support = cells.truths.iter().filter(|&&truth| truth).count();
    let figures = FindingEvaluation {
        name: input.findings[finding].clone(),
        support,
        negatives: cells.truths.len() - support,
        prevalence: keep(
            &mut undefined,
            "prevalence",
            said.prevalence.ok_or(Undefined::NoKnownLabel),
        ),
        auroc: discrimination.auroc,
        auroc_se: discrimination.clustered,
        auroc_se_delong: discrimination.delong,
        auroc_ci: discrimination.interval,
        average_precision: discrimination.average_precision,
        threshold: point.threshold().probability(),
        threshold_logit: finite(point.threshold_logit()),
        threshold_rule: rule_in_force(point),
        precision: decided.precision,
        recall: decided.recall,
        recall_ci,
        specificity: decided.specificity,
        specificity_ci,
        f1: decided.f1,
        confusion: decided.counts,
        oracle,
        brier: calibration.brier,
        log_loss: calibration.log_loss,
        ece: calibration.ece,
        ece_equal_mass: calibration.ece_equal_mass,
        ece_by_chance: calibration.ece_by_chance,
        brier_parts: calibration.brier_parts,
        baselines: said.baselines(),
        calibrations: input
            .calibrations
            .get(finding)
            .map_or_else(Vec::new, |fitted| said.mended(fitted)),
        undefined,
    };
    Measured {
        figures,
        influence: discrimination.influence,
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn rule_in_force(point: &OperatingPoint) -> ThresholdRule {
    if point.own.is_some() {
        point.rule
    } else {
        point.fall_back
    }
}

/// Share of one class whose decision is right, with its patients.
fn class_share(
    cells: &Cells,
    patients: &[usize],
    limit: f64,
    class: bool,
) -> Option<ClusteredShare> {
    let of_class = |&place: &usize| cells.truths[place] == class;
    let cases = (0..cells.truths.len())
        .filter(of_class)
        .map(|place| (patients[place], (cells.scores[place] >= limit) == class));
    let n_patients = patients.iter().max().map_or(0, |last| last + 1);
    ClusteredShare::of(cases, n_patients)
}

/// The point that the rule chooses on these very radiographs.
fn oracle(
    cells: &Cells,
    scores: &Scores,
    carried: &OperatingPoint,
) -> Result<OraclePoint, Undefined> {
    let rule = match carried.rule {
        ThresholdRule::Half => ThresholdRule::Youden,
        rule => rule,
    };
    let point = choose_operating_point(cells, scores.scale(), rule);
    let own = match (point.own, point.reason) {
        (Some(own), _) => own,
        (None, reason) => return Err(reason.unwrap_or(Undefined::NoKnownLabel)),
    };
    let counts = Confusion::at(&cells.scores, &cells.truths, own.on(scores.scale()))?;
    Ok(OraclePoint {
        rule,
        threshold: own.probability(),
        threshold_logit: finite(own.logit()),
        precision: point.precision,
        recall: point.recall,
        specificity: point.specificity,
        f1: counts.f1().ok(),
    })
}

/// Figures of the order of scores.
struct Discrimination {
    auroc: Option<f64>,
    clustered: Option<f64>,
    delong: Option<f64>,
    interval: Option<Interval>,
    average_precision: Option<f64>,
    influence: Option<Vec<f64>>,
}

impl Discrimination {
    fn of(
        cells: &Cells,
        (ranking, patients): (Result<&Ranking, &Undefined>, &[usize]),
        undefined: &mut Reasons,
        convention: Convention,
    ) -> Self {
        let ranking = ranking.map_err(|&reason| reason);
        let placements = ranking.and_then(|r| Placements::of(r, &cells.truths));
        let auroc = placements
            .as_ref()
            .map(Placements::auroc)
            .map_err(|&reason| reason);
        let with = |measure: &dyn Fn(&Placements) -> Result<f64, Undefined>| {
            placements
                .as_ref()
                .map_err(|&reason| reason)
                .and_then(measure)
        };
        let clustered = with(&|p| p.clustered_standard_error(patients));
        let interval = auroc.and_then(|value| Interval::of_share(value, clustered?));
        let precision = ranking.and_then(Ranking::average_precision);
        Self {
            auroc: keep(undefined, "auroc", auroc),
            clustered: keep(undefined, "auroc_se", clustered),
            delong: keep(
                undefined,
                "auroc_se_delong",
                with(&Placements::standard_error),
            ),
            interval: keep(undefined, "auroc_ci", interval),
            average_precision: keep_or_zero(undefined, "average_precision", precision, convention),
            influence: placements.ok().and_then(|p| p.influence(patients).ok()),
        }
    }
}

/// Figures of decisions at a threshold.
struct Decided {
    counts: Confusion,
    precision: Option<f64>,
    recall: Option<f64>,
    specificity: Option<f64>,
    f1: Option<f64>,
}

impl Decided {
    fn of(cells: &Cells, limit: f64, undefined: &mut Reasons, convention: Convention) -> Self {
        let counts = Confusion::at(&cells.scores, &cells.truths, limit);
        let mut figure = |key, share: fn(&Confusion) -> Result<f64, Undefined>| {
            let value = counts.as_ref().map_err(|&reason| reason).and_then(share);
            keep_or_zero(undefined, key, value, convention)
        };
        Self {
            precision: figure("precision", Confusion::precision),
            recall: figure("recall", Confusion::recall),
            specificity: figure("specificity", Confusion::specificity),
            f1: figure("f1", Confusion::f1),
            counts: counts.unwrap_or_default(),
        }
    }
}

fn average(measured: &[Measured], n_patients: usize, convention: Convention) -> MacroEvaluation {
    let mean = |figure: fn(&FindingEvaluation) -> Option<f64>| {
        MacroMean::of(measured.iter().map(|measured| figure(&measured.figures)))
    };
    let auroc = mean(|figures| figures.auroc);
    let average_precision = mean(|figures| figures.average_precision);
    let f1 = mean(|figures| figures.f1);

    let mut undefined = Reasons::new();
    let defined = |mean: MacroMean| mean.value.ok_or(Undefined::NoDefinedFinding);
    let is_sklearn_nan = convention == Convention::SklearnCompat && auroc.over < auroc.of;
    let value = if is_sklearn_nan {
        Err(Undefined::NotEveryFinding)
    } else {
        defined(auroc)
    };
    let standard_error = value.and_then(|_| macro_error(measured, n_patients));
    let interval = value.and_then(|value| Interval::of_share(value, standard_error?));
    MacroEvaluation {
        auroc: keep(&mut undefined, "auroc", value),
        auroc_se: keep(&mut undefined, "auroc_se", standard_error),
        auroc_ci: keep(&mut undefined, "auroc_ci", interval),
        over: auroc.over,
        of: auroc.of,
        average_precision: keep(
            &mut undefined,
            "average_precision",
            defined(average_precision),
        ),
        average_precision_over: average_precision.over,
        f1: keep(&mut undefined, "f1", defined(f1)),
        f1_over: f1.over,
        undefined,
    }
}

/// A finding whose positives are one patient's adds no spread that could be seen, so a mean with it
/// would look surer than it is: it has no standard error either.
fn macro_error(measured: &[Measured], n_patients: usize) -> Result<f64, Undefined> {
    let averaged = || {
        measured
            .iter()
            .filter(|measured| measured.figures.auroc.is_some())
    };
    if averaged().any(|measured| measured.figures.auroc_se.is_none()) {
        return Err(Undefined::TermWithoutError);
    }
    let influences: Vec<_> = averaged()
        .filter_map(|measured| measured.influence.clone())
        .collect();
    macro_standard_error(&influences, n_patients)
}

/// The value or a note; 0 for figures that scikit-learn sets to 0, where it is to be followed.
fn keep_or_zero(
    undefined: &mut Reasons,
    key: &str,
    value: Result<f64, Undefined>,
    convention: Convention,
) -> Option<f64> {
    let value = keep(undefined, key, value);
    match convention {
        Convention::Strict => value,
        Convention::SklearnCompat => value.or(Some(0.0)),
    }
}

fn check_sizes<Patient>(input: &EvaluationInput<'_, Patient>) -> Result<(), MetricFault> {
    let (n_rows, n_findings) = (input.scores.n_rows(), input.scores.n_findings());
    input.truths.check_shape(n_rows, n_findings)?;
    let sizes = [
        ("names of findings", n_findings, input.findings.len()),
        ("operating points", n_findings, input.operating_points.len()),
        ("patients", n_rows, input.patients.len()),
    ];
    let calibrations = ("calibrations", n_findings, input.calibrations.len());
    let sizes = sizes
        .into_iter()
        .chain((!input.calibrations.is_empty()).then_some(calibrations));
    for (what, expected, found) in sizes {
        if expected != found {
            return Err(MetricFault::SizeMismatch {
                what,
                expected,
                found,
            });
        }
    }
    Ok(())
}
