//! The 14 findings, and how often and how faithfully each one's label records what was drawn.
//!
//! For the cohort, which draws labels by it, and the ceilings, which are computed from it.
//! Deliberately not here: what a finding looks like (`lesion`).

use serde::{Deserialize, Serialize};

/// How many findings there are.
pub const N_FINDINGS: usize = 14;

/// The findings of NIH ChestX-ray14, in its order.
pub const FINDINGS: [&str; N_FINDINGS] = [
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
];

pub(crate) const ATELECTASIS: usize = 0;
pub(crate) const CARDIOMEGALY: usize = 1;
pub(crate) const CONSOLIDATION: usize = 2;
pub(crate) const EDEMA: usize = 3;
pub(crate) const EFFUSION: usize = 4;
pub(crate) const EMPHYSEMA: usize = 5;
pub(crate) const FIBROSIS: usize = 6;
pub(crate) const HERNIA: usize = 7;
pub(crate) const INFILTRATION: usize = 8;
pub(crate) const MASS: usize = 9;
pub(crate) const NODULE: usize = 10;
pub(crate) const PLEURAL_THICKENING: usize = 11;
pub(crate) const PNEUMONIA: usize = 12;
pub(crate) const PNEUMOTHORAX: usize = 13;

/// What is hidden behind a label: whether the finding is drawn, and how far it has gone.
///
/// A label depends on [`Severity::is_present`] alone; the extent only makes the picture harder or
/// easier to read. It is a multiple of 1/10 000, so `truth.csv` holds it exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Severity(f32);

impl Severity {
    /// Nothing is drawn.
    pub const ABSENT: Self = Self(0.0);

    /// A finding of this extent, kept within (0, 1] and rounded to four decimals.
    #[must_use]
    pub fn present(extent: f64) -> Self {
        let steps = (extent * 10_000.0).clamp(1.0, 10_000.0) as u16;
        Self(f32::from(steps) / 10_000.0)
    }

    /// Whether anything is drawn. This is all that a label depends on.
    #[must_use]
    pub fn is_present(self) -> bool {
        self.0 > 0.0
    }

    /// How far the finding has gone, from 0 (absent) to 1.
    #[must_use]
    pub fn extent(self) -> f32 {
        self.0
    }
}

/// How a label records a finding: the joint law of "drawn" and "labelled", at a prevalence.
///
/// Written from the label's side, since AUROC depends on these two probabilities alone and stays
/// the same when a split is enriched in positives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Channel {
    prevalence: f64,
    present_given_positive: f64,
    present_given_negative: f64,
}

impl Channel {
    /// The law in which a share `prevalence` of labels is positive and the finding is drawn behind
    /// these shares of positive and of negative labels. Each is brought within [0, 1].
    #[must_use]
    pub fn new(prevalence: f64, present_given_positive: f64, present_given_negative: f64) -> Self {
        Self {
            prevalence: prevalence.clamp(0.0, 1.0),
            present_given_positive: present_given_positive.clamp(0.0, 1.0),
            present_given_negative: present_given_negative.clamp(0.0, 1.0),
        }
    }

    /// P(label = 1).
    #[must_use]
    pub fn prevalence(&self) -> f64 {
        self.prevalence
    }

    /// P(drawn | label = 1) for `positive`, P(drawn | label = 0) otherwise.
    #[must_use]
    pub fn present_given(&self, positive: bool) -> f64 {
        if positive {
            self.present_given_positive
        } else {
            self.present_given_negative
        }
    }

    /// P(drawn).
    #[must_use]
    pub fn present(&self) -> f64 {
        self.prevalence * self.present_given_positive
            + (1.0 - self.prevalence) * self.present_given_negative
    }

    /// P(label = 1 | drawn or not): what an observer who sees the truth would say.
    ///
    /// Where the condition cannot happen (nothing, or everything, is drawn) this is the prevalence.
    #[must_use]
    pub fn positive_given(&self, present: bool) -> f64 {
        let drawn = self.present();
        let (joint, condition) = if present {
            (self.prevalence * self.present_given_positive, drawn)
        } else {
            (
                self.prevalence * (1.0 - self.present_given_positive),
                1.0 - drawn,
            )
        };
        if condition > 0.0 {
            joint / condition
        } else {
            self.prevalence
        }
    }

    /// The same law where another share of labels is positive (case–control sampling).
    #[must_use]
    pub fn at_prevalence(&self, prevalence: f64) -> Self {
        Self::new(
            prevalence,
            self.present_given_positive,
            self.present_given_negative,
        )
    }
}

/// Prevalence in the default cohort, then P(drawn | 1) and P(drawn | 0). About three times the
/// write-up's prevalence, more for rare findings that are easy, so that a test split of 400 can
/// show it.
const DEFAULT_LAW: [(f64, f64, f64); N_FINDINGS] = [
    (0.300, 0.88, 0.05),
    (0.090, 0.96, 0.02),
    (0.100, 0.88, 0.03),
    (0.080, 0.96, 0.02),
    (0.360, 0.95, 0.05),
    (0.070, 0.96, 0.02),
    (0.050, 0.88, 0.02),
    (0.006, 0.96, 0.001),
    (0.420, 0.86, 0.10),
    (0.130, 0.90, 0.03),
    (0.150, 0.88, 0.05),
    (0.060, 0.88, 0.02),
    (0.035, 0.85, 0.03),
    (0.110, 0.94, 0.02),
];

/// Whether a finding tends to stay from one of a patient's studies to the next.
const PERSISTENCE: [f64; N_FINDINGS] = [
    0.2, 0.5, 0.2, 0.2, 0.3, 0.5, 0.6, 0.6, 0.2, 0.5, 0.5, 0.6, 0.2, 0.2,
];

/// The law of a finding in the default cohort.
pub(crate) fn default_channel(finding: usize) -> Channel {
    let (prevalence, positive, negative) = DEFAULT_LAW[finding];
    Channel::new(prevalence, positive, negative)
}

/// The law of a finding where its label is as rare as `prevalence`: the share drawn behind negative
/// labels shrinks alike, so that a positive label keeps its meaning.
pub(crate) fn channel_for(finding: usize, prevalence: f64) -> Channel {
    let (usual, positive, negative) = DEFAULT_LAW[finding];
    Channel::new(
        prevalence,
        positive,
        negative * (prevalence / usual).min(1.0),
    )
}

/// The probability that a later study of a patient repeats the patient's standing state.
pub(crate) fn persistence(finding: usize) -> f64 {
    PERSISTENCE[finding]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_through_the_channel_give_the_same_joint_law() {
        for finding in 0..N_FINDINGS {
            let law = default_channel(finding);
            for present in [true, false] {
                let given_label = law.present_given(true);
                let share = if present {
                    given_label
                } else {
                    1.0 - given_label
                };
                let from_label = law.prevalence() * share;
                let drawn = if present {
                    law.present()
                } else {
                    1.0 - law.present()
                };
                let from_truth = drawn * law.positive_given(present);
                assert!((from_label - from_truth).abs() < 1e-15, "{finding}");
            }
        }
    }

    #[test]
    fn a_severity_survives_four_decimals() {
        for step in 1..=10_000u16 {
            let severity = Severity::present(f64::from(step) / 10_000.0 + 1e-9);
            let read: f32 = format!("{:.4}", severity.extent()).parse().unwrap();
            assert_eq!(read.to_bits(), severity.extent().to_bits());
        }
        assert!(!Severity::ABSENT.is_present());
        assert!(Severity::present(-3.0).is_present());
    }

    #[test]
    fn a_channel_without_chance_still_answers() {
        let never = Channel::new(0.3, 0.0, 0.0);
        assert!((never.positive_given(true) - 0.3).abs() < 1e-15);
        assert!((never.positive_given(false) - 0.3).abs() < 1e-15);
    }
}
