//! Faults while a table is read, by column: which columns count is known only at the end.
//!
//! For `pass`.

use std::path::{Path, PathBuf};

use crate::fault::{KEPT_FAULTS, TableFault, TableFaultKind, TableFaults};
use crate::header::{Header, column_name};

/// The first few faults of each column, and how many there are.
pub(crate) struct FaultList {
    path: PathBuf,
    names: Vec<String>,
    /// By column; the last is for faults of whole rows and of the header.
    n_faults: Vec<usize>,
    kept: Vec<(usize, TableFault)>,
}

impl FaultList {
    pub(crate) fn new(path: &Path, header: &Header, header_faults: Vec<TableFault>) -> Self {
        let n_columns = header.names.len();
        let mut n_faults = vec![0; n_columns + 1];
        n_faults[n_columns] = header_faults.len();
        Self {
            path: path.to_owned(),
            names: header.names.clone(),
            n_faults,
            kept: header_faults
                .into_iter()
                .map(|fault| (n_columns, fault))
                .collect(),
        }
    }

    /// A fault of the header or of the file.
    pub(crate) fn header(&mut self, fault: TableFault) {
        let slot = self.names.len();
        self.n_faults[slot] += 1;
        self.kept.push((slot, fault));
    }

    /// A fault of one value.
    pub(crate) fn cell(&mut self, row: u64, column: usize, value: &[u8], kind: TableFaultKind) {
        self.push(column, row, Some(column), Some(value), kind);
    }

    /// A fault that stands whatever its column turns out to be.
    pub(crate) fn row(
        &mut self,
        row: u64,
        column: Option<usize>,
        value: Option<&[u8]>,
        kind: TableFaultKind,
    ) {
        self.push(self.names.len(), row, column, value, kind);
    }

    fn push(
        &mut self,
        slot: usize,
        row: u64,
        column: Option<usize>,
        value: Option<&[u8]>,
        kind: TableFaultKind,
    ) {
        self.n_faults[slot] += 1;
        if self.n_faults[slot] > KEPT_FAULTS {
            return;
        }
        let fault = TableFault {
            path: self.path.clone(),
            row: Some(row),
            column: column.map(|place| column_name(&self.names, place)),
            value: value.map(|value| String::from_utf8_lossy(value).into_owned()),
            kind,
        };
        self.kept.push((slot, fault));
    }

    /// Forgets what was said of a column that turned out to be no finding's.
    pub(crate) fn forget(&mut self, column: usize) {
        self.n_faults[column] = 0;
        self.kept.retain(|(slot, _)| *slot != column);
    }

    /// The end of reading: all is well, or all that is not.
    pub(crate) fn into_result(mut self) -> Result<(), TableFaults> {
        let n_faults = self.n_faults.iter().sum();
        if n_faults == 0 {
            return Ok(());
        }
        self.kept.sort_by_key(|(slot, fault)| (fault.row, *slot));
        self.kept.truncate(KEPT_FAULTS);
        let kept = self.kept.into_iter().map(|(_, fault)| fault).collect();
        Err(TableFaults::new(&self.path, kept, n_faults))
    }
}
