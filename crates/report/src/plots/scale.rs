//! From values to places on paper, and the round values that an axis shows.
//!
//! For the plots. Deliberately not here: drawing.

use plotters::coord::ranged1d::Ranged;
use plotters::coord::types::RangedCoordf64;

/// A linear map from values to logical pixels.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// Maps `low..high` onto `from..to`; an empty range is widened, so that it has a middle.
    pub(super) fn new((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let is_empty = (high - low).abs() <= f64::EPSILON * low.abs().max(1.0);
        let margin = if is_empty { 0.5 } else { 0.0 };
        Self {
            low: low - margin,
            high: high + margin,
            from,
            to,
        }
    }

    /// The range of `values`, widened by a twentieth on both sides; `fallback` where there is none.
    pub(super) fn range_of(
        values: impl IntoIterator<Item = f64>,
        fallback: (f64, f64),
    ) -> (f64, f64) {
        let (low, high) = values
            .into_iter()
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        if low > high {
            return fallback;
        }
        let margin = ((high - low) / 20.0).max(1e-3);
        (low - margin, high + margin)
    }

    pub(super) fn at(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    pub(super) fn ends(&self) -> (f64, f64) {
        (self.from, self.to)
    }

    /// Round values inside the range, at most `most` of them, with their texts.
    pub(super) fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        // plotters may give one more than it is asked for.
        let points = RangedCoordf64::from(self.low..self.high).key_points(most.max(2) - 1);
        let decimals = decimals_of(&points);
        points
            .iter()
            .map(|&point| (point, format!("{point:.decimals$}")))
            .collect()
    }

    /// As `ticks`, whole numbers only.
    pub(super) fn whole_ticks(&self, most: usize) -> Vec<(f64, String)> {
        self.ticks(most)
            .into_iter()
            .filter(|(point, _)| (point - point.round()).abs() < 1e-9)
            .map(|(point, _)| (point, format!("{point:.0}")))
            .collect()
    }
}

/// As many as the distance between neighbours needs.
fn decimals_of(points: &[f64]) -> usize {
    let distance = match points {
        [first, second, ..] => (second - first).abs(),
        _ => 0.1,
    };
    (0..6)
        .find(|&decimals| {
            let scaled = distance * 10f64.powi(decimals);
            scaled >= 0.999 && (scaled - scaled.round()).abs() < 1e-6
        })
        .map_or(6, |decimals| usize::try_from(decimals).unwrap_or(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_inside_the_range_and_not_too_many() {
        let texts = |low, high, most| -> Vec<String> {
            let ticks = Scale::new((low, high), (0.0, 100.0)).ticks(most);
            ticks.into_iter().map(|(_, text)| text).collect()
        };
        assert_eq!(
            texts(0.0, 1.0, 7),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(texts(0.0, 130.0, 5), ["0", "50", "100"]);
        for (low, high) in [(0.4, 1.0), (0.0213, 0.0218), (-3.0, 1e6)] {
            let found = texts(low, high, 6);
            assert!((2..=6).contains(&found.len()), "{low} {high}: {found:?}");
        }
    }

    #[test]
    fn a_range_of_one_value_has_that_value_in_the_middle() {
        let scale = Scale::new((3.0, 3.0), (0.0, 10.0));
        assert!((scale.at(3.0) - 5.0).abs() < 1e-12);
        assert_eq!(Scale::range_of([f64::NAN], (0.0, 1.0)), (0.0, 1.0));
    }
}
