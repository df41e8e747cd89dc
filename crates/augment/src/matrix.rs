//! The inverse matrices (output place to input place) of Pillow's rotation and torchvision's
//! affine transform, with their very roundings.

/// a, b, c, d, e, f of x' = a·x + b·y + c, y' = d·x + e·y + f.
pub(crate) type Matrix = [f64; 6];

/// Pillow's `Image.rotate` about the centre: `degrees` counter-clockwise.
pub(crate) fn rotation(degrees: f64, width: usize, height: usize) -> Matrix {
    let angle = -degrees.rem_euclid(360.0).to_radians();
    let (sin, cos) = (libm::sin(angle), libm::cos(angle));
    let (centre_x, centre_y) = (width as f64 / 2.0, height as f64 / 2.0);
    let [a, b] = [rounded_15(cos), rounded_15(sin)];
    let [d, e] = [rounded_15(-sin), rounded_15(cos)];
    let c = a * -centre_x + b * -centre_y + 0.0;
    let f = d * -centre_x + e * -centre_y + 0.0;
    [a, b, c + centre_x, d, e, f + centre_y]
}

/// torchvision's `_get_inverse_affine_matrix` with angle 0 and no vertical shear.
pub(crate) fn affine(
    (tx, ty): (i32, i32),
    scale: f64,
    shear_x_degrees: f64,
    (width, height): (usize, usize),
) -> Matrix {
    let (centre_x, centre_y) = (width as f64 * 0.5, height as f64 * 0.5);
    let (tx, ty) = (f64::from(tx), f64::from(ty));
    let shear = libm::tan(shear_x_degrees.to_radians());
    let [a, b, d, e] = [1.0 / scale, shear / scale, 0.0 / scale, 1.0 / scale];
    let c = a * (-centre_x - tx) + b * (-centre_y - ty);
    let f = d * (-centre_x - tx) + e * (-centre_y - ty);
    [a, b, c + centre_x, d, e, f + centre_y]
}

/// First `inner`, then `outer`, as one matrix.
pub(crate) fn composed(outer: &Matrix, inner: &Matrix) -> Matrix {
    let [a, b, c, d, e, f] = *outer;
    let [p, q, r, s, t, u] = *inner;
    [
        a * p + b * s,
        a * q + b * t,
        a * r + b * u + c,
        d * p + e * s,
        d * q + e * t,
        d * r + e * u + f,
    ]
}

/// Python's `round(value, 15)`: the nearest decimal, ties to even of the exact binary value.
fn rounded_15(value: f64) -> f64 {
    // Both steps are exactly rounded, which no arithmetic with powers of ten is.
    format!("{value:.15}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values printed by Pillow 13 and torchvision 0.26 (repr of Python floats).
    #[test]
    fn matrices_equal_those_of_pillow_and_torchvision() {
        let bits = |matrix: Matrix| matrix.map(|v| (v + 0.0).to_bits());
        assert_eq!(
            bits(rotation(-13.37, 48, 32)),
            bits(ROTATION_OF_MINUS_13_37_DEGREES_48_BY_32)
        );
        assert_eq!(
            bits(affine((12, -45), 1.137, -11.9, (48, 32))),
            bits(AFFINE_12_MINUS_45_48_BY_32)
        );
    }

    const ROTATION_OF_MINUS_13_37_DEGREES_48_BY_32: Matrix = [
        0.972897087776357,
        0.231238527491167,
        -3.0493465464912397,
        -0.231238527491167,
        0.972897087776357,
        5.983371255366297,
    ];
    const AFFINE_12_MINUS_45_48_BY_32: Matrix = [
        0.8795074758135444,
        -0.1853412951353882,
        -13.037166688213858,
        0.0,
        0.8795074758135444,
        41.505716798592786,
    ];
}
