//! Pillow's BILINEAR resize with antialiasing, to the bit.
//!
//! Two passes, each a weighted sum over the pixels within the filter's support; weights computed in
//! f64, quantised to 22 bits; 8 bits between the passes. Reference: `Resample.c` of Pillow 13.
//! Deliberately not here: other filters.

use std::borrow::Cow;

use cxr_isa::Isa;

use crate::pixels::{Channels, Pixels};
use crate::resize_passes::{Across, Down};
use crate::resize_weights::Weights;

/// `pixels` at another size: equal to Pillow's `resize((width, height), BILINEAR)` in every byte.
///
/// ```
/// use cxr_augment::{resize, Channels, Pixels};
/// let picture = Pixels::new(4, 1, Channels::Gray, vec![0, 100, 200, 255])?;
/// assert_eq!(resize(&picture, 2, 1).data(), [71, 209]);
/// # Ok::<(), cxr_augment::SpecFault>(())
/// ```
#[must_use]
pub fn resize(pixels: &Pixels, width: u32, height: u32) -> Pixels {
    resize_with(Isa::best(), pixels, width, height)
}

/// [`resize`] with a given instruction set. The speed changes, no bit does.
#[must_use]
pub fn resize_with(isa: Isa, pixels: &Pixels, width: u32, height: u32) -> Pixels {
    // A side of 0 cannot hold a picture; the nearest that can is 1.
    let (width, height) = (width.max(1), height.max(1));
    let picture = Cow::Borrowed(pixels);
    let resized = if is_vertical_first(pixels, width, height) {
        across(isa, down(isa, picture, height), width)
    } else {
        down(isa, across(isa, picture, width), height)
    };
    resized.into_owned()
}

/// The order of the passes decides roundings. Pillow takes the vertical one first where the height
/// shrinks by more than twice as many pixels as the width; before version 13 it never did.
fn is_vertical_first(pixels: &Pixels, width: u32, height: u32) -> bool {
    let lost_columns = i64::from(pixels.width()) - i64::from(width);
    let lost_rows = i64::from(pixels.height()) - i64::from(height);
    lost_rows > 0 && lost_rows > 2 * lost_columns
}

/// The horizontal pass, where there is one.
fn across(isa: Isa, pixels: Cow<'_, Pixels>, width: u32) -> Cow<'_, Pixels> {
    if pixels.width() == width {
        return pixels;
    }
    let resized = match pixels.channels() {
        Channels::Gray => across_of::<1>(isa, &pixels, width as usize),
        Channels::Rgb => across_of::<3>(isa, &pixels, width as usize),
    };
    Cow::Owned(resized)
}

fn across_of<const C: usize>(isa: Isa, pixels: &Pixels, width: usize) -> Pixels {
    let (in_width, height) = (pixels.width() as usize, pixels.height() as usize);
    let mut data = vec![0; width * height * C];
    isa.run(Across::<C> {
        weights: &Weights::new(in_width, width),
        data: pixels.data(),
        stride: in_width * C,
        out: &mut data,
        out_stride: width * C,
    });
    Pixels::of_checked(width, height, pixels.channels(), data)
}

/// The vertical pass, where there is one.
fn down(isa: Isa, pixels: Cow<'_, Pixels>, height: u32) -> Cow<'_, Pixels> {
    if pixels.height() == height {
        return pixels;
    }
    let (width, height) = (pixels.width() as usize, height as usize);
    let stride = width * pixels.channels().count();
    let mut data = vec![0; stride * height];
    isa.run(Down {
        weights: &Weights::new(pixels.height() as usize, height),
        data: pixels.data(),
        stride,
        out: &mut data,
    });
    Cow::Owned(Pixels::of_checked(width, height, pixels.channels(), data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_picture_stays_constant_at_any_size() {
        for (from, to) in [((1, 1), (7, 5)), ((1, 400), (32, 48)), ((97, 31), (1, 1))] {
            for value in [0, 1, 127, 254, 255] {
                let data = vec![value; (from.0 * from.1) as usize];
                let picture = Pixels::new(from.0, from.1, Channels::Gray, data).unwrap();
                let resized = resize(&picture, to.0, to.1);
                assert_eq!((resized.width(), resized.height()), to);
                assert!(
                    resized.data().iter().all(|&v| v == value),
                    "{from:?} {to:?}"
                );
            }
        }
    }

    #[test]
    fn three_equal_channels_resize_as_one_does() {
        let grey: Vec<u8> = (0..35u8).map(|v| v.wrapping_mul(83)).collect();
        let rgb = grey.iter().flat_map(|&v| [v; 3]).collect();
        let one = resize(&Pixels::new(7, 5, Channels::Gray, grey).unwrap(), 4, 9);
        let three = resize(&Pixels::new(7, 5, Channels::Rgb, rgb).unwrap(), 4, 9);
        assert_eq!(three.collapsed(), one);
    }
}
