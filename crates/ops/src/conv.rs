//! `conv2d` for candle: the kernels of [`crate::kernels::conv`] as a custom op.

use crate::error::{OpError, Result};
use crate::inputs::{Input, gradient_of, output, slice, with_slice};
use crate::kernels::Window;
use crate::kernels::conv::{self, ConvShape};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Shape, Tensor};

const OP: &str = "conv2d";

/// How a kernel slides, along both axes. The kernel's size is the weight's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2dGeometry {
    /// The step between windows, at least 1.
    pub stride: usize,
    /// Zeros that are added on each side.
    pub padding: usize,
}

impl Default for Conv2dGeometry {
    fn default() -> Self {
        Self {
            stride: 1,
            padding: 0,
        }
    }
}

/// The convolution (cross-correlation, as in PyTorch) of `input` [N, C, H, W] with `weight`
/// [O, C, kh, kw] plus `bias` `[O]`: [N, O, H′, W′].
///
/// H′ = ⌊(H + 2·padding − kh) / stride⌋ + 1. Differentiable by all three.
///
/// # Errors
/// [`OpError`] where a tensor is no f32 on the CPU or a card, has another rank or an axis of length
/// 0, where channels differ, or where no window fits.
pub fn conv2d(
    input: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    geometry: Conv2dGeometry,
) -> Result<Tensor> {
    let input = Input {
        op: OP,
        name: "input",
        tensor: input,
    }
    .checked(4)?;
    let checked_weight = Input {
        op: OP,
        name: "weight",
        tensor: weight,
    }
    .beside(&input)?
    .checked(4)?;
    let (images, channels, height, width) = input.dims4()?;
    let (out_channels, _, kernel_height, kernel_width) = weight.dims4()?;
    let expected = [out_channels, channels, kernel_height, kernel_width];
    let weight = Input {
        op: OP,
        name: "weight",
        tensor: &checked_weight,
    }
    .shaped(&expected)?;
    let window = Window {
        input: [height, width],
        kernel: [kernel_height, kernel_width],
        stride: geometry.stride,
        padding: [geometry.padding; 2],
    };
    check_window(OP, &window)?;
    let bias = bias.map(|bias| {
        Input {
            op: OP,
            name: "bias",
            tensor: bias,
        }
        .beside(&input)?
        .shaped(&[out_channels])
    });
    let bias = bias.transpose()?;
    let shape = ConvShape {
        images,
        channels,
        out_channels,
        window,
    };
    #[cfg(feature = "cuda")]
    if input.device().is_cuda() {
        return Ok(crate::card::conv2d(shape, &input, &weight, bias.as_ref())?);
    }
    Ok(match bias {
        None => input.apply_op2(&weight, Conv2d { shape })?,
        Some(bias) => input.apply_op3(&weight, &bias, Conv2d { shape })?,
    })
}

/// Refuses a window that never steps or fits nowhere.
pub(crate) fn check_window(op: &'static str, window: &Window) -> Result<()> {
    let refuse = |setting, given, expected: &str| {
        Err(OpError::Geometry {
            op,
            setting,
            given,
            expected: expected.to_owned(),
        })
    };
    if window.stride == 0 {
        return refuse("stride", "0".to_owned(), "a stride is at least 1");
    }
    if window.checked_output().is_none() {
        let given = format!(
            "kernel {:?} over {:?} padded by {}",
            window.kernel, window.input, window.padding[0]
        );
        return refuse(
            "kernel",
            given,
            "a kernel is at least 1×1 and fits into the padded input",
        );
    }
    Ok(())
}

struct Conv2d {
    shape: ConvShape,
}

impl Conv2d {
    fn forward(
        &self,
        (input, input_layout): (&CpuStorage, &Layout),
        (weight, weight_layout): (&CpuStorage, &Layout),
        bias: Option<&[f32]>,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (input, weight) = (slice(input, input_layout)?, slice(weight, weight_layout)?);
        let [height, width] = self.shape.window.output();
        let shape = (self.shape.images, self.shape.out_channels, height, width);
        Ok(output(shape, |output| {
            conv::forward(&self.shape, input, weight, bias, output)
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
                        conv::input_gradient(&self.shape, weight, gradient, target);
                    })
                })
            })??
        };
        let of_weight = || {
            with_slice(input, |input| {
                with_slice(gradient, |gradient| {
                    gradient_of(weight, |target| {
                        conv::weight_gradient(&self.shape, input, gradient, target);
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

impl CustomOp2 for Conv2d {
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

impl CustomOp3 for Conv2d {
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
                    conv::bias_gradient(&self.shape, gradient, target)
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
