//! A cohort as a table: written beside, synced and renamed, so that a crash leaves the old table
//! or the new one.
//!
//! For `split` and `check --repair`. Not here: predictions.

use std::io::Write;
use std::path::{Path, PathBuf};

use fs_err as fs;

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
    let fail = |source| DataError::Io {
        path: path.to_owned(),
        source,
    };
    let bytes = table_bytes(cohort).map_err(fail)?;
    let beside = beside(path).map_err(fail)?;
    let written = replace(path, &beside, &bytes);
    if written.is_err() {
        // The error that is reported is the one of writing.
        let _ = fs::remove_file(&beside);
    }
    written.map_err(fail)
}

fn replace(path: &Path, beside: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(beside, path)?;
    sync_folder(path)
}

/// A rename is durable once its folder is synced.
#[cfg(unix)]
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

/// A free name in the same folder. One that a killed process of the same number left is taken away.
fn beside(path: &Path) -> std::io::Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "the path names no file",
        ));
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.partial", std::process::id()));
    let beside = path.with_file_name(hidden);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(beside),
    }
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
