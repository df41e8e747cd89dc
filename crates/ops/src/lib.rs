//! The differentiable operations that candle lacks or gets wrong, as candle custom ops.
//!
//! For networks written with candle that shall train on a CPU, or with the feature `cuda` on a
//! card: convolution, pooling, batch normalisation, ReLU, linear layers, dropout, the loss and
//! Adam, in f32, activations NCHW and weights OIHW as in PyTorch. Same bits for any number of
//! threads. The arithmetic is in [`kernels`], functions over slices without candle, and in
//! [`nhwc`], convolutions with what surrounds them for networks that are run layer by layer,
//! without candle's graph. [`device`] has the functions of a training step on a card. Deliberately
//! not here: networks, running statistics, schedules.
//!
//! ```
//! use candle_core::{Device, Tensor, Var};
//! use cxr_ops::{Conv2dGeometry, Pool2dGeometry, conv2d, max_pool2d, relu};
//! # fn main() -> cxr_ops::Result<()> {
//! let image = Tensor::arange(0f32, 20.0, &Device::Cpu)?.reshape((1, 1, 5, 4))?;
//! let kernel = Var::ones((1, 1, 2, 2), candle_core::DType::F32, &Device::Cpu)?;
//! let edges = conv2d(&image, &kernel, None, Conv2dGeometry { stride: 1, padding: 0 })?;
//! let pooled = max_pool2d(&relu(&edges)?, Pool2dGeometry { kernel: 2, stride: 2, padding: 0 })?;
//! assert_eq!(pooled.dims(), [1, 1, 2, 1]);
//! assert_eq!(pooled.flatten_all()?.to_vec1::<f32>()?, [30.0, 62.0]); // 5+6+9+10, 13+14+17+18
//! let gradients = pooled.sum_all()?.backward()?;
//! let of_kernel = gradients.get(&kernel).map(|gradient| gradient.flatten_all()?.to_vec1::<f32>());
//! assert_eq!(of_kernel.transpose()?, Some(vec![18.0, 20.0, 26.0, 28.0]));
//! # Ok(())
//! # }
//! ```

mod adam;
mod batch_norm;
mod bce;
#[cfg(feature = "cuda")]
mod card;
mod conv;
pub mod device;
mod dropout;
mod error;
mod inputs;
pub mod kernels;
mod linear;
pub mod nhwc;
mod pool;
mod relu;

pub use adam::{AdamMoments, adam_step, adam_step_with, adam_update};
pub use batch_norm::{BatchNormOutput, batch_norm_eval, batch_norm_train};
pub use bce::bce_with_logits;
#[cfg(feature = "cuda")]
pub use card::set_card_precision;
pub use conv::{Conv2dGeometry, conv2d};
pub use dropout::dropout;
pub use error::{OpError, Result};
pub use kernels::adam::{AdamParameters, WeightDecay};
pub use kernels::dropout::DropoutKey;
pub use linear::linear;
pub use pool::{Pool2dGeometry, avg_pool_global, max_pool2d};
pub use relu::relu;
