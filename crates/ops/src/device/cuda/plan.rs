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

/// Algorithms that are asked for; cuDNN has at most eight a direction.
const MOST_ALGORITHMS: usize = 8;
/// Working memory that an algorithm may take.
const MOST_WORKSPACE: usize = 2 << 30;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) algorithm: Algorithm,
    pub(super) math: cudnnMathType_t,
    works: bool,
    is_deterministic: bool,
    workspace: usize,
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

    /// The algorithm for a plan whose descriptors are filled.
    pub(super) fn choose(
        handle: cudnnHandle_t,
        call: &'static str,
        plan: &Plan,
        direction: Direction,
        planning: Planning,
    ) -> Result<Candidate> {
        let found = match direction {
            Direction::Forward => forward(handle, plan, planning),
            Direction::InputGradient => input_gradient(handle, plan, planning),
            Direction::WeightGradient => weight_gradient(handle, plan, planning),
        }?;
        first_that_may(&found).ok_or_else(|| DeviceFault::Library {
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
