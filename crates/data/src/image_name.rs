//! The name of an image in a table. It is input, so it may only lead down from the images' folder.
//!
//! For whoever opens images by name. Not here: whether the file exists, links, and what it holds;
//! the image folder checks those.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::escape::quoted;

const MAX_COMPONENT_BYTES: usize = 255;
const MAX_BYTES: usize = 4096;

/// A relative path of normal components, separated by `/`: `00000013_005.png`,
/// `train/patient00001/view1.jpg`. Two names are equal only if they mean the same place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName(Box<str>);

impl ImageName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`ImageNameError`]: it is empty, absolute, leads upwards, or holds what no image name holds.
    pub fn new(name: impl Into<String>) -> Result<Self, ImageNameError> {
        let name = name.into();
        match fault_of(&name) {
            None => Ok(Self(name.into())),
            Some(reason) => Err(ImageNameError { name, reason }),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without the folders before it.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&*self.0, |(_, file)| file)
    }
}

fn fault_of(name: &str) -> Option<ImageNameFault> {
    let bytes = name.as_bytes();
    if name.is_empty() {
        return Some(ImageNameFault::Empty);
    }
    if name.chars().any(char::is_control) {
        return Some(ImageNameFault::Control);
    }
    if bytes.contains(&b'\\') {
        return Some(ImageNameFault::Backslash);
    }
    if bytes[0] == b'/' || (bytes.get(1) == Some(&b':') && bytes[0].is_ascii_alphabetic()) {
        return Some(ImageNameFault::Absolute);
    }
    if bytes.len() > MAX_BYTES {
        return Some(ImageNameFault::TooLong);
    }
    name.split('/').find_map(|component| match component {
        ".." => Some(ImageNameFault::Upwards),
        "" | "." => Some(ImageNameFault::NotNormal),
        _ if component.len() > MAX_COMPONENT_BYTES => Some(ImageNameFault::TooLong),
        _ => None,
    })
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ImageName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ImageName {
    type Error = ImageNameError;

    fn try_from(name: String) -> Result<Self, ImageNameError> {
        Self::new(name)
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> Self {
        name.0.into()
    }
}

/// What can be wrong with an image's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageNameFault {
    /// No name.
    Empty,
    /// Starts at the root or at a drive.
    Absolute,
    /// Holds `..`.
    Upwards,
    /// Holds `.` or nothing between two `/`.
    NotNormal,
    /// Holds `\`.
    Backslash,
    /// Holds a line end, an escape code or another control character.
    Control,
    /// A component over 255 bytes, or over 4096 bytes in all.
    TooLong,
}

impl fmt::Display for ImageNameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "image name is empty",
            Self::Absolute => "image name is an absolute path",
            Self::Upwards => "image name leads out of the images' folder",
            Self::NotNormal => "image name has an empty or `.` component",
            Self::Backslash => "image name holds a backslash",
            Self::Control => "image name holds a control character",
            Self::TooLong => "image name is too long",
        })
    }
}

impl ImageNameFault {
    pub(crate) fn help(self) -> &'static str {
        match self {
            Self::Empty => "name a file below the images' folder in each row",
            Self::Backslash => "separate folders with `/`",
            Self::TooLong => "file systems take 255 bytes a component",
            Self::Absolute | Self::Upwards | Self::NotNormal | Self::Control => {
                "use a plain path below the images' folder, such as `00000013_005.png`"
            }
        }
    }
}

/// A name that no image has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ImageNameError {
    /// The name.
    pub name: String,
    /// What is wrong with it.
    pub reason: ImageNameFault,
}

impl ImageNameError {
    /// `D020`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "D020"
    }

    /// Nowhere: the caller knows where the name came from.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        None
    }

    /// The name, escaped.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        Some(quoted(&self.name))
    }

    /// What a name looks like.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(self.reason.help().into())
    }

    /// 3: data.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_that_lead_down_are_names() {
        use ImageNameFault as F;
        let long = format!("{}.png", "x".repeat(296));
        for (name, reason) in [
            ("", F::Empty),
            ("../../etc/passwd", F::Upwards),
            ("a/../../b.png", F::Upwards),
            ("..", F::Upwards),
            ("/etc/passwd", F::Absolute),
            (r"C:\x", F::Backslash),
            ("C:x", F::Absolute),
            ("c:/x.png", F::Absolute),
            (r"\\server\share", F::Backslash),
            ("./a.png", F::NotNormal),
            ("a//b.png", F::NotNormal),
            ("a/", F::NotNormal),
            (".", F::NotNormal),
            ("a\nb.png", F::Control),
            ("\u{1b}[2Ja.png", F::Control),
            ("a\0.png", F::Control),
            (long.as_str(), F::TooLong),
        ] {
            let error = ImageName::new(name).unwrap_err();
            assert_eq!(error.reason, reason, "{name:?}");
            assert!(!error.value().unwrap().chars().any(char::is_control));
            assert!(error.help().is_some());
        }
    }

    #[test]
    fn ordinary_names_are_kept_as_they_are() {
        for name in [
            "00000013_005.png",
            "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg",
            "..hidden.png",
            "a..b",
            "häuser/ß.png",
            "1:2.png",
        ] {
            assert_eq!(ImageName::new(name).unwrap().as_str(), name);
        }
        assert!(ImageName::new("x".repeat(255)).is_ok());
        assert!(ImageName::new("x".repeat(256)).is_err());
        assert!(ImageName::new(vec!["abcd"; 1000].join("/")).is_err());
    }
}
