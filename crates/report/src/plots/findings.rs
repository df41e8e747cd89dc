//! AUROC of each finding on one split: a dot, its interval, its ceiling, chance.
//!
//! For the run folder and the page. Deliberately not here: computing any of them.

use cxr_metrics::Evaluation;

use super::canvas::{Canvas, Colour, Hold, Mark, Writing, legend_height, picture, shortened};
use super::classes::{float, label_width};
use super::scale::Scale;
use crate::ceilings::AurocCeilings;
use crate::report_error::ReportError;

const WIDTH: f64 = 480.0;
const ROW: f64 = 24.0;

/// One finding's row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FindingAuroc {
    /// The finding.
    pub name: String,
    /// `None` where undefined.
    pub auroc: Option<f64>,
    /// The interval around it, where one was computed.
    pub interval: Option<(f64, f64)>,
    /// The best that any model can reach, where that is known (phantom).
    pub ceiling: Option<f64>,
    /// Why it is undefined.
    pub undefined: Option<String>,
}

/// Dots with intervals on `split`, highest first; what is undefined comes last with its reason.
///
/// # Errors
/// `R014` where it cannot be drawn.
pub fn auroc_per_finding(split: &str, findings: &[FindingAuroc]) -> Result<String, ReportError> {
    let mut rows: Vec<&FindingAuroc> = findings.iter().collect();
    let rank = |row: &FindingAuroc| row.auroc.unwrap_or(f64::NEG_INFINITY);
    rows.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
    let left = label_width(rows.iter().map(|row| row.name.as_str()));
    let lowest = rows
        .iter()
        .flat_map(|row| row.lowest())
        .fold(0.45, f64::min);
    let low = ((lowest - 0.02) * 20.0).floor().max(0.0) / 20.0;
    let scale = Scale::new((low, 1.0), (left, WIDTH - 52.0));
    let legend = legend(findings);
    let height = 54.0 + legend_height(&legend, WIDTH) + ROW * float(rows.len());
    picture(
        "auroc_per_finding",
        &format!("AUROC of each finding on {split}"),
        (WIDTH, height),
        |canvas| {
            let top = canvas.legend(24.0, WIDTH, &legend)? + 4.0;
            let bottom = top + ROW * float(rows.len());
            for (value, text) in scale.ticks(7) {
                let x = scale.at(value);
                canvas.line(&[(x, top), (x, bottom)], 1.0, Colour::Ink(0.15))?;
                let writing = Writing::label(Hold::Middle).sized(12.0);
                canvas.text((x, bottom + 12.0), &text, writing)?;
            }
            let chance = scale.at(0.5);
            canvas.dashes((chance, top), (chance, bottom), Colour::Ink(0.7))?;
            for (place, row) in rows.iter().enumerate() {
                row.draw(canvas, &scale, top + ROW * (float(place) + 0.5))?;
            }
            Ok(())
        },
    )
}

impl FindingAuroc {
    /// The rows of an evaluation, with the ceilings that are known.
    #[must_use]
    pub fn all_of(evaluation: &Evaluation, ceilings: &AurocCeilings) -> Vec<Self> {
        let findings = evaluation.findings.iter();
        findings
            .map(|finding| Self {
                name: finding.name.clone(),
                auroc: finding.auroc,
                interval: finding
                    .auroc_ci
                    .map(|interval| (interval.lower, interval.upper)),
                ceiling: ceilings.get(&finding.name).copied(),
                undefined: finding.undefined.get("auroc").map(ToString::to_string),
            })
            .collect()
    }

    fn lowest(&self) -> impl Iterator<Item = f64> {
        let low = self.interval.map(|(low, _)| low);
        [self.auroc, low, self.ceiling].into_iter().flatten()
    }

    fn draw(&self, canvas: &Canvas<'_>, scale: &Scale, y: f64) -> Result<(), ReportError> {
        let (left, right) = scale.ends();
        let name = shortened(&self.name, 13.0, left - 8.0);
        canvas.text((left - 8.0, y), &name, Writing::label(Hold::Right))?;
        let Some(auroc) = self.auroc else {
            let reason = self.undefined.as_deref().unwrap_or("no reason recorded");
            // Right of the line of chance, which would cross it.
            let x = scale.at(0.5) + 8.0;
            let text = shortened(&format!("undefined: {reason}"), 12.0, WIDTH - x);
            let writing = Writing::label(Hold::Left).sized(12.0);
            return canvas.text((x, y), &text, writing.coloured(Colour::Ink(0.7)));
        };
        if let Some((low, high)) = self.interval {
            let (low, high) = (scale.at(low), scale.at(high));
            canvas.line(&[(low, y), (high, y)], 2.0, Colour::Blue)?;
            for end in [low, high] {
                canvas.line(&[(end, y - 4.0), (end, y + 4.0)], 2.0, Colour::Blue)?;
            }
        }
        if let Some(ceiling) = self.ceiling {
            let x = scale.at(ceiling);
            canvas.bar((x - 1.25, y - 8.0), (x + 1.25, y + 8.0), Colour::Orange)?;
        }
        canvas.dot((scale.at(auroc), y), 4.5, Colour::Blue)?;
        let writing = Writing::label(Hold::Left);
        canvas.text((right + 10.0, y), &format!("{auroc:.3}"), writing)
    }
}

fn legend(findings: &[FindingAuroc]) -> Vec<(Mark, Colour, &'static str)> {
    let has = |test: fn(&FindingAuroc) -> bool| findings.iter().any(test);
    let mut entries = vec![(Mark::Dot, Colour::Blue, "AUROC")];
    if has(|finding| finding.interval.is_some()) {
        entries.push((Mark::Line, Colour::Blue, "95 % interval"));
    }
    if has(|finding| finding.ceiling.is_some()) {
        entries.push((Mark::Tick, Colour::Orange, "ceiling of the phantom"));
    }
    entries.push((Mark::Dashes, Colour::Ink(0.7), "chance"));
    entries
}
