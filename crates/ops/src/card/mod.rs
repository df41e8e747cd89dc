//! The custom operations for tensors on a card: what `cuda_fwd` and `bwd` do there.
//!
//! An operation checks its tensors, then hands those on a card to the function of its name here.
//! Forward and backward work on candle's stream, in candle's memory, without a copy: a [`Card`] is
//! a [`Cuda`] among candle's own work. Convolutions turn planes into rows of channels for cuDNN and
//! back; everything else works on planes as they lie. Deliberately not here: the kernels
//! (`device/cuda`), checks, and whole networks on a card, which are `cxr_models`' with far less
//! turning and waiting.
//!
//! candle's default device works on each thread's own default stream. Tensors that several threads
//! share need `Device::new_cuda_with_stream`.

mod conv;
mod elements;
mod lend;
mod linear;
mod loss;
mod norm;
mod optimizer;
mod pool;
mod settings;

use std::cell::RefCell;

use candle_core::cuda::DeviceId;
use candle_core::cuda::cudarc::driver::CudaStream;
use candle_core::{CpuStorage, CudaDevice, Device, Error, Result, Shape, Tensor};
use std::sync::Arc;

pub(crate) use conv::conv2d;
pub(crate) use elements::{dropout, relu};
pub(crate) use lend::read;
pub(crate) use linear::linear;
pub(crate) use loss::{Labels, bce_with_logits};
pub(crate) use norm::{BatchNorm, batch_norm, moments};
pub(crate) use optimizer::change;
pub(crate) use pool::{avg_pool_global, max_pool2d};
pub use settings::set_card_precision;

use crate::device::{Cuda, DeviceFault, Precision};

/// A card of candle's, with the functions of [`Cuda`] on the same stream.
struct Card {
    device: CudaDevice,
    stream: Arc<CudaStream>,
    cuda: Cuda,
}

/// The functions of a device that a thread has used.
struct Known {
    device: DeviceId,
    precision: Precision,
    cuda: Cuda,
}

thread_local! {
    /// One for each thread: working memory is used in the order of a stream, and candle's default
    /// stream is another one in each thread.
    static KNOWN: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

impl Card {
    /// The card of a storage; the first time in a thread its kernels are loaded.
    fn new(device: &CudaDevice) -> Result<Self> {
        let stream = device.cuda_stream();
        let precision = settings::precision();
        let cuda = KNOWN.with_borrow_mut(|known| {
            let is_it =
                |known: &&Known| known.device == device.id() && known.precision == precision;
            if let Some(found) = known.iter().find(is_it) {
                return Ok(found.cuda.clone());
            }
            let cuda = Cuda::sharing(&stream, precision)?;
            known.push(Known {
                device: device.id(),
                precision,
                cuda: cuda.clone(),
            });
            Ok::<_, Error>(cuda)
        })?;
        Ok(Self {
            device: device.clone(),
            stream,
            cuda,
        })
    }

    /// The card of a tensor.
    fn of(tensor: &Tensor) -> Result<Self> {
        match tensor.device() {
            Device::Cuda(device) => Self::new(device),
            _ => candle_core::bail!("the tensor does not lie on a card"),
        }
    }
}

impl From<DeviceFault> for Error {
    fn from(fault: DeviceFault) -> Self {
        Self::wrap(fault)
    }
}

/// What an operation for cards says of tensors on the CPU, which it never gets.
fn not_here(op: &'static str) -> Result<(CpuStorage, Shape)> {
    candle_core::bail!("{op}: this is the operation for tensors on a card")
}
