//! The tables of a run into splits that no patient shares, and what was found on the way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cxr_data::{
    Cohort, ReadOptions, SharedImages, SharedPatients, Splits, TableFaults, read_cohort, repair,
};
use cxr_report::LeakageRecord;
use serde::Serialize;

use crate::config::{LeakagePolicy, RunConfig};
use crate::train_error::TrainError;

/// Where the labels and images of a run are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tables {
    /// The table to learn from.
    pub train: PathBuf,
    /// The table that decides epochs and thresholds.
    pub valid: PathBuf,
    /// The table that is read once, at the end.
    pub test: Option<PathBuf>,
    /// The folder of images.
    pub images: PathBuf,
}

/// Splits with the account of how they came about.
#[derive(Clone, Debug)]
pub struct ReadSplits {
    /// Disjoint by patient, findings in train's order.
    pub splits: Splits,
    /// What the tables shared and what was done about it.
    pub leakage: LeakageRecord,
    /// What the tables' reader noticed.
    pub warnings: Vec<String>,
}

impl Tables {
    /// The tables that a configuration names.
    ///
    /// # Errors
    /// Train, valid or the images are not named.
    pub fn of(config: &RunConfig) -> Result<Self, TrainError> {
        let named = |key: &'static str, value: &str| {
            if value.is_empty() {
                Err(TrainError::NotGiven { key })
            } else {
                Ok(value.into())
            }
        };
        let data = &config.data;
        Ok(Self {
            train: named("data.train", &data.train)?,
            valid: named("data.valid", &data.valid)?,
            test: (!data.test.is_empty()).then(|| data.test.clone().into()),
            images: named("data.images", &data.images)?,
        })
    }
}

/// Reads the tables, brings them into train's order of findings, and sees to leakage.
///
/// # Errors
/// Every fault of every table at once; tables with different findings; patients or images in two
/// splits where the policy is to refuse; a split without radiographs.
pub fn read_splits(tables: &Tables, config: &RunConfig) -> Result<ReadSplits, TrainError> {
    let options = ReadOptions {
        uncertain: config.data.uncertain,
    };
    let mut faults: Vec<TableFaults> = Vec::new();
    let mut warnings = Vec::new();
    let mut read = |path: &Path| match read_cohort(path, &options) {
        Ok(read) => {
            warnings.extend(read.warnings.iter().map(ToString::to_string));
            Some(read.cohort)
        }
        Err(found) => {
            faults.push(found);
            None
        }
    };
    let train = read(&tables.train);
    let valid = read(&tables.valid);
    let test = tables.test.as_deref().map(&mut read);
    let (Some(train), Some(valid), Some(test)) =
        (train, valid, test.map_or(Some(None), |t| t.map(Some)))
    else {
        return Err(TrainError::Tables(faults));
    };
    let valid = valid.in_finding_order(train.findings())?;
    let test = test
        .map(|test| test.in_finding_order(train.findings()))
        .transpose()?;
    let (splits, leakage) = disjoint(train, valid, test, config.data.leakage)?;
    for (split, cohort) in named(&splits) {
        if cohort.is_empty() {
            return Err(TrainError::EmptySplit { split });
        }
    }
    Ok(ReadSplits {
        splits,
        leakage,
        warnings,
    })
}

/// The splits with their names.
pub(crate) fn named(splits: &Splits) -> impl Iterator<Item = (&'static str, &Cohort)> {
    let test = splits.test().map(|test| ("test", test));
    [("train", splits.train()), ("valid", splits.valid())]
        .into_iter()
        .chain(test)
}

fn disjoint(
    train: Cohort,
    valid: Cohort,
    test: Option<Cohort>,
    policy: LeakagePolicy,
) -> Result<(Splits, LeakageRecord), TrainError> {
    let patients = SharedPatients::between(&train, &valid, test.as_ref());
    let images = SharedImages::between(&train, &valid, test.as_ref());
    let rows = |train: &Cohort, valid: &Cohort, test: Option<&Cohort>| {
        let pairs = [
            ("train", Some(train)),
            ("valid", Some(valid)),
            ("test", test),
        ];
        pairs
            .into_iter()
            .filter_map(|(name, cohort)| Some((name.to_owned(), cohort?.len() as u64)))
            .collect::<BTreeMap<_, _>>()
    };
    let mut record = LeakageRecord {
        clean: patients.is_empty() && images.is_empty(),
        shared_patients: by_pair([
            &patients.train_valid,
            &patients.train_test,
            &patients.valid_test,
        ]),
        shared_images: by_pair([&images.train_valid, &images.train_test, &images.valid_test]),
        rows: rows(&train, &valid, test.as_ref()),
        repaired_rows: None,
    };
    if !record.clean && policy == LeakagePolicy::Refuse {
        return Err(if patients.is_empty() {
            images.into()
        } else {
            patients.into()
        });
    }
    let splits = if record.clean {
        Splits::new(train, valid, test)?
    } else {
        repair(train, valid, test).splits
    };
    if !record.clean {
        record.repaired_rows = Some(rows(splits.train(), splits.valid(), splits.test()));
    }
    Ok((splits, record))
}

fn by_pair<T: ToString>(lists: [&Vec<T>; 3]) -> BTreeMap<String, Vec<String>> {
    ["train_valid", "train_test", "valid_test"]
        .into_iter()
        .zip(lists)
        .map(|(pair, list)| {
            (
                pair.to_owned(),
                list.iter().map(ToString::to_string).collect(),
            )
        })
        .collect()
}
