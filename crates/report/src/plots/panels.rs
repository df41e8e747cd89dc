//! Small multiples: one little picture for each finding, all on the same axes.
//!
//! For ROC, precision-recall, calibration and threshold curves. Deliberately not here: computing the
//! curves; those of many thousand points are thinned to what can be seen.

use super::canvas::{Canvas, Colour, Hold, Mark, Writing, picture, shortened};
use super::classes::float;
use super::scale::Scale;
use crate::report_error::ReportError;

const WIDTH: f64 = 480.0;
const N_COLUMNS: usize = 3;
const CELL: f64 = WIDTH / 3.0;
const CELL_HEIGHT: f64 = 188.0;
/// Points closer than this to the last one drawn are left out.
const VISIBLE: f64 = 0.4;

/// A curve of one finding with both axes from 0 to 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// The finding.
    pub name: String,
    /// In drawing order.
    pub points: Vec<(f64, f64)>,
    /// The figure that sums the curve up: AUROC, average precision, calibration error.
    pub figure: Option<f64>,
    /// Height of the line that needs no skill, where it is level: prevalence for precision-recall.
    pub baseline: Option<f64>,
    /// Why there is no curve.
    pub undefined: Option<String>,
}

/// What a threshold does to one finding; every value from 0 to 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ThresholdCurve {
    /// The finding.
    pub name: String,
    /// Threshold and sensitivity.
    pub sensitivity: Vec<(f64, f64)>,
    /// Threshold and specificity.
    pub specificity: Vec<(f64, f64)>,
    /// Threshold and precision.
    pub precision: Vec<(f64, f64)>,
    /// The threshold in use.
    pub chosen: Option<f64>,
    /// Why there is no curve.
    pub undefined: Option<String>,
}

/// ROC curves: true positives over false positives, with AUROC.
///
/// # Errors
/// `R014` where it cannot be drawn.
pub fn roc(split: &str, curves: &[Curve]) -> Result<String, ReportError> {
    let cells: Vec<Cell<'_>> = curves
        .iter()
        .map(|curve| Cell::of(curve, Rule::Diagonal))
        .collect();
    Sheet {
        plot: "roc",
        title: format!("ROC on {split}, with AUROC"),
        axes: ("1 − specificity", "sensitivity"),
        legend: &[(Mark::Dashes, Colour::Ink(0.7), "chance")],
    }
    .draw(&cells)
}

/// Precision-recall curves, with average precision and prevalence.
///
/// # Errors
/// `R014` where it cannot be drawn.
pub fn pr(split: &str, curves: &[Curve]) -> Result<String, ReportError> {
    let cells: Vec<Cell<'_>> = curves
        .iter()
        .map(|curve| Cell::of(curve, curve.baseline.map_or(Rule::None, Rule::Level)))
        .collect();
    Sheet {
        plot: "pr",
        title: format!("Precision and recall on {split}, with average precision"),
        axes: ("recall (sensitivity)", "precision"),
        legend: &[(
            Mark::Dashes,
            Colour::Ink(0.7),
            "prevalence: precision without skill",
        )],
    }
    .draw(&cells)
}

/// Reliability curves: observed frequency over mean probability of each bin, with the error.
///
/// # Errors
/// `R014` where it cannot be drawn.
pub fn calibration(split: &str, curves: &[Curve]) -> Result<String, ReportError> {
    let cells: Vec<Cell<'_>> = curves
        .iter()
        .map(|curve| Cell {
            has_dots: true,
            ..Cell::of(curve, Rule::Diagonal)
        })
        .collect();
    Sheet {
        plot: "calibration",
        title: format!("Calibration on {split}, with expected calibration error"),
        axes: ("probability", "frequency"),
        legend: &[(Mark::Dashes, Colour::Ink(0.7), "perfect")],
    }
    .draw(&cells)
}

/// Sensitivity, specificity and precision over the threshold, with the threshold in use.
///
/// # Errors
/// `R014` where it cannot be drawn.
pub fn thresholds(split: &str, curves: &[ThresholdCurve]) -> Result<String, ReportError> {
    let cells: Vec<Cell<'_>> = curves
        .iter()
        .map(|curve| Cell {
            name: &curve.name,
            figure: curve.chosen,
            lines: vec![
                (Colour::Blue, &curve.sensitivity),
                (Colour::Orange, &curve.specificity),
                (Colour::Green, &curve.precision),
            ],
            rule: curve.chosen.map_or(Rule::None, Rule::Upright),
            undefined: curve.undefined.as_deref(),
            has_dots: false,
        })
        .collect();
    Sheet {
        plot: "thresholds",
        title: format!("What the threshold does on {split}"),
        axes: ("threshold", "share"),
        legend: &[
            (Mark::Line, Colour::Blue, "sensitivity"),
            (Mark::Line, Colour::Orange, "specificity"),
            (Mark::Line, Colour::Green, "precision"),
            (Mark::Dashes, Colour::Ink(0.7), "in use"),
        ],
    }
    .draw(&cells)
}

/// The dashed line of a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    None,
    Diagonal,
    Level(f64),
    Upright(f64),
}

struct Cell<'a> {
    name: &'a str,
    figure: Option<f64>,
    lines: Vec<(Colour, &'a [(f64, f64)])>,
    rule: Rule,
    undefined: Option<&'a str>,
    has_dots: bool,
}

impl<'a> Cell<'a> {
    fn of(curve: &'a Curve, rule: Rule) -> Self {
        Self {
            name: &curve.name,
            figure: curve.figure,
            lines: vec![(Colour::Blue, &curve.points)],
            rule,
            undefined: curve.undefined.as_deref(),
            has_dots: false,
        }
    }

    fn draw(&self, canvas: &Canvas<'_>, (left, top): (f64, f64)) -> Result<(), ReportError> {
        let (x0, x1) = (left + 22.0, left + CELL - 8.0);
        let (y0, y1) = (top + CELL_HEIGHT - 26.0, top + 34.0);
        let name = shortened(self.name, 12.5, x1 - left);
        let writing = Writing::label(Hold::Left).sized(12.5);
        canvas.text((left, top + 8.0), &name, writing.bold())?;
        if let Some(figure) = self.figure {
            let right = Writing::label(Hold::Right).sized(12.5);
            canvas.text((x1, top + 23.0), &format!("{figure:.3}"), right)?;
        }
        let frame = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)];
        canvas.line(&frame, 1.0, Colour::Ink(0.3))?;
        let (x, y) = (
            Scale::new((0.0, 1.0), (x0, x1)),
            Scale::new((0.0, 1.0), (y0, y1)),
        );
        for (value, text) in [(0.0, "0"), (0.5, ".5"), (1.0, "1")] {
            let writing = Writing::label(Hold::Middle).sized(12.0);
            canvas.text((x.at(value), y0 + 9.0), text, writing)?;
            let writing = Writing::label(Hold::Right).sized(12.0);
            canvas.text((x0 - 4.0, y.at(value)), text, writing)?;
        }
        if let Some(reason) = self.undefined {
            return undefined(canvas, reason, ((x0 + x1) / 2.0, (y0 + y1) / 2.0), x1 - x0);
        }
        let rule = match self.rule {
            Rule::None => None,
            Rule::Diagonal => Some(((x0, y0), (x1, y1))),
            Rule::Level(value) => Some(((x0, y.at(value)), (x1, y.at(value)))),
            Rule::Upright(value) => Some(((x.at(value), y0), (x.at(value), y1))),
        };
        if let Some((from, to)) = rule {
            canvas.dashes(from, to, Colour::Ink(0.7))?;
        }
        for (colour, points) in &self.lines {
            let placed = points.iter().map(|&(a, b)| (x.at(a), y.at(b)));
            let points = thinned(placed);
            canvas.line(&points, 1.75, *colour)?;
            if self.has_dots {
                for &point in &points {
                    canvas.dot(point, 2.5, *colour)?;
                }
            }
        }
        Ok(())
    }
}

struct Sheet<'a> {
    plot: &'static str,
    title: String,
    axes: (&'static str, &'static str),
    legend: &'a [(Mark, Colour, &'static str)],
}

impl Sheet<'_> {
    fn draw(&self, cells: &[Cell<'_>]) -> Result<String, ReportError> {
        let n_rows = cells.len().div_ceil(N_COLUMNS);
        let height = 70.0 + CELL_HEIGHT * float(n_rows) - 8.0;
        picture(self.plot, &self.title, (WIDTH, height), |canvas| {
            let axes = format!("across: {}, up: {}", self.axes.0, self.axes.1);
            let writing = Writing::label(Hold::Left).sized(12.0);
            canvas.text((0.0, 34.0), &axes, writing)?;
            canvas.legend(44.0, WIDTH, self.legend)?;
            for (place, cell) in cells.iter().enumerate() {
                let left = CELL * float(place % N_COLUMNS);
                let top = 70.0 + CELL_HEIGHT * float(place / N_COLUMNS);
                cell.draw(canvas, (left, top))?;
            }
            Ok(())
        })
    }
}

/// "undefined" with the reason below it, in lines that fit.
pub(super) fn undefined(
    canvas: &Canvas<'_>,
    reason: &str,
    (x, y): (f64, f64),
    width: f64,
) -> Result<(), ReportError> {
    const SIZE: f64 = 12.0;
    let mut lines = vec![String::from("undefined:")];
    for word in reason.split_whitespace() {
        match lines.last_mut() {
            Some(line)
                if line != "undefined:"
                    && super::canvas::text_width(&format!("{line} {word}"), SIZE) <= width =>
            {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.truncate(6);
    let first = y - 14.0 * float(lines.len() - 1) / 2.0;
    for (place, line) in lines.iter().enumerate() {
        let writing = Writing::label(Hold::Middle).sized(SIZE);
        let line = shortened(line, SIZE, width);
        canvas.text((x, first + 14.0 * float(place)), &line, writing)?;
    }
    Ok(())
}

/// Without the points that stand on the one before; corners and ends stay.
pub(super) fn thinned(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    let mut last = None;
    for point in points {
        last = Some(point);
        let is_new = kept
            .last()
            .is_none_or(|&(x, y)| (point.0 - x).abs() >= VISIBLE || (point.1 - y).abs() >= VISIBLE);
        if is_new {
            kept.push(point);
        }
    }
    if let Some(last) = last.filter(|last| kept.last() != Some(last)) {
        kept.push(last);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_both_ends_and_moves_nothing_visibly() {
        let points: Vec<(f64, f64)> = (0..=20_000)
            .map(|step| {
                (
                    f64::from(step) / 200.0,
                    (f64::from(step) / 2e4).sqrt() * 100.0,
                )
            })
            .collect();
        let kept = thinned(points.iter().copied());
        assert!(kept.len() < 600, "{}", kept.len());
        assert_eq!(kept.first(), points.first());
        assert_eq!(kept.last(), points.last());
        for point in &points {
            let near = kept
                .iter()
                .map(|other| (point.0 - other.0).hypot(point.1 - other.1))
                .fold(f64::INFINITY, f64::min);
            assert!(near < 2.0 * VISIBLE, "{point:?}");
        }
    }
}
