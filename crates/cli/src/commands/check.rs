//! `cxr check`: faults of tables and images, which published lists the tables are, and what splits
//! share; `--repair` writes clean tables.

mod copies;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cxr_augment::ImageFolder;
use cxr_data::{
    Cohort, ReadOptions, SharedImages, SharedPatients, Splits, Uncertain, read_cohort, repair,
    write_cohort,
};
use serde::Serialize;

use self::copies::{CopiesBetween, Likenesses};
use super::Outcome;
use super::output_tables::refuse_inputs;
use crate::console::Console;
use crate::failure::{Failure, Fault};

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The table that is learned from.
    #[arg(long, value_name = "CSV")]
    train: PathBuf,
    /// The table that choices are made on.
    #[arg(long, value_name = "CSV")]
    valid: PathBuf,
    /// The table that is read once, last.
    #[arg(long, value_name = "CSV")]
    test: Option<PathBuf>,
    /// The folder of the images: each is decoded, and compared with those of the other tables.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Write train.csv, valid.csv and test.csv without leakage into this folder. Train loses
    /// nothing.
    #[arg(long, value_name = "DIR")]
    repair: Option<PathBuf>,
    /// What -1 and empty labels mean: refuse, zeros, ones or ignore.
    #[arg(long, value_name = "POLICY", default_value_t = Uncertain::Refuse)]
    uncertain: Uncertain,
    /// Print JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Exit code where leakage or faults stand.
const DATA: u8 = 3;

/// What `--json` prints.
#[derive(Debug, Default, Serialize)]
struct Findings {
    clean: bool,
    faults: Vec<Fault>,
    n_faults: usize,
    shared_patients: SharedPatients,
    shared_images: SharedImages,
    /// Rows of each table; `null` for one that cannot be read.
    rows: BTreeMap<&'static str, Option<usize>>,
    repaired_rows: Option<BTreeMap<&'static str, usize>>,
    /// The published list that each table is.
    known_splits: BTreeMap<&'static str, Option<&'static str>>,
    /// Images that look the same in two splits, under different names; `null` where no images were
    /// looked at.
    near_duplicates: Option<CopiesBetween>,
}

impl Findings {
    fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
        self.n_faults += 1;
    }
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    if let Some(folder) = &args.repair {
        refuse_inputs(folder, &inputs(args))?;
    }
    let mut findings = Findings::default();
    let cohorts = read_all(args, &mut findings, console);
    let likenesses = match &args.images {
        Some(folder) => Some(look_at_images(&cohorts, folder, &mut findings, console)?),
        None => None,
    };
    let train = cohort(&cohorts, "train");
    let valid = cohort(&cohorts, "valid");
    if let (Some(train), Some(valid)) = (train, valid) {
        let test = cohort(&cohorts, "test");
        compare(train, valid, test, &mut findings);
        findings.near_duplicates =
            likenesses.map(|likenesses| CopiesBetween::find(&likenesses, train, valid, test));
        if args.test.is_none() || test.is_some() {
            let repaired = repaired(train, valid, test, findings.near_duplicates.as_ref());
            findings.repaired_rows = Some(rows_of(&repaired));
            if let Some(folder) = &args.repair {
                write_repaired(&repaired, folder, &findings, console)?;
            }
        }
    }
    let copies = findings.near_duplicates.as_ref();
    findings.clean = findings.n_faults == 0
        && findings.shared_patients.is_empty()
        && findings.shared_images.is_empty()
        && copies.is_none_or(CopiesBetween::is_empty);
    let exit_code = findings.faults.iter().map(|fault| fault.exit_code).max();
    if !findings.faults.is_empty() {
        console.note(Failure::of_many(findings.faults.clone(), findings.n_faults));
    }
    if args.json {
        console.json(&findings)?;
    } else {
        text::print(&findings, console);
    }
    Ok(if findings.clean {
        Outcome::Done
    } else {
        Outcome::Attention(exit_code.unwrap_or(DATA))
    })
}

fn inputs(args: &Args) -> Vec<&Path> {
    let paths = [Some(&args.train), Some(&args.valid), args.test.as_ref()];
    paths.into_iter().flatten().map(PathBuf::as_path).collect()
}

/// Each table under its split's name; a table with faults is missing here and named there.
fn read_all(args: &Args, findings: &mut Findings, console: Console) -> Vec<(&'static str, Cohort)> {
    let options = ReadOptions {
        uncertain: args.uncertain,
    };
    let tables = [
        ("train", Some(&args.train)),
        ("valid", Some(&args.valid)),
        ("test", args.test.as_ref()),
    ];
    let mut cohorts = Vec::new();
    for (name, path) in tables {
        let Some(path) = path else { continue };
        match read_cohort(path, &options) {
            Ok(read) => {
                read.warnings
                    .iter()
                    .for_each(|warning| console.warn(warning));
                findings.rows.insert(name, Some(read.cohort.len()));
                let known = read.cohort.known_split().map(|known| known.name);
                findings.known_splits.insert(name, known);
                cohorts.push((name, read.cohort));
            }
            Err(faults) => {
                findings.rows.insert(name, None);
                findings.known_splits.insert(name, None);
                findings
                    .faults
                    .extend(faults.faults().iter().map(Fault::from));
                findings.n_faults += faults.n_faults();
            }
        }
    }
    cohorts
}

fn cohort<'a>(cohorts: &'a [(&str, Cohort)], name: &str) -> Option<&'a Cohort> {
    cohorts
        .iter()
        .find(|(found, _)| *found == name)
        .map(|(_, cohort)| cohort)
}

fn compare(train: &Cohort, valid: &Cohort, test: Option<&Cohort>, findings: &mut Findings) {
    for other in [Some(valid), test].into_iter().flatten() {
        if let Err(error) = other.in_finding_order(train.findings()) {
            findings.fault(Fault::from(&error));
        }
    }
    findings.shared_patients = SharedPatients::between(train, valid, test);
    findings.shared_images = SharedImages::between(train, valid, test);
}

/// Decodes every image once: those that cannot be used are faults, of the others is kept what they
/// look like.
fn look_at_images(
    cohorts: &[(&str, Cohort)],
    folder: &Path,
    findings: &mut Findings,
    console: Console,
) -> Result<Likenesses, Failure> {
    let folder = ImageFolder::open(folder)?;
    let cohorts: Vec<&Cohort> = cohorts.iter().map(|(_, cohort)| cohort).collect();
    let (likenesses, warnings, faults) = Likenesses::read(&folder, &cohorts);
    for warning in &warnings {
        let place = warning.location().unwrap_or_default();
        console.warn(format_args!("[{}] {warning}: {place}", warning.code()));
    }
    faults
        .iter()
        .for_each(|fault| findings.fault(Fault::from(fault)));
    Ok(likenesses)
}

/// The splits without what they share: patients, images, and images that look the same.
fn repaired(
    train: &Cohort,
    valid: &Cohort,
    test: Option<&Cohort>,
    copies: Option<&CopiesBetween>,
) -> Splits {
    let splits = repair(train.clone(), valid.clone(), test.cloned()).splits;
    match copies {
        Some(copies) => copies.taken_out_of(splits),
        None => splits,
    }
}

fn rows_of(splits: &Splits) -> BTreeMap<&'static str, usize> {
    parts(splits)
        .map(|(name, cohort)| (name, cohort.len()))
        .collect()
}

fn parts(splits: &Splits) -> impl Iterator<Item = (&'static str, &Cohort)> {
    let parts = [
        ("train", Some(splits.train())),
        ("valid", Some(splits.valid())),
        ("test", splits.test()),
    ];
    parts
        .into_iter()
        .filter_map(|(name, cohort)| Some((name, cohort?)))
}

/// Faults are not mended: tables are written only where leakage is all that stands.
fn write_repaired(
    repaired: &Splits,
    folder: &Path,
    findings: &Findings,
    console: Console,
) -> Result<(), Failure> {
    if findings.n_faults > 0 {
        console.warn("nothing was repaired: mend the faults first");
        return Ok(());
    }
    fs_err::create_dir_all(folder)?;
    for (name, cohort) in parts(repaired) {
        let path = folder.join(format!("{name}.csv"));
        write_cohort(cohort, &path)?;
        console.note(format_args!("{}: {} rows", path.display(), cohort.len()));
    }
    Ok(())
}
