//! The loss, the size of the gradients, and steps of Adam.

use cxr_ops::device::{AdamFactors, Device, Part, Result};
use cxr_ops::{AdamParameters, WeightDecay};

use super::case::{Case, check};
use super::desk::{Desk, Rule};

/// Binary cross-entropy of ordinary and of huge logits, with unknown labels and with no known one.
pub(crate) fn check_loss<D: Device>(device: &D) {
    for [rows, findings] in [[1, 1], [3, 14], [64, 14], [5, 3]] {
        for labels in [Labels::Mixed, Labels::HugeLogits, Labels::NoneKnown] {
            let case = Loss {
                rows,
                findings,
                labels,
            };
            check(device, &case);
        }
    }
}

/// Over both arenas, over one, and where a gradient is not a number.
pub(crate) fn check_gradient_norm<D: Device>(device: &D) {
    for [weights, vectors] in [[1000, 40], [70_003, 513], [0, 7], [9, 0]] {
        for has_nan in [false, true] {
            let case = GradientNorm {
                weights,
                vectors,
                has_nan,
            };
            check(device, &case);
        }
    }
}

/// First and later steps with both decays over parts of arenas; and steps that must not happen.
pub(crate) fn check_adam<D: Device>(device: &D) {
    for [start, len] in [[0, 64], [5, 37], [8, 5003]] {
        let part = Part { start, len };
        for (step, weight_decay) in [
            (1, WeightDecay::Coupled(0.0)),
            (2, WeightDecay::Coupled(0.3)),
            (100, WeightDecay::Decoupled(0.2)),
        ] {
            for outcome in [
                [0.7, 3.0],
                [f32::NAN, 3.0],
                [0.7, f32::INFINITY],
                [f32::NEG_INFINITY, f32::NAN],
            ] {
                for of_weights in [true, false] {
                    let case = Adam {
                        part,
                        step,
                        weight_decay,
                        outcome,
                        of_weights,
                    };
                    check(device, &case);
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Labels {
    Mixed,
    HugeLogits,
    NoneKnown,
}

#[derive(Debug)]
struct Loss {
    rows: usize,
    findings: usize,
    labels: Labels,
}

impl Case for Loss {
    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn run<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        let cells = self.rows * self.findings;
        let (scale, mask) = match self.labels {
            Labels::Mixed => (2.0, [1.0, 1.0, 0.0].as_slice()),
            Labels::HugeLogits => (300.0, [1.0].as_slice()),
            Labels::NoneKnown => (2.0, [0.0].as_slice()),
        };
        let logits = desk.normal(cells).into_iter().map(|logit| scale * logit);
        let logits = desk.floats(&logits.collect::<Vec<_>>())?;
        let (targets, mut mask) = (
            desk.some_of(cells, &[0.0, 0.0, 1.0, 0.25]),
            desk.some_of(cells, mask),
        );
        if !matches!(self.labels, Labels::NoneKnown) {
            mask[0] = 1.0;
        }
        let (targets, mask) = (desk.floats(&targets)?, desk.floats(&mask)?);
        let weights = desk.some_of(self.findings, &[1.0, 0.5, 7.25, 30.0]);
        let weights = desk.floats(&weights)?;
        let mut gradient = desk.poisoned_floats(cells)?;
        let mut outcome = desk.poisoned_floats(1)?;
        desk.device.bce(
            self.rows,
            self.findings,
            &logits,
            &targets,
            &mask,
            &weights,
            &mut gradient,
            &mut outcome,
        )?;
        desk.keep_floats("gradient", &gradient, &[Part::first(cells)], Rule::Sums)?;
        desk.keep_floats("loss", &outcome, &[Part::first(1)], Rule::Sums)
    }
}

#[derive(Debug)]
struct GradientNorm {
    weights: usize,
    vectors: usize,
    has_nan: bool,
}

impl Case for GradientNorm {
    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn run<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        let (mut weights, mut vectors) = (desk.normal(self.weights), desk.normal(self.vectors));
        if self.has_nan {
            let last = [weights.last_mut(), vectors.last_mut()];
            last.into_iter().flatten().for_each(|last| *last = f32::NAN);
        }
        let (weights, vectors) = (desk.map(weights)?, desk.floats(&vectors)?);
        let mut outcome = desk.poisoned_floats(2)?;
        let (weights, vectors) = ((&weights, self.weights), (&vectors, self.vectors));
        desk.device.gradient_norm(weights, vectors, &mut outcome)?;
        let part = Part { start: 1, len: 1 };
        desk.keep_floats("norm", &outcome, &[part], Rule::Sums)
    }
}

#[derive(Debug)]
struct Adam {
    part: Part,
    step: u64,
    weight_decay: WeightDecay,
    outcome: [f32; 2],
    of_weights: bool,
}

/// What a step moves.
struct Arenas<D: Device> {
    parameters: D::Floats,
    mean: D::Floats,
    mean_square: D::Floats,
}

impl Case for Adam {
    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn run<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()> {
        let settings = AdamParameters {
            // So large that the step is as large as what it moves.
            learning_rate: 0.5,
            weight_decay: self.weight_decay,
            ..AdamParameters::default()
        };
        let factors = AdamFactors::new(self.step, &settings);
        let factors = desk.floats(factors.as_slice())?;
        let outcome = desk.floats(&self.outcome)?;
        let gradient = desk.normal(self.part.len);
        let mut arenas = self.arenas(desk)?;
        if self.of_weights {
            self.step_weights(desk, &factors, &outcome, gradient, &mut arenas)?;
        } else {
            let gradients = desk.floats_at(self.part.start, &gradient)?;
            desk.device.adam_vectors(
                self.part,
                &factors,
                &outcome,
                &gradients,
                &mut arenas.parameters,
                &mut arenas.mean,
                &mut arenas.mean_square,
            )?;
        }
        let rule = self.rule();
        desk.keep_floats_in_place("parameters", &arenas.parameters, &[self.part], rule)?;
        desk.keep_floats_in_place("mean", &arenas.mean, &[self.part], rule)?;
        desk.keep_floats_in_place("mean square", &arenas.mean_square, &[self.part], rule)
    }
}

impl Adam {
    /// A step that must not happen leaves every bit.
    fn rule(&self) -> Rule {
        if self.moves() {
            Rule::Sums
        } else {
            Rule::Exact
        }
    }

    fn moves(&self) -> bool {
        self.outcome.iter().all(|number| number.is_finite())
    }

    fn arenas<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<Arenas<D>> {
        let Part { start, len } = self.part;
        let (parameters, mean, roots) = (desk.normal(len), desk.normal(len), desk.normal(len));
        let squares: Vec<f32> = roots.iter().map(|root| root * root).collect();
        Ok(Arenas {
            parameters: desk.arena_in_place(&[(start, &parameters)])?,
            mean: desk.arena_in_place(&[(start, &mean)])?,
            mean_square: desk.arena_in_place(&[(start, &squares)])?,
        })
    }

    fn step_weights<D: Device>(
        &self,
        desk: &mut Desk<'_, D>,
        factors: &D::Floats,
        outcome: &D::Floats,
        gradient: Vec<f32>,
        arenas: &mut Arenas<D>,
    ) -> Result<()> {
        let (device, part) = (desk.device, self.part);
        let gradients = desk.map_at(part.start, gradient)?;
        let before = desk.normal(part.len);
        let mut weights = desk.map_at(part.start, before)?;
        device.adam_weights(
            part,
            factors,
            outcome,
            &gradients,
            &mut arenas.parameters,
            &mut arenas.mean,
            &mut arenas.mean_square,
            &mut weights,
        )?;
        if !self.moves() {
            return desk.keep_map("weights", &weights, part, Rule::Exact);
        }
        desk.keep_map("weights", &weights, part, Rule::Sums)?;
        let master = device.read_floats(&arenas.parameters, part)?;
        let mut rounded = device.map(part.len)?;
        device.write_map(&mut rounded, 0, &master)?;
        let rounded = device.read_map(&rounded, Part::first(part.len))?;
        let weights = device.read_map(&weights, part)?;
        let are_equal = rounded
            .iter()
            .zip(&weights)
            .all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(are_equal, "{self:?}: weights are not the rounded master");
        Ok(())
    }
}
