//! The stages of a transform through the binary: torchvision's pictures in, faults by their code.

#![expect(clippy::unwrap_used, reason = "a test's own files are there")]

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures")
        .join(path)
}

fn transform(words: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cxr"));
    command.arg("transform").args(words).output().unwrap()
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// What a failed command printed, after checking its exit code.
fn refused(words: &[&str], exit_code: i32) -> String {
    let output = transform(words);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(exit_code), "{said}");
    assert!(output.stdout.is_empty());
    said
}

#[test]
fn the_stages_are_torchvisions_and_each_has_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let (out, spec) = (
        folder.path().join("out/deep"),
        folder.path().join("spec.json"),
    );
    fs::write(&spec, r#"{"width":48,"height":32}"#).unwrap();
    let draw = r#"{"flip":true,"angle":7.123,"tx":2,"ty":-4,"scale":1.137,"shear_x":-11.9}"#;
    let image = text(&fixture("images/rgb8.png"));
    let (out_text, spec) = (text(&out), text(&spec));
    let output = transform(&[&image, "--out", &out_text, "--spec", &spec, "--draw", draw]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(table.lines().count(), 7, "{table}");
    assert!(
        table
            .lines()
            .nth(1)
            .unwrap()
            .starts_with("decoded        53     40        3")
    );

    let pixels = |path: &Path| {
        let spec = cxr_augment::Preprocess::default();
        let bytes = fs::read(path).unwrap();
        cxr_augment::decode(&bytes, "x", &spec).unwrap().pixels
    };
    for (place, name) in ["decoded", "resized", "flipped", "rotated", "affine"]
        .iter()
        .enumerate()
    {
        let found = pixels(&out.join(format!("{}-{name}.png", place + 1)));
        let size = if place == 0 { (53, 40) } else { (48, 32) };
        assert_eq!((found.width(), found.height()), size, "{name}");
    }
    let expected = pixels(&fixture("golden/augment/rgb8.png"));
    assert!(pixels(&out.join("5-affine.png")) == expected);

    let tensor = fs::read(out.join("tensor.safetensors")).unwrap();
    let header_len = u64::from_le_bytes(tensor[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&tensor[8..8 + header_len]).unwrap();
    assert_eq!(header["image"]["dtype"], "F32");
    assert_eq!(header["image"]["shape"], serde_json::json!([3, 32, 48]));
    let first = f32::from_le_bytes(tensor[8 + header_len..][..4].try_into().unwrap());
    let red = f32::from(expected.data()[0]);
    assert!((first - (red / 255.0 - 0.485) / 0.229).abs() < 1e-6);

    let report: Value =
        serde_json::from_slice(&fs::read(out.join("stages.json")).unwrap()).unwrap();
    assert_eq!(report["preprocess"]["width"], 48);
    assert_eq!(report["draw"]["tx"], 2);
    let stages = report["stages"].as_array().unwrap();
    assert_eq!(stages.len(), 6);
    for stage in stages {
        for key in [
            "name", "file", "width", "height", "channels", "max", "min", "mean", "std",
        ] {
            assert!(!stage[key].is_null(), "{key} of {stage}");
        }
        assert!(out.join(stage["file"].as_str().unwrap()).is_file());
    }
    assert_eq!(fs::read_dir(&out).unwrap().count(), 7);
}

#[test]
fn without_a_draw_the_pictures_are_those_of_evaluation() {
    let folder = tempfile::tempdir().unwrap();
    let out = text(folder.path());
    let output = transform(&[&text(&fixture("images/gray8.png")), "--out", &out, "--json"]);
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["draw"].is_null());
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert!(read("2-resized.png") == read("5-affine.png"));
    assert_eq!(report["stages"][4]["width"], 320);
    assert_eq!(report["stages"][5]["channels"], 3);
}

#[test]
fn an_image_that_cannot_be_used_is_named_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let refused_image = |path: &Path, exit_code| {
        let said = refused(&[&text(path), "--out", &text(&out)], exit_code);
        assert!(said.contains(&format!("--> {}", text(path))), "{said}");
        assert!(said.contains("help: "), "{said}");
        assert!(!out.exists());
        said
    };
    let whole = fs::read(fixture("images/gray.jpg")).unwrap();
    for (name, bytes, code) in [
        ("empty.png", &b""[..], "I006"),
        ("page.png", b"<!doctype html>", "I008"),
        ("half.jpg", &whole[..whole.len() / 2], "I011"),
        ("most.jpg", &whole[..whole.len() * 9 / 10], "I011"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let said = refused_image(&path, 3);
        assert!(said.starts_with(&format!("error[{code}]: ")), "{said}");
    }
    assert!(refused_image(&folder.path().join("no.png"), 4).starts_with("error[I001]: "));
    assert!(refused_image(folder.path(), 3).starts_with("error[I005]: "));
    let cmyk = refused_image(&fixture("images/cmyk.jpg"), 3);
    assert!(
        cmyk.starts_with("error[I013]: a kind of JPEG that is not read: CMYK"),
        "{cmyk}"
    );
}

#[test]
fn settings_that_cannot_be_used_are_usage_faults_all_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (image, out) = (
        text(&fixture("images/gray8.png")),
        text(&folder.path().join("out")),
    );
    let draw = r#"{"tx":5000,"scale":0}"#;
    let said = refused(&[&image, "--out", &out, "--draw", draw], 2);
    assert!(
        said.contains("--> tx") && said.contains("--> scale"),
        "{said}"
    );
    let said = refused(&[&image, "--out", &out, "--draw", r#"{"angel":3}"#], 2);
    assert!(
        said.starts_with("error[I205]: not a draw: unknown field `angel`"),
        "{said}"
    );
    let spec = folder.path().join("spec.json");
    fs::write(&spec, r#"{"width":0,"std":[1,0,1]}"#).unwrap();
    let said = refused(&[&image, "--out", &out, "--spec", &text(&spec)], 2);
    assert!(
        said.contains("--> width") && said.contains("--> std"),
        "{said}"
    );
    let said = refused(&[&image, "--out", &out, "--spec", &text(folder.path())], 4);
    assert!(said.starts_with("error[C004]: "), "{said}");
    assert!(!Path::new(&out).exists());
}

#[test]
fn a_warning_goes_to_stderr_and_the_pictures_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let image = text(&fixture("images/gray16-twelve-bits.png"));
    let output = transform(&[&image, "--out", &text(folder.path())]);
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("gray16-twelve-bits.png: 16-bit values"),
        "{said}"
    );
    assert!(folder.path().join("5-affine.png").is_file());
}
