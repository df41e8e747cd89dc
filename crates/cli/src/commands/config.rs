//! `cxr config`: every key of a run with its default, or the shape of a configuration file.

use cxr_train::{DEFAULTS, Layers};

use super::Outcome;
use crate::console::Console;
use crate::failure::Failure;

/// What can be typed.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Args {
    /// Print the built-in defaults as a configuration file with its comments.
    #[arg(long)]
    defaults: bool,
    /// Print every key with its type and its value in each preset.
    #[arg(long)]
    schema: bool,
    /// Print a preset with the defaults under it.
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    if args.defaults {
        console.line(DEFAULTS.trim_end());
    } else if let Some(preset) = &args.preset {
        console.line(Layers::new(preset).resolve()?.to_toml().trim_end());
    } else {
        console.line(cxr_train::schema()?);
    }
    Ok(Outcome::Done)
}
