//! `linear` on a card: cuBLAS over candle's memory.

use candle_core::{CpuStorage, CudaStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use super::lend::Lent;
use super::{Card, not_here};
use crate::device::Device;
use crate::device::cuda::Floats;
use crate::kernels::linear::LinearShape;

const OP: &str = "linear";

/// [`crate::linear()`] of contiguous tensors on a card, whose shapes fit.
pub(crate) fn linear(
    shape: LinearShape,
    input: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    match bias {
        None => input.apply_op2(weight, Linear { shape }),
        Some(bias) => input.apply_op3(weight, bias, Linear { shape }),
    }
}

struct Linear {
    shape: LinearShape,
}

impl Linear {
    fn forward(
        &self,
        card: &Card,
        input: &Lent<'_>,
        weight: &Lent<'_>,
        bias: &Floats,
    ) -> Result<(CudaStorage, Shape)> {
        let (of, input, weight) = (&self.shape, &input.map, &weight.map);
        let output = card.output(of.rows * of.outputs, |output| {
            let output = &mut output.floats;
            Ok(card
                .cuda
                .linear_forward(of, input, weight, 0, bias, 0, output)?)
        })?;
        Ok((output, (of.rows, of.outputs).into()))
    }

    /// The gradients of input and weight, where they are wanted.
    fn gradients(
        &self,
        card: &Card,
        [input, weight, gradient]: [&Tensor; 3],
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (of, cuda) = (&self.shape, &card.cuda);
        card.with([input, weight, gradient], |[x, w, g]| {
            let of_input = || {
                card.gradient_of(input, |target| {
                    let target = &mut target.floats;
                    Ok(cuda.linear_input_gradient(of, &w.map, 0, &g.map, target)?)
                })
            };
            let of_weight = || {
                card.gradient_of(weight, |target| {
                    let target = &mut target.map;
                    Ok(cuda.linear_weight_gradient(of, &x.map, &g.map, target, 0)?)
                })
            };
            Ok((
                input.track_op().then(of_input).transpose()?,
                weight.track_op().then(of_weight).transpose()?,
            ))
        })
    }

    fn bias_gradient(&self, card: &Card, bias: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        card.with([gradient], |[gradient]| {
            card.gradient_of(bias, |target| {
                let target = &mut target.floats;
                Ok(card
                    .cuda
                    .linear_bias_gradient(&self.shape, &gradient.floats, target, 0)?)
            })
        })
    }
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        _input: &CpuStorage,
        _input_layout: &Layout,
        _weight: &CpuStorage,
        _weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        not_here(OP)
    }

    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let card = Card::new(&input.device)?;
        let input = card.lend(input, input_layout)?;
        let weight = card.lend(weight, weight_layout)?;
        let no_bias = card.cuda.floats(self.shape.outputs)?;
        self.forward(&card, &input, &weight, &no_bias)
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.gradients(&Card::of(input)?, [input, weight, gradient])
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        _input: &CpuStorage,
        _input_layout: &Layout,
        _weight: &CpuStorage,
        _weight_layout: &Layout,
        _bias: &CpuStorage,
        _bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        not_here(OP)
    }

    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
        bias: &CudaStorage,
        bias_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let card = Card::new(&input.device)?;
        let input = card.lend(input, input_layout)?;
        let weight = card.lend(weight, weight_layout)?;
        let bias = card.lend(bias, bias_layout)?;
        self.forward(&card, &input, &weight, &bias.floats)
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let card = Card::of(input)?;
        let (of_input, of_weight) = self.gradients(&card, [input, weight, gradient])?;
        let of_bias = || self.bias_gradient(&card, bias, gradient);
        let of_bias = bias.track_op().then(of_bias).transpose()?;
        Ok((of_input, of_weight, of_bias))
    }
}
