//! The lungs' vessels: trees that leave the hila and taper, drawn once into a layer of the picture.
//!
//! For the scene. A patient keeps the tree; a study only changes its strength.

use crate::film::Pose;
use crate::shapes::{bump, stroke};
use cxr_stream::{Purpose, Stream};

/// One stretch of a vessel, in body coordinates.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    from: (f32, f32),
    to: (f32, f32),
    half: (f32, f32),
}

/// A growing end.
#[derive(Clone, Copy, Debug)]
struct Tip {
    at: (f32, f32),
    angle: f32,
    length: f32,
    half: f32,
    generations: u32,
}

/// Main branches of a lung: angle from straight outwards (downwards positive) in radians, length.
const BRANCHES: [(f32, f32); 9] = [
    (-1.35, 0.85),
    (-1.05, 0.80),
    (-0.70, 0.75),
    (-0.30, 0.70),
    (0.10, 0.75),
    (0.45, 0.90),
    (0.80, 1.00),
    (1.10, 1.05),
    (1.40, 0.95),
];

/// The vessels of both lungs.
pub(crate) struct Vessels(Vec<Stretch>);

impl Vessels {
    pub(crate) fn of(seed: u64, patient: u32) -> Self {
        let mut stream = Stream::new(seed, Purpose::PhantomPatient, 2, u64::from(patient));
        let mut vessels = Self(Vec::with_capacity(700));
        for side in [-1.0f32, 1.0] {
            for (angle, length) in BRANCHES {
                let start = (
                    side * stream.range(0.12, 0.17) as f32,
                    stream.range(-0.10, 0.02) as f32 + 0.10 * libm::sinf(angle),
                );
                let tip = Tip {
                    at: start,
                    angle: angle + stream.range(-0.15, 0.15) as f32,
                    length: 0.125 * length,
                    half: stream.range(0.013, 0.019) as f32,
                    generations: 5,
                };
                vessels.grow(&mut stream, side, tip);
            }
        }
        vessels
    }

    fn grow(&mut self, stream: &mut Stream, side: f32, tip: Tip) {
        let to = (
            tip.at.0 + side * tip.length * libm::cosf(tip.angle),
            tip.at.1 + tip.length * libm::sinf(tip.angle),
        );
        let end = tip.half * 0.80;
        self.0.push(Stretch {
            from: tip.at,
            to,
            half: (tip.half, end),
        });
        if tip.generations == 0 {
            return;
        }
        let trunk = Tip {
            at: to,
            angle: tip.angle + stream.range(-0.18, 0.18) as f32,
            length: tip.length * stream.range(0.85, 1.05) as f32,
            half: end,
            generations: tip.generations - 1,
        };
        self.grow(stream, side, trunk);
        let turn = stream.range(0.35, 0.75) as f32;
        let turn = if stream.uniform() < 0.5 { turn } else { -turn };
        if let Some(generations) = tip.generations.checked_sub(2) {
            let twig = Tip {
                at: to,
                angle: tip.angle + turn,
                length: trunk.length * 0.8,
                half: end * 0.66,
                generations,
            };
            self.grow(stream, side, twig);
        }
    }

    /// Thickness of vessels in each pixel of an `n`-wide picture.
    pub(crate) fn layer(&self, pose: &Pose, n: usize) -> Vec<f32> {
        let mut layer = vec![0.0f32; n * n];
        let pixel = 1.0 / n as f32;
        for stretch in &self.0 {
            let (from, to) = (pose.to_film(stretch.from), pose.to_film(stretch.to));
            draw(
                &mut layer,
                n,
                pixel,
                &Stretch {
                    from,
                    to,
                    half: stretch.half,
                },
            );
        }
        layer
    }
}

fn draw(layer: &mut [f32], n: usize, pixel: f32, stretch: &Stretch) {
    let ((ax, ay), (bx, by)) = (stretch.from, stretch.to);
    let margin = stretch.half.0.max(pixel) + pixel;
    let bound = |value: f32| (((value + 1.0) * 0.5 * n as f32).max(0.0) as usize).min(n);
    let columns = bound(ax.min(bx) - margin)..bound(ax.max(bx) + margin);
    let rows = bound(ay.min(by) - margin)..bound(ay.max(by) + margin);
    let (dx, dy) = (bx - ax, by - ay);
    let squared_length = (dx * dx + dy * dy).max(1e-9);
    for row in rows {
        let y = (row as f32 + 0.5) * 2.0 * pixel - 1.0;
        for column in columns.clone() {
            let x = (column as f32 + 0.5) * 2.0 * pixel - 1.0;
            let along = (((x - ax) * dx + (y - ay) * dy) / squared_length).clamp(0.0, 1.0);
            let (ex, ey) = (x - ax - along * dx, y - ay - along * dy);
            let half = stretch.half.0 + (stretch.half.1 - stretch.half.0) * along;
            let (drawn, weight) = stroke(half, pixel * 1.2);
            let value = 2.0 * half * weight * bump((ex * ex + ey * ey) / (drawn * drawn * 1.7));
            let place = &mut layer[row * n + column];
            *place = place.max(value);
        }
    }
}
