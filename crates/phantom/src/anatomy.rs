//! A patient's body in numbers, and the shapes that follow from them: trunk, lungs, diaphragm,
//! mediastinum.
//!
//! Lengths are in half picture widths: x from −1 (the patient's right) to 1, y from −1 (top) to 1.
//! Thickness is in trunk depths. For the scene; bones are in `bones`, vessels in `vessels`, what a
//! finding changes in `lesion`.

use crate::shapes::{Ellipse, arch, chord, ramp};
use cxr_stream::{Purpose, Stream};

/// The share of a trunk's depth that a lung takes.
const LUNG_DEPTH: f32 = 0.76;
/// Height of the virtual end of the lung's outline, below the diaphragm.
const LUNG_FLOOR: f32 = 0.86;
/// Where the lung's apex lies from the midline.
const APEX_X: f32 = 0.29;

/// What all radiographs of a patient share.
#[derive(Clone, Debug)]
pub(crate) struct Anatomy {
    /// Width of the rib cage relative to the usual.
    pub(crate) width: f32,
    /// Height of the lungs' apex.
    pub(crate) apex: f32,
    /// Heights of the domes of the diaphragm, right and left.
    pub(crate) dome: [f32; 2],
    /// How much a dome falls from its top to the wall.
    pub(crate) dome_fall: f32,
    /// Size of the heart relative to the usual.
    pub(crate) heart: f32,
    /// Tilt of the heart's long axis in radians.
    pub(crate) heart_tilt: f32,
    /// Radius of the aortic knob.
    pub(crate) knob: f32,
    /// Half width of the upper mediastinum.
    pub(crate) mediastinum: f32,
    /// Depth of the soft tissue, as exposure sees it.
    pub(crate) bulk: f32,
    /// Size of the breast shadows, 0 for none.
    pub(crate) breast: f32,
    /// Size of the stomach bubble, 0 for none.
    pub(crate) bubble: f32,
    /// Sideways bend of the spine.
    pub(crate) bend: f32,
    /// Distance between ribs.
    pub(crate) rib_pitch: f32,
    /// Height of the first rib.
    pub(crate) rib_start: f32,
    /// Slope of the ribs relative to the usual.
    pub(crate) rib_slope: f32,
    /// Density of bone relative to the usual.
    pub(crate) bone: f32,
    /// Rise of the clavicles towards the shoulders.
    pub(crate) clavicle: f32,
    /// Centre of the side marker.
    pub(crate) marker: (f32, f32),
}

impl Anatomy {
    pub(crate) fn of(seed: u64, patient: u32) -> Self {
        let mut stream = Stream::new(seed, Purpose::PhantomPatient, 0, u64::from(patient));
        let mut between = |low: f64, high: f64| stream.range(low, high) as f32;
        let dome = between(0.36, 0.48);
        let woman = between(0.0, 1.0) < 0.45;
        let bubble = between(0.0, 1.0) < 0.7;
        Self {
            width: between(0.94, 1.06),
            apex: between(-0.86, -0.76),
            dome: [dome, dome + between(0.01, 0.07)],
            dome_fall: between(0.13, 0.20),
            heart: between(0.92, 1.06),
            heart_tilt: between(0.45, 0.75),
            knob: between(0.075, 0.105),
            mediastinum: between(0.085, 0.115),
            bulk: between(0.92, 1.10),
            breast: if woman { between(0.6, 1.2) } else { 0.0 },
            bubble: if bubble { between(0.5, 1.2) } else { 0.0 },
            bend: between(-0.025, 0.025),
            rib_pitch: between(0.135, 0.155),
            rib_start: between(-0.80, -0.74),
            rib_slope: between(0.8, 1.25),
            bone: between(0.8, 1.15),
            clavicle: between(0.10, 0.22),
            marker: (between(0.72, 0.88), between(-0.92, -0.70)),
        }
    }

    /// Thickness of the trunk, neck and shoulders with nothing taken out.
    pub(crate) fn trunk(&self, x: f32, y: f32) -> f32 {
        let across = x.abs();
        let beyond = ((across - 0.20) / 0.8).max(0.0);
        let shoulder = -0.97 + 0.13 * beyond + 0.30 * beyond * beyond;
        let below = ((y - shoulder) / 0.55).max(0.0);
        let half =
            self.width * (0.93 + 0.20 * ramp(-(y + 0.28) / 0.40) + 0.03 * ramp((y - 0.6) / 0.3));
        let side = across / half;
        let flat = side * side;
        let trunk = chord(flat * flat * side.sqrt()) * arch(below.min(1.0));
        let neck = 0.62 * chord((across / 0.25) * (across / 0.25)) * ramp(-(y + 0.70) / 0.25);
        self.bulk * trunk.max(neck)
    }

    /// Soft breast shadows, with a lower edge.
    pub(crate) fn breasts(&self, x: f32, y: f32) -> f32 {
        if self.breast <= 0.0 {
            return 0.0;
        }
        let u = (x.abs() - 0.43 * self.width) / 0.30;
        let v = (y - 0.30) / if y < 0.30 { 0.42 } else { 0.24 };
        0.13 * self.breast * chord(u * u + v * v)
    }

    /// Gas in the stomach under the left dome, with a level below.
    pub(crate) fn stomach(&self, x: f32, y: f32, dome: f32) -> f32 {
        if self.bubble <= 0.0 {
            return 0.0;
        }
        let top = dome + 0.03;
        let (u, v) = ((x - 0.33) / 0.13, (y - top - 0.07) / 0.075);
        let gas = chord((u * u + v * v) / (self.bubble * self.bubble).max(0.3));
        0.24 * gas * ramp((top + 0.10 - y) / 0.015)
    }

    /// Air in the windpipe and the two main bronchi.
    pub(crate) fn airway(&self, x: f32, y: f32) -> f32 {
        let fork = -0.22;
        let pipe = if y < fork {
            chord((x - 0.008) * (x - 0.008) / (0.036 * 0.036)) * ramp((y + 1.2) / 0.2)
        } else {
            let arm = x.abs() - 0.02 - (y - fork) * 0.9;
            chord(arm * arm / (0.03 * 0.03)) * ramp((fork + 0.13 - y) / 0.04)
        };
        0.10 * pipe
    }
}

/// How a finding or a breath changes the lungs' outline; one for each side.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LungChange {
    /// How far the dome moves down.
    pub(crate) descent: f32,
    /// Share of the dome's curve that is lost.
    pub(crate) flattening: f32,
    /// Growth of the outline.
    pub(crate) growth: f32,
}

/// Where a point lies in a lung.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LungPoint {
    /// 0 on the patient's right, 1 on the left.
    pub(crate) side: usize,
    /// Distance from the midline.
    pub(crate) across: f32,
    /// Distance to the side wall, positive inside.
    pub(crate) wall: f32,
    /// Air thickness of a healthy lung without heart and mediastinum.
    pub(crate) depth: f32,
    /// Height of the dome here.
    pub(crate) dome: f32,
    /// 0 above the dome, 1 below.
    pub(crate) below: f32,
    /// From 0 at the apex to 1 at the floor.
    pub(crate) height: f32,
}

impl Anatomy {
    /// The lung at a point, healthy but for its change.
    pub(crate) fn lung(&self, x: f32, y: f32, changes: &[LungChange; 2], pixel: f32) -> LungPoint {
        let side = usize::from(x > 0.0);
        let change = &changes[side];
        let across = x.abs();
        let height = (y - self.apex) / (LUNG_FLOOR - self.apex);
        let rise = arch(height / 0.95);
        let reach = (0.47 + change.growth) * self.width;
        let outer = APEX_X + reach * rise;
        let inner = APEX_X - 0.29 * arch(height / 0.30);
        let fall = self.dome_fall * (1.0 - change.flattening);
        let curve = (across - 0.37) / 0.42;
        let lateral = curve.max(0.0);
        let dome = self.dome[side]
            + change.descent
            + fall * curve * curve
            + 0.55 * fall * lateral * lateral * lateral * lateral;
        let wall = outer - across;
        let shell = arch(wall / 0.34) * arch((across - inner) / 0.22);
        let mut point = LungPoint {
            side,
            across,
            wall,
            depth: 0.0,
            dome,
            below: ramp((y - dome) / (0.010 + pixel)),
            height,
        };
        if height > 0.0 && wall > 0.0 && across > inner {
            point.depth = LUNG_DEPTH * shell * arch(height / 0.45);
        }
        point
    }
}

/// Heart and great vessels: what fills the space between the lungs.
pub(crate) struct Mediastinum {
    half_width: f32,
    knob: Ellipse,
    trunk: Ellipse,
    ventricle: Ellipse,
    atrium: Ellipse,
    cava: Ellipse,
}

impl Mediastinum {
    /// The heart of a patient, `enlarged` by a share of its width, moved sideways by `shift`, in a
    /// chest whose left dome lies at `floor`.
    pub(crate) fn new(anatomy: &Anatomy, enlarged: f32, shift: f32, floor: f32) -> Self {
        let size = anatomy.heart;
        let long = 0.30 * size * (1.0 + 0.62 * enlarged);
        let short = 0.205 * size * (1.0 + 0.50 * enlarged);
        let tilt = anatomy.heart_tilt - 0.15 * enlarged;
        let y = floor - 0.15 * size;
        Self {
            half_width: anatomy.mediastinum,
            knob: Ellipse::new(0.070 + shift, -0.31, anatomy.knob, anatomy.knob * 1.3, 0.2),
            trunk: Ellipse::new(0.075 + shift, 0.0, 0.125, 0.33, -0.38),
            ventricle: Ellipse::new(0.125 + 0.03 * enlarged + shift, y, long, short, tilt),
            atrium: Ellipse::new(
                -0.055 + shift,
                y - 0.03,
                (0.125 + 0.11 * enlarged) * size,
                0.23 * size,
                0.0,
            ),
            cava: Ellipse::new(-0.055 + shift, -0.30, 0.085, 0.40, 0.0),
        }
    }

    /// Its thickness, taken from the lung's air: sharp at the borders, full within.
    pub(crate) fn thickness(&self, x: f32, y: f32) -> f32 {
        let strip = x / (self.half_width * (1.0 + 0.25 * ramp((-0.45 - y) / 0.3)));
        let square = |value: f32| value * value;
        let part = |e: &Ellipse, depth: f32| depth * depth * (1.0 - e.squared(x, y)).max(0.0);
        let sum = square(0.66) * (1.0 - strip * strip).max(0.0)
            + part(&self.knob, 0.42)
            + part(&self.trunk, 0.42)
            + part(&self.ventricle, 0.68)
            + part(&self.atrium, 0.50)
            + part(&self.cava, 0.36);
        sum.sqrt()
    }
}
