//! What the reference makes of pictures, against each step done by itself.

use cxr_ops::device::{Device, DeviceFault, GatherKind, Numbers, PictureGather, Pixels, Reference};
use cxr_stream::{Purpose, Stream};

use super::numbers::{normal, poisoned};

const DEVICE: Reference<f32> = Reference::new();
const HEIGHT: usize = 9;
const WIDTH: usize = 14;
const PLACES: usize = HEIGHT * WIDTH;
/// Leaves levels as they are, but for rounding.
const LEVELS: [(f32, f32); 3] = [(0.0, 1.0 / 255.0); 3];
const WHOLE: [i32; 6] = [65_536, 0, 0, 0, 65_536, 0];

fn picture(salt: u64, channels: usize) -> Vec<u8> {
    let mut stream = Stream::new(4, Purpose::Test, 0, salt);
    (0..PLACES * channels)
        .map(|_| stream.next_u32() as u8)
        .collect()
}

fn filled(
    picture: &[u8],
    kind: GatherKind,
    tables: &[i32],
    norms: [(f32, f32); 3],
) -> Result<Numbers<f32>, DeviceFault> {
    let tables: Vec<u8> = tables
        .iter()
        .flat_map(|entry| entry.to_le_bytes())
        .collect();
    let gather = PictureGather { start: 0, kind }.to_bytes().to_vec();
    let (pixels, size) = (picture.to_vec(), [HEIGHT, WIDTH]);
    let (channels, mut output) = (picture.len() / PLACES, poisoned(PLACES * 4));
    let pixels = Pixels::Kept(&pixels);
    DEVICE.fill_pictures(
        1,
        size,
        channels,
        pixels,
        &gather,
        &tables,
        norms,
        &mut output,
    )?;
    Ok(output)
}

/// The first channel as bytes again.
fn bytes(picture: &[u8], kind: GatherKind, tables: &[i32]) -> Vec<u8> {
    let map = filled(picture, kind, tables, LEVELS).unwrap();
    let pixels = map.as_slice().chunks_exact(4);
    pixels.map(|pixel| pixel[0].round() as u8).collect()
}

fn fixed(flip: bool, rotation: [i32; 6], affine: [i32; 6]) -> GatherKind {
    GatherKind::Fixed {
        flip,
        rotation,
        affine,
    }
}

/// About 17° and a shear with a shift, in 16.16 fixed point.
const TURN: [i32; 6] = [62_672, 19_161, -98_304, -19_161, 62_672, 131_072];
const SHEAR: [i32; 6] = [58_000, -9_000, 90_000, 0, 58_000, 40_000];

#[test]
fn bytes_are_normed_in_f32_step_by_step_each_channel_by_itself() {
    let norms = [(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)];
    for channels in [1, 3] {
        let picture = picture(1, channels);
        let map = filled(&picture, GatherKind::Still, &[], norms).unwrap();
        for (place, pixel) in map.as_slice().chunks_exact(4).enumerate() {
            for (channel, (mean, deviation)) in norms.into_iter().enumerate() {
                let byte = picture[place * channels + channel.min(channels - 1)];
                let expected = (f32::from(byte) / 255.0 - mean) / deviation;
                assert_eq!(pixel[channel].to_bits(), expected.to_bits());
            }
            assert_eq!(pixel[3].to_bits(), 0);
        }
    }
}

#[test]
fn one_fixed_gather_equals_mirror_rotation_and_affine_map_one_after_the_other() {
    let start = picture(2, 1);
    let whole = bytes(&start, fixed(true, TURN, SHEAR), &[]);
    let mirrored = bytes(&start, fixed(true, WHOLE, WHOLE), &[]);
    for (row, mirrored) in start.chunks(WIDTH).zip(mirrored.chunks(WIDTH)) {
        assert!(row.iter().eq(mirrored.iter().rev()));
    }
    let turned = bytes(&mirrored, fixed(false, TURN, WHOLE), &[]);
    assert_eq!(bytes(&turned, fixed(false, WHOLE, SHEAR), &[]), whole);
    assert_ne!(turned, whole);
}

#[test]
fn tables_show_what_the_maps_that_they_list_show() {
    let picture = picture(3, 1);
    // A scaling is separable; rows and columns beyond the picture are listed as outside.
    let scaling = [80_000, 0, -70_000, 0, 50_000, 33_000];
    let along = |count: usize, step: i64, start: i64| {
        (0..count as i64)
            .map(|at| ((start + step * at) >> 16) as i32)
            .map(move |at| {
                if (0..count as i32).contains(&at) {
                    at
                } else {
                    -1
                }
            })
            .collect::<Vec<_>>()
    };
    let (columns, rows) = (along(WIDTH, 80_000, -70_000), along(HEIGHT, 50_000, 33_000));
    let expected = bytes(&picture, fixed(true, TURN, scaling), &[]);
    let separable = GatherKind::Separable {
        flip: true,
        rotation: TURN,
        table: 1,
    };
    let tables = [vec![77], columns, rows].concat();
    assert_eq!(bytes(&picture, separable, &tables), expected);

    // Of a picture that shows places themselves: those of a gather, as a table.
    let numbered: Vec<u8> = (1..=PLACES as u8).collect();
    let places = bytes(&numbered, fixed(true, TURN, scaling), &[]);
    let table: Vec<i32> = places.iter().map(|&place| i32::from(place) - 1).collect();
    assert!(table.contains(&-1));
    assert_eq!(
        bytes(&picture, GatherKind::Table { table: 0 }, &table),
        expected
    );
}

#[test]
fn a_bilinear_picture_has_the_bits_of_the_bordered_sampler() {
    let mut stream = Stream::new(5, Purpose::Test, 0, 0);
    for (salt, channels) in [(4, 1), (5, 3)] {
        let picture = picture(salt, channels);
        for _ in 0..20 {
            let (angle, scale) = (stream.range(-3.2, 3.2), stream.range(0.6, 1.7));
            let (a, b) = (scale * angle.cos(), scale * angle.sin());
            let (c, f) = (stream.range(-6.0, 12.0), stream.range(-6.0, 12.0));
            let matrix = [a, b, c, -b, a, f];
            let map = filled(&picture, GatherKind::Bilinear { matrix }, &[], LEVELS).unwrap();
            for (place, pixel) in map.as_slice().chunks_exact(4).enumerate() {
                for (channel, got) in pixel[..3].iter().enumerate() {
                    let channel = channel.min(channels - 1);
                    let level = bordered_sample(&picture, &matrix, place, channel);
                    let expected = (level / 255.0 - LEVELS[0].0) / LEVELS[0].1;
                    assert_eq!(
                        got.to_bits(),
                        expected.to_bits(),
                        "{place} under {matrix:?}"
                    );
                }
            }
        }
    }
}

/// `cxr-augment`'s sampler for one pixel: a picture with a border of one black pixel.
fn bordered_sample(picture: &[u8], matrix: &[f64; 6], place: usize, channel: usize) -> f32 {
    let n = picture.len() / PLACES;
    let stride = (WIDTH + 2) * n;
    let mut bordered = vec![0; stride * (HEIGHT + 2)];
    for (row, bytes) in picture.chunks(WIDTH * n).enumerate() {
        bordered[(row + 1) * stride + n..][..WIDTH * n].copy_from_slice(bytes);
    }
    let [a, b, c, d, e, f] = *matrix;
    let (column, row) = ((place % WIDTH) as f64 + 0.5, (place / WIDTH) as f64 + 0.5);
    let (x, y) = (
        a * column + b * row + c - 0.5,
        d * column + e * row + f - 0.5,
    );
    if !(-1.0..WIDTH as f64).contains(&x) || !(-1.0..HEIGHT as f64).contains(&y) {
        return 0.0;
    }
    let (left, top) = (x.floor(), y.floor());
    let (right, lower) = ((x - left) as f32, (y - top) as f32);
    let at = (top + 1.0) as usize * stride + (left + 1.0) as usize * n + channel;
    let level = |at: usize| f32::from(bordered[at]);
    let along = |at: usize| level(at) * (1.0 - right) + level(at + n) * right;
    along(at) * (1.0 - lower) + along(at + stride) * lower
}

#[test]
fn planes_become_maps_with_zeros_behind_the_colours() {
    let planes: Numbers<f32> = normal(6, 2 * 3 * PLACES);
    let mut output = poisoned(2 * PLACES * 4);
    DEVICE
        .fill_planes(2, [HEIGHT, WIDTH], &planes, &mut output)
        .unwrap();
    for (at, pixel) in output.as_slice().chunks_exact(4).enumerate() {
        let (image, place) = (at / PLACES, at % PLACES);
        let colours = [0, 1, 2].map(|c| planes.as_slice()[(image * 3 + c) * PLACES + place]);
        assert_eq!(pixel[..3], colours);
        assert_eq!(pixel[3].to_bits(), 0);
    }
}

#[test]
fn gathers_that_leave_their_buffers_or_are_of_no_kind_are_refused() {
    let picture = picture(7, 1);
    let is_short = |kind, tables: &[i32]| {
        let result = filled(&picture, kind, tables, LEVELS);
        matches!(result, Err(DeviceFault::TooShort { .. }))
    };
    let full = vec![0; PLACES];
    assert!(!is_short(GatherKind::Table { table: 0 }, &full));
    assert!(is_short(GatherKind::Table { table: 1 }, &full));
    let separable = GatherKind::Separable {
        flip: false,
        rotation: WHOLE,
        table: 1,
    };
    assert!(is_short(separable, &full[..WIDTH + HEIGHT]));
    let mut gather = PictureGather {
        start: 1,
        kind: GatherKind::Still,
    }
    .to_bytes()
    .to_vec();
    let (tables, size, mut output) = (Vec::new(), [HEIGHT, WIDTH], poisoned(PLACES * 4));
    let mut fill = |gather: &Vec<u8>| {
        let pixels = Pixels::Kept(&picture);
        DEVICE.fill_pictures(1, size, 1, pixels, gather, &tables, LEVELS, &mut output)
    };
    assert!(matches!(fill(&gather), Err(DeviceFault::TooShort { .. })));
    gather[..8].fill(0);
    assert_eq!(fill(&gather), Ok(()));
    gather[8] = 5;
    assert!(matches!(fill(&gather), Err(DeviceFault::Shape { .. })));
}
