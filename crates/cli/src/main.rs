//! `cxr`: words in, calls to the libraries, an exit code out. No logic lives here.

mod command;
mod commands;
mod console;
mod failure;

use std::process::ExitCode;

fn main() -> ExitCode {
    console::exit_with_1_on_panic();
    command::Cli::run()
}
