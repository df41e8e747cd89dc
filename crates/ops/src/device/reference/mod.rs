//! The definition of every device function, in plain loops on the CPU.
//!
//! For tests of devices and of networks on them, on machines without a card. Every product and sum
//! is in f64 and rounded once, when it is stored; where a definition asks for another order of
//! roundings (pictures, Adam), each step is rounded by itself. Deliberately not here: speed.

mod conv;
mod dense;
mod device;
mod loss;
mod norm;
mod numbers;
mod optimizer;
mod pictures;
mod pool;
mod windows;

use std::marker::PhantomData;

pub use device::Staged;
pub use numbers::{Bf16, Numbers, Real};

/// The reference device: maps in `T`, everything else in [`Real::Float`].
///
/// f64 for finite differences, f32 and [`Bf16`] for what a card should give.
///
/// ```
/// use cxr_ops::device::{Device, Reference, Rows, Activation, Shortcut};
/// # fn main() -> cxr_ops::device::Result<()> {
/// let device = Reference::<f64>::new();
/// let (mut input, mut saved) = (device.map(8)?, device.floats(4 * 8)?);
/// device.write_map(&mut input, 0, &[1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 4.0, -4.0])?;
/// device.write_floats(&mut saved, 2 * 8, &[2.0; 8])?; // the scale, behind mean and deviation
/// let mut output = device.map(8)?;
/// let of = Rows { rows: 1, channels: 8 };
/// device.norm_apply(of, &input, &saved, Shortcut::None, Activation::Relu, &mut output)?;
/// assert_eq!(output.as_slice(), [2.0, 0.0, 4.0, 0.0, 6.0, 0.0, 8.0, 0.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference<T: Real> {
    maps: PhantomData<T>,
}

impl<T: Real> Reference<T> {
    /// A device without state.
    #[must_use]
    pub const fn new() -> Self {
        Self { maps: PhantomData }
    }
}
