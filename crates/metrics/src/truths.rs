//! Labels as truths: positive, negative or unknown, and the cells of a finding that are known.
//!
//! An unknown label takes its cell out of every figure, and nothing else. Deliberately not here:
//! tables and what an uncertain label in them means (crate `data`).

use crate::grid::Grid;
use crate::{MetricFault, Scores};

/// The labels of radiographs, row-major; `None` where a label is unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct Truths(Grid<Option<bool>>);

impl Truths {
    /// Labels with some unknown.
    ///
    /// # Errors
    /// A shape that is no rectangle.
    pub fn new(values: Vec<Option<bool>>, n_findings: usize) -> Result<Self, MetricFault> {
        Grid::new(values, n_findings).map(Self)
    }

    /// Labels that are all known.
    ///
    /// # Errors
    /// A shape that is no rectangle.
    pub fn known(values: &[bool], n_findings: usize) -> Result<Self, MetricFault> {
        Self::new(values.iter().copied().map(Some).collect(), n_findings)
    }

    /// Radiographs.
    pub fn n_rows(&self) -> usize {
        self.0.n_rows()
    }

    /// Findings.
    pub fn n_findings(&self) -> usize {
        self.0.n_findings()
    }

    /// Rows, top to bottom.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[Option<bool>]> {
        self.0.rows()
    }

    /// One finding's labels, top to bottom.
    pub fn column(&self, finding: usize) -> Vec<Option<bool>> {
        self.0.column(finding).collect()
    }

    /// Positives of a finding: the support behind its figures.
    pub fn support(&self, finding: usize) -> usize {
        self.0
            .column(finding)
            .filter(|&label| label == Some(true))
            .count()
    }

    /// Refuses scores of another shape.
    pub(crate) fn check_shape(&self, n_rows: usize, n_findings: usize) -> Result<(), MetricFault> {
        let sizes = [
            ("findings of truths", n_findings, self.n_findings()),
            ("rows of truths", n_rows, self.n_rows()),
        ];
        for (what, expected, found) in sizes {
            if expected != found {
                return Err(MetricFault::SizeMismatch {
                    what,
                    expected,
                    found,
                });
            }
        }
        Ok(())
    }
}

/// One finding's cells with a known label: what its figures are computed from.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    /// The score of each.
    pub scores: Vec<f64>,
    /// Whether the finding is there.
    pub truths: Vec<bool>,
    /// The row that each came from.
    pub rows: Vec<usize>,
}

impl Cells {
    /// The known cells of one finding, with the scores that it is ranked by.
    ///
    /// # Errors
    /// Scores and truths of different shapes.
    pub fn of(scores: &Scores, truths: &Truths, finding: usize) -> Result<Self, MetricFault> {
        truths.check_shape(scores.n_rows(), scores.n_findings())?;
        Ok(Self::gather(scores.grid(), truths, finding))
    }

    pub(crate) fn gather(scores: &Grid<f64>, truths: &Truths, finding: usize) -> Self {
        let mut cells = Self {
            scores: Vec::with_capacity(scores.n_rows()),
            truths: vec![],
            rows: vec![],
        };
        let columns = scores.column(finding).zip(truths.0.column(finding));
        for (row, (score, truth)) in columns.enumerate() {
            if let Some(truth) = truth {
                cells.scores.push(score);
                cells.truths.push(truth);
                cells.rows.push(row);
            }
        }
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Logits;

    #[test]
    fn an_unknown_label_takes_out_its_cell_and_nothing_else() {
        let scores = Scores::Logits(Logits::new(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2).unwrap());
        let labels = vec![Some(true), None, Some(false), Some(true), None, Some(false)];
        let truths = Truths::new(labels, 2).unwrap();
        let cells = Cells::of(&scores, &truths, 1).unwrap();
        assert_eq!(
            cells,
            Cells {
                scores: vec![4.0, 6.0],
                truths: vec![true, false],
                rows: vec![1, 2]
            }
        );
        assert_eq!(truths.support(0), 1);
    }

    #[test]
    fn truths_of_another_shape_are_refused() {
        let scores = Scores::Logits(Logits::new(vec![0.0; 6], 2).unwrap());
        let fault = Cells::of(&scores, &Truths::known(&[true; 4], 2).unwrap(), 0).unwrap_err();
        assert_eq!(
            fault,
            MetricFault::SizeMismatch {
                what: "rows of truths",
                expected: 3,
                found: 2
            }
        );
    }
}
