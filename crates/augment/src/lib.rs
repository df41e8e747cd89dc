//! One encoded image into the numbers a network eats, many at once with rayon.
//!
//! For training, evaluation, prediction and whoever wants torchvision's chest X-ray pipeline
//! outside of Python: decode PNG or JPEG, resize as Pillow does, flip, rotate and move by a given
//! draw, normalise. Pictures and tensors equal those of torchvision 0.26 and Pillow 13 to the bit.
//! Deliberately not here: labels, tensors of any framework, other formats, printing.
//!
//! ```
//! use cxr_augment::{AffineRanges, Channels, EvalTransform, Picture, Pixels, Preprocess};
//! use cxr_augment::{TrainTransform, prepare};
//!
//! // Any PNG or JPEG file's bytes will do; this one is drawn here.
//! let film = Pixels::new(40, 50, Channels::Gray, (0..2000u32).map(|v| (v / 8) as u8).collect())?;
//! let spec = Preprocess { width: 32, height: 24, ..Preprocess::default() };
//! let pixels = prepare(&film.to_png()?, "film.png", &spec)?.pixels;
//!
//! let mut tensor = vec![0.0; spec.tensor_len()]; // [3, 24, 32]
//! EvalTransform::new(spec.clone())?.apply(&pixels, &mut tensor)?;
//! assert!((tensor[0] - (f32::from(pixels.data()[0]) / 255.0 - 0.485) / 0.229).abs() < 1e-6);
//!
//! let train = TrainTransform::new(spec, AffineRanges::seed())?;
//! let draws = [train.draw(7, 0, 0), train.draw(7, 0, 1)]; // seed 7, epoch 0, radiographs 0 and 1
//! let mut batch = vec![0.0; 2 * tensor.len()]; // [2, 3, 24, 32]
//! let picture = Picture::from(&pixels);
//! train.apply_batch(&[(picture, draws[0]), (picture, draws[1])], &mut batch)?;
//! assert_ne!(batch[..tensor.len()], batch[tensor.len()..]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bilinear;
mod cache;
mod decode;
mod draw;
mod exif;
mod feed;
mod folder;
mod gather;
mod image_fault;
mod image_name;
mod image_warning;
mod jpeg_file;
mod jpeg_markers;
mod jpeg_scan;
pub mod limits;
mod matrix;
mod near_duplicates;
mod nearest;
mod norm;
mod perceptual;
mod pixels;
mod png_file;
mod png_gray;
mod preprocess;
mod resize;
mod resize_passes;
mod resize_weights;
mod sixteen_bits;
mod sniff;
mod spec_fault;
mod stages;
mod statistics;
mod tensor;
mod transform;
mod transpose;
mod unfilter;
mod warp;

pub use cache::{CacheEvent, Keep, PixelCache};
pub use cxr_isa::Isa;
pub use decode::{Decoded, decode, prepare};
pub use draw::{AffineDraw, AffineRanges};
pub use feed::{Buffers, FeedFault, FeedTransform, Filled, feed_ahead};
pub use folder::{ImageFolder, read_image_file};
pub use gather::Gather;
pub use image_fault::{Format, ImageFault};
pub use image_warning::ImageWarning;
pub use near_duplicates::{NearDuplicate, near_duplicates};
pub use perceptual::{Likeness, MAX_DISTANCE, MIN_CORRELATION};
pub use pixels::{Channels, Picture, Pixels};
pub use preprocess::{BitDepthPolicy, Polarity, Preprocess};
pub use resize::{resize, resize_with};
pub use spec_fault::{SpecFault, SpecFaults};
pub use stages::{Stage, Stages, StagesFault, stages};
pub use statistics::Statistics;
pub use transform::{EvalTransform, Interpolation, TrainTransform};
