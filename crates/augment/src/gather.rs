//! A draw as what each output place shows, for transforms that run elsewhere: on a card.
//!
//! The same maps that the transforms of this crate apply, made ready once a picture; whoever gathers
//! by them gets the same pixels. Deliberately not here: any device.

use crate::bilinear;
use crate::draw::AffineDraw;
use crate::nearest::NearestMap;
use crate::transform::{Interpolation, TrainTransform};
use crate::warp::{OUTSIDE, Warp};

/// How places of the output become places of the picture. Outside is black.
///
/// A map of six whole numbers [a, b, x0, d, e, y0] is in 16.16 fixed point:
/// x′ = (x0 + a·x + b·y) >> 16, y′ = (y0 + d·x + e·y) >> 16, with sums that wrap.
#[derive(Clone, Debug, PartialEq)]
pub enum Gather {
    /// As they are: evaluation.
    Still,
    /// Through `affine`, then, where that is inside, through `rotation`, then mirrored along the
    /// row where `flip`.
    Fixed {
        /// The mirror.
        flip: bool,
        /// The second map.
        rotation: [i32; 6],
        /// The first map.
        affine: [i32; 6],
    },
    /// The same with a first map that treats each axis on its own; −1 is outside.
    Separable {
        /// The mirror.
        flip: bool,
        /// The second map.
        rotation: [i32; 6],
        /// The column of each x.
        columns: Vec<i32>,
        /// The row of each y.
        rows: Vec<i32>,
    },
    /// The place of each place, row by row; −1 is outside. For the few draws whose maps are
    /// neither.
    Table(Vec<i32>),
    /// Between four pixels, at a·(x+½) + b·(y+½) + c − ½ and d·(x+½) + e·(y+½) + f − ½ for
    /// [a, b, c, d, e, f], beyond the edge fading into black.
    Bilinear {
        /// The map.
        matrix: [f64; 6],
    },
}

impl TrainTransform {
    /// What [`TrainTransform::apply`] does to a picture under this draw, but for the norm.
    ///
    /// ```
    /// use cxr_augment::{AffineDraw, AffineRanges, Gather, Preprocess, TrainTransform};
    /// let spec = Preprocess { width: 3, height: 2, ..Preprocess::default() };
    /// let transform = TrainTransform::new(spec, AffineRanges::seed())?;
    /// let mirror = AffineDraw { flip: true, ..AffineDraw::IDENTITY };
    /// let Gather::Separable { flip, columns, rows, .. } = transform.gather(&mirror) else {
    ///     panic!("a map without shear treats each axis on its own");
    /// };
    /// assert!(flip);
    /// assert_eq!((columns, rows), (vec![0, 1, 2], vec![0, 1]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn gather(&self, draw: &AffineDraw) -> Gather {
        let spec = self.spec();
        let (width, height) = (spec.width as usize, spec.height as usize);
        match self.interpolation() {
            Interpolation::Bilinear => Gather::Bilinear {
                matrix: bilinear::matrix_of(draw, width, height),
            },
            Interpolation::NearestParity => Warp::new(draw, width, height).gather(),
        }
    }
}

impl Warp {
    fn gather(self) -> Gather {
        let flip = self.flip;
        match (self.affine, self.rotation) {
            (NearestMap::Fixed(affine), NearestMap::Fixed(rotation)) => Gather::Fixed {
                flip,
                rotation: rotation.terms(),
                affine: affine.terms(),
            },
            (NearestMap::Separable { columns, rows }, NearestMap::Fixed(rotation)) => {
                Gather::Separable {
                    flip,
                    rotation: rotation.terms(),
                    columns,
                    rows,
                }
            }
            (affine, rotation) => Gather::Table(
                Self {
                    affine,
                    rotation,
                    ..self
                }
                .table(),
            ),
        }
    }

    /// The source of every place, row by row.
    fn table(&self) -> Vec<i32> {
        let mut sources = vec![0; self.width];
        let mut table = Vec::with_capacity(self.width * self.height);
        for y in 0..self.height {
            self.sources_of_row(y, &mut sources);
            let places = sources.iter().map(|&source| match source {
                OUTSIDE => -1,
                source => i32::try_from(source).unwrap_or(-1),
            });
            table.extend(places);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::AffineRanges;
    use crate::preprocess::Preprocess;

    /// The source of a place as the documentation of [`Gather`] says it.
    fn source(gather: &Gather, (x, y): (usize, usize), (width, height): (usize, usize)) -> i32 {
        let inside = |(x, y): (i32, i32)| x >= 0 && x < width as i32 && y >= 0 && y < height as i32;
        let fixed = |[a, b, x0, d, e, y0]: [i32; 6], (x, y): (i32, i32)| {
            let sum = |start: i32, by_x: i32, by_y: i32| {
                start
                    .wrapping_add(by_x.wrapping_mul(x))
                    .wrapping_add(by_y.wrapping_mul(y))
                    >> 16
            };
            (sum(x0, a, b), sum(y0, d, e))
        };
        let place = (x as i32, y as i32);
        let (turned, rotation, flip) = match gather {
            Gather::Fixed {
                flip,
                rotation,
                affine,
            } => (fixed(*affine, place), *rotation, *flip),
            Gather::Separable {
                flip,
                rotation,
                columns,
                rows,
            } => ((columns[x], rows[y]), *rotation, *flip),
            Gather::Table(table) => return table[y * width + x],
            Gather::Still | Gather::Bilinear { .. } => unreachable!("a nearest-neighbour draw"),
        };
        let (u, v) = fixed(rotation, turned);
        if !inside(turned) || !inside((u, v)) {
            return -1;
        }
        let u = if flip { width as i32 - 1 - u } else { u };
        v * width as i32 + u
    }

    #[test]
    fn every_form_of_a_gather_names_the_places_of_the_warp() {
        let (width, height) = (37, 23);
        let spec = Preprocess {
            width: width as u32,
            height: height as u32,
            ..Preprocess::default()
        };
        let transform = TrainTransform::new(spec, AffineRanges::seed()).unwrap();
        let sheared = (0..40).map(|index| transform.draw(7, 1, index));
        let straight = (0..10).map(|index| AffineDraw {
            shear_x: 0.0,
            ..transform.draw(7, 2, index)
        });
        // A scale that fixed point cannot hold, and a turn so small that only its cosine is left.
        let tiny = AffineDraw {
            scale: 1e-4,
            shear_x: 3.0,
            ..AffineDraw::IDENTITY
        };
        let barely = AffineDraw {
            angle: 1e-16,
            shear_x: 3.0,
            ..AffineDraw::IDENTITY
        };
        let mut forms = [0; 3];
        for draw in sheared.chain(straight).chain([tiny, barely]) {
            let warp = Warp::new(&draw, width, height);
            let gather = transform.gather(&draw);
            forms[match gather {
                Gather::Fixed { .. } => 0,
                Gather::Separable { .. } => 1,
                _ => 2,
            }] += 1;
            for (place, expected) in warp.table().into_iter().enumerate() {
                let (x, y) = (place % width, place / width);
                assert_eq!(
                    source(&gather, (x, y), (width, height)),
                    expected,
                    "{draw:?} {x} {y}"
                );
            }
        }
        assert!(forms.iter().all(|&n| n > 0), "{forms:?}");
    }
}
