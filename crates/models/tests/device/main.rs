//! Networks on a device beside the network in candle's graph, on the reference device: the same
//! logits, losses, gradients, weights and statistics; what is frozen or not finite stays.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod beside_the_cpu;
mod memory;
mod predictor;
mod state;
mod support;
mod watched;
