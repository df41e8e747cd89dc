//! Rising maps from logits to logits: what every calibration is.
//!
//! Deliberately not here: fitting one (fit_map.rs), and which one is used
//! ([`crate::FindingCalibration`]).

use crate::scores::{logit, sigmoid};
use crate::{MetricFault, Undefined};
use serde::{Deserialize, Serialize};

/// z ↦ logit(floor + (ceiling − floor) σ(slope · z + intercept)) + shift: rising, all numbers finite.
/// With floor 0, ceiling 1 and no shift it is slope · z + intercept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WrittenMap", into = "WrittenMap")]
pub struct LogitMap {
    slope: f64,
    intercept: f64,
    floor: f64,
    ceiling: f64,
    shift: f64,
}

#[derive(Serialize, Deserialize)]
struct WrittenMap {
    slope: f64,
    intercept: f64,
    #[serde(default, skip_serializing_if = "is_zero")]
    floor: f64,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    ceiling: f64,
    #[serde(default, skip_serializing_if = "is_zero")]
    shift: f64,
}

fn one() -> f64 {
    1.0
}

fn is_zero(value: &f64) -> bool {
    value.to_bits() == 0
}

fn is_one(value: &f64) -> bool {
    value.to_bits() == 1.0_f64.to_bits()
}

impl TryFrom<WrittenMap> for LogitMap {
    type Error = MetricFault;

    fn try_from(written: WrittenMap) -> Result<Self, MetricFault> {
        Self {
            slope: written.slope,
            intercept: written.intercept,
            floor: written.floor,
            ceiling: written.ceiling,
            shift: written.shift,
        }
        .checked()
    }
}

impl From<LogitMap> for WrittenMap {
    fn from(map: LogitMap) -> Self {
        Self {
            slope: map.slope,
            intercept: map.intercept,
            floor: map.floor,
            ceiling: map.ceiling,
            shift: map.shift,
        }
    }
}

impl LogitMap {
    /// Leaves logits as they are.
    pub const IDENTITY: Self = Self {
        slope: 1.0,
        intercept: 0.0,
        floor: 0.0,
        ceiling: 1.0,
        shift: 0.0,
    };

    /// A map by its numbers.
    ///
    /// # Errors
    /// [`MetricFault::BadLogitMap`] for a slope that is not positive, or a number that is not finite.
    pub fn new(slope: f64, intercept: f64) -> Result<Self, MetricFault> {
        Self {
            slope,
            intercept,
            ..Self::IDENTITY
        }
        .checked()
    }

    /// The same with a floor and a ceiling of the probability.
    ///
    /// # Errors
    /// [`MetricFault::BadLogitMap`] unless 0 ≤ floor < ceiling ≤ 1.
    pub fn between(self, floor: f64, ceiling: f64) -> Result<Self, MetricFault> {
        Self {
            floor,
            ceiling,
            ..self
        }
        .checked()
    }

    fn shifted(self, shift: f64) -> Result<Self, MetricFault> {
        Self { shift, ..self }.checked()
    }

    /// The one place where a map comes to be.
    fn checked(self) -> Result<Self, MetricFault> {
        let is_finite = [self.slope, self.intercept, self.shift]
            .iter()
            .all(|number| number.is_finite());
        let has_room = 0.0 <= self.floor && self.floor < self.ceiling && self.ceiling <= 1.0;
        if is_finite && self.slope > 0.0 && has_room {
            Ok(self)
        } else {
            Err(MetricFault::BadLogitMap {
                slope: self.slope,
                intercept: self.intercept,
                floor: self.floor,
                ceiling: self.ceiling,
                shift: self.shift,
            })
        }
    }

    /// z − ln w: what training with a weight w for positives added to the logit is taken back.
    ///
    /// # Errors
    /// [`MetricFault::BadLogitMap`] for a weight that is not positive and finite.
    pub fn unweighting(pos_weight: f64) -> Result<Self, MetricFault> {
        Self::new(1.0, -pos_weight.ln())
    }

    /// The factor.
    pub fn slope(&self) -> f64 {
        self.slope
    }

    /// What is added.
    pub fn intercept(&self) -> f64 {
        self.intercept
    }

    /// The least probability that it gives: how often the label is there where the finding is not.
    pub fn floor(&self) -> f64 {
        self.floor
    }

    /// The largest probability that it gives: how often the label is there where the finding is.
    pub fn ceiling(&self) -> f64 {
        self.ceiling
    }

    /// What is added last, for another prevalence.
    pub fn shift(&self) -> f64 {
        self.shift
    }

    /// The logit that stands for `z`.
    pub fn apply(&self, z: f64) -> f64 {
        let moved = self.slope.mul_add(z, self.intercept);
        let bounded = if is_zero(&self.floor) && is_one(&self.ceiling) {
            moved
        } else {
            logit(self.floor + (self.ceiling - self.floor) * sigmoid(moved))
        };
        bounded + self.shift
    }

    /// The probability that stands for the logit `z`.
    pub fn probability(&self, z: f64) -> f64 {
        sigmoid(self.apply(z))
    }

    /// This map, then a shift of the logit by the odds of another prevalence (Saerens et al. 2002):
    /// right where the two cohorts differ in how often the finding is there and in nothing else.
    ///
    /// # Errors
    /// [`Undefined::NoPositive`], [`Undefined::NoNegative`] for a prevalence of 0 or 1.
    pub fn shifted_prior(&self, from: f64, to: f64) -> Result<Self, Undefined> {
        for prevalence in [from, to] {
            if prevalence <= 0.0 {
                return Err(Undefined::NoPositive);
            }
            if prevalence >= 1.0 {
                return Err(Undefined::NoNegative);
            }
        }
        self.shifted(self.shift + logit(to) - logit(from))
            .map_err(|_| Undefined::NanScore)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_ln_w_off_gives_the_true_probability_back() {
        // The minimum of π w softplus(−z) + (1 − π) softplus(z) is σ(z) = w π / (w π + 1 − π).
        for (prevalence, weight) in [(0.1_f64, 9.0_f64), (0.5, 3.0), (0.002, 22.3)] {
            let learned = logit(weight * prevalence / (weight * prevalence + 1.0 - prevalence));
            let map = LogitMap::unweighting(weight).unwrap();
            assert!((sigmoid(map.apply(learned)) - prevalence).abs() < 1e-15);
        }
        assert!(LogitMap::unweighting(0.0).is_err());
        assert!(LogitMap::unweighting(f64::NAN).is_err());
    }

    #[test]
    fn a_shift_of_prevalence_multiplies_the_odds() {
        let map = LogitMap::IDENTITY.shifted_prior(0.1, 0.5).unwrap();
        assert!((map.apply(logit(0.1))).abs() < 1e-15);
        assert_eq!(
            LogitMap::IDENTITY.shifted_prior(0.0, 0.5),
            Err(Undefined::NoPositive)
        );
        assert_eq!(
            LogitMap::IDENTITY.shifted_prior(0.5, 1.0),
            Err(Undefined::NoNegative)
        );
    }

    #[test]
    fn a_map_without_room_above_its_floor_is_named_by_all_its_numbers() {
        let fault = LogitMap::IDENTITY.between(0.4, 0.3).unwrap_err();
        let value = fault.value().unwrap();
        assert!(value.contains("floor 0.4, ceiling 0.3"), "{value}");
        assert!(LogitMap::new(-1.0, 0.0).is_err() && LogitMap::new(1.0, f64::NAN).is_err());
    }
}
