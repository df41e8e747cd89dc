//! `cxr bench decode`: seconds an image by stage, on one thread.

use std::path::PathBuf;
use std::time::Instant;

use cxr_augment::{
    AffineRanges, EvalTransform, Preprocess, TrainTransform, decode, read_image_file, resize,
};
use serde::Serialize;

use super::{Outcome, Setting, median};
use crate::commands::predict::files;
use crate::console::Console;
use crate::failure::Failure;

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of images.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Width and height of the tensors.
    #[arg(long, default_value_t = 320)]
    size: u32,
    /// How often each image is worked on.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[command(flatten)]
    pub(super) setting: Setting,
}

/// Medians over images and rounds, seconds.
#[derive(Debug, Serialize)]
struct Measured {
    images: usize,
    size: u32,
    isa: &'static str,
    read: f64,
    decode: f64,
    decode_mean: f64,
    resize: f64,
    train_transform: f64,
    eval_transform: f64,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    let isa = args.setting.apply()?;
    super::check_counts(args.rounds, 1)?;
    let spec = Preprocess {
        width: args.size,
        height: args.size,
        ..Preprocess::default()
    };
    let train = TrainTransform::new(spec.clone(), AffineRanges::seed())?.with_isa(isa);
    let eval = EvalTransform::new(spec.clone())?.with_isa(isa);
    let files = files(std::slice::from_ref(&args.images))?;
    let mut tensor = vec![0.0; spec.tensor_len()];
    let mut stages: [Vec<f64>; 5] = Default::default();
    for round in 0..args.rounds as u64 {
        for (place, path) in (0..).zip(&files) {
            let mut last = Instant::now();
            let mut lap = |stage: usize| {
                stages[stage].push(last.elapsed().as_secs_f64());
                last = Instant::now();
            };
            let bytes = read_image_file(path)?;
            lap(0);
            let decoded = decode(&bytes, &path.to_string_lossy(), &spec)?.pixels;
            lap(1);
            let pixels = resize(&decoded, args.size, args.size);
            lap(2);
            train.apply(&pixels, &train.draw(0, round, place), &mut tensor)?;
            lap(3);
            eval.apply(&pixels, &mut tensor)?;
            lap(4);
        }
    }
    let [read, decode, resize, train_transform, eval_transform] =
        [0, 1, 2, 3, 4].map(|stage: usize| median(stages[stage].iter().copied()));
    let measured = Measured {
        images: files.len(),
        size: args.size,
        isa: isa.name(),
        read,
        decode,
        decode_mean: stages[1].iter().sum::<f64>() / stages[1].len() as f64,
        resize,
        train_transform,
        eval_transform,
    };
    if console.wants_json() {
        console.json(&measured)?;
    } else {
        let milliseconds = |seconds: f64| seconds * 1e3;
        console.line(format_args!(
            "{} images, one thread, {}, milliseconds: read {:.2}, decode {:.2} (mean {:.2}), resize {:.2}, training transform {:.3}, evaluation transform {:.3}",
            measured.images,
            measured.isa,
            milliseconds(read),
            milliseconds(decode),
            milliseconds(measured.decode_mean),
            milliseconds(resize),
            milliseconds(train_transform),
            milliseconds(eval_transform),
        ));
    }
    Ok(Outcome::Done)
}
