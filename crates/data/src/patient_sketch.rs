//! The patients of a cohort, small enough for a checkpoint, so that a later cohort can be asked how
//! many of them it has.
//!
//! For training, which keeps a sketch beside the weights, and for evaluation, which compares. The
//! sketch holds hashes, no identifiers; it hides nobody all the same: whoever can list the possible
//! identifiers can hash them. Deliberately not here: images, and where the sketch is kept
//! (docs/decisions/0005-split-doctor.md has the sizes).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cohort::Cohort;

/// Up to so many patients the sketch holds all of them; of more it holds those with the smallest
/// hashes, which is a random choice that any other cohort can be asked about.
const MAX_HASHES: usize = 65_536;
/// Bytes of a hash. NIH's 30,805 patients against as many others collide once in a thousand times.
const HASH_BYTES: usize = 5;
/// With more forms of image names than that, names say nothing about where they come from.
const MAX_FORMS: usize = 8;

/// The patients of a cohort as hashes, and the forms of its image names.
///
/// Identifiers are often small numbers, and patient 7 of one hospital is not patient 7 of another.
/// So the forms of image names are kept too (`00000013_005.png` has the form `#_#`), as hashes:
/// cohorts without a common form are not compared.
///
/// ```
/// use cxr_data::{Cohort, FindingSet, ImageName, Label, PatientId, PatientSketch, Radiograph};
/// let cohort = |rows: &[(&str, &str)]| {
///     let of = |(image, patient): &(&str, &str)| {
///         Ok(Radiograph::new(ImageName::new(*image)?, PatientId::new(*patient)?, vec![Label::Negative]))
///     };
///     let rows = rows.iter().map(of).collect::<Result<_, Box<dyn std::error::Error>>>()?;
///     Ok::<_, Box<dyn std::error::Error>>(Cohort::new("c", FindingSet::from_names(["Edema"])?, rows)?)
/// };
/// let train = PatientSketch::of(&cohort(&[("01_0.png", "1"), ("02_0.png", "2")])?);
/// let overlap = train.overlap(&cohort(&[("02_7.png", "2"), ("03_0.png", "3")])?);
/// let overlap = overlap.ok_or("the names have the same form")?;
/// assert_eq!((overlap.patients, overlap.of, overlap.is_estimate), (1, 2, false));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub struct PatientSketch {
    n_patients: usize,
    /// Whether `hashes` are those of all patients.
    is_whole: bool,
    /// Sorted, each once.
    hashes: Vec<u64>,
    /// Empty where there were too many.
    forms: BTreeSet<u64>,
}

/// How many patients of a cohort are in a sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PatientOverlap {
    /// So many.
    pub patients: usize,
    /// Of so many in the cohort.
    pub of: usize,
    /// Whether `patients` was projected from a part of them.
    pub is_estimate: bool,
}

/// The form in a checkpoint: hashes as hexadecimal digits, one after the other.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    n_patients: usize,
    is_whole: bool,
    hashes: String,
    forms: BTreeSet<u64>,
}

impl PatientSketch {
    /// The sketch of everybody who is on a radiograph of the cohort.
    #[must_use]
    pub fn of(cohort: &Cohort) -> Self {
        Self::with_at_most(cohort, MAX_HASHES)
    }

    fn with_at_most(cohort: &Cohort, n_hashes: usize) -> Self {
        let mut hashes = patient_hashes(cohort);
        hashes.sort_unstable();
        hashes.dedup();
        let is_whole = hashes.len() <= n_hashes;
        hashes.truncate(n_hashes);
        Self {
            is_whole,
            n_patients: cohort.n_patients(),
            hashes,
            forms: forms(cohort),
        }
    }

    /// How many patients the sketch was made of.
    #[must_use]
    pub fn n_patients(&self) -> usize {
        self.n_patients
    }

    /// How many patients of `cohort` are in the sketch, by their identifiers. `None` where that
    /// cannot be told: the image names have no form in common, or no patient of the cohort is among
    /// those that a partial sketch can be asked about.
    #[must_use]
    pub fn overlap(&self, cohort: &Cohort) -> Option<PatientOverlap> {
        let theirs = forms(cohort);
        let are_known = !(self.forms.is_empty() || theirs.is_empty());
        if are_known && self.forms.is_disjoint(&theirs) {
            return None;
        }
        let hashes = patient_hashes(cohort);
        let is_in = |hash: &&u64| self.hashes.binary_search(hash).is_ok();
        let found = hashes.iter().filter(is_in).count();
        let of = hashes.len();
        if self.is_whole {
            return Some(PatientOverlap {
                patients: found,
                of,
                is_estimate: false,
            });
        }
        let limit = self.hashes.last()?;
        let n_asked = hashes.iter().filter(|hash| *hash <= limit).count();
        let share = (n_asked > 0).then(|| found as f64 / n_asked as f64)?;
        Some(PatientOverlap {
            patients: (share * of as f64).round() as usize,
            of,
            is_estimate: true,
        })
    }
}

/// One hash for each patient, in the order of the patients.
fn patient_hashes(cohort: &Cohort) -> Vec<u64> {
    let patients = cohort.patients().into_iter();
    patients.map(|one| hash_of("patient", one.key())).collect()
}

/// The hashes of the forms of the image names; none where there are too many.
fn forms(cohort: &Cohort) -> BTreeSet<u64> {
    let mut forms = BTreeSet::new();
    for radiograph in cohort.radiographs() {
        forms.insert(form_of(radiograph.image.file_name()));
        if forms.len() > MAX_FORMS {
            return BTreeSet::new();
        }
    }
    forms.iter().map(|form| hash_of("form", form)).collect()
}

/// The name without its ending, each run of digits as one `#`: a copy that was resized or stored as
/// JPEG has the same form.
fn form_of(file_name: &str) -> String {
    let stem = file_name
        .rsplit_once('.')
        .map_or(file_name, |(stem, _)| stem);
    let mut form = String::new();
    for character in stem.chars() {
        match character {
            '0'..='9' if form.ends_with('#') => {}
            '0'..='9' => form.push('#'),
            _ => form.push(character),
        }
    }
    form
}

/// The first bytes of the SHA-256 of what it is and its text.
fn hash_of(what: &str, text: &str) -> u64 {
    let digest = Sha256::digest(format!("cxr {what}\n{text}"));
    let bytes = digest.iter().take(HASH_BYTES);
    bytes.fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}

impl From<PatientSketch> for Saved {
    fn from(sketch: PatientSketch) -> Self {
        const DIGITS: usize = 2 * HASH_BYTES;
        let hashes = sketch.hashes.iter();
        Self {
            n_patients: sketch.n_patients,
            is_whole: sketch.is_whole,
            hashes: hashes.map(|hash| format!("{hash:0DIGITS$x}")).collect(),
            forms: sketch.forms,
        }
    }
}

impl TryFrom<Saved> for PatientSketch {
    type Error = PatientSketchError;

    fn try_from(saved: Saved) -> Result<Self, PatientSketchError> {
        let digits = saved.hashes.as_bytes().chunks(2 * HASH_BYTES);
        let hashes = digits.map(hash_from).collect::<Result<Vec<u64>, _>>()?;
        if hashes.len() > MAX_HASHES.min(saved.n_patients) {
            return Err(PatientSketchError::Count {
                hashes: hashes.len(),
                patients: saved.n_patients,
            });
        }
        if !hashes.is_sorted_by(|one, next| one < next) {
            return Err(PatientSketchError::Order);
        }
        Ok(Self {
            n_patients: saved.n_patients,
            is_whole: saved.is_whole,
            hashes,
            forms: saved.forms,
        })
    }
}

fn hash_from(digits: &[u8]) -> Result<u64, PatientSketchError> {
    let text = String::from_utf8_lossy(digits);
    let is_whole = digits.len() == 2 * HASH_BYTES && digits.iter().all(u8::is_ascii_hexdigit);
    let hash = u64::from_str_radix(&text, 16).ok().filter(|_| is_whole);
    hash.ok_or_else(|| PatientSketchError::Digits {
        digits: text.into_owned(),
    })
}

/// Why what a checkpoint holds is no sketch of patients.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatientSketchError {
    /// Something else than the digits of a hash.
    #[error("hash is not {} hexadecimal digits: {digits:?}", 2 * HASH_BYTES)]
    Digits {
        /// What is there.
        digits: String,
    },
    /// More hashes than patients, or than a sketch ever holds.
    #[error("{hashes} hashes of {patients} patients; a sketch holds at most {MAX_HASHES}")]
    Count {
        /// The hashes.
        hashes: usize,
        /// The patients.
        patients: usize,
    },
    /// Hashes that are not sorted, or twice there.
    #[error("hashes are not in ascending order")]
    Order,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FindingSet, ImageName, Label, PatientId, Radiograph};

    fn cohort(rows: impl IntoIterator<Item = (String, String)>) -> Cohort {
        let radiographs = rows.into_iter().map(|(image, patient)| {
            let (image, patient) = (ImageName::new(image), PatientId::new(patient));
            Radiograph::new(image.unwrap(), patient.unwrap(), vec![Label::Negative])
        });
        let findings = FindingSet::from_names(["Edema"]).unwrap();
        Cohort::new("some", findings, radiographs.collect()).unwrap()
    }

    /// One radiograph each of patients with these numbers.
    fn patients(numbers: std::ops::Range<usize>) -> Cohort {
        cohort(numbers.map(|n| (format!("{n:08}_000.png"), n.to_string())))
    }

    fn counts(overlap: PatientOverlap) -> (usize, usize, bool) {
        (overlap.patients, overlap.of, overlap.is_estimate)
    }

    #[test]
    fn a_whole_sketch_counts_exactly() {
        let train = PatientSketch::of(&patients(0..20_000));
        for (numbers, shared) in [(20_000..30_000, 0), (19_999..25_000, 1), (5..505, 500)] {
            let of = numbers.len();
            let overlap = train.overlap(&patients(numbers)).unwrap();
            assert_eq!(counts(overlap), (shared, of, false));
        }
    }

    #[test]
    fn a_patient_is_known_by_any_way_to_write_the_number_and_by_any_radiograph() {
        let train = PatientSketch::of(&cohort([("00000022_000.png".into(), "22".into())]));
        let later = cohort([("a/00000022_013.jpg".into(), "0022".into())]);
        assert_eq!(counts(train.overlap(&later).unwrap()), (1, 1, false));
    }

    #[test]
    fn a_partial_sketch_estimates_within_four_standard_errors() {
        let train = PatientSketch::with_at_most(&patients(0..20_000), 2_000);
        for (numbers, shared) in [
            (20_000..30_000, 0.0),
            (15_000..25_000, 0.5),
            (0..9_000, 1.0),
        ] {
            let of = numbers.len();
            let overlap = train.overlap(&patients(numbers)).unwrap();
            assert!(overlap.is_estimate && overlap.of == of);
            // A tenth of the patients is asked about.
            let error = (shared * (1.0 - shared) / (of as f64 / 10.0)).sqrt();
            let found = overlap.patients as f64 / of as f64;
            assert!((found - shared).abs() <= 4.0 * error, "{found} {shared}");
        }
    }

    #[test]
    fn a_partial_sketch_that_can_be_asked_about_nobody_says_nothing() {
        let train = PatientSketch::with_at_most(&patients(0..20_000), 1);
        assert_eq!(train.overlap(&patients(0..3)), None);
    }

    #[test]
    fn cohorts_whose_image_names_have_no_form_in_common_are_not_compared() {
        let train = PatientSketch::of(&patients(1..9));
        let elsewhere = cohort((1..9).map(|n| (format!("view{n}.png"), n.to_string())));
        assert_eq!(train.overlap(&elsewhere), None);
        // Too many forms say nothing: the identifiers decide alone.
        let letters = |n: usize| format!("{}.png", "x".repeat(n));
        let unruly = cohort((1..12).map(|n| (letters(n), n.to_string())));
        assert_eq!(counts(train.overlap(&unruly).unwrap()), (8, 11, false));
    }

    #[test]
    fn a_sketch_comes_back_from_json_and_a_harmed_one_is_refused() {
        let sketch = PatientSketch::of(&patients(0..50));
        let json = serde_json::to_value(&sketch).unwrap();
        let again: PatientSketch = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(again, sketch);
        let hashes = json["hashes"].as_str().unwrap();
        assert_eq!(hashes.len(), 50 * 10);
        let with = |text: &str| {
            let mut harmed = json.clone();
            harmed["hashes"] = text.into();
            serde_json::from_value::<PatientSketch>(harmed).unwrap_err()
        };
        assert!(with(&hashes[1..]).to_string().contains("hexadecimal"));
        assert!(
            with(&hashes.replace(&hashes[..2], "+é"))
                .to_string()
                .contains("hexadecimal")
        );
        let swapped = format!("{}{}", &hashes[10..], &hashes[..10]);
        assert!(with(&swapped).to_string().contains("ascending"));
        assert!(
            with(&format!("{hashes}ffffffffff"))
                .to_string()
                .contains("51 hashes")
        );
    }

    #[test]
    fn no_patients_make_a_sketch_that_nobody_is_in() {
        let train = PatientSketch::of(&patients(0..0));
        assert_eq!(
            counts(train.overlap(&patients(0..4)).unwrap()),
            (0, 4, false)
        );
    }
}
