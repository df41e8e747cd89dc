//! A rectangle of values, row-major: one row a radiograph, one column a finding.
//!
//! For the types of this crate that are such a rectangle. Deliberately no arithmetic.

use crate::MetricFault;

/// Row-major values with a checked shape.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grid<T> {
    values: Vec<T>,
    n_findings: usize,
}

impl<T: Copy> Grid<T> {
    pub(crate) fn new(values: Vec<T>, n_findings: usize) -> Result<Self, MetricFault> {
        if n_findings == 0 || !values.len().is_multiple_of(n_findings) {
            return Err(MetricFault::NotRectangular {
                n_values: values.len(),
                n_findings,
            });
        }
        Ok(Self { values, n_findings })
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.values.len() / self.n_findings
    }

    pub(crate) fn n_findings(&self) -> usize {
        self.n_findings
    }

    pub(crate) fn values(&self) -> &[T] {
        &self.values
    }

    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = &[T]> {
        self.values.chunks_exact(self.n_findings)
    }

    /// The values of one finding, top to bottom; none where the finding is out of range.
    pub(crate) fn column(&self, finding: usize) -> impl Iterator<Item = T> {
        let start = if finding < self.n_findings {
            finding
        } else {
            self.values.len()
        };
        self.values[start.min(self.values.len())..]
            .iter()
            .step_by(self.n_findings)
            .copied()
    }

    pub(crate) fn map<U: Copy>(&self, change: impl Fn(T) -> U) -> Grid<U> {
        Grid {
            values: self.values.iter().map(|&value| change(value)).collect(),
            n_findings: self.n_findings,
        }
    }

    /// (row, finding, value) of the first value that fails the check.
    pub(crate) fn first_failing(&self, holds: impl Fn(T) -> bool) -> Option<(usize, usize, T)> {
        let place = self.values.iter().position(|&value| !holds(value))?;
        Some((
            place / self.n_findings,
            place % self.n_findings,
            self.values[place],
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_and_rows_are_told_apart_when_height_is_not_width() {
        let grid = Grid::new(vec![0, 1, 2, 10, 11, 12], 3).unwrap();
        assert_eq!(grid.n_rows(), 2);
        assert_eq!(grid.column(1).collect::<Vec<_>>(), [1, 11]);
        assert_eq!(grid.column(3).count(), 0);
        assert_eq!(grid.rows().next().unwrap(), [0, 1, 2]);
        assert_eq!(grid.first_failing(|v| v < 11), Some((1, 1, 11)));
    }

    #[test]
    fn ragged_and_zero_wide_grids_are_refused() {
        assert!(Grid::new(vec![1, 2, 3], 2).is_err());
        assert!(Grid::<i32>::new(vec![], 0).is_err());
        assert_eq!(Grid::<i32>::new(vec![], 2).unwrap().n_rows(), 0);
    }
}
