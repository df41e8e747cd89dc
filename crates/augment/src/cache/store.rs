//! A cache that stays: pictures in a file, found again by later runs and by other processes.
//!
//! What is on the disk is never trusted. A picture's bytes carry a checksum that is compared at each
//! read; an image whose file looks changed is hashed and, where it is another one, decoded again.
//! A build that was killed goes on where it stopped, and ends with the same bytes.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::CacheEvent;
use super::files::{Files, Place};
use super::index::Entry;
use super::positioned::read_exact_at;
use super::stamp::Stamp;
use crate::decode::{Decoded, prepare};
use crate::folder::ImageFolder;
use crate::image_fault::ImageFault;
use crate::image_warning::ImageWarning;
use crate::pixels::{Picture, Pixels};
use crate::preprocess::Preprocess;

/// Pictures that are decoded between two writes to the files: what a kill costs at most, and what
/// is in memory at once.
const TOGETHER: usize = 128;

/// Kept pictures of a list of names.
#[derive(Debug)]
pub(super) struct Store {
    place: Place,
    data: std::fs::File,
    folder: ImageFolder,
    spec: Preprocess,
    slots: Vec<(String, Entry)>,
    n_decoded: usize,
    n_mended: AtomicUsize,
}

/// What an opening found of one image.
enum Found {
    /// Its picture, of a file that looked changed and is not, with its new stamp.
    Same(Entry),
    /// A picture to be kept.
    Decoded(Entry, Pixels),
}

impl Store {
    /// Keeps the pictures of `names` below `dir`, decoding those that are not there yet.
    pub(super) fn open<N: AsRef<str> + Sync>(
        dir: &Path,
        folder: &ImageFolder,
        names: &[N],
        spec: &Preprocess,
        tell: &(dyn Fn(CacheEvent<'_>) + Sync),
    ) -> Result<(Self, Vec<ImageWarning>), Vec<ImageFault>> {
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let stamps = stamps(folder, &names)?;
        let place = Place::new(dir, folder, spec);
        let mut files = place.open(tell).map_err(|fault| vec![fault])?;
        let changed = changed(&files, &names, &stamps);
        let n_kept = names.len() - changed.len();
        tell(CacheEvent::Ready(n_kept));
        let builder = Builder {
            folder,
            spec,
            n_ready: AtomicUsize::new(n_kept),
            tell,
        };
        let n_decoded = builder.build(&mut files, &changed)?;
        let entries = &files.index.entries;
        let slots: Vec<(String, Entry)> = names
            .iter()
            .filter_map(|&name| Some((name.to_owned(), entries.get(name)?.clone())))
            .collect();
        let warnings = slots.iter().flat_map(|(_, entry)| entry.warnings.clone());
        let warnings = warnings.collect();
        let store = Self {
            data: files.into_data(),
            place,
            folder: folder.clone(),
            spec: spec.clone(),
            slots,
            n_decoded,
            n_mended: AtomicUsize::new(0),
        };
        Ok((store, warnings))
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn n_decoded(&self) -> usize {
        self.n_decoded
    }

    pub(super) fn n_mended(&self) -> usize {
        self.n_mended.load(Ordering::Relaxed)
    }

    /// The picture at a place of the list, read into `scratch`.
    pub(super) fn picture<'a>(
        &self,
        index: usize,
        scratch: &'a mut Vec<u8>,
    ) -> Result<Picture<'a>, ImageFault> {
        let (name, entry) = &self.slots[index];
        let len = self.place.len_of(entry.channels) as usize;
        scratch.resize(len, 0);
        let is_read = read_exact_at(&self.data, scratch, entry.offset).is_ok();
        if is_read && crc32fast::hash(scratch) == entry.checksum {
            let (width, height) = (self.spec.width, self.spec.height);
            return Ok(Picture::of_checked(width, height, entry.channels, scratch));
        }
        let pixels = self.mended(name, entry)?;
        Ok(pixels.lent_by(scratch))
    }

    /// The picture from its image again, put back where it was damaged.
    fn mended(&self, name: &str, entry: &Entry) -> Result<Pixels, ImageFault> {
        let bytes = self.folder.read(name)?;
        if content_of(&bytes) != entry.content {
            return Err(ImageFault::Replaced {
                name: name.to_owned(),
            });
        }
        let pixels = prepare(&bytes, name, &self.spec)?.pixels;
        // Nothing is lost where it cannot be put back: it is decoded again the next time.
        drop(self.put_back(name, entry, &pixels));
        self.n_mended.fetch_add(1, Ordering::Relaxed);
        Ok(pixels)
    }

    fn put_back(&self, name: &str, entry: &Entry, pixels: &Pixels) -> Result<(), ImageFault> {
        let files = self.place.open(&|_| {})?;
        // Where another process began anew, the place may be another picture's by now.
        let now = files.index.entries.get(name);
        let is_still = |now: &Entry| now.offset == entry.offset && now.checksum == entry.checksum;
        if now.is_some_and(is_still) {
            files.write_data(pixels.data(), entry.offset)?;
        }
        Ok(())
    }
}

/// The images whose files are not known to be the ones that the kept pictures were made of, each
/// once.
fn changed<'a>(files: &Files, names: &[&'a str], stamps: &[Stamp]) -> Vec<(&'a str, Stamp)> {
    let mut seen = HashSet::new();
    let is_kept = |name: &str, stamp: Stamp| {
        let entry = files.index.entries.get(name);
        entry.is_some_and(|entry| entry.stamp == stamp && files.holds(entry))
    };
    names
        .iter()
        .zip(stamps)
        .map(|(&name, &stamp)| (name, stamp))
        .filter(|&(name, stamp)| !is_kept(name, stamp) && seen.insert(name))
        .collect()
}

/// What a build works with.
struct Builder<'a> {
    folder: &'a ImageFolder,
    spec: &'a Preprocess,
    n_ready: AtomicUsize,
    tell: &'a (dyn Fn(CacheEvent<'_>) + Sync),
}

impl Builder<'_> {
    /// Looks at every image that may have changed, and keeps the pictures of those that have.
    /// How many were decoded.
    fn build(
        &self,
        files: &mut Files,
        changed: &[(&str, Stamp)],
    ) -> Result<usize, Vec<ImageFault>> {
        let (mut n_decoded, mut faults) = (0, Vec::new());
        for together in changed.chunks(TOGETHER) {
            let before = &*files;
            let found: Vec<Result<Found, ImageFault>> = together
                .par_iter()
                .map(|&(name, stamp)| {
                    let found = self.examine(name, stamp.settled_before(before.now), before);
                    let n = self.n_ready.fetch_add(1, Ordering::Relaxed) + 1;
                    (self.tell)(CacheEvent::Ready(n));
                    found
                })
                .collect();
            let mut kept = Vec::with_capacity(found.len());
            for (&(name, _), found) in together.iter().zip(&found) {
                match found {
                    Ok(Found::Same(entry)) => kept.push((name, entry.clone(), None)),
                    Ok(Found::Decoded(entry, pixels)) => {
                        n_decoded += 1;
                        kept.push((name, entry.clone(), Some(pixels.data())));
                    }
                    Err(_) => {}
                }
            }
            files
                .append(kept.into_iter())
                .map_err(|fault| vec![fault])?;
            faults.extend(found.into_iter().filter_map(Result::err));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        if n_decoded > 0 {
            files.sync().map_err(|fault| vec![fault])?;
        }
        Ok(n_decoded)
    }

    fn examine(&self, name: &str, stamp: Stamp, files: &Files) -> Result<Found, ImageFault> {
        let bytes = self.folder.read(name)?;
        let content = content_of(&bytes);
        if let Some(entry) = files.index.entries.get(name)
            && entry.content == content
            && files.holds(entry)
        {
            let entry = entry.clone();
            return Ok(Found::Same(Entry { stamp, ..entry }));
        }
        let Decoded { pixels, warnings } = prepare(&bytes, name, self.spec)?;
        let entry = Entry {
            stamp,
            content,
            offset: 0,
            channels: pixels.channels(),
            checksum: crc32fast::hash(pixels.data()),
            warnings,
        };
        Ok(Found::Decoded(entry, pixels))
    }
}

/// What the file system says of every image; all that are missing or no files at once.
fn stamps(folder: &ImageFolder, names: &[&str]) -> Result<Vec<Stamp>, Vec<ImageFault>> {
    let looked: Vec<Result<Stamp, ImageFault>> = names
        .par_iter()
        .map(|name| Ok(Stamp::of(&folder.metadata(name)?)))
        .collect();
    let (mut stamps, mut faults) = (Vec::with_capacity(names.len()), Vec::new());
    for stamp in looked {
        match stamp {
            Ok(stamp) => stamps.push(stamp),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() {
        Ok(stamps)
    } else {
        Err(faults)
    }
}

fn content_of(bytes: &[u8]) -> [u8; 16] {
    let mut content = [0; 16];
    content.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    content
}
