//! The pictures of a run folder: each method draws what it is given into `plots/`.
//!
//! For the command that trains. Deliberately not here: how a picture looks (`plots`).

use cxr_metrics::{Baselines, Evaluation, FindingCalibration, History, Scores, Truths};

use crate::ceilings::{CEILINGS, read_ceilings};
use crate::plots::{self, ClassTable, FindingAuroc, FindingCurves, MeasuredCurves, Tile};
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

    /// Writes the four plots of each finding, `plots/findings/<finding>/roc.svg` and so on, with the
    /// carried and the oracle point. `calibrations` has one entry a finding, or none.
    ///
    /// # Errors
    /// `R014` for scores and truths of another shape, `R001` and `R002` where the disk refuses.
    pub fn draw_findings(
        &self,
        split: &str,
        evaluation: &Evaluation,
        (scores, truths): (&Scores, &Truths),
        calibrations: &[FindingCalibration],
    ) -> Result<(), ReportError> {
        let curves = FindingCurves::all_of(evaluation, scores, truths, calibrations)?;
        for (place, curves) in curves.iter().enumerate() {
            for (plot, svg) in curves.draw(split)? {
                self.write_plot(&finding_plot(place, &curves.roc.name, plot), &svg)?;
            }
        }
        Ok(())
    }

    fn write_plot(&self, plot: &str, svg: &str) -> Result<(), ReportError> {
        self.write(&format!("plots/{plot}.svg"), svg.as_bytes())
    }
}

/// `findings/05-pleural-thickening/roc`: a path inside `plots/` whatever the finding is called.
pub(crate) fn finding_plot(place: usize, finding: &str, plot: &str) -> String {
    const LONGEST: usize = 40;
    let mut slug = String::new();
    for character in finding.chars() {
        if slug.len() == LONGEST {
            break;
        }
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_matches('-');
    format!("findings/{:02}-{slug}/{plot}", place + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_of_any_name_has_a_plain_path_of_its_own() {
        assert_eq!(
            finding_plot(4, "Pleural_Thickening", "roc"),
            "findings/05-pleural-thickening/roc"
        );
        assert_eq!(finding_plot(0, "../../<b>\u{1b}", "pr"), "findings/01-b/pr");
        assert_eq!(finding_plot(0, "胸水", "pr"), "findings/01-/pr");
        assert_eq!(finding_plot(1, "胸水", "pr"), "findings/02-/pr");
        assert!(finding_plot(0, &"W".repeat(300), "pr").len() < 60);
    }
}
