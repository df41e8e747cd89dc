//! Two-dimensional convolution and its gradients by window matrices and matrix products.
//!
//! Any kernel, stride and padding. Work is cut into blocks of some 256 output places (of one image,
//! or of several small ones), so that a block's window matrix stays in the cache. Deliberately not
//! here: groups and dilation, and kernels for single shapes.

use super::Window;
use super::blocks::Blocks;
use super::matrix::{Matrix, Onto, multiply};
use super::scratch::with_scratch;
use rayon::prelude::*;
use std::ops::Range;

/// Output places that one matrix product covers.
const PLACES: usize = 256;
/// Rows of the window matrix that one matrix product covers.
const WINDOW_ROWS: usize = 512;
/// Places are cut at multiples of this, the widest vector of f32.
const LANES: usize = 16;
/// Pieces of the weight gradient that are worked on independently, at least (where there are as
/// many): enough for 16 threads.
const WEIGHT_PIECES: usize = 16;

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Images in the batch.
    pub images: usize,
    /// Channels of the input.
    pub channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// How the kernel slides over each plane.
    pub window: Window,
}

impl ConvShape {
    /// Numbers in the input.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.images * self.channels * self.window.input_places()
    }

    /// Numbers in the weight.
    #[must_use]
    pub fn weight_len(&self) -> usize {
        self.out_channels * self.channels * self.window.taps()
    }

    /// Numbers in the output.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.images * self.out_channels * self.window.output_places()
    }

    /// The convolution of the output gradient with the turned kernel that gives the input gradient;
    /// `None` where there is a stride or more padding than the kernel reaches.
    fn mirrored(&self) -> Option<Self> {
        let reach =
            |axis: usize| (self.window.kernel[axis] - 1).checked_sub(self.window.padding[axis]);
        let padding = [reach(0)?, reach(1)?];
        let window = Window {
            input: self.window.output(),
            padding,
            ..self.window
        };
        let mirrored = Self {
            channels: self.out_channels,
            out_channels: self.channels,
            window,
            ..*self
        };
        (self.window.stride == 1).then_some(mirrored)
    }

    fn tiling(&self) -> Tiling {
        let places = self.window.output_places();
        let images_each = if places < PLACES {
            PLACES.div_ceil(places).min(self.images)
        } else {
            1
        };
        Tiling {
            images: Blocks::at_most(self.images, images_each, 1),
            places: Blocks::at_most(places, PLACES, LANES),
        }
    }
}

/// How the output is cut: groups of small images, or blocks of places of one large image.
#[derive(Clone, Copy)]
struct Tiling {
    images: Blocks,
    places: Blocks,
}

impl Tiling {
    fn tiles(self) -> impl Iterator<Item = Tile> {
        self.images.ranges().flat_map(move |images| {
            self.places.ranges().map(move |places| Tile {
                images: images.clone(),
                places,
            })
        })
    }
}

/// Some output places of some images: the columns of a window matrix, images one after the other.
#[derive(Clone)]
struct Tile {
    images: Range<usize>,
    places: Range<usize>,
}

impl Tile {
    fn columns(&self) -> usize {
        self.images.len() * self.places.len()
    }

    /// Writes the windows of these places and channels: a row for each channel and tap.
    fn gather(
        &self,
        shape: &ConvShape,
        channels: &Range<usize>,
        input: &[f32],
        matrix: &mut [f32],
    ) {
        let (taps, size) = (shape.window.taps(), shape.window.input_places());
        let rows = matrix
            .chunks_exact_mut(self.columns())
            .take(channels.len() * taps);
        for (row_index, row) in rows.enumerate() {
            let (channel, tap) = (channels.start + row_index / taps, row_index % taps);
            for (image, row) in self
                .images
                .clone()
                .zip(row.chunks_exact_mut(self.places.len()))
            {
                let plane = &input[(image * shape.channels + channel) * size..][..size];
                shape.window.gather(tap, &self.places, plane, row);
            }
        }
    }

    /// These places of the output gradient, a row for each output channel: where they lie, or
    /// copied together into `scratch`.
    fn output_rows<'a>(
        &self,
        shape: &ConvShape,
        output: &'a [f32],
        scratch: &'a mut [f32],
    ) -> Matrix<'a> {
        let size = shape.window.output_places();
        let image_len = shape.out_channels * size;
        if self.images.len() == 1 {
            let image = &output[self.images.start * image_len..][..image_len];
            return Matrix::new(&image[self.places.start..], size);
        }
        let columns = self.columns();
        for (channel, row) in scratch[..shape.out_channels * columns]
            .chunks_exact_mut(columns)
            .enumerate()
        {
            for (image, row) in self
                .images
                .clone()
                .zip(row.chunks_exact_mut(self.places.len()))
            {
                let start = image * image_len + channel * size + self.places.start;
                row.copy_from_slice(&output[start..][..self.places.len()]);
            }
        }
        Matrix::new(scratch, columns)
    }
}

/// Writes `output` [N, O, H′, W′] = `input` [N, C, H, W] ⋆ `weight` [O, C, kh, kw] (+ `bias` [O]).
pub fn forward(
    shape: &ConvShape,
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    output: &mut [f32],
) {
    assert_eq!(input.len(), shape.input_len());
    assert_eq!(weight.len(), shape.weight_len());
    assert_eq!(output.len(), shape.output_len());
    assert!(bias.is_none_or(|bias| bias.len() == shape.out_channels));
    let tiling = shape.tiling();
    let rows = rows_of_tiles(shape, tiling, output);
    let tiles: Vec<_> = tiling.tiles().zip(rows).collect();
    tiles.into_par_iter().for_each(|(tile, rows)| {
        forward_tile(shape, &tile, input, weight, |products| {
            let pieces = products.chunks_exact(tile.places.len());
            // The scratch product is ordered [channel][image], the rows [image][channel].
            let n_images = tile.images.len();
            let by_channel: Vec<&[f32]> = pieces.collect();
            for (row_index, row) in rows.into_iter().enumerate() {
                let (image, channel) = (
                    row_index / shape.out_channels,
                    row_index % shape.out_channels,
                );
                let product = by_channel[channel * n_images + image];
                match bias {
                    None => row.copy_from_slice(product),
                    Some(bias) => {
                        let bias = bias[channel];
                        row.iter_mut()
                            .zip(product)
                            .for_each(|(row, product)| *row = product + bias);
                    }
                }
            }
        });
    });
}

/// Cuts the output into the rows of each tile: for each tile, [image][channel] → its places.
fn rows_of_tiles<'a>(
    shape: &ConvShape,
    tiling: Tiling,
    output: &'a mut [f32],
) -> Vec<Vec<&'a mut [f32]>> {
    let mut planes = output.chunks_exact_mut(shape.window.output_places());
    let mut tiles = Vec::with_capacity(tiling.images.count() * tiling.places.count());
    for images in tiling.images.ranges() {
        let n_rows = images.len() * shape.out_channels;
        let mut of_group: Vec<Vec<_>> = tiling
            .places
            .ranges()
            .map(|_| Vec::with_capacity(n_rows))
            .collect();
        for mut rest in planes.by_ref().take(n_rows) {
            for (rows, places) in of_group.iter_mut().zip(tiling.places.ranges()) {
                let (row, behind) = rest.split_at_mut(places.len());
                rows.push(row);
                rest = behind;
            }
        }
        tiles.append(&mut of_group);
    }
    tiles
}

/// Gives `then` the products of one tile: a row for each output channel.
fn forward_tile(
    shape: &ConvShape,
    tile: &Tile,
    input: &[f32],
    weight: &[f32],
    then: impl FnOnce(&[f32]),
) {
    let (taps, columns) = (shape.window.taps(), tile.columns());
    let inner = shape.channels * taps;
    let channel_blocks = Blocks::at_most(shape.channels, (WINDOW_ROWS / taps).max(1), 1);
    with_scratch(shape.out_channels * columns, |products| {
        for channels in channel_blocks.ranges() {
            let window_rows = channels.len() * taps;
            with_scratch(window_rows * columns, |windows| {
                tile.gather(shape, &channels, input, windows);
                multiply(
                    [shape.out_channels, window_rows, columns],
                    Matrix::new(&weight[channels.start * taps..], inner),
                    Matrix::new(windows, columns),
                    products,
                    if channels.start == 0 {
                        Onto::Unset
                    } else {
                        Onto::Sum
                    },
                );
            });
        }
        then(products);
    });
}

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
    match shape.mirrored() {
        Some(mirrored) => {
            let turned = turned_weight(shape, weight);
            forward(&mirrored, output_gradient, &turned, None, input_gradient);
        }
        None => input_gradient_by_scatter(shape, weight, output_gradient, input_gradient),
    }
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
    let tiling = shape.tiling();
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
    let tiling = shape.tiling();
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

/// Writes `bias_gradient` [O]: the sum of the output gradient over images and places, in f64.
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
            *sum = planes.map(super::batch_norm::plane_sum).sum::<f64>() as f32;
        });
}
