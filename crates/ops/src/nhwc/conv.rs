//! A convolution of a known shape: which algorithm serves it, and its three directions.

use crate::kernels::Window;
use crate::kernels::conv::ConvShape;

use super::bands::{MapSize, Source};
use super::direct::Direct;
use super::panels::grown;
use super::sinks::Sink;
use super::winograd::{Direction, GRAIN, SIDE, Winograd};
use cxr_isa::Isa;

/// How a direction of a convolution is worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Windows read in place, for any shape.
    Direct,
    /// F(4×4, 3×3).
    Winograd,
}

impl Algorithm {
    /// The word for it in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Winograd => "winograd",
        }
    }
}

/// The algorithms of the three directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithms {
    /// Of the output.
    pub forward: Algorithm,
    /// Of the input gradient.
    pub input_gradient: Algorithm,
    /// Of the weight gradient.
    pub weight_gradient: Algorithm,
}

impl Algorithms {
    /// The one place that chooses, by measurement (`cxr bench ops`, docs/results.md): Winograd
    /// wherever it applies, which is 3×3 at stride 1, padding up to 2, channels in sixteens.
    #[must_use]
    pub fn of(shape: &ConvShape) -> Self {
        let window = &shape.window;
        let applies = window.kernel == [SIDE; 2]
            && window.stride == 1
            && window.padding.iter().all(|&padding| padding < SIDE)
            && shape.channels.is_multiple_of(GRAIN)
            && shape.out_channels.is_multiple_of(GRAIN);
        let algorithm = if applies {
            Algorithm::Winograd
        } else {
            Algorithm::Direct
        };
        Self {
            forward: algorithm,
            input_gradient: algorithm,
            weight_gradient: algorithm,
        }
    }

    /// The direct one everywhere.
    #[must_use]
    pub const fn direct() -> Self {
        Self {
            forward: Algorithm::Direct,
            input_gradient: Algorithm::Direct,
            weight_gradient: Algorithm::Direct,
        }
    }
}

/// What counts where several algorithms serve a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preference {
    /// Speed: [`Algorithms::of`].
    Fastest,
    /// Little rounding: direct sums, a tenth of the error of F(4×4, 3×3).
    Exact,
}

/// How convolutions are run; made of an [`Isa`] alone, the fastest way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kernels {
    /// The instruction set.
    pub isa: Isa,
    /// What counts.
    pub preference: Preference,
}

impl From<Isa> for Kernels {
    fn from(isa: Isa) -> Self {
        Self {
            isa,
            preference: Preference::Fastest,
        }
    }
}

impl Kernels {
    /// The least rounding that this instruction set allows.
    #[must_use]
    pub const fn exact(isa: Isa) -> Self {
        Self {
            isa,
            preference: Preference::Exact,
        }
    }
}

/// A convolution of maps [N, H, W, I] with a kernel [O, I, kh, kw] (PyTorch's layout) into maps
/// [N, H′, W′, O].
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    isa: Isa,
    shape: ConvShape,
    algorithms: Algorithms,
}

impl Conv {
    /// With the algorithms that suit the shape and the preference.
    ///
    /// # Panics
    /// A batch without an image.
    #[must_use]
    pub fn new(kernels: impl Into<Kernels>, shape: ConvShape) -> Self {
        let Kernels { isa, preference } = kernels.into();
        let algorithms = match preference {
            Preference::Fastest => Algorithms::of(&shape),
            Preference::Exact => Algorithms::direct(),
        };
        Self::with_algorithms(isa, shape, algorithms)
    }

    /// With given algorithms, for comparison. Winograd where it does not apply becomes direct.
    ///
    /// # Panics
    /// A batch without an image.
    #[must_use]
    pub fn with_algorithms(isa: Isa, shape: ConvShape, wanted: Algorithms) -> Self {
        assert!(shape.images > 0, "a batch has at least one image");
        let able = Algorithms::of(&shape);
        let reach = |wanted, able| {
            if able == Algorithm::Winograd {
                wanted
            } else {
                able
            }
        };
        Self {
            isa,
            shape,
            algorithms: Algorithms {
                forward: reach(wanted.forward, able.forward),
                input_gradient: reach(wanted.input_gradient, able.input_gradient),
                weight_gradient: reach(wanted.weight_gradient, able.weight_gradient),
            },
        }
    }

    /// Its sizes.
    #[must_use]
    pub fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// The algorithms of its directions.
    #[must_use]
    pub fn algorithms(&self) -> Algorithms {
        self.algorithms
    }

    /// What each image of the input is.
    #[must_use]
    pub fn input_size(&self) -> MapSize {
        let [height, width] = self.shape.window.input;
        MapSize {
            height,
            width,
            channels: self.shape.channels,
        }
    }

    /// What each image of the output is.
    #[must_use]
    pub fn output_size(&self) -> MapSize {
        let [height, width] = self.shape.window.output();
        MapSize {
            height,
            width,
            channels: self.shape.out_channels,
        }
    }

    fn direct(&self) -> Direct {
        let Window {
            kernel,
            stride,
            padding,
            ..
        } = self.shape.window;
        Direct {
            isa: self.isa,
            images: self.shape.images,
            input: self.input_size(),
            output: self.output_size(),
            kernel,
            stride,
            padding,
        }
    }

    fn winograd(&self) -> Winograd {
        Winograd {
            isa: self.isa,
            images: self.shape.images,
            input: self.input_size(),
            output: self.output_size(),
            padding: self.shape.window.padding,
        }
    }

    /// The input gradient as a convolution of the output gradient.
    fn winograd_backward(&self) -> Winograd {
        Winograd {
            input: self.output_size(),
            output: self.input_size(),
            padding: self.shape.window.padding.map(|padding| SIDE - 1 - padding),
            ..self.winograd()
        }
    }

    /// Packs `weight` [O, I, kh, kw] for [`Conv::forward`]; `packed` grows as needed.
    pub fn pack_forward(&self, weight: &[f32], packed: &mut Vec<f32>) {
        let (inputs, outputs) = (self.shape.channels, self.shape.out_channels);
        match self.algorithms.forward {
            Algorithm::Direct => {
                let direct = self.direct();
                direct.pack(weight, grown(packed, direct.layout().len()));
            }
            Algorithm::Winograd => {
                let len = Winograd::layout(self.isa, inputs, outputs).len();
                let packed = grown(packed, len);
                Winograd::pack(
                    self.isa,
                    [outputs, inputs],
                    Direction::Forward,
                    weight,
                    packed,
                );
            }
        }
    }

    /// Packs `weight` [O, I, kh, kw] for [`Conv::input_gradient`]; `packed` grows as needed.
    pub fn pack_backward(&self, weight: &[f32], packed: &mut Vec<f32>) {
        let (inputs, outputs) = (self.shape.channels, self.shape.out_channels);
        match self.algorithms.input_gradient {
            Algorithm::Direct => {
                let direct = self.direct();
                direct.pack_backward(weight, grown(packed, direct.backward_len()));
            }
            Algorithm::Winograd => {
                let len = Winograd::layout(self.isa, outputs, inputs).len();
                let packed = grown(packed, len);
                Winograd::pack(
                    self.isa,
                    [outputs, inputs],
                    Direction::Backward,
                    weight,
                    packed,
                );
            }
        }
    }

    /// Gives the output to `sink`, band by band. `packed` is of [`Conv::pack_forward`].
    pub fn forward(&self, packed: &[f32], input: &impl Source, sink: impl Sink) {
        assert_eq!(input.size(), self.input_size());
        match self.algorithms.forward {
            Algorithm::Direct => self.direct().run(packed, input, sink),
            Algorithm::Winograd => self.winograd().run(packed, input, sink),
        }
    }

    /// Gives the gradient of the input to `sink`. `packed` is of [`Conv::pack_backward`].
    pub fn input_gradient(&self, packed: &[f32], gradient: &impl Source, sink: impl Sink) {
        assert_eq!(gradient.size(), self.output_size());
        match self.algorithms.input_gradient {
            Algorithm::Direct => self.direct().input_gradient(packed, gradient, sink),
            Algorithm::Winograd => self.winograd_backward().run(packed, gradient, sink),
        }
    }

    /// Writes `weight_gradient` [O, I, kh, kw]. `memory` is working memory that grows as needed.
    pub fn weight_gradient(
        &self,
        input: &impl Source,
        gradient: &impl Source,
        memory: &mut Vec<f32>,
        weight_gradient: &mut [f32],
    ) {
        assert_eq!(input.size(), self.input_size());
        assert_eq!(gradient.size(), self.output_size());
        match self.algorithms.weight_gradient {
            Algorithm::Direct => {
                self.direct()
                    .weight_gradient(input, gradient, memory, weight_gradient);
            }
            Algorithm::Winograd => {
                self.winograd()
                    .weight_gradient(input, gradient, memory, weight_gradient);
            }
        }
    }
}
