//! ROC and precision–recall curves with scikit-learn's end points: all distinct thresholds, or
//! those at corners.
//!
//! For plots. Deliberately not here: areas ([`Ranking::auroc`], [`Ranking::average_precision`]).

use crate::summation::as_f64;
use crate::{Ranking, Undefined};

/// Points of a ROC curve, from (0, 0) at an infinite threshold to (1, 1).
#[derive(Clone, Debug, PartialEq)]
pub struct RocCurve {
    /// Thresholds, descending; the first is +∞.
    pub thresholds: Vec<f64>,
    /// 1 − specificity at each.
    pub false_positive_rate: Vec<f64>,
    /// Recall at each.
    pub true_positive_rate: Vec<f64>,
}

impl RocCurve {
    /// Every distinct threshold: scikit-learn's `roc_curve(…, drop_intermediate=False)`.
    ///
    /// # Errors
    /// One class only, or no known label.
    pub fn of(ranking: &Ranking) -> Result<Self, Undefined> {
        Self::at(ranking, |_| true)
    }

    /// Without points inside straight stretches: scikit-learn's `roc_curve` as it is by default.
    ///
    /// # Errors
    /// One class only, or no known label.
    pub fn corners_of(ranking: &Ranking) -> Result<Self, Undefined> {
        let counts: Vec<(usize, usize)> = ranking.cumulative_counts().collect();
        Self::at(ranking, |step| {
            let Some(before) = step.checked_sub(1) else {
                return true;
            };
            let Some(after) = counts.get(step + 1) else {
                return true;
            };
            let (here, before) = (counts[step], counts[before]);
            here.0 - before.0 != after.0 - here.0 || here.1 - before.1 != after.1 - here.1
        })
    }

    fn at(ranking: &Ranking, keeps: impl Fn(usize) -> bool) -> Result<Self, Undefined> {
        let (m, n) = ranking.both_classes()?;
        let mut curve = Self {
            thresholds: vec![f64::INFINITY],
            false_positive_rate: vec![0.0],
            true_positive_rate: vec![0.0],
        };
        for (step, (hits, alarms)) in ranking.cumulative_counts().enumerate() {
            if keeps(step) {
                curve.thresholds.push(ranking.thresholds()[step]);
                curve.false_positive_rate.push(as_f64(alarms) / as_f64(n));
                curve.true_positive_rate.push(as_f64(hits) / as_f64(m));
            }
        }
        Ok(curve)
    }
}

/// Points of a precision–recall curve by ascending threshold, closed by precision 1 at recall 0.
#[derive(Clone, Debug, PartialEq)]
pub struct PrecisionRecallCurve {
    /// Thresholds, ascending: one fewer than points.
    pub thresholds: Vec<f64>,
    /// Precision at each, then 1.
    pub precision: Vec<f64>,
    /// Recall at each, then 0.
    pub recall: Vec<f64>,
}

impl PrecisionRecallCurve {
    /// Every distinct threshold: scikit-learn's `precision_recall_curve`.
    ///
    /// # Errors
    /// No positive, or no known label.
    pub fn of(ranking: &Ranking) -> Result<Self, Undefined> {
        let m = match ranking.both_classes() {
            Ok((m, _)) => m,
            Err(Undefined::NoNegative) => ranking.positives(),
            Err(reason) => return Err(reason),
        };
        let counts: Vec<(usize, usize)> = ranking.cumulative_counts().collect();
        let ascending = || counts.iter().rev();
        let precision = ascending().map(|&(hits, alarms)| as_f64(hits) / as_f64(hits + alarms));
        let recall = ascending().map(|&(hits, _)| as_f64(hits) / as_f64(m));
        Ok(Self {
            thresholds: ranking.thresholds().iter().rev().copied().collect(),
            precision: precision.chain([1.0]).collect(),
            recall: recall.chain([0.0]).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_of_one_class_are_undefined_as_far_as_they_need_the_other() {
        let sick = Ranking::new(&[0.2, 0.7], &[true, true]).unwrap();
        assert_eq!(RocCurve::of(&sick), Err(Undefined::NoNegative));
        assert_eq!(
            PrecisionRecallCurve::of(&sick).unwrap().precision,
            [1.0, 1.0, 1.0]
        );
        let healthy = Ranking::new(&[0.2, 0.7], &[false, false]).unwrap();
        assert_eq!(RocCurve::corners_of(&healthy), Err(Undefined::NoPositive));
        assert_eq!(
            PrecisionRecallCurve::of(&healthy),
            Err(Undefined::NoPositive)
        );
    }
}
