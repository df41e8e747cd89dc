//! Bytes of pictures into the network's input, with the arithmetic of `cxr-augment`'s transforms.

use super::super::checks::Call;
use super::super::{GatherKind, Part, PictureGather, Result};
use super::{Numbers, Real};

/// What a batch is made of.
pub(super) struct Batch<'a> {
    pub(super) call: Call,
    pub(super) images: usize,
    /// Height and width.
    pub(super) size: [usize; 2],
    pub(super) picture_channels: usize,
    pub(super) pixels: &'a [u8],
    pub(super) gathers: &'a [u8],
    pub(super) tables: &'a [u8],
    pub(super) norms: [(f32, f32); 3],
}

impl Batch<'_> {
    fn places(&self) -> usize {
        self.size[0] * self.size[1]
    }

    fn width(&self) -> usize {
        self.size[1]
    }

    /// Fills maps of `T::PRECISION`'s input channels.
    pub(super) fn fill<T: Real>(&self, output: &mut Numbers<T>) -> Result<()> {
        let channels = T::PRECISION.input_channels();
        let (gathers, _) = self.gathers.as_chunks::<{ PictureGather::BYTES }>();
        for (image, bytes) in gathers.iter().take(self.images).enumerate() {
            let Some(gather) = PictureGather::from_bytes(bytes) else {
                return self
                    .call
                    .refuse(format!("gather {image} is of no known kind"));
            };
            let picture = self.picture(&gather)?;
            for place in 0..self.places() {
                let start = (image * self.places() + place) * channels;
                output.put_all(start, vec![0.0; channels]);
                for (channel, norm) in self.norms.iter().enumerate() {
                    let level = self.level(&gather.kind, picture, place, channel);
                    output.put(start + channel, normalized(level, *norm).into());
                }
            }
        }
        Ok(())
    }

    /// The bytes of a picture whose gather stays within the buffers.
    fn picture(&self, gather: &PictureGather) -> Result<&[u8]> {
        let len = self.places() * self.picture_channels;
        let start = usize::try_from(gather.start).unwrap_or(usize::MAX);
        let part = Part { start, len };
        self.call
            .holds_part("the pixels", self.pixels.len(), part)?;
        let (table, len) = match gather.kind {
            GatherKind::Separable { table, .. } => (table, self.size[0] + self.size[1]),
            GatherKind::Table { table } => (table, self.places()),
            _ => (0, 0),
        };
        let start = table as usize;
        let part = Part { start, len };
        self.call
            .holds_part("the tables", self.tables.len() / 4, part)?;
        Ok(&self.pixels[gather.start as usize..][..self.places() * self.picture_channels])
    }

    /// The level of a channel at a place of the output, 0 to 255.
    fn level(&self, kind: &GatherKind, picture: &[u8], place: usize, channel: usize) -> f32 {
        let channel = channel.min(self.picture_channels - 1);
        let (x, y) = ((place % self.width()) as i32, (place / self.width()) as i32);
        let source = match *kind {
            GatherKind::Still => Some((x, y)),
            GatherKind::Fixed {
                flip,
                rotation,
                affine,
            } => self.turned(fixed(&affine, (x, y)), &rotation, flip),
            GatherKind::Separable {
                flip,
                rotation,
                table,
            } => {
                let rows = table as usize + self.width();
                let first = (
                    self.table_entry(table as usize + x as usize),
                    self.table_entry(rows + y as usize),
                );
                self.turned(first, &rotation, flip)
            }
            GatherKind::Table { table } => {
                let entry = self.table_entry(table as usize + place);
                let width = self.width() as i32;
                (entry >= 0).then(|| (entry % width, entry / width))
            }
            GatherKind::Bilinear { matrix } => {
                return self.between(&matrix, picture, (x, y), channel);
            }
        };
        self.byte(picture, source.unwrap_or((-1, -1)), channel)
            .into()
    }

    fn table_entry(&self, index: usize) -> i32 {
        let (words, _) = self.tables.as_chunks::<4>();
        i32::from_le_bytes(words[index])
    }

    /// Through the rotation and the mirror, if the place exists between them.
    fn turned(&self, first: (i32, i32), rotation: &[i32; 6], flip: bool) -> Option<(i32, i32)> {
        if !self.is_inside(first) {
            return None;
        }
        let (x, y) = fixed(rotation, first);
        if !self.is_inside((x, y)) {
            return None;
        }
        let last = self.width() as i32 - 1;
        Some((if flip { last - x } else { x }, y))
    }

    fn is_inside(&self, (x, y): (i32, i32)) -> bool {
        x >= 0 && y >= 0 && (x as usize) < self.width() && (y as usize) < self.size[0]
    }

    /// The byte of a channel; black outside.
    fn byte(&self, picture: &[u8], (x, y): (i32, i32), channel: usize) -> u8 {
        if !self.is_inside((x, y)) {
            return 0;
        }
        let place = y as usize * self.width() + x as usize;
        picture[place * self.picture_channels + channel]
    }

    /// The level between four pixels.
    fn between(
        &self,
        [a, b, c, d, e, f]: &[f64; 6],
        picture: &[u8],
        (x, y): (i32, i32),
        channel: usize,
    ) -> f32 {
        let (column, row) = (f64::from(x) + 0.5, f64::from(y) + 0.5);
        let source_x = a * column + b * row + c - 0.5;
        let source_y = d * column + e * row + f - 0.5;
        let (width, height) = (self.width() as f64, self.size[0] as f64);
        let is_near = source_x >= -1.0 && source_x < width && source_y >= -1.0 && source_y < height;
        if !is_near {
            return 0.0;
        }
        let (left, top) = (source_x.floor(), source_y.floor());
        let right_share = (source_x - left) as f32;
        let lower_share = (source_y - top) as f32;
        let along = |row: i32| {
            let level = |column| f32::from(self.byte(picture, (column, row), channel));
            let left = left as i32;
            level(left) * (1.0 - right_share) + level(left + 1) * right_share
        };
        let top = top as i32;
        along(top) * (1.0 - lower_share) + along(top + 1) * lower_share
    }
}

/// A place under a map in 16.16 fixed point.
fn fixed([a, b, x0, d, e, y0]: &[i32; 6], (x, y): (i32, i32)) -> (i32, i32) {
    let sum = |start: &i32, per_x: &i32, per_y: &i32| {
        start
            .wrapping_add(per_x.wrapping_mul(x))
            .wrapping_add(per_y.wrapping_mul(y))
    };
    (sum(x0, a, b) >> 16, sum(y0, d, e) >> 16)
}

/// One rounding a step, in f32 on every device.
fn normalized(level: f32, (mean, deviation): (f32, f32)) -> f32 {
    (level / 255.0 - mean) / deviation
}

/// Planes [N, 3, H, W] into maps of `T::PRECISION`'s input channels.
pub(super) fn fill_planes<T: Real>(
    images: usize,
    places: usize,
    planes: &Numbers<T::Float>,
    output: &mut Numbers<T>,
) {
    let channels = T::PRECISION.input_channels();
    for place in 0..images * places {
        let (image, within) = (place / places, place % places);
        let numbers = (0..channels).map(|channel| match channel {
            0..3 => planes.at((image * 3 + channel) * places + within),
            _ => 0.0,
        });
        output.put_all(place * channels, numbers);
    }
}
