//! What the tests share: the card, numbers, and an operation with its gradients on two devices.

use candle_core::{Device, Shape, Tensor, Var};
use cxr_ops::device::{Cuda, DeviceFault, Planning, Precision};
use cxr_stream::{Purpose, Stream};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// The error of sums in another order, in units of the norm.
pub(crate) const TOLERANCE: f64 = 1e-5;

/// Held while a precision is counted on; it is one for the whole process.
pub(crate) static PRECISION: RwLock<()> = RwLock::new(());

/// The first card, in f32.
pub(crate) struct Card {
    pub(crate) device: Device,
    _is_f32: RwLockReadGuard<'static, ()>,
}

/// The first card; `None`, said aloud, where there is none.
pub(crate) fn card() -> Option<Card> {
    let _is_f32 = PRECISION.read().unwrap_or_else(PoisonError::into_inner);
    device().map(|device| Card { device, _is_f32 })
}

/// The same, in whichever precision.
pub(crate) fn device() -> Option<Device> {
    match Cuda::new(0, Precision::F32, Planning::Heuristic) {
        Ok(_) => Some(Device::new_cuda(0).unwrap()),
        Err(DeviceFault::NoDevice { problem }) => {
            println!("nothing was tested: {problem}");
            None
        }
        Err(fault) => panic!("{fault}"),
    }
}

/// Normal numbers, others for each seed.
pub(crate) fn normal(seed: u64, len: usize) -> Vec<f32> {
    let mut stream = Stream::new(seed, Purpose::Test, 0, 0);
    (0..len).map(|_| stream.normal() as f32).collect()
}

pub(crate) fn tensor(seed: u64, shape: impl Into<Shape>, device: &Device) -> Tensor {
    let shape = shape.into();
    Tensor::from_vec(normal(seed, shape.elem_count()), shape, device).unwrap()
}

pub(crate) fn numbers(tensor: &Tensor) -> Vec<f32> {
    let on_host = tensor.to_device(&Device::Cpu).unwrap();
    on_host.flatten_all().unwrap().to_vec1().unwrap()
}

/// An operation on variables with these numbers: its output, then the gradient of each variable
/// under an output gradient that has no two equal numbers.
pub(crate) fn run<const N: usize>(
    device: &Device,
    inputs: &[(Vec<f32>, Vec<usize>); N],
    operation: impl Fn([&Tensor; N]) -> cxr_ops::Result<Tensor>,
) -> Vec<Vec<f32>> {
    let variables = inputs.each_ref().map(|(numbers, shape)| {
        let tensor = Tensor::from_slice(numbers, shape.as_slice(), device).unwrap();
        Var::from_tensor(&tensor).unwrap()
    });
    let output = operation(variables.each_ref().map(|variable| variable.as_tensor())).unwrap();
    let weights = tensor(99, output.shape(), device);
    let weighed = (&output * weights).unwrap();
    // candle cannot sum a scalar on a card.
    let sum = match weighed.rank() {
        0 => weighed,
        _ => weighed.sum_all().unwrap(),
    };
    let gradients = sum.backward().unwrap();
    let of_inputs = variables.iter().map(|variable| {
        let gradient = gradients.get(variable).expect("a gradient");
        assert_eq!(gradient.dims(), variable.dims());
        assert!(gradient.device().same_device(device));
        numbers(gradient)
    });
    std::iter::once(numbers(&output)).chain(of_inputs).collect()
}

/// Normal numbers in a shape, others for each place among the inputs.
pub(crate) fn inputs<const N: usize>(shapes: [&[usize]; N]) -> [(Vec<f32>, Vec<usize>); N] {
    let mut seed = 0;
    shapes.map(|shape| {
        seed += 1;
        (normal(seed, shape.iter().product()), shape.to_vec())
    })
}

/// Holds an operation on the card against the one on the CPU: output and every gradient.
#[track_caller]
pub(crate) fn agrees<const N: usize>(
    what: &str,
    card: &Device,
    inputs: &[(Vec<f32>, Vec<usize>); N],
    operation: impl Fn([&Tensor; N]) -> cxr_ops::Result<Tensor>,
) {
    let expected = run(&Device::Cpu, inputs, &operation);
    let found = run(card, inputs, &operation);
    for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let name = if place == 0 { "output" } else { "gradient" };
        close(&format!("{what}, {name} {place}"), found, expected);
    }
}

/// Within the tolerance, as a whole and number by number.
#[track_caller]
pub(crate) fn close(what: &str, found: &[f32], expected: &[f32]) {
    let error = relative_error(found, expected);
    assert!(
        error <= TOLERANCE,
        "{what}: {error:e}\n{found:?}\n{expected:?}"
    );
}

/// ‖found − expected‖ ÷ ‖expected‖.
#[track_caller]
pub(crate) fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let norm = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|x| x * x).sum::<f64>().sqrt();
    let pairs = found.iter().zip(expected);
    let difference = norm(&mut pairs.map(|(&a, &b)| f64::from(a) - f64::from(b)));
    let size = norm(&mut expected.iter().map(|&x| f64::from(x)));
    if difference == 0.0 {
        0.0
    } else {
        difference / size
    }
}
