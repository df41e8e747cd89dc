//! The two passes of a resize: weighted sums along the rows, and over them.
//!
//! For `resize`. One kernel does both: some sums side by side, each input a run of bytes
//! times one weight. Over the rows such runs lie in memory; along the rows they are made, by turning
//! 16 rows into columns and the sums back. The sums are of whole numbers, so that every instruction
//! set gives the same bytes. Deliberately not here: where weights come from.

use pulp::{Simd, WithSimd};

use crate::resize_weights::{HALF, Weights, to_byte};
use crate::transpose::{SIDE, Square, transposed};

/// Sums side by side in the pass over the rows.
const TILE: usize = 32;

/// Rows of `C` interleaved channels into rows of as many pixels as there are weights.
pub(crate) struct Across<'a, const C: usize> {
    pub(crate) weights: &'a Weights,
    pub(crate) data: &'a [u8],
    pub(crate) stride: usize,
    pub(crate) out: &'a mut [u8],
    pub(crate) out_stride: usize,
}

impl<const C: usize> WithSimd for Across<'_, C> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut columns = vec![[0; SIDE]; self.stride.next_multiple_of(SIDE)];
        let blocks = self.data.chunks(SIDE * self.stride);
        let outs = self.out.chunks_mut(SIDE * self.out_stride);
        for (block, out) in blocks.zip(outs) {
            to_columns(block, self.stride, &mut columns);
            let (pixels, _) = columns.as_chunks::<C>();
            for x in (0..self.out_stride).step_by(SIDE) {
                let mut sums = [[0; SIDE]; SIDE];
                for (place, sums) in (x..self.out_stride).zip(&mut sums) {
                    let (first, weights) = self.weights.of(place / C);
                    let channel = place % C;
                    let inputs = pixels[first..].iter().map(|pixel| &pixel[channel]);
                    *sums = weighted(simd, inputs, weights);
                }
                put_rows(&transposed(&sums), out, self.out_stride, x);
            }
        }
    }
}

/// Rows of `stride` bytes into as many rows as there are weights.
pub(crate) struct Down<'a> {
    pub(crate) weights: &'a Weights,
    pub(crate) data: &'a [u8],
    pub(crate) stride: usize,
    pub(crate) out: &'a mut [u8],
}

impl WithSimd for Down<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let stride = self.stride;
        for (place, out) in self.out.chunks_exact_mut(stride).enumerate() {
            let (first, weights) = self.weights.of(place);
            let rows = &self.data[first * stride..];
            let n_tiled = if stride < TILE { 0 } else { stride };
            for x in (0..n_tiled).step_by(TILE) {
                // The last tile may begin within the one before.
                let x = x.min(n_tiled - TILE);
                let bytes: [u8; TILE] = weighted(simd, runs(rows, stride, x), weights);
                out[x..x + TILE].copy_from_slice(&bytes);
            }
            for (x, out) in out.iter_mut().enumerate().skip(n_tiled) {
                [*out] = weighted(simd, runs(rows, stride, x), weights);
            }
        }
    }
}

/// The `N` bytes at `x` of each row of `stride` bytes.
#[inline(always)]
fn runs<const N: usize>(rows: &[u8], stride: usize, x: usize) -> impl Iterator<Item = &[u8; N]> {
    let rows = rows.chunks_exact(stride);
    rows.filter_map(move |row| row[x..].first_chunk())
}

/// `N` sums side by side, of as many inputs as there are weights.
#[inline(always)]
fn weighted<'a, S: Simd, const N: usize>(
    simd: S,
    inputs: impl Iterator<Item = &'a [u8; N]>,
    weights: &[i32],
) -> [u8; N] {
    let mut sums = [HALF; N];
    for (&weight, values) in weights.iter().zip(inputs) {
        let mut wide = [0; N];
        for (wide, &value) in wide.iter_mut().zip(values) {
            *wide = i32::from(value);
        }
        let (vectors, tail) = S::as_mut_simd_i32s(&mut sums);
        let (wide, wide_tail) = S::as_simd_i32s(&wide);
        let weights = simd.splat_i32s(weight);
        for (sums, &wide) in vectors.iter_mut().zip(wide) {
            *sums = simd.add_i32s(*sums, simd.mul_i32s(wide, weights));
        }
        for (sum, &value) in tail.iter_mut().zip(wide_tail) {
            *sum += value * weight;
        }
    }
    let mut bytes = [0; N];
    for (byte, &sum) in bytes.iter_mut().zip(&sums) {
        *byte = to_byte(sum);
    }
    bytes
}

/// Up to 16 rows of `stride` bytes into columns of 16. What lies beyond them is left to chance.
#[inline(always)]
fn to_columns(rows: &[u8], stride: usize, columns: &mut [[u8; SIDE]]) {
    let (squares, _) = columns.as_chunks_mut::<SIDE>();
    for (i, columns) in squares.iter_mut().enumerate() {
        let rows = &rows[i * SIDE..];
        let mut square: Square = [[0; SIDE]; SIDE];
        // Past a row's end begins the next: nobody reads those columns.
        if rows.len() >= (SIDE - 1) * stride + SIDE {
            for (y, out) in square.iter_mut().enumerate() {
                out.copy_from_slice(&rows[y * stride..][..SIDE]);
            }
        } else {
            for (row, out) in rows.chunks(stride).zip(&mut square) {
                let n = row.len().min(SIDE);
                out[..n].copy_from_slice(&row[..n]);
            }
        }
        *columns = transposed(&square);
    }
}

/// As much of a square as there is room for at `x` in rows of `stride` bytes.
#[inline(always)]
fn put_rows(square: &Square, rows: &mut [u8], stride: usize, x: usize) {
    for (row, bytes) in rows.chunks_exact_mut(stride).zip(square) {
        let row = &mut row[x..];
        match row.first_chunk_mut() {
            Some(row) => *row = *bytes,
            None => row.copy_from_slice(&bytes[..row.len()]),
        }
    }
}
