//! Binary cross-entropy of logits with a weight for positives and a mask of known labels.
//!
//! In f64 inside, in one fixed order; a batch of labels is small, so one thread does it. The
//! logarithm of a sigmoid is never taken, so that no logit is too large.

/// A batch of logits with what is known about its labels; row-major, `pos_weight.len()` findings.
#[derive(Clone, Copy, Debug)]
pub struct Cells<'a> {
    /// The network's outputs.
    pub logits: &'a [f32],
    /// The labels, in [0, 1] where known.
    pub targets: &'a [f32],
    /// 1 where the label is known, else 0.
    pub mask: &'a [f32],
    /// The weight of a positive label of each finding.
    pub pos_weight: &'a [f32],
}

impl Cells<'_> {
    /// For each cell (logit, target, weight of a positive), or `None` where the label is unknown.
    fn each(&self) -> impl Iterator<Item = Option<(f64, f64, f64)>> {
        assert_eq!(self.logits.len(), self.targets.len());
        assert_eq!(self.logits.len(), self.mask.len());
        let labels = self.targets.iter().zip(self.mask);
        self.logits
            .iter()
            .zip(labels)
            .zip(self.pos_weight.iter().cycle())
            .map(|((&logit, (&target, &mask)), &weight)| {
                (mask > 0.0).then(|| (logit.into(), target.into(), weight.into()))
            })
    }
}

/// The sum of the losses of the known cells, and how many these are.
#[must_use]
pub fn loss_sum(cells: &Cells<'_>) -> (f64, usize) {
    cells
        .each()
        .flatten()
        .fold((0.0, 0), |(sum, known), (logit, target, weight)| {
            let softplus_of_minus = (-logit.abs()).exp().ln_1p() + (-logit).max(0.0);
            let loss = (1.0 - target) * logit + (1.0 + (weight - 1.0) * target) * softplus_of_minus;
            (sum + loss, known + 1)
        })
}

/// Writes `scale` × the derivative of [`loss_sum`] by each logit; 0 for unknown cells.
pub fn logit_gradient(cells: &Cells<'_>, scale: f64, gradient: &mut [f32]) {
    assert_eq!(cells.logits.len(), gradient.len());
    for (gradient, cell) in gradient.iter_mut().zip(cells.each()) {
        *gradient = cell.map_or(0.0, |(logit, target, weight)| {
            let slope = (1.0 - target) - (1.0 + (weight - 1.0) * target) * sigmoid(-logit);
            (scale * slope) as f32
        });
    }
}

fn sigmoid(logit: f64) -> f64 {
    let small = (-logit.abs()).exp();
    if logit < 0.0 {
        small / (1.0 + small)
    } else {
        1.0 / (1.0 + small)
    }
}
