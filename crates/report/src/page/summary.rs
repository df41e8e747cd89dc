//! The top of the page: what data, which split, how good, against what, and what was checked.

use cxr_metrics::Evaluation;

use super::html::Html;
use super::number::{count, counted, duration, figure, percent};
use super::{ReportData, cards};
use crate::run_record::RunStatus;

pub(super) fn add(page: &mut Html, data: &ReportData) {
    page.markup("<header>\n");
    page.element("<h1>", &data.name, "</h1>\n");
    page.element("<p class=\"lead\">", what_ran(data), "</p>\n");
    page.markup("</header>\n");
    status(page, data);
    match data.evaluations.judged() {
        Some((split, evaluation)) => {
            if split == "valid" {
                page.markup(
                    "<p class=\"note\"><strong>There is no test split.</strong> The figures below \
                     are from valid, which also chose the epoch and the thresholds: they are \
                     optimistic.</p>\n",
                );
            }
            cards::add(page, data, split, evaluation);
            remarks(page, data, evaluation);
        }
        None => {
            page.markup(
                "<p class=\"note\"><strong>Nothing was evaluated.</strong> This run has no \
                 evaluation.json, so there is no figure to be judged by.</p>\n",
            );
        }
    }
    checks(page, data);
}

fn what_ran(data: &ReportData) -> String {
    let model = data.run.model.as_ref();
    let network = model.map_or_else(
        || "A network".to_owned(),
        |model| {
            format!(
                "{} with {} ({} × {} pixels, weights {})",
                model.architecture,
                counted(model.n_parameters, "parameter", "parameters"),
                model.width,
                model.height,
                model.pretrained.as_deref().map_or_else(
                    || "drawn at random".to_owned(),
                    |origin| format!("from {origin}")
                )
            )
        },
    );
    let Some(cohort) = &data.run.data else {
        return format!("{network}.");
    };
    let splits: Vec<String> = cohort
        .splits
        .iter()
        .map(|split| {
            format!(
                "{} {} of {}",
                split.name,
                counted(split.radiographs, "radiograph", "radiographs"),
                counted(split.patients, "patient", "patients")
            )
        })
        .collect();
    let kind = if cohort.is_phantom {
        "synthetic radiographs"
    } else {
        "radiographs"
    };
    format!(
        "{network}, trained on the {kind} “{}”: {}.",
        cohort.name,
        splits.join(", ")
    )
}

fn status(page: &mut Html, data: &ReportData) {
    let text = match data.run.status {
        RunStatus::Finished => return,
        RunStatus::Running => "This run has not ended, or was killed before it could say so.",
        RunStatus::Interrupted => {
            "This run was interrupted after a checkpoint; --resume continues."
        }
        RunStatus::Failed => "This run failed.",
    };
    page.markup("<p class=\"note bad\"><strong>")
        .text(text)
        .markup("</strong>");
    if let Some(failure) = &data.run.failure {
        page.text(format!(" {}: {}", failure.code, failure.message));
    }
    page.markup("</p>\n");
}

/// What a reader would otherwise have to notice.
fn remarks(page: &mut Html, data: &ReportData, evaluation: &Evaluation) {
    let mut remarks = Vec::new();
    let baselines = &evaluation.baselines;
    if let (Some(reached), Some(nothing)) = (
        evaluation.subset_accuracy,
        baselines.subset_accuracy_all_negative,
    ) && reached <= nothing
    {
        remarks.push(format!(
            "Subset accuracy ({}) is not above that of predicting nothing ({}): by itself it says \
             nothing about this model.",
            percent(Some(reached)),
            percent(Some(nothing))
        ));
    }
    let mean = &evaluation.macro_mean;
    if mean.over < mean.of {
        let undefined: Vec<&str> = evaluation
            .findings
            .iter()
            .filter(|finding| finding.auroc.is_none())
            .map(|finding| finding.name.as_str())
            .collect();
        remarks.push(format!(
            "AUROC is undefined for {}: not part of the mean.",
            undefined.join(", ")
        ));
    }
    let no_better = cards::no_better_than_prevalence(evaluation);
    if !no_better.is_empty() {
        remarks.push(format!(
            "Probabilities of {} are no better than saying the prevalence to everybody (Brier \
             score).",
            no_better.join(", ")
        ));
    }
    if data
        .run
        .data
        .as_ref()
        .is_some_and(|cohort| cohort.is_phantom)
    {
        remarks.push(
            "The radiographs are drawn by a program. They are cartoons: the figures show that the \
             pipeline learns what can be learned, not how a model does on patients."
                .to_owned(),
        );
    }
    if remarks.is_empty() {
        return;
    }
    page.markup("<ul class=\"remarks\">\n");
    for remark in remarks {
        page.element("<li>", remark, "</li>\n");
    }
    page.markup("</ul>\n");
}

fn checks(page: &mut Html, data: &ReportData) {
    page.markup("<section>\n<h2>What was checked</h2>\n<ul>\n");
    leakage(page, data);
    if let Some(best) = &data.run.best {
        page.element(
            "<li>",
            format!(
                "Epoch {} was kept by {} ({}); test was not looked at for it.",
                best.epoch,
                best.rule,
                figure(best.value)
            ),
            "</li>\n",
        );
    }
    if data.evaluations.test.is_some() {
        page.markup("<li>Test was read once, after training; nothing was chosen on it.</li>\n");
    }
    if let Some(cohort) = &data.run.data {
        for split in &cohort.splits {
            if let Some(list) = &split.known_as {
                let text = format!("The {} split is {list}, by its fingerprint.", split.name);
                page.element("<li>", text, "</li>\n");
            }
        }
    }
    if let Some(seconds) = data.run.seconds {
        page.element(
            "<li>",
            format!("The run took {}.", duration(seconds)),
            "</li>\n",
        );
    }
    page.markup("</ul>\n");
    if !data.run.warnings.is_empty() {
        page.element(
            "<details open><summary>",
            counted(data.run.warnings.len(), "warning", "warnings"),
            "</summary>\n<ul>\n",
        );
        for warning in &data.run.warnings {
            page.element("<li>", warning, "</li>\n");
        }
        page.markup("</ul>\n</details>\n");
    }
    page.markup("</section>\n");
}

fn leakage(page: &mut Html, data: &ReportData) {
    let Some(leakage) = &data.leakage else {
        page.markup("<li>Whether splits share patients was not recorded.</li>\n");
        return;
    };
    let n_patients = leakage.n_shared_patients();
    let n_images = leakage.shared_images.values().map(Vec::len).sum::<usize>();
    if n_patients == 0 && n_images == 0 {
        page.markup("<li>No patient and no image is in two splits.</li>\n");
        return;
    }
    let shared = format!(
        "{} and {} were in two splits",
        counted(n_patients, "patient", "patients"),
        counted(n_images, "image", "images")
    );
    let Some(repaired) = &leakage.repaired_rows else {
        page.markup("<li class=\"bad\"><strong>").text(shared);
        page.markup(" and still are: the figures of this page are too good.</strong></li>\n");
        return;
    };
    let rows: Vec<String> = repaired
        .iter()
        .filter_map(|(split, &after)| {
            let before = *leakage.rows.get(split)?;
            (before != after).then(|| format!("{split} {} → {}", count(before), count(after)))
        })
        .collect();
    let dropped = counted(leakage.n_dropped_rows(), "row was", "rows were");
    page.element(
        "<li>",
        format!(
            "Leakage repaired: {shared}; {dropped} dropped ({}).",
            rows.join(", ")
        ),
        "</li>\n",
    );
}
