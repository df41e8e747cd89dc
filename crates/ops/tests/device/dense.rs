//! The reference's means, roundings and linear layers against the CPU's.

use cxr_ops::device::{Bf16, Device, Numbers, Real, Reference};
use cxr_ops::kernels::linear::{self, LinearShape};
use cxr_ops::nhwc::{MapSize, mean_of_places, spread_to_places};

use super::numbers::{assert_close, normal, poisoned};

const DEVICE: Reference<f32> = Reference::new();
const SHAPE: LinearShape = LinearShape {
    rows: 5,
    inputs: 24,
    outputs: 14,
};

#[test]
fn means_and_their_gradients_are_those_of_the_cpu() {
    let size = MapSize {
        height: 5,
        width: 7,
        channels: 16,
    };
    let (images, places, channels) = (3, size.places(), size.channels);
    let map = normal(1, images * size.len());
    let (mut mean, mut expected) = (
        poisoned(images * channels),
        vec![f32::NAN; images * channels],
    );
    DEVICE
        .mean_of_places(images, places, channels, &map, &mut mean)
        .unwrap();
    mean_of_places(images, size, map.as_slice(), &mut expected);
    assert_close("mean", mean.as_slice(), &expected);

    let (mut spread, mut expected) = (poisoned(map.len()), vec![f32::NAN; map.len()]);
    DEVICE
        .spread_to_places(images, places, channels, &mean, &mut spread)
        .unwrap();
    spread_to_places(images, size, mean.as_slice(), &mut expected);
    assert_close("gradient", spread.as_slice(), &expected);
}

#[test]
fn rounding_is_to_the_maps_type_and_after_the_factors() {
    let input = Numbers::from(vec![1.0 + 1.0 / 128.0, 3.0, -1.0 / 3.0]);
    let factors = Numbers::from(vec![2.0, 0.0, 1.0]);
    let device = Reference::<Bf16>::new();
    let mut output = poisoned(3);
    device.round(3, &input, None, &mut output).unwrap();
    let numbers = |map: &Numbers<Bf16>| {
        map.as_slice()
            .iter()
            .map(|n| n.to_f64())
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(&output), [1.007_812_5, 3.0, -0.333_984_375]);
    device
        .round(2, &input, Some(&factors), &mut output)
        .unwrap();
    assert_eq!(numbers(&output), [2.015_625, 0.0, -0.333_984_375]);
}

#[test]
fn scaling_changes_the_first_numbers_alone() {
    let factors = Numbers::from(vec![0.0, 2.0, -0.5, f32::NAN]);
    let mut numbers = Numbers::from(vec![7.0, 3.0, 5.0, 1.0]);
    DEVICE.scale(3, &factors, &mut numbers).unwrap();
    assert_eq!(numbers.as_slice(), [0.0, 6.0, -2.5, 1.0]);
}

#[test]
fn a_linear_layer_is_that_of_the_cpu_in_every_direction() {
    let [inputs, outputs] = [SHAPE.rows * SHAPE.inputs, SHAPE.rows * SHAPE.outputs];
    let weights = SHAPE.inputs * SHAPE.outputs;
    let (input, gradient) = (normal(2, inputs), normal(3, outputs));
    let (weight, vectors): (Numbers<f32>, Numbers<f32>) = (normal(4, 8 + weights), normal(5, 20));
    let (weight_part, bias) = (&weight.as_slice()[8..], &vectors.as_slice()[6..]);

    let (mut output, mut expected) = (poisoned(outputs), vec![f32::NAN; outputs]);
    DEVICE
        .linear_forward(&SHAPE, &input, &weight, 8, &vectors, 6, &mut output)
        .unwrap();
    linear::forward(
        &SHAPE,
        input.as_slice(),
        weight_part,
        Some(bias),
        &mut expected,
    );
    assert_close("output", output.as_slice(), &expected);

    let (mut of_weight, mut expected) = (poisoned(8 + weights), vec![f32::NAN; weights]);
    DEVICE
        .linear_weight_gradient(&SHAPE, &input, &gradient, &mut of_weight, 8)
        .unwrap();
    linear::weight_gradient(&SHAPE, input.as_slice(), gradient.as_slice(), &mut expected);
    assert_close("weight gradient", &of_weight.as_slice()[8..], &expected);

    let (mut of_bias, mut expected) = (poisoned(20), vec![f32::NAN; SHAPE.outputs]);
    DEVICE
        .linear_bias_gradient(&SHAPE, &gradient, &mut of_bias, 6)
        .unwrap();
    linear::bias_gradient(&SHAPE, gradient.as_slice(), &mut expected);
    assert_close("bias gradient", &of_bias.as_slice()[6..], &expected);

    let (mut of_input, mut expected) = (poisoned(inputs), vec![f32::NAN; inputs]);
    DEVICE
        .linear_input_gradient(&SHAPE, &weight, 8, &gradient, &mut of_input)
        .unwrap();
    linear::input_gradient(&SHAPE, weight_part, gradient.as_slice(), &mut expected);
    assert_close("input gradient", of_input.as_slice(), &expected);
}
