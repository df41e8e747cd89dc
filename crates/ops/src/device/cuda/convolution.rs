//! Convolutions in their three directions by cuDNN, each by a plan that is made once.
//!
//! Only deterministic algorithms: the same numbers give the same bits.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;

use cudarc::cudnn::sys::{self, cudnnConvolutionDescriptor_t, cudnnHandle_t};

use super::descriptors::{
    ConvDescriptor, FilterDescriptor, Handle, Sizes, TensorDescriptor, math_of, numbers_of,
};
use super::fault::{self, check_cudnn};
use super::memory::Workspace;
use super::plan::{Algorithm, Candidate, Direction};
use super::stream::Streams;
use super::{Inner, Map, locked};
use crate::device::checks::{Call, ConvLengths};
use crate::device::{Planning, Precision, Result};
use crate::kernels::conv::ConvShape;
use crate::nhwc::Onto;

static ONE: f32 = 1.0;
static ZERO: f32 = 0.0;

/// cuDNN with the plans so far.
#[derive(Debug)]
pub(super) struct Convolutions {
    // Before the handle, so that they are destroyed first.
    plans: HashMap<(ConvShape, Direction), Plan>,
    workspace: Workspace,
    handle: Handle,
    precision: Precision,
    planning: Planning,
}

/// A convolution in one direction, made ready.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) input: TensorDescriptor,
    pub(super) kernel: FilterDescriptor,
    pub(super) output: TensorDescriptor,
    pub(super) conv: ConvDescriptor,
    algorithm: Algorithm,
    /// Bytes of working memory.
    workspace: usize,
    /// What was chosen, and from what.
    chosen: Candidate,
    found: Vec<Candidate>,
}

/// Where the numbers of a convolution are.
#[derive(Clone, Copy)]
struct Addresses {
    input: u64,
    kernel: u64,
    output: u64,
}

impl Plan {
    fn new(
        handle: cudnnHandle_t,
        call: &'static str,
        shape: &ConvShape,
        direction: Direction,
        (precision, planning): (Precision, Planning),
    ) -> Result<Self> {
        let sizes = Sizes::new(call, shape)?;
        let numbers = numbers_of(precision);
        let mut plan = Self {
            input: TensorDescriptor::new(numbers, sizes.input)?,
            kernel: FilterDescriptor::new(numbers, sizes.kernel)?,
            output: TensorDescriptor::new(numbers, sizes.output)?,
            conv: ConvDescriptor::new(&sizes, math_of(precision))?,
            algorithm: Algorithm::none_yet(direction),
            workspace: 0,
            chosen: Candidate::none_yet(direction),
            found: Vec::new(),
        };
        // An algorithm goes with the units it was found for; f32 takes none but its own.
        let is_f32 = precision == Precision::F32;
        let math = (math_of(precision), is_f32);
        let (chosen, found) = Algorithm::choose(handle, call, &plan, direction, planning, math)?;
        if !is_f32 {
            plan.conv.set_math(chosen.math)?;
        }
        plan.algorithm = chosen.algorithm;
        (plan.chosen, plan.found) = (chosen, found);
        plan.workspace = chosen.algorithm.workspace(handle, call, &plan)?;
        Ok(plan)
    }

    fn run(
        &self,
        handle: cudnnHandle_t,
        call: &'static str,
        at: Addresses,
        workspace: u64,
        onto: Onto,
    ) -> Result<()> {
        let conv: cudnnConvolutionDescriptor_t = self.conv.0;
        let one: *const c_void = (&raw const ONE).cast();
        let kept: *const c_void = match onto {
            Onto::Unset => (&raw const ZERO).cast(),
            Onto::Sum => (&raw const ONE).cast(),
        };
        let [input, kernel, output, workspace] =
            [at.input, at.kernel, at.output, workspace].map(|address| address as *mut c_void);
        let (x, w, y) = (self.input.0, self.kernel.0, self.output.0);
        let len = self.workspace;
        // SAFETY: descriptors that live; the callers have held buffers against the shape that these
        // were made from, and the workspace is as large as the plan asks for.
        let status = unsafe {
            match self.algorithm {
                Algorithm::Forward(algorithm) => sys::cudnnConvolutionForward(
                    handle, one, x, input, w, kernel, conv, algorithm, workspace, len, kept, y,
                    output,
                ),
                Algorithm::InputGradient(algorithm) => sys::cudnnConvolutionBackwardData(
                    handle, one, w, kernel, y, output, conv, algorithm, workspace, len, kept, x,
                    input,
                ),
                Algorithm::WeightGradient(algorithm) => sys::cudnnConvolutionBackwardFilter(
                    handle, one, x, input, y, output, conv, algorithm, workspace, len, kept, w,
                    kernel,
                ),
            }
        };
        check_cudnn(call, len, status)
    }
}

impl Convolutions {
    pub(super) fn new(streams: &Streams, precision: Precision, planning: Planning) -> Result<Self> {
        Ok(Self {
            plans: HashMap::new(),
            workspace: Workspace::default(),
            handle: Handle::new(streams)?,
            precision,
            planning,
        })
    }

    /// What was chosen for each convolution so far, and from what.
    pub(super) fn choices(&self) -> Vec<String> {
        let line = |((shape, direction), plan): (&(ConvShape, Direction), &Plan)| {
            format!(
                "{direction:?} {shape:?}: {:?}, from {:?}",
                plan.chosen, plan.found
            )
        };
        let mut lines: Vec<String> = self.plans.iter().map(line).collect();
        lines.sort_unstable();
        lines
    }

    /// The working memory that a recording of convolutions holds.
    pub(super) fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    fn run(
        &mut self,
        streams: &Streams,
        call: &'static str,
        (shape, direction): (&ConvShape, Direction),
        addresses: Addresses,
        onto: Onto,
    ) -> Result<()> {
        let handle = self.handle.0;
        let plan = match self.plans.entry((*shape, direction)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(_) if streams.is_recording() => {
                let why = "a convolution of this shape must have run once before";
                return Err(fault::recorded(call, why));
            }
            Entry::Vacant(entry) => {
                let how = (self.precision, self.planning);
                entry.insert(Plan::new(handle, call, shape, direction, how)?)
            }
        };
        let workspace = match plan.workspace {
            0 => 0,
            len => self.workspace.reserve(streams, call, len)?,
        };
        plan.run(handle, call, addresses, workspace, onto)
    }
}

impl Inner {
    pub(super) fn conv_forward(
        &self,
        shape: &ConvShape,
        input: &Map,
        (weights, weight_start): (&Map, usize),
        output: &mut Map,
    ) -> Result<()> {
        let call = Call("conv_forward");
        let lengths = [input.len(), weights.len(), output.len()];
        self.check_conv(call, shape, lengths, weight_start)?;
        let addresses = Addresses {
            input: input.address(),
            kernel: self.map_at(call, weights, weight_start)?,
            output: output.address(),
        };
        self.convolve(call, (shape, Direction::Forward), addresses, Onto::Unset)
    }

    pub(super) fn conv_input_gradient(
        &self,
        shape: &ConvShape,
        (weights, weight_start): (&Map, usize),
        output_gradient: &Map,
        onto: Onto,
        input_gradient: &mut Map,
    ) -> Result<()> {
        let call = Call("conv_input_gradient");
        let lengths = [input_gradient.len(), weights.len(), output_gradient.len()];
        self.check_conv(call, shape, lengths, weight_start)?;
        let addresses = Addresses {
            input: input_gradient.address(),
            kernel: self.map_at(call, weights, weight_start)?,
            output: output_gradient.address(),
        };
        self.convolve(call, (shape, Direction::InputGradient), addresses, onto)
    }

    pub(super) fn conv_weight_gradient(
        &self,
        shape: &ConvShape,
        input: &Map,
        output_gradient: &Map,
        weight_gradients: &mut Map,
        weight_start: usize,
    ) -> Result<()> {
        let call = Call("conv_weight_gradient");
        let lengths = [input.len(), weight_gradients.len(), output_gradient.len()];
        self.check_conv(call, shape, lengths, weight_start)?;
        let addresses = Addresses {
            input: input.address(),
            kernel: self.map_at(call, weight_gradients, weight_start)?,
            output: output_gradient.address(),
        };
        let what = (shape, Direction::WeightGradient);
        self.convolve(call, what, addresses, Onto::Unset)
    }

    fn check_conv(
        &self,
        call: Call,
        shape: &ConvShape,
        [input, weights, output]: [usize; 3],
        weight_start: usize,
    ) -> Result<()> {
        let lengths = ConvLengths {
            input,
            weights,
            weight_start,
            output,
        };
        call.conv(self.precision, shape, lengths)
    }

    fn convolve(
        &self,
        call: Call,
        what: (&ConvShape, Direction),
        addresses: Addresses,
        onto: Onto,
    ) -> Result<()> {
        self.streams.bind(call.0)?;
        locked(&self.convolutions).run(&self.streams, call.0, what, addresses, onto)?;
        self.streams.after(call.0)
    }
}
