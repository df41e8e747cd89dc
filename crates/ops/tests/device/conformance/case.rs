//! One call on one shape: run twice on a device and once on the reference, and compared.

use cxr_ops::device::{Device, Precision, Reference, Result};

use super::desk::{Desk, Kept, Rounded, Rule, are_same};

/// A call with its shape.
pub(super) trait Case {
    /// What is tried, for messages.
    fn name(&self) -> String;
    /// Lays out inputs, makes the call and keeps its outputs; the same on every device.
    fn run<D: Device>(&self, desk: &mut Desk<'_, D>) -> Result<()>;
}

/// Panics unless the device gives what the reference gives, twice with the same bits.
pub(super) fn check<D: Device>(device: &D, case: &impl Case) {
    let name = format!("{} in {}", case.name(), device.precision().as_str());
    let (got, rounded) = outputs(device, case, Rounded::Taken(Vec::new()), &name);
    let (again, _) = outputs(device, case, Rounded::Taken(Vec::new()), &name);
    for (first, second) in got.iter().zip(&again) {
        let are_equal = first.bits().eq(second.bits());
        assert!(
            are_equal,
            "{name}: {}: other bits the second time",
            first.what
        );
    }
    let reference = Reference::<f64>::new();
    let (expected, _) = outputs(&reference, case, Rounded::Given(rounded.into()), &name);
    assert_eq!(got.len(), expected.len(), "{name}: outputs");
    assert!(!got.is_empty(), "{name}: nothing was kept");
    for (got, expected) in got.iter().zip(&expected) {
        compare(device, &name, got, expected);
    }
}

fn outputs<D: Device>(
    device: &D,
    case: &impl Case,
    rounded: Rounded,
    name: &str,
) -> (Vec<Kept>, Vec<Vec<f32>>) {
    let mut desk = Desk::new(device, name_without_precision(name), rounded);
    let result = case.run(&mut desk);
    assert!(result.is_ok(), "{name}: {result:?}");
    desk.into_outputs()
}

/// The same numbers are drawn for every precision.
fn name_without_precision(name: &str) -> &str {
    name.rsplit_once(" in ").map_or(name, |(case, _)| case)
}

fn compare<D: Device>(device: &D, name: &str, got: &Kept, expected: &Kept) {
    let what = format!("{name}: {}", got.what);
    assert_eq!(got.numbers.len(), expected.numbers.len(), "{what}: length");
    match got.rule {
        Rule::Exact => compare_exactly(device, &what, got, expected),
        rule => compare_closely(&what, got, expected, tolerance(device, rule, got.is_map)),
    }
}

/// How far an output may be off, relative to the size of what the reference gives.
fn tolerance<D: Device>(device: &D, rule: Rule, is_map: bool) -> f64 {
    match (device.precision(), rule) {
        // Ten bits of each factor are kept, by cutting or rounding: 2⁻⁹ of a product at most, and
        // more of a sum whose parts cancel.
        (Precision::Tf32, Rule::Products) => 3e-3,
        // Sums behind transforms (Winograd) are within 1.5e-5 of f64 where plain ones are within 1e-6.
        (Precision::F32, Rule::Products) => 3e-5,
        (Precision::Bf16, Rule::Products) => 2e-2,
        // Sums of bf16 are f32: one rounding where they are stored in a map, none elsewhere.
        (Precision::Bf16, _) if is_map => 5e-3,
        _ => 1e-5,
    }
}

fn compare_exactly<D: Device>(device: &D, what: &str, got: &Kept, expected: &Kept) {
    let expected = if got.is_map {
        as_rounded(device, &expected.numbers)
    } else {
        expected.numbers.clone()
    };
    for (place, (&got, &expected)) in got.numbers.iter().zip(&expected).enumerate() {
        let is_right = are_same(got, expected);
        assert!(is_right, "{what}: place {place}: {got}, not {expected}");
    }
}

/// The numbers as the device's maps hold them.
fn as_rounded<D: Device>(device: &D, numbers: &[f32]) -> Vec<f32> {
    use cxr_ops::device::Part;
    let rounded = device.map(numbers.len()).and_then(|mut map| {
        device.write_map(&mut map, 0, numbers)?;
        device.read_map(&map, Part::first(numbers.len()))
    });
    assert!(rounded.is_ok(), "{rounded:?}");
    rounded.unwrap_or_default()
}

/// By the root of the sum of the squares, and by the largest, so that neither a bias everywhere nor
/// one wrong number passes. Not a number must be where the reference has it.
fn compare_closely(what: &str, got: &Kept, expected: &Kept, tolerance: f64) {
    let (mut errors, mut sizes) = (0.0, 0.0);
    let (mut largest_error, mut largest, mut at) = (0.0, 0.0, 0);
    for (place, (&got, &expected)) in got.numbers.iter().zip(&expected.numbers).enumerate() {
        if !expected.is_finite() {
            let is_right = are_same(got, expected);
            assert!(is_right, "{what}: place {place}: {got}, not {expected}");
            continue;
        }
        let (error, size) = (f64::from(got - expected).abs(), f64::from(expected).abs());
        assert!(
            !error.is_nan(),
            "{what}: place {place}: {got}, not {expected}"
        );
        errors += error * error;
        sizes += size * size;
        largest = f64::max(largest, size);
        if error > largest_error {
            (largest_error, at) = (error, place);
        }
    }
    assert!(
        largest_error <= tolerance * largest && errors.sqrt() <= tolerance * sizes.sqrt(),
        "{what}: place {at}: {}, not {}; {:.1e} of the whole is wrong, {tolerance:.0e} may be",
        got.numbers[at],
        expected.numbers[at],
        errors.sqrt() / sizes.sqrt(),
    );
}
