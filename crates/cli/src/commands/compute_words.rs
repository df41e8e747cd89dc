//! `--device` and `--precision`, for every task that runs a network.

use cxr_models::{Compute, Place};
use cxr_ops::device::{Planning, Precision};

/// What can be typed.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct ComputeWords {
    /// Where it runs: cpu, cuda or cuda:N (in builds with CUDA: cargo xtask … --device cuda).
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Place,
    /// On a card: f32, tf32 (products rounded to 10 bits) or bf16 (maps and kernels in 16 bits).
    #[arg(long, value_name = "PRECISION", default_value = "tf32")]
    precision: Precision,
    /// On a card, how convolutions are chosen: heuristic (the same every run) or measured.
    #[arg(long, value_name = "HOW", default_value = "heuristic")]
    plans: Planning,
}

impl ComputeWords {
    pub(crate) fn compute(self) -> Compute {
        Compute {
            place: self.device,
            precision: self.precision,
            plans: self.plans,
        }
    }
}
