//! The best that any model can reach on a phantom, in closed form and on the very rows drawn.
//!
//! A picture depends on the hidden severity, and the label on whether it is present; so by data
//! processing no score made from the picture beats the score "present". For whoever reports a
//! phantom run beside its ceiling. Deliberately not here: metrics of a model (`cxr-metrics`).

use crate::cohort::{PhantomCohort, Split};
use crate::fault::PhantomError;
use crate::finding::{Channel, FINDINGS};
use crate::recipe::PhantomRecipe;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Four metrics of the ideal observer, who knows whether the finding is present and nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// Area under the ROC curve.
    pub auroc: f64,
    /// Average precision, with ties broken at random.
    pub average_precision: f64,
    /// Brier score: here the ceiling is the lowest that can be reached.
    pub brier: f64,
    /// Log loss in nats: again the lowest.
    pub log_loss: f64,
}

impl Ceiling {
    /// The expected ceiling under a label's law, in the limit of many rows.
    ///
    /// AUROC is ½ + ½ (P(present | 1) − P(present | 0)). Average precision is the area under the
    /// ideal observer's precision over recall, present ones first and ties at random. Brier and log
    /// loss are the expected variance and entropy of the label given the truth.
    ///
    /// ```
    /// use cxr_phantom::{Ceiling, Channel};
    /// let exact = Ceiling::expected(&Channel::new(0.1, 1.0, 0.0));
    /// assert_eq!((exact.auroc, exact.average_precision, exact.brier), (1.0, 1.0, 0.0));
    /// let blind = Ceiling::expected(&Channel::new(0.1, 0.4, 0.4));
    /// assert!((blind.auroc - 0.5).abs() < 1e-12 && (blind.average_precision - 0.1).abs() < 1e-12);
    /// ```
    #[must_use]
    pub fn expected(channel: &Channel) -> Self {
        let drawn = channel.present();
        let given = [channel.positive_given(true), channel.positive_given(false)];
        let weights = [drawn, 1.0 - drawn];
        let mean = |f: fn(f64) -> f64| weights[0] * f(given[0]) + weights[1] * f(given[1]);
        Self {
            auroc: 0.5 + 0.5 * (channel.present_given(true) - channel.present_given(false)),
            average_precision: expected_average_precision(channel),
            brier: mean(|p| p * (1.0 - p)),
            log_loss: mean(entropy),
        }
    }

    /// The ideal observer on these rows (`present`, label): what the best model would have scored.
    ///
    /// None if all labels are alike.
    #[must_use]
    pub fn on_rows(channel: &Channel, rows: &[(bool, bool)]) -> Option<Self> {
        let count = |present: bool, label: bool| {
            rows.iter().filter(|&&row| row == (present, label)).count() as f64
        };
        let positives = [count(true, true), count(false, true)];
        let negatives = [count(true, false), count(false, false)];
        let (n_positive, n_negative) = (positives[0] + positives[1], negatives[0] + negatives[1]);
        if n_positive < 0.5 || n_negative < 0.5 {
            return None;
        }
        let n = n_positive + n_negative;
        let mut brier = 0.0;
        let mut log_loss = 0.0;
        for (at, present) in [true, false].into_iter().enumerate() {
            let p = channel.positive_given(present);
            brier += positives[at] * (1.0 - p) * (1.0 - p) + negatives[at] * p * p;
            log_loss += weighted_log(positives[at], p) + weighted_log(negatives[at], 1.0 - p);
        }
        Some(Self {
            auroc: 0.5 + 0.5 * (positives[0] / n_positive - negatives[0] / n_negative),
            average_precision: mean_average_precision(positives, negatives),
            brier: brier / n,
            log_loss: log_loss / n,
        })
    }
}

fn entropy(p: f64) -> f64 {
    weighted_log(p, p) + weighted_log(1.0 - p, 1.0 - p)
}

/// −weight · ln p, 0 where nothing has that weight.
fn weighted_log(weight: f64, p: f64) -> f64 {
    if weight > 0.0 {
        -weight * libm::log(p)
    } else {
        0.0
    }
}

/// ∫ precision d(recall): constant while present ones are ranked, then r / (slope·r + offset).
fn expected_average_precision(channel: &Channel) -> f64 {
    let recall = channel.present_given(true);
    let false_share = channel.present_given(false);
    let head = recall * channel.positive_given(true);
    let tail_recall = 1.0 - recall;
    if tail_recall <= 0.0 || channel.prevalence() <= 0.0 {
        return if channel.prevalence() > 0.0 {
            head
        } else {
            0.0
        };
    }
    let odds = (1.0 - channel.prevalence()) / channel.prevalence();
    let rate = odds * (1.0 - false_share) / tail_recall;
    let slope = 1.0 + rate;
    let offset = odds * false_share - rate * recall;
    let primitive = |r: f64| {
        r / slope
            - offset / (slope * slope) * libm::log((slope * r + offset).max(f64::MIN_POSITIVE))
    };
    // Without an offset precision is constant, and its logarithm at recall 0 is not needed.
    if offset.abs() < 1e-12 {
        return head + tail_recall / slope;
    }
    head + primitive(1.0) - primitive(recall)
}

/// The mean of average precision over all orders of the ties, exactly: in a group of n rows with m
/// positives, the j-th is positive with chance m/n and then has 1 + (j−1)(m−1)/(n−1) of them so far.
fn mean_average_precision(positives: [f64; 2], negatives: [f64; 2]) -> f64 {
    let mut sum = 0.0;
    let (mut found, mut seen) = (0.0, 0.0);
    for (m, group_negatives) in positives.into_iter().zip(negatives) {
        let n = m + group_negatives;
        let others = if n > 1.0 { (m - 1.0) / (n - 1.0) } else { 0.0 };
        let mut before = 0.0;
        while before < n {
            sum += m / n * (found + 1.0 + before * others) / (seen + before + 1.0);
            before += 1.0;
        }
        found += m;
        seen += n;
    }
    sum / found
}

/// One split's ceiling for a finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitCeiling {
    /// Which split, before any repair.
    pub split: Split,
    /// Its rows.
    pub rows: usize,
    /// Its positive labels.
    pub positives: usize,
    /// P(label = 1) of the law that it was drawn by.
    pub prevalence: f64,
    /// The expected ceiling, in closed form.
    pub ceiling: Ceiling,
    /// The ideal observer on these very rows; none where all labels are alike.
    pub oracle: Option<Ceiling>,
}

/// A finding's ceilings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingCeiling {
    /// The finding.
    pub name: String,
    /// P(present | label = 1).
    pub present_given_positive: f64,
    /// P(present | label = 0).
    pub present_given_negative: f64,
    /// Train, valid and test.
    pub splits: Vec<SplitCeiling>,
}

impl FindingCeiling {
    /// The ceiling in a split.
    #[must_use]
    pub fn split(&self, split: Split) -> Option<&SplitCeiling> {
        self.splits.iter().find(|one| one.split == split)
    }
}

/// What `ceilings.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceilings {
    /// What the cohort was drawn from.
    pub recipe: PhantomRecipe,
    /// One entry a finding, in the order of [`FINDINGS`].
    pub findings: Vec<FindingCeiling>,
}

impl Ceilings {
    pub(crate) fn of(cohort: &PhantomCohort) -> Self {
        let findings = FINDINGS
            .iter()
            .enumerate()
            .map(|(finding, name)| {
                let channel = cohort.channel(finding, Split::Train);
                FindingCeiling {
                    name: (*name).to_owned(),
                    present_given_positive: channel.present_given(true),
                    present_given_negative: channel.present_given(false),
                    splits: Split::ALL
                        .map(|s| split_ceiling(cohort, finding, s))
                        .to_vec(),
                }
            })
            .collect();
        Self {
            recipe: cohort.recipe().clone(),
            findings,
        }
    }

    /// The ceilings of a finding, by name.
    #[must_use]
    pub fn finding(&self, name: &str) -> Option<&FindingCeiling> {
        self.findings.iter().find(|one| one.name == name)
    }

    /// Reads a `ceilings.json`.
    ///
    /// # Errors
    /// The file cannot be read, or is not what [`PhantomCohort::write`] writes.
    pub fn read(path: &Path) -> Result<Self, PhantomError> {
        let text = fs_err::read_to_string(path).map_err(PhantomError::io(path))?;
        serde_json::from_str(&text).map_err(|fault| PhantomError::Unreadable {
            path: path.to_owned(),
            reason: fault.to_string(),
        })
    }
}

fn split_ceiling(cohort: &PhantomCohort, finding: usize, split: Split) -> SplitCeiling {
    let channel = cohort.channel(finding, split);
    let rows: Vec<(bool, bool)> = cohort
        .split(split)
        .iter()
        .map(|r| (r.severities[finding].is_present(), r.labels[finding]))
        .collect();
    SplitCeiling {
        split,
        rows: rows.len(),
        positives: rows.iter().filter(|row| row.1).count(),
        prevalence: channel.prevalence(),
        ceiling: Ceiling::expected(&channel),
        oracle: Ceiling::on_rows(&channel, &rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{N_FINDINGS, default_channel};
    use cxr_stream::{Purpose, Stream};

    /// AUROC and average precision of distinct scores, by their definitions.
    fn ranked(mut rows: Vec<(f64, bool)>) -> (f64, f64) {
        rows.sort_by(|a, b| b.0.total_cmp(&a.0));
        let n_positive = rows.iter().filter(|r| r.1).count() as f64;
        let n_negative = rows.len() as f64 - n_positive;
        let (mut found, mut precision, mut pairs) = (0.0, 0.0, 0.0);
        for (before, row) in rows.iter().enumerate() {
            if row.1 {
                found += 1.0;
                precision += found / (before as f64 + 1.0);
            } else {
                pairs += found;
            }
        }
        (pairs / n_positive / n_negative, precision / n_positive)
    }

    /// Rows of a law, by a simulation that knows nothing of the closed forms.
    fn simulate(channel: &Channel, n: u64, key: u64) -> Vec<(bool, bool)> {
        let mut stream = Stream::new(11, Purpose::Test, 0, key);
        (0..n)
            .map(|_| {
                let present = stream.uniform() < channel.present();
                (present, stream.uniform() < channel.positive_given(present))
            })
            .collect()
    }

    #[test]
    fn closed_forms_agree_with_simulation() {
        for finding in (0..N_FINDINGS).filter(|&f| default_channel(f).prevalence() > 0.02) {
            let channel = default_channel(finding);
            let rows = simulate(&channel, 300_000, finding as u64);
            let mut ties = Stream::new(12, Purpose::Test, 0, finding as u64);
            let scored = rows
                .iter()
                .map(|r| (f64::from(u8::from(r.0)) + ties.uniform(), r.1))
                .collect();
            let (auroc, average_precision) = ranked(scored);
            let mean = |f: &dyn Fn(f64, bool) -> f64| {
                rows.iter()
                    .map(|r| f(channel.positive_given(r.0), r.1))
                    .sum::<f64>()
                    / rows.len() as f64
            };
            let brier = mean(&|p, y| (p - f64::from(u8::from(y))) * (p - f64::from(u8::from(y))));
            let log_loss = mean(&|p, y| -libm::log(if y { p } else { 1.0 - p }));
            let expected = Ceiling::expected(&channel);
            assert!(
                (expected.auroc - auroc).abs() < 0.006,
                "{finding} {auroc} {expected:?}"
            );
            assert!(
                (expected.average_precision - average_precision).abs() < 0.012,
                "{finding}"
            );
            assert!(
                (expected.brier - brier).abs() < 0.003,
                "{finding} {brier} {expected:?}"
            );
            assert!((expected.log_loss - log_loss).abs() < 0.007, "{finding}");
        }
    }

    #[test]
    fn on_rows_is_the_mean_over_orders_of_the_ties() {
        let channel = Channel::new(0.3, 0.8, 0.2);
        let rows = simulate(&channel, 40, 1);
        let oracle = Ceiling::on_rows(&channel, &rows).unwrap();
        let mut ties = Stream::new(13, Purpose::Test, 0, 0);
        let n = 20_000;
        let (mut auroc, mut average_precision) = (0.0, 0.0);
        for _ in 0..n {
            let scored = rows
                .iter()
                .map(|r| (f64::from(u8::from(r.0)) + ties.uniform(), r.1))
                .collect();
            let one = ranked(scored);
            auroc += one.0 / f64::from(n);
            average_precision += one.1 / f64::from(n);
        }
        assert!(
            (oracle.auroc - auroc).abs() < 0.002,
            "{} {auroc}",
            oracle.auroc
        );
        assert!((oracle.average_precision - average_precision).abs() < 0.003);
    }

    #[test]
    fn rows_of_one_class_have_no_oracle() {
        let channel = Channel::new(0.3, 0.8, 0.2);
        assert!(Ceiling::on_rows(&channel, &[(true, false), (false, false)]).is_none());
        assert!(Ceiling::on_rows(&channel, &[(true, true)]).is_none());
        assert!(Ceiling::on_rows(&channel, &[]).is_none());
    }

    #[test]
    fn ceilings_survive_json() {
        let ceilings = PhantomRecipe::default().draw().unwrap().ceilings();
        let text = serde_json::to_string(&ceilings).unwrap();
        assert_eq!(serde_json::from_str::<Ceilings>(&text).unwrap(), ceilings);
        let edema = ceilings.finding("Edema").unwrap();
        assert!(edema.split(Split::Test).unwrap().oracle.unwrap().auroc > 0.9);
        assert!(ceilings.finding("Fracture").is_none());
    }
}
