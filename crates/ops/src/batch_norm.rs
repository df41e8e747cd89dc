//! `batch_norm_train` and `batch_norm_eval` for candle: the kernels of
//! [`crate::kernels::batch_norm`].
//!
//! Running statistics stay with the network: training hands it the batch's mean and variance.

use crate::error::{OpError, Result};
use crate::inputs::{Input, gradient_of, output, slice, with_slice};
use crate::kernels::batch_norm::{self as kernel, Moments, NormShape};
use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Tensor};

/// What batch normalisation in training mode gives.
#[derive(Clone, Debug)]
pub struct BatchNormOutput {
    /// The normalised activation, in the input's shape.
    pub y: Tensor,
    /// The mean of each channel over the batch.
    pub mean: Vec<f32>,
    /// The unbiased variance of each channel (divided by n − 1), for running statistics. `y` itself
    /// is made with the biased one.
    pub var_unbiased: Vec<f32>,
}

/// `input` [N, C, H, W] normalised by the mean and biased variance of each channel over the batch,
/// times `weight` `[C]`, plus `bias` `[C]`.
///
/// Differentiable by all three; the input's gradient includes the way through mean and variance.
///
/// # Errors
/// [`OpError`] where a tensor is no f32 on the CPU or a card, is empty or has a shape that does not
/// fit, where a channel has a single value, or where `epsilon` is not above 0.
pub fn batch_norm_train(
    input: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    epsilon: f64,
) -> Result<BatchNormOutput> {
    let op = "batch_norm_train";
    let (input, shape) = checked_input(op, input, epsilon)?;
    if shape.per_channel() < 2 {
        return Err(OpError::OneValuePerChannel {
            shape: input.dims().to_vec(),
        });
    }
    let moments = moments_of(&shape, &input)?;
    let n = shape.per_channel() as f64;
    let mean = moments.mean.iter().map(|&mean| mean as f32).collect();
    let var_unbiased = moments
        .variance
        .iter()
        .map(|&v| (v * n / (n - 1.0)) as f32)
        .collect();
    let norm = BatchNorm {
        op,
        shape,
        epsilon,
        moments,
        source: Source::Batch,
    };
    Ok(BatchNormOutput {
        y: norm.apply(&input, weight, bias)?,
        mean,
        var_unbiased,
    })
}

/// `input` [N, C, H, W] normalised by given `mean` and `variance` of each channel, times `weight`
/// `[C]`, plus `bias` `[C]`.
///
/// Differentiable by `input`, `weight` and `bias`, so that a network with frozen statistics trains.
///
/// # Errors
/// [`OpError`] where a tensor is no f32 on the CPU or a card, is empty or has a shape that does not
/// fit, where a variance is negative, or where `epsilon` is not above 0.
pub fn batch_norm_eval(
    input: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    [mean, variance]: [&[f32]; 2],
    epsilon: f64,
) -> Result<Tensor> {
    let op = "batch_norm_eval";
    let (input, shape) = checked_input(op, input, epsilon)?;
    for (name, values) in [("mean", mean), ("variance", variance)] {
        if values.len() != shape.channels {
            let (given, expected) = (values.len(), shape.channels);
            return Err(OpError::Length {
                op,
                input: name,
                given,
                expected,
            });
        }
    }
    if let Some(&negative) = variance.iter().find(|&&variance| variance < 0.0) {
        let (setting, given) = ("variance", f64::from(negative));
        return Err(OpError::Setting {
            op,
            setting,
            given,
            expected: "a number ≥ 0",
        });
    }
    let moments = Moments::from_f32(mean, variance);
    BatchNorm {
        op,
        shape,
        epsilon,
        moments,
        source: Source::Given,
    }
    .apply(&input, weight, bias)
}

fn moments_of(shape: &NormShape, input: &Tensor) -> Result<Moments> {
    #[cfg(feature = "cuda")]
    if input.device().is_cuda() {
        return Ok(crate::card::moments(shape, input)?);
    }
    Ok(with_slice(input, |input| kernel::moments(shape, input))?)
}

fn checked_input(op: &'static str, input: &Tensor, epsilon: f64) -> Result<(Tensor, NormShape)> {
    if !(epsilon > 0.0 && epsilon.is_finite()) {
        let expected = "a finite number > 0";
        return Err(OpError::Setting {
            op,
            setting: "epsilon",
            given: epsilon,
            expected,
        });
    }
    let input = Input {
        op,
        name: "input",
        tensor: input,
    }
    .checked(4)?;
    let (images, channels, height, width) = input.dims4()?;
    Ok((
        input,
        NormShape {
            images,
            channels,
            places: height * width,
        },
    ))
}

/// Whether the moments depend on the input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Batch,
    Given,
}

struct BatchNorm {
    op: &'static str,
    shape: NormShape,
    epsilon: f64,
    moments: Moments,
    source: Source,
}

impl BatchNorm {
    fn apply(self, input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let (op, channels) = (self.op, [self.shape.channels]);
        let weight = Input {
            op,
            name: "weight",
            tensor: weight,
        }
        .beside(input)?
        .shaped(&channels)?;
        let bias = Input {
            op,
            name: "bias",
            tensor: bias,
        }
        .beside(input)?
        .shaped(&channels)?;
        #[cfg(feature = "cuda")]
        if input.device().is_cuda() {
            let norm = crate::card::BatchNorm {
                op,
                shape: self.shape,
                epsilon: self.epsilon,
                moments: self.moments,
                are_of_input: self.source == Source::Batch,
            };
            return Ok(crate::card::batch_norm(norm, input, &weight, &bias)?);
        }
        Ok(input.apply_op3(&weight, &bias, self)?)
    }
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        self.op
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
        let affine = [slice(weight, weight_layout)?, slice(bias, bias_layout)?];
        let input = slice(input, input_layout)?;
        Ok(output(input_layout.shape(), |output| {
            kernel::normalize(
                &self.shape,
                &self.moments,
                self.epsilon,
                affine,
                input,
                output,
            );
        }))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Self {
            shape,
            moments,
            epsilon,
            ..
        } = self;
        let gradient = gradient.contiguous()?;
        let sums = with_slice(input, |input| {
            with_slice(&gradient, |gradient| {
                kernel::gradient_sums(shape, moments, *epsilon, input, gradient)
            })
        })??;
        let of_input = || {
            with_slice(input, |x| {
                with_slice(&gradient, |gradient| {
                    with_slice(weight, |weight| {
                        gradient_of(input, |target| match self.source {
                            Source::Batch => kernel::input_gradient_through_moments(
                                shape,
                                moments,
                                *epsilon,
                                weight,
                                &sums,
                                [x, gradient],
                                target,
                            ),
                            Source::Given => kernel::input_gradient_of_fixed_moments(
                                shape, moments, *epsilon, weight, gradient, target,
                            ),
                        })
                    })
                })
            })???
        };
        let of_channels = |like: &Tensor, sums: &[f64]| {
            gradient_of(like, |target| {
                target
                    .iter_mut()
                    .zip(sums)
                    .for_each(|(target, &sum)| *target = sum as f32);
            })
        };
        Ok((
            input.track_op().then(of_input).transpose()?,
            weight
                .track_op()
                .then(|| of_channels(weight, &sums.gradient_by_normalized))
                .transpose()?,
            bias.track_op()
                .then(|| of_channels(bias, &sums.gradient))
                .transpose()?,
        ))
    }
}
