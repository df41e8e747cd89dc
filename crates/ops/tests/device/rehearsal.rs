//! What every device must do, tried where no card is: a suite that refuses the reference is wrong.

use cxr_ops::device::{Bf16, Reference};

use super::conformance;

#[test]
fn the_reference_in_f32_does_what_every_device_must_do() {
    conformance::check_all(&Reference::<f32>::new());
}

#[test]
fn the_reference_in_f64_agrees_with_itself() {
    conformance::check_all(&Reference::<f64>::new());
}

#[test]
fn the_reference_with_maps_in_bf16_does_what_every_device_must_do() {
    conformance::check_all(&Reference::<Bf16>::new());
}
