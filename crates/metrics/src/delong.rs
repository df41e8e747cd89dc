//! Standard errors of AUROCs: DeLong's for independent radiographs, Obuchowski's for patients with
//! several, and the mean's over findings.
//!
//! References: DeLong, DeLong & Clarke-Pearson 1988; Sun & Xu 2014 (placements by ranks,
//! O(n log n)); Obuchowski 1997 (clusters). Deliberately not here: intervals ([`crate::Interval`])
//! and what two models' differences mean ([`crate::PairedDifference`]).

use crate::summation::{as_f64, sum};
use crate::{Ranking, Undefined};
use std::collections::HashMap;

/// Which radiographs belong to one patient: patients numbered from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clusters {
    of_row: Vec<usize>,
    n_clusters: usize,
}

impl Clusters {
    /// Groups rows by the patient's name.
    pub fn by_name<S: AsRef<str>>(patients: &[S]) -> Self {
        let mut numbers = HashMap::new();
        let of_row = patients
            .iter()
            .map(|patient| {
                let next = numbers.len();
                *numbers.entry(patient.as_ref()).or_insert(next)
            })
            .collect();
        Self {
            of_row,
            n_clusters: numbers.len(),
        }
    }

    /// Patients.
    pub fn n_clusters(&self) -> usize {
        self.n_clusters
    }

    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.of_row.len()
    }

    /// The patient of every row.
    pub(crate) fn patients(&self) -> &[usize] {
        &self.of_row
    }

    /// The patient of each of some rows; rows out of range are left out.
    pub fn of_rows(&self, rows: &[usize]) -> Vec<usize> {
        rows.iter()
            .filter_map(|&row| self.of_row.get(row).copied())
            .collect()
    }
}

/// One finding's placement values: for a positive the share of negatives below it (V10), for a
/// negative the share of positives above it (V01), ties one half. Both means are the AUROC.
#[derive(Clone, Debug, PartialEq)]
pub struct Placements {
    values: Vec<f64>,
    truths: Vec<bool>,
    auroc: f64,
    n_positives: usize,
    n_negatives: usize,
}

impl Placements {
    /// Placement values of ranked radiographs; the truths are those that were ranked.
    ///
    /// # Errors
    /// One class only, no known label, or another number of truths.
    pub fn of(ranking: &Ranking, truths: &[bool]) -> Result<Self, Undefined> {
        if ranking.step_of().len() != truths.len() {
            return Err(Undefined::UnequalLengths);
        }
        let (n_positives, n_negatives) = ranking.both_classes()?;
        let mut positives_above = 0;
        let of_step: Vec<(f64, f64)> = ranking
            .steps()
            .map(|(positives, negatives, below)| {
                let v10 = as_f64(2 * below + negatives) / as_f64(2 * n_negatives);
                let v01 = as_f64(2 * positives_above + positives) / as_f64(2 * n_positives);
                positives_above += positives;
                (v10, v01)
            })
            .collect();
        let values = ranking.step_of().iter().zip(truths).map(|(&step, &truth)| {
            let (v10, v01) = of_step[step];
            if truth { v10 } else { v01 }
        });
        Ok(Self {
            values: values.collect(),
            truths: truths.to_vec(),
            auroc: ranking.auroc()?,
            n_positives,
            n_negatives,
        })
    }

    /// The AUROC.
    pub fn auroc(&self) -> f64 {
        self.auroc
    }

    /// The placement values of one model minus those of another on the same radiographs: the AUROC is
    /// then the difference of both, and the standard errors are the difference's.
    ///
    /// # Errors
    /// [`Undefined::OtherTruths`].
    pub fn minus(&self, other: &Self) -> Result<Self, Undefined> {
        if self.truths != other.truths {
            return Err(Undefined::OtherTruths);
        }
        let values = self.values.iter().zip(&other.values).map(|(a, b)| a - b);
        Ok(Self {
            values: values.collect(),
            auroc: self.auroc - other.auroc,
            ..self.clone()
        })
    }

    /// V10 of each positive and V01 of each negative, in the order of the radiographs.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// DeLong's standard error, for radiographs that are independent:
    /// √(s²(V10)/m + s²(V01)/n).
    ///
    /// # Errors
    /// [`Undefined::OnePositive`], [`Undefined::OneNegative`].
    pub fn standard_error(&self) -> Result<f64, Undefined> {
        match (self.n_positives, self.n_negatives) {
            (1, _) => Err(Undefined::OnePositive),
            (_, 1) => Err(Undefined::OneNegative),
            (m, n) => Ok((self.mean_variance(true, m) + self.mean_variance(false, n)).sqrt()),
        }
    }

    /// Obuchowski's standard error, for patients that are independent and have any number of
    /// radiographs each. `patients[i]` is the patient of radiograph i (see [`Clusters::of_rows`]).
    ///
    /// # Errors
    /// [`Undefined::PositivesOfOnePatient`], [`Undefined::NegativesOfOnePatient`],
    /// [`Undefined::UnequalLengths`].
    pub fn clustered_standard_error(&self, patients: &[usize]) -> Result<f64, Undefined> {
        let deviations = self.deviations(patients)?;
        let [of_positives, of_negatives] = self.class_variances(&deviations)?;
        let (m, n) = (as_f64(self.n_positives), as_f64(self.n_negatives));
        let with_any = deviations
            .iter()
            .filter(|d| d.n_positives + d.n_negatives > 0)
            .count();
        let products = sum(deviations.iter().map(|d| d.positives * d.negatives));
        let s11 = unbiased(with_any) * products;
        Ok((of_positives + of_negatives + 2.0 * s11 / (m * n))
            .max(0.0)
            .sqrt())
    }

    /// How many independent terms the clustered standard error is as good as, at least 1: for
    /// [`Interval::of_share_by_student`](crate::Interval::of_share_by_student).
    ///
    /// Satterthwaite's (1946) for the sum of the two classes' variances. A class counts as
    /// (Σ mₖ)² / Σ mₖ² patients, which is fewer than it has where one patient holds most of it (Kish
    /// 1965).
    ///
    /// # Errors
    /// As [`Placements::clustered_standard_error`].
    pub fn degrees_of_freedom(&self, patients: &[usize]) -> Result<f64, Undefined> {
        let deviations = self.deviations(patients)?;
        let [of_positives, of_negatives] = self.class_variances(&deviations)?;
        let effective = |count: usize, of_patient: fn(&Deviation) -> usize| {
            let squares = sum(deviations.iter().map(|d| as_f64(of_patient(d)).powi(2)));
            as_f64(count).powi(2) / squares - 1.0
        };
        let with_positives = effective(self.n_positives, |d| d.n_positives);
        let with_negatives = effective(self.n_negatives, |d| d.n_negatives);
        let spread = of_positives.powi(2) / with_positives + of_negatives.powi(2) / with_negatives;
        let all = (of_positives + of_negatives).powi(2);
        Ok(if spread > 0.0 {
            (all / spread).max(1.0)
        } else {
            1.0
        })
    }

    /// S10 / m and S01 / n.
    fn class_variances(&self, deviations: &[Deviation]) -> Result<[f64; 2], Undefined> {
        let with = |has: fn(&Deviation) -> bool| deviations.iter().filter(|d| has(d)).count();
        let with_positives = with(|d| d.n_positives > 0);
        let with_negatives = with(|d| d.n_negatives > 0);
        if with_positives < 2 {
            return Err(Undefined::PositivesOfOnePatient);
        }
        if with_negatives < 2 {
            return Err(Undefined::NegativesOfOnePatient);
        }
        let (m, n) = (as_f64(self.n_positives), as_f64(self.n_negatives));
        let over = |term: fn(&Deviation) -> f64| sum(deviations.iter().map(term));
        let s10 = unbiased(with_positives) / m * over(|d| d.positives.powi(2));
        let s01 = unbiased(with_negatives) / n * over(|d| d.negatives.powi(2));
        Ok([s10 / m, s01 / n])
    }

    /// Each patient's influence on the AUROC, (X10 − mθ)/m + (X01 − nθ)/n, by the patient's number;
    /// 0 for one without a radiograph here. They sum to 0.
    ///
    /// # Errors
    /// [`Undefined::UnequalLengths`].
    pub fn influence(&self, patients: &[usize]) -> Result<Vec<f64>, Undefined> {
        let (m, n) = (as_f64(self.n_positives), as_f64(self.n_negatives));
        let deviations = self.deviations(patients)?;
        Ok(deviations
            .iter()
            .map(|d| d.positives / m + d.negatives / n)
            .collect())
    }

    /// Variance of the mean of V over one class of that many radiographs.
    fn mean_variance(&self, class: bool, count: usize) -> f64 {
        let of_class = self
            .values
            .iter()
            .zip(&self.truths)
            .filter(|&(_, &truth)| truth == class);
        let squares = sum(of_class.map(|(value, _)| (value - self.auroc).powi(2)));
        squares / as_f64(count - 1) / as_f64(count)
    }

    /// For each patient: Σ (V10 − θ) over its positives, Σ (V01 − θ) over its negatives.
    fn deviations(&self, patients: &[usize]) -> Result<Vec<Deviation>, Undefined> {
        if patients.len() != self.values.len() {
            return Err(Undefined::UnequalLengths);
        }
        let n_patients = patients.iter().max().map_or(0, |last| last + 1);
        let mut deviations = vec![Deviation::default(); n_patients];
        for ((&patient, &value), &truth) in patients.iter().zip(&self.values).zip(&self.truths) {
            let of_patient = &mut deviations[patient];
            if truth {
                of_patient.positives += value - self.auroc;
                of_patient.n_positives += 1;
            } else {
                of_patient.negatives += value - self.auroc;
                of_patient.n_negatives += 1;
            }
        }
        Ok(deviations)
    }
}

/// One patient's part in the spread of an AUROC.
#[derive(Clone, Copy, Debug, Default)]
struct Deviation {
    /// X10ₖ − mₖθ.
    positives: f64,
    /// X01ₖ − nₖθ.
    negatives: f64,
    n_positives: usize,
    n_negatives: usize,
}

/// Standard error of the mean AUROC of some findings of the same patients: their influence values
/// averaged over the findings, patient by patient, so that what findings share is counted once.
///
/// `influences` has one list a finding, as [`Placements::influence`] gives it; `n_patients` are those
/// of the whole cohort.
///
/// # Errors
/// [`Undefined::NoDefinedFinding`]; [`Undefined::PositivesOfOnePatient`] with fewer than two patients.
pub fn macro_standard_error(influences: &[Vec<f64>], n_patients: usize) -> Result<f64, Undefined> {
    if influences.is_empty() {
        return Err(Undefined::NoDefinedFinding);
    }
    if n_patients < 2 {
        return Err(Undefined::PositivesOfOnePatient);
    }
    let length = influences.iter().map(Vec::len).max().unwrap_or(0);
    let mut of_patient = vec![0.0; length];
    for influence in influences {
        for (total, value) in of_patient.iter_mut().zip(influence) {
            *total += value / as_f64(influences.len());
        }
    }
    let squares = sum(of_patient.iter().map(|value| value.powi(2)));
    Ok((unbiased(n_patients) * squares).sqrt())
}

/// Degrees of freedom of the standard error of a mean of AUROCs, at least 1, from each one's own
/// standard error and degrees of freedom: Satterthwaite's, which takes the findings for independent.
pub fn macro_degrees_of_freedom(terms: &[(f64, f64)]) -> f64 {
    let variance = sum(terms.iter().map(|&(error, _)| error.powi(2)));
    let spread = sum(terms
        .iter()
        .map(|&(error, freedom)| error.powi(4) / freedom));
    if spread > 0.0 {
        (variance.powi(2) / spread).max(1.0)
    } else {
        1.0
    }
}

/// I / (I − 1).
fn unbiased(count: usize) -> f64 {
    as_f64(count) / as_f64(count - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placements(scores: &[f64], truths: &[bool]) -> Placements {
        Placements::of(&Ranking::new(scores, truths).unwrap(), truths).unwrap()
    }

    #[test]
    fn patients_are_numbered_in_the_order_they_appear() {
        let clusters = Clusters::by_name(&["b", "a", "b", "c"]);
        assert_eq!(clusters.n_clusters(), 3);
        assert_eq!(clusters.of_rows(&[3, 0, 2]), [2, 0, 0]);
    }

    #[test]
    fn too_few_of_a_class_have_no_standard_error() {
        let one = placements(&[0.1, 0.9, 0.2], &[false, true, false]);
        assert_eq!(one.standard_error(), Err(Undefined::OnePositive));
        assert_eq!(
            one.clustered_standard_error(&[0, 1, 2]),
            Err(Undefined::PositivesOfOnePatient)
        );
        let other = placements(&[0.1, 0.9, 0.2, 0.6], &[true, true, false, true]);
        assert_eq!(other.standard_error(), Err(Undefined::OneNegative));
        let same = placements(&[0.1, 0.9, 0.2, 0.6], &[true, false, false, true]);
        assert_eq!(
            same.clustered_standard_error(&[0, 1, 1, 2]),
            Err(Undefined::NegativesOfOnePatient)
        );
        assert_eq!(
            same.clustered_standard_error(&[0, 1]),
            Err(Undefined::UnequalLengths)
        );
    }

    #[test]
    fn a_patient_with_most_of_the_positives_leaves_few_degrees_of_freedom() {
        // 190 negatives of a patient each; eight of the ten positives score high, two low.
        let mut scores: Vec<f64> = (0..190).map(f64::from).collect();
        scores.extend([150.5; 8]);
        scores.extend([20.5, 40.5]);
        let truths: Vec<bool> = (0..200).map(|row| row >= 190).collect();
        let p = placements(&scores, &truths);
        let alone: Vec<usize> = (0..200).collect();
        let even = p.degrees_of_freedom(&alone).unwrap();
        // Welch's: at least the 9 of the smaller class.
        assert!((9.0..=15.0).contains(&even), "{even}");
        // One patient has the eight: (8 + 1 + 1)² / (8² + 1 + 1) − 1 is half a degree, raised to 1.
        let together = alone
            .iter()
            .map(|&row| if row < 198 { row.min(190) } else { row });
        let together: Vec<usize> = together.collect();
        let few = p.degrees_of_freedom(&together).unwrap();
        assert!((1.0..1.5).contains(&few), "{few} of {even}");
        assert_eq!(
            p.degrees_of_freedom(&[0; 200]),
            Err(Undefined::PositivesOfOnePatient)
        );
    }

    #[test]
    fn a_mean_has_the_degrees_of_freedom_of_what_dominates_it() {
        let alike = macro_degrees_of_freedom(&[(0.01, 20.0), (0.01, 20.0)]);
        assert!((alike - 40.0).abs() < 1e-9);
        let one_rules = macro_degrees_of_freedom(&[(0.1, 6.0), (0.001, 500.0)]);
        assert!((one_rules - 6.0).abs() < 0.01);
        assert!((macro_degrees_of_freedom(&[]) - 1.0).abs() <= 0.0);
    }

    #[test]
    fn influences_of_patients_sum_to_nothing() {
        let p = placements(
            &[0.1, 0.4, 0.35, 0.8, 0.4],
            &[false, false, true, true, true],
        );
        let influence = p.influence(&[0, 1, 0, 2, 1]).unwrap();
        assert_eq!(influence.len(), 3);
        assert!(influence.iter().sum::<f64>().abs() < 1e-15);
    }
}
