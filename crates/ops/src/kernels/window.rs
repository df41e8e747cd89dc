//! The windows that slide over a plane: which input each output reads.

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

#[cfg(test)]
mod tests {
    use super::*;

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
