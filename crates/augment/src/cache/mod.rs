//! A cohort's pictures, decoded and resized once.
//!
//! For loaders: an epoch then costs one gather a picture. They are kept in memory, or in a folder
//! that later runs use again (store.rs), or not at all. Deliberately not here: which pictures (a
//! list of names), draws.

mod files;
mod index;
mod positioned;
mod stamp;
mod store;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use self::store::Store;
use crate::decode::{Decoded, prepare};
use crate::folder::ImageFolder;
use crate::image_fault::ImageFault;
use crate::image_warning::ImageWarning;
use crate::pixels::{Picture, Pixels};
use crate::preprocess::Preprocess;

/// Where prepared pictures stay between two epochs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// In memory: width × height bytes a grey picture, until the cache is dropped.
    #[default]
    Memory,
    /// In files below this folder, which later runs find again. They are copies of patients'
    /// images: the folder deserves the care that the images do.
    Folder(PathBuf),
    /// Nowhere: each is decoded whenever it is asked for.
    Nowhere,
}

/// What happens while a cache is built; told from any thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheEvent<'a> {
    /// So many pictures are ready; the numbers may come out of order.
    Ready(usize),
    /// Another process builds the same cache; this one waits for the lock.
    Waits(&'a Path),
    /// The index of a kept cache was damaged, and everything is decoded again.
    Restarts(&'a Path),
}

impl std::fmt::Display for CacheEvent<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready(n) => write!(f, "{n} pictures are ready"),
            Self::Waits(lock) => write!(
                f,
                "another process builds this pixel cache; waiting for {}",
                lock.display()
            ),
            Self::Restarts(index) => write!(
                f,
                "the pixel cache's index {} is damaged; every image is decoded again",
                index.display()
            ),
        }
    }
}

/// Prepared pictures by their place in the list of names.
#[derive(Debug)]
pub struct PixelCache {
    held: Held,
    warnings: Vec<ImageWarning>,
    digest: String,
}

#[derive(Debug)]
enum Held {
    Memory(Vec<Pixels>),
    Store(Box<Store>),
    Nowhere {
        folder: ImageFolder,
        names: Vec<String>,
        spec: Preprocess,
    },
}

impl Held {
    fn nowhere<N: AsRef<str>>(folder: &ImageFolder, names: &[N], spec: &Preprocess) -> Self {
        Self::Nowhere {
            folder: folder.clone(),
            names: names.iter().map(|name| name.as_ref().to_owned()).collect(),
            spec: spec.clone(),
        }
    }
}

impl PixelCache {
    /// All pictures of `names`, in memory: [`PixelCache::open`] with [`Keep::Memory`].
    /// `progress` is told how many are ready, from any thread.
    ///
    /// # Errors
    /// As [`PixelCache::open`].
    pub fn build<N: AsRef<str> + Sync>(
        folder: &ImageFolder,
        names: &[N],
        spec: &Preprocess,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, Vec<ImageFault>> {
        Self::open(folder, names, spec, &Keep::Memory, &|event| {
            if let CacheEvent::Ready(n) = event {
                progress(n);
            }
        })
    }

    /// All pictures of `names`, read and prepared on all threads of rayon's current pool, or found
    /// where an earlier run kept them. With [`Keep::Nowhere`] each is decoded once all the same,
    /// so that a bad one is known before the first epoch.
    ///
    /// # Errors
    /// Every image that is missing or not usable, in the order of the names; a folder that cannot
    /// be written. Missing ones are looked for first, so that a wrong folder is noticed at once.
    pub fn open<N: AsRef<str> + Sync>(
        folder: &ImageFolder,
        names: &[N],
        spec: &Preprocess,
        keep: &Keep,
        tell: &(dyn Fn(CacheEvent<'_>) + Sync),
    ) -> Result<Self, Vec<ImageFault>> {
        let (held, warnings) = match keep {
            Keep::Memory => {
                let (pictures, warnings) = prepare_all(folder, names, spec, tell, Some)?;
                (Held::Memory(pictures), warnings)
            }
            Keep::Folder(place) => {
                let (store, warnings) = Store::open(place, folder, names, spec, tell)?;
                (Held::Store(Box::new(store)), warnings)
            }
            Keep::Nowhere => {
                let (_, warnings) = prepare_all(folder, names, spec, tell, |_| None)?;
                (Held::nowhere(folder, names, spec), warnings)
            }
        };
        Ok(Self {
            held,
            warnings,
            digest: spec.digest(),
        })
    }

    /// Pictures that are neither kept nor looked at before they are asked for.
    #[must_use]
    pub fn unread<N: AsRef<str>>(folder: &ImageFolder, names: &[N], spec: &Preprocess) -> Self {
        Self {
            held: Held::nowhere(folder, names, spec),
            warnings: Vec::new(),
            digest: spec.digest(),
        }
    }

    /// The picture of the name at this place of the list; `scratch` may come to hold its bytes.
    ///
    /// A kept picture is checked as it is read. One that is damaged or cut off is decoded again from
    /// its image and mended where it was kept.
    ///
    /// # Errors
    /// Where its image has to be read and is no longer there, not usable, or another one than when
    /// the cache was opened. Never with [`Keep::Memory`].
    ///
    /// # Panics
    /// Where `index` is not below `len`, as a slice does.
    pub fn picture<'a>(
        &'a self,
        index: usize,
        scratch: &'a mut Vec<u8>,
    ) -> Result<Picture<'a>, ImageFault> {
        match &self.held {
            Held::Memory(pictures) => Ok((&pictures[index]).into()),
            Held::Store(store) => store.picture(index, scratch),
            Held::Nowhere {
                folder,
                names,
                spec,
            } => {
                let name = &names[index];
                let pixels = prepare(&folder.read(name)?, name, spec)?.pixels;
                Ok(pixels.lent_by(scratch))
            }
        }
    }

    /// How many pictures it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.held {
            Held::Memory(pictures) => pictures.len(),
            Held::Store(store) => store.len(),
            Held::Nowhere { names, .. } => names.len(),
        }
    }

    /// Whether the list of names was empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many pictures had to be decoded when it was opened.
    #[must_use]
    pub fn n_decoded(&self) -> usize {
        match &self.held {
            Held::Store(store) => store.n_decoded(),
            Held::Memory(_) | Held::Nowhere { .. } => self.len(),
        }
    }

    /// How many kept pictures were found damaged since, and mended.
    #[must_use]
    pub fn n_mended(&self) -> usize {
        match &self.held {
            Held::Store(store) => store.n_mended(),
            Held::Memory(_) | Held::Nowhere { .. } => 0,
        }
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

/// Prepares every picture and keeps of each what `kept` says.
fn prepare_all<N: AsRef<str> + Sync>(
    folder: &ImageFolder,
    names: &[N],
    spec: &Preprocess,
    tell: &(dyn Fn(CacheEvent<'_>) + Sync),
    kept: fn(Pixels) -> Option<Pixels>,
) -> Result<(Vec<Pixels>, Vec<ImageWarning>), Vec<ImageFault>> {
    let missing = folder.missing(names);
    if !missing.is_empty() {
        return Err(missing);
    }
    let n_ready = AtomicUsize::new(0);
    let prepared: Vec<Result<_, ImageFault>> = names
        .par_iter()
        .map(|name| {
            let name = name.as_ref();
            let decoded = folder
                .read(name)
                .and_then(|bytes| prepare(&bytes, name, spec));
            tell(CacheEvent::Ready(
                n_ready.fetch_add(1, Ordering::Relaxed) + 1,
            ));
            decoded.map(|Decoded { pixels, warnings }| (kept(pixels), warnings))
        })
        .collect();
    let mut pictures = Vec::with_capacity(names.len());
    let (mut warnings, mut faults) = (Vec::new(), Vec::new());
    for result in prepared {
        match result {
            Ok((picture, of_picture)) => {
                pictures.extend(picture);
                warnings.extend(of_picture);
            }
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() {
        Ok((pictures, warnings))
    } else {
        Err(faults)
    }
}
