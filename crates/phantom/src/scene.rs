//! One study put together: body, pose and findings, ray by ray, then the film.
//!
//! For the cohort's `render`. Deliberately not here: what the parts look like.

use crate::anatomy::{Anatomy, LungChange, Mediastinum};
use crate::bones;
use crate::cohort::PhantomRadiograph;
use crate::film::{self, Pose};
use crate::lesion::Lesions;
use crate::shapes::{bump, ramp};
use crate::texture::Texture;
use crate::vessels::Vessels;
use cxr_stream::{Purpose, Stream};

/// Films narrower than this are drawn with four rays a pixel.
const FINE_FROM: usize = 100;
/// Air thickness that counts as a full lung, in trunk depths.
const FULL_LUNG: f32 = 0.6;
/// Half width and half height of the side marker.
const MARKER: (f32, f32) = (0.026, 0.040);

/// A study before exposure.
pub(crate) struct Scene {
    seed: u64,
    patient: u32,
    study: u32,
    anatomy: Anatomy,
    pose: Pose,
    lesions: Lesions,
    changes: [LungChange; 2],
    mediastinum: Mediastinum,
    grain: Texture,
}

impl Scene {
    pub(crate) fn new(seed: u64, radiograph: &PhantomRadiograph) -> Self {
        let (patient, study) = (radiograph.patient, radiograph.study);
        let anatomy = Anatomy::of(seed, patient);
        let pose = Pose::of(seed, patient, study);
        let lesions = Lesions::of(seed, radiograph);
        let changes = lesions.lung_changes(pose.breath);
        let floor = anatomy.dome[1] + pose.breath + 0.4 * (changes[1].descent - pose.breath);
        let mediastinum =
            Mediastinum::new(&anatomy, lesions.heart_growth(), lesions.shift(), floor);
        let mut stream = Stream::new(seed, Purpose::PhantomPatient, 4, u64::from(patient));
        let grain = Texture::new(&mut stream);
        Self {
            seed,
            patient,
            study,
            anatomy,
            pose,
            lesions,
            changes,
            mediastinum,
            grain,
        }
    }

    /// The film: n × n grey values, row by row.
    pub(crate) fn expose(&self, n: usize) -> Vec<u8> {
        let fine = if n < FINE_FROM { 2 } else { 1 };
        let rays = n * fine;
        let vessels = Vessels::of(self.seed, self.patient).layer(&self.pose, rays);
        let pixel = 1.0 / rays as f32;
        let mut light = vec![0.0f32; n * n];
        let share = 1.0 / (fine * fine) as f32;
        for row in 0..rays {
            let y = (row as f32 + 0.5) * 2.0 * pixel - 1.0;
            for column in 0..rays {
                let x = (column as f32 + 0.5) * 2.0 * pixel - 1.0;
                let ray = self.ray(x, y, vessels[row * rays + column], pixel);
                light[row / fine * n + column / fine] += ray * share;
            }
        }
        let epoch = u64::from(self.study) | 1 << 21;
        let patient = u64::from(self.patient);
        let mut noise = Stream::new(self.seed, Purpose::PhantomImage, epoch, patient);
        self.pose.develop(&light, n, &mut noise)
    }

    /// Light at a point of the film.
    fn ray(&self, film_x: f32, film_y: f32, vessel: f32, pixel: f32) -> f32 {
        let (x, y) = self.pose.to_body(film_x, film_y);
        let trunk = self.anatomy.trunk(x, y);
        let lead = self.marker(film_x, film_y);
        if trunk <= 0.0 {
            return self.pose.light(0.0, lead);
        }
        let lung = self.anatomy.lung(x, y, &self.changes, pixel);
        let effect = self
            .lesions
            .effect(&self.anatomy, &self.changes, &lung, (x, y), pixel);
        let middle = self.mediastinum.thickness(x, y);
        let depth = (y - lung.dome).max(0.0) / 0.24;
        // Behind the dome the lung reaches lower, ever thinner.
        let recess = 0.16 * bump(depth * depth) * ramp((lung.across - 0.40) / 0.16);
        let open = 1.0 - lung.below * (1.0 - recess);
        let air = (lung.depth.min(0.86 * trunk) * open - middle).max(0.0) * (1.0 - effect.fluid);
        let full = (air / FULL_LUNG).min(1.0);
        let markings = effect.markings * (3.4 * vessel + self.hilum(x, y)) + self.speckle(x, y);
        let mut tissue = trunk - air - self.anatomy.airway(x, y)
            + self.anatomy.breasts(x, y)
            + effect.solid
            + full * (effect.opacity + markings);
        if lung.side == 1 && y > lung.dome {
            tissue -= self
                .anatomy
                .stomach(x, y, self.anatomy.dome[1] + self.changes[1].descent);
        }
        let outer = lung.across + lung.wall;
        let spine = x - self.anatomy.bend * (1.0 - y * y) * 2.0;
        let bone = bones::thickness(&self.anatomy, spine, y, outer, pixel);
        self.pose.light(tissue, bone + lead)
    }

    /// Vessels and nodes at the root of each lung, too dense to tell apart.
    fn hilum(&self, x: f32, y: f32) -> f32 {
        let (u, v) = ((x.abs() - 0.15) / 0.13, (y + 0.02) / 0.20);
        0.17 * bump(u * u + v * v) * (1.0 + 0.6 * self.grain.at(x, y, 13.0))
    }

    /// What is too fine to be drawn one by one.
    fn speckle(&self, x: f32, y: f32) -> f32 {
        0.010 * self.grain.at(x, y, 12.0) + 0.012 * self.grain.at(x + 0.5, y, 27.0)
    }

    /// Lead of the side marker at a point of the film.
    fn marker(&self, x: f32, y: f32) -> f32 {
        let (cx, cy) = self.anatomy.marker;
        let (u, v) = ((x - cx) / MARKER.0, (y - cy) / MARKER.1);
        if u.abs() > 1.2 || v.abs() > 1.2 {
            return 0.0;
        }
        0.6 * film::marker(u * 0.5 + 0.5, v * 0.5 + 0.5) * ramp(2.0)
    }
}
