//! `linear` for candle: the kernels of [`crate::kernels::linear`].

use crate::error::Result;
use crate::inputs::{Input, gradient_of, output, slice, with_slice};
use crate::kernels::linear::{self as kernel, LinearShape};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Shape, Tensor};

const OP: &str = "linear";

/// `input` [N, I] · `weight` [O, I]ᵀ + `bias` `[O]`: [N, O]. Differentiable by all three.
///
/// # Errors
/// [`crate::OpError`] where a tensor is no f32 on the CPU or a card, is empty, or has a shape that
/// does not fit.
pub fn linear(input: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let input = Input {
        op: OP,
        name: "input",
        tensor: input,
    }
    .checked(2)?;
    let checked_weight = Input {
        op: OP,
        name: "weight",
        tensor: weight,
    }
    .beside(&input)?
    .checked(2)?;
    let (rows, inputs) = input.dims2()?;
    let (outputs, _) = weight.dims2()?;
    let weight = Input {
        op: OP,
        name: "weight",
        tensor: &checked_weight,
    }
    .shaped(&[outputs, inputs])?;
    let bias = bias.map(|bias| {
        Input {
            op: OP,
            name: "bias",
            tensor: bias,
        }
        .beside(&input)?
        .shaped(&[outputs])
    });
    let bias = bias.transpose()?;
    let shape = LinearShape {
        rows,
        inputs,
        outputs,
    };
    #[cfg(feature = "cuda")]
    if input.device().is_cuda() {
        return Ok(crate::card::linear(shape, &input, &weight, bias.as_ref())?);
    }
    Ok(match bias {
        None => input.apply_op2(&weight, Linear { shape })?,
        Some(bias) => input.apply_op3(&weight, &bias, Linear { shape })?,
    })
}

struct Linear {
    shape: LinearShape,
}

impl Linear {
    fn forward(
        &self,
        (input, input_layout): (&CpuStorage, &Layout),
        (weight, weight_layout): (&CpuStorage, &Layout),
        bias: Option<&[f32]>,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (input, weight) = (slice(input, input_layout)?, slice(weight, weight_layout)?);
        let shape = (self.shape.rows, self.shape.outputs);
        Ok(output(shape, |output| {
            kernel::forward(&self.shape, input, weight, bias, output)
        }))
    }

    /// The gradients of input and weight, where they are wanted.
    fn gradients(
        &self,
        input: &Tensor,
        weight: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let of_input = || {
            with_slice(weight, |weight| {
                with_slice(gradient, |gradient| {
                    gradient_of(input, |target| {
                        kernel::input_gradient(&self.shape, weight, gradient, target);
                    })
                })
            })??
        };
        let of_weight = || {
            with_slice(input, |input| {
                with_slice(gradient, |gradient| {
                    gradient_of(weight, |target| {
                        kernel::weight_gradient(&self.shape, input, gradient, target);
                    })
                })
            })??
        };
        Ok((
            input.track_op().then(of_input).transpose()?,
            weight.track_op().then(of_weight).transpose()?,
        ))
    }
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        self.forward((input, input_layout), (weight, weight_layout), None)
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        self.gradients(input, weight, &gradient.contiguous()?)
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let bias = slice(bias, bias_layout)?;
        self.forward((input, input_layout), (weight, weight_layout), Some(bias))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let (of_input, of_weight) = self.gradients(input, weight, &gradient)?;
        let of_bias = || {
            with_slice(&gradient, |gradient| {
                gradient_of(bias, |target| {
                    kernel::bias_gradient(&self.shape, gradient, target)
                })
            })?
        };
        Ok((
            of_input,
            of_weight,
            bias.track_op().then(of_bias).transpose()?,
        ))
    }
}
