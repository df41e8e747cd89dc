//! Counter-based random numbers: every draw is a pure function of (seed, purpose, epoch, index).
//!
//! For whoever needs chance anywhere in the workspace: shuffles, augmentation, dropout, initial
//! weights, phantoms, resampling. There is no state to save and nothing that depends on the number
//! of threads. The generator is Philox4x32-10 (Salmon et al., SC'11, "Parallel random numbers: as
//! easy as 1, 2, 3"), the one that GPUs use too; its known answers are tested here.
//! Deliberately not here: cryptography, and distributions beyond uniform and normal.
//!
//! ```
//! use cxr_stream::{Purpose, Stream};
//! let mut first = Stream::new(7, Purpose::Augment, 3, 42);
//! let mut again = Stream::new(7, Purpose::Augment, 3, 42);
//! let mut other = Stream::new(7, Purpose::Shuffle, 3, 42);
//! let angle = first.range(-20.0, 20.0);
//! assert_eq!(angle, again.range(-20.0, 20.0));
//! assert_ne!(angle, other.range(-20.0, 20.0));
//! assert!((-20.0..20.0).contains(&angle));
//! ```

mod philox;

pub use philox::philox4x32;

/// What a draw is for. Each purpose has numbers of its own under the same seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Purpose {
    /// The order of radiographs in an epoch.
    Shuffle = 1,
    /// The random part of a transform.
    Augment = 2,
    /// Which activations are dropped.
    Dropout = 3,
    /// Initial weights.
    Init = 4,
    /// Which patient goes to which split.
    Split = 5,
    /// A synthetic patient's anatomy.
    PhantomPatient = 6,
    /// A synthetic radiograph's severity and labels.
    PhantomLabel = 7,
    /// A synthetic radiograph's pose, texture and noise.
    PhantomImage = 8,
    /// Resampling of patients.
    Bootstrap = 9,
    /// Numbers that tests draw.
    Test = 10,
}

/// Random numbers for one (seed, purpose, epoch, index), as many as are asked for.
///
/// Two streams that differ in any of the four never share numbers, as long as `epoch` is below 2²⁴
/// and `index` below 2⁴⁰. A stream holds 2³⁴ numbers of 32 bits before it repeats.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
}

impl Stream {
    /// The stream of numbers for these four.
    #[must_use]
    pub fn new(seed: u64, purpose: Purpose, epoch: u64, index: u64) -> Self {
        let [seed_low, seed_high] = halves(seed);
        let [index_low, index_high] = halves(index);
        let [epoch_low, _] = halves(epoch);
        let counter = [
            0,
            index_low,
            (index_high & 0xff) << 24 | (epoch_low & 0x00ff_ffff),
            purpose as u32,
        ];
        Self {
            key: [seed_low, seed_high],
            counter,
            block: [0; 4],
            used: 4,
        }
    }

    /// Counter and key of the first four numbers, for generators that draw elsewhere. The first
    /// word of the counter counts on.
    #[must_use]
    pub fn origin(seed: u64, purpose: Purpose, epoch: u64, index: u64) -> ([u32; 4], [u32; 2]) {
        let first = Self::new(seed, purpose, epoch, index);
        (first.counter, first.key)
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox4x32(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        let word = self.block[self.used];
        self.used += 1;
        word
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let low = u64::from(self.next_u32());
        low | u64::from(self.next_u32()) << 32
    }

    /// A number in [0, 1), a multiple of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A number in [0, 1), a multiple of 2⁻²⁴.
    pub fn uniform_f32(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / (1u32 << 24) as f32)
    }

    /// A number in [low, high).
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A standard normal number (Box–Muller, with `libm` so that every machine agrees on its bits).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        radius * libm::cos(core::f64::consts::TAU * self.uniform())
    }

    /// A whole number in 0..bound without bias (Lemire 2019). `bound` 0 gives 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let mut product = u128::from(self.next_u64()) * u128::from(bound);
        let threshold = bound.wrapping_neg().checked_rem(bound).unwrap_or(0);
        while (product as u64) < threshold {
            product = u128::from(self.next_u64()) * u128::from(bound);
        }
        (product >> 64) as u64
    }

    /// The numbers 0..n in random order (Fisher–Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for place in (1..n).rev() {
            order.swap(place, self.below(place as u64 + 1) as usize);
        }
        order
    }
}

fn halves(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_a_pure_function_of_its_four_names() {
        let draw = |s, p, e, i| Stream::new(s, p, e, i).next_u64();
        let reference = draw(1, Purpose::Augment, 2, 3);
        assert_eq!(reference, draw(1, Purpose::Augment, 2, 3));
        assert_ne!(reference, draw(9, Purpose::Augment, 2, 3));
        assert_ne!(reference, draw(1, Purpose::Dropout, 2, 3));
        assert_ne!(reference, draw(1, Purpose::Augment, 9, 3));
        assert_ne!(reference, draw(1, Purpose::Augment, 2, 9));
        assert_ne!(reference, draw(1, Purpose::Augment, 2, 3 | 1 << 33));
        assert_ne!(reference, draw(1 | 1 << 40, Purpose::Augment, 2, 3));
    }

    #[test]
    fn whoever_counts_on_from_the_origin_draws_the_same() {
        let (mut counter, key) = Stream::origin(3 | 1 << 50, Purpose::Dropout, 70_000, 5 << 30);
        let mut stream = Stream::new(3 | 1 << 50, Purpose::Dropout, 70_000, 5 << 30);
        for _ in 0..3 {
            let drawn = [(); 4].map(|()| stream.next_u32());
            assert_eq!(philox4x32(counter, key), drawn);
            counter[0] += 1;
        }
    }

    #[test]
    fn uniform_fills_its_range_evenly() {
        let mut stream = Stream::new(5, Purpose::Test, 0, 0);
        let mut bins = [0usize; 10];
        for _ in 0..100_000 {
            bins[(stream.uniform() * 10.0) as usize] += 1;
        }
        // Four standard deviations of a binomial(100 000, .1).
        assert!(bins.iter().all(|&n| n.abs_diff(10_000) < 380), "{bins:?}");
    }

    #[test]
    fn normal_has_mean_0_and_variance_1() {
        let mut stream = Stream::new(6, Purpose::Test, 0, 0);
        let n = 100_000;
        let draws: Vec<f64> = (0..n).map(|_| stream.normal()).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.013, "{mean}");
        assert!((variance - 1.0).abs() < 0.018, "{variance}");
    }

    #[test]
    fn a_permutation_holds_each_number_once_and_is_not_the_identity() {
        let order = Stream::new(7, Purpose::Shuffle, 1, 0).permutation(1000);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert_ne!(sorted, order);
    }

    #[test]
    fn below_is_unbiased_and_in_range() {
        let mut stream = Stream::new(8, Purpose::Test, 0, 0);
        let mut counts = [0usize; 3];
        for _ in 0..30_000 {
            counts[stream.below(3) as usize] += 1;
        }
        assert!(
            counts.iter().all(|&n| n.abs_diff(10_000) < 330),
            "{counts:?}"
        );
        assert_eq!(stream.below(0), 0);
        assert_eq!(stream.below(1), 0);
    }
}
