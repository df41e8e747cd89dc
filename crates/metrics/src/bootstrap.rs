//! The patient bootstrap: an interval of any figure, by drawing patients anew with replacement, each
//! with all radiographs.
//!
//! For figures without a formula for their error, and as a check of those that have one. Every draw
//! has random numbers of its own, so the same seed gives the same bits whatever the number of
//! threads. AUROCs are ranked once; a draw is then one pass over the ranking. Reference: Efron &
//! Tibshirani 1993 (percentile interval); Field & Welsh 2007 (clusters). Deliberately not here:
//! corrections of the percentiles' bias.

use crate::summation::{as_f64, mean, quantile, sum};
use crate::{Cells, Clusters, Interval, MetricFault, Ranking, Scores, Truths, Undefined};
use cxr_stream::{Purpose, Stream};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// What the draws gave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bootstrapped {
    /// From the 2.5th to the 97.5th percentile of the draws, by numpy's `linear` convention.
    #[serde(rename = "ci")]
    pub interval: Interval,
    /// Standard deviation of the draws, divisor one less than their number.
    #[serde(rename = "se")]
    pub standard_error: f64,
    /// Draws where the figure was defined; interval and error are of these.
    pub defined: usize,
    /// Draws there were.
    pub of: usize,
}

/// Draws of a cohort's patients.
#[derive(Clone, Debug)]
pub struct PatientBootstrap {
    clusters: Clusters,
    draws: usize,
    seed: u64,
}

impl PatientBootstrap {
    /// So many draws of these patients; 1,000 are the least for an interval that is reported.
    pub fn new(clusters: Clusters, draws: usize, seed: u64) -> Self {
        Self {
            clusters,
            draws,
            seed,
        }
    }

    /// Of any figure: it is computed for each draw, on several threads, and `None` where a draw does
    /// not define it.
    ///
    /// ```
    /// use cxr_metrics::{Clusters, PatientBootstrap};
    /// let values = [1.0, 2.0, 4.0, 4.5, 6.0];
    /// let bootstrap = PatientBootstrap::new(Clusters::by_name(&["a", "a", "b", "c", "d"]), 1000, 7);
    /// let mean = bootstrap.of(|drawn| {
    ///     let n = drawn.rows().count();
    ///     Some(drawn.rows().map(|row| values[row]).sum::<f64>() / n as f64)
    /// })?;
    /// assert!(mean.interval.contains(3.5) && mean.defined == 1000);
    /// # Ok::<(), cxr_metrics::Undefined>(())
    /// ```
    ///
    /// # Errors
    /// [`Undefined::OnePatient`]; [`Undefined::TooFewDraws`] where fewer than two draws define it.
    pub fn of<F>(&self, figure: F) -> Result<Bootstrapped, Undefined>
    where
        F: Fn(&Resample<'_>) -> Option<f64> + Sync,
    {
        if self.clusters.n_clusters() < 2 {
            return Err(Undefined::OnePatient);
        }
        let drawn = (0..self.draws).into_par_iter().map_init(
            || vec![0; self.clusters.n_clusters()],
            |times, draw| {
                self.draw(draw, times);
                figure(&Resample {
                    times,
                    clusters: &self.clusters,
                })
            },
        );
        summarise(&drawn.collect::<Vec<_>>())
    }

    /// Of one finding's AUROC.
    ///
    /// # Errors
    /// As [`crate::auroc`] on the cells themselves, and as [`PatientBootstrap::of`].
    pub fn auroc(&self, cells: &Cells) -> Result<Bootstrapped, Undefined> {
        let ranked = RankedPatients::of(cells, &self.clusters)?;
        self.of(|drawn| ranked.auroc(drawn.times))
    }

    /// Of the mean AUROC over the findings that have one on the cohort itself. A draw that leaves one
    /// of them without is not defined: a mean over other findings would be another figure.
    ///
    /// # Errors
    /// The outer one for different shapes; the inner one [`Undefined::NoDefinedFinding`], and as
    /// [`PatientBootstrap::of`].
    pub fn macro_auroc(
        &self,
        scores: &Scores,
        truths: &Truths,
    ) -> Result<Result<Bootstrapped, Undefined>, MetricFault> {
        if self.clusters.n_rows() != scores.n_rows() {
            return Err(MetricFault::SizeMismatch {
                what: "patients",
                expected: scores.n_rows(),
                found: self.clusters.n_rows(),
            });
        }
        let ranked = (0..scores.n_findings()).map(|finding| {
            let cells = Cells::of(scores, truths, finding)?;
            Ok(RankedPatients::of(&cells, &self.clusters).ok())
        });
        let ranked: Vec<Option<RankedPatients>> = ranked.collect::<Result<_, MetricFault>>()?;
        let ranked: Vec<RankedPatients> = ranked.into_iter().flatten().collect();
        if ranked.is_empty() {
            return Ok(Err(Undefined::NoDefinedFinding));
        }
        Ok(self.of(|drawn| {
            let aurocs = ranked.iter().map(|finding| finding.auroc(drawn.times));
            mean(aurocs.collect::<Option<Vec<f64>>>()?)
        }))
    }

    /// How often each patient is drawn, as many in all as there are.
    fn draw(&self, draw: usize, times: &mut [u32]) {
        times.fill(0);
        let mut stream = Stream::new(self.seed, Purpose::Bootstrap, 0, draw as u64);
        for _ in 0..times.len() {
            times[stream.below(times.len() as u64) as usize] += 1;
        }
    }
}

/// One draw of patients, each with all radiographs.
#[derive(Clone, Copy, Debug)]
pub struct Resample<'a> {
    times: &'a [u32],
    clusters: &'a Clusters,
}

impl Resample<'_> {
    /// How often each row of the cohort was drawn: as often as its patient.
    pub fn multiplicities(&self) -> impl ExactSizeIterator<Item = usize> {
        let patients = self.clusters.patients();
        patients.iter().map(|&patient| self.times[patient] as usize)
    }

    /// The rows drawn, ascending, each as often as it was.
    pub fn rows(&self) -> impl Iterator<Item = usize> {
        let times = self.multiplicities().enumerate();
        times.flat_map(|(row, times)| std::iter::repeat_n(row, times))
    }
}

/// One finding's radiographs by descending score: whose they are, which are positive, and where a run
/// of equal scores ends.
struct RankedPatients {
    /// Patient · 4 + positive · 2 + last of equal scores.
    packed: Vec<usize>,
}

impl RankedPatients {
    fn of(cells: &Cells, clusters: &Clusters) -> Result<Self, Undefined> {
        let ranking = Ranking::new(&cells.scores, &cells.truths)?;
        ranking.both_classes()?;
        let patients = clusters.of_rows(&cells.rows);
        if patients.len() != cells.truths.len() {
            return Err(Undefined::UnequalLengths);
        }
        let steps = ranking.step_of();
        let mut order: Vec<usize> = (0..steps.len()).collect();
        order.sort_by_key(|&place| steps[place]);
        let packed = order.iter().enumerate().map(|(rank, &place)| {
            let next = order.get(rank + 1);
            let is_last = next.is_none_or(|&next| steps[next] != steps[place]);
            patients[place] << 2 | usize::from(cells.truths[place]) << 1 | usize::from(is_last)
        });
        Ok(Self {
            packed: packed.collect(),
        })
    }

    /// The AUROC with each radiograph counted as often as its patient was drawn: to the bit that of
    /// the rows repeated. Exact below 2⁶³ pairs, twice counted.
    fn auroc(&self, times: &[u32]) -> Option<f64> {
        let (mut won_twice, mut hits, mut alarms) = (0_u64, 0_u64, 0_u64);
        let mut of_step = [0_u64; 2];
        for entry in &self.packed {
            of_step[entry >> 1 & 1] += u64::from(times[entry >> 2]);
            if entry & 1 == 1 {
                let [negatives, positives] = of_step;
                won_twice += negatives * (2 * hits + positives);
                hits += positives;
                alarms += negatives;
                of_step = [0; 2];
            }
        }
        let pairs = 2.0 * hits as f64 * alarms as f64;
        (pairs > 0.0).then(|| won_twice as f64 / pairs)
    }
}

fn summarise(drawn: &[Option<f64>]) -> Result<Bootstrapped, Undefined> {
    let mut values: Vec<f64> = drawn.iter().copied().flatten().collect();
    if values.len() < 2 {
        return Err(Undefined::TooFewDraws);
    }
    let centre = mean(values.iter().copied()).ok_or(Undefined::TooFewDraws)?;
    let squares = sum(values.iter().map(|value| (value - centre).powi(2)));
    values.sort_unstable_by(f64::total_cmp);
    Ok(Bootstrapped {
        interval: Interval {
            lower: quantile(&values, 0.025),
            upper: quantile(&values, 0.975),
        },
        standard_error: (squares / as_f64(values.len() - 1)).sqrt(),
        defined: values.len(),
        of: drawn.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Logits, Placements, auroc};

    /// Two findings of patients with one to eight radiographs: a habit of the patient in the scores,
    /// and labels that mostly stay with the patient. Scores have ties.
    struct Cohort {
        scores: Scores,
        truths: Truths,
        patients: Vec<String>,
    }

    fn cohort(seed: u64, n_patients: usize, most: u64) -> Cohort {
        let mut stream = Stream::new(seed, Purpose::Test, 0, 0);
        let (mut logits, mut labels, mut patients) = (Vec::new(), Vec::new(), Vec::new());
        for patient in 0..n_patients {
            let is_ill = [stream.uniform() < 0.3, stream.uniform() < 0.15];
            let habit = stream.normal();
            for _ in 0..=stream.below(most) {
                patients.push(patient.to_string());
                for is_ill in is_ill {
                    let label = is_ill && stream.uniform() < 0.8;
                    labels.push(label);
                    let score = 1.2 * f64::from(u8::from(label)) + 0.6 * habit + stream.normal();
                    logits.push((score * 16.0).round() / 16.0);
                }
            }
        }
        Cohort {
            scores: Logits::new(logits, 2).unwrap().into(),
            truths: Truths::known(&labels, 2).unwrap(),
            patients,
        }
    }

    impl Cohort {
        fn cells(&self, finding: usize) -> Cells {
            Cells::of(&self.scores, &self.truths, finding).unwrap()
        }

        fn bootstrap(&self, draws: usize) -> PatientBootstrap {
            PatientBootstrap::new(Clusters::by_name(&self.patients), draws, 3)
        }

        fn placements(&self, finding: usize) -> Placements {
            let cells = self.cells(finding);
            let ranking = Ranking::new(&cells.scores, &cells.truths).unwrap();
            Placements::of(&ranking, &cells.truths).unwrap()
        }
    }

    #[test]
    fn every_number_of_threads_gives_the_same_bits() {
        let cohort = cohort(1, 40, 4);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build()
                .unwrap()
                .install(|| {
                    cohort
                        .bootstrap(3000)
                        .macro_auroc(&cohort.scores, &cohort.truths)
                })
                .unwrap()
                .unwrap()
        };
        let alone = with(1);
        for threads in [2, 3, 7] {
            let found = with(threads);
            assert_eq!(found, alone);
            let bits = |b: Bootstrapped| {
                [b.interval.lower, b.interval.upper, b.standard_error].map(f64::to_bits)
            };
            assert_eq!(bits(found), bits(alone));
        }
        let other = PatientBootstrap::new(Clusters::by_name(&cohort.patients), 200, 4);
        assert_ne!(
            other.auroc(&cohort.cells(0)),
            cohort.bootstrap(200).auroc(&cohort.cells(0))
        );
    }

    #[test]
    fn the_pass_over_the_ranking_gives_what_the_repeated_rows_give_to_the_bit() {
        // So few patients that some draws lack a class.
        for seed in 0..20 {
            let cohort = cohort(seed, 6, 3);
            let bootstrap = cohort.bootstrap(100);
            let repeated = |drawn: &Resample<'_>, finding| {
                let cells = cohort.cells(finding);
                let scores: Vec<f64> = drawn.rows().map(|row| cells.scores[row]).collect();
                let truths: Vec<bool> = drawn.rows().map(|row| cells.truths[row]).collect();
                auroc(&scores, &truths).ok()
            };
            let mut defined = Vec::new();
            for finding in 0..2 {
                match bootstrap.auroc(&cohort.cells(finding)) {
                    Ok(fast) => {
                        assert_eq!(bootstrap.of(|drawn| repeated(drawn, finding)), Ok(fast));
                        assert_eq!(fast.of, 100);
                        defined.push(finding);
                    }
                    Err(reason) => assert!(
                        matches!(reason, Undefined::NoPositive | Undefined::NoNegative),
                        "{reason}"
                    ),
                }
            }
            let by_rows = bootstrap.of(|drawn| {
                let aurocs = defined.iter().map(|&finding| repeated(drawn, finding));
                mean(aurocs.collect::<Option<Vec<f64>>>()?)
            });
            let fast = bootstrap
                .macro_auroc(&cohort.scores, &cohort.truths)
                .unwrap();
            match defined.is_empty() {
                true => assert_eq!(fast, Err(Undefined::NoDefinedFinding)),
                false => assert_eq!(fast, by_rows),
            }
        }
    }

    #[test]
    fn draws_without_the_figure_are_counted_and_left_out() {
        // One of three patients has the positives: a draw lacks it with probability (2/3)³.
        let cells = Cells {
            scores: vec![0.9, 0.1, 0.8, 0.3, 0.7],
            truths: vec![true, false, true, false, false],
            rows: vec![0, 1, 2, 3, 4],
        };
        let clusters = Clusters::by_name(&["a", "a", "a", "b", "c"]);
        let found = PatientBootstrap::new(clusters, 1000, 1)
            .auroc(&cells)
            .unwrap();
        let expected = 1000.0 * (1.0 - (2.0_f64 / 3.0).powi(3));
        // Four standard deviations of the binomial.
        assert!((as_f64(found.defined) - expected).abs() < 58.0, "{found:?}");
        assert_eq!(found.of, 1000);
        let json = serde_json::to_value(found).unwrap();
        assert!(json["ci"].is_array() && json["se"].is_number());
    }

    #[test]
    fn one_patient_and_too_few_draws_have_no_interval_but_a_reason() {
        let cells = Cells {
            scores: vec![0.9, 0.1],
            truths: vec![true, false],
            rows: vec![0, 1],
        };
        let of = |patients: [&str; 2], draws| {
            PatientBootstrap::new(Clusters::by_name(&patients), draws, 1).auroc(&cells)
        };
        assert_eq!(of(["a", "a"], 100), Err(Undefined::OnePatient));
        assert_eq!(of(["a", "b"], 1), Err(Undefined::TooFewDraws));
        let none = PatientBootstrap::new(Clusters::by_name(&["a", "b"]), 9, 1).of(|_| None);
        assert_eq!(none, Err(Undefined::TooFewDraws));
        let short = PatientBootstrap::new(Clusters::by_name(&["a"]), 9, 1);
        let scores = Scores::from(Logits::new(vec![1.0, 2.0], 1).unwrap());
        let truths = Truths::known(&[true, false], 1).unwrap();
        assert_eq!(
            short.macro_auroc(&scores, &truths).unwrap_err().code(),
            "E002"
        );
    }

    #[test]
    fn a_second_copy_of_each_radiograph_leaves_every_draw() {
        let cohort = cohort(2, 50, 4);
        let once = cohort.cells(0);
        let n = cohort.patients.len();
        let twice = Cells {
            scores: once.scores.repeat(2),
            truths: once.truths.repeat(2),
            rows: (0..2 * n).collect(),
        };
        let names = [&cohort.patients[..], &cohort.patients[..]].concat();
        let clusters = Clusters::by_name(&names);
        let again = PatientBootstrap::new(clusters, 300, 3).auroc(&twice);
        assert_eq!(again, cohort.bootstrap(300).auroc(&once));
    }

    #[test]
    fn patients_of_one_radiograph_have_delongs_error() {
        let cohort = cohort(3, 1500, 1);
        let found = cohort.bootstrap(2000).auroc(&cohort.cells(0)).unwrap();
        let delong = cohort.placements(0).standard_error().unwrap();
        // The spread of 2,000 draws is known to 1.6 %.
        let ratio = found.standard_error / delong;
        assert!((ratio - 1.0).abs() < 0.05, "{ratio}");
    }

    #[test]
    fn the_clustered_interval_is_as_wide_as_the_bootstraps_within_5_percent() {
        let cohort = cohort(4, 900, 8);
        let patients = Clusters::by_name(&cohort.patients).of_rows(&cohort.cells(0).rows);
        for finding in 0..2 {
            let placements = cohort.placements(finding);
            let clustered = placements.clustered_standard_error(&patients).unwrap();
            let plain = placements.standard_error().unwrap();
            assert!(clustered > 1.2 * plain, "patients matter here");
            let by_formula = Interval::of_share(placements.auroc(), clustered).unwrap();
            let found = cohort
                .bootstrap(2000)
                .auroc(&cohort.cells(finding))
                .unwrap();
            let width = |interval: Interval| interval.upper - interval.lower;
            let ratio = width(by_formula) / width(found.interval);
            assert!((ratio - 1.0).abs() < 0.05, "{ratio}");
            let ratio = clustered / found.standard_error;
            assert!((ratio - 1.0).abs() < 0.05, "{ratio}");
        }
    }

    #[test]
    fn the_standard_error_is_numpys_with_one_degree_of_freedom_less() {
        // numpy.std([1, 2, 4, 8], ddof=1).
        let found = summarise(&[Some(1.0), None, Some(4.0), Some(2.0), Some(8.0)]).unwrap();
        assert!((found.standard_error - 3.095_695_936_834_452).abs() < 1e-12);
        assert_eq!((found.defined, found.of), (4, 5));
    }

    #[test]
    fn quantiles_are_numpys() {
        // numpy.quantile([1, 2, 4, 8], [0.025, 0.5, 0.975]).
        let sorted = [1.0, 2.0, 4.0, 8.0];
        for (share, expected) in [
            (0.025, 1.075),
            (0.5, 3.0),
            (0.975, 7.7),
            (0.0, 1.0),
            (1.0, 8.0),
        ] {
            assert!(
                (quantile(&sorted, share) - expected).abs() < 1e-12,
                "{share}"
            );
        }
    }
}
