//! The main job: from a configuration and tables to an evaluated checkpoint in a run folder.
//!
//! [`Prepared`] reads everything before a folder is made, `fit` learns, `close` (closing.rs) measures
//! and writes. Valid decides the epoch and the thresholds; test is looked at once, last.

use std::path::Path;

use candle_core::{Device, Tensor};
use cxr_augment::{Buffers, ImageFolder, Keep, Preprocess, TrainTransform};
use cxr_data::{Cohort, KnownSplit, PatientSketch, PosWeights};
use cxr_metrics::{Evaluation, History};
use cxr_models::{
    Architecture, Checkpoint, CheckpointHeader, Compute, ModelConfig, Network, Place, TrainingFacts,
};
use cxr_report::plots::{ClassTable, FindingCounts, SplitSize, Tile};
use cxr_report::{CEILINGS, EventKind, LEAKAGE, LeakageRecord, RunFolder};
use serde_json::json;

use crate::cohorts::{ReadSplits, Tables, named, read_splits};
use crate::config::RunConfig;
use crate::fit::{Fitted, Material, fit};
use crate::generation;
use crate::layers::ResolvedConfig;
use crate::loader::{Batch, Loader};
use crate::optimizer::Adam;
use crate::pictures::{Pictured, Reading, load_pictures};
use crate::state::{Fingerprints, TrainState};
use crate::train_error::TrainError;
use crate::watch::Watch;

/// The weights of the best epoch, with the operating points once the run is complete.
pub const BEST: &str = "weights/best.safetensors";
/// The weights of the last epoch.
pub const LAST: &str = "weights/last.safetensors";
/// The note of a checkpoint that holds the [`PatientSketch`] of its training cohort.
pub const TRAIN_PATIENTS: &str = "train_patients";
const GENERATIONS: &str = "weights";
/// The images of the batch that a run stopped at.
const NON_FINITE: &str = "data/non_finite.txt";

/// What a run is to do.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// The configuration.
    pub resolved: ResolvedConfig,
    /// The labels and images.
    pub tables: Tables,
    /// The phantom's ceilings.json, where the cohort is synthetic. Only the report looks at it.
    pub ceilings: Option<Vec<u8>>,
    /// Where decoded pictures stay. No figure depends on it.
    pub keep: Keep,
    /// Where the network runs. It is no part of the configuration: a run may go on elsewhere.
    pub place: Place,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// Whether every epoch was learned from; `None` figures below where it was not.
    pub fitted: Fitted,
    /// What each epoch reached.
    pub history: History,
    /// What the tables shared, and what was done about it.
    pub leakage: LeakageRecord,
    /// The splits that were really used.
    pub splits: Vec<SplitSummary>,
    /// The epoch whose weights were taken.
    pub best_epoch: Option<u64>,
    /// BLAKE3 of the best weights.
    pub weight_digest: Option<String>,
    /// How good the best weights are on valid.
    pub valid: Option<Evaluation>,
    /// How good they are on test.
    pub test: Option<Evaluation>,
    /// How many parameters were trained.
    pub n_parameters: usize,
    /// What was noticed.
    pub warnings: Vec<String>,
}

/// A split as it was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitSummary {
    /// `train`, `valid` or `test`.
    pub name: &'static str,
    /// How many radiographs it holds.
    pub radiographs: usize,
    /// Of how many patients.
    pub patients: usize,
    /// SHA-256 of its sorted image names.
    pub fingerprint: String,
    /// The published list that it is.
    pub known_as: Option<&'static KnownSplit>,
}

/// Everything a run has read: splits without leakage, pixels, weights for positives.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) pictured: Pictured,
    pub(crate) leakage: LeakageRecord,
    pub(crate) findings: Vec<String>,
    pub(crate) preprocess: Preprocess,
    pub(crate) transform: TrainTransform,
    pub(crate) pos_weights: PosWeights,
    pub(crate) model: ModelConfig,
    pub(crate) fingerprints: Fingerprints,
    /// The patients of train, for the checkpoint.
    pub(crate) patients: PatientSketch,
    pub(crate) warnings: Vec<String>,
    /// Memory of batches, which every epoch uses again.
    pub(crate) buffers: Buffers,
}

/// Trains, evaluates and reports into `folder`; with `resume`, from the newest saved generation.
///
/// # Errors
/// See [`TrainError`]. What is in the folder stays whole and can be resumed.
pub fn run(
    request: &RunRequest,
    prepared: &Prepared,
    folder: &RunFolder,
    resume: bool,
    watch: &dyn Watch,
) -> Result<RunOutcome, TrainError> {
    let config = &request.resolved.config;
    for warning in &prepared.warnings {
        watch.warns(warning);
    }
    let mut state = fresh_state(config, prepared)?;
    if resume {
        take_up(&mut state, folder, &prepared.fingerprints, watch)?;
    } else {
        write_beginning(request, folder, prepared)?;
    }
    let weights: Vec<f32> = prepared
        .pos_weights
        .weights
        .iter()
        .map(|&w| w as f32)
        .collect();
    let pos_weights = Tensor::from_vec(weights, prepared.findings.len(), &Device::Cpu)?; // [K]
    let compute = config.compute(request.place);
    let material = material(config, prepared, &pos_weights, compute);
    let fitted = fit(&mut state, &material, config, watch, |state| {
        keep(state, config, folder, prepared)
    });
    if let Err(TrainError::NonFinite { images, .. }) = &fitted {
        folder.write(NON_FINITE, (images.join("\n") + "\n").as_bytes())?;
    }
    let fitted = fitted?;
    let n_mended = prepared.pictured.n_mended();
    if n_mended > 0 {
        watch.warns(&format!(
            "{n_mended} kept pictures were found damaged, decoded again and put back"
        ));
    }
    let outcome = RunOutcome {
        fitted,
        n_parameters: state.network.n_trainable_parameters(),
        history: state.history.clone(),
        leakage: prepared.leakage.clone(),
        splits: named(&prepared.pictured.splits)
            .map(SplitSummary::of)
            .collect(),
        best_epoch: state.best_epoch(),
        weight_digest: None,
        valid: None,
        test: None,
        warnings: prepared.warnings.clone(),
    };
    if fitted == Fitted::Stopped {
        return Ok(outcome);
    }
    crate::closing::close(&state, config, folder, prepared, (compute, outcome))
}

impl SplitSummary {
    fn of((name, cohort): (&'static str, &Cohort)) -> Self {
        Self {
            name,
            radiographs: cohort.len(),
            patients: cohort.n_patients(),
            fingerprint: cohort.fingerprint(),
            known_as: cohort.known_split(),
        }
    }
}

impl Prepared {
    /// Reads the tables and images that a request names.
    ///
    /// # Errors
    /// Tables, images or settings that cannot be used, all of them at once where they are many.
    pub fn read(request: &RunRequest, watch: &dyn Watch) -> Result<Self, TrainError> {
        let (config, tables) = (&request.resolved.config, &request.tables);
        let preprocess = config.preprocess();
        let transform = TrainTransform::new(preprocess.clone(), config.affine_ranges())?
            .with_interpolation(config.augment.interpolation);
        let ReadSplits {
            splits,
            leakage,
            mut warnings,
        } = read_splits(tables, config)?;
        let images = ImageFolder::open(&tables.images)?;
        let reading = Reading {
            folder: &images,
            spec: &preprocess,
            keep: &request.keep,
            policy: config.data.bad_images,
            watch,
        };
        let pictured = load_pictures(splits, &reading)?;
        warnings.extend(pictured.warnings.iter().cloned());
        let train = pictured.splits.train();
        let findings = train.findings().to_strings();
        let pos_weights = config.pos_weight.weights(&train.prevalence());
        warnings.extend(pos_weights.warnings.iter().cloned());
        let size = config.size as usize;
        let model = ModelConfig {
            dropout: config.dropout as f32,
            ..ModelConfig::new(config.model, findings.len(), size, size)
        };
        let fingerprints = Fingerprints {
            train: train.fingerprint(),
            valid: pictured.splits.valid().fingerprint(),
        };
        let patients = PatientSketch::of(train);
        Ok(Self {
            pictured,
            patients,
            leakage,
            findings,
            preprocess,
            transform,
            pos_weights,
            model,
            fingerprints,
            warnings,
            buffers: Buffers::default(),
        })
    }
}

fn fresh_state(config: &RunConfig, prepared: &Prepared) -> Result<TrainState, TrainError> {
    let mut network = Network::new(&prepared.model, config.seed)?;
    if !config.pretrained.is_empty() {
        start_from(&network, Path::new(&config.pretrained), &prepared.findings)?;
    }
    network.freeze(&config.freeze)?;
    let optimizer = Adam::new(config.optimizer, config.weight_decay, network.parameters());
    Ok(TrainState::new(
        network,
        optimizer,
        prepared.findings.clone(),
    ))
}

/// Takes the weights of a checkpoint; where its findings are others, all but its head.
fn start_from(network: &Network, path: &Path, findings: &[String]) -> Result<(), TrainError> {
    let checkpoint = Checkpoint::load(path)?;
    checkpoint.check_architecture(network.config().architecture)?;
    let head = match network.config().architecture {
        Architecture::XrayCnn => "fc2.",
        Architecture::ResNet18 | Architecture::ResNet34 => "fc.",
    };
    let mut tensors = checkpoint.tensors().clone();
    if checkpoint.check_findings(findings).is_err() {
        tensors.retain(|name, _| !name.starts_with(head));
    }
    network.load_some_tensors(&tensors)?;
    Ok(())
}

fn material<'a>(
    config: &RunConfig,
    prepared: &'a Prepared,
    pos_weights: &'a Tensor,
    compute: Compute,
) -> Material<'a> {
    let Pictured {
        splits,
        train,
        valid,
        ..
    } = &prepared.pictured;
    Material {
        loader: Loader::new(
            splits.train(),
            train,
            &prepared.transform,
            &prepared.buffers,
            (config.batch_size, config.seed),
        ),
        valid: splits.valid(),
        valid_pixels: valid,
        preprocess: &prepared.preprocess,
        pos_weights,
        compute,
    }
}

/// What stands in the folder before the first epoch: the configuration, the tables really used, the
/// leakage report, the class weights, the first batch as the network will see it.
fn write_beginning(
    request: &RunRequest,
    folder: &RunFolder,
    prepared: &Prepared,
) -> Result<(), TrainError> {
    let config = &request.resolved.config;
    folder.write("config.toml", request.resolved.to_toml().as_bytes())?;
    folder.write_json("data/tables.json", &request.tables)?;
    folder.write_json(LEAKAGE, &prepared.leakage)?;
    folder.write_json("data/skipped_images.json", &prepared.pictured.skipped)?;
    folder.write_json("data/preprocess.json", &prepared.preprocess)?;
    if let Some(ceilings) = &request.ceilings {
        folder.write(CEILINGS, ceilings)?;
    }
    for (split, cohort) in named(&prepared.pictured.splits) {
        cxr_data::write_cohort(cohort, &folder.path(&format!("data/{split}.csv"))?)?;
    }
    folder.draw_classes(&class_table(config, prepared))?;
    let pos_weights = Tensor::zeros(
        prepared.findings.len(),
        candle_core::DType::F32,
        &Device::Cpu,
    )?;
    let compute = config.compute(request.place);
    if let Some(batch) = material(config, prepared, &pos_weights, compute)
        .loader
        .epoch(1)
        .next()
    {
        folder.draw_first_batch(&tiles(&batch?, &prepared.preprocess))?;
    }
    let splits = named(&prepared.pictured.splits).map(|(split, cohort)| (split, cohort.len()));
    folder.append_event(
        EventKind::RunStart,
        &json!({ "seed": config.seed, "epochs": config.epochs,
                 "radiographs": splits.collect::<std::collections::BTreeMap<_, _>>() }),
    )?;
    Ok(())
}

fn class_table(config: &RunConfig, prepared: &Prepared) -> ClassTable {
    let splits: Vec<_> = named(&prepared.pictured.splits).collect();
    let prevalences: Vec<_> = splits
        .iter()
        .map(|(_, cohort)| cohort.prevalence())
        .collect();
    let size = |(name, cohort): &(&str, &Cohort)| SplitSize {
        name: (*name).to_owned(),
        radiographs: cohort.len() as u64,
    };
    let counts = |(place, name): (usize, &String)| FindingCounts {
        name: name.clone(),
        positives: prevalences
            .iter()
            .map(|p| p.findings[place].positives as u64)
            .collect(),
        pos_weight: prepared.pos_weights.weights.get(place).copied(),
    };
    ClassTable {
        splits: splits.iter().map(size).collect(),
        findings: prepared.findings.iter().enumerate().map(counts).collect(),
        pos_weight_rule: Some(config.pos_weight.to_string()),
        warnings: prepared.pos_weights.warnings.clone(),
    }
}

/// The first channel of each image of a batch, back from normalised numbers to grey values.
fn tiles(batch: &Batch<'_>, preprocess: &Preprocess) -> Vec<Tile> {
    let (height, width) = batch.images.size();
    let (mean, std) = (preprocess.mean[0], preprocess.std[0]);
    let grey = |&value: &f32| ((value * std + mean) * 255.0).round().clamp(0.0, 255.0) as u8;
    let tile = |image: &[f32]| Tile {
        width,
        height,
        pixels: image[..height * width].iter().map(grey).collect(),
    };
    let images = batch.images.numbers().chunks_exact(3 * height * width); // [3, H, W] each
    images.map(tile).collect()
}

/// Saves the epoch that has just ended: its row, its best weights, and a generation to resume from.
fn keep(
    state: &TrainState,
    config: &RunConfig,
    folder: &RunFolder,
    prepared: &Prepared,
) -> Result<(), TrainError> {
    let Some(record) = state.history.last() else {
        return Ok(());
    };
    let epoch = record.epoch;
    folder.append_epoch(&state.history)?;
    folder.append_event(
        EventKind::EpochEnd,
        &json!({ "epoch": epoch, "training_loss": record.training_pass.loss,
                 "learning_rate": record.learning_rate }),
    )?;
    folder.append_event(
        EventKind::Valid,
        &json!({ "epoch": epoch, "loss": record.valid.loss, "macro_auroc": record.valid.auroc.value,
                 "over": record.valid.auroc.over, "of": record.valid.auroc.of }),
    )?;
    let header = header(state, config, prepared)?;
    if state.best_epoch() == Some(epoch) {
        Checkpoint::of(&state.network, header.clone())?.save(&folder.path(BEST)?)?;
    }
    folder.append_event(
        EventKind::Checkpoint,
        &json!({ "epoch": epoch, "step": state.n_batches }),
    )?;
    let logs = folder.sync_logs()?;
    let files = state.to_files(header, &prepared.fingerprints, logs)?;
    let n_bytes: usize = files.values().map(Vec::len).sum();
    folder.require_space(n_bytes as u64)?;
    generation::save(&folder.path(GENERATIONS)?, state.n_batches, &files)?;
    Ok(())
}

/// What a checkpoint of this state says about itself.
pub(crate) fn header(
    state: &TrainState,
    config: &RunConfig,
    prepared: &Prepared,
) -> Result<CheckpointHeader, TrainError> {
    let not_json = |error: serde_json::Error| TrainError::Resume {
        reason: error.to_string(),
    };
    let preprocess = serde_json::to_value(&prepared.preprocess).map_err(not_json)?;
    let patients = serde_json::to_value(&prepared.patients).map_err(not_json)?;
    let training = TrainingFacts {
        train_fingerprint: Some(prepared.fingerprints.train.clone()),
        valid_fingerprint: Some(prepared.fingerprints.valid.clone()),
        epoch: Some(state.n_epochs()),
        step: Some(state.n_batches),
        seed: Some(config.seed),
        pretrained: (!config.pretrained.is_empty()).then(|| config.pretrained.clone()),
        notes: [(TRAIN_PATIENTS.to_owned(), patients)].into(),
    };
    let model = prepared.model.clone();
    let header = CheckpointHeader::new(model, prepared.findings.clone(), preprocess);
    Ok(CheckpointHeader { training, ..header })
}

/// Goes back to the newest whole generation, and cuts the logs to what it had seen.
fn take_up(
    state: &mut TrainState,
    folder: &RunFolder,
    fingerprints: &Fingerprints,
    watch: &dyn Watch,
) -> Result<(), TrainError> {
    let loaded = generation::load(&folder.path(GENERATIONS)?)?;
    for reason in &loaded.passed_over {
        watch.warns(&format!("a damaged generation was passed over: {reason}"));
    }
    let logs = state.restore(&loaded.files, fingerprints)?;
    if state.n_batches != loaded.step {
        let reason = format!("generation {} holds step {}", loaded.step, state.n_batches);
        return Err(TrainError::Resume { reason });
    }
    folder.cut_logs(&logs)?;
    Ok(())
}
