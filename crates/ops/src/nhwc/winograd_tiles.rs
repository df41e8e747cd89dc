//! The four small transforms of F(4×4, 3×3): tiles to and from the 36 planes that are multiplied.
//!
//! With the matrices of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015:
//! output = Aᵀ[(G w Gᵀ) ⊙ (Bᵀ d B)]A for a 6×6 tile d of the input, a 3×3 kernel w and a 4×4 tile
//! of the output. A vector holds neighbouring channels of one place.
#![expect(
    clippy::needless_range_loop,
    reason = "places that are constants after unrolling keep arrays of vectors in registers"
)]

use pulp::Simd;

use super::micro::{load, multiply_add, store};

/// Rows and columns of a tile of the output.
pub(crate) const STEP: usize = 4;
/// Rows and columns of a tile of the input, and of a tile in the domain of products.
pub(crate) const TILE: usize = 6;
/// Products of a tile.
pub(crate) const PLANES: usize = TILE * TILE;

/// G: from a kernel's three taps to six.
pub(crate) const KERNEL_TO_TILE: [[f32; 3]; TILE] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// One tile in a slice: element (row, column) at `start + row · row_stride + column · channels`.
#[derive(Clone, Copy)]
pub(crate) struct TilePlace {
    pub(crate) start: usize,
    pub(crate) row_stride: usize,
    pub(crate) channels: usize,
}

impl TilePlace {
    fn fits(self, side: usize, len: usize) -> bool {
        self.start + (side - 1) * self.row_stride + side * self.channels <= len
    }
}

/// One tile in the domain of products: plane p at `start + p · plane_stride`, `channels` numbers.
#[derive(Clone, Copy)]
pub(crate) struct PlanePlace {
    pub(crate) start: usize,
    pub(crate) plane_stride: usize,
    pub(crate) channels: usize,
}

impl PlanePlace {
    fn fits(self, len: usize) -> bool {
        self.start + (PLANES - 1) * self.plane_stride + self.channels <= len
    }
}

/// Writes Bᵀ d B of a 6×6 tile of the input.
#[inline(always)]
pub(crate) fn input_to_planes<S: Simd>(
    simd: S,
    (from, input): (TilePlace, &[f32]),
    (to, planes): (PlanePlace, &mut [f32]),
) {
    assert!(from.fits(TILE, input.len()) && to.fits(planes.len()));
    assert!(from.channels == to.channels && from.channels.is_multiple_of(S::F32_LANES));
    for channel in (0..from.channels).step_by(S::F32_LANES) {
        // SAFETY: the assertions keep every vector of all places of both tiles within their slices.
        unsafe {
            let source = input.as_ptr().add(from.start + channel);
            let target = planes.as_mut_ptr().add(to.start + channel);
            let mut rows = [[simd.splat_f32s(0.0); TILE]; TILE];
            for (y, row) in rows.iter_mut().enumerate() {
                let mut places = [simd.splat_f32s(0.0); TILE];
                for (x, place) in places.iter_mut().enumerate() {
                    *place = load::<S>(source.add(y * from.row_stride + x * from.channels));
                }
                *row = input_side(simd, places);
            }
            for x in 0..TILE {
                let column = input_side(
                    simd,
                    [
                        rows[0][x], rows[1][x], rows[2][x], rows[3][x], rows[4][x], rows[5][x],
                    ],
                );
                for (y, &value) in column.iter().enumerate() {
                    store::<S>(target.add((y * TILE + x) * to.plane_stride), value);
                }
            }
        }
    }
}

/// Writes Aᵀ m A, the 4×4 tile of the output, its first `rows` × `columns` places only.
#[inline(always)]
pub(crate) fn planes_to_output<S: Simd>(
    simd: S,
    (from, planes): (PlanePlace, &[f32]),
    (to, output): (TilePlace, &mut [f32]),
    [rows, columns]: [usize; 2],
) {
    assert!(rows <= STEP && columns <= STEP && rows * columns > 0);
    assert!(from.fits(planes.len()));
    let last = to.start + (rows - 1) * to.row_stride + columns * to.channels;
    assert!(last <= output.len());
    assert!(from.channels == to.channels && from.channels.is_multiple_of(S::F32_LANES));
    for channel in (0..from.channels).step_by(S::F32_LANES) {
        // SAFETY: the assertions keep every vector of the planes and of the places that are written
        // within their slices.
        unsafe {
            let source = planes.as_ptr().add(from.start + channel);
            let target = output.as_mut_ptr().add(to.start + channel);
            let mut halves = [[simd.splat_f32s(0.0); STEP]; TILE];
            for (y, half) in halves.iter_mut().enumerate() {
                let mut places = [simd.splat_f32s(0.0); TILE];
                for (x, place) in places.iter_mut().enumerate() {
                    *place = load::<S>(source.add((y * TILE + x) * from.plane_stride));
                }
                *half = output_side(simd, places);
            }
            for x in 0..columns {
                let column = output_side(
                    simd,
                    [
                        halves[0][x],
                        halves[1][x],
                        halves[2][x],
                        halves[3][x],
                        halves[4][x],
                        halves[5][x],
                    ],
                );
                for (y, &value) in column.iter().enumerate().take(rows) {
                    store::<S>(target.add(y * to.row_stride + x * to.channels), value);
                }
            }
        }
    }
}

/// Writes A d Aᵀ of a 4×4 tile of the output gradient: the adjoint of [`planes_to_output`].
#[inline(always)]
pub(crate) fn gradient_to_planes<S: Simd>(
    simd: S,
    (from, gradient): (TilePlace, &[f32]),
    (to, planes): (PlanePlace, &mut [f32]),
) {
    assert!(from.fits(STEP, gradient.len()) && to.fits(planes.len()));
    assert!(from.channels == to.channels && from.channels.is_multiple_of(S::F32_LANES));
    for channel in (0..from.channels).step_by(S::F32_LANES) {
        // SAFETY: the assertions keep every vector of all places of both tiles within their slices.
        unsafe {
            let source = gradient.as_ptr().add(from.start + channel);
            let target = planes.as_mut_ptr().add(to.start + channel);
            let mut rows = [[simd.splat_f32s(0.0); TILE]; STEP];
            for (y, row) in rows.iter_mut().enumerate() {
                let mut places = [simd.splat_f32s(0.0); STEP];
                for (x, place) in places.iter_mut().enumerate() {
                    *place = load::<S>(source.add(y * from.row_stride + x * from.channels));
                }
                *row = gradient_side(simd, places);
            }
            for x in 0..TILE {
                let column = gradient_side(simd, [rows[0][x], rows[1][x], rows[2][x], rows[3][x]]);
                for (y, &value) in column.iter().enumerate() {
                    store::<S>(target.add((y * TILE + x) * to.plane_stride), value);
                }
            }
        }
    }
}

/// c − a · b.
#[inline(always)]
fn subtract_product<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    if S::F32_LANES > 4 {
        simd.negate_mul_add_e_f32s(a, b, c)
    } else {
        // As in `multiply_add`.
        simd.sub_f32s(c, simd.mul_f32s(a, b))
    }
}

/// Bᵀ along one side.
#[inline(always)]
fn input_side<S: Simd>(simd: S, d: [S::f32s; TILE]) -> [S::f32s; TILE] {
    let two = simd.splat_f32s(2.0);
    let four = simd.splat_f32s(4.0);
    let five = simd.splat_f32s(5.0);
    let inner = subtract_product(simd, four, d[2], d[4]); // d4 − 4 d2
    let outer = subtract_product(simd, four, d[1], d[3]); // d3 − 4 d1
    let even = simd.sub_f32s(d[4], d[2]);
    let odd = simd.mul_f32s(two, simd.sub_f32s(d[3], d[1]));
    [
        multiply_add(simd, four, d[0], subtract_product(simd, five, d[2], d[4])),
        simd.add_f32s(inner, outer),
        simd.sub_f32s(inner, outer),
        simd.add_f32s(even, odd),
        simd.sub_f32s(even, odd),
        multiply_add(simd, four, d[1], subtract_product(simd, five, d[3], d[5])),
    ]
}

/// Aᵀ along one side.
#[inline(always)]
fn output_side<S: Simd>(simd: S, m: [S::f32s; TILE]) -> [S::f32s; STEP] {
    let two = simd.splat_f32s(2.0);
    let four = simd.splat_f32s(4.0);
    let eight = simd.splat_f32s(8.0);
    let (sum, difference) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (far_sum, far) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(m[0], simd.add_f32s(sum, far_sum)),
        multiply_add(simd, two, far, difference),
        multiply_add(simd, four, far_sum, sum),
        simd.add_f32s(m[5], multiply_add(simd, eight, far, difference)),
    ]
}

/// A along one side.
#[inline(always)]
fn gradient_side<S: Simd>(simd: S, d: [S::f32s; STEP]) -> [S::f32s; TILE] {
    let two = simd.splat_f32s(2.0);
    let four = simd.splat_f32s(4.0);
    let eight = simd.splat_f32s(8.0);
    let (even, odd) = (simd.add_f32s(d[0], d[2]), simd.add_f32s(d[1], d[3]));
    let far_even = multiply_add(simd, four, d[2], d[0]);
    let far_odd = multiply_add(simd, eight, d[3], simd.mul_f32s(two, d[1]));
    [
        d[0],
        simd.add_f32s(even, odd),
        simd.sub_f32s(even, odd),
        simd.add_f32s(far_even, far_odd),
        simd.sub_f32s(far_even, far_odd),
        d[3],
    ]
}
