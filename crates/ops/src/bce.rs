//! `bce_with_logits` for candle: the kernels of [`crate::kernels::bce`].

use crate::error::{OpError, Result};
use crate::inputs::{Input, gradient_of, output, slice, with_slice};
use crate::kernels::bce::{Cells, logit_gradient, loss_sum};
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};

const OP: &str = "bce_with_logits";

/// The mean binary cross-entropy over the known cells of `logits` [B, K]: a scalar.
///
/// `targets` [B, K] are in [0, 1] where known, `mask` [B, K] is 1 for a known cell and 0 for an
/// unknown one, `pos_weight` `[K]` weighs the positives of each finding. With a mask of ones it equals
/// `torch.nn.BCEWithLogitsLoss(pos_weight=…)`. Differentiable by `logits` alone; right and finite
/// for every |logit| ≤ 1e4 and beyond.
///
/// # Errors
/// [`OpError`] where a tensor is no f32 on the CPU or a card, is empty or has a shape that does not
/// fit, where a known target, a mask or a weight is out of range, or where no cell is known.
pub fn bce_with_logits(
    logits: &Tensor,
    targets: &Tensor,
    mask: &Tensor,
    pos_weight: &Tensor,
) -> Result<Tensor> {
    let logits = Input {
        op: OP,
        name: "logits",
        tensor: logits,
    }
    .checked(2)?;
    let findings = logits.dim(1)?;
    let numbers = |name, tensor, shape: &[usize]| -> Result<Vec<f32>> {
        let tensor = Input {
            op: OP,
            name,
            tensor,
        }
        .beside(&logits)?
        .shaped(shape)?;
        Ok(with_slice(&tensor, <[f32]>::to_vec)?)
    };
    let targets = numbers("targets", targets, logits.dims())?;
    let mask = numbers("mask", mask, logits.dims())?;
    let pos_weight = numbers("pos_weight", pos_weight, &[findings])?;
    check_cells(&targets, &mask, findings)?;
    if let Some((finding_index, &given)) = pos_weight
        .iter()
        .enumerate()
        .find(|(_, weight)| !(0.0..=f32::MAX).contains(*weight))
    {
        return Err(OpError::PosWeight {
            finding_index,
            given,
        });
    }
    let known = mask.iter().filter(|&&mask| mask > 0.0).count();
    if known == 0 {
        return Err(OpError::NoKnownCell {
            shape: logits.dims().to_vec(),
        });
    }
    #[cfg(feature = "cuda")]
    if logits.device().is_cuda() {
        let labels = crate::card::Labels {
            targets,
            mask,
            pos_weight,
        };
        return Ok(crate::card::bce_with_logits(&logits, labels)?);
    }
    Ok(logits.apply_op1(BceWithLogits {
        targets,
        mask,
        pos_weight,
        known,
    })?)
}

fn check_cells(targets: &[f32], mask: &[f32], findings: usize) -> Result<()> {
    for (cell, (&target, &mask)) in targets.iter().zip(mask).enumerate() {
        let (row, finding_index) = (cell / findings, cell % findings);
        if ![0.0, 1.0].contains(&mask) {
            return Err(OpError::Cell {
                input: "mask",
                row,
                finding_index,
                given: mask,
            });
        }
        if mask > 0.0 && !(0.0..=1.0).contains(&target) {
            return Err(OpError::Cell {
                input: "targets",
                row,
                finding_index,
                given: target,
            });
        }
    }
    Ok(())
}

struct BceWithLogits {
    targets: Vec<f32>,
    mask: Vec<f32>,
    pos_weight: Vec<f32>,
    known: usize,
}

impl BceWithLogits {
    fn cells<'a>(&'a self, logits: &'a [f32]) -> Cells<'a> {
        let Self {
            targets,
            mask,
            pos_weight,
            ..
        } = self;
        Cells {
            logits,
            targets,
            mask,
            pos_weight,
        }
    }
}

impl CustomOp1 for BceWithLogits {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        logits: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (sum, known) = loss_sum(&self.cells(slice(logits, layout)?));
        Ok(output((), |output| {
            output.fill((sum / known as f64) as f32)
        }))
    }

    fn bwd(
        &self,
        logits: &Tensor,
        _loss: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let scale = f64::from(gradient.to_scalar::<f32>()?) / self.known as f64;
        let of_logits = with_slice(logits, |numbers| {
            gradient_of(logits, |target| {
                logit_gradient(&self.cells(numbers), scale, target)
            })
        })??;
        Ok(Some(of_logits))
    }
}
