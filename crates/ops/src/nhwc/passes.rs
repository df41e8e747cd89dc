//! The passes between convolutions that could not be made a part of one: the end of a residual
//! block, the stem's pooling, the mean over a map.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::kernels::Window;
use crate::kernels::scratch::Scratch;

use super::bands::{Band, Bands, MapSize, Source};
use super::moments::ScaleShift;
use super::sinks::exceeds;
use super::sources::{Stored, relu};
use cxr_isa::Isa;

/// Places of a band.
const PLACES: usize = 512;

/// What is added at the end of a residual block.
#[derive(Clone, Copy, Debug)]
pub enum Shortcut<'a> {
    /// The block's input, [N, H, W, C].
    Map(&'a [f32]),
    /// The shortcut's convolution, [N, H, W, C], with the batch norm behind it.
    Norm(&'a [f32], &'a ScaleShift),
}

/// Writes `output` = max(0, norm(`input`) + shortcut), all [N, H, W, C].
pub fn add_shortcut(
    isa: Isa,
    images: usize,
    size: MapSize,
    (input, norm): (&[f32], &ScaleShift),
    shortcut: Shortcut<'_>,
    output: &mut [f32],
) {
    struct Op<'a> {
        channels: usize,
        input: &'a [f32],
        norm: &'a ScaleShift,
        shortcut: Shortcut<'a>,
        output: &'a mut [f32],
    }
    impl WithSimd for Op<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _simd: S) {
            let n = self.channels;
            let (scale, shift) = (&self.norm.scale[..n], &self.norm.shift[..n]);
            let pairs = self
                .output
                .chunks_exact_mut(n)
                .zip(self.input.chunks_exact(n));
            match self.shortcut {
                Shortcut::Map(map) => {
                    for ((output, input), map) in pairs.zip(map.chunks_exact(n)) {
                        for c in 0..n {
                            output[c] = relu(input[c] * scale[c] + shift[c] + map[c]);
                        }
                    }
                }
                Shortcut::Norm(map, norm) => {
                    let (map_scale, map_shift) = (&norm.scale[..n], &norm.shift[..n]);
                    for ((output, input), map) in pairs.zip(map.chunks_exact(n)) {
                        for c in 0..n {
                            let shortcut = map[c] * map_scale[c] + map_shift[c];
                            output[c] = relu(input[c] * scale[c] + shift[c] + shortcut);
                        }
                    }
                }
            }
        }
    }
    assert_eq!(input.len(), images * size.len());
    assert_eq!(output.len(), input.len());
    let bands = Bands::new(images, size, PLACES, 1);
    let outputs = bands.split(output, size.channels);
    let tasks: Vec<_> = outputs.into_iter().zip(bands.iter()).collect();
    tasks.into_par_iter().for_each(|(output, band)| {
        let (start, len) = (band.first_place() * size.channels, band.len());
        let part = |all: &'_ [f32]| start..all.len().min(start + len);
        let shortcut = match shortcut {
            Shortcut::Map(map) => Shortcut::Map(&map[part(map)]),
            Shortcut::Norm(map, norm) => Shortcut::Norm(&map[part(map)], norm),
        };
        isa.run(Op {
            channels: size.channels,
            input: &input[start..][..len],
            norm,
            shortcut,
            output,
        });
    });
}

/// What training keeps of a pooling.
#[derive(Debug)]
pub struct Picked<'a> {
    /// The map that `from` holds, at the place of each maximum.
    pub values: &'a mut [f32],
    /// The place of each maximum in its window, row · kernel width + column.
    pub places: &'a mut [u8],
    /// A map of the pooling's input size.
    pub from: Stored<'a>,
}

/// Writes the max pooling of a map of at most 256 taps; the first of equal maxima counts, a NaN is
/// the largest value, padding is −∞. Every window must meet the map.
pub fn max_pool<I: Source>(
    isa: Isa,
    images: usize,
    window: &Window,
    input: &I,
    output: &mut [f32],
    picked: Option<Picked<'_>>,
) {
    let [height, width] = window.output();
    let channels = input.size().channels;
    let size = MapSize {
        height,
        width,
        channels,
    };
    assert_eq!([input.size().height, input.size().width], window.input);
    assert!(window.taps() <= 256);
    assert!(window.padding[0] < window.kernel[0] && window.padding[1] < window.kernel[1]);
    assert_eq!(output.len(), images * size.len());
    let bands = Bands::new(images, size, PLACES, 1);
    let outputs = bands.split(output, channels);
    let mut parts: Vec<Option<Picked<'_>>> = Vec::new();
    match picked {
        Some(Picked {
            values,
            places,
            from,
        }) => {
            let values = bands.split(values, channels);
            let pairs = values.into_iter().zip(bands.split(places, channels));
            parts.extend(pairs.map(|(values, places)| {
                Some(Picked {
                    values,
                    places,
                    from,
                })
            }));
        }
        None => parts.resize_with(bands.count(), || None),
    }
    let tasks: Vec<_> = outputs.into_iter().zip(parts).zip(bands.iter()).collect();
    tasks.into_par_iter().for_each(|((output, picked), band)| {
        isa.run(PoolBand {
            window,
            input,
            band,
            output,
            picked,
        });
    });
}

struct PoolBand<'a, I> {
    window: &'a Window,
    input: &'a I,
    band: Band,
    output: &'a mut [f32],
    picked: Option<Picked<'a>>,
}

impl<I: Source> WithSimd for PoolBand<'_, I> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self {
            window,
            input,
            band,
            output,
            mut picked,
        } = self;
        let size = input.size();
        let first = (band.rows.start * window.stride).saturating_sub(window.padding[0]);
        let end = (band.rows.end - 1) * window.stride + window.kernel[0];
        let end = end.saturating_sub(window.padding[0]).min(size.height);
        let row_len = band.size.row_len();
        let mut rows = Scratch::new((end - first) * size.row_len());
        let rows = &mut *rows;
        let mut targets = output.chunks_exact_mut(row_len);
        let mut at = 0;
        for image in band.images.clone() {
            for (row, target) in (first..end).zip(rows.chunks_exact_mut(size.row_len())) {
                input.row(image, row, target);
            }
            for (y, target) in band.rows.clone().zip(targets.by_ref()) {
                match &mut picked {
                    None => pool_row(window, size, (first, rows), y, target, None),
                    Some(picked) => {
                        let places = &mut picked.places[at..][..row_len];
                        pool_row(window, size, (first, rows), y, target, Some(places));
                        let values = &mut picked.values[at..][..row_len];
                        pick_row(window, (image, y), picked.from, places, values);
                    }
                }
                at += row_len;
            }
        }
    }
}

/// [output column, tap, input row, input column] of each tap inside of the map.
#[inline(always)]
fn taps_inside(window: &Window, y: usize) -> impl Iterator<Item = [usize; 4]> {
    let (width, taps) = (window.output()[1], window.taps());
    (0..width * taps).filter_map(move |index| {
        let (x, tap) = (index / taps, index % taps);
        let (tap_y, tap_x) = (tap / window.kernel[1], tap % window.kernel[1]);
        let row = (y * window.stride + tap_y).wrapping_sub(window.padding[0]);
        let column = (x * window.stride + tap_x).wrapping_sub(window.padding[1]);
        let is_inside = row < window.input[0] && column < window.input[1];
        is_inside.then_some([x, tap, row, column])
    })
}

#[inline(always)]
fn pool_row(
    window: &Window,
    size: MapSize,
    (first, rows): (usize, &[f32]),
    y: usize,
    output: &mut [f32],
    mut places: Option<&mut [u8]>,
) {
    let n = size.channels;
    output.fill(f32::NEG_INFINITY);
    if let Some(places) = &mut places {
        // The first tap inside, for a window that holds nothing above −∞.
        let mut first_tap = usize::MAX;
        for [x, tap, _, _] in taps_inside(window, y) {
            if first_tap != x {
                places[x * n..][..n].fill(tap as u8);
                first_tap = x;
            }
        }
    }
    for [x, tap, row, column] in taps_inside(window, y) {
        let values = &rows[((row - first) * size.width + column) * n..][..n];
        let best = &mut output[x * n..][..n];
        match &mut places {
            Some(places) => {
                let places = &mut places[x * n..][..n];
                for c in 0..n {
                    let is_larger = exceeds(values[c], best[c]);
                    best[c] = if is_larger { values[c] } else { best[c] };
                    places[c] = if is_larger { tap as u8 } else { places[c] };
                }
            }
            None => {
                for c in 0..n {
                    best[c] = if exceeds(values[c], best[c]) {
                        values[c]
                    } else {
                        best[c]
                    };
                }
            }
        }
    }
}

/// Writes the values of a map at the places of the maxima.
#[inline(always)]
fn pick_row(
    window: &Window,
    (image, y): (usize, usize),
    from: Stored<'_>,
    places: &[u8],
    values: &mut [f32],
) {
    let n = from.size.channels;
    values.fill(0.0);
    for [x, tap, row, column] in taps_inside(window, y) {
        let at = (image * from.size.places() + row * from.size.width + column) * n;
        let source = &from.data[at..][..n];
        let (places, values) = (&places[x * n..][..n], &mut values[x * n..][..n]);
        for c in 0..n {
            values[c] = if places[c] == tap as u8 {
                source[c]
            } else {
                values[c]
            };
        }
    }
}

/// Writes the mean over the places of each image: [N, H, W, C] → [N, C], summed in f64.
pub fn mean_of_places(images: usize, size: MapSize, input: &[f32], output: &mut [f32]) {
    assert_eq!(input.len(), images * size.len());
    assert_eq!(output.len(), images * size.channels);
    output
        .par_chunks_exact_mut(size.channels)
        .zip(input.par_chunks_exact(size.len()))
        .for_each(|(output, image)| {
            let mut sums = vec![0.0_f64; size.channels];
            for place in image.chunks_exact(size.channels) {
                let pairs = sums.iter_mut().zip(place);
                pairs.for_each(|(sum, &value)| *sum += f64::from(value));
            }
            for (output, sum) in output.iter_mut().zip(sums) {
                *output = (sum / size.places() as f64) as f32;
            }
        });
}

/// Writes the gradient of [`mean_of_places`]: each mean's gradient, shared evenly by its places.
pub fn spread_to_places(images: usize, size: MapSize, gradient: &[f32], output: &mut [f32]) {
    assert_eq!(gradient.len(), images * size.channels);
    assert_eq!(output.len(), images * size.len());
    output
        .par_chunks_exact_mut(size.len())
        .zip(gradient.par_chunks_exact(size.channels))
        .for_each(|(output, gradient)| {
            for place in output.chunks_exact_mut(size.channels) {
                let pairs = place.iter_mut().zip(gradient);
                pairs.for_each(|(place, &gradient)| *place = gradient / size.places() as f32);
            }
        });
}

/// Writes images [N, C, P] from [N, P, C], or the other way round with P and C exchanged.
pub fn transpose_images(rows: usize, columns: usize, input: &[f32], output: &mut [f32]) {
    assert_eq!(input.len(), output.len());
    let len = rows * columns;
    let images = output
        .par_chunks_exact_mut(len)
        .zip(input.par_chunks_exact(len));
    images.for_each(|(output, input)| {
        for (column, target) in output.chunks_exact_mut(rows).enumerate() {
            let source = input[column..].iter().step_by(columns);
            target
                .iter_mut()
                .zip(source)
                .for_each(|(target, &value)| *target = value);
        }
    });
}
