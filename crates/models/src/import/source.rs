//! Opening a file of weights: a regular file, no larger than allowed, told by its first bytes.
//!
//! For the readers and for the command that must know which one to call. Names and endings of
//! files are not trusted.

use std::io::Read;
use std::path::Path;

use fs_err as fs;

use super::fault::ImportFault;
use super::limits::Limits;

/// What a file of weights is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A safetensors file: safe to read in this process.
    Safetensors,
    /// A PyTorch file, zip or older form: to be read in a process of its own.
    Pytorch,
}

/// First bytes of a zip archive.
pub(crate) const ZIP_START: &[u8] = b"PK\x03\x04";
/// First bytes of the older form: protocol 2, then the long integer 0x1950a86a20f9469cfc6c.
pub(crate) const LEGACY_START: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// The format of the file, from its first bytes.
///
/// # Errors
/// When it cannot be read, is no regular file, or is of another kind.
pub fn sniff(path: &Path) -> Result<Format, ImportFault> {
    let mut start = Vec::new();
    open(path)?.take(16).read_to_end(&mut start)?;
    format_of(path, &start)
}

pub(crate) fn format_of(path: &Path, bytes: &[u8]) -> Result<Format, ImportFault> {
    if bytes.starts_with(ZIP_START) || bytes.starts_with(LEGACY_START) {
        return Ok(Format::Pytorch);
    }
    // Eight bytes of length, then the header's JSON object.
    if bytes.get(8) == Some(&b'{') {
        return Ok(Format::Safetensors);
    }
    let start = bytes.iter().take(16).copied().collect();
    Err(ImportFault::UnknownFormat {
        path: path.to_owned(),
        start,
    })
}

/// All bytes of a regular file within the limit.
pub(crate) fn read_whole(path: &Path, limits: &Limits) -> Result<Vec<u8>, ImportFault> {
    let file = open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    if length <= limits.file_bytes {
        file.take(limits.file_bytes + 1).read_to_end(&mut bytes)?;
    }
    let found = length.max(bytes.len() as u64);
    if found > limits.file_bytes {
        return Err(over(
            path,
            "the file's length in bytes",
            found,
            limits.file_bytes,
        ));
    }
    Ok(bytes)
}

/// Opens a regular file; a fifo or device is refused before it can block.
fn open(path: &Path) -> Result<fs::File, ImportFault> {
    if !fs::metadata(path)?.is_file() {
        return Err(ImportFault::NotAFile {
            path: path.to_owned(),
        });
    }
    Ok(fs::File::open(path)?)
}

pub(crate) fn over(path: &Path, what: &'static str, found: u64, limit: u64) -> ImportFault {
    ImportFault::OverLimit {
        path: path.to_owned(),
        what,
        found,
        limit,
    }
}

/// The count of elements in a shape, or nothing where it does not fit in 64 bits.
pub(crate) fn element_count(shape: &[u64]) -> Option<u64> {
    // A zero anywhere makes the tensor empty, whatever the other sizes are.
    if shape.contains(&0) {
        return Some(0);
    }
    shape
        .iter()
        .try_fold(1u64, |product, size| product.checked_mul(*size))
}
