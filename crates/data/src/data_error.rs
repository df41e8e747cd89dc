//! What can go wrong after reading: writing tables, and splitting cohorts.

use std::path::PathBuf;

use crate::escape::escaped;

/// Why a table was not written or a cohort not split.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The operating system says no. What stood there before still stands.
    #[error("table cannot be written")]
    Io {
        /// The table.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Ratios that are no parts of a whole.
    #[error("ratios of the splits are wrong: {reason}")]
    BadRatios {
        /// Train, valid, test.
        ratios: [f64; 3],
        /// What is wrong with them.
        reason: &'static str,
    },
    /// Fewer patients than splits.
    #[error("{n_patients} patients cannot fill {n_splits} splits")]
    TooFewPatients {
        /// The cohort.
        cohort: String,
        /// Its patients.
        n_patients: usize,
        /// The splits with a ratio above 0.
        n_splits: usize,
    },
}

impl DataError {
    /// `D042`, `D043` or `D046`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRatios { .. } => "D042",
            Self::TooFewPatients { .. } => "D043",
            Self::Io { .. } => "D046",
        }
    }

    /// The file or the cohort.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        match self {
            Self::Io { path, .. } => Some(escaped(&path.to_string_lossy())),
            Self::BadRatios { .. } => None,
            Self::TooFewPatients { cohort, .. } => Some(escaped(cohort)),
        }
    }

    /// The ratios.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        match self {
            Self::BadRatios {
                ratios: [train, valid, test],
                ..
            } => Some(format!("{train},{valid},{test}")),
            Self::Io { .. } | Self::TooFewPatients { .. } => None,
        }
    }

    /// What to do.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(
            match self {
                Self::Io { .. } => "check that the folder exists, is writable and has room",
                Self::BadRatios { .. } => {
                    "give three numbers that add up to 1, such as 0.8,0.1,0.1; only test may be 0"
                }
                Self::TooFewPatients { .. } => "add patients, or leave test out with a ratio of 0",
            }
            .into(),
        )
    }

    /// 4 for files, 2 for ratios, 3 for cohorts.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. } => 4,
            Self::BadRatios { .. } => 2,
            Self::TooFewPatients { .. } => 3,
        }
    }
}
