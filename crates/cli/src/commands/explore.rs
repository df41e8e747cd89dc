//! `cxr explore CSV`: what a table holds, and what its first image looks like.

use std::path::{Path, PathBuf};

use cxr_augment::{ImageFault, ImageFolder, Preprocess, Statistics, decode};
use cxr_data::{Cohort, Exploration, Explored, ReadOptions, Uncertain, explore};
use cxr_report::plots::{ClassTable, FindingCounts, SplitSize, class_distribution};
use serde::Serialize;

use super::Outcome;
use super::explore_page::page;
use crate::console::Console;
use crate::failure::Failure;

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The label table.
    #[arg(value_name = "CSV")]
    table: PathBuf,
    /// The folder of its images: adds the first image's size and statistics.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// What -1 and empty labels mean: refuse, zeros, ones or ignore.
    #[arg(long, value_name = "POLICY", default_value_t = Uncertain::Refuse)]
    uncertain: Uncertain,
    /// Print JSON instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the tables and the bar chart as one page.
    #[arg(long, value_name = "F")]
    html: Option<PathBuf>,
    /// Write the bar chart of the findings as SVG.
    #[arg(long, value_name = "F")]
    svg: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Output {
    #[serde(flatten)]
    pub(super) table: Exploration,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image: Option<Image>,
}

/// The first image of the table that is in the folder.
#[derive(Debug, Serialize)]
pub(super) struct Image {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) statistics: Statistics,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    let options = ReadOptions {
        uncertain: args.uncertain,
    };
    let Explored {
        exploration,
        cohort,
        warnings,
    } = explore(&args.table, &options)?;
    for warning in &warnings {
        console.warn(warning);
    }
    let image = match &args.images {
        Some(folder) => Some(first_image(&cohort, folder, console)?),
        None => None,
    };
    let output = Output {
        table: exploration,
        image,
    };
    if args.svg.is_some() || args.html.is_some() {
        let chart = class_distribution(&class_table(&args.table, &cohort, &output.table))?;
        if let Some(path) = &args.svg {
            cxr_report::write_file(path, chart.as_bytes())?;
        }
        if let Some(path) = &args.html {
            let page = page(&args.table, &output, &chart);
            cxr_report::write_file(path, page.as_bytes())?;
        }
    }
    if args.json {
        console.json(&output)?;
    } else {
        print(&output, console);
    }
    Ok(Outcome::Done)
}

/// The first image that is there. Folders often hold a part of a table's images.
fn first_image(cohort: &Cohort, folder: &Path, console: Console) -> Result<Image, Failure> {
    let folder = ImageFolder::open(folder)?;
    let mut first_fault = None;
    for radiograph in cohort.radiographs() {
        let name = radiograph.image.as_str();
        match folder.read(name) {
            Ok(bytes) => {
                let decoded = decode(&bytes, name, &Preprocess::default())?;
                for warning in &decoded.warnings {
                    console.warn(format_args!("[{}] {warning}: {name}", warning.code()));
                }
                return Ok(Image {
                    name: name.to_owned(),
                    statistics: decoded.pixels.statistics(),
                });
            }
            Err(fault @ ImageFault::Missing { .. }) => {
                first_fault.get_or_insert(fault);
            }
            Err(fault) => return Err(fault.into()),
        }
    }
    Err(match first_fault {
        Some(fault) => fault.into(),
        None => Failure::usage("the table names no image", "give a table with rows"),
    })
}

fn class_table(path: &Path, cohort: &Cohort, table: &Exploration) -> ClassTable {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    ClassTable {
        splits: vec![SplitSize {
            name: name.into_owned(),
            radiographs: cohort.len() as u64,
        }],
        findings: table
            .findings
            .iter()
            .map(|finding| FindingCounts {
                name: finding.name.clone(),
                positives: vec![finding.positives as u64],
                pos_weight: finding.pos_weight,
            })
            .collect(),
        ..ClassTable::default()
    }
}

fn print(output: &Output, console: Console) {
    let table = &output.table;
    console.line(format_args!(
        "{} rows, {} columns, {} patients, {} empty values",
        table.rows, table.columns, table.patients, table.nulls
    ));
    let per_patient = &table.radiographs_per_patient;
    console.line(format_args!(
        "radiographs per patient: {} to {}, median {}, mean {:.2}",
        per_patient.min, per_patient.max, per_patient.median, per_patient.mean
    ));
    console.line(format_args!(
        "without any finding: {}",
        table.without_finding
    ));
    let width = widest(table.findings.iter().map(|finding| finding.name.as_str()));
    console.line("");
    console.line(format_args!(
        "{:width$}  positives  negatives  unknown  prevalence  weight  sqrt(weight)",
        "finding"
    ));
    for finding in &table.findings {
        console.line(format_args!(
            "{:width$}  {:>9}  {:>9}  {:>7}  {:>10}  {:>6}  {:>12}",
            finding.name,
            finding.positives,
            finding.negatives,
            finding.unknown,
            decimals(finding.prevalence, 4),
            decimals(finding.pos_weight, 2),
            decimals(finding.pos_weight_sqrt, 2),
        ));
    }
    let width = widest(table.column_types.iter().map(|column| column.name.as_str()));
    console.line("");
    console.line(format_args!("{:width$}  values   empty", "column"));
    for column in &table.column_types {
        let kind = column.kind.as_str();
        console.line(format_args!(
            "{:width$}  {kind:<7}  {:>5}",
            column.name, column.nulls
        ));
    }
    if let Some(image) = &output.image {
        let s = &image.statistics;
        console.line("");
        console.line(format_args!(
            "image {}: {}×{}, {} channels, max {:.4}, min {:.4}, mean {:.4}, std {:.4}",
            image.name, s.width, s.height, s.channels, s.max, s.min, s.mean, s.std
        ));
    }
}

fn widest<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0)
        .max(7)
}

/// A number, or a dash where it is not defined.
pub(super) fn decimals(value: Option<f64>, places: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.places$}"))
}
