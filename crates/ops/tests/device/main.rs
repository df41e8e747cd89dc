//! Devices that train networks: the reference against the CPU's kernels and against finite
//! differences, and what every device must do, tried on the reference.
//!
//! One binary without a card; cards are tried by `cuda`.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod conformance;
mod convolution;
mod dense;
mod gradients;
mod norm;
mod numbers;
mod pictures;
mod pooling;
mod rehearsal;
mod training;
