//! Fits a network to a split.
