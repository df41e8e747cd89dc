//! A square of 16 × 16 bytes turned over its diagonal, in registers where there are any.
//!
//! For the horizontal pass of `resize` and for `unfilter`, which want a column of 16 rows side by side.
//! Deliberately not here: other sizes.

/// Bytes in a row of a square, rows in a square.
pub(crate) const SIDE: usize = 16;
/// Row by row.
pub(crate) type Square = [[u8; SIDE]; SIDE];

/// Row `i` of the result is column `i` of `square`.
///
/// Each of four steps interleaves the upper half's rows with the lower half's; together they move
/// the four bits of a byte's row to where those of its column were.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn transposed(square: &Square) -> Square {
    match pulp::core_arch::x86::Sse2::try_new() {
        // Always: SSE2 is part of x86-64, and the compiler knows.
        Some(sse2) => {
            let mut rows: [pulp::u8x16; SIDE] = pulp::cast(*square);
            for _ in 0..4 {
                let halves = rows;
                for i in 0..SIDE / 2 {
                    let (upper, lower) = (pulp::cast(halves[i]), pulp::cast(halves[i + SIDE / 2]));
                    rows[2 * i] = pulp::cast(sse2._mm_unpacklo_epi8(upper, lower));
                    rows[2 * i + 1] = pulp::cast(sse2._mm_unpackhi_epi8(upper, lower));
                }
            }
            pulp::cast(rows)
        }
        None => transposed_plainly(square),
    }
}

/// Row `i` of the result is column `i` of `square`.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn transposed(square: &Square) -> Square {
    transposed_plainly(square)
}

#[inline(always)]
fn transposed_plainly(square: &Square) -> Square {
    let mut columns = [[0; SIDE]; SIDE];
    for (y, row) in square.iter().enumerate() {
        for (column, &byte) in columns.iter_mut().zip(row) {
            column[y] = byte;
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns() {
        let square: Square = std::array::from_fn(|y| std::array::from_fn(|x| (16 * y + x) as u8));
        let turned: Square = std::array::from_fn(|y| std::array::from_fn(|x| (16 * x + y) as u8));
        assert_eq!(transposed(&square), turned);
        assert_eq!(transposed_plainly(&square), turned);
    }
}
