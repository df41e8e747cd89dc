//! `cxr bench metrics`: seconds of every figure of an evaluation, on made-up scores.

use std::time::Instant;

use cxr_metrics::{
    Cells, Clusters, Convention, EvaluationInput, Interval, Logits, OperatingPoint,
    PatientBootstrap, Placements, Ranking, Scores, Truths, Undefined, evaluate,
};
use cxr_stream::{Purpose, Stream};
use serde::Serialize;

use super::{Outcome, median};
use crate::console::Console;
use crate::failure::Failure;

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Radiographs; NIH's test list has 22,433.
    #[arg(long, default_value_t = 22_433)]
    rows: usize,
    /// Findings.
    #[arg(long, default_value_t = 14)]
    findings: usize,
    /// How often everything is computed.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Bootstrap the mean AUROC too, with so many draws of the patients.
    #[arg(long, value_name = "DRAWS")]
    bootstrap: Option<usize>,
    /// Print JSON instead of a line.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Serialize)]
struct Measured {
    rows: usize,
    findings: usize,
    patients: usize,
    /// Seconds of every AUROC, average precision and clustered interval; each round.
    seconds: Vec<f64>,
    median_seconds: f64,
    /// Median seconds of a whole evaluation, calibration and accuracy included.
    evaluation_seconds: f64,
    macro_auroc: Option<f64>,
    bootstrap: Option<Bootstrap>,
}

/// The bootstrap of the mean AUROC.
#[derive(Debug, Serialize)]
struct Bootstrap {
    draws: usize,
    /// Draws in which every finding has an AUROC.
    defined: Option<usize>,
    /// Median of the rounds.
    seconds: f64,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    super::check_counts(args.rows.min(args.findings), args.rounds)?;
    let cohort = Cohort::new(args.rows, args.findings)?;
    let mut seconds = Vec::new();
    let mut of_evaluation = Vec::new();
    let mut macro_auroc = None;
    for _ in 0..args.rounds {
        let began = Instant::now();
        std::hint::black_box(cohort.rank_everything()?);
        seconds.push(began.elapsed().as_secs_f64());
        let began = Instant::now();
        macro_auroc = cohort.evaluate()?;
        of_evaluation.push(began.elapsed().as_secs_f64());
    }
    let measured = Measured {
        rows: args.rows,
        findings: args.findings,
        patients: cohort.clusters.n_clusters(),
        median_seconds: median(seconds.iter().copied()),
        seconds,
        evaluation_seconds: median(of_evaluation.into_iter()),
        macro_auroc,
        bootstrap: args
            .bootstrap
            .map(|draws| cohort.time_bootstrap(draws, args.rounds))
            .transpose()?,
    };
    if console.wants_json() {
        console.json(&measured)?;
    } else {
        console.line(format_args!(
            "{} radiographs of {} patients, {} findings: AUROC, average precision and clustered intervals {:.1} ms, a whole evaluation {:.1} ms",
            measured.rows,
            measured.patients,
            measured.findings,
            1e3 * measured.median_seconds,
            1e3 * measured.evaluation_seconds,
        ));
        if let Some(bootstrap) = &measured.bootstrap {
            console.line(format_args!(
                "{} draws of the patients, mean AUROC: {:.2} s",
                bootstrap.draws, bootstrap.seconds
            ));
        }
    }
    Ok(Outcome::Done)
}

/// Made-up scores and labels, one to six radiographs a patient.
struct Cohort {
    findings: Vec<String>,
    scores: Scores,
    truths: Truths,
    patients: Vec<String>,
    clusters: Clusters,
}

/// AUROC, its interval, and average precision.
type Ranked = Result<(f64, Result<Interval, Undefined>, f64), Undefined>;

impl Cohort {
    fn new(n_rows: usize, n_findings: usize) -> Result<Self, Failure> {
        let mut stream = Stream::new(0, Purpose::Test, 0, 0);
        let mut patients = Vec::with_capacity(n_rows);
        for patient in 0.. {
            let n = 1 + (stream.uniform() * 6.0) as usize;
            patients.extend(std::iter::repeat_n(patient.to_string(), n));
            if patients.len() >= n_rows {
                break;
            }
        }
        patients.truncate(n_rows);
        let (mut scores, mut labels) = (Vec::new(), Vec::new());
        for cell in 0..n_rows * n_findings {
            // Rare and common findings, as NIH's are: .2 % to 18 %.
            let share = 0.002 + 0.18 * (cell % n_findings) as f64 / n_findings as f64;
            let label = stream.uniform() < share;
            labels.push(label);
            scores.push(stream.normal() + 1.2 * f64::from(u8::from(label)) - 2.0);
        }
        Ok(Self {
            findings: (1..=n_findings).map(|i| format!("Finding_{i}")).collect(),
            scores: Scores::Logits(Logits::new(scores, n_findings)?),
            truths: Truths::known(&labels, n_findings)?,
            clusters: Clusters::by_name(&patients),
            patients,
        })
    }

    /// What `evaluate` asks of the order of scores, finding by finding.
    fn rank_everything(&self) -> Result<Vec<Ranked>, Failure> {
        (0..self.findings.len())
            .map(|finding| {
                let cells = Cells::of(&self.scores, &self.truths, finding)?;
                Ok(self.rank(&cells))
            })
            .collect()
    }

    fn rank(&self, cells: &Cells) -> Ranked {
        let ranking = Ranking::new(&cells.scores, &cells.truths)?;
        let placements = Placements::of(&ranking, &cells.truths)?;
        let auroc = placements.auroc();
        let error = placements.clustered_standard_error(&self.clusters.of_rows(&cells.rows));
        let interval = error.and_then(|error| Interval::of_share(auroc, error));
        Ok((auroc, interval, ranking.average_precision()?))
    }

    fn time_bootstrap(&self, draws: usize, rounds: usize) -> Result<Bootstrap, Failure> {
        let bootstrap = PatientBootstrap::new(self.clusters.clone(), draws, 1);
        let mut defined = None;
        let mut seconds = Vec::new();
        for _ in 0..rounds {
            let began = Instant::now();
            let found = bootstrap.macro_auroc(&self.scores, &self.truths)?;
            seconds.push(began.elapsed().as_secs_f64());
            defined = found.ok().map(|found| found.defined);
        }
        Ok(Bootstrap {
            draws,
            defined,
            seconds: median(seconds.into_iter()),
        })
    }

    fn evaluate(&self) -> Result<Option<f64>, Failure> {
        let points = vec![OperatingPoint::half(); self.findings.len()];
        let evaluation = evaluate(&EvaluationInput {
            findings: &self.findings,
            scores: &self.scores,
            truths: &self.truths,
            patients: &self.patients,
            operating_points: &points,
            calibrations: &[],
            attributes: &[],
            split_fingerprint: "",
            convention: Convention::Strict,
        })?;
        Ok(evaluation.macro_mean.auroc)
    }
}
