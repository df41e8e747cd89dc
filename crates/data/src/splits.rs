//! Train, valid and test without a patient in two of them; what they share otherwise, and how to
//! mend it.
//!
//! For whoever trains or evaluates. Not here: making splits out of one cohort (`stratify`).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::cohort::{Cohort, listed};
use crate::radiograph::{PatientId, Radiograph};

/// Cohorts that share no patient and have the same findings in the same order.
#[derive(Clone, Debug, PartialEq)]
pub struct Splits {
    train: Cohort,
    valid: Cohort,
    test: Option<Cohort>,
}

impl Splits {
    /// The three splits. Valid and test are brought to the train split's order of findings by
    /// name; of a finding that they do not have, their labels are unknown. Ask
    /// [`Cohort::in_finding_order`] first where that should be an error.
    ///
    /// # Errors
    /// [`SharedPatients`] names every patient who is in two splits.
    pub fn new(train: Cohort, valid: Cohort, test: Option<Cohort>) -> Result<Self, SharedPatients> {
        let shared = SharedPatients::between(&train, &valid, test.as_ref());
        if !shared.is_empty() {
            return Err(shared);
        }
        Ok(Self::from_disjoint(train, valid, test))
    }

    pub(crate) fn from_disjoint(train: Cohort, valid: Cohort, test: Option<Cohort>) -> Self {
        let valid = valid.into_aligned(train.findings());
        let test = test.map(|test| test.into_aligned(train.findings()));
        Self { train, valid, test }
    }

    /// What is learned from.
    #[must_use]
    pub fn train(&self) -> &Cohort {
        &self.train
    }

    /// What epochs, thresholds and calibration are chosen on.
    #[must_use]
    pub fn valid(&self) -> &Cohort {
        &self.valid
    }

    /// What is read once, last.
    #[must_use]
    pub fn test(&self) -> Option<&Cohort> {
        self.test.as_ref()
    }

    /// The same splits without these images in valid and test: copies of what another split has
    /// under another name. Train loses nothing.
    #[must_use]
    pub fn without_images(self, of_valid: &BTreeSet<&str>, of_test: &BTreeSet<&str>) -> Self {
        let without = |cohort: &Cohort, images: &BTreeSet<&str>| {
            cohort.filtered(|radiograph| !images.contains(radiograph.image.as_str()))
        };
        Self {
            valid: without(&self.valid, of_valid),
            test: self.test.as_ref().map(|test| without(test, of_test)),
            train: self.train,
        }
    }

    /// The three, taken apart.
    #[must_use]
    pub fn into_parts(self) -> (Cohort, Cohort, Option<Cohort>) {
        (self.train, self.valid, self.test)
    }
}

/// The patients that are in two splits, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{} are in two splits", counted(self.all().len(), "patient", "patients"))]
pub struct SharedPatients {
    /// In train and valid.
    pub train_valid: Vec<PatientId>,
    /// In train and test.
    pub train_test: Vec<PatientId>,
    /// In valid and test.
    pub valid_test: Vec<PatientId>,
}

impl SharedPatients {
    /// Compares all pairs.
    #[must_use]
    pub fn between(train: &Cohort, valid: &Cohort, test: Option<&Cohort>) -> Self {
        let sets = [Some(train), Some(valid), test]
            .map(|cohort| cohort.map(Cohort::patients).unwrap_or_default());
        let shared = |one: usize, other: usize| {
            let both = sets[one].intersection(&sets[other]);
            both.map(|patient| (*patient).clone()).collect()
        };
        Self {
            train_valid: shared(0, 1),
            train_test: shared(0, 2),
            valid_test: shared(1, 2),
        }
    }

    /// Whether nobody is in two splits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.train_valid.is_empty() && self.train_test.is_empty() && self.valid_test.is_empty()
    }

    /// Everybody who is in two splits, each once.
    #[must_use]
    pub fn all(&self) -> BTreeSet<&PatientId> {
        let lists = [&self.train_valid, &self.train_test, &self.valid_test];
        lists.into_iter().flatten().collect()
    }

    /// `D040`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "D040"
    }

    /// Which pairs share how many.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        Some(pairs(
            self.train_valid.len(),
            self.train_test.len(),
            self.valid_test.len(),
        ))
    }

    /// The patients, the first twenty.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        let all: Vec<&PatientId> = self.all().into_iter().collect();
        Some(listed(&all))
    }

    /// How to mend it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(REPAIR.into())
    }

    /// 3: data.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        3
    }
}

/// The images that are in two splits, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{} are in two splits", counted(self.n_images(), "image", "images"))]
pub struct SharedImages {
    /// In train and valid.
    pub train_valid: Vec<String>,
    /// In train and test.
    pub train_test: Vec<String>,
    /// In valid and test.
    pub valid_test: Vec<String>,
}

impl SharedImages {
    /// Compares all pairs.
    #[must_use]
    pub fn between(train: &Cohort, valid: &Cohort, test: Option<&Cohort>) -> Self {
        let sets =
            [Some(train), Some(valid), test].map(|cohort| cohort.map(images).unwrap_or_default());
        let shared = |one: usize, other: usize| {
            let both = sets[one].intersection(&sets[other]);
            both.map(|image| (*image).to_owned()).collect()
        };
        Self {
            train_valid: shared(0, 1),
            train_test: shared(0, 2),
            valid_test: shared(1, 2),
        }
    }

    /// Whether no image is in two splits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n_images() == 0
    }

    fn n_images(&self) -> usize {
        let lists = [&self.train_valid, &self.train_test, &self.valid_test];
        lists.into_iter().flatten().collect::<BTreeSet<_>>().len()
    }

    /// `D041`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "D041"
    }

    /// Which pairs share how many.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        Some(pairs(
            self.train_valid.len(),
            self.train_test.len(),
            self.valid_test.len(),
        ))
    }

    /// The images, the first twenty.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        let lists = [&self.train_valid, &self.train_test, &self.valid_test];
        let all: BTreeSet<&String> = lists.into_iter().flatten().collect();
        let all: Vec<&String> = all.into_iter().collect();
        Some(listed(&all))
    }

    /// How to mend it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(REPAIR.into())
    }

    /// 3: data.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        3
    }
}

const REPAIR: &str = "`cxr check --repair DIR` writes tables without them";

fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn pairs(train_valid: usize, train_test: usize, valid_test: usize) -> String {
    format!(
        "{train_valid} between train and valid, {train_test} between train and test, \
         {valid_test} between valid and test"
    )
}

fn images(cohort: &Cohort) -> BTreeSet<&str> {
    let radiographs = cohort.radiographs().iter();
    radiographs.map(|one| one.image.as_str()).collect()
}

/// Splits that share nothing any more, and what that cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Repaired {
    /// The splits.
    pub splits: Splits,
    /// What was taken out.
    pub report: RepairReport,
}

/// What a repair took out of which split.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RepairReport {
    /// Radiographs that valid lost.
    pub dropped_from_valid: Vec<Dropped>,
    /// Radiographs that test lost.
    pub dropped_from_test: Vec<Dropped>,
}

/// One radiograph that a repair took out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// The radiograph.
    pub image: String,
    /// Its patient.
    pub patient: String,
    /// The split that has its patient or its image too.
    pub shared_with: &'static str,
}

/// Takes shared patients and images out: those of train out of valid and test, then those that the
/// rest of valid shares with test out of test. Train loses nothing. A second repair changes nothing.
#[must_use]
pub fn repair(train: Cohort, valid: Cohort, test: Option<Cohort>) -> Repaired {
    let mut report = RepairReport::default();
    let valid = drop_shared(&valid, &train, "train", &mut report.dropped_from_valid);
    let test = test.map(|test| {
        let test = drop_shared(&test, &train, "train", &mut report.dropped_from_test);
        drop_shared(&test, &valid, "valid", &mut report.dropped_from_test)
    });
    Repaired {
        splits: Splits::from_disjoint(train, valid, test),
        report,
    }
}

fn drop_shared(
    cohort: &Cohort,
    keeper: &Cohort,
    keeper_name: &'static str,
    dropped: &mut Vec<Dropped>,
) -> Cohort {
    let (patients, images) = (keeper.patients(), images(keeper));
    let is_shared = |radiograph: &Radiograph| {
        patients.contains(&radiograph.patient) || images.contains(radiograph.image.as_str())
    };
    let lost = cohort.radiographs().iter().filter(|one| is_shared(one));
    dropped.extend(lost.map(|radiograph| Dropped {
        image: radiograph.image.to_string(),
        patient: radiograph.patient.to_string(),
        shared_with: keeper_name,
    }));
    cohort.filtered(|radiograph| !is_shared(radiograph))
}

/// Groups the places of radiographs by patient, patients in order.
pub(crate) fn by_patient(cohort: &Cohort) -> BTreeMap<&PatientId, Vec<usize>> {
    let mut groups: BTreeMap<&PatientId, Vec<usize>> = BTreeMap::new();
    for (place, radiograph) in cohort.radiographs().iter().enumerate() {
        groups.entry(&radiograph.patient).or_default().push(place);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FindingSet, ImageName, Label};

    fn cohort(name: &str, findings: &[&str], rows: &[(&str, &str, &[Label])]) -> Cohort {
        let radiographs = rows.iter().map(|(image, patient, labels)| {
            let (image, patient) = (ImageName::new(*image), PatientId::new(*patient));
            Radiograph::new(image.unwrap(), patient.unwrap(), labels.to_vec())
        });
        let findings = FindingSet::from_names(findings.iter().copied()).unwrap();
        Cohort::new(name, findings, radiographs.collect()).unwrap()
    }

    fn plain(rows: &[(&str, &str)]) -> Cohort {
        let rows: Vec<_> = rows
            .iter()
            .map(|(image, patient)| (*image, *patient, &[Label::Negative][..]))
            .collect();
        cohort("some", &["Edema"], &rows)
    }

    #[test]
    fn splits_with_a_shared_patient_are_refused_by_name() {
        let train = plain(&[("a.png", "1"), ("b.png", "22")]);
        let valid = plain(&[("c.png", "022"), ("d.png", "3")]);
        let test = plain(&[("e.png", "3"), ("f.png", "1")]);
        let shared = Splits::new(train, valid, Some(test)).unwrap_err();
        let ids = |list: &[PatientId]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(ids(&shared.train_valid), ["22"]);
        assert_eq!(ids(&shared.train_test), ["1"]);
        assert_eq!(ids(&shared.valid_test), ["3"]);
        assert_eq!(shared.to_string(), "3 patients are in two splits");
        assert_eq!(shared.value().unwrap(), r#""1", "3", "22""#);
    }

    #[test]
    fn valid_and_test_are_brought_to_the_order_of_train_by_name() {
        use Label::{Negative as N, Positive as P, Unknown as U};
        let train = cohort("t", &["Mass", "Edema"], &[("a.png", "1", &[N, N])]);
        let valid = cohort("v", &["Edema", "Mass"], &[("b.png", "2", &[P, N])]);
        let test = cohort("s", &["Other", "Edema"], &[("c.png", "3", &[P, N])]);
        let splits = Splits::new(train, valid, Some(test)).unwrap();
        assert_eq!(splits.valid().findings(), splits.train().findings());
        assert_eq!(splits.valid().radiographs()[0].labels, [N, P]);
        assert_eq!(splits.test().unwrap().radiographs()[0].labels, [U, N]);
    }

    #[test]
    fn a_repair_takes_from_valid_and_test_and_says_what() {
        let train = plain(&[("a.png", "1"), ("b.png", "2")]);
        let valid = plain(&[("c.png", "1"), ("b.png", "9"), ("d.png", "3")]);
        let test = plain(&[
            ("e.png", "3"),
            ("f.png", "2"),
            ("g.png", "9"),
            ("h.png", "4"),
        ]);
        let repaired = repair(train.clone(), valid, Some(test));
        let names = |cohort: &Cohort| {
            images(cohort)
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(repaired.splits.train(), &train);
        assert_eq!(names(repaired.splits.valid()), ["d.png"]);
        // g.png stays: the radiograph of patient 9 in valid went with its image.
        assert_eq!(names(repaired.splits.test().unwrap()), ["g.png", "h.png"]);
        let dropped = &repaired.report.dropped_from_test;
        assert_eq!(dropped.len(), 2);
        assert_eq!(
            (dropped[1].image.as_str(), dropped[1].shared_with),
            ("e.png", "valid")
        );
    }

    #[test]
    fn images_are_taken_out_of_valid_and_test_alone() {
        let train = plain(&[("a.png", "1")]);
        let valid = plain(&[("b.png", "2"), ("c.png", "3")]);
        let test = plain(&[("d.png", "4"), ("e.png", "5")]);
        let splits = Splits::new(train.clone(), valid, Some(test)).unwrap();
        let splits = splits.without_images(&["a.png", "b.png"].into(), &["e.png", "c.png"].into());
        assert_eq!(splits.train(), &train);
        assert_eq!(images(splits.valid()), ["c.png"].into());
        assert_eq!(images(splits.test().unwrap()), ["d.png"].into());
    }

    #[test]
    fn shared_images_are_named_even_under_another_patient() {
        let train = plain(&[("a.png", "1")]);
        let valid = plain(&[("a.png", "2")]);
        let shared = SharedImages::between(&train, &valid, None);
        assert_eq!(shared.train_valid, ["a.png"]);
        assert!(shared.to_string().starts_with("1 image"));
        assert!(SharedPatients::between(&train, &valid, None).is_empty());
    }
}
