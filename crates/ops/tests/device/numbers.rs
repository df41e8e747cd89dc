//! Fresh numbers, the two orders of axes, and what counts as close.

use cxr_ops::device::{Numbers, Real};
use cxr_stream::{Purpose, Stream};

/// Standard normal numbers, the same for the same salt.
pub(crate) fn normal<T: Real>(salt: u64, len: usize) -> Numbers<T> {
    let mut stream = Stream::new(2, Purpose::Test, 0, salt);
    let numbers = (0..len).map(|_| T::from_f64(stream.normal() as f32 as f64));
    Numbers::from(numbers.collect::<Vec<_>>())
}

/// Multiples of a quarter from −1 to 1, so that ties are common.
pub(crate) fn quarters<T: Real>(salt: u64, len: usize) -> Numbers<T> {
    let mut stream = Stream::new(3, Purpose::Test, 0, salt);
    let numbers = (0..len).map(|_| T::from_f64(stream.below(9) as f64 / 4.0 - 1.0));
    Numbers::from(numbers.collect::<Vec<_>>())
}

/// What an output holds before a call.
pub(crate) fn poisoned<T: Real>(len: usize) -> Numbers<T> {
    Numbers::from(vec![T::from_f64(f64::NAN); len])
}

/// [N, rows, columns] → [N, columns, rows]: places and channels exchanged.
pub(crate) fn exchanged(numbers: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let image = |image: &[f32]| -> Vec<f32> {
        (0..columns)
            .flat_map(|column| {
                (0..rows)
                    .map(move |row| image[row * columns + column])
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    numbers
        .chunks_exact(rows * columns)
        .flat_map(image)
        .collect()
}

/// Panics unless the errors and their largest one are within 1e-5 of the expected numbers' sizes.
#[track_caller]
pub(crate) fn assert_close(what: &str, got: &[f32], expected: &[f32]) {
    let wide = |numbers: &[f32]| {
        numbers
            .iter()
            .map(|&number| number.into())
            .collect::<Vec<f64>>()
    };
    assert_within(what, &wide(got), &wide(expected), 1e-5);
}

/// The same with another bound.
#[track_caller]
pub(crate) fn assert_within(what: &str, got: &[f64], expected: &[f64], bound: f64) {
    assert_eq!(got.len(), expected.len(), "{what}: lengths");
    let largest = expected
        .iter()
        .fold(0.0, |largest: f64, number| largest.max(number.abs()));
    for (place, (got, expected)) in got.iter().zip(expected).enumerate() {
        let is_close = (got - expected).abs() <= bound * largest;
        assert!(is_close, "{what}: place {place}: {got}, not {expected}");
    }
}
