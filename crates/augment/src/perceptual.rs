//! What a picture looks like from far away: 256 bits and 32 × 32 greys, nearly the same for a copy
//! that was resized, stored anew, made a little lighter or of more contrast.
//!
//! For whoever looks for one radiograph under two names. Chest radiographs resemble each other, so
//! the usual 64 bits do not do: on 1,585 real ones, different patients came as close as 6 bits of
//! 64, and as 50 of 256, where copies stay within 20. Deliberately not here: copies that are
//! mirrored, turned, inverted, or cut by more than a hundredth of a side, which are not recognised.

use std::sync::LazyLock;

use crate::pixels::{Channels, Pixels};
use crate::resize::resize;

/// A side of the small picture.
const SIDE: usize = 32;
/// Frequencies in each direction that a bit is kept of.
const FREQUENCIES: usize = 16;
/// The cosines of one more frequency: it stands in for the mean, which says how light a picture is.
const ROWS: usize = FREQUENCIES + 1;
/// Coefficients up to this are rounding, in a picture that has none of a frequency.
const ROUNDING: f64 = 1e-6;

/// Up to so many different bits of 256 two pictures may be copies; between 20, the most that a
/// copy of a real radiograph came to, and 34, the least between two radiographs of one patient.
pub const MAX_DISTANCE: u32 = 31;
/// From this correlation of their details on they are; between .843, the highest of different
/// patients on 1.2 million pairs (.967 of drawn ones on 12 million), and .972, the lowest of a copy
/// that was made lighter until it clipped.
pub const MIN_CORRELATION: f64 = 0.97;

/// What of a picture is compared.
///
/// ```
/// use cxr_augment::{Channels, Likeness, Pixels, resize};
/// let coarse = (0..20 * 18u32).map(|n| 40 + (n * n % 181) as u8).collect();
/// let film = resize(&Pixels::new(20, 18, Channels::Gray, coarse)?, 96, 80);
/// let small = Likeness::of(&resize(&film, 64, 48)).ok_or("too small")?;
/// let large = Likeness::of(&resize(&film, 150, 170)).ok_or("too small")?;
/// assert!(small.is_copy_of(&large));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Likeness {
    bits: [u64; 4],
    greys: Box<[u8]>,
}

impl Likeness {
    /// The likeness of a picture; `None` for one under 32 pixels high or wide, or of one grey: such
    /// pictures do not show whose they are.
    #[must_use]
    pub fn of(pixels: &Pixels) -> Option<Self> {
        let side = SIDE as u32;
        if pixels.width().min(pixels.height()) < side {
            return None;
        }
        let greys = grey(resize(pixels, side, side)); // [32, 32]
        let is_flat = greys.iter().all(|value| *value == greys[0]);
        (!is_flat).then(|| Self {
            bits: bits_of(&greys),
            greys: greys.into(),
        })
    }

    /// How many of the 256 bits differ.
    #[must_use]
    pub fn distance(&self, other: &Self) -> u32 {
        let words = self.bits.iter().zip(&other.bits);
        words.map(|(one, other)| (one ^ other).count_ones()).sum()
    }

    /// The correlation of what is finer than three of 32 pixels, from −1 to 1; 0 where one has no
    /// such detail. Bodies and films are alike in the large.
    #[must_use]
    pub fn correlation(&self, other: &Self) -> f64 {
        let (one, other) = (self.detail(), other.detail());
        let product = |one: &[i64], other: &[i64]| -> f64 {
            let products: i64 = one.iter().zip(other).map(|(a, b)| a * b).sum();
            let sums = one.iter().sum::<i64>() * other.iter().sum::<i64>();
            (one.len() as i64 * products - sums) as f64
        };
        let scale = (product(&one, &one) * product(&other, &other)).sqrt();
        if scale > 0.0 {
            product(&one, &other) / scale
        } else {
            0.0
        }
    }

    /// Nine times what each pixel is above the mean of its 3 × 3; beyond an edge lies the edge.
    fn detail(&self) -> Vec<i64> {
        let at = |row: usize, column: usize| i64::from(self.greys[row * SIDE + column]);
        let around = |place: usize| [place.saturating_sub(1), place, (place + 1).min(SIDE - 1)];
        let above = |place: usize| {
            let (row, column) = (place / SIDE, place % SIDE);
            let rows = around(row).into_iter();
            let sum: i64 = rows
                .flat_map(|row| around(column).map(|column| at(row, column)))
                .sum();
            9 * at(row, column) - sum
        };
        (0..SIDE * SIDE).map(above).collect()
    }

    /// Whether both are taken for copies of one picture.
    #[must_use]
    pub fn is_copy_of(&self, other: &Self) -> bool {
        self.distance(other) <= MAX_DISTANCE && self.correlation(other) >= MIN_CORRELATION
    }

    /// Of given bits, all with the same greys.
    #[cfg(test)]
    pub(crate) fn of_bits(bits: [u64; 4]) -> Self {
        let greys = (0..SIDE * SIDE).map(|place| (place * place / 7) as u8);
        let greys = greys.collect();
        Self { bits, greys }
    }

    /// The bits in 16 groups, one for each vertical frequency.
    pub(crate) fn bands(&self) -> [u16; 16] {
        std::array::from_fn(|band| (self.bits[band / 4] >> (16 * (band % 4))) as u16)
    }
}

/// Luma as Pillow's `convert("L")` has it.
fn grey(pixels: Pixels) -> Vec<u8> {
    if pixels.channels() == Channels::Gray {
        return pixels.into_data();
    }
    let (pixels, _) = pixels.data().as_chunks::<3>();
    let luma = |[red, green, blue]: &[u8; 3]| {
        let [red, green, blue] = [red, green, blue].map(|value| u32::from(*value));
        ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8
    };
    pixels.iter().map(luma).collect()
}

/// The signs of the cosine transform's lowest frequencies, row by row.
fn bits_of(greys: &[u8]) -> [u64; 4] {
    let across: Vec<[f64; FREQUENCIES]> = greys
        .chunks_exact(SIDE)
        .map(|row| std::array::from_fn(|frequency| transformed(row, frequency)))
        .collect(); // [32, 16]
    let coefficient = |row: usize, column: usize| -> f64 {
        let cosines = COSINES[row].iter().zip(&across);
        cosines
            .map(|(cosine, values)| cosine * values[column])
            .sum()
    };
    let mut bits = [0; 4];
    for place in 0..FREQUENCIES * FREQUENCIES {
        let (row, column) = match place {
            0 => (FREQUENCIES, 0),
            _ => (place / FREQUENCIES, place % FREQUENCIES),
        };
        if coefficient(row, column) > ROUNDING {
            bits[place / 64] |= 1 << (place % 64);
        }
    }
    bits
}

fn transformed(row: &[u8], frequency: usize) -> f64 {
    let cosines = COSINES[frequency].iter().zip(row);
    cosines
        .map(|(cosine, value)| cosine * f64::from(*value))
        .sum()
}

/// cos(π (2x + 1) k / 64) for frequency k and pixel x: the transform's second form, not scaled.
static COSINES: LazyLock<[[f64; SIDE]; ROWS]> = LazyLock::new(|| {
    std::array::from_fn(|frequency| {
        std::array::from_fn(|pixel| {
            let angle = ((2 * pixel + 1) * frequency) as f64 / (2 * SIDE) as f64;
            libm::cos(std::f64::consts::PI * angle)
        })
    })
});

#[cfg(test)]
mod tests {
    use cxr_stream::{Purpose, Stream};

    use super::*;

    /// A soft picture that only this number has, not square.
    fn film(width: usize, height: usize, number: u64) -> Pixels {
        let mut stream = Stream::new(14, Purpose::Test, 0, number);
        let coarse = (0..20 * 18).map(|_| 40 + stream.below(176) as u8).collect();
        let coarse = Pixels::of_checked(20, 18, Channels::Gray, coarse);
        resize(&coarse, width as u32, height as u32)
    }

    fn likeness(pixels: &Pixels) -> Likeness {
        Likeness::of(pixels).unwrap()
    }

    fn changed(pixels: &Pixels, change: impl Fn(f64) -> f64) -> Pixels {
        let data = pixels
            .data()
            .iter()
            .map(|v| change(f64::from(*v)).round() as u8);
        Pixels::new(
            pixels.width(),
            pixels.height(),
            Channels::Gray,
            data.collect(),
        )
        .unwrap()
    }

    #[test]
    fn size_lightness_and_contrast_leave_a_copy_a_copy() {
        let whole = film(160, 130, 0);
        let of_whole = likeness(&whole);
        for copy in [
            resize(&whole, 80, 70),
            resize(&whole, 200, 301),
            changed(&whole, |v| v * 0.8 + 9.0),
            changed(&whole, |v| 255.0 * (v / 255.0).powf(1.1)),
        ] {
            assert!(likeness(&copy).is_copy_of(&of_whole));
        }
        for other in [film(160, 130, 1), changed(&whole, |v| 255.0 - v)] {
            assert!(!likeness(&other).is_copy_of(&of_whole));
        }
    }

    #[test]
    fn bits_are_the_signs_of_the_cosine_transform() {
        // One wave of 3 periods across and 5 down has one positive coefficient.
        let value = |n: usize| {
            let (x, y) = (n % SIDE, n / SIDE);
            (128.0 + 90.0 * COSINES[6][x] * COSINES[10][y]).round() as u8
        };
        let data = (0..SIDE * SIDE).map(value).collect();
        let wave = likeness(&Pixels::of_checked(SIDE, SIDE, Channels::Gray, data));
        assert_eq!(wave.bands()[10] >> 6 & 1, 1);
        let inverse = |n: usize| 255 - value(n);
        let data = (0..SIDE * SIDE).map(inverse).collect();
        let inverse = likeness(&Pixels::of_checked(SIDE, SIDE, Channels::Gray, data));
        assert_eq!(inverse.bands()[10] >> 6 & 1, 0);
        assert!((wave.correlation(&inverse) + 1.0).abs() < 1e-12);
    }

    #[test]
    fn bands_hold_every_bit_once() {
        let one = likeness(&film(50, 40, 2));
        let other = likeness(&film(40, 50, 3));
        let pairs = one.bands().into_iter().zip(other.bands());
        let differing: u32 = pairs.map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!(differing, one.distance(&other));
        assert!(differing > MAX_DISTANCE);
    }

    #[test]
    fn the_correlation_is_of_detail_and_0_where_there_is_none() {
        let bright = |place: usize| place == 5 * SIDE + 7;
        let at = |place: usize| if bright(place) { 100 } else { 10 };
        let data = (0..SIDE * SIDE).map(at).collect();
        let dot = likeness(&Pixels::of_checked(SIDE, SIDE, Channels::Gray, data));
        let detail = dot.detail();
        assert_eq!(detail[5 * SIDE + 7], 8 * 90);
        assert_eq!((detail[4 * SIDE + 6], detail[6 * SIDE + 8]), (-90, -90));
        assert_eq!(detail.iter().filter(|value| **value != 0).count(), 9);
        // A ramp that is the dot's in the large has other detail; at its edges alone it has any.
        let ramp = |place: usize| (place % SIDE * 8) as u8;
        let both = |place: usize| ramp(place) / 2 + at(place);
        let [ramp, both] = [
            (0..SIDE * SIDE).map(ramp).collect(),
            (0..SIDE * SIDE).map(both).collect(),
        ]
        .map(|data| likeness(&Pixels::of_checked(SIDE, SIDE, Channels::Gray, data)));
        assert!(dot.correlation(&ramp).abs() < 0.01);
        assert!((dot.correlation(&dot) - 1.0).abs() < 1e-12);
        assert!(dot.correlation(&both) > 0.9);
        let flat = Likeness {
            greys: [7; SIDE * SIDE].into(),
            ..dot.clone()
        };
        assert!(dot.correlation(&flat).abs() < f64::MIN_POSITIVE);
    }

    #[test]
    fn colour_is_compared_as_grey() {
        let grey = film(64, 48, 0);
        let rgb = grey.data().iter().flat_map(|v| [*v; 3]).collect();
        let rgb = Pixels::new(64, 48, Channels::Rgb, rgb).unwrap();
        assert_eq!(likeness(&grey), likeness(&rgb));
    }

    #[test]
    fn what_is_too_small_or_of_one_grey_has_no_likeness() {
        assert_eq!(Likeness::of(&film(31, 64, 0)), None);
        assert_eq!(Likeness::of(&film(64, 31, 0)), None);
        let black = Pixels::new(64, 64, Channels::Gray, vec![0; 4096]).unwrap();
        assert_eq!(Likeness::of(&black), None);
        assert!(Likeness::of(&film(32, 32, 0)).is_some());
    }
}
