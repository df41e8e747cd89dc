//! The fast path: every kernel with every instruction set against f64, over odd shapes and poisoned
//! outputs.

use crate::reference::{assert_close, conv, difference_gradient, values, wide};
use cxr_ops::kernels::Window;
use cxr_ops::kernels::conv::ConvShape;
use cxr_ops::nhwc::{Algorithm, Algorithms, Conv, Isa, Store, Stored};
use proptest::prelude::*;

/// f32 sums of some hundred products against f64, relative to the largest value.
const DIRECT: f64 = 2e-6;
/// The promise of F(4×4, 3×3).
const WINOGRAD: f64 = 1e-5;

/// The instruction sets of this machine.
fn sets() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

/// [N, C, P] → [N, P, C].
fn to_nhwc(images: usize, channels: usize, data: &[f32]) -> Vec<f32> {
    let places = data.len() / images / channels;
    let mut out = Vec::with_capacity(data.len());
    for image in data.chunks_exact(channels * places) {
        for place in 0..places {
            out.extend((0..channels).map(|channel| image[channel * places + place]));
        }
    }
    out
}

/// [N, P, C] → [N, C, P].
fn to_nchw(images: usize, channels: usize, data: &[f32]) -> Vec<f32> {
    to_nhwc(images, data.len() / images / channels, data)
}

/// Checks the three directions of one convolution; the gradients by differences of the f64 forward
/// pass, which is linear in each input, so that a step of 1 is exact.
fn check(shape: &ConvShape, algorithms: Algorithms, isas: impl Iterator<Item = Isa>) {
    let input = values(1, shape.input_len());
    let weight = values(2, shape.weight_len());
    let gradient = values(4, shape.output_len());
    let bias = vec![0.0; shape.out_channels];
    let (input_f64, weight_f64) = (wide(&input), wide(&weight));
    let expected = conv(shape, &input_f64, &weight_f64, &bias);
    let of_input = difference_gradient(&input_f64, &gradient, 1.0, |input| {
        conv(shape, input, &weight_f64, &bias)
    });
    let of_weight = difference_gradient(&weight_f64, &gradient, 1.0, |weight| {
        conv(shape, &input_f64, weight, &bias)
    });
    let (n, channels, outputs) = (shape.images, shape.channels, shape.out_channels);
    let input = to_nhwc(n, channels, &input);
    let gradient = to_nhwc(n, outputs, &gradient);
    for isa in isas {
        let op = Conv::with_algorithms(isa, *shape, algorithms);
        let tolerance = |algorithm| match algorithm {
            Algorithm::Direct => DIRECT,
            Algorithm::Winograd => WINOGRAD,
        };
        let used = op.algorithms();
        let what = |part: &str| format!("{part}, {isa}, {used:?}, {shape:?}");
        let input = Stored {
            size: op.input_size(),
            data: &input,
        };
        let gradient = Stored {
            size: op.output_size(),
            data: &gradient,
        };

        let (mut packed, mut memory) = (Vec::new(), vec![f32::NAN; 7]);
        op.pack_forward(&weight, &mut packed);
        let mut output = vec![f32::NAN; shape.output_len()];
        op.forward(
            &packed,
            &input,
            Store {
                output: &mut output,
            },
        );
        let output = to_nchw(n, outputs, &output);
        assert_close(&what("output"), &output, &expected, tolerance(used.forward));

        let mut packed = vec![f32::NAN; 3];
        op.pack_backward(&weight, &mut packed);
        let mut got = vec![f32::NAN; shape.input_len()];
        op.input_gradient(&packed, &gradient, Store { output: &mut got });
        let got = to_nchw(n, channels, &got);
        let allowed = tolerance(used.input_gradient);
        assert_close(&what("input gradient"), &got, &of_input, allowed);

        let mut got = vec![f32::NAN; shape.weight_len()];
        op.weight_gradient(&input, &gradient, &mut memory, &mut got);
        let allowed = tolerance(used.weight_gradient);
        assert_close(&what("weight gradient"), &got, &of_weight, allowed);
    }
}

fn any_shape() -> impl Strategy<Value = ConvShape> {
    let sizes = (1..4usize, 1..6usize, 1..38usize);
    let window = (
        (1..12usize, 1..12usize),
        (1..5usize, 1..5usize),
        1..4usize,
        (0..4usize, 0..4usize),
    );
    (sizes, window).prop_filter_map(
        "no window fits",
        |((images, channels, out_channels), (input, kernel, stride, padding))| {
            let window = Window {
                input: input.into(),
                kernel: kernel.into(),
                stride,
                padding: padding.into(),
            };
            window.checked_output()?;
            Some(ConvShape {
                images,
                channels,
                out_channels,
                window,
            })
        },
    )
}

fn winograd_shape() -> impl Strategy<Value = ConvShape> {
    let sizes = (1..4usize, 1..3usize, 1..4usize);
    let input = (1..14usize, 1..14usize);
    (sizes, input, (0..3usize, 0..3usize)).prop_filter_map(
        "no window fits",
        |((images, channels, out_channels), input, padding)| {
            let window = Window {
                input: input.into(),
                kernel: [3, 3],
                stride: 1,
                padding: padding.into(),
            };
            window.checked_output()?;
            Some(ConvShape {
                images,
                channels: 16 * channels,
                out_channels: 16 * out_channels,
                window,
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_convolution_equals_f64_with_every_instruction_set(shape in any_shape()) {
        check(&shape, Algorithms::direct(), sets());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn winograd_equals_f64_with_every_instruction_set(shape in winograd_shape()) {
        check(&shape, Algorithms::of(&shape), sets());
    }
}
