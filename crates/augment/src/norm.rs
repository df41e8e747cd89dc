//! Bytes into normalised numbers, with the roundings of torchvision's `ToTensor` and `Normalize`.
//!
//! (v ÷ 255 − mean) ÷ std in f32, one rounding a step. A division takes several times as long as a
//! multiplication, so where the processor has fused multiply-add a quotient is the product with the
//! reciprocal, corrected once by its remainder. That is the exact quotient but for rare divisors;
//! whether it is, is tried for all 256 bytes when a norm is made.

use pulp::Simd;

/// Mean and deviation of one channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Norm {
    mean: f32,
    std: f32,
    /// 1 ÷ 255 and 1 ÷ std, where the corrected products equal the quotients.
    reciprocals: Option<(f32, f32)>,
}

impl Norm {
    pub(crate) fn new(mean: f32, std: f32) -> Self {
        let reciprocals = (1.0 / 255.0, 1.0 / std);
        let divided = Self {
            mean,
            std,
            reciprocals: None,
        };
        let multiplied = |value| {
            let share = quotient(f32::from(value), 255.0, reciprocals.0);
            quotient(share - mean, std, reciprocals.1)
        };
        let is_exact = (0..=u8::MAX)
            .all(|value| multiplied(value).to_bits() == divided.of_byte(value).to_bits());
        Self {
            reciprocals: is_exact.then_some(reciprocals),
            ..divided
        }
    }

    /// The number that a byte becomes.
    #[inline(always)]
    pub(crate) fn of_byte(self, value: u8) -> f32 {
        self.of_level(f32::from(value))
    }

    /// The number that a level between two bytes becomes.
    #[inline(always)]
    pub(crate) fn of_level(self, value: f32) -> f32 {
        (value / 255.0 - self.mean) / self.std
    }
}

/// x ÷ divisor, by its reciprocal.
#[inline(always)]
fn quotient(x: f32, divisor: f32, reciprocal: f32) -> f32 {
    let near = x * reciprocal;
    let remainder = (-near).mul_add(divisor, x);
    remainder.mul_add(reciprocal, near)
}

/// Grey bytes into three equally long rows.
#[inline(always)]
pub(crate) fn normalise_gray<S: Simd>(
    bytes: &[u8],
    norms: [Norm; 3],
    [red, green, blue]: [&mut [f32]; 3],
) {
    let places = bytes.iter().zip(red).zip(green).zip(blue);
    // Eight lanes and more have fused multiply-add; elsewhere it would be a call.
    let reciprocals = norms.map(|norm| norm.reciprocals);
    if S::F32_LANES >= 8
        && let [Some(r), Some(g), Some(b)] = reciprocals
    {
        let std = norms.map(|norm| norm.std);
        for (((&byte, red), green), blue) in places {
            let share = quotient(f32::from(byte), 255.0, r.0);
            *red = quotient(share - norms[0].mean, std[0], r.1);
            *green = quotient(share - norms[1].mean, std[1], g.1);
            *blue = quotient(share - norms[2].mean, std[2], b.1);
        }
    } else {
        for (((&byte, red), green), blue) in places {
            *red = norms[0].of_byte(byte);
            *green = norms[1].of_byte(byte);
            *blue = norms[2].of_byte(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_norms_need_no_division() {
        let usual = [
            (0.485, 0.229),
            (0.456, 0.224),
            (0.406, 0.225),
            (0.5, 0.25),
            (0.0, 1.0),
        ];
        for (mean, std) in usual {
            assert!(Norm::new(mean, std).reciprocals.is_some(), "{mean} {std}");
        }
    }

    #[test]
    fn a_divisor_whose_corrected_product_is_another_number_is_divided_by() {
        // The reciprocal of the smallest normal number's half is beyond f32.
        assert!(Norm::new(0.5, f32::from_bits(1)).reciprocals.is_none());
    }
}
