//! Convolution with a 3×3 kernel at stride 1 by F(4×4, 3×3): a quarter of the multiplications.
//!
//! A task holds a band: its padded input, the 36 planes of its tiles, their products, its output.
//! Input and output channels must be multiples of [`GRAIN`]. The input gradient is the same with
//! the kernel turned round. Error against f64: below 1e-5 of the largest output (tests/ops/fast.rs).

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::kernels::scratch::Scratch;

use super::bands::{Band, Bands, MapSize, Padded, Source};
use super::micro::{Packed, Rows, Target, multiply_rows};
use super::panels::{Panel, PanelLayout};
use super::sinks::{BandSink, Sink};
use super::winograd_tiles::{
    KERNEL_TO_TILE, PLANES, PlanePlace, STEP, TILE, TilePlace, input_to_planes, planes_to_output,
};
use cxr_isa::Isa;

/// What channels must be multiples of: the widest vector.
pub(crate) const GRAIN: usize = 16;
/// Tiles of a band, about.
const BAND_TILES: usize = 32;
/// Kernel rows and columns.
pub(crate) const SIDE: usize = 3;
/// Taps of the kernel.
pub(crate) const TAPS: usize = SIDE * SIDE;

/// A 3×3 convolution at stride 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Winograd {
    pub(crate) isa: Isa,
    pub(crate) images: usize,
    pub(crate) input: MapSize,
    pub(crate) output: MapSize,
    /// Zeros above and left of the input.
    pub(crate) padding: [usize; 2],
}

/// Which of a kernel's two directions is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From input to output channels.
    Forward,
    /// From output to input channels, taps turned round.
    Backward,
}

/// Numbers from one plane to the next: off the multiples of 4096 bytes that share cache sets.
pub(crate) fn plane_stride(len: usize) -> usize {
    let stride = len + GRAIN;
    if stride.is_multiple_of(1024) {
        stride + GRAIN
    } else {
        stride
    }
}

impl Winograd {
    /// How the kernel is packed: `inner` and `columns` channels.
    pub(crate) fn layout(isa: Isa, inner: usize, columns: usize) -> PanelLayout {
        PanelLayout {
            lanes: isa.lanes(),
            planes: PLANES,
            inner,
            columns,
        }
    }

    /// Packs `weight` [O, I, 3, 3], transformed: O columns forward, I columns backward.
    pub(crate) fn pack(
        isa: Isa,
        [outputs, inputs]: [usize; 2],
        direction: Direction,
        weight: &[f32],
        packed: &mut [f32],
    ) {
        assert_eq!(weight.len(), outputs * inputs * TAPS);
        let layout = match direction {
            Direction::Forward => Self::layout(isa, inputs, outputs),
            Direction::Backward => Self::layout(isa, outputs, inputs),
        };
        let kernels = Kernels {
            inputs,
            direction,
            weight,
        };
        let panels = layout.split(packed);
        panels.into_par_iter().for_each(|(panel, target)| {
            isa.run(PackPanel {
                layout,
                panel,
                kernels,
                target,
            });
        });
    }

    pub(crate) fn bands(&self) -> Bands {
        Bands::new(self.images, self.output, BAND_TILES * STEP * STEP, STEP)
    }

    /// Runs the convolution; `packed` holds the kernel.
    pub(crate) fn run<K: Sink>(&self, packed: &[f32], source: &impl Source, sink: K) {
        let layout = Self::layout(self.isa, self.input.channels, self.output.channels);
        let bands = self.bands();
        let tasks: Vec<_> = bands.iter().zip(sink.split(&bands)).collect();
        tasks.into_par_iter().for_each(|(band, sink)| {
            self.isa.run(BandTask {
                convolution: self,
                packed: (layout, packed),
                source,
                band,
                sink,
            });
        });
    }

    /// The tiles of a band.
    pub(crate) fn tiles(&self, band: &Band) -> BandTiles {
        BandTiles {
            images: band.images.len(),
            down: band.rows.len().div_ceil(STEP),
            across: self.output.width.div_ceil(STEP),
        }
    }

    /// The padded input of one image of a band.
    pub(crate) fn padded(&self, band: &Band) -> Padded {
        let tiles = self.tiles(band);
        Padded {
            first_row: band.rows.start as isize - self.padding[0] as isize,
            rows: tiles.down * STEP + TILE - STEP,
            left: self.padding[1],
            width: tiles.across * STEP + TILE - STEP,
            channels: self.input.channels,
        }
    }

    /// Writes the planes of a band's input tiles.
    #[inline(always)]
    pub(crate) fn transform_input<S: Simd>(
        &self,
        simd: S,
        source: &impl Source,
        band: &Band,
        plane_stride: usize,
        planes: &mut [f32],
    ) {
        let (tiles, padded) = (self.tiles(band), self.padded(band));
        let channels = self.input.channels;
        let mut rows = Scratch::new(padded.len());
        for (place, image) in band.images.clone().enumerate() {
            padded.fill(source, image, &mut rows);
            for (tile, [y, x]) in tiles.of_image(place) {
                let from = TilePlace {
                    start: y * STEP * padded.row_len() + x * STEP * channels,
                    row_stride: padded.row_len(),
                    channels,
                };
                let to = PlanePlace {
                    start: tile * channels,
                    plane_stride,
                    channels,
                };
                input_to_planes(simd, (from, &rows), (to, planes));
            }
        }
    }

    /// Writes the raw output of a band from the planes of its products.
    #[inline(always)]
    fn transform_output<S: Simd>(
        &self,
        simd: S,
        band: &Band,
        plane_stride: usize,
        planes: &[f32],
        raw: &mut [f32],
    ) {
        let (tiles, row_len) = (self.tiles(band), self.output.row_len());
        let channels = self.output.channels;
        for place in 0..tiles.images {
            for (tile, [y, x]) in tiles.of_image(place) {
                let from = PlanePlace {
                    start: tile * channels,
                    plane_stride,
                    channels,
                };
                let row = place * band.rows.len() + y * STEP;
                let to = TilePlace {
                    start: row * row_len + x * STEP * channels,
                    row_stride: row_len,
                    channels,
                };
                let shown = [
                    (band.rows.len() - y * STEP).min(STEP),
                    (self.output.width - x * STEP).min(STEP),
                ];
                planes_to_output(simd, (from, planes), (to, raw), shown);
            }
        }
    }
}

/// How many tiles a band has, image by image, row by row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BandTiles {
    pub(crate) images: usize,
    pub(crate) down: usize,
    pub(crate) across: usize,
}

impl BandTiles {
    pub(crate) fn count(self) -> usize {
        self.images * self.down * self.across
    }

    /// The index and the place [y, x] of each tile of an image.
    #[inline(always)]
    pub(crate) fn of_image(self, image: usize) -> impl Iterator<Item = (usize, [usize; 2])> {
        let per_image = self.down * self.across;
        (0..per_image).map(move |tile| {
            (
                image * per_image + tile,
                [tile / self.across, tile % self.across],
            )
        })
    }
}

struct BandTask<'a, Src, Snk> {
    convolution: &'a Winograd,
    packed: (PanelLayout, &'a [f32]),
    source: &'a Src,
    band: Band,
    sink: Snk,
}

impl<Src: Source, Snk: BandSink> WithSimd for BandTask<'_, Src, Snk> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            convolution,
            packed: (layout, packed),
            source,
            band,
            sink,
        } = self;
        let tiles = convolution.tiles(&band).count();
        let input_stride = plane_stride(tiles * layout.inner);
        let output_stride = plane_stride(tiles * layout.columns);
        let mut planes = Scratch::new(PLANES * (input_stride + output_stride));
        let (inputs, products) = planes.split_at_mut(PLANES * input_stride);
        convolution.transform_input(simd, source, &band, input_stride, inputs);
        for plane in 0..PLANES {
            let rows = Rows {
                data: inputs,
                start: plane * input_stride,
                row: layout.inner,
                segment: 0,
                segments: 1,
                length: layout.inner,
            };
            let packed = Packed {
                layout,
                data: packed,
                plane,
            };
            for panel in layout.panels() {
                let target = Target {
                    data: &mut *products,
                    start: plane * output_stride,
                    row: layout.columns,
                };
                multiply_rows(simd, tiles, rows, (packed, panel), target);
            }
        }
        let mut raw = Scratch::new(band.len());
        convolution.transform_output(simd, &band, output_stride, products, &mut raw);
        sink.take(&band, &mut raw);
    }
}

/// Kernels [O, I, 3, 3] and how they are read.
#[derive(Clone, Copy)]
struct Kernels<'a> {
    inputs: usize,
    direction: Direction,
    weight: &'a [f32],
}

impl Kernels<'_> {
    /// The nine taps that lead from channel `inner` to channel `column`.
    #[inline(always)]
    fn taps(&self, inner: usize, column: usize) -> [f32; TAPS] {
        let (output, input) = match self.direction {
            Direction::Forward => (column, inner),
            Direction::Backward => (inner, column),
        };
        let stored = &self.weight[(output * self.inputs + input) * TAPS..][..TAPS];
        std::array::from_fn(|tap| match self.direction {
            Direction::Forward => stored[tap],
            Direction::Backward => stored[TAPS - 1 - tap],
        })
    }
}

/// Columns of a panel at most: two of the widest vectors.
const WIDEST: usize = 2 * GRAIN;

struct PackPanel<'a> {
    layout: PanelLayout,
    panel: Panel,
    kernels: Kernels<'a>,
    target: &'a mut [f32],
}

impl WithSimd for PackPanel<'_> {
    type Output = ();

    /// Writes G w Gᵀ of every kernel of the panel.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let width = self.layout.width(self.panel);
        let plane_len = self.layout.plane_len(self.panel);
        for inner in 0..self.layout.inner {
            let mut taps = [[0.0_f32; WIDEST]; TAPS];
            for column in 0..self.panel.columns {
                let kernel = self.kernels.taps(inner, self.panel.column + column);
                for (taps, value) in taps.iter_mut().zip(kernel) {
                    taps[column] = value;
                }
            }
            let mut halves = [[[0.0_f32; WIDEST]; SIDE]; TILE];
            for (half, g) in halves.iter_mut().zip(&KERNEL_TO_TILE) {
                for (x, half) in half.iter_mut().enumerate() {
                    for lane in 0..WIDEST {
                        half[lane] = g[0] * taps[x][lane]
                            + g[1] * taps[SIDE + x][lane]
                            + g[2] * taps[2 * SIDE + x][lane];
                    }
                }
            }
            for (y, half) in halves.iter().enumerate() {
                for (x, g) in KERNEL_TO_TILE.iter().enumerate() {
                    let mut row = [0.0_f32; WIDEST];
                    for lane in 0..WIDEST {
                        row[lane] =
                            half[0][lane] * g[0] + half[1][lane] * g[1] + half[2][lane] * g[2];
                    }
                    let at = (y * TILE + x) * plane_len + inner * width;
                    self.target[at..][..width].copy_from_slice(&row[..width]);
                }
            }
        }
    }
}
