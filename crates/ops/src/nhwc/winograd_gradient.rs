//! The weight gradient of a 3×3 convolution at stride 1 in the domain of F(4×4, 3×3):
//! dw = Gᵀ [Σ over tiles of (Bᵀ d B) ⊗ (A dy Aᵀ)] G.
//!
//! Two ways, by the size of the sums. Where they are small, the bands are cut into groups, each task
//! sums its group's bands in the cache, and the groups' sums are added in their order. Where they are
//! large, in chunks of tiles: first every band of a chunk writes its planes, then every task owns a
//! part of the sums and adds the whole chunk onto it. Either way the order of each sum is fixed.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::kernels::blocks::Blocks;
use crate::kernels::matrix::Onto;
use crate::kernels::scratch::Scratch;

use super::bands::{Band, Bands, Padded, Source};
use super::micro::{Pixels, sum_outer_products};
use super::panels::{Panel, PanelLayout, grown};
use super::winograd::{SIDE, TAPS, Winograd, plane_stride};
use super::winograd_tiles::{
    KERNEL_TO_TILE, PLANES, PlanePlace, STEP, TILE, TilePlace, gradient_to_planes,
};

/// Numbers in the sums of a group at most: with the planes of a band they fit into the second level
/// of cache.
const GROUP_LEN: usize = PLANES * 64 * 64;
/// Groups of bands.
const GROUPS: usize = 16;
/// Tiles of a group's band, about.
const GROUP_TILES: usize = 20;
/// Numbers in the planes of a chunk, about: they go through the last level of cache.
const CHUNK_LEN: usize = 1 << 19;
/// Tiles of a chunk at least, so that sums are not read and written too often.
const CHUNK_TILES: usize = 112;
/// Tiles that are summed before the next rows of the sums, so that they stay in the first cache.
const SEGMENT_TILES: usize = 128;
/// Sums of groups that are added by one task.
const SUMMED_TOGETHER: usize = 1 << 12;
/// Rows of the sums that a task owns at most.
const TASK_ROWS: usize = 128;

/// The sizes of a chunk's planes: bands of `tiles` tiles, each band its inputs, then its gradients.
#[derive(Clone, Copy)]
struct ChunkLayout {
    tiles: usize,
    input_stride: usize,
    gradient_stride: usize,
}

impl ChunkLayout {
    fn band_len(self) -> usize {
        PLANES * (self.input_stride + self.gradient_stride)
    }
}

impl Winograd {
    /// Writes `weight_gradient` [O, I, 3, 3] from the convolution's input and output gradient.
    /// `memory` is working memory that grows as needed.
    pub(crate) fn weight_gradient(
        &self,
        input: &impl Source,
        gradient: &impl Source,
        memory: &mut Vec<f32>,
        weight_gradient: &mut [f32],
    ) {
        let (inputs, outputs) = (self.input.channels, self.output.channels);
        assert_eq!(weight_gradient.len(), inputs * outputs * TAPS);
        let layout = Self::layout(self.isa, inputs, outputs);
        if layout.len() <= GROUP_LEN {
            self.sum_groups(layout, (input, gradient), memory);
        } else {
            self.sum_chunks(layout, (input, gradient), memory);
        }
        self.write_gradient(layout, &memory[..layout.len()], weight_gradient);
    }

    fn chunk_layout(&self, bands: &Bands) -> ChunkLayout {
        let tiles = bands.iter().map(|band| self.tiles(&band).count()).max();
        let tiles = tiles.unwrap_or(1);
        ChunkLayout {
            tiles,
            input_stride: plane_stride(tiles * self.input.channels),
            gradient_stride: plane_stride(tiles * self.output.channels),
        }
    }

    /// Writes the sums to the beginning of `memory`, group by group.
    fn sum_groups(
        &self,
        layout: PanelLayout,
        (input, gradient): (&impl Source, &impl Source),
        memory: &mut Vec<f32>,
    ) {
        let bands = Bands::new(self.images, self.output, GROUP_TILES * STEP * STEP, STEP);
        let chunk = self.chunk_layout(&bands);
        let groups = Blocks::exactly(bands.count(), GROUPS, 1);
        let sums = grown(memory, groups.count() * layout.len());
        let tasks = sums.par_chunks_exact_mut(layout.len()).enumerate();
        tasks.for_each(|(group, sums)| {
            let mut planes = Scratch::new(chunk.band_len());
            for (place, band) in groups.range(group).enumerate() {
                self.isa.run(TransformBand {
                    convolution: self,
                    chunk,
                    input,
                    gradient,
                    band: bands.band(band),
                    planes: &mut planes,
                });
                let onto = if place == 0 { Onto::Unset } else { Onto::Sum };
                for task in self.tasks(layout, chunk, (&planes, onto), sums) {
                    self.isa.run(task);
                }
            }
        });
        let (total, others) = sums.split_at_mut(layout.len());
        let columns = total.par_chunks_mut(SUMMED_TOGETHER).enumerate();
        columns.for_each(|(place, total)| {
            for other in others.chunks_exact(layout.len()) {
                let other = &other[place * SUMMED_TOGETHER..];
                let pairs = total.iter_mut().zip(other);
                pairs.for_each(|(total, sum)| *total += sum);
            }
        });
    }

    /// Writes the sums to the beginning of `memory`, chunk by chunk.
    fn sum_chunks(
        &self,
        layout: PanelLayout,
        (input, gradient): (&impl Source, &impl Source),
        memory: &mut Vec<f32>,
    ) {
        let bands = self.bands();
        let chunk = self.chunk_layout(&bands);
        let bands_each = (CHUNK_LEN / chunk.band_len()).max(CHUNK_TILES.div_ceil(chunk.tiles));
        let chunks = Blocks::at_most(bands.count(), bands_each, 1);
        let longest = chunks.ranges().map(|range| range.len()).max().unwrap_or(0);
        let memory = grown(memory, layout.len() + longest * chunk.band_len());
        let (sums, planes) = memory.split_at_mut(layout.len());
        for range in chunks.ranges() {
            let onto = if range.start == 0 {
                Onto::Unset
            } else {
                Onto::Sum
            };
            let planes = &mut planes[..range.len() * chunk.band_len()];
            let tasks = planes.par_chunks_exact_mut(chunk.band_len());
            tasks.zip(range).for_each(|(planes, band)| {
                self.isa.run(TransformBand {
                    convolution: self,
                    chunk,
                    input,
                    gradient,
                    band: bands.band(band),
                    planes,
                });
            });
            let tasks = self.tasks(layout, chunk, (planes, onto), sums);
            tasks.into_par_iter().for_each(|task| self.isa.run(task));
        }
    }

    /// What sums a chunk's outer products, cut so that each task owns its sums.
    fn tasks<'a>(
        &self,
        layout: PanelLayout,
        chunk: ChunkLayout,
        (planes, onto): (&'a [f32], Onto),
        sums: &'a mut [f32],
    ) -> Vec<SumChunk<'a>> {
        let mut tasks = Vec::new();
        for (panel, of_panel) in layout.split(sums) {
            let (width, plane_len) = (layout.width(panel), layout.plane_len(panel));
            for (plane, of_plane) in of_panel.chunks_exact_mut(plane_len).enumerate() {
                for (part, sums) in of_plane.chunks_mut(TASK_ROWS * width).enumerate() {
                    tasks.push(SumChunk {
                        chunk,
                        planes,
                        plane,
                        panel,
                        channels: [layout.inner, layout.columns],
                        first_row: part * TASK_ROWS,
                        onto,
                        sums,
                    });
                }
            }
        }
        tasks
    }

    /// Writes Gᵀ s G of the sums.
    fn write_gradient(&self, layout: PanelLayout, sums: &[f32], weight_gradient: &mut [f32]) {
        let per_output = layout.inner * TAPS;
        let widest = 2 * layout.lanes;
        let outputs = weight_gradient.par_chunks_mut(widest * per_output);
        let panels: Vec<Panel> = layout.panels().collect();
        outputs.zip(panels).for_each(|(target, panel)| {
            self.isa.run(WritePanel {
                layout,
                panel,
                sums,
                target,
            });
        });
    }
}

struct TransformBand<'a, X, Y> {
    convolution: &'a Winograd,
    chunk: ChunkLayout,
    input: &'a X,
    gradient: &'a Y,
    band: Band,
    planes: &'a mut [f32],
}

impl<X: Source, Y: Source> WithSimd for TransformBand<'_, X, Y> {
    type Output = ();

    /// Writes the planes of a band: of its input, and of its output gradient.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            convolution,
            chunk,
            band,
            ..
        } = self;
        let tiles = convolution.tiles(&band);
        let (inputs, gradients) = self.planes.split_at_mut(PLANES * chunk.input_stride);
        if tiles.count() < chunk.tiles {
            // A shorter band leaves tiles unset: zeros add nothing.
            inputs.fill(0.0);
            gradients.fill(0.0);
        }
        convolution.transform_input(simd, self.input, &band, chunk.input_stride, inputs);
        let channels = convolution.output.channels;
        let padded = Padded {
            first_row: band.rows.start as isize,
            rows: tiles.down * STEP,
            left: 0,
            width: tiles.across * STEP,
            channels,
        };
        let mut rows = Scratch::new(padded.len());
        for (place, image) in band.images.clone().enumerate() {
            padded.fill(self.gradient, image, &mut rows);
            for (tile, [y, x]) in tiles.of_image(place) {
                let from = TilePlace {
                    start: y * STEP * padded.row_len() + x * STEP * channels,
                    row_stride: padded.row_len(),
                    channels,
                };
                let to = PlanePlace {
                    start: tile * channels,
                    plane_stride: chunk.gradient_stride,
                    channels,
                };
                gradient_to_planes(simd, (from, &rows), (to, gradients));
            }
        }
    }
}

struct SumChunk<'a> {
    chunk: ChunkLayout,
    planes: &'a [f32],
    plane: usize,
    panel: Panel,
    channels: [usize; 2],
    first_row: usize,
    onto: Onto,
    sums: &'a mut [f32],
}

impl WithSimd for SumChunk<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let chunk = self.chunk;
        let [inputs, outputs] = self.channels;
        let width = self.panel.vectors * S::F32_LANES;
        let rows = self.sums.len() / width;
        let n_bands = self.planes.len() / chunk.band_len();
        let segments = Blocks::at_most(n_bands, (SEGMENT_TILES / chunk.tiles).max(1), 1);
        for bands in segments.ranges() {
            let first = bands.start * chunk.band_len();
            let left = Pixels {
                data: self.planes,
                start: first + self.plane * chunk.input_stride + self.first_row,
                outer: chunk.band_len(),
                inner: inputs,
            };
            let gradients = PLANES * chunk.input_stride + self.plane * chunk.gradient_stride;
            let right = Pixels {
                data: self.planes,
                start: first + gradients + self.panel.column,
                outer: chunk.band_len(),
                inner: outputs,
            };
            let pixels = [bands.len(), chunk.tiles];
            let right = (self.panel.vectors, right);
            let onto = if bands.start == 0 {
                self.onto
            } else {
                Onto::Sum
            };
            let sums = (onto, &mut *self.sums);
            sum_outer_products(simd, pixels, (rows, left), right, sums);
        }
    }
}

struct WritePanel<'a> {
    layout: PanelLayout,
    panel: Panel,
    sums: &'a [f32],
    target: &'a mut [f32],
}

impl WithSimd for WritePanel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let width = self.layout.width(self.panel);
        let plane_len = self.layout.plane_len(self.panel);
        for input in 0..self.layout.inner {
            let at = |plane: usize| self.panel.start + plane * plane_len + input * width;
            // [3][6] after Gᵀ from the left, by lane.
            let mut halves = [[[0.0_f32; 32]; TILE]; SIDE];
            for (tile_y, g) in KERNEL_TO_TILE.iter().enumerate() {
                for tile_x in 0..TILE {
                    let sums = &self.sums[at(tile_y * TILE + tile_x)..][..width];
                    for (half, &g) in halves.iter_mut().zip(g) {
                        let pairs = half[tile_x].iter_mut().zip(sums);
                        pairs.for_each(|(half, &sum)| *half += g * sum);
                    }
                }
            }
            for (y, half) in halves.iter().enumerate() {
                for x in 0..SIDE {
                    let mut lanes = [0.0_f32; 32];
                    for (half, g) in half.iter().zip(&KERNEL_TO_TILE) {
                        let pairs = lanes.iter_mut().zip(half);
                        pairs.for_each(|(lane, &half)| *lane += half * g[x]);
                    }
                    for (column, &lane) in lanes[..self.panel.columns].iter().enumerate() {
                        let kernel = (column * self.layout.inner + input) * TAPS;
                        self.target[kernel + y * SIDE + x] = lane;
                    }
                }
            }
        }
    }
}
