//! `cxr predict`: probabilities and decisions for image files and folders.

use std::path::{Path, PathBuf};

use cxr_augment::{Picture, Pixels, prepare, read_image_file};
use cxr_infer::LoadedModel;
use cxr_metrics::{Decisions, OperatingPoint, Scores, Threshold};
use rayon::prelude::*;
use serde::Serialize;

use super::Outcome;
use super::compute_words::ComputeWords;
use crate::console::Console;
use crate::failure::{Failure, Fault};

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A checkpoint, such as runs/NAME-001/weights/best.safetensors.
    #[arg(long, value_name = "C")]
    checkpoint: PathBuf,
    /// Images, and folders whose PNG and JPEG files are taken.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    #[command(flatten)]
    compute: ComputeWords,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print CSV (Image and one column of probabilities a finding) instead of a table.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// What `--json` prints for an image.
#[derive(Debug, Serialize)]
struct Predicted {
    image: String,
    findings: Vec<PredictedFinding>,
}

#[derive(Debug, Serialize)]
struct PredictedFinding {
    name: String,
    logit: f64,
    probability: f64,
    /// After the calibration that was fitted on valid; `null` where the checkpoint has none.
    calibrated_probability: Option<f64>,
    threshold: f64,
    decision: bool,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    let model = LoadedModel::open(&args.checkpoint)?;
    let files = files(&args.images)?;
    let pixels = pixels(&files, &model, console)?;
    let logits = model
        .predictor(&args.compute.compute())?
        .logits_of(&pixels.iter().map(Picture::from).collect::<Vec<_>>())?;
    let predicted = predicted(&model, &files, Scores::Logits(logits))?;
    if args.json {
        console.json(&predicted)?;
    } else if args.csv {
        print_csv(&model, &predicted, console)?;
    } else {
        print_table(&predicted, console);
    }
    Ok(Outcome::Done)
}

/// The files named, and those in the folders named, sorted within each folder.
pub(crate) fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut inside = Vec::new();
        for entry in fs_err::read_dir(path)? {
            let file = entry?.path();
            if file.is_file() && has_image_name(&file) {
                inside.push(file);
            }
        }
        if inside.is_empty() {
            let message = format!("no PNG or JPEG files in {}", path.display());
            return Err(Failure::usage(message, "name images or a folder of them"));
        }
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

fn has_image_name(path: &Path) -> bool {
    let extension = path
        .extension()
        .map(|extension| extension.to_ascii_lowercase());
    extension.is_some_and(|e| e == "png" || e == "jpg" || e == "jpeg")
}

/// Decodes and resizes every file, naming all that cannot be read.
fn pixels(
    files: &[PathBuf],
    model: &LoadedModel,
    console: Console,
) -> Result<Vec<Pixels>, Failure> {
    let prepared: Vec<_> = files
        .par_iter()
        .map(|path| {
            let bytes = read_image_file(path)?;
            prepare(&bytes, &path.to_string_lossy(), model.preprocess())
        })
        .collect();
    let mut pixels = Vec::with_capacity(files.len());
    let mut faults = Vec::new();
    for outcome in prepared {
        match outcome {
            Ok(decoded) => {
                decoded
                    .warnings
                    .iter()
                    .for_each(|warning| console.warn(warning));
                pixels.push(decoded.pixels);
            }
            Err(fault) => faults.push(Fault::from(&fault)),
        }
    }
    if faults.is_empty() {
        return Ok(pixels);
    }
    let n_faults = faults.len();
    Err(Failure::of_many(faults, n_faults))
}

fn predicted(
    model: &LoadedModel,
    files: &[PathBuf],
    scores: Scores,
) -> Result<Vec<Predicted>, Failure> {
    let points = model.operating_points()?;
    let thresholds: Vec<Threshold> = points.iter().map(OperatingPoint::threshold).collect();
    let decisions = Decisions::at(&scores, &thresholds)?;
    let calibrations = model.calibrations()?;
    let probabilities = scores.probabilities();
    let Scores::Logits(logits) = &scores else {
        return Err(Failure::usage(
            "a network gives logits",
            "use a checkpoint of this program",
        ));
    };
    let rows = logits
        .rows()
        .zip(probabilities.rows())
        .zip(decisions.rows());
    Ok(files
        .iter()
        .zip(rows)
        .map(|(file, ((logits, probabilities), decisions))| Predicted {
            image: file.to_string_lossy().into_owned(),
            findings: (0..model.findings().len())
                .map(|finding| PredictedFinding {
                    name: model.findings()[finding].clone(),
                    logit: logits[finding],
                    probability: probabilities[finding],
                    calibrated_probability: calibrations
                        .get(finding)
                        .map(|fitted| fitted.map().probability(logits[finding])),
                    threshold: thresholds[finding].probability(),
                    decision: decisions[finding],
                })
                .collect(),
        })
        .collect())
}

fn print_table(predicted: &[Predicted], console: Console) {
    for image in predicted {
        console.line(&image.image);
        for finding in &image.findings {
            console.line(format_args!(
                "  {:<20} {:>7.4}  threshold {:>7.4}  {:<8}{}",
                finding.name,
                finding.probability,
                finding.threshold,
                if finding.decision { "positive" } else { "" },
                finding
                    .calibrated_probability
                    .map_or_else(String::new, |p| format!("  calibrated {p:.4}")),
            ));
        }
    }
}

fn print_csv(
    model: &LoadedModel,
    predicted: &[Predicted],
    console: Console,
) -> Result<(), Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let bug = |error: &dyn std::error::Error| Failure::bug(error);
    let names = model.findings().iter().map(String::as_str);
    writer
        .write_record(std::iter::once("Image").chain(names))
        .map_err(|e| bug(&e))?;
    for image in predicted {
        let values = image
            .findings
            .iter()
            .map(|finding| finding.probability.to_string());
        let record = std::iter::once(image.image.clone()).chain(values);
        writer.write_record(record).map_err(|e| bug(&e))?;
    }
    let text = writer.into_inner().map_err(|error| bug(error.error()))?;
    console.line(String::from_utf8_lossy(&text).trim_end());
    Ok(())
}
