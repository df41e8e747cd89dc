//! `bce_with_logits` on a card.

use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::{Card, not_here};
use crate::device::cuda::Floats;
use crate::device::{Device, DeviceFault};

const OP: &str = "bce_with_logits";

/// What is known of a batch of labels, row-major, checked.
pub(crate) struct Labels {
    pub(crate) targets: Vec<f32>,
    pub(crate) mask: Vec<f32>,
    pub(crate) pos_weight: Vec<f32>,
}

/// [`crate::bce_with_logits`] of contiguous logits on a card.
pub(crate) fn bce_with_logits(logits: &Tensor, labels: Labels) -> Result<Tensor> {
    logits.apply_op1(BceWithLogits { labels })
}

struct BceWithLogits {
    labels: Labels,
}

impl BceWithLogits {
    /// The loss in the first number of `outcome`, and its derivative by each logit.
    fn run(
        &self,
        card: &Card,
        logits: &Floats,
        gradient: &mut Floats,
        outcome: &mut Floats,
    ) -> Result<()> {
        let labels = [
            &self.labels.targets,
            &self.labels.mask,
            &self.labels.pos_weight,
        ];
        let uploaded = labels.map(|numbers| {
            let mut floats = card.cuda.unset_floats(numbers.len())?;
            card.cuda.write_floats(&mut floats, 0, numbers)?;
            Ok::<_, DeviceFault>(floats)
        });
        let [targets, mask, pos_weights] = uploaded;
        let findings = self.labels.pos_weight.len();
        Ok(card.cuda.bce(
            self.labels.targets.len() / findings,
            findings,
            logits,
            &targets?,
            &mask?,
            &pos_weights?,
            gradient,
            outcome,
        )?)
    }
}

impl CustomOp1 for BceWithLogits {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, _logits: &CpuStorage, _layout: &Layout) -> Result<(CpuStorage, Shape)> {
        not_here(OP)
    }

    fn cuda_fwd(&self, logits: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let card = Card::new(&logits.device)?;
        let logits = card.lend(logits, layout)?;
        let mut gradient = card.cuda.unset_floats(layout.shape().elem_count())?;
        // The loss, and behind it room that the function asks for.
        let loss = card.output(2, |outcome| {
            self.run(&card, &logits.floats, &mut gradient, &mut outcome.floats)
        })?;
        Ok((loss, Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _loss: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let card = Card::of(logits)?;
        card.with([logits, gradient], |[numbers, upstream]| {
            let mut outcome = card.cuda.unset_floats(2)?;
            let of_logits = card.gradient_of(logits, |target| {
                let target = &mut target.floats;
                self.run(&card, &numbers.floats, target, &mut outcome)?;
                let len = logits.elem_count();
                Ok(card.cuda.times(len, &upstream.floats, target)?)
            })?;
            Ok(Some(of_logits))
        })
    }
}
