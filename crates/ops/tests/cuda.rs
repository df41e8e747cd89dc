//! What every device must do, on the first card that the driver shows, in each precision.
//!
//! Needs the feature `cuda`; passes with a word where there is no card. Also what only a card can
//! be asked: which ordinals there are, and what may not be recorded.

#[path = "device/conformance.rs"]
mod conformance;

use cxr_ops::device::{Cuda, Device, DeviceFault, Part, Planning, Precision, Result};

/// The first card; `None`, said aloud, where there is none.
#[expect(
    clippy::print_stdout,
    clippy::panic,
    reason = "a test without a card says so; any other fault fails it"
)]
fn card(precision: Precision, planning: Planning) -> Option<Cuda> {
    match Cuda::new(0, precision, planning) {
        Ok(card) => Some(card),
        Err(DeviceFault::NoDevice { problem }) => {
            println!("nothing was tested: {problem}");
            None
        }
        Err(fault) => panic!("{fault}"),
    }
}

fn conforms(precision: Precision, planning: Planning) {
    if let Some(card) = card(precision, planning) {
        conformance::check_all(&card);
    }
}

#[test]
fn a_card_does_what_every_device_does_in_f32() {
    conforms(Precision::F32, Planning::Heuristic);
}

#[test]
fn a_card_does_what_every_device_does_in_tf32() {
    conforms(Precision::Tf32, Planning::Heuristic);
}

#[test]
fn a_card_does_what_every_device_does_in_bf16() {
    conforms(Precision::Bf16, Planning::Heuristic);
}

#[test]
fn measured_plans_give_right_convolutions() {
    if let Some(card) = card(Precision::Bf16, Planning::Measured) {
        conformance::check_convolutions(&card);
    }
}

#[test]
fn a_card_that_is_not_there_is_no_device() {
    let fault = Cuda::new(4096, Precision::F32, Planning::Heuristic).unwrap_err();
    assert!(matches!(fault, DeviceFault::NoDevice { .. }), "{fault}");
}

#[test]
fn memory_that_is_not_there_is_told_with_what_is() -> Result<()> {
    let Some(card) = card(Precision::F32, Planning::Heuristic) else {
        return Ok(());
    };
    let Some((_, total)) = card.memory()? else {
        panic!("a card has memory");
    };
    let numbers = usize::try_from(total).unwrap() / 2;
    match card.floats(numbers) {
        Err(DeviceFault::OutOfMemory {
            asked, total: told, ..
        }) => {
            assert_eq!(asked, numbers as u64 * 4);
            assert_eq!(told, total);
        }
        other => panic!("{other:?}"),
    }
    // The card is as good as before.
    let floats = card.floats(3)?;
    assert_eq!(card.read_floats(&floats, Part::first(3))?, [0.0; 3]);
    Ok(())
}

#[test]
fn what_cannot_be_recorded_is_refused_and_the_card_goes_on() -> Result<()> {
    let Some(card) = card(Precision::F32, Planning::Heuristic) else {
        return Ok(());
    };
    let mut floats = card.floats(8)?;
    let fault = card
        .record(|| card.write_floats(&mut floats, 0, &[1.0]))
        .unwrap_err();
    assert!(fault.to_string().contains("recorded"), "{fault}");
    let fault = card.record(|| card.floats(1).map(drop)).unwrap_err();
    assert!(fault.to_string().contains("recorded"), "{fault}");
    let fault = card
        .record(|| card.record(|| Ok(())).map(drop))
        .unwrap_err();
    assert!(fault.to_string().contains("recorded"), "{fault}");
    card.write_floats(&mut floats, 0, &[2.0])?;
    assert_eq!(card.read_floats(&floats, Part::first(2))?, [2.0, 0.0]);
    Ok(())
}

#[test]
fn buffers_that_go_while_another_thread_records_spoil_nothing() -> Result<()> {
    let Some(card) = card(Precision::F32, Planning::Heuristic) else {
        return Ok(());
    };
    let (mut floats, factors) = (card.floats(8)?, card.floats(8)?);
    card.scale(8, &factors, &mut floats)?;
    let (gone, staging) = (card.floats(1 << 20)?, card.staging(64)?);
    let recording = card
        .record(|| {
            std::thread::scope(|scope| {
                scope.spawn(move || drop((gone, staging)));
            });
            card.scale(8, &factors, &mut floats)
        })?
        .unwrap();
    card.write_floats(&mut floats, 0, &[3.0; 8])?;
    card.replay(&recording)?;
    assert_eq!(card.read_floats(&floats, Part::first(8))?, [0.0; 8]);
    Ok(())
}

#[test]
fn a_buffer_goes_on_any_thread() -> Result<()> {
    let Some(card) = card(Precision::F32, Planning::Heuristic) else {
        return Ok(());
    };
    let buffer = card.floats(8)?;
    std::thread::spawn(move || drop(buffer)).join().unwrap();
    card.floats(8).map(drop)
}
