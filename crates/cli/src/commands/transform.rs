//! `cxr transform`: every stage of the way from a file to a tensor, as a picture with its figures.

use std::path::{Path, PathBuf};

use cxr_augment::{AffineDraw, Preprocess, Stage, Stages, StagesFault, read_image_file, stages};
use serde::Serialize;

use super::Outcome;
use crate::console::Console;
use crate::failure::Failure;

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The PNG or JPEG file.
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    /// Where the pictures, tensor.safetensors and stages.json go.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The preprocessing as JSON, as a checkpoint holds it; missing keys have their default.
    #[arg(long, value_name = "F")]
    spec: Option<PathBuf>,
    /// The random part as JSON, such as {"flip":true,"angle":-13.4,"tx":64,"ty":-64,"scale":1.1,
    /// "shear_x":5}: degrees and output pixels. Without it, what evaluation sees.
    #[arg(long, value_name = "JSON")]
    draw: Option<String>,
    /// Print stages.json instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What stages.json holds.
#[derive(Debug, Serialize)]
struct Report<'a> {
    image: String,
    preprocess: &'a Preprocess,
    draw: Option<&'a AffineDraw>,
    stages: &'a [Stage],
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    let spec = match &args.spec {
        Some(path) => Preprocess::from_json(&fs_err::read_to_string(path)?)?,
        None => Preprocess::default(),
    };
    let draw = match &args.draw {
        Some(text) => Some(AffineDraw::from_json(text)?),
        None => None,
    };
    let bytes = read_image_file(&args.image)?;
    let name = args.image.to_string_lossy();
    let shown = stages(&bytes, &name, &spec, &draw.unwrap_or(AffineDraw::IDENTITY));
    let shown = shown.map_err(|fault| match fault {
        StagesFault::Image(fault) => Failure::from(fault),
        StagesFault::Spec(faults) => Failure::from(faults),
    })?;
    for warning in shown.warnings() {
        console.warn(format_args!("{name}: {warning}"));
    }
    let report = Report {
        image: name.into_owned(),
        preprocess: &spec,
        draw: draw.as_ref(),
        stages: shown.stages(),
    };
    write(&args.out, &shown, &report)?;
    if args.json {
        console.json(&report)?;
    } else {
        print_table(&shown, console);
        console.note(format_args!("written to {}", args.out.display()));
    }
    Ok(Outcome::Done)
}

fn write(folder: &Path, shown: &Stages, report: &Report<'_>) -> Result<(), Failure> {
    let json = serde_json::to_vec_pretty(report).map_err(|error| Failure::bug(&error))?;
    let mut files = shown.files()?;
    files.push(("stages.json", json));
    fs_err::create_dir_all(folder)?;
    for (name, bytes) in files {
        cxr_durable::write(&folder.join(name), &bytes)?;
    }
    Ok(())
}

fn print_table(shown: &Stages, console: Console) {
    console.line(format_args!(
        "{:<10} {:>6} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "stage", "width", "height", "channels", "max", "min", "mean", "std"
    ));
    for stage in shown.stages() {
        let s = &stage.statistics;
        console.line(format_args!(
            "{:<10} {:>6} {:>6} {:>8} {:>8.4} {:>8.4} {:>8.4} {:>8.4}",
            stage.name, s.width, s.height, s.channels, s.max, s.min, s.mean, s.std
        ));
    }
}
