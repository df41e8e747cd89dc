//! A step of Adam, with the roundings of [`crate::kernels::adam`].

use super::super::Part;
use super::{Numbers, Real};

/// The arenas that a step moves.
pub(super) struct Arenas<'a, F> {
    pub(super) parameters: &'a mut Numbers<F>,
    pub(super) mean: &'a mut Numbers<F>,
    pub(super) mean_square: &'a mut Numbers<F>,
}

/// Moves a part of the arenas, unless the loss or the size of the gradients is not finite.
/// Whether it did.
pub(super) fn step<F: Real, G: Real>(
    part: Part,
    factors: &Numbers<F>,
    outcome: &Numbers<F>,
    gradients: &Numbers<G>,
    arenas: Arenas<'_, F>,
) -> bool {
    if !(outcome.at(0).is_finite() && outcome.at(1).is_finite()) {
        return false;
    }
    for place in part.start..part.end() {
        let moved = moved(
            factors,
            gradients.at(place),
            arenas.parameters.at(place),
            [arenas.mean.at(place), arenas.mean_square.at(place)],
        );
        arenas.parameters.put(place, moved[0]);
        arenas.mean.put(place, moved[1]);
        arenas.mean_square.put(place, moved[2]);
    }
    true
}

/// Parameter, mean and mean square after the step, each operation rounded by itself.
fn moved<F: Real>(
    factors: &Numbers<F>,
    gradient: f64,
    parameter: f64,
    [mean, square]: [f64; 2],
) -> [f64; 3] {
    let [
        kept,
        decay,
        fresh_mean,
        kept_square,
        fresh_square,
        correction,
        epsilon,
        step_size,
    ] = std::array::from_fn(|index| factors.at(index));
    // One operation in f64 rounded to f32 is that operation in f32.
    let to = |number: f64| F::from_f64(number).to_f64();
    let gradient = to(gradient + to(decay * parameter));
    let mean = to(mean + to(fresh_mean * to(gradient - mean)));
    let square = to(to(kept_square * square) + to(to(fresh_square * gradient) * gradient));
    let root = to(to(to(square.sqrt()) / correction) + epsilon);
    let parameter = to(to(parameter * kept) - to(to(step_size * mean) / root));
    [parameter, mean, square]
}
