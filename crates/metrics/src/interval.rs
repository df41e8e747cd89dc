//! A confidence interval of a share, by the logit transform: it never leaves [0, 1].
//!
//! Deliberately not here: standard errors ([`crate::Placements`]).

use crate::Undefined;
use crate::scores::{logit, sigmoid};
use serde::{Deserialize, Serialize};

/// The 97.5 % point of the standard normal distribution: half of a 95 % interval's width.
pub const NORMAL_975: f64 = 1.959_963_984_540_054;

/// A 95 % confidence interval. In JSON `[lower, upper]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 2]", into = "[f64; 2]")]
pub struct Interval {
    /// Lower limit.
    pub lower: f64,
    /// Upper limit.
    pub upper: f64,
}

impl Interval {
    /// sigmoid(logit θ ± 1.96 se / (θ (1 − θ))): the 95 % interval of an AUROC or another share.
    ///
    /// # Errors
    /// [`Undefined::AtBound`] for an estimate of exactly 0 or 1.
    pub fn of_share(estimate: f64, standard_error: f64) -> Result<Self, Undefined> {
        if estimate.is_nan() || standard_error.is_nan() {
            return Err(Undefined::NanScore);
        }
        if estimate <= 0.0 || estimate >= 1.0 {
            return Err(Undefined::AtBound);
        }
        let half = NORMAL_975 * standard_error / (estimate * (1.0 - estimate));
        let centre = logit(estimate);
        Ok(Self {
            lower: sigmoid(centre - half),
            upper: sigmoid(centre + half),
        })
    }

    /// Whether a value lies within.
    pub fn contains(&self, value: f64) -> bool {
        (self.lower..=self.upper).contains(&value)
    }
}

impl From<[f64; 2]> for Interval {
    fn from([lower, upper]: [f64; 2]) -> Self {
        Self { lower, upper }
    }
}

impl From<Interval> for [f64; 2] {
    fn from(interval: Interval) -> Self {
        [interval.lower, interval.upper]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_holds_its_estimate_and_stays_between_0_and_1() {
        let interval = Interval::of_share(0.98, 0.05).unwrap();
        assert!(interval.contains(0.98) && interval.lower > 0.0 && interval.upper < 1.0);
        assert!(
            0.98 - interval.lower > interval.upper - 0.98,
            "skewed away from the bound"
        );
        assert_eq!(Interval::of_share(1.0, 0.0), Err(Undefined::AtBound));
        assert_eq!(
            serde_json::to_string(&Interval {
                lower: 0.25,
                upper: 0.5
            })
            .unwrap(),
            "[0.25,0.5]"
        );
    }
}
