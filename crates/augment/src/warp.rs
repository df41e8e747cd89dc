//! A draw applied to a picture: flip, rotation, affine map, as torchvision does them one after the
//! other, in one gather.
//!
//! Each output pixel asks the affine map for a pixel of the rotated picture, the rotation for one
//! of the flipped picture, and so for one of the input. Pixels from outside are 0.

use cxr_isa::Isa;
use pulp::{Simd, WithSimd};

use crate::draw::AffineDraw;
use crate::matrix;
use crate::nearest::NearestMap;
use crate::pixels::{Picture, Pixels};

/// A draw made ready for pictures of one size.
#[derive(Debug)]
pub(crate) struct Warp {
    pub(crate) flip: bool,
    pub(crate) rotation: NearestMap,
    pub(crate) affine: NearestMap,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// The source of an output pixel that lies outside: beyond every picture, and three times it fits.
pub(crate) const OUTSIDE: u32 = u32::MAX / 4;

impl Warp {
    pub(crate) fn new(draw: &AffineDraw, width: usize, height: usize) -> Self {
        let shift = (draw.tx, draw.ty);
        let affine = matrix::affine(shift, draw.scale, draw.shear_x, (width, height));
        Self {
            flip: draw.flip,
            rotation: NearestMap::rotation(draw.angle, width, height),
            affine: NearestMap::of_matrix(&affine, width, height),
            width,
            height,
        }
    }

    /// For each pixel of output row `y`, which pixel of the input it shows; beyond every picture
    /// where it is black.
    #[inline(always)]
    pub(crate) fn sources_of_row(&self, y: usize, sources: &mut [u32]) {
        let y = y as i32;
        // Plain loops without a branch, so that each set's instructions can be used; the maps of
        // nearly all draws have their own.
        match (&self.affine, &self.rotation) {
            (NearestMap::Fixed(affine), NearestMap::Fixed(rotation)) => {
                for (x, source) in (0..).zip(sources) {
                    let (u, v) = affine.pixel(x, y);
                    *source = self.source((u, v), rotation.pixel(u, v));
                }
            }
            (NearestMap::Separable { columns, rows }, NearestMap::Fixed(rotation)) => {
                let v = rows[y as usize];
                for (&u, source) in columns.iter().zip(sources) {
                    *source = self.source((u, v), rotation.pixel(u, v));
                }
            }
            (affine, rotation) => {
                for (x, source) in (0..).zip(sources) {
                    let (u, v) = affine.pixel(x, y);
                    *source = if self.is_inside((u, v)) {
                        self.source((u, v), rotation.pixel(u, v))
                    } else {
                        OUTSIDE
                    };
                }
            }
        }
    }

    /// The place of pixel `flipped` of the flipped picture in the input, if it and pixel `turned` of
    /// the rotated one exist.
    #[inline(always)]
    fn source(&self, turned: (i32, i32), flipped: (i32, i32)) -> u32 {
        let width = self.width as i32;
        let column = if self.flip {
            (width - 1).wrapping_sub(flipped.0)
        } else {
            flipped.0
        };
        let place = flipped.1.wrapping_mul(width).wrapping_add(column);
        // Without short cuts: a branch would keep the loop from being vectorised.
        if self.is_inside(turned) & self.is_inside(flipped) {
            place as u32
        } else {
            OUTSIDE
        }
    }

    #[inline(always)]
    fn is_inside(&self, (x, y): (i32, i32)) -> bool {
        // A negative number is a large one without its sign: one comparison for both ends.
        ((x as u32) < self.width as u32) & ((y as u32) < self.height as u32)
    }

    /// The picture as the network will see it, still in bytes.
    pub(crate) fn apply(&self, picture: Picture<'_>, isa: Isa) -> Pixels {
        struct Rows<'a> {
            warp: &'a Warp,
            picture: Picture<'a>,
            data: &'a mut [u8],
        }
        impl WithSimd for Rows<'_> {
            type Output = ();
            #[inline(always)]
            fn with_simd<S: Simd>(self, _simd: S) {
                let n = self.picture.channels().count();
                let mut sources = vec![0; self.warp.width];
                let rows = self.data.chunks_exact_mut(self.warp.width * n);
                for (y, row) in rows.enumerate() {
                    self.warp.sources_of_row(y, &mut sources);
                    for (pixel, &source) in row.chunks_exact_mut(n).zip(&sources) {
                        for (channel, value) in pixel.iter_mut().enumerate() {
                            *value = shown(self.picture.data(), source as usize * n + channel);
                        }
                    }
                }
            }
        }
        let mut data = vec![0; picture.data().len()];
        isa.run(Rows {
            warp: self,
            picture,
            data: &mut data,
        });
        Pixels::of_checked(self.width, self.height, picture.channels(), data)
    }
}

/// The grey bytes of a row at the places that [`Warp::sources_of_row`] gave.
#[inline(always)]
pub(crate) fn gather(data: &[u8], sources: &[u32], bytes: &mut [u8]) {
    for (byte, &source) in bytes.iter_mut().zip(sources) {
        *byte = shown(data, source as usize);
    }
}

/// The byte at a place that [`Warp::sources_of_row`] gave; black outside.
#[inline(always)]
pub(crate) fn shown(data: &[u8], place: usize) -> u8 {
    data.get(place).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::Channels;

    fn ramp(width: u32, height: u32) -> Pixels {
        let data = (0..width * height).map(|v| (v % 251) as u8).collect();
        Pixels::new(width, height, Channels::Gray, data).unwrap()
    }

    fn warped(picture: &Pixels, draw: &AffineDraw) -> Pixels {
        let warp = Warp::new(draw, picture.width() as usize, picture.height() as usize);
        let [widest, others @ ..] = Isa::ALL.map(|isa| warp.apply(picture.into(), isa));
        assert!(others.iter().all(|other| *other == widest));
        widest
    }

    #[test]
    fn the_identity_is_a_copy_and_a_flip_mirrors_each_row() {
        let picture = ramp(7, 3);
        let same = warped(&picture, &AffineDraw::IDENTITY);
        assert_eq!(same, picture);
        let flip = AffineDraw {
            flip: true,
            ..AffineDraw::IDENTITY
        };
        let flipped = warped(&picture, &flip);
        for (row, mirrored) in picture.data().chunks(7).zip(flipped.data().chunks(7)) {
            assert!(row.iter().eq(mirrored.iter().rev()));
        }
    }

    #[test]
    fn one_gather_equals_the_three_steps_one_after_the_other() {
        let picture = ramp(48, 31);
        let draw = AffineDraw {
            flip: true,
            angle: 17.3,
            tx: 5,
            ty: -3,
            scale: 0.83,
            shear_x: -12.5,
        };
        let step = |picture: &Pixels, draw| warped(picture, &draw);
        let none = AffineDraw::IDENTITY;
        let flipped = step(&picture, AffineDraw { flip: true, ..none });
        let turned = step(
            &flipped,
            AffineDraw {
                angle: draw.angle,
                ..none
            },
        );
        let last = step(
            &turned,
            AffineDraw {
                flip: false,
                angle: 0.0,
                ..draw
            },
        );
        assert_eq!(step(&picture, draw), last);
        assert_ne!(last, picture);
    }
}
