//! `cxr train`: the main job. Without tables, on the synthetic cohort.

mod machine;
mod progress;
mod table;

use std::path::{Path, PathBuf};

use cxr_augment::Keep;
use cxr_models::Place;
use cxr_phantom::{Ceilings, Like, PhantomRecipe};
use cxr_report::{RUN_RECORD, RunFolder, RunRecord, RunStatus, page};
use cxr_train::{
    Fitted, Layers, Origin, PhantomConfig, Prepared, ResolvedConfig, RunOutcome, RunRequest,
    Tables, Watch,
};
use serde::Serialize;

use self::progress::Progress;
use super::Outcome;
use super::cache_words::CacheWords;
use crate::console::Console;
use crate::failure::{Failure, Fault};

/// Where run folders are made, below the folder the user stands in.
const RUNS: &str = "runs";
/// `CXR_SET_EPOCHS=2` is `--set epochs=2`; two underscores are a dot.
const ENVIRONMENT_PREFIX: &str = "CXR_SET_";

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A configuration file (TOML); `cxr config --defaults` prints one.
    #[arg(long, value_name = "F")]
    config: Option<PathBuf>,
    /// default, phantom, seed-cnn or seed-resnet18. Without tables: phantom.
    #[arg(long, value_name = "P")]
    preset: Option<String>,
    /// The table of labels to learn from.
    #[arg(long, value_name = "CSV")]
    train: Option<PathBuf>,
    /// The table that decides epochs and thresholds.
    #[arg(long, value_name = "CSV")]
    valid: Option<PathBuf>,
    /// The table that is read once, at the end.
    #[arg(long, value_name = "CSV")]
    test: Option<PathBuf>,
    /// The folder of images.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// A checkpoint of import-weights to start from.
    #[arg(long, value_name = "FILE")]
    pretrained: Option<PathBuf>,
    /// What −1 and empty labels mean: refuse, zeros, ones or ignore.
    #[arg(long, value_name = "POLICY")]
    uncertain: Option<String>,
    /// One setting, as in --set epochs=2. May be given again.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where it runs: cpu, cuda or cuda:N (in builds with CUDA: cargo xtask train --device cuda). How
    /// a card computes is --set cuda.precision=….
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Place,
    /// The run folder, new or empty. Without it: runs/NAME-NNN.
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Goes on with a run that was stopped.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "preset", "train", "valid",
        "test", "images", "pretrained", "uncertain", "set", "run"])]
    resume: Option<PathBuf>,
    /// Threads to use. No figure depends on it.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    cache: CacheWords,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    run: &'a Path,
    report: &'a Path,
    best_epoch: Option<u64>,
    weight_digest: Option<&'a str>,
    seconds: f64,
    warnings: &'a [String],
    valid: Option<&'a cxr_metrics::Evaluation>,
    test: Option<&'a cxr_metrics::Evaluation>,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    machine::use_threads(args.threads)?;
    let resolved = match &args.resume {
        Some(folder) => resolved_of_run(folder)?,
        None => resolved_of_words(args)?,
    };
    let progress = Progress::new(console)?;
    // Before an hour of decoding: is there such a device?
    resolved.config.compute(args.device).check()?;
    let how = (args.cache.keep(), args.device);
    let request = request(resolved, how, console, &progress)?;
    // Nothing is written for tables or images that cannot be used.
    let prepared = Prepared::read(&request, &progress)?;
    let folder = folder(args, &request)?;
    let mut record = machine::record(&request, &folder.name());
    folder.write_json(RUN_RECORD, &record)?;
    console.note(format_args!("run folder: {}", folder.dir().display()));
    match cxr_train::run(
        &request,
        &prepared,
        &folder,
        args.resume.is_some(),
        &progress,
    ) {
        Ok(outcome) => finish(&request, &folder, record, &outcome, &progress, console),
        Err(error) => {
            let failure = Failure::from(error);
            record.status = RunStatus::Failed;
            record.exit_code = Some(failure.exit_code());
            record.failure = failure.record();
            record.seconds = Some(progress.elapsed_seconds());
            folder.write_json(RUN_RECORD, &record)?;
            Err(failure)
        }
    }
}

/// Records how the run ended, writes the page and prints the table.
fn finish(
    request: &RunRequest,
    folder: &RunFolder,
    mut record: RunRecord,
    outcome: &RunOutcome,
    progress: &Progress,
    console: Console,
) -> Result<Outcome, Failure> {
    machine::complete(&mut record, request, outcome, progress.elapsed_seconds());
    if outcome.fitted == Fitted::Stopped {
        let exit_code = progress.exit_code_of_signal();
        record.status = RunStatus::Interrupted;
        record.exit_code = Some(exit_code);
        folder.write_json(RUN_RECORD, &record)?;
        let dir = folder.dir().display();
        let n = outcome.history.records().len();
        console.note(format_args!(
            "stopped; {n} epochs are kept, go on with: cargo xtask train --resume {dir}"
        ));
        return Ok(Outcome::Attention(exit_code));
    }
    folder.write_json(RUN_RECORD, &record)?;
    let report = page::write(folder.dir())?;
    if console.wants_json() {
        console.json(&Printed {
            run: folder.dir(),
            report: &report,
            best_epoch: outcome.best_epoch,
            weight_digest: outcome.weight_digest.as_deref(),
            seconds: progress.elapsed_seconds(),
            warnings: &outcome.warnings,
            valid: outcome.valid.as_ref(),
            test: outcome.test.as_ref(),
        })?;
    } else {
        table::print(outcome, ceilings(request)?.as_ref(), console);
        console.line(format_args!("report: {}", report.display()));
    }
    Ok(Outcome::Done)
}

/// Defaults, preset, file, environment, flags.
fn resolved_of_words(args: &Args) -> Result<ResolvedConfig, Failure> {
    let has_tables = args.train.is_some() || args.valid.is_some();
    let preset = match (&args.preset, has_tables || args.config.is_some()) {
        (Some(preset), _) => preset.as_str(),
        (None, true) => "default",
        (None, false) => "phantom",
    };
    let mut layers = Layers::new(preset);
    if let Some(path) = &args.config {
        let text = fs_err::read_to_string(path)?;
        layers.add(&text, &Origin::File(path.display().to_string()));
    }
    for (name, value) in std::env::vars() {
        if let Some(key) = name.strip_prefix(ENVIRONMENT_PREFIX) {
            let key = key.to_lowercase().replace("__", ".");
            layers.set(&format!("{key}={value}"), &Origin::Environment);
        }
    }
    let paths = [
        ("data.train", &args.train),
        ("data.valid", &args.valid),
        ("data.test", &args.test),
        ("data.images", &args.images),
        ("pretrained", &args.pretrained),
    ];
    for (key, path) in paths {
        if let Some(path) = path {
            layers.set_text(key, &absolute(path)?, &Origin::CommandLine);
        }
    }
    if let Some(policy) = &args.uncertain {
        layers.set_text("data.uncertain", policy, &Origin::CommandLine);
    }
    for assignment in &args.set {
        layers.set(assignment, &Origin::CommandLine);
    }
    Ok(layers.resolve()?)
}

/// The configuration that a run folder holds.
fn resolved_of_run(folder: &Path) -> Result<ResolvedConfig, Failure> {
    let path = folder.join("config.toml");
    let text = fs_err::read_to_string(&path)?;
    let mut layers = Layers::new("default");
    layers.add(&text, &Origin::File(path.display().to_string()));
    Ok(layers.resolve()?)
}

/// A run can be resumed from another folder, so its paths are kept whole.
fn absolute(path: &Path) -> Result<String, Failure> {
    Ok(std::path::absolute(path)?.to_string_lossy().into_owned())
}

/// The tables of the configuration; the synthetic cohort, drawn where it is not there yet, if it
/// names none.
fn request(
    resolved: ResolvedConfig,
    (keep, place): (Keep, Place),
    console: Console,
    progress: &Progress,
) -> Result<RunRequest, Failure> {
    let data = &resolved.config.data;
    if !(data.train.is_empty() && data.valid.is_empty()) {
        let tables = Tables::of(&resolved.config)?;
        return Ok(RunRequest {
            resolved,
            tables,
            ceilings: None,
            keep,
            place,
        });
    }
    let recipe = recipe(&resolved.config.phantom)?;
    let faults = recipe.faults();
    if !faults.is_empty() {
        return Err(Failure::of_many(
            faults.iter().map(Fault::from).collect(),
            faults.len(),
        ));
    }
    let name = format!("phantom-{}-{}-{}", recipe.like, recipe.size, recipe.seed);
    let folder = Path::new(RUNS).join("cohorts").join(format!(
        "{name}-{}",
        recipe.rows.map(|n| n.to_string()).join("-")
    ));
    let folder = std::path::absolute(folder)?;
    let n: usize = recipe.rows.iter().sum();
    let cohort = progress.drawing(n, |report| recipe.ensure(&folder, report))?;
    let word = if cohort.drawn {
        "drawn into"
    } else {
        "found in"
    };
    console.note(format_args!(
        "synthetic cohort: {n} radiographs {word} {}",
        folder.display()
    ));
    let ceilings = fs_err::read(&cohort.ceilings)?;
    let tables = Tables {
        train: cohort.train,
        valid: cohort.valid,
        test: Some(cohort.test),
        images: cohort.images,
    };
    Ok(RunRequest {
        resolved,
        tables,
        ceilings: Some(ceilings),
        keep,
        place,
    })
}

fn recipe(config: &PhantomConfig) -> Result<PhantomRecipe, Failure> {
    let like: Like = config.like.parse()?;
    let mut recipe = PhantomRecipe::like(like);
    if let [train, valid, test] = config.rows[..] {
        recipe.rows = [train, valid, test];
    }
    recipe.size = config.size;
    recipe.seed = config.seed;
    Ok(recipe)
}

fn folder(args: &Args, request: &RunRequest) -> Result<RunFolder, Failure> {
    Ok(match (&args.resume, &args.run) {
        (Some(folder), _) => RunFolder::open(folder)?,
        (None, Some(folder)) => RunFolder::create_at(folder)?,
        (None, None) => RunFolder::create(Path::new(RUNS), &request.resolved.config.name)?,
    })
}

fn ceilings(request: &RunRequest) -> Result<Option<Ceilings>, Failure> {
    let Some(bytes) = &request.ceilings else {
        return Ok(None);
    };
    serde_json::from_slice(bytes)
        .map(Some)
        .map_err(|error| Failure::bug(&error))
}
