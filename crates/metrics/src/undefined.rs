//! Why a figure has no value: the reason that travels with every `None`, through to the page.
//!
//! Deliberately not here: faults of the input. They are [`crate::MetricFault`].

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The reason why a figure is not defined. Its text is what JSON and tables show.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Error, Serialize, Deserialize,
)]
#[non_exhaustive]
pub enum Undefined {
    /// Nothing to count.
    #[error("no known label")]
    #[serde(rename = "no known label")]
    NoKnownLabel,
    /// The finding is on no radiograph.
    #[error("no positive")]
    #[serde(rename = "no positive")]
    NoPositive,
    /// The finding is on every radiograph.
    #[error("no negative")]
    #[serde(rename = "no negative")]
    NoNegative,
    /// No score reaches the threshold.
    #[error("no predicted positive")]
    #[serde(rename = "no predicted positive")]
    NoPredictedPositive,
    /// F1 without true positives, false positives and false negatives.
    #[error("no positive and no predicted positive")]
    #[serde(rename = "no positive and no predicted positive")]
    NoPositiveAtAll,
    /// A variance needs two positives.
    #[error("one positive only")]
    #[serde(rename = "one positive only")]
    OnePositive,
    /// A variance needs two negatives.
    #[error("one negative only")]
    #[serde(rename = "one negative only")]
    OneNegative,
    /// A clustered variance needs positives of two patients.
    #[error("positives of one patient only")]
    #[serde(rename = "positives of one patient only")]
    PositivesOfOnePatient,
    /// A clustered variance needs negatives of two patients.
    #[error("negatives of one patient only")]
    #[serde(rename = "negatives of one patient only")]
    NegativesOfOnePatient,
    /// The logit of the estimate is infinite, so the interval has no width to speak of.
    #[error("AUROC is exactly 0 or 1")]
    #[serde(rename = "AUROC is exactly 0 or 1")]
    AtBound,
    /// A mean over nothing.
    #[error("defined for no finding")]
    #[serde(rename = "defined for no finding")]
    NoDefinedFinding,
    /// scikit-learn's mean of NaN is NaN; JSON has none.
    #[error("not defined for every finding")]
    #[serde(rename = "not defined for every finding")]
    NotEveryFinding,
    /// A mean's standard error when one of its terms has none.
    #[error("a finding in the mean has no standard error")]
    #[serde(rename = "a finding in the mean has no standard error")]
    TermWithoutError,
    /// Subset accuracy compares whole rows.
    #[error("no radiograph with every label known")]
    #[serde(rename = "no radiograph with every label known")]
    NoCompleteRow,
    /// Two slices that belong together do not match.
    #[error("scores and truths differ in length")]
    #[serde(rename = "scores and truths differ in length")]
    UnequalLengths,
    /// Two models can only be compared on the same labels.
    #[error("the two models were measured on different labels")]
    #[serde(rename = "the two models were measured on different labels")]
    OtherTruths,
    /// A difference that every patient has alike gives no standard error.
    #[error("no spread between patients")]
    #[serde(rename = "no spread between patients")]
    NoSpread,
    /// No temperature is cold enough: the loss only falls as it goes to 0.
    #[error("the classes are separated, so no temperature is the best")]
    #[serde(rename = "the classes are separated, so no temperature is the best")]
    PerfectlySeparated,
    /// A calibration that would turn the order of radiographs round is none.
    #[error("scores do not rise with the finding")]
    #[serde(rename = "scores do not rise with the finding")]
    NotIncreasing,
    /// A score that is no number cannot be ranked.
    #[error("a score is NaN")]
    #[serde(rename = "a score is NaN")]
    NanScore,
    /// A rule for a threshold asks for more specificity than any of the scores gives.
    #[error("no threshold reaches that specificity")]
    #[serde(rename = "no threshold reaches that specificity")]
    SpecificityNotReached,
    /// A rule for a threshold asks for more precision than any of the scores gives.
    #[error("no threshold reaches that precision")]
    #[serde(rename = "no threshold reaches that precision")]
    PrecisionNotReached,
    /// Every false alarm costs more than the hits it comes with.
    #[error("calling nothing positive costs less than any threshold")]
    #[serde(rename = "calling nothing positive costs less than any threshold")]
    NothingIsCheapest,
    /// Resampling one patient gives the same radiographs again and again.
    #[error("one patient only")]
    #[serde(rename = "one patient only")]
    OnePatient,
    /// A spread needs two draws that define the figure.
    #[error("defined in fewer than two draws")]
    #[serde(rename = "defined in fewer than two draws")]
    TooFewDraws,
}

impl Undefined {
    /// The reason by its text, as a checkpoint keeps it.
    pub fn from_text(text: &str) -> Option<Self> {
        use serde::de::IntoDeserializer;
        use serde::de::value::{Error, StrDeserializer};
        let text: StrDeserializer<'_, Error> = text.into_deserializer();
        Self::deserialize(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_read_back_from_its_text() {
        for reason in [
            Undefined::NoPositive,
            Undefined::AtBound,
            Undefined::NotIncreasing,
        ] {
            assert_eq!(Undefined::from_text(&reason.to_string()), Some(reason));
        }
        assert_eq!(Undefined::from_text("because"), None);
    }
}
