//! How far probabilities can be taken at their word: Brier score, log loss, reliability bins, ECE.
//!
//! Equals scikit-learn's `brier_score_loss`, `log_loss` and `calibration_curve`. Deliberately not
//! here: mending a calibration, which is fitted on valid and belongs to a step of its own.

use crate::Undefined;
use crate::summation::{as_f64, mean, quantile, sum};
use serde::{Deserialize, Serialize};

/// Bins of a reliability curve and of the ECE, unless another number is asked for.
pub const DEFAULT_BINS: usize = 15;

/// Mean squared distance between probability and outcome.
///
/// # Errors
/// [`Undefined::NoKnownLabel`], [`Undefined::UnequalLengths`], [`Undefined::NanScore`].
pub fn brier(probabilities: &[f64], truths: &[bool]) -> Result<f64, Undefined> {
    mean_over(probabilities, truths, |p, truth| {
        (p - outcome(truth)).powi(2)
    })
}

/// Mean of −ln P(outcome), straight from logits: finite for every finite logit.
///
/// # Errors
/// As [`brier`].
pub fn log_loss_of_logits(logits: &[f64], truths: &[bool]) -> Result<f64, Undefined> {
    mean_over(logits, truths, |z, truth| {
        let against = if truth { -z } else { z };
        against.max(0.0) + (-z.abs()).exp().ln_1p()
    })
}

/// Mean of −ln P(outcome) from probabilities clipped to [ε, 1 − ε] with f64's ε, as scikit-learn
/// does: a probability of exactly 0 for what happened costs 36, not infinity.
///
/// # Errors
/// As [`brier`].
pub fn log_loss_of_probabilities(probabilities: &[f64], truths: &[bool]) -> Result<f64, Undefined> {
    mean_over(probabilities, truths, |p, truth| {
        let of_outcome = if truth { p } else { 1.0 - p };
        -of_outcome.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
    })
}

/// How probabilities are put into bins. In both, a value on an edge goes to the bin below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binning {
    /// Bins of equal width over [0, 1]; scikit-learn's `uniform`.
    EqualWidth,
    /// Edges at the quantiles of the probabilities, so that bins hold about as many; ties stay
    /// together. scikit-learn's `quantile`.
    EqualMass,
}

/// One bin that holds something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReliabilityBin {
    /// Lower edge, not included but for the first bin.
    pub lower: f64,
    /// Upper edge, included.
    pub upper: f64,
    /// Radiographs in it.
    pub count: usize,
    /// What the model said on average.
    pub mean_probability: f64,
    /// What was so.
    pub positive_share: f64,
    /// Mean of p (1 − p): the variance of one radiograph's outcome if the model is right.
    pub mean_variance: f64,
}

/// Bins of a finding's probabilities, ascending; empty ones are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct ReliabilityCurve {
    /// The bins.
    pub bins: Vec<ReliabilityBin>,
}

impl ReliabilityCurve {
    /// Puts probabilities into bins.
    ///
    /// # Errors
    /// As [`brier`].
    pub fn of(
        probabilities: &[f64],
        truths: &[bool],
        binning: Binning,
        n_bins: usize,
    ) -> Result<Self, Undefined> {
        check(probabilities, truths)?;
        let n_bins = n_bins.max(1);
        let edges = match binning {
            Binning::EqualWidth => (0..=n_bins).map(|edge| even(edge, n_bins)).collect(),
            Binning::EqualMass => quantile_edges(probabilities, n_bins),
        };
        let inner = &edges[1..n_bins];
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); n_bins];
        for (place, &p) in probabilities.iter().enumerate() {
            members[inner.partition_point(|&edge| edge < p)].push(place);
        }
        let filled = members
            .iter()
            .enumerate()
            .filter(|(_, places)| !places.is_empty());
        let bins = filled.map(|(bin, places)| {
            let count = as_f64(places.len());
            let positives = places.iter().filter(|&&place| truths[place]).count();
            ReliabilityBin {
                lower: edges[bin],
                upper: edges[bin + 1],
                count: places.len(),
                mean_probability: sum(places.iter().map(|&place| probabilities[place])) / count,
                positive_share: as_f64(positives) / count,
                mean_variance: sum(places.iter().map(|&place| {
                    let p = probabilities[place];
                    p * (1.0 - p)
                })) / count,
            }
        });
        Ok(Self {
            bins: bins.collect(),
        })
    }

    /// Expected calibration error: mean over radiographs of |said − was so| of their bin.
    #[doc(alias = "ece")]
    pub fn expected_calibration_error(&self) -> f64 {
        self.weighted_mean(|bin| (bin.mean_probability - bin.positive_share).abs())
    }

    /// The error that exactly right probabilities would show on these bins by chance: its mean,
    /// outcomes of a bin taken as normal. An error below it is no sign of a fault.
    pub fn error_by_chance(&self) -> f64 {
        let deviation = |bin: &ReliabilityBin| (bin.mean_variance / as_f64(bin.count)).sqrt();
        (2.0 / std::f64::consts::PI).sqrt() * self.weighted_mean(deviation)
    }

    /// The Brier score's three parts on these bins.
    pub fn brier_decomposition(&self) -> BrierDecomposition {
        let prevalence = self.weighted_mean(|bin| bin.positive_share);
        BrierDecomposition {
            reliability: self
                .weighted_mean(|bin| (bin.mean_probability - bin.positive_share).powi(2)),
            resolution: self.weighted_mean(|bin| (bin.positive_share - prevalence).powi(2)),
            uncertainty: prevalence * (1.0 - prevalence),
        }
    }

    fn weighted_mean(&self, value: impl Fn(&ReliabilityBin) -> f64) -> f64 {
        let all: usize = self.bins.iter().map(|bin| bin.count).sum();
        sum(self.bins.iter().map(|bin| as_f64(bin.count) * value(bin))) / as_f64(all)
    }
}

/// Brier = reliability − resolution + uncertainty (Murphy 1973), exact when each bin's
/// probabilities are replaced by their mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BrierDecomposition {
    /// Squared distance between what was said and what was so: less is better.
    pub reliability: f64,
    /// Spread of what was so between the bins: more is better.
    pub resolution: f64,
    /// Prevalence × (1 − prevalence): the data's own.
    pub uncertainty: f64,
}

impl BrierDecomposition {
    /// The Brier score of the bins' mean probabilities.
    pub fn binned_brier(&self) -> f64 {
        self.reliability - self.resolution + self.uncertainty
    }
}

fn outcome(truth: bool) -> f64 {
    f64::from(u8::from(truth))
}

fn check(values: &[f64], truths: &[bool]) -> Result<(), Undefined> {
    if values.len() != truths.len() {
        return Err(Undefined::UnequalLengths);
    }
    if values.iter().any(|value| value.is_nan()) {
        return Err(Undefined::NanScore);
    }
    if values.is_empty() {
        Err(Undefined::NoKnownLabel)
    } else {
        Ok(())
    }
}

fn mean_over(
    values: &[f64],
    truths: &[bool],
    cost: impl Fn(f64, bool) -> f64 + Clone,
) -> Result<f64, Undefined> {
    check(values, truths)?;
    let costs = values
        .iter()
        .zip(truths)
        .map(|(&value, &truth)| cost(value, truth));
    mean(costs).ok_or(Undefined::NoKnownLabel)
}

/// `numpy.linspace(0, 1, n + 1)[i]`, to the bit: an edge decides where a value on it goes.
fn even(i: usize, n: usize) -> f64 {
    if i == n {
        1.0
    } else {
        as_f64(i) * (1.0 / as_f64(n))
    }
}

/// `numpy.percentile(values, 100 * linspace(0, 1, n + 1))`, to the bit.
fn quantile_edges(values: &[f64], n: usize) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let edge = |i: usize| quantile(&sorted, even(i, n) * 100.0 / 100.0);
    (0..=n).map(edge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_loss_of_logits_is_finite_where_the_logarithm_of_a_sigmoid_is_not() {
        for (z, truth, expected) in [
            (17.0, true, 4.139_937_633_089_4e-8),
            (-800.0, true, 800.0),
            (1e308, false, 1e308),
        ] {
            let loss = log_loss_of_logits(&[z], &[truth]).unwrap();
            assert!((loss - expected).abs() <= 1e-12 * expected, "{z}: {loss}");
        }
        let huge = log_loss_of_logits(&[1e308; 4], &[false; 4]).unwrap();
        assert!(huge.is_finite());
    }

    #[test]
    fn a_wrong_certainty_costs_what_scikit_learn_says() {
        let loss = log_loss_of_probabilities(&[0.0, 1.0], &[true, true]).unwrap();
        assert!((loss - 36.043_653_389_117_15 / 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_value_on_an_edge_goes_to_the_bin_below() {
        let curve = ReliabilityCurve::of(
            &[0.0, 0.5, 0.500001],
            &[false, true, true],
            Binning::EqualWidth,
            2,
        )
        .unwrap();
        assert_eq!(
            curve.bins.iter().map(|bin| bin.count).collect::<Vec<_>>(),
            [2, 1]
        );
        assert!((curve.bins[0].positive_share - 0.5).abs() < 1e-15);
    }

    #[test]
    fn the_error_by_chance_is_the_mean_over_many_drawn_outcomes() {
        let p: Vec<f64> = (0..600)
            .map(|i| 0.05 + 0.9 * f64::from(i) / 600.0)
            .collect();
        let (mut total, n_draws) = (0.0, 400);
        let mut by_chance = 0.0;
        for draw in 0..n_draws {
            let truths: Vec<bool> = (0_u64..)
                .zip(&p)
                .map(|(row, &p)| {
                    let mut stream =
                        cxr_stream::Stream::new(5, cxr_stream::Purpose::Test, draw, row);
                    stream.uniform() < p
                })
                .collect();
            let curve =
                ReliabilityCurve::of(&p, &truths, Binning::EqualWidth, DEFAULT_BINS).unwrap();
            total += curve.expected_calibration_error();
            by_chance = curve.error_by_chance();
        }
        let mean = total / n_draws as f64;
        assert!((mean / by_chance - 1.0).abs() < 0.03, "{mean} {by_chance}");
    }

    #[test]
    fn equal_scores_stay_in_one_bin_of_equal_mass() {
        let curve = ReliabilityCurve::of(&[0.3; 40], &[true; 40], Binning::EqualMass, DEFAULT_BINS)
            .unwrap();
        assert_eq!(curve.bins.len(), 1);
        assert!((curve.expected_calibration_error() - 0.7).abs() < 1e-15);
    }

    #[test]
    fn nothing_to_measure_has_a_reason() {
        assert_eq!(brier(&[], &[]), Err(Undefined::NoKnownLabel));
        assert_eq!(brier(&[0.1], &[]), Err(Undefined::UnequalLengths));
        assert_eq!(
            log_loss_of_logits(&[f64::NAN], &[true]),
            Err(Undefined::NanScore)
        );
    }
}
