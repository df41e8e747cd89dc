//! The filters of a PNG's rows undone, one byte a pixel.
//!
//! A filtered byte is the difference to a guess from its left, upper and upper left neighbours, so a
//! row can only be undone byte by byte, and after the row above. But byte x of a row needs only bytes
//! up to x of the row above: 16 rows go side by side, each one byte behind the one above. Reference:
//! the PNG specification, section 9.

use cxr_isa::Isa;

/// Undoes the filters of rows of `width` bytes, each behind its filter's number, into `out`. `None`
/// where a filter is unknown.
pub(crate) fn unfilter(isa: Isa, filtered: &[u8], width: usize, out: &mut [u8]) -> Option<()> {
    let rows = filtered.chunks_exact(width + 1);
    if rows.clone().any(|row| row[0] > PAETH) {
        return None;
    }
    let n_together = wave::undo(isa, filtered, width, out);
    let zero = vec![0; width];
    for (y, row) in rows.enumerate().skip(n_together) {
        let (above, here) = out.split_at_mut(y * width);
        let above = above.get((y.max(1) - 1) * width..).filter(|_| y > 0);
        undo_row(row, above.unwrap_or(&zero), &mut here[..width]);
    }
    Some(())
}

const LEFT: u8 = 1;
const UP: u8 = 2;
const AVERAGE: u8 = 3;
const PAETH: u8 = 4;

/// One row, byte by byte.
fn undo_row(row: &[u8], above: &[u8], out: &mut [u8]) {
    let (filter, row) = (row[0], &row[1..]);
    let (mut left, mut upper_left) = (0_u8, 0_u8);
    for ((&difference, &up), out) in row.iter().zip(above).zip(out) {
        let guess = match filter {
            LEFT => left,
            UP => up,
            AVERAGE => left.midpoint(up),
            PAETH => paeth(left, up, upper_left),
            _ => 0,
        };
        left = difference.wrapping_add(guess);
        upper_left = up;
        *out = left;
    }
}

/// Of three neighbours the one nearest to left + up − upper left; of equally near ones the first.
fn paeth(left: u8, up: u8, upper_left: u8) -> u8 {
    let [a, b, c] = [left, up, upper_left].map(i16::from);
    let (to_left, to_up, to_corner) = ((b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs());
    if to_left <= to_up && to_left <= to_corner {
        left
    } else if to_up <= to_corner {
        up
    } else {
        upper_left
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod wave {
    use cxr_isa::Isa;

    /// How many rows were undone: none, for want of the instructions.
    pub(super) fn undo(_: Isa, _: &[u8], _: usize, _: &mut [u8]) -> usize {
        0
    }
}

#[cfg(target_arch = "x86_64")]
mod wave {
    use std::arch::x86_64::__m256i;

    use cxr_isa::Isa;
    use pulp::core_arch::x86::{Avx, Avx2};
    use pulp::x86::V3;
    use pulp::{NullaryFnOnce, cast};

    use super::{AVERAGE, LEFT, PAETH, UP};
    use crate::transpose::{SIDE, transposed};

    /// Undoes the rows up to the last multiple of 16, if the processor can; how many those are.
    pub(super) fn undo(isa: Isa, filtered: &[u8], width: usize, out: &mut [u8]) -> usize {
        let (Some(simd), true) = (V3::try_new(), isa != Isa::Portable) else {
            return 0;
        };
        // Narrower pictures would be mostly the wave's beginning and end.
        let n_groups = if width < SIDE {
            0
        } else {
            out.len() / width / SIDE
        };
        let mut slant = Slant::new(width);
        for group in 0..n_groups {
            let rows = &filtered[group * SIDE * (width + 1)..][..SIDE * (width + 1)];
            let (above, out) = out.split_at_mut(group * SIDE * width);
            slant.above[..width].fill(0);
            if let Some(row) = above.len().checked_sub(width) {
                slant.above[..width].copy_from_slice(&above[row..]);
            }
            slant.fill(rows);
            simd.vectorize(Group {
                simd,
                filters: std::array::from_fn(|row| rows[row * (width + 1)]),
                slant: &mut slant,
            });
            slant.give(&mut out[..SIDE * width]);
        }
        n_groups * SIDE
    }

    /// 16 rows, row j shifted to the right by j: what is one below the other is done at once.
    struct Slant {
        width: usize,
        stride: usize,
        rows: Vec<u8>,
        above: Vec<u8>,
    }

    impl Slant {
        fn new(width: usize) -> Self {
            let stride = (width + SIDE).next_multiple_of(SIDE);
            Self {
                width,
                stride,
                rows: vec![0; SIDE * stride],
                above: vec![0; stride],
            }
        }

        fn fill(&mut self, filtered: &[u8]) {
            let rows = self.rows.chunks_exact_mut(self.stride);
            for (j, (slanted, row)) in rows.zip(filtered.chunks_exact(self.width + 1)).enumerate() {
                slanted[j..j + self.width].copy_from_slice(&row[1..]);
            }
        }

        fn give(&self, out: &mut [u8]) {
            let rows = self.rows.chunks_exact(self.stride);
            for (j, (slanted, row)) in rows.zip(out.chunks_exact_mut(self.width)).enumerate() {
                row.copy_from_slice(&slanted[j..j + self.width]);
            }
        }
    }

    struct Group<'a> {
        simd: V3,
        filters: [u8; SIDE],
        slant: &'a mut Slant,
    }

    impl NullaryFnOnce for Group<'_> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            let Slant {
                stride,
                rows,
                above,
                ..
            } = self.slant;
            let mut wave = Wave::new(self.simd, self.filters);
            for from in (0..*stride).step_by(SIDE) {
                let mut square = [[0; SIDE]; SIDE];
                for (row, slanted) in square.iter_mut().zip(rows.chunks_exact(*stride)) {
                    row.copy_from_slice(&slanted[from..from + SIDE]);
                }
                let mut columns = transposed(&square);
                let above = &above[from..from + SIDE];
                for (step, (column, &above)) in columns.iter_mut().zip(above).enumerate() {
                    // Lane j begins at step j of the first square.
                    let n_begun = if from == 0 { step + 1 } else { SIDE };
                    *column = wave.step(column, above, n_begun);
                }
                let square = transposed(&columns);
                for (row, slanted) in square.iter().zip(rows.chunks_exact_mut(*stride)) {
                    slanted[from..from + SIDE].copy_from_slice(row);
                }
            }
        }
    }

    /// The last byte of each row, and what was above it; 16 bits a row.
    struct Wave {
        avx: Avx,
        avx2: Avx2,
        is: [__m256i; 4],
        lanes: __m256i,
        left: __m256i,
        upper_left: __m256i,
    }

    impl Wave {
        #[inline(always)]
        fn new(simd: V3, filters: [u8; SIDE]) -> Self {
            let (avx, avx2) = (simd.avx, simd.avx2);
            let filters = avx2._mm256_cvtepu8_epi16(cast(filters));
            let is = [LEFT, UP, AVERAGE, PAETH].map(|filter| {
                avx2._mm256_cmpeq_epi16(filters, avx._mm256_set1_epi16(i16::from(filter)))
            });
            let lanes: [i16; SIDE] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
            Self {
                avx,
                avx2,
                is,
                lanes: cast(lanes),
                left: avx._mm256_setzero_si256(),
                upper_left: avx._mm256_setzero_si256(),
            }
        }

        /// The next byte of each row, from the differences and the byte above the first row.
        #[inline(always)]
        fn step(&mut self, differences: &[u8; SIDE], above: u8, n_begun: usize) -> [u8; SIDE] {
            let (avx, avx2) = (self.avx, self.avx2);
            let left = self.left;
            // Each row's upper neighbour is what the row above had at the last step.
            let first = avx._mm256_set1_epi16(i16::from(above));
            let low = avx._mm256_castsi256_si128(left);
            let carried = avx2._mm256_inserti128_si256::<1>(first, low);
            let mut up = avx2._mm256_alignr_epi8::<14>(left, carried);
            let guess = self.guess(left, up);
            let sum = avx2._mm256_add_epi16(avx2._mm256_cvtepu8_epi16(cast(*differences)), guess);
            let mut here = avx2._mm256_and_si256(sum, avx._mm256_set1_epi16(0xff));
            if n_begun < SIDE {
                let begun = avx._mm256_set1_epi16(n_begun as i16);
                let begun = avx2._mm256_cmpgt_epi16(begun, self.lanes);
                here = avx2._mm256_and_si256(here, begun);
                up = avx2._mm256_and_si256(up, begun);
            }
            self.left = here;
            self.upper_left = up;
            let packed = avx2._mm256_packus_epi16(here, here);
            let in_order = avx2._mm256_permute4x64_epi64::<0b1000>(packed);
            cast(avx._mm256_castsi256_si128(in_order))
        }

        /// What each row's filter guesses.
        #[inline(always)]
        fn guess(&self, left: __m256i, up: __m256i) -> __m256i {
            let (avx2, corner) = (self.avx2, self.upper_left);
            let average = avx2._mm256_srli_epi16::<1>(avx2._mm256_add_epi16(left, up));
            let (over_up, over_left) = (
                avx2._mm256_sub_epi16(up, corner),
                avx2._mm256_sub_epi16(left, corner),
            );
            let to_left = avx2._mm256_abs_epi16(over_up);
            let to_up = avx2._mm256_abs_epi16(over_left);
            let to_corner = avx2._mm256_abs_epi16(avx2._mm256_add_epi16(over_up, over_left));
            let nearest = avx2._mm256_min_epi16(avx2._mm256_min_epi16(to_left, to_up), to_corner);
            let is_up = avx2._mm256_cmpeq_epi16(to_up, nearest);
            let is_left = avx2._mm256_cmpeq_epi16(to_left, nearest);
            let paeth = avx2._mm256_blendv_epi8(corner, up, is_up);
            let paeth = avx2._mm256_blendv_epi8(paeth, left, is_left);
            let guesses = [left, up, average, paeth];
            let of = |place: usize| avx2._mm256_and_si256(self.is[place], guesses[place]);
            avx2._mm256_or_si256(
                avx2._mm256_or_si256(of(0), of(1)),
                avx2._mm256_or_si256(of(2), of(3)),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use cxr_stream::{Purpose, Stream};

    use super::*;

    fn filtered(width: usize, height: usize, filters: &[u8], seed: u64) -> Vec<u8> {
        let mut stream = Stream::new(seed, Purpose::Test, 0, 0);
        let mut byte = || (stream.uniform() * 256.0) as u8;
        (0..height)
            .flat_map(|y| {
                let filter = filters[y % filters.len()];
                std::iter::once(filter).chain((0..width).map(|_| byte()).collect::<Vec<_>>())
            })
            .collect()
    }

    fn undone(isa: Isa, filtered: &[u8], width: usize, height: usize) -> Option<Vec<u8>> {
        let mut out = vec![0xa5; width * height];
        unfilter(isa, filtered, width, &mut out).map(|()| out)
    }

    #[test]
    fn every_filter_is_undone_as_the_specification_says() {
        // Two rows of three bytes: the second is guessed from the first, 10 20 30.
        let second = |filter| {
            let rows = [0, 10, 20, 30, filter, 1, 2, 3];
            undone(Isa::Portable, &rows, 3, 2).unwrap()[3..].to_vec()
        };
        assert_eq!(second(0), [1, 2, 3]);
        assert_eq!(second(LEFT), [1, 3, 6]);
        assert_eq!(second(UP), [11, 22, 33]);
        assert_eq!(second(AVERAGE), [6, 15, 25]);
        assert_eq!(second(PAETH), [11, 22, 33]);
        assert_eq!(undone(Isa::Portable, &[5, 1, 2, 3], 3, 1), None);
    }

    #[test]
    fn rows_side_by_side_are_those_one_by_one() {
        let all = [4, 3, 1, 2, 0, 4, 4, 3, 3, 2, 1];
        let mixes: [&[u8]; 7] = [&[0], &[LEFT], &[UP], &[AVERAGE], &[PAETH], &all, &[4, 3]];
        let sizes = [
            (1, 1),
            (1, 40),
            (15, 33),
            (16, 16),
            (17, 31),
            (31, 17),
            (48, 64),
            (100, 95),
        ];
        for (seed, filters) in (0..).zip(mixes) {
            for (width, height) in sizes {
                let rows = filtered(width, height, filters, seed);
                let expected = undone(Isa::Portable, &rows, width, height);
                for isa in Isa::ALL {
                    let found = undone(isa, &rows, width, height);
                    assert!(found == expected, "{filters:?} {width}×{height} {isa}");
                }
            }
        }
    }
}
