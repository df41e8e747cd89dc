//! Adam and AdamW: the checked fronts of [`crate::kernels::adam`] for slices and for candle's `Var`.

use crate::error::{OpError, Result};
use crate::inputs::{Input, with_slice};
use crate::kernels::adam::{AdamParameters, WeightDecay, update};
use candle_core::{CpuStorage, InplaceOp1, Layout, Tensor, Var};
use std::cell::RefCell;

const OP: &str = "adam";

impl AdamParameters {
    /// Refuses what PyTorch refuses: negative or non-finite numbers, betas outside of [0, 1).
    ///
    /// # Errors
    /// [`OpError::Setting`] with the first one that is out of range.
    pub fn check(&self) -> Result<()> {
        let (WeightDecay::Coupled(decay) | WeightDecay::Decoupled(decay)) = self.weight_decay;
        let at_least_0 = "a finite number ≥ 0";
        let fraction = "a number in [0, 1)";
        let settings = [
            ("learning_rate", self.learning_rate, f64::MAX, at_least_0),
            ("beta1", self.beta1, 1.0f64.next_down(), fraction),
            ("beta2", self.beta2, 1.0f64.next_down(), fraction),
            ("epsilon", self.epsilon, f64::MAX, at_least_0),
            ("weight_decay", decay, f64::MAX, at_least_0),
        ];
        for (setting, given, largest, expected) in settings {
            if !(0.0..=largest).contains(&given) {
                return Err(OpError::Setting {
                    op: OP,
                    setting,
                    given,
                    expected,
                });
            }
        }
        Ok(())
    }
}

/// The running means that Adam keeps for one parameter; both begin as zeros.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdamMoments {
    /// The mean gradient, `exp_avg` in PyTorch.
    pub mean: Vec<f32>,
    /// The mean squared gradient, `exp_avg_sq` in PyTorch.
    pub mean_square: Vec<f32>,
}

impl AdamMoments {
    /// The moments before the first step of a parameter with `length` numbers.
    #[must_use]
    pub fn zeros(length: usize) -> Self {
        Self {
            mean: vec![0.0; length],
            mean_square: vec![0.0; length],
        }
    }
}

/// Makes one step over slices: changes `parameter`, `mean` (m) and `mean_square` (v) in place.
///
/// `step` counts from 1. Equals `torch.optim.Adam` and `AdamW` in f32 up to rounding.
///
/// # Errors
/// [`OpError::Setting`] for settings out of range or a step of 0, [`OpError::Length`] for slices of
/// different lengths; nothing is changed then.
pub fn adam_update(
    parameter: &mut [f32],
    gradient: &[f32],
    mean: &mut [f32],
    mean_square: &mut [f32],
    step: u64,
    settings: &AdamParameters,
) -> Result<()> {
    check_step(step, settings)?;
    let lengths = [
        ("gradient", gradient.len()),
        ("mean", mean.len()),
        ("mean_square", mean_square.len()),
    ];
    check_lengths(parameter.len(), &lengths)?;
    update(parameter, gradient, mean, mean_square, step, settings);
    Ok(())
}

/// [`adam_update`] for a candle variable, in place: every tensor that shares its storage sees it.
///
/// # Errors
/// As [`adam_update`], and [`OpError`] where a tensor is no f32 on the CPU or a card or the
/// gradient's shape differs.
pub fn adam_step(
    parameter: &Var,
    gradient: &Tensor,
    moments: &mut AdamMoments,
    step: u64,
    settings: &AdamParameters,
) -> Result<()> {
    let gradient = Input {
        op: OP,
        name: "gradient",
        tensor: gradient,
    }
    .beside(parameter)?
    .shaped(parameter.dims())?;
    with_slice(&gradient, |gradient| {
        adam_step_with(parameter, gradient, moments, step, settings)
    })?
}

/// [`adam_step`] with the gradient as numbers, row-major in the parameter's shape.
///
/// # Errors
/// As [`adam_update`], and [`OpError`] where the parameter is no f32 on the CPU or a card.
pub fn adam_step_with(
    parameter: &Var,
    gradient: &[f32],
    moments: &mut AdamMoments,
    step: u64,
    settings: &AdamParameters,
) -> Result<()> {
    check_step(step, settings)?;
    let parameter = parameter.as_tensor();
    Input {
        op: OP,
        name: "parameter",
        tensor: parameter,
    }
    .checked(parameter.rank())?;
    let lengths = [
        ("gradient", gradient.len()),
        ("mean", moments.mean.len()),
        ("mean_square", moments.mean_square.len()),
    ];
    check_lengths(parameter.elem_count(), &lengths)?;
    let op = AdamStep {
        gradient,
        moments: RefCell::new(moments),
        step,
        settings,
    };
    Ok(parameter.inplace_op1(&op)?)
}

fn check_step(step: u64, settings: &AdamParameters) -> Result<()> {
    settings.check()?;
    if step == 0 {
        let expected = "steps count from 1";
        return Err(OpError::Setting {
            op: OP,
            setting: "step",
            given: 0.0,
            expected,
        });
    }
    Ok(())
}

fn check_lengths(expected: usize, lengths: &[(&'static str, usize)]) -> Result<()> {
    for &(input, given) in lengths {
        if given != expected {
            return Err(OpError::Length {
                op: OP,
                input,
                given,
                expected,
            });
        }
    }
    Ok(())
}

struct AdamStep<'a> {
    gradient: &'a [f32],
    moments: RefCell<&'a mut AdamMoments>,
    step: u64,
    settings: &'a AdamParameters,
}

impl AdamStep<'_> {
    fn change(&self, parameter: &mut [f32]) {
        let AdamMoments { mean, mean_square } = &mut **self.moments.borrow_mut();
        update(
            parameter,
            self.gradient,
            mean,
            mean_square,
            self.step,
            self.settings,
        );
    }
}

impl InplaceOp1 for AdamStep<'_> {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, parameter: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (CpuStorage::F32(numbers), Some((start, end))) =
            (parameter, layout.contiguous_offsets())
        else {
            candle_core::bail!("{OP}: the parameter is no contiguous f32");
        };
        self.change(&mut numbers[start..end]);
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        parameter: &mut candle_core::CudaStorage,
        layout: &Layout,
    ) -> candle_core::Result<()> {
        crate::card::change(parameter, layout, |numbers| self.change(numbers))
    }
}
