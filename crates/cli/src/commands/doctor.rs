//! `cxr doctor`: what this machine offers, in one place to paste into a question.

use cxr_models::{Compute, Place};
use cxr_ops::nhwc::Isa;
use serde::Serialize;

use super::Outcome;
use crate::console::Console;
use crate::failure::Failure;

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Serialize)]
struct Machine {
    version: &'static str,
    architecture: &'static str,
    operating_system: &'static str,
    threads: usize,
    instruction_sets: Vec<&'static str>,
    /// The one that training and inference run with.
    kernels: &'static str,
    /// Whether this build can use cards.
    cuda: bool,
    /// The first card, or why it cannot be used.
    card: String,
}

pub(crate) fn run(_args: &Args, console: Console) -> Result<Outcome, Failure> {
    let machine = Machine {
        version: env!("CARGO_PKG_VERSION"),
        architecture: std::env::consts::ARCH,
        operating_system: std::env::consts::OS,
        threads: rayon::current_num_threads(),
        instruction_sets: instruction_sets(),
        kernels: Isa::best().name(),
        cuda: Compute::has_cuda(),
        card: card(),
    };
    if console.wants_json() {
        console.json(&machine)?;
    } else {
        console.line(format_args!("cxr                {}", machine.version));
        console.line(format_args!(
            "machine            {} {}",
            machine.operating_system, machine.architecture
        ));
        console.line(format_args!("threads            {}", machine.threads));
        console.line(format_args!(
            "instruction sets   {}",
            machine.instruction_sets.join(" ")
        ));
        console.line(format_args!("kernels            {}", machine.kernels));
        console.line(format_args!("card               {}", machine.card));
    }
    Ok(Outcome::Done)
}

fn card() -> String {
    let place = Place::Cuda { ordinal: 0 };
    match Compute::on(place).check() {
        Ok(()) => format!("{place} can be used"),
        Err(fault) => fault.to_string(),
    }
}

#[cfg(target_arch = "x86_64")]
fn instruction_sets() -> Vec<&'static str> {
    let candidates = [
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ("avx512bw", std::arch::is_x86_feature_detected!("avx512bw")),
    ];
    candidates
        .into_iter()
        .filter(|(_, is_there)| *is_there)
        .map(|(name, _)| name)
        .collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn instruction_sets() -> Vec<&'static str> {
    Vec::new()
}
