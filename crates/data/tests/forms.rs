//! The three forms of tables, and that the order of their columns does not matter.

#![expect(clippy::unwrap_used, reason = "a test stops where its claim fails")]

use std::path::PathBuf;

use cxr_data::{Cohort, FindingSet, Label, ReadOptions, TableWarningKind, Uncertain, read_cohort};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/tables")
        .join(name)
}

fn labels(cohort: &Cohort, place: usize) -> String {
    let labels = &cohort.radiographs()[place].labels;
    labels
        .iter()
        .map(|label| label.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

fn positives(cohort: &Cohort, place: usize) -> Vec<&str> {
    let labels = cohort.radiographs()[place].labels.iter();
    cohort
        .findings()
        .iter()
        .zip(labels)
        .filter(|(_, label)| **label == Label::Positive)
        .map(|(finding, _)| finding.as_str())
        .collect()
}

#[test]
fn nihs_data_entry_form_is_read() {
    let read = read_cohort(&fixture("forms/data_entry.csv"), &ReadOptions::default()).unwrap();
    let cohort = &read.cohort;
    assert_eq!(*cohort.findings(), FindingSet::nih());
    assert_eq!((cohort.len(), cohort.n_patients()), (5, 4));
    assert_eq!(positives(cohort, 0), ["Cardiomegaly"]);
    assert_eq!(positives(cohort, 1), ["Cardiomegaly", "Emphysema"]);
    assert_eq!(positives(cohort, 2), Vec::<&str>::new());
    assert_eq!(positives(cohort, 3), ["Hernia", "Pleural_Thickening"]);
    let infant = &cohort.radiographs()[2];
    assert_eq!(infant.age, Some(0.5));
    assert_eq!(
        (infant.sex.as_deref(), infant.view.as_deref()),
        (Some("F"), Some("AP"))
    );
    assert_eq!(cohort.radiographs()[3].follow_up, Some(3));
    assert_eq!(read.warnings.len(), 1);
    assert_eq!(
        read.warnings[0].kind,
        TableWarningKind::ImplausibleAge { count: 1 }
    );
}

fn written(content: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

#[test]
fn a_list_of_findings_may_name_others_than_nihs() {
    let (_folder, path) = written(
        "Patient Sex,Finding Labels,Image Index,Patient ID\nM,Covid|Mass,a.png,1\nF,No Finding,b.png,2\n",
    );
    let read = read_cohort(&path, &ReadOptions::default()).unwrap();
    assert_eq!(read.cohort.findings().to_strings(), ["Covid", "Mass"]);
    let names = vec!["Covid".to_owned()];
    assert_eq!(
        read.warnings[0].kind,
        TableWarningKind::OtherFindings { names }
    );
}

#[test]
fn a_malformed_list_of_findings_is_refused() {
    let (_folder, path) = written(
        "Image Index,Finding Labels,Patient ID\na.png,No Finding|Mass,1\nb.png,,2\nc.png,Mass|,3\nd.png,Mass,4\n",
    );
    let faults = read_cohort(&path, &ReadOptions::default()).unwrap_err();
    let seen: Vec<_> = faults
        .faults()
        .iter()
        .map(|one| (one.code(), one.row))
        .collect();
    assert_eq!(
        seen,
        [("D026", Some(2)), ("D026", Some(3)), ("D026", Some(4))]
    );
}

#[test]
fn chexperts_form_is_read_under_each_policy() {
    let path = fixture("forms/chexpert.csv");
    let faults = read_cohort(&path, &ReadOptions::default()).unwrap_err();
    // 3 uncertain labels and 9 empty ones.
    assert_eq!(faults.n_faults(), 12);
    for (uncertain, second, third) in [
        (Uncertain::Zeros, "0 0 1 0 0", "0 0 0 1 0"),
        (Uncertain::Ones, "0 1 1 1 0", "0 0 1 1 0"),
        (Uncertain::Ignore, "0 -1 1 -1 0", "0 0 -1 1 0"),
    ] {
        let cohort = read_cohort(&path, &ReadOptions { uncertain })
            .unwrap()
            .cohort;
        assert_eq!(
            cohort.findings().to_strings(),
            [
                "No Finding",
                "Cardiomegaly",
                "Edema",
                "Pleural Effusion",
                "Support Devices"
            ]
        );
        assert_eq!(labels(&cohort, 1), second, "{uncertain}");
        assert_eq!(labels(&cohort, 2), third, "{uncertain}");
        assert_eq!(cohort.n_patients(), 3);
        let (frontal, lateral) = (&cohort.radiographs()[1], &cohort.radiographs()[2]);
        assert_eq!(frontal.patient.as_str(), "00002");
        assert_eq!(frontal.patient, lateral.patient);
        assert_eq!(
            (frontal.view.as_deref(), lateral.view.as_deref()),
            (Some("PA"), Some("Lateral"))
        );
        assert_eq!(
            (frontal.sex.as_deref(), frontal.age),
            (Some("Male"), Some(87.0))
        );
    }
}

#[test]
fn a_chexpert_path_without_a_patient_is_refused() {
    let (_folder, path) = written("Path,Sex,Age,Edema\ntrain/a.jpg,Male,3,1\n");
    let faults = read_cohort(&path, &ReadOptions::default()).unwrap_err();
    assert_eq!((faults.code(), faults.faults()[0].row), ("D022", Some(2)));
}

#[test]
fn a_test_table_in_another_order_is_brought_to_the_order_of_train_by_name() {
    let read = |name: &str| {
        read_cohort(&fixture(name), &ReadOptions::default())
            .unwrap()
            .cohort
    };
    let (train, test) = (read("leaky/train.csv"), read("leaky/test.csv"));
    assert_ne!(train.findings(), test.findings());
    let ordered = test.in_finding_order(train.findings()).unwrap();
    assert_eq!(ordered.findings(), train.findings());
    for (before, after) in test.radiographs().iter().zip(ordered.radiographs()) {
        for (finding, label) in train.findings().iter().zip(&after.labels) {
            let place = test.findings().index_of(finding.as_str()).unwrap();
            assert_eq!(before.labels[place], *label);
        }
    }
    assert_eq!(ordered.fingerprint(), test.fingerprint());
    let wanted = FindingSet::from_names(["Edema", "Covid", "Flu"]).unwrap();
    let error = test.in_finding_order(&wanted).unwrap_err();
    assert_eq!(error.code(), "D033");
    assert_eq!(error.value().as_deref(), Some(r#""Covid", "Flu""#));
}
