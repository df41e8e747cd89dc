//! `Compute`: where a network runs, as it is typed, and the device that it stands for.
//!
//! For commands and for whoever trains or predicts on a card. The device's type is known only here:
//! who needs it hands in a [`DeviceUser`]. Deliberately not here: networks, the environment.

use std::fmt;
use std::str::FromStr;

use cxr_ops::device::{Bf16, Device, Planning, Precision, Reference};

use crate::fault::ModelFault;

/// Where a network runs.
///
/// ```
/// use cxr_models::Place;
/// assert_eq!("cuda".parse(), Ok(Place::Cuda { ordinal: 0 }));
/// assert_eq!("cuda:3".parse(), Ok(Place::Cuda { ordinal: 3 }));
/// assert!("cuda:x".parse::<Place>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// This machine's processor.
    #[default]
    Cpu,
    /// An NVIDIA card.
    Cuda {
        /// Which one, counted from 0.
        ordinal: usize,
    },
    /// The device functions in plain loops on the processor: slow, the definition. For tests.
    Reference,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda { ordinal } => write!(f, "cuda:{ordinal}"),
            Self::Reference => f.write_str("reference"),
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let refuse = || format!("`{word}` is no device; say cpu, cuda or cuda:N");
        match word {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda { ordinal: 0 }),
            "reference" => Ok(Self::Reference),
            word => {
                let ordinal = word.strip_prefix("cuda:").ok_or_else(refuse)?;
                let ordinal = ordinal.parse().map_err(|_| refuse())?;
                Ok(Self::Cuda { ordinal })
            }
        }
    }
}

/// Where a network runs, and how a card computes there. The processor computes in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compute {
    /// Where.
    pub place: Place,
    /// The type of maps on a card.
    pub precision: Precision,
    /// How a card's convolutions are chosen.
    pub plans: Planning,
}

impl Default for Compute {
    fn default() -> Self {
        Self::on(Place::Cpu)
    }
}

/// What is done with a device, whichever it is.
pub trait DeviceUser {
    /// What comes of it.
    type Output;

    /// Does it.
    fn with<D: Device>(self, device: D) -> Self::Output;
}

impl Compute {
    /// In TF32, convolutions by the library's rules.
    #[must_use]
    pub fn on(place: Place) -> Self {
        Self {
            place,
            precision: Precision::Tf32,
            plans: Planning::Heuristic,
        }
    }

    /// Opens the device and hands it to `user`; `None` on the processor, which needs none.
    ///
    /// # Errors
    /// No such device, no driver, or a build without the feature `cuda`.
    pub fn with_device<U: DeviceUser>(&self, user: U) -> Result<Option<U::Output>, ModelFault> {
        match self.place {
            Place::Cpu => Ok(None),
            Place::Reference => Ok(Some(match self.precision {
                Precision::F32 | Precision::Tf32 => user.with(Reference::<f32>::new()),
                Precision::Bf16 => user.with(Reference::<Bf16>::new()),
            })),
            #[cfg(feature = "cuda")]
            Place::Cuda { ordinal } => {
                let cuda = cxr_ops::device::Cuda::new(ordinal, self.precision, self.plans)?;
                Ok(Some(user.with(cuda)))
            }
            #[cfg(not(feature = "cuda"))]
            Place::Cuda { .. } => Err(cxr_ops::device::DeviceFault::NoDevice {
                problem: format!("this build has no CUDA: `{}` cannot be used", self.place),
            }
            .into()),
        }
    }

    /// Opens the device and closes it again.
    ///
    /// # Errors
    /// As [`Compute::with_device`].
    pub fn check(&self) -> Result<(), ModelFault> {
        struct Look;
        impl DeviceUser for Look {
            type Output = ();
            fn with<D: Device>(self, _device: D) {}
        }
        self.with_device(Look).map(drop)
    }

    /// Whether cards can be used at all by this build.
    #[must_use]
    pub fn has_cuda() -> bool {
        cfg!(feature = "cuda")
    }
}
