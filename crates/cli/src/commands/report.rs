//! `cxr report RUN`: writes `report.html` again from the files of a run folder.

use std::path::PathBuf;

use super::Outcome;
use crate::console::Console;
use crate::failure::Failure;

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run folder, such as runs/phantom-001; its run may still be going on.
    #[arg(value_name = "RUN")]
    run: PathBuf,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    let page = cxr_report::page::write(&args.run)?;
    console.line(page.display());
    Ok(Outcome::Done)
}
