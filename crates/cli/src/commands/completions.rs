//! `cxr completions`: what a shell needs to complete tasks and flags.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Outcome;
use crate::command::Cli;
use crate::console::Console;
use crate::failure::Failure;

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell to complete in.
    shell: Shell,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "cxr", &mut script);
    console.line(String::from_utf8_lossy(&script).trim_end());
    Ok(Outcome::Done)
}
