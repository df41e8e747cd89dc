//! What is allocated, when, and what is replayed.

use cxr_models::{Architecture, DevicePredictor, DeviceTrainer, Network, device_memory};
use cxr_ops::device::{AdamFactors, Bf16, Real};

use crate::support::{Batch, config, step};
use crate::watched::Watched;

const BATCH: usize = 3;

fn holds<T: Real>(architecture: Architecture) {
    let config = config(architecture, 48, 64);
    let network = Network::new(&config, 1).unwrap();
    let mut trainer = DeviceTrainer::new(Watched::<T>::default(), &network, BATCH).unwrap();
    let planned = device_memory(&config, T::PRECISION, BATCH).unwrap();
    assert_eq!(trainer.device().allocated(), planned, "{architecture}");
    for n in [BATCH, 2, BATCH, 2] {
        step(&mut trainer, &Batch::new(&config, n, 1), None);
    }
    assert_eq!(trainer.device().allocated(), planned, "{architecture}");
}

#[test]
fn a_trainer_allocates_what_was_planned_at_its_start_and_nothing_later() {
    for architecture in [Architecture::XrayCnn, Architecture::ResNet18] {
        holds::<f32>(architecture);
        holds::<Bf16>(architecture);
    }
}

#[test]
fn a_device_that_is_too_small_names_the_batch_that_fits() {
    for architecture in [Architecture::XrayCnn, Architecture::ResNet18] {
        let config = config(architecture, 32, 48);
        let network = Network::new(&config, 1).unwrap();
        let memory = |batch| device_memory(&config, f32::PRECISION, batch).unwrap();
        // A sixteenth is for pages and libraries.
        let free = memory(5) + memory(5) / 15 + 1;
        let full = || Watched::<f32>::with_memory(free);
        let fault = DeviceTrainer::new(full(), &network, 512).unwrap_err();
        assert_eq!(fault.code(), "M009");
        assert_eq!(fault.value().unwrap(), "512");
        assert_eq!(fault.help().unwrap(), "a batch of at most 5 images");
        assert!(
            fault.to_string().contains(&memory(512).to_string()),
            "{fault}"
        );
        assert!(fault.to_string().contains(&free.to_string()), "{fault}");
        assert!(DeviceTrainer::new(full(), &network, 5).is_ok());
        let fault = DeviceTrainer::new(Watched::<f32>::with_memory(1000), &network, 1).unwrap_err();
        assert!(fault.help().unwrap().contains("smaller"), "{fault}");
    }
}

#[test]
fn a_predictor_takes_less_memory_than_a_trainer() {
    for architecture in [Architecture::XrayCnn, Architecture::ResNet18] {
        let config = config(architecture, 64, 64);
        let network = Network::new(&config, 1).unwrap();
        let predictor = DevicePredictor::new(Watched::<f32>::default(), &network, 32).unwrap();
        let trainer = device_memory(&config, f32::PRECISION, 32).unwrap();
        assert!(
            2 * predictor.device().allocated() < trainer,
            "{architecture}"
        );
    }
}

#[test]
fn a_step_is_run_once_recorded_once_and_replayed_from_then_on() {
    let config = config(Architecture::XrayCnn, 32, 48);
    let network = Network::new(&config, 1).unwrap();
    let mut trainer = DeviceTrainer::new(Watched::<f32>::default(), &network, BATCH).unwrap();
    let adam = AdamFactors::new(1, &cxr_ops::AdamParameters::default());
    let mut calls_of = |n: usize, adam: Option<&AdamFactors>| {
        trainer.device().take_calls();
        step(&mut trainer, &Batch::new(&config, n, 1), adam);
        trainer.device().take_calls()
    };
    let first = calls_of(BATCH, Some(&adam));
    let second = calls_of(BATCH, Some(&adam));
    let third = calls_of(BATCH, Some(&adam));
    assert!(!first.contains(&"record") && first.contains(&"adam_weights"));
    let recorded: Vec<_> = second
        .iter()
        .filter(|call| !["record", "replay"].contains(call))
        .collect();
    assert!(first.iter().eq(recorded));
    assert_eq!(second.iter().filter(|call| **call == "replay").count(), 1);
    let floats = ["write_floats"; 3]; // dropout, targets, mask; Adam's factors; planes
    let expected = [
        &floats[..1],
        &floats[..1],
        &["fill_planes"],
        &floats,
        &["replay"],
        &["read_floats"; 2],
    ];
    assert_eq!(third, expected.concat());
    // Another size and a step that moves nothing are other work.
    assert!(!calls_of(2, Some(&adam)).contains(&"replay"));
    assert!(!calls_of(BATCH, None).contains(&"adam_weights"));
}
