//! Two models on the same radiographs: by how much their AUROCs differ, and whether that could be
//! chance.
//!
//! The difference of two AUROCs is the mean of the differences of their placement values, so its
//! clustered standard error is Obuchowski's of those differences: what the models share, by seeing
//! the same patients, drops out. References: DeLong, DeLong & Clarke-Pearson 1988 (paired
//! radiographs), Obuchowski 1997 (clusters). Deliberately not here: a verdict.

use serde::{Deserialize, Serialize};

use crate::evaluation::Reasons;
use crate::{
    Cells, Clusters, Interval, MacroMean, MetricFault, NORMAL_975, Placements, Ranking, Scores,
    Truths, Undefined, macro_standard_error,
};

/// A difference between two models on the same radiographs, the first minus the second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedDifference {
    /// First minus second.
    pub difference: f64,
    /// Its standard error, patients being independent.
    #[serde(rename = "difference_se")]
    pub standard_error: f64,
    /// Difference ± 1.96 standard errors, within −1 to 1.
    #[serde(rename = "difference_ci")]
    pub interval: Interval,
    /// How often a difference at least as large would be seen if there were none: two-sided, by the
    /// normal distribution. 1 for no difference.
    pub p_value: f64,
}

impl PairedDifference {
    /// From an estimate and its standard error.
    ///
    /// # Errors
    /// [`Undefined::NoSpread`] where there is a difference without a standard error.
    pub fn new(difference: f64, standard_error: f64) -> Result<Self, Undefined> {
        let p_value = if difference.abs() <= 0.0 {
            1.0
        } else if standard_error > 0.0 {
            // P(|Z| ≥ |z|) of the standard normal distribution.
            libm::erfc(difference.abs() / standard_error / std::f64::consts::SQRT_2)
        } else {
            return Err(Undefined::NoSpread);
        };
        let half = NORMAL_975 * standard_error;
        Ok(Self {
            difference,
            standard_error,
            interval: Interval {
                lower: (difference - half).max(-1.0),
                upper: (difference + half).min(1.0),
            },
            p_value,
        })
    }

    /// Of two models' AUROCs of one finding. `patients[i]` is the patient of radiograph i.
    ///
    /// # Errors
    /// [`Undefined::OtherTruths`] where the placements are not of the same labels; as
    /// [`Placements::clustered_standard_error`]; [`Undefined::NoSpread`].
    pub fn of(a: &Placements, b: &Placements, patients: &[usize]) -> Result<Self, Undefined> {
        let difference = a.minus(b)?;
        Self::new(
            difference.auroc(),
            difference.clustered_standard_error(patients)?,
        )
    }
}

/// Two models, finding by finding and in the mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Radiographs.
    pub rows: usize,
    /// Patients.
    pub patients: usize,
    /// One a finding, in the order of the columns.
    pub findings: Vec<FindingComparison>,
    /// The mean over the findings that are defined for both.
    #[serde(rename = "macro")]
    pub macro_mean: MacroComparison,
}

/// Two models on one finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingComparison {
    /// The finding.
    pub name: String,
    /// Positives.
    pub support: usize,
    /// The AUROCs of the first and the second model.
    pub auroc: [Option<f64>; 2],
    /// How they differ.
    #[serde(flatten)]
    pub paired: Option<PairedDifference>,
    /// Why a figure is missing.
    pub undefined: Reasons,
}

/// Two models in the mean over findings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MacroComparison {
    /// The mean AUROCs over the same findings.
    pub auroc: [Option<f64>; 2],
    /// How they differ.
    #[serde(flatten)]
    pub paired: Option<PairedDifference>,
    /// Findings in the means.
    pub over: usize,
    /// Findings there are.
    pub of: usize,
    /// Why a figure is missing.
    pub undefined: Reasons,
}

/// Compares two models' scores of the same radiographs.
///
/// # Errors
/// [`MetricFault::SizeMismatch`] where sizes do not agree.
pub fn compare<Patient: AsRef<str>>(
    findings: &[String],
    [a, b]: [&Scores; 2],
    truths: &Truths,
    patients: &[Patient],
) -> Result<Comparison, MetricFault> {
    let clusters = Clusters::by_name(patients);
    let pairs = (0..findings.len())
        .map(|finding| {
            let cells = [
                Cells::of(a, truths, finding)?,
                Cells::of(b, truths, finding)?,
            ];
            Ok(Pair::of(&cells, &clusters))
        })
        .collect::<Result<Vec<Pair>, MetricFault>>()?;
    if patients.len() != truths.n_rows() {
        return Err(MetricFault::SizeMismatch {
            what: "patients",
            expected: truths.n_rows(),
            found: patients.len(),
        });
    }
    Ok(Comparison {
        rows: truths.n_rows(),
        patients: clusters.n_clusters(),
        macro_mean: average(&pairs, clusters.n_clusters()),
        findings: pairs
            .into_iter()
            .zip(findings)
            .map(|(pair, name)| pair.comparison(name))
            .collect(),
    })
}

/// One finding's figures before they are named.
struct Pair {
    support: usize,
    auroc: [Result<f64, Undefined>; 2],
    paired: Result<PairedDifference, Undefined>,
    influence: Option<Vec<f64>>,
}

impl Pair {
    fn of(cells: &[Cells; 2], clusters: &Clusters) -> Self {
        let [a, b] = [&cells[0], &cells[1]].map(|cells| {
            Ranking::new(&cells.scores, &cells.truths)
                .and_then(|ranking| Placements::of(&ranking, &cells.truths))
        });
        let patients = clusters.of_rows(&cells[0].rows);
        let paired = match (&a, &b) {
            (Ok(a), Ok(b)) => PairedDifference::of(a, b, &patients),
            (Err(reason), _) | (_, Err(reason)) => Err(*reason),
        };
        let influence = match (&a, &b) {
            (Ok(a), Ok(b)) => a.minus(b).and_then(|d| d.influence(&patients)).ok(),
            _ => None,
        };
        Self {
            support: cells[0].truths.iter().filter(|&&truth| truth).count(),
            auroc: [a, b].map(|placements| placements.map(|p| p.auroc())),
            paired,
            influence,
        }
    }

    fn comparison(self, name: &str) -> FindingComparison {
        let mut undefined = Reasons::new();
        for (model, auroc) in ["auroc_a", "auroc_b"].into_iter().zip(&self.auroc) {
            if let Err(reason) = auroc {
                undefined.insert(model.to_owned(), *reason);
            }
        }
        if let Err(reason) = self.paired {
            undefined.insert("difference".to_owned(), reason);
        }
        FindingComparison {
            name: name.to_owned(),
            support: self.support,
            auroc: self.auroc.map(Result::ok),
            paired: self.paired.ok(),
            undefined,
        }
    }
}

/// The means over the findings where both models have an AUROC.
fn average(pairs: &[Pair], n_patients: usize) -> MacroComparison {
    let both = pairs.iter().filter_map(|pair| match pair.auroc {
        [Ok(a), Ok(b)] => Some((a, b, pair.influence.clone()?)),
        _ => None,
    });
    let both: Vec<(f64, f64, Vec<f64>)> = both.collect();
    let means = [
        MacroMean::of(both.iter().map(|&(a, _, _)| Some(a))),
        MacroMean::of(both.iter().map(|&(_, b, _)| Some(b))),
    ];
    let influences: Vec<Vec<f64>> = both
        .into_iter()
        .map(|(_, _, influence)| influence)
        .collect();
    let paired = macro_standard_error(&influences, n_patients).and_then(|error| {
        let [a, b] = means.map(|mean| mean.value.unwrap_or(0.0));
        PairedDifference::new(a - b, error)
    });
    let mut undefined = Reasons::new();
    if let Err(reason) = paired {
        undefined.insert("difference".to_owned(), reason);
    }
    MacroComparison {
        auroc: means.map(|mean| mean.value),
        paired: paired.ok(),
        over: means[0].over,
        of: pairs.len(),
        undefined,
    }
}

#[cfg(test)]
mod tests {
    use cxr_stream::{Purpose, Stream};
    use proptest::prelude::*;

    use super::*;
    use crate::summation::as_f64;

    struct Cohort {
        truths: Vec<bool>,
        patients: Vec<usize>,
        scores: [Vec<f64>; 2],
    }

    /// Two related models on patients with one to four radiographs, ties among the scores.
    fn cohort(seed: u64, n_patients: usize) -> Cohort {
        let mut stream = Stream::new(seed, Purpose::Test, 0, 0);
        let mut cohort = Cohort {
            truths: Vec::new(),
            patients: Vec::new(),
            scores: [Vec::new(), Vec::new()],
        };
        for patient in 0..n_patients {
            let (is_ill, habit) = (stream.uniform() < 0.4, stream.normal());
            for _ in 0..1 + (stream.uniform() * 4.0) as usize {
                let truth = is_ill != (stream.uniform() < 0.15);
                let signal = f64::from(u8::from(truth)) + habit * 0.7;
                cohort.truths.push(truth);
                cohort.patients.push(patient);
                for (model, noise) in [0.5, 1.5].into_iter().enumerate() {
                    let score = signal + noise * stream.normal();
                    cohort.scores[model].push((score * 4.0).round() / 4.0);
                }
            }
        }
        cohort
    }

    fn placements(scores: &[f64], truths: &[bool]) -> Placements {
        Placements::of(&Ranking::new(scores, truths).unwrap(), truths).unwrap()
    }

    /// V10 and V01 by counting pairs.
    fn values_by_pairs(scores: &[f64], truths: &[bool]) -> Vec<f64> {
        let half = |above: f64, below: f64| {
            0.5 * (f64::from(u8::from(above > below)) + f64::from(u8::from(above >= below)))
        };
        (0..scores.len())
            .map(|i| {
                let others = (0..scores.len()).filter(|&j| truths[j] != truths[i]);
                let n = others.clone().count();
                let won = others.map(|j| match truths[i] {
                    true => half(scores[i], scores[j]),
                    false => half(scores[j], scores[i]),
                });
                won.sum::<f64>() / as_f64(n)
            })
            .collect()
    }

    /// Obuchowski's covariance of two AUROCs, in the paper's terms: S10, S01 and the two cross terms.
    fn covariance(cohort: &Cohort, [a, b]: [usize; 2]) -> f64 {
        let truths = &cohort.truths;
        let count = |class: bool| truths.iter().filter(|&&t| t == class).count();
        let (m, n) = (as_f64(count(true)), as_f64(count(false)));
        let last = cohort.patients.iter().max().unwrap() + 1;
        let sums = |model: usize| {
            let values = values_by_pairs(&cohort.scores[model], truths);
            let of_class = |class: bool| {
                let chosen = (values.iter().zip(truths)).filter(move |&(_, &t)| t == class);
                chosen.map(|(v, _)| *v)
            };
            let theta = of_class(true).sum::<f64>() / m;
            let mut x = vec![[0.0; 2]; last];
            for ((&patient, &value), &truth) in cohort.patients.iter().zip(&values).zip(truths) {
                x[patient][usize::from(!truth)] += value - theta;
            }
            x
        };
        let (xa, xb) = (sums(a), sums(b));
        let patients_with = |class: Option<bool>| {
            let mut with = vec![false; last];
            for (&patient, &truth) in cohort.patients.iter().zip(truths) {
                with[patient] |= class.is_none_or(|class| class == truth);
            }
            as_f64(with.iter().filter(|&&w| w).count())
        };
        let unbiased = |count: f64| count / (count - 1.0);
        let over = |p: usize, q: usize| xa.iter().zip(&xb).map(|(x, y)| x[p] * y[q]).sum::<f64>();
        let s10 = unbiased(patients_with(Some(true))) / m * over(0, 0);
        let s01 = unbiased(patients_with(Some(false))) / n * over(1, 1);
        let s11 = unbiased(patients_with(None)) * (over(0, 1) + over(1, 0));
        s10 / m + s01 / n + s11 / (m * n)
    }

    #[test]
    fn the_variance_of_a_difference_is_that_of_the_papers_formulas() {
        for seed in 0..20 {
            let cohort = cohort(seed, 60);
            let [a, b] = [0, 1].map(|model| placements(&cohort.scores[model], &cohort.truths));
            let found = PairedDifference::of(&a, &b, &cohort.patients).unwrap();
            let variance = covariance(&cohort, [0, 0]) + covariance(&cohort, [1, 1])
                - 2.0 * covariance(&cohort, [0, 1]);
            assert!((found.standard_error.powi(2) - variance).abs() < 1e-12);
            assert!((found.difference - (a.auroc() - b.auroc())).abs() < 1e-15);
        }
    }

    #[test]
    fn p_is_that_of_the_normal_distribution() {
        // scipy.stats.norm.sf(z) * 2 for z = 1, 1.959963984540054, 5.
        let p = |z: f64| PairedDifference::new(z * 0.01, 0.01).unwrap().p_value;
        for (z, expected) in [
            (1.0, 0.317_310_507_862_914_1),
            (NORMAL_975, 0.05),
            (5.0, 5.733_031_437_583_866e-7),
        ] {
            assert!((p(z) - expected).abs() < 1e-12 * (1.0 + expected), "{z}");
        }
    }

    #[test]
    fn a_model_does_not_differ_from_itself_and_other_labels_are_refused() {
        let cohort = cohort(3, 30);
        let a = placements(&cohort.scores[0], &cohort.truths);
        let same = PairedDifference::of(&a, &a, &cohort.patients).unwrap();
        assert!(same.difference.abs() <= 0.0 && same.standard_error.abs() <= 0.0);
        assert!((same.p_value - 1.0).abs() <= 0.0);
        let mut truths = cohort.truths.clone();
        truths.reverse();
        let other = placements(&cohort.scores[1], &truths);
        let refused = PairedDifference::of(&a, &other, &cohort.patients);
        assert_eq!(refused, Err(Undefined::OtherTruths));
        assert_eq!(PairedDifference::new(0.1, 0.0), Err(Undefined::NoSpread));
    }

    #[test]
    fn the_mean_is_over_findings_that_both_models_have() {
        let cohort = cohort(5, 40);
        let n = cohort.truths.len();
        let names: Vec<String> = (0..n)
            .map(|row| format!("p{}", cohort.patients[row]))
            .collect();
        // The second finding is on nobody; the third is the first again.
        let truths = cohort
            .truths
            .iter()
            .flat_map(|&t| [Some(t), Some(false), Some(t)]);
        let truths = Truths::new(truths.collect(), 3).unwrap();
        let scores = [0, 1].map(|model| {
            let values = cohort.scores[model].iter().flat_map(|&s| [s; 3]).collect();
            Scores::Logits(crate::Logits::new(values, 3).unwrap())
        });
        let findings = ["A", "B", "C"].map(str::to_owned);
        let all = compare(&findings, [&scores[0], &scores[1]], &truths, &names).unwrap();
        assert_eq!((all.rows, all.patients), (n, 40));
        assert_eq!((all.macro_mean.over, all.macro_mean.of), (2, 3));
        assert_eq!(all.findings[1].auroc, [None, None]);
        assert_eq!(
            all.findings[1].undefined["difference"],
            Undefined::NoPositive
        );
        let (one, mean) = (
            all.findings[0].paired.unwrap(),
            all.macro_mean.paired.unwrap(),
        );
        assert!((one.difference - mean.difference).abs() < 1e-15);
        // One finding twice is as uncertain as once, but for the small-sample factors.
        assert!((one.standard_error / mean.standard_error - 1.0).abs() < 0.05);
        let short = compare(&findings, [&scores[0], &scores[1]], &truths, &names[1..]);
        assert!(matches!(short, Err(MetricFault::SizeMismatch { .. })));
    }

    proptest! {
        #[test]
        fn the_comparison_is_antisymmetric(seed in 0_u64..500, n in 12_usize..60) {
            let cohort = cohort(seed, n);
            let [a, b] = [0, 1].map(|model| placements(&cohort.scores[model], &cohort.truths));
            let there = PairedDifference::of(&a, &b, &cohort.patients);
            let back = PairedDifference::of(&b, &a, &cohort.patients);
            match (there, back) {
                (Ok(there), Ok(back)) => {
                    prop_assert!((there.difference + back.difference).abs() < 1e-15);
                    prop_assert!((there.standard_error - back.standard_error).abs() < 1e-15);
                    prop_assert!((there.p_value - back.p_value).abs() < 1e-12);
                    prop_assert!((there.interval.lower + back.interval.upper).abs() < 1e-14);
                }
                (there, back) => prop_assert_eq!(there, back),
            }
        }
    }
}
