//! `relu` for candle: the kernels of [`crate::kernels::relu`].

use crate::error::Result;
use crate::inputs::{Input, gradient_of, output, slice, with_slice};
use crate::kernels::relu as kernel;
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};

const OP: &str = "relu";

/// max(`input`, 0) for a tensor of any shape; the gradient at 0 is 0. NaN stays NaN.
///
/// # Errors
/// [`crate::OpError`] where the tensor is no f32 on the CPU or a card or is empty.
pub fn relu(input: &Tensor) -> Result<Tensor> {
    let input = Input {
        op: OP,
        name: "input",
        tensor: input,
    }
    .checked(input.rank())?;
    #[cfg(feature = "cuda")]
    if input.device().is_cuda() {
        return Ok(crate::card::relu(&input)?);
    }
    Ok(input.apply_op1(Relu)?)
}

struct Relu;

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let input = slice(input, layout)?;
        Ok(output(layout.shape(), |output| {
            kernel::forward(input, output)
        }))
    }

    fn bwd(
        &self,
        input: &Tensor,
        output: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let of_input = with_slice(output, |output| {
            with_slice(gradient, |gradient| {
                gradient_of(input, |target| {
                    kernel::input_gradient(output, gradient, target)
                })
            })
        })???;
        Ok(Some(of_input))
    }
}
