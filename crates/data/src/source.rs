//! A table's bytes, checked for what would make a CSV reader see something else than its writer
//! meant: encodings, line ends, quotes.
//!
//! For `read`, and for nobody else. Not here: columns and values.

use std::io::Read;
use std::path::Path;

use fs_err as fs;

use crate::fault::{
    KEPT_FAULTS, TableFault, TableFaultKind, TableFaults, TableWarning, TableWarningKind,
};

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

/// Where the scan is within a value.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    ValueStart,
    Unquoted,
    Quoted,
    QuoteInQuoted,
}

/// What one walk over all bytes finds out about line ends and quotes.
struct Structure {
    place: Place,
    row: u64,
    opened_in_row: u64,
    is_blank: bool,
    n_lf: u64,
    n_crlf: u64,
    first_lf_row: u64,
    first_crlf_row: u64,
    bare_returns: (u64, u64),
    stray_quotes: Vec<u64>,
    n_stray_quotes: usize,
    pending_blank: Vec<u64>,
    blank: (u64, u64),
}

impl Structure {
    fn scan(bytes: &[u8]) -> Self {
        let mut scan = Self {
            place: Place::ValueStart,
            row: 1,
            opened_in_row: 0,
            is_blank: true,
            n_lf: 0,
            n_crlf: 0,
            first_lf_row: 0,
            first_crlf_row: 0,
            bare_returns: (0, 0),
            stray_quotes: Vec::new(),
            n_stray_quotes: 0,
            pending_blank: Vec::new(),
            blank: (0, 0),
        };
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            let follows_lf = after.first() == Some(&b'\n');
            scan.step(byte, follows_lf);
            rest = if byte == b'\r' && follows_lf && scan.place != Place::Quoted {
                &after[1..]
            } else {
                after
            };
        }
        scan
    }

    fn step(&mut self, byte: u8, follows_lf: bool) {
        match (self.place, byte) {
            (Place::Quoted, b'"') => self.place = Place::QuoteInQuoted,
            (Place::Quoted, b'\n') => self.row += 1,
            (Place::Quoted, _) => {}
            (_, b'\n') => self.end_line(false),
            (_, b'\r') if follows_lf => self.end_line(true),
            (_, b'\r') => {
                if self.bare_returns.0 == 0 {
                    self.bare_returns.1 = self.row;
                }
                self.bare_returns.0 += 1;
                self.place = Place::ValueStart;
            }
            (Place::ValueStart, b'"') => {
                self.place = Place::Quoted;
                self.opened_in_row = self.row;
                self.end_blank();
            }
            (Place::QuoteInQuoted, b'"') => self.place = Place::Quoted,
            (_, b',') => {
                self.place = Place::ValueStart;
                self.end_blank();
            }
            (Place::Unquoted, b'"') | (Place::QuoteInQuoted, _) => {
                if self.stray_quotes.last() != Some(&self.row) {
                    self.n_stray_quotes += 1;
                    if self.stray_quotes.len() < KEPT_FAULTS {
                        self.stray_quotes.push(self.row);
                    }
                }
                self.place = Place::Unquoted;
            }
            (Place::ValueStart, _) => {
                self.place = Place::Unquoted;
                self.end_blank();
            }
            (Place::Unquoted, _) => {}
        }
    }

    fn end_line(&mut self, is_crlf: bool) {
        let (count, first) = if is_crlf {
            (&mut self.n_crlf, &mut self.first_crlf_row)
        } else {
            (&mut self.n_lf, &mut self.first_lf_row)
        };
        if *count == 0 {
            *first = self.row;
        }
        *count += 1;
        if self.is_blank {
            self.pending_blank.push(self.row);
        }
        self.row += 1;
        self.is_blank = true;
        self.place = Place::ValueStart;
    }

    /// Empty lines count only where something follows them.
    fn end_blank(&mut self) {
        self.is_blank = false;
        if let Some(first) = self.pending_blank.first() {
            if self.blank.0 == 0 {
                self.blank.1 = *first;
            }
            self.blank.0 += self.pending_blank.len() as u64;
            self.pending_blank.clear();
        }
    }

    fn n_faults(&self) -> usize {
        usize::from(self.place == Place::Quoted)
            + usize::from(self.bare_returns.0 > 0)
            + self.n_stray_quotes
    }

    fn faults(&self, path: &Path) -> TableFaults {
        let fault = |row, kind| TableFault {
            row: Some(row),
            ..whole_file(path, kind)
        };
        let mut faults = Vec::new();
        let (count, row) = self.bare_returns;
        if count > 0 {
            faults.push(fault(row, TableFaultKind::BareCarriageReturn { count }));
        }
        for &row in &self.stray_quotes {
            faults.push(fault(row, TableFaultKind::StrayQuote));
        }
        if self.place == Place::Quoted {
            faults.push(fault(self.opened_in_row, TableFaultKind::OpenQuote));
        }
        faults.sort_by_key(|fault| fault.row);
        faults.truncate(KEPT_FAULTS);
        TableFaults::new(path, faults, self.n_faults())
    }

    fn warnings(&self, path: &Path) -> Vec<TableWarning> {
        let warning = |row, kind| TableWarning {
            path: path.to_owned(),
            row: Some(row),
            column: None,
            kind,
        };
        let mut warnings = Vec::new();
        if self.n_lf > 0 && self.n_crlf > 0 {
            let row = self.first_lf_row.max(self.first_crlf_row);
            warnings.push(warning(row, TableWarningKind::MixedLineEnds));
        }
        let (count, row) = self.blank;
        if count > 0 {
            warnings.push(warning(row, TableWarningKind::BlankLines { count }));
        }
        warnings
    }
}
