//! Random fields: values on a lattice, smoothly joined.
//!
//! For lung texture, opacities and uneven edges.

use cxr_stream::Stream;

/// Lattice points a side; the field repeats after them.
const SIDE: usize = 64;

/// A smooth random field of mean 0 and a spread near ½.
pub(crate) struct Texture(Vec<f32>);

impl Texture {
    pub(crate) fn new(stream: &mut Stream) -> Self {
        Self((0..SIDE * SIDE).map(|_| bell(stream)).collect())
    }

    /// The field at (x, y) with `scale` lattice points to a unit of length.
    pub(crate) fn at(&self, x: f32, y: f32, scale: f32) -> f32 {
        let (x, y) = ((x + 4.0) * scale, (y + 4.0) * scale);
        let (left, top) = (x.floor(), y.floor());
        let (fx, fy) = (fade(x - left), fade(y - top));
        let (column, row) = (left.max(0.0) as usize, top.max(0.0) as usize);
        let value = |r: usize, c: usize| self.0[(r % SIDE) * SIDE + c % SIDE];
        let upper = value(row, column) * (1.0 - fx) + value(row, column + 1) * fx;
        let lower = value(row + 1, column) * (1.0 - fx) + value(row + 1, column + 1) * fx;
        upper * (1.0 - fy) + lower * fy
    }
}

fn fade(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

/// Nearly normal, variance 1: the sum of four uniform numbers.
pub(crate) fn bell(stream: &mut Stream) -> f32 {
    let (first, second) = (stream.next_u32(), stream.next_u32());
    let sum = (first >> 16) + (first & 0xffff) + (second >> 16) + (second & 0xffff);
    // Mean 4 · 32767.5, standard deviation 2 · 65536/√12.
    (sum as f32 - 131_070.0) * (1.0 / 37_837.23)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cxr_stream::Purpose;

    #[test]
    fn a_bell_has_mean_0_and_variance_1() {
        let mut stream = Stream::new(3, Purpose::Test, 0, 0);
        let draws: Vec<f32> = (0..100_000).map(|_| bell(&mut stream)).collect();
        let mean = draws.iter().sum::<f32>() / 1e5;
        let variance = draws.iter().map(|d| (d - mean) * (d - mean)).sum::<f32>() / 1e5;
        assert!(
            mean.abs() < 0.013 && (variance - 1.0).abs() < 0.02,
            "{mean} {variance}"
        );
    }

    #[test]
    fn a_texture_is_continuous_across_its_lattice() {
        let texture = Texture::new(&mut Stream::new(4, Purpose::Test, 0, 0));
        for step in 0..200 {
            let x = -1.0 + step as f32 * 0.01;
            assert!((texture.at(x, 0.3, 9.0) - texture.at(x + 1e-4, 0.3, 9.0)).abs() < 0.02);
        }
    }
}
