//! Cells of tables: a figure with what belongs beside it, or "–" with the reason.

use cxr_metrics::{Interval, Reasons};

use super::html::Html;
use super::number::figure;

/// "0.812–0.901".
pub(super) fn interval(interval: Interval) -> String {
    format!("{:.3}–{:.3}", interval.lower, interval.upper)
}

/// The interval, or why there is none, to stand below a figure.
pub(super) fn interval_or_reason(
    value: Option<Interval>,
    key: &str,
    undefined: &Reasons,
) -> Option<String> {
    value.map(interval).or_else(|| {
        let reason = undefined.get(key)?;
        Some(format!("no interval: {reason}"))
    })
}

/// Why a figure has no value.
pub(super) fn reason(undefined: &Reasons, key: &str) -> String {
    let reason = undefined.get(key);
    reason.map_or_else(|| "no reason recorded".into(), ToString::to_string)
}

/// `<td>` with a figure and a remark below it, or with "–" and the reason.
pub(super) fn cell(
    page: &mut Html,
    value: Option<f64>,
    remark: Option<String>,
    why_not: impl FnOnce() -> String,
) {
    if value.is_none() {
        page.element(
            "<td class=\"undefined\">–<small>",
            why_not(),
            "</small></td>",
        );
        return;
    }
    page.element("<td>", figure(value), "");
    if let Some(remark) = remark {
        let is_short = remark.chars().count() <= 20;
        page.markup(if is_short {
            "<small class=\"whole\">"
        } else {
            "<small>"
        });
        page.element("", remark, "</small>");
    }
    page.markup("</td>");
}

/// `<thead>` with a name for each column.
pub(super) fn head(page: &mut Html, columns: &[&str]) {
    page.markup("<thead><tr>");
    for column in columns {
        page.element("<th scope=\"col\">", column, "</th>");
    }
    page.markup("</tr></thead>\n<tbody>\n");
}
