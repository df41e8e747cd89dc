//! `cxr import-weights`: torchvision's weights, or anybody's PyTorch model, as a checkpoint.

use std::fmt;
use std::path::{Path, PathBuf};

use cxr_augment::{EvalTransform, Preprocess, prepare, read_image_file};
use cxr_models::hub::{HUGGING_FACE, Hub, HubFile, Progress};
use cxr_models::import::{
    Completeness, Guard, Head, ImportOptions, ImportPlan, ImportReport, Limits, Unused,
    calibration_batches, read_weights,
};
use cxr_models::{Architecture, Checkpoint, CheckpointHeader, ModelConfig, TrainingFacts};
use serde::Serialize;

use super::{Outcome, read_pth};
use crate::console::Console;
use crate::failure::{Failure, Fault};

/// What a checkpoint without named findings calls its only output, so that it cannot be taken for
/// a model that answers anything: training replaces its head, evaluation refuses it.
const FRESH_HEAD: &str = "fresh head";
/// Radiographs that suffice for a calibration pass.
const CALIBRATION_IMAGES: usize = 32;

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The weights: .safetensors, or .pth as torch.save writes a state dict.
    #[arg(
        value_name = "FILE",
        required_unless_present = "hub",
        conflicts_with = "hub"
    )]
    file: Option<PathBuf>,
    /// Fetch the file from the Hugging Face hub (HF_ENDPOINT, HF_HUB_OFFLINE and HTTPS_PROXY are
    /// respected). Without a repository: ImageNet weights for --arch.
    #[arg(long, value_name = "OWNER/NAME", num_args = 0..=1, require_equals = true,
        default_missing_value = "")]
    hub: Option<String>,
    /// The commit in the repository, 40 digits.
    #[arg(long, value_name = "COMMIT", requires_all = ["hub", "sha256"])]
    revision: Option<String>,
    /// The SHA-256 that the file must have.
    #[arg(long, value_name = "HEX", requires_all = ["hub", "revision"])]
    sha256: Option<String>,
    /// The file in the repository.
    #[arg(
        long,
        value_name = "PATH",
        requires = "hub",
        default_value = "model.safetensors"
    )]
    hub_file: String,
    /// Where downloads are kept. Default: the user's cache folder.
    #[arg(long, value_name = "DIR", requires = "hub")]
    cache: Option<PathBuf>,
    /// The network: resnet18, resnet34 or xray-cnn.
    #[arg(long, value_name = "ARCH")]
    arch: Architecture,
    /// The findings that the file's head answers for, in its order; then the head is kept.
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    findings: Option<Vec<String>>,
    /// Width and height of the images.
    #[arg(long, value_name = "S", default_value_t = 320)]
    size: u32,
    /// Take what fits and list what stays fresh; open folded batch norm again.
    #[arg(long)]
    partial: bool,
    /// Radiographs for opening batch norm again; the first 32 by name are used.
    #[arg(long, value_name = "DIR", requires = "partial")]
    calibrate_images: Option<PathBuf>,
    /// For the tensors that stay fresh.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The checkpoint to write.
    #[arg(long, value_name = "C")]
    out: PathBuf,
    /// Print JSON instead of a list.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Imported<'a> {
    file: String,
    out: String,
    findings: &'a [String],
    #[serde(flatten)]
    report: &'a ImportReport,
    calibration_images: usize,
    weight_digest: String,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    let findings = findings(args)?;
    let side = args.size as usize;
    let config = ModelConfig::new(args.arch, findings.len(), side, side);
    config.check()?;
    let file = source(args, console)?;
    let tensors = read_weights(&file, &guard()?, &Limits::default())?;
    let plan = ImportPlan::new(&tensors, &config, options(args))?;
    let preprocess = Preprocess {
        width: args.size,
        height: args.size,
        ..Preprocess::default()
    };
    let images = calibration_images(args, &plan, &preprocess, console)?;
    let network = plan.build(args.seed, &calibration_batches(&config, &images)?)?;
    let header = header(config, &findings, &preprocess, &file)?;
    let checkpoint = Checkpoint::of(&network, header)?;
    checkpoint.save(&args.out)?;
    let imported = Imported {
        file: file.display().to_string(),
        out: args.out.display().to_string(),
        findings: if args.findings.is_some() {
            &findings
        } else {
            &[]
        },
        report: plan.report(),
        calibration_images: images.len(),
        weight_digest: checkpoint.weight_digest()?,
    };
    if console.wants_json() {
        console.json(&imported)?;
    } else {
        console.line(&imported);
    }
    Ok(Outcome::Done)
}

/// The names of the outputs of the checkpoint.
fn findings(args: &Args) -> Result<Vec<String>, Failure> {
    let Some(findings) = &args.findings else {
        return Ok(vec![FRESH_HEAD.to_owned()]);
    };
    let findings: Vec<String> = findings.iter().map(|name| name.trim().to_owned()).collect();
    // The same rules as for a table's columns.
    // They were typed, so a fault is one of usage and not of data.
    cxr_data::FindingSet::from_names(&findings).map_err(|error| {
        Failure::of(Fault {
            exit_code: 2,
            ..Fault::from(&error)
        })
    })?;
    Ok(findings)
}

fn options(args: &Args) -> ImportOptions {
    ImportOptions {
        head: if args.findings.is_some() {
            Head::Keep
        } else {
            Head::Fresh
        },
        completeness: if args.partial {
            Completeness::Partial
        } else {
            Completeness::Whole
        },
    }
}

/// This program again, as the reader's process.
fn guard() -> Result<Guard, Failure> {
    Ok(Guard::new(std::env::current_exe()?, read_pth::TASK))
}

/// The file that was named, or the one that the hub has.
fn source(args: &Args, console: Console) -> Result<PathBuf, Failure> {
    if let Some(file) = &args.file {
        return Ok(file.clone());
    }
    let file = hub_file(args)?;
    let hub = Hub {
        endpoint: variable("HF_ENDPOINT").unwrap_or_else(|| HUGGING_FACE.to_owned()),
        proxy: variable("HTTPS_PROXY").or_else(|| variable("https_proxy")),
        offline: variable("HF_HUB_OFFLINE").is_some_and(|value| value != "0"),
        ..Hub::default()
    };
    let cache = match &args.cache {
        Some(cache) => cache.clone(),
        None => default_cache()?,
    };
    let mut shown = 0;
    let path = hub.fetch(&file, &cache, |progress| {
        let percent = percent(progress);
        if percent >= shown + 10 {
            shown = percent;
            console.note(format_args!("{percent} % of {}", file.url(&hub.endpoint)));
        }
    })?;
    Ok(path)
}

fn percent(progress: Progress) -> u64 {
    match progress.of {
        Some(of) if of > 0 => progress.bytes.saturating_mul(100) / of,
        _ => 0,
    }
}

fn hub_file(args: &Args) -> Result<HubFile, Failure> {
    let repository = args.hub.as_deref().unwrap_or_default();
    match (repository, &args.revision, &args.sha256) {
        ("", None, None) => HubFile::imagenet(args.arch).ok_or_else(|| {
            Failure::usage(
                format!("no ImageNet weights are pinned here for {}", args.arch),
                "name them: --hub=OWNER/NAME --revision COMMIT --sha256 HEX",
            )
        }),
        ("", _, _) => Err(Failure::usage(
            "--revision and --sha256 need a repository",
            "name it: --hub=OWNER/NAME",
        )),
        (repository, Some(revision), Some(sha256)) => {
            Ok(HubFile::new(repository, revision, &args.hub_file, sha256)?)
        }
        _ => Err(Failure::usage(
            "a repository without a commit and a digest is no pin",
            "add --revision COMMIT --sha256 HEX",
        )),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn default_cache() -> Result<PathBuf, Failure> {
    let folder = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache")));
    match folder {
        Some(folder) => Ok(folder.join("cxr")),
        None => Err(Failure::usage(
            "there is no home folder to keep downloads in",
            "name one: --cache DIR",
        )),
    }
}

/// The images of the calibration pass, transformed as for evaluation; none where none are needed.
fn calibration_images(
    args: &Args,
    plan: &ImportPlan,
    preprocess: &Preprocess,
    console: Console,
) -> Result<Vec<Vec<f32>>, Failure> {
    let Some(folder) = &args.calibrate_images else {
        return Ok(Vec::new());
    };
    if !plan.needs_calibration() {
        console.warn("the file has no folded batch norm: --calibrate-images is not used");
        return Ok(Vec::new());
    }
    let transform = EvalTransform::new(preprocess.clone())?;
    let mut images = Vec::new();
    for path in first_images(folder)? {
        let decoded = prepare(
            &read_image_file(&path)?,
            &path.to_string_lossy(),
            preprocess,
        )?;
        decoded
            .warnings
            .iter()
            .for_each(|warning| console.warn(warning));
        let mut image = vec![0.0; preprocess.tensor_len()];
        transform.apply(&decoded.pixels, &mut image)?;
        images.push(image);
    }
    Ok(images)
}

/// The first PNG and JPEG files of a folder by name.
fn first_images(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        if ending.is_some_and(|ending| ["png", "jpg", "jpeg"].iter().any(|it| ending == **it)) {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        let message = format!("no PNG or JPEG files in {}", folder.display());
        return Err(Failure::usage(message, "name a folder of radiographs"));
    }
    paths.sort();
    paths.truncate(CALIBRATION_IMAGES);
    Ok(paths)
}

fn header(
    config: ModelConfig,
    findings: &[String],
    preprocess: &Preprocess,
    file: &Path,
) -> Result<CheckpointHeader, Failure> {
    let spec = serde_json::to_value(preprocess).map_err(|error| Failure::bug(&error))?;
    let training = TrainingFacts {
        pretrained: Some(file.display().to_string()),
        ..TrainingFacts::default()
    };
    Ok(CheckpointHeader {
        training,
        ..CheckpointHeader::new(config, findings.to_vec(), spec)
    })
}

impl fmt::Display for Imported<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        writeln!(f, "{} ← {}", self.out, self.file)?;
        if let Some(table) = &report.table {
            writeln!(f, "table       {table:?} inside of the file")?;
        }
        if let Some(prefix) = &report.stripped_prefix {
            writeln!(f, "prefix      {prefix:?} taken away")?;
        }
        writeln!(
            f,
            "filled      {} tensors of {}",
            report.filled.len(),
            report.architecture
        )?;
        match (self.findings, report.head_outputs) {
            ([], Some(outputs)) => {
                writeln!(f, "head        fresh (the file's has {outputs} outputs)")?
            }
            ([], None) => writeln!(f, "head        fresh")?,
            (findings, _) => writeln!(f, "head        kept: {}", findings.join(", "))?,
        }
        if !report.reopened.is_empty() {
            writeln!(
                f,
                "batch norm  {} opened again over {} images",
                report.reopened.len(),
                self.calibration_images
            )?;
        }
        write_unused(f, "fresh", &report.fresh)?;
        write_unused(f, "dropped", &report.dropped)?;
        write!(f, "digest      {}", self.weight_digest)
    }
}

/// One line a tensor; the counts of old files are summed up, since there are so many of them.
fn write_unused(f: &mut fmt::Formatter<'_>, word: &str, unused: &[Unused]) -> fmt::Result {
    let (counts, others): (Vec<&Unused>, Vec<&Unused>) = unused
        .iter()
        .partition(|it| it.name.ends_with(".num_batches_tracked"));
    for it in others {
        writeln!(
            f,
            "{word:<11} {} {:?}: {}",
            it.name.escape_debug(),
            it.shape,
            it.reason
        )?;
    }
    match counts.len() {
        0 => Ok(()),
        n => writeln!(f, "{word:<11} {n} counts of batches"),
    }
}
