//! Quality gates: figures that an evaluation must reach, for scripts that stop where it does not.

use cxr_metrics::Evaluation;

use crate::commands::Outcome;
use crate::console::Console;

/// The exit code of an evaluation that misses a gate.
const MISSED: u8 = 7;

/// What can be asked of an evaluation.
#[derive(Debug, clap::Args)]
pub(super) struct Gate {
    /// Exit with code 7 where the macro AUROC is below this, or undefined.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    min_auroc: Option<f64>,
}

impl Gate {
    /// Says what was missed.
    pub(super) fn judge(&self, evaluation: &Evaluation, console: Console) -> Outcome {
        let Some(least) = self.min_auroc else {
            return Outcome::Done;
        };
        let mean = &evaluation.macro_mean;
        if mean.auroc.is_some_and(|auroc| auroc >= least) {
            return Outcome::Done;
        }
        console.warn(format_args!(
            "quality gate missed: macro AUROC {}, at least {least} was asked for",
            mean.auroc_summary()
        ));
        Outcome::Attention(MISSED)
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("an AUROC lies between 0 and 1, such as 0.8".to_owned()),
    }
}
