//! What the operations should give: plain f64 loops forward, central differences backward, and for
//! convolution the adjoint loops, which are as many times faster as it has inputs.

use cxr_ops::kernels::Window;
use cxr_ops::kernels::conv::ConvShape;
use cxr_stream::{Purpose, Stream};

/// Numbers in [−0.5, 0.5) that f32 holds exactly; the same as `values` in fixtures/golden/ops.py.
pub(crate) fn values(salt: u32, length: usize) -> Vec<f32> {
    (0..length as u32)
        .map(|i| {
            let hashed = (i + 1)
                .wrapping_mul(2_654_435_761)
                .wrapping_add(salt.wrapping_mul(2_246_822_519));
            let mixed = (hashed ^ hashed >> 15).wrapping_mul(2_246_822_519) >> 8;
            mixed as f32 / (1 << 24) as f32 - 0.5
        })
        .collect()
}

/// The whole numbers 0..length in random order, so that no two are near each other.
pub(crate) fn distinct(salt: u64, length: usize) -> Vec<f32> {
    let order = Stream::new(salt, Purpose::Test, 0, 0).permutation(length);
    order.into_iter().map(|place| place as f32).collect()
}

pub(crate) fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|&number| number.into()).collect()
}

/// The gradient of Σ weights · output by each input, by central differences.
pub(crate) fn difference_gradient(
    input: &[f64],
    weights: &[f32],
    step: f64,
    output: impl Fn(&[f64]) -> Vec<f64>,
) -> Vec<f64> {
    let weigh = |input: &[f64]| -> f64 {
        output(input)
            .iter()
            .zip(weights)
            .map(|(output, &weight)| output * f64::from(weight))
            .sum()
    };
    let mut moved = input.to_vec();
    (0..input.len())
        .map(|place| {
            moved[place] = input[place] + step;
            let above = weigh(&moved);
            moved[place] = input[place] - step;
            let below = weigh(&moved);
            moved[place] = input[place];
            (above - below) / (2.0 * step)
        })
        .collect()
}

/// The largest error, relative to the largest expected number (or 1e-6). NaN where one is NaN.
pub(crate) fn worst_error(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let (mut scale, mut worst) = (1e-6_f64, 0.0_f64);
    for (&got, &expected) in got.iter().zip(expected) {
        let error = (f64::from(got) - expected).abs();
        worst = if error.is_nan() || worst.is_nan() {
            f64::NAN
        } else {
            worst.max(error)
        };
        scale = scale.max(expected.abs());
    }
    worst / scale
}

/// Panics unless every number is within `tolerance` × the largest expected one (or 1e-6) of it.
#[track_caller]
pub(crate) fn assert_close(what: &str, got: &[f32], expected: &[f64], tolerance: f64) {
    assert_close_beside(what, got, expected, expected, tolerance);
}

/// Panics unless every number is within `tolerance` × the largest of some sizes (or 1e-6) of it: those
/// of the sums without their signs, where what is summed may cancel.
#[track_caller]
pub(crate) fn assert_close_beside(
    what: &str,
    got: &[f32],
    expected: &[f64],
    sizes: &[f64],
    tolerance: f64,
) {
    assert_eq!(got.len(), expected.len(), "{what}: lengths");
    let scale = sizes
        .iter()
        .fold(1e-6f64, |largest, value| largest.max(value.abs()));
    for (place, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(got) - expected).abs();
        assert!(
            error <= tolerance * scale,
            "{what}: place {place}: got {got}, expected {expected} (scale {scale})"
        );
    }
}

/// The padded input under a tap, `None` outside of the plane.
fn under(window: &Window, axis: usize, output: usize, offset: usize) -> Option<usize> {
    (output * window.stride + offset)
        .checked_sub(window.padding[axis])
        .filter(|&place| place < window.input[axis])
}

/// Calls `visit` with (output place, tap, input place) for each tap inside of the plane.
fn each_tap(window: &Window, mut visit: impl FnMut(usize, usize, usize)) {
    let [height, width] = window.output();
    for y in 0..height {
        for x in 0..width {
            for tap_y in 0..window.kernel[0] {
                for tap_x in 0..window.kernel[1] {
                    let row = under(window, 0, y, tap_y);
                    let column = under(window, 1, x, tap_x);
                    if let (Some(row), Some(column)) = (row, column) {
                        let tap = tap_y * window.kernel[1] + tap_x;
                        visit(y * width + x, tap, row * window.input[1] + column);
                    }
                }
            }
        }
    }
}

/// Calls `visit` with a place of each of a convolution's output, input and weight, for each product
/// that it is a sum of.
fn each_product(shape: &ConvShape, mut visit: impl FnMut(usize, usize, usize)) {
    let window = &shape.window;
    let (size, out_size, taps) = (window.input_places(), window.output_places(), window.taps());
    let mut met = Vec::new();
    each_tap(window, |place, tap, under| met.push((place, tap, under)));
    for image in 0..shape.images {
        for out_channel in 0..shape.out_channels {
            let output = (image * shape.out_channels + out_channel) * out_size;
            for channel in 0..shape.channels {
                let input = (image * shape.channels + channel) * size;
                let weight = (out_channel * shape.channels + channel) * taps;
                for &(place, tap, under) in &met {
                    visit(output + place, input + under, weight + tap);
                }
            }
        }
    }
}

pub(crate) fn conv(shape: &ConvShape, input: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let planes = (0..shape.images).flat_map(|_| bias);
    let mut output: Vec<f64> = planes
        .flat_map(|&bias| std::iter::repeat_n(bias, shape.window.output_places()))
        .collect();
    each_product(shape, |place, under, tap| {
        output[place] += weight[tap] * input[under];
    });
    output
}

/// The gradient of Σ gradient · output by each input.
pub(crate) fn conv_input_gradient(shape: &ConvShape, gradient: &[f64], weight: &[f64]) -> Vec<f64> {
    let mut of_input = vec![0.0; shape.input_len()];
    each_product(shape, |output, input, tap| {
        of_input[input] += gradient[output] * weight[tap];
    });
    of_input
}

/// The gradient of Σ gradient · output by each weight.
pub(crate) fn conv_weight_gradient(shape: &ConvShape, gradient: &[f64], input: &[f64]) -> Vec<f64> {
    let mut of_weight = vec![0.0; shape.weight_len()];
    each_product(shape, |output, input_place, tap| {
        of_weight[tap] += gradient[output] * input[input_place];
    });
    of_weight
}

#[test]
fn the_adjoints_of_a_convolution_equal_its_central_differences() {
    let shape = ConvShape {
        images: 2,
        channels: 2,
        out_channels: 3,
        window: Window {
            input: [5, 4],
            kernel: [3, 2],
            stride: 2,
            padding: [2, 1],
        },
    };
    let [input, weight] = [(1, shape.input_len()), (2, shape.weight_len())]
        .map(|(salt, length)| wide(&values(salt, length)));
    let gradient = values(4, shape.output_len());
    let bias = [0.0; 3];
    let close = |got: Vec<f64>, expected: Vec<f64>| {
        assert_eq!(got.len(), expected.len());
        let pairs = got.iter().zip(&expected);
        // Linear in each input, so that a step of 1 is exact but for rounding.
        assert!(pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) < 1e-13);
    };
    close(
        conv_input_gradient(&shape, &wide(&gradient), &weight),
        difference_gradient(&input, &gradient, 1.0, |x| conv(&shape, x, &weight, &bias)),
    );
    close(
        conv_weight_gradient(&shape, &wide(&gradient), &input),
        difference_gradient(&weight, &gradient, 1.0, |w| conv(&shape, &input, w, &bias)),
    );
}

/// For each window of a plane the place under it that max pooling takes, and its tap: that of the
/// first NaN, or of the first of the largest numbers, row by row.
pub(crate) fn first_maxima(window: &Window, plane: &[f32]) -> Vec<(usize, u8)> {
    let mut met = vec![Vec::new(); window.output_places()];
    each_tap(window, |place, tap, under| {
        met[place].push((under, tap as u8))
    });
    met.iter()
        .map(|met| {
            let value = |&(under, _): &(usize, u8)| plane[under];
            let largest = met.iter().map(value).fold(f32::NEG_INFINITY, f32::max);
            let nan = met.iter().find(|place| value(place).is_nan());
            *nan.or_else(|| met.iter().find(|place| value(place) == largest))
                .unwrap()
        })
        .collect()
}

pub(crate) fn max_pool(window: &Window, input: &[f64]) -> Vec<f64> {
    let (size, out_size) = (window.input_places(), window.output_places());
    input
        .chunks_exact(size)
        .flat_map(|plane| {
            let mut maxima = vec![f64::NEG_INFINITY; out_size];
            each_tap(window, |place, _, under| {
                maxima[place] = maxima[place].max(plane[under])
            });
            maxima
        })
        .collect()
}

pub(crate) fn linear(
    [rows, inputs, outputs]: [usize; 3],
    input: &[f64],
    weight: &[f64],
    bias: &[f64],
) -> Vec<f64> {
    (0..rows * outputs)
        .map(|place| {
            let (row, output) = (place / outputs, place % outputs);
            let terms = (0..inputs).map(|i| input[row * inputs + i] * weight[output * inputs + i]);
            bias[output] + terms.sum::<f64>()
        })
        .collect()
}

/// Mean and biased variance of each channel.
pub(crate) fn moments(
    [images, channels, places]: [usize; 3],
    input: &[f64],
) -> (Vec<f64>, Vec<f64>) {
    let n = (images * places) as f64;
    let of_channel = |channel: usize| -> Vec<f64> {
        let planes = input.chunks_exact(places).skip(channel).step_by(channels);
        planes.flatten().copied().collect()
    };
    (0..channels)
        .map(|channel| {
            let values = of_channel(channel);
            let mean = values.iter().sum::<f64>() / n;
            (
                mean,
                values
                    .iter()
                    .map(|value| (value - mean).powi(2))
                    .sum::<f64>()
                    / n,
            )
        })
        .unzip()
}

pub(crate) fn normalize(
    [channels, places]: [usize; 2],
    input: &[f64],
    [weight, bias]: [&[f64]; 2],
    [mean, variance]: [&[f64]; 2],
    epsilon: f64,
) -> Vec<f64> {
    let at = |place: usize| place / places % channels;
    let normal = |place: usize, value: f64| {
        let channel = at(place);
        (value - mean[channel]) / (variance[channel] + epsilon).sqrt() * weight[channel]
            + bias[channel]
    };
    input
        .iter()
        .enumerate()
        .map(|(place, &value)| normal(place, value))
        .collect()
}
