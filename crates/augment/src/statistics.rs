//! What people are told of a picture's or a tensor's values.
//!
//! For `explore`, `transform` and reports. Deliberately not here: the pictures themselves.

use serde::Serialize;

use crate::pixels::Pixels;

/// What `explore` and `transform` say of a picture; max, min, mean and std over all its channels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// 1 or 3.
    pub channels: u32,
    /// The largest value.
    pub max: f64,
    /// The smallest value.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The standard deviation, divided by n as `numpy` does (population, not sample).
    pub std: f64,
}

impl Statistics {
    /// Of a tensor `[channels, height, width]`.
    #[must_use]
    pub fn of_tensor(tensor: &[f32], width: u32, height: u32) -> Self {
        let n = tensor.len() as f64;
        let values = || tensor.iter().map(|&v| f64::from(v));
        let mean = values().sum::<f64>() / n;
        let variance = values().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        let plane = (u64::from(width) * u64::from(height)).max(1);
        Self {
            width,
            height,
            channels: (tensor.len() as u64 / plane) as u32,
            max: values().fold(f64::NEG_INFINITY, f64::max),
            min: values().fold(f64::INFINITY, f64::min),
            mean,
            std: variance.sqrt(),
        }
    }
}

impl Pixels {
    /// Width, height, channels, and maximum, minimum, mean and standard deviation of byte ÷ 255.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        // A histogram makes the sums exact, whatever the size.
        let mut histogram = [0u64; 256];
        for &value in self.data() {
            histogram[usize::from(value)] += 1;
        }
        let n = self.data().len() as f64;
        let levels = || {
            (0u32..)
                .zip(histogram)
                .filter(|&(_, n)| n > 0)
                .map(|(v, n)| (f64::from(v), n as f64))
        };
        let mean = levels().map(|(v, n)| v * n).sum::<f64>() / n;
        let variance = levels().map(|(v, n)| (v - mean).powi(2) * n).sum::<f64>() / n;
        Statistics {
            width: self.width(),
            height: self.height(),
            channels: self.channels().count() as u32,
            max: levels().map(|(v, _)| v).fold(f64::MIN, f64::max) / 255.0,
            min: levels().map(|(v, _)| v).fold(f64::MAX, f64::min) / 255.0,
            mean: mean / 255.0,
            std: variance.sqrt() / 255.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::Channels;

    #[test]
    fn statistics_are_those_of_the_bytes_over_255() {
        let found = Pixels::new(2, 2, Channels::Gray, vec![0, 51, 102, 255])
            .unwrap()
            .statistics();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(found.max, 1.0) && close(found.min, 0.0), "{found:?}");
        assert!(close(found.mean, 0.4), "{found:?}");
        // ((.4² + .2² + 0 + .6²) / 4)½
        assert!(close(found.std, 0.14f64.sqrt()), "{found:?}");
    }
}
