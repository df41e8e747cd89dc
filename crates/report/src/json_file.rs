//! JSON files of a run, read with line and column in their errors.
//!
//! For the page. Deliberately not here: writing (`RunFolder::write_json`).

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::report_error::ReportError;

/// The value in the file; `None` where there is no file.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ReportError> {
    let Some(text) = read_text(path)? else {
        return Ok(None);
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| ReportError::Json {
            path: path.into(),
            row: error.line(),
            column: error.column(),
            problem: error.to_string(),
        })
}

/// The file's text; `None` where there is no file.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>, ReportError> {
    read_bytes(path)?
        .map(|bytes| {
            String::from_utf8(bytes).map_err(|error| {
                let source = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
                ReportError::io("read the file as text", path)(source)
            })
        })
        .transpose()
}

/// The file's bytes; `None` where there is no file.
pub(crate) fn read_bytes(path: &Path) -> Result<Option<Vec<u8>>, ReportError> {
    match fs_err::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ReportError::io("read the file", path)(error)),
    }
}
