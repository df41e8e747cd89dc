//! Products of matrices that lie in slices, on one thread: a bounds-checked front of `gemm`.
//!
//! Callers cut their work into blocks and spread these over threads themselves. `gemm`'s own
//! parallelism stays off: what it would do depends on the number of threads.

use super::blocks::Blocks;
use super::scratch::with_scratch;
use rayon::prelude::*;

/// A matrix in a slice: element (row, column) at `row * row_stride + column * column_stride`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of neighbouring numbers, `row_stride` apart.
    pub(crate) fn new(data: &'a [f32], row_stride: usize) -> Self {
        Self {
            data,
            row_stride,
            column_stride: 1,
        }
    }

    /// The same numbers with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Self {
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn beginning_at_row(self, row: usize) -> Self {
        Self {
            data: &self.data[row * self.row_stride..],
            ..self
        }
    }

    fn beginning_at_column(self, column: usize) -> Self {
        Self {
            data: &self.data[column * self.column_stride..],
            ..self
        }
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        rows == 0
            || columns == 0
            || (rows - 1) * self.row_stride + (columns - 1) * self.column_stride < self.data.len()
    }
}

/// What becomes of the numbers that lie where results go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onto {
    /// They are replaced; they may be unset.
    Unset,
    /// The results are added to them.
    Sum,
}

/// `product` (`rows` × `columns`, rows of neighbouring numbers) = or += `left` · `right`, where
/// `left` has `inner` columns.
pub(crate) fn multiply(
    [rows, inner, columns]: [usize; 3],
    left: Matrix<'_>,
    right: Matrix<'_>,
    product: &mut [f32],
    onto: Onto,
) {
    assert!(
        left.holds(rows, inner),
        "the left matrix is larger than its slice"
    );
    assert!(
        right.holds(inner, columns),
        "the right matrix is larger than its slice"
    );
    assert!(
        product.len() >= rows * columns,
        "the product is larger than its slice"
    );
    let strides = [
        left.row_stride,
        left.column_stride,
        right.row_stride,
        right.column_stride,
        columns,
    ];
    let [left_row, left_column, right_row, right_column, product_row] = strides.map(|s| s as isize);
    // SAFETY: the three assertions above keep every element that these sizes and strides reach
    // within its slice; `product` is borrowed mutably, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            product.as_mut_ptr(),
            1,
            product_row,
            onto == Onto::Sum,
            left.data.as_ptr(),
            left_column,
            left_row,
            right.data.as_ptr(),
            right_column,
            right_row,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Rows and columns of the blocks of a parallel product.
const BLOCK: usize = 128;

/// [`multiply`] into unset numbers, spread over threads in blocks.
pub(crate) fn multiply_in_blocks(
    [rows, inner, columns]: [usize; 3],
    left: Matrix<'_>,
    right: Matrix<'_>,
    product: &mut [f32],
) {
    assert_eq!(product.len(), rows * columns);
    let column_blocks = Blocks::at_most(columns, BLOCK, 1);
    let mut product_rows = product.chunks_exact_mut(columns);
    let mut tasks = Vec::new();
    for row_range in Blocks::at_most(rows, BLOCK, 1).ranges() {
        let mut of_rows: Vec<_> = column_blocks
            .ranges()
            .map(|column_range| (row_range.clone(), column_range, Vec::with_capacity(BLOCK)))
            .collect();
        for mut rest in product_rows.by_ref().take(row_range.len()) {
            for (_, column_range, owned) in &mut of_rows {
                let (piece, behind) = rest.split_at_mut(column_range.len());
                owned.push(piece);
                rest = behind;
            }
        }
        tasks.append(&mut of_rows);
    }
    tasks
        .into_par_iter()
        .for_each(|(row_range, column_range, owned)| {
            let sizes = [row_range.len(), inner, column_range.len()];
            with_scratch(sizes[0] * sizes[2], |block| {
                let (left, right) = (
                    left.beginning_at_row(row_range.start),
                    right.beginning_at_column(column_range.start),
                );
                multiply(sizes, left, right, block, Onto::Unset);
                for (target, source) in owned.into_iter().zip(block.chunks_exact(sizes[2])) {
                    target.copy_from_slice(source);
                }
            });
        });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_every_small_size_and_order_equal_the_definition() {
        for [rows, inner, columns] in [
            [1, 1, 1],
            [1, 7, 5],
            [6, 1, 2],
            [3, 2, 130],
            [131, 5, 1],
            [17, 300, 9],
        ] {
            let left: Vec<f32> = (0..rows * inner).map(|i| (i % 13) as f32 - 6.0).collect();
            let right: Vec<f32> = (0..inner * columns)
                .map(|i| (i % 11) as f32 - 5.0)
                .collect();
            let mut expected = vec![0.0f32; rows * columns];
            for (place, sum) in expected.iter_mut().enumerate() {
                let (row, column) = (place / columns, place % columns);
                *sum = (0..inner)
                    .map(|i| left[row * inner + i] * right[i * columns + column])
                    .sum();
            }
            let transposed = |data: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                (0..data.len())
                    .map(|i| data[i % rows * columns + i / rows])
                    .collect()
            };
            let (left_t, right_t) = (
                transposed(&left, rows, inner),
                transposed(&right, inner, columns),
            );
            let lefts = [
                Matrix::new(&left, inner),
                Matrix::new(&left_t, rows).transposed(),
            ];
            let rights = [
                Matrix::new(&right, columns),
                Matrix::new(&right_t, inner).transposed(),
            ];
            for a in lefts {
                for b in rights {
                    let mut product = vec![f32::NAN; rows * columns];
                    multiply([rows, inner, columns], a, b, &mut product, Onto::Unset);
                    assert_eq!(product, expected);
                    multiply([rows, inner, columns], a, b, &mut product, Onto::Sum);
                    assert_eq!(
                        product,
                        expected.iter().map(|e| e * 2.0).collect::<Vec<_>>()
                    );
                    product.fill(f32::NAN);
                    multiply_in_blocks([rows, inner, columns], a, b, &mut product);
                    assert_eq!(product, expected);
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "the left matrix is larger than its slice")]
    fn a_matrix_that_reaches_behind_its_slice_is_refused() {
        let (left, right) = ([0.0; 5], [0.0; 6]);
        let (left, right) = (Matrix::new(&left, 3), Matrix::new(&right, 2));
        multiply([2, 3, 2], left, right, &mut [0.0; 4], Onto::Unset);
    }
}
