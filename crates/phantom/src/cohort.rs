//! Who is in a cohort and what is hidden in each radiograph: patients, splits, the planted leak,
//! severities and labels. No pixels.
//!
//! For `PhantomRecipe::draw`. Deliberately not here: pictures (`scene`) and files (`folder`).

use crate::ceiling::Ceilings;
use crate::fault::PhantomError;
use crate::finding::{self, Channel, N_FINDINGS, Severity};
use crate::folder::{self, PhantomFolder};
use crate::recipe::{Like, PhantomRecipe};
use crate::scene::Scene;
use cxr_stream::{Purpose, Stream};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Patient numbers start above NIH's highest, 30,805: no phantom is taken for a real radiograph.
const FIRST_PATIENT: u32 = 50_001;
/// The least extent of a finding that is drawn.
const MIN_EXTENT: f64 = 0.4;

/// The write-up's positives in train, valid and test, per finding.
const SEED_POSITIVES: [[usize; N_FINDINGS]; 3] = [
    [106, 20, 33, 16, 128, 13, 14, 2, 175, 45, 54, 21, 10, 38],
    [7, 2, 5, 2, 15, 1, 2, 0, 22, 10, 7, 1, 3, 4],
    [60, 50, 53, 50, 53, 56, 61, 50, 59, 60, 54, 58, 50, 55],
];
/// The write-up's patients in train, valid (of its own, beside the shared ones) and test.
const SEED_PATIENTS: [usize; 3] = [928, 86, 389];

/// One of the three splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// What is learned from.
    Train,
    /// What choices are made on.
    Valid,
    /// What is read once, last.
    Test,
}

impl Split {
    /// All three, in order.
    pub const ALL: [Self; 3] = [Self::Train, Self::Valid, Self::Test];

    /// Its name: train, valid or test.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Train => 0,
            Self::Valid => 1,
            Self::Test => 2,
        }
    }
}

/// One synthetic radiograph: its names, its labels, and the truth that no model is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct PhantomRadiograph {
    /// File name, as in `00050001_000.png`.
    pub image: String,
    /// Patient number.
    pub patient: u32,
    /// Which of the patient's studies, from 0.
    pub study: u32,
    /// The recorded labels, in the order of [`crate::FINDINGS`].
    pub labels: [bool; N_FINDINGS],
    /// What is drawn, in the same order.
    pub severities: [Severity; N_FINDINGS],
}

/// A cohort without its pixels, which are a function of each radiograph and the recipe.
#[derive(Clone, Debug, PartialEq)]
pub struct PhantomCohort {
    recipe: PhantomRecipe,
    splits: [Vec<PhantomRadiograph>; 3],
}

impl PhantomCohort {
    /// The cohort of a recipe that has been checked.
    pub(crate) fn draw(recipe: &PhantomRecipe) -> Self {
        let mut splits = Roster::new(recipe).seats();
        match recipe.like {
            Like::Default => splits
                .iter_mut()
                .flatten()
                .for_each(|r| draw_forward(recipe, r)),
            Like::Seed => plant_labels(recipe, &mut splits),
        }
        for (index, split) in splits.iter_mut().enumerate() {
            let order =
                Stream::new(recipe.seed, Purpose::Split, 1, index as u64).permutation(split.len());
            *split = order.iter().map(|&row| split[row].clone()).collect();
        }
        Self {
            recipe: recipe.clone(),
            splits,
        }
    }

    /// What it was drawn from.
    #[must_use]
    pub fn recipe(&self) -> &PhantomRecipe {
        &self.recipe
    }

    /// The radiographs of one split, in the order of its table.
    #[must_use]
    pub fn split(&self, split: Split) -> &[PhantomRadiograph] {
        &self.splits[split.index()]
    }

    /// The law of a finding's label in a split.
    #[must_use]
    pub fn channel(&self, finding: usize, split: Split) -> Channel {
        match self.recipe.like {
            Like::Default => finding::default_channel(finding),
            Like::Seed => seed_channel(finding, split),
        }
    }

    /// The radiograph as 8-bit grey pixels, row by row: `size`² bytes.
    #[must_use]
    pub fn render(&self, radiograph: &PhantomRadiograph) -> Vec<u8> {
        Scene::new(self.recipe.seed, radiograph).expose(self.recipe.size as usize)
    }

    /// The best that any model can reach, per finding and split.
    #[must_use]
    pub fn ceilings(&self) -> Ceilings {
        Ceilings::of(self)
    }

    /// Writes images, tables, truth and ceilings into a new or an empty folder, or one of this
    /// recipe, and calls `progress` with the number of images written so far.
    ///
    /// # Errors
    /// The folder holds something else, or a file cannot be written.
    pub fn write(
        &self,
        folder: &Path,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<PhantomFolder, PhantomError> {
        folder::write(self, folder, progress)
    }
}

/// Who sits where: patients and studies of each split, before anything is drawn.
struct Roster<'a> {
    recipe: &'a PhantomRecipe,
    next_patient: u32,
}

impl<'a> Roster<'a> {
    fn new(recipe: &'a PhantomRecipe) -> Self {
        Self {
            recipe,
            next_patient: FIRST_PATIENT,
        }
    }

    /// Radiographs without findings: names only.
    fn seats(mut self) -> [Vec<PhantomRadiograph>; 3] {
        let [train_rows, valid_rows, test_rows] = self.recipe.rows;
        let train = self.new_patients(Split::Train, train_rows);
        let leak = Leak::of(self.recipe);
        let mut valid = leak.seats(self.recipe.seed, &train);
        let own = valid_rows - valid.len();
        valid.extend(self.new_patients(Split::Valid, own));
        let test = self.new_patients(Split::Test, test_rows);
        [train, valid, test]
    }

    /// `rows` radiographs of patients that no other split has.
    fn new_patients(&mut self, split: Split, rows: usize) -> Vec<PhantomRadiograph> {
        let mut stream = Stream::new(self.recipe.seed, Purpose::Split, 0, split.index() as u64);
        let counts = match self.recipe.like {
            Like::Default => default_image_counts(rows, &mut stream),
            Like::Seed => seed_image_counts(rows, split, self.recipe, &mut stream),
        };
        let mut seats = Vec::with_capacity(rows);
        for count in counts {
            seats.extend((0..count).map(|study| seat(self.next_patient, study)));
            self.next_patient += 1;
        }
        seats
    }
}

/// Images per patient until the rows are full: most patients have one, a few up to six.
fn default_image_counts(rows: usize, stream: &mut Stream) -> Vec<u32> {
    let mut counts = Vec::new();
    let mut left = rows;
    while left > 0 {
        let chance = stream.uniform();
        let square = chance * chance;
        let wanted = 1 + (square * square * 6.0) as usize;
        let count = wanted.min(left);
        counts.push(count as u32);
        left -= count;
    }
    counts
}

/// One image for each of the write-up's patients, the rest to patients at random.
fn seed_image_counts(
    rows: usize,
    split: Split,
    recipe: &PhantomRecipe,
    stream: &mut Stream,
) -> Vec<u32> {
    let usual = PhantomRecipe::like(Like::Seed).rows[split.index()];
    let patients = scaled(
        SEED_PATIENTS[split.index()],
        recipe.rows[split.index()],
        usual,
    );
    let patients = patients.clamp(1.min(rows), rows.max(1));
    if rows == 0 {
        return Vec::new();
    }
    let mut counts = vec![1; patients];
    for _ in patients..rows {
        counts[stream.below(patients as u64) as usize] += 1;
    }
    counts
}

/// The planted fault: patients of train that valid has too.
struct Leak {
    patients: usize,
    rows: usize,
    images: usize,
}

impl Leak {
    fn of(recipe: &PhantomRecipe) -> Self {
        let usual = PhantomRecipe::like(recipe.like).rows[Split::Valid.index()];
        let (patients, images) = match recipe.like {
            Like::Default => (5, 0),
            Like::Seed => (11, 1),
        };
        let [train_rows, valid_rows, _] = recipe.rows;
        if train_rows < 8 || valid_rows < 4 {
            return Self {
                patients: 0,
                rows: 0,
                images: 0,
            };
        }
        let patients = scaled(patients, valid_rows, usual).clamp(1, train_rows / 8);
        let rows = (patients + (2 * patients).div_ceil(11)).min(valid_rows / 2);
        Self {
            patients: patients.min(rows),
            rows,
            images,
        }
    }

    /// Later studies of patients of train; the first ones are the very images of train.
    fn seats(&self, seed: u64, train: &[PhantomRadiograph]) -> Vec<PhantomRadiograph> {
        let firsts: Vec<&PhantomRadiograph> = train.iter().filter(|r| r.study == 0).collect();
        let order = Stream::new(seed, Purpose::Split, 2, 0).permutation(firsts.len());
        let chosen: Vec<u32> = order
            .iter()
            .take(self.patients)
            .map(|&place| firsts[place].patient)
            .collect();
        let mut seats: Vec<PhantomRadiograph> = Vec::with_capacity(self.rows);
        for row in 0..if chosen.is_empty() { 0 } else { self.rows } {
            let patient = chosen[row % chosen.len()];
            let earlier = train
                .iter()
                .chain(&seats)
                .filter(|r| r.patient == patient)
                .count();
            let study = if row < self.images { 0 } else { earlier as u32 };
            seats.push(seat(patient, study));
        }
        seats
    }
}

fn seat(patient: u32, study: u32) -> PhantomRadiograph {
    PhantomRadiograph {
        image: format!("{patient:08}_{study:03}.png"),
        patient,
        study,
        labels: [false; N_FINDINGS],
        severities: [Severity::ABSENT; N_FINDINGS],
    }
}

/// Severity first, then the label from P(label | severity).
fn draw_forward(recipe: &PhantomRecipe, radiograph: &mut PhantomRadiograph) {
    let patient = u64::from(radiograph.patient);
    let mut standing = Stream::new(recipe.seed, Purpose::PhantomPatient, 1, patient);
    let mut study = study_stream(recipe, radiograph);
    for finding in 0..N_FINDINGS {
        let channel = finding::default_channel(finding);
        let stays = standing.uniform() < channel.present();
        let fresh = study.uniform() < channel.present();
        let keeps = study.uniform() < finding::persistence(finding);
        let present = if keeps { stays } else { fresh };
        radiograph.severities[finding] = severity(present, &mut study);
        radiograph.labels[finding] = study.uniform() < channel.positive_given(present);
    }
}

/// The write-up's exact counts: which rows are positive is drawn first, then P(severity | label).
/// That is the same joint law, given the counts.
fn plant_labels(recipe: &PhantomRecipe, splits: &mut [Vec<PhantomRadiograph>; 3]) {
    let usual = PhantomRecipe::like(Like::Seed).rows;
    for split in Split::ALL {
        let index = split.index();
        let (before, rest) = splits.split_at_mut(index);
        let Some(rows) = rest.first_mut() else {
            continue;
        };
        let copies: Vec<Option<PhantomRadiograph>> = rows
            .iter()
            .map(|r| {
                before
                    .iter()
                    .flatten()
                    .find(|other| other.image == r.image)
                    .cloned()
            })
            .collect();
        let n_rows = rows.len();
        for (finding, &positives) in SEED_POSITIVES[index].iter().enumerate() {
            let wanted = scaled(positives, n_rows, usual[index]);
            let given = copies
                .iter()
                .flatten()
                .filter(|copy| copy.labels[finding])
                .count();
            let mut left = wanted.saturating_sub(given);
            let key = (index * N_FINDINGS + finding) as u64;
            for place in Stream::new(recipe.seed, Purpose::Split, 3, key).permutation(n_rows) {
                rows[place].labels[finding] = match &copies[place] {
                    Some(copy) => copy.labels[finding],
                    None if left > 0 => {
                        left -= 1;
                        true
                    }
                    None => false,
                };
            }
        }
        for (row, copy) in rows.iter_mut().zip(copies) {
            match copy {
                Some(copy) => row.severities = copy.severities,
                None => draw_backward(recipe, split, row),
            }
        }
    }
}

/// The label is there; the severity from P(severity | label).
fn draw_backward(recipe: &PhantomRecipe, split: Split, radiograph: &mut PhantomRadiograph) {
    let mut study = study_stream(recipe, radiograph);
    for finding in 0..N_FINDINGS {
        let channel = seed_channel(finding, split);
        let chance = channel.present_given(radiograph.labels[finding]);
        let present = study.uniform() < chance;
        radiograph.severities[finding] = severity(present, &mut study);
    }
}

/// P(drawn | label) is that of train for all splits; the prevalence is each split's own.
fn seed_channel(finding: usize, split: Split) -> Channel {
    let usual = PhantomRecipe::like(Like::Seed).rows;
    let share = |at: usize| SEED_POSITIVES[at][finding] as f64 / usual[at] as f64;
    finding::channel_for(finding, share(0)).at_prevalence(share(split.index()))
}

fn study_stream(recipe: &PhantomRecipe, radiograph: &PhantomRadiograph) -> Stream {
    Stream::new(
        recipe.seed,
        Purpose::PhantomLabel,
        u64::from(radiograph.study),
        u64::from(radiograph.patient),
    )
}

fn severity(present: bool, stream: &mut Stream) -> Severity {
    let extent = stream.range(MIN_EXTENT, 1.0);
    if present {
        Severity::present(extent)
    } else {
        Severity::ABSENT
    }
}

/// `count` for `usual` rows, for `rows` of them: rounded, exact where the two are equal.
fn scaled(count: usize, rows: usize, usual: usize) -> usize {
    (count * rows + usual / 2) / usual
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn patients(rows: &[PhantomRadiograph]) -> BTreeSet<u32> {
        rows.iter().map(|r| r.patient).collect()
    }

    fn images(rows: &[PhantomRadiograph]) -> BTreeSet<&str> {
        rows.iter().map(|r| r.image.as_str()).collect()
    }

    fn positives(rows: &[PhantomRadiograph]) -> [usize; N_FINDINGS] {
        std::array::from_fn(|f| rows.iter().filter(|r| r.labels[f]).count())
    }

    #[test]
    fn the_seed_cohort_has_the_write_ups_counts() {
        let cohort = PhantomRecipe::like(Like::Seed).draw().unwrap();
        for (index, split) in Split::ALL.into_iter().enumerate() {
            assert_eq!(positives(cohort.split(split)), SEED_POSITIVES[index]);
        }
        let n: Vec<usize> = Split::ALL.iter().map(|&s| cohort.split(s).len()).collect();
        assert_eq!(n, [1000, 109, 420]);
        let n: Vec<usize> = Split::ALL
            .iter()
            .map(|&s| patients(cohort.split(s)).len())
            .collect();
        assert_eq!(n, [928, 97, 389]);
    }

    #[test]
    fn the_seed_cohort_has_the_write_ups_leak_and_no_other() {
        let cohort = PhantomRecipe::like(Like::Seed).draw().unwrap();
        let [train, valid, test] = Split::ALL.map(|s| cohort.split(s));
        let shared: BTreeSet<u32> = patients(train)
            .intersection(&patients(valid))
            .copied()
            .collect();
        assert_eq!(shared.len(), 11);
        assert_eq!(
            valid
                .iter()
                .filter(|r| !shared.contains(&r.patient))
                .count(),
            96
        );
        let common: Vec<_> = images(train)
            .intersection(&images(valid))
            .copied()
            .collect();
        assert_eq!(common.len(), 1);
        let in_split = |rows: &[PhantomRadiograph]| {
            rows.iter().find(|r| r.image == common[0]).cloned().unwrap()
        };
        assert_eq!(in_split(train), in_split(valid));
        assert!(patients(train).is_disjoint(&patients(test)));
        assert!(patients(valid).is_disjoint(&patients(test)));
    }

    #[test]
    fn the_default_cohort_shares_five_patients_between_train_and_valid_only() {
        let cohort = PhantomRecipe::default().draw().unwrap();
        let [train, valid, test] = Split::ALL.map(|s| cohort.split(s));
        assert_eq!(patients(train).intersection(&patients(valid)).count(), 5);
        let rows = valid
            .iter()
            .filter(|r| patients(train).contains(&r.patient))
            .count();
        assert_eq!(rows, 6);
        assert!(images(train).is_disjoint(&images(valid)));
        assert!(patients(train).is_disjoint(&patients(test)));
        assert!(patients(valid).is_disjoint(&patients(test)));
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        train
            .iter()
            .for_each(|r| *counts.entry(r.patient).or_default() += 1);
        assert!(counts.values().any(|&n| n >= 4) && counts.values().any(|&n| n == 1));
    }

    #[test]
    fn within_a_split_no_image_is_named_twice_at_any_size() {
        for like in [Like::Default, Like::Seed] {
            for rows in [
                [1400, 200, 400],
                [8, 4, 1],
                [1, 1, 1],
                [37, 300, 5],
                [16, 9, 3],
            ] {
                let cohort = PhantomRecipe {
                    rows,
                    ..PhantomRecipe::like(like)
                }
                .draw()
                .unwrap();
                for (split, n) in Split::ALL.into_iter().zip(rows) {
                    assert_eq!(cohort.split(split).len(), n);
                    assert_eq!(images(cohort.split(split)).len(), n, "{like} {rows:?}");
                }
            }
        }
    }

    #[test]
    fn shares_of_drawn_and_labelled_follow_the_channel() {
        let rows = [40_000, 4, 4];
        let cohort = PhantomRecipe {
            rows,
            ..Default::default()
        }
        .draw()
        .unwrap();
        let train = cohort.split(Split::Train);
        for finding in 0..N_FINDINGS {
            let law = cohort.channel(finding, Split::Train);
            let share = |n: usize| n as f64 / train.len() as f64;
            let drawn = share(
                train
                    .iter()
                    .filter(|r| r.severities[finding].is_present())
                    .count(),
            );
            let positive = share(train.iter().filter(|r| r.labels[finding]).count());
            // Studies of a patient agree, so a deviation counts patients (about half as many).
            let tolerance = |p: f64| 5.0 * (p * (1.0 - p) / 15_000.0).sqrt();
            assert!(
                (drawn - law.present()).abs() < tolerance(law.present()),
                "{finding}"
            );
            assert!(
                (positive - law.prevalence()).abs() < tolerance(law.prevalence()),
                "{finding}"
            );
        }
    }

    #[test]
    fn another_seed_is_another_cohort_and_the_same_seed_the_same() {
        let one = PhantomRecipe::default().draw().unwrap();
        let other = PhantomRecipe {
            seed: 2,
            ..Default::default()
        }
        .draw()
        .unwrap();
        assert_eq!(one, PhantomRecipe::default().draw().unwrap());
        assert_ne!(one.split(Split::Train), other.split(Split::Train));
    }
}
