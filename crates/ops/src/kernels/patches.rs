//! The windows that slide over a plane: which input each output reads, and the two copies between
//! a plane and the matrix of its windows (im2col and its adjoint).

use std::ops::Range;

/// How windows slide over a plane of `input` [height, width].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Height and width of the plane.
    pub input: [usize; 2],
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// The step between windows, along both axes.
    pub stride: usize,
    /// Rows above and below, and columns left and right, that are added to the plane.
    pub padding: [usize; 2],
}

impl Window {
    /// Height and width of the output; `None` where no window fits, or where the stride is 0.
    #[must_use]
    pub fn checked_output(&self) -> Option<[usize; 2]> {
        let along = |axis: usize| {
            let padded = self.input[axis] + 2 * self.padding[axis];
            let steps = padded
                .checked_sub(self.kernel[axis])?
                .checked_div(self.stride)?;
            (self.kernel[axis] > 0).then_some(steps + 1)
        };
        Some([along(0)?, along(1)?])
    }

    /// Height and width of the output.
    ///
    /// # Panics
    /// Where no window fits: ask [`Self::checked_output`] first.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        let output = self.checked_output();
        assert!(output.is_some(), "no window fits: {self:?}");
        output.unwrap_or_default()
    }

    /// Places in a window.
    #[must_use]
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Places in the input plane.
    #[must_use]
    pub fn input_places(&self) -> usize {
        self.input[0] * self.input[1]
    }

    /// Places in the output plane.
    #[must_use]
    pub fn output_places(&self) -> usize {
        let [height, width] = self.output();
        height * width
    }

    /// The outputs along an axis whose window has `offset` inside of the plane.
    pub(crate) fn inside(&self, axis: usize, offset: usize, outputs: usize) -> Range<usize> {
        let first = self.padding[axis]
            .saturating_sub(offset)
            .div_ceil(self.stride);
        let end = (self.input[axis] + self.padding[axis])
            .saturating_sub(offset)
            .div_ceil(self.stride);
        let end = end.min(outputs);
        first.min(end)..end
    }

    /// The input place under `offset` of the window of `output`; only for outputs [`Self::inside`].
    pub(crate) fn under(&self, axis: usize, output: usize, offset: usize) -> usize {
        output * self.stride + offset - self.padding[axis]
    }

    /// Calls `run` for each stretch of one output row within `places`, for one tap of the window.
    fn runs(&self, tap: usize, places: &Range<usize>, mut run: impl FnMut(Run)) {
        let [height, width] = self.output();
        let (tap_y, tap_x) = (tap / self.kernel[1], tap % self.kernel[1]);
        let rows_inside = self.inside(0, tap_y, height);
        let columns_inside = self.inside(1, tap_x, width);
        let mut place = places.start;
        while place < places.end {
            let (y, x) = (place / width, place % width);
            let x_end = width.min(x + places.end - place);
            let at = place - places.start;
            let lit = if rows_inside.contains(&y) {
                columns_inside.start.clamp(x, x_end)..columns_inside.end.clamp(x, x_end)
            } else {
                x..x
            };
            let source = if lit.is_empty() {
                0
            } else {
                self.under(0, y, tap_y) * self.input[1] + self.under(1, lit.start, tap_x)
            };
            run(Run {
                all: at..at + x_end - x,
                lit: at + lit.start - x..at + lit.end - x,
                source,
            });
            place += x_end - x;
        }
    }

    /// Writes the row of the window matrix that belongs to `tap`: for each output in `places`, the
    /// input under the tap, 0 outside of the plane.
    pub(crate) fn gather(&self, tap: usize, places: &Range<usize>, plane: &[f32], row: &mut [f32]) {
        self.runs(tap, places, |run| {
            row[run.all.start..run.lit.start].fill(0.0);
            row[run.lit.end..run.all.end].fill(0.0);
            let target = &mut row[run.lit.clone()];
            copy_strided(&plane[run.source..], self.stride, target);
        });
    }

    /// Adds a row of the window matrix onto the plane: the adjoint of [`Self::gather`].
    pub(crate) fn scatter_add(
        &self,
        tap: usize,
        places: &Range<usize>,
        row: &[f32],
        plane: &mut [f32],
    ) {
        self.runs(tap, places, |run| {
            let source = &row[run.lit.clone()];
            if self.stride == 1 {
                let target = &mut plane[run.source..][..run.lit.len()];
                target
                    .iter_mut()
                    .zip(source)
                    .for_each(|(target, &source)| *target += source);
            } else if !source.is_empty() {
                let target = plane[run.source..].iter_mut().step_by(self.stride);
                target
                    .zip(source)
                    .for_each(|(target, &source)| *target += source);
            }
        });
    }
}

/// `target` = every `stride`-th number of `source`, from its first one.
pub(crate) fn copy_strided(source: &[f32], stride: usize, target: &mut [f32]) {
    match stride {
        1 => target.copy_from_slice(&source[..target.len()]),
        2 => {
            // In a form that the compiler vectorises.
            let (pairs, rest) = source.as_chunks::<2>();
            target
                .iter_mut()
                .zip(pairs)
                .for_each(|(target, [first, _])| *target = *first);
            if let (Some(last), [first]) = (target.get_mut(pairs.len()), rest) {
                *last = *first;
            }
        }
        stride => {
            let source = source.iter().step_by(stride);
            target
                .iter_mut()
                .zip(source)
                .for_each(|(target, &source)| *target = source);
        }
    }
}

/// A stretch of an output row: places in the block, those whose tap is inside of the plane, and the
/// input place of the first of these.
struct Run {
    all: Range<usize>,
    lit: Range<usize>,
    source: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows() -> impl Iterator<Item = Window> {
        let sizes = [[1, 1], [1, 4], [5, 3], [9, 8]];
        let kernels = [[1, 1], [2, 3], [3, 3], [7, 2]];
        sizes.into_iter().flat_map(move |input| {
            kernels.into_iter().flat_map(move |kernel| {
                (1..4).flat_map(move |stride| {
                    (0..4).map(move |padding| Window {
                        input,
                        kernel,
                        stride,
                        padding: [padding, padding],
                    })
                })
            })
        })
    }

    fn value_under(window: &Window, plane: &[f32], tap: usize, place: usize) -> f32 {
        let [_, width] = window.output();
        let at = |axis: usize, output: usize, offset: usize| {
            (output * window.stride + offset)
                .checked_sub(window.padding[axis])
                .filter(|&place| place < window.input[axis])
        };
        let y = at(0, place / width, tap / window.kernel[1]);
        let x = at(1, place % width, tap % window.kernel[1]);
        y.zip(x)
            .map_or(0.0, |(y, x)| plane[y * window.input[1] + x])
    }

    #[test]
    fn gather_reads_the_input_under_each_tap_and_zero_outside() {
        for window in windows().filter(|w| w.checked_output().is_some()) {
            let plane: Vec<f32> = (0..window.input_places()).map(|i| i as f32 + 1.0).collect();
            let places = window.output_places() / 3..window.output_places();
            for tap in 0..window.taps() {
                let mut row = vec![f32::NAN; places.len()];
                window.gather(tap, &places, &plane, &mut row);
                let expected: Vec<f32> = places
                    .clone()
                    .map(|p| value_under(&window, &plane, tap, p))
                    .collect();
                assert_eq!(row, expected, "{window:?} tap {tap}");
            }
        }
    }

    #[test]
    fn scatter_add_is_the_adjoint_of_gather() {
        for window in windows().filter(|w| w.checked_output().is_some()) {
            let plane: Vec<f32> = (0..window.input_places()).map(|i| (i % 7) as f32).collect();
            let places = 0..window.output_places();
            for tap in 0..window.taps() {
                let row: Vec<f32> = places.clone().map(|p| (p % 5) as f32 + 1.0).collect();
                let mut gathered = vec![f32::NAN; row.len()];
                window.gather(tap, &places, &plane, &mut gathered);
                let mut scattered = vec![0.0; plane.len()];
                window.scatter_add(tap, &places, &row, &mut scattered);
                let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
                let (there, back) = (dot(&gathered, &row), dot(&plane, &scattered));
                // Small whole numbers: both sums are exact.
                assert!((there - back).abs() < 0.5, "{window:?} tap {tap}");
            }
        }
    }

    #[test]
    fn a_window_that_fits_nowhere_or_never_steps_has_no_output() {
        let window = Window {
            input: [2, 9],
            kernel: [3, 3],
            stride: 1,
            padding: [0, 0],
        };
        assert_eq!(window.checked_output(), None);
        assert_eq!(
            Window {
                padding: [1, 0],
                ..window
            }
            .checked_output(),
            Some([2, 7])
        );
        assert_eq!(
            Window {
                stride: 0,
                padding: [1, 0],
                ..window
            }
            .checked_output(),
            None
        );
        assert_eq!(
            Window {
                kernel: [0, 1],
                ..window
            }
            .checked_output(),
            None
        );
    }
}
