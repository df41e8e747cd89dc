//! Batch normalisation around convolutions: sums that are taken while a band is in the cache, and
//! the factors that are made of them.
//!
//! A band's sums are f32 over some hundred places, taken around the band's own mean (or the
//! batch's); bands are put together in f64, in their order, so threads change nothing.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::kernels::batch_norm::Moments;
use crate::kernels::scratch::Scratch;

use super::bands::{Bands, MapSize};
use super::sinks::Gate;
use super::sources::NormBackwardFactors;
use cxr_isa::Isa;

/// Mean and squared deviations of each band of a map, by channel.
#[derive(Clone, Debug, Default)]
pub struct BandMoments {
    channels: usize,
    counts: Vec<usize>,
    /// For each band the means, then the sums of squared deviations from them.
    parts: Vec<f32>,
}

impl BandMoments {
    /// The bands' parts to write, two numbers a channel each.
    pub(crate) fn parts(&mut self, bands: &Bands) -> Vec<&mut [f32]> {
        self.channels = bands.size.channels;
        self.counts.clear();
        self.counts.extend(bands.iter().map(|band| band.places()));
        self.parts
            .resize(self.counts.len() * 2 * self.channels, 0.0);
        self.parts.chunks_exact_mut(2 * self.channels).collect()
    }

    /// Writes a band's means and squared deviations.
    #[inline(always)]
    pub(crate) fn measure(channels: usize, raw: &[f32], part: &mut [f32]) {
        let (mean, squares) = part.split_at_mut(channels);
        mean.fill(0.0);
        squares.fill(0.0);
        for place in raw.chunks_exact(channels) {
            for c in 0..channels {
                mean[c] += place[c];
            }
        }
        let n = (raw.len() / channels) as f32;
        mean.iter_mut().for_each(|mean| *mean /= n);
        let mut rest = Scratch::new(channels);
        let rest = &mut rest[..channels];
        rest.fill(0.0);
        for place in raw.chunks_exact(channels) {
            for c in 0..channels {
                let deviation = place[c] - mean[c];
                rest[c] += deviation;
                squares[c] += deviation * deviation;
            }
        }
        // What rounding left in the mean: it matters where the mean is large.
        for c in 0..channels {
            let error = rest[c] / n;
            squares[c] = (squares[c] - rest[c] * error).max(0.0);
            mean[c] += error;
        }
    }

    /// Mean and biased variance of each channel over all bands, and how many numbers that is.
    #[must_use]
    pub fn combine(&self) -> (Moments, usize) {
        let (mut mean, mut squares) = (vec![0.0_f64; self.channels], vec![0.0_f64; self.channels]);
        let mut n = 0.0_f64;
        let parts = self.parts.chunks_exact(2 * self.channels.max(1));
        for (part, &count) in parts.zip(&self.counts) {
            // Chan, Golub and LeVeque, "Updating formulae …", 1979.
            let (own, total) = (count as f64, n + count as f64);
            let (means, deviations) = part.split_at(self.channels);
            for c in 0..self.channels {
                let difference = f64::from(means[c]) - mean[c];
                mean[c] += difference * own / total;
                squares[c] += f64::from(deviations[c]) + difference * difference * n * own / total;
            }
            n = total;
        }
        let variance = squares.iter().map(|squares| squares / n).collect();
        (Moments { mean, variance }, self.counts.iter().sum())
    }
}

/// A batch norm's map x ↦ x · scale + shift, by channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScaleShift {
    /// Weight ÷ √(variance + epsilon).
    pub scale: Vec<f32>,
    /// Bias − mean · scale.
    pub shift: Vec<f32>,
}

impl ScaleShift {
    /// The map of a norm with these moments.
    #[must_use]
    pub fn new(moments: &Moments, epsilon: f64, weight: &[f32], bias: &[f32]) -> Self {
        let scales: Vec<f64> = moments
            .variance
            .iter()
            .zip(weight)
            .map(|(variance, &weight)| f64::from(weight) / (variance + epsilon).sqrt())
            .collect();
        let shifts = moments.mean.iter().zip(&scales).zip(bias);
        Self {
            shift: shifts
                .map(|((mean, scale), &bias)| (f64::from(bias) - mean * scale) as f32)
                .collect(),
            scale: scales.iter().map(|&scale| scale as f32).collect(),
        }
    }
}

/// Σ gradient and Σ gradient · (x − mean) of each band, by channel.
#[derive(Clone, Debug, Default)]
pub struct GradientSums {
    /// Exact, and as the bands take it.
    exact_mean: Vec<f64>,
    mean: Vec<f32>,
    parts: Vec<f32>,
}

impl GradientSums {
    /// Sums around these means, one a channel.
    #[must_use]
    pub fn around(mean: &[f64]) -> Self {
        Self {
            exact_mean: mean.to_vec(),
            mean: mean.iter().map(|&mean| mean as f32).collect(),
            parts: Vec::new(),
        }
    }

    /// The bands' parts to write.
    pub(crate) fn parts(&mut self, bands: &Bands) -> Vec<GradientSumsPart<'_>> {
        let channels = self.mean.len();
        assert_eq!(channels, bands.size.channels);
        self.parts.resize(bands.count() * 2 * channels, 0.0);
        let mean = &self.mean;
        self.parts
            .chunks_exact_mut(2 * channels)
            .map(|sums| GradientSumsPart { mean, sums })
            .collect()
    }

    /// The two sums over all bands.
    #[must_use]
    pub fn combine(&self) -> [Vec<f64>; 2] {
        let channels = self.mean.len();
        let mut totals = vec![0.0_f64; 2 * channels];
        for part in self.parts.chunks_exact(2 * channels.max(1)) {
            for (total, &sum) in totals.iter_mut().zip(part) {
                *total += f64::from(sum);
            }
        }
        let mut by_deviation = totals.split_off(channels);
        for (c, total) in by_deviation.iter_mut().enumerate() {
            *total += (f64::from(self.mean[c]) - self.exact_mean[c]) * totals[c];
        }
        [totals, by_deviation]
    }
}

/// One band's sums.
#[derive(Debug)]
pub(crate) struct GradientSumsPart<'a> {
    mean: &'a [f32],
    sums: &'a mut [f32],
}

impl GradientSumsPart<'_> {
    /// Writes the sums of a gradient as it is.
    #[inline(always)]
    fn measure(self, gradient: &[f32], input: &[f32]) {
        let channels = self.mean.len();
        let mean = &self.mean[..channels];
        let (sums, by_deviation) = self.sums.split_at_mut(channels);
        let (sums, by_deviation) = (&mut sums[..channels], &mut by_deviation[..channels]);
        sums.fill(0.0);
        by_deviation.fill(0.0);
        let inputs = input.chunks_exact(channels);
        for (gradient, input) in gradient.chunks_exact(channels).zip(inputs) {
            for c in 0..channels {
                sums[c] += gradient[c];
                by_deviation[c] += gradient[c] * (input[c] - mean[c]);
            }
        }
    }

    /// Sets the gradient to 0 where the gate is closed, and writes the sums of what is left.
    #[inline(always)]
    pub(crate) fn gate_and_measure(self, gate: Gate<'_>, gradient: &mut [f32]) {
        let channels = self.mean.len();
        let mean = &self.mean[..channels];
        let (sums, by_deviation) = self.sums.split_at_mut(channels);
        let (sums, by_deviation) = (&mut sums[..channels], &mut by_deviation[..channels]);
        sums.fill(0.0);
        by_deviation.fill(0.0);
        let gradients = gradient.chunks_exact_mut(channels);
        match gate {
            Gate::Activation { activation, input } => {
                let activations = activation.chunks_exact(channels);
                match input {
                    Some(input) => {
                        let inputs = input.chunks_exact(channels);
                        for (gradient, (activation, input)) in
                            gradients.zip(activations.zip(inputs))
                        {
                            for c in 0..channels {
                                let passed = if activation[c] > 0.0 {
                                    gradient[c]
                                } else {
                                    0.0
                                };
                                gradient[c] = passed;
                                sums[c] += passed;
                                by_deviation[c] += passed * (input[c] - mean[c]);
                            }
                        }
                    }
                    None => {
                        for (gradient, activation) in gradients.zip(activations) {
                            for c in 0..channels {
                                let passed = if activation[c] > 0.0 {
                                    gradient[c]
                                } else {
                                    0.0
                                };
                                gradient[c] = passed;
                                sums[c] += passed;
                            }
                        }
                    }
                }
            }
            Gate::Norm {
                input,
                scale,
                shift,
            } => {
                let (scale, shift) = (&scale[..channels], &shift[..channels]);
                for (gradient, input) in gradients.zip(input.chunks_exact(channels)) {
                    for c in 0..channels {
                        let is_open = input[c] * scale[c] + shift[c] > 0.0;
                        let passed = if is_open { gradient[c] } else { 0.0 };
                        gradient[c] = passed;
                        sums[c] += passed;
                        by_deviation[c] += passed * (input[c] - mean[c]);
                    }
                }
            }
        }
    }
}

/// What a batch norm's backward pass gives beside the gradient of its input.
#[derive(Clone, Debug, Default)]
pub struct NormGradients {
    /// The gradient of its weight.
    pub weight: Vec<f32>,
    /// The gradient of its bias.
    pub bias: Vec<f32>,
    /// How the gradient of its input is made while it is read.
    pub factors: NormBackwardFactors,
}

impl NormGradients {
    /// From the sums over all `n` numbers that share a mean.
    #[must_use]
    pub fn new(
        moments: &Moments,
        epsilon: f64,
        weight: &[f32],
        sums: &GradientSums,
        n: usize,
    ) -> Self {
        let [sum, by_deviation] = sums.combine();
        let n = n as f64;
        let mut gradients = Self::default();
        for c in 0..weight.len() {
            let inverse = 1.0 / (moments.variance[c] + epsilon).sqrt();
            let scale = f64::from(weight[c]) * inverse;
            let slope = by_deviation[c] * inverse * inverse / n;
            gradients.weight.push((by_deviation[c] * inverse) as f32);
            gradients.bias.push(sum[c] as f32);
            gradients.factors.gradient.push(scale as f32);
            gradients.factors.input.push((-scale * slope) as f32);
            let constant = scale * (slope * moments.mean[c] - sum[c] / n);
            gradients.factors.constant.push(constant as f32);
        }
        gradients
    }
}

/// Places of a band of the passes here.
const PLACES: usize = 512;

/// Closes a gate over a whole gradient and measures it: [`super::StoreGradient`] without a
/// convolution before it.
pub fn gate_gradient(
    isa: Isa,
    images: usize,
    size: MapSize,
    gate: Gate<'_>,
    gradient: &mut [f32],
    sums: &mut GradientSums,
) {
    struct Op<'a> {
        gate: Gate<'a>,
        gradient: &'a mut [f32],
        sums: GradientSumsPart<'a>,
    }
    impl WithSimd for Op<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _simd: S) {
            self.sums.gate_and_measure(self.gate, self.gradient);
        }
    }
    assert_eq!(gradient.len(), images * size.len());
    let bands = Bands::new(images, size, PLACES, 1);
    let parts: Vec<_> = bands
        .split(gradient, size.channels)
        .into_iter()
        .zip(sums.parts(&bands))
        .zip(bands.iter())
        .collect();
    parts.into_par_iter().for_each(|((gradient, sums), band)| {
        isa.run(Op {
            gate: gate.of(&band),
            gradient,
            sums,
        });
    });
}

/// Sums a gradient with the input of a batch norm, changing nothing.
pub fn measure_gradient(
    isa: Isa,
    images: usize,
    size: MapSize,
    gradient: &[f32],
    input: &[f32],
    sums: &mut GradientSums,
) {
    struct Op<'a> {
        gradient: &'a [f32],
        input: &'a [f32],
        sums: GradientSumsPart<'a>,
    }
    impl WithSimd for Op<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _simd: S) {
            self.sums.measure(self.gradient, self.input);
        }
    }
    assert_eq!(gradient.len(), images * size.len());
    assert_eq!(input.len(), gradient.len());
    let bands = Bands::new(images, size, PLACES, 1);
    let parts: Vec<_> = sums.parts(&bands).into_iter().zip(bands.iter()).collect();
    parts.into_par_iter().for_each(|(sums, band)| {
        let (start, len) = (band.first_place() * size.channels, band.len());
        isa.run(Op {
            gradient: &gradient[start..][..len],
            input: &input[start..][..len],
            sums,
        });
    });
}
