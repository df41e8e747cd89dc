//! The norm of the gradients, and Adam over arenas.

use super::grid::{FLAT_BLOCKS, Grid};
use super::launch::arguments;
use super::{Floats, Inner, Map};
use crate::device::checks::Call;
use crate::device::{Part, Result};

/// Numbers of each arena that a thread of Adam works on.
const ADAM_NUMBERS: usize = 4;

/// Parameters in f32 with their moments.
pub(super) struct Arenas<'a> {
    pub(super) parameters: &'a mut Floats,
    pub(super) mean: &'a mut Floats,
    pub(super) mean_square: &'a mut Floats,
}

impl Inner {
    pub(super) fn gradient_norm(
        &self,
        (weights, n_weights): (&Map, usize),
        (vectors, n_vectors): (&Floats, usize),
        outcome: &mut Floats,
    ) -> Result<()> {
        let call = Call("gradient_norm");
        call.holds("the weight gradients", weights.len(), n_weights)?;
        call.holds("the vector gradients", vectors.len(), n_vectors)?;
        call.outcome(outcome.len())?;
        let most = self.streams.multiprocessors * FLAT_BLOCKS;
        let of_weights = Grid::flat(n_weights.div_ceil(self.numbers_per_load()), most);
        let of_vectors = Grid::flat(n_vectors.div_ceil(ADAM_NUMBERS), most);
        let [n_first, n_second] = [of_weights, of_vectors].map(|grid| grid.blocks[0] as usize);
        let partial = self.scratch(call.0, (n_first + n_second) * size_of::<f64>())?;
        let second = partial + (n_first * size_of::<f64>()) as u64;
        self.launch(
            "squares",
            of_weights.sharing_f64(1),
            arguments![weights.address(), n_weights, partial],
        )?;
        self.launch(
            "squares_f32",
            of_vectors.sharing_f64(1),
            arguments![vectors.address(), n_vectors, second],
        )?;
        self.launch(
            "root_of_sum",
            Grid::one_block().sharing_f64(1),
            arguments![partial, (n_first + n_second) as i32, outcome.address()],
        )
    }

    pub(super) fn adam_weights(
        &self,
        part: Part,
        [factors, outcome]: [&Floats; 2],
        gradients: &Map,
        arenas: &Arenas<'_>,
        weights: &mut Map,
    ) -> Result<()> {
        let call = Call("adam_weights");
        call.holds_part("the gradients", gradients.len(), part)?;
        call.holds_part("the master weights", arenas.parameters.len(), part)?;
        call.holds_part("the weights", weights.len(), part)?;
        let addresses = [gradients.address(), weights.address()];
        self.adam(call, "adam", part, [factors, outcome], addresses, arenas)
    }

    pub(super) fn adam_vectors(
        &self,
        part: Part,
        [factors, outcome]: [&Floats; 2],
        gradients: &Floats,
        arenas: &Arenas<'_>,
    ) -> Result<()> {
        let call = Call("adam_vectors");
        call.holds_part("the gradients", gradients.len(), part)?;
        call.holds_part("the vectors", arenas.parameters.len(), part)?;
        let addresses = [gradients.address(), 0];
        self.adam(
            call,
            "adam_f32",
            part,
            [factors, outcome],
            addresses,
            arenas,
        )
    }

    fn adam(
        &self,
        call: Call,
        kernel: &'static str,
        part: Part,
        [factors, outcome]: [&Floats; 2],
        [gradients, weights]: [u64; 2],
        arenas: &Arenas<'_>,
    ) -> Result<()> {
        call.adam(factors.len(), outcome.len())?;
        call.holds_part("the means", arenas.mean.len(), part)?;
        call.holds_part("the mean squares", arenas.mean_square.len(), part)?;
        let most = self.streams.multiprocessors * FLAT_BLOCKS;
        // One group more than whole ones, as neither end need be at a group's.
        let groups = part.len / ADAM_NUMBERS + 2;
        self.launch(
            kernel,
            Grid::flat(groups, most),
            arguments![
                part.start,
                part.end(),
                factors.address(),
                outcome.address(),
                gradients,
                arenas.parameters.address(),
                arenas.mean.address(),
                arenas.mean_square.address(),
                weights
            ],
        )
    }
}
