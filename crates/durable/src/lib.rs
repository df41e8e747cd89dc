//! Files that a crash cannot spoil: written beside, synced, renamed, and the folder synced.
//!
//! Whoever reads the path finds the old content or the new one, whole, whatever happened in
//! between: a full disk, a kill, a power cut. For every crate that writes a file somebody will
//! rely on. Deliberately not here: locks, formats, digests.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! let folder = std::env::temp_dir().join(format!("cxr-durable-{}", std::process::id()));
//! std::fs::create_dir_all(&folder)?;
//! let path = folder.join("table.csv");
//! cxr_durable::write(&path, b"Image,PatientId\n")?;
//! cxr_durable::write_with(&path, |file| std::io::Write::write_all(file, b"Image\n"))?;
//! assert_eq!(std::fs::read(&path)?, b"Image\n");
//! assert_eq!(std::fs::read_dir(&folder)?.count(), 1);
//! # std::fs::remove_dir_all(&folder)
//! # }
//! ```

use std::io::{BufWriter, Result, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fs_err as fs;

static N_TEMPORARIES: AtomicU64 = AtomicU64::new(0);

/// Replaces the file at `path` by `bytes`, all or nothing.
///
/// # Errors
/// Whatever the file system says, with the path in the message. The old file is then untouched and
/// nothing is left beside it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// Replaces the file at `path` by what `fill` writes, all or nothing.
///
/// # Errors
/// As [`write()`], and whatever `fill` gives.
pub fn write_with(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let temporary = beside(path);
    let written = write_synced(&temporary, fill).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // The first error is the one to tell; a temporary that never came to be cannot be removed.
        drop(fs::remove_file(&temporary));
        return Err(error);
    }
    sync_folder(parent(path))
}

/// Writes a new file and syncs it, without a rename: for files inside a folder that is itself
/// renamed when it is complete.
///
/// # Errors
/// Whatever the file system says, with the path in the message.
pub fn write_synced(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut file = BufWriter::new(fs::File::create(path)?);
    fill(&mut file)?;
    file.flush()?;
    file.get_ref().sync_all()
}

/// Makes renames and removals inside a folder durable.
///
/// # Errors
/// Whatever the file system says, with the path in the message.
pub fn sync_folder(folder: &Path) -> Result<()> {
    // Only Unix can open a folder to sync it; elsewhere a rename is durable on its own terms.
    if cfg!(unix) {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// The folder that holds `path`; `.` for a bare name.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A hidden name in the same folder that no other writer uses.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = N_TEMPORARIES.fetch_add(1, Ordering::Relaxed);
    parent(path).join(format!(".{name}.{}-{number}.tmp", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("kept.txt");
        write(&path, b"old").expect("written");
        let outcome = write_with(&path, |file| {
            file.write_all(b"half of the n")?;
            Err(std::io::Error::other("disk full"))
        });
        assert_eq!(outcome.expect_err("refused").to_string(), "disk full");
        assert_eq!(std::fs::read(&path).expect("readable"), b"old");
        assert_eq!(
            std::fs::read_dir(folder.path()).expect("readable").count(),
            1
        );
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_the_path() {
        let folder = tempfile::tempdir().expect("folder");
        let error = write(&folder.path().join("none/file"), b"x").expect_err("refused");
        assert!(error.to_string().contains("none"), "{error}");
    }
}
