//! What is worth saying of an image that is usable all the same.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::image_fault::escaped;

/// What a reader of an image should know, though the image is usable.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageWarning {
    /// A 16-bit picture that would come out nearly flat.
    #[error(
        "16-bit values {min}–{max} use less than an eighth of the range: the picture comes out flat"
    )]
    NarrowRange {
        /// The image.
        name: String,
        /// The smallest value.
        min: u16,
        /// The largest value.
        max: u16,
    },
    /// Values above 4095 in a picture that was declared to have 12 bits.
    #[error("16-bit values up to {max} do not fit 12 bits and were clipped at 4095")]
    BeyondTwelveBits {
        /// The image.
        name: String,
        /// The largest value.
        max: u16,
    },
    /// An EXIF orientation, which is not applied.
    #[error("the EXIF orientation {orientation} is not applied, as in Pillow")]
    OrientationIgnored {
        /// The image.
        name: String,
        /// 2 to 8.
        orientation: u16,
    },
    /// An animation, of which the first picture is used.
    #[error("an animated PNG: its default picture is used")]
    Animated {
        /// The image.
        name: String,
    },
}

impl ImageWarning {
    /// The stable code: I and three digits.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NarrowRange { .. } => "I101",
            Self::BeyondTwelveBits { .. } => "I102",
            Self::OrientationIgnored { .. } => "I103",
            Self::Animated { .. } => "I104",
        }
    }

    /// The image, its control characters escaped.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        match self {
            Self::NarrowRange { name, .. }
            | Self::BeyondTwelveBits { name, .. }
            | Self::OrientationIgnored { name, .. }
            | Self::Animated { name } => Some(escaped(name)),
        }
    }

    /// How to mend it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(
            match self {
                Self::NarrowRange { .. } => {
                    "for 12-bit values in 16-bit samples set bit_depth = \"twelve-in-sixteen\""
                }
                Self::BeyondTwelveBits { .. } => "set bit_depth = \"scale\"",
                Self::OrientationIgnored { .. } => "rotate the file itself if it lies on its side",
                Self::Animated { .. } => "save the picture that is meant as a plain PNG",
            }
            .to_owned(),
        )
    }
}
