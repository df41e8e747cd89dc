//! What every device must do, whatever it is made of: each function on fresh numbers over many
//! shapes, against `Reference<f64>` fed with the same numbers as the device rounded them.
//!
//! For the tests of any `Device`; other test binaries take this file in by its path, so it uses
//! `cxr_ops` and `cxr_stream` alone. Outputs and everything behind inputs are NaN before a call, so
//! that what is not written, or read beyond its end, shows; what stands around an output must stay.
//! Every case runs twice and must give the same bits. Not here: whether the reference is right.

#[path = "conformance/case.rs"]
mod case;
#[path = "conformance/convolution.rs"]
mod convolution;
#[path = "conformance/dense.rs"]
mod dense;
#[path = "conformance/desk.rs"]
mod desk;
#[path = "conformance/memory.rs"]
mod memory;
#[path = "conformance/norm.rs"]
mod norm;
#[path = "conformance/pictures.rs"]
mod pictures;
#[path = "conformance/pooling.rs"]
mod pooling;
#[path = "conformance/refusals.rs"]
mod refusals;
#[path = "conformance/refusals_of_maps.rs"]
mod refusals_of_maps;
#[path = "conformance/refusals_of_training.rs"]
mod refusals_of_training;
#[path = "conformance/training.rs"]
mod training;

use cxr_ops::device::Device;

pub(crate) use convolution::check_convolutions;
pub(crate) use dense::{check_linear_layers, check_places, check_rounding};
pub(crate) use memory::{check_memory, check_recordings, check_staging};
pub(crate) use norm::check_norms;
pub(crate) use pictures::{check_pictures, check_planes};
pub(crate) use pooling::check_poolings;
pub(crate) use refusals::check_refusals;
pub(crate) use training::{check_adam, check_gradient_norm, check_loss};

/// Every function of a device. Panics at the first that is wrong, with its name and its shape.
pub(crate) fn check_all<D: Device>(device: &D) {
    check_memory(device);
    check_staging(device);
    check_recordings(device);
    check_convolutions(device);
    check_norms(device);
    check_poolings(device);
    check_places(device);
    check_rounding(device);
    check_linear_layers(device);
    check_loss(device);
    check_gradient_norm(device);
    check_adam(device);
    check_pictures(device);
    check_planes(device);
    check_refusals(device);
}
