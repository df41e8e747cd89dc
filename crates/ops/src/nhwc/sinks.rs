//! What becomes of a convolution's output, band by band while it is in the cache.

use crate::kernels::matrix::Onto;

use super::bands::{Band, Bands};
use super::moments::{BandMoments, GradientSums, GradientSumsPart};
use super::sources::relu;

/// Takes the output of a convolution.
pub trait Sink {
    /// What one task owns of it.
    type Part: BandSink;

    /// Cuts it into the bands' own parts, in their order.
    fn split(self, bands: &Bands) -> Vec<Self::Part>;
}

/// One band's part of a [`Sink`].
pub trait BandSink: Send {
    /// Takes the raw output of a band, [images, rows, W, C].
    fn take(self, band: &Band, raw: &mut [f32]);
}

/// Stores the output as it is.
#[derive(Debug)]
pub struct Store<'a> {
    /// [N, H, W, C].
    pub output: &'a mut [f32],
}

impl<'a> Sink for Store<'a> {
    type Part = &'a mut [f32];

    fn split(self, bands: &Bands) -> Vec<Self::Part> {
        bands.split(self.output, bands.size.channels)
    }
}

impl BandSink for &mut [f32] {
    #[inline(always)]
    fn take(self, _band: &Band, raw: &mut [f32]) {
        self.copy_from_slice(raw);
    }
}

/// Stores the output as [N, C, H, W], PyTorch's layout.
#[derive(Debug)]
pub struct StorePlanes<'a> {
    /// [N, C, H, W].
    pub output: &'a mut [f32],
    /// `[C]`.
    pub bias: Option<&'a [f32]>,
}

/// A band's part of [`StorePlanes`]: its rows of each plane, [image][channel].
pub struct StorePlanesPart<'a> {
    rows: Vec<&'a mut [f32]>,
    bias: Option<&'a [f32]>,
}

impl<'a> Sink for StorePlanes<'a> {
    type Part = StorePlanesPart<'a>;

    fn split(self, bands: &Bands) -> Vec<Self::Part> {
        let (places, channels) = (bands.size.places(), bands.size.channels);
        let mut planes: Vec<&mut [f32]> = self.output.chunks_exact_mut(places).collect();
        let bias = self.bias;
        bands
            .iter()
            .map(|band| {
                let own = band.images.start * channels..band.images.end * channels;
                let n = band.rows.len() * band.size.width;
                let rows = planes[own].iter_mut().map(|plane| {
                    let (own, rest) = std::mem::take(plane).split_at_mut(n);
                    *plane = rest;
                    own
                });
                StorePlanesPart {
                    rows: rows.collect(),
                    bias,
                }
            })
            .collect()
    }
}

impl BandSink for StorePlanesPart<'_> {
    #[inline(always)]
    fn take(self, band: &Band, raw: &mut [f32]) {
        let channels = band.size.channels;
        let per_image = band.rows.len() * band.size.row_len();
        for (place, row) in self.rows.into_iter().enumerate() {
            let (image, channel) = (place / channels, place % channels);
            let values = raw[image * per_image + channel..].iter().step_by(channels);
            let bias = self.bias.map_or(0.0, |bias| bias[channel]);
            let pairs = row.iter_mut().zip(values);
            pairs.for_each(|(target, &value)| *target = value + bias);
        }
    }
}

/// Stores the output and the moments of each of its bands.
#[derive(Debug)]
pub struct StoreWithMoments<'a> {
    /// [N, H, W, C].
    pub output: &'a mut [f32],
    /// Mean and squared deviations of each band.
    pub moments: &'a mut BandMoments,
}

/// A band's part of [`StoreWithMoments`].
pub struct StoreWithMomentsPart<'a> {
    output: &'a mut [f32],
    moments: &'a mut [f32],
}

impl<'a> Sink for StoreWithMoments<'a> {
    type Part = StoreWithMomentsPart<'a>;

    fn split(self, bands: &Bands) -> Vec<Self::Part> {
        let moments = self.moments.parts(bands);
        let outputs = bands.split(self.output, bands.size.channels);
        let parts = outputs.into_iter().zip(moments);
        parts
            .map(|(output, moments)| StoreWithMomentsPart { output, moments })
            .collect()
    }
}

impl BandSink for StoreWithMomentsPart<'_> {
    #[inline(always)]
    fn take(self, band: &Band, raw: &mut [f32]) {
        self.output.copy_from_slice(raw);
        BandMoments::measure(band.size.channels, raw, self.moments);
    }
}

/// Stores max(0, output + bias + residual): a layer of inference.
#[derive(Debug)]
pub struct StoreActivated<'a> {
    /// [N, H, W, C].
    pub output: &'a mut [f32],
    /// `[C]`.
    pub bias: &'a [f32],
    /// Added before the ReLU.
    pub residual: Option<&'a [f32]>,
    /// Whether there is a ReLU.
    pub activation: Activation,
}

/// What follows a layer's sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// Negative numbers become 0.
    Relu,
}

/// A band's part of [`StoreActivated`].
pub struct StoreActivatedPart<'a> {
    output: &'a mut [f32],
    bias: &'a [f32],
    residual: Option<&'a [f32]>,
    activation: Activation,
}

impl<'a> Sink for StoreActivated<'a> {
    type Part = StoreActivatedPart<'a>;

    fn split(self, bands: &Bands) -> Vec<Self::Part> {
        let (bias, residual, activation) = (self.bias, self.residual, self.activation);
        let outputs = bands.split(self.output, bands.size.channels);
        let parts = outputs.into_iter().zip(bands.iter());
        parts
            .map(|(output, band)| StoreActivatedPart {
                output,
                bias,
                residual: residual
                    .map(|r| &r[band.first_place() * band.size.channels..][..band.len()]),
                activation,
            })
            .collect()
    }
}

impl BandSink for StoreActivatedPart<'_> {
    #[inline(always)]
    fn take(self, band: &Band, raw: &mut [f32]) {
        let channels = band.size.channels;
        let bias = &self.bias[..channels];
        if let Some(residual) = self.residual {
            raw.iter_mut().zip(residual).for_each(|(raw, r)| *raw += r);
        }
        let places = raw.chunks_exact(channels);
        for (target, place) in self.output.chunks_exact_mut(channels).zip(places) {
            match self.activation {
                Activation::Relu => {
                    for c in 0..channels {
                        target[c] = relu(place[c] + bias[c]);
                    }
                }
                Activation::None => {
                    for c in 0..channels {
                        target[c] = place[c] + bias[c];
                    }
                }
            }
        }
    }
}

/// Stores max(0, 2×2 max pooling + bias), and the place of each maximum where it is wanted.
///
/// Pooling, bias and ReLU commute, so only a quarter of the output is ever written. A last odd row
/// or column is left out.
#[derive(Debug)]
pub struct StorePooled<'a> {
    /// [N, H/2, W/2, C].
    pub output: &'a mut [f32],
    /// The place of each maximum in its window, for training.
    pub places: Option<&'a mut [u8]>,
    /// `[C]`.
    pub bias: &'a [f32],
}

/// A band's part of [`StorePooled`].
pub struct StorePooledPart<'a> {
    output: &'a mut [f32],
    places: Option<&'a mut [u8]>,
    bias: &'a [f32],
}

impl<'a> Sink for StorePooled<'a> {
    type Part = StorePooledPart<'a>;

    fn split(self, bands: &Bands) -> Vec<Self::Part> {
        let bias = self.bias;
        let (mut output, mut places) = (self.output, self.places);
        bands
            .iter()
            .map(|band| {
                let n = band.images.len() * (band.rows.len() / 2) * (band.size.width / 2);
                let n = n * band.size.channels;
                let (own, rest) = std::mem::take(&mut output).split_at_mut(n);
                output = rest;
                let own_places = places.take().map(|all| {
                    let (own, rest) = all.split_at_mut(n);
                    places = Some(rest);
                    own
                });
                StorePooledPart {
                    output: own,
                    places: own_places,
                    bias,
                }
            })
            .collect()
    }
}

impl BandSink for StorePooledPart<'_> {
    #[inline(always)]
    fn take(self, band: &Band, raw: &mut [f32]) {
        let (width, channels) = (band.size.width, band.size.channels);
        let row_len = width * channels;
        let pooled_row_len = width / 2 * channels;
        if pooled_row_len == 0 {
            return;
        }
        let pairs = raw
            .chunks_exact(band.rows.len() * row_len)
            .flat_map(|image| image.chunks_exact(2 * row_len));
        let outputs = self.output.chunks_exact_mut(pooled_row_len);
        match self.places {
            Some(places) => {
                let places = places.chunks_exact_mut(pooled_row_len);
                for (pair, (output, places)) in pairs.zip(outputs.zip(places)) {
                    pool_rows(pair.split_at(row_len), channels, self.bias, output, places);
                }
            }
            None => {
                for (pair, output) in pairs.zip(outputs) {
                    pool_rows_only(pair.split_at(row_len), channels, self.bias, output);
                }
            }
        }
    }
}

/// One row of 2×2 pooling with places. A NaN counts as the largest value.
#[inline(always)]
fn pool_rows(
    (upper, lower): (&[f32], &[f32]),
    channels: usize,
    bias: &[f32],
    output: &mut [f32],
    places: &mut [u8],
) {
    let bias = &bias[..channels];
    let uppers = upper.chunks_exact(2 * channels);
    let lowers = lower.chunks_exact(2 * channels);
    let targets = output
        .chunks_exact_mut(channels)
        .zip(places.chunks_exact_mut(channels));
    for ((output, places), (upper, lower)) in targets.zip(uppers.zip(lowers)) {
        let (a, b) = upper.split_at(channels);
        let (c, d) = lower.split_at(channels);
        for i in 0..channels {
            let (mut best, mut place) = (a[i], 0u8);
            for (tap, value) in [(1, b[i]), (2, c[i]), (3, d[i])] {
                let is_larger = exceeds(value, best);
                best = if is_larger { value } else { best };
                place = if is_larger { tap } else { place };
            }
            output[i] = relu(best + bias[i]);
            places[i] = place;
        }
    }
}

/// [`pool_rows`] without places.
#[inline(always)]
fn pool_rows_only(
    (upper, lower): (&[f32], &[f32]),
    channels: usize,
    bias: &[f32],
    output: &mut [f32],
) {
    let bias = &bias[..channels];
    let uppers = upper.chunks_exact(2 * channels);
    let lowers = lower.chunks_exact(2 * channels);
    for (output, (upper, lower)) in output.chunks_exact_mut(channels).zip(uppers.zip(lowers)) {
        let (a, b) = upper.split_at(channels);
        let (c, d) = lower.split_at(channels);
        for i in 0..channels {
            let mut best = a[i];
            for value in [b[i], c[i], d[i]] {
                best = if exceeds(value, best) { value } else { best };
            }
            output[i] = relu(best + bias[i]);
        }
    }
}

/// Whether a value takes the place of the largest so far: it is larger, or the first NaN.
#[inline(always)]
pub(crate) fn exceeds(value: f32, best: f32) -> bool {
    (value > best) | (value.is_nan() & !best.is_nan())
}

/// Adds the output onto a gradient, sets the sum to 0 where the ReLU before it gave 0, and sums
/// what the batch norm before that ReLU needs.
#[derive(Debug)]
pub struct StoreGradient<'a> {
    /// [N, H, W, C]. Holds the other part of the gradient where `onto` says so.
    pub gradient: &'a mut [f32],
    /// Whether the output is added to what `gradient` holds or takes its place.
    pub onto: Onto,
    /// What decides where the gradient passes the ReLU.
    pub gate: Gate<'a>,
    /// The sums of each band.
    pub sums: &'a mut GradientSums,
}

/// What decides where a gradient passes a ReLU, and what the sums are taken with.
#[derive(Clone, Copy, Debug)]
pub enum Gate<'a> {
    /// Where the stored activation is above 0. `input` is the input of the batch norm before it,
    /// `None` where a bias alone is before it.
    Activation {
        /// Behind the ReLU, [N, H, W, C].
        activation: &'a [f32],
        /// The norm's input, [N, H, W, C].
        input: Option<&'a [f32]>,
    },
    /// Where input · scale + shift is above 0: the activation was not stored.
    Norm {
        /// The norm's input, [N, H, W, C].
        input: &'a [f32],
        /// `[C]`.
        scale: &'a [f32],
        /// `[C]`.
        shift: &'a [f32],
    },
}

impl<'a> Gate<'a> {
    pub(crate) fn of(self, band: &Band) -> Self {
        let (start, len) = (band.first_place() * band.size.channels, band.len());
        let part = |all: &'a [f32]| &all[start..][..len];
        match self {
            Self::Activation { activation, input } => Self::Activation {
                activation: part(activation),
                input: input.map(part),
            },
            Self::Norm {
                input,
                scale,
                shift,
            } => Self::Norm {
                input: part(input),
                scale,
                shift,
            },
        }
    }
}

/// A band's part of [`StoreGradient`].
pub struct StoreGradientPart<'a> {
    gradient: &'a mut [f32],
    onto: Onto,
    gate: Gate<'a>,
    sums: GradientSumsPart<'a>,
}

impl<'a> Sink for StoreGradient<'a> {
    type Part = StoreGradientPart<'a>;

    fn split(self, bands: &Bands) -> Vec<Self::Part> {
        let (onto, gate) = (self.onto, self.gate);
        let gradients = bands.split(self.gradient, bands.size.channels);
        let sums = self.sums.parts(bands);
        let parts = gradients.into_iter().zip(sums).zip(bands.iter());
        parts
            .map(|((gradient, sums), band)| StoreGradientPart {
                gradient,
                onto,
                gate: gate.of(&band),
                sums,
            })
            .collect()
    }
}

impl BandSink for StoreGradientPart<'_> {
    #[inline(always)]
    fn take(self, _band: &Band, raw: &mut [f32]) {
        match self.onto {
            Onto::Unset => self.gradient.copy_from_slice(raw),
            Onto::Sum => {
                let pairs = self.gradient.iter_mut().zip(raw.iter());
                pairs.for_each(|(gradient, raw)| *gradient += raw);
            }
        }
        self.sums.gate_and_measure(self.gate, self.gradient);
    }
}
