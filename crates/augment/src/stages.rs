//! Every stage of a transform as a picture with its statistics, for people to look at.
//!
//! For the `transform` command and reports. Deliberately not here: writing files.

use cxr_isa::Isa;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde::Serialize;

use crate::decode::{Decoded, decode};
use crate::draw::AffineDraw;
use crate::image_fault::ImageFault;
use crate::image_warning::ImageWarning;
use crate::pixels::Pixels;
use crate::preprocess::Preprocess;
use crate::resize::resize;
use crate::spec_fault::{SpecFault, SpecFaults};
use crate::statistics::Statistics;
use crate::transform::EvalTransform;
use crate::warp::Warp;

/// One stage: what it is called, its file, what its values are.
#[derive(Clone, Debug, Serialize)]
pub struct Stage {
    /// `decoded`, `resized`, `flipped`, `rotated`, `affine` or `tensor`.
    pub name: &'static str,
    /// What the file of this stage is called.
    pub file: &'static str,
    /// Its size and its values: bytes ÷ 255, and in the tensor what the network sees.
    #[serde(flatten)]
    pub statistics: Statistics,
}

/// All stages of one image.
#[derive(Clone, Debug)]
pub struct Stages {
    stages: Vec<Stage>,
    pictures: [Pixels; 5],
    tensor: Vec<f32>,
    warnings: Vec<ImageWarning>,
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
}

const FILES: [(&str, &str); 6] = [
    ("decoded", "1-decoded.png"),
    ("resized", "2-resized.png"),
    ("flipped", "3-flipped.png"),
    ("rotated", "4-rotated.png"),
    ("affine", "5-affine.png"),
    ("tensor", "tensor.safetensors"),
];

/// The stages of the image in `bytes` under `draw`; `AffineDraw::IDENTITY` shows what evaluation
/// sees, whose last three pictures equal the second.
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
    let resized = resize(&pixels, spec.width, spec.height);
    let [flipped, rotated, moved] = moved_step_by_step(&resized, draw);
    let mut tensor = vec![0.0; spec.tensor_len()];
    transform
        .apply(&moved, &mut tensor)
        .map_err(SpecFaults::from)?;
    let pictures = [pixels, resized, flipped, rotated, moved];
    let of_tensor = Statistics::of_tensor(&tensor, spec.width, spec.height);
    let statistics = pictures.iter().map(Pixels::statistics);
    let stages = FILES
        .iter()
        .zip(statistics.chain([of_tensor]))
        .map(|(&(name, file), statistics)| Stage {
            name,
            file,
            statistics,
        })
        .collect();
    Ok(Stages {
        stages,
        pictures,
        tensor,
        warnings,
    })
}

fn moved_step_by_step(resized: &Pixels, draw: &AffineDraw) -> [Pixels; 3] {
    let none = AffineDraw::IDENTITY;
    let step = |pixels: &Pixels, draw: AffineDraw| {
        Warp::new(&draw, pixels.width() as usize, pixels.height() as usize)
            .apply(pixels.into(), Isa::best())
    };
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
    let flipped = step(resized, flip);
    let rotated = step(&flipped, rotation);
    let moved = step(&rotated, affine);
    [flipped, rotated, moved]
}

impl Stages {
    /// The five pictures and the tensor, in order.
    #[must_use]
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// After decoding, resizing, flip, rotation, affine map.
    #[must_use]
    pub fn pictures(&self) -> &[Pixels; 5] {
        &self.pictures
    }

    /// `[3, height, width]`, normalised.
    #[must_use]
    pub fn tensor(&self) -> &[f32] {
        &self.tensor
    }

    /// What was odd about the file.
    #[must_use]
    pub fn warnings(&self) -> &[ImageWarning] {
        &self.warnings
    }

    /// The name and the bytes of each stage's file: five PNGs, and a safetensors file whose
    /// `image` is the tensor.
    ///
    /// # Errors
    /// Only where an encoder fails, which it has no reason to.
    pub fn files(&self) -> Result<Vec<(&'static str, Vec<u8>)>, SpecFault> {
        let mut files = Vec::with_capacity(FILES.len());
        for (stage, picture) in self.stages.iter().zip(&self.pictures) {
            files.push((stage.file, picture.to_png()?));
        }
        if let Some(stage) = self.stages.last() {
            files.push((stage.file, self.tensor_file(&stage.statistics)?));
        }
        Ok(files)
    }

    fn tensor_file(&self, size: &Statistics) -> Result<Vec<u8>, SpecFault> {
        let bytes: Vec<u8> = self.tensor.iter().flat_map(|v| v.to_le_bytes()).collect();
        let shape = [size.channels, size.height, size.width].map(|side| side as usize);
        TensorView::new(Dtype::F32, shape.to_vec(), &bytes)
            .and_then(|image| serialize([("image", image)], None))
            .map_err(|cause| SpecFault::Encode {
                reason: cause.to_string(),
            })
    }
}
