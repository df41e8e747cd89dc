//! The fast path's convolutions: each direction with every instruction set against f64, over odd
//! shapes and poisoned memory.

use crate::fast_maps::{conv_shape, map, sets, to_nchw, to_nhwc};
use crate::reference::{
    conv, conv_input_gradient, conv_weight_gradient, values, wide, worst_error,
};
use cxr_ops::kernels::Window;
use cxr_ops::kernels::conv::ConvShape;
use cxr_ops::nhwc::{Algorithm, Algorithms, Conv, Store, Stored};
use proptest::prelude::*;

/// f32 sums of some hundred products against f64, relative to the largest value.
const DIRECT: f64 = 2e-6;
/// The promise of F(4×4, 3×3). One long f32 sum would break it: 1.4e-5 with 256 channels and 2.4e-5
/// with 512 were measured on 20×20 maps before inner sums were cut.
const WINOGRAD: f64 = 1e-5;

/// The numbers of one convolution, NCHW.
struct Numbers {
    input: Vec<f32>,
    weight: Vec<f32>,
    gradient: Vec<f32>,
}

impl Numbers {
    fn of(shape: &ConvShape) -> Self {
        Self {
            input: values(1, shape.input_len()),
            weight: values(2, shape.weight_len()),
            gradient: values(4, shape.output_len()),
        }
    }

    /// What the three directions should give, in f64.
    fn expected(&self, shape: &ConvShape) -> [Vec<f64>; 3] {
        let [input, weight, gradient] =
            [&self.input, &self.weight, &self.gradient].map(|numbers| wide(numbers));
        [
            conv(shape, &input, &weight, &vec![0.0; shape.out_channels]),
            conv_input_gradient(shape, &gradient, &weight),
            conv_weight_gradient(shape, &gradient, &input),
        ]
    }

    /// What the three directions give, NCHW. `packed` and `memory` may hold anything.
    fn results(&self, op: &Conv, packed: &mut Vec<f32>, memory: &mut Vec<f32>) -> [Vec<f32>; 3] {
        let shape = op.shape();
        let (n, inputs, outputs) = (shape.images, shape.channels, shape.out_channels);
        let input = Stored {
            size: op.input_size(),
            data: &to_nhwc(n, inputs, &self.input),
        };
        let gradient = Stored {
            size: op.output_size(),
            data: &to_nhwc(n, outputs, &self.gradient),
        };
        let mut output = vec![f32::NAN; shape.output_len()];
        op.pack_forward(&self.weight, packed);
        op.forward(
            packed,
            &input,
            Store {
                output: &mut output,
            },
        );
        let mut of_input = vec![f32::NAN; shape.input_len()];
        op.pack_backward(&self.weight, packed);
        op.input_gradient(
            packed,
            &gradient,
            Store {
                output: &mut of_input,
            },
        );
        let mut of_weight = vec![f32::NAN; shape.weight_len()];
        op.weight_gradient(&input, &gradient, memory, &mut of_weight);
        [
            to_nchw(n, outputs, &output),
            to_nchw(n, inputs, &of_input),
            of_weight,
        ]
    }
}

/// The worst relative errors of the three directions, over all instruction sets.
fn worst_errors(shape: &ConvShape, numbers: &Numbers, algorithms: Algorithms) -> [f64; 3] {
    let expected = numbers.expected(shape);
    let (mut packed, mut memory) = (vec![0.0; 3], vec![0.0; 7]);
    let mut worst = [0.0_f64; 3];
    for isa in sets() {
        let op = Conv::with_algorithms(isa, *shape, algorithms);
        let used = op.algorithms();
        // Memory that has grown is reused, and whatever it holds must not matter.
        packed.fill(f32::NAN);
        memory.fill(f32::NAN);
        let got = numbers.results(&op, &mut packed, &mut memory);
        let directions = [
            ("output", used.forward),
            ("input gradient", used.input_gradient),
            ("weight gradient", used.weight_gradient),
        ];
        for (place, (what, algorithm)) in directions.into_iter().enumerate() {
            let error = worst_error(&got[place], &expected[place]);
            let allowed = match algorithm {
                Algorithm::Direct => DIRECT,
                Algorithm::Winograd => WINOGRAD,
            };
            assert!(
                error <= allowed,
                "{what} is off by {error:e}, {isa}, {used:?}, {shape:?}"
            );
            worst[place] = worst[place].max(error);
        }
    }
    worst
}

fn check(shape: &ConvShape, algorithms: Algorithms) {
    worst_errors(shape, &Numbers::of(shape), algorithms);
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
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn any_convolution_equals_f64_with_every_instruction_set(shape in any_shape()) {
        check(&shape, Algorithms::direct());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10) })]

    #[test]
    fn winograd_equals_f64_with_every_instruction_set(shape in winograd_shape()) {
        check(&shape, Algorithms::of(&shape));
    }
}

#[test]
fn maps_of_several_bands_and_bands_of_several_images_equal_f64() {
    let shapes = [
        // Several bands in an image; more than a panel of output channels, the last vector short.
        conv_shape(2, map(37, 45, 16), 41, [3, 1, 1]),
        conv_shape(1, map(37, 45, 16), 16, [3, 1, 1]),
        conv_shape(2, map(45, 37, 3), 18, [7, 2, 3]),
        conv_shape(1, map(45, 70, 5), 3, [2, 2, 0]),
        // Rows that are longer than a band.
        conv_shape(1, map(3, 600, 2), 3, [3, 1, 1]),
        // Several images in a band, the last band shorter.
        conv_shape(11, map(9, 7, 3), 35, [3, 2, 1]),
        conv_shape(19, map(6, 5, 16), 32, [3, 1, 1]),
        conv_shape(35, map(5, 3, 16), 48, [3, 1, 2]),
        // One place.
        conv_shape(600, map(1, 1, 16), 16, [3, 1, 1]),
        conv_shape(600, map(1, 1, 3), 2, [1, 1, 0]),
        conv_shape(3, map(1, 1, 5), 33, [4, 3, 3]),
        // A kernel that is smaller than the stride, so that some inputs meet no window.
        conv_shape(2, map(29, 44, 6), 7, [1, 2, 0]),
        conv_shape(2, map(29, 44, 6), 7, [2, 3, 1]),
    ];
    for shape in shapes {
        check(&shape, Algorithms::direct());
        if Algorithms::of(&shape) != Algorithms::direct() {
            check(&shape, Algorithms::of(&shape));
        }
    }
}

/// Numbers as in a trained network: an input behind a ReLU, whose mean is not 0.
fn realistic(shape: &ConvShape) -> Numbers {
    let mut numbers = Numbers::of(shape);
    numbers.input.iter_mut().for_each(|x| *x = x.max(0.0));
    numbers
}

#[test]
fn winograd_keeps_its_promise_with_few_and_many_channels() {
    for (inputs, outputs) in [(64, 64), (128, 16), (16, 128), (512, 16), (16, 512)] {
        let shape = conv_shape(1, map(20, 20, inputs), outputs, [3, 1, 1]);
        let worst = worst_errors(&shape, &realistic(&shape), Algorithms::of(&shape));
        // An error of nothing would say that nothing was compared.
        let nothing = WINOGRAD / 1000.0;
        assert!(worst.iter().all(|&error| error > nothing), "{worst:?}");
    }
}

#[test]
fn winograds_weight_gradient_keeps_its_promise_over_many_tiles() {
    // 4.8e-5 as one long sum.
    let shape = conv_shape(32, map(80, 80, 16), 16, [3, 1, 1]);
    check(&shape, Algorithms::of(&shape));
}

#[test]
#[should_panic(expected = "at least one image")]
fn a_batch_without_an_image_is_refused() {
    let _ = Conv::new(
        cxr_ops::nhwc::Isa::best(),
        conv_shape(0, map(6, 6, 3), 3, [3, 1, 1]),
    );
}
