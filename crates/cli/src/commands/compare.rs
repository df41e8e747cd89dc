//! `cxr compare`: two sets of predictions of the same radiographs, finding by finding.

use std::path::PathBuf;

use cxr_data::Uncertain;
use cxr_metrics::{Comparison, PairedDifference, ScoreScale, compare};
use serde::Serialize;

use super::Outcome;
use super::aligned::write_aligned;
use super::scored_cohort::{patients_of, read_scores, read_table, scale_parser, truths_of};
use crate::console::Console;
use crate::failure::Failure;

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Scores to compare, given twice: CSVs of Image,PatientId and one column a finding.
    #[arg(long, value_name = "CSV", required = true)]
    predictions: Vec<PathBuf>,
    /// The table of labels.
    #[arg(long, value_name = "CSV")]
    table: PathBuf,
    /// What the predictions hold.
    #[arg(long, value_name = "SCALE", default_value = "probability", value_parser = scale_parser())]
    scores: ScoreScale,
    /// What −1 and empty labels mean: refuse, zeros, ones or ignore.
    #[arg(long, value_name = "POLICY", default_value = "refuse")]
    uncertain: Uncertain,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `--json` prints: which is which, and the comparison's keys.
#[derive(Serialize)]
struct Printed<'a> {
    predictions: [&'a PathBuf; 2],
    #[serde(flatten)]
    comparison: &'a Comparison,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    let [a, b] = args.predictions.as_slice() else {
        return Err(Failure::usage(
            format!(
                "two sets of predictions are compared, not {}",
                args.predictions.len()
            ),
            "give --predictions A.csv --predictions B.csv",
        ));
    };
    let cohort = read_table(&args.table, args.uncertain, console)?;
    let of_a = read_scores(a, args.scores, &cohort, console)?;
    let of_b = read_scores(b, args.scores, &cohort, console)?;
    let comparison = compare(
        &cohort.findings().to_strings(),
        [&of_a, &of_b],
        &truths_of(&cohort)?,
        &patients_of(&cohort),
    )?;
    if console.wants_json() {
        console.json(&Printed {
            predictions: [a, b],
            comparison: &comparison,
        })?;
    } else {
        console.line(format_args!("A: {}\nB: {}", a.display(), b.display()));
        console.line(Table(&comparison));
    }
    Ok(Outcome::Done)
}

/// The comparison for people.
struct Table<'a>(&'a Comparison);

const HEADER: [&str; 7] = [
    "finding",
    "positives",
    "AUROC A",
    "AUROC B",
    "A − B",
    "95 %",
    "p",
];

impl std::fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(comparison) = self;
        writeln!(
            f,
            "{} radiographs of {} patients; intervals and p by patient\n",
            comparison.rows, comparison.patients
        )?;
        let mut rows = vec![HEADER.map(str::to_string)];
        for one in &comparison.findings {
            let support = one.support.to_string();
            rows.push(row(&one.name, &support, one.auroc, one.paired.as_ref()));
        }
        let mean = &comparison.macro_mean;
        rows.push(row("macro", "", mean.auroc, mean.paired.as_ref()));
        write_aligned(f, &rows)?;
        writeln!(f, "\nmacro: over {} of {}", mean.over, mean.of)?;
        for one in &comparison.findings {
            if let Some(reason) = one.undefined.get("difference") {
                writeln!(f, "{}: no difference: {reason}", one.name)?;
            }
        }
        write!(
            f,
            "p is of each finding alone; a small one among many findings is to be expected"
        )
    }
}

fn row(
    name: &str,
    support: &str,
    auroc: [Option<f64>; 2],
    paired: Option<&PairedDifference>,
) -> [String; 7] {
    let shown = |value: Option<f64>| value.map_or("–".to_string(), |v| format!("{v:.4}"));
    let interval = paired.map(|p| format!("{:+.4} to {:+.4}", p.interval.lower, p.interval.upper));
    [
        name.to_string(),
        support.to_string(),
        shown(auroc[0]),
        shown(auroc[1]),
        paired.map_or("–".to_string(), |p| format!("{:+.4}", p.difference)),
        interval.unwrap_or("–".to_string()),
        paired.map_or("–".to_string(), |p| format!("{:.3}", p.p_value)),
    ]
}
