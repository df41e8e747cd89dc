//! The tasks that can be typed, and the one place where a task becomes an exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{completions, config, doctor, evaluate, predict, train, Outcome};
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
    /// Every metric of a checkpoint or of anybody's predictions.
    Evaluate(evaluate::Args),
    /// Probabilities and decisions for image files and folders.
    Predict(predict::Args),
    /// Every key of a run with its default.
    Config(config::Args),
    /// What a shell needs to complete tasks and flags.
    Completions(completions::Args),
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
            Self::Evaluate(args) => args.json,
            Self::Predict(args) => args.json,
            Self::Doctor(args) => args.json,
            Self::Config(_) | Self::Completions(_) => false,
        }
    }

    fn run(self, console: Console) -> Result<Outcome, Failure> {
        match self {
            Self::Train(args) => train::run(&args, console),
            Self::Evaluate(args) => evaluate::run(&args, console),
            Self::Predict(args) => predict::run(&args, console),
            Self::Config(args) => config::run(&args, console),
            Self::Completions(args) => completions::run(&args, console),
            Self::Doctor(args) => doctor::run(&args, console),
        }
    }
}
