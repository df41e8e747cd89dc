//! A draw applied to a picture: flip, rotation, affine map, as torchvision does them one after the
//! other, in one gather.
//!
//! Each output pixel asks the affine map for a pixel of the rotated picture, the rotation for one
//! of the flipped picture, and so for one of the input. Pixels from outside are 0.

use crate::draw::AffineDraw;
use crate::matrix;
use crate::nearest::NearestMap;
use crate::pixels::Pixels;

/// A draw made ready for pictures of one size.
#[derive(Debug)]
pub(crate) struct Warp {
    flip: bool,
    rotation: NearestMap,
    affine: NearestMap,
    width: usize,
    height: usize,
}

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

    /// Calls `put(output pixel, input pixel)` for each pixel of the output, row by row; `None` is
    /// black. This loop is the seam for SIMD: it alone decides which pixel is shown where.
    #[inline]
    pub(crate) fn for_each_pixel(&self, mut put: impl FnMut(usize, Option<usize>)) {
        // One instance of the loop for the maps of nearly all draws, one for the rest.
        match (&self.affine, &self.rotation) {
            (NearestMap::Fixed(affine), NearestMap::Fixed(rotation)) => self.gather(
                |x, y| affine.pixel(x, y),
                |x, y| rotation.pixel(x, y),
                &mut put,
            ),
            (affine, rotation) => self.gather(
                |x, y| affine.pixel(x, y),
                |x, y| rotation.pixel(x, y),
                &mut put,
            ),
        }
    }

    #[inline]
    fn gather(
        &self,
        affine: impl Fn(i32, i32) -> (i32, i32),
        rotation: impl Fn(i32, i32) -> (i32, i32),
        put: &mut impl FnMut(usize, Option<usize>),
    ) {
        let (width, height) = (self.width as i32, self.height as i32);
        // A negative number is a large one without its sign: one comparison for both ends.
        let is_inside =
            |(x, y): (i32, i32)| (x as u32) < width as u32 && (y as u32) < height as u32;
        let mut place = 0;
        for y in 0..height {
            for x in 0..width {
                let turned = affine(x, y);
                let mut source = None;
                if is_inside(turned) {
                    let flipped = rotation(turned.0, turned.1);
                    if is_inside(flipped) {
                        let column = if self.flip {
                            width - 1 - flipped.0
                        } else {
                            flipped.0
                        };
                        source = Some(flipped.1 as usize * self.width + column as usize);
                    }
                }
                put(place, source);
                place += 1;
            }
        }
    }

    /// The picture as the network will see it, still in bytes.
    pub(crate) fn apply(&self, pixels: &Pixels) -> Pixels {
        let n = pixels.channels().count();
        let input = pixels.data();
        let mut data = vec![0; input.len()];
        self.for_each_pixel(|place, source| {
            if let Some(source) = source {
                data[place * n..][..n].copy_from_slice(&input[source * n..][..n]);
            }
        });
        Pixels::of_checked(self.width, self.height, pixels.channels(), data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::Channels;

    fn ramp(width: u32, height: u32) -> Pixels {
        let data = (0..width * height).map(|v| (v % 251) as u8).collect();
        Pixels::new(width, height, Channels::Gray, data).unwrap()
    }

    #[test]
    fn the_identity_is_a_copy_and_a_flip_mirrors_each_row() {
        let picture = ramp(7, 3);
        let same = Warp::new(&AffineDraw::IDENTITY, 7, 3).apply(&picture);
        assert_eq!(same, picture);
        let flip = AffineDraw {
            flip: true,
            ..AffineDraw::IDENTITY
        };
        let flipped = Warp::new(&flip, 7, 3).apply(&picture);
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
        let step = |picture: &Pixels, draw| Warp::new(&draw, 48, 31).apply(picture);
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
