//! `cxr bench loader`: images a second from files to batch tensors; nothing is trained.

use std::path::PathBuf;
use std::time::Instant;

use cxr_augment::{
    AffineRanges, Buffers, FeedFault, FeedTransform, ImageFolder, Interpolation, Keep, PixelCache,
    Preprocess, TrainTransform, feed_ahead,
};
use cxr_infer::InferError;
use cxr_stream::{Purpose, Stream};
use serde::Serialize;

use super::images::{BenchImages, image_names};
use super::machine::{peak_rss_bytes, rss_bytes};
use super::{Outcome, Setting, median};
use crate::commands::cache_words::CacheWords;
use crate::console::Console;
use crate::failure::Failure;

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of images; every PNG and JPEG in it is read.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Width and height of the tensors.
    #[arg(long, default_value_t = 320)]
    size: u32,
    /// Epochs. The first reads files, unless they are kept already.
    #[arg(long, default_value_t = 5)]
    epochs: u64,
    /// Images in a batch.
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// How often each image comes in an epoch, so that few images make a long one.
    #[arg(long, default_value_t = 1)]
    copies: usize,
    /// Draws: the write-up's (seed), the default preset's with its bilinear samples (mild), or none.
    #[arg(long, default_value = "seed", value_parser = ["seed", "mild", "none"])]
    augment: String,
    #[command(flatten)]
    cache: CacheWords,
    #[command(flatten)]
    pub(super) setting: Setting,
}

#[derive(Debug, Serialize)]
struct Measured {
    images: usize,
    threads: usize,
    size: u32,
    batch: usize,
    augment: String,
    isa: &'static str,
    /// Seconds until the cache was open: built, or found as an earlier run left it.
    opening: f64,
    /// The first one contains the opening where that decoded anything.
    epochs: Vec<Epoch>,
    /// Median of the epochs from kept pictures.
    cached_images_per_second: Option<f64>,
    /// The same batches filled with one byte, by as many threads.
    memset_images_per_second: f64,
    peak_rss_bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Epoch {
    images_per_second: f64,
    /// Whether no image file was decoded for it.
    cached: bool,
    rss_bytes: Option<u64>,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    let isa = args.setting.apply()?;
    super::check_counts(args.batch, args.epochs.min(args.copies as u64) as usize)?;
    let spec = Preprocess {
        width: args.size,
        height: args.size,
        ..Preprocess::default()
    };
    let (ranges, interpolation) = match args.augment.as_str() {
        "none" => (AffineRanges::none(), Interpolation::NearestParity),
        "mild" => (AffineRanges::mild(), Interpolation::Bilinear),
        _ => (AffineRanges::seed(), Interpolation::NearestParity),
    };
    let bench = Bench {
        transform: TrainTransform::new(spec.clone(), ranges)?
            .with_interpolation(interpolation)
            .with_isa(isa),
        images: BenchImages {
            names: image_names(&args.images)?,
            folder: ImageFolder::open(&args.images)?,
            keep: args.cache.keep(),
            spec,
        },
        batch: args.batch,
        copies: args.copies,
        buffers: Buffers::default(),
    };
    let (opening, epochs) = bench.epochs(args.epochs)?;
    let cached = epochs.iter().filter(|epoch| epoch.cached);
    let cached = median(cached.map(|epoch| epoch.images_per_second));
    let measured = Measured {
        images: bench.images.names.len(),
        threads: rayon::current_num_threads(),
        size: args.size,
        batch: args.batch,
        augment: args.augment.clone(),
        isa: isa.name(),
        opening,
        epochs,
        cached_images_per_second: (cached > 0.0).then_some(cached),
        memset_images_per_second: bench.memset(),
        peak_rss_bytes: peak_rss_bytes(),
    };
    if console.wants_json() {
        console.json(&measured)?;
    } else {
        print(&measured, console);
    }
    Ok(Outcome::Done)
}

struct Bench {
    images: BenchImages,
    transform: TrainTransform,
    batch: usize,
    copies: usize,
    buffers: Buffers,
}

impl Bench {
    /// The epochs, each timed from its first to its last batch. The first one opens the cache and,
    /// where that decodes anything, goes over each image once.
    fn epochs(&self, n_epochs: u64) -> Result<(f64, Vec<Epoch>), Failure> {
        let keeps = self.images.keep != Keep::Nowhere;
        let mut began = Instant::now();
        let cache = self.images.open()?;
        let opening = began.elapsed().as_secs_f64();
        let is_built = keeps && cache.n_decoded() > 0;
        if !is_built {
            began = Instant::now();
        }
        let mut epochs = Vec::new();
        for epoch in 1..=n_epochs {
            let is_first = is_built && epoch == 1;
            let n = self.one_epoch(&cache, epoch, if is_first { 1 } else { self.copies })?;
            epochs.push(Epoch {
                images_per_second: n as f64 / began.elapsed().as_secs_f64(),
                cached: keeps && !is_first,
                rss_bytes: rss_bytes(),
            });
            began = Instant::now();
        }
        Ok((opening, epochs))
    }

    fn one_epoch(&self, cache: &PixelCache, epoch: u64, copies: usize) -> Result<usize, Failure> {
        let n = self.images.names.len();
        let order = Stream::new(0, Purpose::Shuffle, epoch, 0).permutation(n * copies);
        let order: Vec<usize> = order.into_iter().map(|place| place % n).collect();
        let batches: Vec<Vec<usize>> = order.chunks(self.batch).map(<[usize]>::to_vec).collect();
        let draws = FeedTransform::Train {
            transform: &self.transform,
            seed: 0,
            epoch,
        };
        feed_ahead(cache, &draws, &batches, &self.buffers, |filled| {
            for batch in filled {
                batch?;
            }
            Ok(())
        })
        .map_err(|fault: FeedFault| Failure::from(InferError::from(fault)))?;
        Ok(order.len())
    }

    /// Images a second if filling memory were all there is to do.
    fn memset(&self) -> f64 {
        use rayon::prelude::*;
        let tensor_len = self.images.spec.tensor_len();
        let mut batch = self.buffers.take(self.batch * tensor_len);
        let times = (0..20_u32).map(|round| {
            let began = Instant::now();
            let parts = batch.as_mut().par_chunks_exact_mut(tensor_len);
            // 0 or all bits alike: the compiler makes a memset of it.
            parts.for_each(|part| {
                part.fill(if round % 2 == 0 {
                    0.0
                } else {
                    f32::from_bits(u32::MAX)
                })
            });
            began.elapsed().as_secs_f64()
        });
        let times: Vec<f64> = times.collect();
        self.batch as f64 / median(times.into_iter().skip(2))
    }
}

fn print(measured: &Measured, console: Console) {
    console.line(format_args!(
        "{} images to {size}×{size}, batch {}, draws {}, {} threads, {}",
        measured.images,
        measured.batch,
        measured.augment,
        measured.threads,
        measured.isa,
        size = measured.size,
    ));
    console.line(format_args!("cache open after {:.3} s", measured.opening));
    for (place, epoch) in measured.epochs.iter().enumerate() {
        let memory = epoch.rss_bytes.map_or(String::new(), |bytes| {
            format!("  {:.0} MiB resident", bytes as f64 / f64::from(1 << 20))
        });
        console.line(format_args!(
            "epoch {:>3}  {:>9.1} images/s  {}{memory}",
            place + 1,
            epoch.images_per_second,
            if epoch.cached { "cached  " } else { "uncached" },
        ));
    }
    if let Some(cached) = measured.cached_images_per_second {
        console.line(format_args!(
            "cached, median: {cached:.1} images/s, {:.0} % of filling the same memory ({:.1})",
            100.0 * cached / measured.memset_images_per_second,
            measured.memset_images_per_second,
        ));
    }
}
