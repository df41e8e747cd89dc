//! What is looked for on a radiograph, and the ordered set of it that gives every label its place.
//!
//! For every crate that names findings. Not here: how often a finding occurs (`prevalence`).

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::escape::quoted;

/// The column names that mean something else than a finding in a table of ours.
pub(crate) const RESERVED: [&str; 6] = [
    "Image",
    "PatientId",
    "PatientAge",
    "PatientSex",
    "View",
    "FollowUp",
];

/// The findings of NIH ChestX-ray14, in alphabetical order.
pub(crate) const NIH: [&str; 14] = [
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

/// The observations of CheXpert that NIH does not have under the same name.
pub(crate) const CHEXPERT_ONLY: [&str; 9] = [
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Lung Opacity",
    "Lung Lesion",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "Pleural Thickening",
];

const MAX_NAME_BYTES: usize = 100;

/// The name of one thing that is looked for: not empty, no control characters, no padding, not a
/// name that tables use for something else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Finding(String);

impl Finding {
    /// Checks a name.
    ///
    /// # Errors
    /// [`FindingError`] says what is wrong with it.
    pub fn new(name: impl Into<String>) -> Result<Self, FindingError> {
        let name = name.into();
        let reason = if name.is_empty() {
            "a finding needs a name"
        } else if name.trim() != name {
            "a finding's name has no spaces around it"
        } else if name.chars().any(char::is_control) {
            "a finding's name holds no control characters"
        } else if name.contains('|') {
            "`|` separates findings and cannot be part of a name"
        } else if name.len() > MAX_NAME_BYTES {
            "a finding's name has at most 100 bytes"
        } else if RESERVED.contains(&name.as_str()) {
            "this name is a column of its own in every table"
        } else {
            return Ok(Self(name));
        };
        Err(FindingError::BadName { name, reason })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Finding {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Finding {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Finding {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl TryFrom<String> for Finding {
    type Error = FindingError;

    fn try_from(name: String) -> Result<Self, FindingError> {
        Self::new(name)
    }
}

impl From<Finding> for String {
    fn from(finding: Finding) -> Self {
        finding.0
    }
}

/// At least one finding, each once, in an order that never changes: a label's place is its
/// finding's place here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<Finding>", into = "Vec<Finding>")]
pub struct FindingSet(Vec<Finding>);

impl FindingSet {
    /// Checks that there is at least one finding and none twice.
    ///
    /// # Errors
    /// [`FindingError::None`] or [`FindingError::Twice`].
    pub fn new(findings: Vec<Finding>) -> Result<Self, FindingError> {
        if findings.is_empty() {
            return Err(FindingError::None);
        }
        let mut seen = HashSet::new();
        for finding in &findings {
            if !seen.insert(finding.as_str()) {
                return Err(FindingError::Twice {
                    name: finding.0.clone(),
                });
            }
        }
        Ok(Self(findings))
    }

    /// The set with these names in this order.
    ///
    /// # Errors
    /// As [`Finding::new`] and [`FindingSet::new`].
    pub fn from_names<N: Into<String>>(
        names: impl IntoIterator<Item = N>,
    ) -> Result<Self, FindingError> {
        let findings: Result<Vec<_>, _> = names.into_iter().map(Finding::new).collect();
        Self::new(findings?)
    }

    /// The 14 of NIH ChestX-ray14 in alphabetical order.
    #[must_use]
    pub fn nih() -> Self {
        Self(NIH.iter().map(|name| Finding((*name).into())).collect())
    }

    /// The findings in order.
    #[must_use]
    pub fn names(&self) -> &[Finding] {
        &self.0
    }

    /// The findings in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Finding> {
        self.0.iter()
    }

    /// The names in order, as plain strings.
    #[must_use]
    pub fn to_strings(&self) -> Vec<String> {
        self.0.iter().map(|finding| finding.0.clone()).collect()
    }

    /// How many there are; never 0.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Always false: a set holds at least one finding.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The place of a finding.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|finding| finding.0 == name)
    }
}

impl<'a> IntoIterator for &'a FindingSet {
    type Item = &'a Finding;
    type IntoIter = std::slice::Iter<'a, Finding>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl TryFrom<Vec<Finding>> for FindingSet {
    type Error = FindingError;

    fn try_from(findings: Vec<Finding>) -> Result<Self, FindingError> {
        Self::new(findings)
    }
}

impl From<FindingSet> for Vec<Finding> {
    fn from(set: FindingSet) -> Self {
        set.0
    }
}

/// Why names do not make a finding or a set of findings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindingError {
    /// One name is not a finding's.
    #[error("not a finding's name: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The same name twice.
    #[error("the same finding twice")]
    Twice {
        /// The name.
        name: String,
    },
    /// No finding at all.
    #[error("a set of findings needs at least one")]
    None,
}

impl FindingError {
    /// `D030`, `D031` or `D032`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadName { .. } => "D030",
            Self::Twice { .. } => "D031",
            Self::None => "D032",
        }
    }

    /// Nowhere: names come from callers.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        None
    }

    /// The name, escaped.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        match self {
            Self::BadName { name, .. } | Self::Twice { name } => Some(quoted(name)),
            Self::None => None,
        }
    }

    /// What to do.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(
            match self {
                Self::BadName { .. } => "give the finding another name",
                Self::Twice { .. } => "name each finding once",
                Self::None => "name the findings that the table holds",
            }
            .into(),
        )
    }

    /// 3: data.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nih_has_its_14_findings_in_alphabetical_order() {
        let nih = FindingSet::nih();
        assert_eq!(nih.len(), 14);
        assert!(nih.names().windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(nih.index_of("Hernia"), Some(7));
        assert_eq!(nih.index_of("hernia"), None);
    }

    #[test]
    fn names_that_would_break_a_table_are_refused() {
        for name in [
            "",
            " Edema",
            "Edema ",
            "a|b",
            "a\nb",
            "\u{1b}[31m",
            "Image",
            "PatientId",
        ] {
            let error = Finding::new(name).unwrap_err();
            assert_eq!(error.code(), "D030", "{name:?}");
            assert!(!error.value().unwrap().contains('\u{1b}'));
        }
        assert!(Finding::new("x".repeat(101)).is_err());
        assert!(Finding::new("Épanchement pleural").is_ok());
    }

    #[test]
    fn a_set_is_neither_empty_nor_does_it_repeat() {
        assert_eq!(FindingSet::new(vec![]), Err(FindingError::None));
        let twice = FindingSet::from_names(["Edema", "Mass", "Edema"]).unwrap_err();
        assert_eq!(twice.value().as_deref(), Some("\"Edema\""));
    }

    #[test]
    fn a_set_read_from_json_is_checked() {
        let set: FindingSet = serde_json::from_str(r#"["Mass","Edema"]"#).unwrap();
        assert_eq!(serde_json::to_string(&set).unwrap(), r#"["Mass","Edema"]"#);
        assert!(serde_json::from_str::<FindingSet>(r#"["Mass","Mass"]"#).is_err());
        assert!(serde_json::from_str::<FindingSet>(r#"["Ima|ge"]"#).is_err());
    }
}
