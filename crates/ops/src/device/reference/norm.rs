//! Batch norm over the rows of a map, with ReLU and shortcut, and the way back.

use super::super::{Activation, Gate, NORM_EPSILON, NORM_MOMENTUM, NormPlaces, Rows, Shortcut};
use super::{Numbers, Real, Reference};

/// The saved numbers [4, C] of a norm, by channel.
pub(super) struct Saved<'a, F> {
    numbers: &'a Numbers<F>,
    channels: usize,
}

impl<'a, F: Real> Saved<'a, F> {
    pub(super) fn new(numbers: &'a Numbers<F>, channels: usize) -> Self {
        Self { numbers, channels }
    }

    fn mean(&self, channel: usize) -> f64 {
        self.numbers.at(channel)
    }

    fn inverse_deviation(&self, channel: usize) -> f64 {
        self.numbers.at(self.channels + channel)
    }

    fn scale(&self, channel: usize) -> f64 {
        self.numbers.at(2 * self.channels + channel)
    }

    fn normed(&self, channel: usize, x: f64) -> f64 {
        self.scale(channel) * x + self.numbers.at(3 * self.channels + channel)
    }

    /// (x − mean) ÷ deviation.
    pub(super) fn standardized(&self, channel: usize, x: f64) -> f64 {
        (x - self.mean(channel)) * self.inverse_deviation(channel)
    }
}

/// max(x, 0); not a number stays one.
pub(super) fn relu(x: f64) -> f64 {
    if x <= 0.0 { 0.0 } else { x }
}

/// Mean and mean squared deviation of each channel.
fn moments<T: Real>(of: Rows, input: &Numbers<T>) -> Vec<[f64; 2]> {
    let column =
        |channel: usize| (0..of.rows).map(move |row| input.at(row * of.channels + channel));
    let rows = of.rows as f64;
    (0..of.channels)
        .map(|channel| {
            let mean = column(channel).sum::<f64>() / rows;
            let squares = column(channel).map(|x| (x - mean) * (x - mean));
            [mean, squares.sum::<f64>() / rows]
        })
        .collect()
}

pub(super) fn measure<T: Real>(
    of: Rows,
    input: &Numbers<T>,
    vectors: &Numbers<T::Float>,
    running: &mut Numbers<T::Float>,
    places: NormPlaces,
    saved: &mut Numbers<T::Float>,
) {
    let moments = moments(of, input);
    save(&moments, vectors, places, saved);
    let unbiased = of.rows as f64 / (of.rows as f64 - 1.0);
    let fresh: Vec<[f64; 2]> = moments
        .iter()
        .map(|&[mean, variance]| [mean, variance * unbiased])
        .map(|moments| moments.map(|moment| T::Float::from_f64(moment).to_f64()))
        .collect();
    if fresh.as_flattened().iter().all(|moment| moment.is_finite()) {
        for (channel, [mean, variance]) in fresh.into_iter().enumerate() {
            move_towards(running, places.running_mean + channel, mean);
            move_towards(running, places.running_variance + channel, variance);
        }
    }
}

fn move_towards<F: Real>(running: &mut Numbers<F>, place: usize, fresh: f64) {
    let old = running.at(place);
    running.put(place, (1.0 - NORM_MOMENTUM) * old + NORM_MOMENTUM * fresh);
}

pub(super) fn of_running<F: Real>(
    channels: usize,
    vectors: &Numbers<F>,
    running: &Numbers<F>,
    places: NormPlaces,
    saved: &mut Numbers<F>,
) {
    let moments: Vec<[f64; 2]> = (0..channels)
        .map(|channel| {
            [places.running_mean, places.running_variance].map(|start| running.at(start + channel))
        })
        .collect();
    save(&moments, vectors, places, saved);
}

fn save<F: Real>(
    moments: &[[f64; 2]],
    vectors: &Numbers<F>,
    places: NormPlaces,
    saved: &mut Numbers<F>,
) {
    let channels = moments.len();
    for (channel, &[mean, variance]) in moments.iter().enumerate() {
        let inverse_deviation = 1.0 / (variance + NORM_EPSILON).sqrt();
        let scale = vectors.at(places.weight + channel) * inverse_deviation;
        let shift = vectors.at(places.bias + channel) - mean * scale;
        let numbers = [mean, inverse_deviation, scale, shift];
        for (row, number) in numbers.into_iter().enumerate() {
            saved.put(row * channels + channel, number);
        }
    }
}

pub(super) fn apply<T: Real>(
    of: Rows,
    input: &Numbers<T>,
    saved: &Numbers<T::Float>,
    shortcut: &Shortcut<'_, Reference<T>>,
    activation: Activation,
    output: &mut Numbers<T>,
) {
    let norm = Saved::new(saved, of.channels);
    for place in 0..of.len() {
        let channel = place % of.channels;
        let beside = match shortcut {
            Shortcut::None => 0.0,
            Shortcut::Map(map) => map.at(place),
            Shortcut::Norm(map, saved) => {
                Saved::new(saved, of.channels).normed(channel, map.at(place))
            }
        };
        let sum = norm.normed(channel, input.at(place)) + beside;
        let activated = match activation {
            Activation::None => sum,
            Activation::Relu => relu(sum),
        };
        output.put(place, activated);
    }
}

/// Whether a gradient comes through the gate at a place.
fn is_open<T: Real>(
    gate: &Gate<'_, Reference<T>>,
    norm: &Saved<'_, T::Float>,
    input: &Numbers<T>,
    place: usize,
) -> bool {
    match gate {
        Gate::Open => true,
        Gate::Norm => norm.normed(place % norm.channels, input.at(place)) > 0.0,
        Gate::Map(activation) => activation.at(place) > 0.0,
    }
}

/// Per channel: Σ g and Σ g·x̂. Closes a gate of a map over the gradient.
pub(super) fn backward_sums<T: Real>(
    of: Rows,
    gradient: &mut Numbers<T>,
    gate: &Gate<'_, Reference<T>>,
    input: &Numbers<T>,
    saved: &Numbers<T::Float>,
) -> Vec<[f64; 2]> {
    let norm = Saved::new(saved, of.channels);
    let mut sums = vec![[0.0; 2]; of.channels];
    for place in 0..of.len() {
        let channel = place % of.channels;
        if is_open(gate, &norm, input, place) {
            let g = gradient.at(place);
            sums[channel][0] += g;
            sums[channel][1] += g * norm.standardized(channel, input.at(place));
        } else if let Gate::Map(_) = gate {
            gradient.put(place, 0.0);
        }
    }
    sums
}

/// Gradients of weight and bias, and the factors of the input's gradient, from those sums.
pub(super) fn finish_sums<F: Real>(
    sums: &[[f64; 2]],
    rows: usize,
    (vectors, places): (&Numbers<F>, NormPlaces),
    saved: &Numbers<F>,
    vector_gradients: &mut Numbers<F>,
    factors: &mut Numbers<F>,
) {
    let (channels, rows) = (sums.len(), rows as f64);
    let norm = Saved::new(saved, channels);
    for (channel, &[sum, by_standardized]) in sums.iter().enumerate() {
        vector_gradients.put(places.weight + channel, by_standardized);
        vector_gradients.put(places.bias + channel, sum);
        let inverse = norm.inverse_deviation(channel);
        let scale = vectors.at(places.weight + channel) * inverse;
        let slope = scale * inverse * by_standardized / rows;
        factors.put(channel, scale);
        factors.put(channels + channel, -slope);
        let constant = slope * norm.mean(channel) - scale * sum / rows;
        factors.put(2 * channels + channel, constant);
    }
}

pub(super) fn fixed_factors<F: Real>(
    channels: usize,
    saved: &Numbers<F>,
    factors: &mut Numbers<F>,
) {
    let norm = Saved::new(saved, channels);
    for channel in 0..channels {
        factors.put(channel, norm.scale(channel));
        factors.put(channels + channel, 0.0);
        factors.put(2 * channels + channel, 0.0);
    }
}

pub(super) fn backward<T: Real>(
    of: Rows,
    gradient: &Numbers<T>,
    gate: &Gate<'_, Reference<T>>,
    input: &Numbers<T>,
    (saved, factors): (&Numbers<T::Float>, &Numbers<T::Float>),
    output: &mut Numbers<T>,
) {
    let norm = Saved::new(saved, of.channels);
    for place in 0..of.len() {
        let g = if is_open(gate, &norm, input, place) {
            gradient.at(place)
        } else {
            0.0
        };
        output.put(place, by_factors(factors, of.channels, place, g, input));
    }
}

/// factors₀·g + factors₁·x + factors₂ at a place.
pub(super) fn by_factors<T: Real>(
    factors: &Numbers<T::Float>,
    channels: usize,
    place: usize,
    gradient: f64,
    input: &Numbers<T>,
) -> f64 {
    let channel = place % channels;
    factors.at(channel) * gradient
        + factors.at(channels + channel) * input.at(place)
        + factors.at(2 * channels + channel)
}

pub(super) fn close_gate<T: Real>(len: usize, activation: &Numbers<T>, gradient: &mut Numbers<T>) {
    for place in 0..len {
        // Behind what is not a number nothing comes through.
        let is_open = activation.at(place) > 0.0;
        if !is_open {
            gradient.put(place, 0.0);
        }
    }
}
