//! `relu` and `dropout` on a card.

use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::{Card, not_here};
use crate::kernels::dropout::DropoutKey;

/// [`crate::relu`] of a contiguous tensor on a card.
pub(crate) fn relu(input: &Tensor) -> Result<Tensor> {
    input.apply_op1(Relu)
}

/// [`crate::dropout`] of a contiguous tensor on a card.
pub(crate) fn dropout(input: &Tensor, probability: f64, key: DropoutKey) -> Result<Tensor> {
    input.apply_op1(Dropout { probability, key })
}

struct Relu;

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, _input: &CpuStorage, _layout: &Layout) -> Result<(CpuStorage, Shape)> {
        not_here("relu")
    }

    fn cuda_fwd(&self, input: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let card = Card::new(&input.device)?;
        let input = card.lend(input, layout)?;
        let len = layout.shape().elem_count();
        let output = card.output(len, |output| {
            Ok(card.cuda.relu(len, &input.floats, &mut output.floats)?)
        })?;
        Ok((output, layout.shape().clone()))
    }

    fn bwd(&self, input: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (card, len) = (Card::of(input)?, input.elem_count());
        card.with([output, gradient], |[output, gradient]| {
            let of_input = card.gradient_of(input, |target| {
                let (activation, gradient) = (&output.floats, &gradient.floats);
                let target = &mut target.floats;
                Ok(card.cuda.relu_gradient(len, activation, gradient, target)?)
            })?;
            Ok(Some(of_input))
        })
    }
}

struct Dropout {
    probability: f64,
    key: DropoutKey,
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, _input: &CpuStorage, _layout: &Layout) -> Result<(CpuStorage, Shape)> {
        not_here("dropout")
    }

    fn cuda_fwd(&self, input: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let card = Card::new(&input.device)?;
        let input = card.lend(input, layout)?;
        let (len, mask) = (layout.shape().elem_count(), (&self.key, self.probability));
        let output = card.output(len, |output| {
            let output = &mut output.floats;
            Ok(card.cuda.dropout(len, mask, &input.floats, output)?)
        })?;
        Ok((output, layout.shape().clone()))
    }

    fn bwd(&self, input: &Tensor, _output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let card = Card::of(input)?;
        let (len, mask) = (input.elem_count(), (&self.key, self.probability));
        card.with([gradient], |[gradient]| {
            let of_input = card.gradient_of(input, |target| {
                let target = &mut target.floats;
                Ok(card.cuda.dropout(len, mask, &gradient.floats, target)?)
            })?;
            Ok(Some(of_input))
        })
    }
}
