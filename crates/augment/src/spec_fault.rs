//! What can be wrong with a specification, a draw, or a buffer.

use thiserror::Error;

use crate::image_fault::escaped;

/// A setting, a draw or a buffer that cannot be used.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SpecFault {
    /// A field of `Preprocess`, `AffineRanges` or `AffineDraw` out of range.
    #[error("{field} {expected}")]
    Setting {
        /// Which field.
        field: &'static str,
        /// What it may be.
        expected: String,
        /// What it was.
        value: String,
    },
    /// A buffer whose length does not fit.
    #[error("{what}: expected {expected} values, found {found}")]
    BufferLength {
        /// Which buffer.
        what: &'static str,
        /// The length that fits.
        expected: usize,
        /// Its length.
        found: usize,
    },
    /// A picture of another size than the transform's.
    #[error("the picture is {found_width}×{found_height}, the transform {width}×{height}")]
    PictureSize {
        /// The transform's.
        width: u32,
        /// The transform's.
        height: u32,
        /// The picture's.
        found_width: u32,
        /// The picture's.
        found_height: u32,
    },
    /// The PNG encoder failed.
    #[error("the picture cannot be encoded: {reason}")]
    Encode {
        /// Its reason.
        reason: String,
    },
}

impl SpecFault {
    /// The stable code: I and three digits.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Setting { .. } => "I201",
            Self::BufferLength { .. } => "I202",
            Self::PictureSize { .. } => "I203",
            Self::Encode { .. } => "I204",
        }
    }

    /// 2 for a setting; 1 for the others, which only a bug can cause.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Setting { .. } => 2,
            _ => 1,
        }
    }

    /// The field.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        match self {
            Self::Setting { field, .. } => Some((*field).to_owned()),
            _ => None,
        }
    }

    /// What it was.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        match self {
            Self::Setting { value, .. } => Some(escaped(value)),
            _ => None,
        }
    }

    /// What it may be.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Setting {
                field, expected, ..
            } => Some(format!("{field} {expected}")),
            _ => None,
        }
    }
}

/// Every unusable setting at once; never empty.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct SpecFaults(Vec<SpecFault>);

impl SpecFaults {
    /// The faults, in the order of the fields.
    #[must_use]
    pub fn faults(&self) -> &[SpecFault] {
        &self.0
    }

    /// The code of the first fault.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.first().map_or("I201", SpecFault::code)
    }

    /// The exit code of the first fault.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.0.first().map_or(2, SpecFault::exit_code)
    }

    /// The field of the first fault.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        self.0.first().and_then(SpecFault::location)
    }

    /// The value of the first fault.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        self.0.first().and_then(SpecFault::value)
    }

    /// What would have been right in the place of the first fault.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        self.0.first().and_then(SpecFault::help)
    }

    /// `Ok` where there are none.
    pub(crate) fn unless_empty(faults: Vec<SpecFault>) -> Result<(), Self> {
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Self(faults))
        }
    }
}
