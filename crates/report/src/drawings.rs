//! The pictures of a run folder: each method draws what it is given into `plots/`.
//!
//! For the command that trains. Deliberately not here: how a picture looks (`plots`).

use cxr_metrics::{Baselines, Evaluation, History, Scores, Truths};

use crate::ceilings::{CEILINGS, read_ceilings};
use crate::plots::{self, ClassTable, FindingAuroc, MeasuredCurves, Tile};
use crate::report_error::ReportError;
use crate::run_folder::RunFolder;

/// Where a run keeps how often each finding is there, and its weight.
pub const CLASS_TABLE: &str = "data/class_weights.json";
/// Where a run keeps its augmented first batch.
pub const TRAIN_BATCH: &str = "plots/train_batch.png";

impl RunFolder {
    /// Writes `data/class_weights.json` and `plots/class_distribution.svg`.
    ///
    /// # Errors
    /// `R001` and `R002` where the disk refuses.
    pub fn draw_classes(&self, table: &ClassTable) -> Result<(), ReportError> {
        self.write_json(CLASS_TABLE, table)?;
        self.write_plot("class_distribution", &plots::class_distribution(table)?)
    }

    /// Writes `plots/train_batch.png`, the augmented first batch as the network sees it.
    ///
    /// # Errors
    /// `R014` for tiles that are none, `R001` and `R002` where the disk refuses.
    pub fn draw_first_batch(&self, tiles: &[Tile]) -> Result<(), ReportError> {
        self.write(TRAIN_BATCH, &plots::train_batch(tiles)?)
    }

    /// Writes `plots/loss.svg`, `accuracy.svg` and `auroc.svg`; after each epoch, if wanted.
    ///
    /// # Errors
    /// `R001` and `R002` where the disk refuses.
    pub fn draw_history(
        &self,
        history: &History,
        valid: Option<&Baselines>,
    ) -> Result<(), ReportError> {
        self.write_plot("loss", &plots::loss(history)?)?;
        self.write_plot("accuracy", &plots::accuracy(history, valid)?)?;
        self.write_plot("auroc", &plots::auroc(history)?)
    }

    /// Writes `plots/auroc_per_finding.svg`, `roc.svg`, `pr.svg`, `calibration.svg` and
    /// `thresholds.svg` of the split that the run is judged by. Ceilings come from
    /// `data/ceilings.json` where that is there.
    ///
    /// # Errors
    /// `R014` for scores and truths of another shape, `R001` and `R002` where the disk refuses.
    pub fn draw_evaluation(
        &self,
        split: &str,
        evaluation: &Evaluation,
        scores: &Scores,
        truths: &Truths,
    ) -> Result<(), ReportError> {
        let ceilings = read_ceilings(&self.dir().join(CEILINGS), split)?;
        let findings = FindingAuroc::all_of(evaluation, &ceilings);
        let curves = MeasuredCurves::of(evaluation, scores, truths)?;
        let per_finding = plots::auroc_per_finding(split, &findings)?;
        self.write_plot("auroc_per_finding", &per_finding)?;
        self.write_plot("roc", &plots::roc(split, &curves.roc)?)?;
        self.write_plot("pr", &plots::pr(split, &curves.pr)?)?;
        self.write_plot(
            "calibration",
            &plots::calibration(split, &curves.calibration)?,
        )?;
        self.write_plot("thresholds", &plots::thresholds(split, &curves.thresholds)?)
    }

    fn write_plot(&self, plot: &str, svg: &str) -> Result<(), ReportError> {
        self.write(&format!("plots/{plot}.svg"), svg.as_bytes())
    }
}
