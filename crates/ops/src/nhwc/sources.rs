//! Where a convolution's input comes from: stored maps, and maps that are worked out row by row
//! while they are read, so that they are never written to memory.

use crate::kernels::Window;

use super::bands::{MapSize, Source};

/// A stored map [N, H, W, C].
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// What each image is.
    pub size: MapSize,
    /// Its numbers.
    pub data: &'a [f32],
}

impl<'a> Stored<'a> {
    #[inline(always)]
    fn row_of(&self, image: usize, row: usize) -> &'a [f32] {
        let row_len = self.size.row_len();
        &self.data[(image * self.size.height + row) * row_len..][..row_len]
    }
}

impl Source for Stored<'_> {
    fn size(&self) -> MapSize {
        self.size
    }

    #[inline(always)]
    fn row(&self, image: usize, row: usize, target: &mut [f32]) {
        target.copy_from_slice(self.row_of(image, row));
    }
}

/// Images [N, C, H, W], as the loader gives them, read as [N, H, W, C].
#[derive(Clone, Copy, Debug)]
pub struct Planes<'a> {
    /// What each image is.
    pub size: MapSize,
    /// Its numbers, channel by channel.
    pub data: &'a [f32],
}

impl Source for Planes<'_> {
    fn size(&self) -> MapSize {
        self.size
    }

    #[inline(always)]
    fn row(&self, image: usize, row: usize, target: &mut [f32]) {
        let MapSize {
            width, channels, ..
        } = self.size;
        for channel in 0..channels {
            let plane = (image * channels + channel) * self.size.places() + row * width;
            let targets = target[channel..].iter_mut().step_by(channels);
            for (target, &value) in targets.zip(&self.data[plane..][..width]) {
                *target = value;
            }
        }
    }
}

/// max(0, x · scale + shift) by channel: a normalised map behind its ReLU.
#[derive(Clone, Copy, Debug)]
pub struct NormRelu<'a> {
    /// x.
    pub input: Stored<'a>,
    /// `[C]`.
    pub scale: &'a [f32],
    /// `[C]`.
    pub shift: &'a [f32],
}

impl Source for NormRelu<'_> {
    fn size(&self) -> MapSize {
        self.input.size
    }

    #[inline(always)]
    fn row(&self, image: usize, row: usize, target: &mut [f32]) {
        let channels = self.input.size.channels;
        let (scale, shift) = (&self.scale[..channels], &self.shift[..channels]);
        let places = self.input.row_of(image, row).chunks_exact(channels);
        for (target, place) in target.chunks_exact_mut(channels).zip(places) {
            for c in 0..channels {
                target[c] = relu(place[c] * scale[c] + shift[c]);
            }
        }
    }
}

/// What each of three maps is multiplied with on the way back through a batch norm, by channel:
/// gradient · `gradient` + x · `input` + `constant`.
#[derive(Clone, Debug, Default)]
pub struct NormBackwardFactors {
    /// Of the gradient of the norm's output.
    pub gradient: Vec<f32>,
    /// Of the norm's input.
    pub input: Vec<f32>,
    /// Added.
    pub constant: Vec<f32>,
}

/// The gradient of a batch norm's input.
#[derive(Clone, Copy, Debug)]
pub struct NormBackward<'a> {
    /// The gradient of the norm's output.
    pub gradient: Stored<'a>,
    /// The norm's input.
    pub input: Stored<'a>,
    /// The factors of the three terms.
    pub factors: &'a NormBackwardFactors,
}

impl Source for NormBackward<'_> {
    fn size(&self) -> MapSize {
        self.gradient.size
    }

    #[inline(always)]
    fn row(&self, image: usize, row: usize, target: &mut [f32]) {
        let channels = self.gradient.size.channels;
        let [a, b, e] = [
            &self.factors.gradient[..channels],
            &self.factors.input[..channels],
            &self.factors.constant[..channels],
        ];
        let gradients = self.gradient.row_of(image, row).chunks_exact(channels);
        let inputs = self.input.row_of(image, row).chunks_exact(channels);
        let places = target.chunks_exact_mut(channels);
        for (target, (gradient, input)) in places.zip(gradients.zip(inputs)) {
            for c in 0..channels {
                target[c] = gradient[c] * a[c] + input[c] * b[c] + e[c];
            }
        }
    }
}

/// The gradient of a max pooling's input: each output's gradient at the place of its maximum.
#[derive(Clone, Copy, Debug)]
pub struct Unpooled<'a> {
    /// The pooling.
    pub window: Window,
    /// The gradient of its output.
    pub gradient: Stored<'a>,
    /// The place of each maximum in its window, row · kernel width + column.
    pub places: &'a [u8],
}

impl Source for Unpooled<'_> {
    fn size(&self) -> MapSize {
        MapSize {
            height: self.window.input[0],
            width: self.window.input[1],
            channels: self.gradient.size.channels,
        }
    }

    #[inline(always)]
    fn row(&self, image: usize, row: usize, target: &mut [f32]) {
        let channels = self.gradient.size.channels;
        let [kernel_height, kernel_width] = self.window.kernel;
        let (stride, [pad_y, pad_x]) = (self.window.stride, self.window.padding);
        let pooled = self.gradient.size;
        target.fill(0.0);
        for tap_y in 0..kernel_height {
            // The pooled row whose window has this row under its tap.
            let Some(offset) = (row + pad_y).checked_sub(tap_y) else {
                continue;
            };
            let pooled_row = offset / stride;
            if !offset.is_multiple_of(stride) || pooled_row >= pooled.height {
                continue;
            }
            let at = (image * pooled.height + pooled_row) * pooled.row_len();
            let gradients = self.gradient.data[at..][..pooled.row_len()].chunks_exact(channels);
            let places = self.places[at..][..pooled.row_len()].chunks_exact(channels);
            for (x, (gradient, place)) in gradients.zip(places).enumerate() {
                for tap_x in 0..kernel_width {
                    let Some(column) = (x * stride + tap_x).checked_sub(pad_x) else {
                        continue;
                    };
                    if column >= self.window.input[1] {
                        continue;
                    }
                    let tap = (tap_y * kernel_width + tap_x) as u8;
                    let target = &mut target[column * channels..][..channels];
                    for c in 0..channels {
                        target[c] += if place[c] == tap { gradient[c] } else { 0.0 };
                    }
                }
            }
        }
    }
}

/// The gradient of a batch norm's input where pooling follows the norm's ReLU.
#[derive(Clone, Copy, Debug)]
pub struct UnpooledNormBackward<'a> {
    /// The gradient of the norm's output: of the pooling's input, zero where the ReLU was.
    pub unpooled: Unpooled<'a>,
    /// The norm's input.
    pub input: Stored<'a>,
    /// The factors of the three terms.
    pub factors: &'a NormBackwardFactors,
}

impl Source for UnpooledNormBackward<'_> {
    fn size(&self) -> MapSize {
        self.input.size
    }

    #[inline(always)]
    fn row(&self, image: usize, row: usize, target: &mut [f32]) {
        self.unpooled.row(image, row, target);
        let channels = self.input.size.channels;
        let [a, b, e] = [
            &self.factors.gradient[..channels],
            &self.factors.input[..channels],
            &self.factors.constant[..channels],
        ];
        let inputs = self.input.row_of(image, row).chunks_exact(channels);
        for (target, input) in target.chunks_exact_mut(channels).zip(inputs) {
            for c in 0..channels {
                target[c] = target[c] * a[c] + input[c] * b[c] + e[c];
            }
        }
    }
}

/// 0 for what is below, NaN for NaN, as PyTorch's ReLU.
#[inline(always)]
pub(crate) fn relu(value: f32) -> f32 {
    if value < 0.0 { 0.0 } else { value }
}
