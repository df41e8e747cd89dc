//! What can be wrong with an image, a name, a setting; and what is worth a warning.
//!
//! For whoever reports them: each has a stable code (docs/errors/augment.md), a place, the
//! offending value and a remedy. Deliberately not here: printing and exit.

use std::path::PathBuf;

use thiserror::Error;

use crate::limits::{MAX_DECODED_BYTES, MAX_FILE_BYTES, MAX_PIXELS, MAX_SIDE};

/// The two kinds of file that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Portable Network Graphics.
    Png,
    /// JPEG, baseline or progressive, 8 bits, grey or YCbCr or RGB.
    Jpeg,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
        })
    }
}

/// Why an image was not read. `name` is as the table or the user wrote it.
#[derive(Debug, Error)]
pub enum ImageFault {
    /// The operating system refused.
    #[error("the image cannot be read: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// No such file.
    #[error("the image is not there")]
    Missing {
        /// The image asked for.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// A file there whose name differs in case alone.
        similar: Option<String>,
    },
    /// The name could lead out of the folder, or cannot be a file's.
    #[error("not a usable image name: {reason}")]
    Name {
        /// The image asked for.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A link leads out of the folder.
    #[error("the image lies outside of its folder")]
    Outside {
        /// The image asked for.
        name: String,
        /// The folder that it should lie in.
        folder: PathBuf,
        /// Where it lies.
        target: PathBuf,
    },
    /// A folder, a pipe, a device.
    #[error("not a regular file but {kind}")]
    NotAFile {
        /// The image asked for.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// 0 bytes.
    #[error("the image file is empty")]
    Empty {
        /// The image.
        name: String,
    },
    /// Beyond the file limit.
    #[error("the image file is larger than {} MiB", MAX_FILE_BYTES >> 20)]
    FileTooLarge {
        /// The image.
        name: String,
        /// Its size.
        bytes: u64,
    },
    /// Neither PNG nor JPEG, whatever its name says.
    #[error("neither PNG nor JPEG but {found}")]
    Format {
        /// The image.
        name: String,
        /// What its first bytes say.
        found: &'static str,
    },
    /// Beyond the limits of a picture.
    #[error("the picture is too large to decode safely")]
    TooLarge {
        /// The image.
        name: String,
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// What its decoding would need.
        bytes: u64,
    },
    /// Width or height 0.
    #[error("the picture has no pixels")]
    NoPixels {
        /// The image.
        name: String,
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The file ends before the picture does.
    #[error("the {format} file is cut short: {detail}")]
    Truncated {
        /// The image.
        name: String,
        /// Its format.
        format: Format,
        /// Where it ends.
        detail: String,
    },
    /// Its bytes contradict themselves.
    #[error("the {format} file is damaged: {detail}")]
    Damaged {
        /// The image.
        name: String,
        /// Its format.
        format: Format,
        /// What the decoder found.
        detail: String,
    },
    /// A valid file of a kind that is refused.
    #[error("a kind of {format} that is not read: {kind}")]
    Unsupported {
        /// The image.
        name: String,
        /// Its format.
        format: Format,
        /// Which kind.
        kind: String,
    },
}

impl ImageFault {
    /// The stable code: I and three digits.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "I001",
            Self::Missing { .. } => "I002",
            Self::Name { .. } => "I003",
            Self::Outside { .. } => "I004",
            Self::NotAFile { .. } => "I005",
            Self::Empty { .. } => "I006",
            Self::FileTooLarge { .. } => "I007",
            Self::Format { .. } => "I008",
            Self::TooLarge { .. } => "I009",
            Self::NoPixels { .. } => "I010",
            Self::Truncated { .. } => "I011",
            Self::Damaged { .. } => "I012",
            Self::Unsupported { .. } => "I013",
        }
    }

    /// 4 where the operating system refused, otherwise 3.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. } => 4,
            _ => 3,
        }
    }

    /// The image, its control characters escaped.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        Some(match self {
            Self::Io { path, .. } => escaped(&path.to_string_lossy()),
            Self::Missing { name, .. }
            | Self::Name { name, .. }
            | Self::Outside { name, .. }
            | Self::NotAFile { name, .. }
            | Self::Empty { name }
            | Self::FileTooLarge { name, .. }
            | Self::Format { name, .. }
            | Self::TooLarge { name, .. }
            | Self::NoPixels { name, .. }
            | Self::Truncated { name, .. }
            | Self::Damaged { name, .. }
            | Self::Unsupported { name, .. } => escaped(name),
        })
    }

    /// What was found, where the place alone does not say it.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        match self {
            Self::Name { name, .. } => Some(format!("\"{}\"", escaped(name))),
            Self::Outside { target, .. } => Some(escaped(&target.to_string_lossy())),
            Self::FileTooLarge { bytes, .. } => Some(format!("{bytes} bytes")),
            Self::TooLarge {
                width,
                height,
                bytes,
                ..
            } => Some(format!("{width}×{height} pixels, {bytes} bytes decoded")),
            Self::NoPixels { width, height, .. } => Some(format!("{width}×{height} pixels")),
            _ => None,
        }
    }

    /// How to mend it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::Io { .. } => "check that the path exists and may be read".to_owned(),
            Self::Missing {
                folder, similar, ..
            } => {
                let folder = escaped(&folder.to_string_lossy());
                match similar {
                    Some(similar) => format!(
                        "{folder} has {}: upper and lower case differ",
                        escaped(similar)
                    ),
                    None => format!("looked in {folder}; give the folder of the images"),
                }
            }
            Self::Name { .. } => {
                "a name is a relative path below the image folder, such as 00000013_005.png"
                    .to_owned()
            }
            Self::Outside { folder, .. } => format!(
                "copy the file into {}, or give the folder it lies in",
                escaped(&folder.to_string_lossy())
            ),
            Self::NotAFile { .. } => "an image must be a regular file".to_owned(),
            Self::Empty { .. } | Self::Truncated { .. } | Self::Damaged { .. } => {
                "fetch the file again from its source, or drop its row from the table".to_owned()
            }
            Self::FileTooLarge { .. } => {
                "a radiograph of 8 bits takes a few MiB; convert the file".to_owned()
            }
            Self::Format { .. } => {
                "convert the file to PNG or JPEG; its content counts, not its name".to_owned()
            }
            Self::TooLarge { .. } => format!(
                "at most {} megapixels, {MAX_SIDE} a side and {} MiB decoded",
                MAX_PIXELS / 1_000_000,
                MAX_DECODED_BYTES >> 20
            ),
            Self::NoPixels { .. } => "the header names a width or height of 0".to_owned(),
            Self::Unsupported { .. } => {
                "save the picture again as an 8-bit grey or RGB PNG".to_owned()
            }
        })
    }
}

/// What a reader of an image should know, though the image is usable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
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

    /// `Ok` where there are none.
    pub(crate) fn unless_empty(faults: Vec<SpecFault>) -> Result<(), Self> {
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Self(faults))
        }
    }
}

/// `text` with its control characters escaped, for terminals and logs.
pub(crate) fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let raw = (!c.is_control()).then_some(c);
            let spelled = c.is_control().then(|| c.escape_debug());
            raw.into_iter().chain(spelled.into_iter().flatten())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_never_reach_a_message_raw() {
        let fault = ImageFault::Name {
            name: "a\u{1b}[31m\nb.png".to_owned(),
            reason: "it has control characters",
        };
        assert_eq!(fault.location().unwrap(), "a\\u{1b}[31m\\nb.png");
        assert_eq!(fault.value().unwrap(), "\"a\\u{1b}[31m\\nb.png\"");
    }
}
