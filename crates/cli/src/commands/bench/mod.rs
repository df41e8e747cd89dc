//! `cxr bench`: measurements for side-by-side runs. Never a test: times depend on the machine.

mod clustered_cohort;
mod coverage;
mod decode;
mod images;
mod infer;
mod layers;
mod loader;
mod machine;
mod metrics;
mod step;

use cxr_models::Architecture;
use cxr_ops::nhwc::Isa;

use super::Outcome;
use crate::console::Console;
use crate::failure::Failure;

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// One training step: forward, loss, backward, optimizer.
    Step(step::Args),
    /// Inference: normalised images to logits.
    Infer(infer::Args),
    /// Every kind of layer, forward and backward.
    Ops(layers::Args),
    /// Image files to batch tensors; nothing is trained.
    Loader(loader::Args),
    /// Each stage of one image, on one thread.
    Decode(decode::Args),
    /// Every figure of an evaluation, on made-up scores.
    Metrics(metrics::Args),
    /// How often 95 % intervals hold the true AUROC, on made-up cohorts of patients.
    Coverage(coverage::Args),
}

/// What every measurement takes.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Setting {
    /// Threads; all of the machine's if left out.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Instruction set; the widest of the processor if left out.
    #[arg(long, value_name = "avx512|avx2|portable")]
    isa: Option<Isa>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Setting {
    /// Takes as many threads as were asked for, and the instruction set.
    fn apply(&self) -> Result<Isa, Failure> {
        if let Some(threads) = self.threads {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build_global().map_err(|error| Failure::bug(&error))?;
        }
        let isa = self.isa.unwrap_or_else(Isa::best);
        if isa.is_available() {
            return Ok(isa);
        }
        let here: Vec<&str> = Isa::ALL
            .into_iter()
            .filter(|isa| isa.is_available())
            .map(Isa::name)
            .collect();
        Err(Failure::usage(
            format!("this processor does not have {isa}"),
            format!("it has {}", here.join(", ")),
        ))
    }
}

impl Args {
    pub(crate) fn wants_json(&self) -> bool {
        match &self.what {
            What::Step(args) => args.setting.json,
            What::Infer(args) => args.setting.json,
            What::Ops(args) => args.setting.json,
            What::Loader(args) => args.setting.json,
            What::Decode(args) => args.setting.json,
            What::Metrics(args) => args.json,
            What::Coverage(args) => args.setting.json,
        }
    }
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    match &args.what {
        What::Step(args) => step::run(args, console),
        What::Infer(args) => infer::run(args, console),
        What::Ops(args) => layers::run(args, console),
        What::Loader(args) => loader::run(args, console),
        What::Decode(args) => decode::run(args, console),
        What::Metrics(args) => metrics::run(args, console),
        What::Coverage(args) => coverage::run(args, console),
    }
}

/// Findings of the measured networks: NIH's.
const N_FINDINGS: usize = 14;

/// Refuses to measure nothing.
fn check_counts(batch: usize, steps: usize) -> Result<(), Failure> {
    if batch > 0 && steps > 0 {
        return Ok(());
    }
    Err(Failure::usage(
        "--batch and --steps must be at least 1",
        "`--batch 16 --steps 5` is a good start",
    ))
}

/// The median of some times; 0 for none.
fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    let n = times.len();
    match n {
        0 => 0.0,
        n if n % 2 == 1 => times[n / 2],
        _ => f64::midpoint(times[n / 2 - 1], times[n / 2]),
    }
}

fn parse_architecture(word: &str) -> Result<Architecture, String> {
    word.parse().map_err(|_| {
        let known = Architecture::ALL.map(Architecture::name);
        format!("one of {}", known.join(", "))
    })
}
