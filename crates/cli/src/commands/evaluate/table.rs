//! An evaluation as a table for people.

use std::fmt;

use cxr_metrics::{Evaluation, FindingEvaluation, Reasons};

use crate::commands::aligned::write_aligned;

/// The evaluation for people.
pub(super) struct Table<'a> {
    /// What was measured.
    pub(super) evaluation: &'a Evaluation,
    /// On which table.
    pub(super) name: &'a str,
}

const HEADER: [&str; 11] = [
    "finding",
    "positives",
    "AUROC",
    "95 %",
    "AP",
    "threshold",
    "precision",
    "recall",
    "specificity",
    "F1",
    "Brier",
];

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let evaluation = self.evaluation;
        writeln!(
            f,
            "{}: {} radiographs of {} patients, fingerprint {:.12}\n",
            self.name, evaluation.rows, evaluation.patients, evaluation.split_fingerprint
        )?;
        let mut rows = vec![HEADER.map(str::to_string)];
        rows.extend(evaluation.findings.iter().map(row_of));
        rows.push(macro_row(evaluation));
        write_aligned(f, &rows)?;
        let mean = &evaluation.macro_mean;
        let baselines = &evaluation.baselines;
        writeln!(
            f,
            "\nmacro: AUROC over {} of {}, AP over {}, F1 over {} findings",
            mean.over, mean.of, mean.average_precision_over, mean.f1_over
        )?;
        writeln!(
            f,
            "subset accuracy {} (all-negative {})",
            shown(evaluation.subset_accuracy),
            shown(baselines.subset_accuracy_all_negative)
        )?;
        write!(
            f,
            "label accuracy  {} (all-negative {})",
            shown(evaluation.label_accuracy),
            shown(baselines.label_accuracy_all_negative)
        )?;
        for finding in &evaluation.findings {
            for (reason, keys) in by_reason(&finding.undefined) {
                write!(f, "\n{}: {keys}: {reason}", finding.name)?;
            }
        }
        for (reason, keys) in by_reason(&mean.undefined) {
            write!(f, "\nmacro: {keys}: {reason}")?;
        }
        Ok(())
    }
}

fn row_of(finding: &FindingEvaluation) -> [String; 11] {
    [
        finding.name.clone(),
        finding.support.to_string(),
        shown(finding.auroc),
        finding
            .auroc_ci
            .map_or_else(none, |ci| format!("{:.3}–{:.3}", ci.lower, ci.upper)),
        shown(finding.average_precision),
        shown(Some(finding.threshold)),
        shown(finding.precision),
        shown(finding.recall),
        shown(finding.specificity),
        shown(finding.f1),
        shown(finding.brier),
    ]
}

fn macro_row(evaluation: &Evaluation) -> [String; 11] {
    let mean = &evaluation.macro_mean;
    let mut row = [const { String::new() }; 11];
    row[0] = "macro".to_string();
    row[2] = shown(mean.auroc);
    row[3] = mean
        .auroc_ci
        .map_or_else(none, |ci| format!("{:.3}–{:.3}", ci.lower, ci.upper));
    row[4] = shown(mean.average_precision);
    row[9] = shown(mean.f1);
    row
}

/// Keys of undefined figures, joined, for each reason.
pub(super) fn by_reason(undefined: &Reasons) -> Vec<(String, String)> {
    let mut reasons: Vec<_> = undefined.values().copied().collect();
    reasons.sort_unstable();
    reasons.dedup();
    let keys_of = |wanted| {
        let keys = undefined
            .iter()
            .filter(move |(_, reason)| **reason == wanted);
        keys.map(|(key, _)| key.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    reasons
        .into_iter()
        .map(|reason| (reason.to_string(), keys_of(reason)))
        .collect()
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(none, |value| format!("{value:.4}"))
}

/// What has no value is neither 0 nor a blank.
fn none() -> String {
    "–".to_string()
}
