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
        Self::of_share_times(estimate, standard_error, NORMAL_975)
    }

    /// The same with Student's t in place of the normal distribution: wider where the standard error
    /// itself rests on few patients ([`crate::Placements::degrees_of_freedom`]).
    ///
    /// # Errors
    /// As [`Interval::of_share`].
    pub fn of_share_by_student(
        estimate: f64,
        standard_error: f64,
        degrees_of_freedom: f64,
    ) -> Result<Self, Undefined> {
        Self::of_share_times(estimate, standard_error, student_975(degrees_of_freedom))
    }

    fn of_share_times(estimate: f64, standard_error: f64, times: f64) -> Result<Self, Undefined> {
        if estimate.is_nan() || standard_error.is_nan() || times.is_nan() {
            return Err(Undefined::NanScore);
        }
        if estimate <= 0.0 || estimate >= 1.0 {
            return Err(Undefined::AtBound);
        }
        let half = times * standard_error / (estimate * (1.0 - estimate));
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

/// The 97.5 % point of Student's distribution, to 1e-9 of itself up to a million degrees of freedom; NaN for less than 1 degree of
/// freedom.
fn student_975(degrees_of_freedom: f64) -> f64 {
    if degrees_of_freedom.is_nan() || degrees_of_freedom < 1.0 {
        return f64::NAN;
    }
    if degrees_of_freedom > 1e6 {
        // Within 1.3e-6 of it, and the logarithms of Γ would lose more.
        return NORMAL_975;
    }
    // Of 1 degree it is 12.7, of infinitely many the normal's.
    let (mut low, mut high) = (NORMAL_975, 13.0);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if student_tails(middle, degrees_of_freedom) > 0.05 {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// P(|T| ≥ t): the regularised incomplete beta function I(a, ½) at ν / (ν + t²), a = ν / 2.
fn student_tails(t: f64, degrees_of_freedom: f64) -> f64 {
    let (a, b) = (degrees_of_freedom / 2.0, 0.5);
    let x = degrees_of_freedom / (degrees_of_freedom + t * t);
    let gammas = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b);
    let front = |a: f64, b: f64, x: f64, rest: f64| {
        (gammas + a * x.ln() + b * rest.ln()).exp() / a / beta_fraction(a, b, x)
    };
    let rest = t * t / (degrees_of_freedom + t * t);
    // The fraction converges fast below the distribution's mean, (a + 1) / (a + b + 2).
    if x < (a + 1.0) / (a + b + 2.0) {
        front(a, b, x, rest)
    } else {
        1.0 - front(b, a, rest, x)
    }
}

/// The continued fraction of the incomplete beta function (DLMF 8.17.22), from the inside out.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TERMS: u32 = 200;
    (1..=TERMS).rev().map(f64::from).fold(1.0, |inner, term| {
        let m = (term / 2.0).floor();
        let coefficient = if term % 2.0 > 0.5 {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        } else {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        };
        1.0 + coefficient / inner
    })
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

    #[test]
    fn students_points_are_scipys() {
        // scipy.stats.t.ppf(0.975, df).
        for (degrees, expected) in [
            (1.0, 12.706_204_736_174_71),
            (1.5, 6.016663104427929),
            (5.0, 2.570_581_835_636_315_5),
            (14.6, 2.136546941559566),
            (100.0, 1.983_971_518_523_552_6),
            (1e6, 1.959966356814107),
        ] {
            let found = student_975(degrees);
            assert!((found / expected - 1.0).abs() < 1e-9, "{degrees}: {found}");
        }
        assert!((student_975(f64::MAX) - NORMAL_975).abs() < 1e-6);
        assert!(student_975(0.5).is_nan() && student_975(f64::NAN).is_nan());
    }

    #[test]
    fn few_patients_widen_the_interval() {
        let by_normal = Interval::of_share(0.8, 0.05).unwrap();
        let by_student = Interval::of_share_by_student(0.8, 0.05, 6.0).unwrap();
        assert!(by_student.lower < by_normal.lower && by_student.upper > by_normal.upper);
        assert!(by_student.contains(0.8));
        assert_eq!(
            Interval::of_share_by_student(1.0, 0.05, 6.0),
            Err(Undefined::AtBound)
        );
    }
}
