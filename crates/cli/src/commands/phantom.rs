//! `cxr phantom`: a synthetic cohort on disk, its hidden truth and its ceilings.

use std::fmt;
use std::path::PathBuf;

use cxr_phantom::{Ceilings, Like, PhantomRecipe, Split};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::Outcome;
use crate::console::Console;
use crate::failure::{Failure, Fault};

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A new or an empty folder, or one that this command began.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Rows: a total, or train, valid and test.
    #[arg(long, value_name = "N", num_args = 1..=3)]
    rows: Option<Vec<usize>>,
    /// Width and height of a radiograph in pixels.
    #[arg(long, value_name = "PIXELS")]
    size: Option<u32>,
    /// Seed of every draw.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Which cohort: `default`, or `seed` with the write-up's class counts and leak.
    #[arg(long, value_name = "COHORT", default_value = "default")]
    like: String,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `--json` prints: where the cohort is, whether it was drawn now, and its ceilings.
#[derive(Debug, Serialize)]
struct Drawn<'a> {
    folder: &'a PathBuf,
    drawn: bool,
    #[serde(flatten)]
    ceilings: &'a Ceilings,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    let recipe = recipe_of(args)?;
    let faults: Vec<Fault> = recipe.faults().iter().map(Fault::from).collect();
    if !faults.is_empty() {
        let n_faults = faults.len();
        return Err(Failure::of_many(faults, n_faults));
    }
    let ceilings = recipe.draw()?.ceilings();
    let bar = progress_bar(&recipe, console);
    let files = recipe.ensure(&args.out, &|n| {
        bar.set_position(bar.position().max(n as u64))
    })?;
    bar.finish_and_clear();
    if console.wants_json() {
        console.json(&Drawn {
            folder: &args.out,
            drawn: files.drawn,
            ceilings: &ceilings,
        })?;
    } else {
        console.line(Table(&ceilings));
        let what = if files.drawn {
            "drawn into"
        } else {
            "already complete in"
        };
        console.line(format_args!("\n{what} {}", args.out.display()));
    }
    Ok(Outcome::Done)
}

fn recipe_of(args: &Args) -> Result<PhantomRecipe, Failure> {
    let mut recipe = PhantomRecipe::like(args.like.parse::<Like>()?);
    if let Some(rows) = &args.rows {
        recipe = recipe.with_rows(rows)?;
    }
    recipe.size = args.size.unwrap_or(recipe.size);
    recipe.seed = args.seed.unwrap_or(recipe.seed);
    Ok(recipe)
}

fn progress_bar(recipe: &PhantomRecipe, console: Console) -> ProgressBar {
    if !console.is_interactive() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(recipe.rows.iter().sum::<usize>() as u64);
    let style = ProgressStyle::with_template("drawing {bar:30} {pos}/{len} {per_sec} {eta} left");
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Positives and ceilings for people.
struct Table<'a>(&'a Ceilings);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recipe = &self.0.recipe;
        let [train, valid, test] = recipe.rows;
        writeln!(
            f,
            "{} radiographs of {2}×{2} pixels, like {1}: {train} train, {valid} valid, {test} test\n",
            train + valid + test,
            recipe.like,
            recipe.size
        )?;
        let header = ["train", "valid", "test", "AUROC ≤", "on test", "AP ≤"];
        write!(f, "{:18}", "positives")?;
        header
            .iter()
            .try_for_each(|title| write!(f, "  {title:>7}"))?;
        for finding in &self.0.findings {
            write!(f, "\n{:18}", finding.name)?;
            for split in Split::ALL {
                write!(
                    f,
                    "  {:>7}",
                    finding.split(split).map_or(0, |one| one.positives)
                )?;
            }
            if let Some(test) = finding.split(Split::Test) {
                let oracle = test
                    .oracle
                    .map_or_else(|| "–".to_owned(), |oracle| format!("{:.4}", oracle.auroc));
                let ceiling = test.ceiling;
                write!(
                    f,
                    "  {:>7.4}  {oracle:>7}  {:>7.4}",
                    ceiling.auroc, ceiling.average_precision
                )?;
            }
        }
        Ok(())
    }
}
