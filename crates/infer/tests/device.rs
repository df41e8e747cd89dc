//! Pictures on their way to a device, and predictions there.
//!
//! The device is the reference; what it is fed with must be what the processor's transforms give, to
//! the bit.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop and say where"
)]

use cxr_augment::{
    AffineRanges, Channels, FeedTransform, ImageFolder, Interpolation, Keep, PixelCache, Pixels,
    Preprocess, TrainTransform,
};
use cxr_infer::{DevicePictures, InferError, Predictor};
use cxr_models::{Architecture, Compute, DeviceImages, ModelConfig, Network, Place};
use cxr_ops::device::{Device, Part, PictureGather, Reference};
use tempfile::TempDir;

const WIDTH: u32 = 48;
const HEIGHT: u32 = 32;

/// Films of a folder, one of them in colour where `coloured`.
struct Films {
    folder: ImageFolder,
    names: Vec<String>,
    _place: TempDir,
}

impl Films {
    fn new(n: usize, coloured: bool) -> Self {
        let place = TempDir::new().expect("folder");
        let names: Vec<String> = (0..n).map(|film| format!("{film}.png")).collect();
        for (film, name) in names.iter().enumerate() {
            let channels = if coloured && film == n / 2 {
                Channels::Rgb
            } else {
                Channels::Gray
            };
            let len = (WIDTH * HEIGHT) as usize * if channels == Channels::Rgb { 3 } else { 1 };
            let data = (0..len).map(|v| (v * (film + 3) % 253) as u8).collect();
            let pixels = Pixels::new(WIDTH, HEIGHT, channels, data).expect("sized");
            let png = pixels.to_png().expect("encoded");
            std::fs::write(place.path().join(name), png).expect("written");
        }
        Self {
            folder: ImageFolder::open(place.path()).expect("there"),
            names,
            _place: place,
        }
    }

    fn cache(&self, keep: &Keep) -> PixelCache {
        PixelCache::open(&self.folder, &self.names, &spec(), keep, &|_| ()).expect("readable")
    }
}

fn spec() -> Preprocess {
    Preprocess {
        width: WIDTH,
        height: HEIGHT,
        ..Preprocess::default()
    }
}

/// What a device gathers of a batch, as planes [N, 3, H, W].
fn gathered(device: &Reference<f32>, images: DeviceImages<'_, Reference<f32>>) -> Vec<f32> {
    let DeviceImages::Pictures {
        images: n,
        picture_channels,
        pixels,
        gathers,
        tables,
        norms,
    } = images
    else {
        panic!("pictures are fed as pictures");
    };
    let bytes: Vec<u8> = gathers.iter().flat_map(PictureGather::to_bytes).collect();
    let mut gathers = device.bytes(bytes.len()).expect("memory");
    device.write_bytes(&mut gathers, 0, &bytes).expect("room");
    let bytes: Vec<u8> = tables.iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut tables = device.bytes(bytes.len().max(4)).expect("memory");
    device.write_bytes(&mut tables, 0, &bytes).expect("room");
    let (height, width) = (HEIGHT as usize, WIDTH as usize);
    let channels = device.precision().input_channels();
    let len = n * height * width * channels;
    let mut map = device.map(len).expect("memory");
    device
        .fill_pictures(
            n,
            [height, width],
            picture_channels,
            pixels,
            &gathers,
            &tables,
            norms,
            &mut map,
        )
        .expect("filled");
    let map = device.read_map(&map, Part::first(len)).expect("read");
    let mut planes = vec![0.0; n * 3 * height * width];
    for (place, pixel) in map.chunks(channels).enumerate() {
        let (image, place) = (place / (height * width), place % (height * width));
        for channel in 0..3 {
            planes[(image * 3 + channel) * height * width + place] = pixel[channel];
        }
    }
    planes
}

#[test]
fn a_device_sees_the_very_pictures_that_the_processor_sees() {
    let device = Reference::<f32>::new();
    for coloured in [false, true] {
        let films = Films::new(7, coloured);
        for (keep, interpolation) in [
            (Keep::Memory, Interpolation::NearestParity),
            (Keep::Nowhere, Interpolation::Bilinear),
        ] {
            let cache = films.cache(&keep);
            let transform = TrainTransform::new(spec(), AffineRanges::seed())
                .expect("sound")
                .with_interpolation(interpolation);
            let batches = [vec![3, 0, 6], vec![5, 3], vec![1]];
            let gather_of = |place: usize| transform.gather(&transform.draw(5, 2, place as u64));
            let feed = FeedTransform::Train {
                transform: &transform,
                seed: 5,
                epoch: 2,
            };
            for is_kept in [false, true] {
                let mut pictures = DevicePictures::new(&cache, &spec());
                if is_kept {
                    assert!(pictures.keep(&device, 0).expect("kept"));
                }
                let mut n_seen = 0;
                pictures
                    .feed(&device, &batches, &gather_of, |images, places| {
                        let mut expected = vec![0.0; places.len() * spec().tensor_len()];
                        feed.fill(&cache, places, &mut expected).expect("filled");
                        let found = gathered(&device, images);
                        let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                        assert_eq!(
                            bits(&found),
                            bits(&expected),
                            "{interpolation:?} {is_kept} {places:?}"
                        );
                        n_seen += 1;
                        Ok::<_, InferError>(true)
                    })
                    .expect("fed");
                assert_eq!(n_seen, batches.len());
            }
        }
    }
}

#[test]
fn a_consumer_may_stop_and_its_fault_comes_through() {
    let device = Reference::<f32>::new();
    let films = Films::new(9, false);
    let cache = films.cache(&Keep::Memory);
    let pictures = DevicePictures::new(&cache, &spec());
    let batches: Vec<Vec<usize>> = (0..9).map(|place| vec![place]).collect();
    let still = |_| cxr_augment::Gather::Still;
    let mut n = 0;
    let stopped = pictures.feed(&device, &batches, &still, |_, _| {
        n += 1;
        Ok::<_, InferError>(n < 4)
    });
    assert!(stopped.is_ok());
    assert_eq!(n, 4);
    let fault = pictures.feed(&device, &batches, &still, |_, places| {
        if places == [2] {
            return Err(InferError::Tensor(candle_core::Error::Msg("no".into())));
        }
        Ok(true)
    });
    assert!(matches!(fault, Err(InferError::Tensor(_))));
}

#[test]
fn a_picture_that_is_gone_is_named_wherever_it_is_read() {
    let device = Reference::<f32>::new();
    let films = Films::new(4, false);
    let cache = films.cache(&Keep::Nowhere);
    std::fs::remove_file(films._place.path().join("2.png")).expect("removed");
    let mut pictures = DevicePictures::new(&cache, &spec());
    assert!(matches!(
        pictures.keep(&device, 0),
        Err(InferError::Image(_))
    ));
    let still = |_| cxr_augment::Gather::Still;
    let mut n_seen = 0;
    let fault = pictures.feed(&device, &[vec![0, 1], vec![3, 2]], &still, |_, _| {
        n_seen += 1;
        Ok::<_, InferError>(true)
    });
    assert!(matches!(fault, Err(InferError::Image(_))), "{fault:?}");
    assert_eq!(n_seen, 1);
}

#[test]
fn predictions_on_a_device_are_those_of_the_processor() {
    let films = Films::new(5, true);
    let cache = films.cache(&Keep::Memory);
    for architecture in [Architecture::XrayCnn, Architecture::ResNet18] {
        let config = ModelConfig::new(architecture, 3, HEIGHT as usize, WIDTH as usize);
        let config = ModelConfig {
            width: WIDTH as usize,
            height: HEIGHT as usize,
            ..config
        };
        let network = Network::new(&config, 3).expect("a network");
        let on = |compute: &Compute| {
            let predictor = Predictor::on(compute, &network, &spec()).expect("a predictor");
            let of_cache = predictor.logits(&cache).expect("logits");
            let mut memory = Vec::new();
            let picture = cache.picture(1, &mut memory).expect("there");
            let of_picture = predictor.logits_of(&[picture]).expect("logits");
            (of_cache.values().to_vec(), of_picture.values().to_vec())
        };
        let (cpu, cpu_picture) = on(&Compute::default());
        let (device, device_picture) = on(&Compute::on(Place::Reference));
        let largest = cpu.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        for (a, b) in cpu.iter().zip(&device) {
            assert!((a - b).abs() < 2e-5 * largest, "{architecture} {a} {b}");
        }
        for (a, b) in cpu_picture.iter().zip(&device_picture) {
            assert!((a - b).abs() < 2e-5 * largest, "{architecture} {a} {b}");
        }
        assert_eq!(cpu[3..6].len(), cpu_picture.len());
    }
}
