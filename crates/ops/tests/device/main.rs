//! Devices that train networks: the reference against the CPU's kernels and against finite
//! differences, and what every device must do, tried on the reference.
//!
//! One binary without a card; cards are tried by `cuda`.

mod conformance;
mod rehearsal;
