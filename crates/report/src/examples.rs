//! Radiographs on which a model is right or wrong: which ones, and how a run keeps them.
//!
//! For the command that trains, which chooses with [`choose_examples`], reads the pictures and hands
//! them to [`RunFolder::draw_examples`]. The choice is the extremes, so it shows what the model is
//! surest of and no typical radiograph. Deliberately not here: reading images.
//!
//! ```
//! use cxr_metrics::{Logits, OperatingPoint, Scores, Truths};
//! use cxr_report::{ExampleKind, choose_examples};
//! let scores = Scores::Logits(Logits::new(vec![2.0, 3.0, -1.0, 0.5, -4.0], 1)?);
//! let truths = Truths::known(&[true, true, true, false, false], 1)?;
//! let chosen = choose_examples(&scores, &truths, &[OperatingPoint::half()])?;
//! let rows: Vec<(ExampleKind, usize)> = chosen.iter().map(|one| (one.kind, one.row)).collect();
//! assert_eq!(rows, [(ExampleKind::TruePositive, 1), (ExampleKind::FalseNegative, 2),
//!     (ExampleKind::FalsePositive, 3), (ExampleKind::TrueNegative, 4)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;

use cxr_metrics::{Cells, OperatingPoint, Scores, Truths};
use serde::{Deserialize, Serialize};

use crate::plots::{Tile, one_picture};
use crate::report_error::ReportError;
use crate::run_folder::RunFolder;

/// Where a run keeps what is known of its examples.
pub const EXAMPLES: &str = "data/examples.json";

/// What an example is an example of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExampleKind {
    /// There, and found: the highest score.
    TruePositive,
    /// There, and missed: the lowest score.
    FalseNegative,
    /// Not there, and reported: the highest score.
    FalsePositive,
    /// Not there, and left alone: the lowest score.
    TrueNegative,
}

impl ExampleKind {
    /// In the order in which they are shown.
    pub const ALL: [Self; 4] = [
        Self::TruePositive,
        Self::FalseNegative,
        Self::FalsePositive,
        Self::TrueNegative,
    ];

    /// Whether the label says that the finding is there.
    #[must_use]
    pub fn label(self) -> bool {
        matches!(self, Self::TruePositive | Self::FalseNegative)
    }

    /// Whether the decision says so.
    #[must_use]
    pub fn decision(self) -> bool {
        matches!(self, Self::TruePositive | Self::FalsePositive)
    }
}

/// A radiograph by its row, to be shown for a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChosenExample {
    /// The finding's place.
    pub finding: usize,
    /// What it is an example of.
    pub kind: ExampleKind,
    /// The row of scores and truths.
    pub row: usize,
}

/// At most one radiograph of each kind for each finding: the highest score among decided positives,
/// the lowest among decided negatives, the first row among equals. Unknown labels are left out.
///
/// # Errors
/// `R014` where scores, truths and operating points are not of one shape.
pub fn choose_examples(
    scores: &Scores,
    truths: &Truths,
    operating_points: &[OperatingPoint],
) -> Result<Vec<ChosenExample>, ReportError> {
    let fault = |problem: String| ReportError::Plot {
        plot: "examples",
        problem,
    };
    if operating_points.len() != scores.n_findings() {
        let (found, expected) = (operating_points.len(), scores.n_findings());
        return Err(fault(format!(
            "{found} operating points for {expected} findings"
        )));
    }
    let mut chosen = Vec::new();
    for (finding, point) in operating_points.iter().enumerate() {
        let cells = Cells::of(scores, truths, finding).map_err(|error| fault(error.to_string()))?;
        let limit = point.threshold().on(scores.scale());
        for kind in ExampleKind::ALL {
            let row = extreme(&cells, limit, kind);
            chosen.extend(row.map(|row| ChosenExample { finding, kind, row }));
        }
    }
    Ok(chosen)
}

fn extreme(cells: &Cells, limit: f64, kind: ExampleKind) -> Option<usize> {
    let sign = if kind.decision() { 1.0 } else { -1.0 };
    let extent = |place: usize| sign * cells.scores[place];
    (0..cells.rows.len())
        .filter(|&place| {
            let is_positive = cells.scores[place] >= limit;
            cells.truths[place] == kind.label() && is_positive == kind.decision()
        })
        // `max_by` keeps the last of equals: from the last row up, that is the first.
        .rev()
        .max_by(|&a, &b| extent(a).total_cmp(&extent(b)))
        .map(|place| cells.rows[place])
}

/// A radiograph with its picture, as it is handed over.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The finding.
    pub finding: String,
    /// What it is an example of.
    pub kind: ExampleKind,
    /// The image's name in the table.
    pub image: String,
    /// What the network said.
    pub logit: f64,
    /// Its sigmoid, as trained.
    pub probability: f64,
    /// The threshold in force, as a probability.
    pub threshold: f64,
    /// The radiograph in grey, of any size.
    pub picture: Tile,
}

/// `data/examples.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExamplesRecord {
    /// The split that they are from.
    pub split: String,
    /// One entry for each finding and kind.
    pub examples: Vec<ExampleRecord>,
}

/// One example without its pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExampleRecord {
    /// The finding.
    pub finding: String,
    /// What it is an example of.
    pub kind: ExampleKind,
    /// The image's name in the table.
    pub image: String,
    /// Number of its file, see [`picture_path`].
    pub picture: u32,
    /// What the network said.
    pub logit: f64,
    /// As a probability.
    pub probability: f64,
    /// The threshold in force, as a probability.
    pub threshold: f64,
}

/// `plots/examples/007.png`.
#[must_use]
pub fn picture_path(number: u32) -> String {
    format!("plots/examples/{number:03}.png")
}

impl RunFolder {
    /// Writes `data/examples.json`, and each image once into `plots/examples/`, at most 160 pixels
    /// long. Two examples of one image share the first one's picture.
    ///
    /// # Errors
    /// `R014` for a picture that is none, `R001` and `R002` where the disk refuses.
    pub fn draw_examples(&self, split: &str, examples: &[Example]) -> Result<(), ReportError> {
        let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
        let mut record = ExamplesRecord {
            split: split.to_owned(),
            examples: Vec::with_capacity(examples.len()),
        };
        for (next, example) in (1..).zip(examples) {
            let picture = match numbers.get(example.image.as_str()) {
                Some(&number) => number,
                None => {
                    self.write(&picture_path(next), &one_picture(&example.picture)?)?;
                    numbers.insert(&example.image, next);
                    next
                }
            };
            record.examples.push(ExampleRecord {
                finding: example.finding.clone(),
                kind: example.kind,
                image: example.image.clone(),
                picture,
                logit: example.logit,
                probability: example.probability,
                threshold: example.threshold,
            });
        }
        self.write_json(EXAMPLES, &record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cxr_metrics::{Logits, Probabilities};

    #[test]
    fn the_extremes_are_chosen_and_the_first_row_among_equals() {
        let logits = vec![1.0, 5.0, 5.0, -2.0, -2.0, 0.0, 3.0, -1.0, -9.0];
        let known = [true, true, true, true, true, false, false, false];
        let mut labels: Vec<Option<bool>> = known.into_iter().map(Some).collect();
        labels.push(None);
        let scores = Scores::Logits(Logits::new(logits, 1).unwrap());
        let truths = Truths::new(labels, 1).unwrap();
        let chosen = choose_examples(&scores, &truths, &[OperatingPoint::half()]).unwrap();
        let rows: Vec<usize> = chosen.iter().map(|one| one.row).collect();
        // The unknown label of the last row keeps it out although its score is the lowest.
        assert_eq!(rows, [1, 3, 6, 7]);
    }

    #[test]
    fn a_kind_that_no_radiograph_is_of_is_left_out() {
        let scores = Probabilities::from_external(vec![0.5, 0.1, 0.9, 0.2], 2).unwrap();
        let truths = Truths::known(&[true, false, true, false], 2).unwrap();
        let points = [OperatingPoint::half(), OperatingPoint::half()];
        let chosen = choose_examples(&Scores::Probabilities(scores), &truths, &points).unwrap();
        let found: Vec<(usize, ExampleKind, usize)> = chosen
            .iter()
            .map(|one| (one.finding, one.kind, one.row))
            .collect();
        // A score on the threshold is a positive decision.
        assert_eq!(
            found,
            [
                (0, ExampleKind::TruePositive, 1),
                (1, ExampleKind::TrueNegative, 0)
            ]
        );
    }

    #[test]
    fn operating_points_of_another_number_are_refused() {
        let scores = Scores::Logits(Logits::new(vec![1.0, 2.0], 2).unwrap());
        let truths = Truths::known(&[true, false], 2).unwrap();
        let error = choose_examples(&scores, &truths, &[OperatingPoint::half()]).unwrap_err();
        assert_eq!(error.code(), "R014");
        assert!(error.to_string().contains("1 operating points for 2"));
    }

    #[test]
    fn an_image_is_written_once_and_a_large_one_smaller() {
        let root = tempfile::tempdir().unwrap();
        let run = RunFolder::create(root.path(), "r").unwrap();
        let example = |kind, image: &str, width: usize| Example {
            finding: "Edema".into(),
            kind,
            image: image.into(),
            logit: 1.0,
            probability: 0.7,
            threshold: 0.5,
            picture: Tile {
                width,
                height: 20,
                pixels: vec![9; width * 20],
            },
        };
        let examples = [
            example(ExampleKind::TruePositive, "../a.png", 400),
            example(ExampleKind::FalsePositive, "b.png", 30),
            example(ExampleKind::TrueNegative, "../a.png", 400),
        ];
        run.draw_examples("test", &examples).unwrap();
        let folder = run.dir().join("plots/examples");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
        let size = |name: &str| image::image_dimensions(folder.join(name)).unwrap();
        assert_eq!((size("001.png"), size("002.png")), ((133, 6), (30, 20)));
        let text = std::fs::read_to_string(run.dir().join(EXAMPLES)).unwrap();
        let record: ExamplesRecord = serde_json::from_str(&text).unwrap();
        let numbers: Vec<u32> = record.examples.iter().map(|one| one.picture).collect();
        assert_eq!(numbers, [1, 2, 1]);
    }
}
