//! The random part of the training transform: its ranges, and one draw from them.
//!
//! For training, and for whoever replays a draw from a log. A draw is a pure function of
//! (seed, epoch, index). Deliberately not here: what a draw does to pixels (`warp`).

use cxr_stream::Stream;
use serde::{Deserialize, Serialize};

use crate::limits::MAX_OUTPUT_SIDE;
use crate::spec_fault::{SpecFault, SpecFaults, from_json};

/// From where draws are taken, each uniformly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AffineRanges {
    /// How often the picture is mirrored left to right: 0 to 1. It mirrors the heart too.
    pub flip_probability: f64,
    /// Rotation between minus this and this, 0 to 180.
    pub max_degrees: f64,
    /// Translation in each direction, as a fraction of the side: 0 to 1.
    pub max_translate: f64,
    /// Smallest and largest magnification.
    pub scale: (f64, f64),
    /// Horizontal shear between minus this and this, 0 to below 90.
    pub max_shear_degrees: f64,
}

impl Default for AffineRanges {
    /// `mild`.
    fn default() -> Self {
        Self::mild()
    }
}

impl AffineRanges {
    /// The write-up's: flips, ±20°, a fifth of a side, 0.8–1.2, shear ±20°.
    #[must_use]
    pub fn seed() -> Self {
        Self {
            flip_probability: 0.5,
            max_degrees: 20.0,
            max_translate: 0.2,
            scale: (0.8, 1.2),
            max_shear_degrees: 20.0,
        }
    }

    /// What a radiograph's positioning varies by: no flip, ±7°, a twentieth of a side, 0.9–1.1.
    #[must_use]
    pub fn mild() -> Self {
        Self {
            flip_probability: 0.0,
            max_degrees: 7.0,
            max_translate: 0.05,
            scale: (0.9, 1.1),
            max_shear_degrees: 0.0,
        }
    }

    /// No augmentation: every draw is `AffineDraw::IDENTITY`.
    #[must_use]
    pub fn none() -> Self {
        Self {
            flip_probability: 0.0,
            max_degrees: 0.0,
            max_translate: 0.0,
            scale: (1.0, 1.0),
            max_shear_degrees: 0.0,
        }
    }

    /// Whether draws can be taken.
    ///
    /// # Errors
    /// All unusable fields at once.
    pub fn check(&self) -> Result<(), SpecFaults> {
        let (low, high) = self.scale;
        let rules = [
            (
                "flip_probability",
                (0.0..=1.0).contains(&self.flip_probability),
                "must be 0 to 1",
                self.flip_probability.to_string(),
            ),
            (
                "max_degrees",
                (0.0..=180.0).contains(&self.max_degrees),
                "must be 0 to 180",
                self.max_degrees.to_string(),
            ),
            (
                "max_translate",
                (0.0..=1.0).contains(&self.max_translate),
                "must be 0 to 1, a fraction of the side",
                self.max_translate.to_string(),
            ),
            (
                "scale",
                low >= MIN_SCALE && low <= high && high <= MAX_SCALE,
                "must be two numbers from 0.01 to 100, the smaller first",
                format!("[{low}, {high}]"),
            ),
            (
                "max_shear_degrees",
                (0.0..=MAX_SHEAR_DEGREES).contains(&self.max_shear_degrees),
                "must be 0 to 89",
                self.max_shear_degrees.to_string(),
            ),
        ];
        faults_of(rules)
    }

    /// The next draw for a picture of this size. It always takes six numbers from the stream, so
    /// that one range does not change what another yields.
    pub fn draw(&self, stream: &mut Stream, width: u32, height: u32) -> AffineDraw {
        let symmetric = |stream: &mut Stream, max: f64| stream.range(-max, max) + 0.0;
        let pixels = |stream: &mut Stream, side: u32| {
            symmetric(stream, self.max_translate * f64::from(side)).round_ties_even() as i32
        };
        AffineDraw {
            flip: stream.uniform() < self.flip_probability,
            angle: symmetric(stream, self.max_degrees),
            tx: pixels(stream, width),
            ty: pixels(stream, height),
            scale: stream.range(self.scale.0, self.scale.1),
            shear_x: symmetric(stream, self.max_shear_degrees),
        }
    }
}

const MIN_SCALE: f64 = 0.01;
const MAX_SCALE: f64 = 100.0;
const MAX_SHEAR_DEGREES: f64 = 89.0;

/// One random transform, in the order in which it is applied: flip, rotation, then translation,
/// scale and shear at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AffineDraw {
    /// Mirrored left to right.
    pub flip: bool,
    /// Degrees, counter-clockwise, about the centre.
    pub angle: f64,
    /// Pixels of the output, to the right.
    pub tx: i32,
    /// Pixels of the output, downwards.
    pub ty: i32,
    /// Magnification about the centre.
    pub scale: f64,
    /// Degrees.
    pub shear_x: f64,
}

impl Default for AffineDraw {
    fn default() -> Self {
        Self::IDENTITY
    }
}

impl AffineDraw {
    /// Leaves a picture as it is.
    pub const IDENTITY: Self = Self {
        flip: false,
        angle: 0.0,
        tx: 0,
        ty: 0,
        scale: 1.0,
        shear_x: 0.0,
    };

    /// From JSON, as a log holds it; missing keys change nothing, unknown ones are refused.
    ///
    /// # Errors
    /// Where the text is not such JSON, or a field cannot be used.
    pub fn from_json(text: &str) -> Result<Self, SpecFaults> {
        let draw: Self = from_json(text, "a draw")?;
        draw.check()?;
        Ok(draw)
    }

    /// Whether the draw can be applied; those of checked ranges always can.
    ///
    /// # Errors
    /// All unusable fields at once.
    pub fn check(&self) -> Result<(), SpecFaults> {
        let far = |shift: i32| shift.unsigned_abs() > MAX_OUTPUT_SIDE;
        let rules = [
            (
                "angle",
                self.angle.is_finite(),
                "must be a finite number of degrees",
                self.angle.to_string(),
            ),
            (
                "tx",
                !far(self.tx),
                "must be within ±4096",
                self.tx.to_string(),
            ),
            (
                "ty",
                !far(self.ty),
                "must be within ±4096",
                self.ty.to_string(),
            ),
            (
                "scale",
                (MIN_SCALE..=MAX_SCALE).contains(&self.scale),
                "must be 0.01 to 100",
                self.scale.to_string(),
            ),
            (
                "shear_x",
                self.shear_x.abs() <= MAX_SHEAR_DEGREES,
                "must be within ±89 degrees",
                self.shear_x.to_string(),
            ),
        ];
        faults_of(rules)
    }
}

/// (field, whether it holds, what it must be, what it is).
fn faults_of<const N: usize>(
    rules: [(&'static str, bool, &str, String); N],
) -> Result<(), SpecFaults> {
    let faults = rules
        .into_iter()
        .filter(|(_, holds, _, _)| !holds)
        .map(|(field, _, expected, value)| SpecFault::Setting {
            field,
            expected: expected.to_owned(),
            value,
        })
        .collect();
    SpecFaults::unless_empty(faults)
}

#[cfg(test)]
mod tests {
    use cxr_stream::Purpose;

    use super::*;

    fn draws(ranges: &AffineRanges, n: u64) -> Vec<AffineDraw> {
        (0..n)
            .map(|i| ranges.draw(&mut Stream::new(1, Purpose::Augment, 0, i), 320, 200))
            .collect()
    }

    #[test]
    fn draws_fill_their_ranges_and_stay_within() {
        let drawn = draws(&AffineRanges::seed(), 4000);
        let within = |get: fn(&AffineDraw) -> f64, low: f64, high: f64| {
            let least = drawn.iter().map(get).fold(f64::MAX, f64::min);
            let most = drawn.iter().map(get).fold(f64::MIN, f64::max);
            let slack = 0.01 * (high - low);
            assert!(least >= low && least < low + slack, "{least} {low}");
            assert!(most <= high && most > high - slack, "{most} {high}");
        };
        within(|d| d.angle, -20.0, 20.0);
        within(|d| f64::from(d.tx), -64.0, 64.0);
        within(|d| f64::from(d.ty), -40.0, 40.0);
        within(|d| d.scale, 0.8, 1.2);
        within(|d| d.shear_x, -20.0, 20.0);
        let n_flips = drawn.iter().filter(|d| d.flip).count();
        // Four standard deviations of a binomial(4000, .5).
        assert!(n_flips.abs_diff(2000) < 127, "{n_flips}");
        assert!(drawn.iter().all(|d| d.check().is_ok()));
    }

    #[test]
    fn no_ranges_draw_the_identity_and_mild_ones_never_flip() {
        assert!(
            draws(&AffineRanges::none(), 100)
                .iter()
                .all(|d| *d == AffineDraw::IDENTITY)
        );
        assert!(draws(&AffineRanges::mild(), 1000).iter().all(|d| !d.flip));
        assert_eq!(draws(&AffineRanges::none(), 1)[0].angle.to_bits(), 0);
    }

    #[test]
    fn one_range_does_not_change_what_another_yields() {
        let seed = AffineRanges::seed();
        let upright = AffineRanges {
            flip_probability: 0.0,
            max_degrees: 0.0,
            ..seed.clone()
        };
        for (a, b) in draws(&seed, 50).iter().zip(draws(&upright, 50)) {
            assert_eq!(
                (a.tx, a.ty, a.scale, a.shear_x),
                (b.tx, b.ty, b.scale, b.shear_x)
            );
        }
    }

    #[test]
    fn unusable_ranges_and_draws_name_every_field() {
        let ranges = AffineRanges {
            flip_probability: 1.5,
            max_degrees: f64::NAN,
            max_translate: -0.1,
            scale: (1.2, 0.8),
            max_shear_degrees: 90.0,
        };
        assert_eq!(ranges.check().unwrap_err().faults().len(), 5);
        let draw = AffineDraw {
            angle: f64::INFINITY,
            tx: 5000,
            scale: 0.0,
            shear_x: 90.0,
            ..AffineDraw::IDENTITY
        };
        assert_eq!(draw.check().unwrap_err().faults().len(), 4);
    }

    #[test]
    fn a_draw_survives_its_json() {
        for draw in draws(&AffineRanges::seed(), 20_000) {
            let json = serde_json::to_string(&draw).unwrap();
            assert_eq!(AffineDraw::from_json(&json).unwrap(), draw);
        }
        assert_eq!(AffineDraw::from_json("{}").unwrap(), AffineDraw::IDENTITY);
        assert!(AffineDraw::from_json(r#"{"angel":3}"#).is_err());
        assert!(AffineDraw::from_json(r#"{"angle":1e999}"#).is_err());
    }
}
