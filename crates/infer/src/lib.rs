//! Runs a checkpoint over images.
