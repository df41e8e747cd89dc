//! Buffers, sending, and recorded work.

use cxr_ops::device::{Activation, Device, DeviceFault, Part, Pixels, Result, Rows, Shortcut};
use cxr_ops::device::{GatherKind, PictureGather};

/// Panics with the name of the check unless it went well.
fn run(name: &str, check: impl FnOnce() -> Result<()>) {
    let result = check();
    assert!(result.is_ok(), "{name}: {result:?}");
}

/// Buffers begin as zeros; what is written is read, in parts, and nothing beside it changes.
pub(crate) fn check_memory<D: Device>(device: &D) {
    run("maps", || maps(device));
    run("floats", || floats(device));
    run("bytes", || bytes(device));
    run("synchronize", || {
        if let Some((free, total)) = device.memory()? {
            assert!(
                free <= total && total > 0,
                "{free} of {total} bytes are free"
            );
        }
        device.synchronize()
    });
}

fn maps<D: Device>(device: &D) -> Result<()> {
    let mut map = device.map(21)?;
    assert_eq!(device.read_map(&map, Part::first(21))?, [0.0; 21]);
    device.write_map(&mut map, 5, &[1.5, -2.0, f32::INFINITY])?;
    let part = Part { start: 4, len: 5 };
    assert_eq!(
        device.read_map(&map, part)?,
        [0.0, 1.5, -2.0, f32::INFINITY, 0.0]
    );
    let numbers = [1.0 + 1.0 / 512.0, 3.0 - 1.0 / 128.0, 1e-3];
    device.write_map(&mut map, 0, &numbers)?;
    for (read, number) in device.read_map(&map, Part::first(3))?.iter().zip(numbers) {
        // Half a unit in the last of the eight bits that the smallest type has.
        assert!(
            (read - number).abs() <= number / 256.0,
            "{read} of {number}"
        );
    }
    let beyond = device.write_map(&mut map, 20, &[0.0; 2]);
    assert!(
        matches!(beyond, Err(DeviceFault::TooShort { .. })),
        "{beyond:?}"
    );
    let beyond = device.read_map(&map, Part { start: 21, len: 1 });
    assert!(
        matches!(beyond, Err(DeviceFault::TooShort { .. })),
        "{beyond:?}"
    );
    Ok(())
}

fn floats<D: Device>(device: &D) -> Result<()> {
    let mut floats = device.floats(9)?;
    assert_eq!(device.read_floats(&floats, Part::first(9))?, [0.0; 9]);
    device.write_floats(&mut floats, 7, &[1.1, f32::MIN_POSITIVE])?;
    let part = Part { start: 6, len: 3 };
    assert_eq!(
        device.read_floats(&floats, part)?,
        [0.0, 1.1, f32::MIN_POSITIVE]
    );
    let beyond = device.write_floats(&mut floats, 9, &[0.0]);
    assert!(
        matches!(beyond, Err(DeviceFault::TooShort { .. })),
        "{beyond:?}"
    );
    let beyond = device.read_floats(&floats, Part::first(10));
    assert!(
        matches!(beyond, Err(DeviceFault::TooShort { .. })),
        "{beyond:?}"
    );
    Ok(())
}

fn bytes<D: Device>(device: &D) -> Result<()> {
    let mut bytes = device.bytes(7)?;
    assert_eq!(device.read_bytes(&bytes, Part::first(7))?, [0; 7]);
    device.write_bytes(&mut bytes, 3, &[255, 1])?;
    let part = Part { start: 2, len: 4 };
    assert_eq!(device.read_bytes(&bytes, part)?, [0, 255, 1, 0]);
    let beyond = device.write_bytes(&mut bytes, 6, &[0; 2]);
    assert!(
        matches!(beyond, Err(DeviceFault::TooShort { .. })),
        "{beyond:?}"
    );
    let beyond = device.read_bytes(&bytes, Part { start: 7, len: 1 });
    assert!(
        matches!(beyond, Err(DeviceFault::TooShort { .. })),
        "{beyond:?}"
    );
    Ok(())
}

/// What is sent again and again is read as it was when it was sent.
pub(crate) fn check_staging<D: Device>(device: &D) {
    run("staging", || staging(device));
}

fn staging<D: Device>(device: &D) -> Result<()> {
    let size = [3, 5];
    let places = size[0] * size[1];
    let mut gathers = device.bytes(PictureGather::BYTES)?;
    let gather = PictureGather {
        start: 0,
        kind: GatherKind::Still,
    };
    device.write_bytes(&mut gathers, 0, &gather.to_bytes())?;
    let tables = device.bytes(8)?;
    let channels = device.precision().input_channels();
    let mut output = device.map(places * channels)?;
    let mut staging = device.staging(places)?;
    let norms = [(0.0, 1.0 / 255.0); 3];
    for round in 0..20_u8 {
        device.staging_bytes(&mut staging)?.fill(round);
        device.send(&mut staging, places)?;
        if round % 2 == 0 {
            // What is filled in before the work begins was not sent either.
            device.staging_bytes(&mut staging)?.fill(254);
        }
        let pixels = Pixels::Sent(&staging);
        device.fill_pictures(1, size, 1, pixels, &gathers, &tables, norms, &mut output)?;
        // The work may still go on while the next bytes are filled in.
        device.staging_bytes(&mut staging)?.fill(255);
        let first = device.read_map(&output, Part::first(1))?;
        let difference = (first[0] - f32::from(round)).abs();
        assert!(difference < 1e-3, "{} in round {round}", first[0]);
    }
    let beyond = device.send(&mut staging, places + 1);
    assert!(
        matches!(beyond, Err(DeviceFault::TooShort { .. })),
        "{beyond:?}"
    );
    Ok(())
}

/// Recorded work waits for its replay, and each replay works with what the buffers hold then.
pub(crate) fn check_recordings<D: Device>(device: &D) {
    run("recording", || recording(device));
}

fn recording<D: Device>(device: &D) -> Result<()> {
    let of = Rows {
        rows: 3,
        channels: 8,
    };
    let (mut input, mut saved) = (device.map(of.len())?, device.floats(4 * of.channels)?);
    let (mut middle, mut output) = (device.map(of.len())?, device.map(of.len())?);
    device.write_floats(&mut saved, 2 * of.channels, &[2.0; 8])?;
    device.write_map(&mut input, 0, &[1.0; 24])?;
    let work = |input: &D::Map, middle: &mut D::Map, output: &mut D::Map| {
        let none = Activation::None;
        device.norm_apply(of, input, &saved, Shortcut::None, none, middle)?;
        device.norm_apply(of, middle, &saved, Shortcut::Map(input), none, output)
    };
    work(&input, &mut middle, &mut output)?;
    assert_eq!(device.read_map(&output, Part::first(of.len()))?, [5.0; 24]);

    device.write_map(&mut output, 0, &[f32::NAN; 24])?;
    let recording = device.record(|| work(&input, &mut middle, &mut output))?;
    let Some(recording) = recording else {
        assert_eq!(device.read_map(&output, Part::first(of.len()))?, [5.0; 24]);
        return Ok(());
    };
    let is_kept = device.read_map(&output, Part::first(of.len()))?;
    assert!(
        is_kept.iter().all(|number| number.is_nan()),
        "recording ran"
    );
    for number in [3.0, -1.0] {
        device.write_map(&mut input, 0, &[number; 24])?;
        device.replay(&recording)?;
        let expected = [5.0 * number; 24];
        assert_eq!(device.read_map(&output, Part::first(of.len()))?, expected);
    }
    let fault = device.record(|| {
        Err(DeviceFault::NoDevice {
            problem: "a fault of the recorded work".to_owned(),
        })
    });
    assert!(
        matches!(fault, Err(DeviceFault::NoDevice { .. })),
        "{fault:?}"
    );
    // After a recording that went wrong the device works on.
    device.replay(&recording)?;
    work(&input, &mut middle, &mut output)
}
