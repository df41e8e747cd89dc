//! From an evaluation and the scores behind it to what its plots show.
//!
//! For whoever has evaluated a split. The definitions are those of `cxr-metrics`; here they only
//! become points, and an undefined one its reason. Deliberately not here: drawing.

use cxr_metrics::{
    Binning, Cells, DEFAULT_BINS, Evaluation, FindingEvaluation, LogitMap, PrecisionRecallCurve,
    Ranking, ReliabilityCurve, RocCurve, ScoreScale, Scores, Truths, Undefined,
};

use super::{Curve, ThresholdCurve};
use crate::report_error::ReportError;

/// What the four curve plots of a split show, one entry a finding in each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeasuredCurves {
    /// For `roc`.
    pub roc: Vec<Curve>,
    /// For `pr`.
    pub pr: Vec<Curve>,
    /// For `calibration`.
    pub calibration: Vec<Curve>,
    /// For `thresholds`.
    pub thresholds: Vec<ThresholdCurve>,
}

impl MeasuredCurves {
    /// The curves of every finding of an evaluation.
    ///
    /// # Errors
    /// `R014` when scores and truths are not of the evaluation's shape.
    pub fn of(
        evaluation: &Evaluation,
        scores: &Scores,
        truths: &Truths,
    ) -> Result<Self, ReportError> {
        let probabilities = Scores::Probabilities(scores.probabilities());
        let mut curves = Self::default();
        for (place, finding) in evaluation.findings.iter().enumerate() {
            let ranked = cells(scores, truths, place)?;
            let shown = cells(&probabilities, truths, place)?;
            let ranking = Ranking::new(&ranked.scores, &ranked.truths);
            curves.roc.push(curve(
                finding,
                finding.auroc,
                ranking
                    .as_ref()
                    .map_err(|&reason| reason)
                    .and_then(roc_points),
            ));
            curves.pr.push(Curve {
                baseline: Some(prevalence(finding)),
                ..curve(
                    finding,
                    finding.average_precision,
                    ranking
                        .as_ref()
                        .map_err(|&reason| reason)
                        .and_then(pr_points),
                )
            });
            curves
                .calibration
                .push(curve(finding, finding.ece, bins(&shown)));
            curves.thresholds.push(threshold_curve(finding, &shown));
        }
        Ok(curves)
    }
}

/// The reliability of a finding's probabilities after a map; `None` where there is no cell.
pub(super) fn calibrated_bins(
    scores: &Scores,
    truths: &Truths,
    finding: usize,
    map: LogitMap,
) -> Result<Option<Vec<(f64, f64)>>, ReportError> {
    let mut cells = cells(scores, truths, finding)?;
    for score in &mut cells.scores {
        let logit = match scores.scale() {
            ScoreScale::Logit => *score,
            ScoreScale::Probability => (*score / (1.0 - *score)).ln(),
        };
        *score = 1.0 / (1.0 + (-map.apply(logit)).exp());
    }
    Ok(bins(&cells).ok())
}

fn cells(scores: &Scores, truths: &Truths, finding: usize) -> Result<Cells, ReportError> {
    Cells::of(scores, truths, finding).map_err(|fault| ReportError::Plot {
        plot: "roc",
        problem: fault.to_string(),
    })
}

fn curve(
    finding: &FindingEvaluation,
    figure: Option<f64>,
    points: Result<Vec<(f64, f64)>, Undefined>,
) -> Curve {
    let undefined = points.as_ref().err().map(ToString::to_string);
    Curve {
        name: finding.name.clone(),
        points: points.unwrap_or_default(),
        figure,
        baseline: None,
        undefined,
    }
}

fn roc_points(ranking: &Ranking) -> Result<Vec<(f64, f64)>, Undefined> {
    let curve = RocCurve::corners_of(ranking)?;
    let across = curve.false_positive_rate.into_iter();
    Ok(across.zip(curve.true_positive_rate).collect())
}

fn pr_points(ranking: &Ranking) -> Result<Vec<(f64, f64)>, Undefined> {
    let curve = PrecisionRecallCurve::of(ranking)?;
    Ok(curve.recall.into_iter().zip(curve.precision).collect())
}

fn bins(cells: &Cells) -> Result<Vec<(f64, f64)>, Undefined> {
    let binning = Binning::EqualWidth;
    let curve = ReliabilityCurve::of(&cells.scores, &cells.truths, binning, DEFAULT_BINS)?;
    let points = curve.bins.iter();
    Ok(points
        .map(|bin| (bin.mean_probability, bin.positive_share))
        .collect())
}

fn threshold_curve(finding: &FindingEvaluation, cells: &Cells) -> ThresholdCurve {
    let mut curve = ThresholdCurve {
        name: finding.name.clone(),
        chosen: Some(finding.threshold),
        ..ThresholdCurve::default()
    };
    let ranking = Ranking::new(&cells.scores, &cells.truths)
        .and_then(|ranking| ranking.auroc().map(|_| ranking));
    let ranking = match ranking {
        Ok(ranking) => ranking,
        Err(reason) => {
            curve.undefined = Some(reason.to_string());
            return curve;
        }
    };
    let (positives, negatives) = (count(ranking.positives()), count(ranking.negatives()));
    for (&threshold, (hits, alarms)) in ranking.thresholds().iter().zip(ranking.cumulative_counts())
    {
        let (hits, alarms) = (count(hits), count(alarms));
        curve.sensitivity.push((threshold, hits / positives));
        curve
            .specificity
            .push((threshold, 1.0 - alarms / negatives));
        curve.precision.push((threshold, hits / (hits + alarms)));
    }
    curve
}

fn prevalence(finding: &FindingEvaluation) -> f64 {
    count(finding.support) / count((finding.support + finding.negatives).max(1))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of radiographs are far below 2^53"
)]
fn count(number: usize) -> f64 {
    number as f64
}
