//! The folder of one run: made once, held by one process, written so that a crash spoils nothing.
//!
//! For the command that trains, which owns a `RunFolder` from start to end. Reading a finished run
//! needs no lock: see `page::ReportData`. Deliberately not here: what the files mean.

use std::io::Write;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use crate::disk::{self, sync_folder, write_file};
use crate::report_error::ReportError;

/// The folders that every run folder has.
const SUBFOLDERS: [&str; 4] = ["data", "plots", "predictions", "weights"];
/// Held locked by the process that writes; says which one in words.
const LOCK: &str = "run.lock";
/// What a folder needs at least one of to be taken for a run folder.
const MARKS: [&str; 4] = ["run.json", "config.toml", "events.jsonl", LOCK];
/// How many numbers are tried when others take them at the same moment.
const ATTEMPTS: u64 = 1000;

/// A run's folder, held by this process until the value is dropped.
#[derive(Debug)]
pub struct RunFolder {
    dir: PathBuf,
    /// The operating system's lock goes with the file.
    _lock: fs_err::File,
}

impl RunFolder {
    /// Makes `<runs_root>/<name>-<NNN>/` with the number after the highest one there.
    ///
    /// Making the folder is what takes the number, so that two runs started together get two.
    ///
    /// # Errors
    /// `R003` for a name that is no plain folder name, `R001` where the disk refuses.
    pub fn create(runs_root: &Path, name: &str) -> Result<Self, ReportError> {
        if !is_plain_name(name) {
            return Err(ReportError::RunName { name: name.into() });
        }
        fs_err::create_dir_all(runs_root)
            .map_err(ReportError::io("make the folder of runs", runs_root))?;
        let first = highest_number(runs_root, name)?.saturating_add(1);
        for number in first..first.saturating_add(ATTEMPTS) {
            let dir = runs_root.join(format!("{name}-{number:03}"));
            match fs_err::create_dir(&dir) {
                Ok(()) => {
                    sync_folder(runs_root)?;
                    return Self::furnish(dir);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(ReportError::io("make the run folder", &dir)(error)),
            }
        }
        Err(ReportError::FolderInUse {
            path: runs_root.join(format!("{name}-{first:03}")),
        })
    }

    /// Makes the run folder `dir` itself (as for `--run DIR`), which is new or empty.
    ///
    /// # Errors
    /// `R004` when there is something in it, `R001` where the disk refuses.
    pub fn create_at(dir: &Path) -> Result<Self, ReportError> {
        fs_err::create_dir_all(dir).map_err(ReportError::io("make the run folder", dir))?;
        let mut entries =
            fs_err::read_dir(dir).map_err(ReportError::io("read the run folder", dir))?;
        if entries.next().is_some() {
            return Err(ReportError::FolderInUse { path: dir.into() });
        }
        Self::furnish(dir.to_owned())
    }

    /// Takes hold of an existing run folder to continue it.
    ///
    /// # Errors
    /// `R005` for another kind of folder, `R006` naming the process that holds it.
    pub fn open(dir: &Path) -> Result<Self, ReportError> {
        check_is_run_folder(dir)?;
        Self::furnish(dir.to_owned())
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder's own name, as `phantom-004`.
    #[must_use]
    pub fn name(&self) -> String {
        folder_name(&self.dir)
    }

    /// Where a file of this run is or would be.
    ///
    /// # Errors
    /// `R007` for a path that leaves the folder.
    pub fn path(&self, relative: &str) -> Result<PathBuf, ReportError> {
        let is_inside = !relative.is_empty()
            && Path::new(relative)
                .components()
                .all(|component| matches!(component, Component::Normal(_)));
        if is_inside {
            Ok(self.dir.join(relative))
        } else {
            Err(ReportError::PathOutside {
                path: relative.into(),
            })
        }
    }

    /// Replaces a file as a whole: beside, synced, renamed, folder synced. Makes its folders.
    ///
    /// # Errors
    /// `R007` for a path that leaves the folder, `R001` and `R002` where the disk refuses.
    pub fn write(&self, relative: &str, bytes: &[u8]) -> Result<(), ReportError> {
        let path = self.path(relative)?;
        if let Some(parent) = path.parent()
            && !parent.is_dir()
        {
            fs_err::create_dir_all(parent).map_err(ReportError::io("make the folder", parent))?;
            sync_folder(parent.parent().unwrap_or(&self.dir))?;
        }
        write_file(&path, bytes)
    }

    /// Replaces a file by a value as indented JSON with a line end.
    ///
    /// # Errors
    /// Those of `write`, and `R011` for a value without a JSON form.
    pub fn write_json(&self, relative: &str, value: &impl Serialize) -> Result<(), ReportError> {
        let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| ReportError::NotJson {
            path: self.dir.join(relative),
            problem: error.to_string(),
        })?;
        bytes.push(b'\n');
        self.write(relative, &bytes)
    }

    /// Refuses when fewer than `needed_bytes` are free on the folder's disk.
    ///
    /// # Errors
    /// `R002` with both figures.
    pub fn require_space(&self, needed_bytes: u64) -> Result<(), ReportError> {
        disk::require_space(&self.dir, needed_bytes)
    }

    fn furnish(dir: PathBuf) -> Result<Self, ReportError> {
        let lock = take_lock(&dir)?;
        for subfolder in SUBFOLDERS {
            let path = dir.join(subfolder);
            fs_err::create_dir_all(&path).map_err(ReportError::io("make the folder", &path))?;
        }
        sync_folder(&dir)?;
        Ok(Self { dir, _lock: lock })
    }
}

/// Refuses a folder that no run has written.
pub(crate) fn check_is_run_folder(dir: &Path) -> Result<(), ReportError> {
    if MARKS.iter().any(|mark| dir.join(mark).is_file()) {
        Ok(())
    } else {
        Err(ReportError::NotARunFolder { path: dir.into() })
    }
}

/// The last component of the folder's real path.
pub(crate) fn folder_name(dir: &Path) -> String {
    let real = dir.canonicalize();
    real.as_deref()
        .unwrap_or(dir)
        .file_name()
        .map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned())
}

fn take_lock(dir: &Path) -> Result<fs_err::File, ReportError> {
    let path = dir.join(LOCK);
    let mut lock = fs_err::OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(ReportError::io("open the lock", &path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            return Err(ReportError::Locked {
                path: dir.into(),
                holder: fs_err::read_to_string(&path)
                    .ok()
                    .and_then(|text| text.strip_prefix("pid ")?.trim().parse().ok()),
            });
        }
        Err(std::fs::TryLockError::Error(error)) => {
            return Err(ReportError::io("lock the run folder", &path)(error));
        }
    }
    let holder = format!("pid {}\n", std::process::id());
    lock.set_len(0)
        .and_then(|()| lock.write_all(holder.as_bytes()))
        .map_err(ReportError::io("write the lock", &path))?;
    Ok(lock)
}

fn highest_number(runs_root: &Path, name: &str) -> Result<u64, ReportError> {
    let entries = fs_err::read_dir(runs_root)
        .map_err(ReportError::io("read the folder of runs", runs_root))?;
    let mut highest = 0;
    for entry in entries {
        let entry = entry.map_err(ReportError::io("read the folder of runs", runs_root))?;
        let number = entry
            .file_name()
            .to_str()
            .and_then(|folder| folder.strip_prefix(name)?.strip_prefix('-'))
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok());
        highest = highest.max(number.unwrap_or(0));
    }
    Ok(highest)
}

fn is_plain_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.starts_with(['.', '-'])
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_numbered_after_the_highest_and_never_overwritten() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("phantom-007")).unwrap();
        std::fs::create_dir(root.path().join("phantom-x")).unwrap();
        std::fs::create_dir(root.path().join("phantom2-900")).unwrap();
        let first = RunFolder::create(root.path(), "phantom").unwrap();
        let second = RunFolder::create(root.path(), "phantom").unwrap();
        let other = RunFolder::create(root.path(), "seed-cnn").unwrap();
        assert_eq!(first.name(), "phantom-008");
        assert_eq!(second.name(), "phantom-009");
        assert_eq!(other.name(), "seed-cnn-001");
        for subfolder in SUBFOLDERS {
            assert!(first.dir().join(subfolder).is_dir());
        }
    }

    #[test]
    fn runs_started_together_get_folders_of_their_own() {
        let root = tempfile::tempdir().unwrap();
        let mut names: Vec<String> = std::thread::scope(|scope| {
            let started: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| RunFolder::create(root.path(), "r").unwrap().name()))
                .collect();
            started.into_iter().map(|run| run.join().unwrap()).collect()
        });
        names.sort();
        let expected: Vec<String> = (1..=8).map(|number| format!("r-{number:03}")).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn names_that_are_no_plain_folder_names_are_refused() {
        let root = tempfile::tempdir().unwrap();
        for name in [
            "",
            "..",
            ".hidden",
            "-x",
            "a/b",
            "a\\b",
            "a\nb",
            &"x".repeat(65),
        ] {
            let error = RunFolder::create(root.path(), name).unwrap_err();
            assert_eq!((error.code(), error.exit_code()), ("R003", 2), "{name:?}");
        }
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_second_writer_is_refused_and_told_who_the_first_is() {
        let root = tempfile::tempdir().unwrap();
        let first = RunFolder::create(root.path(), "r").unwrap();
        let error = RunFolder::open(first.dir()).unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("R006", 4));
        let ReportError::Locked { holder, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(*holder, Some(std::process::id()));
        assert!(
            error
                .help()
                .unwrap()
                .contains(&std::process::id().to_string())
        );
        let dir = first.dir().to_owned();
        drop(first);
        RunFolder::open(&dir).unwrap();
    }

    #[test]
    fn an_explicit_folder_is_made_or_taken_when_empty_and_refused_when_not() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("new");
        drop(RunFolder::create_at(&dir).unwrap());
        let error = RunFolder::create_at(&dir).unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("R004", 2));
        let error = RunFolder::open(root.path()).unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("R005", 2));
    }

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let run = RunFolder::create(root.path(), "r").unwrap();
        for path in ["", "..", "../x", "/etc/x", "a/../../x", "./x"] {
            let error = run.write(path, b"x").unwrap_err();
            assert_eq!(error.code(), "R007", "{path:?}");
        }
        run.write("data/deep/er.txt", b"x").unwrap();
        assert_eq!(
            std::fs::read(run.dir().join("data/deep/er.txt")).unwrap(),
            b"x"
        );
    }

    #[test]
    fn a_value_that_json_cannot_hold_writes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let run = RunFolder::create(root.path(), "r").unwrap();
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        let error = run.write_json("run.json", &map).unwrap_err();
        assert_eq!(error.code(), "R011");
        assert!(!run.dir().join("run.json").exists());
    }
}
