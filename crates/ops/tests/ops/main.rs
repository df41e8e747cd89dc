//! The operations against f64 references, PyTorch and stock candle, over odd shapes.
//!
//! One binary, so that candle is linked once.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::float_cmp,
    reason = "a test stops at the first surprise, and means exact values where it compares them"
)]

mod candle_defects;
mod convolution;
mod dropout;
mod fast;
mod fast_maps;
mod fast_norm;
mod fast_passes;
mod fast_sinks;
mod fast_sources;
mod fast_sums;
mod fast_threads;
mod goldens;
mod linear;
mod loss;
mod normalization;
mod optimizer;
mod pooling;
mod reference;
mod refusals;
mod tensors;
mod threads;
