//! A checkpoint is either whole and right or refused by name. Damage is made on the bytes of a
//! real one; where the damage is in the meaning and not in the bytes, the digest is made anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use candle_core::{DType, Device, Tensor};
use cxr_models::{
    Architecture, Checkpoint, CheckpointFault, CheckpointHeader, Mode, ModelConfig, Network,
    SavedOperatingPoint, TrainingFacts,
};
use cxr_stream::{Purpose, Stream};
use serde_json::{Value, json};

const PREFIX: usize = 8 + r#"{"__metadata__":{"cxr.digest":""#.len();

fn findings() -> Vec<String> {
    ["Edema", "Hernia \"é\" \u{1b}"].map(str::to_owned).to_vec()
}

fn header(model: ModelConfig) -> CheckpointHeader {
    let point = |finding: &str, threshold_logit| SavedOperatingPoint {
        finding: finding.to_owned(),
        threshold_logit,
        rule: "youden".to_owned(),
        reason: None,
    };
    let names = findings();
    CheckpointHeader {
        training: TrainingFacts {
            train_fingerprint: Some("ab".repeat(32)),
            epoch: Some(3),
            seed: Some(u64::MAX),
            notes: BTreeMap::from([("library".to_owned(), json!({"version": "1.2"}))]),
            ..TrainingFacts::default()
        },
        operating_points: Some(vec![
            point(&names[0], Some(-1.098_612_288_668_109_8)),
            point(&names[1], None),
        ]),
        calibration: Some(json!({"temperature": 1.5})),
        ..CheckpointHeader::new(
            model,
            names,
            json!({"width": 16, "mean": [0.485, 0.456, 0.406]}),
        )
    }
}

fn small() -> Checkpoint {
    let config = ModelConfig::new(Architecture::XrayCnn, 2, 16, 16);
    let network = Network::new(&config, 3).unwrap();
    Checkpoint::of(&network, header(config)).unwrap()
}

fn resnet() -> Checkpoint {
    let config = ModelConfig::new(Architecture::ResNet18, 2, 32, 64);
    let network = Network::new(&config, 3).unwrap();
    let images = Tensor::ones((2, 3, 64, 32), DType::F32, &Device::Cpu).unwrap();
    network
        .forward(&images, Mode::Train { seed: 1, step: 1 })
        .unwrap();
    Checkpoint::of(&network, header(config)).unwrap()
}

fn fault(bytes: &[u8]) -> CheckpointFault {
    Checkpoint::from_bytes(bytes).unwrap_err()
}

/// The JSON header and the tensors' bytes.
fn parts(bytes: &[u8]) -> (Value, Vec<u8>) {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let json = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    (json, bytes[8 + length..].to_vec())
}

/// A file of this header and these bytes with a digest that is right.
fn sealed(json: &Value, data: &[u8]) -> Vec<u8> {
    let mut json = json.clone();
    json["__metadata__"]["cxr.digest"] = Value::String("0".repeat(64));
    let text = json.to_string();
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes.extend(data);
    let digest = blake3::hash(&bytes).to_hex();
    bytes[PREFIX..PREFIX + 64].copy_from_slice(digest.as_bytes());
    bytes
}

/// A small checkpoint whose header was changed and whose digest is right.
fn changed(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let (mut json, data) = parts(&small().to_bytes().unwrap());
    change(&mut json);
    sealed(&json, &data)
}

/// The same for the checkpoint's own header.
fn changed_header(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    changed(|json| {
        let text = json["__metadata__"]["cxr.header"].as_str().unwrap();
        let mut header: Value = serde_json::from_str(text).unwrap();
        change(&mut header);
        json["__metadata__"]["cxr.header"] = Value::String(header.to_string());
    })
}

fn digest(tensors: &BTreeMap<String, Tensor>) -> String {
    cxr_models::digest_of_tensors(tensors).unwrap()
}

#[test]
fn a_saved_checkpoint_gives_back_every_bit_of_weights_and_header() {
    let folder = tempfile::tempdir().unwrap();
    for checkpoint in [small(), resnet()] {
        let path = folder.path().join("best.safetensors");
        checkpoint.save(&path).unwrap();
        let loaded = Checkpoint::load(&path).unwrap();
        assert_eq!(loaded.header(), checkpoint.header());
        assert_eq!(loaded.path(), path);
        assert_eq!(digest(loaded.tensors()), digest(checkpoint.tensors()));
        let network = loaded.network().unwrap();
        assert_eq!(
            network.weight_digest().unwrap(),
            loaded.weight_digest().unwrap()
        );
        let threshold = |c: &Checkpoint| {
            let points = c.header().operating_points.as_ref().unwrap();
            points[0].threshold_logit.unwrap().to_bits()
        };
        assert_eq!(threshold(&loaded), threshold(&checkpoint));
        let bytes = fs_err::read(&path).unwrap();
        assert_eq!(bytes, loaded.to_bytes().unwrap());
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_checkpoint_is_ordinary_safetensors_to_others() {
    let checkpoint = resnet();
    let bytes = checkpoint.to_bytes().unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.len(), checkpoint.tensors().len());
    let bias = file.tensor("fc.bias").unwrap();
    let numbers: Vec<u8> = checkpoint.tensors()["fc.bias"]
        .to_vec1::<f32>()
        .unwrap()
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    assert_eq!(bias.data(), numbers);
    let count = file.tensor("bn1.num_batches_tracked").unwrap();
    assert_eq!(count.data(), 1i64.to_le_bytes());
}

#[test]
fn a_checkpoint_in_memory_does_not_change_as_its_network_trains() {
    let config = ModelConfig::new(Architecture::ResNet18, 2, 32, 64);
    let network = Network::new(&config, 3).unwrap();
    let checkpoint = Checkpoint::of(&network, header(config)).unwrap();
    let before = checkpoint.weight_digest().unwrap();
    assert_eq!(before, network.weight_digest().unwrap());
    let images = Tensor::ones((2, 3, 64, 32), DType::F32, &Device::Cpu).unwrap();
    network
        .forward(&images, Mode::Train { seed: 1, step: 1 })
        .unwrap();
    assert_eq!(before, checkpoint.weight_digest().unwrap());
    assert_ne!(before, network.weight_digest().unwrap());
}

#[test]
fn an_empty_file_is_refused() {
    let fault = fault(&[]);
    assert_eq!((fault.code(), fault.exit_code()), ("M020", 6));
}

#[test]
fn a_checkpoint_cut_at_any_4_kib_is_refused_with_both_lengths() {
    let bytes = small().to_bytes().unwrap();
    let mut cuts: Vec<usize> = (4096..bytes.len()).step_by(4096).collect();
    assert!(cuts.len() > 200);
    cuts.push(bytes.len() - 1);
    for cut in cuts {
        let fault = fault(&bytes[..cut]);
        assert_eq!((fault.code(), fault.exit_code()), ("M024", 6), "{cut}");
        assert_eq!(fault.value().unwrap(), format!("{cut} bytes"));
        assert!(fault.help().unwrap().contains(&bytes.len().to_string()));
    }
    for cut in 1..64 {
        assert_eq!(fault(&bytes[..cut]).exit_code(), 6, "{cut}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert_eq!(fault(&longer).code(), "M024");
}

#[test]
fn every_single_flipped_bit_is_found() {
    let bytes = small().to_bytes().unwrap();
    let header_bits = (parts(&bytes).0.to_string().len() as u64 + 8) * 8;
    let mut stream = Stream::new(4, Purpose::Test, 0, 0);
    let anywhere = (0..1000).map(|_| stream.below(bytes.len() as u64 * 8));
    let anywhere: Vec<u64> = anywhere.collect();
    let in_header = (0..1000).map(|_| stream.below(header_bits));
    for bit in anywhere.into_iter().chain(in_header) {
        let mut flipped = bytes.clone();
        flipped[(bit / 8) as usize] ^= 1 << (bit % 8);
        let found = Checkpoint::from_bytes(&flipped);
        assert!(
            found.is_err_and(|fault| fault.exit_code() == 6),
            "bit {bit}"
        );
    }
}

#[test]
fn a_flipped_bit_in_a_weight_is_told_with_both_digests() {
    let mut bytes = small().to_bytes().unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let fault = fault(&bytes);
    assert_eq!(fault.code(), "M026");
    assert_eq!(fault.value().unwrap().len(), 64);
    assert!(fault.help().unwrap().contains("take an earlier checkpoint"));
}

#[test]
fn an_impossible_header_length_is_refused_without_reading_on() {
    let mut bytes = small().to_bytes().unwrap();
    for length in [u64::MAX, 1 << 40, bytes.len() as u64 - 7] {
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        let fault = fault(&bytes);
        assert_eq!((fault.code(), fault.exit_code()), ("M022", 6));
        assert_eq!(fault.value().unwrap(), length.to_string());
    }
}

#[test]
fn tensors_that_do_not_lie_side_by_side_are_refused() {
    let offsets = |name: &str, start: usize, end: usize| {
        changed(|json| json[name]["data_offsets"] = json!([start, end]))
    };
    let (json, _) = parts(&small().to_bytes().unwrap());
    let at = |name: &str, k: usize| json[name]["data_offsets"][k].as_u64().unwrap() as usize;
    let (start, end) = (at("conv2.bias", 0), at("conv2.bias", 1));
    for (bytes, word) in [
        (offsets("conv2.bias", start - 4, end - 4), "overlaps"),
        (offsets("conv2.bias", start + 4, end + 4), "hole"),
        (offsets("conv2.bias", start, end - 4), "do not hold"),
        (offsets("conv2.bias", end, start), "do not hold"),
        (
            offsets("conv2.bias", usize::MAX - 3, usize::MAX),
            "do not hold",
        ),
        (
            changed(|json| json["conv2.bias"]["shape"] = json!([u64::MAX, 8])),
            "do not hold",
        ),
    ] {
        let fault = fault(&bytes);
        assert_eq!((fault.code(), fault.exit_code()), ("M025", 6), "{word}");
        assert!(fault.to_string().contains(word), "{fault}");
    }
}

#[test]
fn wrong_dtype_shape_and_name_are_refused_by_tensor() {
    let case = |code: &str, tensor: &str, change: &dyn Fn(&mut Value)| {
        let fault = fault(&changed(|json| change(json)));
        assert_eq!((fault.code(), fault.exit_code()), (code, 6));
        let place = fault.location().unwrap();
        assert!(place.contains(&format!("{tensor:?}")), "{place}");
        fault
    };
    let fault = case("M013", "fc2.bias", &|json| {
        json["fc2.bias"]["dtype"] = json!("F16")
    });
    assert_eq!(fault.value().unwrap(), "\"F16\"");
    case("M013", "fc2.bias", &|json| {
        json["fc2.bias"] =
            json!({"dtype": "I64", "shape": [1], "data_offsets": json["fc2.bias"]["data_offsets"]});
        json["fc2.bias"]["dtype"] = json!("F8");
    });
    // The same bytes as another type and shape.
    let fault = case("M012", "fc2.bias", &|json| {
        json["fc2.bias"]["dtype"] = json!("I64");
        json["fc2.bias"]["shape"] = json!([1]);
    });
    assert_eq!(fault.help().unwrap(), "the network's is [2]");
    let fault = case("M012", "conv1.weight", &|json| {
        json["conv1.weight"]["shape"] = json!([3, 16, 3, 3]);
    });
    assert_eq!(fault.value().unwrap(), "[3, 16, 3, 3]");
    let fault = case("M010", "fc1.weight", &|json| {
        json["fc1.wieght"] = json["fc1.weight"].take();
        json.as_object_mut().unwrap().remove("fc1.weight");
    });
    assert!(
        fault.help().unwrap().contains("M011 \"fc1.wieght\""),
        "{fault:?}"
    );
}

#[test]
fn missing_and_extra_tensors_are_refused() {
    let checkpoint = small();
    let mut tensors = checkpoint.tensors().clone();
    let bias = tensors.remove("conv3.bias").unwrap();
    let fault = Checkpoint::from_parts(checkpoint.header().clone(), tensors.clone()).unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("M010", 6));
    tensors.insert("conv3.bias".to_owned(), bias.clone());
    tensors.insert("conv5.bias".to_owned(), bias);
    let fault = Checkpoint::from_parts(checkpoint.header().clone(), tensors).unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("M011", 6));
    // And in a file: the last tensor cut out of header and data, one more appended.
    let (mut json, mut data) = parts(&checkpoint.to_bytes().unwrap());
    let removed = json.as_object_mut().unwrap().remove("fc2.weight").unwrap();
    data.truncate(removed["data_offsets"][0].as_u64().unwrap() as usize);
    assert_eq!(fault_code(&sealed(&json, &data)), "M010");
    let (mut json, mut data) = parts(&checkpoint.to_bytes().unwrap());
    let end = data.len();
    json["zzz"] = json!({"dtype": "F32", "shape": [1], "data_offsets": [end, end + 4]});
    data.extend([0; 4]);
    assert_eq!(fault_code(&sealed(&json, &data)), "M011");
}

fn fault_code(bytes: &[u8]) -> &'static str {
    fault(bytes).code()
}

#[test]
fn another_architecture_is_refused_in_the_header_and_by_the_caller() {
    let bytes = changed_header(|header| {
        header["model"]["architecture"] = json!("resnet18");
        header["model"]["width"] = json!(32);
        header["model"]["height"] = json!(32);
    });
    // conv1 has another shape in a ResNet and conv2 … fc2 do not exist there.
    assert_eq!(fault_code(&bytes), "M012");
    let fault = small()
        .check_architecture(Architecture::ResNet34)
        .unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("M029", 6));
    assert_eq!(fault.value().unwrap(), "xray-cnn");
    assert!(fault.help().unwrap().contains("resnet34"));
    assert!(small().check_architecture(Architecture::XrayCnn).is_ok());
    let bytes = changed_header(|header| header["model"]["architecture"] = json!("vit"));
    assert_eq!(fault_code(&bytes), "M023");
}

#[test]
fn a_newer_format_is_refused_even_where_its_header_is_not_understood() {
    let bytes = changed_header(|header| *header = json!({"format_version": 2, "new": true}));
    let fault = fault(&bytes);
    assert_eq!((fault.code(), fault.exit_code()), ("M027", 6));
    assert_eq!(fault.value().unwrap(), "2");
    let bytes = changed_header(|header| header["format_version"] = json!(0));
    assert_eq!(fault_code(&bytes), "M030");
}

#[test]
fn weights_that_are_not_finite_are_neither_saved_nor_loaded() {
    let checkpoint = small();
    let mut tensors = checkpoint.tensors().clone();
    let bad = Tensor::new(&[0.5f32, f32::NAN], &Device::Cpu).unwrap();
    tensors.insert("fc2.bias".to_owned(), bad);
    let fault = Checkpoint::from_parts(checkpoint.header().clone(), tensors).unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("M031", 5));
    assert_eq!(fault.location().unwrap(), "tensor \"fc2.bias\", element 1");

    let network = checkpoint.network().unwrap();
    let (_, var) = network
        .parameters()
        .into_iter()
        .find(|(n, _)| n == "fc2.bias")
        .unwrap();
    var.set(&Tensor::new(&[f32::INFINITY, 0.0], &Device::Cpu).unwrap())
        .unwrap();
    let fault = Checkpoint::of(&network, checkpoint.header().clone()).unwrap_err();
    assert_eq!(
        (fault.code(), fault.value().unwrap().as_str()),
        ("M031", "inf")
    );

    let (json, mut data) = parts(&checkpoint.to_bytes().unwrap());
    let start = json["fc2.bias"]["data_offsets"][0].as_u64().unwrap() as usize;
    data[start..start + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let fault = self::fault(&sealed(&json, &data));
    assert_eq!((fault.code(), fault.exit_code()), ("M014", 6));
    assert_eq!(fault.location().unwrap(), "tensor \"fc2.bias\", element 0");
}

#[test]
fn other_findings_are_refused_with_the_difference() {
    let checkpoint = small();
    let ours = findings();
    assert!(checkpoint.check_findings(&ours).is_ok());
    let swapped = [ours[1].clone(), ours[0].clone()];
    let fault = checkpoint.check_findings(&swapped).unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("M028", 6));
    assert!(
        fault.value().unwrap().starts_with("logit 0 is \"Edema\""),
        "{fault:?}"
    );
    let other = [ours[0].clone(), "Mass".to_owned(), "Nodule".to_owned()];
    let value = checkpoint
        .check_findings(&other)
        .unwrap_err()
        .value()
        .unwrap();
    assert!(
        value.contains("not in the checkpoint: [\"Mass\", \"Nodule\"]"),
        "{value}"
    );
    // Escaped: a name from a file may hold anything.
    assert!(value.contains("Hernia \\\"é\\\" \\u{1b}"), "{value}");
}

#[test]
fn a_header_that_contradicts_itself_is_refused() {
    let refused = |what: &str, change: &dyn Fn(&mut CheckpointHeader)| {
        let checkpoint = small();
        let mut header = checkpoint.header().clone();
        change(&mut header);
        let fault = checkpoint.with_header(header).unwrap_err();
        assert_eq!(fault.code(), "M030", "{what}");
        assert!(fault.to_string().contains(what), "{fault}");
    };
    refused("number of findings", &|h| {
        h.findings.push("Mass".to_owned())
    });
    refused("named twice", &|h| h.findings = vec!["Edema".to_owned(); 2]);
    refused("cannot take images", &|h| h.model.width = 17);
    refused("not one a finding", &|h| {
        h.operating_points = Some(Vec::new())
    });
    refused("not finite", &|h| {
        if let Some(points) = &mut h.operating_points {
            points[1].threshold_logit = Some(f64::INFINITY);
        }
    });
    refused("format", &|h| h.format_version = 7);
    let network = small().network().unwrap();
    let other = ModelConfig::new(Architecture::XrayCnn, 2, 32, 16);
    let fault = Checkpoint::of(&network, header(other)).unwrap_err();
    assert_eq!(fault.code(), "M030");
}

#[test]
fn later_thresholds_travel_with_the_same_weights() {
    let checkpoint = small();
    let mut header = checkpoint.header().clone();
    header.calibration = None;
    let before = checkpoint.weight_digest().unwrap();
    let checkpoint = checkpoint.with_header(header).unwrap();
    assert_eq!(before, checkpoint.weight_digest().unwrap());
    assert_eq!(checkpoint.header().calibration, None);
}

#[test]
fn files_of_other_programs_are_refused_with_the_way_in() {
    let html = b"<!DOCTYPE html><html>not found</html>".repeat(10);
    assert_eq!(fault(&html).exit_code(), 6);
    let tensors = small().tensors().clone().into_iter().collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain.safetensors");
    candle_core::safetensors::save::<String, _>(&tensors, &path).unwrap();
    let fault = Checkpoint::load(&path).unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("M021", 6));
    assert!(fault.help().unwrap().contains("import-weights"));
}

#[test]
fn what_is_no_regular_file_is_refused_and_never_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let fault = Checkpoint::load(folder.path()).unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("M033", 6));
    let pipe = folder.path().join("pipe");
    if Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .is_ok_and(|status| status.success())
    {
        assert_eq!(Checkpoint::load(&pipe).unwrap_err().code(), "M033");
    }
    let missing = folder.path().join("no\u{1b}ne");
    let fault = Checkpoint::load(&missing).unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("M032", 4));
    assert!(fault.location().unwrap().contains("no\\u{1b}ne"));
}

#[test]
fn a_save_that_fails_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("best.safetensors");
    small().save(&path).unwrap();
    let before = fs_err::read(&path).unwrap();
    // No folder to write in, then a folder where the file should be.
    let nowhere = folder.path().join("none/best.safetensors");
    let fault = small().save(&nowhere).unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("M032", 4));
    assert!(fault.location().unwrap().ends_with("best.safetensors"));
    let taken = folder.path().join("taken");
    fs_err::create_dir(&taken).unwrap();
    assert_eq!(small().save(&taken).unwrap_err().code(), "M032");
    assert_eq!(before, fs_err::read(&path).unwrap());
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 2);
    assert_eq!(small().save(Path::new("/")).unwrap_err().exit_code(), 6);
}

/// `ulimit -f` ends a save of the child below in the middle of a write, as a full disk does.
#[test]
fn a_save_that_runs_out_of_room_says_so_and_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("best.safetensors");
    small().save(&path).unwrap();
    let before = fs_err::read(&path).unwrap();
    let child = "save_for_a_parent_that_limits_file_size";
    let script =
        format!("trap '' XFSZ; ulimit -f 100; exec \"$0\" --exact {child} --ignored --nocapture");
    let output = Command::new("bash")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env("CXR_TEST_SAVE_PATH", &path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("refused M032 4"), "{text}");
    assert_eq!(before, fs_err::read(&path).unwrap());
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
#[ignore = "run by a_save_that_runs_out_of_room_says_so_and_leaves_what_was_there"]
fn save_for_a_parent_that_limits_file_size() {
    let Some(path) = std::env::var_os("CXR_TEST_SAVE_PATH") else {
        return;
    };
    let fault = resnet().save(Path::new(&path)).unwrap_err();
    println!("refused {} {}", fault.code(), fault.exit_code());
}
