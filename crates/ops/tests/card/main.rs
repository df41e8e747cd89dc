//! Every operation on tensors of a card against the same operation on the CPU.
//!
//! Needs the feature `cuda`; passes with a word where there is no card.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test stops at the first surprise, and says where there is no card"
)]

mod desk;
mod elements;
mod maps;
mod network;
mod refusals;
