//! The page that `explore --html` writes: the same tables, with the bar chart. No network, no script.

use std::fmt::Write;
use std::path::Path;

use super::explore::{Output, decimals};

const STYLE: &str = "
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
svg { max-width: 100%; height: auto; }
.wide { overflow-x: auto; } .wide td, .wide th { padding: .1rem .35rem; font-size: .8rem; }
";

/// The whole page. `chart` is a picture of ours; every other text is escaped.
pub(super) fn page(table: &Path, output: &Output, chart: &str) -> String {
    let facts = &output.table;
    let title = escaped(&table.to_string_lossy());
    let mut body = format!(
        "<h1>{title}</h1>\n<p>{} rows, {} columns, {} patients, {} empty values. Radiographs per \
         patient: {} to {}, median {}, mean {:.2}. {} radiographs have none of the findings.</p>\n",
        facts.rows,
        facts.columns,
        facts.patients,
        facts.nulls,
        facts.radiographs_per_patient.min,
        facts.radiographs_per_patient.max,
        facts.radiographs_per_patient.median,
        facts.radiographs_per_patient.mean,
        facts.without_finding,
    );
    if let Some(image) = &output.image {
        let s = &image.statistics;
        let name = escaped(&image.name);
        push(
            &mut body,
            format_args!(
                "<p>First image {name}: {}×{}, {} channels, max {:.4}, min {:.4}, mean {:.4}, \
                 standard deviation {:.4}.</p>\n",
                s.width, s.height, s.channels, s.max, s.min, s.mean, s.std
            ),
        );
    }
    body.push_str(chart);
    findings_table(&mut body, output);
    co_occurrence(&mut body, output);
    columns_table(&mut body, output);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style></head>\n<body>\n{body}</body></html>\n"
    )
}

fn findings_table(body: &mut String, output: &Output) {
    body.push_str(
        "<h2>Findings</h2>\n<table><tr><th>finding<th>positives<th>negatives<th>unknown\
         <th>prevalence<th>weight<th>√weight</tr>\n",
    );
    for finding in &output.table.findings {
        push(
            body,
            format_args!(
                "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>\n",
                escaped(&finding.name),
                finding.positives,
                finding.negatives,
                finding.unknown,
                decimals(finding.prevalence, 4),
                decimals(finding.pos_weight, 2),
                decimals(finding.pos_weight_sqrt, 2)
            ),
        );
    }
    body.push_str("</table>\n");
}

fn co_occurrence(body: &mut String, output: &Output) {
    body.push_str("<h2>Radiographs with both</h2>\n<div class=\"wide\"><table><tr><th>");
    let names: Vec<String> = output
        .table
        .findings
        .iter()
        .map(|finding| escaped(&finding.name))
        .collect();
    for name in &names {
        push(body, format_args!("<th>{name}"));
    }
    body.push_str("</tr>\n");
    for (name, counts) in names.iter().zip(&output.table.co_occurrence) {
        push(body, format_args!("<tr><td>{name}"));
        for count in counts {
            push(body, format_args!("<td>{count}"));
        }
        body.push_str("</tr>\n");
    }
    body.push_str("</table></div>\n");
}

fn columns_table(body: &mut String, output: &Output) {
    body.push_str("<h2>Columns</h2>\n<table><tr><th>column<th>values<th>empty</tr>\n");
    for column in &output.table.column_types {
        let (name, kind) = (escaped(&column.name), column.kind.as_str());
        push(
            body,
            format_args!("<tr><td>{name}<td>{kind}<td>{}</tr>\n", column.nulls),
        );
    }
    body.push_str("</table>\n");
}

fn push(body: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = body.write_fmt(text);
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            control if control.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}
