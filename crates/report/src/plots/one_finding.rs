//! One finding's own four plots, each with the carried and the oracle operating point told apart.
//!
//! For the section of a finding on the page. Curves are those of the small multiples, larger; the
//! calibration stands there as trained and mended. Deliberately not here: which finding is shown.

use cxr_metrics::{
    CalibrationMethod, Evaluation, FindingCalibration, FindingEvaluation, LogitMap, Scores, Truths,
};

use super::canvas::{Canvas, Colour, Hold, Mark, Writing, picture, shortened};
use super::measured::{MeasuredCurves, calibrated_bins};
use super::panels::{thinned, undefined};
use super::scale::Scale;
use super::{Curve, ThresholdCurve};
use crate::report_error::ReportError;

const SIZE: (f64, f64) = (300.0, 340.0);
const FRAME_LEFT: f64 = 32.0;
const FRAME_TOP: f64 = 98.0;
const FRAME_BOTTOM: f64 = 318.0;
const CHANCE: Colour = Colour::Ink(0.6);

/// A line's name and its points.
pub type NamedPoints = (String, Vec<(f64, f64)>);

/// What one finding's plots show.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FindingCurves {
    /// True positives over false positives.
    pub roc: Curve,
    /// Precision over recall.
    pub pr: Curve,
    /// Frequency over probability, as trained.
    pub calibration: Curve,
    /// The same after the calibration in force, with its name; `None` where none was fitted.
    pub calibrated: Option<NamedPoints>,
    /// Sensitivity, specificity and precision over the threshold.
    pub thresholds: ThresholdCurve,
    /// The point that came from valid.
    pub carried: MarkedPoint,
    /// The point that the same rule chooses on these radiographs.
    pub oracle: Option<MarkedPoint>,
}

/// An operating point on the plots; a figure that is undefined is not marked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MarkedPoint {
    /// The threshold, as a probability.
    pub threshold: f64,
    /// Sensitivity there.
    pub recall: Option<f64>,
    /// Specificity there.
    pub specificity: Option<f64>,
    /// Precision there.
    pub precision: Option<f64>,
}

impl FindingCurves {
    /// The names of the plots, in their order on the page.
    pub const PLOTS: [&'static str; 4] = ["roc", "pr", "calibration", "thresholds"];

    /// The curves of every finding of an evaluation; `calibrations` has one a finding or is empty.
    ///
    /// # Errors
    /// `R014` when scores and truths are not of the evaluation's shape.
    pub fn all_of(
        evaluation: &Evaluation,
        scores: &Scores,
        truths: &Truths,
        calibrations: &[FindingCalibration],
    ) -> Result<Vec<Self>, ReportError> {
        let curves = MeasuredCurves::of(evaluation, scores, truths)?;
        let same = curves.roc.into_iter().zip(curves.pr);
        let same = same.zip(curves.calibration).zip(curves.thresholds);
        let findings = evaluation.findings.iter().enumerate();
        findings
            .zip(same)
            .map(
                |((place, finding), (((roc, pr), calibration), thresholds))| {
                    let fitted = calibrations.get(place);
                    let calibrated = fitted
                        .map(|fitted| mended(fitted, scores, truths, place))
                        .transpose()?
                        .flatten();
                    Ok(Self {
                        roc,
                        pr,
                        calibration,
                        calibrated,
                        thresholds,
                        carried: MarkedPoint::carried(finding),
                        oracle: MarkedPoint::oracle(finding),
                    })
                },
            )
            .collect()
    }

    /// Each of [`Self::PLOTS`] as SVG text.
    ///
    /// # Errors
    /// `R014` where it cannot be drawn.
    pub fn draw(&self, split: &str) -> Result<[(&'static str, String); 4], ReportError> {
        let [roc, pr, calibration, thresholds] = Self::PLOTS;
        Ok([
            (roc, self.draw_roc(split)?),
            (pr, self.draw_pr(split)?),
            (calibration, self.draw_calibration(split)?),
            (thresholds, self.draw_thresholds(split)?),
        ])
    }

    fn draw_roc(&self, split: &str) -> Result<String, ReportError> {
        let place = |point: &MarkedPoint| Some((1.0 - point.specificity?, point.recall?));
        let panel = Panel {
            title: with_figure("ROC, AUROC", self.roc.figure),
            lines: vec![(Colour::Blue, &self.roc.points)],
            legend: vec![(Mark::Dashes, CHANCE, "chance".into())],
            dashes: vec![(CHANCE, (0.0, 0.0), (1.0, 1.0))],
            points: self.points(place),
            ..Panel::of("roc", &self.roc, ("1 − specificity", "sensitivity"))
        };
        panel.draw(split)
    }

    fn draw_pr(&self, split: &str) -> Result<String, ReportError> {
        let level = self.pr.baseline.unwrap_or(0.0);
        let panel = Panel {
            title: with_figure("Precision and recall, AP", self.pr.figure),
            lines: vec![(Colour::Blue, &self.pr.points)],
            legend: vec![(Mark::Dashes, CHANCE, with_figure("prevalence", Some(level)))],
            dashes: vec![(CHANCE, (0.0, level), (1.0, level))],
            points: self.points(|point| Some((point.recall?, point.precision?))),
            ..Panel::of("pr", &self.pr, ("recall (sensitivity)", "precision"))
        };
        panel.draw(split)
    }

    fn draw_calibration(&self, split: &str) -> Result<String, ReportError> {
        let mut panel = Panel {
            title: "Calibration".into(),
            lines: vec![(Colour::Blue, &self.calibration.points)],
            legend: vec![
                (Mark::Line, Colour::Blue, "as trained".into()),
                (Mark::Dashes, CHANCE, "perfect".into()),
            ],
            dashes: vec![(CHANCE, (0.0, 0.0), (1.0, 1.0))],
            has_dots: true,
            ..Panel::of(
                "calibration",
                &self.calibration,
                ("probability", "frequency"),
            )
        };
        if let Some((method, points)) = &self.calibrated {
            panel.lines.push((Colour::Orange, points));
            let name = format!("calibrated ({method})");
            panel.legend.insert(1, (Mark::Line, Colour::Orange, name));
        }
        panel.draw(split)
    }

    fn draw_thresholds(&self, split: &str) -> Result<String, ReportError> {
        let curve = &self.thresholds;
        let named = [
            (Colour::Blue, &curve.sensitivity, "sensitivity"),
            (Colour::Orange, &curve.specificity, "specificity"),
            (Colour::Green, &curve.precision, "precision"),
        ];
        let mut panel = Panel {
            plot: "thresholds",
            title: "What the threshold does".into(),
            name: &curve.name,
            axes: ("threshold", "share"),
            undefined: curve.undefined.as_deref(),
            ..Panel::default()
        };
        for (colour, points, name) in named {
            panel.lines.push((colour, points));
            panel.legend.push((Mark::Line, colour, name.into()));
        }
        let marks = [
            (Mark::Dot, Some(&self.carried)),
            (Mark::Ring, self.oracle.as_ref()),
        ];
        for (mark, point) in marks {
            let Some(point) = point else { continue };
            let at = |height| (point.threshold, height);
            panel.dashes.push((CHANCE, at(0.0), at(1.0)));
            panel.points.push((mark, at(0.0)));
        }
        panel.draw(split)
    }

    fn points(
        &self,
        place: impl Fn(&MarkedPoint) -> Option<(f64, f64)>,
    ) -> Vec<(Mark, (f64, f64))> {
        let carried = place(&self.carried).map(|at| (Mark::Dot, at));
        let oracle = self.oracle.as_ref().and_then(place);
        let oracle = oracle.map(|at| (Mark::Ring, at));
        carried.into_iter().chain(oracle).collect()
    }
}

impl MarkedPoint {
    fn carried(finding: &FindingEvaluation) -> Self {
        Self {
            threshold: finding.threshold,
            recall: finding.recall,
            specificity: finding.specificity,
            precision: finding.precision,
        }
    }

    fn oracle(finding: &FindingEvaluation) -> Option<Self> {
        finding.oracle.map(|oracle| Self {
            threshold: oracle.threshold,
            recall: oracle.recall,
            specificity: oracle.specificity,
            precision: oracle.precision,
        })
    }
}

/// The reliability of the probabilities in force, unless those are the ones as trained.
fn mended(
    fitted: &FindingCalibration,
    scores: &Scores,
    truths: &Truths,
    place: usize,
) -> Result<Option<NamedPoints>, ReportError> {
    let is_as_trained = fitted.in_force == CalibrationMethod::AsTrained;
    if is_as_trained || fitted.map() == LogitMap::IDENTITY {
        return Ok(None);
    }
    let points = calibrated_bins(scores, truths, place, fitted.map())?;
    Ok(points.map(|points| (fitted.in_force.to_string(), points)))
}

fn with_figure(text: &str, figure: Option<f64>) -> String {
    figure.map_or_else(|| text.to_owned(), |figure| format!("{text} {figure:.3}"))
}

/// A line of dashes from one place to another.
type Dashes = (Colour, (f64, f64), (f64, f64));

/// One picture with both axes from 0 to 1.
#[derive(Default)]
struct Panel<'a> {
    plot: &'static str,
    title: String,
    name: &'a str,
    axes: (&'static str, &'static str),
    lines: Vec<(Colour, &'a [(f64, f64)])>,
    dashes: Vec<Dashes>,
    points: Vec<(Mark, (f64, f64))>,
    legend: Vec<(Mark, Colour, String)>,
    has_dots: bool,
    undefined: Option<&'a str>,
}

impl<'a> Panel<'a> {
    fn of(plot: &'static str, curve: &'a Curve, axes: (&'static str, &'static str)) -> Self {
        Self {
            plot,
            name: &curve.name,
            axes,
            undefined: curve.undefined.as_deref(),
            ..Self::default()
        }
    }

    fn draw(&self, split: &str) -> Result<String, ReportError> {
        picture(self.plot, &self.title, SIZE, |canvas| {
            let small = Writing::label(Hold::Left).sized(12.0);
            let room = SIZE.0 - super::canvas::text_width(&format!(" on {split}"), 12.0);
            let name = format!("{} on {split}", shortened(self.name, 12.0, room));
            canvas.text((0.0, 30.0), &name, small)?;
            let axes = format!("across: {}, up: {}", self.axes.0, self.axes.1);
            canvas.text((0.0, 46.0), &axes, small)?;
            canvas.legend(54.0, SIZE.0, &self.whole_legend())?;
            self.draw_frame(canvas)
        })
    }

    /// What is drawn, and the points that are marked.
    fn whole_legend(&self) -> Vec<(Mark, Colour, &str)> {
        let named = self.legend.iter();
        let mut legend: Vec<_> = named
            .map(|(mark, colour, name)| (*mark, *colour, name.as_str()))
            .collect();
        for (mark, _) in &self.points {
            let name = if *mark == Mark::Ring {
                "oracle"
            } else {
                "carried"
            };
            legend.push((*mark, Colour::Ink(1.0), name));
        }
        legend
    }

    fn draw_frame(&self, canvas: &Canvas<'_>) -> Result<(), ReportError> {
        let (x0, x1, y0, y1) = (FRAME_LEFT, SIZE.0 - 8.0, FRAME_BOTTOM, FRAME_TOP);
        let frame = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)];
        canvas.line(&frame, 1.0, Colour::Ink(0.3))?;
        let x = Scale::new((0.0, 1.0), (x0, x1));
        let y = Scale::new((0.0, 1.0), (y0, y1));
        for (value, text) in x.ticks(7) {
            let middle = Writing::label(Hold::Middle).sized(12.0);
            canvas.text((x.at(value), y0 + 12.0), &text, middle)?;
            let right = Writing::label(Hold::Right).sized(12.0);
            canvas.text((x0 - 6.0, y.at(value)), &text, right)?;
        }
        if let Some(reason) = self.undefined {
            let middle = (f64::midpoint(x0, x1), f64::midpoint(y0, y1));
            return undefined(canvas, reason, middle, x1 - x0);
        }
        let at = |(a, b): (f64, f64)| (x.at(a), y.at(b));
        for &(colour, from, to) in &self.dashes {
            canvas.dashes(at(from), at(to), colour)?;
        }
        for &(colour, points) in &self.lines {
            let points = thinned(points.iter().copied().map(at));
            canvas.line(&points, 2.0, colour)?;
            for &point in points.iter().filter(|_| self.has_dots) {
                canvas.dot(point, 3.0, colour)?;
            }
        }
        for &(mark, point) in &self.points {
            match mark {
                Mark::Ring => canvas.ring(at(point), 7.0, Colour::Ink(1.0))?,
                _ => canvas.dot(at(point), 4.0, Colour::Ink(1.0))?,
            }
        }
        Ok(())
    }
}
