//! How good, in five figures with their intervals and baselines, and on which radiographs.

use cxr_metrics::Evaluation;

use super::ReportData;
use super::cells::interval;
use super::findings_table::InForce;
use super::html::Html;
use super::number::{counted, figure};

pub(super) fn add(page: &mut Html, data: &ReportData, split: &str, evaluation: &Evaluation) {
    measured_on(page, data, split, evaluation);
    figures(page, data, split, evaluation);
}

/// Which radiographs the figures are of.
fn measured_on(page: &mut Html, data: &ReportData, split: &str, evaluation: &Evaluation) {
    page.element(
        "<p>",
        format!(
            "Measured on {split}: {} of {}, {}",
            counted(evaluation.rows, "radiograph", "radiographs"),
            counted(evaluation.patients, "patient", "patients"),
            counted(evaluation.findings.len(), "finding", "findings"),
        ),
        "",
    );
    let fingerprint: String = evaluation.split_fingerprint.chars().take(16).collect();
    if !fingerprint.is_empty() {
        page.element("; fingerprint <code>", fingerprint, "</code>");
    }
    page.markup(".");
    let splits = data.run.data.iter().flat_map(|cohort| &cohort.splits);
    if let Some(record) = splits.into_iter().find(|record| record.name == split) {
        if let Some(list) = &record.known_as {
            page.element(" By its fingerprint this is <strong>", list, "</strong>.");
        }
        if let Some(caution) = &record.caution {
            page.element("</p>\n<p class=\"note\">", caution, "");
        }
    }
    page.markup("</p>\n");
}

/// Mean of the ceilings of the findings that the macro AUROC is a mean over.
fn mean_ceiling(data: &ReportData, evaluation: &Evaluation) -> Option<f64> {
    let findings = evaluation.findings.iter();
    let ceilings: Option<Vec<f64>> = findings
        .filter(|finding| finding.auroc.is_some())
        .map(|finding| data.ceilings.get(&finding.name).copied())
        .collect();
    let ceilings = ceilings.filter(|ceilings| !ceilings.is_empty())?;
    let n = u32::try_from(ceilings.len()).ok()?;
    Some(ceilings.iter().sum::<f64>() / f64::from(n))
}

/// Findings with both classes, with the Brier scores in force and of saying the prevalence.
fn brier_pairs(evaluation: &Evaluation) -> impl Iterator<Item = (&str, f64, f64)> {
    let findings = evaluation.findings.iter();
    findings
        .filter(|finding| finding.support > 0 && finding.negatives > 0)
        .filter_map(|finding| {
            let brier = InForce::of(finding).brier?;
            let no_skill = finding.baselines.brier_prevalence?;
            Some((finding.name.as_str(), brier, no_skill))
        })
}

/// Findings whose probabilities in force do not beat saying the prevalence.
pub(super) fn no_better_than_prevalence(evaluation: &Evaluation) -> Vec<&str> {
    brier_pairs(evaluation)
        .filter(|(_, brier, no_skill)| brier >= no_skill)
        .map(|(name, ..)| name)
        .collect()
}

fn figures(page: &mut Html, data: &ReportData, split: &str, evaluation: &Evaluation) {
    let mean = &evaluation.macro_mean;
    let baselines = &evaluation.baselines;
    page.markup("<section class=\"cards\">\n");
    let limits = mean.auroc_ci.map_or_else(
        || "no interval".to_owned(),
        |limits| format!("95 %: {}", interval(limits)),
    );
    let ceiling = mean_ceiling(data, evaluation).map_or_else(String::new, |ceiling| {
        format!("; the phantom’s ceiling is {ceiling:.3}")
    });
    card(
        page,
        &format!("Macro AUROC on {split}"),
        &figure(mean.auroc),
        Some(&limits),
        &format!(
            "over {} of {} findings; chance is 0.5{ceiling}",
            mean.over, mean.of
        ),
    );
    card(
        page,
        "Macro average precision",
        &figure(mean.average_precision),
        None,
        &format!(
            "over {} of {} findings; without skill {} (mean prevalence)",
            mean.average_precision_over,
            mean.of,
            figure(baselines.average_precision_no_skill)
        ),
    );
    card(
        page,
        "Subset accuracy",
        &figure(evaluation.subset_accuracy),
        None,
        &format!(
            "all decisions on a radiograph right; predicting nothing reaches {}",
            figure(baselines.subset_accuracy_all_negative)
        ),
    );
    card(
        page,
        "Label accuracy",
        &figure(evaluation.label_accuracy),
        None,
        &format!(
            "share of right decisions; predicting nothing reaches {}",
            figure(baselines.label_accuracy_all_negative)
        ),
    );
    let n_findings = brier_pairs(evaluation).count();
    let n_better = n_findings - no_better_than_prevalence(evaluation).len();
    card(
        page,
        "Better Brier score",
        &format!("{n_better} of {n_findings}"),
        None,
        "findings whose probabilities beat saying the prevalence to everybody",
    );
    page.markup("</section>\n");
}

fn card(page: &mut Html, title: &str, figure: &str, limits: Option<&str>, remark: &str) {
    page.markup("<div class=\"card\">");
    page.element("<h2>", title, "</h2>");
    page.element("<p class=\"figure\">", figure, "</p>");
    if let Some(limits) = limits {
        page.element("<p class=\"interval\">", limits, "</p>");
    }
    page.element("<p class=\"small\">", remark, "</p></div>\n");
}
