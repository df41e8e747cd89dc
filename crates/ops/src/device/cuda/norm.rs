//! Batch norms: what is launched for moments, the affine map and the way back.

use super::Inner;
use super::grid::{BLOCKS_HELD, Columns, Grid, int, moments_bytes, sums_bytes};
use super::launch::arguments;
use super::memory::Buffer;
use super::{Cuda, Floats, Map};
use crate::device::checks::Call;
use crate::device::{
    Activation, Gate, NORM_EPSILON, NORM_MOMENTUM, NormPlaces, Result, Rows, Shortcut,
};

/// Where the working memory of a norm is.
pub(super) struct Sums {
    /// Blocks along the rows.
    pub(super) blocks: usize,
    /// The moments in f64.
    pub(super) moments: u64,
    /// The partial sums.
    pub(super) partial: u64,
}

impl Inner {
    /// How the threads of a block share a map.
    pub(super) fn columns(&self, channels: usize) -> Columns {
        Columns::new(channels, self.numbers_per_load())
    }

    /// Working memory for sums over rows.
    pub(super) fn sums(&self, call: Call, of: Rows) -> Result<Sums> {
        let most = self.streams.multiprocessors * BLOCKS_HELD;
        let blocks = self.columns(of.channels).blocks_for(of.rows, most);
        let moments = self.scratch(call.0, sums_bytes(of.channels, blocks))?;
        let partial = moments + moments_bytes(of.channels) as u64;
        Ok(Sums {
            blocks,
            moments,
            partial,
        })
    }

    /// Blocks for a map that is read once.
    pub(super) fn pass(&self, of: Rows) -> Grid {
        let columns = self.columns(of.channels);
        let most = self.streams.multiprocessors * BLOCKS_HELD;
        columns.grid(columns.blocks_for(of.rows, most))
    }

    pub(super) fn norm_moments(
        &self,
        of: Rows,
        input: &Map,
        vectors: &Floats,
        running: &mut Floats,
        places: NormPlaces,
        saved: &mut Floats,
    ) -> Result<()> {
        let call = Call("norm_moments");
        call.rows_with_variance(of)?;
        call.holds("the input", input.len(), of.len())?;
        call.affine(of.channels, places, vectors.len())?;
        call.running(of.channels, places, running.len())?;
        call.saved(of.channels, saved.len())?;
        let channels = int(call.0, "channels", of.channels)?;
        let columns = self.columns(of.channels);
        let sums = self.sums(call, of)?;
        self.launch(
            "norm_moments",
            columns.grid_of_sums(sums.blocks, 2),
            arguments![
                input.address(),
                sums.partial,
                of.rows,
                channels,
                int(call.0, "lanes", columns.lanes)?
            ],
        )?;
        self.launch(
            "norm_moments_finish",
            Grid::finish(of.channels),
            arguments![
                sums.partial,
                int(call.0, "blocks", sums.blocks)?,
                of.rows,
                channels,
                at(vectors, places.weight),
                at(vectors, places.bias),
                NORM_EPSILON,
                sums.moments,
                saved.address()
            ],
        )?;
        self.launch(
            "norm_running",
            Grid::one_block().sharing_f64(1),
            arguments![
                sums.moments,
                channels,
                NORM_MOMENTUM,
                at(running, places.running_mean),
                at(running, places.running_variance)
            ],
        )
    }

    pub(super) fn norm_of_running(
        &self,
        channels: usize,
        vectors: &Floats,
        running: &Floats,
        places: NormPlaces,
        saved: &mut Floats,
    ) -> Result<()> {
        let call = Call("norm_of_running");
        call.channels(channels)?;
        call.affine(channels, places, vectors.len())?;
        call.running(channels, places, running.len())?;
        call.saved(channels, saved.len())?;
        self.launch(
            call.0,
            Grid::flat(channels, usize::MAX),
            arguments![
                at(vectors, places.weight),
                at(vectors, places.bias),
                at(running, places.running_mean),
                at(running, places.running_variance),
                int(call.0, "channels", channels)?,
                NORM_EPSILON,
                saved.address()
            ],
        )
    }

    pub(super) fn norm_apply(
        &self,
        of: Rows,
        input: &Map,
        saved: &Floats,
        shortcut: &Shortcut<'_, Cuda>,
        activation: Activation,
        output: &mut Map,
    ) -> Result<()> {
        let call = Call("norm_apply");
        call.rows(of)?;
        call.holds("the input", input.len(), of.len())?;
        call.saved(of.channels, saved.len())?;
        call.holds("the output", output.len(), of.len())?;
        if let Shortcut::Map(map) | Shortcut::Norm(map, _) = shortcut {
            call.holds("the shortcut", map.len(), of.len())?;
        }
        if let Shortcut::Norm(_, saved) = shortcut {
            call.saved(of.channels, saved.len())?;
        }
        let (kernel, map, other_saved) = match shortcut {
            Shortcut::None => ("norm_apply_none", 0, 0),
            Shortcut::Map(map) => ("norm_apply_map", map.address(), 0),
            Shortcut::Norm(map, saved) => ("norm_apply_norm", map.address(), saved.address()),
        };
        self.launch(
            kernel,
            self.pass(of),
            arguments![
                input.address(),
                saved.address(),
                map,
                other_saved,
                i32::from(activation == Activation::Relu),
                output.address(),
                of.rows,
                int(call.0, "channels", of.channels)?,
                self.lanes(of.channels)
            ],
        )
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the tensors of a norm and its gradient"
    )]
    pub(super) fn norm_backward_sums(
        &self,
        of: Rows,
        gradient: &mut Map,
        gate: &Gate<'_, Cuda>,
        input: &Map,
        vectors: &Floats,
        places: NormPlaces,
        saved: &Floats,
        vector_gradients: &mut Floats,
        factors: &mut Floats,
    ) -> Result<()> {
        let call = Call("norm_backward_sums");
        call.rows_with_variance(of)?;
        call.holds("the gradient", gradient.len(), of.len())?;
        call.holds("the input", input.len(), of.len())?;
        let (kernel, activation) = match gate {
            Gate::Open => ("norm_gradient_sums_open", 0),
            Gate::Norm => ("norm_gradient_sums_norm", 0),
            Gate::Map(map) => {
                call.holds("the activation", map.len(), of.len())?;
                ("norm_gradient_sums_map", map.address())
            }
        };
        call.saved(of.channels, saved.len())?;
        call.affine(of.channels, places, vectors.len())?;
        call.affine(of.channels, places, vector_gradients.len())?;
        call.factors(of.channels, factors.len())?;
        let sums = self.sums(call, of)?;
        self.launch(
            kernel,
            self.columns(of.channels).grid_of_sums(sums.blocks, 2),
            arguments![
                gradient.address(),
                activation,
                input.address(),
                saved.address(),
                sums.partial,
                of.rows,
                int(call.0, "channels", of.channels)?,
                self.lanes(of.channels)
            ],
        )?;
        self.finish_gradient(
            call,
            of,
            &sums,
            vectors,
            places,
            saved,
            vector_gradients,
            factors,
        )
    }

    /// Gradients of weight and bias and the factors, from sums over the rows; buffers are long enough.
    #[expect(
        clippy::too_many_arguments,
        reason = "the tensors of a norm and its gradient"
    )]
    pub(super) fn finish_gradient(
        &self,
        call: Call,
        of: Rows,
        sums: &Sums,
        vectors: &Floats,
        places: NormPlaces,
        saved: &Floats,
        vector_gradients: &mut Floats,
        factors: &mut Floats,
    ) -> Result<()> {
        self.launch(
            "norm_gradient_finish",
            Grid::finish(of.channels),
            arguments![
                sums.partial,
                int(call.0, "blocks", sums.blocks)?,
                of.rows,
                int(call.0, "channels", of.channels)?,
                at(vectors, places.weight),
                saved.address(),
                at(vector_gradients, places.weight),
                at(vector_gradients, places.bias),
                factors.address()
            ],
        )
    }

    pub(super) fn norm_fixed_factors(
        &self,
        channels: usize,
        saved: &Floats,
        factors: &mut Floats,
    ) -> Result<()> {
        let call = Call("norm_fixed_factors");
        call.channels(channels)?;
        call.saved(channels, saved.len())?;
        call.factors(channels, factors.len())?;
        self.launch(
            call.0,
            Grid::flat(channels, usize::MAX),
            arguments![
                saved.address(),
                int(call.0, "channels", channels)?,
                factors.address()
            ],
        )
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the tensors of a norm and its gradient"
    )]
    pub(super) fn norm_backward(
        &self,
        of: Rows,
        gradient: &Map,
        gate: &Gate<'_, Cuda>,
        input: &Map,
        saved: &Floats,
        factors: &Floats,
        output: &mut Map,
    ) -> Result<()> {
        let call = Call("norm_backward");
        call.rows(of)?;
        call.holds("the gradient", gradient.len(), of.len())?;
        call.holds("the input", input.len(), of.len())?;
        call.holds("the output", output.len(), of.len())?;
        call.factors(of.channels, factors.len())?;
        let (kernel, activation) = match gate {
            Gate::Open => ("norm_backward_open", 0),
            Gate::Norm => {
                call.saved(of.channels, saved.len())?;
                ("norm_backward_norm", 0)
            }
            Gate::Map(map) => {
                call.holds("the activation", map.len(), of.len())?;
                ("norm_backward_map", map.address())
            }
        };
        self.launch(
            kernel,
            self.pass(of),
            arguments![
                gradient.address(),
                activation,
                input.address(),
                saved.address(),
                factors.address(),
                output.address(),
                of.rows,
                int(call.0, "channels", of.channels)?,
                self.lanes(of.channels)
            ],
        )
    }

    pub(super) fn gate(&self, len: usize, activation: &Map, gradient: &mut Map) -> Result<()> {
        let call = Call("gate");
        call.holds("the activation", activation.len(), len)?;
        call.holds("the gradient", gradient.len(), len)?;
        self.launch(
            call.0,
            self.flat_loads(len),
            arguments![len, activation.address(), gradient.address()],
        )
    }
}

/// The address of the number at `start`.
pub(super) fn at(floats: &Buffer<f32>, start: usize) -> u64 {
    floats.address() + (start * size_of::<f32>()) as u64
}
