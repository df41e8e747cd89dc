//! Images that are in two splits under different names, found by what they look like.

use std::collections::{BTreeMap, BTreeSet};

use cxr_augment::{
    ImageFault, ImageFolder, ImageWarning, Likeness, Preprocess, decode, near_duplicates,
};
use cxr_data::{Cohort, Splits};
use rayon::prelude::*;
use serde::Serialize;

/// What the images look like, by name. Those without a likeness are not here.
pub(super) struct Likenesses(BTreeMap<String, Likeness>);

impl Likenesses {
    /// Reads and decodes every image of the cohorts once. Warnings and faults are in the order of
    /// the names.
    pub(super) fn read(
        folder: &ImageFolder,
        cohorts: &[&Cohort],
    ) -> (Self, Vec<ImageWarning>, Vec<ImageFault>) {
        let radiographs = cohorts.iter().flat_map(|cohort| cohort.radiographs());
        let names: BTreeSet<&str> = radiographs.map(|one| one.image.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let spec = Preprocess::default();
        let looked_at: Vec<Result<_, ImageFault>> = names
            .par_iter()
            .map(|name| {
                let decoded = decode(&folder.read(name)?, name, &spec)?;
                Ok((Likeness::of(&decoded.pixels), decoded.warnings))
            })
            .collect();
        let mut likenesses = BTreeMap::new();
        let (mut warnings, mut faults) = (Vec::new(), Vec::new());
        for (name, outcome) in names.into_iter().zip(looked_at) {
            match outcome {
                Ok((likeness, of_image)) => {
                    likenesses.extend(likeness.map(|likeness| (name.to_owned(), likeness)));
                    warnings.extend(of_image);
                }
                Err(fault) => faults.push(fault),
            }
        }
        (Self(likenesses), warnings, faults)
    }

    /// The pairs of copies between two cohorts, sorted by name. An image with one name in both is
    /// no copy; it is counted where shared images are.
    fn copies_between(&self, one: &Cohort, other: &Cohort) -> Vec<CopyPair> {
        let (one, other) = (names_of(one), names_of(other));
        let of = |names: &[&str]| -> Vec<Option<&Likeness>> {
            names.iter().map(|name| self.0.get(*name)).collect()
        };
        let pairs = near_duplicates(&of(&one), &of(&other)).into_iter();
        let named = pairs.map(|pair| (one[pair.first], other[pair.second], pair.distance));
        named
            .filter(|(one, other, _)| one != other)
            .map(|(one, other, distance)| CopyPair(one.to_owned(), other.to_owned(), distance))
            .collect()
    }
}

fn names_of(cohort: &Cohort) -> Vec<&str> {
    let radiographs = cohort.radiographs().iter();
    let names: BTreeSet<&str> = radiographs.map(|one| one.image.as_str()).collect();
    names.into_iter().collect()
}

/// Two images that look the same, and how many of 256 bits differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct CopyPair(pub(super) String, pub(super) String, pub(super) u32);

/// Copies across splits, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct CopiesBetween {
    pub(super) train_valid: Vec<CopyPair>,
    pub(super) train_test: Vec<CopyPair>,
    pub(super) valid_test: Vec<CopyPair>,
}

impl CopiesBetween {
    /// Compares all pairs of cohorts.
    pub(super) fn find(
        likenesses: &Likenesses,
        train: &Cohort,
        valid: &Cohort,
        test: Option<&Cohort>,
    ) -> Self {
        let between = |one: &Cohort, other: Option<&Cohort>| match other {
            Some(other) => likenesses.copies_between(one, other),
            None => Vec::new(),
        };
        Self {
            train_valid: between(train, Some(valid)),
            train_test: between(train, test),
            valid_test: between(valid, test),
        }
    }

    /// Whether no image is in two splits under different names.
    pub(super) fn is_empty(&self) -> bool {
        let lists = [&self.train_valid, &self.train_test, &self.valid_test];
        lists.into_iter().all(Vec::is_empty)
    }

    /// The splits without copies: those of train leave valid and test, then those that the rest of
    /// valid has leave test.
    pub(super) fn taken_out_of(&self, splits: Splits) -> Splits {
        let of_valid: BTreeSet<&str> = self.train_valid.iter().map(CopyPair::second).collect();
        let stays = |name: &str| {
            let mut valid = splits.valid().radiographs().iter();
            !of_valid.contains(name) && valid.any(|one| one.image.as_str() == name)
        };
        let of_valid_s_rest = self.valid_test.iter().filter(|copy| stays(&copy.0));
        let of_test: BTreeSet<&str> = self
            .train_test
            .iter()
            .chain(of_valid_s_rest)
            .map(CopyPair::second)
            .collect();
        splits.without_images(&of_valid, &of_test)
    }
}

impl CopyPair {
    fn second(&self) -> &str {
        &self.1
    }
}

#[cfg(test)]
mod tests {
    use cxr_data::{FindingSet, ImageName, Label, PatientId, Radiograph};

    use super::*;

    /// A cohort of these images, each of a patient of its own.
    fn cohort(images: &[&str]) -> Cohort {
        let radiographs = images.iter().map(|image| {
            let patient = PatientId::new(*image).unwrap();
            Radiograph::new(
                ImageName::new(*image).unwrap(),
                patient,
                vec![Label::Negative],
            )
        });
        let findings = FindingSet::from_names(["Edema"]).unwrap();
        Cohort::new("some", findings, radiographs.collect()).unwrap()
    }

    fn pairs(names: &[(&str, &str)]) -> Vec<CopyPair> {
        let pair = |(one, other): &(&str, &str)| CopyPair((*one).into(), (*other).into(), 3);
        names.iter().map(pair).collect()
    }

    #[test]
    fn what_left_valid_takes_nothing_out_of_test() {
        let valid = cohort(&["v1", "v2"]);
        let test = cohort(&["s1", "s2", "s3", "s4"]);
        let splits = Splits::new(cohort(&["t1"]), valid, Some(test)).unwrap();
        // A repair took v3 out before; v1 leaves as a copy of t1.
        let copies = CopiesBetween {
            train_valid: pairs(&[("t1", "v1")]),
            train_test: pairs(&[("t1", "s4")]),
            valid_test: pairs(&[("v1", "s1"), ("v2", "s2"), ("v3", "s3")]),
        };
        let splits = copies.taken_out_of(splits);
        assert_eq!(names_of(splits.train()), ["t1"]);
        assert_eq!(names_of(splits.valid()), ["v2"]);
        assert_eq!(splits.test().map(names_of).unwrap(), ["s1", "s3"]);
    }
}
