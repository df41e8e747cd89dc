//! The plots of the page, each with the words it needs.

use super::ReportData;
use super::html::Html;
use super::number::count;
use crate::plots::ClassTable;

/// How the findings compare on the split that the run is judged by.
pub(super) fn add_measured(page: &mut Html, data: &ReportData) {
    let judged = data.evaluations.judged().map(|(split, _)| split);
    let on_what = judged.map_or_else(String::new, |split| format!(" on {split}"));
    group(
        page,
        data,
        &format!("How well findings are told apart{on_what}"),
        "",
        &["auroc_per_finding", "roc", "pr"],
    );
    group(
        page,
        data,
        &format!("Probabilities and thresholds{on_what}"),
        "",
        &["calibration", "thresholds"],
    );
}

/// How the network got there, and what it was fed.
pub(super) fn add_training(page: &mut Html, data: &ReportData) {
    group(
        page,
        data,
        "Training",
        "The training pass sees augmented images while the weights move. It tells whether the \
         network learns; it is no measure of performance.",
        &["loss", "auroc", "accuracy"],
    );
    classes(page, data);
    if let Some(png) = &data.train_batch {
        page.markup(
            "<section>\n<h2>The first training batch, as the network sees it</h2>\n\
             <figure class=\"batch\">",
        );
        page.png(png, "The augmented radiographs of the first training batch");
        page.markup("</figure>\n</section>\n");
    }
}

fn group(page: &mut Html, data: &ReportData, title: &str, words: &str, names: &[&str]) {
    let there: Vec<_> = names
        .iter()
        .filter_map(|&name| data.plots.get(name))
        .collect();
    if there.is_empty() {
        return;
    }
    page.element("<section>\n<h2>", title, "</h2>\n");
    if !words.is_empty() {
        page.element("<p>", words, "</p>\n");
    }
    page.markup("<div class=\"plots\">\n");
    for plot in there {
        page.markup("<figure>").picture(plot).markup("</figure>\n");
    }
    page.markup("</div>\n</section>\n");
}

/// How often each finding is there, as a plot and as numbers, with its weight.
fn classes(page: &mut Html, data: &ReportData) {
    let plot = data.plots.get("class_distribution");
    if plot.is_none() && data.classes.is_none() {
        return;
    }
    page.markup("<section>\n<h2>Class balance</h2>\n<div class=\"plots\">\n");
    if let Some(plot) = plot {
        page.markup("<figure>").picture(plot).markup("</figure>\n");
    }
    if let Some(table) = &data.classes {
        class_table(page, table);
    }
    page.markup("</div>\n</section>\n");
}

fn class_table(page: &mut Html, table: &ClassTable) {
    page.markup("<div class=\"scroll\">\n<table>\n<thead><tr><th scope=\"col\">Positives</th>");
    for split in &table.splits {
        page.element("<th scope=\"col\">", &split.name, "</th>");
    }
    page.markup("<th scope=\"col\">Weight</th></tr></thead>\n<tbody>\n");
    for finding in &table.findings {
        page.element("<tr><th scope=\"row\">", &finding.name, "</th>");
        for &positives in &finding.positives {
            page.element("<td>", count(positives), "</td>");
        }
        let weight = finding.pos_weight.map(|weight| format!("{weight:.2}"));
        page.element("<td>", weight.unwrap_or_else(|| "–".into()), "</td></tr>\n");
    }
    page.markup("</tbody>\n</table>\n</div>\n");
    if let Some(rule) = &table.pos_weight_rule {
        let text = format!("Weight of a positive in the loss by the rule “{rule}”.");
        page.element("<p class=\"small\">", text, "</p>\n");
    }
    for warning in &table.warnings {
        page.element("<p class=\"small\">", warning, "</p>\n");
    }
}
