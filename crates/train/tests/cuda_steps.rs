//! Learning on the first card that the driver shows, beside the processor.
//!
//! Needs the feature `cuda`; passes with a word where there is no card.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on should stop and say where; one without a card says so"
)]

#[path = "problem/on_device.rs"]
mod on_device;
#[path = "problem/mod.rs"]
mod problem;

use cxr_models::{Compute, Place};
use cxr_ops::device::Precision;

/// The first card; `None`, said aloud, where there is none.
fn card(precision: Precision) -> Option<Compute> {
    let compute = Compute {
        precision,
        ..Compute::on(Place::Cuda { ordinal: 0 })
    };
    match compute.check() {
        Ok(()) => Some(compute),
        Err(fault) if fault.code() == "M016" => {
            println!("nothing was tested: {fault}");
            None
        }
        Err(fault) => panic!("{fault}"),
    }
}

#[test]
fn a_fit_on_a_card_is_one_on_the_processor() {
    if let Some(card) = card(Precision::F32) {
        on_device::a_fit_is_one_on_the_processor(card);
    }
}

#[test]
fn maps_of_sixteen_bits_learn_the_square_too() {
    if let Some(card) = card(Precision::Bf16) {
        on_device::the_square_is_learned(card);
    }
}

#[test]
fn a_fit_goes_on_where_another_ended() {
    if let Some(card) = card(Precision::F32) {
        on_device::a_fit_goes_on_where_another_ended(card);
    }
}
