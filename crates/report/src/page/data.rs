//! Everything that a page says, read back from a run folder.
//!
//! For `report RUN` and for the end of a training run: both read the same files, so a page can be
//! written again at any time. Every file but `run.json` may be missing; the page then says less.
//! Deliberately not here: markup.

use std::collections::BTreeMap;
use std::path::Path;

use cxr_metrics::History;

use super::PlotSvg;
use crate::ceilings::{AurocCeilings, CEILINGS, read_ceilings};
use crate::drawings::{CLASS_TABLE, TRAIN_BATCH, finding_plot};
use crate::evaluations::{EVALUATION, Evaluations};
use crate::examples::{EXAMPLES, ExamplesRecord, picture_path};
use crate::json_file;
use crate::leakage::{LEAKAGE, LeakageRecord};
use crate::logs::RESULTS;
use crate::plots::{ClassTable, FindingCurves};
use crate::report_error::ReportError;
use crate::results;
use crate::run_folder::{check_is_run_folder, folder_name};
use crate::run_record::{RUN_RECORD, RunRecord};

const CONFIG: &str = "config.toml";
/// The plots that a page shows.
const PLOTS: [&str; 9] = [
    "class_distribution",
    "loss",
    "accuracy",
    "auroc",
    "auroc_per_finding",
    "roc",
    "pr",
    "calibration",
    "thresholds",
];

/// What a run folder says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReportData {
    /// The folder's name.
    pub name: String,
    /// `run.json`.
    pub run: RunRecord,
    /// `config.toml`, line by line.
    pub config: Vec<ConfigLine>,
    /// `results.csv`.
    pub history: Option<History>,
    /// `evaluation.json`.
    pub evaluations: Evaluations,
    /// Of the split that the run is judged by, where the radiographs are synthetic.
    pub ceilings: AurocCeilings,
    /// `data/class_weights.json`.
    pub classes: Option<ClassTable>,
    /// `data/leakage.json`.
    pub leakage: Option<LeakageRecord>,
    /// `data/examples.json`.
    pub examples: ExamplesRecord,
    /// `plots/examples/*.png` by number, as far as an example names them.
    pub example_pictures: BTreeMap<u32, Vec<u8>>,
    /// `plots/*.svg` by name, `findings/<nn-name>/roc` for those of one finding.
    pub plots: BTreeMap<String, PlotSvg>,
    /// `plots/train_batch.png`.
    pub train_batch: Option<Vec<u8>>,
}

/// One setting with who set it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigLine {
    /// The dotted key.
    pub key: String,
    /// The value as TOML.
    pub value: String,
    /// `default`, `file (…)`, `env`, `cli`; empty where the file does not say.
    pub origin: String,
}

impl ReportData {
    /// Reads a run folder, also while its run goes on.
    ///
    /// # Errors
    /// `R005` for a folder that no run has written, `R009`, `R010` and `R013` for files that were
    /// changed since, `R001` where the disk refuses.
    pub fn read(dir: &Path) -> Result<Self, ReportError> {
        check_is_run_folder(dir)?;
        let evaluations: Evaluations = json_file::read(&dir.join(EVALUATION))?.unwrap_or_default();
        let judged = evaluations.judged().map_or("test", |(split, _)| split);
        let results = dir.join(RESULTS);
        let has_epochs = fs_err::metadata(&results).is_ok_and(|file| file.len() > 0);
        let train_batch = json_file::read_bytes(&dir.join(TRAIN_BATCH))?;
        let examples: ExamplesRecord = json_file::read(&dir.join(EXAMPLES))?.unwrap_or_default();
        let plots = read_plots(dir, &evaluations)?;
        Ok(Self {
            name: folder_name(dir),
            run: json_file::read(&dir.join(RUN_RECORD))?.unwrap_or_default(),
            config: json_file::read_text(&dir.join(CONFIG))?
                .map(|text| config_lines(&text))
                .unwrap_or_default(),
            history: has_epochs.then(|| results::read(&results)).transpose()?,
            ceilings: read_ceilings(&dir.join(CEILINGS), judged)?,
            evaluations,
            classes: json_file::read(&dir.join(CLASS_TABLE))?,
            leakage: json_file::read(&dir.join(LEAKAGE))?,
            example_pictures: read_pictures(dir, &examples)?,
            examples,
            plots,
            train_batch,
        })
    }
}

fn read_plots(
    dir: &Path,
    evaluations: &Evaluations,
) -> Result<BTreeMap<String, PlotSvg>, ReportError> {
    let mut names = PLOTS.map(str::to_owned).to_vec();
    let findings = evaluations.judged().map(|(_, judged)| &judged.findings);
    for (place, finding) in findings.into_iter().flatten().enumerate() {
        let plots = FindingCurves::PLOTS.iter();
        names.extend(plots.map(|plot| finding_plot(place, &finding.name, plot)));
    }
    let mut plots = BTreeMap::new();
    for name in names {
        let path = dir.join("plots").join(format!("{name}.svg"));
        if let Some(svg) = json_file::read_text(&path)? {
            plots.insert(name, PlotSvg::new(&path, &svg)?);
        }
    }
    Ok(plots)
}

fn read_pictures(
    dir: &Path,
    record: &ExamplesRecord,
) -> Result<BTreeMap<u32, Vec<u8>>, ReportError> {
    let mut pictures = BTreeMap::new();
    for number in record.examples.iter().map(|example| example.picture) {
        if let Some(png) = json_file::read_bytes(&dir.join(picture_path(number)))? {
            pictures.insert(number, png);
        }
    }
    Ok(pictures)
}

/// The settings of a `config.toml` as runs write it: sections, and `key = value  # origin`.
fn config_lines(text: &str) -> Vec<ConfigLine> {
    let mut section = String::new();
    let mut lines = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            section = format!("{name}.");
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let Some((key, rest)) = line.split_once('=') else {
            continue;
        };
        let (value, origin) = rest.rsplit_once("  # ").unwrap_or((rest, ""));
        lines.push(ConfigLine {
            key: format!("{section}{}", key.trim()),
            value: value.trim().to_owned(),
            origin: origin.trim().to_owned(),
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_keep_their_section_value_and_origin() {
        let text = "epochs = 3  # cli\nname = \"a = # b\"  # file (x # y.toml)\n\n[data]\n\
                    # a remark\nimages = \"i\"\n";
        let lines = config_lines(text);
        let shown: Vec<(&str, &str, &str)> = lines
            .iter()
            .map(|line| (line.key.as_str(), line.value.as_str(), line.origin.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("epochs", "3", "cli"),
                ("name", "\"a = # b\"", "file (x # y.toml)"),
                ("data.images", "\"i\"", ""),
            ]
        );
    }

    #[test]
    fn a_folder_that_no_run_wrote_and_a_damaged_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = ReportData::read(folder.path()).unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("R005", 2));
        std::fs::write(folder.path().join(RUN_RECORD), "{\n\"seed\": x}").unwrap();
        let error = ReportData::read(folder.path()).unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("R010", 3));
        assert!(
            error.location().unwrap().ends_with("run.json:2:9"),
            "{error:?}"
        );
        std::fs::write(folder.path().join(RUN_RECORD), "{}").unwrap();
        std::fs::create_dir(folder.path().join("plots")).unwrap();
        std::fs::write(folder.path().join("plots/roc.svg"), "<svg ><script/></svg>").unwrap();
        assert_eq!(ReportData::read(folder.path()).unwrap_err().code(), "R013");
    }
}
