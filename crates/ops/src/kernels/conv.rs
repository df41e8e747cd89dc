//! Two-dimensional convolution and its gradients over [N, C, H, W], PyTorch's layout.
//!
//! Any kernel, stride and padding. The arithmetic is [`crate::nhwc`]'s direct sums: maps are read
//! as [N, H, W, C] row by row and written back. Deliberately not here: groups and dilation.

use rayon::prelude::*;

use super::Window;
use super::batch_norm::plane_sum;
use super::scratch::Scratch;
use crate::nhwc::{Conv, Isa, Kernels, Planes, StorePlanes};

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Images in the batch.
    pub images: usize,
    /// Channels of the input.
    pub channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// How the kernel slides over each plane.
    pub window: Window,
}

impl ConvShape {
    /// Numbers in the input.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.images * self.channels * self.window.input_places()
    }

    /// Numbers in the weight.
    #[must_use]
    pub fn weight_len(&self) -> usize {
        self.out_channels * self.channels * self.window.taps()
    }

    /// Numbers in the output.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.images * self.out_channels * self.window.output_places()
    }
}

/// Writes `output` [N, O, H′, W′] = `input` [N, C, H, W] ⋆ `weight` [O, C, kh, kw] (+ `bias` `[O]`).
pub fn forward(
    shape: &ConvShape,
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    output: &mut [f32],
) {
    assert_eq!(input.len(), shape.input_len());
    assert_eq!(weight.len(), shape.weight_len());
    assert_eq!(output.len(), shape.output_len());
    assert!(bias.is_none_or(|bias| bias.len() == shape.out_channels));
    let conv = Conv::new(Kernels::exact(Isa::best()), *shape);
    let mut packed = Scratch::new(0);
    conv.pack_forward(weight, packed.buffer());
    let input = Planes {
        size: conv.input_size(),
        data: input,
    };
    conv.forward(packed.buffer(), &input, StorePlanes { output, bias });
}

/// Writes `input_gradient` [N, C, H, W] from `output_gradient` [N, O, H′, W′].
pub fn input_gradient(
    shape: &ConvShape,
    weight: &[f32],
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) {
    assert_eq!(weight.len(), shape.weight_len());
    assert_eq!(output_gradient.len(), shape.output_len());
    assert_eq!(input_gradient.len(), shape.input_len());
    let conv = Conv::new(Kernels::exact(Isa::best()), *shape);
    let mut packed = Scratch::new(0);
    conv.pack_backward(weight, packed.buffer());
    let gradient = Planes {
        size: conv.output_size(),
        data: output_gradient,
    };
    let sink = StorePlanes {
        output: input_gradient,
        bias: None,
    };
    conv.input_gradient(packed.buffer(), &gradient, sink);
}

/// Writes `weight_gradient` [O, C, kh, kw] from `input` [N, C, H, W] and `output_gradient`
/// [N, O, H′, W′].
pub fn weight_gradient(
    shape: &ConvShape,
    input: &[f32],
    output_gradient: &[f32],
    weight_gradient: &mut [f32],
) {
    assert_eq!(input.len(), shape.input_len());
    assert_eq!(output_gradient.len(), shape.output_len());
    assert_eq!(weight_gradient.len(), shape.weight_len());
    let conv = Conv::new(Kernels::exact(Isa::best()), *shape);
    let input = Planes {
        size: conv.input_size(),
        data: input,
    };
    let gradient = Planes {
        size: conv.output_size(),
        data: output_gradient,
    };
    let mut memory = Scratch::new(0);
    conv.weight_gradient(&input, &gradient, memory.buffer(), weight_gradient);
}

/// Writes `bias_gradient` `[O]`: the sum of the output gradient over images and places, in f64.
pub fn bias_gradient(shape: &ConvShape, output_gradient: &[f32], bias_gradient: &mut [f32]) {
    assert_eq!(output_gradient.len(), shape.output_len());
    assert_eq!(bias_gradient.len(), shape.out_channels);
    let size = shape.window.output_places();
    bias_gradient
        .par_iter_mut()
        .enumerate()
        .for_each(|(channel, sum)| {
            let planes = output_gradient
                .chunks_exact(size)
                .skip(channel)
                .step_by(shape.out_channels);
            *sum = planes.map(plane_sum).sum::<f64>() as f32;
        });
}
