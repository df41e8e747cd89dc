//! Which of cuDNN's algorithms does a convolution.
//!
//! The first deterministic one whose working memory is not too large, in cuDNN's order: by its
//! heuristic, which is the same in every run, or by times that it measures.

use std::ffi::c_int;

use cudarc::cudnn::sys::{
    self, cudnnConvolutionBwdDataAlgo_t, cudnnConvolutionBwdDataAlgoPerf_t,
    cudnnConvolutionBwdFilterAlgo_t, cudnnConvolutionBwdFilterAlgoPerf_t,
    cudnnConvolutionFwdAlgo_t, cudnnConvolutionFwdAlgoPerf_t, cudnnDeterminism_t, cudnnHandle_t,
    cudnnMathType_t, cudnnStatus_t,
};

use super::convolution::Plan;
use super::fault::check_cudnn;
use crate::device::{DeviceFault, Planning, Result};

/// Results that are asked for: cuDNN has at most eight algorithms a direction, and tries each with two
/// types of math.
const MOST_ALGORITHMS: usize = 16;
/// Working memory that an algorithm may take.
const MOST_WORKSPACE: usize = 1 << 30;

/// What a convolution works out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    Forward,
    InputGradient,
    WeightGradient,
}

/// An algorithm of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Forward(cudnnConvolutionFwdAlgo_t),
    InputGradient(cudnnConvolutionBwdDataAlgo_t),
    WeightGradient(cudnnConvolutionBwdFilterAlgo_t),
}

/// What cuDNN says of an algorithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) algorithm: Algorithm,
    pub(super) math: cudnnMathType_t,
    works: bool,
    is_deterministic: bool,
    workspace: usize,
    /// As measured; below 0 where it was not.
    milliseconds: f32,
}

impl Candidate {
    /// What a plan has before one was chosen.
    pub(super) fn none_yet(direction: Direction) -> Self {
        Self {
            algorithm: Algorithm::none_yet(direction),
            math: cudnnMathType_t::CUDNN_DEFAULT_MATH,
            works: false,
            is_deterministic: false,
            workspace: 0,
            milliseconds: -1.0,
        }
    }
}

/// What cuDNN found, of any direction.
macro_rules! candidates {
    ($found:expr, $count:expr, $direction:path) => {
        $found
            .iter()
            .take(usize::try_from($count).unwrap_or_default())
            .map(|found| Candidate {
                algorithm: $direction(found.algo),
                math: found.mathType,
                works: found.status == cudnnStatus_t::CUDNN_STATUS_SUCCESS,
                is_deterministic: found.determinism == cudnnDeterminism_t::CUDNN_DETERMINISTIC,
                workspace: found.memory,
                milliseconds: found.time,
            })
            .collect::<Vec<_>>()
    };
}

impl Algorithm {
    /// What a plan has before one was chosen: the direction's first.
    pub(super) fn none_yet(direction: Direction) -> Self {
        match direction {
            Direction::Forward => {
                let first = cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM;
                Self::Forward(first)
            }
            Direction::InputGradient => {
                let first = cudnnConvolutionBwdDataAlgo_t::CUDNN_CONVOLUTION_BWD_DATA_ALGO_0;
                Self::InputGradient(first)
            }
            Direction::WeightGradient => {
                let first = cudnnConvolutionBwdFilterAlgo_t::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0;
                Self::WeightGradient(first)
            }
        }
    }

    /// Those of a direction that cuDNN documents as deterministic, for whatever numbers.
    fn documented(direction: Direction) -> Vec<Self> {
        match direction {
            Direction::Forward => {
                use cudnnConvolutionFwdAlgo_t as Of;
                vec![
                    Self::Forward(Of::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM),
                    Self::Forward(Of::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM),
                ]
            }
            Direction::InputGradient => {
                use cudnnConvolutionBwdDataAlgo_t as Of;
                vec![Self::InputGradient(Of::CUDNN_CONVOLUTION_BWD_DATA_ALGO_1)]
            }
            Direction::WeightGradient => {
                use cudnnConvolutionBwdFilterAlgo_t as Of;
                vec![Self::WeightGradient(
                    Of::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1,
                )]
            }
        }
    }

    /// The algorithm for a plan whose descriptors are filled, and what it was chosen from. `own` is
    /// the math that the descriptor has; where `only_own`, another is taken only for want of it.
    pub(super) fn choose(
        handle: cudnnHandle_t,
        call: &'static str,
        plan: &Plan,
        direction: Direction,
        planning: Planning,
        (own, only_own): (cudnnMathType_t, bool),
    ) -> Result<(Candidate, Vec<Candidate>)> {
        let found = match direction {
            Direction::Forward => forward(handle, plan, planning),
            Direction::InputGradient => input_gradient(handle, plan, planning),
            Direction::WeightGradient => weight_gradient(handle, plan, planning),
        }?;
        let of_own: Vec<Candidate> = found
            .iter()
            .filter(|candidate| only_own && candidate.math == own)
            .copied()
            .collect();
        if let Some(chosen) = first_that_may(&of_own).or_else(|| first_that_may(&found)) {
            return Ok((chosen, found));
        }
        // The list may leave out what works all the same.
        for algorithm in Self::documented(direction) {
            if let Ok(workspace) = algorithm.workspace(handle, call, plan)
                && workspace <= MOST_WORKSPACE
            {
                let chosen = Candidate {
                    algorithm,
                    math: own,
                    works: true,
                    is_deterministic: true,
                    workspace,
                    milliseconds: -1.0,
                };
                return Ok((chosen, found));
            }
        }
        Err(DeviceFault::Library {
            call,
            problem: format!(
                "cuDNN has no deterministic algorithm for this shape; it found {found:?}"
            ),
        })
    }

    /// Bytes of working memory with the plan's descriptors as they are.
    pub(super) fn workspace(
        self,
        handle: cudnnHandle_t,
        call: &'static str,
        plan: &Plan,
    ) -> Result<usize> {
        let (x, w, y, conv) = (plan.input.0, plan.kernel.0, plan.output.0, plan.conv.0);
        let mut len = 0;
        // SAFETY: descriptors that live; the library writes one number.
        let status = unsafe {
            match self {
                Self::Forward(algorithm) => sys::cudnnGetConvolutionForwardWorkspaceSize(
                    handle,
                    x,
                    w,
                    conv,
                    y,
                    algorithm,
                    &raw mut len,
                ),
                Self::InputGradient(algorithm) => {
                    sys::cudnnGetConvolutionBackwardDataWorkspaceSize(
                        handle,
                        w,
                        y,
                        conv,
                        x,
                        algorithm,
                        &raw mut len,
                    )
                }
                Self::WeightGradient(algorithm) => {
                    sys::cudnnGetConvolutionBackwardFilterWorkspaceSize(
                        handle,
                        x,
                        y,
                        conv,
                        w,
                        algorithm,
                        &raw mut len,
                    )
                }
            }
        };
        check_cudnn(call, 0, status)?;
        Ok(len)
    }
}

fn first_that_may(found: &[Candidate]) -> Option<Candidate> {
    found
        .iter()
        .find(|candidate| {
            candidate.works && candidate.is_deterministic && candidate.workspace <= MOST_WORKSPACE
        })
        .copied()
}

fn forward(handle: cudnnHandle_t, plan: &Plan, planning: Planning) -> Result<Vec<Candidate>> {
    let (x, w, y, conv) = (plan.input.0, plan.kernel.0, plan.output.0, plan.conv.0);
    // SAFETY: numbers and enums, of which 0 is a value.
    let mut found: [cudnnConvolutionFwdAlgoPerf_t; MOST_ALGORITHMS] = unsafe { std::mem::zeroed() };
    let (most, mut count) = (MOST_ALGORITHMS as c_int, 0);
    let (call, search) = match planning {
        Planning::Heuristic => (
            "cudnnGetConvolutionForwardAlgorithm",
            sys::cudnnGetConvolutionForwardAlgorithm_v7 as unsafe fn(_, _, _, _, _, _, _, _) -> _,
        ),
        Planning::Measured => (
            "cudnnFindConvolutionForwardAlgorithm",
            sys::cudnnFindConvolutionForwardAlgorithm as unsafe fn(_, _, _, _, _, _, _, _) -> _,
        ),
    };
    // SAFETY: descriptors that live, and room for as many as are asked for.
    let status = unsafe {
        search(
            handle,
            x,
            w,
            conv,
            y,
            most,
            &raw mut count,
            found.as_mut_ptr(),
        )
    };
    check_cudnn(call, 0, status)?;
    Ok(candidates!(found, count, Algorithm::Forward))
}

fn input_gradient(
    handle: cudnnHandle_t,
    plan: &Plan,
    planning: Planning,
) -> Result<Vec<Candidate>> {
    let (x, w, y, conv) = (plan.input.0, plan.kernel.0, plan.output.0, plan.conv.0);
    // SAFETY: numbers and enums, of which 0 is a value.
    let mut found: [cudnnConvolutionBwdDataAlgoPerf_t; MOST_ALGORITHMS] =
        unsafe { std::mem::zeroed() };
    let (most, mut count) = (MOST_ALGORITHMS as c_int, 0);
    let (call, search) = match planning {
        Planning::Heuristic => (
            "cudnnGetConvolutionBackwardDataAlgorithm",
            sys::cudnnGetConvolutionBackwardDataAlgorithm_v7
                as unsafe fn(_, _, _, _, _, _, _, _) -> _,
        ),
        Planning::Measured => (
            "cudnnFindConvolutionBackwardDataAlgorithm",
            sys::cudnnFindConvolutionBackwardDataAlgorithm
                as unsafe fn(_, _, _, _, _, _, _, _) -> _,
        ),
    };
    // SAFETY: descriptors that live, and room for as many as are asked for.
    let status = unsafe {
        search(
            handle,
            w,
            y,
            conv,
            x,
            most,
            &raw mut count,
            found.as_mut_ptr(),
        )
    };
    check_cudnn(call, 0, status)?;
    Ok(candidates!(found, count, Algorithm::InputGradient))
}

fn weight_gradient(
    handle: cudnnHandle_t,
    plan: &Plan,
    planning: Planning,
) -> Result<Vec<Candidate>> {
    let (x, w, y, conv) = (plan.input.0, plan.kernel.0, plan.output.0, plan.conv.0);
    // SAFETY: numbers and enums, of which 0 is a value.
    let mut found: [cudnnConvolutionBwdFilterAlgoPerf_t; MOST_ALGORITHMS] =
        unsafe { std::mem::zeroed() };
    let (most, mut count) = (MOST_ALGORITHMS as c_int, 0);
    let (call, search) = match planning {
        Planning::Heuristic => (
            "cudnnGetConvolutionBackwardFilterAlgorithm",
            sys::cudnnGetConvolutionBackwardFilterAlgorithm_v7
                as unsafe fn(_, _, _, _, _, _, _, _) -> _,
        ),
        Planning::Measured => (
            "cudnnFindConvolutionBackwardFilterAlgorithm",
            sys::cudnnFindConvolutionBackwardFilterAlgorithm
                as unsafe fn(_, _, _, _, _, _, _, _) -> _,
        ),
    };
    // SAFETY: descriptors that live, and room for as many as are asked for.
    let status = unsafe {
        search(
            handle,
            x,
            y,
            conv,
            w,
            most,
            &raw mut count,
            found.as_mut_ptr(),
        )
    };
    check_cudnn(call, 0, status)?;
    Ok(candidates!(found, count, Algorithm::WeightGradient))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Candidate = Candidate {
        algorithm: Algorithm::Forward(
            cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
        ),
        math: cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
        works: true,
        is_deterministic: true,
        workspace: 1 << 20,
        milliseconds: -1.0,
    };

    #[test]
    fn the_first_that_works_the_same_way_twice_in_bounded_memory_is_taken() {
        let found = [
            Candidate {
                works: false,
                ..GOOD
            },
            Candidate {
                is_deterministic: false,
                ..GOOD
            },
            Candidate {
                workspace: MOST_WORKSPACE + 1,
                ..GOOD
            },
            Candidate {
                workspace: 1,
                ..GOOD
            },
            GOOD,
        ];
        assert_eq!(first_that_may(&found), Some(found[3]));
        assert_eq!(first_that_may(&found[..3]), None);
    }
}
