//! What run.json says of the machine, the versions and the data, at the beginning and at the end.

use std::collections::BTreeMap;
use std::time::SystemTime;

use cxr_report::{BestEpoch, DataRecord, ModelRecord, RunRecord, RunStatus, SplitRecord};
use cxr_train::{RunOutcome, RunRequest};

use crate::failure::Failure;

/// Makes rayon use so many threads.
pub(super) fn use_threads(threads: Option<usize>) -> Result<(), Failure> {
    let Some(threads) = threads else {
        return Ok(());
    };
    if threads == 0 {
        return Err(Failure::usage(
            "0 threads cannot work",
            "say --threads 1 or more",
        ));
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| Failure::bug(&error))
}

/// What is known before the first epoch.
pub(super) fn record(request: &RunRequest, name: &str) -> RunRecord {
    let config = &request.resolved.config;
    let versions = [("cxr", env!("CARGO_PKG_VERSION")), ("candle", "0.11.1")];
    RunRecord {
        status: RunStatus::Running,
        command: std::env::args().collect(),
        preset: Some(request.resolved.preset.clone()),
        started: Some(now()),
        seed: Some(config.seed),
        model: Some(ModelRecord {
            architecture: config.model.to_string(),
            width: config.size,
            height: config.size,
            pretrained: (!config.pretrained.is_empty()).then(|| config.pretrained.clone()),
            ..ModelRecord::default()
        }),
        data: Some(DataRecord {
            name: name.to_owned(),
            is_phantom: request.ceilings.is_some(),
            splits: Vec::new(),
        }),
        processor: processor(),
        threads: Some(rayon::current_num_threads()),
        device: Some(request.place.to_string()),
        versions: versions
            .map(|(name, version)| (name.to_owned(), version.to_owned()))
            .into(),
        ..RunRecord::default()
    }
}

/// Adds what is known after the last epoch.
pub(super) fn complete(
    record: &mut RunRecord,
    request: &RunRequest,
    outcome: &RunOutcome,
    seconds: f64,
) {
    record.status = RunStatus::Finished;
    record.exit_code = Some(0);
    record.finished = Some(now());
    record.seconds = Some(seconds);
    record.warnings = outcome.warnings.clone();
    if let Some(model) = &mut record.model {
        model.n_parameters = outcome.n_parameters as u64;
    }
    if let Some(data) = &mut record.data {
        data.name = match request.ceilings {
            Some(_) => "phantom".to_owned(),
            None => request.tables.train.display().to_string(),
        };
        data.splits = outcome.splits.iter().map(split_record).collect();
    }
    record.best = outcome.best_epoch.map(|epoch| BestEpoch {
        epoch,
        rule: "highest macro AUROC on valid".to_owned(),
        value: outcome
            .history
            .best()
            .and_then(|best| best.valid.auroc.value),
    });
    record.fingerprints = outcome
        .weight_digest
        .iter()
        .map(|digest| ("weights".to_owned(), digest.clone()))
        .collect::<BTreeMap<_, _>>();
}

fn split_record(split: &cxr_train::SplitSummary) -> SplitRecord {
    SplitRecord {
        name: split.name.to_owned(),
        radiographs: split.radiographs as u64,
        patients: split.patients as u64,
        fingerprint: split.fingerprint.clone(),
        known_as: split.known_as.map(|known| known.name.to_owned()),
        caution: split.known_as.map(|known| known.caution.to_owned()),
    }
}

fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// The processor's name where the system tells it.
fn processor() -> Option<String> {
    let text = fs_err::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_owned())
}
