//! Radiographs that are used together, and what can be said of them as a whole.
//!
//! For every crate above. Not here: reading (`read`), writing (`write`), splits (`splits`).

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use sha2::{Digest, Sha256};

use crate::escape::quoted;
use crate::finding::FindingSet;
use crate::known_splits::{KnownSplit, known_split};
use crate::prevalence::Prevalence;
use crate::radiograph::{Label, PatientId, Radiograph};

/// Radiographs with the same findings in the same order; no image is there twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Cohort {
    name: String,
    findings: FindingSet,
    radiographs: Vec<Radiograph>,
}

impl Cohort {
    /// A cohort of these radiographs. It may be empty. The name is for people: a path or a word.
    ///
    /// # Errors
    /// A radiograph with another number of labels than there are findings, or an image twice.
    pub fn new(
        name: impl Into<String>,
        findings: FindingSet,
        radiographs: Vec<Radiograph>,
    ) -> Result<Self, CohortError> {
        let name = name.into();
        let wrong = radiographs
            .iter()
            .find(|radiograph| radiograph.labels.len() != findings.len());
        if let Some(radiograph) = wrong {
            return Err(CohortError::LabelCount {
                cohort: name,
                image: radiograph.image.as_str().into(),
                found: radiograph.labels.len(),
                expected: findings.len(),
            });
        }
        let names = radiographs.iter().map(|one| one.image.as_str());
        if let Some((place, _)) = repeated(names).first() {
            return Err(CohortError::ImageTwice {
                cohort: name,
                image: radiographs[*place].image.as_str().into(),
            });
        }
        Ok(Self::from_checked(name, findings, radiographs))
    }

    /// Of radiographs that are known to fit.
    pub(crate) fn from_checked(
        name: String,
        findings: FindingSet,
        radiographs: Vec<Radiograph>,
    ) -> Self {
        Self {
            name,
            findings,
            radiographs,
        }
    }

    /// The table's path, or what the cohort is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same cohort under another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// What is looked for, in the order of all labels.
    #[must_use]
    pub fn findings(&self) -> &FindingSet {
        &self.findings
    }

    /// The radiographs in the table's order.
    #[must_use]
    pub fn radiographs(&self) -> &[Radiograph] {
        &self.radiographs
    }

    /// How many radiographs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.radiographs.len()
    }

    /// Whether there is no radiograph.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.radiographs.is_empty()
    }

    /// Everybody who is on a radiograph.
    #[must_use]
    pub fn patients(&self) -> BTreeSet<&PatientId> {
        self.radiographs.iter().map(|one| &one.patient).collect()
    }

    /// How many patients.
    #[must_use]
    pub fn n_patients(&self) -> usize {
        self.patients().len()
    }

    /// The SHA-256, in hexadecimal, of the sorted image names joined by line feeds. It is the same
    /// for every order of rows and columns.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let names = self.radiographs.iter().map(|one| one.image.as_str());
        fingerprint_of(names.collect())
    }

    /// The published list that this is, whole, under the names it was published with or with folders
    /// before them (`images_001/00000001_000.png`).
    #[must_use]
    pub fn known_split(&self) -> Option<&'static KnownSplit> {
        let files = self.radiographs.iter().map(|one| one.image.file_name());
        known_split(&fingerprint_of(files.collect()))
    }

    /// The same radiographs with their labels in the order of `findings`, matched by name.
    /// Findings that are not asked for are left out.
    ///
    /// # Errors
    /// [`CohortError::MissingFindings`] names all that this cohort does not have.
    pub fn in_finding_order(&self, findings: &FindingSet) -> Result<Self, CohortError> {
        let missing: Vec<String> = findings
            .iter()
            .filter(|finding| self.findings.index_of(finding.as_str()).is_none())
            .map(ToString::to_string)
            .collect();
        if missing.is_empty() {
            Ok(self.clone().into_aligned(findings))
        } else {
            Err(CohortError::MissingFindings {
                cohort: self.name.clone(),
                missing,
                found: self.findings.to_strings(),
            })
        }
    }

    /// As [`Self::in_finding_order`]; labels of findings that this cohort does not have are unknown.
    pub(crate) fn into_aligned(mut self, findings: &FindingSet) -> Self {
        if *findings == self.findings {
            return self;
        }
        let places: Vec<Option<usize>> = findings
            .iter()
            .map(|finding| self.findings.index_of(finding.as_str()))
            .collect();
        for radiograph in &mut self.radiographs {
            let label = |place: &Option<usize>| {
                place.map_or(Label::Unknown, |place| radiograph.labels[place])
            };
            radiograph.labels = places.iter().map(label).collect();
        }
        self.findings = findings.clone();
        self
    }

    /// The radiographs at these places, in this order; places beyond the end are left out, and a
    /// place that comes again too.
    #[must_use]
    pub fn select(&self, places: &[usize]) -> Self {
        let mut is_taken = vec![false; self.len()];
        let mut take = |place: &usize| {
            let radiograph = self.radiographs.get(*place)?;
            let is_new = !std::mem::replace(&mut is_taken[*place], true);
            is_new.then(|| radiograph.clone())
        };
        let radiographs = places.iter().filter_map(&mut take).collect();
        Self::from_checked(self.name.clone(), self.findings.clone(), radiographs)
    }

    /// Everything but the radiographs of these patients.
    #[must_use]
    pub fn without_patients(&self, patients: &BTreeSet<PatientId>) -> Self {
        self.filtered(|radiograph| !patients.contains(&radiograph.patient))
    }

    pub(crate) fn filtered(&self, is_kept: impl Fn(&Radiograph) -> bool) -> Self {
        let kept = self.radiographs.iter().filter(|one| is_kept(one)).cloned();
        Self::from_checked(self.name.clone(), self.findings.clone(), kept.collect())
    }

    /// How often each finding is there, is not, and is not known.
    #[must_use]
    pub fn prevalence(&self) -> Prevalence {
        Prevalence::of(self)
    }
}

/// The SHA-256, in hexadecimal, of the sorted names joined by line feeds.
fn fingerprint_of(mut names: Vec<&str>) -> String {
    names.sort_unstable();
    let mut hash = Sha256::new();
    for (place, name) in names.into_iter().enumerate() {
        if place > 0 {
            hash.update(b"\n");
        }
        hash.update(name.as_bytes());
    }
    let digits = |text: String, byte: &u8| text + &format!("{byte:02x}");
    hash.finalize().iter().fold(String::new(), digits)
}

/// The places of names that came before, each with the place of the first.
pub(crate) fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(usize, usize)> {
    let mut first_places: HashMap<&str, usize> = HashMap::new();
    let mut repeats = Vec::new();
    for (place, name) in names.enumerate() {
        match first_places.entry(name) {
            Entry::Occupied(first) => repeats.push((place, *first.get())),
            Entry::Vacant(free) => {
                free.insert(place);
            }
        }
    }
    repeats
}

/// Why radiographs do not make a cohort, or a cohort does not have what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CohortError {
    /// Findings that are asked for by name and are not there.
    #[error("cohort lacks {} of the findings that are asked for", missing.len())]
    MissingFindings {
        /// The cohort.
        cohort: String,
        /// What it lacks.
        missing: Vec<String>,
        /// What it has.
        found: Vec<String>,
    },
    /// A radiograph with more or fewer labels than there are findings.
    #[error("radiograph has {found} labels for {expected} findings")]
    LabelCount {
        /// The cohort.
        cohort: String,
        /// The radiograph.
        image: String,
        /// Its labels.
        found: usize,
        /// The findings.
        expected: usize,
    },
    /// The same image twice.
    #[error("image is in the cohort twice")]
    ImageTwice {
        /// The cohort.
        cohort: String,
        /// The image.
        image: String,
    },
}

impl CohortError {
    /// `D033`, `D034` or `D035`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingFindings { .. } => "D033",
            Self::LabelCount { .. } => "D034",
            Self::ImageTwice { .. } => "D035",
        }
    }

    /// The cohort's name.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        let (Self::MissingFindings { cohort, .. }
        | Self::LabelCount { cohort, .. }
        | Self::ImageTwice { cohort, .. }) = self;
        Some(crate::escape::escaped(cohort))
    }

    /// The findings or the image, escaped.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        Some(match self {
            Self::MissingFindings { missing, .. } => listed(missing),
            Self::LabelCount { image, .. } | Self::ImageTwice { image, .. } => quoted(image),
        })
    }

    /// What to do.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::MissingFindings { found, .. } => {
                format!("add these columns; the cohort has {}", listed(found))
            }
            Self::LabelCount { .. } => "give each radiograph one label a finding".into(),
            Self::ImageTwice { .. } => "keep one of the two".into(),
        })
    }

    /// 3: data.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        3
    }
}

/// Names in quotes, the first twenty.
pub(crate) fn listed<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 20;
    let mut shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| quoted(name.as_ref()))
        .collect();
    if names.len() > SHOWN {
        shown.push(format!("… and {} more", names.len() - SHOWN));
    }
    shown.join(", ")
}
