//! 16-bit samples into 8-bit ones, by an explicit policy.

use crate::image_warning::ImageWarning;
use crate::preprocess::BitDepthPolicy;

/// A grey picture that spans less than this much of 0–65535 comes out nearly flat.
const NARROW_RANGE: u16 = 1 << 13;
const MAX_TWELVE_BITS: u16 = (1 << 12) - 1;

/// Big-endian grey samples into bytes; warnings where the policy does not suit the values.
pub(crate) fn gray(
    samples: &[u8],
    name: &str,
    policy: BitDepthPolicy,
    warnings: &mut Vec<ImageWarning>,
) -> Vec<u8> {
    let (mut min, mut max) = (u16::MAX, 0);
    for value in values(samples) {
        min = min.min(value);
        max = max.max(value);
    }
    match policy {
        BitDepthPolicy::Scale if max.saturating_sub(min) < NARROW_RANGE => {
            warnings.push(ImageWarning::NarrowRange {
                name: name.to_owned(),
                min,
                max,
            });
        }
        BitDepthPolicy::TwelveInSixteen if max > MAX_TWELVE_BITS => {
            warnings.push(ImageWarning::BeyondTwelveBits {
                name: name.to_owned(),
                max,
            });
        }
        _ => {}
    }
    match policy {
        BitDepthPolicy::Scale => values(samples).map(scaled).collect(),
        BitDepthPolicy::TwelveInSixteen => values(samples).map(twelve_bits_scaled).collect(),
        BitDepthPolicy::ClipLikePillow => values(samples).map(|v| v.min(255) as u8).collect(),
    }
}

/// Big-endian samples of several channels into bytes.
pub(crate) fn several_channels(samples: &[u8], policy: BitDepthPolicy) -> Vec<u8> {
    match policy {
        BitDepthPolicy::Scale => values(samples).map(scaled).collect(),
        BitDepthPolicy::TwelveInSixteen => values(samples).map(twelve_bits_scaled).collect(),
        BitDepthPolicy::ClipLikePillow => values(samples).map(|v| (v >> 8) as u8).collect(),
    }
}

fn values(samples: &[u8]) -> impl Iterator<Item = u16> + '_ {
    samples
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
}

/// round(v × 255 ÷ 65535) = round(v ÷ 257).
fn scaled(value: u16) -> u8 {
    ((u32::from(value) + 128) / 257) as u8
}

/// round(v × 255 ÷ 4095) = round(v × 17 ÷ 273).
fn twelve_bits_scaled(value: u16) -> u8 {
    let value = u32::from(value.min(MAX_TWELVE_BITS));
    ((value * 17 + 136) / 273) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_equals_rounded_division_for_all_values() {
        for value in 0..=u16::MAX {
            let exact = (f64::from(value) * 255.0 / 65535.0).round() as u8;
            assert_eq!(scaled(value), exact, "{value}");
            let exact = (f64::from(value.min(4095)) * 255.0 / 4095.0).round() as u8;
            assert_eq!(twelve_bits_scaled(value), exact, "{value}");
        }
    }

    #[test]
    fn a_range_under_an_eighth_is_warned_of_and_a_wider_one_is_not() {
        let mut warnings = Vec::new();
        let file = |values: [u16; 2]| values.map(u16::to_be_bytes).concat();
        gray(&file([0, 4095]), "x", BitDepthPolicy::Scale, &mut warnings);
        assert_eq!(
            warnings,
            [ImageWarning::NarrowRange {
                name: "x".to_owned(),
                min: 0,
                max: 4095
            }]
        );
        warnings.clear();
        gray(
            &file([100, 8292]),
            "x",
            BitDepthPolicy::Scale,
            &mut warnings,
        );
        let policy = BitDepthPolicy::TwelveInSixteen;
        gray(&file([0, 4095]), "x", policy, &mut warnings);
        assert_eq!(warnings, []);
        assert_eq!(gray(&file([0, 4096]), "x", policy, &mut warnings), [0, 255]);
        assert_eq!(warnings[0].code(), "I102");
    }
}
