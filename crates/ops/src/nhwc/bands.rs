//! Bands: how the output of a convolution is cut into tasks, and the padded input of a task.
//!
//! A band is some neighbouring rows of one image, or some whole small images, so that everything a
//! task reads and writes stays in the cache. The cut depends on shapes alone, never on threads.

use std::ops::Range;

use crate::kernels::blocks::Blocks;
use crate::kernels::scratch::Scratch;

/// Height, width and channels of a map [N, H, W, C].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MapSize {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Numbers at each place.
    pub channels: usize,
}

impl MapSize {
    /// Numbers in one image.
    #[must_use]
    pub fn len(self) -> usize {
        self.places() * self.channels
    }

    /// Whether an image has no number at all.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Places in one image.
    #[must_use]
    pub fn places(self) -> usize {
        self.height * self.width
    }

    /// Numbers in one row.
    #[must_use]
    pub fn row_len(self) -> usize {
        self.width * self.channels
    }
}

/// The bands of a batch of maps.
#[derive(Clone, Copy, Debug)]
pub struct Bands {
    /// What each image is.
    pub(crate) size: MapSize,
    images: Blocks,
    rows: Blocks,
}

impl Bands {
    /// Bands of about `places` places whose first rows are multiples of `grain`.
    pub(crate) fn new(images: usize, size: MapSize, places: usize, grain: usize) -> Self {
        let rows = (places / size.width.max(1)).max(grain);
        if rows >= size.height {
            let each = (places / size.places().max(1)).max(1);
            return Self {
                size,
                images: Blocks::at_most(images, each, 1),
                rows: Blocks::exactly(size.height, 1, 1),
            };
        }
        Self {
            size,
            images: Blocks::at_most(images, 1, 1),
            rows: Blocks::at_most(size.height, rows, grain),
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.images.count() * self.rows.count()
    }

    /// Band `index`, images first, then rows.
    pub(crate) fn band(&self, index: usize) -> Band {
        Band {
            size: self.size,
            images: self.images.range(index / self.rows.count()),
            rows: self.rows.range(index % self.rows.count()),
        }
    }

    /// All of them, in the order of their places in memory.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Band> + use<> {
        let bands = *self;
        (0..bands.count()).map(move |index| bands.band(index))
    }

    /// Cuts numbers, `per_place` of them at each place, into the bands' own.
    pub(crate) fn split<'a, T>(&self, mut data: &'a mut [T], per_place: usize) -> Vec<&'a mut [T]> {
        self.iter()
            .map(|band| {
                let (own, rest) = std::mem::take(&mut data).split_at_mut(band.places() * per_place);
                data = rest;
                own
            })
            .collect()
    }
}

/// Some rows of some images: either one image, or all rows.
#[derive(Clone, Debug)]
pub struct Band {
    /// What each image is.
    pub(crate) size: MapSize,
    pub(crate) images: Range<usize>,
    pub(crate) rows: Range<usize>,
}

impl Band {
    pub(crate) fn places(&self) -> usize {
        self.images.len() * self.rows.len() * self.size.width
    }

    /// Numbers in the band.
    pub(crate) fn len(&self) -> usize {
        self.places() * self.size.channels
    }

    /// Its first place, counted through all images.
    pub(crate) fn first_place(&self) -> usize {
        self.images.start * self.size.places() + self.rows.start * self.size.width
    }
}

/// Where the numbers of a map come from: stored ones, or ones worked out as they are read.
pub trait Source: Sync {
    /// What each image is.
    fn size(&self) -> MapSize;

    /// Writes a row of an image: [W, C].
    fn row(&self, image: usize, row: usize, target: &mut [f32]);
}

/// Rows with zeros around them, as a kernel sees them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Padded {
    /// The first row, which may lie above the map.
    pub(crate) first_row: isize,
    pub(crate) rows: usize,
    /// Zeros before the map's first column.
    pub(crate) left: usize,
    /// Columns with the zeros on both sides.
    pub(crate) width: usize,
    /// Numbers at each place; those behind the map's channels are zeros.
    pub(crate) channels: usize,
}

impl Padded {
    pub(crate) fn row_len(self) -> usize {
        self.width * self.channels
    }

    pub(crate) fn len(self) -> usize {
        self.rows * self.row_len()
    }

    /// Writes the rows of an image.
    #[inline(always)]
    pub(crate) fn fill(self, source: &impl Source, image: usize, target: &mut [f32]) {
        let size = source.size();
        let rows = target[..self.len()].chunks_exact_mut(self.row_len());
        for (place, target) in rows.enumerate() {
            let row = self.first_row + place as isize;
            match usize::try_from(row) {
                Ok(row) if row < size.height => self.fill_row(source, [image, row], target),
                _ => target.fill(0.0),
            }
        }
    }

    #[inline(always)]
    fn fill_row(self, source: &impl Source, [image, row]: [usize; 2], target: &mut [f32]) {
        let size = source.size();
        let start = self.left * self.channels;
        let (before, rest) = target.split_at_mut(start);
        before.fill(0.0);
        let shown = size.width.min(self.width - self.left);
        let (inside, after) = rest.split_at_mut(shown * self.channels);
        after.fill(0.0);
        if self.channels == size.channels && shown == size.width {
            source.row(image, row, inside);
            return;
        }
        // A map that is wider, or has fewer channels, goes through a row of its own.
        let mut whole = Scratch::new(size.row_len());
        source.row(image, row, &mut whole);
        let places = inside.chunks_exact_mut(self.channels);
        for (target, place) in places.zip(whole.chunks_exact(size.channels)) {
            let (numbers, zeros) = target.split_at_mut(size.channels);
            numbers.copy_from_slice(place);
            zeros.fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_cover_every_place_once_in_order() {
        for (images, height, width) in [(1, 1, 1), (3, 9, 4), (5, 80, 80), (7, 10, 10)] {
            for grain in [1, 2, 4] {
                let size = MapSize {
                    height,
                    width,
                    channels: 2,
                };
                let bands = Bands::new(images, size, 300, grain);
                let mut next = 0;
                for band in bands.iter() {
                    assert_eq!(band.first_place(), next);
                    assert_eq!(band.rows.start % grain, 0);
                    next += band.places();
                }
                assert_eq!(next, images * size.places());
                let mut numbers = vec![0u8; next * 3];
                assert_eq!(bands.split(&mut numbers, 3).len(), bands.count());
            }
        }
    }
}
