//! A cohort's pictures, decoded and resized once.
//!
//! For loaders: an epoch then costs one gather a picture. In memory so far; a mapped file can take
//! its place behind the same `get`. Deliberately not here: which pictures (a list of names), draws.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::decode::{Decoded, prepare};
use crate::folder::ImageFolder;
use crate::image_fault::ImageFault;
use crate::image_warning::ImageWarning;
use crate::pixels::Pixels;
use crate::preprocess::Preprocess;

/// Prepared pictures by their place in the list of names.
#[derive(Debug)]
pub struct PixelCache {
    pictures: Vec<Pixels>,
    warnings: Vec<ImageWarning>,
    digest: String,
}

impl PixelCache {
    /// All pictures of `names`, read and prepared on all threads of rayon's current pool.
    /// `progress` is told how many are done, from any thread.
    ///
    /// # Errors
    /// Every image that is missing or not usable, in the order of the names. Missing ones are
    /// looked for first, so that a wrong folder is noticed at once.
    pub fn build<N: AsRef<str> + Sync>(
        folder: &ImageFolder,
        names: &[N],
        spec: &Preprocess,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, Vec<ImageFault>> {
        let missing = folder.missing(names);
        if !missing.is_empty() {
            return Err(missing);
        }
        let n_done = AtomicUsize::new(0);
        let prepared: Vec<Result<Decoded, ImageFault>> = names
            .par_iter()
            .map(|name| {
                let name = name.as_ref();
                let decoded = prepare(&folder.read(name)?, name, spec);
                progress(n_done.fetch_add(1, Ordering::Relaxed) + 1);
                decoded
            })
            .collect();
        let mut pictures = Vec::with_capacity(names.len());
        let (mut warnings, mut faults) = (Vec::new(), Vec::new());
        for result in prepared {
            match result {
                Ok(decoded) => {
                    pictures.push(decoded.pixels);
                    warnings.extend(decoded.warnings);
                }
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() {
            Ok(Self {
                pictures,
                warnings,
                digest: spec.digest(),
            })
        } else {
            Err(faults)
        }
    }

    /// The picture of the name at this place of the list.
    ///
    /// # Panics
    /// Where `index` is not below `len`, as a slice does.
    #[must_use]
    pub fn get(&self, index: usize) -> &Pixels {
        &self.pictures[index]
    }

    /// How many pictures it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Whether the list of names was empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// What was odd about the files, in the order of the names.
    #[must_use]
    pub fn warnings(&self) -> &[ImageWarning] {
        &self.warnings
    }

    /// The digest of the specification that its pictures were prepared by.
    #[must_use]
    pub fn spec_digest(&self) -> &str {
        &self.digest
    }
}
