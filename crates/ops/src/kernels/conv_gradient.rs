//! The gradients of a convolution by input, weight and bias.
//!
//! Behind [`super::conv`], which names them for callers.

use super::Window;
use super::batch_norm::plane_sum;
use super::blocks::Blocks;
use super::conv::{ConvShape, WINDOW_ROWS, forward};
use super::matrix::{Matrix, Onto, multiply};
use super::scratch::with_scratch;
use super::tiling::{Tile, Tiling};
use rayon::prelude::*;
use std::ops::Range;

/// Pieces of the weight gradient that are worked on independently, at least (where there are as
/// many): enough for 16 threads.
const WEIGHT_PIECES: usize = 16;

/// Writes `input_gradient` [N, C, H, W] from `output_gradient` [N, O, H′, W′].
pub fn input_gradient(
    shape: &ConvShape,
    weight: &[f32],
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) {
    assert_eq!(input_gradient.len(), shape.input_len());
    assert_eq!(weight.len(), shape.weight_len());
    assert_eq!(output_gradient.len(), shape.output_len());
    match mirrored(shape) {
        Some(mirrored) => {
            let turned = turned_weight(shape, weight);
            forward(&mirrored, output_gradient, &turned, None, input_gradient);
        }
        None => input_gradient_by_scatter(shape, weight, output_gradient, input_gradient),
    }
}

/// The convolution of the output gradient with the turned kernel that gives the input gradient;
/// `None` where there is a stride or more padding than the kernel reaches.
fn mirrored(shape: &ConvShape) -> Option<ConvShape> {
    let reach =
        |axis: usize| (shape.window.kernel[axis] - 1).checked_sub(shape.window.padding[axis]);
    let padding = [reach(0)?, reach(1)?];
    let window = Window {
        input: shape.window.output(),
        padding,
        ..shape.window
    };
    let mirrored = ConvShape {
        channels: shape.out_channels,
        out_channels: shape.channels,
        window,
        ..*shape
    };
    (shape.window.stride == 1).then_some(mirrored)
}

/// The weight with its kernels turned by 180° and its channel axes exchanged: [C, O, kh, kw].
fn turned_weight(shape: &ConvShape, weight: &[f32]) -> Vec<f32> {
    let taps = shape.window.taps();
    let mut turned = vec![0.0; weight.len()];
    for (kernel_index, kernel) in weight.chunks_exact(taps).enumerate() {
        let (output, channel) = (kernel_index / shape.channels, kernel_index % shape.channels);
        let target = &mut turned[(channel * shape.out_channels + output) * taps..][..taps];
        target
            .iter_mut()
            .zip(kernel.iter().rev())
            .for_each(|(target, &weight)| *target = weight);
    }
    turned
}

/// The input gradient for any geometry: window gradients by a matrix product, added onto the planes
/// of a block of channels that one task owns.
fn input_gradient_by_scatter(
    shape: &ConvShape,
    weight: &[f32],
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) {
    let taps = shape.window.taps();
    let tiling = Tiling::of(shape);
    let channel_blocks = Blocks::at_most(shape.channels, (WINDOW_ROWS / taps).max(1), 1);
    let mut planes = input_gradient.chunks_exact_mut(shape.window.input_places());
    let mut tasks = Vec::with_capacity(tiling.images.count() * channel_blocks.count());
    for images in tiling.images.ranges() {
        let mut of_group: Vec<_> = channel_blocks
            .ranges()
            .map(|channels| (images.clone(), channels, Vec::new()))
            .collect();
        for _ in images {
            for (_, channels, owned) in &mut of_group {
                owned.extend(planes.by_ref().take(channels.len()));
            }
        }
        tasks.append(&mut of_group);
    }
    tasks
        .into_par_iter()
        .for_each(|(images, channels, mut owned)| {
            owned.iter_mut().for_each(|plane| plane.fill(0.0));
            for places in tiling.places.ranges() {
                let tile = Tile {
                    images: images.clone(),
                    places,
                };
                scatter_tile(shape, &tile, &channels, weight, output_gradient, &mut owned);
            }
        });
}

/// Adds the window gradients of one tile onto the planes ([image][channel of the block]).
fn scatter_tile(
    shape: &ConvShape,
    tile: &Tile,
    channels: &Range<usize>,
    weight: &[f32],
    output_gradient: &[f32],
    planes: &mut [&mut [f32]],
) {
    let (taps, columns) = (shape.window.taps(), tile.columns());
    let window_rows = channels.len() * taps;
    with_scratch(shape.out_channels * columns, |scratch| {
        let gradient = tile.output_rows(shape, output_gradient, scratch);
        let weight = Matrix::new(&weight[channels.start * taps..], shape.channels * taps);
        with_scratch(window_rows * columns, |windows| {
            let sizes = [window_rows, shape.out_channels, columns];
            multiply(sizes, weight.transposed(), gradient, windows, Onto::Unset);
            for (row_index, row) in windows[..window_rows * columns]
                .chunks_exact(columns)
                .enumerate()
            {
                let (channel, tap) = (row_index / taps, row_index % taps);
                for (image, row) in row.chunks_exact(tile.places.len()).enumerate() {
                    let plane = &mut *planes[image * channels.len() + channel];
                    shape.window.scatter_add(tap, &tile.places, row, plane);
                }
            }
        });
    });
}

/// Writes `weight_gradient` [O, C, kh, kw] from `input` [N, C, H, W] and `output_gradient`.
///
/// Each task owns a block of channels of the gradient and runs over some of the images; where there
/// are too few channels to share, images are split into a fixed number of partial sums, added in
/// order at the end.
pub fn weight_gradient(
    shape: &ConvShape,
    input: &[f32],
    output_gradient: &[f32],
    weight_gradient: &mut [f32],
) {
    assert_eq!(weight_gradient.len(), shape.weight_len());
    assert_eq!(input.len(), shape.input_len());
    assert_eq!(output_gradient.len(), shape.output_len());
    let taps = shape.window.taps();
    let tiling = Tiling::of(shape);
    let channel_blocks = Blocks::at_most(shape.channels, (WINDOW_ROWS / 2 / taps).max(1), 1);
    let parts = Blocks::exactly(
        tiling.images.count(),
        WEIGHT_PIECES.div_ceil(channel_blocks.count()),
        1,
    );
    let mut partial_sums = vec![0.0f32; parts.count() * shape.weight_len()];
    let mut rest = partial_sums.as_mut_slice();
    let mut tasks = Vec::with_capacity(parts.count() * channel_blocks.count());
    for groups in parts.ranges() {
        for channels in channel_blocks.ranges() {
            let (sum, behind) = rest.split_at_mut(shape.out_channels * channels.len() * taps);
            tasks.push((groups.clone(), channels, sum));
            rest = behind;
        }
    }
    tasks.into_par_iter().for_each(|(groups, channels, sum)| {
        for group in groups {
            for places in tiling.places.ranges() {
                let tile = Tile {
                    images: tiling.images.range(group),
                    places,
                };
                add_weight_gradient_of_tile(shape, &tile, &channels, input, output_gradient, sum);
            }
        }
    });
    add_parts(shape, channel_blocks, &partial_sums, weight_gradient);
}

fn add_weight_gradient_of_tile(
    shape: &ConvShape,
    tile: &Tile,
    channels: &Range<usize>,
    input: &[f32],
    output_gradient: &[f32],
    sum: &mut [f32],
) {
    let columns = tile.columns();
    let window_rows = channels.len() * shape.window.taps();
    with_scratch(shape.out_channels * columns, |scratch| {
        let gradient = tile.output_rows(shape, output_gradient, scratch);
        with_scratch(window_rows * columns, |windows| {
            tile.gather(shape, channels, input, windows);
            let windows = Matrix::new(windows, columns).transposed();
            multiply(
                [shape.out_channels, columns, window_rows],
                gradient,
                windows,
                sum,
                Onto::Sum,
            );
        });
    });
}

/// Adds partial sums, ordered [part][channel block][O][channel of the block, tap], in order.
fn add_parts(
    shape: &ConvShape,
    channel_blocks: Blocks,
    partial_sums: &[f32],
    weight_gradient: &mut [f32],
) {
    let taps = shape.window.taps();
    let row_len = shape.channels * taps;
    weight_gradient
        .par_chunks_exact_mut(row_len)
        .enumerate()
        .for_each(|(output, row)| {
            for channels in channel_blocks.ranges() {
                let width = channels.len() * taps;
                let target = &mut row[channels.start * taps..][..width];
                target.fill(0.0);
                let first = channels.start * taps * shape.out_channels + output * width;
                for part in partial_sums.chunks_exact(shape.weight_len()) {
                    let source = &part[first..][..width];
                    target
                        .iter_mut()
                        .zip(source)
                        .for_each(|(target, &source)| *target += source);
                }
            }
        });
}

/// Writes `bias_gradient` `[O]`: the sum of the output gradient over images and places, in f64.
pub fn bias_gradient(shape: &ConvShape, output_gradient: &[f32], bias_gradient: &mut [f32]) {
    assert_eq!(output_gradient.len(), shape.output_len());
    assert_eq!(bias_gradient.len(), shape.out_channels);
    let size = shape.window.output_places();
    bias_gradient
        .par_iter_mut()
        .enumerate()
        .for_each(|(channel, sum)| {
            let planes = output_gradient
                .chunks_exact(size)
                .skip(channel)
                .step_by(shape.out_channels);
            *sum = planes.map(plane_sum).sum::<f64>() as f32;
        });
}
