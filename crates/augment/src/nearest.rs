//! Pillow's nearest-neighbour maps: from a place in the output to the pixel that it shows.
//!
//! Reference: `Geometry.c` of Pillow 13 and `Image.rotate`. Which of its paths a matrix takes
//! decides single pixels, so each is here: a scaling (f64 sums per axis), a 16.16 fixed-point map, and
//! f64 sums where fixed point would overflow. Copies and turns by right angles are fixed-point maps.

use crate::matrix::{self, Matrix};

/// A pixel outside of the picture.
const OUTSIDE: (i32, i32) = (-1, -1);

/// From an output place to an input pixel of a picture of the same size.
#[derive(Debug)]
pub(crate) enum NearestMap {
    /// Each axis on its own; −1 is outside.
    Separable { columns: Vec<i32>, rows: Vec<i32> },
    /// 16.16 fixed point; a copy and turns by right angles are such maps too.
    Fixed(Fixed),
    /// Written out for each pixel, row by row.
    Tabulated {
        width: usize,
        pixels: Vec<(i32, i32)>,
    },
}

/// x' = (x0 + a·x + b·y) >> 16, y' = (y0 + d·x + e·y) >> 16.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed {
    a: i32,
    b: i32,
    x0: i32,
    d: i32,
    e: i32,
    y0: i32,
}

impl NearestMap {
    /// Pillow's `rotate(degrees, NEAREST)`, counter-clockwise, about the centre.
    pub(crate) fn rotation(degrees: f64, width: usize, height: usize) -> Self {
        let turn = degrees.rem_euclid(360.0);
        let is = |right_angle: u16| turn.to_bits() == f64::from(right_angle).to_bits();
        let (last_x, last_y) = (width as i32 - 1, height as i32 - 1);
        // A remainder may round up to the whole circle, which Pillow takes for what it is.
        if is(0) {
            Self::Fixed(Fixed::of_whole([1, 0, 0], [0, 1, 0]))
        } else if is(180) {
            Self::Fixed(Fixed::of_whole([-1, 0, last_x], [0, -1, last_y]))
        } else if is(90) && width == height {
            Self::Fixed(Fixed::of_whole([0, -1, last_y], [1, 0, 0]))
        } else if is(270) && width == height {
            Self::Fixed(Fixed::of_whole([0, 1, 0], [-1, 0, last_x]))
        } else {
            Self::of_matrix(&matrix::rotation(degrees, width, height), width, height)
        }
    }

    /// Pillow's `transform(size, AFFINE, matrix, NEAREST)`.
    pub(crate) fn of_matrix(matrix: &Matrix, width: usize, height: usize) -> Self {
        let [_, b, _, d, _, _] = *matrix;
        if is_zero(b) && is_zero(d) {
            Self::scaling(matrix, width, height)
        } else if fits_fixed_point(matrix, width as f64, height as f64) {
            Self::Fixed(Fixed::new(matrix))
        } else {
            Self::summed(matrix, width, height)
        }
    }

    /// The input pixel of an output pixel; either number may be outside of the picture.
    #[inline]
    pub(crate) fn pixel(&self, x: i32, y: i32) -> (i32, i32) {
        match self {
            Self::Separable { columns, rows } => (columns[x as usize], rows[y as usize]),
            Self::Fixed(fixed) => fixed.pixel(x, y),
            Self::Tabulated { width, pixels } => pixels[y as usize * width + x as usize],
        }
    }

    /// `ImagingScaleAffine`.
    fn scaling(matrix: &Matrix, width: usize, height: usize) -> Self {
        let [a, _, c, _, e, f] = *matrix;
        let axis = |start: f64, step: f64, n: usize| {
            let mut place = start;
            let mut pixels = Vec::with_capacity(n);
            for _ in 0..n {
                pixels.push(truncated(place, n));
                place += step;
            }
            pixels
        };
        Self::Separable {
            columns: axis(c + a * 0.5, a, width),
            rows: axis(f + e * 0.5, e, height),
        }
    }

    /// The last loop of `ImagingTransformAffine`: sums of f64, row by row.
    fn summed(matrix: &Matrix, width: usize, height: usize) -> Self {
        let [a, b, c, d, e, f] = *matrix;
        let mut row_x = c + b * 0.5 + a * 0.5;
        let mut row_y = f + e * 0.5 + d * 0.5;
        let mut pixels = Vec::with_capacity(width * height);
        for _ in 0..height {
            let (mut x, mut y) = (row_x, row_y);
            for _ in 0..width {
                pixels.push(match (truncated(x, width), truncated(y, height)) {
                    (-1, _) | (_, -1) => OUTSIDE,
                    pixel => pixel,
                });
                x += a;
                y += d;
            }
            row_x += b;
            row_y += e;
        }
        Self::Tabulated { width, pixels }
    }
}

impl Fixed {
    fn new(matrix: &Matrix) -> Self {
        let [a, b, c, d, e, f] = *matrix;
        let fixed = |value: f64| (value * 65536.0 + 0.5).floor() as i32;
        Self {
            a: fixed(a),
            b: fixed(b),
            x0: fixed(c + a * 0.5 + b * 0.5),
            d: fixed(d),
            e: fixed(e),
            y0: fixed(f + d * 0.5 + e * 0.5),
        }
    }

    /// x' = a·x + b·y + c and y' = d·x + e·y + f of whole numbers, exactly.
    fn of_whole([a, b, c]: [i32; 3], [d, e, f]: [i32; 3]) -> Self {
        Self {
            a: a << 16,
            b: b << 16,
            x0: c << 16,
            d: d << 16,
            e: e << 16,
            y0: f << 16,
        }
    }

    /// [a, b, x0, d, e, y0].
    pub(crate) fn terms(&self) -> [i32; 6] {
        [self.a, self.b, self.x0, self.d, self.e, self.y0]
    }

    /// The input pixel of an output pixel; the sums wrap, as Pillow's never need to.
    #[inline(always)]
    pub(crate) fn pixel(&self, x: i32, y: i32) -> (i32, i32) {
        let sum = |start: i32, per_x: i32, per_y: i32| {
            start
                .wrapping_add(per_x.wrapping_mul(x))
                .wrapping_add(per_y.wrapping_mul(y))
        };
        (
            sum(self.x0, self.a, self.b) >> 16,
            sum(self.y0, self.d, self.e) >> 16,
        )
    }
}

/// `COORD` and the comparison behind it: the pixel, or −1 outside of 0..n.
fn truncated(place: f64, n: usize) -> i32 {
    if place >= 0.0 && place < n as f64 {
        place as i32
    } else {
        -1
    }
}

/// `check_fixed` at the four corners.
fn fits_fixed_point(matrix: &Matrix, width: f64, height: f64) -> bool {
    let [a, b, c, d, e, f] = *matrix;
    [(0.0, 0.0), (width, height), (0.0, height), (width, 0.0)]
        .iter()
        .all(|&(x, y)| (x * a + y * b + c).abs() < 32768.0 && (x * d + y * e + f).abs() < 32768.0)
}

/// Exactly 0, of either sign.
fn is_zero(value: f64) -> bool {
    value.abs().to_bits() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_by_right_angles_are_exact() {
        let all = |degrees: f64, width: usize, height: usize| {
            let map = NearestMap::rotation(degrees, width, height);
            let (width, height) = (width as i32, height as i32);
            let places = (0..height).flat_map(move |y| (0..width).map(move |x| (x, y)));
            places
                .map(move |(x, y)| ((x, y), map.pixel(x, y)))
                .collect::<Vec<_>>()
        };
        assert!(all(0.0, 5, 3).iter().all(|&(place, pixel)| place == pixel));
        assert!(
            all(360.0, 5, 3)
                .iter()
                .all(|&(place, pixel)| place == pixel)
        );
        for ((x, y), pixel) in all(-180.0, 5, 3) {
            assert_eq!(pixel, (4 - x, 2 - y));
        }
        for ((x, y), pixel) in all(90.0, 7, 7) {
            assert_eq!(pixel, (6 - y, x));
        }
        for ((x, y), pixel) in all(270.0, 7, 7) {
            assert_eq!(pixel, (y, 6 - x));
        }
    }

    #[test]
    fn fixed_point_rounds_halves_upwards_also_below_zero() {
        let half = 0.5 / 65536.0;
        let matrix = [0.0, 1.0, -half - 0.5, 1.0, 0.0, half - 0.5];
        let fixed = Fixed::new(&matrix);
        assert_eq!((fixed.x0, fixed.y0), (0, 1));
    }

    #[test]
    fn a_map_that_would_overflow_fixed_point_is_summed() {
        let matrix = [100.0, 3000.0, -3000.0 * 35.0, 0.0, 100.0, -3400.0];
        let map = NearestMap::of_matrix(&matrix, 100, 70);
        assert!(matches!(map, NearestMap::Tabulated { .. }));
        let modest = [1.0, 0.3, -5.0, 0.0, 1.0, 4.0];
        assert!(matches!(
            NearestMap::of_matrix(&modest, 100, 70),
            NearestMap::Fixed(_)
        ));
    }
}
