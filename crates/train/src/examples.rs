//! Radiographs to look at: for each finding the surest right and the surest wrong decisions.

use cxr_augment::{Channels, Picture, PixelCache};
use cxr_data::Cohort;
use cxr_metrics::{OperatingPoint, Scores, Truths};
use cxr_report::plots::Tile;
use cxr_report::{ChosenExample, Example, choose_examples};

use crate::train_error::TrainError;

/// A split's radiographs with what was said of them and what was so, in one order.
pub(crate) struct Said<'a> {
    pub(crate) cohort: &'a Cohort,
    pub(crate) pixels: &'a PixelCache,
    pub(crate) scores: &'a Scores,
    pub(crate) truths: &'a Truths,
}

/// The examples with their pictures, as the network's input was cut from them.
pub(crate) fn examples_of(
    said: &Said<'_>,
    points: &[OperatingPoint],
) -> Result<Vec<Example>, TrainError> {
    let names = said.cohort.findings().to_strings();
    let probabilities = said.scores.probabilities();
    let findings = 0..names.len();
    let scores: Vec<Vec<f64>> = findings
        .clone()
        .map(|finding| said.scores.ranking_column(finding))
        .collect();
    let probabilities: Vec<Vec<f64>> = findings
        .map(|finding| probabilities.column(finding))
        .collect();
    let example = |ChosenExample { finding, kind, row }| {
        let mut scratch = Vec::new();
        Ok(Example {
            finding: names[finding].clone(),
            kind,
            image: said.cohort.radiographs()[row].image.to_string(),
            logit: scores[finding][row],
            probability: probabilities[finding][row],
            threshold: points[finding].threshold().probability(),
            picture: tile(said.pixels.picture(row, &mut scratch)?),
        })
    };
    choose_examples(said.scores, said.truths, points)?
        .into_iter()
        .map(example)
        .collect()
}

/// A picture in grey; of colours their mean, which is enough to look at.
fn tile(picture: Picture<'_>) -> Tile {
    let pixels = match picture.channels() {
        Channels::Gray => picture.data().to_vec(),
        Channels::Rgb => picture
            .data()
            .chunks_exact(3)
            .map(|colour| {
                let total: u16 = colour.iter().copied().map(u16::from).sum();
                (total / 3) as u8
            })
            .collect(),
    };
    Tile {
        width: picture.width() as usize,
        height: picture.height() as usize,
        pixels,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coloured_picture_is_shown_in_grey_at_its_own_size() {
        let data = [30, 60, 90, 0, 0, 255];
        let picture = Picture::new(2, 1, Channels::Rgb, &data).unwrap();
        let shown = tile(picture);
        assert_eq!((shown.width, shown.height), (2, 1));
        assert_eq!(shown.pixels, [60, 85]);
        let grey = Picture::new(1, 2, Channels::Gray, &data[..2]).unwrap();
        assert_eq!(tile(grey).pixels, [30, 60]);
    }
}
