//! Radiographs on which the model was right or wrong, with what it said of them.

use super::ReportData;
use super::html::Html;
use super::number::figure;
use crate::examples::{ExampleKind, ExampleRecord};

/// Says that the page holds pictures of radiographs, where it does.
pub(super) fn warning(page: &mut Html, data: &ReportData) {
    if data.example_pictures.is_empty() {
        return;
    }
    page.markup("<p class=\"note\"><strong>This page holds pictures of radiographs");
    let is_phantom = data.run.data.as_ref().is_some_and(|data| data.is_phantom);
    page.markup(if is_phantom {
        "</strong> that a program drew. They show the extremes: what the model was surest of, right \
         and wrong.</p>\n"
    } else {
        ", with their image names.</strong> Think of the patients and of the collection’s terms \
         before you pass it on. They show the extremes: what the model was surest of, right and \
         wrong.</p>\n"
    });
}

/// The examples of one finding.
pub(super) fn add(page: &mut Html, data: &ReportData, finding: &str) {
    let of_finding = |example: &&ExampleRecord| example.finding == finding;
    let examples: Vec<_> = data.examples.examples.iter().filter(of_finding).collect();
    if examples.is_empty() {
        return;
    }
    page.element("<h3>Right and wrong on ", &data.examples.split, "</h3>\n");
    page.markup("<div class=\"examples\">\n");
    for example in examples {
        one(page, data, example);
    }
    page.markup("</div>\n");
}

fn one(page: &mut Html, data: &ReportData, example: &ExampleRecord) {
    let title = match example.kind {
        ExampleKind::TruePositive => "Found: true positive",
        ExampleKind::FalseNegative => "Missed: false negative",
        ExampleKind::FalsePositive => "False alarm: false positive",
        ExampleKind::TrueNegative => "Left alone: true negative",
    };
    page.markup(if example.kind.label() == example.kind.decision() {
        "<figure>"
    } else {
        "<figure class=\"wrong\">"
    });
    if let Some(png) = data.example_pictures.get(&example.picture) {
        page.png(png, &format!("{title}, {}", example.finding));
    }
    page.element("<figcaption><strong>", title, "</strong>");
    let sign = if example.kind.decision() { "≥" } else { "<" };
    page.element(
        "<small>",
        format!(
            "probability {:.3} {sign} threshold {:.3}; logit {}",
            example.probability,
            example.threshold,
            figure(Some(example.logit))
        ),
        "</small>",
    );
    let word = |is_positive| if is_positive { "positive" } else { "negative" };
    let text = format!(
        "label {}, decision {}",
        word(example.kind.label()),
        word(example.kind.decision())
    );
    page.element("<small>", text, "</small>");
    page.element(
        "<small><code>",
        &example.image,
        "</code></small></figcaption></figure>\n",
    );
}
