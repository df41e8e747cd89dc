//! The end of the page: how to repeat the run, what it ran on, and what it is not.

use std::collections::BTreeMap;

use super::ReportData;
use super::html::Html;
use super::number::duration;

const LIMITS: &str = "<section class=\"limits\">\n<h2>Limits</h2>\n<ul>\n\
<li><strong>A research tool, not a medical device.</strong> Nothing on this page may guide the care \
of a patient.</li>\n\
<li>Figures hold for radiographs like those of the split they were measured on: another hospital, \
machine, age or share of ill people gives others.</li>\n\
<li>Labels of public collections are mined from reports by a program; a figure measured against them \
inherits their errors.</li>\n\
<li>Images of one patient are not independent. Intervals take the patient as the unit. They say how \
far another draw of such patients would move a figure, not how far another hospital would, and they \
are not widened for being many.</li>\n\
<li>Thresholds and calibrations were fitted on valid. Where a page shows valid itself, they are \
measured on what they were fitted on.</li>\n\
<li>A probability is right only where the finding is as frequent as on valid.</li>\n\
<li>Examples are the extremes of a split, chosen by score. They are no random sample and prove \
nothing.</li>\n\
<li>What the training pass gave is never called performance.</li>\n\
<li>Phantoms are cartoons. They test a pipeline; they say nothing about patients.</li>\n\
</ul>\n</section>\n";

pub(super) fn add(page: &mut Html, data: &ReportData) {
    configuration(page, data);
    provenance(page, data);
    page.markup(LIMITS);
}

fn configuration(page: &mut Html, data: &ReportData) {
    if data.config.is_empty() {
        return;
    }
    page.markup(
        "<section>\n<h2>Configuration</h2>\n<div class=\"scroll\">\n<table class=\"plain\">\n",
    );
    page.markup("<thead><tr><th scope=\"col\">Setting</th><th scope=\"col\">Value</th>");
    page.markup("<th scope=\"col\">Set by</th></tr></thead>\n<tbody>\n");
    for line in &data.config {
        let is_default = line.origin == "default" || line.origin.is_empty();
        page.markup(if is_default {
            "<tr>"
        } else {
            "<tr class=\"set\">"
        });
        page.element("<th scope=\"row\"><code>", &line.key, "</code></th>");
        page.element("<td><code>", &line.value, "</code></td>");
        page.element("<td>", &line.origin, "</td></tr>\n");
    }
    page.markup("</tbody>\n</table>\n</div>\n</section>\n");
}

fn provenance(page: &mut Html, data: &ReportData) {
    let run = &data.run;
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        rows.extend(value.map(|value| (name.to_owned(), value)));
    };
    let command = (!run.command.is_empty()).then(|| run.command.join(" "));
    add("command", command);
    add("preset", run.preset.clone());
    add("seed", run.seed.map(|seed| seed.to_string()));
    add("started", run.started.clone());
    add("finished", run.finished.clone());
    add("exit code", run.exit_code.map(|code| code.to_string()));
    add("processor", run.processor.clone());
    add("threads", run.threads.map(|threads| threads.to_string()));
    add("memory", run.memory_bytes.map(gibibytes));
    add("device", run.device.clone());
    for (prefix, map) in [
        ("version of ", &run.versions),
        ("fingerprint of ", &run.fingerprints),
    ] {
        rows.extend(named(prefix, map));
    }
    for split in run.data.iter().flat_map(|cohort| &cohort.splits) {
        if !split.fingerprint.is_empty() {
            rows.push((
                format!("fingerprint of {}", split.name),
                split.fingerprint.clone(),
            ));
        }
    }
    for (stage, &seconds) in &run.timings {
        rows.push((format!("time for {stage}"), duration(seconds)));
    }
    if rows.is_empty() {
        return;
    }
    page.markup("<section>\n<h2>Versions, machine and fingerprints</h2>\n<div class=\"scroll\">\n");
    page.markup("<table class=\"plain\">\n<tbody>\n");
    for (name, value) in rows {
        page.element("<tr><th scope=\"row\">", name, "</th>");
        page.element("<td><code>", value, "</code></td></tr>\n");
    }
    page.markup("</tbody>\n</table>\n</div>\n</section>\n");
}

fn named<'a>(
    prefix: &'a str,
    map: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = (String, String)> + 'a {
    map.iter()
        .map(move |(name, value)| (format!("{prefix}{name}"), value.clone()))
}

fn gibibytes(bytes: u64) -> String {
    let tenths = bytes / ((1 << 30) / 10);
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}
