//! Thresholds and the decisions that they give: positive where the score is at least the threshold.
//!
//! A threshold keeps the scale that it was chosen on, so that it meets the very scores it came from
//! bit for bit. Deliberately not here: how one is chosen ([`crate::OperatingPoint`]).

use crate::grid::Grid;
use crate::scores::{logit, sigmoid};
use crate::{MetricFault, ScoreScale, Scores};
use serde::{Deserialize, Serialize};

/// A number that scores are compared with, on a named scale. Checkpoints keep [`Threshold::logit`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Threshold {
    scale: ScoreScale,
    value: f64,
}

#[derive(Serialize, Deserialize)]
struct Written {
    scale: ScoreScale,
    value: f64,
}

impl TryFrom<Written> for Threshold {
    type Error = MetricFault;

    fn try_from(written: Written) -> Result<Self, MetricFault> {
        Self::new(written.scale, written.value)
    }
}

impl From<Threshold> for Written {
    fn from(threshold: Threshold) -> Self {
        Self {
            scale: threshold.scale,
            value: threshold.value,
        }
    }
}

impl Threshold {
    /// Probability one half, which is logit zero.
    pub const HALF: Self = Self {
        scale: ScoreScale::Logit,
        value: 0.0,
    };

    /// A threshold on a scale.
    ///
    /// # Errors
    /// NaN, an infinity, or a probability outside [0, 1].
    pub fn new(scale: ScoreScale, value: f64) -> Result<Self, MetricFault> {
        let holds = match scale {
            ScoreScale::Logit => value.is_finite(),
            ScoreScale::Probability => (0.0..=1.0).contains(&value),
        };
        if holds {
            Ok(Self { scale, value })
        } else {
            Err(MetricFault::BadThreshold { scale, value })
        }
    }

    /// The scale it was chosen on.
    pub fn scale(self) -> ScoreScale {
        self.scale
    }

    /// On the logit scale; infinite for the probabilities 0 and 1.
    pub fn logit(self) -> f64 {
        self.on(ScoreScale::Logit)
    }

    /// On the probability scale.
    pub fn probability(self) -> f64 {
        self.on(ScoreScale::Probability)
    }

    /// The number to compare scores of that scale with.
    pub fn on(self, scale: ScoreScale) -> f64 {
        match (self.scale, scale) {
            (ScoreScale::Logit, ScoreScale::Probability) => sigmoid(self.value),
            (ScoreScale::Probability, ScoreScale::Logit) => logit(self.value),
            _ => self.value,
        }
    }
}

/// Thresholded scores, row-major: one row a radiograph, one column a finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Decisions(Grid<bool>);

impl Decisions {
    /// Whether each score reaches its finding's threshold.
    ///
    /// # Errors
    /// Another number of thresholds than findings.
    pub fn at(scores: &Scores, thresholds: &[Threshold]) -> Result<Self, MetricFault> {
        let grid = scores.grid();
        if thresholds.len() != grid.n_findings() {
            return Err(MetricFault::SizeMismatch {
                what: "thresholds",
                expected: grid.n_findings(),
                found: thresholds.len(),
            });
        }
        let limits: Vec<f64> = thresholds.iter().map(|t| t.on(scores.scale())).collect();
        let reached = grid
            .rows()
            .flat_map(|row| row.iter().zip(&limits).map(|(score, limit)| score >= limit));
        Grid::new(reached.collect(), grid.n_findings()).map(Self)
    }

    /// Decisions that somebody else took.
    ///
    /// # Errors
    /// A shape that is no rectangle.
    pub fn from_external(values: Vec<bool>, n_findings: usize) -> Result<Self, MetricFault> {
        Grid::new(values, n_findings).map(Self)
    }

    /// Negative everywhere: the baseline that a model has to beat.
    ///
    /// # Errors
    /// No finding.
    pub fn all_negative(n_rows: usize, n_findings: usize) -> Result<Self, MetricFault> {
        Self::from_external(vec![false; n_rows.saturating_mul(n_findings)], n_findings)
    }

    /// Radiographs.
    pub fn n_rows(&self) -> usize {
        self.0.n_rows()
    }

    /// Findings.
    pub fn n_findings(&self) -> usize {
        self.0.n_findings()
    }

    /// Rows, top to bottom.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[bool]> {
        self.0.rows()
    }

    /// One finding's decisions, top to bottom.
    pub fn column(&self, finding: usize) -> Vec<bool> {
        self.0.column(finding).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Logits, Probabilities};

    #[test]
    fn a_score_at_the_threshold_is_positive() {
        let scores =
            Scores::from(Probabilities::from_external(vec![0.5, 0.1, 0.4999, 0.3], 2).unwrap());
        let thresholds = [
            Threshold::HALF,
            Threshold::new(ScoreScale::Probability, 0.3).unwrap(),
        ];
        let decisions = Decisions::at(&scores, &thresholds).unwrap();
        assert_eq!(decisions.column(0), [true, false]);
        assert_eq!(decisions.column(1), [false, true]);
    }

    #[test]
    fn logits_are_compared_in_logit_space() {
        let scores = Scores::from(Logits::new(vec![0.0, -1e-30, 19.0, 20.0], 1).unwrap());
        let at = |value| {
            let threshold = Threshold::new(ScoreScale::Logit, value).unwrap();
            Decisions::at(&scores, &[threshold]).unwrap().column(0)
        };
        assert_eq!(at(0.0), [true, false, true, true]);
        assert_eq!(at(20.0), [false, false, false, true]);
    }

    #[test]
    fn a_threshold_of_one_scale_decides_scores_of_the_other() {
        let logits = Scores::from(Logits::new(vec![-1.0, -1.2, 2.0, 0.1], 1).unwrap());
        let quarter = Threshold::new(ScoreScale::Probability, 0.25).unwrap();
        assert!((quarter.logit() + 3.0_f64.ln()).abs() < 1e-15);
        let decisions = Decisions::at(&logits, &[quarter]).unwrap();
        assert_eq!(decisions.column(0), [true, false, true, true]);
        let certain = Threshold::new(ScoreScale::Probability, 1.0).unwrap();
        assert_eq!(
            Decisions::at(&logits, &[certain]).unwrap().column(0),
            [false; 4]
        );
    }

    #[test]
    fn thresholds_that_cannot_be_reached_are_refused() {
        for (scale, value) in [
            (ScoreScale::Logit, f64::INFINITY),
            (ScoreScale::Logit, f64::NAN),
            (ScoreScale::Probability, 1.1),
            (ScoreScale::Probability, f64::NAN),
        ] {
            assert!(Threshold::new(scale, value).is_err());
        }
        assert!(
            serde_json::from_str::<Threshold>(r#"{"scale":"probability","value":2.0}"#).is_err()
        );
        let text = serde_json::to_string(&Threshold::HALF).unwrap();
        assert_eq!(
            serde_json::from_str::<Threshold>(&text).unwrap(),
            Threshold::HALF
        );
    }

    #[test]
    fn as_many_thresholds_as_findings_are_needed() {
        let scores = Scores::from(Logits::new(vec![0.0; 4], 2).unwrap());
        assert!(Decisions::at(&scores, &[Threshold::HALF]).is_err());
    }
}
