//! What can be wrong with an image or its name.
//!
//! For whoever reports it: each fault has a stable code (docs/errors/augment.md), a place, the
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
    /// A file of a kept cache cannot be opened, read or written.
    #[error("the pixel cache cannot be kept: {source}")]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The kept picture is damaged, and its image is no longer the one it was made of.
    #[error("the image was replaced while the pixel cache was in use")]
    Replaced {
        /// The image.
        name: String,
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
            Self::Cache { .. } => "I014",
            Self::Replaced { .. } => "I015",
        }
    }

    /// 4 where the operating system refused, otherwise 3.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. } | Self::Cache { .. } => 4,
            _ => 3,
        }
    }

    /// The image as the table or the user wrote it; `None` where a path of the system failed.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        match self {
            Self::Io { .. } | Self::Cache { .. } => None,
            Self::Missing { name, .. }
            | Self::Name { name, .. }
            | Self::Outside { name, .. }
            | Self::NotAFile { name, .. }
            | Self::Empty { name, .. }
            | Self::FileTooLarge { name, .. }
            | Self::Format { name, .. }
            | Self::TooLarge { name, .. }
            | Self::NoPixels { name, .. }
            | Self::Truncated { name, .. }
            | Self::Damaged { name, .. }
            | Self::Unsupported { name, .. }
            | Self::Replaced { name } => Some(name),
        }
    }

    /// The image, its control characters escaped.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        Some(match self {
            Self::Io { path, .. } | Self::Cache { path, .. } => escaped(&path.to_string_lossy()),
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
            | Self::Unsupported { name, .. }
            | Self::Replaced { name } => escaped(name),
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
            Self::Cache { .. } => {
                "give a folder with room that may be written: --cache DIR; or keep nothing: --no-cache"
                    .to_owned()
            }
            Self::Replaced { .. } => "begin again: the cache takes the new image".to_owned(),
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
