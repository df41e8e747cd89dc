//! Curves that need no exponential: ramps, bumps, chords of ellipsoids.
//!
//! For everything that is drawn. All are IEEE operations on f32, hence the same bits everywhere.

/// 0 up to −1, 1 from 1, smooth between.
pub(crate) fn ramp(t: f32) -> f32 {
    let s = (t * 0.5 + 0.5).clamp(0.0, 1.0);
    s * s * (3.0 - 2.0 * s)
}

/// 1 at 0, 0 from 1: a bell over a squared distance.
pub(crate) fn bump(squared: f32) -> f32 {
    let rest = (1.0 - squared).max(0.0);
    rest * rest
}

/// Half the chord of a unit ball at a squared distance from its centre.
pub(crate) fn chord(squared: f32) -> f32 {
    (1.0 - squared).max(0.0).sqrt()
}

/// A quarter ellipse: 0 at 0 with a steep rise, 1 from 1.
pub(crate) fn arch(t: f32) -> f32 {
    let rest = 1.0 - t.clamp(0.0, 1.0);
    (1.0 - rest * rest).sqrt()
}

/// A line of half width `half` that stays visible and keeps its weight when it is thinner than a
/// pixel of half width `pixel`: (half width to draw, factor of its height).
pub(crate) fn stroke(half: f32, pixel: f32) -> (f32, f32) {
    let drawn = half.max(pixel);
    (drawn, half / drawn)
}

/// An ellipse that may be turned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ellipse {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) a: f32,
    pub(crate) b: f32,
    sin: f32,
    cos: f32,
}

impl Ellipse {
    pub(crate) fn new(x: f32, y: f32, a: f32, b: f32, angle: f32) -> Self {
        Self {
            x,
            y,
            a,
            b,
            sin: libm::sinf(angle),
            cos: libm::cosf(angle),
        }
    }

    /// Squared distance from the centre, 1 on the ellipse.
    pub(crate) fn squared(&self, x: f32, y: f32) -> f32 {
        let (dx, dy) = (x - self.x, y - self.y);
        let u = (dx * self.cos + dy * self.sin) / self.a;
        let v = (dy * self.cos - dx * self.sin) / self.b;
        u * u + v * v
    }
}
