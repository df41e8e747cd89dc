//! Convolution: kernels over poisoned outputs against f64, and the custom op's wiring.

use crate::reference::{
    assert_close, assert_close_beside, conv, difference_gradient, values, wide,
};
use crate::tensors::{backward, gradient, numbers, tensor, var};
use cxr_ops::kernels::Window;
use cxr_ops::kernels::conv::{self as kernel, ConvShape};
use cxr_ops::{Conv2dGeometry, conv2d};
use proptest::prelude::*;

/// f32 sums of some hundred products against f64, relative to the largest value.
const TOLERANCE: f64 = 2e-6;

fn shapes() -> impl Strategy<Value = ConvShape> {
    let sizes = (1..4usize, 1..6usize, 1..6usize);
    let window = (
        (1..11usize, 1..11usize),
        (1..5usize, 1..5usize),
        1..4usize,
        (0..4usize, 0..4usize),
    );
    (sizes, window).prop_filter_map(
        "no window fits",
        |(sizes, (input, kernel, stride, padding))| {
            let (images, channels, out_channels) = sizes;
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

struct Numbers {
    input: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    gradient: Vec<f32>,
}

impl Numbers {
    fn of(shape: &ConvShape) -> Self {
        Self {
            input: values(1, shape.input_len()),
            weight: values(2, shape.weight_len()),
            bias: values(3, shape.out_channels),
            gradient: values(4, shape.output_len()),
        }
    }
}

/// Checks all four kernels of one shape; gradients by differences of the f64 forward pass, which is
/// linear in each input, so that a step of 1 is exact.
fn check(shape: &ConvShape) {
    let n = Numbers::of(shape);
    let (input, weight, bias) = (wide(&n.input), wide(&n.weight), wide(&n.bias));
    let size = |values: &[f64]| values.iter().map(|value| value.abs()).collect::<Vec<f64>>();
    let (input_size, weight_size) = (size(&input), size(&weight));
    let gradient_size: Vec<f32> = n.gradient.iter().map(|value| value.abs()).collect();
    let no_bias = vec![0.0; bias.len()];
    let poisoned = |length: usize| vec![f32::NAN; length];

    let mut output = poisoned(shape.output_len());
    kernel::forward(shape, &n.input, &n.weight, Some(&n.bias), &mut output);
    let expected = conv(shape, &input, &weight, &bias);
    let sizes = conv(shape, &input_size, &weight_size, &size(&bias));
    assert_close_beside("output", &output, &expected, &sizes, TOLERANCE);

    let mut got = poisoned(shape.input_len());
    kernel::input_gradient(shape, &n.weight, &n.gradient, &mut got);
    let expected = difference_gradient(&input, &n.gradient, 1.0, |input| {
        conv(shape, input, &weight, &bias)
    });
    let sizes = difference_gradient(&input_size, &gradient_size, 1.0, |input| {
        conv(shape, input, &weight_size, &no_bias)
    });
    assert_close_beside("input gradient", &got, &expected, &sizes, TOLERANCE);

    let mut got = poisoned(shape.weight_len());
    kernel::weight_gradient(shape, &n.input, &n.gradient, &mut got);
    let expected = difference_gradient(&weight, &n.gradient, 1.0, |weight| {
        conv(shape, &input, weight, &bias)
    });
    let sizes = difference_gradient(&weight_size, &gradient_size, 1.0, |weight| {
        conv(shape, &input_size, weight, &no_bias)
    });
    assert_close_beside("weight gradient", &got, &expected, &sizes, TOLERANCE);

    let mut got = poisoned(shape.out_channels);
    kernel::bias_gradient(shape, &n.gradient, &mut got);
    let expected = difference_gradient(&bias, &n.gradient, 1.0, |bias| {
        conv(shape, &input, &weight, bias)
    });
    let sizes = difference_gradient(&size(&bias), &gradient_size, 1.0, |bias| {
        conv(shape, &input, &weight, bias)
    });
    assert_close_beside("bias gradient", &got, &expected, &sizes, TOLERANCE);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn every_odd_shape_equals_the_f64_reference_in_all_directions(shape in shapes()) {
        check(&shape);
    }
}

fn shape(
    [images, channels, out_channels]: [usize; 3],
    input: [usize; 2],
    kernel: usize,
    stride: usize,
    padding: usize,
) -> ConvShape {
    let window = Window {
        input,
        kernel: [kernel; 2],
        stride,
        padding: [padding; 2],
    };
    ConvShape {
        images,
        channels,
        out_channels,
        window,
    }
}

#[test]
fn shapes_that_networks_use_equal_the_f64_reference() {
    check(&shape([2, 3, 5], [9, 8], 3, 2, 1));
    check(&shape([1, 3, 4], [15, 18], 7, 2, 3));
    check(&shape([3, 4, 6], [7, 6], 1, 2, 0));
    check(&shape([1, 1, 1], [1, 1], 1, 1, 0));
    check(&shape([2, 2, 3], [1, 1], 3, 1, 1));
    check(&shape([1, 2, 2], [3, 3], 1, 1, 3));
}

/// Sizes above every block: places of one image, groups of images, rows of the window matrix.
#[test]
fn shapes_that_need_several_blocks_equal_the_f64_forward_and_its_adjoints() {
    let large = [
        shape([2, 2, 3], [37, 29], 3, 1, 1),
        shape([9, 3, 2], [9, 8], 3, 1, 1),
        shape([19, 130, 2], [3, 5], 3, 2, 1),
        shape([2, 130, 17], [19, 23], 3, 2, 1),
        shape([40, 1, 2], [4, 5], 2, 1, 0),
    ];
    for shape in large {
        let n = Numbers::of(&shape);
        let no_bias = vec![0.0; shape.out_channels];
        let mut output = vec![f32::NAN; shape.output_len()];
        kernel::forward(&shape, &n.input, &n.weight, None, &mut output);
        let expected = conv(&shape, &wide(&n.input), &wide(&n.weight), &no_bias);
        assert_close("output", &output, &expected, TOLERANCE);

        // ⟨g, conv(x, w)⟩ = ⟨x, conv'(g, w)⟩ = ⟨w, conv''(x, g)⟩, checked one block of x or w at a
        // time: with x set to 0 outside of the block, the products still agree.
        let mut of_input = vec![f32::NAN; shape.input_len()];
        kernel::input_gradient(&shape, &n.weight, &n.gradient, &mut of_input);
        let mut of_weight = vec![f32::NAN; shape.weight_len()];
        kernel::weight_gradient(&shape, &n.input, &n.gradient, &mut of_weight);
        let only = |numbers: &[f32], part: usize| -> Vec<f64> {
            let inside = |place: usize| place % 5 == part;
            let keep = |(place, &x): (usize, &f32)| if inside(place) { f64::from(x) } else { 0.0 };
            numbers.iter().enumerate().map(keep).collect()
        };
        let dot = |a: &[f64], b: &[f32]| a.iter().zip(b).map(|(a, &b)| a * f64::from(b)).sum();
        for part in 0..5 {
            let input = only(&n.input, part);
            let weight = only(&n.weight, part);
            let by_input: f64 = dot(
                &conv(&shape, &input, &wide(&n.weight), &no_bias),
                &n.gradient,
            );
            let by_weight: f64 = dot(
                &conv(&shape, &wide(&n.input), &weight, &no_bias),
                &n.gradient,
            );
            let got: f64 = dot(&input, &of_input);
            assert!(
                (got - by_input).abs() < 1e-4,
                "{shape:?} input part {part}: {got} {by_input}"
            );
            let got: f64 = dot(&weight, &of_weight);
            assert!(
                (got - by_weight).abs() < 1e-4,
                "{shape:?} weight part {part}: {got} {by_weight}"
            );
        }
    }
}

#[test]
fn the_custom_op_hands_each_gradient_to_its_input() {
    let shape = shape([2, 3, 5], [9, 8], 3, 2, 1);
    let n = Numbers::of(&shape);
    let (x, w, b) = (
        var(&n.input, (2, 3, 9, 8)),
        var(&n.weight, (5, 3, 3, 3)),
        var(&n.bias, 5),
    );
    let geometry = Conv2dGeometry {
        stride: 2,
        padding: 1,
    };
    let output = conv2d(&x, &w, Some(&b), geometry).unwrap();
    assert_eq!(output.dims(), [2, 5, 5, 4]);
    let (input, weight, bias) = (wide(&n.input), wide(&n.weight), wide(&n.bias));
    assert_close(
        "output",
        &numbers(&output),
        &conv(&shape, &input, &weight, &bias),
        TOLERANCE,
    );

    let gradients = backward(&output, &n.gradient);
    let differences =
        |of: &[f64], f: &dyn Fn(&[f64]) -> Vec<f64>| difference_gradient(of, &n.gradient, 1.0, f);
    let expected = differences(&input, &|input| conv(&shape, input, &weight, &bias));
    assert_close("input", &gradient(&gradients, &x), &expected, TOLERANCE);
    let expected = differences(&weight, &|weight| conv(&shape, &input, weight, &bias));
    assert_close("weight", &gradient(&gradients, &w), &expected, TOLERANCE);
    let expected = differences(&bias, &|bias| conv(&shape, &input, &weight, bias));
    assert_close("bias", &gradient(&gradients, &b), &expected, TOLERANCE);
}

#[test]
fn transposed_and_narrowed_tensors_give_what_their_copies_give() {
    let storage = var(&values(1, 3 * 4 * 9 * 8), (3, 4, 8, 9));
    let view = storage
        .transpose(2, 3)
        .unwrap()
        .narrow(0, 1, 2)
        .unwrap()
        .narrow(1, 1, 3)
        .unwrap();
    assert!(!view.is_contiguous());
    let weight_storage = var(&values(2, 3 * 5 * 3 * 3), (3, 5, 3, 3));
    let weight = weight_storage.transpose(0, 1).unwrap();
    let copy = |tensor: &candle_core::Tensor| var(&numbers(tensor), tensor.shape());
    let (x, w) = (copy(&view), copy(&weight));
    let geometry = Conv2dGeometry {
        stride: 2,
        padding: 1,
    };
    let of_views = conv2d(&view, &weight, None, geometry).unwrap();
    let of_copies = conv2d(&x, &w, None, geometry).unwrap();
    assert_eq!(numbers(&of_views), numbers(&of_copies));

    let weights = values(4, of_views.elem_count());
    let (through_views, through_copies) = (
        backward(&of_views, &weights),
        backward(&of_copies, &weights),
    );
    let of_storage = through_views
        .get(&storage)
        .unwrap()
        .transpose(2, 3)
        .unwrap();
    let of_view = of_storage.narrow(0, 1, 2).unwrap().narrow(1, 1, 3).unwrap();
    assert_eq!(numbers(&of_view), gradient(&through_copies, &x));
    let of_weight = through_views
        .get(&weight_storage)
        .unwrap()
        .transpose(0, 1)
        .unwrap();
    assert_eq!(numbers(&of_weight), gradient(&through_copies, &w));
}

#[test]
fn a_contiguous_view_that_begins_inside_of_its_storage_gives_what_its_copy_gives() {
    let storage = tensor(&values(1, 3 * 3 * 9 * 8), (3, 3, 9, 8));
    let view = storage.narrow(0, 1, 2).unwrap();
    assert!(view.is_contiguous() && view.layout().start_offset() > 0);
    let copy = tensor(&numbers(&view), view.shape());
    let weight = var(&values(2, 4 * 27), (4, 3, 3, 3));
    let geometry = Conv2dGeometry::default();
    let (of_view, of_copy) = (
        conv2d(&view, &weight, None, geometry).unwrap(),
        conv2d(&copy, &weight, None, geometry).unwrap(),
    );
    assert_eq!(numbers(&of_view), numbers(&of_copy));
    let weights = values(4, of_view.elem_count());
    assert_eq!(
        gradient(&backward(&of_view, &weights), &weight),
        gradient(&backward(&of_copy, &weights), &weight)
    );
}

#[test]
fn an_input_without_gradient_gets_none_and_the_weight_still_does() {
    let image = tensor(&values(1, 2 * 3 * 5 * 4), (2, 3, 5, 4));
    let weight = var(&values(2, 4 * 3 * 3 * 3), (4, 3, 3, 3));
    let output = conv2d(&image, &weight, None, Conv2dGeometry::default()).unwrap();
    let gradients = output.sum_all().unwrap().backward().unwrap();
    assert!(gradients.get(&image).is_none());
    assert!(gradients.get(&weight).is_some());
    let frozen = weight.as_detached_tensor();
    let image = var(&values(1, 2 * 3 * 5 * 4), (2, 3, 5, 4));
    let output = conv2d(&image, &frozen, None, Conv2dGeometry::default()).unwrap();
    let gradients = output.sum_all().unwrap().backward().unwrap();
    assert!(gradients.get(&image).is_some());
    assert!(gradients.get(&frozen).is_none());
}

#[test]
fn a_weight_used_twice_gets_the_sum_of_both_gradients() {
    let image = tensor(&values(1, 6 * 5), (1, 1, 6, 5));
    let weight = var(&values(2, 9), (1, 1, 3, 3));
    let same = Conv2dGeometry {
        stride: 1,
        padding: 1,
    };
    let once = conv2d(&image, &weight, None, same).unwrap();
    let twice = conv2d(&once, &weight, None, same).unwrap();
    let weights = values(4, 30);
    let got = gradient(&backward(&twice, &weights), &weight);
    let window = Window {
        input: [6, 5],
        kernel: [3, 3],
        stride: 1,
        padding: [1, 1],
    };
    let shape = ConvShape {
        images: 1,
        channels: 1,
        out_channels: 1,
        window,
    };
    let image = wide(&numbers(&image));
    let expected = difference_gradient(&wide(&values(2, 9)), &weights, 1e-4, |weight| {
        conv(
            &shape,
            &conv(&shape, &image, weight, &[0.0]),
            weight,
            &[0.0],
        )
    });
    assert_close("weight", &got, &expected, TOLERANCE);
}
