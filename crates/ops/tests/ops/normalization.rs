//! Batch normalisation against f64, in both modes.

use crate::reference::{assert_close, difference_gradient, moments, normalize, values, wide};
use crate::tensors::{backward, gradient, numbers, tensor, var};
use cxr_ops::kernels::batch_norm::{self as kernel, Moments, NormShape};
use cxr_ops::{batch_norm_eval, batch_norm_train};
use proptest::prelude::*;

const EPSILON: f64 = 1e-5;
/// f32 at the end of f64 sums.
const TOLERANCE: f64 = 1e-6;
/// Against differences of a curved function in f64 with a step of 1e-5.
const DIFFERENCE_TOLERANCE: f64 = 5e-6;

fn training(shape: [usize; 3], input: &[f64], affine: [&[f64]; 2]) -> Vec<f64> {
    let (mean, variance) = moments(shape, input);
    normalize(
        [shape[1], shape[2]],
        input,
        affine,
        [&mean, &variance],
        EPSILON,
    )
}

fn check(images: usize, channels: usize, places: usize) {
    let sizes = [images, channels, places];
    let shape = NormShape {
        images,
        channels,
        places,
    };
    let (x, w, b) = (
        values(1, shape.len()),
        values(2, channels),
        values(3, channels),
    );
    let g = values(4, shape.len());
    let (input, weight, bias) = (wide(&x), wide(&w), wide(&b));

    let got = kernel::moments(&shape, &x);
    let (mean, variance) = moments(sizes, &input);
    let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-14);
    assert!(close(&got.mean, &mean) && close(&got.variance, &variance));

    let mut output = vec![f32::NAN; shape.len()];
    kernel::normalize(&shape, &got, EPSILON, [&w, &b], &x, &mut output);
    assert_close(
        "output",
        &output,
        &training(sizes, &input, [&weight, &bias]),
        TOLERANCE,
    );

    let sums = kernel::gradient_sums(&shape, &got, EPSILON, &x, &g);
    let narrow = |sums: &[f64]| sums.iter().map(|&sum| sum as f32).collect::<Vec<_>>();
    let expected = difference_gradient(&weight, &g, 1.0, |w| training(sizes, &input, [w, &bias]));
    assert_close(
        "weight",
        &narrow(&sums.gradient_by_normalized),
        &expected,
        TOLERANCE,
    );
    let expected = difference_gradient(&bias, &g, 1.0, |b| training(sizes, &input, [&weight, b]));
    assert_close("bias", &narrow(&sums.gradient), &expected, TOLERANCE);

    let mut of_input = vec![f32::NAN; shape.len()];
    kernel::input_gradient_through_moments(
        &shape,
        &got,
        EPSILON,
        &w,
        &sums,
        [&x, &g],
        &mut of_input,
    );
    // Two nearly equal values of a channel have a tiny variance and a steep gradient.
    if variance.iter().all(|&variance| variance > 1e-3) {
        let expected =
            difference_gradient(&input, &g, 1e-5, |x| training(sizes, x, [&weight, &bias]));
        let scale = |g: &[f64]| g.iter().fold(0.0f64, |a, g| a.max(g.abs()));
        // With two values a channel the gradient cancels to nearly nothing: compare with its terms.
        let floor = 1.0 / (scale(&expected) + 1e-3);
        assert_close(
            "input",
            &of_input,
            &expected,
            DIFFERENCE_TOLERANCE * floor.max(1.0),
        );
    }

    let fixed = Moments::from_f32(&values(5, channels), &vec![0.75; channels]);
    let evaluated = |x: &[f64]| {
        normalize(
            [channels, places],
            x,
            [&weight, &bias],
            [&fixed.mean, &fixed.variance],
            EPSILON,
        )
    };
    output.fill(f32::NAN);
    kernel::normalize(&shape, &fixed, EPSILON, [&w, &b], &x, &mut output);
    assert_close("evaluated", &output, &evaluated(&input), TOLERANCE);
    of_input.fill(f32::NAN);
    kernel::input_gradient_of_fixed_moments(&shape, &fixed, EPSILON, &w, &g, &mut of_input);
    let expected = difference_gradient(&input, &g, 1.0, evaluated);
    assert_close("input, evaluated", &of_input, &expected, TOLERANCE);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn every_odd_shape_equals_the_f64_reference(
        images in 1..5usize,
        channels in 1..6usize,
        places in 1..23usize,
    ) {
        prop_assume!(images * places > 1);
        check(images, channels, places);
    }
}

#[test]
fn running_variance_is_unbiased_while_the_output_uses_the_biased_one() {
    let x = var(&[1.0, 3.0, 5.0, 7.0], (2, 1, 1, 2));
    let (one, zero) = (tensor(&[1.0], 1), tensor(&[0.0], 1));
    let normed = batch_norm_train(&x, &one, &zero, 1e-12).unwrap();
    assert_eq!(normed.mean, [4.0]);
    assert_close(
        "unbiased variance",
        &normed.var_unbiased,
        &[20.0 / 3.0],
        1e-7,
    );
    let expected = [-3.0, -1.0, 1.0, 3.0].map(|d| d / 5.0f64.sqrt());
    assert_close("output", &numbers(&normed.y), &expected, 1e-6);
}

#[test]
fn a_large_mean_costs_no_accuracy() {
    let small = values(1, 2 * 3 * 40);
    let x: Vec<f32> = small
        .iter()
        .map(|&v| 4096.0 + (v * 64.0).round() / 64.0)
        .collect();
    let one = tensor(&[1.0; 3], 3);
    let zero = tensor(&[0.0; 3], 3);
    let normed = batch_norm_train(&tensor(&x, (2, 3, 8, 5)), &one, &zero, EPSILON).unwrap();
    let expected = training([2, 3, 40], &wide(&x), [&[1.0; 3], &[0.0; 3]]);
    // The mean itself is rounded to f32: half a unit in the last place of 4096 is 2.4e-4.
    assert_close("output", &numbers(&normed.y), &expected, 1e-3);
    assert_close(
        "mean",
        &normed.mean,
        &moments([2, 3, 40], &wide(&x)).0,
        1e-7,
    );
}

#[test]
fn a_constant_channel_gives_the_bias_and_finite_gradients() {
    let x = var(&[2.5; 12], (2, 1, 3, 2));
    let (w, b) = (var(&[1.5], 1), var(&[0.25], 1));
    let normed = batch_norm_train(&x, &w, &b, EPSILON).unwrap();
    assert_eq!(numbers(&normed.y), [0.25; 12]);
    assert_eq!(normed.var_unbiased, [0.0]);
    let gradients = backward(&normed.y, &values(4, 12));
    assert!(gradient(&gradients, &x).iter().all(|g| g.is_finite()));
    assert_eq!(gradient(&gradients, &w), [0.0]);
}

#[test]
fn both_custom_ops_hand_each_gradient_to_its_input() {
    let sizes = [2, 3, 20];
    let (x, w, b) = (
        var(&values(1, 120), (2, 3, 5, 4)),
        var(&values(2, 3), 3),
        var(&values(3, 3), 3),
    );
    let g = values(4, 120);
    let [input, weight, bias] = [&x, &w, &b].map(|v| wide(&numbers(v)));
    let (mean, variance) = (values(5, 3), [0.5, 0.75, 1.25]);
    let evaluated = |x: &[f64], w: &[f64], b: &[f64]| {
        normalize(
            [3, 20],
            x,
            [w, b],
            [&wide(&mean), &wide(&variance)],
            EPSILON,
        )
    };

    let gradients = backward(&batch_norm_train(&x, &w, &b, EPSILON).unwrap().y, &g);
    let expected = difference_gradient(&input, &g, 1e-5, |x| training(sizes, x, [&weight, &bias]));
    assert_close(
        "input",
        &gradient(&gradients, &x),
        &expected,
        DIFFERENCE_TOLERANCE,
    );
    let expected = difference_gradient(&weight, &g, 1.0, |w| training(sizes, &input, [w, &bias]));
    assert_close("weight", &gradient(&gradients, &w), &expected, TOLERANCE);
    let expected = difference_gradient(&bias, &g, 1.0, |b| training(sizes, &input, [&weight, b]));
    assert_close("bias", &gradient(&gradients, &b), &expected, TOLERANCE);

    let output = batch_norm_eval(&x, &w, &b, [&mean, &variance], EPSILON).unwrap();
    assert_close(
        "evaluated",
        &numbers(&output),
        &evaluated(&input, &weight, &bias),
        TOLERANCE,
    );
    let gradients = backward(&output, &g);
    let expected = difference_gradient(&input, &g, 1.0, |x| evaluated(x, &weight, &bias));
    assert_close(
        "input, evaluated",
        &gradient(&gradients, &x),
        &expected,
        TOLERANCE,
    );
    let expected = difference_gradient(&weight, &g, 1.0, |w| evaluated(&input, w, &bias));
    assert_close(
        "weight, evaluated",
        &gradient(&gradients, &w),
        &expected,
        TOLERANCE,
    );
    let expected = difference_gradient(&bias, &g, 1.0, |b| evaluated(&input, &weight, b));
    assert_close(
        "bias, evaluated",
        &gradient(&gradients, &b),
        &expected,
        TOLERANCE,
    );
}
