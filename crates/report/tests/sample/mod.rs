//! A run folder full of plausible numbers, for tests and for looking at the page.
//!
//! Scores are drawn, so every figure is measured and none is made up. One finding is never there,
//! one is there once, one has a name that is markup.

#![expect(
    clippy::unwrap_used,
    reason = "a sample that cannot be made is a failed test"
)]

mod record;

use std::collections::BTreeMap;

use cxr_metrics::{
    Attribute, Cells, Convention, EpochRecord, Evaluation, EvaluationInput, FindingCalibration,
    History, Logits, MacroMean, OperatingPoint, PassSummary, Scores, ThresholdRule, Truths,
    choose_operating_points, evaluate,
};
use cxr_report::plots::{ClassTable, FindingCounts, SplitSize, Tile};
use cxr_report::*;
use cxr_stream::{Purpose, Stream};
use record::CONFIG;
pub(crate) use record::record;
use serde_json::json;

/// Name, prevalence, and how far the scores of ill and well are apart.
pub(crate) const FINDINGS: [(&str, f64, f64); 14] = [
    ("Atelectasis", 0.21, 0.9),
    ("Cardiomegaly", 0.12, 2.4),
    ("Consolidation", 0.09, 0.6),
    ("Edema", 0.1, 1.9),
    ("Effusion", 0.25, 2.1),
    ("Emphysema", 0.07, 1.4),
    ("Fibrosis", 0.04, 0.3),
    ("Hernia", 0.0, 0.0),
    ("Infiltration", 0.3, 1.5),
    ("Mass", 0.08, 0.2),
    ("<b>Nodule & \"co\"</b>", 0.09, 0.05),
    ("Pleural_Thickening", 0.06, 0.35),
    ("Pneumonia", 0.003, 0.5),
    ("Pneumothorax", 0.1, 1.1),
];

/// One split's scores and labels with its evaluation.
pub(crate) struct Split {
    pub(crate) scores: Scores,
    pub(crate) truths: Truths,
    pub(crate) evaluation: Evaluation,
}

pub(crate) fn names() -> Vec<String> {
    FINDINGS.iter().map(|&(name, ..)| name.to_owned()).collect()
}

fn draw(n_rows: u64, seed: u64) -> (Scores, Truths) {
    let (mut logits, mut truths) = (Vec::new(), Vec::new());
    for row in 0..n_rows {
        for (place, &(_, prevalence, distance)) in (0..).zip(&FINDINGS) {
            let mut stream = Stream::new(seed, Purpose::Test, place, row);
            let is_there = stream.uniform() < prevalence;
            let mean = if is_there { distance } else { 0.0 };
            truths.push(is_there);
            logits.push(mean + stream.normal() - 1.5);
        }
    }
    let scores = Scores::Logits(Logits::new(logits, FINDINGS.len()).unwrap());
    (scores, Truths::known(&truths, FINDINGS.len()).unwrap())
}

/// Maps fitted on these radiographs, as for a loss that weighs positives 3 times.
fn fit(scores: &Scores, truths: &Truths) -> Vec<FindingCalibration> {
    let fit = |(place, name): (usize, &String)| {
        let cells = Cells::of(scores, truths, place).unwrap();
        FindingCalibration::fit(name, &cells.scores, &cells.truths, 3.0).unwrap()
    };
    names().iter().enumerate().map(fit).collect()
}

/// Sex, age band and view; the view goes with the effusion, and some radiographs have none.
fn attributes(truths: &Truths) -> Vec<Attribute> {
    let rows: Vec<usize> = (0..truths.n_rows()).collect();
    let effusion = truths.column(4);
    let attribute = |name: &str, group: &dyn Fn(usize) -> Option<&'static str>| {
        let groups: Vec<Option<String>> = rows
            .iter()
            .map(|&row| group(row).map(str::to_owned))
            .collect();
        Attribute::new(name, &groups).unwrap()
    };
    let ages = ["0–17", "18–39", "40–64", "65+"];
    vec![
        attribute("sex", &|row| Some(if row / 2 % 3 == 0 { "F" } else { "M" })),
        attribute("age band", &|row| ages.get(row / 2 * 7 % 4).copied()),
        attribute("view <i>", &|row| match (effusion[row], row % 10) {
            (_, 9) => None,
            (Some(true), 0..7) => Some("AP"),
            (_, 0..2) => Some("AP"),
            _ => Some("PA"),
        }),
    ]
}

fn split(
    n_rows: u64,
    seed: u64,
    points: &[OperatingPoint],
    calibrations: &[FindingCalibration],
) -> Split {
    let (scores, truths) = draw(n_rows, seed);
    let patients: Vec<String> = (0..n_rows).map(|row| (row / 2).to_string()).collect();
    let evaluation = evaluate(&EvaluationInput {
        findings: &names(),
        scores: &scores,
        truths: &truths,
        patients: &patients,
        operating_points: points,
        calibrations,
        attributes: &attributes(&truths),
        split_fingerprint: "9f2c1e44b07a6d3158ac02e7f4d91b6a",
        convention: Convention::Strict,
    })
    .unwrap();
    Split {
        scores,
        truths,
        evaluation,
    }
}

/// What valid gives away: thresholds and calibrations.
pub(crate) fn fitted_on_valid() -> (Vec<OperatingPoint>, Vec<FindingCalibration>) {
    let (scores, truths) = draw(200, 1);
    let points = choose_operating_points(&scores, &truths, ThresholdRule::Youden).unwrap();
    (points, fit(&scores, &truths))
}

/// Valid with thresholds and calibrations of its own, and test with those.
pub(crate) fn splits() -> (Split, Split) {
    let (points, fitted) = fitted_on_valid();
    (
        split(200, 1, &points, &fitted),
        split(400, 2, &points, &fitted),
    )
}

pub(crate) fn history(n_epochs: u32) -> History {
    let mut history = History::new(names());
    for epoch in 1..=n_epochs {
        let done = 1.0 - (-f64::from(epoch) / 4.0).exp();
        let pass = |loss: f64, subset: f64, best: f64| {
            let wobble = (f64::from(epoch) * 2.1).sin() * 0.01;
            let aurocs: Vec<Option<f64>> = FINDINGS
                .iter()
                .map(|&(_, prevalence, distance)| {
                    let auroc = 0.5 + (best - 0.5) * done * (distance / 2.0).min(1.0) + wobble;
                    (prevalence > 0.0).then_some(auroc)
                })
                .collect();
            PassSummary {
                loss,
                subset_accuracy: Some(subset + wobble),
                label_accuracy: Some(0.86 + 0.05 * done),
                auroc: MacroMean::of(aurocs.iter().copied()),
                average_precision: MacroMean::of(aurocs.iter().map(|auroc| auroc.map(|a| a / 2.0))),
                auroc_per_finding: aurocs,
            }
        };
        let overfitting = (f64::from(epoch) - 8.0).max(0.0) * 0.006;
        history
            .push(EpochRecord {
                epoch: epoch.into(),
                learning_rate: 1e-3 * (1.0 - f64::from(epoch) / 20.0),
                seconds: 6.4,
                images_per_second: 231.0,
                training_pass: pass(0.62 - 0.3 * done, 0.2 + 0.15 * done, 0.95),
                train: None,
                valid: pass(
                    0.6 - 0.2 * done + overfitting,
                    0.22 + 0.1 * done,
                    0.92 - overfitting,
                ),
            })
            .unwrap();
    }
    history
}

pub(crate) fn classes() -> ClassTable {
    let sizes = [("train", 1400_u64), ("valid", 192), ("test", 400)];
    let findings = FINDINGS.iter().map(|&(name, prevalence, _)| FindingCounts {
        name: name.into(),
        positives: sizes
            .iter()
            .map(|&(_, rows)| {
                (0..rows)
                    .filter(|row| (*row as f64 * 0.618) % 1.0 < prevalence)
                    .count() as u64
            })
            .collect(),
        pos_weight: Some(if prevalence > 0.0 {
            ((1.0 - prevalence) / prevalence).sqrt()
        } else {
            1.0
        }),
    });
    ClassTable {
        findings: findings.collect(),
        splits: sizes
            .iter()
            .map(|&(name, radiographs)| SplitSize {
                name: name.into(),
                radiographs,
            })
            .collect(),
        pos_weight_rule: Some("sqrt".into()),
        warnings: vec!["Hernia has no positive in train: its weight is 1.".into()],
    }
}

/// Grey shapes that are told apart: no radiographs.
pub(crate) fn tiles() -> Vec<Tile> {
    (0..32).map(|place| tile(place, 64)).collect()
}

fn tile(place: u64, side: u32) -> Tile {
    let scale = 64.0 / f64::from(side);
    {
        let mut stream = Stream::new(3, Purpose::Test, 99, place);
        let (x0, y0, tilt) = (
            stream.range(22.0, 42.0),
            stream.range(24.0, 40.0),
            stream.range(-0.4, 0.4),
        );
        let pixel = |x: f64, y: f64| {
            let (u, v) = (x - x0 + tilt * (y - y0), y - y0);
            let lung = |side: f64| (((u - side) / 10.0).powi(2) + (v / 18.0).powi(2)).min(1.0);
            (60.0 + 150.0 * lung(-12.0) * lung(12.0) * (1.0 - (u / 60.0).powi(2)).max(0.0)) as u8
        };
        Tile {
            width: side as usize,
            height: side as usize,
            pixels: (0..side * side)
                .map(|i| pixel(scale * f64::from(i % side), scale * f64::from(i / side)))
                .collect(),
        }
    }
}

/// The examples of test with their pictures.
fn examples(test: &Split, points: &[OperatingPoint]) -> Vec<Example> {
    let chosen = choose_examples(&test.scores, &test.truths, points).unwrap();
    let example = |one: &ChosenExample| {
        let logit = test.scores.ranking_column(one.finding)[one.row];
        Example {
            finding: names()[one.finding].clone(),
            kind: one.kind,
            image: format!("{:08}_<{:03}>.png", one.row / 2, one.row % 2),
            logit,
            probability: 1.0 / (1.0 + (-logit).exp()),
            threshold: points[one.finding].threshold().probability(),
            picture: tile(one.row as u64, 256),
        }
    };
    chosen.iter().map(example).collect()
}

fn ceilings() -> serde_json::Value {
    let of = |auroc: f64| json!([{"split": "test", "ceiling": {"auroc": auroc}}]);
    let findings = FINDINGS.iter().map(|&(name, _, distance)| {
        json!({"name": name, "splits": of((0.62 + 0.16 * distance).min(0.97))})
    });
    json!({"recipe": {}, "findings": findings.collect::<Vec<_>>()})
}

/// Writes everything that a finished run has.
pub(crate) fn write_run(run: &RunFolder) {
    let (valid, test) = splits();
    run.append_event(EventKind::RunStart, &json!({"seed": 20_240_601}))
        .unwrap();
    run.write("config.toml", CONFIG.as_bytes()).unwrap();
    run.write_json(RUN_RECORD, &record()).unwrap();
    run.draw_classes(&classes()).unwrap();
    run.draw_first_batch(&tiles()).unwrap();
    run.write_json(CEILINGS, &ceilings()).unwrap();
    let leakage = LeakageRecord {
        shared_patients: BTreeMap::from([(
            "train_valid".into(),
            ["17", "204", "311", "590", "871"].map(String::from).into(),
        )]),
        rows: BTreeMap::from([
            ("train".into(), 1400),
            ("valid".into(), 200),
            ("test".into(), 400),
        ]),
        repaired_rows: Some(BTreeMap::from([
            ("train".into(), 1400),
            ("valid".into(), 192),
            ("test".into(), 400),
        ])),
        ..LeakageRecord::default()
    };
    run.write_json(LEAKAGE, &leakage).unwrap();
    for n_epochs in 1..=12 {
        run.append_epoch(&history(n_epochs)).unwrap();
    }
    run.draw_history(&history(12), Some(&valid.evaluation.baselines))
        .unwrap();
    run.draw_evaluation("test", &test.evaluation, &test.scores, &test.truths)
        .unwrap();
    let (points, fitted) = fitted_on_valid();
    let of_test = (&test.scores, &test.truths);
    run.draw_findings("test", &test.evaluation, of_test, &fitted)
        .unwrap();
    run.draw_examples("test", &examples(&test, &points))
        .unwrap();
    let evaluations = Evaluations {
        valid: Some(valid.evaluation),
        test: Some(test.evaluation),
    };
    run.write_json(EVALUATION, &evaluations).unwrap();
}
