//! What a disk takes: files written whole, and the space that is left for them.
//!
//! For the run folder, and for whoever rewrites one of its files. How a file becomes crash-safe is
//! `cxr-durable`'s; here its errors get their codes, and a full disk its figures.

use std::path::Path;

use crate::report_error::ReportError;

/// Puts `bytes` into `path` so that a crash leaves either the old file or the new one.
///
/// # Errors
/// `R001` or `R002` where the disk refuses; the old file then stays as it was and nothing is left
/// beside it.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    cxr_durable::write(path, bytes).map_err(|error| {
        match ReportError::io("write the file", path)(error) {
            ReportError::NoSpace { path, .. } => ReportError::NoSpace {
                free_bytes: path
                    .parent()
                    .and_then(|folder| free_bytes(folder).ok().flatten()),
                path,
                needed_bytes: bytes.len() as u64,
            },
            other => other,
        }
    })
}

/// Makes the names inside `folder` survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), ReportError> {
    cxr_durable::sync_folder(folder).map_err(ReportError::io("sync the folder", folder))
}

/// Refuses when fewer than `needed_bytes` are free where `path` (an existing file or folder) is.
///
/// Where the system does not tell (not Unix), it does not refuse.
///
/// # Errors
/// `R002` with both figures, `R001` where the question itself fails.
pub fn require_space(path: &Path, needed_bytes: u64) -> Result<(), ReportError> {
    match free_bytes(path)? {
        Some(free) if free < needed_bytes => Err(ReportError::NoSpace {
            path: path.to_owned(),
            needed_bytes,
            free_bytes: Some(free),
        }),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn free_bytes(path: &Path) -> Result<Option<u64>, ReportError> {
    let status = rustix::fs::statvfs(path)
        .map_err(|error| ReportError::io("ask for free space", path)(error.into()))?;
    Ok(Some(status.f_bavail.saturating_mul(status.f_frsize)))
}

#[cfg(not(unix))]
fn free_bytes(_path: &Path) -> Result<Option<u64>, ReportError> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_cannot_take_its_place_leaves_the_old_and_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("inside"), b"kept").unwrap();
        let error = write_file(&path, b"new").unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("R001", 4));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read(path.join("inside")).unwrap(), b"kept");
    }

    #[test]
    fn more_space_than_any_disk_has_is_refused_with_both_figures() {
        let folder = tempfile::tempdir().unwrap();
        require_space(folder.path(), 1).unwrap();
        let error = require_space(folder.path(), u64::MAX).unwrap_err();
        assert_eq!(error.code(), "R002");
        assert!(error.help().unwrap().contains("are free"));
    }
}
