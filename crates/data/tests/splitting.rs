//! Splitting by patient, and the properties that hold for every cohort.

#![expect(clippy::unwrap_used, reason = "a test stops where its claim fails")]

use std::collections::BTreeSet;

use cxr_data::{
    Cohort, FindingSet, ImageName, Label, PatientId, Radiograph, ReadOptions, SharedImages,
    SharedPatients, Splits, Uncertain, read_cohort, repair, split_cohort, write_cohort,
};
use cxr_stream::{Purpose, Stream};
use proptest::prelude::*;

/// Patients with one to twelve radiographs, and findings from common to rare.
fn synthetic(n_patients: usize) -> Cohort {
    let mut stream = Stream::new(11, Purpose::Test, 0, 0);
    let prevalence = [0.2, 0.1, 0.05, 0.02, 0.004];
    let mut radiographs = Vec::new();
    for patient in 0..n_patients {
        for image in 0..=stream.below(4) * stream.below(4) {
            let labels = prevalence.map(|chance| {
                if stream.uniform() < chance {
                    Label::Positive
                } else {
                    Label::Negative
                }
            });
            radiographs.push(Radiograph::new(
                ImageName::new(format!("{patient:08}_{image:03}.png")).unwrap(),
                PatientId::new(patient.to_string()).unwrap(),
                labels.to_vec(),
            ));
        }
    }
    let findings = FindingSet::from_names(["A", "B", "C", "D", "E"]).unwrap();
    Cohort::new("synthetic", findings, radiographs).unwrap()
}

#[test]
fn splits_come_near_the_ratios_and_the_prevalence_of_the_whole() {
    let cohort = synthetic(3000);
    let split = split_cohort(&cohort, [0.8, 0.1, 0.1], 7).unwrap();
    let parts = [
        split.splits.train(),
        split.splits.valid(),
        split.splits.test().unwrap(),
    ];
    assert_eq!(
        parts.iter().map(|part| part.len()).sum::<usize>(),
        cohort.len()
    );
    let patients: usize = parts.iter().map(|part| part.n_patients()).sum();
    assert_eq!(patients, cohort.n_patients());
    for facts in &split.report.splits {
        assert!((facts.reached - facts.ratio).abs() < 0.002, "{facts:?}");
        for (place, positives) in facts.positives.iter().enumerate() {
            let all = cohort.prevalence().findings[place].positives as f64;
            // Within one and a half radiographs of what was wished for.
            assert!(
                (*positives as f64 - facts.ratio * all).abs() <= 1.5,
                "{facts:?}"
            );
        }
    }
    assert!(
        split.report.largest_difference.unwrap() < 0.002,
        "{:?}",
        split.report
    );
    assert_eq!(split.report.warnings, Vec::<String>::new());
}

#[test]
fn the_seed_decides_and_the_order_of_rows_does_not() {
    let cohort = synthetic(300);
    let names = |cohort: &Cohort, seed| -> BTreeSet<String> {
        let split = split_cohort(cohort, [0.6, 0.2, 0.2], seed).unwrap();
        let valid = split.splits.valid().radiographs().iter();
        valid.map(|one| one.image.to_string()).collect()
    };
    assert_eq!(names(&cohort, 1), names(&cohort, 1));
    assert_ne!(names(&cohort, 1), names(&cohort, 2));
    let order = Stream::new(3, Purpose::Test, 0, 0).permutation(cohort.len());
    assert_eq!(names(&cohort.select(&order), 1), names(&cohort, 1));
}

#[test]
fn a_test_split_can_be_left_out() {
    let split = split_cohort(&synthetic(50), [0.75, 0.25, 0.0], 1).unwrap();
    assert!(split.splits.test().is_none());
    assert_eq!(split.report.splits.len(), 2);
}

#[test]
fn few_patients_fill_every_split_and_fewer_are_refused() {
    for seed in 0..20 {
        let split = split_cohort(&synthetic(3), [0.8, 0.1, 0.1], seed).unwrap();
        assert!(split.report.splits.iter().all(|facts| facts.patients == 1));
    }
    let error = split_cohort(&synthetic(2), [0.8, 0.1, 0.1], 0).unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("D043", 3));
}

#[test]
fn ratios_are_parts_of_a_whole() {
    let cohort = synthetic(20);
    let nan = f64::NAN;
    for ratios in [
        [0.8, 0.1, 0.2],
        [8.0, 1.0, 1.0],
        [1.0, 0.0, 0.0],
        [0.0, 0.5, 0.5],
        [1.2, -0.1, -0.1],
        [nan, 0.5, 0.5],
    ] {
        let error = split_cohort(&cohort, ratios, 0).unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("D042", 2), "{ratios:?}");
        assert!(error.help().unwrap().contains("add up to 1"));
    }
    assert!(split_cohort(&cohort, [0.7, 0.2, 0.1], 0).is_ok());
}

#[test]
fn a_finding_without_positives_in_a_split_is_a_warning() {
    let cohort = synthetic(12);
    let report = split_cohort(&cohort, [0.5, 0.25, 0.25], 0).unwrap().report;
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("\"E\"")),
        "{report:?}"
    );
}

fn label() -> impl Strategy<Value = Label> {
    prop_oneof![
        Just(Label::Negative),
        Just(Label::Positive),
        Just(Label::Unknown)
    ]
}

fn text(pattern: &'static str) -> impl Strategy<Value = String> {
    pattern.prop_map(|text: String| text.trim().to_owned())
}

fn optional_text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(text("[ -~é]{1,6}")).prop_map(|text| text.filter(|text| !text.is_empty()))
}

prop_compose! {
    fn radiograph(n_findings: usize)(
        image in "[a-zA-Z0-9,\"' é_-]{1,12}[.]png",
        patient in "([0-9]{1,3}|[A-Z,\"]{1,3})",
        labels in proptest::collection::vec(label(), n_findings),
        age in proptest::option::of(0.0f32..120.0),
        sex in optional_text(),
        view in optional_text(),
        follow_up in proptest::option::of(any::<i64>()),
    ) -> Radiograph {
        Radiograph {
            image: ImageName::new(image.trim_start()).unwrap(),
            patient: PatientId::new(patient).unwrap(),
            labels, age, sex, view, follow_up,
        }
    }
}

/// At least one known label a finding, so that each column is seen to be one.
fn cohort() -> impl Strategy<Value = Cohort> {
    (1usize..4, 1usize..30).prop_flat_map(|(n_findings, n_rows)| {
        proptest::collection::vec(radiograph(n_findings), n_rows).prop_map(
            move |mut radiographs| {
                let mut seen = BTreeSet::new();
                radiographs.retain(|one| seen.insert(one.image.clone()));
                // One spelling a patient, as the reader makes it.
                let mut spellings: Vec<PatientId> = Vec::new();
                for radiograph in &mut radiographs {
                    match spellings.iter().find(|known| **known == radiograph.patient) {
                        Some(first) => radiograph.patient = first.clone(),
                        None => spellings.push(radiograph.patient.clone()),
                    }
                }
                let findings = ["Mass", "Lung, \"left\"", "Ödem"]
                    .into_iter()
                    .take(n_findings);
                let findings = FindingSet::from_names(findings).unwrap();
                Cohort::new("any", findings, radiographs).unwrap()
            },
        )
    })
}

fn read_back(cohort: &Cohort) -> Cohort {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    write_cohort(cohort, &path).unwrap();
    let options = ReadOptions {
        uncertain: Uncertain::Ignore,
    };
    read_cohort(&path, &options)
        .unwrap()
        .cohort
        .named(cohort.name())
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(cohort in cohort()) {
        prop_assert_eq!(read_back(&cohort), cohort);
    }

    #[test]
    fn splitting_never_shares_a_patient_and_loses_nothing(cohort in cohort(), seed in any::<u64>()) {
        let ratios = [0.5, 0.25, 0.25];
        match split_cohort(&cohort, ratios, seed) {
            Err(error) => {
                prop_assert_eq!(error.code(), "D043");
                prop_assert!(cohort.n_patients() < 3);
            }
            Ok(split) => {
                let (train, valid, test) = split.splits.into_parts();
                let test = test.unwrap();
                prop_assert!(SharedPatients::between(&train, &valid, Some(&test)).is_empty());
                prop_assert!(SharedImages::between(&train, &valid, Some(&test)).is_empty());
                prop_assert_eq!(train.len() + valid.len() + test.len(), cohort.len());
                prop_assert!(!train.is_empty() && !valid.is_empty() && !test.is_empty());
            }
        }
    }

    #[test]
    fn a_repair_ends_all_sharing_and_a_second_one_changes_nothing(
        train in cohort(), valid in cohort(), test in cohort(),
    ) {
        let once = repair(train.clone(), valid, Some(test));
        prop_assert_eq!(once.splits.train(), &train);
        let (train, valid, test) = once.splits.clone().into_parts();
        let images = SharedImages::between(&train, &valid, test.as_ref());
        prop_assert!(images.is_empty());
        prop_assert!(Splits::new(train.clone(), valid.clone(), test.clone()).is_ok());
        let twice = repair(train, valid, test);
        prop_assert_eq!(twice.splits, once.splits);
        prop_assert!(twice.report.dropped_from_valid.is_empty());
        prop_assert!(twice.report.dropped_from_test.is_empty());
    }

    #[test]
    fn the_order_of_columns_does_not_matter(cohort in cohort(), seed in any::<u64>()) {
        let folder = tempfile::tempdir().unwrap();
        let (path, permuted) = (folder.path().join("t.csv"), folder.path().join("p.csv"));
        write_cohort(&cohort, &path).unwrap();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(&path).unwrap();
        let mut writer = csv::Writer::from_path(&permuted).unwrap();
        let mut order = None;
        for record in reader.records() {
            let record = record.unwrap();
            let order = order.get_or_insert_with(|| {
                Stream::new(seed, Purpose::Test, 0, 0).permutation(record.len())
            });
            writer.write_record(order.iter().map(|place| &record[*place])).unwrap();
        }
        writer.flush().unwrap();
        let options = ReadOptions { uncertain: Uncertain::Ignore };
        let read = read_cohort(&permuted, &options).unwrap().cohort;
        prop_assert_eq!(read.fingerprint(), cohort.fingerprint());
        let ordered = read.in_finding_order(cohort.findings()).unwrap();
        prop_assert_eq!(ordered.radiographs(), cohort.radiographs());
    }
}
