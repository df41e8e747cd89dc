//! What each finding changes, and where: drawn once for a study, asked at each pixel.
//!
//! For the scene. Places of standing findings (mass, nodule, scars) belong to the patient, those of
//! acute ones to the study. All numbers are drawn whether or not the finding is present, so that a
//! finding changes nothing but its own marks.

use crate::anatomy::{Anatomy, LungChange, LungPoint};
use crate::cohort::PhantomRadiograph;
use crate::finding::{
    ATELECTASIS, CARDIOMEGALY, CONSOLIDATION, EDEMA, EFFUSION, EMPHYSEMA, FIBROSIS, HERNIA,
    INFILTRATION, MASS, NODULE, PLEURAL_THICKENING, PNEUMONIA, PNEUMOTHORAX,
};
use crate::shapes::{Ellipse, bump, chord, ramp, stroke};
use crate::texture::Texture;
use cxr_stream::{Purpose, Stream};

/// A stripe of collapsed lung.
#[derive(Clone, Copy, Debug)]
struct Plate {
    x: f32,
    y: f32,
    slope: f32,
    half_length: f32,
    half_width: f32,
}

/// All findings of one study.
pub(crate) struct Lesions {
    extent: [f32; 14],
    atelectasis_side: usize,
    plates: [Plate; 2],
    consolidation: Ellipse,
    effusion_side: usize,
    effusion_both: bool,
    fibrosis_top: f32,
    hernia: (f32, f32, f32),
    infiltration: [f32; 2],
    mass: Ellipse,
    nodule: Ellipse,
    thickening_side: usize,
    thickening_centre: f32,
    pneumonia: Ellipse,
    pneumothorax_side: usize,
    fields: [Texture; 2],
}

/// What the findings do to the lung at a point.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LungEffect {
    /// Tissue added where there is air, in trunk depths for a full depth of lung.
    pub(crate) opacity: f32,
    /// Tissue added whatever the air.
    pub(crate) solid: f32,
    /// Strength of vessels and markings.
    pub(crate) markings: f32,
    /// Share of the air that fluid or a rind has taken.
    pub(crate) fluid: f32,
}

fn side_of(stream: &mut Stream) -> usize {
    stream.below(2) as usize
}

fn sign(side: usize) -> f32 {
    if side == 0 { -1.0 } else { 1.0 }
}

/// A place well inside a lung, between two heights.
fn place(stream: &mut Stream, low: f64, high: f64) -> (f32, f32) {
    let side = sign(side_of(stream));
    (
        side * stream.range(0.26, 0.58) as f32,
        stream.range(low, high) as f32,
    )
}

fn round(stream: &mut Stream, (x, y): (f32, f32), low: f64, high: f64) -> Ellipse {
    let a = stream.range(low, high) as f32;
    let b = a * stream.range(0.75, 1.0) as f32;
    Ellipse::new(x, y, a, b, stream.range(0.0, 3.1) as f32)
}

impl Lesions {
    pub(crate) fn of(seed: u64, radiograph: &PhantomRadiograph) -> Self {
        let patient = u64::from(radiograph.patient);
        let mut old = Stream::new(seed, Purpose::PhantomPatient, 3, patient);
        let epoch = u64::from(radiograph.study) | 1 << 20;
        let mut new = Stream::new(seed, Purpose::PhantomImage, epoch, patient);
        let atelectasis_side = side_of(&mut new);
        Self {
            extent: radiograph.severities.map(|severity| severity.extent()),
            atelectasis_side,
            plates: [0, 1].map(|_| plate(&mut new, sign(atelectasis_side))),
            consolidation: {
                let at = place(&mut new, -0.35, 0.25);
                round(&mut new, at, 0.19, 0.27)
            },
            effusion_side: side_of(&mut new),
            effusion_both: new.uniform() < 0.35,
            infiltration: [new.range(0.0, 9.0) as f32, new.range(0.0, 9.0) as f32],
            pneumonia: {
                let at = place(&mut new, -0.30, 0.30);
                round(&mut new, at, 0.14, 0.21)
            },
            pneumothorax_side: side_of(&mut new),
            fields: [Texture::new(&mut new), Texture::new(&mut new)],
            fibrosis_top: old.range(0.0, 0.15) as f32,
            hernia: (
                old.range(-0.03, 0.08) as f32,
                old.range(-0.14, -0.08) as f32,
                old.range(0.12, 0.16) as f32,
            ),
            mass: {
                let at = place(&mut old, -0.50, 0.25);
                round(&mut old, at, 0.095, 0.14)
            },
            nodule: {
                let at = place(&mut old, -0.55, 0.30);
                round(&mut old, at, 0.032, 0.046)
            },
            thickening_side: side_of(&mut old),
            thickening_centre: old.range(-0.25, 0.25) as f32,
        }
    }

    fn has(&self, finding: usize) -> bool {
        self.extent[finding] > 0.0
    }

    /// Share by which the heart is too wide.
    pub(crate) fn heart_growth(&self) -> f32 {
        self.extent[CARDIOMEGALY] - 0.28 * self.extent[EMPHYSEMA]
    }

    /// How far volume loss pulls heart and mediastinum sideways.
    pub(crate) fn shift(&self) -> f32 {
        0.03 * self.extent[ATELECTASIS] * sign(self.atelectasis_side)
            - 0.05 * self.extent[PNEUMOTHORAX] * sign(self.pneumothorax_side)
    }

    /// What happens to the outline of each lung; `breath` moves both domes.
    pub(crate) fn lung_changes(&self, breath: f32) -> [LungChange; 2] {
        let emphysema = self.extent[EMPHYSEMA];
        [0, 1].map(|side| {
            let loss = if side == self.atelectasis_side {
                self.extent[ATELECTASIS]
            } else {
                0.0
            };
            LungChange {
                descent: breath + 0.18 * emphysema - 0.14 * loss - 0.06 * self.extent[FIBROSIS],
                flattening: 0.85 * emphysema,
                growth: 0.04 * emphysema,
            }
        })
    }

    /// What the findings do at a point of a lung.
    pub(crate) fn effect(
        &self,
        anatomy: &Anatomy,
        changes: &[LungChange; 2],
        lung: &LungPoint,
        (x, y): (f32, f32),
        pixel: f32,
    ) -> LungEffect {
        let mut effect = LungEffect {
            markings: 1.0 - 0.65 * self.extent[EMPHYSEMA],
            ..Default::default()
        };
        if lung.depth > 0.0 {
            effect.opacity = self.haze(x, y) + self.bases(lung, x, y) + self.patches(x, y);
            effect.markings += 0.5 * self.extent[EDEMA];
            self.plates(lung, x, y, pixel, &mut effect);
            self.effusion(lung, y, &mut effect);
            self.rim(lung, x, y, &mut effect);
            self.pneumothorax(anatomy, changes, lung, (x, y), pixel, &mut effect);
        }
        self.round_lesions(x, y, pixel, &mut effect);
        effect
    }

    /// Edema around the hila, infiltration in patches, more of them below.
    fn haze(&self, x: f32, y: f32) -> f32 {
        let mut haze = 0.0;
        if self.has(EDEMA) {
            let (u, v) = ((x.abs() - 0.26) / 0.42, (y - 0.05) / 0.60);
            let cloud = 0.8 + 0.25 * self.fields[0].at(x, y, 12.0);
            haze += self.extent[EDEMA] * 0.46 * bump(u * u + v * v) * cloud.max(0.0);
        }
        if self.has(INFILTRATION) {
            let [dx, dy] = self.infiltration;
            let field = self.fields[1].at(x + dx, y + dy, 3.0);
            let grain = 0.9 + 0.30 * self.fields[0].at(x, y, 10.0);
            let low = 0.25 + 0.75 * ramp((y + 0.10) / 0.40);
            haze += (0.65 + 0.35 * self.extent[INFILTRATION])
                * 0.38
                * low
                * (0.35 + 0.65 * ramp((field + 0.15) / 0.6))
                * grain.max(0.0);
        }
        haze
    }

    /// Fibrosis: a net at the bases and along the wall; edema's septal lines.
    fn bases(&self, lung: &LungPoint, x: f32, y: f32) -> f32 {
        let mut net = 0.0;
        if self.has(FIBROSIS) {
            let low = ramp((y - self.fibrosis_top) / 0.15);
            let edge = bump((lung.wall / 0.22) * (lung.wall / 0.22)) * ramp((y + 0.35) / 0.2);
            let coarse = self.fields[0].at(x, y, 19.0);
            let fine = self.fields[1].at(x, y, 34.0);
            let ridge = 0.6 * bump(coarse * coarse * 9.0) + 0.6 * bump(fine * fine * 6.0);
            net += self.extent[FIBROSIS] * low.max(0.7 * edge) * (0.17 * ridge + 0.03);
        }
        if self.has(EDEMA) {
            let rung = y * 26.0;
            let within = (rung - rung.floor() - 0.5) / 0.28;
            let near = bump((lung.wall / 0.11) * (lung.wall / 0.11)) * ramp((y - 0.1) / 0.1);
            net += 0.10 * self.extent[EDEMA] * near * bump(within * within);
        }
        net
    }

    /// Consolidation: dense, with open bronchi; pneumonia: faint and uneven.
    fn patches(&self, x: f32, y: f32) -> f32 {
        let mut patch = 0.0;
        if self.has(CONSOLIDATION) {
            let ragged = self.consolidation.squared(x, y).sqrt()
                + 0.22 * self.fields[0].at(x, y, 6.0)
                + 0.08 * self.fields[1].at(x, y, 17.0);
            let bronchus = (self.fields[1].at(x, y, 11.0).abs() - 0.06).min(0.0);
            patch += self.extent[CONSOLIDATION].max(0.6)
                * ramp((1.0 - ragged) / 0.16)
                * (0.40 + 1.8 * bronchus);
        }
        if self.has(PNEUMONIA) {
            let ragged = self.pneumonia.squared(x, y).sqrt() + 0.45 * self.fields[1].at(x, y, 8.0);
            let grain = (0.8 + 0.5 * self.fields[0].at(x, y, 16.0)).max(0.0);
            patch += self.extent[PNEUMONIA] * 0.17 * ramp((1.0 - ragged) / 0.45) * grain;
        }
        patch
    }

    /// Atelectasis: stripes near the base of one lung, whose dome stands high.
    fn plates(&self, lung: &LungPoint, x: f32, y: f32, pixel: f32, effect: &mut LungEffect) {
        if !self.has(ATELECTASIS) || lung.side != self.atelectasis_side {
            return;
        }
        for plate in &self.plates {
            let (dx, dy) = (x - plate.x, y - plate.y - plate.slope * (x - plate.x));
            let (half, weight) = stroke(plate.half_width, pixel);
            let along = dx / plate.half_length;
            effect.opacity += 0.30
                * self.extent[ATELECTASIS]
                * weight
                * bump((dy / half) * (dy / half) * 0.5)
                * ramp((1.0 - along.abs()) / 0.25);
        }
        effect.opacity += 0.10 * self.extent[ATELECTASIS] * ramp((y - lung.dome + 0.14) / 0.10);
    }

    /// Fluid from below, higher at the wall.
    fn effusion(&self, lung: &LungPoint, y: f32, effect: &mut LungEffect) {
        let extent = self.extent[EFFUSION];
        if extent <= 0.0 || !(self.effusion_both || lung.side == self.effusion_side) {
            return;
        }
        let extent = if lung.side == self.effusion_side {
            extent
        } else {
            0.6 * extent
        };
        let lateral = 1.0 - (lung.wall / 0.45).clamp(0.0, 1.0);
        let medial = 1.0 - (lung.across / 0.30).min(1.0);
        let level =
            0.52 - 0.50 * extent - 0.20 * lateral * lateral * lateral - 0.10 * medial * medial;
        effect.fluid = 0.96 * ramp((y - level) / (0.018 + 0.03 * lateral));
    }

    /// Pleural thickening: a rind along the wall of one lung.
    fn rim(&self, lung: &LungPoint, x: f32, y: f32, effect: &mut LungEffect) {
        if !self.has(PLEURAL_THICKENING) || lung.side != self.thickening_side {
            return;
        }
        let along = (y - self.thickening_centre) / 0.55;
        let uneven = 1.0 + 0.35 * self.fields[1].at(x, y, 7.0);
        let width = 0.09 * (0.5 + 0.5 * self.extent[PLEURAL_THICKENING]) * uneven.max(0.3);
        let rind = ramp((width - lung.wall) / 0.014) * bump(along * along * 0.6);
        let share = (0.4 + 0.6 * self.extent[PLEURAL_THICKENING]) * rind;
        effect.fluid = effect.fluid.max(share.min(0.95));
    }

    /// Pneumothorax: the lung shrinks from the wall, a thin line its edge; outside it no markings.
    fn pneumothorax(
        &self,
        anatomy: &Anatomy,
        changes: &[LungChange; 2],
        lung: &LungPoint,
        (x, y): (f32, f32),
        pixel: f32,
        effect: &mut LungEffect,
    ) {
        let extent = self.extent[PNEUMOTHORAX];
        if extent <= 0.0 || lung.side != self.pneumothorax_side {
            return;
        }
        let hilum = (0.12 * sign(lung.side), 0.22);
        let shrunk = 1.0 - 0.36 * extent;
        let inner = anatomy.lung(
            hilum.0 + (x - hilum.0) / shrunk,
            hilum.1 + (y - hilum.1) / shrunk,
            changes,
            pixel,
        );
        let inside = if inner.side == lung.side {
            inner.wall.min(inner.height * 0.8)
        } else {
            1.0
        };
        let free = ramp(-inside / (0.010 + pixel));
        let (half, weight) = stroke(0.011, pixel);
        let line = bump((inside / half) * (inside / half) * 0.4) * weight;
        effect.markings *= 1.0 - free;
        effect.opacity = effect.opacity * (1.0 - free) - 0.11 * free
            + (1.0 - free) * 0.07 * extent
            + 0.13 * line;
    }

    /// Mass, nodule, hiatal hernia: bodies with an outline.
    fn round_lesions(&self, x: f32, y: f32, pixel: f32, effect: &mut LungEffect) {
        if self.has(MASS) {
            let ragged = self.mass.squared(x, y) * (1.0 + 0.30 * self.fields[1].at(x, y, 9.0));
            effect.solid += (0.35 + 0.65 * self.extent[MASS]) * 0.44 * chord(ragged);
        }
        if self.has(NODULE) {
            let nodule = &self.nodule;
            let half = nodule.a.max(pixel);
            let spread = (half / nodule.a) * (half / nodule.a);
            effect.solid += (0.4 + 0.6 * self.extent[NODULE]) * 0.24 / spread
                * chord(nodule.squared(x, y) / spread);
        }
        if self.has(HERNIA) {
            let (cx, above, radius) = self.hernia;
            let (u, v) = ((x - cx) / radius, (y - 0.44 - above) / (radius * 0.9));
            let square = u * u + v * v;
            let gas = chord(square * 1.35) * ramp((0.05 - v) / 0.10);
            effect.solid += self.extent[HERNIA].max(0.7) * (0.20 * chord(square) - 0.34 * gas);
        }
    }
}

fn plate(stream: &mut Stream, side: f32) -> Plate {
    Plate {
        x: side * stream.range(0.34, 0.50) as f32,
        y: stream.range(0.12, 0.32) as f32,
        slope: stream.range(-0.25, 0.25) as f32,
        half_length: stream.range(0.16, 0.26) as f32,
        half_width: stream.range(0.016, 0.026) as f32,
    }
}
