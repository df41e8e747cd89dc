//! The table that a run ends with.

use cxr_metrics::{Evaluation, FindingEvaluation};
use cxr_phantom::{Ceilings, Split};
use cxr_train::RunOutcome;

use crate::console::Console;

/// Prints test, or valid where there is no test, a row a finding.
pub(super) fn print(outcome: &RunOutcome, ceilings: Option<&Ceilings>, console: Console) {
    let (split, evaluation) = match (&outcome.test, &outcome.valid) {
        (Some(test), _) => ("test", test),
        (None, Some(valid)) => ("valid (there is no test table)", valid),
        (None, None) => return,
    };
    if let Some(rows) = &outcome.leakage.repaired_rows {
        let before = &outcome.leakage.rows;
        let change = |split: &str| match (before.get(split), rows.get(split)) {
            (Some(a), Some(b)) if a != b => Some(format!("{split} {a} → {b} radiographs")),
            _ => None,
        };
        let changes: Vec<String> = ["valid", "test"].into_iter().filter_map(change).collect();
        console.line(format_args!(
            "leakage repaired: {} shared patients, {}",
            outcome.leakage.n_shared_patients(),
            changes.join(", ")
        ));
    }
    console.line(format_args!(
        "{split}: {} radiographs of {} patients, epoch {}",
        evaluation.rows,
        evaluation.patients,
        outcome
            .best_epoch
            .map_or_else(|| "–".to_owned(), |epoch| epoch.to_string()),
    ));
    console.line(format_args!(
        "{:<20} {:>7}  {:>5}  {:>6}  {:<15} {:>7}  {:>5}  {:>5}  {:>5}",
        "finding",
        "support",
        "prev.",
        "AUROC",
        "95 % interval",
        ceiling_title(ceilings),
        "AP",
        "sens.",
        "spec."
    ));
    for finding in &evaluation.findings {
        console.line(row(finding, ceilings));
    }
    console.line(macro_row(evaluation));
    console.line(format_args!(
        "whole rows right {}, predicting nothing {}",
        number(evaluation.subset_accuracy),
        number(evaluation.baselines.subset_accuracy_all_negative)
    ));
}

fn ceiling_title(ceilings: Option<&Ceilings>) -> &'static str {
    if ceilings.is_some() { "ceiling" } else { "" }
}

fn row(finding: &FindingEvaluation, ceilings: Option<&Ceilings>) -> String {
    let ceiling = ceilings
        .and_then(|ceilings| ceilings.finding(&finding.name)?.split(Split::Test))
        .map(|split| format!("{:.3}", split.ceiling.auroc));
    let mut line = format!(
        "{:<20} {:>7}  {:>5}  {:>6}  {:<15} {:>7}  {:>5}  {:>5}  {:>5}",
        finding.name,
        finding.support,
        number(finding.prevalence),
        number(finding.auroc),
        interval(finding.auroc_ci.as_ref().map(|ci| (ci.lower, ci.upper))),
        ceiling.unwrap_or_default(),
        number(finding.average_precision),
        number(finding.recall),
        number(finding.specificity),
    );
    if let Some(reason) = finding.undefined.get("auroc") {
        line.push_str(&format!("  (AUROC undefined: {reason})"));
    }
    line
}

fn macro_row(evaluation: &Evaluation) -> String {
    let mean = &evaluation.macro_mean;
    format!(
        "{:<20} {:>7}  {:>5}  {:>6}  {:<15} {:>7}  {:>5}  over {} of {} findings",
        "macro mean",
        "",
        number(evaluation.baselines.average_precision_no_skill),
        number(mean.auroc),
        interval(mean.auroc_ci.as_ref().map(|ci| (ci.lower, ci.upper))),
        "",
        number(mean.average_precision),
        mean.over,
        mean.of,
    )
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}

fn interval(limits: Option<(f64, f64)>) -> String {
    limits.map_or_else(String::new, |(low, high)| format!("{low:.3} to {high:.3}"))
}
