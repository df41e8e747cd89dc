//! The four small transforms of F(4×4, 3×3): tiles to and from the 36 planes that are multiplied.
//!
//! output = Aᵀ[(G w Gᵀ) ⊙ (Bᵀ d B)]A for a 6×6 tile d of the input, a 3×3 kernel w and a 4×4 tile of
//! the output (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015). The
//! matrices are those of the points 0, ±√½, ±√2, ∞ by Toom and Cook's construction: as many
//! operations as with the usual 0, ±1, ±2, ∞ and a third of the error, because no power of a point is
//! large. A vector holds neighbouring channels of one place.
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

/// The two positive points.
const NEAR: f32 = std::f32::consts::FRAC_1_SQRT_2;
const FAR: f32 = std::f32::consts::SQRT_2;

/// G: from a kernel's three taps to six.
pub(crate) const KERNEL_TO_TILE: [[f32; 3]; TILE] = [
    [1.0, 0.0, 0.0],
    [-2.0 / 3.0, -2.0 / 3.0 * NEAR, -1.0 / 3.0],
    [-2.0 / 3.0, 2.0 / 3.0 * NEAR, -1.0 / 3.0],
    [1.0 / 6.0, 1.0 / 6.0 * FAR, 1.0 / 3.0],
    [1.0 / 6.0, -1.0 / 6.0 * FAR, 1.0 / 3.0],
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
    let (near, far) = (simd.splat_f32s(NEAR), simd.splat_f32s(FAR));
    let half = simd.splat_f32s(0.5);
    let two = simd.splat_f32s(2.0);
    let sum = simd.splat_f32s(2.5);
    // x (x ± √½)(x² − 2) and x (x ± √2)(x² − ½), even powers and odd ones.
    let near_even = subtract_product(simd, two, d[2], d[4]);
    let near_odd = subtract_product(simd, two, d[1], d[3]);
    let far_even = subtract_product(simd, half, d[2], d[4]);
    let far_odd = subtract_product(simd, half, d[1], d[3]);
    [
        simd.add_f32s(d[0], subtract_product(simd, sum, d[2], d[4])),
        multiply_add(simd, near, near_odd, near_even),
        subtract_product(simd, near, near_odd, near_even),
        multiply_add(simd, far, far_odd, far_even),
        subtract_product(simd, far, far_odd, far_even),
        simd.add_f32s(d[1], subtract_product(simd, sum, d[3], d[5])),
    ]
}

/// Aᵀ along one side.
#[inline(always)]
fn output_side<S: Simd>(simd: S, m: [S::f32s; TILE]) -> [S::f32s; STEP] {
    let half = simd.splat_f32s(0.5);
    let two = simd.splat_f32s(2.0);
    let near_sum = simd.add_f32s(m[1], m[2]);
    let far_sum = simd.add_f32s(m[3], m[4]);
    let near = simd.mul_f32s(simd.splat_f32s(NEAR), simd.sub_f32s(m[1], m[2]));
    let far = simd.mul_f32s(simd.splat_f32s(FAR), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(m[0], simd.add_f32s(near_sum, far_sum)),
        simd.add_f32s(near, far),
        multiply_add(simd, two, far_sum, simd.mul_f32s(half, near_sum)),
        multiply_add(simd, two, far, multiply_add(simd, half, near, m[5])),
    ]
}

/// A along one side.
#[inline(always)]
fn gradient_side<S: Simd>(simd: S, d: [S::f32s; STEP]) -> [S::f32s; TILE] {
    let (near, far) = (simd.splat_f32s(NEAR), simd.splat_f32s(FAR));
    let half = simd.splat_f32s(0.5);
    let two = simd.splat_f32s(2.0);
    let near_even = multiply_add(simd, half, d[2], d[0]);
    let near_odd = multiply_add(simd, half, d[3], d[1]);
    let far_even = multiply_add(simd, two, d[2], d[0]);
    let far_odd = multiply_add(simd, two, d[3], d[1]);
    [
        d[0],
        multiply_add(simd, near, near_odd, near_even),
        subtract_product(simd, near, near_odd, near_even),
        multiply_add(simd, far, far_odd, far_even),
        subtract_product(simd, far, far_odd, far_even),
        d[3],
    ]
}
