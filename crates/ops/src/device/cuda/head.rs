//! What lies between the last map and the loss: means over places, roundings, biases, the loss.

use super::grid::{FLAT_BLOCKS, Grid, int};
use super::launch::arguments;
use super::norm::at;
use super::{Floats, Inner, Map};
use crate::device::Result;
use crate::device::checks::Call;
use crate::kernels::linear::LinearShape;

/// Labels and what is known of them.
#[derive(Clone, Copy)]
pub(super) struct Labels<'a> {
    pub(super) targets: &'a Floats,
    pub(super) mask: &'a Floats,
    pub(super) pos_weights: &'a Floats,
}

impl Inner {
    /// A thread for each load of `len` numbers of a map.
    pub(super) fn flat_loads(&self, len: usize) -> Grid {
        let most = self.streams.multiprocessors * FLAT_BLOCKS;
        Grid::flat(len.div_ceil(self.numbers_per_load()), most)
    }

    pub(super) fn mean_of_places(
        &self,
        [images, places, channels]: [usize; 3],
        input: &Map,
        output: &mut Floats,
    ) -> Result<()> {
        let call = Call("mean_of_places");
        call.places(images, places, channels)?;
        call.holds("the input", input.len(), images * places * channels)?;
        call.holds("the output", output.len(), images * channels)?;
        self.launch(
            call.0,
            self.columns(channels).grid_of_sums(images, 1),
            arguments![
                input.address(),
                output.address(),
                int(call.0, "places", places)?,
                int(call.0, "channels", channels)?,
                self.lanes(channels)
            ],
        )
    }

    pub(super) fn spread_to_places(
        &self,
        [images, places, channels]: [usize; 3],
        gradient: &Floats,
        output: &mut Map,
    ) -> Result<()> {
        let call = Call("spread_to_places");
        call.places(images, places, channels)?;
        call.holds("the gradient", gradient.len(), images * channels)?;
        call.holds("the output", output.len(), images * places * channels)?;
        self.launch(
            call.0,
            self.columns(channels).grid(images),
            arguments![
                gradient.address(),
                output.address(),
                int(call.0, "places", places)?,
                int(call.0, "channels", channels)?,
                self.lanes(channels)
            ],
        )
    }

    pub(super) fn round(
        &self,
        len: usize,
        input: &Floats,
        factors: Option<&Floats>,
        output: &mut Map,
    ) -> Result<()> {
        let call = Call("round");
        call.holds("the input", input.len(), len)?;
        if let Some(factors) = factors {
            call.holds("the factors", factors.len(), len)?;
        }
        call.holds("the output", output.len(), len)?;
        let factors = factors.map_or(0, Floats::address);
        self.launch(
            call.0,
            self.flat_loads(len),
            arguments![len, input.address(), factors, output.address()],
        )
    }

    pub(super) fn scale(&self, len: usize, factors: &Floats, numbers: &mut Floats) -> Result<()> {
        let call = Call("scale");
        call.holds("the factors", factors.len(), len)?;
        call.holds("the numbers", numbers.len(), len)?;
        let most = self.streams.multiprocessors * FLAT_BLOCKS;
        self.launch(
            call.0,
            Grid::flat(len, most),
            arguments![len, factors.address(), numbers.address()],
        )
    }

    /// Adds the bias at `bias_start` to every row of `output`.
    pub(super) fn add_bias(
        &self,
        call: Call,
        shape: &LinearShape,
        vectors: &Floats,
        bias_start: usize,
        output: &mut Floats,
    ) -> Result<()> {
        self.launch(
            "add_bias",
            Grid::flat_each(shape.outputs, usize::MAX, shape.rows),
            arguments![
                int(call.0, "rows", shape.rows)?,
                int(call.0, "outputs", shape.outputs)?,
                at(vectors, bias_start),
                output.address()
            ],
        )
    }

    pub(super) fn linear_bias_gradient(
        &self,
        shape: &LinearShape,
        output_gradient: &Floats,
        vector_gradients: &mut Floats,
        bias_start: usize,
    ) -> Result<()> {
        let call = Call("linear_bias_gradient");
        call.linear(shape)?;
        call.linear_gradient(shape, output_gradient.len())?;
        call.linear_bias(shape, vector_gradients.len(), bias_start)?;
        self.launch(
            "column_sums",
            Grid::finish(shape.outputs).sharing_f64(1),
            arguments![
                output_gradient.address(),
                int(call.0, "rows", shape.rows)?,
                int(call.0, "outputs", shape.outputs)?,
                at(vector_gradients, bias_start)
            ],
        )
    }

    pub(super) fn bce(
        &self,
        [rows, findings]: [usize; 2],
        logits: &Floats,
        labels: Labels<'_>,
        gradient: &mut Floats,
        outcome: &mut Floats,
    ) -> Result<()> {
        let call = Call("bce");
        let cells = rows * findings;
        call.at_least(1, "labels", cells)?;
        call.holds("the logits", logits.len(), cells)?;
        call.holds("the targets", labels.targets.len(), cells)?;
        call.holds("the mask", labels.mask.len(), cells)?;
        call.holds(
            "the weights of positives",
            labels.pos_weights.len(),
            findings,
        )?;
        call.holds("the gradient", gradient.len(), cells)?;
        call.outcome(outcome.len())?;
        self.launch(
            call.0,
            Grid::one_block().sharing_f64(1),
            arguments![
                int(call.0, "labels", cells)?,
                int(call.0, "findings", findings)?,
                logits.address(),
                labels.targets.address(),
                labels.mask.address(),
                labels.pos_weights.address(),
                gradient.address(),
                outcome.address()
            ],
        )
    }
}
