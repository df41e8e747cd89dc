//! Binary cross-entropy and the size of the gradients.

use super::{Numbers, Real};

/// What is known about a batch of labels [rows, findings].
#[derive(Clone, Copy)]
pub(super) struct Labels<'a, F> {
    pub(super) targets: &'a Numbers<F>,
    pub(super) mask: &'a Numbers<F>,
    pub(super) pos_weights: &'a Numbers<F>,
}

/// As [`crate::kernels::bce`].
pub(super) fn bce<F: Real>(
    [rows, findings]: [usize; 2],
    logits: &Numbers<F>,
    labels: Labels<'_, F>,
    gradient: &mut Numbers<F>,
    outcome: &mut Numbers<F>,
) {
    let is_known = |cell: &usize| labels.mask.at(*cell) > 0.0;
    let known = (0..rows * findings).filter(is_known).count() as f64;
    let mut loss = 0.0;
    for cell in 0..rows * findings {
        if !is_known(&cell) {
            gradient.put(cell, 0.0);
            continue;
        }
        let (logit, target) = (logits.at(cell), labels.targets.at(cell));
        let weight = 1.0 + (labels.pos_weights.at(cell % findings) - 1.0) * target;
        let softplus_of_minus = (-logit.abs()).exp().ln_1p() + (-logit).max(0.0);
        loss += (1.0 - target) * logit + weight * softplus_of_minus;
        let slope = (1.0 - target) - weight * sigmoid(-logit);
        gradient.put(cell, slope / known);
    }
    outcome.put(0, loss / known);
}

fn sigmoid(logit: f64) -> f64 {
    let small = (-logit.abs()).exp();
    if logit < 0.0 {
        small / (1.0 + small)
    } else {
        1.0 / (1.0 + small)
    }
}

pub(super) fn gradient_norm<T: Real>(
    (weight_gradients, weights): (&Numbers<T>, usize),
    (vector_gradients, vectors): (&Numbers<T::Float>, usize),
    outcome: &mut Numbers<T::Float>,
) {
    let of_weights = (0..weights).map(|place| weight_gradients.at(place).powi(2));
    let of_vectors = (0..vectors).map(|place| vector_gradients.at(place).powi(2));
    outcome.put(
        1,
        (of_weights.sum::<f64>() + of_vectors.sum::<f64>()).sqrt(),
    );
}
