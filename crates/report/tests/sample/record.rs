//! How the sample's run was started, on what, and how it ended.

use std::collections::BTreeMap;

use cxr_report::{BestEpoch, DataRecord, ModelRecord, RunRecord, RunStatus, SplitRecord};

/// `run.json`.
pub(crate) fn record() -> RunRecord {
    let split = |name: &str, radiographs, patients| SplitRecord {
        name: name.into(),
        radiographs,
        patients,
        fingerprint: format!("{:064x}", radiographs * 7919),
        known_as: (name == "test").then(|| "a list of the sample’s own".into()),
        caution: (name == "test").then(|| "Half of it is <b>made up</b>.".into()),
    };
    RunRecord {
        status: RunStatus::Finished,
        exit_code: Some(0),
        command: ["cxr", "train", "--set", "epochs=12"]
            .map(String::from)
            .into(),
        preset: Some("phantom".into()),
        started: Some("2026-05-09T10:00:00Z".into()),
        finished: Some("2026-05-09T10:03:20Z".into()),
        seconds: Some(200.4),
        seed: Some(20_240_601),
        model: Some(ModelRecord {
            architecture: "xray-cnn".into(),
            n_parameters: 2_206_990,
            width: 64,
            height: 64,
            pretrained: None,
        }),
        data: Some(DataRecord {
            name: "phantom, seed 20240601".into(),
            is_phantom: true,
            splits: vec![
                split("train", 1400, 874),
                split("valid", 192, 120),
                split("test", 400, 249),
            ],
        }),
        best: super::history(12).best().map(|epoch| BestEpoch {
            epoch: epoch.epoch,
            rule: "valid macro AUROC".into(),
            value: epoch.valid.auroc.value,
        }),
        processor: Some("Example processor, 2 cores".into()),
        threads: Some(2),
        memory_bytes: Some(8 << 30),
        device: Some("cpu".into()),
        versions: BTreeMap::from([
            ("cxr".into(), "0.1.0".into()),
            ("candle".into(), "0.11.1".into()),
        ]),
        fingerprints: BTreeMap::from([("weights".into(), "6f1d".repeat(16))]),
        timings: BTreeMap::from([("decode".into(), 3.21), ("training".into(), 180.7)]),
        warnings: vec!["Hernia has no positive in train: its weight is 1.".into()],
        ..RunRecord::default()
    }
}

/// `config.toml`.
pub(crate) const CONFIG: &str = "batch_size = 64  # default\nepochs = 12  # cli\nmodel = \"xray-cnn\"  # default (preset phantom)\n\
seed = 20240601  # default\n\n[augment]\nflip_probability = 0.0  # default\nmax_degrees = 7.5  # default\n\n\
[data]\ntrain = \"runs/phantom/a rather long path to a table of labels/train.csv\"  # file (my-settings.toml)\n";
