//! Convolution in three directions: the same products, summed by output, input or kernel.

use super::windows::each_tap;
use super::{Numbers, Real};
use crate::kernels::conv::ConvShape;
use crate::nhwc::Onto;

pub(super) fn forward<T: Real>(
    shape: &ConvShape,
    input: &Numbers<T>,
    weights: &Numbers<T>,
    weight_start: usize,
    output: &mut Numbers<T>,
) {
    let (channels, out_channels) = (shape.channels, shape.out_channels);
    let mut sums = vec![0.0; shape.output_len()];
    let (input, kernel) = (input.as_slice(), &weights.as_slice()[weight_start..]);
    each_tap(shape.images, &shape.window, |place, tap, under| {
        let pixel = &input[under * channels..][..channels];
        let sums = &mut sums[place * out_channels..][..out_channels];
        for (out_channel, sum) in sums.iter_mut().enumerate() {
            let row = &kernel[row_of(shape, out_channel, tap)..][..channels];
            let products = pixel.iter().zip(row).map(|(x, w)| x.to_f64() * w.to_f64());
            *sum += products.sum::<f64>();
        }
    });
    output.put_all(0, sums);
}

pub(super) fn input_gradient<T: Real>(
    shape: &ConvShape,
    (weights, weight_start): (&Numbers<T>, usize),
    output_gradient: &Numbers<T>,
    onto: Onto,
    input_gradient: &mut Numbers<T>,
) {
    let (channels, out_channels) = (shape.channels, shape.out_channels);
    let mut sums = match onto {
        Onto::Unset => vec![0.0; shape.input_len()],
        Onto::Sum => (0..shape.input_len())
            .map(|place| input_gradient.at(place))
            .collect(),
    };
    let kernel = &weights.as_slice()[weight_start..];
    each_tap(shape.images, &shape.window, |place, tap, under| {
        let sums = &mut sums[under * channels..][..channels];
        for out_channel in 0..out_channels {
            let gradient = output_gradient.at(place * out_channels + out_channel);
            let row = &kernel[row_of(shape, out_channel, tap)..][..channels];
            for (sum, weight) in sums.iter_mut().zip(row) {
                *sum += gradient * weight.to_f64();
            }
        }
    });
    input_gradient.put_all(0, sums);
}

pub(super) fn weight_gradient<T: Real>(
    shape: &ConvShape,
    input: &Numbers<T>,
    output_gradient: &Numbers<T>,
    weight_gradients: &mut Numbers<T>,
    weight_start: usize,
) {
    let (channels, out_channels) = (shape.channels, shape.out_channels);
    let mut sums = vec![0.0; shape.weight_len()];
    let input = input.as_slice();
    each_tap(shape.images, &shape.window, |place, tap, under| {
        let pixel = &input[under * channels..][..channels];
        for out_channel in 0..out_channels {
            let gradient = output_gradient.at(place * out_channels + out_channel);
            let row = &mut sums[row_of(shape, out_channel, tap)..][..channels];
            for (sum, x) in row.iter_mut().zip(pixel) {
                *sum += gradient * x.to_f64();
            }
        }
    });
    weight_gradients.put_all(weight_start, sums);
}

/// Where the input channels of a tap begin in a kernel [O, kh, kw, C].
fn row_of(shape: &ConvShape, out_channel: usize, tap: usize) -> usize {
    (out_channel * shape.window.taps() + tap) * shape.channels
}
