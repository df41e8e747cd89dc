//! How a run went, epoch by epoch: loss, accuracy, AUROC.
//!
//! For the run folder and the page; the input is `results.csv`. What the training pass gave is drawn
//! under that name, because it is no performance. Deliberately not here: choosing the epoch.

use cxr_metrics::{Baselines, EpochRecord, History, MacroMean, PassSummary};

use super::canvas::{Canvas, Colour, Hold, Mark, Writing, legend_height, picture};
use super::scale::Scale;
use crate::report_error::ReportError;

const WIDTH: f64 = 480.0;
const PANEL: f64 = 230.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = WIDTH - 12.0;

/// Loss of the training pass and of valid.
///
/// # Errors
/// `R014` where it cannot be drawn.
pub fn loss(history: &History) -> Result<String, ReportError> {
    let series = both(history, |pass| Some(pass.loss));
    panels("loss", "Loss", history, &[Panel::new("", &series, None)])
}

/// Subset accuracy and label accuracy, each with what predicting nothing reaches on valid.
///
/// # Errors
/// `R014` where it cannot be drawn.
pub fn accuracy(history: &History, valid: Option<&Baselines>) -> Result<String, ReportError> {
    let subset = both(history, |pass| pass.subset_accuracy);
    let label = both(history, |pass| pass.label_accuracy);
    let reference = |value: fn(&Baselines) -> Option<f64>| {
        let value = value(valid?)?;
        Some(("valid, predicting nothing", value))
    };
    let drawn = [
        Panel::new(
            "Subset accuracy: all decisions on a radiograph are right",
            &subset,
            reference(|baselines| baselines.subset_accuracy_all_negative),
        ),
        Panel::new(
            "Label accuracy: share of right decisions",
            &label,
            reference(|baselines| baselines.label_accuracy_all_negative),
        ),
    ];
    panels(
        "accuracy",
        "Accuracy beside predicting nothing",
        history,
        &drawn,
    )
}

/// Macro AUROC of the training pass and of valid, with chance.
///
/// # Errors
/// `R014` where it cannot be drawn.
pub fn auroc(history: &History) -> Result<String, ReportError> {
    let series = both(history, |pass| pass.auroc.value);
    let title = match history.last().map(|epoch| epoch.valid.auroc) {
        Some(MacroMean { over, of, .. }) => {
            format!("Macro AUROC (valid: over {over} of {of} findings)")
        }
        None => "Macro AUROC".to_owned(),
    };
    let panel = Panel::new("", &series, Some(("chance", 0.5)));
    panels("auroc", &title, history, &[panel])
}

/// The training pass, the honest pass over train where it was made, and valid.
fn both(history: &History, value: fn(&PassSummary) -> Option<f64>) -> Vec<Series> {
    let series = |name, colour, pass: fn(&EpochRecord) -> Option<&PassSummary>| Series {
        name,
        colour,
        points: history
            .records()
            .iter()
            .filter_map(|epoch| Some((epoch_number(epoch.epoch), value(pass(epoch)?)?)))
            .collect(),
    };
    let mut all = vec![
        series("training pass", Colour::Blue, |epoch| {
            Some(&epoch.training_pass)
        }),
        series("train, evaluated", Colour::Green, |epoch| {
            epoch.train.as_ref()
        }),
        series("valid", Colour::Orange, |epoch| Some(&epoch.valid)),
    ];
    all.retain(|series| !series.points.is_empty());
    all
}

struct Series {
    name: &'static str,
    colour: Colour,
    points: Vec<(f64, f64)>,
}

struct Panel<'a> {
    heading: &'static str,
    series: &'a [Series],
    reference: Option<(&'static str, f64)>,
}

impl<'a> Panel<'a> {
    fn new(
        heading: &'static str,
        series: &'a [Series],
        reference: Option<(&'static str, f64)>,
    ) -> Self {
        Self {
            heading,
            series,
            reference,
        }
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        let points = self.series.iter().flat_map(|series| &series.points);
        points
            .map(|&(_, value)| value)
            .chain(self.reference.map(|(_, value)| value))
    }

    fn draw(&self, canvas: &Canvas<'_>, top: f64, epochs: &Scale, best: Option<u64>) -> Drawn {
        let bottom = top + PANEL - 42.0;
        let values = Scale::new(Scale::range_of(self.values(), (0.0, 1.0)), (bottom, top));
        for (value, text) in values.ticks(6) {
            let y = values.at(value);
            canvas.line(&[(LEFT, y), (RIGHT, y)], 1.0, Colour::Ink(0.15))?;
            let writing = Writing::label(Hold::Right).sized(12.0);
            canvas.text((LEFT - 6.0, y), &text, writing)?;
        }
        for (epoch, text) in epochs.whole_ticks(10) {
            let writing = Writing::label(Hold::Middle).sized(12.0);
            canvas.text((epochs.at(epoch), bottom + 12.0), &text, writing)?;
        }
        canvas.line(&[(LEFT, bottom), (RIGHT, bottom)], 1.0, Colour::Ink(0.6))?;
        if let Some((_, value)) = self.reference {
            let y = values.at(value);
            canvas.dashes((LEFT, y), (RIGHT, y), Colour::Ink(0.7))?;
        }
        if let Some(best) = best {
            let x = epochs.at(epoch_number(best));
            canvas.line(&[(x, top), (x, bottom)], 1.0, Colour::Ink(0.5))?;
        }
        for series in self.series {
            let points: Vec<(f64, f64)> = series
                .points
                .iter()
                .map(|&(epoch, value)| (epochs.at(epoch), values.at(value)))
                .collect();
            if points.len() > 1 {
                canvas.line(&points, 2.25, series.colour)?;
            }
            if points.len() <= 40 {
                for &point in &points {
                    canvas.dot(point, 2.75, series.colour)?;
                }
            }
        }
        Ok(())
    }
}

type Drawn = Result<(), ReportError>;

fn panels(
    plot: &'static str,
    title: &str,
    history: &History,
    drawn: &[Panel<'_>],
) -> Result<String, ReportError> {
    let first = history.records().first().map_or(0, |epoch| epoch.epoch);
    let last = history.last().map_or(1, |epoch| epoch.epoch);
    let range = (epoch_number(first), epoch_number(last));
    let epochs = Scale::new(range, (LEFT + 6.0, RIGHT - 6.0));
    let heading_height = if drawn.len() > 1 { 20.0 } else { 0.0 };
    let n_panels = super::classes::float(drawn.len());
    let best = history.best().map(|epoch| epoch.epoch);
    let entries = legend(drawn, best);
    let entries: Vec<(Mark, Colour, &str)> = entries
        .iter()
        .map(|(mark, colour, name)| (*mark, *colour, name.as_str()))
        .collect();
    let height = 26.0 + legend_height(&entries, WIDTH) + (PANEL + heading_height) * n_panels;
    picture(plot, title, (WIDTH, height), |canvas| {
        let mut top = canvas.legend(24.0, WIDTH, &entries)? + 8.0;
        for panel in drawn {
            if heading_height > 0.0 {
                let writing = Writing::label(Hold::Left);
                canvas.text((0.0, top + 6.0), panel.heading, writing)?;
            }
            top += heading_height;
            panel.draw(canvas, top, &epochs, best)?;
            top += PANEL;
        }
        let writing = Writing::label(Hold::Middle).sized(12.0);
        canvas.text(((LEFT + RIGHT) / 2.0, top - 14.0), "epoch", writing)
    })
}

fn legend(drawn: &[Panel<'_>], best: Option<u64>) -> Vec<(Mark, Colour, String)> {
    let Some(first) = drawn.first() else {
        return Vec::new();
    };
    let mut entries: Vec<(Mark, Colour, String)> = first
        .series
        .iter()
        .map(|series| (Mark::Line, series.colour, series.name.to_owned()))
        .collect();
    if let Some((name, _)) = drawn.iter().find_map(|panel| panel.reference) {
        entries.push((Mark::Dashes, Colour::Ink(0.7), name.to_owned()));
    }
    if let Some(best) = best {
        entries.push((Mark::Tick, Colour::Ink(0.5), format!("kept: epoch {best}")));
    }
    entries
}

#[expect(clippy::cast_precision_loss, reason = "nobody trains for 2^53 epochs")]
fn epoch_number(epoch: u64) -> f64 {
    epoch as f64
}
