//! Convolution with any kernel, stride and padding, without a matrix of windows: the micro-kernel
//! reads each window where it lies in the padded input, kernel row by kernel row.
//!
//! The input gradient goes by phases: the places of the input whose row and column leave the same
//! remainders by the stride meet the same taps, so each phase is a convolution at stride 1 of the
//! output gradient with a part of the kernel. The weight gradient is a sum of outer products over
//! places, in a number of groups that the shape decides.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::kernels::blocks::Blocks;
use crate::kernels::matrix::Onto;
use crate::kernels::scratch::Scratch;

use super::bands::{Band, Bands, MapSize, Padded, Source};
use super::micro::{Packed, Pixels, Rows, Target, multiply_rows, sum_outer_products};
use super::panels::{Panel, PanelLayout, grown};
use super::sinks::{BandSink, Sink};
use cxr_isa::Isa;

/// Places of a band, about.
const PLACES: usize = 512;
/// Rows of a band are multiples of this, for 2×2 pooling.
const GRAIN: usize = 2;
/// Numbers in the partial sums of a weight gradient, about.
const PARTIAL_LEN: usize = 4 << 20;

/// A convolution of maps with a kernel [O, I, kh, kw].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Direct {
    pub(crate) isa: Isa,
    pub(crate) images: usize,
    pub(crate) input: MapSize,
    pub(crate) output: MapSize,
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: usize,
    pub(crate) padding: [usize; 2],
}

impl Direct {
    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// How the kernel is packed forward: rows (ky, kx, input channel), columns output channels.
    pub(crate) fn layout(&self) -> PanelLayout {
        PanelLayout {
            lanes: self.isa.lanes(),
            planes: 1,
            inner: self.taps() * self.input.channels,
            columns: self.output.channels,
        }
    }

    /// Packs `weight` [O, I, kh, kw] for [`Direct::run`].
    pub(crate) fn pack(&self, weight: &[f32], packed: &mut [f32]) {
        let (inputs, taps) = (self.input.channels, self.taps());
        assert_eq!(weight.len(), self.output.channels * inputs * taps);
        pack(self.layout(), packed, |row, output| {
            weight[(output * inputs + row % inputs) * taps + row / inputs]
        });
    }

    fn bands(&self, size: MapSize) -> Bands {
        Bands::new(self.images, size, PLACES, GRAIN)
    }

    /// Runs the convolution; `packed` holds the kernel.
    pub(crate) fn run<K: Sink>(&self, packed: &[f32], source: &impl Source, sink: K) {
        let bands = self.bands(self.output);
        let tasks: Vec<_> = bands.iter().zip(sink.split(&bands)).collect();
        tasks.into_par_iter().for_each(|(band, sink)| {
            self.isa.run(ForwardBand {
                convolution: self,
                packed,
                source,
                band,
                sink,
            });
        });
    }

    /// The input under the windows of a band of the output.
    fn padded_input(&self, band: &Band) -> Padded {
        let top = (band.rows.start * self.stride) as isize - self.padding[0] as isize;
        Padded {
            first_row: top,
            rows: (band.rows.len() - 1) * self.stride + self.kernel[0],
            left: self.padding[1],
            width: self.input.width + 2 * self.padding[1],
            channels: self.input.channels,
        }
    }

    /// The phases of the input gradient, and how many numbers their packed kernels have.
    fn phases(&self) -> (Vec<Phase>, usize) {
        let mut phases = Vec::new();
        let mut start = 0;
        for y in 0..self.stride {
            for x in 0..self.stride {
                let taps = [(y, self.kernel[0]), (x, self.kernel[1])]
                    .map(|(first, side)| side.saturating_sub(first).div_ceil(self.stride));
                let layout = PanelLayout {
                    lanes: self.isa.lanes(),
                    planes: 1,
                    inner: taps[0] * taps[1] * self.output.channels,
                    columns: self.input.channels,
                };
                phases.push(Phase {
                    remainder: [y, x],
                    taps,
                    layout,
                    start,
                });
                start += layout.len();
            }
        }
        (phases, start)
    }

    /// Numbers in the packed kernel of the input gradient.
    pub(crate) fn backward_len(&self) -> usize {
        self.phases().1
    }

    /// Packs `weight` [O, I, kh, kw] for [`Direct::input_gradient`].
    pub(crate) fn pack_backward(&self, weight: &[f32], packed: &mut [f32]) {
        let (inputs, outputs) = (self.input.channels, self.output.channels);
        let taps = self.taps();
        assert_eq!(weight.len(), outputs * inputs * taps);
        for phase in self.phases().0 {
            let [_, across] = phase.taps;
            let target = &mut packed[phase.start..][..phase.layout.len()];
            pack(phase.layout, target, |row, input| {
                let (output, place) = (row % outputs, row / outputs);
                // Rows of the output gradient go up where the kernel's taps go down.
                let ky = phase.tap(0, place / across, self.stride);
                let kx = phase.tap(1, place % across, self.stride);
                weight[(output * inputs + input) * taps + ky * self.kernel[1] + kx]
            });
        }
    }

    /// Gives the gradient of the input to `sink`.
    pub(crate) fn input_gradient<K: Sink>(&self, packed: &[f32], source: &impl Source, sink: K) {
        let bands = self.bands(self.input);
        let (phases, _) = self.phases();
        let tasks: Vec<_> = bands.iter().zip(sink.split(&bands)).collect();
        tasks.into_par_iter().for_each(|(band, sink)| {
            self.isa.run(BackwardBand {
                convolution: self,
                phases: &phases,
                packed,
                source,
                band,
                sink,
            });
        });
    }

    /// The rows and columns of the output gradient that a band of the input meets.
    fn padded_gradient(&self, band: &Band) -> Padded {
        let first = |axis: usize, place: usize| {
            let reach = (place + self.padding[axis]) as isize - (self.kernel[axis] as isize - 1);
            reach.div_euclid(self.stride as isize)
        };
        let last = |axis: usize, place: usize| (place + self.padding[axis]) / self.stride;
        let first_row = first(0, band.rows.start);
        let first_column = first(1, 0).min(0);
        let columns = last(1, self.input.width - 1) as isize - first_column + 1;
        let rows = last(0, band.rows.end - 1) as isize - first_row + 1;
        Padded {
            first_row,
            rows: rows.unsigned_abs(),
            left: first_column.unsigned_abs(),
            width: columns.unsigned_abs(),
            channels: self.output.channels,
        }
    }

    /// Writes `weight_gradient` [O, I, kh, kw]. `memory` is working memory that grows as needed.
    pub(crate) fn weight_gradient(
        &self,
        input: &impl Source,
        gradient: &impl Source,
        memory: &mut Vec<f32>,
        weight_gradient: &mut [f32],
    ) {
        let layout = self.layout();
        assert_eq!(weight_gradient.len(), layout.inner * layout.columns);
        let bands = self.bands(self.output);
        let n_groups = (PARTIAL_LEN / layout.len()).clamp(8, 64);
        let groups = Blocks::exactly(bands.count(), n_groups, 1);
        let partials = grown(memory, groups.count() * layout.len());
        let tasks = partials.par_chunks_exact_mut(layout.len()).enumerate();
        tasks.for_each(|(group, sums)| {
            sums.fill(0.0);
            for band in groups.range(group) {
                self.isa.run(WeightBand {
                    convolution: self,
                    layout,
                    input,
                    gradient,
                    band: bands.band(band),
                    sums: &mut *sums,
                });
            }
        });
        self.write_gradient(layout, partials, weight_gradient);
    }

    /// Adds the partial sums in their order and writes them as [O, I, kh, kw].
    fn write_gradient(&self, layout: PanelLayout, partials: &[f32], weight_gradient: &mut [f32]) {
        let (inputs, taps) = (self.input.channels, self.taps());
        let widest = 2 * layout.lanes;
        let outputs = weight_gradient.par_chunks_mut(widest * layout.inner);
        let panels: Vec<Panel> = layout.panels().collect();
        outputs.zip(panels).for_each(|(target, panel)| {
            let width = layout.width(panel);
            let mut lanes = Scratch::new(width);
            for row in 0..layout.inner {
                lanes.fill(0.0);
                for partial in partials.chunks_exact(layout.len()) {
                    let sums = &partial[panel.start + row * width..][..width];
                    let pairs = lanes.iter_mut().zip(sums);
                    pairs.for_each(|(lane, sum)| *lane += sum);
                }
                let (tap, input) = (row / inputs, row % inputs);
                for (column, &lane) in lanes[..panel.columns].iter().enumerate() {
                    target[(column * inputs + input) * taps + tap] = lane;
                }
            }
        });
    }
}

/// Packs the matrix whose element (row, column) is `value(row, column)`, in one plane.
fn pack(layout: PanelLayout, packed: &mut [f32], value: impl Fn(usize, usize) -> f32 + Sync) {
    let panels = layout.split(packed);
    panels.into_par_iter().for_each(|(panel, target)| {
        let rows = target.chunks_exact_mut(layout.width(panel)).enumerate();
        for (row, target) in rows {
            let (columns, zeros) = target.split_at_mut(panel.columns);
            for (column, target) in columns.iter_mut().enumerate() {
                *target = value(row, panel.column + column);
            }
            zeros.fill(0.0);
        }
    });
}

/// The places of the input whose (row + padding, column + padding) leave `remainder` by the stride.
#[derive(Clone, Copy, Debug)]
struct Phase {
    remainder: [usize; 2],
    /// Taps that these places meet, down and across.
    taps: [usize; 2],
    layout: PanelLayout,
    /// Where its kernel begins among the packed ones.
    start: usize,
}

impl Phase {
    /// The kernel's tap that belongs to the output gradient's row or column `place` of this phase.
    fn tap(&self, axis: usize, place: usize, stride: usize) -> usize {
        self.remainder[axis] + stride * (self.taps[axis] - 1 - place)
    }

    /// Its first place along an axis of the input, given the padding there.
    fn first(&self, axis: usize, padding: usize, stride: usize) -> usize {
        (self.remainder[axis] + stride - padding % stride) % stride
    }
}

struct ForwardBand<'a, Src, Snk> {
    convolution: &'a Direct,
    packed: &'a [f32],
    source: &'a Src,
    band: Band,
    sink: Snk,
}

impl<Src: Source, Snk: BandSink> WithSimd for ForwardBand<'_, Src, Snk> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            convolution,
            packed,
            source,
            band,
            sink,
        } = self;
        let (layout, padded) = (convolution.layout(), convolution.padded_input(&band));
        let packed = Packed {
            layout,
            data: packed,
            plane: 0,
        };
        let (width, channels) = (convolution.output.width, padded.channels);
        let mut memory = Scratch::new(band.len() + padded.len());
        let (raw, rows) = memory.split_at_mut(band.len());
        for (place, image) in band.images.clone().enumerate() {
            padded.fill(source, image, rows);
            for panel in layout.panels() {
                for y in 0..band.rows.len() {
                    let windows = Rows {
                        data: rows,
                        start: y * convolution.stride * padded.row_len(),
                        row: convolution.stride * channels,
                        segment: padded.row_len(),
                        segments: convolution.kernel[0],
                        length: convolution.kernel[1] * channels,
                    };
                    let target = Target {
                        data: &mut *raw,
                        start: (place * band.rows.len() + y) * width * layout.columns,
                        row: layout.columns,
                    };
                    multiply_rows(simd, width, windows, (packed, panel), target);
                }
            }
        }
        sink.take(&band, raw);
    }
}

struct BackwardBand<'a, Src, Snk> {
    convolution: &'a Direct,
    phases: &'a [Phase],
    packed: &'a [f32],
    source: &'a Src,
    band: Band,
    sink: Snk,
}

impl<Src: Source, Snk: BandSink> WithSimd for BackwardBand<'_, Src, Snk> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            convolution,
            phases,
            packed,
            source,
            band,
            sink,
        } = self;
        let padded = convolution.padded_gradient(&band);
        let mut memory = Scratch::new(band.len() + padded.len());
        let (raw, rows) = memory.split_at_mut(band.len());
        let per_image = band.len() / band.images.len();
        let images = band.images.clone().zip(raw.chunks_exact_mut(per_image));
        for (image, raw) in images {
            padded.fill(source, image, rows);
            for phase in phases {
                let of_phase = PhaseOfBand {
                    convolution,
                    phase,
                    padded,
                    band: &band,
                };
                of_phase.run(simd, &packed[phase.start..], rows, raw);
            }
        }
        sink.take(&band, raw);
    }
}

struct PhaseOfBand<'a> {
    convolution: &'a Direct,
    phase: &'a Phase,
    padded: Padded,
    band: &'a Band,
}

impl PhaseOfBand<'_> {
    /// Writes the places of the phase in one image of the band.
    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, packed: &[f32], rows: &[f32], raw: &mut [f32]) {
        let Self {
            convolution,
            phase,
            padded,
            band,
        } = self;
        let (stride, [pad_y, pad_x]) = (convolution.stride, convolution.padding);
        let MapSize {
            width, channels, ..
        } = convolution.input;
        let first_column = phase.first(1, pad_x, stride);
        if first_column >= width {
            return;
        }
        let n = (width - first_column).div_ceil(stride);
        let in_phase = |row: &usize| (row + pad_y) % stride == phase.remainder[0];
        let target_of = |row: usize| ((row - band.rows.start) * width + first_column) * channels;
        if phase.layout.inner == 0 {
            for row in band.rows.clone().filter(in_phase) {
                let places = raw[target_of(row)..].chunks_mut(stride * channels).take(n);
                places.for_each(|place| place[..channels].fill(0.0));
            }
            return;
        }
        let packed = Packed {
            layout: phase.layout,
            data: packed,
            plane: 0,
        };
        let [down, across] = phase.taps;
        let column =
            (first_column + pad_x - phase.remainder[1]) / stride + padded.left + 1 - across;
        for panel in phase.layout.panels() {
            for row in band.rows.clone().filter(in_phase) {
                let last = (row + pad_y - phase.remainder[0]) / stride;
                let first = last as isize + 1 - down as isize - padded.first_row;
                let windows = Rows {
                    data: rows,
                    start: first.unsigned_abs() * padded.row_len() + column * padded.channels,
                    row: padded.channels,
                    segment: padded.row_len(),
                    segments: down,
                    length: across * padded.channels,
                };
                let target = Target {
                    data: &mut *raw,
                    start: target_of(row),
                    row: stride * channels,
                };
                multiply_rows(simd, n, windows, (packed, panel), target);
            }
        }
    }
}

struct WeightBand<'a, X, Y> {
    convolution: &'a Direct,
    layout: PanelLayout,
    input: &'a X,
    gradient: &'a Y,
    band: Band,
    sums: &'a mut [f32],
}

impl<X: Source, Y: Source> WithSimd for WeightBand<'_, X, Y> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            convolution,
            layout,
            band,
            sums,
            ..
        } = self;
        let padded = convolution.padded_input(&band);
        let gradients = Padded {
            first_row: band.rows.start as isize,
            rows: band.rows.len(),
            left: 0,
            width: convolution.output.width,
            channels: layout.padded_columns(),
        };
        let mut memory = Scratch::new(padded.len() + gradients.len());
        let (rows, gradient_rows) = memory.split_at_mut(padded.len());
        for image in band.images.clone() {
            padded.fill(self.input, image, rows);
            gradients.fill(self.gradient, image, gradient_rows);
            for panel in layout.panels() {
                let width = layout.width(panel);
                let run = convolution.kernel[1] * padded.channels;
                for ky in 0..convolution.kernel[0] {
                    let left = Pixels {
                        data: rows,
                        start: ky * padded.row_len(),
                        outer: convolution.stride * padded.row_len(),
                        inner: convolution.stride * padded.channels,
                    };
                    let right = Pixels {
                        data: gradient_rows,
                        start: panel.column,
                        outer: gradients.row_len(),
                        inner: gradients.channels,
                    };
                    let sums = &mut sums[panel.start + ky * run * width..][..run * width];
                    let pixels = [band.rows.len(), gradients.width];
                    sum_outer_products(
                        simd,
                        pixels,
                        (run, left),
                        (panel.vectors, right),
                        (Onto::Sum, sums),
                    );
                }
            }
        }
    }
}
