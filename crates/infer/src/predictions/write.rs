//! Writing a table of predictions: beside, synced, renamed.

use super::{IMAGE, PATIENT, Predictions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The table's bytes. Rust's shortest form of an f64 has at most 17 significant digits and reads
/// back as the same bits.
pub(super) fn table(predictions: &Predictions) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let keys = [IMAGE, PATIENT];
    writer.write_record(
        keys.into_iter()
            .chain(predictions.findings.iter().map(String::as_str)),
    )?;
    let rows = predictions
        .values()
        .chunks_exact(predictions.findings.len());
    let names = predictions.images.iter().zip(&predictions.patients);
    for ((image, patient), scores) in names.zip(rows) {
        writer.write_field(image)?;
        writer.write_field(patient)?;
        for score in scores {
            writer.write_field(format!("{score:?}"))?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.into_inner().map_err(csv::IntoInnerError::into_error)
}

/// Puts bytes in the place of a file: the old ones or the new ones, never a part.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path)?;
    let written = write_synced(&beside, bytes).and_then(|()| fs_err::rename(&beside, path));
    match written {
        Ok(()) => sync_folder(path),
        Err(error) => {
            // The error that is reported is the one of writing.
            let _ = fs_err::remove_file(&beside);
            Err(error)
        }
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs_err::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn beside(path: &Path) -> io::Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path names no file",
        ));
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.partial", std::process::id()));
    Ok(path.with_file_name(hidden))
}

/// A rename is durable once its folder is synced.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs_err::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}
