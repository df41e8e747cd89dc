//! `cxr import-weights` through the binary: files as PyTorch writes them become checkpoints, files
//! from strangers become errors, and the reader's process keeps to its limits.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on should stop and say where"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use cxr_models::Checkpoint;
use serde_json::Value;
use tempfile::TempDir;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/golden")
        .join(name)
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cxr"));
    command
        .env_remove("HF_ENDPOINT")
        .env_remove("HF_HUB_OFFLINE");
    command.env_remove("HTTPS_PROXY").env_remove("https_proxy");
    command
}

/// Runs `import-weights WORDS --out FOLDER/c.safetensors`.
fn import(folder: &TempDir, words: &[&str]) -> Output {
    let out = folder.path().join("c.safetensors");
    command()
        .arg("import-weights")
        .args(words)
        .arg("--out")
        .arg(out)
        .output()
        .expect("started")
}

fn import_file(folder: &TempDir, file: &Path, words: &[&str]) -> Output {
    let file = file.to_string_lossy().into_owned();
    import(folder, &[&[file.as_str()], words].concat())
}

fn checkpoint(folder: &TempDir) -> Checkpoint {
    Checkpoint::load(&folder.path().join("c.safetensors")).expect("a checkpoint")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The exit code and the message; nothing was written.
fn assert_refused(folder: &TempDir, output: &Output, exit_code: i32, words: &[&str]) {
    let stderr = stderr(output);
    assert_eq!(output.status.code(), Some(exit_code), "{stderr}");
    for words in words {
        assert!(stderr.contains(words), "{words:?} is not in:\n{stderr}");
    }
    let left: Vec<_> = fs::read_dir(folder.path())
        .expect("folder")
        .flatten()
        .collect();
    assert!(
        left.iter()
            .all(|it| !it.file_name().to_string_lossy().contains("c.safetensors"))
    );
}

#[test]
fn a_pytorch_model_with_named_findings_becomes_a_complete_checkpoint() {
    let folder = TempDir::new().expect("folder");
    let words = [
        "--arch",
        "xray-cnn",
        "--size",
        "16",
        "--findings",
        "Edema, Hernia",
        "--json",
    ];
    let output = import_file(&folder, &golden("import_xray_cnn.pth"), &words);
    assert!(output.status.success(), "{}", stderr(&output));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["filled"].as_array().map(Vec::len), Some(12));
    assert_eq!(json["findings"], serde_json::json!(["Edema", "Hernia"]));
    assert_eq!(json["fresh"], serde_json::json!([]));
    let checkpoint = checkpoint(&folder);
    assert_eq!(checkpoint.header().findings, ["Edema", "Hernia"]);
    assert_eq!(checkpoint.header().preprocess["width"], 16);
    assert_eq!(
        json["weight_digest"],
        checkpoint.weight_digest().expect("digest")
    );
    assert!(
        checkpoint
            .header()
            .training
            .pretrained
            .as_ref()
            .is_some_and(|it| it.ends_with(".pth"))
    );
}

#[test]
fn without_findings_the_head_is_fresh_and_says_so() {
    let folder = TempDir::new().expect("folder");
    let words = ["--arch", "resnet18", "--size", "64"];
    let output = import_file(&folder, &golden("import_resnet18.pth"), &words);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for words in [
        "filled      120 tensors of resnet18",
        "fresh (the file's has 2 outputs)",
        "fresh       fc.weight [1, 512]",
        "dropped     fc.weight [2, 512]",
    ] {
        assert!(text.contains(words), "{words:?} is not in:\n{text}");
    }
    assert_eq!(checkpoint(&folder).header().findings, ["fresh head"]);
}

#[test]
fn the_same_import_twice_gives_the_same_bytes() {
    let bytes = || {
        let folder = TempDir::new().expect("folder");
        let words = ["--arch", "resnet18", "--size", "64", "--seed", "3"];
        let output = import_file(&folder, &golden("import_resnet18.pth"), &words);
        assert!(output.status.success(), "{}", stderr(&output));
        fs::read(folder.path().join("c.safetensors")).expect("readable")
    };
    assert!(bytes() == bytes());
}

#[test]
fn a_file_that_does_not_fit_is_refused_with_every_name_and_a_hint() {
    let folder = TempDir::new().expect("folder");
    let resnet = golden("import_resnet18.pth");
    let refused = |file: &Path, words: &[&str], exit_code, expected: &[&str]| {
        assert_refused(
            &folder,
            &import_file(&folder, file, words),
            exit_code,
            expected,
        );
    };
    refused(
        &resnet,
        &["--arch", "resnet34"],
        6,
        &["error[M064]", "\"layer1.2.bn1.bias\"", "--arch resnet18"],
    );
    refused(
        &resnet,
        &["--arch", "resnet18", "--findings", "A,B,C"],
        2,
        &[
            "error[M065]",
            "3 findings are named, but the head in the file has 2 outputs",
        ],
    );
    refused(
        &resnet,
        &["--arch", "resnet18", "--findings", "A,A"],
        2,
        &["error[D03"],
    );
    let cnn = golden("import_xray_cnn.pth");
    refused(
        &cnn,
        &["--arch", "xray-cnn", "--size", "32"],
        6,
        &["error[M064]", "--size 16"],
    );
    refused(
        &cnn,
        &["--arch", "xray-cnn", "--size", "33"],
        2,
        &["error[M001]"],
    );
    refused(&cnn, &["--arch", "resnet50"], 2, &["resnet50"]);
}

#[test]
fn files_from_strangers_are_refused_by_the_reader_in_its_own_process() {
    let folder = TempDir::new().expect("folder");
    let words = ["--arch", "resnet18"];
    let refused = |file: &Path, exit_code, expected: &[&str]| {
        assert_refused(
            &folder,
            &import_file(&folder, file, &words),
            exit_code,
            expected,
        );
    };
    refused(
        &golden("import_module.pth"),
        6,
        &[
            "error[M059]",
            "torch.nn.modules.linear.Linear",
            "byte ",
            "state_dict()",
        ],
    );
    refused(
        &golden("import_script.pt"),
        6,
        &["error[M057]", "TorchScript"],
    );
    refused(&golden("import.json"), 6, &["error[M053]"]);
    refused(&golden("none.pth"), 4, &["error[M050]", "none.pth"]);
    refused(&golden(""), 4, &["error[M051]"]);
}

#[test]
fn a_file_whose_name_looks_like_a_flag_is_still_a_file() {
    let folder = TempDir::new().expect("folder");
    fs::copy(golden("import_xray_cnn.pth"), folder.path().join("-x.pth")).expect("copied");
    let output = command()
        .current_dir(folder.path())
        .args([
            "import-weights",
            "--arch",
            "xray-cnn",
            "--size",
            "16",
            "--out",
            "c",
            "--",
            "-x.pth",
        ])
        .output()
        .expect("started");
    assert!(output.status.success(), "{}", stderr(&output));
}

/// A zip archive of stored records.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let offset = (file.len() as u32).to_le_bytes();
        let length = data.len() as u32;
        let mut fields = [20u16, 0, 0, 0, 0].map(u16::to_le_bytes).concat();
        fields.extend([crc32(data), length, length].map(u32::to_le_bytes).concat());
        fields.extend([name.len() as u16, 0].map(u16::to_le_bytes).concat());
        file.extend([b"PK\x03\x04", fields.as_slice(), name.as_bytes(), data].concat());
        directory.extend([b"PK\x01\x02\x14\x00", fields.as_slice(), &[0; 10]].concat());
        directory.extend([&offset, name.as_bytes()].concat());
    }
    let (start, length) = (file.len() as u32, directory.len() as u32);
    let count = (entries.len() as u16).to_le_bytes();
    file.extend(directory);
    file.extend([b"PK\x05\x06\0\0\0\0".as_slice(), &count, &count].concat());
    file.extend([length.to_le_bytes(), start.to_le_bytes()].concat());
    file.extend([0, 0]);
    file
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    })
}

#[test]
fn a_file_of_252_bytes_is_refused_at_once() {
    let folder = TempDir::new().expect("folder");
    let bomb = [
        &b"\x80\x02\x8c\x02aaq\x00"[..],
        &b"h\x00\x86q\x00".repeat(25),
        b".",
    ]
    .concat();
    let file = archive(&[("a/data.pkl", &bomb)]);
    assert_eq!(file.len(), 252);
    let path = folder.path().join("bomb.pth");
    fs::write(&path, file).expect("written");
    let start = Instant::now();
    let output = import_file(&folder, &path, &["--arch", "resnet18"]);
    assert_refused(&folder, &output, 6, &["error[M062]", "a tuple"]);
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

/// A state dict of one tensor of `n` floats.
fn large_file(n: u32) -> Vec<u8> {
    let text = |value: &str| {
        [
            &[b'X'][..],
            &(value.len() as u32).to_le_bytes(),
            value.as_bytes(),
        ]
        .concat()
    };
    let number = |value: u32| [&[b'J'][..], &value.to_le_bytes()].concat();
    let pickle = [
        b"\x80\x02}".to_vec(),
        text("w"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text("0"),
        text("cpu"),
        number(n),
        b"tQK\x00".to_vec(),
        number(n),
        b"\x85K\x01\x85\x89NtRs.".to_vec(),
    ]
    .concat();
    archive(&[
        ("a/data.pkl", &pickle),
        ("a/data/0", &vec![0; n as usize * 4]),
    ])
}

#[cfg(target_os = "linux")]
#[test]
fn the_readers_process_keeps_to_its_memory() {
    let folder = TempDir::new().expect("folder");
    let path = folder.path().join("large.pth");
    fs::write(&path, large_file(8 << 20)).expect("written");
    let read = |memory: &str| {
        command()
            .args([
                "__read-pth",
                "--cpu-seconds",
                "60",
                "--memory-bytes",
                memory,
                "--",
            ])
            .arg(&path)
            .output()
            .expect("started")
    };
    let enough = read("1000000000");
    assert!(enough.status.success(), "{}", stderr(&enough));
    assert!(enough.stdout.len() > 32 << 20);
    let too_little = read("60000000");
    assert!(!too_little.status.success());
    assert!(too_little.stdout.is_empty());
}

#[test]
fn the_readers_task_is_not_shown_to_people() {
    let output = command().arg("--help").output().expect("started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("import-weights") && !text.contains("__read-pth"),
        "{text}"
    );
}

/// Answers one request with these bytes.
fn server(body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let endpoint = format!("http://{}", listener.local_addr().expect("address"));
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut lines = BufReader::new(stream.try_clone().expect("cloned")).lines();
        while lines
            .next()
            .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
        {}
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        drop(stream.write_all(&[head.into_bytes(), body].concat()));
    });
    endpoint
}

#[test]
fn a_pinned_file_comes_from_the_hub_once_and_from_the_cache_afterwards() {
    let folder = TempDir::new().expect("folder");
    let body = fs::read(golden("import_xray_cnn.pth")).expect("readable");
    let sha256 = sha256_of(&golden("import_xray_cnn.pth"));
    let Some(sha256) = sha256 else {
        println!("skipped: sha256sum is not here");
        return;
    };
    let endpoint = server(body);
    let cache = folder.path().join("cache");
    let fetch = |out: &str, sha256: &str, environment: (&str, &str)| {
        command()
            .args([
                "import-weights",
                "--hub=owner/net",
                "--hub-file",
                "weights.pth",
            ])
            .args(["--revision", "0123456789abcdef0123456789abcdef01234567"])
            .args(["--sha256", sha256, "--arch", "xray-cnn", "--size", "16"])
            .arg("--cache")
            .arg(&cache)
            .arg("--out")
            .arg(folder.path().join(out))
            .env("HF_ENDPOINT", &endpoint)
            .env(environment.0, environment.1)
            .output()
            .expect("started")
    };
    let online = fetch("a", &sha256, ("HF_HUB_OFFLINE", "0"));
    assert!(online.status.success(), "{}", stderr(&online));
    let cached = fetch("b", &sha256, ("HF_HUB_OFFLINE", "1"));
    assert!(cached.status.success(), "{}", stderr(&cached));
    let other = fetch("c", &"0".repeat(64), ("HF_HUB_OFFLINE", "1"));
    assert_eq!(other.status.code(), Some(6), "{}", stderr(&other));
    assert!(stderr(&other).contains("error[M083]"));
}

fn sha256_of(path: &Path) -> Option<String> {
    let output = Command::new("sha256sum").arg(path).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().next().map(str::to_owned)
}

#[test]
fn without_a_network_the_message_names_what_to_fetch_and_where_to_put_it() {
    let folder = TempDir::new().expect("folder");
    let cache = folder.path().join("cache");
    let output = command()
        .args(["import-weights", "--hub", "--arch", "resnet18", "--cache"])
        .arg(&cache)
        .arg("--out")
        .arg(folder.path().join("c.safetensors"))
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .expect("started");
    let place = cache
        .join("timm--resnet18.tv_in1k/bbd144b3e5565108aad885f145491d11bc6ce807/model.safetensors");
    assert_refused(
        &folder,
        &output,
        4,
        &[
            "error[M089]",
            "https://huggingface.co/timm/resnet18.tv_in1k/resolve/bbd144b3",
            &place.to_string_lossy(),
        ],
    );
}

#[test]
fn a_hub_file_without_commit_and_digest_is_refused() {
    let folder = TempDir::new().expect("folder");
    let refused = |words: &[&str], expected: &[&str]| {
        assert_refused(&folder, &import(&folder, words), 2, expected);
    };
    refused(
        &["--hub=owner/net", "--arch", "resnet18"],
        &["no pin", "--sha256"],
    );
    refused(
        &["--hub", "--arch", "resnet34"],
        &["no ImageNet weights are pinned"],
    );
    refused(&["--arch", "resnet34"], &["FILE"]);
    refused(
        &[
            "--hub=owner/net",
            "--revision",
            "main",
            "--sha256",
            "00",
            "--arch",
            "resnet18",
        ],
        &["error[M080]", "commit"],
    );
}

#[test]
fn folded_imagenet_weights_need_images_and_get_their_batch_norm_back() {
    let shared = std::env::var_os("CXR_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        Into::into,
    );
    let file = shared.join("weights/resnet18-imagenet-bnfolded-partial.safetensors");
    let images = shared.join("nih/thumbs-64");
    if !file.is_file() || !images.is_dir() {
        println!("skipped: {} is not here", file.display());
        return;
    }
    let folder = TempDir::new().expect("folder");
    let words = ["--arch", "resnet18", "--size", "64"];
    let output = import_file(&folder, &file, &words);
    assert_refused(
        &folder,
        &output,
        6,
        &["error[M064]", "folded into 16", "--calibrate-images"],
    );
    let words = [&words[..], &["--partial"]].concat();
    let output = import_file(&folder, &file, &words);
    assert_refused(&folder, &output, 2, &["error[M068]", "--calibrate-images"]);
    let images = images.to_string_lossy().into_owned();
    let words = [&words[..], &["--calibrate-images", &images]].concat();
    let output = import_file(&folder, &file, &words);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for words in [
        "16 opened again over 32 images",
        "layer4.0.conv1.weight [512, 256, 3, 3]",
    ] {
        assert!(text.contains(words), "{words:?} is not in:\n{text}");
    }
    let saved = checkpoint(&folder);
    let variance = &saved.tensors()["layer3.1.bn2.running_var"];
    assert_eq!(variance.dims(), [256]);
}
