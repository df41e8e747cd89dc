//! One row a finding: every figure beside the support behind it, and why a figure is missing.

use cxr_metrics::{Evaluation, FindingEvaluation};

use super::ReportData;
use super::html::Html;
use super::number::{count, figure, percent};

pub(super) fn add(page: &mut Html, data: &ReportData) {
    let Some((split, evaluation)) = data.evaluations.judged() else {
        return;
    };
    let with_ceiling = !data.ceilings.is_empty();
    page.element("<section>\n<h2>Each finding on ", split, "</h2>\n");
    page.markup("<div class=\"scroll\">\n<table>\n<thead><tr><th scope=\"col\">Finding</th>");
    page.markup("<th scope=\"col\">AUROC</th>");
    if with_ceiling {
        page.markup("<th scope=\"col\">Ceiling</th>");
    }
    page.markup(
        "<th scope=\"col\">Posi&shy;tives</th><th scope=\"col\">Preva&shy;lence</th>\
         <th scope=\"col\">Average precision</th><th scope=\"col\">Sensi&shy;tivity</th>\
         <th scope=\"col\">Speci&shy;ficity</th><th scope=\"col\">Preci&shy;sion</th>\
         <th scope=\"col\">Threshold</th></tr></thead>\n<tbody>\n",
    );
    for finding in &evaluation.findings {
        let ceiling = with_ceiling.then(|| data.ceilings.get(&finding.name).copied());
        row(page, finding, ceiling);
    }
    page.markup("</tbody>\n");
    means(page, evaluation, with_ceiling);
    page.markup("</table>\n</div>\n<p class=\"small\">");
    page.markup(
        "Positives is the support: how many radiographs stand behind a figure. Few positives make \
         wide intervals. ",
    );
    if with_ceiling {
        page.markup(
            "The ceiling is the expected AUROC of the best possible model on this phantom; by \
             chance a finite split can lie a little above it. ",
        );
    }
    page.markup("A decision is positive at or above the threshold.</p>\n</section>\n");
}

pub(super) fn prevalence(finding: &FindingEvaluation) -> f64 {
    let as_float = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    as_float(finding.support) / as_float((finding.support + finding.negatives).max(1))
}

fn row(page: &mut Html, finding: &FindingEvaluation, ceiling: Option<Option<f64>>) {
    page.element("<tr><th scope=\"row\">", &finding.name, "</th>");
    let interval = finding
        .auroc_ci
        .map(|interval| format!("{:.3}–{:.3}", interval.lower, interval.upper));
    cell(page, finding, "auroc", finding.auroc, interval);
    if let Some(ceiling) = ceiling {
        page.element("<td>", figure(ceiling), "</td>");
    }
    page.element("<td>", count(finding.support), "</td>");
    page.element("<td>", percent(Some(prevalence(finding))), "</td>");
    cell(
        page,
        finding,
        "average_precision",
        finding.average_precision,
        None,
    );
    cell(page, finding, "recall", finding.recall, None);
    cell(page, finding, "specificity", finding.specificity, None);
    cell(page, finding, "precision", finding.precision, None);
    let rule = finding.undefined.get("threshold").map_or_else(
        || format!("rule {}", finding.threshold_rule),
        |reason| format!("fall-back: {reason}"),
    );
    cell(page, finding, "", Some(finding.threshold), Some(rule));
    page.markup("</tr>\n");
}

/// A figure with a remark below it, or "undefined" with its reason.
fn cell(
    page: &mut Html,
    finding: &FindingEvaluation,
    key: &str,
    value: Option<f64>,
    remark: Option<String>,
) {
    let reason = finding.undefined.get(key).map(ToString::to_string);
    match (value, reason) {
        (Some(value), _) => {
            page.element("<td>", figure(Some(value)), "");
            if let Some(remark) = remark {
                page.element("<small class=\"whole\">", remark, "</small>");
            }
        }
        (None, reason) => {
            let reason = reason.unwrap_or_else(|| "no reason recorded".into());
            page.markup("<td class=\"undefined\">undefined:");
            page.element("<small>", reason, "</small>");
        }
    }
    page.markup("</td>");
}

fn means(page: &mut Html, evaluation: &Evaluation, with_ceiling: bool) {
    let mean = &evaluation.macro_mean;
    page.markup("<tfoot><tr><th scope=\"row\">Mean</th>");
    page.element("<td>", figure(mean.auroc), "");
    let over = format!("over {} of {}", mean.over, mean.of);
    page.element("<small class=\"whole\">", over, "</small></td>");
    if with_ceiling {
        page.markup("<td></td>");
    }
    page.markup("<td></td><td></td>");
    page.element("<td>", figure(mean.average_precision), "");
    let over = format!("over {} of {}", mean.average_precision_over, mean.of);
    page.element("<small class=\"whole\">", over, "</small></td>");
    page.markup("<td></td><td></td><td></td><td></td></tr></tfoot>\n");
}
