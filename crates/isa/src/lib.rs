//! Which instruction set a loop runs with, chosen once at run time.
//!
//! For the crates with inner loops: `ops` (network) and `augment` (pictures). A loop has one body,
//! generic over [`pulp::Simd`], and is compiled for each set; plain code in it is vectorised by the
//! compiler. Whether the sets agree to the last bit is up to the loop and said there.
//! Deliberately not here: any loop.
//!
//! ```
//! use cxr_isa::Isa;
//! use pulp::{Simd, WithSimd};
//!
//! struct Halve<'a>(&'a mut [u8]);
//! impl WithSimd for Halve<'_> {
//!     type Output = ();
//!     #[inline(always)]
//!     fn with_simd<S: Simd>(self, _simd: S) {
//!         self.0.iter_mut().for_each(|byte| *byte /= 2);
//!     }
//! }
//! let mut bytes = [7; 100];
//! Isa::best().run(Halve(&mut bytes));
//! assert_eq!(bytes, [3; 100]);
//! ```

use std::fmt;
use std::str::FromStr;

use pulp::{Simd, WithSimd};

/// An instruction set that loops are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// 16 numbers at once, 32 registers.
    Avx512,
    /// 8 numbers at once with fused multiply-add, 16 registers.
    Avx2,
    /// Whatever the compiler makes of plain code, on any processor.
    Portable,
}

impl Isa {
    /// All of them, the widest first.
    pub const ALL: [Self; 3] = [Self::Avx512, Self::Avx2, Self::Portable];

    /// The widest that this processor has.
    #[must_use]
    pub fn best() -> Self {
        let mut all = Self::ALL.into_iter();
        all.find(|isa| isa.is_available()).unwrap_or(Self::Portable)
    }

    /// Whether this processor has it.
    #[must_use]
    pub fn is_available(self) -> bool {
        struct Nothing;
        impl WithSimd for Nothing {
            type Output = ();
            fn with_simd<S: Simd>(self, _simd: S) {}
        }
        self == Self::Portable || self.run_if_available(Nothing).is_ok()
    }

    /// The word for it on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        }
    }

    /// Numbers of f32 in a vector of [`Isa::run`].
    #[must_use]
    pub fn lanes(self) -> usize {
        struct Lanes;
        impl WithSimd for Lanes {
            type Output = usize;
            #[inline(always)]
            fn with_simd<S: Simd>(self, _simd: S) -> usize {
                S::F32_LANES
            }
        }
        self.run(Lanes)
    }

    /// Runs a loop with this set, or with the portable one where the processor lacks it.
    #[inline]
    pub fn run<Op: WithSimd>(self, op: Op) -> Op::Output {
        match self.run_if_available(op) {
            Ok(output) => output,
            Err(op) => PORTABLE.vectorize(op),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    fn run_if_available<Op: WithSimd>(self, op: Op) -> Result<Op::Output, Op> {
        match self {
            Self::Avx512 => match pulp::x86::V4::try_new() {
                Some(simd) => Ok(Simd::vectorize(simd, op)),
                None => Err(op),
            },
            Self::Avx2 => match pulp::x86::V3::try_new() {
                Some(simd) => Ok(Simd::vectorize(simd, op)),
                None => Err(op),
            },
            Self::Portable => Err(op),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    #[inline]
    fn run_if_available<Op: WithSimd>(self, op: Op) -> Result<Op::Output, Op> {
        Err(op)
    }
}

/// Four numbers at once: what every processor of the last twenty years has without asking.
const PORTABLE: pulp::Scalar128b = pulp::Scalar128b;

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|isa| isa.name() == word);
        known.ok_or_else(|| format!("unknown instruction set `{word}`: avx512, avx2 or portable"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_portable_set_is_everywhere_and_words_go_both_ways() {
        assert!(Isa::Portable.is_available());
        assert!(Isa::best().is_available());
        for isa in Isa::ALL {
            assert_eq!(isa.name().parse(), Ok(isa));
        }
        assert!("sse9".parse::<Isa>().is_err());
    }
}
