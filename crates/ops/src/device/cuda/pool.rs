//! Pooling behind a norm's ReLU: what is launched for it and for the way back.

use super::grid::{Grid, int};
use super::launch::{Argument, arguments};
use super::norm::at;
use super::{Bytes, Floats, Inner, Map};
use crate::device::checks::Call;
use crate::device::{NormPlaces, PoolShape, Result, Rows};
use crate::kernels::Window;

impl PoolShape {
    /// The places before the pooling.
    fn input_rows(&self) -> Rows {
        Rows {
            rows: self.images * self.window.input_places(),
            channels: self.channels,
        }
    }

    /// The places behind it.
    fn output_rows(&self) -> Rows {
        Rows {
            rows: self.images * self.window.output_places(),
            channels: self.channels,
        }
    }
}

impl Inner {
    /// `first`, and behind it what every kernel of a pooling ends with.
    pub(super) fn pool_arguments(
        &self,
        call: Call,
        pool: &PoolShape,
        first: &[Argument],
    ) -> Result<Vec<Argument>> {
        let window = &pool.window;
        let [out_height, out_width] = window.output();
        // Places are counted in 32 bits.
        int(call.0, "places", pool.input_rows().rows)?;
        let numbers = [
            pool.images,
            window.input[0],
            window.input[1],
            pool.channels,
            out_height,
            out_width,
            window.kernel[0],
            window.kernel[1],
            window.stride,
            window.padding[0],
            window.padding[1],
            self.columns(pool.channels).lanes,
        ];
        let mut all = first.to_vec();
        for number in numbers {
            all.push(int(call.0, "numbers along an axis", number)?.into());
        }
        Ok(all)
    }

    pub(super) fn pool_forward(
        &self,
        pool: &PoolShape,
        input: &Map,
        (scales, scale_start): (&Floats, usize),
        (shifts, shift_start): (&Floats, usize),
        output: &mut Map,
        picked: &mut Bytes,
    ) -> Result<()> {
        let call = Call("pool_forward");
        call.pool(pool)?;
        call.holds("the input", input.len(), pool.input_len())?;
        let end = |start: usize| start.saturating_add(pool.channels);
        call.holds("the scales", scales.len(), end(scale_start))?;
        call.holds("the shifts", shifts.len(), end(shift_start))?;
        call.holds("the output", output.len(), pool.output_len())?;
        call.holds("the picked places", picked.len(), pool.output_len())?;
        let kernel = match pool.window.kernel {
            [2, 2] => "pool_forward_2",
            [3, 3] => "pool_forward_3",
            _ => "pool_forward_any",
        };
        let first = arguments![
            input.address(),
            at(scales, scale_start),
            at(shifts, shift_start),
            output.address(),
            picked.address()
        ];
        let all = self.pool_arguments(call, pool, first)?;
        self.launch(kernel, self.pass(pool.output_rows()), &all)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the tensors of a norm and its gradient"
    )]
    pub(super) fn pool_backward_sums(
        &self,
        pool: &PoolShape,
        gradient: &mut Map,
        pooled: &Map,
        picked: &Bytes,
        input: &Map,
        vectors: &Floats,
        places: NormPlaces,
        saved: &Floats,
        vector_gradients: &mut Floats,
        factors: &mut Floats,
    ) -> Result<()> {
        let call = Call("pool_backward_sums");
        call.pool(pool)?;
        call.rows_with_variance(pool.input_rows())?;
        call.holds("the gradient", gradient.len(), pool.output_len())?;
        call.holds("the pooled map", pooled.len(), pool.output_len())?;
        call.holds("the picked places", picked.len(), pool.output_len())?;
        call.holds("the input", input.len(), pool.input_len())?;
        call.saved(pool.channels, saved.len())?;
        call.affine(pool.channels, places, vectors.len())?;
        call.affine(pool.channels, places, vector_gradients.len())?;
        call.factors(pool.channels, factors.len())?;
        let sums = self.sums(call, pool.output_rows())?;
        let first = arguments![
            gradient.address(),
            pooled.address(),
            picked.address(),
            input.address(),
            saved.address(),
            sums.partial
        ];
        let all = self.pool_arguments(call, pool, first)?;
        let grid = self.columns(pool.channels).grid_of_sums(sums.blocks, 2);
        self.launch("pool_gradient_sums", grid, &all)?;
        let of = pool.input_rows();
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

    pub(super) fn pool_backward_bias(
        &self,
        pool: &PoolShape,
        gradient: &mut Map,
        pooled: &Map,
        vector_gradients: &mut Floats,
        bias_start: usize,
    ) -> Result<()> {
        let call = Call("pool_backward_bias");
        call.pool(pool)?;
        call.holds("the gradient", gradient.len(), pool.output_len())?;
        call.holds("the pooled map", pooled.len(), pool.output_len())?;
        let end = bias_start.saturating_add(pool.channels);
        call.holds("the arena of vectors", vector_gradients.len(), end)?;
        let of = pool.output_rows();
        let channels = int(call.0, "channels", of.channels)?;
        let sums = self.sums(call, of)?;
        self.launch(
            "bias_gradient_sums",
            self.columns(of.channels).grid_of_sums(sums.blocks, 2),
            arguments![
                gradient.address(),
                pooled.address(),
                sums.partial,
                of.rows,
                channels,
                self.lanes(of.channels)
            ],
        )?;
        self.launch(
            "bias_gradient_finish",
            Grid::finish(of.channels),
            arguments![
                sums.partial,
                int(call.0, "blocks", sums.blocks)?,
                channels,
                at(vector_gradients, bias_start)
            ],
        )
    }

    pub(super) fn pool_backward(
        &self,
        pool: &PoolShape,
        gradient: &Map,
        picked: &Bytes,
        norm: Option<(&Map, &Floats)>,
        output: &mut Map,
    ) -> Result<()> {
        let call = Call("pool_backward");
        call.pool(pool)?;
        call.holds("the gradient", gradient.len(), pool.output_len())?;
        call.holds("the picked places", picked.len(), pool.output_len())?;
        call.holds("the output", output.len(), pool.input_len())?;
        let (input, factors) = match norm {
            None => (0, 0),
            Some((input, factors)) => {
                call.holds("the input", input.len(), pool.input_len())?;
                call.factors(pool.channels, factors.len())?;
                (input.address(), factors.address())
            }
        };
        let kernel = match (norm, windows_over_a_place(&pool.window)) {
            (None, [1, 1]) => "pool_backward_plain_1",
            (None, [2, 2]) => "pool_backward_plain_2",
            (None, _) => "pool_backward_plain_any",
            (Some(_), [1, 1]) => "pool_backward_norm_1",
            (Some(_), [2, 2]) => "pool_backward_norm_2",
            (Some(_), _) => "pool_backward_norm_any",
        };
        let first = arguments![
            gradient.address(),
            picked.address(),
            input,
            factors,
            output.address()
        ];
        let all = self.pool_arguments(call, pool, first)?;
        self.launch(kernel, self.pass(pool.input_rows()), &all)
    }
}

/// How many windows cover a place along each axis, at most.
fn windows_over_a_place(window: &Window) -> [usize; 2] {
    window.kernel.map(|places| places.div_ceil(window.stride))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_over_a_place_are_counted_along_each_axis() {
        let window = |kernel, stride| Window {
            input: [9, 9],
            kernel,
            stride,
            padding: [0, 0],
        };
        assert_eq!(windows_over_a_place(&window([2, 2], 2)), [1, 1]);
        assert_eq!(windows_over_a_place(&window([3, 3], 2)), [2, 2]);
        assert_eq!(windows_over_a_place(&window([3, 1], 1)), [3, 1]);
        assert_eq!(windows_over_a_place(&window([2, 2], 3)), [1, 1]);
    }
}
