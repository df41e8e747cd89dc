//! The pixels of the splits: decoded and resized once, in the order of their radiographs.

use std::sync::Mutex;

use cxr_augment::{CacheEvent, ImageFault, ImageFolder, Keep, PixelCache, Preprocess};
use cxr_data::{Cohort, Splits};
use serde::Serialize;

use crate::cohorts::named;
use crate::config::BadImagePolicy;
use crate::train_error::TrainError;
use crate::watch::{Stage, Watch};

/// The splits of a run with the pixels of each.
#[derive(Debug)]
pub struct Pictured {
    /// The splits, without the radiographs whose images were passed over.
    pub splits: Splits,
    /// Train's pixels.
    pub train: PixelCache,
    /// Valid's.
    pub valid: PixelCache,
    /// Test's.
    pub test: Option<PixelCache>,
    /// Images that were passed over.
    pub skipped: Vec<SkippedImage>,
    /// What was odd about the files, a sentence each.
    pub warnings: Vec<String>,
}

impl Pictured {
    /// How many kept pictures were found damaged and mended.
    #[must_use]
    pub fn n_mended(&self) -> usize {
        let caches = [Some(&self.train), Some(&self.valid), self.test.as_ref()];
        caches.into_iter().flatten().map(PixelCache::n_mended).sum()
    }
}

/// An image that could not be read and was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkippedImage {
    /// Which split it was left out of.
    pub split: &'static str,
    /// Its name in the table.
    pub image: String,
    /// The stable code of the reason.
    pub code: &'static str,
    /// The reason.
    pub reason: String,
}

/// How images are read.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// Where they are.
    pub folder: &'a ImageFolder,
    /// What they become.
    pub spec: &'a Preprocess,
    /// Where their pictures stay.
    pub keep: &'a Keep,
    /// What happens to those that cannot be read.
    pub policy: BadImagePolicy,
    /// Who is told.
    pub watch: &'a dyn Watch,
}

/// Decodes every image of every split, or finds it where an earlier run kept it.
///
/// # Errors
/// All images that cannot be read, where the policy is to fail; a split of which none is left.
pub fn load_pictures(splits: Splits, reading: &Reading<'_>) -> Result<Pictured, TrainError> {
    warn_of_memory(&splits, reading);
    let mut skipped = Vec::new();
    let mut bad = Vec::new();
    let mut caches = Vec::new();
    let mut cohorts = Vec::new();
    for (split, cohort) in named(&splits) {
        let (cohort, cache) = match reading.open(split, cohort) {
            Ok(cache) => (cohort.clone(), cache),
            Err(faults) if reading.policy == BadImagePolicy::Skip => {
                let kept = without(cohort, &faults);
                skipped.extend(faults.iter().map(|fault| SkippedImage::of(split, fault)));
                if kept.is_empty() {
                    return Err(TrainError::EmptySplit { split });
                }
                let cache = reading.open(split, &kept).map_err(TrainError::Images)?;
                (kept, cache)
            }
            Err(faults) => {
                bad.extend(faults);
                continue;
            }
        };
        cohorts.push(cohort);
        caches.push(cache);
    }
    if !bad.is_empty() {
        return Err(TrainError::Images(bad));
    }
    let warnings = caches
        .iter()
        .flat_map(PixelCache::warnings)
        .map(ToString::to_string)
        .collect();
    let (mut cohorts, mut caches) = (cohorts.into_iter(), caches.into_iter());
    let mut next = |split| {
        cohorts
            .next()
            .zip(caches.next())
            .ok_or(TrainError::EmptySplit { split })
    };
    let (train_cohort, train) = next("train")?;
    let (valid_cohort, valid) = next("valid")?;
    let (test_cohort, test) = next("test").ok().unzip();
    let splits = Splits::new(train_cohort, valid_cohort, test_cohort)?;
    Ok(Pictured {
        splits,
        train,
        valid,
        test,
        skipped,
        warnings,
    })
}

/// So many bytes of pictures in memory deserve a word: a quarter of a laptop's.
const MUCH_MEMORY: u64 = 4 << 30;

fn warn_of_memory(splits: &Splits, reading: &Reading<'_>) {
    let n_radiographs: u64 = named(splits).map(|(_, cohort)| cohort.len() as u64).sum();
    let spec = reading.spec;
    let n_bytes = n_radiographs * u64::from(spec.width) * u64::from(spec.height);
    if *reading.keep == Keep::Memory && n_bytes > MUCH_MEMORY {
        reading.watch.warns(&format!(
            "decoded pictures will take {:.1} GiB of memory; --cache DIR keeps them in files instead",
            n_bytes as f64 / f64::from(1 << 30)
        ));
    }
}

impl Reading<'_> {
    fn open(&self, split: &'static str, cohort: &Cohort) -> Result<PixelCache, Vec<ImageFault>> {
        let radiographs = cohort.radiographs().iter();
        let names: Vec<&str> = radiographs.map(|one| one.image.as_str()).collect();
        let watch = self.watch;
        watch.stage_begins(Stage::Decoding(split), names.len());
        let furthest = Mutex::new(0);
        let tell = |event: CacheEvent<'_>| match event {
            CacheEvent::Ready(n) => {
                // Workers report out of order; progress only grows.
                if let Ok(mut furthest) = furthest.lock()
                    && n > *furthest
                {
                    *furthest = n;
                    watch.stage_reaches(n);
                }
            }
            notice => watch.warns(&notice.to_string()),
        };
        let cache = PixelCache::open(self.folder, &names, self.spec, self.keep, &tell);
        watch.stage_ends();
        cache
    }
}

impl std::fmt::Debug for Reading<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading")
            .field("folder", &self.folder)
            .field("spec", &self.spec)
            .field("keep", &self.keep)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// The radiographs whose images have no fault.
fn without(cohort: &Cohort, faults: &[ImageFault]) -> Cohort {
    let bad: std::collections::BTreeSet<&str> =
        faults.iter().filter_map(ImageFault::image).collect();
    let is_sound = |&place: &usize| !bad.contains(cohort.radiographs()[place].image.as_str());
    let places: Vec<usize> = (0..cohort.len()).filter(is_sound).collect();
    cohort.select(&places)
}

impl SkippedImage {
    fn of(split: &'static str, fault: &ImageFault) -> Self {
        Self {
            split,
            image: fault.image().unwrap_or_default().to_owned(),
            code: fault.code(),
            reason: fault.to_string(),
        }
    }
}
