//! How often each finding is there, split by split.
//!
//! For `explore`, the run folder (`data/class_weights.json` is a `ClassTable`) and the page.
//! Deliberately not here: counting.

use serde::{Deserialize, Serialize};

use super::canvas::{Colour, Hold, Mark, Writing, legend_height, picture, text_width};
use super::scale::Scale;
use crate::report_error::ReportError;

const WIDTH: f64 = 480.0;
const BAR: f64 = 9.0;
const GAP: f64 = 8.0;

/// Positives of each finding in each split, with the weight that training gives them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClassTable {
    /// The splits, in the order of the counts below.
    pub splits: Vec<SplitSize>,
    /// The findings in their order.
    pub findings: Vec<FindingCounts>,
    /// The rule of the weights, as `sqrt`.
    pub pos_weight_rule: Option<String>,
    /// What the rule had to say, as about findings without positives.
    pub warnings: Vec<String>,
}

/// How large a split is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SplitSize {
    /// `train`, `valid` or `test`.
    pub name: String,
    /// Rows.
    pub radiographs: u64,
}

/// One finding's row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FindingCounts {
    /// The finding.
    pub name: String,
    /// Positives in each split.
    pub positives: Vec<u64>,
    /// The weight of a positive in the loss.
    pub pos_weight: Option<f64>,
}

/// Bars of each finding's share of each split, most frequent first, with the number of positives.
///
/// # Errors
/// `R014` where it cannot be drawn.
pub fn class_distribution(table: &ClassTable) -> Result<String, ReportError> {
    let rows = sorted_rows(table);
    let n_bars = table.splits.len().clamp(1, Colour::SERIES.len());
    let row_height = (float(n_bars) * BAR).max(13.0) + GAP;
    let names = table.findings.iter().map(|finding| finding.name.as_str());
    let left = label_width(names);
    let legend: Vec<(Mark, Colour, String)> = table
        .splits
        .iter()
        .zip(Colour::SERIES)
        .map(|(split, colour)| {
            let name = format!("{} ({} radiographs)", split.name, split.radiographs);
            (Mark::Square, colour, name)
        })
        .collect();
    let legend: Vec<(Mark, Colour, &str)> = legend
        .iter()
        .map(|(mark, colour, name)| (*mark, *colour, name.as_str()))
        .collect();
    let height = 56.0 + legend_height(&legend, WIDTH) + row_height * float(rows.len());
    picture(
        "class_distribution",
        "How often each finding is there",
        (WIDTH, height),
        |canvas| {
            let top = canvas.legend(24.0, WIDTH, &legend)? + 6.0;
            let bottom = top + row_height * float(rows.len());
            let most = rows
                .iter()
                .flat_map(|row| row.shares())
                .fold(0.01, f64::max);
            let scale = Scale::new((0.0, most * 100.0), (left, WIDTH - 40.0));
            for (percent, text) in scale.ticks(6) {
                let x = scale.at(percent);
                canvas.line(&[(x, top), (x, bottom)], 1.0, Colour::Ink(0.15))?;
                let writing = Writing::label(Hold::Middle).sized(12.0);
                canvas.text((x, bottom + 12.0), &format!("{text}%"), writing)?;
            }
            for (place, row) in rows.iter().enumerate() {
                let row_top = top + row_height * float(place) + GAP / 2.0;
                let middle = row_top + (row_height - GAP) / 2.0;
                canvas.text(
                    (left - 8.0, middle),
                    &super::canvas::shortened(row.name, 13.0, left - 8.0),
                    Writing::label(Hold::Right),
                )?;
                for (bar, ((positives, share), colour)) in
                    row.counts.iter().zip(Colour::SERIES).enumerate()
                {
                    let y = middle + BAR * (float(bar) - float(n_bars) / 2.0);
                    let end = scale.at(share * 100.0);
                    canvas.bar((left, y + 0.5), (end, y + BAR - 0.5), colour)?;
                    canvas.text(
                        (end + 4.0, y + BAR / 2.0),
                        &positives.to_string(),
                        Writing::label(Hold::Left).sized(if n_bars == 1 { 12.0 } else { 10.0 }),
                    )?;
                }
            }
            canvas.line(&[(left, top), (left, bottom)], 1.0, Colour::Ink(0.6))
        },
    )
}

struct Row<'a> {
    name: &'a str,
    /// Positives and their share of the split.
    counts: Vec<(u64, f64)>,
}

impl Row<'_> {
    fn shares(&self) -> impl Iterator<Item = f64> {
        self.counts.iter().map(|&(_, share)| share)
    }
}

fn sorted_rows(table: &ClassTable) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = table
        .findings
        .iter()
        .map(|finding| Row {
            name: &finding.name,
            counts: finding
                .positives
                .iter()
                .zip(&table.splits)
                .map(|(&positives, split)| {
                    (
                        positives,
                        count(positives) / count(split.radiographs.max(1)),
                    )
                })
                .collect(),
        })
        .collect();
    let first = |row: &Row<'_>| row.shares().next().unwrap_or(0.0);
    rows.sort_by(|a, b| first(b).total_cmp(&first(a)));
    rows
}

/// Room for the names of rows, at most two fifths of the picture.
pub(super) fn label_width<'a>(names: impl Iterator<Item = &'a str>) -> f64 {
    let widest = names
        .map(|name| text_width(name, 13.0))
        .fold(60.0, f64::max);
    (widest + 8.0).min(WIDTH * 0.4)
}

pub(super) fn float(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of radiographs are far below 2^53"
)]
fn count(number: u64) -> f64 {
    number as f64
}
