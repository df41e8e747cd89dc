//! `cxr split CSV --out DIR`: one table into train, valid and test, by patient.

use std::path::PathBuf;
use std::str::FromStr;

use cxr_data::{SplitReport, Uncertain, split_cohort, write_cohort};
use serde::Serialize;

use super::Outcome;
use super::explore::decimals;
use super::output_tables::refuse_inputs;
use super::scored_cohort::read_table;
use crate::console::Console;
use crate::failure::Failure;

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The table to split.
    #[arg(value_name = "CSV")]
    table: PathBuf,
    /// Where train.csv, valid.csv and test.csv go.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The shares of train, valid and test; they add up to 1. With two numbers there is no test.
    #[arg(long, value_name = "R,R,R", default_value = "0.8,0.1,0.1")]
    ratios: Ratios,
    /// The same seed gives the same splits.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// What -1 and empty labels mean: refuse, zeros, ones or ignore.
    #[arg(long, value_name = "POLICY", default_value_t = Uncertain::Refuse)]
    uncertain: Uncertain,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Two or three numbers with commas between them.
#[derive(Clone, Copy, Debug)]
struct Ratios([f64; 3]);

impl FromStr for Ratios {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Result<Vec<f64>, _> =
            text.split(',').map(|part| part.trim().parse()).collect();
        match numbers.as_deref() {
            Ok([train, valid]) => Ok(Self([*train, *valid, 0.0])),
            Ok([train, valid, test]) => Ok(Self([*train, *valid, *test])),
            _ => Err("expected two or three numbers, such as 0.8,0.1,0.1".into()),
        }
    }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Output {
    #[serde(flatten)]
    report: SplitReport,
    files: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    refuse_inputs(&args.out, &[&args.table])?;
    let cohort = read_table(&args.table, args.uncertain, console)?;
    let split = split_cohort(&cohort, args.ratios.0, args.seed)?;
    split
        .report
        .warnings
        .iter()
        .for_each(|warning| console.warn(warning));
    fs_err::create_dir_all(&args.out)?;
    let parts = [
        Some(split.splits.train()),
        Some(split.splits.valid()),
        split.splits.test(),
    ];
    let mut files = Vec::new();
    for cohort in parts.into_iter().flatten() {
        let path = args.out.join(format!("{}.csv", cohort.name()));
        write_cohort(cohort, &path)?;
        files.push(path);
    }
    let output = Output {
        report: split.report,
        files,
    };
    if args.json {
        console.json(&output)?;
    } else {
        print(&output, console);
    }
    Ok(Outcome::Done)
}

fn print(output: &Output, console: Console) {
    let report = &output.report;
    for (facts, file) in report.splits.iter().zip(&output.files) {
        console.line(format_args!(
            "{}: {} radiographs of {} patients ({:.2} % for {:.2} %), {}",
            facts.name,
            facts.rows,
            facts.patients,
            100.0 * facts.reached,
            100.0 * facts.ratio,
            file.display()
        ));
    }
    let width = report
        .findings
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0)
        .max(7);
    let names: String = report
        .splits
        .iter()
        .map(|facts| format!("  {:>18}", facts.name))
        .collect();
    console.line("");
    console.line(format_args!("{:width$}  prevalence{names}", "finding"));
    for (place, finding) in report.findings.iter().enumerate() {
        let cell = |facts: &cxr_data::SplitFacts| {
            let share = decimals(facts.prevalence[place], 4);
            format!("  {:>9} {share:>8}", facts.positives[place])
        };
        let cells: String = report.splits.iter().map(cell).collect();
        let whole = decimals(report.prevalence[place], 4);
        console.line(format_args!("{finding:width$}  {whole:>10}{cells}"));
    }
    let largest = decimals(report.largest_difference, 5);
    console.line(format_args!("largest difference of prevalence: {largest}"));
}
