//! The committed tables that leak, against what pandas says of them.

#![expect(clippy::unwrap_used, reason = "a test stops where its claim fails")]

use std::path::{Path, PathBuf};

use cxr_data::{
    Cohort, ColumnKind, PosWeightRule, ReadOptions, SharedImages, SharedPatients, Splits, explore,
    read_cohort, repair, write_cohort,
};
use serde_json::Value;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

fn golden() -> Value {
    let text = std::fs::read_to_string(fixtures().join("golden/data.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn cohort(path: &Path) -> Cohort {
    let read = read_cohort(path, &ReadOptions::default()).unwrap();
    assert_eq!(read.warnings, []);
    read.cohort
}

fn leaky() -> [Cohort; 3] {
    ["train", "valid", "test"]
        .map(|name| cohort(&fixtures().join(format!("tables/leaky/{name}.csv"))))
}

#[test]
fn exploring_gives_what_pandas_gives() {
    let golden = golden();
    let path = fixtures().join("tables/leaky/train.csv");
    let explored = explore(&path, &ReadOptions::default()).unwrap();
    let found = serde_json::to_value(&explored.exploration).unwrap();
    for key in [
        "rows",
        "columns",
        "patients",
        "without_finding",
        "co_occurrence",
        "fingerprint",
    ] {
        assert_eq!(found[key], golden[key], "{key}");
    }
    assert_eq!(found["nulls"], 0);
    let close = |found: &Value, expected: &Value| {
        let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
        assert!(
            (found - expected).abs() <= 1e-12 * expected,
            "{found} {expected}"
        );
    };
    for (place, finding) in found["findings"].as_array().unwrap().iter().enumerate() {
        assert_eq!(finding["positives"], golden["positives"][place]);
        close(&finding["pos_weight"], &golden["ratio"][place]);
        close(&finding["pos_weight_sqrt"], &golden["sqrt"][place]);
    }
    let per_patient = &found["radiographs_per_patient"];
    for key in ["min", "max", "median", "mean"] {
        let (found, expected) = (&per_patient[key], &golden["per_patient"][key]);
        close(found, expected);
    }
    let histogram: Vec<Value> = per_patient["histogram"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| serde_json::json!([entry["radiographs"], entry["patients"]]))
        .collect();
    assert_eq!(Value::from(histogram), golden["per_patient"]["histogram"]);
    // The two figures that the published split is known by.
    let atelectasis = &explored.exploration.findings[0];
    assert_eq!(format!("{:.2}", atelectasis.pos_weight.unwrap()), "8.43");
    assert_eq!(
        format!("{:.2}", atelectasis.pos_weight_sqrt.unwrap()),
        "2.90"
    );
}

#[test]
fn weights_by_effective_number_are_numpys() {
    let [train, ..] = leaky();
    let rule: PosWeightRule = "effective:0.999".parse().unwrap();
    let weights = rule.weights(&train.prevalence());
    assert_eq!(weights.warnings, Vec::<String>::new());
    let golden = golden();
    for (found, expected) in weights
        .weights
        .iter()
        .zip(golden["effective_0.999"].as_array().unwrap())
    {
        let expected = expected.as_f64().unwrap();
        assert!(
            (found - expected).abs() <= 1e-12 * expected,
            "{found} {expected}"
        );
    }
}

#[test]
fn columns_have_types_and_nulls() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let content = "\u{feff}Image, PatientId,Edema,note,size,place,big,none\r\n\
        a.png,001,0,x,1.5,left,1234567890123456789012345678901234567890123456789012345678901234567890,\r\n\r\n\
        b.png,2,1,,2,right,3,\r\n";
    std::fs::write(&path, content).unwrap();
    let explored = explore(&path, &ReadOptions::default()).unwrap();
    let facts = explored.exploration;
    assert_eq!((facts.rows, facts.columns, facts.nulls), (2, 8, 3));
    let names: Vec<_> = facts
        .column_types
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "Image",
            "PatientId",
            "Edema",
            "note",
            "size",
            "place",
            "big",
            "none"
        ]
    );
    assert_eq!(facts.column_types[0].kind, ColumnKind::Text);
    assert_eq!(facts.column_types[1].kind, ColumnKind::Text);
    assert_eq!(facts.column_types[7].kind, ColumnKind::Empty);
    assert_eq!(facts.column_types[3].nulls, 1);

    std::fs::write(&path, content.replace("1234567890", "")).unwrap();
    let facts = explore(&path, &ReadOptions::default()).unwrap().exploration;
    let kinds: Vec<_> = facts.column_types[2..].iter().map(|one| one.kind).collect();
    use ColumnKind::{Empty, Integer, Number, Text};
    assert_eq!(kinds, [Integer, Text, Number, Text, Integer, Empty]);
    assert_eq!(facts.nulls, 4);
}

#[test]
fn all_shared_patients_and_images_are_named() {
    let golden = golden();
    let [train, valid, test] = leaky();
    let patients = SharedPatients::between(&train, &valid, Some(&test));
    let found: Vec<u64> = patients
        .train_valid
        .iter()
        .map(|one| one.as_str().parse().unwrap())
        .collect();
    assert_eq!(serde_json::json!(found), golden["shared_patients"]);
    assert!(patients.train_test.is_empty() && patients.valid_test.is_empty());
    let images = SharedImages::between(&train, &valid, Some(&test));
    assert_eq!(
        serde_json::json!(images.train_valid),
        serde_json::json!([golden["shared_image"]])
    );
    assert!(images.train_test.is_empty() && images.valid_test.is_empty());
    let refused = Splits::new(train, valid, Some(test)).unwrap_err();
    assert_eq!(refused.to_string(), "11 patients are in two splits");
}

#[test]
fn a_repair_leaves_96_of_109_and_its_tables_are_clean() {
    let golden = golden();
    let [train, valid, test] = leaky();
    let rows = [train.len(), valid.len(), test.len()];
    assert_eq!(serde_json::json!(rows), golden["rows_of_splits"]);
    let repaired = repair(train, valid, Some(test));
    assert_eq!(repaired.report.dropped_from_valid.len(), 13);
    assert_eq!(repaired.report.dropped_from_test.len(), 0);
    let folder = tempfile::tempdir().unwrap();
    let (train, valid, test) = repaired.splits.into_parts();
    let again = [&train, &valid, &test.unwrap()].map(|split| {
        let path = folder.path().join("again.csv");
        write_cohort(split, &path).unwrap();
        cohort(&path)
    });
    let rows = again.each_ref().map(Cohort::len);
    assert_eq!(serde_json::json!(rows), golden["rows_of_repaired"]);
    let [train, valid, test] = again;
    assert!(Splits::new(train, valid, Some(test)).is_ok());
}

#[test]
fn a_table_is_replaced_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let [train, valid, _] = leaky();
    let path = folder.path().join("out.csv");
    write_cohort(&train, &path).unwrap();
    let before = std::fs::read(&path).unwrap();
    write_cohort(&valid, &path).unwrap();
    assert_ne!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    let nowhere = folder.path().join("none/out.csv");
    let error = write_cohort(&train, &nowhere).unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("D046", 4));
    assert!(error.location().unwrap().ends_with("none/out.csv"));

    // A folder stands where the table should go: the rename fails and nothing is left behind.
    let taken = folder.path().join("taken.csv");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("x"), "x").unwrap();
    assert!(write_cohort(&train, &taken).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}
