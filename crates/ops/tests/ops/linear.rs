//! Linear layers and ReLU against f64.

use crate::reference::{assert_close, difference_gradient, linear as reference, values, wide};
use crate::tensors::{backward, gradient, numbers, var};
use cxr_ops::kernels::linear::{self as kernel, LinearShape};
use cxr_ops::{linear, relu};
use proptest::prelude::*;

const TOLERANCE: f64 = 2e-6;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn every_size_equals_the_f64_reference_in_all_directions(
        rows in 1..7usize,
        inputs in 1..30usize,
        outputs in 1..20usize,
    ) {
        let sizes = [rows, inputs, outputs];
        let (x, w, b) = (values(1, rows * inputs), values(2, outputs * inputs), values(3, outputs));
        let g = values(4, rows * outputs);
        let (input, weight, bias) = (wide(&x), wide(&w), wide(&b));
        let shape = LinearShape { rows, inputs, outputs };

        let mut output = vec![f32::NAN; rows * outputs];
        kernel::forward(&shape, &x, &w, Some(&b), &mut output);
        assert_close("output", &output, &reference(sizes, &input, &weight, &bias), TOLERANCE);

        let mut got = vec![f32::NAN; x.len()];
        kernel::input_gradient(&shape, &w, &g, &mut got);
        let expected = difference_gradient(&input, &g, 1.0, |x| reference(sizes, x, &weight, &bias));
        assert_close("input gradient", &got, &expected, TOLERANCE);

        let mut got = vec![f32::NAN; w.len()];
        kernel::weight_gradient(&shape, &x, &g, &mut got);
        let expected = difference_gradient(&weight, &g, 1.0, |w| reference(sizes, &input, w, &bias));
        assert_close("weight gradient", &got, &expected, TOLERANCE);

        let mut got = vec![f32::NAN; outputs];
        kernel::bias_gradient(&shape, &g, &mut got);
        let expected = difference_gradient(&bias, &g, 1.0, |b| reference(sizes, &input, &weight, b));
        assert_close("bias gradient", &got, &expected, TOLERANCE);
    }
}

#[test]
fn sizes_above_a_block_equal_the_f64_reference() {
    let sizes @ [rows, inputs, outputs] = [131, 257, 140];
    let (x, w, b) = (
        values(1, rows * inputs),
        values(2, outputs * inputs),
        values(3, outputs),
    );
    let output = linear(
        &var(&x, (rows, inputs)),
        &var(&w, (outputs, inputs)),
        Some(&var(&b, outputs)),
    );
    let expected = reference(sizes, &wide(&x), &wide(&w), &wide(&b));
    assert_close("output", &numbers(&output.unwrap()), &expected, TOLERANCE);
}

#[test]
fn the_custom_op_hands_each_gradient_to_its_input() {
    let sizes = [3, 5, 4];
    let (x, w, b) = (
        var(&values(1, 15), (3, 5)),
        var(&values(2, 20), (4, 5)),
        var(&values(3, 4), 4),
    );
    let g = values(4, 12);
    let gradients = backward(&linear(&x, &w, Some(&b)).unwrap(), &g);
    let [input, weight, bias] = [&x, &w, &b].map(|v| wide(&numbers(v)));
    let expected = difference_gradient(&input, &g, 1.0, |x| reference(sizes, x, &weight, &bias));
    assert_close("input", &gradient(&gradients, &x), &expected, TOLERANCE);
    let expected = difference_gradient(&weight, &g, 1.0, |w| reference(sizes, &input, w, &bias));
    assert_close("weight", &gradient(&gradients, &w), &expected, TOLERANCE);
    let expected = difference_gradient(&bias, &g, 1.0, |b| reference(sizes, &input, &weight, b));
    assert_close("bias", &gradient(&gradients, &b), &expected, TOLERANCE);
    let without = backward(&linear(&x, &w, None).unwrap(), &g);
    assert_eq!(gradient(&without, &w), gradient(&gradients, &w));
}

#[test]
fn relu_cuts_at_zero_where_its_gradient_is_zero_and_keeps_nan() {
    let x = var(&[-2.0, -0.0, 0.0, 1e-30, 3.0, f32::INFINITY, f32::NAN], 7);
    let y = relu(&x).unwrap();
    assert_eq!(numbers(&y)[..6], [0.0, 0.0, 0.0, 1e-30, 3.0, f32::INFINITY]);
    assert!(numbers(&y)[6].is_nan());
    let gradients = y.sum_all().unwrap().backward().unwrap();
    assert_eq!(
        gradient(&gradients, &x),
        [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    );
}

#[test]
fn relu_writes_every_element_of_sizes_around_a_chunk() {
    for length in [1, 32_767, 32_768, 32_769, 100_003] {
        let x = values(1, length);
        let mut y = vec![f32::NAN; length];
        cxr_ops::kernels::relu::forward(&x, &mut y);
        assert!(x.iter().zip(&y).all(|(x, y)| *y == x.max(0.0)));
        let mut gradient = vec![f32::NAN; length];
        cxr_ops::kernels::relu::input_gradient(&y, &x, &mut gradient);
        assert!(x.iter().zip(&gradient).all(|(x, g)| *g == x.max(0.0)));
    }
}
