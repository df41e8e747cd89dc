//! The reference's convolutions against the CPU's.

use cxr_ops::device::{Device, Numbers, Reference};
use cxr_ops::kernels::Window;
use cxr_ops::kernels::conv::{self, ConvShape};
use cxr_ops::nhwc::Onto;

use super::numbers::{assert_close, exchanged, normal, poisoned};

const DEVICE: Reference<f32> = Reference::new();

fn shapes() -> impl Iterator<Item = ConvShape> {
    let sizes = [
        (1, [8, 16], [5, 7], [3, 3], 1),
        (2, [4, 8], [9, 12], [7, 7], 2),
        (3, [16, 8], [6, 5], [3, 3], 2),
        (2, [8, 24], [7, 4], [1, 1], 2),
        (1, [8, 8], [6, 9], [3, 1], 1),
    ];
    sizes.into_iter().map(
        |(images, [channels, out_channels], input, kernel, stride)| ConvShape {
            images,
            channels,
            out_channels,
            window: Window {
                input,
                kernel,
                stride,
                padding: kernel.map(|kernel| kernel / 2),
            },
        },
    )
}

/// Maps [N, places, C] as planes.
fn planes(map: &[f32], places: usize, channels: usize) -> Vec<f32> {
    exchanged(map, places, channels)
}

#[test]
fn the_output_is_that_of_the_cpu() {
    for shape in shapes() {
        let window = &shape.window;
        let (input, weight) = (normal(1, shape.input_len()), normal(2, shape.weight_len()));
        let mut output = poisoned(shape.output_len());
        DEVICE
            .conv_forward(&shape, &input, &weight, 0, &mut output)
            .unwrap();
        let mut expected = vec![f32::NAN; shape.output_len()];
        conv::forward(
            &shape,
            &planes(input.as_slice(), window.input_places(), shape.channels),
            &planes(weight.as_slice(), window.taps(), shape.channels),
            None,
            &mut expected,
        );
        let got = planes(
            output.as_slice(),
            window.output_places(),
            shape.out_channels,
        );
        assert_close(&format!("{shape:?}"), &got, &expected);
    }
}

#[test]
fn the_input_gradient_is_that_of_the_cpu_and_is_added_where_asked_for() {
    for shape in shapes() {
        let window = &shape.window;
        let (gradient, weight) = (normal(3, shape.output_len()), normal(4, shape.weight_len()));
        let mut expected = vec![f32::NAN; shape.input_len()];
        conv::input_gradient(
            &shape,
            &planes(weight.as_slice(), window.taps(), shape.channels),
            &planes(
                gradient.as_slice(),
                window.output_places(),
                shape.out_channels,
            ),
            &mut expected,
        );
        let mut got = poisoned(shape.input_len());
        let run = |onto, target: &mut Numbers<f32>| {
            DEVICE
                .conv_input_gradient(&shape, &weight, 0, &gradient, onto, target)
                .unwrap();
            planes(target.as_slice(), window.input_places(), shape.channels)
        };
        assert_close(
            &format!("{shape:?}"),
            &run(Onto::Unset, &mut got),
            &expected,
        );
        let twice: Vec<f32> = expected.iter().map(|number| 2.0 * number).collect();
        assert_close(
            &format!("twice {shape:?}"),
            &run(Onto::Sum, &mut got),
            &twice,
        );
    }
}

#[test]
fn the_weight_gradient_is_that_of_the_cpu() {
    for shape in shapes() {
        let window = &shape.window;
        let (input, gradient) = (normal(5, shape.input_len()), normal(6, shape.output_len()));
        let mut got = poisoned(shape.weight_len() + 8);
        DEVICE
            .conv_weight_gradient(&shape, &input, &gradient, &mut got, 8)
            .unwrap();
        let mut expected = vec![f32::NAN; shape.weight_len()];
        conv::weight_gradient(
            &shape,
            &planes(input.as_slice(), window.input_places(), shape.channels),
            &planes(
                gradient.as_slice(),
                window.output_places(),
                shape.out_channels,
            ),
            &mut expected,
        );
        let got = planes(&got.as_slice()[8..], window.taps(), shape.channels);
        assert_close(&format!("{shape:?}"), &got, &expected);
    }
}
