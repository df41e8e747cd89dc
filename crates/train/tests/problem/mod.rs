//! Films with a bright square where the finding is: a problem that can be learned in a few epochs.

use candle_core::{Device, Tensor};
use cxr_augment::{
    AffineRanges, Buffers, Channels, ImageFolder, PixelCache, Pixels, Preprocess, TrainTransform,
};
use cxr_data::{Cohort, FindingSet, ImageName, Label, PatientId, Radiograph};
use cxr_models::{Architecture, Compute, ModelConfig, Network};
use cxr_train::{Adam, Layers, Loader, Material, OptimizerKind, Origin, RunConfig, TrainState};
use tempfile::TempDir;

const SIZE: u32 = 16;

/// Films, their labels, and everything a fit needs but the configuration.
pub(crate) struct Problem {
    pub(crate) train: Cohort,
    valid: Cohort,
    train_pixels: PixelCache,
    valid_pixels: PixelCache,
    pub(crate) transform: TrainTransform,
    pos_weights: Tensor,
    buffers: Buffers,
    _folder: TempDir,
}

impl Problem {
    pub(crate) fn new(n: usize) -> Self {
        let folder = TempDir::new().expect("folder");
        let spec = Preprocess {
            width: SIZE,
            height: SIZE,
            ..Preprocess::default()
        };
        let draw = |split: &str, n: usize| {
            let radiographs: Vec<Radiograph> = (0..n)
                .map(|place| {
                    let name = format!("{split}_{place:03}.png");
                    let label = if place % 3 == 0 {
                        Label::Positive
                    } else {
                        Label::Negative
                    };
                    let png = film(place, label == Label::Positive)
                        .to_png()
                        .expect("encoded");
                    std::fs::write(folder.path().join(&name), png).expect("written");
                    let unknown = if place % 5 == 0 {
                        Label::Unknown
                    } else {
                        Label::Negative
                    };
                    let patient = PatientId::new(format!("{split}{place}")).expect("a patient");
                    let image = ImageName::new(name).expect("a name");
                    Radiograph::new(image, patient, vec![label, unknown])
                })
                .collect();
            let findings = FindingSet::from_names(["Square", "Nothing"]).expect("findings");
            let cohort = Cohort::new(split, findings, radiographs).expect("a cohort");
            let names: Vec<&str> = cohort
                .radiographs()
                .iter()
                .map(|r| r.image.as_str())
                .collect();
            let images = ImageFolder::open(folder.path()).expect("there");
            let pixels = PixelCache::build(&images, &names, &spec, &|_| ()).expect("readable");
            (cohort, pixels)
        };
        let (train, train_pixels) = draw("train", n);
        let (valid, valid_pixels) = draw("valid", n / 2);
        let transform = TrainTransform::new(spec.clone(), AffineRanges::none()).expect("sound");
        let pos_weights = Tensor::new(&[2.0_f32, 1.0], &Device::Cpu).expect("a tensor");
        Self {
            train,
            valid,
            train_pixels,
            valid_pixels,
            transform,
            pos_weights,
            buffers: Buffers::default(),
            _folder: folder,
        }
    }

    pub(crate) fn material(&self, config: &RunConfig) -> Material<'_> {
        Material {
            loader: Loader::new(
                &self.train,
                &self.train_pixels,
                &self.transform,
                &self.buffers,
                (config.batch_size, config.seed),
            ),
            valid: &self.valid,
            valid_pixels: &self.valid_pixels,
            preprocess: self.transform.spec(),
            pos_weights: &self.pos_weights,
            compute: Compute::default(),
        }
    }

    pub(crate) fn state(&self, config: &RunConfig) -> TrainState {
        let size = SIZE as usize;
        let model = ModelConfig::new(Architecture::XrayCnn, 2, size, size);
        let network = Network::new(&model, config.seed).expect("a network");
        let optimizer = Adam::new(OptimizerKind::Adam, 0.0, network.parameters());
        TrainState::new(network, optimizer, self.train.findings().to_strings())
    }
}

/// A film of its own grey, with a square where the finding is.
fn film(place: usize, has_square: bool) -> Pixels {
    let ground = 60 + (place * 37 % 80) as u8;
    let value = |at: u32| {
        let (x, y) = (at % SIZE, at / SIZE);
        let inside = (4..9).contains(&x) && (5..10).contains(&y);
        if has_square && inside {
            ground + 90
        } else {
            ground
        }
    };
    Pixels::new(
        SIZE,
        SIZE,
        Channels::Gray,
        (0..SIZE * SIZE).map(value).collect(),
    )
    .expect("a film")
}

pub(crate) fn config(settings: &[&str]) -> RunConfig {
    let mut layers = Layers::new("phantom");
    layers.set("batch_size=16", &Origin::CommandLine);
    layers.set("learning_rate=0.001", &Origin::CommandLine);
    for setting in settings {
        layers.set(setting, &Origin::CommandLine);
    }
    layers.resolve().expect("sound").config
}
