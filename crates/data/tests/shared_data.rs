//! The facts that are known of the published tables, where they are at hand.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where its claim fails"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use cxr_data::{
    Cohort, PatientSketch, ReadOptions, SharedImages, SharedPatients, explore, known_split,
    read_cohort, repair, split_cohort,
};

/// The folder of the published tables, or `None` after saying that it is not here.
fn nih() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("CXR_SHARED").map_or(beside, PathBuf::from);
    let nih = root.join("nih");
    if nih.is_dir() {
        return Some(nih);
    }
    println!("skipped: {} not here", nih.display());
    None
}

fn cohort(path: PathBuf) -> Cohort {
    read_cohort(&path, &ReadOptions::default()).unwrap().cohort
}

#[test]
fn the_small_tables_have_the_published_figures() {
    let Some(nih) = nih() else { return };
    let explored = explore(&nih.join("seed/train-small.csv"), &ReadOptions::default()).unwrap();
    let facts = explored.exploration;
    assert_eq!(
        (facts.rows, facts.columns, facts.patients, facts.nulls),
        (1000, 16, 928, 0)
    );
    let positives: Vec<_> = facts.findings.iter().map(|one| one.positives).collect();
    assert_eq!(
        positives,
        [106, 20, 33, 16, 128, 13, 14, 2, 175, 45, 54, 21, 10, 38]
    );
    let first = &facts.findings[0];
    assert_eq!(first.name, "Atelectasis");
    assert_eq!(format!("{:.2}", first.pos_weight.unwrap()), "8.43");
    assert_eq!(format!("{:.2}", first.pos_weight_sqrt.unwrap()), "2.90");
}

#[test]
fn the_small_tables_share_11_patients_and_1_image() {
    let Some(nih) = nih() else { return };
    let [train, valid, test] = ["train-small", "valid-small", "test"]
        .map(|name| cohort(nih.join(format!("seed/{name}.csv"))));
    let shared = SharedPatients::between(&train, &valid, Some(&test));
    let ids: Vec<_> = shared.train_valid.iter().map(|one| one.as_str()).collect();
    assert_eq!(
        ids,
        [
            "4461", "7482", "8760", "9925", "10888", "18253", "19981", "20290", "22764", "27618",
            "28208"
        ]
    );
    assert!(shared.train_test.is_empty() && shared.valid_test.is_empty());
    let images = SharedImages::between(&train, &valid, Some(&test));
    assert_eq!(images.train_valid, ["00008760_004.png"]);
    assert!(images.train_test.is_empty() && images.valid_test.is_empty());
    assert_eq!(valid.len(), 109);
    let repaired = repair(train, valid, Some(test)).splits;
    let test_rows = repaired.test().map(Cohort::len);
    assert_eq!(
        (repaired.train().len(), repaired.valid().len(), test_rows),
        (1000, 96, Some(420))
    );
}

#[test]
fn the_thumbs_share_15_8_and_9_patients() {
    let Some(nih) = nih() else { return };
    let [train, valid, test] =
        ["train", "valid", "test"].map(|name| cohort(nih.join(format!("thumbs-64/{name}.csv"))));
    let shared = SharedPatients::between(&train, &valid, Some(&test));
    let counts = [&shared.train_valid, &shared.train_test, &shared.valid_test].map(Vec::len);
    assert_eq!(counts, [15, 8, 9]);
}

#[test]
fn all_112_120_rows_are_read_split_and_checked() {
    let Some(nih) = nih() else { return };
    let started = Instant::now();
    let whole = cohort(nih.join("full-labels.csv"));
    let read = started.elapsed();
    assert_eq!((whole.len(), whole.n_patients()), (112_120, 30_805));
    let split = split_cohort(&whole, [0.8, 0.1, 0.1], 1).unwrap();
    let split_at = started.elapsed();
    let (train, valid, test) = split.splits.into_parts();
    assert!(SharedPatients::between(&train, &valid, test.as_ref()).is_empty());
    assert!(SharedImages::between(&train, &valid, test.as_ref()).is_empty());
    println!(
        "read {read:?}, split {:?}, checked {:?}, largest difference {:?}",
        split_at - read,
        started.elapsed() - split_at,
        split.report.largest_difference
    );
    assert!(split.report.largest_difference.unwrap() < 1e-3);
    let limit = if cfg!(debug_assertions) { 10.0 } else { 2.0 };
    assert!(
        started.elapsed().as_secs_f64() < limit,
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn published_lists_are_recognised_whole_and_only_whole() {
    let Some(nih) = nih() else { return };
    let whole = cohort(nih.join("full-labels.csv"));
    let listed = |name: &str| {
        let text = std::fs::read_to_string(nih.join(name)).unwrap();
        let names: BTreeSet<&str> = text.lines().map(str::trim).collect();
        let is_listed = |place: &usize| names.contains(whole.radiographs()[*place].image.as_str());
        let places: Vec<usize> = (0..whole.len()).filter(is_listed).collect();
        whole.select(&places)
    };
    let test = listed("official_test_list.txt");
    let short = test.select(&(1..test.len()).collect::<Vec<_>>());
    assert_eq!(short.known_split(), None);
    let seed = |name: &str| cohort(nih.join(format!("seed/{name}.csv")));
    for (cohort, name) in [
        (
            listed("official_train_val_list.txt"),
            "NIH official train_val",
        ),
        (test, "NIH official test"),
        (whole.clone(), "NIH ChestX-ray14, all"),
        (seed("train-small"), "the write-up's train-small"),
        (seed("valid-small"), "the write-up's valid-small"),
        (seed("test"), "the write-up's test"),
    ] {
        let known = cohort.known_split().unwrap();
        assert_eq!(known.name, name);
        assert_eq!(known_split(&cohort.fingerprint()), Some(known));
        assert_eq!(
            (known.n_radiographs, known.n_patients),
            (cohort.len(), cohort.n_patients())
        );
    }
}

#[test]
fn a_list_with_folders_before_its_names_is_recognised() {
    let Some(nih) = nih() else { return };
    let text = std::fs::read_to_string(nih.join("seed/valid-small.csv")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("valid.csv");
    std::fs::write(&path, text.replace("\n0", "\nimages_001/0")).unwrap();
    let valid = cohort(path);
    assert!(valid.radiographs()[3].image.as_str().contains('/'));
    assert_eq!(known_split(&valid.fingerprint()), None);
    let known = valid.known_split().unwrap();
    assert_eq!(known.name, "the write-up's valid-small");
}

#[test]
fn a_sketch_of_nih_s_train_val_list_is_small_and_exact() {
    let Some(nih) = nih() else { return };
    let whole = cohort(nih.join("full-labels.csv"));
    let sketch = PatientSketch::of(&whole);
    let n_bytes = serde_json::to_vec(&sketch).unwrap().len();
    println!("{} patients in {n_bytes} bytes", sketch.n_patients());
    assert!(n_bytes < 310_000);
    let test = cohort(nih.join("seed/test.csv"));
    let overlap = sketch.overlap(&test).unwrap();
    assert_eq!((overlap.patients, overlap.of), (389, 389));
    let train = PatientSketch::of(&cohort(nih.join("seed/train-small.csv")));
    assert_eq!(train.overlap(&test).unwrap().patients, 0);
    let valid = cohort(nih.join("seed/valid-small.csv"));
    let overlap = train.overlap(&valid).unwrap();
    assert_eq!((overlap.patients, overlap.of), (11, 97));
}
