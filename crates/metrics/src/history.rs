//! What each epoch of a training run reached, and which epoch was the best.
//!
//! For the training loop, results.csv and plots. A history never holds NaN: a figure without a
//! value is `None`. Deliberately not here: files, clocks, and the loop itself.

use crate::accuracy::{label_accuracy, subset_accuracy};
use crate::{
    Cells, Decisions, MacroMean, MetricFault, Ranking, Scores, Threshold, Truths, Undefined,
};
use serde::{Deserialize, Serialize};

/// Figures of one pass over a cohort: one epoch's training batches, or all of valid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassSummary {
    /// Mean loss as it was optimised.
    pub loss: f64,
    /// Share of radiographs whose whole row is right at probability one half.
    pub subset_accuracy: Option<f64>,
    /// Share of labels that are right at probability one half.
    pub label_accuracy: Option<f64>,
    /// Mean AUROC.
    pub auroc: MacroMean,
    /// Mean average precision.
    pub average_precision: MacroMean,
    /// AUROC of each finding.
    pub auroc_per_finding: Vec<Option<f64>>,
}

impl PassSummary {
    /// Measures the scores of a pass whose mean loss is known.
    ///
    /// # Errors
    /// Scores and truths of different shapes.
    pub fn measure(loss: f64, scores: &Scores, truths: &Truths) -> Result<Self, MetricFault> {
        let decisions = Decisions::at(scores, &vec![Threshold::HALF; scores.n_findings()])?;
        let subset = subset_accuracy(&decisions, truths)?;
        let label = label_accuracy(&decisions, truths)?;
        let rankings = (0..scores.n_findings())
            .map(|finding| {
                let cells = Cells::of(scores, truths, finding)?;
                Ok(Ranking::new(&cells.scores, &cells.truths))
            })
            .collect::<Result<Vec<_>, MetricFault>>()?;
        let each = |figure: fn(&Ranking) -> Result<f64, Undefined>| -> Vec<Option<f64>> {
            rankings
                .iter()
                .map(|r| r.as_ref().ok().and_then(|r| figure(r).ok()))
                .collect()
        };
        let auroc_per_finding = each(Ranking::auroc);
        Ok(Self {
            loss,
            subset_accuracy: subset.ok().map(|accuracy| accuracy.value),
            label_accuracy: label.ok().map(|accuracy| accuracy.value),
            auroc: MacroMean::of(auroc_per_finding.iter().copied()),
            average_precision: MacroMean::of(each(Ranking::average_precision)),
            auroc_per_finding,
        })
    }

    /// Every number with its name.
    fn numbers(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let figures = [
            ("loss", Some(self.loss)),
            ("subset accuracy", self.subset_accuracy),
            ("label accuracy", self.label_accuracy),
            ("macro AUROC", self.auroc.value),
            ("macro average precision", self.average_precision.value),
        ];
        let of_findings = self.auroc_per_finding.iter().map(|&auroc| ("AUROC", auroc));
        figures
            .into_iter()
            .chain(of_findings)
            .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// One epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Which one, from 1 or from 0 as the run counts.
    pub epoch: u64,
    /// Learning rate at its end.
    pub learning_rate: f64,
    /// Wall time.
    pub seconds: f64,
    /// Training radiographs a second.
    pub images_per_second: f64,
    /// The training batches as they were seen: augmented, with dropout, weights still moving.
    pub training_pass: PassSummary,
    /// An honest pass over (some of) train: evaluation mode, no augmentation.
    pub train: Option<PassSummary>,
    /// An honest pass over valid.
    pub valid: PassSummary,
}

impl EpochRecord {
    fn check(&self) -> Result<(), MetricFault> {
        let own = [
            ("learning rate", self.learning_rate),
            ("seconds", self.seconds),
            ("images a second", self.images_per_second),
        ];
        let passes = [
            Some(&self.training_pass),
            self.train.as_ref(),
            Some(&self.valid),
        ];
        let of_passes = passes.into_iter().flatten().flat_map(PassSummary::numbers);
        match own
            .into_iter()
            .chain(of_passes)
            .find(|(_, value)| !value.is_finite())
        {
            Some((field, value)) => Err(MetricFault::BadEpochValue {
                epoch: self.epoch,
                field,
                value,
            }),
            None => Ok(()),
        }
    }
}

/// The epochs of a run, ascending, without NaN.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct History {
    findings: Vec<String>,
    records: Vec<EpochRecord>,
}

#[derive(Deserialize)]
struct Written {
    findings: Vec<String>,
    records: Vec<EpochRecord>,
}

impl TryFrom<Written> for History {
    type Error = MetricFault;

    fn try_from(written: Written) -> Result<Self, MetricFault> {
        let mut history = Self::new(written.findings);
        written
            .records
            .into_iter()
            .try_for_each(|record| history.push(record))?;
        Ok(history)
    }
}

impl History {
    /// No epoch yet, of a run for these findings.
    pub fn new(findings: Vec<String>) -> Self {
        Self {
            findings,
            records: Vec::new(),
        }
    }

    /// Adds an epoch.
    ///
    /// # Errors
    /// NaN or an infinity anywhere; an epoch that is not after the last; another number of findings.
    pub fn push(&mut self, record: EpochRecord) -> Result<(), MetricFault> {
        record.check()?;
        for pass in [
            Some(&record.training_pass),
            record.train.as_ref(),
            Some(&record.valid),
        ] {
            let found = pass.map_or(self.findings.len(), |pass| pass.auroc_per_finding.len());
            if found != self.findings.len() {
                let what = "AUROCs of an epoch";
                return Err(MetricFault::SizeMismatch {
                    what,
                    expected: self.findings.len(),
                    found,
                });
            }
        }
        match self.records.last() {
            Some(last) if last.epoch >= record.epoch => Err(MetricFault::EpochOrder {
                last: last.epoch,
                epoch: record.epoch,
            }),
            _ => {
                self.records.push(record);
                Ok(())
            }
        }
    }

    /// The findings, in the order of every `auroc_per_finding`.
    pub fn findings(&self) -> &[String] {
        &self.findings
    }

    /// The epochs, ascending.
    pub fn records(&self) -> &[EpochRecord] {
        &self.records
    }

    /// The last epoch.
    pub fn last(&self) -> Option<&EpochRecord> {
        self.records.last()
    }

    /// The epoch with the highest macro AUROC on valid, the earliest of equals; `None` while it is
    /// defined for none, so that no epoch is called the best for nothing.
    pub fn best(&self) -> Option<&EpochRecord> {
        let valued = self
            .records
            .iter()
            .filter_map(|r| r.valid.auroc.value.map(|v| (v, r)));
        // `max_by` keeps the last of equals, so the latest comes first.
        valued
            .rev()
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, record)| record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Logits;

    fn pass(auroc: Option<f64>) -> PassSummary {
        PassSummary {
            loss: 0.7,
            subset_accuracy: None,
            label_accuracy: Some(0.9),
            auroc: MacroMean::of([auroc, None]),
            average_precision: MacroMean::of([None, None]),
            auroc_per_finding: vec![auroc, None],
        }
    }

    fn epoch(epoch: u64, auroc: Option<f64>) -> EpochRecord {
        EpochRecord {
            epoch,
            learning_rate: 1e-4,
            seconds: 2.0,
            images_per_second: 500.0,
            training_pass: pass(Some(0.5)),
            train: None,
            valid: pass(auroc),
        }
    }

    fn history(aurocs: &[Option<f64>]) -> History {
        let mut history = History::new(vec!["Edema".to_string(), "Hernia".to_string()]);
        for (index, &auroc) in (1..).zip(aurocs) {
            history.push(epoch(index, auroc)).unwrap();
        }
        history
    }

    #[test]
    fn the_best_epoch_is_the_best_and_the_earliest_of_equals() {
        let best = |aurocs: &[Option<f64>]| history(aurocs).best().map(|record| record.epoch);
        assert_eq!(best(&[Some(0.6), Some(0.8), Some(0.8), Some(0.7)]), Some(2));
        assert_eq!(best(&[None, Some(0.4), None]), Some(2));
        assert_eq!(best(&[None, None]), None);
        assert_eq!(best(&[]), None);
    }

    #[test]
    fn nan_never_enters_a_history() {
        let mut history = history(&[Some(0.5)]);
        let mut record = epoch(2, Some(0.5));
        record.valid.loss = f64::NAN;
        let fault = history.push(record).unwrap_err();
        assert!(matches!(
            fault,
            MetricFault::BadEpochValue {
                epoch: 2,
                field: "loss",
                ..
            }
        ));
        assert_eq!(fault.exit_code(), 5);
        assert!(history.push(epoch(2, Some(f64::NAN))).is_err());
        let mut record = epoch(2, Some(0.5));
        record.images_per_second = f64::INFINITY;
        assert!(history.push(record).is_err());
    }

    #[test]
    fn epochs_ascend_and_keep_their_findings() {
        let mut history = history(&[Some(0.5)]);
        assert_eq!(
            history.push(epoch(1, None)),
            Err(MetricFault::EpochOrder { last: 1, epoch: 1 })
        );
        let mut record = epoch(2, None);
        record.valid.auroc_per_finding.pop();
        assert!(matches!(
            history.push(record),
            Err(MetricFault::SizeMismatch { .. })
        ));
    }

    #[test]
    fn a_history_survives_json_and_is_checked_on_the_way_in() {
        let history = history(&[Some(0.1 + 0.2), None]);
        let text = serde_json::to_string(&history).unwrap();
        assert_eq!(serde_json::from_str::<History>(&text).unwrap(), history);
        let unordered = text.replace("\"epoch\":2", "\"epoch\":1");
        assert!(serde_json::from_str::<History>(&unordered).is_err());
    }

    #[test]
    fn a_pass_is_measured_at_one_half() {
        let scores = Scores::Logits(Logits::new(vec![1.0, -1.0, -2.0, 3.0, 0.5, -1.0], 2).unwrap());
        let truths = Truths::known(&[true, false, false, false, false, false], 2).unwrap();
        let pass = PassSummary::measure(0.25, &scores, &truths).unwrap();
        assert_eq!(
            pass.auroc,
            MacroMean {
                value: Some(1.0),
                over: 1,
                of: 2
            }
        );
        assert_eq!(pass.auroc_per_finding, [Some(1.0), None]);
        assert_eq!(pass.subset_accuracy, Some(1.0 / 3.0));
        assert_eq!(pass.label_accuracy, Some(4.0 / 6.0));
    }
}
