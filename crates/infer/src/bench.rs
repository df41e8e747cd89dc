//! Inference on made-up images, again and again: what `bench infer` measures. The clock is handed
//! in.

use candle_core::{Device, Tensor};
use cxr_models::{
    Compute, DevicePredictor, DeviceUser, Folded, FoldedMemory, Mode, ModelConfig, Network,
};
use cxr_ops::device::Device as CardDevice;
use cxr_ops::nhwc::Isa;

use crate::infer_error::InferError;
use crate::made_up_pictures::MadeUpPictures;

/// Which way the logits are worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InferFront {
    /// Batch norms folded, layer by layer, with this instruction set.
    Folded(Isa),
    /// The network as it trains, by custom operations.
    Graph,
}

/// What is measured.
#[derive(Clone, Debug)]
pub struct InferBench {
    /// The network; its size is the images'.
    pub model: ModelConfig,
    /// Images in a batch.
    pub batch: usize,
    /// Batches that count; two before them do not.
    pub steps: usize,
    /// Which way.
    pub front: InferFront,
}

/// Batches before those that count.
const WARMUP: usize = 2;

impl InferBench {
    /// The seconds of each batch, from normalised images to logits; `clock` gives seconds from any
    /// fixed moment on.
    ///
    /// # Errors
    /// A network that does not exist, or fails.
    pub fn run(&self, clock: &dyn Fn() -> f64) -> Result<Vec<f64>, InferError> {
        let network = Network::new(&self.model, 0)?;
        let shape = (self.batch, 3, self.model.height, self.model.width);
        let n = self.batch * 3 * self.model.height * self.model.width;
        let pixels = (0..n)
            .map(|i| (i % 251) as f32 / 50.0 - 2.5)
            .collect::<Vec<_>>();
        let images = Tensor::from_vec(pixels, shape, &Device::Cpu)?; // [B, 3, H, W]
        let folded = match self.front {
            InferFront::Folded(isa) => Some(Folded::new(&network, isa)?),
            InferFront::Graph => None,
        };
        let mut memory = FoldedMemory::default();
        let mut times = Vec::new();
        for _ in 0..WARMUP + self.steps {
            let began = clock();
            match &folded {
                Some(folded) => drop(folded.logits(&images, &mut memory)?),
                None => drop(network.forward(&images, Mode::Eval)?),
            }
            times.push(clock() - began);
        }
        Ok(times.split_off(WARMUP))
    }

    /// The same on a device, from grey pictures that stay there to logits; `None` on the processor.
    ///
    /// # Errors
    /// No such device; a network that does not exist, or fails.
    pub fn run_on_device(
        &self,
        compute: &Compute,
        clock: &dyn Fn() -> f64,
    ) -> Result<Option<Vec<f64>>, InferError> {
        compute
            .with_device(OnDevice { bench: self, clock })?
            .transpose()
    }
}

struct OnDevice<'a> {
    bench: &'a InferBench,
    clock: &'a dyn Fn() -> f64,
}

impl DeviceUser for OnDevice<'_> {
    type Output = Result<Vec<f64>, InferError>;

    fn with<D: CardDevice>(self, device: D) -> Self::Output {
        let Self { bench, clock } = self;
        let network = Network::new(&bench.model, 0)?;
        let mut predictor = DevicePredictor::new(device.clone(), &network, bench.batch)?;
        let byte = |place: usize| (place % 251) as u8;
        let pictures = MadeUpPictures::new(&device, &bench.model, bench.batch, byte)?;
        let mut times = Vec::new();
        for _ in 0..WARMUP + bench.steps {
            let began = clock();
            predictor.logits(pictures.images())?;
            times.push(clock() - began);
        }
        Ok(times.split_off(WARMUP))
    }
}
