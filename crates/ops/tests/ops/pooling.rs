//! Pooling: against f64 over odd shapes, ties, NaN and −∞.

use crate::reference::{assert_close, difference_gradient, distinct, max_pool, values, wide};
use crate::tensors::{backward, gradient, numbers, var};
use cxr_ops::kernels::Window;
use cxr_ops::kernels::pool;
use cxr_ops::{Pool2dGeometry, avg_pool_global, max_pool2d};
use proptest::prelude::*;

fn windows() -> impl Strategy<Value = Window> {
    (
        (1..12usize, 1..12usize),
        (1..5usize, 1..5usize),
        1..5usize,
        (0..4usize, 0..4usize),
    )
        .prop_filter_map("no window fits", |(input, kernel, stride, padding)| {
            let (kernel, padding): ([usize; 2], [usize; 2]) = (kernel.into(), padding.into());
            let window = Window {
                input: input.into(),
                kernel,
                stride,
                padding,
            };
            window.checked_output()?;
            (padding[0] < kernel[0] && padding[1] < kernel[1]).then_some(window)
        })
}

fn check<P: pool::Place>(window: &Window, planes: usize) {
    let input = distinct(7, planes * window.input_places());
    let outputs = planes * window.output_places();
    let mut output = vec![f32::NAN; outputs];
    let mut places = vec![P::from_index(255); outputs];
    pool::max_forward(window, &input, &mut output, &mut places);
    let expected = max_pool(window, &wide(&input));
    assert_close("output", &output, &expected, 0.0);

    let weights = values(4, outputs);
    let mut got = vec![f32::NAN; input.len()];
    pool::max_input_gradient(window, &places, &weights, &mut got);
    let expected = difference_gradient(&wide(&input), &weights, 0.25, |x| max_pool(window, x));
    assert_close("input gradient", &got, &expected, 1e-6);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn every_odd_window_equals_the_f64_reference(window in windows(), planes in 1..4usize) {
        check::<u8>(&window, planes);
        check::<u32>(&window, planes);
    }
}

fn pooled(input: &[f32], shape: [usize; 2], geometry: Pool2dGeometry) -> (Vec<f32>, Vec<f32>) {
    let x = var(input, (1, 1, shape[0], shape[1]));
    let output = max_pool2d(&x, geometry).unwrap();
    let gradients = backward(&output, &vec![1.0; output.elem_count()]);
    (numbers(&output), gradient(&gradients, &x))
}

#[test]
fn the_gradient_of_a_tie_goes_to_the_first_maximum_alone() {
    let two = Pool2dGeometry {
        kernel: 2,
        stride: 2,
        padding: 0,
    };
    assert_eq!(
        pooled(&[3.0; 4], [2, 2], two),
        (vec![3.0], vec![1.0, 0.0, 0.0, 0.0])
    );
    assert_eq!(
        pooled(&[1.0, 2.0, 2.0, 2.0], [2, 2], two).1,
        [0.0, 1.0, 0.0, 0.0]
    );
    // The first window of a padded pool begins outside; its first real place wins the tie.
    let padded = Pool2dGeometry {
        kernel: 3,
        stride: 2,
        padding: 1,
    };
    assert_eq!(
        pooled(&[-5.0; 4], [2, 2], padded),
        (vec![-5.0], vec![1.0, 0.0, 0.0, 0.0])
    );
}

#[test]
fn overlapping_windows_add_their_gradients_at_a_shared_maximum() {
    let stem = Pool2dGeometry {
        kernel: 3,
        stride: 2,
        padding: 1,
    };
    let mut input = [0.0; 15];
    input[6] = 9.0; // row 1, column 1 of 3 × 5
    let (output, gradient) = pooled(&input, [3, 5], stem);
    assert_eq!(output, [9.0, 9.0, 0.0, 9.0, 9.0, 0.0]);
    assert_eq!(gradient[6], 4.0);
    assert_eq!(gradient.iter().sum::<f32>(), 6.0);
}

#[test]
fn padding_is_never_the_maximum_not_even_of_minus_infinity() {
    let stem = Pool2dGeometry {
        kernel: 3,
        stride: 1,
        padding: 1,
    };
    let (output, gradient) = pooled(&[f32::NEG_INFINITY; 2], [1, 2], stem);
    assert_eq!(output, [f32::NEG_INFINITY; 2]);
    assert_eq!(gradient, [2.0, 0.0]);
}

#[test]
fn a_nan_is_carried_to_the_output() {
    let two = Pool2dGeometry {
        kernel: 2,
        stride: 2,
        padding: 0,
    };
    let (output, gradient) = pooled(&[9.0, f32::NAN, 3.0, 1.0], [2, 2], two);
    assert!(output[0].is_nan());
    assert_eq!(gradient, [0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn a_kernel_with_more_places_than_a_byte_holds_works() {
    let wide_kernel = Pool2dGeometry {
        kernel: 17,
        stride: 3,
        padding: 2,
    };
    let input = distinct(3, 20 * 23);
    let (output, gradient) = pooled(&input, [20, 23], wide_kernel);
    let window = Window {
        input: [20, 23],
        kernel: [17; 2],
        stride: 3,
        padding: [2; 2],
    };
    let reference = |x: &[f64]| max_pool(&window, x);
    assert_close("output", &output, &reference(&wide(&input)), 0.0);
    let ones = vec![1.0; output.len()];
    let expected = difference_gradient(&wide(&input), &ones, 0.25, reference);
    assert_close("input gradient", &gradient, &expected, 1e-6);
}

#[test]
fn the_global_average_is_each_planes_mean_and_shares_its_gradient_evenly() {
    let input = values(1, 2 * 3 * 7 * 5);
    let x = var(&input, (2, 3, 7, 5));
    let output = avg_pool_global(&x).unwrap();
    assert_eq!(output.dims(), [2, 3]);
    let mean = |x: &[f64]| -> Vec<f64> {
        x.chunks_exact(35)
            .map(|plane| plane.iter().sum::<f64>() / 35.0)
            .collect()
    };
    assert_close("output", &numbers(&output), &mean(&wide(&input)), 1e-7);
    let weights = values(4, 6);
    let got = gradient(&backward(&output, &weights), &x);
    let expected = difference_gradient(&wide(&input), &weights, 1.0, mean);
    assert_close("input gradient", &got, &expected, 1e-6);
}
