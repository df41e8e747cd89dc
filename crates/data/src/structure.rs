//! Line ends and quotes of a table: whether its rows and values can be told apart at all.
//!
//! For `source`. The csv crate reads on over a quote that is never closed and over stray carriage
//! returns; here they are found first. Not here: columns and values.

use std::path::Path;

use crate::fault::{KEPT_FAULTS, TableFault, TableFaultKind, TableFaults};
use crate::source::whole_file;
use crate::warning::{TableWarning, TableWarningKind};

/// Where the scan is within a value.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    ValueStart,
    Unquoted,
    Quoted,
    QuoteInQuoted,
}

/// What one walk over all bytes finds out about line ends and quotes.
pub(crate) struct Structure {
    place: Place,
    row: u64,
    opened_in_row: u64,
    is_blank: bool,
    n_lf: u64,
    n_crlf: u64,
    first_lf_row: u64,
    first_crlf_row: u64,
    bare_returns: (u64, u64),
    /// The first rows with a stray quote.
    stray_quotes: Vec<u64>,
    last_stray_row: u64,
    n_stray_quotes: usize,
    pending_blank: Vec<u64>,
    blank: (u64, u64),
}

impl Structure {
    pub(crate) fn scan(bytes: &[u8]) -> Self {
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
            last_stray_row: 0,
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
                if self.last_stray_row != self.row {
                    self.last_stray_row = self.row;
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

    pub(crate) fn n_faults(&self) -> usize {
        usize::from(self.place == Place::Quoted)
            + usize::from(self.bare_returns.0 > 0)
            + self.n_stray_quotes
    }

    pub(crate) fn faults(&self, path: &Path) -> TableFaults {
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

    pub(crate) fn warnings(&self, path: &Path) -> Vec<TableWarning> {
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
