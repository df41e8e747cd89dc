//! max(x, 0), element by element, with gradient 0 at 0 as in PyTorch. A NaN stays a NaN.

use rayon::prelude::*;

/// Numbers that one task works on.
const CHUNK: usize = 1 << 15;

/// Writes `output` = max(`input`, 0).
pub fn forward(input: &[f32], output: &mut [f32]) {
    assert_eq!(input.len(), output.len());
    output
        .par_chunks_mut(CHUNK)
        .zip(input.par_chunks(CHUNK))
        .for_each(|(output, input)| {
            for (output, &input) in output.iter_mut().zip(input) {
                *output = if input <= 0.0 { 0.0 } else { input };
            }
        });
}

/// Writes `input_gradient` = `output_gradient` where `output` is above 0 (or NaN), else 0.
pub fn input_gradient(output: &[f32], output_gradient: &[f32], input_gradient: &mut [f32]) {
    assert_eq!(output.len(), input_gradient.len());
    assert_eq!(output_gradient.len(), input_gradient.len());
    input_gradient
        .par_chunks_mut(CHUNK)
        .zip(
            output
                .par_chunks(CHUNK)
                .zip(output_gradient.par_chunks(CHUNK)),
        )
        .for_each(|(target, (output, gradient))| {
            for ((target, &output), &gradient) in target.iter_mut().zip(output).zip(gradient) {
                *target = if output <= 0.0 { 0.0 } else { gradient };
            }
        });
}
