//! From thickness to grey values: pose, Beer–Lambert attenuation, scatter, quantum noise, the
//! detector's curve.
//!
//! For the scene. Deliberately not here: anatomy.

use crate::shapes::ramp;
use crate::texture::bell;
use cxr_stream::{Purpose, Stream};

/// Attenuation of one trunk depth of soft tissue.
const SOFT: f32 = 3.3;
/// Attenuation of bone, in the same length.
const BONE: f32 = 8.5;
/// Scattered light, as a share of the unattenuated beam.
const SCATTER: f32 = 0.012;
/// Quanta of the unattenuated beam in a pixel of a 320-pixel film.
const QUANTA: f32 = 60_000.0;

/// How a patient stood and was exposed in one study.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pose {
    sin: f32,
    cos: f32,
    shift: (f32, f32),
    zoom: f32,
    /// Depth of the breath: how far both domes move down.
    pub(crate) breath: f32,
    /// Beam hardness: attenuation relative to the usual.
    hardness: f32,
    quanta: f32,
    /// Grey value of the darkest lung and of the mediastinum.
    window: (f32, f32),
}

impl Pose {
    pub(crate) fn of(seed: u64, patient: u32, study: u32) -> Self {
        let mut stream = Stream::new(
            seed,
            Purpose::PhantomImage,
            u64::from(study),
            u64::from(patient),
        );
        let mut between = |low: f64, high: f64| stream.range(low, high) as f32;
        let turn = between(-0.04, 0.04);
        Self {
            sin: libm::sinf(turn),
            cos: libm::cosf(turn),
            shift: (between(-0.05, 0.05), between(-0.03, 0.06)),
            zoom: between(0.96, 1.06),
            breath: between(-0.035, 0.035),
            hardness: between(0.90, 1.12),
            quanta: QUANTA * between(0.5, 1.3),
            window: (between(0.16, 0.26), between(0.82, 0.90)),
        }
    }

    /// From film to body coordinates.
    pub(crate) fn to_body(self, x: f32, y: f32) -> (f32, f32) {
        let (x, y) = (x - self.shift.0, y - self.shift.1);
        (
            (x * self.cos + y * self.sin) / self.zoom,
            (y * self.cos - x * self.sin) / self.zoom,
        )
    }

    /// From body to film coordinates.
    pub(crate) fn to_film(self, (x, y): (f32, f32)) -> (f32, f32) {
        let (x, y) = (x * self.zoom, y * self.zoom);
        (
            x * self.cos - y * self.sin + self.shift.0,
            x * self.sin + y * self.cos + self.shift.1,
        )
    }

    /// Light that reaches the film behind this much tissue and bone.
    pub(crate) fn light(&self, tissue: f32, bone: f32) -> f32 {
        let line = (tissue.max(0.0) * SOFT + bone * BONE) * self.hardness;
        libm::expf(-line) + SCATTER
    }

    /// Grey values of a film from the light on each of its n × n pixels.
    pub(crate) fn develop(&self, light: &[f32], n: usize, noise: &mut Stream) -> Vec<u8> {
        // A larger pixel collects more quanta.
        let area = 320.0 / n as f32;
        let quanta = self.quanta * area * area;
        let density: Vec<f32> = light
            .iter()
            .map(|&light| bell(noise) / (quanta * light).sqrt() - libm::logf(light))
            .collect();
        let (low, high) = levels(&density, n);
        let (dark, bright) = self.window;
        let gain = (bright - dark) / (high - low).max(1e-3);
        density
            .iter()
            .map(|&value| grey(dark + (value - low) * gain))
            .collect()
    }
}

/// The film's curve: straight between, soft towards white, steeper towards black.
fn grey(value: f32) -> u8 {
    let knee = 0.86;
    let over = (value - knee).max(0.0);
    let soft = value.min(knee) + over / (1.0 + over * 7.0);
    let soft = soft - 0.5 * (0.16 - soft).max(0.0);
    (soft.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
}

/// Densities of lung and mediastinum: two quantiles of the middle of the film.
fn levels(density: &[f32], n: usize) -> (f32, f32) {
    let (first, last) = (n * 2 / 10, n * 8 / 10);
    let step = (n / 64).max(1);
    let mut sample = Vec::with_capacity(4096);
    for row in (first..last).step_by(step) {
        sample.extend(
            (first..last)
                .step_by(step)
                .map(|column| density[row * n + column]),
        );
    }
    sample.sort_by(f32::total_cmp);
    let at = |percent: usize| sample[sample.len() * percent / 100];
    (at(4), at(95))
}

/// The letter L in lead, on a 5 × 7 grid, at a point given in its own box (0 to 1 each way).
pub(crate) fn marker(u: f32, v: f32) -> f32 {
    let stem = ramp((u - 0.05) / 0.06) * ramp((0.30 - u) / 0.06);
    let foot = ramp((v - 0.78) / 0.05) * ramp((0.95 - u) / 0.06) * ramp((u - 0.05) / 0.06);
    stem.max(foot) * ramp((v - 0.03) / 0.04) * ramp((0.97 - v) / 0.04)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_and_film_coordinates_undo_each_other() {
        let pose = Pose::of(1, 2, 3);
        let (x, y) = pose.to_body(0.3, -0.7);
        let (x, y) = pose.to_film((x, y));
        assert!((x - 0.3).abs() < 1e-6 && (y + 0.7).abs() < 1e-6);
    }

    #[test]
    fn more_tissue_lets_less_light_through() {
        let pose = Pose::of(1, 2, 3);
        let light = [0.0, 0.2, 0.5, 1.0].map(|tissue| pose.light(tissue, 0.0));
        assert!(light.windows(2).all(|pair| pair[1] < pair[0]));
        assert!(pose.light(0.5, 0.05) < pose.light(0.5, 0.0));
    }

    #[test]
    fn quantum_noise_falls_with_light() {
        let pose = Pose::of(1, 2, 3);
        let n = 640;
        // A step wedge; its ends keep the two steps that are measured off the ends of the curve.
        let light: Vec<f32> = (0..n * n)
            .map(|at| [0.9, 0.4, 0.1, 0.02][at / n % 4])
            .collect();
        let film = pose.develop(&light, n, &mut Stream::new(1, Purpose::Test, 0, 0));
        let spread = |wanted: f32| {
            let values: Vec<f64> = film
                .iter()
                .zip(&light)
                .filter(|(_, l)| (**l - wanted).abs() < 1e-6)
                .map(|(&g, _)| f64::from(g))
                .collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / values.len() as f64
        };
        let ratio = spread(0.1) / spread(0.4);
        assert!((3.4..4.4).contains(&ratio), "{ratio}");
    }
}
