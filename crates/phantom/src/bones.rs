//! Spine, ribs, clavicles, shoulder: thickness of bone along a ray.
//!
//! For the scene. Deliberately not here: fractures, since no finding asks for one.

use crate::anatomy::Anatomy;
use crate::shapes::{bump, chord, ramp, stroke};

/// Half width of a rib.
const RIB: f32 = 0.027;
/// Pairs of ribs that are drawn.
const PAIRS: f32 = 11.0;

/// A hollow bone across its axis: `t` is −1 to 1 between its edges, brighter at them.
fn tube(t: f32) -> f32 {
    let square = t * t;
    chord(square) - 0.72 * chord(square * 1.75)
}

/// Bone at a point. `outer` is the distance of the lung's side wall from the midline there.
pub(crate) fn thickness(anatomy: &Anatomy, x: f32, y: f32, outer: f32, pixel: f32) -> f32 {
    let across = x.abs();
    let mut bone = spine(x, y);
    if across > 0.04 {
        bone += posterior_rib(anatomy, across, y, outer, pixel);
        bone += anterior_rib(anatomy, across, y, outer, pixel);
        bone += clavicle(anatomy, across, y, pixel) + shoulder(anatomy, across, y);
    }
    bone * anatomy.bone
}

fn spine(x: f32, y: f32) -> f32 {
    let half = 0.062 + 0.012 * y;
    let across = x / half;
    if across.abs() >= 1.3 {
        return 0.0;
    }
    // Bodies grow downwards; between them lie discs.
    let step = (y + 1.2) / (0.105 + 0.018 * y);
    let within = step - step.floor() - 0.5;
    let body = ramp((0.40 - within.abs()) / 0.08);
    let square = across * across;
    let edge = ramp((1.0 - across.abs()) / 0.18);
    let pedicle = bump(square_sum((across.abs() - 0.55) / 0.28, within / 0.2));
    let process = bump(square_sum(across / 0.22, (within - 0.25) / 0.3));
    edge * (0.012 + 0.022 * body * (0.7 + 0.3 * square)) + 0.012 * pedicle + 0.012 * process
}

fn square_sum(u: f32, v: f32) -> f32 {
    u * u + v * v
}

/// One family of parallel ribs, at a height above its first rib's axis.
fn family(height: f32, pitch: f32, pixel: f32) -> f32 {
    let number = height / pitch;
    let nearest = (number + 0.5).floor();
    if !(0.0..PAIRS).contains(&nearest) {
        return 0.0;
    }
    let (half, weight) = stroke(RIB, pixel * 0.8);
    tube((number - nearest) * pitch / half) * weight
}

fn posterior_rib(anatomy: &Anatomy, across: f32, y: f32, outer: f32, pixel: f32) -> f32 {
    let edge = outer + 0.035;
    let u = across / edge.max(0.2);
    if u >= 1.0 {
        return 0.0;
    }
    let slope = anatomy.rib_slope;
    // Out of the spine a rib rises a little, then falls, steeply near the wall.
    let course = slope * (0.30 * u * u - 0.11 * u) + 0.22 * u * u * u * u * u * u;
    let height = y - anatomy.rib_start - course;
    let near_wall = 1.0 / (1.06 - u * u).max(0.12).sqrt();
    0.056 * family(height, anatomy.rib_pitch, pixel) * near_wall.min(1.9) * ramp((0.72 - y) / 0.1)
}

fn anterior_rib(anatomy: &Anatomy, across: f32, y: f32, outer: f32, pixel: f32) -> f32 {
    let edge = outer + 0.03;
    let u = across / edge.max(0.2);
    if u >= 1.0 {
        return 0.0;
    }
    // From the wall inwards and down, fading into cartilage.
    let inward = 1.0 - u;
    let course = 0.34 + anatomy.rib_slope * (0.36 * inward + 0.20 * inward * inward);
    let height = y - anatomy.rib_start - course;
    let cartilage = ramp((u - 0.42) / 0.10);
    0.030 * family(height, anatomy.rib_pitch * 1.08, pixel) * cartilage * ramp((0.5 - y) / 0.12)
}

fn clavicle(anatomy: &Anatomy, across: f32, y: f32, pixel: f32) -> f32 {
    let u = across / 0.85;
    if !(0.08..1.05).contains(&u) {
        return 0.0;
    }
    let wave = u * (1.0 - u) * (u - 0.45);
    let axis = -0.60 - anatomy.clavicle * u + 0.35 * wave;
    let (half, weight) = stroke(0.030 + 0.012 * (1.0 - u) * (1.0 - u), pixel * 0.8);
    let ends = ramp((u - 0.11) / 0.03) * ramp((1.0 - u) / 0.05);
    0.085 * tube((y - axis) / half) * weight * ends
}

/// The blade, and the head of the arm's bone.
fn shoulder(anatomy: &Anatomy, across: f32, y: f32) -> f32 {
    let medial = 0.74 * anatomy.width - 0.12 * (y + 0.3);
    let blade = ramp((across - medial) / 0.015) * ramp((y + 0.68) / 0.06) * ramp((0.06 - y) / 0.22);
    let border = bump(square_sum((across - medial - 0.012) / 0.022, 0.0))
        * ramp((-0.02 - y) / 0.15)
        * ramp((y + 0.62) / 0.06);
    let (u, v) = ((across - 1.02 * anatomy.width) / 0.13, (y + 0.60) / 0.13);
    0.016 * blade + 0.02 * border + 0.11 * chord(u * u + v * v)
}
