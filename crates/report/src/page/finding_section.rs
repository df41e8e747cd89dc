//! A section for each finding: its curves, its decisions, its calibration, its examples.

use cxr_metrics::{Confusion, FindingEvaluation, OraclePoint};

use super::cells::{cell, head, interval, reason};
use super::html::Html;
use super::number::{count, figure};
use super::{ReportData, calibration_table, examples};
use crate::drawings::finding_plot;
use crate::plots::FindingCurves;

/// So many stand open on a screen; on paper all do.
const N_OPEN: usize = 2;

pub(super) fn add(page: &mut Html, data: &ReportData) {
    let Some((split, evaluation)) = data.evaluations.judged() else {
        return;
    };
    page.element("<section>\n<h2>Finding by finding on ", split, "</h2>\n");
    page.markup(
        "<p>The carried point is the threshold that was chosen on valid and is in force. The oracle \
         is what the same rule would choose on these very radiographs: nobody has it in practice, \
         and its distance from the carried point is what choosing elsewhere costs.</p>\n",
    );
    examples::warning(page, data);
    for (place, finding) in evaluation.findings.iter().enumerate() {
        one(page, data, place, finding);
    }
    page.markup("</section>\n");
}

fn one(page: &mut Html, data: &ReportData, place: usize, finding: &FindingEvaluation) {
    page.element(
        "<details class=\"finding\" id=\"finding-",
        (place + 1).to_string(),
        "\"",
    );
    page.markup(if place < N_OPEN { " open>" } else { ">" });
    page.element("<summary><span class=\"name\">", &finding.name, "</span> ");
    page.element(
        "<span class=\"small\">",
        headline(finding),
        "</span></summary>\n",
    );
    curves(page, data, place, finding);
    page.markup("<div class=\"pair\">\n<div>\n<h3>Operating points</h3>\n");
    operating_points(page, finding);
    page.markup("</div>\n<div>\n<h3>Decisions at the carried point</h3>\n");
    confusion(page, finding.confusion);
    page.markup("</div>\n</div>\n<h3>Calibration</h3>\n");
    calibration_table::add(page, finding);
    examples::add(page, data, &finding.name);
    page.markup("</details>\n");
}

fn headline(finding: &FindingEvaluation) -> String {
    let (positives, all) = (finding.support, finding.support + finding.negatives);
    let support = format!("{} positives of {}", count(positives), count(all));
    let Some(auroc) = finding.auroc else {
        let reason = reason(&finding.undefined, "auroc");
        return format!("AUROC not defined ({reason}); {support}");
    };
    let limits = finding.auroc_ci.map(interval);
    let limits = limits.map_or_else(String::new, |limits| format!(" ({limits})"));
    format!("AUROC {auroc:.3}{limits}; {support}")
}

fn curves(page: &mut Html, data: &ReportData, place: usize, finding: &FindingEvaluation) {
    let plots = FindingCurves::PLOTS.iter();
    let there: Vec<_> = plots
        .filter_map(|plot| data.plots.get(&finding_plot(place, &finding.name, plot)))
        .collect();
    if there.is_empty() {
        return;
    }
    page.markup("<div class=\"panels\">\n");
    for plot in there {
        page.markup("<figure>").picture(plot).markup("</figure>\n");
    }
    page.markup("</div>\n");
}

fn operating_points(page: &mut Html, finding: &FindingEvaluation) {
    page.markup("<div class=\"scroll\">\n<table class=\"points\">\n");
    head(
        page,
        &[
            "Point",
            "Threshold",
            "Sensitivity",
            "Specificity",
            "Precision",
            "F1",
        ],
    );
    let undefined = &finding.undefined;
    let rule = undefined.get("threshold").map_or_else(
        || format!("rule {}", finding.threshold_rule),
        |reason| format!("fall-back to {}: {reason}", finding.threshold_rule),
    );
    page.element(
        "<tr><th scope=\"row\">carried<small>",
        rule,
        "</small></th>",
    );
    page.element("<td>", figure(Some(finding.threshold)), "</td>");
    for (key, value, limits) in [
        ("recall", finding.recall, finding.recall_ci),
        ("specificity", finding.specificity, finding.specificity_ci),
        ("precision", finding.precision, None),
        ("f1", finding.f1, None),
    ] {
        cell(page, value, limits.map(interval), || reason(undefined, key));
    }
    page.markup("</tr>\n");
    match finding.oracle {
        Some(point) => oracle(page, point),
        None => {
            let reason = reason(undefined, "oracle");
            page.markup("<tr><th scope=\"row\">oracle</th>");
            page.element(
                "<td class=\"undefined\" colspan=\"5\">–<small>",
                reason,
                "</small></td></tr>\n",
            );
        }
    }
    page.markup("</tbody>\n</table>\n</div>\n");
}

fn oracle(page: &mut Html, point: OraclePoint) {
    let rule = format!("rule {}, here", point.rule);
    page.element("<tr><th scope=\"row\">oracle<small>", rule, "</small></th>");
    let figures = [
        Some(point.threshold),
        point.recall,
        point.specificity,
        point.precision,
        point.f1,
    ];
    for value in figures {
        cell(page, value, None, || "not defined at this threshold".into());
    }
    page.markup("</tr>\n");
}

fn confusion(page: &mut Html, counts: Confusion) {
    page.markup("<div class=\"scroll\">\n<table class=\"confusion\">\n");
    head(page, &["Label", "Decided positive", "Decided negative"]);
    let rows = [
        (
            "positive",
            (counts.true_positives, "found"),
            (counts.false_negatives, "missed"),
        ),
        (
            "negative",
            (counts.false_positives, "false alarms"),
            (counts.true_negatives, "left alone"),
        ),
    ];
    for (label, positive, negative) in rows {
        page.element("<tr><th scope=\"row\">", label, "</th>");
        for (number, words) in [positive, negative] {
            page.element("<td>", count(number), "");
            page.element("<small>", words, "</small></td>");
        }
        page.markup("</tr>\n");
    }
    page.markup("</tbody>\n</table>\n</div>\n");
}
