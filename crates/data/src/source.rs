//! A table's bytes, checked for what would make a CSV reader see something else than its writer
//! meant: encodings here, line ends and quotes through `structure`.
//!
//! For `read`, and for nobody else. Not here: columns and values.

use std::io::Read;
use std::path::Path;

use fs_err as fs;

use crate::fault::{TableFault, TableFaultKind, TableFaults};
use crate::structure::Structure;
use crate::warning::TableWarning;

/// Ten million radiographs fit; whatever is larger is no label table.
const MAX_BYTES: u64 = 1 << 30;
/// How much of the file is looked at to tell an encoding.
const ENCODING_SAMPLE: usize = 512;

/// The content of a table whose rows can be told apart.
pub(crate) struct Source {
    /// Everything after a byte order mark.
    pub(crate) bytes: Vec<u8>,
    /// What its line ends have to say.
    pub(crate) warnings: Vec<TableWarning>,
    /// Whether the last line has an end.
    pub(crate) ends_with_newline: bool,
}

impl Source {
    /// Reads the file.
    pub(crate) fn open(path: &Path) -> Result<Self, TableFaults> {
        let fault = |kind| TableFaults::one(whole_file(path, kind));
        let mut bytes = read(path).map_err(fault)?;
        if let Some(encoding) = foreign_encoding(&bytes) {
            return Err(fault(TableFaultKind::Encoding { encoding }));
        }
        if bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(fault(TableFaultKind::Empty));
        }
        let structure = Structure::scan(&bytes);
        if structure.n_faults() > 0 {
            return Err(structure.faults(path));
        }
        Ok(Self {
            warnings: structure.warnings(path),
            ends_with_newline: bytes.ends_with(b"\n"),
            bytes,
        })
    }
}

/// A fault of the file as a whole.
pub(crate) fn whole_file(path: &Path, kind: TableFaultKind) -> TableFault {
    TableFault {
        path: path.to_owned(),
        row: None,
        column: None,
        value: None,
        kind,
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TableFaultKind> {
    let io = |source| TableFaultKind::Io { source };
    let metadata = fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        return Err(TableFaultKind::NotAFile);
    }
    let too_large = |found| TableFaultKind::TooLarge {
        found,
        limit: MAX_BYTES,
        unit: "bytes",
    };
    if metadata.len() > MAX_BYTES {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    let file = fs::File::open(path).map_err(io)?;
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

/// UTF-32 and UTF-16 by their byte order mark, and without one by their many NUL bytes.
fn foreign_encoding(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\xff\xfe\0\0") || bytes.starts_with(b"\0\0\xfe\xff") {
        return Some("UTF-32");
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Some("UTF-16");
    }
    let sample = &bytes[..bytes.len().min(ENCODING_SAMPLE)];
    let n_nul = sample.iter().filter(|byte| **byte == 0).count();
    (n_nul * 3 > sample.len()).then_some("UTF-16 or binary")
}
