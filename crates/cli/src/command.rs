//! The tasks that can be typed, and the one place where a task becomes an exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{self, doctor};
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
    /// Processor features, threads, memory, disk and versions.
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
            Self::Doctor(args) => args.json,
        }
    }

    fn run(self, console: Console) -> Result<commands::Outcome, Failure> {
        match self {
            Self::Doctor(args) => doctor::run(&args, console),
        }
    }
}
