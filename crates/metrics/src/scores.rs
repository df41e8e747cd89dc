//! Scores as three different things: network outputs, their sigmoids, and either of them.
//!
//! A probability comes from a logit, or from a file that says that it holds probabilities; there is
//! no third way, so nothing is squashed twice. Deliberately not here: thresholds
//! ([`crate::Threshold`]).

use crate::MetricFault;
use crate::grid::Grid;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which kind of number a score is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScoreScale {
    /// A network's output before the sigmoid.
    Logit,
    /// From 0 to 1.
    Probability,
}

impl fmt::Display for ScoreScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Logit => "logit",
            Self::Probability => "probability",
        })
    }
}

/// Network outputs, finite, row-major: one row a radiograph, one column a finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits(Grid<f64>);

impl Logits {
    /// Checked logits.
    ///
    /// # Errors
    /// A shape that is no rectangle; a NaN or an infinity, with its row and finding.
    pub fn new(values: Vec<f64>, n_findings: usize) -> Result<Self, MetricFault> {
        let grid = Grid::new(values, n_findings)?;
        refuse_not_finite(&grid, ScoreScale::Logit)?;
        Ok(Self(grid))
    }

    /// The same from a network's f32 outputs, widened so that no later step makes ties.
    ///
    /// # Errors
    /// As [`Logits::new`].
    pub fn from_f32(values: &[f32], n_findings: usize) -> Result<Self, MetricFault> {
        Self::new(values.iter().copied().map(f64::from).collect(), n_findings)
    }

    /// 1 / (1 + e⁻ᶻ) of every logit, in f64 and without overflow.
    pub fn sigmoid(&self) -> Probabilities {
        Probabilities(self.0.map(sigmoid))
    }

    /// Radiographs.
    pub fn n_rows(&self) -> usize {
        self.0.n_rows()
    }

    /// Findings.
    pub fn n_findings(&self) -> usize {
        self.0.n_findings()
    }

    /// All values, row-major.
    pub fn values(&self) -> &[f64] {
        self.0.values()
    }

    /// Rows, top to bottom.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.0.rows()
    }

    /// One finding's logits, top to bottom.
    pub fn column(&self, finding: usize) -> Vec<f64> {
        self.0.column(finding).collect()
    }
}

/// Probabilities, each in [0, 1], row-major. They come from [`Logits::sigmoid`], or from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Probabilities(Grid<f64>);

impl Probabilities {
    /// Probabilities that somebody else computed, such as those of a predictions.csv.
    ///
    /// # Errors
    /// A shape that is no rectangle; NaN, an infinity or a value outside [0, 1], with its row and
    /// finding.
    pub fn from_external(values: Vec<f64>, n_findings: usize) -> Result<Self, MetricFault> {
        let grid = Grid::new(values, n_findings)?;
        refuse_not_finite(&grid, ScoreScale::Probability)?;
        match grid.first_failing(|value| (0.0..=1.0).contains(&value)) {
            Some((row, finding, value)) => Err(MetricFault::NotAProbability {
                row,
                finding,
                value,
            }),
            None => Ok(Self(grid)),
        }
    }

    /// Radiographs.
    pub fn n_rows(&self) -> usize {
        self.0.n_rows()
    }

    /// Findings.
    pub fn n_findings(&self) -> usize {
        self.0.n_findings()
    }

    /// All values, row-major.
    pub fn values(&self) -> &[f64] {
        self.0.values()
    }

    /// Rows, top to bottom.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.0.rows()
    }

    /// One finding's probabilities, top to bottom.
    pub fn column(&self, finding: usize) -> Vec<f64> {
        self.0.column(finding).collect()
    }
}

/// What a model said, in the form it was recorded in.
///
/// Logits are ranked as they are: their f64 sigmoid makes ties from 37 upwards, an f32 one from 17.
#[derive(Clone, Debug, PartialEq)]
pub enum Scores {
    /// Network outputs.
    Logits(Logits),
    /// Probabilities from outside.
    Probabilities(Probabilities),
}

impl Scores {
    /// Which kind of number these scores are.
    pub fn scale(&self) -> ScoreScale {
        match self {
            Self::Logits(_) => ScoreScale::Logit,
            Self::Probabilities(_) => ScoreScale::Probability,
        }
    }

    /// The values that radiographs are ranked by: logits where there are some.
    pub fn ranking_column(&self, finding: usize) -> Vec<f64> {
        self.grid().column(finding).collect()
    }

    /// Some of these scores as logits; those of the probabilities 0 and 1 as far out as f64 goes.
    pub(crate) fn as_logits(scale: ScoreScale, scores: &[f64]) -> Vec<f64> {
        let most = 1.0 - f64::EPSILON / 2.0;
        match scale {
            ScoreScale::Logit => scores.to_vec(),
            ScoreScale::Probability => scores
                .iter()
                .map(|p| logit(p.clamp(f64::MIN_POSITIVE, most)))
                .collect(),
        }
    }

    /// The probabilities of all cells.
    pub fn probabilities(&self) -> Probabilities {
        match self {
            Self::Logits(logits) => logits.sigmoid(),
            Self::Probabilities(probabilities) => probabilities.clone(),
        }
    }

    /// Radiographs.
    pub fn n_rows(&self) -> usize {
        self.grid().n_rows()
    }

    /// Findings.
    pub fn n_findings(&self) -> usize {
        self.grid().n_findings()
    }

    /// Whether every value could be a probability: for logits a sign that they are none.
    pub fn lie_between_0_and_1(&self) -> bool {
        self.grid()
            .first_failing(|value| (0.0..=1.0).contains(&value))
            .is_none()
    }

    pub(crate) fn grid(&self) -> &Grid<f64> {
        match self {
            Self::Logits(logits) => &logits.0,
            Self::Probabilities(probabilities) => &probabilities.0,
        }
    }
}

impl From<Logits> for Scores {
    fn from(logits: Logits) -> Self {
        Self::Logits(logits)
    }
}

impl From<Probabilities> for Scores {
    fn from(probabilities: Probabilities) -> Self {
        Self::Probabilities(probabilities)
    }
}

fn refuse_not_finite(grid: &Grid<f64>, scale: ScoreScale) -> Result<(), MetricFault> {
    match grid.first_failing(f64::is_finite) {
        Some((row, finding, value)) => Err(MetricFault::NotFinite {
            scale,
            row,
            finding,
            value,
        }),
        None => Ok(()),
    }
}

/// 1 / (1 + e⁻ᶻ). The exponential is only taken of what is not positive.
pub(crate) fn sigmoid(z: f64) -> f64 {
    let e = (-z.abs()).exp();
    if z >= 0.0 {
        1.0 / (1.0 + e)
    } else {
        e / (1.0 + e)
    }
}

/// ln(p / (1 − p)), exact near ½; infinite at 0 and 1.
pub(crate) fn logit(p: f64) -> f64 {
    if (0.25..=0.75).contains(&p) {
        ((2.0 * p - 1.0) / (1.0 - p)).ln_1p()
    } else {
        p.ln() - (-p).ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_and_infinite_logits_are_refused_by_row_and_finding() {
        let fault = Logits::new(vec![0.0, 1.0, 2.0, f64::NAN], 2).unwrap_err();
        assert!(matches!(
            fault,
            MetricFault::NotFinite {
                row: 1,
                finding: 1,
                ..
            }
        ));
        assert!(Logits::new(vec![0.0, f64::NEG_INFINITY], 2).is_err());
        assert!(Logits::from_f32(&[f32::INFINITY], 1).is_err());
    }

    #[test]
    fn probabilities_from_outside_are_checked_but_the_ends_are_allowed() {
        assert!(Probabilities::from_external(vec![0.0, 1.0, 1e-300], 3).is_ok());
        let fault = Probabilities::from_external(vec![0.5, 0.5, -0.1], 1).unwrap_err();
        assert_eq!(
            fault,
            MetricFault::NotAProbability {
                row: 2,
                finding: 0,
                value: -0.1
            }
        );
        assert!(Probabilities::from_external(vec![f64::NAN], 1).is_err());
    }

    #[test]
    fn the_sigmoid_is_right_at_both_ends() {
        let p = Logits::new(vec![-745.0, -1e308, 0.0, 1e308, 30.0], 5)
            .unwrap()
            .sigmoid();
        assert!(p.values()[0] > 0.0 && p.values()[0] < 1e-300);
        assert_eq!(&p.values()[1..4], [0.0, 0.5, 1.0]);
        assert!(p.values()[4] < 1.0);
    }

    #[test]
    fn logit_undoes_the_sigmoid() {
        assert_eq!(logit(0.5).to_bits(), 0.0_f64.to_bits());
        for z in [-700.0, -30.0, -1.0, -1e-9, 1e-9, 0.7, 5.0] {
            assert!(
                (logit(sigmoid(z)) - z).abs() <= 1e-13 * f64::max(1.0, z.abs()),
                "{z}"
            );
        }
    }
}
