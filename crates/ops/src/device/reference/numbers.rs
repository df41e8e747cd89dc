//! The numbers that the reference stores, and buffers of them.

use std::fmt::Debug;

use super::super::Precision;

/// A number that the reference stores in maps.
pub trait Real: Copy + Send + Sync + Debug + Default + 'static {
    /// Statistics, vectors, logits and moments beside such maps.
    type Float: Real;
    /// What maps of these numbers stand for.
    const PRECISION: Precision;

    /// The nearest of these numbers.
    fn from_f64(number: f64) -> Self;
    /// The number, exactly.
    fn to_f64(self) -> f64;
}

impl Real for f32 {
    type Float = Self;
    const PRECISION: Precision = Precision::F32;

    fn from_f64(number: f64) -> Self {
        number as Self
    }

    fn to_f64(self) -> f64 {
        self.into()
    }
}

impl Real for f64 {
    type Float = Self;
    const PRECISION: Precision = Precision::F32;

    fn from_f64(number: f64) -> Self {
        number
    }

    fn to_f64(self) -> f64 {
        self
    }
}

/// A number of 8 bits of mantissa, f32's upper half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bf16(u16);

impl Real for Bf16 {
    type Float = f32;
    const PRECISION: Precision = Precision::Bf16;

    /// By way of f32, as cards do it; ties go to the even one.
    fn from_f64(number: f64) -> Self {
        let bits = (number as f32).to_bits();
        if number.is_nan() {
            // The quiet bit, so that a NaN whose mark lies in the lower half stays one.
            return Self((bits >> 16) as u16 | 0x40);
        }
        let to_even = 0x7fff + ((bits >> 16) & 1);
        Self(((bits + to_even) >> 16) as u16)
    }

    fn to_f64(self) -> f64 {
        f32::from_bits(u32::from(self.0) << 16).into()
    }
}

/// A buffer of the reference.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numbers<T>(Vec<T>);

impl<T> Numbers<T> {
    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// All of them, to be changed.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.0
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> From<Vec<T>> for Numbers<T> {
    fn from(numbers: Vec<T>) -> Self {
        Self(numbers)
    }
}

impl<T: Real> Numbers<T> {
    pub(super) fn zeros(len: usize) -> Self {
        Self(vec![T::default(); len])
    }

    /// The number at a place.
    pub(super) fn at(&self, place: usize) -> f64 {
        self.0[place].to_f64()
    }

    /// Rounds a number to a place.
    pub(super) fn put(&mut self, place: usize, number: f64) {
        self.0[place] = T::from_f64(number);
    }

    /// Rounds numbers to the places from `start` on.
    pub(super) fn put_all(&mut self, start: usize, numbers: impl IntoIterator<Item = f64>) {
        for (place, number) in self.0[start..].iter_mut().zip(numbers) {
            *place = T::from_f64(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_rounds_to_the_nearest_and_ties_to_even() {
        let rounded = |number: f64| Bf16::from_f64(number).to_f64();
        let step = 1.0 / 128.0;
        let cases = [
            (1.0 + 0.5 * step, 1.0),
            (1.0 + 1.5 * step, 1.0 + 2.0 * step),
            (1.0 + 0.51 * step, 1.0 + step),
            (-1.0 - 0.49 * step, -1.0),
            (f64::INFINITY, f64::INFINITY),
            (f64::from(f32::MAX), f64::INFINITY),
        ];
        for (number, expected) in cases {
            assert_eq!(rounded(number).to_bits(), expected.to_bits(), "{number}");
        }
        assert!(rounded(f64::NAN).is_nan());
        let low_mark = f32::from_bits(0x7f80_0001);
        assert!(rounded(low_mark.into()).is_nan());
    }
}
