//! Every stage of a transform as a picture with its statistics, for people to look at.
//!
//! For the `transform` command and reports. Deliberately not here: files.

use serde::Serialize;

use crate::decode::{Decoded, decode};
use crate::draw::AffineDraw;
use crate::image_fault::ImageFault;
use crate::image_warning::ImageWarning;
use crate::pixels::{Pixels, Statistics};
use crate::preprocess::Preprocess;
use crate::resize::resize;
use crate::spec_fault::{SpecFault, SpecFaults};
use crate::transform::EvalTransform;
use crate::warp::Warp;

/// One stage: what it is called, its picture, what its values are.
#[derive(Clone, Debug, Serialize)]
pub struct Stage {
    /// `decoded`, `resized`, `flipped`, `rotated` or `affine`.
    pub name: &'static str,
    /// The picture after it.
    #[serde(skip)]
    pub pixels: Pixels,
    /// Its size and its values ÷ 255.
    #[serde(flatten)]
    pub statistics: Statistics,
}

/// All stages of one image and the tensor at their end.
#[derive(Clone, Debug)]
pub struct Stages {
    /// The five stages in order.
    pub stages: Vec<Stage>,
    /// `[3, height, width]`, normalised: what the network sees.
    pub tensor: Vec<f32>,
    /// Of the tensor.
    pub tensor_statistics: Statistics,
    /// What was odd about the file.
    pub warnings: Vec<ImageWarning>,
}

/// Why the stages cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum StagesFault {
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageFault),
    /// The specification or the draw.
    #[error(transparent)]
    Spec(#[from] SpecFaults),
    /// A buffer, by a bug.
    #[error(transparent)]
    Buffer(#[from] SpecFault),
}

/// The stages of the image in `bytes` under `draw`; `AffineDraw::IDENTITY` shows what evaluation
/// sees.
///
/// # Errors
/// Where the image, the specification or the draw cannot be used.
pub fn stages(
    bytes: &[u8],
    name: &str,
    spec: &Preprocess,
    draw: &AffineDraw,
) -> Result<Stages, StagesFault> {
    draw.check()?;
    let transform = EvalTransform::new(spec.clone())?;
    let Decoded { pixels, warnings } = decode(bytes, name, spec)?;
    let (width, height) = (spec.width as usize, spec.height as usize);
    let resized = resize(&pixels, spec.width, spec.height);
    let none = AffineDraw::IDENTITY;
    let flip = AffineDraw {
        flip: draw.flip,
        ..none
    };
    let rotation = AffineDraw {
        angle: draw.angle,
        ..none
    };
    let affine = AffineDraw {
        flip: false,
        angle: 0.0,
        ..*draw
    };
    let step = |draw: &AffineDraw, pixels| Warp::new(draw, width, height).apply(pixels);
    let flipped = step(&flip, &resized);
    let rotated = step(&rotation, &flipped);
    let moved = step(&affine, &rotated);
    let mut tensor = vec![0.0; spec.tensor_len()];
    transform.apply(&moved, &mut tensor)?;
    let tensor_statistics = Statistics::of_tensor(&tensor, spec.width, spec.height);
    let pictures = [
        ("decoded", pixels),
        ("resized", resized),
        ("flipped", flipped),
        ("rotated", rotated),
        ("affine", moved),
    ];
    let stages = pictures.map(|(name, pixels)| Stage {
        name,
        statistics: pixels.statistics(),
        pixels,
    });
    Ok(Stages {
        stages: stages.into(),
        tensor,
        tensor_statistics,
        warnings,
    })
}
