//! One finding's probabilities as trained and after each way to mend them.

use cxr_metrics::{CalibratedFigures, FindingEvaluation};

use super::cells::{cell, head, reason};
use super::html::Html;
use super::number::figure;

const COLUMNS: [&str; 8] = [
    "Probabilities",
    "Slope",
    "Intercept",
    "Mean probability",
    "Brier score",
    "Log loss",
    "Calibration error",
    "By chance",
];

pub(super) fn add(page: &mut Html, finding: &FindingEvaluation) {
    page.markup("<div class=\"scroll\">\n<table class=\"calibration\">\n");
    head(page, &COLUMNS);
    for figures in &finding.calibrations {
        mended(page, finding, figures);
    }
    if finding.calibrations.is_empty() {
        as_trained(page, finding);
    }
    page.markup("<tr><th scope=\"row\">saying the prevalence</th><td></td><td></td>");
    let baselines = &finding.baselines;
    for value in [
        finding.prevalence,
        baselines.brier_prevalence,
        baselines.log_loss_prevalence,
    ] {
        cell(page, value, None, || {
            reason(&finding.undefined, "prevalence")
        });
    }
    page.markup("<td></td><td></td></tr>\n</tbody>\n</table>\n</div>\n");
    if finding.calibrations.is_empty() {
        page.markup("<p class=\"small\">No calibration was fitted.</p>\n");
    }
}

fn mended(page: &mut Html, finding: &FindingEvaluation, figures: &CalibratedFigures) {
    page.markup(if figures.in_force {
        "<tr class=\"set\">"
    } else {
        "<tr>"
    });
    page.element("<th scope=\"row\">", figures.method.to_string(), "");
    page.markup(if figures.in_force {
        "<small>in force</small></th>"
    } else {
        "</th>"
    });
    let undefined = &figures.undefined;
    let why = |key: &'static str| {
        let key = if undefined.contains_key(key) {
            key
        } else {
            "map"
        };
        move || reason(undefined, key)
    };
    cell(page, figures.slope, None, why("map"));
    cell(page, figures.intercept, bounds(figures), why("map"));
    let prevalence = finding
        .prevalence
        .map(|value| format!("prevalence {}", figure(Some(value))));
    cell(
        page,
        figures.mean_probability,
        prevalence,
        why("mean_probability"),
    );
    cell(page, figures.brier, None, why("brier"));
    cell(page, figures.log_loss, None, why("log_loss"));
    cell(page, figures.ece, None, why("ece"));
    cell(page, figures.ece_by_chance, None, why("ece_by_chance"));
    page.markup("</tr>\n");
}

/// What the map has beside slope and intercept.
fn bounds(figures: &CalibratedFigures) -> Option<String> {
    let (floor, ceiling) = (figures.floor?, figures.ceiling?);
    let mut parts = Vec::new();
    if floor > 0.0 || ceiling < 1.0 {
        parts.push(format!(
            "floor {}, ceiling {}",
            figure(Some(floor)),
            figure(Some(ceiling))
        ));
    }
    if let Some(shift) = figures.shift.filter(|shift| shift.abs() > 0.0) {
        parts.push(format!("shift {}", figure(Some(shift))));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn as_trained(page: &mut Html, finding: &FindingEvaluation) {
    page.markup("<tr class=\"set\"><th scope=\"row\">as-trained<small>in force</small></th>");
    page.markup("<td></td><td></td><td></td>");
    for (key, value) in [
        ("brier", finding.brier),
        ("log_loss", finding.log_loss),
        ("ece", finding.ece),
        ("ece_by_chance", finding.ece_by_chance),
    ] {
        cell(page, value, None, || reason(&finding.undefined, key));
    }
    page.markup("</tr>\n");
}
