//! Prints the milliseconds that each kind of layer of ResNet18 takes forward and backward, at batch
//! 16 of 320 × 320 images, through the kernels without candle.
//!
//!     cargo run --release -p cxr-ops --example resnet_layers [repetitions]
//!
//! The best of the repetitions counts: other load on the machine only ever adds.
#![expect(
    clippy::print_stdout,
    reason = "an example that measures has to say what it found"
)]

use cxr_ops::kernels::batch_norm::{self, NormShape};
use cxr_ops::kernels::conv::{self, ConvShape};
use cxr_ops::kernels::{Window, pool, relu};
use std::time::Instant;

const IMAGES: usize = 16;

/// Name, channels in and out, size, kernel, stride, padding.
type Layer = (&'static str, [usize; 2], usize, [usize; 3]);

const LAYERS: [Layer; 9] = [
    ("7x7 s2 3-64", [3, 64], 320, [7, 2, 3]),
    ("3x3 64 at 80", [64, 64], 80, [3, 1, 1]),
    ("3x3 s2 64-128", [64, 128], 80, [3, 2, 1]),
    ("1x1 s2 64-128", [64, 128], 80, [1, 2, 0]),
    ("3x3 128 at 40", [128, 128], 40, [3, 1, 1]),
    ("3x3 s2 128-256", [128, 256], 40, [3, 2, 1]),
    ("3x3 256 at 20", [256, 256], 20, [3, 1, 1]),
    ("3x3 s2 256-512", [256, 512], 20, [3, 2, 1]),
    ("3x3 512 at 10", [512, 512], 10, [3, 1, 1]),
];

fn main() {
    let repetitions = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(5);
    println!(
        "{:16} {:>9} {:>9} {:>9} {:>9}",
        "ms, batch 16", "forward", "d input", "d weight", "GFLOP/s"
    );
    for layer in LAYERS {
        convolution(layer, repetitions);
    }
    normalization(repetitions);
    rectifier(repetitions);
    pooling(repetitions);
}

fn convolution(
    (name, [channels, out_channels], size, [kernel, stride, padding]): Layer,
    repetitions: usize,
) {
    let window = Window {
        input: [size; 2],
        kernel: [kernel; 2],
        stride,
        padding: [padding; 2],
    };
    let shape = ConvShape {
        images: IMAGES,
        channels,
        out_channels,
        window,
    };
    let (input, weight) = (numbers(shape.input_len()), numbers(shape.weight_len()));
    let gradient = numbers(shape.output_len());
    let mut output = vec![0.0; shape.output_len()];
    let forward = best(repetitions, || {
        conv::forward(&shape, &input, &weight, None, &mut output)
    });
    let mut of_input = vec![0.0; shape.input_len()];
    let by_input = best(repetitions, || {
        conv::input_gradient(&shape, &weight, &gradient, &mut of_input)
    });
    let mut of_weight = vec![0.0; shape.weight_len()];
    let by_weight = best(repetitions, || {
        conv::weight_gradient(&shape, &input, &gradient, &mut of_weight)
    });
    let operations = 2.0 * (shape.output_len() * channels * window.taps()) as f64;
    let rate = operations / (forward * 1e6);
    row(name, forward, by_input, by_weight, &format!("{rate:.0}"));
}

fn normalization(repetitions: usize) {
    let shape = NormShape {
        images: IMAGES,
        channels: 64,
        places: 160 * 160,
    };
    let (input, affine) = (numbers(shape.len()), numbers(64));
    let mut output = vec![0.0; shape.len()];
    let mut moments = batch_norm::moments(&shape, &input);
    let forward = best(repetitions, || {
        moments = batch_norm::moments(&shape, &input);
        batch_norm::normalize(
            &shape,
            &moments,
            1e-5,
            [&affine, &affine],
            &input,
            &mut output,
        );
    });
    let gradient = numbers(shape.len());
    let mut sums = batch_norm::gradient_sums(&shape, &moments, 1e-5, &input, &gradient);
    let by_weight = best(repetitions, || {
        sums = batch_norm::gradient_sums(&shape, &moments, 1e-5, &input, &gradient);
    });
    let by_input = best(repetitions, || {
        batch_norm::input_gradient_through_moments(
            &shape,
            &moments,
            1e-5,
            &affine,
            &sums,
            [&input, &gradient],
            &mut output,
        );
    });
    row("norm 64 at 160", forward, by_input, by_weight, "");
}

fn rectifier(repetitions: usize) {
    let input = numbers(IMAGES * 64 * 160 * 160);
    let (mut output, mut of_input) = (vec![0.0; input.len()], vec![0.0; input.len()]);
    let forward = best(repetitions, || relu::forward(&input, &mut output));
    let by_input = best(repetitions, || {
        relu::input_gradient(&output, &input, &mut of_input)
    });
    row("relu 64 at 160", forward, by_input, 0.0, "");
}

fn pooling(repetitions: usize) {
    let window = Window {
        input: [160; 2],
        kernel: [3; 2],
        stride: 2,
        padding: [1; 2],
    };
    let planes = IMAGES * 64;
    let input = numbers(planes * window.input_places());
    let mut output = vec![0.0; planes * window.output_places()];
    let mut places = vec![0u8; output.len()];
    let forward = best(repetitions, || {
        pool::max_forward(&window, &input, &mut output, &mut places)
    });
    let mut of_input = vec![0.0; input.len()];
    let by_input = best(repetitions, || {
        pool::max_input_gradient(&window, &places, &output, &mut of_input);
    });
    row("max 3 s2 at 160", forward, by_input, 0.0, "");
}

fn row(name: &str, forward: f64, by_input: f64, by_weight: f64, rate: &str) {
    println!("{name:16} {forward:9.1} {by_input:9.1} {by_weight:9.1} {rate:>9}");
}

/// The shortest of some runs, in milliseconds; the first one warms up and does not count.
fn best(repetitions: usize, mut work: impl FnMut()) -> f64 {
    work();
    let mut shortest = f64::INFINITY;
    for _ in 0..repetitions {
        let start = Instant::now();
        work();
        shortest = shortest.min(start.elapsed().as_secs_f64() * 1e3);
    }
    shortest
}

fn numbers(length: usize) -> Vec<f32> {
    (0..length)
        .map(|place| (place * 7919 % 1009) as f32 / 1009.0 - 0.5)
        .collect()
}
