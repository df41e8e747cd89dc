//! explore, check and split through the binary: keys, figures, exit codes, and what a fault says.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop and say where"
)]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use cxr_augment::{Channels, Pixels, resize};
use cxr_stream::{Purpose, Stream};
use serde_json::{Value, json};
use tempfile::TempDir;

fn leaky(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tables/leaky");
    root.join(name).to_string_lossy().into_owned()
}

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

fn cxr(words: &[&str]) -> Ran {
    let output = Command::cargo_bin("cxr")
        .expect("built")
        .args(words)
        .output()
        .expect("run");
    Ran {
        code: output.status.code().expect("an exit code"),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

fn value(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}\n{}", ran.stdout))
}

fn table(folder: &TempDir, name: &str, content: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("written");
    path.to_string_lossy().into_owned()
}

fn check<'a>(train: &'a str, valid: &'a str, more: &[&'a str]) -> Ran {
    let mut words = vec!["check", "--train", train, "--valid", valid, "--json"];
    words.extend(more);
    cxr(&words)
}

#[test]
fn explore_prints_the_contracts_keys_and_the_figures() {
    let ran = cxr(&["explore", &leaky("train.csv"), "--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let found = value(&ran);
    assert_eq!(found["rows"], 1000);
    assert_eq!(found["columns"], 16);
    assert_eq!(found["patients"], 928);
    assert_eq!(found["nulls"], 0);
    let first = &found["findings"][0];
    assert_eq!(
        (&first["name"], &first["positives"], &first["negatives"]),
        (&json!("Atelectasis"), &json!(106), &json!(894))
    );
    assert_eq!(first["prevalence"], 0.106);
    let two = |value: &Value| format!("{:.2}", value.as_f64().expect("a number"));
    assert_eq!(
        (two(&first["pos_weight"]), two(&first["pos_weight_sqrt"])),
        ("8.43".into(), "2.90".into())
    );
    assert!(found.get("image").is_none());

    let text = cxr(&["explore", &leaky("train.csv")]);
    assert_eq!(text.code, 0);
    assert!(
        text.stdout.contains("1000 rows, 16 columns, 928 patients"),
        "{}",
        text.stdout
    );
    assert!(
        text.stdout
            .lines()
            .any(|line| line.starts_with("Atelectasis") && line.ends_with("8.43          2.90")),
        "{}",
        text.stdout
    );
}

#[test]
fn explore_draws_a_chart_and_a_page_in_which_names_stay_text() {
    let folder = TempDir::new().expect("folder");
    let content = "Image,PatientId,<b>Edema</b>,Mass\na.png,1,1,0\nb.png,2,0,1\n";
    let path = table(&folder, "t.csv", content);
    let (page, chart) = (folder.path().join("p.html"), folder.path().join("c.svg"));
    let (page_text, chart_text) = (page.to_string_lossy(), chart.to_string_lossy());
    let ran = cxr(&["explore", &path, "--html", &page_text, "--svg", &chart_text]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let page = std::fs::read_to_string(&page).expect("a page");
    assert!(page.contains("<svg") && page.contains("&lt;b&gt;Edema&lt;/b&gt;"));
    assert!(!page.contains("<b>Edema") && !page.contains("<script"));
    let chart = std::fs::read_to_string(&chart).expect("a chart");
    assert!(chart.contains("<svg") && !chart.contains("<b>"));
}

#[test]
fn explore_says_what_the_first_image_looks_like() {
    let folder = TempDir::new().expect("folder");
    let images = images(&folder, &["b.png"]);
    let path = table(
        &folder,
        "t.csv",
        "Image,PatientId,Edema\na.png,1,0\nb.png,2,1\n",
    );
    let ran = cxr(&["explore", &path, "--images", &images, "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let image = &value(&ran)["image"];
    assert_eq!(image["name"], "b.png");
    for key in ["width", "height", "channels", "max", "min", "mean", "std"] {
        assert!(image[key].is_number(), "{key} {image}");
    }
    std::fs::remove_file(folder.path().join("images/b.png")).expect("removed");
    let ran = cxr(&["explore", &path, "--images", &images, "--json"]);
    assert_eq!(ran.code, 3);
    assert_eq!(value(&ran)["errors"][0]["code"], "I002");
}

#[test]
fn check_names_what_is_shared_and_a_repair_ends_it() {
    let folder = TempDir::new().expect("folder");
    let out = folder
        .path()
        .join("repaired")
        .to_string_lossy()
        .into_owned();
    let (train, valid, test) = (leaky("train.csv"), leaky("valid.csv"), leaky("test.csv"));
    let ran = check(&train, &valid, &["--test", &test, "--repair", &out]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let found = value(&ran);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/data.json");
    let golden: Value =
        serde_json::from_str(&std::fs::read_to_string(golden).expect("golden")).expect("JSON");
    let expected: Vec<String> = golden["shared_patients"]
        .as_array()
        .expect("a list")
        .iter()
        .map(Value::to_string)
        .collect();
    assert_eq!(found["clean"], false);
    assert_eq!(found["faults"], json!([]));
    assert_eq!(
        found["shared_patients"],
        json!({"train_valid": expected, "train_test": [], "valid_test": []})
    );
    assert_eq!(
        found["shared_images"],
        json!({"train_valid": [golden["shared_image"]], "train_test": [], "valid_test": []})
    );
    assert_eq!(
        found["rows"],
        json!({"train": 1000, "valid": 109, "test": 420})
    );
    assert_eq!(
        found["repaired_rows"],
        json!({"train": 1000, "valid": 96, "test": 420})
    );

    let file = |name: &str| Path::new(&out).join(name).to_string_lossy().into_owned();
    let (train, valid, test) = (file("train.csv"), file("valid.csv"), file("test.csv"));
    let ran = check(&train, &valid, &["--test", &test]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let found = value(&ran);
    assert_eq!(found["clean"], true);
    assert_eq!(
        found["rows"],
        json!({"train": 1000, "valid": 96, "test": 420})
    );

    // A repair into the tables' own folder would replace them.
    let ran = check(&train, &valid, &["--repair", &out]);
    assert_eq!(ran.code, 2);
    assert_eq!(value(&ran)["errors"][0]["code"], "C001");
}

#[test]
fn check_reports_the_faults_of_all_tables_at_once() {
    let folder = TempDir::new().expect("folder");
    let train = table(
        &folder,
        "train.csv",
        "Image,PatientId,Edema\na.png,1,2\n\u{1b}[2J.png,2,0\n",
    );
    let valid = table(&folder, "valid.csv", "Image,PatientId,Edema\nc.png,,0\n");
    let ran = check(&train, &valid, &[]);
    assert_eq!(ran.code, 3);
    let found = value(&ran);
    let codes: Vec<_> = found["faults"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["code"].clone())
        .collect();
    assert_eq!(codes, ["D017", "D020", "D021"]);
    assert_eq!(found["rows"], json!({"train": null, "valid": null}));
    assert_eq!(found["repaired_rows"], Value::Null);
    let first = format!(
        "error[D017]: label is not 0 or 1\n  --> {train}:2, column \"Edema\"\n  value: \"2\"\n  help: "
    );
    assert!(ran.stderr.contains(&first), "{}", ran.stderr);
    assert!(!ran.stderr.contains('\u{1b}'));
}

#[test]
fn a_missing_table_is_an_input_output_fault() {
    let folder = TempDir::new().expect("folder");
    let valid = table(&folder, "valid.csv", "Image,PatientId,Edema\nc.png,1,0\n");
    let nowhere = folder
        .path()
        .join("none.csv")
        .to_string_lossy()
        .into_owned();
    let ran = check(&nowhere, &valid, &[]);
    assert_eq!(ran.code, 4);
    assert_eq!(value(&ran)["faults"][0]["code"], "D001");
    for words in [
        vec!["explore", nowhere.as_str()],
        vec!["split", &nowhere, "--out", &nowhere],
    ] {
        let ran = cxr(&words);
        assert_eq!(ran.code, 4, "{}", ran.stderr);
        assert!(
            ran.stderr.contains("error[D001]") && ran.stderr.contains("none.csv"),
            "{}",
            ran.stderr
        );
        assert!(ran.stdout.is_empty());
    }
}

#[test]
fn a_valid_table_without_a_finding_of_train_is_a_fault() {
    let folder = TempDir::new().expect("folder");
    let train = table(
        &folder,
        "train.csv",
        "Image,PatientId,Edema,Mass\na.png,1,0,1\n",
    );
    let valid = table(&folder, "valid.csv", "Mass,Image,PatientId\n1,c.png,2\n");
    let out = folder.path().join("out").to_string_lossy().into_owned();
    let ran = check(&train, &valid, &["--repair", &out]);
    assert_eq!(ran.code, 3);
    assert_eq!(value(&ran)["faults"][0]["code"], "D033");
    assert_eq!(value(&ran)["faults"][0]["value"], "\"Edema\"");
    assert!(!Path::new(&out).exists());
}

#[test]
fn check_decodes_the_images() {
    let folder = TempDir::new().expect("folder");
    let images = images(&folder, &["a.png", "c.png"]);
    let broken = folder.path().join("images/cut.png");
    let whole = std::fs::read(folder.path().join("images/a.png")).expect("readable");
    std::fs::write(broken, &whole[..whole.len() / 2]).expect("written");
    let content = "Image,PatientId,Edema\na.png,1,0\ncut.png,2,1\nmissing.png,3,0\n";
    let train = table(&folder, "train.csv", content);
    let valid = table(&folder, "valid.csv", "Image,PatientId,Edema\nc.png,4,0\n");
    let ran = check(&train, &valid, &["--images", &images]);
    assert_eq!(ran.code, 3);
    let places: Vec<_> = value(&ran)["faults"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|fault| fault["location"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(places.len(), 2);
    assert!(
        places[0].contains("cut.png") && places[1].contains("missing.png"),
        "{places:?}"
    );
    let good = table(&folder, "good.csv", "Image,PatientId,Edema\na.png,1,0\n");
    assert_eq!(check(&good, &valid, &["--images", &images]).code, 0);
}

#[test]
fn an_image_under_another_name_is_leakage_and_a_repair_ends_it() {
    let folder = TempDir::new().expect("folder");
    let images = folder.path().join("images");
    std::fs::create_dir_all(&images).expect("folder");
    let write = |name: &str, film: &Pixels| {
        std::fs::write(images.join(name), film.to_png().expect("a file")).expect("written");
    };
    for (name, film) in [
        ("t1.png", &film(1)),
        ("t2.png", &film(2)),
        ("v1.png", &resize(&film(1), 50, 70)),
        ("v2.png", &film(4)),
        ("s1.png", &film(4)),
        ("s2.png", &film(6)),
        ("s3.png", &resize(&film(1), 50, 70)),
    ] {
        write(name, film);
    }
    let head = "Image,PatientId,Edema\n";
    let table = |name: &str, rows: &str| table(&folder, name, &format!("{head}{rows}"));
    let train = table("train.csv", "t2.png,1,0\nt1.png,2,1\n");
    let valid = table("valid.csv", "v1.png,3,0\nv2.png,4,1\n");
    let test = table("test.csv", "s1.png,5,0\ns2.png,6,1\ns3.png,7,0\n");
    let images = images.to_string_lossy().into_owned();
    let out = folder.path().join("out").to_string_lossy().into_owned();

    let ran = check(&train, &valid, &["--test", &test]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(value(&ran)["near_duplicates"], Value::Null);

    let words = ["--test", &test, "--images", &images, "--repair", &out];
    let ran = check(&train, &valid, &words);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let found = value(&ran);
    assert_eq!(
        (&found["clean"], &found["n_faults"]),
        (&json!(false), &json!(0))
    );
    let copies = &found["near_duplicates"];
    assert_eq!(
        copies["valid_test"],
        json!([["v1.png", "s3.png", 0], ["v2.png", "s1.png", 0]])
    );
    for (pair, second) in [("train_valid", "v1.png"), ("train_test", "s3.png")] {
        let list = copies[pair].as_array().expect("a list");
        assert_eq!(list.len(), 1, "{copies}");
        assert_eq!(
            (&list[0][0], &list[0][1]),
            (&json!("t1.png"), &json!(second))
        );
        assert!(list[0][2].as_u64().is_some_and(|distance| distance < 32));
    }
    assert_eq!(
        found["repaired_rows"],
        json!({"train": 2, "valid": 1, "test": 1})
    );

    let file = |name: &str| Path::new(&out).join(name).to_string_lossy().into_owned();
    let (train_out, valid_out, test_out) = (file("train.csv"), file("valid.csv"), file("test.csv"));
    let ran = check(
        &train_out,
        &valid_out,
        &["--test", &test_out, "--images", &images],
    );
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let empty = json!({"train_valid": [], "train_test": [], "valid_test": []});
    assert_eq!(value(&ran)["near_duplicates"], empty);

    let words = [
        "check", "--train", &train, "--valid", &valid, "--images", &images,
    ];
    let text = cxr(&words);
    assert_eq!(text.code, 3);
    let said = "train and valid have 1 pair of images that look the same:\n  t1.png v1.png (";
    assert!(text.stdout.contains(said), "{}", text.stdout);
}

#[test]
fn an_image_that_two_tables_name_is_shared_and_not_a_copy() {
    let folder = TempDir::new().expect("folder");
    let images = folder.path().join("images");
    std::fs::create_dir_all(&images).expect("folder");
    let png = film(1).to_png().expect("a file");
    std::fs::write(images.join("a.png"), png).expect("written");
    let train = table(&folder, "t.csv", "Image,PatientId,Edema\na.png,1,0\n");
    let valid = table(&folder, "v.csv", "Image,PatientId,Edema\na.png,2,0\n");
    let ran = check(&train, &valid, &["--images", &images.to_string_lossy()]);
    let found = value(&ran);
    assert_eq!(found["shared_images"]["train_valid"], json!(["a.png"]));
    assert_eq!(found["near_duplicates"]["train_valid"], json!([]));
}

#[test]
fn split_writes_tables_that_check_finds_clean() {
    let folder = TempDir::new().expect("folder");
    let out = folder.path().join("splits").to_string_lossy().into_owned();
    let ran = cxr(&[
        "split",
        &leaky("train.csv"),
        "--out",
        &out,
        "--seed",
        "7",
        "--json",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report = value(&ran);
    assert_eq!(report["seed"], 7);
    let rows: u64 = report["splits"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["rows"].as_u64().expect("rows"))
        .sum();
    assert_eq!(rows, 1000);
    let files: Vec<PathBuf> = serde_json::from_value(report["files"].clone()).expect("paths");
    assert_eq!(files.len(), 3);
    let [train, valid, test] =
        [0, 1, 2].map(|place: usize| files[place].to_string_lossy().into_owned());
    let first = std::fs::read(&files[1]).expect("readable");
    assert_eq!(check(&train, &valid, &["--test", &test]).code, 0);

    let again = cxr(&["split", &leaky("train.csv"), "--out", &out, "--seed", "7"]);
    assert_eq!(again.code, 0);
    assert!(again.stdout.contains("largest difference of prevalence"));
    assert_eq!(std::fs::read(&files[1]).expect("readable"), first);

    let two = folder.path().join("two").to_string_lossy().into_owned();
    let ran = cxr(&["split", &train, "--out", &two, "--ratios", "0.9,0.1"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!Path::new(&two).join("test.csv").exists());
}

#[test]
fn split_refuses_ratios_that_are_no_parts_and_its_own_input() {
    let folder = TempDir::new().expect("folder");
    let out = folder.path().to_string_lossy().into_owned();
    let input = table(
        &folder,
        "train.csv",
        "Image,PatientId,Edema\na.png,1,0\nb.png,2,0\nc.png,3,1\n",
    );
    let ran = cxr(&["split", &input, "--out", &out]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("would replace"), "{}", ran.stderr);
    let elsewhere = folder.path().join("out").to_string_lossy().into_owned();
    for (ratios, said) in [
        ("8,1,1", "error[D042]"),
        ("0.8,x", "0.8,0.1,0.1"),
        ("1", "0.8,0.1,0.1"),
    ] {
        let ran = cxr(&["split", &input, "--out", &elsewhere, "--ratios", ratios]);
        assert_eq!(ran.code, 2, "{ratios}");
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    assert!(!Path::new(&elsewhere).exists());
}

/// The folder of NIH's data beside the project; a message where it is not there.
#[expect(
    clippy::print_stdout,
    reason = "whoever runs the tests should see that one was skipped"
)]
fn nih() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("CXR_SHARED")
        .map_or(beside, PathBuf::from)
        .join("nih");
    if root.is_dir() {
        return Some(root);
    }
    println!("skipped: {} not here", root.display());
    None
}

#[test]
fn the_published_tables_give_their_figures() {
    let Some(root) = nih() else { return };
    let path = |name: &str| root.join(name).to_string_lossy().into_owned();
    let (train, valid, test) = (
        path("seed/train-small.csv"),
        path("seed/valid-small.csv"),
        path("seed/test.csv"),
    );
    let ran = check(&train, &valid, &["--test", &test]);
    assert_eq!(ran.code, 3);
    let found = value(&ran);
    assert_eq!(
        found["shared_patients"]["train_valid"],
        json!([
            "4461", "7482", "8760", "9925", "10888", "18253", "19981", "20290", "22764", "27618",
            "28208"
        ])
    );
    assert_eq!(
        found["shared_images"]["train_valid"],
        json!(["00008760_004.png"])
    );
    assert_eq!(
        found["repaired_rows"],
        json!({"train": 1000, "valid": 96, "test": 420})
    );
    assert_eq!(
        found["known_splits"],
        json!({
            "train": "the write-up's train-small",
            "valid": "the write-up's valid-small",
            "test": "the write-up's test"
        })
    );
    let text = cxr(&["check", "--train", &train, "--valid", &valid]);
    let said = "train is the write-up's train-small: 11 of its patients";
    assert!(text.stdout.contains(said), "{}", text.stdout);
    // Labels are the best predictions.
    let words = [
        "evaluate",
        "--predictions",
        &valid,
        "--table",
        &valid,
        "--json",
    ];
    let ran = cxr(&words);
    assert_eq!(value(&ran)["known_as"], "the write-up's valid-small");
    assert_eq!(value(&ran)["training_overlap"], Value::Null);
    assert!(ran.stderr.contains("11 of its patients"), "{}", ran.stderr);
    let whole = path("full-labels.csv");
    assert_eq!(value(&cxr(&["explore", &whole, "--json"]))["rows"], 112_120);
}

#[test]
fn real_radiographs_of_different_patients_are_not_taken_for_copies() {
    let Some(root) = nih() else { return };
    let path = |name: &str| root.join(name).to_string_lossy().into_owned();
    for (tables, images, code) in [("real", "images-512", 0), ("thumbs-64", "thumbs-64", 3)] {
        let [train, valid, test] =
            ["train", "valid", "test"].map(|name| path(&format!("{tables}/{name}.csv")));
        let ran = check(
            &train,
            &valid,
            &["--test", &test, "--images", &path(images)],
        );
        assert_eq!(ran.code, code, "{}", ran.stderr);
        let empty = json!({"train_valid": [], "train_test": [], "valid_test": []});
        assert_eq!(value(&ran)["near_duplicates"], empty);
    }
}

/// A soft picture that only this number has, 60 wide and 64 high.
fn film(number: u64) -> Pixels {
    let mut stream = Stream::new(15, Purpose::Test, 0, number);
    let coarse = (0..20 * 18).map(|_| 40 + stream.below(176) as u8).collect();
    let coarse = Pixels::new(20, 18, Channels::Gray, coarse).expect("a picture");
    resize(&coarse, 60, 64)
}

/// A folder with these images, all the same small grey PNG.
fn images(folder: &TempDir, names: &[&str]) -> String {
    let images = folder.path().join("images");
    std::fs::create_dir_all(&images).expect("folder");
    for name in names {
        std::fs::write(images.join(name), PNG).expect("written");
    }
    images.to_string_lossy().into_owned()
}

/// 2×3 pixels, 8 bits grey.
const PNG: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52,
    0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x81, 0x81,
    0x5d, 0x00, 0x00, 0x00, 0x11, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0x60, 0x30, 0x62, 0x48,
    0x99, 0xc6, 0x70, 0xe2, 0x17, 0x00, 0x08, 0x3d, 0x02, 0xef, 0xd8, 0x59, 0x89, 0x08, 0x00, 0x00,
    0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];
