//! The same measurement on parts of a cohort, and what a part's name alone gives away.
//!
//! An [`Attribute`] puts radiographs into groups: sex, age band, view. A [`Subgroup`] is one group
//! measured at the same operating points, a [`RecallGap`] the widest distance between two groups'
//! sensitivities, and a [`Shortcut`] the AUROC that the attribute reaches without any picture: a
//! model that is not well above it may have learned the attribute. Deliberately not here: reading
//! attributes from a table.

use crate::evaluation::{Reasons, keep};
use crate::shares::ClusteredShare;
use crate::summation::as_f64;
use crate::{
    Cells, Clusters, Interval, MacroMean, MetricFault, Placements, Ranking, Scores, Threshold,
    Truths, Undefined,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// More groups than this are no subgroups but a name.
const MOST_GROUPS: usize = 12;

/// What is known of each radiograph beside its labels, by group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    name: String,
    groups: Vec<String>,
    of_row: Vec<Option<usize>>,
}

impl Attribute {
    /// An attribute by the group of each row, `None` where it is not known.
    ///
    /// `None` for fewer than 2 or more than 12 groups: there is nothing to compare, or too much.
    #[must_use]
    pub fn new(name: &str, of_rows: &[Option<String>]) -> Option<Self> {
        let mut numbers = BTreeMap::new();
        for group in of_rows.iter().flatten() {
            numbers.insert(group.as_str(), 0);
        }
        if !(2..=MOST_GROUPS).contains(&numbers.len()) {
            return None;
        }
        for (number, place) in (0..).zip(numbers.values_mut()) {
            *place = number;
        }
        let of_row = |group: &Option<String>| numbers.get(group.as_deref()?).copied();
        Some(Self {
            name: name.to_owned(),
            of_row: of_rows.iter().map(of_row).collect(),
            groups: numbers.keys().map(ToString::to_string).collect(),
        })
    }

    /// Its name, such as the table's column.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Radiographs.
    pub fn n_rows(&self) -> usize {
        self.of_row.len()
    }
}

/// One group of an attribute, measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subgroup {
    /// The attribute.
    pub attribute: String,
    /// The group.
    pub group: String,
    /// Its radiographs.
    pub rows: usize,
    /// Of so many patients.
    pub patients: usize,
    /// One entry a finding.
    pub findings: Vec<SubgroupFinding>,
    /// Mean AUROC over the findings where it is defined.
    pub auroc: MacroMean,
}

/// One finding in one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubgroupFinding {
    /// The finding.
    pub name: String,
    /// Positives.
    pub support: usize,
    /// Negatives.
    pub negatives: usize,
    /// Area under the ROC curve.
    pub auroc: Option<f64>,
    /// Its 95 % interval, patients independent.
    pub auroc_ci: Option<Interval>,
    /// Sensitivity at the threshold in force.
    pub recall: Option<f64>,
    /// Its 95 % interval, patients independent.
    pub recall_ci: Option<Interval>,
    /// Specificity there.
    pub specificity: Option<f64>,
    /// Its 95 % interval, patients independent.
    pub specificity_ci: Option<Interval>,
    /// Why a figure has no value, by its key.
    pub undefined: Reasons,
}

/// The widest distance between two groups' sensitivities at the same threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecallGap {
    /// The attribute.
    pub attribute: String,
    /// The finding.
    pub finding: String,
    /// The group whose positives are found most often.
    pub highest: String,
    /// The group whose positives are found least often.
    pub lowest: String,
    /// Sensitivity in the one minus that in the other.
    pub gap: f64,
    /// Its 95 % interval, patients independent; the two groups were picked for being far apart, so
    /// with more than two groups it is too narrow.
    pub gap_ci: Interval,
}

/// What an attribute alone reaches, beside what the model reaches on the same radiographs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shortcut {
    /// The attribute.
    pub attribute: String,
    /// One entry a finding.
    pub findings: Vec<ShortcutFinding>,
}

/// One finding's shortcut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShortcutFinding {
    /// The finding.
    pub name: String,
    /// AUROC of the score "how often the finding is there in this radiograph's group", counted on
    /// these very radiographs: the most that the attribute can give, never below one half.
    pub auroc: Option<f64>,
    /// Its 95 % interval, patients independent.
    pub auroc_ci: Option<Interval>,
    /// The model's AUROC on the radiographs whose attribute is known.
    pub model_auroc: Option<f64>,
    /// Why a figure has no value, by its key.
    pub undefined: Reasons,
}

/// What the parts of a cohort show.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    /// Every group of every attribute.
    pub subgroups: Vec<Subgroup>,
    /// The widest distances, by attribute and finding.
    pub recall_gaps: Vec<RecallGap>,
    /// What each attribute alone reaches.
    pub shortcuts: Vec<Shortcut>,
}

/// Everything that is measured, for one attribute after the other.
pub(crate) struct Whole<'a> {
    pub(crate) findings: &'a [String],
    pub(crate) scores: &'a Scores,
    pub(crate) truths: &'a Truths,
    pub(crate) clusters: &'a Clusters,
    pub(crate) thresholds: &'a [Threshold],
}

impl Parts {
    /// Measures every group of every attribute.
    ///
    /// # Errors
    /// [`MetricFault::SizeMismatch`] for an attribute of another number of rows.
    pub(crate) fn of(whole: &Whole<'_>, attributes: &[Attribute]) -> Result<Self, MetricFault> {
        let mut parts = Self::default();
        for attribute in attributes {
            if attribute.n_rows() != whole.scores.n_rows() {
                return Err(MetricFault::SizeMismatch {
                    what: "rows of an attribute",
                    expected: whole.scores.n_rows(),
                    found: attribute.n_rows(),
                });
            }
            let columns: Vec<Column> = (0..whole.findings.len())
                .map(|finding| Column::of(whole, attribute, finding))
                .collect();
            for group in 0..attribute.groups.len() {
                parts
                    .subgroups
                    .push(whole.subgroup(attribute, &columns, group));
            }
            let gaps = columns
                .iter()
                .filter_map(|column| column.gap(whole, attribute));
            parts.recall_gaps.extend(gaps);
            parts.shortcuts.push(Shortcut {
                attribute: attribute.name.clone(),
                findings: columns
                    .iter()
                    .map(|column| column.shortcut(whole))
                    .collect(),
            });
        }
        Ok(parts)
    }
}

impl Whole<'_> {
    fn subgroup(&self, attribute: &Attribute, columns: &[Column], group: usize) -> Subgroup {
        let rows: Vec<usize> = (0..attribute.of_row.len())
            .filter(|&row| attribute.of_row[row] == Some(group))
            .collect();
        let mut patients = self.clusters.of_rows(&rows);
        patients.sort_unstable();
        patients.dedup();
        let findings: Vec<SubgroupFinding> = columns
            .iter()
            .map(|column| column.measure(self, group))
            .collect();
        Subgroup {
            attribute: attribute.name.clone(),
            group: attribute.groups[group].clone(),
            rows: rows.len(),
            patients: patients.len(),
            auroc: MacroMean::of(findings.iter().map(|finding| finding.auroc)),
            findings,
        }
    }
}

/// One finding's known cells whose group is known.
struct Column {
    finding: usize,
    cells: Cells,
    patients: Vec<usize>,
    groups: Vec<usize>,
    limit: f64,
}

impl Column {
    fn of(whole: &Whole<'_>, attribute: &Attribute, finding: usize) -> Self {
        let all = Cells::gather(whole.scores.grid(), whole.truths, finding);
        let mut groups = Vec::new();
        let mut cells = Cells {
            scores: vec![],
            truths: vec![],
            rows: vec![],
        };
        for (place, &row) in all.rows.iter().enumerate() {
            if let Some(group) = attribute.of_row[row] {
                groups.push(group);
                cells.scores.push(all.scores[place]);
                cells.truths.push(all.truths[place]);
                cells.rows.push(row);
            }
        }
        Self {
            finding,
            patients: whole.clusters.of_rows(&cells.rows),
            limit: whole.thresholds[finding].on(whole.scores.scale()),
            cells,
            groups,
        }
    }

    /// Share of one class's radiographs of a group whose decision is right.
    fn share(&self, whole: &Whole<'_>, group: usize, class: bool) -> Option<ClusteredShare> {
        let cases = (0..self.groups.len())
            .filter(|&place| self.groups[place] == group && self.cells.truths[place] == class)
            .map(|place| {
                let is_positive = self.cells.scores[place] >= self.limit;
                (self.patients[place], is_positive == class)
            });
        ClusteredShare::of(cases, whole.clusters.n_clusters())
    }

    fn measure(&self, whole: &Whole<'_>, group: usize) -> SubgroupFinding {
        let places: Vec<usize> = (0..self.groups.len())
            .filter(|&place| self.groups[place] == group)
            .collect();
        let scores: Vec<f64> = places.iter().map(|&p| self.cells.scores[p]).collect();
        let truths: Vec<bool> = places.iter().map(|&p| self.cells.truths[p]).collect();
        let patients: Vec<usize> = places.iter().map(|&p| self.patients[p]).collect();
        let mut undefined = Reasons::new();
        let (auroc, auroc_ci) = auroc_with_interval(&scores, &truths, &patients, &mut undefined);
        let mut share = |key: &str, class, reason| {
            let share = self.share(whole, group, class).ok_or(reason);
            keep(&mut undefined, key, share)
        };
        let recall = share("recall", true, Undefined::NoPositive);
        let specificity = share("specificity", false, Undefined::NoNegative);
        let support = truths.iter().filter(|&&truth| truth).count();
        SubgroupFinding {
            name: whole.findings[self.finding].clone(),
            support,
            negatives: truths.len() - support,
            auroc,
            auroc_ci,
            recall_ci: recall.as_ref().map(ClusteredShare::interval),
            recall: recall.map(|share| share.value),
            specificity_ci: specificity.as_ref().map(ClusteredShare::interval),
            specificity: specificity.map(|share| share.value),
            undefined,
        }
    }

    fn gap(&self, whole: &Whole<'_>, attribute: &Attribute) -> Option<RecallGap> {
        let recalls: Vec<(usize, ClusteredShare)> = (0..attribute.groups.len())
            .filter_map(|group| Some((group, self.share(whole, group, true)?)))
            .collect();
        let by_value = |a: &&(usize, ClusteredShare), b: &&(usize, ClusteredShare)| {
            a.1.value.total_cmp(&b.1.value).then(b.0.cmp(&a.0))
        };
        let highest = recalls.iter().max_by(by_value)?;
        let lowest = recalls.iter().min_by(by_value)?;
        if recalls.len() < 2 {
            return None;
        }
        Some(RecallGap {
            attribute: attribute.name.clone(),
            finding: whole.findings[self.finding].clone(),
            highest: attribute.groups[highest.0].clone(),
            lowest: attribute.groups[lowest.0].clone(),
            gap: highest.1.value - lowest.1.value,
            gap_ci: highest.1.minus(&lowest.1),
        })
    }

    fn shortcut(&self, whole: &Whole<'_>) -> ShortcutFinding {
        let mut counts: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for (&group, &truth) in self.groups.iter().zip(&self.cells.truths) {
            let of_group = counts.entry(group).or_default();
            of_group.0 += usize::from(truth);
            of_group.1 += 1;
        }
        let prevalence = |group: &usize| {
            let (positives, all) = counts.get(group).copied().unwrap_or((0, 1));
            as_f64(positives) / as_f64(all)
        };
        let scores: Vec<f64> = self.groups.iter().map(prevalence).collect();
        let mut undefined = Reasons::new();
        let (truths, patients) = (&self.cells.truths, &self.patients);
        let (auroc, auroc_ci) = auroc_with_interval(&scores, truths, patients, &mut undefined);
        let model = crate::auroc(&self.cells.scores, truths);
        ShortcutFinding {
            name: whole.findings[self.finding].clone(),
            auroc,
            auroc_ci,
            model_auroc: keep(&mut undefined, "model_auroc", model),
            undefined,
        }
    }
}

fn auroc_with_interval(
    scores: &[f64],
    truths: &[bool],
    patients: &[usize],
    undefined: &mut Reasons,
) -> (Option<f64>, Option<Interval>) {
    let placements =
        Ranking::new(scores, truths).and_then(|ranking| Placements::of(&ranking, truths));
    let auroc = placements
        .as_ref()
        .map(Placements::auroc)
        .map_err(|&reason| reason);
    let interval = placements.and_then(|placements| {
        let error = placements.clustered_standard_error(patients)?;
        Interval::of_share(placements.auroc(), error)
    });
    (
        keep(undefined, "auroc", auroc),
        keep(undefined, "auroc_ci", interval),
    )
}
