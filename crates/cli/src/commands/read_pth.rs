//! `cxr __read-pth`: the process in which `import-weights` reads a `.pth` file from a stranger.
//!
//! Not for people: it limits itself, reads one file, and answers with safetensors on stdout or one
//! line of JSON on stderr.

use std::path::PathBuf;

use cxr_models::import::{Limits, ProcessBounds, serve_pth};

use super::Outcome;
use crate::console::Console;
use crate::failure::Failure;

/// The name of this task, for whoever starts the process.
pub(crate) const TASK: &str = "__read-pth";

/// What the parent process types.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address space in bytes.
    #[arg(long)]
    memory_bytes: u64,
    /// Processor time in seconds.
    #[arg(long)]
    cpu_seconds: u64,
    /// The file.
    file: PathBuf,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    let bounds = ProcessBounds {
        memory_bytes: args.memory_bytes,
        cpu_seconds: args.cpu_seconds,
    };
    let mut out = std::io::stdout().lock();
    match serve_pth(&args.file, &bounds, &Limits::default(), &mut out) {
        Ok(()) => Ok(Outcome::Done),
        Err(fault) => {
            let report = fault.report();
            let line = serde_json::to_string(&report).map_err(|error| Failure::bug(&error))?;
            console.note(line);
            Ok(Outcome::Attention(report.exit_code))
        }
    }
}
