//! The learning rate at every step of a run.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// The shape of the learning rate over a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// The same at every step.
    Constant,
    /// A linear rise, then half a cosine down to zero.
    Cosine,
}

/// Learning rates by step, a pure function: there is nothing to save.
///
/// ```
/// use cxr_train::{Schedule, ScheduleKind};
/// let schedule = Schedule::new(ScheduleKind::Cosine, 1e-3, 10, 110);
/// assert!(schedule.learning_rate(0) < 2e-4);
/// assert!((schedule.learning_rate(10) - 1e-3).abs() < 1e-9);
/// assert!(schedule.learning_rate(109) < 1e-6);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    kind: ScheduleKind,
    peak: f64,
    n_warmup_steps: u64,
    n_steps: u64,
}

impl Schedule {
    /// A schedule over `n_steps` steps of which the first `n_warmup_steps` rise.
    #[must_use]
    pub fn new(kind: ScheduleKind, peak: f64, n_warmup_steps: u64, n_steps: u64) -> Self {
        Self {
            kind,
            peak,
            n_warmup_steps: n_warmup_steps.min(n_steps),
            n_steps,
        }
    }

    /// The learning rate of the step with this number, counted from 0.
    #[must_use]
    pub fn learning_rate(&self, step: u64) -> f64 {
        match self.kind {
            ScheduleKind::Constant => self.peak,
            ScheduleKind::Cosine if step < self.n_warmup_steps => {
                self.peak * (step + 1) as f64 / self.n_warmup_steps as f64
            }
            ScheduleKind::Cosine => {
                let n_falling = (self.n_steps - self.n_warmup_steps).max(1) as f64;
                let share = ((step - self.n_warmup_steps) as f64 / n_falling).min(1.0);
                self.peak * 0.5 * (1.0 + (PI * share).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_schedule_never_moves() {
        let schedule = Schedule::new(ScheduleKind::Constant, 1e-4, 5, 10);
        assert!((0..100).all(|step| schedule.learning_rate(step).to_bits() == 1e-4_f64.to_bits()));
    }

    #[test]
    fn a_cosine_rises_then_falls_and_ends_at_zero() {
        let schedule = Schedule::new(ScheduleKind::Cosine, 1.0, 4, 24);
        let rates: Vec<f64> = (0..25).map(|step| schedule.learning_rate(step)).collect();
        assert!(
            rates[..4].windows(2).all(|pair| pair[0] < pair[1]),
            "{rates:?}"
        );
        assert!(
            rates[4..].windows(2).all(|pair| pair[0] > pair[1]),
            "{rates:?}"
        );
        assert!(
            (rates[14] - 0.5).abs() < 1e-12,
            "half-way down: {}",
            rates[14]
        );
        assert!(rates[24].abs() < 1e-12);
    }

    #[test]
    fn a_run_shorter_than_its_warm_up_is_fine() {
        let schedule = Schedule::new(ScheduleKind::Cosine, 1.0, 10, 3);
        assert!((0..5).all(|step| schedule.learning_rate(step).is_finite()));
    }
}
