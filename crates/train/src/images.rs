//! The normalised images of a batch, lent by a loader whose memory they are or held by themselves.

use candle_core::{DType, Device, Tensor};
use cxr_augment::Filled;
use cxr_ops::nhwc::{MapSize, Planes};

use crate::train_error::TrainError;

/// f32 `[B, 3, H, W]`.
#[derive(Debug)]
pub struct Images<'b> {
    numbers: Numbers<'b>,
    height: usize,
    width: usize,
}

#[derive(Debug)]
enum Numbers<'b> {
    Lent(Filled<'b>),
    Held(Vec<f32>),
}

const CHANNELS: usize = 3;

impl<'b> Images<'b> {
    /// Images of a buffer whose length is a multiple of 3 × height × width.
    pub(crate) fn lent(filled: Filled<'b>, height: usize, width: usize) -> Self {
        Self {
            numbers: Numbers::Lent(filled),
            height,
            width,
        }
    }

    /// A copy of a tensor `[B, 3, H, W]` of f32.
    ///
    /// # Errors
    /// Another type or another number of axes.
    pub fn of_tensor(images: &Tensor) -> Result<Self, TrainError> {
        let (_, _, height, width) = images.dims4()?;
        let numbers = images.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        Ok(Self {
            numbers: Numbers::Held(numbers),
            height,
            width,
        })
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers().len() / (CHANNELS * self.height * self.width).max(1)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers().is_empty()
    }

    /// The numbers, `[B, 3, H, W]`, row-major.
    #[must_use]
    pub fn numbers(&self) -> &[f32] {
        match &self.numbers {
            Numbers::Lent(filled) => filled,
            Numbers::Held(numbers) => numbers,
        }
    }

    /// Height and width.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// As the layer-wise step takes them; nothing is copied.
    #[must_use]
    pub fn planes(&self) -> Planes<'_> {
        Planes {
            size: MapSize {
                height: self.height,
                width: self.width,
                channels: CHANNELS,
            },
            data: self.numbers(),
        }
    }

    /// A copy as a tensor `[B, 3, H, W]`, which candle's graph may keep.
    ///
    /// # Errors
    /// The copy cannot be allocated.
    pub fn tensor(&self) -> Result<Tensor, TrainError> {
        let shape = (self.len(), CHANNELS, self.height, self.width);
        Ok(Tensor::from_slice(self.numbers(), shape, &Device::Cpu)?)
    }
}
