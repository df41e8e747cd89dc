//! One image with its patient and labels.
//!
//! For whoever holds radiographs one by one. Not here: pixels, and radiographs used together
//! (`cohort`).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::escape::quoted;
use crate::image_name::ImageName;

const MAX_PATIENT_BYTES: usize = 255;

/// Who is on a radiograph, as the table writes it.
///
/// Whole numbers are compared as numbers, so that `0022`, `22` and a spreadsheet's `22.0` are one
/// patient and cannot end up on both sides of a split. Everything else is compared as text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PatientId(Box<str>);

impl PatientId {
    /// Checks an identifier.
    ///
    /// # Errors
    /// [`PatientIdError`]: empty, padded, over 255 bytes, or with control characters.
    pub fn new(id: impl Into<String>) -> Result<Self, PatientIdError> {
        let id = id.into();
        let reason = if id.is_empty() {
            "patient is empty"
        } else if id.trim() != id {
            "patient has spaces around it"
        } else if id.chars().any(char::is_control) {
            "patient holds a control character"
        } else if id.len() > MAX_PATIENT_BYTES {
            "patient has over 255 bytes"
        } else {
            return Ok(Self(id.into()));
        };
        Err(PatientIdError { id, reason })
    }

    /// As the table writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is compared: for a whole number its digits without leading zeros, else the text.
    #[must_use]
    pub fn key(&self) -> &str {
        let text: &str = &self.0;
        let whole = text.strip_suffix(".0").unwrap_or(text);
        if whole.is_empty() || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
            return text;
        }
        let digits = whole.trim_start_matches('0');
        if digits.is_empty() { "0" } else { digits }
    }

    fn order(&self) -> (bool, usize, &str) {
        let key = self.key();
        let is_text = !key.bytes().all(|byte| byte.is_ascii_digit());
        (is_text, if is_text { 0 } else { key.len() }, key)
    }
}

impl PartialEq for PatientId {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for PatientId {}

impl Hash for PatientId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// Numbers by size, then everything else by text.
impl Ord for PatientId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for PatientId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for PatientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for PatientId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PatientId {
    type Error = PatientIdError;

    fn try_from(id: String) -> Result<Self, PatientIdError> {
        Self::new(id)
    }
}

impl From<PatientId> for String {
    fn from(id: PatientId) -> Self {
        id.0.into()
    }
}

/// An identifier that no patient has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct PatientIdError {
    /// The identifier.
    pub id: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl PatientIdError {
    /// `D021`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "D021"
    }

    /// Nowhere: the caller knows where the identifier came from.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        None
    }

    /// The identifier, escaped.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        Some(quoted(&self.id))
    }

    /// What an identifier is for.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some("each radiograph needs its patient: splits are made by patient".into())
    }

    /// 3: data.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        3
    }
}

/// What a table records of one finding on one radiograph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// 0: not there.
    Negative,
    /// 1: there.
    Positive,
    /// Uncertain or not recorded; takes no part in loss and metrics.
    Unknown,
}

impl Label {
    /// Whether the finding is there, where that is known.
    #[must_use]
    pub fn known(self) -> Option<bool> {
        match self {
            Self::Negative => Some(false),
            Self::Positive => Some(true),
            Self::Unknown => None,
        }
    }

    /// How a table of ours writes it: `0`, `1` or, for what is unknown, CheXpert's `-1`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Negative => "0",
            Self::Positive => "1",
            Self::Unknown => "-1",
        }
    }
}

/// One image with its patient and labels. The labels are in the order of the cohort's findings.
#[derive(Clone, Debug, PartialEq)]
pub struct Radiograph {
    /// The file, below the folder of images.
    pub image: ImageName,
    /// Who is on it.
    pub patient: PatientId,
    /// One label for each finding of the cohort.
    pub labels: Vec<Label>,
    /// Years.
    pub age: Option<f32>,
    /// As the table writes it.
    pub sex: Option<String>,
    /// The projection, as the table writes it (`PA`, `AP`, `Lateral`).
    pub view: Option<String>,
    /// The number of the visit.
    pub follow_up: Option<i64>,
}

impl Radiograph {
    /// A radiograph of which nothing is known but image, patient and labels.
    #[must_use]
    pub fn new(image: ImageName, patient: PatientId, labels: Vec<Label>) -> Self {
        Self {
            image,
            patient,
            labels,
            age: None,
            sex: None,
            view: None,
            follow_up: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::*;

    fn patient(id: &str) -> PatientId {
        PatientId::new(id).unwrap()
    }

    #[test]
    fn a_number_with_leading_zeros_is_the_same_patient() {
        for id in ["22", "022", "00000022", "22.0"] {
            assert_eq!(patient(id), patient("22"), "{id}");
            assert_eq!(patient(id).as_str(), id);
        }
        assert_eq!(patient("000"), patient("0"));
        assert_ne!(patient("22"), patient("220"));
        assert_ne!(patient("A022"), patient("A22"));
        assert_ne!(patient("2.20"), patient("2.2"));
        let set: HashSet<_> = [patient("7"), patient("07")].into();
        assert_eq!(set.len(), 1);
    }

    #[test]
    fn patients_are_ordered_as_numbers_then_as_text() {
        let ids = ["b", "100", "9", "0010", "A", "99999999999999999999999999"];
        let sorted: BTreeSet<_> = ids.into_iter().map(patient).collect();
        let sorted: Vec<_> = sorted.iter().map(PatientId::as_str).collect();
        assert_eq!(
            sorted,
            ["9", "0010", "100", "99999999999999999999999999", "A", "b"]
        );
    }

    #[test]
    fn an_identifier_that_is_empty_padded_or_unprintable_is_refused() {
        for id in ["", " 1", "1\t", "a\u{7}"] {
            assert!(PatientId::new(id).is_err(), "{id:?}");
        }
        assert!(PatientId::new("9".repeat(256)).is_err());
    }
}
