//! Batch normalisation: statistics, the affine map, and the gradients in both modes.
//!
//! Sums are taken in f64 in a fixed order. Deliberately not here: running statistics and momentum,
//! which belong to the network.

use rayon::prelude::*;

/// Numbers that one task works on, about.
const TASK: usize = 1 << 15;
/// Sums that are kept beside each other, so that they can be vectorised in a fixed order.
const LANES: usize = 8;

/// The sizes of an activation [N, C, H, W] or [N, C].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NormShape {
    /// Images in the batch.
    pub images: usize,
    /// Channels.
    pub channels: usize,
    /// H · W, or 1.
    pub places: usize,
}

impl NormShape {
    /// Numbers in the activation.
    #[must_use]
    pub fn len(&self) -> usize {
        self.images * self.channels * self.places
    }

    /// Whether there is no number at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers that share a mean.
    #[must_use]
    pub fn per_channel(&self) -> usize {
        self.images * self.places
    }

    fn planes<'a>(&self, data: &'a [f32], channel: usize) -> impl Iterator<Item = &'a [f32]> {
        data.chunks_exact(self.places)
            .skip(channel)
            .step_by(self.channels)
    }

    /// Planes that one task works on.
    fn planes_per_task(&self) -> usize {
        (TASK / self.places).max(1)
    }
}

/// Mean and biased variance of each channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    /// The mean.
    pub mean: Vec<f64>,
    /// The mean squared deviation from it (divided by n, not n − 1).
    pub variance: Vec<f64>,
}

impl Moments {
    /// Moments given in f32, as running statistics are.
    #[must_use]
    pub fn from_f32(mean: &[f32], variance: &[f32]) -> Self {
        let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect();
        Self {
            mean: wide(mean),
            variance: wide(variance),
        }
    }

    /// 1 / √(variance + epsilon) of a channel.
    fn inverse_deviation(&self, channel: usize, epsilon: f64) -> f64 {
        1.0 / (self.variance[channel] + epsilon).sqrt()
    }
}

/// Mean and biased variance of each channel over images and places.
#[must_use]
pub fn moments(shape: &NormShape, input: &[f32]) -> Moments {
    assert_eq!(input.len(), shape.len());
    let n = shape.per_channel() as f64;
    let (mean, variance) = (0..shape.channels)
        .into_par_iter()
        .map(|channel| {
            let mean = shape.planes(input, channel).map(plane_sum).sum::<f64>() / n;
            let squares = shape
                .planes(input, channel)
                .map(|plane| squared_deviations(plane, mean));
            (mean, squares.sum::<f64>() / n)
        })
        .unzip();
    Moments { mean, variance }
}

/// Writes `output` = (`input` − mean) / √(variance + epsilon) · `weight` + `bias`, by channel.
pub fn normalize(
    shape: &NormShape,
    moments: &Moments,
    epsilon: f64,
    [weight, bias]: [&[f32]; 2],
    input: &[f32],
    output: &mut [f32],
) {
    assert_eq!(input.len(), shape.len());
    assert_eq!(output.len(), shape.len());
    assert_eq!([weight.len(), bias.len()], [shape.channels; 2]);
    output
        .par_chunks_exact_mut(shape.places)
        .zip(input.par_chunks_exact(shape.places))
        .enumerate()
        .with_min_len(shape.planes_per_task())
        .for_each(|(plane, (output, input))| {
            let channel = plane % shape.channels;
            let scale = f64::from(weight[channel]) * moments.inverse_deviation(channel, epsilon);
            let (mean, scale, bias) = (moments.mean[channel] as f32, scale as f32, bias[channel]);
            for (output, &input) in output.iter_mut().zip(input) {
                *output = (input - mean) * scale + bias;
            }
        });
}

/// The two sums over a channel that every gradient of batch normalisation is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GradientSums {
    /// Σ gradient: the bias gradient.
    pub gradient: Vec<f64>,
    /// Σ gradient · normalised input: the weight gradient.
    pub gradient_by_normalized: Vec<f64>,
}

/// The sums over each channel of `output_gradient` and of its product with the normalised input.
#[must_use]
pub fn gradient_sums(
    shape: &NormShape,
    moments: &Moments,
    epsilon: f64,
    input: &[f32],
    output_gradient: &[f32],
) -> GradientSums {
    assert_eq!(input.len(), shape.len());
    assert_eq!(output_gradient.len(), shape.len());
    let (gradient, gradient_by_normalized) = (0..shape.channels)
        .into_par_iter()
        .map(|channel| {
            let mean = moments.mean[channel];
            let planes = shape
                .planes(input, channel)
                .zip(shape.planes(output_gradient, channel));
            let (mut sum, mut by_deviation) = (0.0, 0.0);
            for (input, gradient) in planes {
                sum += plane_sum(gradient);
                by_deviation += product_with_deviation(gradient, input, mean);
            }
            (
                sum,
                by_deviation * moments.inverse_deviation(channel, epsilon),
            )
        })
        .unzip();
    GradientSums {
        gradient,
        gradient_by_normalized,
    }
}

/// Writes `input_gradient` where `moments` were those of the batch, and so depend on the input.
pub fn input_gradient_through_moments(
    shape: &NormShape,
    moments: &Moments,
    epsilon: f64,
    weight: &[f32],
    sums: &GradientSums,
    [input, output_gradient]: [&[f32]; 2],
    input_gradient: &mut [f32],
) {
    assert_eq!(input.len(), shape.len());
    assert_eq!(output_gradient.len(), shape.len());
    assert_eq!(input_gradient.len(), shape.len());
    assert_eq!(weight.len(), shape.channels);
    let n = shape.per_channel() as f64;
    input_gradient
        .par_chunks_exact_mut(shape.places)
        .zip(
            input
                .par_chunks_exact(shape.places)
                .zip(output_gradient.par_chunks_exact(shape.places)),
        )
        .enumerate()
        .with_min_len(shape.planes_per_task())
        .for_each(|(plane, (target, (input, gradient)))| {
            let channel = plane % shape.channels;
            let inverse = moments.inverse_deviation(channel, epsilon);
            let by_normalized = sums.gradient_by_normalized[channel] / n * inverse;
            let mean = moments.mean[channel] as f32;
            let scale = (f64::from(weight[channel]) * inverse) as f32;
            let (mean_gradient, slope) =
                ((sums.gradient[channel] / n) as f32, by_normalized as f32);
            for ((target, &input), &gradient) in target.iter_mut().zip(input).zip(gradient) {
                *target = scale * (gradient - mean_gradient - (input - mean) * slope);
            }
        });
}

/// Writes `input_gradient` where `moments` were given, as in evaluation.
pub fn input_gradient_of_fixed_moments(
    shape: &NormShape,
    moments: &Moments,
    epsilon: f64,
    weight: &[f32],
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) {
    assert_eq!(output_gradient.len(), shape.len());
    assert_eq!(input_gradient.len(), shape.len());
    assert_eq!(weight.len(), shape.channels);
    input_gradient
        .par_chunks_exact_mut(shape.places)
        .zip(output_gradient.par_chunks_exact(shape.places))
        .enumerate()
        .with_min_len(shape.planes_per_task())
        .for_each(|(plane, (target, gradient))| {
            let channel = plane % shape.channels;
            let inverse = moments.inverse_deviation(channel, epsilon);
            let scale = (f64::from(weight[channel]) * inverse) as f32;
            target
                .iter_mut()
                .zip(gradient)
                .for_each(|(target, &g)| *target = g * scale);
        });
}

/// The sum of a plane in f64, in an order that its length alone decides.
pub(crate) fn plane_sum(plane: &[f32]) -> f64 {
    lane_sum(plane, plane, |value, _| value)
}

fn squared_deviations(plane: &[f32], mean: f64) -> f64 {
    lane_sum(plane, plane, |value, _| (value - mean) * (value - mean))
}

fn product_with_deviation(gradient: &[f32], input: &[f32], mean: f64) -> f64 {
    lane_sum(gradient, input, |gradient, input| gradient * (input - mean))
}

fn lane_sum(first: &[f32], second: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [0.0f64; LANES];
    let (first_chunks, first_rest) = first.as_chunks::<LANES>();
    let (second_chunks, second_rest) = second.as_chunks::<LANES>();
    for (first, second) in first_chunks.iter().zip(second_chunks) {
        for (lane, (&a, &b)) in lanes.iter_mut().zip(first.iter().zip(second)) {
            *lane += term(f64::from(a), f64::from(b));
        }
    }
    for (lane, (&a, &b)) in lanes.iter_mut().zip(first_rest.iter().zip(second_rest)) {
        *lane += term(f64::from(a), f64::from(b));
    }
    lanes.iter().sum()
}
