//! Which places of a map lie under the taps of a window.

use crate::kernels::Window;

/// Calls `visit` with (output place, tap, input place), places counted over all images, for each
/// tap inside of the map: window after window, each row by row.
pub(super) fn each_tap(images: usize, window: &Window, mut visit: impl FnMut(usize, usize, usize)) {
    let [height, width] = window.output();
    for image in 0..images {
        for place in 0..height * width {
            for tap in 0..window.taps() {
                let row = under(window, 0, place / width, tap / window.kernel[1]);
                let column = under(window, 1, place % width, tap % window.kernel[1]);
                if let (Some(row), Some(column)) = (row, column) {
                    let input = row * window.input[1] + column;
                    visit(
                        image * height * width + place,
                        tap,
                        image * window.input_places() + input,
                    );
                }
            }
        }
    }
}

/// The input along an axis under a tap of an output's window; `None` in the padding.
fn under(window: &Window, axis: usize, output: usize, tap: usize) -> Option<usize> {
    (output * window.stride + tap)
        .checked_sub(window.padding[axis])
        .filter(|&place| place < window.input[axis])
}
