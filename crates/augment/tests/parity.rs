//! Pictures and tensors equal torchvision's to the bit: on the committed inputs of every kind and
//! several sizes, and, where they are at hand, on NIH radiographs at 320 × 320.

#![expect(clippy::unwrap_used, reason = "a test's own files are there")]
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cxr_augment::{
    AffineDraw, AffineRanges, BitDepthPolicy, Channels, EvalTransform, Isa, Pixels, Preprocess,
    TrainTransform, decode, prepare, resize, resize_with, stages,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Goldens {
    params: BTreeMap<String, AffineDraw>,
    inputs: BTreeMap<String, Input>,
}

#[derive(Deserialize)]
struct Input {
    width: u32,
    height: u32,
    decoded: String,
    sizes: BTreeMap<String, Sized>,
}

#[derive(Deserialize)]
struct Sized {
    resized: String,
    moved: BTreeMap<String, [String; 2]>,
}

#[test]
fn every_kind_size_and_draw_equals_torchvision() {
    let goldens: Goldens = json("golden/augment.json");
    let mut n_cases = 0;
    for (name, input) in &goldens.inputs {
        let file = std::fs::read(fixture(&format!("images/{name}.png"))).unwrap();
        let decoded = decode(&file, name, &parity_spec(320, 320)).unwrap().pixels;
        assert_eq!(
            (decoded.width(), decoded.height()),
            (input.width, input.height),
            "{name}"
        );
        assert_eq!(digest(&rgb(&decoded)), input.decoded, "{name} decoded");
        for (size, expected) in &input.sizes {
            let (width, height) = size.split_once('x').unwrap();
            let (width, height) = (width.parse().unwrap(), height.parse().unwrap());
            let resized = resize(&decoded, width, height);
            for isa in Isa::ALL {
                let found = digest(&rgb(&resize_with(isa, &decoded, width, height)));
                assert_eq!(found, expected.resized, "{name} at {size}, {isa}");
            }
            let spec = parity_spec(width, height);
            let train = TrainTransform::new(spec.clone(), AffineRanges::none()).unwrap();
            let mut tensor = vec![f32::NAN; spec.tensor_len()];
            for (label, [picture, numbers]) in &expected.moved {
                let draw = goldens.params[label];
                let shown = stages(&file, name, &spec, &draw).unwrap();
                let last = &shown.pictures()[4];
                assert_eq!(&digest(&rgb(last)), picture, "{name} at {size}, {label}");
                for isa in Isa::ALL {
                    let train = train.clone().with_isa(isa);
                    train.apply(&resized, &draw, &mut tensor).unwrap();
                    let what = format!("{name} at {size}, {label}, {isa}");
                    assert_eq!(&tensor_digest(&tensor), numbers, "{what}");
                    assert!(bits(&tensor) == bits(shown.tensor()), "{what}");
                }
                n_cases += 1;
            }
            EvalTransform::new(spec)
                .unwrap()
                .apply(&resized, &mut tensor)
                .unwrap();
            assert_eq!(
                tensor_digest(&tensor),
                expected.moved["none"][1],
                "{name} at {size}"
            );
        }
    }
    assert_eq!(n_cases, 26 * 5 * 18);
}

#[test]
fn the_shown_pictures_equal_torchvisions_pixel_by_pixel() {
    let goldens: Goldens = json("golden/augment.json");
    for name in goldens.inputs.keys() {
        let file = std::fs::read(fixture(&format!("images/{name}.png"))).unwrap();
        let spec = parity_spec(48, 32);
        let shown = stages(&file, name, &spec, &goldens.params["all"]).unwrap();
        let expected = std::fs::read(fixture(&format!("golden/augment/{name}.png"))).unwrap();
        let expected = decode(&expected, name, &spec).unwrap().pixels;
        assert!(rgb(&shown.pictures()[4]) == rgb(&expected), "{name}");
    }
}

#[test]
fn nih_radiographs_at_320_equal_torchvision() {
    #[derive(Deserialize)]
    struct Nih {
        params: BTreeMap<String, AffineDraw>,
        cases: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        input: String,
        param: String,
        u8: String,
        f32_sha256: String,
    }
    let Some(shared) = shared("golden/augment") else {
        return;
    };
    let goldens: Nih = json("golden/augment_nih.json");
    let spec = parity_spec(320, 320);
    let train = TrainTransform::new(spec.clone(), AffineRanges::seed()).unwrap();
    let mut tensor = vec![f32::NAN; spec.tensor_len()];
    assert_eq!(goldens.cases.len(), 40);
    for case in &goldens.cases {
        let file = std::fs::read(shared.join(&case.input)).unwrap();
        let draw = goldens.params[&case.param];
        let decoded = decode(&file, &case.input, &spec).unwrap().pixels;
        let pixels = prepare(&file, &case.input, &spec).unwrap().pixels;
        for isa in Isa::ALL {
            let resized = resize_with(isa, &decoded, 320, 320);
            assert!(resized == pixels, "{} {isa}", case.input);
            let train = train.clone().with_isa(isa);
            train.apply(&pixels, &draw, &mut tensor).unwrap();
            let sum = hex(&Sha256::digest(le_bytes(&tensor)));
            assert_eq!(sum, case.f32_sha256, "{} {} {isa}", case.input, case.param);
        }
        let expected = std::fs::read(shared.join(&case.u8)).unwrap();
        let expected = decode(&expected, &case.u8, &spec).unwrap().pixels;
        let shown = stages(&file, &case.input, &spec, &draw).unwrap();
        assert!(rgb(&shown.pictures()[4]) == rgb(&expected), "{}", case.u8);
    }
}

#[test]
fn the_write_ups_first_image_has_its_statistics() {
    let Some(shared) = shared("golden/augment") else {
        return;
    };
    let file = std::fs::read(shared.join("nih_a.png")).unwrap();
    let pixels = decode(&file, "00008270_015.png", &Preprocess::default())
        .unwrap()
        .pixels;
    let found = pixels.statistics();
    assert_eq!((found.width, found.height, found.channels), (1024, 1024, 1));
    let shown = [found.max, found.min, found.mean, found.std].map(|v| format!("{v:.4}"));
    assert_eq!(shown, ["0.9804", "0.0000", "0.4796", "0.2757"]);
}

#[test]
fn equal_channels_give_the_bytes_of_one_channel() {
    let spec = parity_spec(48, 32);
    let prepared = |name: &str| {
        let file = std::fs::read(fixture(&format!("images/{name}.png"))).unwrap();
        prepare(&file, name, &spec).unwrap().pixels
    };
    assert_eq!(prepared("rgb8-equal"), prepared("gray8"));
    assert_eq!(prepared("gray8-interlaced"), prepared("gray8"));
    assert_eq!(prepared("rgba8-equal").channels(), Channels::Gray);
    assert_eq!(prepared("rgb8").channels(), Channels::Rgb);
    assert_eq!(prepared("rgba8").channels(), Channels::Rgb);
}

/// Whatever a JPEG decoder's inverse transform, it is within a few levels of libjpeg's.
#[test]
fn jpegs_are_within_a_few_levels_of_pillows() {
    let cases = [
        ("gray", 1, 0.05),
        ("gray-restarts", 1, 0.05),
        ("gray-progressive", 1, 0.05),
        ("gray-orientation", 1, 0.05),
        ("rgb-444", 3, 0.5),
        ("rgb-420", 40, 2.0),
        ("rgb-progressive", 40, 2.0),
        ("rgb-equal", 3, 0.5),
        ("rgb-untransformed", 1, 0.1),
    ];
    for (name, most, mean) in cases {
        let file = std::fs::read(fixture(&format!("images/{name}.jpg"))).unwrap();
        let expected = std::fs::read(fixture(&format!("golden/augment/{name}.jpg.png"))).unwrap();
        let spec = Preprocess::default();
        let found = rgb(&decode(&file, name, &spec).unwrap().pixels);
        let expected = rgb(&decode(&expected, name, &spec).unwrap().pixels);
        assert_eq!(found.len(), expected.len(), "{name}");
        let differences = || found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b));
        let largest = differences().max().unwrap();
        let average = differences().map(f64::from).sum::<f64>() / found.len() as f64;
        assert!(
            largest <= most && average <= mean,
            "{name}: {largest} {average}"
        );
    }
}

fn parity_spec(width: u32, height: u32) -> Preprocess {
    Preprocess {
        width,
        height,
        bit_depth: BitDepthPolicy::ClipLikePillow,
        ..Preprocess::default()
    }
}

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures")
        .join(path)
}

fn json<T: for<'a> Deserialize<'a>>(path: &str) -> T {
    serde_json::from_slice(&std::fs::read(fixture(path)).unwrap()).unwrap()
}

fn shared(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("CXR_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let folder = folder.join(path);
    if !folder.is_dir() {
        println!("skipped: {} is not here", folder.display());
        return None;
    }
    Some(folder)
}

/// What `convert("RGB").tobytes()` gives.
fn rgb(pixels: &Pixels) -> Vec<u8> {
    match pixels.channels() {
        Channels::Gray => pixels.data().iter().flat_map(|&v| [v; 3]).collect(),
        Channels::Rgb => pixels.data().to_vec(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)[..8])
}

fn le_bytes(tensor: &[f32]) -> Vec<u8> {
    tensor.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn tensor_digest(tensor: &[f32]) -> String {
    digest(&le_bytes(tensor))
}

fn bits(tensor: &[f32]) -> Vec<u32> {
    tensor.iter().map(|v| v.to_bits()).collect()
}
