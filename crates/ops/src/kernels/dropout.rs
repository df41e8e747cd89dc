//! Dropout whose mask is a pure function of a key and the element's place.
//!
//! The same function serves forward and backward: the mask is drawn again, not stored.

use cxr_stream::{Purpose, Stream};
use rayon::prelude::*;

/// Elements that share one stream of random numbers. Part of the mask's definition.
const ELEMENTS_PER_STREAM: usize = 4096;

/// Names one mask. Two keys that differ never share numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DropoutKey {
    /// The seed of the run.
    pub seed: u64,
    /// The step of training, counted from the start of the run; below 2²⁴.
    pub step: u64,
    /// Which dropout layer of the network; below 2¹⁶.
    pub layer: u64,
}

impl DropoutKey {
    /// Steps that have masks of their own.
    pub const STEPS: u64 = 1 << 24;
    /// Layers that have masks of their own.
    pub const LAYERS: u64 = 1 << 16;
    /// Elements that a layer may have.
    pub const ELEMENTS: u64 = (ELEMENTS_PER_STREAM as u64) << 24;

    fn stream(&self, chunk: usize) -> Stream {
        Stream::new(self.seed, Purpose::Dropout, self.step, self.index(chunk))
    }

    fn index(&self, chunk: usize) -> u64 {
        self.layer << 24 | chunk as u64
    }

    /// Counter and key of the first stream; the second word of the counter counts streams on.
    #[cfg(feature = "cuda")]
    pub(crate) fn origin(&self) -> ([u32; 4], [u32; 2]) {
        Stream::origin(self.seed, Purpose::Dropout, self.step, self.index(0))
    }
}

/// Writes `output` = `input` / (1 − `probability`) where the mask keeps the element, else 0.
///
/// An element is dropped with `probability`, which is in [0, 1). The gradient is the same function
/// of the output gradient.
pub fn apply(key: &DropoutKey, probability: f64, input: &[f32], output: &mut [f32]) {
    assert_eq!(input.len(), output.len());
    let scale = (1.0 / (1.0 - probability)) as f32;
    output
        .par_chunks_mut(ELEMENTS_PER_STREAM)
        .zip(input.par_chunks(ELEMENTS_PER_STREAM))
        .enumerate()
        .for_each(|(chunk, (output, input))| {
            let mut stream = key.stream(chunk);
            for (output, &input) in output.iter_mut().zip(input) {
                let kept = f64::from(stream.uniform_f32()) >= probability;
                *output = if kept { input * scale } else { 0.0 };
            }
        });
}
