//! What a reader of the tables may rely on: each figure of evaluation.json stands in its own cell.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of tests fail as tests do"
)]

mod sample;
mod tables;

use std::path::Path;

use cxr_report::{RunFolder, page};
use serde_json::Value;
use tables::{Cell, Table};

fn sample_run() -> (tempfile::TempDir, RunFolder, String, Value) {
    let root = tempfile::tempdir().unwrap();
    let run = RunFolder::create(root.path(), "sample").unwrap();
    sample::write_run(&run);
    let text = std::fs::read_to_string(run.dir().join("evaluation.json")).unwrap();
    let evaluations: Value = serde_json::from_str(&text).unwrap();
    let page = page_of(run.dir());
    (root, run, page, evaluations["test"].clone())
}

fn page_of(dir: &Path) -> String {
    page::html(&page::ReportData::read(dir).unwrap())
}

/// The value as the page prints it.
fn printed(value: &Value) -> Option<String> {
    Some(format!("{:.3}", value.as_f64()?).replace('-', "−"))
}

fn printed_interval(value: &Value) -> Option<String> {
    Some(format!("{}–{}", printed(&value[0])?, printed(&value[1])?))
}

/// The figure, or "–" with its reason.
fn assert_cell(cell: &Cell, figures: &Value, key: &str, reason_key: &str) {
    match printed(&figures[key]) {
        Some(figure) => assert_eq!(cell.figure, figure, "{key}"),
        None => {
            let undefined = &figures["undefined"];
            let reason = undefined[key].as_str().or(undefined[reason_key].as_str());
            assert_eq!(cell.figure, "–", "{key}");
            assert_eq!(cell.remarks, [reason.unwrap()], "{key}");
        }
    }
}

fn name_of(finding: &Value) -> &str {
    finding["name"].as_str().unwrap()
}

fn in_force(finding: &Value) -> &Value {
    let mut fitted = finding["calibrations"].as_array().unwrap().iter();
    fitted.find(|one| one["in_force"] == true).unwrap()
}

/// The part of the page about the finding of that place.
fn section(page: &str, place: usize) -> &str {
    let start = format!("id=\"finding-{}\"", place + 1);
    let (_, section) = page.split_once(&start).unwrap();
    section.split_once("</details>").unwrap().0
}

#[test]
fn each_finding_has_its_figures_in_its_row_and_under_their_names() {
    let (_root, _run, page, test) = sample_run();
    let table = Table::of(&page, "findings");
    for finding in test["findings"].as_array().unwrap() {
        let row = table.row(name_of(finding));
        for (column, key, beside) in [
            ("AUROC", "auroc", printed_interval(&finding["auroc_ci"])),
            (
                "Average precision",
                "average_precision",
                printed(&finding["prevalence"]).map(|value| format!("prevalence {value}")),
            ),
            (
                "Sensitivity",
                "recall",
                printed_interval(&finding["recall_ci"]),
            ),
            (
                "Specificity",
                "specificity",
                printed_interval(&finding["specificity_ci"]),
            ),
            ("Precision", "precision", None),
            ("Threshold", "threshold", None),
        ] {
            assert_cell(&row[column], finding, key, key);
            if let (Some(beside), false) = (beside, finding[key].is_null()) {
                assert_eq!(row[column].remarks, [beside], "{column}");
            }
        }
        let fitted = in_force(finding);
        let no_skill = printed(&finding["baselines"]["brier_prevalence"]).unwrap();
        assert_cell(&row["Brier score"], fitted, "brier", "map");
        assert_eq!(
            row["Brier score"].remarks,
            [format!("prevalence’s {no_skill}")]
        );
        assert_cell(&row["Calibration error"], fitted, "ece", "map");
        let by_chance = printed(&fitted["ece_by_chance"]).unwrap();
        assert_eq!(
            row["Calibration error"].remarks,
            [format!("by chance {by_chance}")]
        );
        assert_eq!(row["Positives"].figure, finding["support"].to_string());
    }
    let mean = &table.row("Mean")["AUROC"];
    let interval = printed_interval(&test["macro"]["auroc_ci"]).unwrap();
    assert_eq!(mean.remarks, [interval, "over 13 of 14".into()]);
}

#[test]
fn each_way_to_calibrate_has_its_figures_in_the_findings_section() {
    let (_root, _run, page, test) = sample_run();
    let findings = test["findings"].as_array().unwrap();
    let mut n_undefined = 0;
    for (place, finding) in findings.iter().enumerate() {
        let table = Table::of(section(&page, place), "calibration");
        for figures in finding["calibrations"].as_array().unwrap() {
            let row = table.row(figures["method"].as_str().unwrap());
            for (column, key) in [
                ("Slope", "slope"),
                ("Intercept", "intercept"),
                ("Mean probability", "mean_probability"),
                ("Brier score", "brier"),
                ("Log loss", "log_loss"),
                ("Calibration error", "ece"),
                ("By chance", "ece_by_chance"),
            ] {
                assert_cell(&row[column], figures, key, "map");
                n_undefined += usize::from(figures[key].is_null());
            }
        }
        let marked = format!(
            "<tr class=\"set\"><th scope=\"row\">{}<small>in force</small>",
            in_force(finding)["method"].as_str().unwrap()
        );
        assert_eq!(
            section(&page, place).matches(&marked).count(),
            1,
            "{marked}"
        );
        assert_eq!(section(&page, place).matches(">in force<").count(), 1);
    }
    assert!(n_undefined > 0, "the sample has no map that does not exist");
}

#[test]
fn the_carried_and_the_oracle_point_and_the_four_counts_are_the_findings_own() {
    let (_root, _run, page, test) = sample_run();
    let findings = test["findings"].as_array().unwrap();
    for (place, finding) in findings.iter().enumerate() {
        let section = section(&page, place);
        let points = Table::of(section, "points");
        let columns = [
            ("Threshold", "threshold"),
            ("Sensitivity", "recall"),
            ("Specificity", "specificity"),
            ("Precision", "precision"),
            ("F1", "f1"),
        ];
        for (column, key) in columns {
            assert_cell(&points.row("carried")[column], finding, key, key);
            if let Some(figure) = printed(&finding["oracle"][key]) {
                assert_eq!(points.row("oracle")[column].figure, figure, "{column}");
            }
        }
        if finding["oracle"].is_null() {
            let reason = finding["undefined"]["oracle"].as_str().unwrap();
            let cell = &points.row("oracle")["Threshold"];
            assert_eq!(
                (cell.figure.as_str(), cell.remarks[0].as_str()),
                ("–", reason)
            );
        }
        let counts = Table::of(section, "confusion");
        for (row, column, key) in [
            ("positive", "Decided positive", "true_positives"),
            ("positive", "Decided negative", "false_negatives"),
            ("negative", "Decided positive", "false_positives"),
            ("negative", "Decided negative", "true_negatives"),
        ] {
            let expected = finding["confusion"][key].to_string();
            assert_eq!(counts.row(row)[column].figure, expected, "{key}");
        }
    }
}

#[test]
fn groups_stand_with_their_sizes_and_gaps_with_the_widest_first() {
    let (_root, _run, page, test) = sample_run();
    let groups = Table::of(&page, "groups");
    for group in test["subgroups"].as_array().unwrap() {
        let row = groups.row(group["group"].as_str().unwrap());
        assert_eq!(
            row["Attribute"].figure,
            group["attribute"].as_str().unwrap()
        );
        assert_eq!(row["Radiographs"].figure, group["rows"].to_string());
        assert_eq!(row["Patients"].figure, group["patients"].to_string());
        let auroc = &group["auroc"];
        assert_eq!(
            Some(&row["Macro AUROC"].figure),
            printed(&auroc["value"]).as_ref()
        );
        let over = format!("over {} of {}", auroc["over"], auroc["of"]);
        assert_eq!(row["Macro AUROC"].remarks, [over]);
    }
    let mut gaps: Vec<f64> = test["recall_gaps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gap| gap["gap"].as_f64().unwrap())
        .collect();
    gaps.sort_by(|a, b| b.total_cmp(a));
    let shown: Vec<String> = Table::of(&page, "gaps")
        .0
        .into_iter()
        .map(|(_, mut row)| row.remove("Gap").unwrap())
        .inspect(|cell| {
            let excludes = !cell.remarks[0].starts_with(['−', 'n']);
            assert_eq!(cell.remarks.len() == 2, excludes, "{cell:?}");
        })
        .map(|cell| cell.figure)
        .collect();
    let widest: Vec<String> = gaps
        .iter()
        .take(10)
        .map(|gap| format!("{gap:.3}"))
        .collect();
    assert_eq!(shown, widest);
}

#[test]
fn a_model_that_is_not_above_an_attribute_is_marked() {
    let (_root, _run, page, test) = sample_run();
    let table = Table::of(&page, "shortcuts");
    let (mut n_marked, mut n_cells) = (0, 0);
    for shortcut in test["shortcuts"].as_array().unwrap() {
        let attribute = shortcut["attribute"].as_str().unwrap();
        for finding in shortcut["findings"].as_array().unwrap() {
            let cell = &table.row(name_of(finding))[attribute];
            assert_cell(cell, finding, "auroc", "auroc");
            let is_beaten = match (finding["auroc"].as_f64(), finding["model_auroc"].as_f64()) {
                (Some(alone), Some(model)) => model <= alone,
                _ => false,
            };
            let is_marked = cell.remarks.iter().any(|remark| remark == "not above");
            assert_eq!(is_marked, is_beaten, "{attribute}: {finding}");
            n_marked += usize::from(is_marked);
            n_cells += 1;
        }
    }
    assert!(
        0 < n_marked && n_marked < n_cells,
        "{n_marked} of {n_cells}"
    );
}

#[test]
fn examples_are_inlined_under_their_own_finding_with_what_was_said_of_them() {
    let (_root, run, page, test) = sample_run();
    let text = std::fs::read_to_string(run.dir().join("data/examples.json")).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    let examples = record["examples"].as_array().unwrap();
    assert!(page.contains("This page holds pictures of radiographs"));
    let findings = test["findings"].as_array().unwrap();
    for (place, finding) in findings.iter().enumerate() {
        let section = section(&page, place);
        let own: Vec<&Value> = examples
            .iter()
            .filter(|example| example["finding"] == finding["name"])
            .collect();
        assert_eq!(section.matches("<img alt=\"").count(), own.len());
        for example in own {
            let said = format!(
                "probability {} {} threshold {}",
                printed(&example["probability"]).unwrap(),
                if example["kind"].as_str().unwrap().ends_with("positive") {
                    "≥"
                } else {
                    "&lt;"
                },
                printed(&finding["threshold"]).unwrap()
            );
            assert!(section.contains(&said), "{said}");
            let image = example["image"].as_str().unwrap();
            assert!(section.contains(&image.replace('<', "&lt;").replace('>', "&gt;")));
        }
    }
}

#[test]
fn a_run_without_examples_and_plots_of_its_findings_still_has_its_tables() {
    let (_root, run, _page, _test) = sample_run();
    std::fs::remove_file(run.dir().join("data/examples.json")).unwrap();
    std::fs::remove_dir_all(run.dir().join("plots")).unwrap();
    let page = page_of(run.dir());
    assert!(!page.contains("This page holds pictures"));
    assert!(!page.contains("<img") && !page.contains("<svg"));
    assert_eq!(Table::of(&page, "findings").0.len(), 15);
    assert_eq!(page.matches("<table class=\"confusion\">").count(), 14);
}
