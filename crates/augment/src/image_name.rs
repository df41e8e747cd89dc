//! Which names may come from a table: relative paths that cannot lead out of a folder, on any
//! system.

use std::path::{Component, Path};

use crate::image_fault::ImageFault;

/// What a file system takes for one component.
const MAX_COMPONENT_BYTES: usize = 255;
const MAX_NAME_BYTES: usize = 1024;

/// `name` as a relative path of normal components, or why it is not one.
pub(crate) fn checked(name: &str) -> Result<&Path, ImageFault> {
    match fault_in(name) {
        Some(reason) => Err(ImageFault::Name {
            name: name.to_owned(),
            reason,
        }),
        None => Ok(Path::new(name)),
    }
}

fn fault_in(name: &str) -> Option<&'static str> {
    let is_drive = |name: &str| {
        let mut start = name.chars();
        start.next().is_some_and(|c| c.is_ascii_alphabetic()) && start.next() == Some(':')
    };
    if name.trim().is_empty() {
        Some("it is empty")
    } else if name.chars().any(char::is_control) {
        Some("it has control characters")
    } else if name.contains('\\') {
        Some("it has a backslash; folders are separated by /")
    } else if is_drive(name) {
        Some("it starts with a drive letter")
    } else if name.starts_with('/') {
        Some("it is an absolute path")
    } else if name.ends_with('/') {
        Some("it is a folder's")
    } else if name.len() > MAX_NAME_BYTES || name.split('/').any(|c| c.len() > MAX_COMPONENT_BYTES)
    {
        Some("it is too long for a file's")
    } else if name.split('/').any(|c| c == "..") {
        Some("it leads out of the folder")
    } else if name.split('/').any(|c| c == ".")
        || Path::new(name)
            .components()
            .any(|c| !matches!(c, Component::Normal(_)))
    {
        Some("it has a component that is no name")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_names_pass() {
        for name in [
            "a.png",
            "images_001/00000013_005.png",
            "ä b.png",
            "..a.png",
            "a..png",
        ] {
            assert_eq!(checked(name).unwrap(), Path::new(name));
        }
        let long = "x".repeat(300);
        let deep = "d/".repeat(600) + "x";
        for name in [
            "",
            " ",
            ".",
            "..",
            "../a",
            "a/../../b",
            "a/..",
            "/etc/passwd",
            "//x",
            "C:\\x",
            "C:x",
            "a\\b",
            "a\nb",
            "\u{1b}[2J",
            "a\0b",
            "a/",
            "./a",
            "a/./b",
            &long,
            &deep,
        ] {
            assert!(checked(name).is_err(), "{name:?}");
        }
    }
}
