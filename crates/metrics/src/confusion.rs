//! The four counts of a decision, and the shares that they give.
//!
//! Equals scikit-learn's `precision_score`, `recall_score`, `f1_score` where those are defined;
//! where they are not, the reason. Deliberately not here: the choice of a threshold.

use crate::Undefined;
use crate::summation::as_f64;
use serde::{Deserialize, Serialize};

/// Decisions against truths, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Decided positive, and positive.
    pub true_positives: usize,
    /// Decided positive, but negative.
    pub false_positives: usize,
    /// Decided negative, and negative.
    pub true_negatives: usize,
    /// Decided negative, but positive.
    pub false_negatives: usize,
}

impl Confusion {
    /// Counts of the decisions `score >= threshold`.
    ///
    /// # Errors
    /// [`Undefined::UnequalLengths`], [`Undefined::NanScore`].
    pub fn at(scores: &[f64], truths: &[bool], threshold: f64) -> Result<Self, Undefined> {
        if scores.len() != truths.len() {
            return Err(Undefined::UnequalLengths);
        }
        if threshold.is_nan() || scores.iter().any(|score| score.is_nan()) {
            return Err(Undefined::NanScore);
        }
        let mut counts = Self::default();
        for (&score, &truth) in scores.iter().zip(truths) {
            *match (score >= threshold, truth) {
                (true, true) => &mut counts.true_positives,
                (true, false) => &mut counts.false_positives,
                (false, false) => &mut counts.true_negatives,
                (false, true) => &mut counts.false_negatives,
            } += 1;
        }
        Ok(counts)
    }

    /// Radiographs that have the finding: the support.
    pub fn positives(&self) -> usize {
        self.true_positives + self.false_negatives
    }

    /// Radiographs that do not have it.
    pub fn negatives(&self) -> usize {
        self.false_positives + self.true_negatives
    }

    /// tp / (tp + fp).
    ///
    /// # Errors
    /// [`Undefined::NoPredictedPositive`].
    #[doc(alias = "ppv")]
    #[doc(alias = "positive_predictive_value")]
    pub fn precision(&self) -> Result<f64, Undefined> {
        let predicted = self.true_positives + self.false_positives;
        share(
            self.true_positives,
            predicted,
            Undefined::NoPredictedPositive,
        )
    }

    /// tp / (tp + fn).
    ///
    /// # Errors
    /// [`Undefined::NoPositive`].
    #[doc(alias = "sensitivity")]
    pub fn recall(&self) -> Result<f64, Undefined> {
        share(self.true_positives, self.positives(), Undefined::NoPositive)
    }

    /// tn / (tn + fp).
    ///
    /// # Errors
    /// [`Undefined::NoNegative`].
    pub fn specificity(&self) -> Result<f64, Undefined> {
        share(self.true_negatives, self.negatives(), Undefined::NoNegative)
    }

    /// 2 tp / (2 tp + fp + fn): 0 with a fault and no hit, undefined with neither.
    ///
    /// # Errors
    /// [`Undefined::NoPositiveAtAll`].
    pub fn f1(&self) -> Result<f64, Undefined> {
        let twice = 2 * self.true_positives;
        let all = twice + self.false_positives + self.false_negatives;
        share(twice, all, Undefined::NoPositiveAtAll)
    }

    /// Share of right decisions.
    ///
    /// # Errors
    /// [`Undefined::NoKnownLabel`].
    pub fn label_accuracy(&self) -> Result<f64, Undefined> {
        let right = self.true_positives + self.true_negatives;
        share(
            right,
            self.positives() + self.negatives(),
            Undefined::NoKnownLabel,
        )
    }
}

fn share(part: usize, all: usize, otherwise: Undefined) -> Result<f64, Undefined> {
    if all == 0 {
        Err(otherwise)
    } else {
        Ok(as_f64(part) / as_f64(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(truths: &[bool], threshold: f64) -> Confusion {
        Confusion::at(&[0.1, 0.4, 0.35, 0.8][..truths.len()], truths, threshold).unwrap()
    }

    #[test]
    fn counts_go_to_the_right_four_places() {
        let counts = at(&[false, false, true, true], 0.4);
        let expected = Confusion {
            true_positives: 1,
            false_positives: 1,
            true_negatives: 1,
            false_negatives: 1,
        };
        assert_eq!(counts, expected);
        let lopsided = at(&[false, false, true, true], 0.35);
        assert_eq!(lopsided.precision(), Ok(2.0 / 3.0));
        assert_eq!(lopsided.recall(), Ok(1.0));
        assert_eq!(lopsided.specificity(), Ok(0.5));
        assert_eq!(lopsided.f1(), Ok(0.8));
    }

    #[test]
    fn what_is_undefined_says_why() {
        let silent = at(&[false, false, true, true], 2.0);
        assert_eq!(silent.precision(), Err(Undefined::NoPredictedPositive));
        assert_eq!(silent.f1(), Ok(0.0));
        let healthy = at(&[false; 4], 2.0);
        assert_eq!(healthy.recall(), Err(Undefined::NoPositive));
        assert_eq!(healthy.f1(), Err(Undefined::NoPositiveAtAll));
        assert_eq!(
            at(&[true; 4], 0.0).specificity(),
            Err(Undefined::NoNegative)
        );
        assert_eq!(at(&[], 0.0).label_accuracy(), Err(Undefined::NoKnownLabel));
    }

    #[test]
    fn f1_is_zero_when_every_prediction_is_wrong() {
        assert_eq!(at(&[false, false, false, false], 0.3).f1(), Ok(0.0));
    }

    #[test]
    fn nan_and_unequal_lengths_give_no_counts() {
        assert_eq!(
            Confusion::at(&[f64::NAN], &[true], 0.5),
            Err(Undefined::NanScore)
        );
        assert_eq!(
            Confusion::at(&[0.1], &[], 0.5),
            Err(Undefined::UnequalLengths)
        );
    }
}
