//! Pictures of a run as SVG text, and the first batch as PNG.
//!
//! For the run folder's `plots/` and for the page. Inputs are names and numbers, so anybody's can be
//! drawn. Every SVG is readable by itself on white and on dark, and takes the page's colours when it
//! stands in a page. Deliberately not here: computing what is drawn.

mod canvas;
mod classes;
mod contact_sheet;
mod epochs;
mod findings;
mod measured;
mod one_finding;
mod panels;
mod scale;

pub use classes::{ClassTable, FindingCounts, SplitSize, class_distribution};
pub use contact_sheet::{Tile, one_picture, train_batch};
pub use epochs::{accuracy, auroc, loss};
pub use findings::{FindingAuroc, auroc_per_finding};
pub use measured::MeasuredCurves;
pub use one_finding::{FindingCurves, MarkedPoint, NamedPoints};
pub use panels::{Curve, ThresholdCurve, calibration, pr, roc, thresholds};

pub(crate) use canvas::STANDALONE_STYLE;
