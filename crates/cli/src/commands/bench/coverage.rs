//! `cxr bench coverage`: how often 95 % intervals of the AUROC hold the truth, on made-up cohorts of
//! patients with several radiographs.
//!
//! The clustered interval, the same by Student's t, the one that takes radiographs for independent
//! (DeLong's), and on request the bootstrap's. Deliberately not here: the cohorts themselves (`clustered_cohort`).

use cxr_metrics::{
    Cells, Clusters, Interval, MetricFault, PatientBootstrap, Placements, Ranking, Undefined,
    macro_degrees_of_freedom, macro_standard_error,
};
use cxr_stream::{Purpose, Stream};
use rayon::prelude::*;
use serde::Serialize;

use super::clustered_cohort::{ClusteredCohort, Design, Finding, Model};
use super::{Outcome, Setting};
use crate::console::Console;
use crate::failure::Failure;

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Made-up cohorts of each kind; a coverage of 95 % is then known to √(.0475 ÷ N).
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    cohorts: usize,
    /// Bootstrap each cohort too, with so many draws; 1,000 take a hundred times as long.
    #[arg(long, value_name = "DRAWS")]
    bootstrap: Option<usize>,
    /// Other cohorts.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    pub(super) setting: Setting,
}

const fn finding(prevalence: f64, auroc: f64) -> Finding {
    Finding { prevalence, auroc }
}

/// From many positives to a handful; the last is a mean over five findings.
const DESIGNS: [Design; 9] = [
    Design {
        patients: 400,
        findings: &[finding(0.2, 0.8)],
    },
    Design {
        patients: 400,
        findings: &[finding(0.1, 0.8)],
    },
    Design {
        patients: 400,
        findings: &[finding(0.1, 0.9)],
    },
    Design {
        patients: 400,
        findings: &[finding(0.03, 0.8)],
    },
    Design {
        patients: 1500,
        findings: &[finding(0.1, 0.8)],
    },
    Design {
        patients: 1500,
        findings: &[finding(0.02, 0.8)],
    },
    Design {
        patients: 150,
        findings: &[finding(0.05, 0.8)],
    },
    Design {
        patients: 150,
        findings: &[finding(0.02, 0.9)],
    },
    Design {
        patients: 400,
        findings: &[
            finding(0.3, 0.7),
            finding(0.2, 0.75),
            finding(0.1, 0.8),
            finding(0.05, 0.85),
            finding(0.03, 0.9),
        ],
    },
];

/// How the intervals of one way did.
#[derive(Debug, Serialize)]
struct Coverage {
    /// Share of the intervals that hold the true AUROC.
    coverage: f64,
    /// Standard error of that share, from the number of cohorts.
    coverage_se: f64,
    /// Cohorts that have such an interval.
    defined: usize,
    /// Mean of the standard errors.
    mean_se: f64,
}

/// One kind of cohort.
#[derive(Debug, Serialize)]
struct Measured {
    design: Design,
    true_auroc: f64,
    mean_radiographs: f64,
    /// Of the rarest finding.
    mean_positives: f64,
    /// Standard deviation of the estimates: what a standard error should be.
    deviation: f64,
    clustered: Coverage,
    /// The clustered one by Student's t in place of the normal distribution.
    student: Coverage,
    independent: Coverage,
    bootstrap: Option<Coverage>,
}

#[derive(Debug, Serialize)]
struct Report {
    cohorts: usize,
    seed: u64,
    designs: Vec<Measured>,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    args.setting.apply()?;
    super::check_counts(args.cohorts, args.bootstrap.unwrap_or(1))?;
    let designs = (0..)
        .zip(&DESIGNS)
        .map(|(place, design)| {
            let trials = simulate(design, place, args)?;
            Ok(summarise(design, &trials, args.bootstrap.is_some()))
        })
        .collect::<Result<Vec<Measured>, Failure>>()?;
    if console.wants_json() {
        console.json(&Report {
            cohorts: args.cohorts,
            seed: args.seed,
            designs,
        })?;
    } else {
        console.line(
            "patients, findings, positives of the rarest, AUROC: coverage of the clustered interval, \
             of the same by Student's t, of the one for independent radiographs, of the bootstrap's",
        );
        designs.iter().for_each(|design| print(design, console));
    }
    Ok(Outcome::Done)
}

fn print(measured: &Measured, console: Console) {
    let share = |of: &Coverage| {
        format!(
            "{:.1} ± {:.1} %",
            100.0 * of.coverage,
            100.0 * of.coverage_se
        )
    };
    console.line(format_args!(
        "{}, {}, {:.0}, {:.2}: {}, {}, {}, {}",
        measured.design.patients,
        measured.design.findings.len(),
        measured.mean_positives,
        measured.true_auroc,
        share(&measured.clustered),
        share(&measured.student),
        share(&measured.independent),
        measured.bootstrap.as_ref().map_or("–".to_owned(), share),
    ));
}

/// An interval, and the standard error behind it.
type Estimated = Result<(Interval, f64), Undefined>;

/// What one cohort gave.
struct Trial {
    radiographs: usize,
    positives: usize,
    estimate: Option<f64>,
    clustered: Estimated,
    student: Estimated,
    independent: Estimated,
    bootstrap: Option<Estimated>,
}

fn simulate(design: &Design, place: u64, args: &Args) -> Result<Vec<Trial>, Failure> {
    let model = Model::new(design);
    let trials = (0..args.cohorts as u64).into_par_iter().map(|index| {
        let stream = Stream::new(args.seed, Purpose::Test, place, index);
        try_once(&model.draw(stream)?, args.bootstrap, index)
    });
    Ok(trials.collect::<Result<Vec<Trial>, MetricFault>>()?)
}

fn try_once(
    cohort: &ClusteredCohort,
    draws: Option<usize>,
    seed: u64,
) -> Result<Trial, MetricFault> {
    let clusters = Clusters::by_name(&cohort.patients);
    let rows: Vec<usize> = (0..cohort.patients.len()).collect();
    let patients = clusters.of_rows(&rows);
    let placed = Placed::of(cohort)?;
    let bootstrap = draws.map(|draws| {
        let bootstrap = PatientBootstrap::new(clusters.clone(), draws, seed);
        let found = bootstrap.macro_auroc(&cohort.scores, &cohort.truths)?;
        Ok(found.map(|found| (found.interval, found.standard_error)))
    });
    let support = (0..cohort.truths.n_findings()).map(|finding| cohort.truths.support(finding));
    let as_one = |placed: &Result<Placed, Undefined>, by: &dyn Fn(&Placed) -> Estimated| {
        placed.as_ref().map_err(|&reason| reason).and_then(by)
    };
    Ok(Trial {
        radiographs: rows.len(),
        positives: support.min().unwrap_or(0),
        estimate: placed.as_ref().ok().map(|placed| placed.estimate),
        clustered: as_one(&placed, &|placed| {
            placed.by_normal(&patients, clusters.n_clusters())
        }),
        student: as_one(&placed, &|placed| {
            placed.by_student(&patients, clusters.n_clusters())
        }),
        independent: as_one(&placed, &|placed| placed.by_normal(&rows, rows.len())),
        bootstrap: bootstrap.transpose()?,
    })
}

/// The placement values of every finding of a cohort, and the mean AUROC.
struct Placed {
    of_finding: Vec<Placements>,
    estimate: f64,
}

impl Placed {
    fn of(cohort: &ClusteredCohort) -> Result<Result<Self, Undefined>, MetricFault> {
        let cells = (0..cohort.truths.n_findings())
            .map(|finding| Cells::of(&cohort.scores, &cohort.truths, finding))
            .collect::<Result<Vec<Cells>, MetricFault>>()?;
        let placements = cells.iter().map(|cells| {
            let ranking = Ranking::new(&cells.scores, &cells.truths)?;
            Placements::of(&ranking, &cells.truths)
        });
        let of_all = placements.collect::<Result<Vec<Placements>, Undefined>>();
        Ok(of_all.map(|of_finding| Self {
            estimate: mean(of_finding.iter().map(Placements::auroc)),
            of_finding,
        }))
    }

    fn by_normal(&self, patients: &[usize], n_patients: usize) -> Estimated {
        let error = self.standard_error(patients, n_patients)?;
        Ok((Interval::of_share(self.estimate, error)?, error))
    }

    fn by_student(&self, patients: &[usize], n_patients: usize) -> Estimated {
        let error = self.standard_error(patients, n_patients)?;
        let terms = self.of_finding.iter().map(|one| {
            let own = one.clustered_standard_error(patients)?;
            Ok((own, one.degrees_of_freedom(patients)?))
        });
        let terms = terms.collect::<Result<Vec<(f64, f64)>, Undefined>>()?;
        let freedom = macro_degrees_of_freedom(&terms);
        let interval = Interval::of_share_by_student(self.estimate, error, freedom)?;
        Ok((interval, error))
    }

    /// Of one finding its own; of several that of their mean.
    fn standard_error(&self, patients: &[usize], n_patients: usize) -> Result<f64, Undefined> {
        let own = self.of_finding.iter();
        let own = own.map(|one| one.clustered_standard_error(patients));
        let own = own.collect::<Result<Vec<f64>, Undefined>>()?;
        if let [own] = own[..] {
            return Ok(own);
        }
        let influences = self.of_finding.iter().map(|one| one.influence(patients));
        macro_standard_error(&influences.collect::<Result<Vec<_>, _>>()?, n_patients)
    }
}

fn summarise(design: &Design, trials: &[Trial], is_bootstrapped: bool) -> Measured {
    let truth = mean(design.findings.iter().map(|finding| finding.auroc));
    let estimates: Vec<f64> = trials.iter().filter_map(|trial| trial.estimate).collect();
    let centre = mean(estimates.iter().copied());
    let coverage = |of: &dyn Fn(&Trial) -> Option<(Interval, f64)>| {
        Coverage::of(&trials.iter().filter_map(of).collect::<Vec<_>>(), truth)
    };
    Measured {
        design: *design,
        true_auroc: truth,
        mean_radiographs: mean(trials.iter().map(|trial| trial.radiographs as f64)),
        mean_positives: mean(trials.iter().map(|trial| trial.positives as f64)),
        deviation: mean(estimates.iter().map(|estimate| (estimate - centre).powi(2))).sqrt(),
        clustered: coverage(&|trial| trial.clustered.ok()),
        student: coverage(&|trial| trial.student.ok()),
        independent: coverage(&|trial| trial.independent.ok()),
        bootstrap: is_bootstrapped.then(|| coverage(&|trial| trial.bootstrap?.ok())),
    }
}

impl Coverage {
    fn of(found: &[(Interval, f64)], truth: f64) -> Self {
        let hits = found
            .iter()
            .filter(|(interval, _)| interval.contains(truth))
            .count();
        let n = found.len().max(1) as f64;
        let coverage = hits as f64 / n;
        Self {
            coverage,
            coverage_se: (coverage * (1.0 - coverage) / n).sqrt(),
            defined: found.len(),
            mean_se: mean(found.iter().map(|&(_, error)| error)),
        }
    }
}

/// 0 for nothing.
fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len().max(1);
    values.sum::<f64>() / n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clustered_interval_holds_the_truth_in_95_percent_and_the_independent_one_does_not() {
        let args = Args {
            cohorts: 1000,
            bootstrap: None,
            seed: 5,
            setting: Setting {
                threads: None,
                isa: None,
                json: false,
            },
        };
        let measured = summarise(
            &DESIGNS[1],
            &simulate(&DESIGNS[1], 1, &args).expect("sound"),
            false,
        );
        let [clustered, independent] = [&measured.clustered, &measured.independent];
        // Three standard errors of 1,000 cohorts.
        assert!((clustered.coverage - 0.95).abs() < 0.021, "{measured:?}");
        assert!(
            independent.coverage < clustered.coverage - 0.03,
            "{measured:?}"
        );
        let ratio = clustered.mean_se / measured.deviation;
        assert!((ratio - 1.0).abs() < 0.1, "{ratio}");
    }
}
