//! PyTorch's own files are read value for value; files that PyTorch would not write are refused.

use std::path::PathBuf;
use std::time::Instant;

use super::super::tensors::{Element, Values};
use super::*;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/golden")
        .join(name)
}

fn read_golden(name: &str) -> Result<Tensors, ImportFault> {
    read_pth(&golden(name), &Limits::default())
}

fn parse(bytes: &[u8]) -> Result<Tensors, ImportFault> {
    parse_pth(Path::new("weights.pth"), bytes, &Limits::default())
}

fn assert_plain(tensors: &Tensors, prefix: &str) {
    let json = std::fs::read(golden("import.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let expected = json["plain"].as_object().unwrap();
    assert_eq!(tensors.len(), expected.len());
    for (name, expected) in expected {
        let tensor = tensors.get(&format!("{prefix}{name}")).unwrap();
        let shape: Vec<usize> = serde_json::from_value(expected["shape"].clone()).unwrap();
        assert_eq!(tensor.shape, shape, "{name}");
        let values: Vec<f64> = serde_json::from_value(expected["values"].clone()).unwrap();
        match &tensor.values {
            Values::F32(found) => {
                let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
                assert_eq!(*found, values, "{name}");
            }
            Values::I64(found) => {
                let values: Vec<i64> = values.iter().map(|value| *value as i64).collect();
                assert_eq!(*found, values, "{name}");
            }
        }
    }
}

#[test]
fn what_pytorch_saved_is_read_value_for_value() {
    for name in [
        "import_plain.pth",
        "import_legacy.pth",
        "import_protocol4.pth",
    ] {
        let tensors = read_golden(name).unwrap();
        assert_plain(&tensors, "");
        assert_eq!(tensors.table(), None);
        assert_eq!(tensors.get("half").unwrap().stored_as, Element::F16);
        assert_eq!(tensors.get("bfloat").unwrap().stored_as, Element::Bf16);
        assert_eq!(tensors.get("double").unwrap().stored_as, Element::F64);
    }
}

#[test]
fn a_state_dict_inside_of_a_training_checkpoint_is_found() {
    let tensors = read_golden("import_nested.pth").unwrap();
    assert_plain(&tensors, "module.");
    assert_eq!(tensors.table(), Some("state_dict"));
}

#[test]
fn what_was_read_survives_the_way_to_another_process() {
    let tensors = read_golden("import_nested.pth").unwrap();
    let bytes = tensors.to_safetensors().unwrap();
    let again = super::super::safetensors_file::parse_safetensors(
        Path::new("pipe"),
        &bytes,
        &Limits::default(),
    )
    .unwrap();
    assert_plain(&again, "module.");
    assert_eq!(again.table(), Some("state_dict"));
}

#[test]
fn a_pickled_module_is_refused_by_the_name_of_its_class() {
    let fault = read_golden("import_module.pth").unwrap_err();
    assert_eq!(fault.code(), "M059");
    assert_eq!(fault.value().unwrap(), "\"torch.nn.modules.linear.Linear\"");
    assert!(fault.help().unwrap().contains("state_dict()"));
}

#[test]
fn a_torchscript_program_is_refused_as_code() {
    let fault = read_golden("import_script.pt").unwrap_err();
    assert_eq!(fault.code(), "M057");
    assert!(fault.to_string().contains("TorchScript"), "{fault}");
}

/// A zip archive by hand, so that each field can be wrong.
#[derive(Clone)]
struct Entry {
    name: &'static str,
    data: Vec<u8>,
    method: u16,
    flags: u16,
    size: Option<u32>,
    crc: Option<u32>,
}

fn entry(name: &'static str, data: &[u8]) -> Entry {
    Entry {
        name,
        data: data.to_vec(),
        method: 0,
        flags: 0,
        size: None,
        crc: None,
    }
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    })
}

fn archive(entries: &[Entry]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for it in entries {
        let offset = file.len() as u32;
        let (crc, stored) = (it.crc.unwrap_or(crc32(&it.data)), it.data.len() as u32);
        let mut fields = Vec::new();
        fields.extend(
            [20u16, it.flags, it.method, 0, 0]
                .map(u16::to_le_bytes)
                .concat(),
        );
        fields.extend(
            [crc, stored, it.size.unwrap_or(stored)]
                .map(u32::to_le_bytes)
                .concat(),
        );
        fields.extend([it.name.len() as u16, 0].map(u16::to_le_bytes).concat());
        file.extend(
            [
                b"PK\x03\x04",
                fields.as_slice(),
                it.name.as_bytes(),
                &it.data,
            ]
            .concat(),
        );
        directory.extend([b"PK\x01\x02\x14\x00", fields.as_slice(), &[0; 10]].concat());
        directory.extend([&offset.to_le_bytes(), it.name.as_bytes()].concat());
    }
    let (start, length) = (file.len() as u32, directory.len() as u32);
    let count = (entries.len() as u16).to_le_bytes();
    file.extend(directory);
    file.extend([b"PK\x05\x06\0\0\0\0".as_slice(), &count, &count].concat());
    file.extend([length.to_le_bytes(), start.to_le_bytes()].concat());
    file.extend([0, 0]);
    file
}

/// `{"w": tensor of 2 floats}` with its storage under the key 0.
fn table_of_one() -> Vec<u8> {
    let text = |value: &str| {
        [
            &[b'X'][..],
            &(value.len() as u32).to_le_bytes(),
            value.as_bytes(),
        ]
        .concat()
    };
    [
        b"\x80\x02}".as_slice(),
        &text("w"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((",
        &text("storage"),
        b"ctorch\nFloatStorage\n",
        &text("0"),
        &text("cpu"),
        b"K\x02tQK\x00K\x02\x85K\x01\x85\x89NtRs.",
    ]
    .concat()
}

fn two_floats() -> Vec<u8> {
    [1.5f32, -2.0].map(f32::to_le_bytes).concat()
}

#[test]
fn an_archive_made_by_hand_is_read() {
    let file = archive(&[
        entry("a/data.pkl", &table_of_one()),
        entry("a/data/0", &two_floats()),
    ]);
    let tensors = parse(&file).unwrap();
    assert_eq!(
        tensors.get("w").unwrap().values,
        Values::F32(vec![1.5, -2.0])
    );
}

#[test]
fn a_file_of_252_bytes_cannot_keep_its_reader_busy() {
    // 25 doublings of one string: 67 million objects for a reader that copies what it recalls
    // (one took 17 s and 691 MB).
    let bomb = [
        &b"\x80\x02\x8c\x02aaq\x00"[..],
        &b"h\x00\x86q\x00".repeat(25),
        b".",
    ]
    .concat();
    let file = archive(&[entry("a/data.pkl", &bomb)]);
    assert_eq!(file.len(), 252);
    let start = Instant::now();
    let fault = parse(&file).unwrap_err();
    assert_eq!(fault.code(), "M062");
    assert_eq!(fault.value().unwrap(), "a tuple");
    assert!(start.elapsed().as_millis() < 500, "{:?}", start.elapsed());
}

#[test]
fn archives_that_pytorch_would_not_write_are_refused() {
    let pickle = entry("a/data.pkl", &table_of_one());
    let storage = entry("a/data/0", &two_floats());
    let with = |changed: Entry| archive(&[pickle.clone(), changed]);
    let cases = [
        (
            "compressed",
            with(Entry {
                method: 8,
                ..storage.clone()
            }),
        ),
        (
            "compressed",
            with(Entry {
                size: Some(1 << 30),
                ..storage.clone()
            }),
        ),
        (
            "encrypted",
            with(Entry {
                flags: 1,
                ..storage.clone()
            }),
        ),
        (
            "plain relative path",
            with(Entry {
                name: "a/../data/0",
                ..storage.clone()
            }),
        ),
        (
            "plain relative path",
            with(Entry {
                name: "/a/data/0",
                ..storage.clone()
            }),
        ),
        (
            "plain relative path",
            with(Entry {
                name: "a\\data\\0",
                ..storage.clone()
            }),
        ),
        (
            "plain relative path",
            with(Entry {
                name: "C:/data/0",
                ..storage.clone()
            }),
        ),
        (
            "check",
            with(Entry {
                crc: Some(7),
                ..storage.clone()
            }),
        ),
        (
            "0 entries are called",
            archive(std::slice::from_ref(&storage)),
        ),
        (
            "2 entries are called",
            with(Entry {
                name: "b/data.pkl",
                ..storage.clone()
            }),
        ),
        ("not found", archive(std::slice::from_ref(&pickle))),
        (
            "byte order",
            archive(&[
                pickle.clone(),
                storage.clone(),
                entry("a/byteorder", b"big"),
            ]),
        ),
        (
            "same name",
            with(Entry {
                name: "a/data.pkl",
                ..storage.clone()
            }),
        ),
    ];
    for (words, file) in cases {
        let fault = parse(&file).unwrap_err();
        assert_eq!(fault.code(), "M057", "{words}: {fault}");
        let shown = format!("{fault} {:?}", fault.location()).to_lowercase();
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

#[test]
fn a_storage_of_another_length_than_announced_is_refused() {
    for data in [
        two_floats()[..7].to_vec(),
        [two_floats(), vec![0]].concat(),
        vec![],
    ] {
        let file = archive(&[
            entry("a/data.pkl", &table_of_one()),
            entry("a/data/0", &data),
        ]);
        assert_eq!(
            parse(&file).unwrap_err().code(),
            "M061",
            "{} bytes",
            data.len()
        );
    }
}

#[test]
fn a_tensor_that_a_stride_of_zero_makes_huge_is_refused_before_it_is_built() {
    // 2³⁰ elements over a storage of one.
    let table = String::from_utf8_lossy(&table_of_one()).into_owned();
    assert!(table.contains("_rebuild_tensor_v2"));
    let mut pickle = table_of_one();
    let tail = b"K\x02tQK\x00K\x02\x85K\x01\x85\x89NtRs.";
    pickle.truncate(pickle.len() - tail.len());
    pickle.extend(b"K\x01tQK\x00J\x00\x00\x00\x40\x85K\x00\x85\x89NtRs.");
    let file = archive(&[entry("a/data.pkl", &pickle), entry("a/data/0", &[0; 4])]);
    let fault = parse(&file).unwrap_err();
    assert_eq!(fault.code(), "M052");
    assert!(fault.to_string().contains("tensors' bytes"), "{fault}");
}

#[test]
fn one_name_for_two_tensors_is_refused() {
    let mut pickle = table_of_one();
    pickle.truncate(pickle.len() - 1);
    let again = pickle[3..].to_vec();
    pickle.extend(again);
    pickle.extend(b".");
    let file = archive(&[
        entry("a/data.pkl", &pickle),
        entry("a/data/0", &two_floats()),
    ]);
    let fault = parse(&file).unwrap_err();
    assert_eq!(
        (fault.code(), fault.value().as_deref()),
        ("M056", Some("\"w\""))
    );
}

#[test]
fn many_tensors_on_one_large_storage_read_it_once() {
    // 2,000 names for one window: the storage is read once, each tensor is its own two values.
    let text = |value: &str| {
        [
            &[b'X'][..],
            &(value.len() as u32).to_le_bytes(),
            value.as_bytes(),
        ]
        .concat()
    };
    let one = table_of_one();
    let tensor = &one[3 + text("w").len()..one.len() - 2];
    let mut pickle = [b"\x80\x02}(", text("n0").as_slice(), tensor, b"q\x01"].concat();
    for index in 1..2_000 {
        pickle.extend([text(&format!("n{index}")), b"h\x01".to_vec()].concat());
    }
    pickle.extend(b"u.");
    let file = archive(&[
        entry("a/data.pkl", &pickle),
        entry("a/data/0", &two_floats()),
    ]);
    assert_eq!(parse(&file).unwrap().len(), 2_000);
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    for name in ["import_plain.pth", "import_legacy.pth"] {
        let whole = std::fs::read(golden(name)).unwrap();
        assert!(parse(&whole).is_ok());
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err(), "{name} of {length} bytes");
        }
    }
}

#[test]
fn a_flipped_bit_never_panics_and_never_changes_a_value_of_the_zip_form() {
    let whole = std::fs::read(golden("import_plain.pth")).unwrap();
    let sound = parse(&whole).unwrap();
    for bit in (0..whole.len() * 8).step_by(3) {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(tensors) = parse(&changed) {
            assert_eq!(tensors, sound, "bit {bit}");
        }
    }
    let legacy = std::fs::read(golden("import_legacy.pth")).unwrap();
    for bit in 0..legacy.len() * 8 {
        let mut changed = legacy.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        drop(parse(&changed));
    }
}

#[test]
fn the_older_form_refuses_what_follows_after_its_end() {
    let mut file = std::fs::read(golden("import_legacy.pth")).unwrap();
    file.push(0);
    let fault = parse(&file).unwrap_err();
    assert_eq!(fault.code(), "M060");
    assert!(fault.to_string().contains("1 bytes follow"), "{fault}");
}

#[test]
fn other_files_are_refused_by_their_first_bytes() {
    for bytes in [
        &b""[..],
        b"<!DOCTYPE html>",
        b"\x89PNG\r\n\x1a\n",
        b"\x80\x02}.",
        b"PK\x05\x06",
    ] {
        let fault = parse(bytes).unwrap_err();
        assert_eq!(fault.code(), "M053", "{bytes:?}");
        assert!(fault.value().is_some() && fault.help().is_some());
    }
}

#[test]
fn a_file_over_the_limit_a_folder_and_a_missing_file_are_refused() {
    let limits = Limits {
        file_bytes: 100,
        ..Limits::default()
    };
    let fault = read_pth(&golden("import_plain.pth"), &limits).unwrap_err();
    assert_eq!(fault.code(), "M052");
    assert_eq!(read_pth(&golden(""), &limits).unwrap_err().code(), "M051");
    let fault = read_pth(&golden("no\nfile.pth"), &limits).unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("M050", 4));
    let message = fault.report().message;
    assert!(
        message.contains("no\\nfile.pth") && !message.contains('\n'),
        "{message}"
    );
}

#[cfg(unix)]
#[test]
fn a_fifo_is_refused_without_waiting_for_a_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.pth");
    let made = std::process::Command::new("mkfifo")
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success());
    assert_eq!(
        read_pth(&path, &Limits::default()).unwrap_err().code(),
        "M051"
    );
}
