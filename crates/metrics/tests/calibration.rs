//! Calibration maps against scikit-learn and SciPy, and what no map may change.
#![expect(
    clippy::unwrap_used,
    reason = "a golden that cannot be read fails the test"
)]

use cxr_metrics::*;
use proptest::prelude::*;
use serde::Deserialize;
use std::path::PathBuf;

/// scikit-learn's minimiser stops at a gradient of about 1e-5.
const OF_SCIKIT_LEARN: f64 = 2e-4;
/// Largest difference to a root finder.
const OF_A_ROOT: f64 = 1e-11;

#[derive(Deserialize)]
struct Case {
    name: String,
    logits: Vec<f64>,
    truths: Vec<bool>,
    platt_slope: f64,
    platt_intercept: f64,
    temperature_slope: f64,
}

fn cases() -> Vec<Case> {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/calibration.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn platts_map_is_scikit_learns_and_the_temperature_a_root_finders() {
    for case in cases() {
        let platt = LogitMap::fit_platt(&case.logits, &case.truths).unwrap();
        let near = |a: f64, b: f64| (a - b).abs() <= OF_SCIKIT_LEARN * b.abs().max(1.0);
        assert!(near(platt.slope(), case.platt_slope), "{}", case.name);
        assert!(
            near(platt.intercept(), case.platt_intercept),
            "{}: {} {}",
            case.name,
            platt.intercept(),
            case.platt_intercept
        );
        let map = LogitMap::fit_temperature(LogitMap::IDENTITY, &case.logits, &case.truths);
        let slope = map.unwrap().slope();
        let allowed = OF_A_ROOT * case.temperature_slope;
        assert!(
            (slope - case.temperature_slope).abs() <= allowed,
            "{}",
            case.name
        );
    }
}

/// What is said of rows of one finding, whose second attribute group holds the last rows.
fn evaluation_of(logits: &[f64], truths: &[bool], n_of_first: usize) -> Evaluation {
    let findings = ["Edema".to_owned()];
    let scores = Scores::Logits(Logits::new(logits.to_vec(), 1).unwrap());
    let truths_table = Truths::known(truths, 1).unwrap();
    let patients: Vec<String> = (0..logits.len()).map(|row| (row / 2).to_string()).collect();
    let view = |row| Some(if row < n_of_first { "AP" } else { "PA" }.to_owned());
    let views: Vec<_> = (0..logits.len()).map(view).collect();
    let calibrations = fit_calibrations(&findings, &scores, &truths_table, &[3.0]).unwrap();
    evaluate(&EvaluationInput {
        findings: &findings,
        scores: &scores,
        truths: &truths_table,
        patients: &patients,
        operating_points: &[OperatingPoint::half()],
        calibrations: &calibrations,
        attributes: &[Attribute::new("view", &views).unwrap()],
        split_fingerprint: "",
        convention: Convention::Strict,
    })
    .unwrap()
}

#[test]
fn every_row_of_the_calibration_table_is_the_map_applied_by_hand() {
    let case = &cases()[2];
    let evaluation = evaluation_of(&case.logits, &case.truths, 100);
    let finding = &evaluation.findings[0];
    let methods: Vec<String> = finding
        .calibrations
        .iter()
        .map(|row| row.method.to_string())
        .collect();
    assert_eq!(
        methods,
        [
            "as-trained",
            "unweighted",
            "temperature",
            "platt",
            "label-noise",
            "prior-shift"
        ]
    );
    assert_eq!(finding.calibrations[0].brier, finding.brier);
    assert_eq!(finding.calibrations[0].ece, finding.ece);
    assert_eq!(
        finding
            .calibrations
            .iter()
            .filter(|row| row.in_force)
            .count(),
        1
    );
    for row in &finding.calibrations[..5] {
        let map = LogitMap::new(row.slope.unwrap(), row.intercept.unwrap())
            .and_then(|map| map.between(row.floor.unwrap(), row.ceiling.unwrap()))
            .unwrap();
        let p: Vec<f64> = case.logits.iter().map(|&z| map.probability(z)).collect();
        let expected = brier(&p, &case.truths).unwrap();
        assert!(
            (row.brier.unwrap() - expected).abs() < 1e-14,
            "{}",
            row.method
        );
        let mean = p.iter().sum::<f64>() / 400.0;
        assert!((row.mean_probability.unwrap() - mean).abs() < 1e-12);
    }
    // Fitted and measured on the same radiographs, the shift is none.
    let in_force = finding
        .calibrations
        .iter()
        .find(|row| row.in_force)
        .unwrap();
    let distance = finding.calibrations[5].brier.unwrap() - in_force.brier.unwrap();
    assert!(distance.abs() < 1e-12);
}

#[test]
fn a_view_that_gives_the_finding_away_is_a_shortcut_and_its_groups_are_measured_apart() {
    // Every positive but one is AP; within a view, scores are worthless for AP and right for PA.
    let logits = [1.0, -1.0, 1.0, -1.0, 2.0, -3.0, -3.0, -3.0, -3.0, -3.0];
    let truths = [
        true, true, true, false, true, false, false, false, false, true,
    ];
    let evaluation = evaluation_of(&logits, &truths, 5);
    let parts = &evaluation.parts;
    let [ap, pa] = &parts.subgroups[..] else {
        panic!("two views")
    };
    assert_eq!((ap.group.as_str(), ap.rows, ap.patients), ("AP", 5, 3));
    assert_eq!((pa.group.as_str(), pa.rows, pa.patients), ("PA", 5, 3));
    assert_eq!((ap.findings[0].support, ap.findings[0].negatives), (4, 1));
    assert_eq!(ap.findings[0].recall, Some(0.75));
    assert_eq!(pa.findings[0].recall, Some(0.0));
    assert_eq!(pa.findings[0].specificity, Some(1.0));
    assert_eq!(
        ap.findings[0].undefined["auroc_ci"],
        Undefined::NegativesOfOnePatient
    );
    let gap = &parts.recall_gaps[0];
    assert_eq!((gap.highest.as_str(), gap.lowest.as_str()), ("AP", "PA"));
    assert!((gap.gap - 0.75).abs() < 1e-15);
    // AP: 4 of 5 positive, PA: 1 of 5. Won pairs: 4·4 and half of (4·1 + 1·4), of 25.
    let shortcut = &parts.shortcuts[0].findings[0];
    assert!((shortcut.auroc.unwrap() - 20.0 / 25.0).abs() < 1e-15);
    assert_eq!(shortcut.model_auroc, evaluation.findings[0].auroc);
}

#[test]
fn rows_of_an_attribute_that_is_not_known_are_in_no_group() {
    let views = [Some("AP".to_owned()), None, Some("PA".to_owned()), None];
    let findings = ["Mass".to_owned()];
    let scores = Scores::Logits(Logits::new(vec![1.0, 2.0, -1.0, 0.0], 1).unwrap());
    let input = EvaluationInput {
        findings: &findings,
        scores: &scores,
        truths: &Truths::known(&[true, true, false, false], 1).unwrap(),
        patients: &["1", "2", "3", "4"],
        operating_points: &[OperatingPoint::half()],
        calibrations: &[],
        attributes: &[Attribute::new("view", &views).unwrap()],
        split_fingerprint: "",
        convention: Convention::Strict,
    };
    let parts = evaluate(&input).unwrap().parts;
    let rows: Vec<usize> = parts.subgroups.iter().map(|group| group.rows).collect();
    assert_eq!(rows, [1, 1]);
    assert_eq!(Attribute::new("view", &views[..2]), None, "one group");
    let short = Attribute::new("view", &views[..3]).unwrap();
    let fault = evaluate(&EvaluationInput {
        attributes: &[short],
        ..input
    })
    .unwrap_err();
    assert_eq!(
        fault.to_string(),
        "rows of an attribute: expected 4, found 3"
    );
    let thirteen: Vec<_> = (0..13).map(|i| Some(i.to_string())).collect();
    assert_eq!(Attribute::new("site", &thirteen), None);
}

proptest! {
    #[test]
    fn no_map_changes_an_auroc(
        cells in proptest::collection::vec((-8.0_f64..8.0, any::<bool>()), 8..60),
        weight in 0.01_f64..100.0,
    ) {
        let (logits, truths): (Vec<f64>, Vec<bool>) = cells.into_iter().unzip();
        let before = auroc(&logits, &truths);
        let fitted = FindingCalibration::fit("Mass", &logits, &truths, weight).unwrap();
        let mut sorted = logits.clone();
        sorted.sort_by(f64::total_cmp);
        for (method, map) in &fitted.maps {
            prop_assert!(sorted.windows(2).all(|pair| map.apply(pair[0]) <= map.apply(pair[1])));
            let moved: Vec<f64> = logits.iter().map(|&z| map.apply(z)).collect();
            match (&before, auroc(&moved, &truths)) {
                // Beyond some 36 a floor and a ceiling are reached in f64, which makes ties: ranks
                // are taken from the logits themselves.
                (Ok(_), Ok(_)) if *method == CalibrationMethod::LabelNoise => {}
                // Two logits one bit apart may meet: half a pair is all that can make.
                (Ok(before), Ok(after)) => prop_assert!((before - after).abs() < 1e-3),
                (before, after) => prop_assert_eq!(before, &after),
            }
        }
    }

    #[test]
    fn the_best_temperature_and_platts_map_lose_no_more_than_their_start(
        cells in proptest::collection::vec((-8.0_f64..8.0, any::<bool>()), 8..60),
    ) {
        let (logits, truths): (Vec<f64>, Vec<bool>) = cells.into_iter().unzip();
        if let Ok(map) = LogitMap::fit_temperature(LogitMap::IDENTITY, &logits, &truths) {
            let moved: Vec<f64> = logits.iter().map(|&z| map.apply(z)).collect();
            let (after, before) = (
                log_loss_of_logits(&moved, &truths).unwrap(),
                log_loss_of_logits(&logits, &truths).unwrap(),
            );
            prop_assert!(after <= before + 1e-12);
        }
    }
}
