//! Accuracy of whole rows and of single labels, each meaningful only beside its all-negative
//! baseline.
//!
//! Equals scikit-learn's `accuracy_score` on a multi-label table, and on the flattened one.

use crate::summation::as_f64;
use crate::{Decisions, MetricFault, Truths, Undefined};

/// A share of radiographs or of labels, and what saying "negative" to everything reaches on the
/// same ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowAccuracy {
    /// Share that is right.
    pub value: f64,
    /// Share that all-negative decisions get right.
    pub all_negative: f64,
    /// How many there are.
    pub count: usize,
}

/// Share of radiographs whose whole row of decisions equals the row of labels.
///
/// Rows with an unknown label are left out: whether they are right cannot be said.
///
/// # Errors
/// The outer one for different shapes; the inner one, [`Undefined::NoCompleteRow`].
pub fn subset_accuracy(
    decisions: &Decisions,
    truths: &Truths,
) -> Result<Result<RowAccuracy, Undefined>, MetricFault> {
    truths.check_shape(decisions.n_rows(), decisions.n_findings())?;
    let (mut right, mut empty, mut count) = (0, 0, 0);
    for (decided, labels) in decisions.rows().zip(truths.rows()) {
        if labels.contains(&None) {
            continue;
        }
        count += 1;
        right += usize::from(decided.iter().zip(labels).all(|(&d, &l)| Some(d) == l));
        empty += usize::from(!labels.contains(&Some(true)));
    }
    Ok(shares(right, empty, count, Undefined::NoCompleteRow))
}

/// Share of single labels, over all radiographs and findings, that are decided rightly.
///
/// # Errors
/// The outer one for different shapes; the inner one, [`Undefined::NoKnownLabel`].
pub fn label_accuracy(
    decisions: &Decisions,
    truths: &Truths,
) -> Result<Result<RowAccuracy, Undefined>, MetricFault> {
    truths.check_shape(decisions.n_rows(), decisions.n_findings())?;
    let (mut right, mut negative, mut count) = (0, 0, 0);
    for (decided, labels) in decisions.rows().zip(truths.rows()) {
        for (&decision, label) in decided.iter().zip(labels) {
            let Some(label) = *label else { continue };
            count += 1;
            right += usize::from(decision == label);
            negative += usize::from(!label);
        }
    }
    Ok(shares(right, negative, count, Undefined::NoKnownLabel))
}

fn shares(
    right: usize,
    baseline: usize,
    count: usize,
    otherwise: Undefined,
) -> Result<RowAccuracy, Undefined> {
    if count == 0 {
        return Err(otherwise);
    }
    let share = |part| as_f64(part) / as_f64(count);
    Ok(RowAccuracy {
        value: share(right),
        all_negative: share(baseline),
        count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> (Decisions, Truths) {
        let decisions =
            Decisions::from_external(vec![true, false, false, false, false, true], 2).unwrap();
        let labels = vec![
            Some(true),
            Some(false),
            Some(false),
            None,
            Some(false),
            Some(false),
        ];
        (decisions, Truths::new(labels, 2).unwrap())
    }

    #[test]
    fn a_row_with_an_unknown_label_is_left_out_of_both_shares() {
        let (decisions, truths) = table();
        let rows = subset_accuracy(&decisions, &truths).unwrap().unwrap();
        assert_eq!(
            rows,
            RowAccuracy {
                value: 0.5,
                all_negative: 0.5,
                count: 2
            }
        );
        let labels = label_accuracy(&decisions, &truths).unwrap().unwrap();
        assert_eq!(
            labels,
            RowAccuracy {
                value: 0.8,
                all_negative: 0.8,
                count: 5
            }
        );
    }

    #[test]
    fn no_row_and_another_shape_are_told_apart() {
        let nothing = Decisions::all_negative(0, 2).unwrap();
        let none = Truths::known(&[], 2).unwrap();
        assert_eq!(
            subset_accuracy(&nothing, &none).unwrap(),
            Err(Undefined::NoCompleteRow)
        );
        assert_eq!(
            label_accuracy(&nothing, &none).unwrap(),
            Err(Undefined::NoKnownLabel)
        );
        assert!(subset_accuracy(&nothing, &table().1).is_err());
    }
}
