//! What every device refuses: shapes that a function does not take, and buffers that are too short.
//!
//! For [`super::Reference`] and `Cuda`, so that both refuse the same. Not here: what a device finds
//! out only while it works.

use super::{
    AdamFactors, CHANNEL_MULTIPLE, DeviceFault, NormPlaces, Part, PoolShape, Precision, Result,
    Rows,
};
use crate::kernels::Window;
use crate::kernels::conv::ConvShape;
use crate::kernels::linear::LinearShape;

/// The most places in a pooling's window: a picked place is a byte.
const MOST_TAPS: usize = 255;

/// The function that checks, by its name in the trait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call(pub(crate) &'static str);

/// Lengths of the buffers of a convolution, or of one of its gradients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvLengths {
    /// Of the input, or of its gradient.
    pub(crate) input: usize,
    /// Of the arena with the kernel, or with its gradient.
    pub(crate) weights: usize,
    /// Where the kernel begins in it.
    pub(crate) weight_start: usize,
    /// Of the output, or of its gradient.
    pub(crate) output: usize,
}

impl Call {
    /// Refuses a buffer of `found` numbers where `needed` are used.
    pub(crate) fn holds(self, what: &'static str, found: usize, needed: usize) -> Result<()> {
        if needed <= found {
            return Ok(());
        }
        Err(DeviceFault::TooShort {
            call: self.0,
            what,
            found,
            needed,
        })
    }

    /// Refuses a buffer that ends before a part of it.
    pub(crate) fn holds_part(self, what: &'static str, found: usize, part: Part) -> Result<()> {
        self.holds(what, found, part.start.saturating_add(part.len))
    }

    /// A shape that the function does not take.
    pub(crate) fn refuse<T>(self, problem: String) -> Result<T> {
        Err(DeviceFault::Shape {
            call: self.0,
            problem,
        })
    }

    /// Refuses to work on none.
    pub(crate) fn at_least(self, least: usize, what: &'static str, found: usize) -> Result<()> {
        if found >= least {
            return Ok(());
        }
        self.refuse(format!("{found} {what}; at least {least} must be there"))
    }

    /// Refuses channels that cannot be loaded 16 bytes at a time.
    pub(crate) fn channels(self, channels: usize) -> Result<()> {
        if channels > 0 && channels.is_multiple_of(CHANNEL_MULTIPLE) {
            return Ok(());
        }
        Err(DeviceFault::Channels {
            call: self.0,
            channels,
            multiple: CHANNEL_MULTIPLE,
        })
    }

    fn window(self, window: &Window) -> Result<()> {
        match window.checked_output() {
            Some([height, width]) if height > 0 && width > 0 => Ok(()),
            _ => self.refuse(format!("no window fits: {window:?}")),
        }
    }

    /// A convolution in any direction; the input map of the network has channels of its own number.
    pub(crate) fn conv(
        self,
        precision: Precision,
        shape: &ConvShape,
        lengths: ConvLengths,
    ) -> Result<()> {
        self.at_least(1, "images", shape.images)?;
        self.window(&shape.window)?;
        if shape.channels != precision.input_channels() {
            self.channels(shape.channels)?;
        }
        self.channels(shape.out_channels)?;
        self.holds("the input's map", lengths.input, shape.input_len())?;
        self.holds("the output's map", lengths.output, shape.output_len())?;
        let kernel = Part {
            start: lengths.weight_start,
            len: shape.weight_len(),
        };
        self.holds_part("the arena of kernels", lengths.weights, kernel)
    }

    /// A map of at least one row.
    pub(crate) fn rows(self, of: Rows) -> Result<()> {
        self.channels(of.channels)?;
        self.at_least(1, "rows", of.rows)
    }

    /// A map with a variance, which takes two rows.
    pub(crate) fn rows_with_variance(self, of: Rows) -> Result<()> {
        self.channels(of.channels)?;
        self.at_least(2, "rows", of.rows)
    }

    /// Weight and bias of a norm among the vectors, or their gradients.
    pub(crate) fn affine(self, channels: usize, places: NormPlaces, vectors: usize) -> Result<()> {
        for start in [places.weight, places.bias] {
            let len = channels;
            self.holds_part("the arena of vectors", vectors, Part { start, len })?;
        }
        Ok(())
    }

    /// Mean and variance of a norm among the running statistics.
    pub(crate) fn running(self, channels: usize, places: NormPlaces, running: usize) -> Result<()> {
        for start in [places.running_mean, places.running_variance] {
            let len = channels;
            self.holds_part("the running statistics", running, Part { start, len })?;
        }
        Ok(())
    }

    /// What [`super::Device::norm_moments`] saves.
    pub(crate) fn saved(self, channels: usize, saved: usize) -> Result<()> {
        self.holds("the saved numbers of the norm", saved, 4 * channels)
    }

    /// What [`super::Device::norm_backward_sums`] gives.
    pub(crate) fn factors(self, channels: usize, factors: usize) -> Result<()> {
        self.holds("the factors of the norm", factors, 3 * channels)
    }

    /// A pooling in which every window meets the map.
    pub(crate) fn pool(self, pool: &PoolShape) -> Result<()> {
        let window = &pool.window;
        self.at_least(1, "images", pool.images)?;
        self.channels(pool.channels)?;
        self.window(window)?;
        if window.taps() > MOST_TAPS {
            return self.refuse(format!(
                "{} places in a window; at most {MOST_TAPS} are taken",
                window.taps()
            ));
        }
        if (0..2).any(|axis| window.padding[axis] >= window.kernel[axis]) {
            return self.refuse(format!("a window lies in the padding alone: {window:?}"));
        }
        Ok(())
    }

    /// A linear layer that is not empty.
    pub(crate) fn linear(self, shape: &LinearShape) -> Result<()> {
        self.at_least(1, "rows", shape.rows)?;
        self.at_least(1, "inputs", shape.inputs)?;
        self.at_least(1, "outputs", shape.outputs)
    }

    /// The weight of a linear layer in its arena, or its gradient.
    pub(crate) fn linear_weight(
        self,
        shape: &LinearShape,
        weights: usize,
        start: usize,
    ) -> Result<()> {
        let len = shape.outputs * shape.inputs;
        self.holds_part("the arena of kernels", weights, Part { start, len })
    }

    /// The bias of a linear layer among the vectors, or its gradient.
    pub(crate) fn linear_bias(
        self,
        shape: &LinearShape,
        vectors: usize,
        start: usize,
    ) -> Result<()> {
        let len = shape.outputs;
        self.holds_part("the arena of vectors", vectors, Part { start, len })
    }

    /// The gradient of a linear layer's output.
    pub(crate) fn linear_gradient(self, shape: &LinearShape, gradient: usize) -> Result<()> {
        let needed = shape.rows * shape.outputs;
        self.holds("the output's gradient", gradient, needed)
    }

    /// The loss and the size of the gradients.
    pub(crate) fn outcome(self, outcome: usize) -> Result<()> {
        self.holds("the outcome", outcome, 2)
    }

    /// What every step of Adam reads beside its arenas.
    pub(crate) fn adam(self, factors: usize, outcome: usize) -> Result<()> {
        self.holds("the factors of Adam", factors, AdamFactors::LEN)?;
        self.outcome(outcome)
    }

    /// A batch of maps with a number of places.
    pub(crate) fn places(self, images: usize, places: usize, channels: usize) -> Result<()> {
        self.at_least(1, "images", images)?;
        self.at_least(1, "places", places)?;
        self.channels(channels)
    }

    /// A batch of pictures.
    pub(crate) fn pictures(self, images: usize, size: [usize; 2]) -> Result<()> {
        self.at_least(1, "images", images)?;
        self.at_least(1, "rows of pixels", size[0])?;
        self.at_least(1, "columns of pixels", size[1])
    }
}
