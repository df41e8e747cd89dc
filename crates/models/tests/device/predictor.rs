//! Logits in evaluation mode, from planes and from pictures.

use cxr_models::{Architecture, DeviceImages, DevicePredictor, Mode, Network};
use cxr_ops::device::{Device, GatherKind, PictureGather, Pixels, Reference};

use crate::support::{Batch, FINDINGS, config, error, flat, move_statistics, trainer};

/// Sums in f64 beside sums in f32, through all layers.
const TOLERANCE: f64 = 2e-5;

#[test]
fn trainer_and_predictor_give_the_networks_logits_for_short_batches_too() {
    for (architecture, width, height) in [
        (Architecture::XrayCnn, 48, 32),
        (Architecture::ResNet18, 40, 72),
        (Architecture::ResNet34, 33, 32),
    ] {
        let config = config(architecture, width, height);
        let network = Network::new(&config, 3).unwrap();
        let mut predictor = DevicePredictor::new(Reference::<f32>::new(), &network, 3).unwrap();
        move_statistics(&network);
        predictor.load(&network).unwrap();
        let mut trainer = trainer(&network, 3);
        for n in [3, 1] {
            let batch = Batch::new(&config, n, n as u64);
            let expected = flat(&network.forward(&batch.images(), Mode::Eval).unwrap());
            let of_predictor = predictor.logits(batch.planes()).unwrap();
            assert!(
                error(&of_predictor, &expected) <= TOLERANCE,
                "{architecture} {n}"
            );
            let of_trainer = trainer.logits(batch.planes()).unwrap();
            assert_eq!(of_trainer, of_predictor, "{architecture} {n}");
        }
    }
}

#[test]
fn pictures_give_the_logits_of_the_planes_that_they_are() {
    let config = config(Architecture::XrayCnn, 32, 48);
    let network = Network::new(&config, 3).unwrap();
    let mut predictor = DevicePredictor::new(Reference::<f32>::new(), &network, 2).unwrap();
    let places = 32 * 48;
    let bytes: Vec<u8> = (0..2 * places)
        .map(|place| (place * 7 % 251) as u8)
        .collect();
    let norms = [(0.4, 0.25), (0.5, 0.5), (0.6, 0.2)];
    let mut planes = Vec::new();
    for picture in bytes.chunks_exact(places) {
        for (mean, deviation) in norms {
            planes.extend(
                picture
                    .iter()
                    .map(|&b| (f32::from(b) / 255.0 - mean) / deviation),
            );
        }
    }
    let of_planes = DeviceImages::Planes {
        images: 2,
        data: &planes,
    };
    let expected = predictor.logits(of_planes).unwrap();
    let device = Reference::<f32>::new();
    let mut kept = device.bytes(bytes.len()).unwrap();
    device.write_bytes(&mut kept, 0, &bytes).unwrap();
    // The second picture through a table that leaves every place where it is.
    let table: Vec<i32> = (0..places as i32).collect();
    let gathers = [
        (0, GatherKind::Still),
        (places, GatherKind::Table { table: 0 }),
    ];
    let gathers = gathers.map(|(start, kind)| PictureGather {
        start: start as u64,
        kind,
    });
    let pictures = DeviceImages::Pictures {
        images: 2,
        picture_channels: 1,
        pixels: Pixels::Kept(&kept),
        gathers: &gathers,
        tables: &table,
        norms,
    };
    let logits = predictor.logits(pictures).unwrap();
    assert!(error(&logits, &expected) <= 1e-6);
}

#[test]
fn what_does_not_fit_is_refused_with_what_would() {
    let config = config(Architecture::XrayCnn, 32, 48);
    let network = Network::new(&config, 3).unwrap();
    let device = Reference::<f32>::new;
    assert_eq!(
        DevicePredictor::new(device(), &network, 0)
            .unwrap_err()
            .code(),
        "M005"
    );
    let mut predictor = DevicePredictor::new(device(), &network, 2).unwrap();
    let batch = Batch::new(&config, 3, 1);
    let too_many = predictor.logits(batch.planes()).unwrap_err();
    assert_eq!(too_many.to_string(), "the network expects 1 to 2 images");
    let short = DeviceImages::Planes {
        images: 2,
        data: &batch.pixels[1..2 * 3 * 32 * 48],
    };
    let fault = predictor.logits(short).unwrap_err();
    assert_eq!(fault.value().unwrap(), (2 * 3 * 32 * 48 - 1).to_string());
    let wide = crate::support::config(Architecture::XrayCnn, 48, 48);
    let other = Network::new(&wide, 1).unwrap();
    assert_eq!(predictor.load(&other).unwrap_err().code(), "M005");
    assert_eq!(predictor.largest_batch(), 2);
    let logits = predictor
        .logits(Batch::new(&config, 2, 1).planes())
        .unwrap();
    assert_eq!(logits.len(), 2 * FINDINGS);
}
