//! The tasks that can be typed, and the one place where a task becomes an exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{
    Outcome, bench, check, compare, completions, config, doctor, evaluate, explore, import_weights,
    phantom, predict, read_pth, report, split, train, transform,
};
use crate::console::Console;
use crate::failure::Failure;

/// Chest X-ray classifiers from a table of labels and a folder of images. A research tool, not a
/// medical device.
#[derive(Debug, Parser)]
#[command(name = "cxr", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// The main job: train, evaluate, report. Without tables, on the synthetic cohort.
    Train(train::Args),
    /// What a table and its images hold: classes, patients, weights, figures.
    Explore(explore::Args),
    /// Faults of tables and images, patients and images shared between splits; repairs them.
    Check(check::Args),
    /// Patient-grouped, label-stratified splits of one table.
    Split(split::Args),
    /// Every metric of a checkpoint or of anybody's predictions.
    Evaluate(evaluate::Args),
    /// Two sets of predictions of the same radiographs: paired differences of AUROC, by patient.
    Compare(compare::Args),
    /// Probabilities and decisions for image files and folders.
    Predict(predict::Args),
    /// Every stage from an image file to a tensor, as pictures with their figures.
    Transform(transform::Args),
    /// PyTorch weights in, a checkpoint out.
    ImportWeights(import_weights::Args),
    /// Reads a .pth file behind limits, for import-weights.
    #[command(name = read_pth::TASK, hide = true)]
    ReadPth(read_pth::Args),
    /// The synthetic cohort, its hidden truth and its ceilings.
    Phantom(phantom::Args),
    /// The page again from a run folder.
    Report(report::Args),
    /// Every key of a run with its default.
    Config(config::Args),
    /// What a shell needs to complete tasks and flags.
    Completions(completions::Args),
    /// Measurements, for side-by-side runs.
    Bench(bench::Args),
    /// Processor features, threads and versions.
    Doctor(doctor::Args),
}

impl Cli {
    /// Parses argv, runs the task and says how it went.
    pub(crate) fn run() -> ExitCode {
        let cli = Self::parse();
        let console = Console::new(cli.task.wants_json());
        match cli.task.run(console) {
            Ok(outcome) => ExitCode::from(outcome.exit_code()),
            Err(failure) => {
                console.failure(&failure);
                ExitCode::from(failure.exit_code())
            }
        }
    }
}

impl Task {
    fn wants_json(&self) -> bool {
        match self {
            Self::Train(args) => args.json,
            Self::Explore(args) => args.json,
            Self::Check(args) => args.json,
            Self::Split(args) => args.json,
            Self::Evaluate(args) => args.json,
            Self::Compare(args) => args.json,
            Self::Predict(args) => args.json,
            Self::Transform(args) => args.json,
            Self::ImportWeights(args) => args.json,
            Self::Phantom(args) => args.json,
            Self::Bench(args) => args.wants_json(),
            Self::Doctor(args) => args.json,
            Self::ReadPth(_) | Self::Config(_) | Self::Completions(_) | Self::Report(_) => false,
        }
    }

    fn run(self, console: Console) -> Result<Outcome, Failure> {
        match self {
            Self::Train(args) => train::run(&args, console),
            Self::Explore(args) => explore::run(&args, console),
            Self::Check(args) => check::run(&args, console),
            Self::Split(args) => split::run(&args, console),
            Self::Evaluate(args) => evaluate::run(&args, console),
            Self::Compare(args) => compare::run(&args, console),
            Self::Predict(args) => predict::run(&args, console),
            Self::Transform(args) => transform::run(&args, console),
            Self::ImportWeights(args) => import_weights::run(&args, console),
            Self::ReadPth(args) => read_pth::run(&args, console),
            Self::Phantom(args) => phantom::run(&args, console),
            Self::Report(args) => report::run(&args, console),
            Self::Config(args) => config::run(&args, console),
            Self::Completions(args) => completions::run(&args, console),
            Self::Bench(args) => bench::run(&args, console),
            Self::Doctor(args) => doctor::run(&args, console),
        }
    }
}
