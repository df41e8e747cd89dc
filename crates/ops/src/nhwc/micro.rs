//! The two matrix micro-kernels that every convolution here is made of.
//!
//! Both keep a small block of results in registers. [`multiply_rows`] gives rows of a product,
//! [`sum_outer_products`] sums outer products over pixels. This file and `winograd_tiles` hold the
//! unsafe code of the fast path: raw loads and stores behind assertions over whole slices.
#![expect(
    clippy::needless_range_loop,
    reason = "places that are constants after unrolling keep arrays of vectors in registers; \
              iterators over them do not"
)]

use pulp::{Simd, WithSimd};

use crate::kernels::blocks::Blocks;
use crate::kernels::matrix::Onto;

use super::panels::{Panel, PanelLayout};

/// The most rows that a block of results has.
const MAX_ROWS: usize = 14;
/// The most numbers that a row of a block has: two of the widest vectors.
const WIDEST: usize = 32;

/// Products that are summed in registers before they are added onto the result: sums of sums round
/// less than one long sum. Only the inner sums of one segment are cut.
const SUMMED_TOGETHER: usize = 64;

/// Rows of a block of results: with two vectors a row, 28 of 32 registers or 12 of 16.
const fn block_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { MAX_ROWS } else { 6 }
}

/// The left matrix, read in place: row `r` is made of `segments` runs of `length` neighbouring
/// numbers, run `s` beginning at `start + r · row + s · segment`.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) start: usize,
    pub(crate) row: usize,
    pub(crate) segment: usize,
    pub(crate) segments: usize,
    pub(crate) length: usize,
}

/// Where rows of results go: row `r` at `start + r · row`.
pub(crate) struct Target<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) start: usize,
    pub(crate) row: usize,
}

/// A plane of packed matrices.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a> {
    pub(crate) layout: PanelLayout,
    pub(crate) data: &'a [f32],
    pub(crate) plane: usize,
}

/// Writes the columns of one panel of the product of `n` rows with a packed matrix.
#[inline(always)]
pub(crate) fn multiply_rows<S: Simd>(
    simd: S,
    n: usize,
    rows: Rows<'_>,
    (packed, panel): (Packed<'_>, Panel),
    target: Target<'_>,
) {
    if n == 0 {
        return;
    }
    let layout = packed.layout;
    assert_eq!(layout.lanes, S::F32_LANES);
    assert_eq!(layout.inner, rows.segments * rows.length);
    assert!(layout.inner > 0 && packed.plane < layout.planes);
    assert!(packed.data.len() >= layout.len() && panel.column + panel.columns <= layout.columns);
    let last_row = rows.start + (n - 1) * rows.row;
    let last = last_row + (rows.segments - 1) * rows.segment + rows.length;
    assert!(
        last <= rows.data.len(),
        "the left matrix is larger than its slice"
    );
    let last = target.start + (n - 1) * target.row + layout.columns;
    assert!(
        last <= target.data.len(),
        "the product is larger than its slice"
    );
    let blocks = n.div_ceil(block_rows::<S>());
    let of_plane = panel.start + packed.plane * layout.plane_len(panel);
    let slices = if rows.segments == 1 {
        Blocks::at_most(rows.length, 2 * SUMMED_TOGETHER, SUMMED_TOGETHER)
    } else {
        Blocks::exactly(rows.length, 1, 1)
    };
    for block in 0..blocks {
        let (from, to) = (block * n / blocks, (block + 1) * n / blocks);
        let start = target.start + from * target.row + panel.column;
        for slice in slices.ranges() {
            // SAFETY: the assertions keep rows 0..n with all their runs, the panel, and `columns`
            // numbers of each target row within their slices; from..to lies within 0..n, and the
            // slice within the run.
            unsafe {
                let product = Product {
                    rows: rows
                        .data
                        .as_ptr()
                        .add(rows.start + from * rows.row + slice.start),
                    strides: [rows.row, rows.segment],
                    runs: [rows.segments, slice.len()],
                    panel: packed
                        .data
                        .as_ptr()
                        .add(of_plane + slice.start * layout.width(panel)),
                    target: target.data.as_mut_ptr().add(start),
                    target_row: target.row,
                    columns: panel.columns,
                    is_first: slice.start == 0,
                };
                product.run(simd, to - from, panel);
            }
        }
    }
}

/// One block of a product.
#[derive(Clone, Copy)]
struct Product {
    rows: *const f32,
    strides: [usize; 2],
    runs: [usize; 2],
    panel: *const f32,
    target: *mut f32,
    target_row: usize,
    columns: usize,
    /// Whether the target is unset; else the product is added onto it.
    is_first: bool,
}

/// Calls `$kernel::<n, vectors>` for a number of rows that is known at run time.
macro_rules! with_rows {
    ($n:expr, $vectors:literal, $kernel:ident) => {
        match $n {
            1 => $kernel!(1, $vectors),
            2 => $kernel!(2, $vectors),
            3 => $kernel!(3, $vectors),
            4 => $kernel!(4, $vectors),
            5 => $kernel!(5, $vectors),
            6 => $kernel!(6, $vectors),
            n if block_rows::<S>() > 6 => match n {
                7 => $kernel!(7, $vectors),
                8 => $kernel!(8, $vectors),
                9 => $kernel!(9, $vectors),
                10 => $kernel!(10, $vectors),
                11 => $kernel!(11, $vectors),
                12 => $kernel!(12, $vectors),
                13 => $kernel!(13, $vectors),
                _ => $kernel!(14, $vectors),
            },
            _ => unreachable!("a block has at most {} rows", block_rows::<S>()),
        }
    };
}

impl Product {
    /// # Safety
    /// Every pointer must be good for `n` rows of the panel's width, `n` in 1..=[`block_rows`].
    #[inline(always)]
    unsafe fn run<S: Simd>(self, simd: S, n: usize, panel: Panel) {
        macro_rules! product {
            ($rows:literal, $vectors:literal) => {
                // A function of its own for each size: the registers of one do not press on others.
                simd.vectorize(ProductOf::<$rows, $vectors>(self))
            };
        }
        if panel.vectors == 2 {
            with_rows!(n, 2, product);
        } else {
            with_rows!(n, 1, product);
        }
    }
}

struct ProductOf<const ROWS: usize, const VECTORS: usize>(Product);

impl<const ROWS: usize, const VECTORS: usize> WithSimd for ProductOf<ROWS, VECTORS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Product {
            rows,
            strides: [row, segment],
            runs: [segments, length],
            mut panel,
            target,
            target_row,
            columns,
            is_first,
        } = self.0;
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        // SAFETY: whoever made this promised (`Product::run`) that all of it is within its slices.
        unsafe {
            for s in 0..segments {
                let mut rows = rows.add(s * segment);
                for _ in 0..length {
                    let mut right = [simd.splat_f32s(0.0); VECTORS];
                    for v in 0..VECTORS {
                        right[v] = load::<S>(panel.add(v * S::F32_LANES));
                    }
                    for r in 0..ROWS {
                        let left = simd.splat_f32s(*rows.add(r * row));
                        for v in 0..VECTORS {
                            sums[r][v] = multiply_add(simd, left, right[v], sums[r][v]);
                        }
                    }
                    panel = panel.add(VECTORS * S::F32_LANES);
                    rows = rows.add(1);
                }
            }
            // Constant places only, so that the sums stay in registers.
            if columns == VECTORS * S::F32_LANES {
                if !is_first {
                    for r in 0..ROWS {
                        for v in 0..VECTORS {
                            let at = target.add(r * target_row + v * S::F32_LANES);
                            sums[r][v] = simd.add_f32s(load::<S>(at), sums[r][v]);
                        }
                    }
                }
                for r in 0..ROWS {
                    for v in 0..VECTORS {
                        let at = target.add(r * target_row + v * S::F32_LANES);
                        store::<S>(at, sums[r][v]);
                    }
                }
                return;
            }
            // A panel with fewer columns goes through a block of its own.
            let mut block = [0.0_f32; MAX_ROWS * WIDEST];
            for r in 0..ROWS {
                for v in 0..VECTORS {
                    let at = block.as_mut_ptr().add(r * WIDEST + v * S::F32_LANES);
                    store::<S>(at, sums[r][v]);
                }
            }
            for (r, row) in block.chunks_exact(WIDEST).enumerate().take(ROWS) {
                let target = target.add(r * target_row);
                let target = std::slice::from_raw_parts_mut(target, columns);
                for (target, &sum) in target.iter_mut().zip(row) {
                    *target = if is_first { sum } else { *target + sum };
                }
            }
        }
    }
}

/// Two matrices with a row for each pixel, in lines of `inner` pixels: pixel (o, i) at
/// `start + o · outer + i · inner`.
#[derive(Clone, Copy)]
pub(crate) struct Pixels<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) start: usize,
    pub(crate) outer: usize,
    pub(crate) inner: usize,
}

impl Pixels<'_> {
    fn holds(&self, [outer, inner]: [usize; 2], width: usize) -> bool {
        outer * inner == 0
            || self.start + (outer - 1) * self.outer + (inner - 1) * self.inner + width
                <= self.data.len()
    }
}

/// Writes Σ over pixels of left[pixel] ⊗ right[pixel] to `sums`, or adds it onto them: `n` rows
/// (numbers of a left pixel) of `vectors` whole vectors (of a right pixel), 1 or 2.
#[inline(always)]
pub(crate) fn sum_outer_products<S: Simd>(
    simd: S,
    pixels: [usize; 2],
    (n, left): (usize, Pixels<'_>),
    (vectors, right): (usize, Pixels<'_>),
    (onto, sums): (Onto, &mut [f32]),
) {
    let width = vectors * S::F32_LANES;
    assert!((1..=2).contains(&vectors));
    assert!(
        left.holds(pixels, n),
        "the left matrix is larger than its slice"
    );
    assert!(
        right.holds(pixels, width),
        "the right matrix is larger than its slice"
    );
    assert!(
        sums.len() >= n * width,
        "the sums are larger than their slice"
    );
    let blocks = n.div_ceil(block_rows::<S>());
    for block in 0..blocks {
        let (from, to) = (block * n / blocks, (block + 1) * n / blocks);
        // SAFETY: the assertions keep every pixel's `n` and `width` numbers and `n` rows of sums
        // within their slices; from..to lies within 0..n.
        unsafe {
            let outer = Outer {
                left: left.data.as_ptr().add(left.start + from),
                left_strides: [left.outer, left.inner],
                right: right.data.as_ptr().add(right.start),
                right_strides: [right.outer, right.inner],
                pixels,
                sums: sums.as_mut_ptr().add(from * width),
                is_first: onto == Onto::Unset,
            };
            outer.run(simd, to - from, vectors);
        }
    }
}

#[derive(Clone, Copy)]
struct Outer {
    left: *const f32,
    left_strides: [usize; 2],
    right: *const f32,
    right_strides: [usize; 2],
    pixels: [usize; 2],
    sums: *mut f32,
    is_first: bool,
}

impl Outer {
    /// # Safety
    /// Every pointer must be good for all pixels and `n` rows, `n` in 1..=[`block_rows`].
    #[inline(always)]
    unsafe fn run<S: Simd>(self, simd: S, n: usize, vectors: usize) {
        macro_rules! outer {
            ($rows:literal, $vectors:literal) => {
                simd.vectorize(OuterOf::<$rows, $vectors>(self))
            };
        }
        if vectors == 2 {
            with_rows!(n, 2, outer);
        } else {
            with_rows!(n, 1, outer);
        }
    }
}

struct OuterOf<const ROWS: usize, const VECTORS: usize>(Outer);

impl<const ROWS: usize, const VECTORS: usize> WithSimd for OuterOf<ROWS, VECTORS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let outer = self.0;
        let width = VECTORS * S::F32_LANES;
        // SAFETY: whoever made this promised (`Outer::run`) that all of it is within its slices.
        unsafe {
            let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
            for o in 0..outer.pixels[0] {
                let mut left = outer.left.add(o * outer.left_strides[0]);
                let mut right = outer.right.add(o * outer.right_strides[0]);
                for _ in 0..outer.pixels[1] {
                    let mut right_now = [simd.splat_f32s(0.0); VECTORS];
                    for v in 0..VECTORS {
                        right_now[v] = load::<S>(right.add(v * S::F32_LANES));
                    }
                    for r in 0..ROWS {
                        let left = simd.splat_f32s(*left.add(r));
                        for v in 0..VECTORS {
                            sums[r][v] = multiply_add(simd, left, right_now[v], sums[r][v]);
                        }
                    }
                    left = left.wrapping_add(outer.left_strides[1]);
                    right = right.wrapping_add(outer.right_strides[1]);
                }
            }
            if !outer.is_first {
                // Onto what is there only now: sums of sums round less than one long sum.
                for r in 0..ROWS {
                    for v in 0..VECTORS {
                        let at = outer.sums.add(r * width + v * S::F32_LANES);
                        sums[r][v] = simd.add_f32s(load::<S>(at), sums[r][v]);
                    }
                }
            }
            for r in 0..ROWS {
                for v in 0..VECTORS {
                    store::<S>(outer.sums.add(r * width + v * S::F32_LANES), sums[r][v]);
                }
            }
        }
    }
}

/// a · b + c: fused where the processor does that in one instruction.
#[inline(always)]
pub(crate) fn multiply_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    if S::F32_LANES > 4 {
        simd.mul_add_e_f32s(a, b, c)
    } else {
        // The portable set would call a function for every fused product.
        simd.add_f32s(simd.mul_f32s(a, b), c)
    }
}

/// # Safety
/// `from` must be good for a vector of numbers.
#[inline(always)]
pub(crate) unsafe fn load<S: Simd>(from: *const f32) -> S::f32s {
    // SAFETY: the caller's promise; any bits are a vector of f32.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

/// # Safety
/// `to` must be good for a vector of numbers.
#[inline(always)]
pub(crate) unsafe fn store<S: Simd>(to: *mut f32, vector: S::f32s) {
    // SAFETY: the caller's promise.
    unsafe { to.cast::<S::f32s>().write_unaligned(vector) }
}
