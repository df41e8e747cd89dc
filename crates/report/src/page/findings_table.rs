//! One row a finding: every figure beside its interval and its baseline, and why one is missing.

use cxr_metrics::{Evaluation, FindingEvaluation, Reasons};

use super::ReportData;
use super::cells::{cell, head, interval, interval_or_reason, reason};
use super::html::Html;
use super::number::{count, figure};

pub(super) fn add(page: &mut Html, data: &ReportData) {
    let Some((split, evaluation)) = data.evaluations.judged() else {
        return;
    };
    let with_ceiling = !data.ceilings.is_empty();
    page.element("<section>\n<h2>Each finding on ", split, "</h2>\n");
    page.markup("<div class=\"scroll\">\n<table class=\"findings\">\n");
    let mut columns = vec!["Finding", "AUROC"];
    columns.extend(with_ceiling.then_some("Ceiling"));
    columns.extend([
        "Positives",
        "Average precision",
        "Sensitivity",
        "Specificity",
        "Precision",
        "Threshold",
        "Brier score",
        "Calibration error",
    ]);
    head(page, &columns);
    for (place, finding) in evaluation.findings.iter().enumerate() {
        let ceiling = with_ceiling.then(|| data.ceilings.get(&finding.name).copied());
        row(page, place, finding, ceiling);
    }
    page.markup("</tbody>\n");
    means(page, evaluation, with_ceiling);
    page.markup("</table>\n</div>\n");
    words(page, with_ceiling);
    page.markup("</section>\n");
}

fn words(page: &mut Html, with_ceiling: bool) {
    page.markup(
        "<p class=\"small\">Below a figure stands its 95 % interval, patients taken as \
         independent, or what no model is needed for: average precision without skill is the \
         prevalence, the Brier score without skill that of saying the prevalence to everybody, and \
         a calibration error by chance is what exactly right probabilities would show on so many \
         radiographs. Brier score and calibration error are of the probabilities in force: calibrated \
         on valid where a finding’s own section says so. Positives is the support: few make \
         wide intervals, which below some 90 positives are still a little too narrow. A decision is \
         positive at or above the threshold, chosen on valid or fixed. A dash is a figure that is not defined, \
         with the reason below it. ",
    );
    if with_ceiling {
        page.markup(
            "The ceiling is the expected AUROC of the best possible model on this phantom; by \
             chance a finite split can lie a little above it. ",
        );
    }
    page.markup("</p>\n");
}

/// The probabilities that are in force: calibrated where a calibration was fitted.
pub(super) struct InForce<'a> {
    pub(super) brier: Option<f64>,
    pub(super) ece: Option<f64>,
    pub(super) ece_by_chance: Option<f64>,
    pub(super) undefined: &'a Reasons,
}

impl<'a> InForce<'a> {
    pub(super) fn of(finding: &'a FindingEvaluation) -> Self {
        let fitted = finding.calibrations.iter().find(|one| one.in_force);
        fitted.map_or_else(
            || Self {
                brier: finding.brier,
                ece: finding.ece,
                ece_by_chance: finding.ece_by_chance,
                undefined: &finding.undefined,
            },
            |fitted| Self {
                brier: fitted.brier,
                ece: fitted.ece,
                ece_by_chance: fitted.ece_by_chance,
                undefined: &fitted.undefined,
            },
        )
    }

    /// Why one of its figures has no value.
    fn reason(&self, key: &str) -> String {
        let key = if self.undefined.contains_key(key) {
            key
        } else {
            "map"
        };
        reason(self.undefined, key)
    }
}

fn row(page: &mut Html, place: usize, finding: &FindingEvaluation, ceiling: Option<Option<f64>>) {
    page.element(
        "<tr><th scope=\"row\"><a href=\"#finding-",
        (place + 1).to_string(),
        "\">",
    );
    page.element("", &finding.name, "</a></th>");
    let undefined = &finding.undefined;
    let why = |key: &'static str| move || reason(undefined, key);
    let limits = |value, key| interval_or_reason(value, key, undefined);
    let auroc_limits = limits(finding.auroc_ci, "auroc_ci");
    cell(page, finding.auroc, auroc_limits, why("auroc"));
    if let Some(ceiling) = ceiling {
        page.element("<td>", figure(ceiling), "</td>");
    }
    page.element("<td>", count(finding.support), "");
    let all = format!("of {}", count(finding.support + finding.negatives));
    page.element("<small class=\"whole\">", all, "</small></td>");
    let no_skill = beside("prevalence", finding.prevalence);
    cell(
        page,
        finding.average_precision,
        no_skill,
        why("average_precision"),
    );
    let recall_limits = limits(finding.recall_ci, "recall_ci");
    cell(page, finding.recall, recall_limits, why("recall"));
    let specificity_limits = limits(finding.specificity_ci, "specificity_ci");
    cell(
        page,
        finding.specificity,
        specificity_limits,
        why("specificity"),
    );
    cell(page, finding.precision, None, why("precision"));
    let rule = undefined.get("threshold").map_or_else(
        || format!("rule {}", finding.threshold_rule),
        |reason| format!("fall-back: {reason}"),
    );
    cell(page, Some(finding.threshold), Some(rule), String::new);
    probabilities(page, finding);
    page.markup("</tr>\n");
}

fn probabilities(page: &mut Html, finding: &FindingEvaluation) {
    let in_force = InForce::of(finding);
    let no_skill = beside("prevalence’s", finding.baselines.brier_prevalence);
    cell(page, in_force.brier, no_skill, || in_force.reason("brier"));
    let by_chance = beside("by chance", in_force.ece_by_chance);
    cell(page, in_force.ece, by_chance, || in_force.reason("ece"));
}

fn beside(words: &str, value: Option<f64>) -> Option<String> {
    value.map(|value| format!("{words} {value:.3}"))
}

fn means(page: &mut Html, evaluation: &Evaluation, with_ceiling: bool) {
    let mean = &evaluation.macro_mean;
    page.markup("<tfoot><tr><th scope=\"row\">Mean</th>");
    page.element("<td>", figure(mean.auroc), "");
    let limits = mean.auroc_ci.map(interval);
    if let Some(limits) = limits {
        page.element("<small class=\"whole\">", limits, "</small>");
    }
    let over = format!("over {} of {}", mean.over, mean.of);
    page.element("<small class=\"whole\">", over, "</small></td>");
    if with_ceiling {
        page.markup("<td></td>");
    }
    page.markup("<td></td>");
    page.element("<td>", figure(mean.average_precision), "");
    let no_skill = beside(
        "prevalence",
        evaluation.baselines.average_precision_no_skill,
    );
    page.element(
        "<small class=\"whole\">",
        no_skill.unwrap_or_default(),
        "</small>",
    );
    let over = format!("over {} of {}", mean.average_precision_over, mean.of);
    page.element("<small class=\"whole\">", over, "</small></td>");
    page.markup("<td></td><td></td><td></td><td></td><td></td><td></td></tr></tfoot>\n");
}
