//! The fast path's sources: each row against numbers worked out apart, and each source under every
//! kind of convolution against the same map stored.

use crate::fast_maps::{bits, conv_shape, map, rows_of, sets, to_nchw, to_nhwc};
use crate::reference::{assert_close, distinct, first_maxima, values, wide};
use cxr_ops::kernels::Window;
use cxr_ops::nhwc::{
    Algorithm, Algorithms, Conv, Isa, MapSize, NormBackward, NormBackwardFactors, NormRelu, Planes,
    Source, Store, Stored, Unpooled, UnpooledNormBackward,
};

/// Two or three f32 roundings, relative to the largest value.
const TOLERANCE: f64 = 3e-7;

/// Maps of several bands and bands of several images, for direct convolutions and for Winograd.
fn sizes() -> impl Iterator<Item = (usize, MapSize)> {
    [
        (2, map(37, 45, 5)),
        (1, map(35, 23, 16)),
        (11, map(7, 9, 3)),
        (9, map(6, 11, 16)),
        (3, map(1, 1, 2)),
    ]
    .into_iter()
}

/// What a source's convolutions give: output, input gradient, weight gradient as input, and as
/// gradient.
fn convolved(isa: Isa, conv: &Conv, source: &impl Source) -> [Vec<f32>; 4] {
    let shape = conv.shape();
    let weight = values(2, shape.weight_len());
    // The source stands in both of its places: as many channels go out as come in.
    let other = values(3, shape.input_len());
    let other = Stored {
        size: conv.output_size(),
        data: &other,
    };
    assert_eq!(conv.input_size(), conv.output_size(), "{isa}");
    let (mut packed, mut memory) = (Vec::new(), Vec::new());
    let [mut output, mut of_input] = [(); 2].map(|()| vec![f32::NAN; shape.input_len()]);
    conv.pack_forward(&weight, &mut packed);
    conv.forward(
        &packed,
        source,
        Store {
            output: &mut output,
        },
    );
    conv.pack_backward(&weight, &mut packed);
    conv.input_gradient(
        &packed,
        source,
        Store {
            output: &mut of_input,
        },
    );
    let [mut as_input, mut as_gradient] = [(); 2].map(|()| vec![f32::NAN; weight.len()]);
    conv.weight_gradient(source, &other, &mut memory, &mut as_input);
    conv.weight_gradient(&other, source, &mut memory, &mut as_gradient);
    [output, of_input, as_input, as_gradient]
}

/// Checks a source's rows, and that convolutions see the same numbers.
fn check(images: usize, source: &impl Source, expected: &[f64], tolerance: f64) {
    let size = source.size();
    let rows = rows_of(images, source);
    assert_close("rows", &rows, expected, tolerance);
    let stored = Stored { size, data: &rows };
    let shape = conv_shape(images, size, size.channels, [3, 1, 1]);
    let is_winograd = Algorithms::of(&shape).forward == Algorithm::Winograd;
    assert_eq!(is_winograd, size.channels.is_multiple_of(16));
    for isa in sets() {
        let conv = Conv::new(isa, shape);
        let got = convolved(isa, &conv, source);
        let expected = convolved(isa, &conv, &stored);
        for (part, (got, expected)) in got.iter().zip(&expected).enumerate() {
            assert!(expected.iter().all(|value| value.is_finite()));
            assert_eq!(bits(got), bits(expected), "part {part}, {isa}, {shape:?}");
        }
    }
}

#[test]
fn planes_are_read_with_channels_last() {
    for (images, size) in sizes() {
        let data = values(1, images * size.len());
        let expected = to_nhwc(images, size.channels, &data);
        check(images, &Planes { size, data: &data }, &wide(&expected), 0.0);
    }
}

#[test]
fn a_norm_and_its_relu_are_worked_out_as_they_are_read() {
    for (images, size) in sizes() {
        let (data, n) = (values(1, images * size.len()), size.channels);
        let (scale, shift) = (values(2, n), values(3, n));
        let numbers = data.iter().enumerate().map(|(place, &x)| {
            let channel = place % n;
            (f64::from(x) * f64::from(scale[channel]) + f64::from(shift[channel])).max(0.0)
        });
        let expected: Vec<f64> = numbers.collect();
        let source = NormRelu {
            input: Stored { size, data: &data },
            scale: &scale,
            shift: &shift,
        };
        check(images, &source, &expected, TOLERANCE);
    }
}

#[test]
fn a_nan_passes_the_relu_of_a_source() {
    let size = map(1, 2, 1);
    let source = NormRelu {
        input: Stored {
            size,
            data: &[f32::NAN, -1.0],
        },
        scale: &[2.0],
        shift: &[1.0],
    };
    let rows = rows_of(1, &source);
    assert!(rows[0].is_nan());
    assert_eq!(rows[1], 0.0);
}

fn factors(n: usize) -> NormBackwardFactors {
    NormBackwardFactors {
        gradient: values(5, n),
        input: values(6, n),
        constant: values(7, n),
    }
}

/// gradient · a + input · b + c by channel, in f64.
fn backward(factors: &NormBackwardFactors, gradient: &[f64], input: &[f32]) -> Vec<f64> {
    let [a, b, c] = [&factors.gradient, &factors.input, &factors.constant].map(|f| wide(f));
    let pairs = gradient.iter().zip(wide(input)).enumerate();
    pairs
        .map(|(place, (gradient, input))| {
            let channel = place % a.len();
            gradient * a[channel] + input * b[channel] + c[channel]
        })
        .collect()
}

#[test]
fn the_gradient_of_a_norm_is_worked_out_as_it_is_read() {
    for (images, size) in sizes() {
        let [gradient, input] = [1, 4].map(|salt| values(salt, images * size.len()));
        let factors = factors(size.channels);
        let source = NormBackward {
            gradient: Stored {
                size,
                data: &gradient,
            },
            input: Stored { size, data: &input },
            factors: &factors,
        };
        let expected = backward(&factors, &wide(&gradient), &input);
        check(images, &source, &expected, TOLERANCE);
    }
}

/// Poolings of a map, with overlapping windows and without, the second with places left over.
fn windows(size: MapSize) -> impl Iterator<Item = Window> {
    let window = move |kernel, stride, padding| Window {
        input: [size.height, size.width],
        kernel: [kernel; 2],
        stride,
        padding: [padding; 2],
    };
    [
        window(3, 2, 1),
        window(2, 2, 0),
        window(3, 3, 0),
        window(3, 1, 1),
    ]
    .into_iter()
    .filter(|window| window.checked_output().is_some())
}

/// A pooling's gradient: its places, its output's gradient, its input's, [N, H, W, C].
struct Pooling {
    places: Vec<u8>,
    gradient: Vec<f32>,
    of_input: Vec<f64>,
}

impl Pooling {
    fn new(images: usize, size: MapSize, window: &Window) -> Self {
        let planes = images * size.channels;
        let input = distinct(9, planes * size.places());
        let gradient = values(3, planes * window.output_places());
        let mut places = Vec::new();
        let mut of_input = vec![0.0_f64; input.len()];
        let of_planes = input
            .chunks_exact(size.places())
            .zip(of_input.chunks_exact_mut(size.places()));
        for (plane, of_plane) in of_planes {
            for (under, tap) in first_maxima(window, plane) {
                of_plane[under] += f64::from(gradient[places.len()]);
                places.push(tap);
            }
        }
        Self {
            places: to_nhwc(images, size.channels, &places),
            gradient: to_nhwc(images, size.channels, &gradient),
            of_input: to_nhwc(images, size.channels, &of_input),
        }
    }

    fn source<'a>(&'a self, window: &Window, channels: usize) -> Unpooled<'a> {
        let [height, width] = window.output();
        Unpooled {
            window: *window,
            gradient: Stored {
                size: map(height, width, channels),
                data: &self.gradient,
            },
            places: &self.places,
        }
    }
}

#[test]
fn a_poolings_gradient_goes_to_the_places_of_the_maxima() {
    for (images, size) in sizes() {
        for window in windows(size) {
            let pooling = Pooling::new(images, size, &window);
            let source = pooling.source(&window, size.channels);
            check(images, &source, &pooling.of_input, TOLERANCE);
        }
    }
}

#[test]
fn the_gradient_of_a_norm_behind_a_pooling_is_worked_out_as_it_is_read() {
    for (images, size) in sizes() {
        let input = values(4, images * size.len());
        let factors = factors(size.channels);
        for window in windows(size) {
            let pooling = Pooling::new(images, size, &window);
            let source = UnpooledNormBackward {
                unpooled: pooling.source(&window, size.channels),
                input: Stored { size, data: &input },
                factors: &factors,
            };
            let expected = backward(&factors, &pooling.of_input, &input);
            check(images, &source, &expected, TOLERANCE);
        }
    }
}

#[test]
fn axis_orders_go_both_ways() {
    let planes = [0, 1, 2, 10, 11, 12];
    let places = [0, 10, 1, 11, 2, 12];
    assert_eq!(to_nhwc(1, 2, &planes), places);
    assert_eq!(to_nchw(1, 2, &places), planes);
}
