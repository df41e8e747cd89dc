//! A cohort as a table: written beside, synced and renamed, so that a crash leaves the old table
//! or the new one.
//!
//! For `split` and `check --repair`. Not here: predictions.

use std::path::Path;

use crate::cohort::Cohort;
use crate::data_error::DataError;
use crate::radiograph::{Label, Radiograph};

/// Writes `Image`, `PatientId`, one column a finding, and those optional columns of which anything
/// is known. Unknown labels become −1, so a table with them is read again with
/// [`Uncertain::Ignore`](crate::Uncertain::Ignore).
///
/// # Errors
/// [`DataError::Io`]; what stood at `path` is untouched then.
pub fn write_cohort(cohort: &Cohort, path: &Path) -> Result<(), DataError> {
    table_bytes(cohort)
        .and_then(|bytes| cxr_durable::write(path, &bytes))
        .map_err(|source| DataError::Io {
            path: path.to_owned(),
            source,
        })
}

fn table_bytes(cohort: &Cohort) -> std::io::Result<Vec<u8>> {
    let optional = Optional::of(cohort);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_field("Image")?;
    writer.write_field("PatientId")?;
    for finding in cohort.findings() {
        writer.write_field(finding.as_str())?;
    }
    for name in optional.names() {
        writer.write_field(name)?;
    }
    writer.write_record(None::<&[u8]>)?;
    for radiograph in cohort.radiographs() {
        writer.write_field(radiograph.image.as_str())?;
        writer.write_field(radiograph.patient.as_str())?;
        for label in &radiograph.labels {
            writer.write_field(Label::as_str(*label))?;
        }
        for value in optional.values(radiograph) {
            writer.write_field(value)?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.into_inner().map_err(|error| error.into_error())
}

/// Which optional columns a cohort fills.
struct Optional {
    age: bool,
    sex: bool,
    view: bool,
    follow_up: bool,
}

impl Optional {
    fn of(cohort: &Cohort) -> Self {
        let any = |has: fn(&Radiograph) -> bool| cohort.radiographs().iter().any(has);
        Self {
            age: any(|one| one.age.is_some()),
            sex: any(|one| one.sex.is_some()),
            view: any(|one| one.view.is_some()),
            follow_up: any(|one| one.follow_up.is_some()),
        }
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        [
            (self.age, "PatientAge"),
            (self.sex, "PatientSex"),
            (self.view, "View"),
            (self.follow_up, "FollowUp"),
        ]
        .into_iter()
        .filter(|(is_there, _)| *is_there)
        .map(|(_, name)| name)
    }

    fn values(&self, radiograph: &Radiograph) -> impl Iterator<Item = String> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        [
            (
                self.age,
                radiograph.age.map_or(String::new(), |age| age.to_string()),
            ),
            (self.sex, text(&radiograph.sex)),
            (self.view, text(&radiograph.view)),
            (
                self.follow_up,
                radiograph
                    .follow_up
                    .map_or(String::new(), |number| number.to_string()),
            ),
        ]
        .into_iter()
        .filter(|(is_there, _)| *is_there)
        .map(|(_, value)| value)
    }
}
