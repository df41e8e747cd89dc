//! Labels as a loss and as a measurement see them.

use candle_core::{Device, Tensor};
use cxr_data::{Cohort, Label};
use cxr_metrics::Truths;

use crate::train_error::TrainError;

/// The labels of some radiographs, unknown ones as `None`: `[N, K]`, row-major.
///
/// # Errors
/// The radiographs are none.
pub fn truths_of(cohort: &Cohort, places: &[usize]) -> Result<Truths, TrainError> {
    let labels = labels_of(cohort, places)
        .map(|label| label.known())
        .collect();
    Ok(Truths::new(labels, cohort.findings().len())?)
}

/// The labels of some radiographs and the mask of known ones, `[B, K]` each, f32. A label that is
/// not known is 0 in both.
///
/// # Errors
/// candle cannot make a tensor.
pub fn targets_of(cohort: &Cohort, places: &[usize]) -> Result<(Tensor, Tensor), TrainError> {
    let (targets, mask) = labels_and_mask_of(cohort, places);
    let shape = (places.len(), cohort.findings().len());
    let tensor = |values| Tensor::from_vec(values, shape, &Device::Cpu);
    Ok((tensor(targets)?, tensor(mask)?))
}

/// [`targets_of`] as numbers.
pub(crate) fn labels_and_mask_of(cohort: &Cohort, places: &[usize]) -> (Vec<f32>, Vec<f32>) {
    let number = |is_so: bool| f32::from(u8::from(is_so));
    let labels = || labels_of(cohort, places);
    let targets: Vec<f32> = labels()
        .map(|label| number(label == Label::Positive))
        .collect();
    let mask: Vec<f32> = labels()
        .map(|label| number(label != Label::Unknown))
        .collect();
    (targets, mask)
}

fn labels_of<'a>(cohort: &'a Cohort, places: &'a [usize]) -> impl Iterator<Item = Label> + 'a {
    places
        .iter()
        .flat_map(|&place| cohort.radiographs()[place].labels.iter().copied())
}
