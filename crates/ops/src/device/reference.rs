//! The definition of every device function, in plain loops on the CPU.

/// A number that the reference computes with.
pub trait Real: Copy {}
impl Real for f32 {}
impl Real for f64 {}

/// The reference device.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference<T: Real> {
    marker: std::marker::PhantomData<T>,
}
