//! What can go wrong between a run's numbers and its files, each with a stable code.
//!
//! For callers who print errors: `code`, `location`, `value`, `help` and `exit_code` are the parts
//! of the one error shape of the command line. Deliberately not here: printing.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a run folder, a plot or a page could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// R001: the operating system refused a read or a write.
    #[error("cannot {attempt}")]
    Io {
        /// What was being done, to read after "cannot".
        attempt: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's answer, with the path.
        source: io::Error,
    },
    /// R002: the disk is full, or will be.
    #[error("not enough space on the disk")]
    NoSpace {
        /// The file or folder to be written.
        path: PathBuf,
        /// Bytes that are needed there.
        needed_bytes: u64,
        /// Bytes that are free, where the system tells.
        free_bytes: Option<u64>,
    },
    /// R003: a run's name would not make a plain folder name.
    #[error("a run cannot have this name")]
    RunName {
        /// The name as given.
        name: String,
    },
    /// R004: the folder for a new run has something in it.
    #[error("the folder for a new run is not empty")]
    FolderInUse {
        /// The folder.
        path: PathBuf,
    },
    /// R005: a folder was given that no run has written.
    #[error("this is not a run folder")]
    NotARunFolder {
        /// The folder.
        path: PathBuf,
    },
    /// R006: another process is writing into the run folder.
    #[error("another process is writing into this run folder")]
    Locked {
        /// The run folder.
        path: PathBuf,
        /// The process that holds it, where its lock file says so.
        holder: Option<u32>,
    },
    /// R007: a path that was to be written leaves the run folder.
    #[error("this path is not inside the run folder")]
    PathOutside {
        /// The path as given.
        path: String,
    },
    /// R008: a log is shorter than the checkpoint recorded.
    #[error("the log is shorter than the checkpoint recorded")]
    LogTooShort {
        /// The log.
        path: PathBuf,
        /// Its length when the checkpoint was written.
        recorded_bytes: u64,
        /// Its length now.
        found_bytes: u64,
    },
    /// R009: `results.csv` holds something that no run writes.
    #[error("{problem}")]
    Results {
        /// The table.
        path: PathBuf,
        /// Line of the file, from 1.
        row: u64,
        /// The column's name, where the fault is in one.
        column: Option<String>,
        /// What stands there.
        value: Option<String>,
        /// What is wrong.
        problem: &'static str,
    },
    /// R010: a JSON file of the run cannot be understood.
    #[error("this is not the JSON that a run writes: {problem}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Line of the file, from 1.
        row: usize,
        /// Column of the line, from 1.
        column: usize,
        /// The parser's words.
        problem: String,
    },
    /// R011: an event has fields that do not make a JSON object, or a value without a JSON form.
    #[error("this value cannot be written as JSON: {problem}")]
    NotJson {
        /// What was being written.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// R012: an epoch brings other findings than the table has columns for.
    #[error("this epoch has other findings than results.csv has columns for")]
    OtherFindings {
        /// The table.
        path: PathBuf,
        /// The columns that it has.
        expected: Vec<String>,
        /// The columns that the epoch would need.
        found: Vec<String>,
    },
    /// R013: a plot in the run folder has content that no plot of ours has.
    #[error("this plot holds something that could run or fetch")]
    ActivePlot {
        /// The picture.
        path: PathBuf,
        /// What was found.
        value: String,
    },
    /// R014: a picture could not be drawn.
    #[error("the plot could not be drawn: {problem}")]
    Plot {
        /// Which plot.
        plot: &'static str,
        /// What is wrong.
        problem: String,
    },
}

impl ReportError {
    /// The stable code: `R` and three digits.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "R001",
            Self::NoSpace { .. } => "R002",
            Self::RunName { .. } => "R003",
            Self::FolderInUse { .. } => "R004",
            Self::NotARunFolder { .. } => "R005",
            Self::Locked { .. } => "R006",
            Self::PathOutside { .. } => "R007",
            Self::LogTooShort { .. } => "R008",
            Self::Results { .. } => "R009",
            Self::Json { .. } => "R010",
            Self::NotJson { .. } => "R011",
            Self::OtherFindings { .. } => "R012",
            Self::ActivePlot { .. } => "R013",
            Self::Plot { .. } => "R014",
        }
    }

    /// The exit code of a process that ends for this reason.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. } | Self::NoSpace { .. } | Self::Locked { .. } => 4,
            Self::RunName { .. } | Self::FolderInUse { .. } | Self::NotARunFolder { .. } => 2,
            Self::Results { .. } | Self::Json { .. } | Self::ActivePlot { .. } => 3,
            Self::LogTooShort { .. } | Self::OtherFindings { .. } => 6,
            Self::PathOutside { .. } | Self::NotJson { .. } | Self::Plot { .. } => 1,
        }
    }

    /// Where: a path, with line and column as far as they are known.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        match self {
            Self::Io { path, .. }
            | Self::NoSpace { path, .. }
            | Self::FolderInUse { path }
            | Self::NotARunFolder { path }
            | Self::Locked { path, .. }
            | Self::LogTooShort { path, .. }
            | Self::NotJson { path, .. }
            | Self::OtherFindings { path, .. }
            | Self::ActivePlot { path, .. } => Some(shown(path)),
            Self::Results {
                path, row, column, ..
            } => Some(match column {
                Some(column) => format!("{}:{row}, column {column:?}", shown(path)),
                None => format!("{}:{row}", shown(path)),
            }),
            Self::Json {
                path, row, column, ..
            } => Some(format!("{}:{row}:{column}", shown(path))),
            Self::Plot { plot, .. } => Some(format!("plots/{plot}")),
            Self::RunName { .. } | Self::PathOutside { .. } => None,
        }
    }

    /// The offending value, with control characters escaped.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        match self {
            Self::RunName { name } => Some(format!("{name:?}")),
            Self::PathOutside { path } => Some(format!("{path:?}")),
            Self::Results { value, .. } => value.as_ref().map(|value| format!("{value:?}")),
            Self::ActivePlot { value, .. } => Some(format!("{value:?}")),
            Self::LogTooShort {
                recorded_bytes,
                found_bytes,
                ..
            } => Some(format!("{found_bytes} of {recorded_bytes} bytes")),
            Self::OtherFindings { found, .. } => Some(format!("{found:?}")),
            Self::Locked { holder, .. } => holder.map(|holder| format!("process {holder}")),
            _ => None,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        let help = match self {
            Self::Io { source, .. } => return help_for(source.kind()).map(str::to_owned),
            Self::NoSpace {
                needed_bytes,
                free_bytes,
                ..
            } => {
                let free = free_bytes.map_or_else(
                    || "the rest of the disk is in use".to_owned(),
                    |free| format!("{} are free", bytes_in_words(free)),
                );
                return Some(format!(
                    "{} are needed and {free}; make room or choose another disk with --run",
                    bytes_in_words(*needed_bytes)
                ));
            }
            Self::RunName { .. } => {
                "use 1 to 64 letters, digits, '-', '_' and '.', not starting with '.' or '-'"
            }
            Self::FolderInUse { .. } => {
                "a run never overwrites: name an empty or new folder, or continue the old run with --resume"
            }
            Self::NotARunFolder { .. } => {
                "a run folder holds run.json; `train` prints its path when it starts"
            }
            Self::Locked { holder, .. } => {
                return Some(match holder {
                    Some(holder) => format!(
                        "wait for process {holder} to end, or stop it; the lock goes away with it"
                    ),
                    None => "wait for it to end, or stop it; the lock goes away with it".into(),
                });
            }
            Self::PathOutside { .. } => "give a relative path without '..'",
            Self::LogTooShort { .. } => {
                "the file was changed after the checkpoint; put it back, or start a new run"
            }
            Self::Results { .. } | Self::Json { .. } => {
                "the file was changed or cut after the run wrote it; put it back, or remove it to have a page without it"
            }
            Self::NotJson { .. } => "give an object whose numbers are finite",
            Self::OtherFindings { expected, .. } => {
                return Some(format!("results.csv has {expected:?}"));
            }
            Self::ActivePlot { .. } => "remove the file; plots of a run hold shapes and text only",
            Self::Plot { .. } => return None,
        };
        Some(help.to_owned())
    }

    /// Wraps what the operating system said about `path`; a full disk becomes `NoSpace`.
    pub(crate) fn io<'a>(
        attempt: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace {
                path: path.to_owned(),
                needed_bytes: 0,
                free_bytes: None,
            },
            _ => Self::Io {
                attempt,
                path: path.to_owned(),
                source,
            },
        }
    }
}

fn help_for(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::PermissionDenied => Some("check the owner and the rights of the folder"),
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("the file system is read-only; choose another folder with --run")
        }
        io::ErrorKind::NotFound => Some("check the path"),
        _ => None,
    }
}

/// A path in one line: control characters escaped, nothing else changed.
fn shown(path: &Path) -> String {
    path.to_string_lossy()
        .chars()
        .flat_map(|character| {
            let escaped = character.is_control().then(|| character.escape_default());
            let plain = escaped.is_none().then_some(character);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// "1.5 GiB".
fn bytes_in_words(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    UNITS.iter().find(|(_, size)| bytes >= *size).map_or_else(
        || format!("{bytes} bytes"),
        |(unit, size)| {
            let tenths = bytes / (size / 10).max(1);
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_escape_codes_is_shown_in_one_harmless_line() {
        let error = ReportError::NotARunFolder {
            path: PathBuf::from("runs/\u{1b}[2J\nx"),
        };
        let location = error.location().unwrap();
        assert!(!location.chars().any(char::is_control), "{location:?}");
        assert_eq!(location, "runs/\\u{1b}[2J\\nx");
    }

    #[test]
    fn a_full_disk_has_its_own_code_and_says_how_much_is_missing() {
        let source = io::Error::from(io::ErrorKind::StorageFull);
        let error = ReportError::io("write", Path::new("run.json"))(source);
        assert_eq!((error.code(), error.exit_code()), ("R002", 4));
        let error = ReportError::NoSpace {
            path: "runs".into(),
            needed_bytes: 3 << 29,
            free_bytes: Some(2048),
        };
        let help = error.help().unwrap();
        assert!(help.contains("1.5 GiB are needed"), "{help}");
        assert!(help.contains("2.0 KiB are free"), "{help}");
    }
}
