//! What can go wrong with a phantom: a recipe that cannot be drawn, a folder that cannot be used.
//!
//! For the command line, which renders code, location, value and help. The codes are listed in
//! docs/errors/phantom.md.

use std::path::{Path, PathBuf};
use thiserror::Error;

/// A phantom that cannot be drawn, written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PhantomError {
    /// P001.
    #[error("a phantom radiograph cannot have this size")]
    Size {
        /// Side in pixels.
        value: u32,
    },
    /// P002.
    #[error("a phantom split cannot have this many rows")]
    Rows {
        /// train, valid or test.
        split: String,
        /// Rows asked for.
        value: usize,
    },
    /// P003.
    #[error("there is no phantom cohort of this name")]
    UnknownLike {
        /// What was asked for.
        value: String,
    },
    /// P004.
    #[error("the folder holds a phantom cohort of another recipe")]
    OtherRecipe {
        /// Its manifest.
        path: PathBuf,
        /// The recipe found there, as JSON.
        found: String,
        /// The recipe asked for, as JSON.
        expected: String,
    },
    /// P005.
    #[error("the folder holds files that are no phantom cohort")]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
        /// One of the files.
        value: String,
    },
    /// P006.
    #[error("the file is not what a phantom cohort writes")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// P007.
    #[error("a radiograph could not be encoded as PNG")]
    Encode {
        /// The image file.
        path: PathBuf,
        /// What the encoder said.
        source: image::ImageError,
    },
    /// P009.
    #[error("rows are given as one number or as three")]
    RowNumbers {
        /// The numbers.
        value: Vec<usize>,
    },
    /// P008.
    #[error("a phantom's file could not be read or written")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said, with the path.
        source: std::io::Error,
    },
}

impl PhantomError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Size { .. } => "P001",
            Self::Rows { .. } => "P002",
            Self::UnknownLike { .. } => "P003",
            Self::OtherRecipe { .. } => "P004",
            Self::ForeignFolder { .. } => "P005",
            Self::Unreadable { .. } => "P006",
            Self::Encode { .. } => "P007",
            Self::Io { .. } => "P008",
            Self::RowNumbers { .. } => "P009",
        }
    }

    /// Where it is: a file, or the field of the recipe.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        match self {
            Self::Size { .. } => Some("size".to_owned()),
            Self::Rows { split, .. } => Some(format!("rows, {split}")),
            Self::RowNumbers { .. } => Some("rows".to_owned()),
            Self::UnknownLike { .. } => Some("like".to_owned()),
            Self::OtherRecipe { path, .. }
            | Self::ForeignFolder { path, .. }
            | Self::Unreadable { path, .. }
            | Self::Encode { path, .. }
            | Self::Io { path, .. } => Some(format!("{}", path.display())),
        }
    }

    /// The offending value, escaped.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        match self {
            Self::Size { value } => Some(value.to_string()),
            Self::Rows { value, .. } => Some(value.to_string()),
            Self::UnknownLike { value } | Self::ForeignFolder { value, .. } => {
                Some(format!("{value:?}"))
            }
            Self::RowNumbers { value } => Some(format!("{value:?}")),
            Self::OtherRecipe { found, .. } => Some(found.clone()),
            Self::Unreadable { reason, .. } => Some(format!("{reason:?}")),
            Self::Encode { source, .. } => Some(source.to_string()),
            Self::Io { source, .. } => Some(source.to_string()),
        }
    }

    /// What would be right, or what to do.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        let text = match self {
            Self::Size { .. } => format!(
                "the side is given in pixels, from {} to {}",
                crate::recipe::MIN_SIZE,
                crate::recipe::MAX_SIZE
            ),
            Self::Rows { .. } => format!(
                "each of train, valid and test has from 1 to {} rows",
                crate::recipe::MAX_ROWS
            ),
            Self::RowNumbers { .. } => "the total, or the rows of train, valid and test".to_owned(),
            Self::UnknownLike { .. } => "`default` or `seed`".to_owned(),
            Self::OtherRecipe { expected, .. } => {
                format!("name another folder, or remove this one; asked for was {expected}")
            }
            Self::ForeignFolder { .. } => {
                "name a new or an empty folder: nothing of yours is overwritten".to_owned()
            }
            Self::Unreadable { .. } => {
                "remove the folder and let it be drawn again; that takes seconds".to_owned()
            }
            Self::Encode { .. } => return None,
            Self::Io { .. } => {
                "see that the disk has room and the folder can be written".to_owned()
            }
        };
        Some(text)
    }

    /// What the command line exits with.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Size { .. }
            | Self::Rows { .. }
            | Self::RowNumbers { .. }
            | Self::UnknownLike { .. } => 2,
            Self::OtherRecipe { .. } | Self::ForeignFolder { .. } => 2,
            Self::Unreadable { .. } => 3,
            Self::Encode { .. } => 1,
            Self::Io { .. } => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_escape_codes_is_told_escaped() {
        let fault = PhantomError::UnknownLike {
            value: "se\u{1b}[31med\n".to_owned(),
        };
        assert_eq!(fault.value().unwrap(), r#""se\u{1b}[31med\n""#);
        assert_eq!((fault.code(), fault.exit_code()), ("P003", 2));
    }

    #[test]
    fn every_code_has_a_section_in_the_docs() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors/phantom.md");
        let text = fs_err::read_to_string(path).unwrap();
        for code in 1..=9 {
            assert!(text.contains(&format!("## P{code:03} ")), "P{code:03}");
        }
    }
}
