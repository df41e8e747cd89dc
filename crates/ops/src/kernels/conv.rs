//! Two-dimensional convolution and its gradients by window matrices and matrix products.
//!
//! Any kernel, stride and padding. Each tile of the output is one task: its window matrix is made a
//! few hundred rows at a time and multiplied while it is in the cache. Deliberately not here: groups
//! and dilation, and kernels for single shapes.

pub use super::conv_gradient::{bias_gradient, input_gradient, weight_gradient};

use super::Window;
use super::blocks::Blocks;
use super::matrix::{Matrix, Onto, multiply};
use super::scratch::with_scratch;
use super::tiling::{Tile, Tiling, rows_of_tiles};
use rayon::prelude::*;

/// Rows of the window matrix that one matrix product covers.
pub(crate) const WINDOW_ROWS: usize = 512;

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
}

/// Writes `output` [N, O, H′, W′] = `input` [N, C, H, W] ⋆ `weight` [O, C, kh, kw] (+ `bias` `[O]`).
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
    let tiling = Tiling::of(shape);
    let rows = rows_of_tiles(shape, tiling, output);
    let tiles: Vec<_> = tiling.tiles().zip(rows).collect();
    tiles.into_par_iter().for_each(|(tile, rows)| {
        with_scratch(shape.out_channels * tile.columns(), |products| {
            multiply_tile(shape, &tile, input, weight, products);
            copy_products(&tile, products, bias, rows);
        });
    });
}

/// Writes the products of one tile: a row for each output channel.
fn multiply_tile(
    shape: &ConvShape,
    tile: &Tile,
    input: &[f32],
    weight: &[f32],
    products: &mut [f32],
) {
    let (taps, columns) = (shape.window.taps(), tile.columns());
    let channel_blocks = Blocks::at_most(shape.channels, (WINDOW_ROWS / taps).max(1), 1);
    for channels in channel_blocks.ranges() {
        let window_rows = channels.len() * taps;
        let onto = if channels.start == 0 {
            Onto::Unset
        } else {
            Onto::Sum
        };
        with_scratch(window_rows * columns, |windows| {
            tile.gather(shape, &channels, input, windows);
            let sizes = [shape.out_channels, window_rows, columns];
            let weight = Matrix::new(&weight[channels.start * taps..], shape.channels * taps);
            multiply(sizes, weight, Matrix::new(windows, columns), products, onto);
        });
    }
}

/// Copies products, ordered [channel][image], to the tile's output rows, ordered [image][channel].
fn copy_products(tile: &Tile, products: &[f32], bias: Option<&[f32]>, rows: Vec<&mut [f32]>) {
    let places = tile.places.len();
    let channels = products.len() / tile.columns();
    for (row_index, row) in rows.into_iter().enumerate() {
        let (image, channel) = (row_index / channels, row_index % channels);
        let product = &products[(channel * tile.images.len() + image) * places..][..places];
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
}
