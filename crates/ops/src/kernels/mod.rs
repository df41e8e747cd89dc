//! The arithmetic of every custom operation as functions over slices, apart from candle.
//!
//! For the custom ops of this crate, and for whoever drives a network without candle's graph. Each
//! operation has one function forward and one for each gradient. Activations are NCHW, weights
//! OIHW, as in PyTorch. A function writes every element of its output, so that outputs may come
//! unset; it asserts the lengths of its slices; it gives the same bits for any number of threads,
//! because work is cut into blocks by shape alone and every sum has a fixed order.
//! Deliberately not here: shapes as tensors, checks with kind messages, allocation of results.

pub mod adam;
pub mod batch_norm;
pub mod bce;
pub(crate) mod blocks;
pub mod conv;
pub mod dropout;
pub mod linear;
pub(crate) mod matrix;
pub mod pool;
pub mod relu;
pub(crate) mod scratch;
mod window;

pub use window::Window;
