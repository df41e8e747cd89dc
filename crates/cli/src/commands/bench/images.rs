//! The images that loaders are measured with.

use std::path::Path;

use cxr_augment::{ImageFolder, Keep, PixelCache, Preprocess};

use crate::commands::predict::files;
use crate::failure::{Failure, Fault};

/// A folder's images and what becomes of them.
#[derive(Debug)]
pub(super) struct BenchImages {
    pub(super) folder: ImageFolder,
    pub(super) names: Vec<String>,
    pub(super) spec: Preprocess,
    pub(super) keep: Keep,
}

impl BenchImages {
    /// Their pictures; where none are to be kept, none is looked at ahead either.
    pub(super) fn open(&self) -> Result<PixelCache, Failure> {
        if self.keep == Keep::Nowhere {
            return Ok(PixelCache::unread(&self.folder, &self.names, &self.spec));
        }
        PixelCache::open(&self.folder, &self.names, &self.spec, &self.keep, &|_| {}).map_err(
            |faults| Failure::of_many(faults.iter().map(Fault::from).collect(), faults.len()),
        )
    }
}

/// The images of a folder, sorted.
pub(super) fn image_names(folder: &Path) -> Result<Vec<String>, Failure> {
    let files = files(&[folder.to_owned()])?;
    let names = files.iter().filter_map(|file| file.file_name()?.to_str());
    Ok(names.map(str::to_owned).collect())
}

/// A width or height as a preprocessing has it, which says itself what is too much.
pub(super) fn side(size: usize) -> Result<u32, Failure> {
    u32::try_from(size).map_err(|_| {
        Failure::usage(
            format!("--size {size} is no picture's"),
            "320 is the write-up's",
        )
    })
}
