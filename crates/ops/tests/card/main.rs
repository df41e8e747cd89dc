//! Every operation on tensors of a card against the same operation on the CPU.
//!
//! Needs the feature `cuda`; passes with a word where there is no card.

mod desk;
mod elements;
mod maps;
mod network;
mod refusals;
