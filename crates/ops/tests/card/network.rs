//! A whole small network: steps on a card are steps on the CPU.

use crate::desk::{card, close, normal, numbers, tensor};
use candle_core::{Device, Tensor, Var};
use cxr_ops::{
    AdamMoments, AdamParameters, Conv2dGeometry, DropoutKey, Pool2dGeometry, Result, adam_step,
    avg_pool_global, batch_norm_train, bce_with_logits, conv2d, dropout, linear, max_pool2d, relu,
};

const SHAPES: [&[usize]; 9] = [
    &[5, 3, 3, 3],
    &[5],
    &[5],
    &[16, 5, 3, 3],
    &[16],
    &[16],
    &[16, 5, 1, 1],
    &[4, 16],
    &[4],
];

struct Network {
    device: Device,
    parameters: Vec<Var>,
    moments: Vec<AdamMoments>,
}

impl Network {
    fn new(device: &Device) -> Self {
        let parameters = SHAPES.iter().zip(1..).map(|(&shape, seed)| {
            let scaled = (tensor(seed, shape, device) * 0.3).unwrap();
            Var::from_tensor(&scaled).unwrap()
        });
        let parameters: Vec<Var> = parameters.collect();
        let moments = parameters
            .iter()
            .map(|p| AdamMoments::zeros(p.elem_count()));
        Self {
            device: device.clone(),
            moments: moments.collect(),
            parameters,
        }
    }

    /// Two convolutions with norms, a pool, a shortcut through a third one, dropout and a head.
    fn loss(&self, step: u64) -> Result<Tensor> {
        let [k1, g1, b1, k2, g2, b2, k3, w, b] = std::array::from_fn(|i| &self.parameters[i]);
        let padded = |stride| Conv2dGeometry { stride, padding: 1 };
        let images = tensor(100 + step, (3, 3, 13, 10), &self.device);
        let map = conv2d(&images, k1, None, padded(1))?;
        let map = relu(&batch_norm_train(&map, g1, b1, 1e-5)?.y)?;
        let pool = Pool2dGeometry {
            kernel: 3,
            stride: 2,
            padding: 1,
        };
        let map = max_pool2d(&map, pool)?;
        let branch = conv2d(&map, k2, Some(b2), padded(2))?;
        let branch = batch_norm_train(&branch, g2, b2, 1e-5)?.y;
        let stride = Conv2dGeometry {
            stride: 2,
            padding: 0,
        };
        let shortcut = conv2d(&map, k3, None, stride)?;
        let features = avg_pool_global(&relu(&(branch + shortcut)?)?)?;
        let key = DropoutKey {
            seed: 4,
            step,
            layer: 1,
        };
        let logits = linear(&dropout(&features, 0.25, key)?, w, Some(b))?;
        let targets = normal(200 + step, 12)
            .into_iter()
            .map(|x| f32::from(x > 0.0));
        let targets = Tensor::from_vec(targets.collect::<Vec<_>>(), (3, 4), &self.device)?;
        let weights = Tensor::new(&[1f32, 2.0, 3.0, 0.5], &self.device)?;
        bce_with_logits(&logits, &targets, &targets.ones_like()?, &weights)
    }

    /// The loss and the gradients of a step.
    fn step(&mut self, step: u64) -> Result<(f32, Vec<Vec<f32>>)> {
        let loss = self.loss(step)?;
        let gradients = loss.backward()?;
        let settings = AdamParameters::default();
        let mut found = Vec::new();
        for (parameter, moments) in self.parameters.iter().zip(&mut self.moments) {
            let gradient = gradients.get(parameter).expect("a gradient");
            found.push(numbers(gradient));
            adam_step(parameter, gradient, moments, step, &settings)?;
        }
        Ok((loss.to_scalar()?, found))
    }
}

#[test]
fn a_network_trains_on_a_card_as_on_the_cpu() {
    let Some(card) = card() else { return };
    let (mut on_card, mut on_cpu) = (Network::new(&card.device), Network::new(&Device::Cpu));
    for step in 1..=3 {
        let (loss, gradients) = on_card.step(step).unwrap();
        let (expected, of_cpu) = on_cpu.step(step).unwrap();
        close(&format!("loss of step {step}"), &[loss], &[expected]);
        // Adam's first steps divide by the gradients' sizes: rounding grows from step to step.
        if step == 1 {
            for (place, (found, expected)) in gradients.iter().zip(&of_cpu).enumerate() {
                close(&format!("gradient of parameter {place}"), found, expected);
            }
        }
    }
}

#[test]
fn threads_that_share_a_stream_see_each_others_work() {
    let Some(_card) = card() else { return };
    let device = Device::new_cuda_with_stream(0).unwrap();
    let here = Network::new(&device);
    let loss = here.loss(1).unwrap();
    let kernel = here.parameters[0].clone();
    // The other thread goes back through what this one worked out.
    let elsewhere = std::thread::spawn(move || {
        let gradients = loss.backward().unwrap();
        gradients.get(&kernel).expect("a gradient").clone()
    });
    let doubled = (elsewhere.join().unwrap() * 2.0).unwrap();
    let on_cpu = Network::new(&Device::Cpu);
    let gradients = on_cpu.loss(1).unwrap().backward().unwrap();
    let expected = gradients.get(&on_cpu.parameters[0]).expect("a gradient");
    close(
        "the gradient",
        &numbers(&doubled),
        &numbers(&(expected * 2.0).unwrap()),
    );
}
