//! One finding's radiographs in the order of their scores, ties together: AUROC and what else
//! depends on order alone.
//!
//! The sort is done once; everything built on it is linear. Equals scikit-learn's `roc_auc_score`
//! and `average_precision_score` where those are defined. Deliberately not here: errors of the
//! AUROC ([`crate::Placements`]) and curves to draw ([`crate::RocCurve`]).

use crate::summation::{as_f64, sum};
use crate::{Confusion, Undefined};
use std::cmp::Ordering;

/// Radiographs by descending score, those with equal scores in one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// Distinct scores, descending.
    scores: Vec<f64>,
    /// Positives with at least the step's score.
    true_positives: Vec<usize>,
    /// Negatives with at least the step's score.
    false_positives: Vec<usize>,
    /// The step of each radiograph, in the order given.
    step_of: Vec<usize>,
}

impl Ranking {
    /// Sorts scores; −0 and 0 are equal, infinities are the extremes.
    ///
    /// # Errors
    /// [`Undefined::UnequalLengths`], [`Undefined::NanScore`].
    pub fn new(scores: &[f64], truths: &[bool]) -> Result<Self, Undefined> {
        if scores.len() != truths.len() {
            return Err(Undefined::UnequalLengths);
        }
        if scores.iter().any(|score| score.is_nan()) {
            return Err(Undefined::NanScore);
        }
        let mut order: Vec<(f64, usize)> = scores
            .iter()
            .enumerate()
            .map(|(place, &score)| (score, place))
            .collect();
        order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));

        let mut ranking = Self {
            scores: Vec::new(),
            true_positives: Vec::new(),
            false_positives: Vec::new(),
            step_of: vec![0; scores.len()],
        };
        let (mut hits, mut alarms) = (0, 0);
        for step in order.chunk_by(|a, b| a.0.partial_cmp(&b.0) == Some(Ordering::Equal)) {
            for &(_, place) in step {
                *if truths[place] {
                    &mut hits
                } else {
                    &mut alarms
                } += 1;
                ranking.step_of[place] = ranking.scores.len();
            }
            ranking.scores.push(step[0].0);
            ranking.true_positives.push(hits);
            ranking.false_positives.push(alarms);
        }
        Ok(ranking)
    }

    /// Radiographs with the finding.
    pub fn positives(&self) -> usize {
        self.true_positives.last().copied().unwrap_or(0)
    }

    /// Radiographs without it.
    pub fn negatives(&self) -> usize {
        self.false_positives.last().copied().unwrap_or(0)
    }

    /// Distinct scores, descending: every threshold that gives decisions of its own.
    pub fn thresholds(&self) -> &[f64] {
        &self.scores
    }

    /// Positives and negatives that score at least each threshold.
    pub fn cumulative_counts(&self) -> impl ExactSizeIterator<Item = (usize, usize)> {
        self.true_positives
            .iter()
            .copied()
            .zip(self.false_positives.iter().copied())
    }

    /// The counts at one of [`Ranking::thresholds`].
    pub fn confusion(&self, step: usize) -> Option<Confusion> {
        let (true_positives, false_positives) = (
            *self.true_positives.get(step)?,
            *self.false_positives.get(step)?,
        );
        Some(Confusion {
            true_positives,
            false_positives,
            true_negatives: self.negatives() - false_positives,
            false_negatives: self.positives() - true_positives,
        })
    }

    /// Chance that a positive scores above a negative, ties counting half (Mann–Whitney).
    ///
    /// # Errors
    /// [`Undefined::NoPositive`], [`Undefined::NoNegative`], [`Undefined::NoKnownLabel`].
    pub fn auroc(&self) -> Result<f64, Undefined> {
        let (m, n) = self.both_classes()?;
        // Twice the won pairs, as integers: nothing is rounded before the one division.
        let mut won_twice: u128 = 0;
        for (positives, negatives, below) in self.steps() {
            won_twice += (positives as u128) * (2 * below as u128 + negatives as u128);
        }
        Ok(won_twice as f64 / (2.0 * as_f64(m) * as_f64(n)))
    }

    /// Σ (Rᵢ − Rᵢ₋₁) Pᵢ over the distinct thresholds.
    ///
    /// # Errors
    /// [`Undefined::NoPositive`], [`Undefined::NoKnownLabel`].
    pub fn average_precision(&self) -> Result<f64, Undefined> {
        if self.scores.is_empty() {
            return Err(Undefined::NoKnownLabel);
        }
        if self.positives() == 0 {
            return Err(Undefined::NoPositive);
        }
        let terms = self.steps().zip(self.cumulative_counts());
        let total = sum(terms.map(|((new_hits, ..), (hits, alarms))| {
            as_f64(new_hits) * (as_f64(hits) / as_f64(hits + alarms))
        }));
        Ok((total / as_f64(self.positives())).min(1.0))
    }

    /// Positives and negatives, if there are both.
    pub(crate) fn both_classes(&self) -> Result<(usize, usize), Undefined> {
        match (self.positives(), self.negatives()) {
            (0, 0) => Err(Undefined::NoKnownLabel),
            (0, _) => Err(Undefined::NoPositive),
            (_, 0) => Err(Undefined::NoNegative),
            counts => Ok(counts),
        }
    }

    /// For each step: its positives, its negatives, and the negatives below it.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let all_negatives = self.negatives();
        let mut before = (0, 0);
        self.cumulative_counts().map(move |(hits, alarms)| {
            let step = (hits - before.0, alarms - before.1, all_negatives - alarms);
            before = (hits, alarms);
            step
        })
    }

    /// The step of each radiograph, in the order that the scores were given in.
    pub(crate) fn step_of(&self) -> &[usize] {
        &self.step_of
    }
}

/// Area under the ROC curve: the chance that a positive scores above a negative, ties one half.
///
/// Rank logits, not f32 sigmoids: those make ties.
///
/// ```
/// use cxr_metrics::{Undefined, auroc};
/// assert_eq!(auroc(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true]), Ok(0.75));
/// assert_eq!(auroc(&[0.1, 0.4], &[false, false]), Err(Undefined::NoPositive));
/// ```
///
/// # Errors
/// The reason why it is not defined, such as [`Undefined::NoPositive`].
pub fn auroc(scores: &[f64], truths: &[bool]) -> Result<f64, Undefined> {
    Ranking::new(scores, truths)?.auroc()
}

/// Average precision, ties grouped.
///
/// # Errors
/// The reason why it is not defined, such as [`Undefined::NoPositive`].
pub fn average_precision(scores: &[f64], truths: &[bool]) -> Result<f64, Undefined> {
    Ranking::new(scores, truths)?.average_precision()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saturating_logits_are_told_apart_where_an_f32_sigmoid_ties_them() {
        let logits = [19.0, 20.0, 21.0, 22.0];
        let truths = [false, false, true, true];
        assert_eq!(auroc(&logits, &truths), Ok(1.0));
        let squashed: Vec<f64> = logits
            .iter()
            .map(|&z| f64::from(1.0 / (1.0 + (-z as f32).exp())))
            .collect();
        assert_eq!(auroc(&squashed, &truths), Ok(0.5));
    }

    #[test]
    fn one_class_has_no_auroc_but_a_reason() {
        assert_eq!(
            auroc(&[0.0, 0.0], &[false, false]),
            Err(Undefined::NoPositive)
        );
        assert_eq!(auroc(&[0.0], &[true]), Err(Undefined::NoNegative));
        assert_eq!(auroc(&[], &[]), Err(Undefined::NoKnownLabel));
        assert_eq!(average_precision(&[0.3], &[true]), Ok(1.0));
        assert_eq!(
            average_precision(&[0.3], &[false]),
            Err(Undefined::NoPositive)
        );
    }

    #[test]
    fn zeros_of_both_signs_tie_and_infinities_rank_last_and_first() {
        assert_eq!(auroc(&[-0.0, 0.0], &[true, false]), Ok(0.5));
        let ranked = auroc(
            &[f64::NEG_INFINITY, f64::INFINITY, 0.0],
            &[false, true, false],
        );
        assert_eq!(ranked, Ok(1.0));
    }

    #[test]
    fn nan_and_unequal_lengths_are_not_ranked() {
        assert_eq!(
            auroc(&[f64::NAN, 1.0], &[false, true]),
            Err(Undefined::NanScore)
        );
        assert_eq!(
            auroc(&[1.0], &[false, true]),
            Err(Undefined::UnequalLengths)
        );
    }
}
