//! One cohort into train, valid and test: by patient, with each finding spread as evenly as the
//! patients allow.
//!
//! The method is the iterative stratification of Sechidis, Tsoumakas and Vlahavas 2011 ("On the
//! stratification of multi-label data"), with patients in place of single examples: the rarest
//! finding is dealt out first, each patient to the split that still wants most of it.
//! For `split`. Not here: cross-validation.

use cxr_stream::{Purpose, Stream};
use serde::Serialize;

use crate::cohort::Cohort;
use crate::data_error::DataError;
use crate::escape::quoted;
use crate::radiograph::Label;
use crate::splits::{Splits, by_patient};

const SPLIT_NAMES: [&str; 3] = ["train", "valid", "test"];
/// How far the ratios may be from adding up to 1.
const RATIO_TOLERANCE: f64 = 1e-6;
/// Wishes that differ by less are a tie.
const TIE: f64 = 1e-9;

/// Splits made of one cohort, and how well they came out.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitCohort {
    /// The splits; test is `None` where its ratio is 0.
    pub splits: Splits,
    /// What was reached.
    pub report: SplitReport,
}

/// What a split was to be and what it became.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitReport {
    /// The seed.
    pub seed: u64,
    /// The findings' names.
    pub findings: Vec<String>,
    /// The prevalence of each in the whole cohort; `None` where nothing is known.
    pub prevalence: Vec<Option<f64>>,
    /// Train, valid and, where there is one, test.
    pub splits: Vec<SplitFacts>,
    /// The largest difference between a finding's prevalence in a split and in the whole.
    pub largest_difference: Option<f64>,
    /// Findings of which a split has no positive.
    pub warnings: Vec<String>,
}

/// One split in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitFacts {
    /// `train`, `valid` or `test`.
    pub name: &'static str,
    /// The share of radiographs that was asked for.
    pub ratio: f64,
    /// The share that it got.
    pub reached: f64,
    /// Radiographs.
    pub rows: usize,
    /// Patients.
    pub patients: usize,
    /// Positives of each finding.
    pub positives: Vec<usize>,
    /// Prevalence of each finding; `None` where nothing is known.
    pub prevalence: Vec<Option<f64>>,
}

/// Splits a cohort by patient. The same seed gives the same splits whatever the order of rows.
///
/// # Errors
/// Ratios that do not add up to 1 or are 0 for train or valid; fewer patients than splits.
pub fn split_cohort(
    cohort: &Cohort,
    ratios: [f64; 3],
    seed: u64,
) -> Result<SplitCohort, DataError> {
    check_ratios(ratios)?;
    let groups = groups_of(cohort);
    let n_splits = ratios.iter().filter(|ratio| **ratio > 0.0).count();
    if groups.len() < n_splits {
        return Err(DataError::TooFewPatients {
            cohort: cohort.name().into(),
            n_patients: groups.len(),
            n_splits,
        });
    }
    let mut dealer = Dealer::new(&groups, ratios, cohort.findings().len(), seed);
    dealer.deal();
    dealer.fill_empty_splits();
    let part = |split: usize| {
        let mut places: Vec<usize> = groups
            .iter()
            .zip(&dealer.split_of)
            .filter(|(_, assigned)| **assigned == Some(split))
            .flat_map(|(group, _)| group.places.iter().copied())
            .collect();
        places.sort_unstable();
        cohort.select(&places).named(SPLIT_NAMES[split])
    };
    let test = (ratios[2] > 0.0).then(|| part(2));
    let splits = Splits::from_disjoint(part(0), part(1), test);
    let report = report_on(cohort, &splits, ratios, seed);
    Ok(SplitCohort { splits, report })
}

fn check_ratios(ratios: [f64; 3]) -> Result<(), DataError> {
    let reason = if !ratios.iter().all(|ratio| (0.0..=1.0).contains(ratio)) {
        "each lies between 0 and 1"
    } else if ratios[0] <= 0.0 || ratios[1] <= 0.0 {
        "train and valid need more than 0"
    } else if (ratios.iter().sum::<f64>() - 1.0).abs() > RATIO_TOLERANCE {
        "they add up to 1"
    } else {
        return Ok(());
    };
    Err(DataError::BadRatios { ratios, reason })
}

/// All radiographs of one patient.
struct Group {
    places: Vec<usize>,
    /// Positives of each finding.
    positives: Vec<usize>,
}

/// In the order of patients, so that the order of rows does not matter.
fn groups_of(cohort: &Cohort) -> Vec<Group> {
    let count = |places: &[usize], finding: usize| {
        let labels = places
            .iter()
            .map(|place| cohort.radiographs()[*place].labels[finding]);
        labels.filter(|label| *label == Label::Positive).count()
    };
    by_patient(cohort)
        .into_values()
        .map(|places| Group {
            positives: (0..cohort.findings().len())
                .map(|finding| count(&places, finding))
                .collect(),
            places,
        })
        .collect()
}

/// Deals groups out to splits.
struct Dealer<'a> {
    groups: &'a [Group],
    /// Groups in random order.
    order: Vec<usize>,
    ratios: [f64; 3],
    split_of: Vec<Option<usize>>,
    /// Radiographs that each split still wants.
    wanted_rows: [f64; 3],
    /// Positives of each finding that each split still wants.
    wanted: Vec<[f64; 3]>,
    ties: Stream,
}

impl<'a> Dealer<'a> {
    fn new(groups: &'a [Group], ratios: [f64; 3], n_findings: usize, seed: u64) -> Self {
        let n_rows: usize = groups.iter().map(|group| group.places.len()).sum();
        let total =
            |finding: usize| -> usize { groups.iter().map(|group| group.positives[finding]).sum() };
        Self {
            groups,
            order: Stream::new(seed, Purpose::Split, 0, 0).permutation(groups.len()),
            ratios,
            split_of: vec![None; groups.len()],
            wanted_rows: ratios.map(|ratio| ratio * n_rows as f64),
            wanted: (0..n_findings)
                .map(|finding| ratios.map(|ratio| ratio * total(finding) as f64))
                .collect(),
            ties: Stream::new(seed, Purpose::Split, 0, 1),
        }
    }

    fn deal(&mut self) {
        while let Some(finding) = self.rarest_finding() {
            for group in self.waiting(|group| group.positives[finding]) {
                let split = self.choose(self.wanted[finding]);
                self.assign(group, split);
            }
        }
        for group in self.waiting(|group| group.places.len()) {
            let split = self.choose(self.wanted_rows);
            self.assign(group, split);
        }
    }

    /// The finding with the fewest positives among the groups that still wait.
    fn rarest_finding(&self) -> Option<usize> {
        let left = |finding: usize| -> usize {
            let waiting = self.groups.iter().zip(&self.split_of);
            waiting
                .filter(|(_, split)| split.is_none())
                .map(|(group, _)| group.positives[finding])
                .sum()
        };
        (0..self.wanted.len())
            .map(|finding| (left(finding), finding))
            .filter(|(left, _)| *left > 0)
            .min()
            .map(|(_, finding)| finding)
    }

    /// The waiting groups with any of what is counted, those with most first, else in random order.
    fn waiting(&self, count: impl Fn(&Group) -> usize) -> Vec<usize> {
        let mut waiting: Vec<usize> = self
            .order
            .iter()
            .copied()
            .filter(|group| self.split_of[*group].is_none() && count(&self.groups[*group]) > 0)
            .collect();
        waiting.sort_by_key(|group| std::cmp::Reverse(count(&self.groups[*group])));
        waiting
    }

    /// The split that wants most; among those the one that wants most rows; among those by lot.
    fn choose(&mut self, wanted: [f64; 3]) -> usize {
        let open = |split: &usize| self.ratios[*split] > 0.0;
        let best = |among: &[usize], wish: [f64; 3]| -> Vec<usize> {
            let most = among
                .iter()
                .map(|split| wish[*split])
                .fold(f64::MIN, f64::max);
            let is_best = |split: &usize| wish[*split] >= most - TIE;
            among.iter().copied().filter(is_best).collect()
        };
        let all: Vec<usize> = (0..3).filter(open).collect();
        let best = best(&best(&all, wanted), self.wanted_rows);
        let lot = self.ties.below(best.len() as u64);
        best[usize::try_from(lot).unwrap_or(0)]
    }

    fn assign(&mut self, group: usize, split: usize) {
        self.split_of[group] = Some(split);
        self.wanted_rows[split] -= self.groups[group].places.len() as f64;
        for (wanted, positives) in self.wanted.iter_mut().zip(&self.groups[group].positives) {
            wanted[split] -= *positives as f64;
        }
    }

    fn members(&self, split: usize) -> Vec<usize> {
        let is_member = |group: &usize| self.split_of[*group] == Some(split);
        (0..self.groups.len()).filter(is_member).collect()
    }

    /// With few patients a split can come out empty; it gets the smallest group of the split with
    /// the most groups.
    fn fill_empty_splits(&mut self) {
        for split in (0..3).filter(|split| self.ratios[*split] > 0.0) {
            if !self.members(split).is_empty() {
                continue;
            }
            let fullest = (0..3).map(|other| self.members(other)).max_by_key(Vec::len);
            let smallest = fullest
                .into_iter()
                .flatten()
                .min_by_key(|group| self.groups[*group].places.len());
            if let Some(group) = smallest {
                self.split_of[group] = Some(split);
            }
        }
    }
}

fn report_on(cohort: &Cohort, splits: &Splits, ratios: [f64; 3], seed: u64) -> SplitReport {
    let prevalences = |cohort: &Cohort| -> Vec<Option<f64>> {
        let prevalence = cohort.prevalence();
        let findings = prevalence.findings.iter();
        findings.map(|finding| finding.prevalence()).collect()
    };
    let whole = prevalences(cohort);
    let parts = [Some(splits.train()), Some(splits.valid()), splits.test()];
    let facts: Vec<SplitFacts> = parts
        .into_iter()
        .enumerate()
        .filter_map(|(place, part)| Some((place, part?)))
        .map(|(place, part)| SplitFacts {
            name: SPLIT_NAMES[place],
            ratio: ratios[place],
            reached: part.len() as f64 / cohort.len() as f64,
            rows: part.len(),
            patients: part.n_patients(),
            positives: part
                .prevalence()
                .findings
                .iter()
                .map(|one| one.positives)
                .collect(),
            prevalence: prevalences(part),
        })
        .collect();
    let differences = facts.iter().flat_map(|facts| {
        let pairs = facts.prevalence.iter().zip(&whole);
        pairs.filter_map(|(part, whole)| Some(((*part)? - (*whole)?).abs()))
    });
    let largest_difference = differences.max_by(f64::total_cmp);
    let mut warnings = Vec::new();
    for facts in &facts {
        for (finding, positives) in cohort.findings().iter().zip(&facts.positives) {
            if *positives == 0 {
                let name = quoted(finding.as_str());
                warnings.push(format!("{} has no positive of {name}", facts.name));
            }
        }
    }
    SplitReport {
        seed,
        findings: cohort.findings().to_strings(),
        prevalence: whole,
        splits: facts,
        largest_difference,
        warnings,
    }
}
