//! Groups of patients: how well each is served, how far they lie apart, what the group gives away.

use std::collections::BTreeSet;

use cxr_metrics::{Evaluation, Parts, RecallGap, ShortcutFinding};

use super::ReportData;
use super::cells::{cell, head, interval, reason};
use super::html::Html;
use super::number::{count, counted, figure};

/// So many gaps stand there at once; the others unfold.
const N_WIDEST: usize = 10;

pub(super) fn add(page: &mut Html, data: &ReportData) {
    let Some((split, evaluation)) = data.evaluations.judged() else {
        return;
    };
    let parts = &evaluation.parts;
    if parts.subgroups.is_empty() && parts.shortcuts.is_empty() {
        return;
    }
    page.element("<section>\n<h2>Groups on ", split, "</h2>\n");
    groups(page, parts);
    gaps(page, parts);
    shortcuts(page, evaluation);
    page.markup("</section>\n");
}

fn groups(page: &mut Html, parts: &Parts) {
    page.markup(
        "<p>Every group is measured at the same thresholds. A macro AUROC is the mean over the \
         findings that have both classes in the group, so two groups may be means over different \
         findings.</p>\n<div class=\"scroll\">\n<table class=\"groups\">\n",
    );
    head(
        page,
        &[
            "Group",
            "Attribute",
            "Radiographs",
            "Patients",
            "Macro AUROC",
        ],
    );
    for group in &parts.subgroups {
        page.element("<tr><th scope=\"row\">", &group.group, "</th>");
        page.element("<td>", &group.attribute, "</td>");
        page.element("<td>", count(group.rows), "</td>");
        page.element("<td>", count(group.patients), "</td>");
        let over = format!("over {} of {}", group.auroc.over, group.auroc.of);
        cell(page, group.auroc.value, Some(over), || {
            "defined for no finding".into()
        });
        page.markup("</tr>\n");
    }
    page.markup("</tbody>\n</table>\n</div>\n");
}

fn gaps(page: &mut Html, parts: &Parts) {
    if parts.recall_gaps.is_empty() {
        return;
    }
    let mut gaps: Vec<&RecallGap> = parts.recall_gaps.iter().collect();
    gaps.sort_by(|a, b| b.gap.total_cmp(&a.gap));
    let n_apart = gaps.iter().filter(|gap| excludes_zero(gap)).count();
    page.markup("<h3>Sensitivity gaps, widest first</h3>\n<p>");
    page.text(format!(
        "The two groups of an attribute whose sensitivities lie farthest apart, at the carried \
         threshold. {n_apart} of {} intervals exclude 0; about one in twenty would by chance alone. \
         The two groups were picked for being far apart, so with more than two groups the interval \
         is too narrow.",
        gaps.len()
    ));
    page.markup("</p>\n");
    let (widest, others) = gaps.split_at(gaps.len().min(N_WIDEST));
    gap_table(page, parts, widest);
    if !others.is_empty() {
        let text = format!("The other {}", others.len());
        page.element("<details><summary>", text, "</summary>\n");
        gap_table(page, parts, others);
        page.markup("</details>\n");
    }
}

fn gap_table(page: &mut Html, parts: &Parts, gaps: &[&RecallGap]) {
    page.markup("<div class=\"scroll\">\n<table class=\"gaps\">\n");
    head(
        page,
        &[
            "Finding",
            "Attribute",
            "Found most often",
            "Found least often",
            "Gap",
        ],
    );
    for gap in gaps {
        page.markup(if excludes_zero(gap) {
            "<tr class=\"flag\">"
        } else {
            "<tr>"
        });
        page.element("<th scope=\"row\">", &gap.finding, "</th>");
        page.element("<td>", &gap.attribute, "</td>");
        for group in [&gap.highest, &gap.lowest] {
            page.element("<td>", group, "");
            page.element(
                "<small class=\"whole\">",
                recall(parts, gap, group),
                "</small></td>",
            );
        }
        page.element("<td>", figure(Some(gap.gap)), "");
        page.element("<small class=\"whole\">", limits(gap), "</small>");
        if excludes_zero(gap) {
            page.markup("<small class=\"whole\">excludes 0</small>");
        }
        page.markup("</td></tr>\n");
    }
    page.markup("</tbody>\n</table>\n</div>\n");
}

fn excludes_zero(gap: &RecallGap) -> bool {
    !gap.gap_ci.contains(0.0)
}

/// "−0.012 to 0.340".
fn limits(gap: &RecallGap) -> String {
    let (lower, upper) = (gap.gap_ci.lower, gap.gap_ci.upper);
    format!("{} to {}", figure(Some(lower)), figure(Some(upper)))
}

/// "0.812, 25 positives".
fn recall(parts: &Parts, gap: &RecallGap, group: &str) -> String {
    let subgroup = parts
        .subgroups
        .iter()
        .find(|one| one.attribute == gap.attribute && one.group == group);
    let finding =
        subgroup.and_then(|subgroup| subgroup.findings.iter().find(|one| one.name == gap.finding));
    finding.map_or_else(String::new, |finding| {
        let positives = counted(finding.support, "positive", "positives");
        format!("{}, {positives}", figure(finding.recall))
    })
}

/// The attribute's AUROC is the most it can give, so a tie is no victory.
fn is_not_above(finding: &ShortcutFinding) -> bool {
    matches!((finding.model_auroc, finding.auroc), (Some(model), Some(alone)) if model <= alone)
}

fn shortcuts(page: &mut Html, evaluation: &Evaluation) {
    let shortcuts = &evaluation.parts.shortcuts;
    if shortcuts.is_empty() {
        return;
    }
    let pairs = shortcuts.iter().flat_map(|one| {
        let attribute = one.attribute.as_str();
        one.findings.iter().map(move |finding| (attribute, finding))
    });
    let beaten: BTreeSet<&str> = pairs
        .filter(|(_, finding)| is_not_above(finding))
        .map(|(_, finding)| finding.name.as_str())
        .collect();
    page.markup("<h3>What an attribute alone reaches</h3>\n<p>");
    page.markup(
        "The AUROC of the score “how often the finding is there in this radiograph’s group”, without \
         any picture. It is counted on these very radiographs, so it is never below one half and a \
         little too good. A model that is not well above it may have learned the attribute instead \
         of the finding. ",
    );
    page.text(format!(
        "The model is not above an attribute for {} of {} findings.",
        beaten.len(),
        evaluation.findings.len()
    ));
    page.markup("</p>\n<div class=\"scroll\">\n<table class=\"shortcuts\">\n");
    let mut columns = vec!["Finding"];
    columns.extend(shortcuts.iter().map(|one| one.attribute.as_str()));
    head(page, &columns);
    for place in 0..evaluation.findings.len() {
        let mut row = shortcuts.iter().filter_map(|one| one.findings.get(place));
        let Some(first) = row.clone().next() else {
            continue;
        };
        page.element("<tr><th scope=\"row\">", &first.name, "</th>");
        row.by_ref().for_each(|finding| shortcut(page, finding));
        page.markup("</tr>\n");
    }
    page.markup("</tbody>\n</table>\n</div>\n");
}

fn shortcut(page: &mut Html, finding: &ShortcutFinding) {
    let Some(alone) = finding.auroc else {
        cell(page, None, None, || reason(&finding.undefined, "auroc"));
        return;
    };
    page.markup(if is_not_above(finding) {
        "<td class=\"flag\">"
    } else {
        "<td>"
    });
    page.text(figure(Some(alone)));
    if let Some(limits) = finding.auroc_ci.map(interval) {
        page.element("<small class=\"whole\">", limits, "</small>");
    }
    let model = format!("model {}", figure(finding.model_auroc));
    page.element("<small class=\"whole\">", model, "</small>");
    if is_not_above(finding) {
        page.markup("<small class=\"whole\">not above</small>");
    }
    page.markup("</td>");
}
