//! Sizes and settings that device functions take.

use crate::kernels::Window;
use crate::kernels::adam::AdamParameters;
use crate::kernels::adam::Factors;

/// The type of maps and kernels, and how their products are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// f32 throughout.
    F32,
    /// f32 in memory; products in TF32 (10 bits of mantissa), sums in f32.
    Tf32,
    /// bf16 in memory; sums in f32; the weights that Adam moves stay f32.
    Bf16,
}

impl Precision {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::F32, Self::Tf32, Self::Bf16];

    /// Channels of the input map: the three colours and zeros, a load of 16 bytes.
    #[must_use]
    pub fn input_channels(self) -> usize {
        match self {
            Self::F32 | Self::Tf32 => 4,
            Self::Bf16 => 8,
        }
    }

    /// Bytes of a number of a map.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::Tf32 => 4,
            Self::Bf16 => 2,
        }
    }

    /// `f32`, `tf32`, `bf16`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }
}

/// How the algorithm of a convolution is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Planning {
    /// By the library's rules: the same in every run.
    #[default]
    Heuristic,
    /// The fastest of a trial when a shape is first met: two runs may choose differently, and then
    /// differ in last bits.
    Measured,
}

impl Planning {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Heuristic, Self::Measured];

    /// `heuristic`, `measured`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Heuristic => "heuristic",
            Self::Measured => "measured",
        }
    }
}

/// Reads and writes a setting as the word that [`Precision::as_str`] and [`Planning::as_str`] give.
macro_rules! as_word {
    ($setting:ident) => {
        impl std::fmt::Display for $setting {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $setting {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                let fitting = Self::ALL.into_iter().find(|one| one.as_str() == word);
                fitting.ok_or_else(|| {
                    let known = Self::ALL.map(Self::as_str).join(", ");
                    format!("`{word}` is none of {known}")
                })
            }
        }
    };
}
as_word!(Precision);
as_word!(Planning);

/// A map as a matrix: its places in rows, its channels in columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rows {
    /// Images × height × width.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
}

impl Rows {
    /// Numbers in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows * self.channels
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A part of a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Part {
    /// Its first number.
    pub start: usize,
    /// How many.
    pub len: usize,
}

impl Part {
    /// The first `len` numbers.
    #[must_use]
    pub fn first(len: usize) -> Self {
        Self { start: 0, len }
    }

    /// The place behind its last number.
    #[must_use]
    pub fn end(&self) -> usize {
        self.start + self.len
    }
}

/// A pooling over every channel of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolShape {
    /// Images in the batch.
    pub images: usize,
    /// Channels.
    pub channels: usize,
    /// How the window slides; at most 255 places.
    pub window: Window,
}

impl PoolShape {
    /// Numbers in the input.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.images * self.window.input_places() * self.channels
    }

    /// Numbers in the output.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.images * self.window.output_places() * self.channels
    }
}

/// Where the numbers of a batch norm begin: weight and bias among the vectors, mean and variance
/// among the running statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NormPlaces {
    /// γ.
    pub weight: usize,
    /// β.
    pub bias: usize,
    /// The running mean.
    pub running_mean: usize,
    /// The running variance.
    pub running_variance: usize,
}

/// What follows a norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// Nothing.
    None,
    /// max(x, 0); not a number stays one.
    Relu,
}

/// The numbers that a step of Adam multiplies with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamFactors([f32; Self::LEN]);

impl AdamFactors {
    /// How many there are.
    pub const LEN: usize = 8;

    /// Those of step `step`, counted from 1, worked out in f64.
    #[must_use]
    pub fn new(step: u64, settings: &AdamParameters) -> Self {
        let factors = Factors::new(step, settings);
        Self([
            factors.kept_parameter,
            factors.coupled_decay,
            factors.fresh_mean,
            factors.kept_square,
            factors.fresh_square,
            factors.root_correction,
            factors.epsilon,
            factors.step_size,
        ])
    }

    /// 1 − lr·decoupled decay, coupled decay, 1 − β₁, β₂, 1 − β₂, √(1 − β₂ᵗ), ε, lr ÷ (1 − β₁ᵗ).
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }
}
