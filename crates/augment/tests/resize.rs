//! Every instruction set resizes to the bytes of a plain loop over pixels, whatever the sizes.

#![expect(clippy::unwrap_used, reason = "a test's own pictures are right")]

use cxr_augment::{Channels, Isa, Pixels, resize_with};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn any_sizes_give_the_bytes_of_a_plain_loop(
        from in (1u32..=200, 1u32..=200),
        to in (1u32..=200, 1u32..=200),
        is_rgb: bool,
        look in look(),
        seed: u32,
    ) {
        let channels = if is_rgb { Channels::Rgb } else { Channels::Gray };
        check(&drawn(from, channels, look, seed), to);
    }

    /// Sides around the 16 and 32 bytes that are done at once.
    #[test]
    fn narrow_pictures_give_the_bytes_of_a_plain_loop(
        from in (1u32..=40, 1u32..=40),
        to in (1u32..=40, 1u32..=40),
        seed: u32,
    ) {
        for channels in [Channels::Gray, Channels::Rgb] {
            check(&drawn(from, channels, Look::Noise, seed), to);
        }
    }
}

#[test]
fn sizes_of_radiographs_give_the_bytes_of_a_plain_loop() {
    for (from, to) in [
        ((1024, 1024), (320, 320)),
        ((1024, 1024), (224, 224)),
        ((2500, 2048), (320, 320)),
        ((2048, 2500), (320, 320)),
        ((512, 512), (320, 320)),
        ((64, 64), (320, 320)),
        ((1024, 320), (320, 320)),
        ((320, 1024), (320, 320)),
        ((3000, 2), (1, 1)),
        ((2, 3000), (1, 1)),
    ] {
        check(&drawn(from, Channels::Gray, Look::Noise, from.0), to);
    }
    check(
        &drawn((1024, 900), Channels::Rgb, Look::Noise, 1),
        (320, 300),
    );
}

/// The largest sums there are, with which a set that saturates or wraps too early would differ.
#[test]
fn white_stays_white() {
    for (from, to) in [
        ((1024, 1024), (320, 320)),
        ((40, 30), (70, 90)),
        ((99, 400), (3, 4)),
    ] {
        let white = drawn(from, Channels::Gray, Look::Constant(255), 0);
        for isa in Isa::ALL {
            let resized = resize_with(isa, &white, to.0, to.1);
            assert!(
                resized.data().iter().all(|&v| v == 255),
                "{from:?} {to:?} {isa}"
            );
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Look {
    Noise,
    BlackAndWhite,
    Constant(u8),
}

fn look() -> impl Strategy<Value = Look> {
    prop_oneof![
        Just(Look::Noise),
        Just(Look::BlackAndWhite),
        any::<u8>().prop_map(Look::Constant),
    ]
}

fn drawn((width, height): (u32, u32), channels: Channels, look: Look, seed: u32) -> Pixels {
    let mut state = seed;
    let n = width as usize * height as usize * channels.count();
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match look {
            Look::Noise => (state >> 24) as u8,
            Look::BlackAndWhite => 255 * (state >> 31) as u8,
            Look::Constant(value) => value,
        }
    });
    Pixels::new(width, height, channels, bytes.take(n).collect()).unwrap()
}

fn check(pixels: &Pixels, (width, height): (u32, u32)) {
    let expected = plain::resize(pixels, width, height);
    for isa in Isa::ALL {
        let found = resize_with(isa, pixels, width, height);
        let from = (pixels.width(), pixels.height(), pixels.channels());
        assert!(
            found == expected,
            "{from:?} to {:?}, {isa}",
            (width, height)
        );
    }
}

/// `Resample.c` of Pillow 13 pixel by pixel, with nothing in common with the crate's own.
mod plain {
    use super::*;

    pub(super) fn resize(pixels: &Pixels, width: u32, height: u32) -> Pixels {
        let lost_columns = i64::from(pixels.width()) - i64::from(width);
        let lost_rows = i64::from(pixels.height()) - i64::from(height);
        if lost_rows > 0 && lost_rows > 2 * lost_columns {
            across(&down(pixels, height), width)
        } else {
            down(&across(pixels, width), height)
        }
    }

    fn across(pixels: &Pixels, width: u32) -> Pixels {
        let windows = windows(pixels.width(), width);
        built(pixels, width, pixels.height(), |x, y, channel| {
            let (first, weights) = &windows[x];
            let values = (*first..).map(|x| value(pixels, x, y, channel));
            weighted(weights, values)
        })
    }

    fn down(pixels: &Pixels, height: u32) -> Pixels {
        let windows = windows(pixels.height(), height);
        built(pixels, pixels.width(), height, |x, y, channel| {
            let (first, weights) = &windows[y];
            let values = (*first..).map(|y| value(pixels, x, y, channel));
            weighted(weights, values)
        })
    }

    fn built(
        of: &Pixels,
        width: u32,
        height: u32,
        pixel: impl Fn(usize, usize, usize) -> u8,
    ) -> Pixels {
        let mut data = Vec::new();
        for y in 0..height as usize {
            for x in 0..width as usize {
                data.extend((0..of.channels().count()).map(|channel| pixel(x, y, channel)));
            }
        }
        Pixels::new(width, height, of.channels(), data).unwrap()
    }

    fn value(pixels: &Pixels, x: usize, y: usize, channel: usize) -> u8 {
        let place = y * pixels.width() as usize + x;
        pixels.data()[place * pixels.channels().count() + channel]
    }

    fn weighted(weights: &[i32], values: impl Iterator<Item = u8>) -> u8 {
        let products = weights.iter().zip(values).map(|(w, v)| w * i32::from(v));
        ((products.sum::<i32>() + (1 << 21)) >> 22).clamp(0, 255) as u8
    }

    fn windows(n_inputs: u32, n_outputs: u32) -> Vec<(usize, Vec<i32>)> {
        let scale = f64::from(n_inputs) / f64::from(n_outputs);
        let support = scale.max(1.0);
        let window = |place: u32| {
            let centre = (f64::from(place) + 0.5) * scale;
            let first = ((centre - support + 0.5) as i64).max(0);
            let end = ((centre + support + 0.5) as i64).min(i64::from(n_inputs));
            let exact: Vec<f64> = (first..end)
                .map(|input| (input as f64 - centre + 0.5) * (1.0 / support))
                .map(|distance| (1.0 - distance.abs()).max(0.0))
                .collect();
            let total: f64 = exact.iter().sum();
            let quantised = |weight: &f64| (0.5 + weight / total * f64::from(1 << 22)) as i32;
            (first as usize, exact.iter().map(quantised).collect())
        };
        (0..n_outputs).map(window).collect()
    }
}
