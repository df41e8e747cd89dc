//! The zeros that fill up the channels of images, and those between the parts of an arena.

use cxr_ops::AdamParameters;
use cxr_ops::device::{Bf16, Numbers, Real, Reference};
use cxr_ops::kernels::adam::WeightDecay;

use super::*;
use crate::architecture::{Architecture, ModelConfig};

/// Whether every number is 0 that no weight lies at.
fn is_zero_between_weights<T: Real>(layout: &super::super::layout::Layout, numbers: &[T]) -> bool {
    let mut is_weight = vec![false; numbers.len()];
    let weights = layout
        .slots()
        .filter(|(_, slot)| slot.arena == Arena::Weights);
    for (_, slot) in weights {
        let ones = slot.order.to_device(&vec![1.0; slot.order.host_len()]);
        let places = is_weight[slot.part.start..].iter_mut().zip(ones);
        places.for_each(|(is_weight, one)| *is_weight = one > 0.0);
    }
    assert!(is_weight.contains(&false));
    let mut others = numbers.iter().zip(&is_weight).filter(|(_, is)| !**is);
    others.all(|(number, _)| number.to_f64() == 0.0)
}

fn check<T: Real>(architecture: Architecture) {
    let config = ModelConfig::new(architecture, 3, 48, 32);
    let network = Network::new(&config, 5).unwrap();
    let mut trainer = DeviceTrainer::new(Reference::<T>::new(), &network, 2).unwrap();
    let data = vec![0.25; 2 * 3 * 48 * 32];
    let labels = Labels {
        targets: &[1.0, 0.0, 1.0, 0.0, 0.0, 1.0],
        mask: &[1.0; 6],
    };
    let settings = AdamParameters {
        weight_decay: WeightDecay::Decoupled(0.1),
        ..AdamParameters::default()
    };
    for count in 1..=2 {
        let planes = DeviceImages::Planes {
            images: 2,
            data: &data,
        };
        let adam = AdamFactors::new(count, &settings);
        let outcome = trainer.step(planes, &labels, (1, count), Some(&adam));
        assert!(outcome.unwrap().is_finite());
    }
    let State {
        parameters,
        gradients,
        adam,
        ..
    } = &trainer.state;
    let layout = &trainer.plan.layout;
    let master: &Numbers<T::Float> = &adam.master;
    assert!(is_zero_between_weights(
        layout,
        parameters.weights.as_slice()
    ));
    assert!(is_zero_between_weights(
        layout,
        gradients.weights.as_slice()
    ));
    assert!(is_zero_between_weights(layout, master.as_slice()));
}

#[test]
fn what_is_no_weight_stays_0_while_weights_move() {
    check::<f32>(Architecture::XrayCnn);
    check::<Bf16>(Architecture::ResNet18);
}
