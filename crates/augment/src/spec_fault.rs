//! What can be wrong with a specification, a draw, or a buffer.

use serde::Serialize;
use serde::de::DeserializeOwned;
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
    /// JSON that is not what it should be.
    #[error("not {what}: {reason}")]
    Json {
        /// What it should be.
        what: &'static str,
        /// What the parser found.
        reason: String,
        /// Its text, or the start of it.
        value: String,
        /// The text that it should look like.
        example: String,
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
    /// An encoder failed.
    #[error("a stage cannot be encoded: {reason}")]
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
            Self::Json { .. } => "I205",
        }
    }

    /// 2 for a setting; 1 for the others, which only a bug can cause.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Setting { .. } | Self::Json { .. } => 2,
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
            Self::Setting { value, .. } | Self::Json { value, .. } => Some(escaped(value)),
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
            Self::Json { example, .. } => Some(format!("for example {example}")),
            _ => None,
        }
    }
}

/// `text` as JSON of a `T`, a setting of the user's.
pub(crate) fn from_json<T: Default + Serialize + DeserializeOwned>(
    text: &str,
    what: &'static str,
) -> Result<T, SpecFault> {
    serde_json::from_str(text).map_err(|cause| SpecFault::Json {
        what,
        reason: cause.to_string(),
        value: text.chars().take(SHOWN_CHARACTERS).collect(),
        example: serde_json::to_string(&T::default()).unwrap_or_default(),
    })
}

/// How much of a text is shown in a message.
const SHOWN_CHARACTERS: usize = 200;

/// Every unusable setting at once; never empty.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct SpecFaults(Vec<SpecFault>);

impl From<SpecFault> for SpecFaults {
    fn from(fault: SpecFault) -> Self {
        Self(vec![fault])
    }
}

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

    /// How many there are.
    #[must_use]
    pub fn n_faults(&self) -> usize {
        self.0.len()
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
