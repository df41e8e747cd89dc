//! How a convolution's output is cut into tiles, and the copies between a tile and the window
//! matrix that is multiplied for it.
//!
//! A tile is some 256 output places, of one image or of several small ones, so that its window
//! matrix stays in the cache. The cut depends on the shape alone.

use super::blocks::Blocks;
use super::conv::ConvShape;
use super::matrix::Matrix;
use std::ops::Range;

/// Output places of a tile.
const PLACES: usize = 256;
/// Places are cut at multiples of this, the widest vector of f32.
const LANES: usize = 16;

/// The cut: groups of small images, or blocks of places of one large image.
#[derive(Clone, Copy)]
pub(crate) struct Tiling {
    pub(crate) images: Blocks,
    pub(crate) places: Blocks,
}

impl Tiling {
    pub(crate) fn of(shape: &ConvShape) -> Self {
        let places = shape.window.output_places();
        let images_each = if places < PLACES {
            PLACES.div_ceil(places).min(shape.images)
        } else {
            1
        };
        Self {
            images: Blocks::at_most(shape.images, images_each, 1),
            places: Blocks::at_most(places, PLACES, LANES),
        }
    }

    pub(crate) fn tiles(self) -> impl Iterator<Item = Tile> {
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
pub(crate) struct Tile {
    pub(crate) images: Range<usize>,
    pub(crate) places: Range<usize>,
}

impl Tile {
    pub(crate) fn columns(&self) -> usize {
        self.images.len() * self.places.len()
    }

    /// Writes the windows of these places and channels: a row for each channel and tap.
    pub(crate) fn gather(
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
    pub(crate) fn output_rows<'a>(
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

/// Cuts the output into the rows of each tile: for each tile, [image][channel] → its places.
pub(crate) fn rows_of_tiles<'a>(
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
