//! Adam and AdamW in one pass over parameter, gradient and both moments, as PyTorch does them.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::nhwc::Isa;

/// Numbers that one task works on.
const CHUNK: usize = 1 << 15;

/// How large weights are held back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WeightDecay {
    /// Added to the gradient, times the weight: L2 regularisation, `torch.optim.Adam`'s. 0 is none.
    Coupled(f64),
    /// Taken off the weight, times the learning rate: `torch.optim.AdamW`'s.
    Decoupled(f64),
}

/// Adam's settings; the default is PyTorch's (learning rate 1e-3, no decay).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamParameters {
    /// The learning rate.
    pub learning_rate: f64,
    /// How much of the mean gradient is kept from step to step.
    pub beta1: f64,
    /// How much of the mean squared gradient is kept from step to step.
    pub beta2: f64,
    /// Added to the root of the mean squared gradient.
    pub epsilon: f64,
    /// How large weights are held back.
    pub weight_decay: WeightDecay,
}

impl Default for AdamParameters {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: WeightDecay::Coupled(0.0),
        }
    }
}

/// Makes one step: changes `parameter`, `mean` (m) and `mean_square` (v) in place.
///
/// `step` counts from 1. Both moments start as zeros.
pub fn update(
    parameter: &mut [f32],
    gradient: &[f32],
    mean: &mut [f32],
    mean_square: &mut [f32],
    step: u64,
    settings: &AdamParameters,
) {
    assert!(step > 0, "steps count from 1");
    assert_eq!(parameter.len(), gradient.len());
    assert_eq!(parameter.len(), mean.len());
    assert_eq!(parameter.len(), mean_square.len());
    let factors = Factors::new(step, settings);
    parameter
        .par_chunks_mut(CHUNK)
        .zip(gradient.par_chunks(CHUNK))
        .zip(
            mean.par_chunks_mut(CHUNK)
                .zip(mean_square.par_chunks_mut(CHUNK)),
        )
        .for_each(|((parameter, gradient), (mean, mean_square))| {
            Isa::best().run(UpdateChunk {
                factors: &factors,
                parameter,
                gradient,
                mean,
                mean_square,
            });
        });
}

struct UpdateChunk<'a> {
    factors: &'a Factors,
    parameter: &'a mut [f32],
    gradient: &'a [f32],
    mean: &'a mut [f32],
    mean_square: &'a mut [f32],
}

impl WithSimd for UpdateChunk<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let moments = self.mean.iter_mut().zip(self.mean_square);
        let numbers = self.parameter.iter_mut().zip(self.gradient);
        for ((parameter, &gradient), (mean, square)) in numbers.zip(moments) {
            self.factors.update(parameter, gradient, mean, square);
        }
    }
}

/// What a step multiplies with, worked out in f64 once.
pub(crate) struct Factors {
    pub(crate) kept_parameter: f32,
    pub(crate) coupled_decay: f32,
    pub(crate) fresh_mean: f32,
    pub(crate) kept_square: f32,
    pub(crate) fresh_square: f32,
    pub(crate) root_correction: f32,
    pub(crate) epsilon: f32,
    pub(crate) step_size: f32,
}

impl Factors {
    pub(crate) fn new(step: u64, settings: &AdamParameters) -> Self {
        let correction = |beta: f64| 1.0 - beta.powf(step as f64);
        let (coupled, decoupled) = match settings.weight_decay {
            WeightDecay::Coupled(decay) => (decay, 0.0),
            WeightDecay::Decoupled(decay) => (0.0, decay),
        };
        Self {
            kept_parameter: (1.0 - settings.learning_rate * decoupled) as f32,
            coupled_decay: coupled as f32,
            fresh_mean: (1.0 - settings.beta1) as f32,
            kept_square: settings.beta2 as f32,
            fresh_square: (1.0 - settings.beta2) as f32,
            root_correction: correction(settings.beta2).sqrt() as f32,
            epsilon: settings.epsilon as f32,
            step_size: (settings.learning_rate / correction(settings.beta1)) as f32,
        }
    }

    #[inline(always)]
    fn update(&self, parameter: &mut f32, gradient: f32, mean: &mut f32, square: &mut f32) {
        let gradient = gradient + self.coupled_decay * *parameter;
        *mean += self.fresh_mean * (gradient - *mean);
        *square = self.kept_square * *square + self.fresh_square * gradient * gradient;
        let root = square.sqrt() / self.root_correction + self.epsilon;
        *parameter = *parameter * self.kept_parameter - self.step_size * *mean / root;
    }
}
