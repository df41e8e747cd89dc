//! Errors of shares, such as a sensitivity, whose radiographs come in patients.
//!
//! A share is Σ hits ÷ Σ cases; its patients' residuals (hits − share · cases) ÷ Σ cases give its
//! standard error and that of a difference of two. Deliberately not here: errors of an AUROC
//! ([`crate::Placements`]).

use crate::summation::{as_f64, sum};
use crate::{Interval, NORMAL_975};

/// A share with each patient's part in its error.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClusteredShare {
    /// Hits among cases.
    pub(crate) value: f64,
    n_cases: usize,
    n_patients: usize,
    residuals: Vec<f64>,
}

impl ClusteredShare {
    /// The share of hits among cases given as (patient, is a hit); `None` without a case.
    pub(crate) fn of(
        cases: impl Iterator<Item = (usize, bool)> + Clone,
        n_patients: usize,
    ) -> Option<Self> {
        let mut counts = vec![(0_usize, 0_usize); n_patients];
        for (patient, is_hit) in cases {
            let of_patient = counts.get_mut(patient)?;
            of_patient.0 += usize::from(is_hit);
            of_patient.1 += 1;
        }
        let (hits, n_cases) = counts
            .iter()
            .fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
        if n_cases == 0 {
            return None;
        }
        let value = as_f64(hits) / as_f64(n_cases);
        let residual = |&(hits, cases): &(usize, usize)| {
            (as_f64(hits) - value * as_f64(cases)) / as_f64(n_cases)
        };
        Some(Self {
            value,
            n_cases,
            n_patients: counts.iter().filter(|(_, cases)| *cases > 0).count(),
            residuals: counts.iter().map(residual).collect(),
        })
    }

    /// Wilson's 95 % interval with the number of cases that independent ones would have to be to
    /// give the clustered standard error (Korn & Graubard 1998). It has a width at shares of 0 and 1
    /// too, where the patients are taken as the cases.
    pub(crate) fn interval(&self) -> Interval {
        let p = self.value;
        let variance = error(self.residuals.iter().copied(), self.n_patients).powi(2);
        let n_cases = as_f64(self.n_cases);
        let effective = if variance > 0.0 {
            (p * (1.0 - p) / variance).min(n_cases)
        } else if p <= 0.0 || p >= 1.0 {
            as_f64(self.n_patients)
        } else {
            n_cases
        };
        let z2 = NORMAL_975 * NORMAL_975;
        let centre = (p + z2 / (2.0 * effective)) / (1.0 + z2 / effective);
        let half = NORMAL_975 / (1.0 + z2 / effective)
            * (p * (1.0 - p) / effective + z2 / (4.0 * effective * effective)).sqrt();
        Interval {
            lower: (centre - half).max(0.0).min(p),
            upper: (centre + half).min(1.0).max(p),
        }
    }

    /// The 95 % interval of this share minus another, from both shares' intervals (Newcombe 1998,
    /// method 10): it has a width where the shares are 0 and 1, and is a little too wide where the
    /// same patients are behind both.
    pub(crate) fn minus(&self, other: &Self) -> Interval {
        let difference = self.value - other.value;
        let (a, b) = (self.interval(), other.interval());
        let below = (self.value - a.lower).hypot(b.upper - other.value);
        let above = (a.upper - self.value).hypot(other.value - b.lower);
        Interval {
            lower: (difference - below).max(-1.0),
            upper: (difference + above).min(1.0),
        }
    }
}

fn error(residuals: impl Iterator<Item = f64>, n_patients: usize) -> f64 {
    if n_patients < 2 {
        return 0.0;
    }
    let unbiased = as_f64(n_patients) / as_f64(n_patients - 1);
    (unbiased * sum(residuals.map(|residual| residual * residual))).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(cases: &[(usize, bool)], n_patients: usize) -> ClusteredShare {
        ClusteredShare::of(cases.iter().copied(), n_patients).unwrap()
    }

    #[test]
    fn independent_radiographs_give_wilsons_interval() {
        // 7 of 10: Wilson 1927 gives .3968 to .8922; the variance with n − 1 makes it a little wider.
        let cases: Vec<(usize, bool)> = (0..10).map(|patient| (patient, patient < 7)).collect();
        let interval = share(&cases, 10).interval();
        assert!((interval.lower - 0.3968).abs() < 0.02, "{interval:?}");
        assert!((interval.upper - 0.8922).abs() < 0.02, "{interval:?}");
    }

    #[test]
    fn radiographs_of_one_patient_that_agree_count_once() {
        let single: Vec<(usize, bool)> = (0..20).map(|patient| (patient, patient < 14)).collect();
        let doubled: Vec<(usize, bool)> = single.iter().flat_map(|&case| [case, case]).collect();
        let (single, doubled) = (share(&single, 20), share(&doubled, 20));
        assert!((single.interval().lower - doubled.interval().lower).abs() < 1e-12);
        let independent: Vec<(usize, bool)> =
            (0..40).map(|patient| (patient, patient < 28)).collect();
        let narrower = share(&independent, 40).interval();
        assert!(narrower.lower > doubled.interval().lower + 0.02);
    }

    #[test]
    fn a_share_of_0_or_1_has_a_width_and_no_case_has_none() {
        let all = share(&[(0, true), (1, true), (1, true)], 3).interval();
        assert!(
            all.upper >= 1.0 && (all.lower - 0.3424).abs() < 1e-3,
            "{all:?}"
        );
        let none = share(&[(0, false), (1, false), (2, false)], 3).interval();
        assert!(none.lower <= 0.0 && none.upper > 0.4, "{none:?}");
        assert_eq!(ClusteredShare::of(std::iter::empty(), 3), None);
    }

    #[test]
    fn a_difference_is_antisymmetric_and_has_a_width_at_0_and_1() {
        let a = share(&[(0, true), (1, false), (2, true), (3, true)], 4);
        let b = share(&[(0, true), (1, false), (2, false), (3, false)], 4);
        let (ab, ba) = (a.minus(&b), b.minus(&a));
        assert!((ab.lower + ba.upper).abs() < 1e-15 && (ab.upper + ba.lower).abs() < 1e-15);
        let all = share(&[(0, true), (1, true)], 4);
        let none = share(&[(2, false), (3, false)], 4);
        let widest = all.minus(&none);
        assert!(
            widest.upper >= 1.0 && widest.lower > -0.1 && widest.lower < 0.5,
            "{widest:?}"
        );
    }

    #[test]
    fn independent_shares_give_newcombes_interval() {
        // Newcombe 1998, table II, row a: 56 of 70 minus 48 of 80 is .2, .0524 to .3339.
        let cases = |hits: usize, n: usize, first: usize| -> Vec<(usize, bool)> {
            (0..n).map(|case| (first + case, case < hits)).collect()
        };
        let a = share(&cases(56, 70, 0), 150);
        let b = share(&cases(48, 80, 70), 150);
        let interval = a.minus(&b);
        assert!((interval.lower - 0.0524).abs() < 2e-3, "{interval:?}");
        assert!((interval.upper - 0.3339).abs() < 2e-3, "{interval:?}");
    }
}
