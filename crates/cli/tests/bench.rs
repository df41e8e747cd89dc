//! `cxr bench` as other programs see it: the keys of its JSON, never its times.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

use assert_cmd::Command;
use serde_json::Value;

fn cxr(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cxr"));
    command.arg("bench").args(words.split(' '));
    command
}

fn json(words: &str) -> Value {
    let output = cxr(words).arg("--json").output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn a_step_is_described_by_the_keys_of_the_contract() {
    let words = "step --model xray-cnn --batch 2 --size 32 --steps 2 --warmup 0 --threads 1";
    for (ops, isa) in [("step", "portable"), ("custom", "portable")] {
        let measured = json(&format!("{words} --compare-ops {ops} --isa {isa}"));
        assert_eq!(measured["model"], "xray-cnn");
        assert_eq!(measured["device"], "cpu");
        assert_eq!(measured["ops"], ops);
        assert_eq!(measured["isa"], isa);
        for (key, value) in [("batch", 2), ("size", 32), ("threads", 1)] {
            assert_eq!(measured[key], value, "{key}");
        }
        assert_eq!(measured["seconds"].as_array().unwrap().len(), 2);
        for key in [
            "median_seconds",
            "images_per_second",
            "forward",
            "backward",
            "optimizer",
            "loss_first",
            "loss_last",
        ] {
            assert!(measured[key].as_f64().unwrap() > 0.0, "{key}");
        }
        assert!(measured.get("peak_rss_bytes").is_some());
    }
}

#[test]
fn both_ways_through_a_network_give_the_same_first_loss() {
    let words = "step --model resnet18 --batch 4 --size 64 --steps 1 --warmup 0";
    let loss = |ops: &str| {
        let measured = json(&format!("{words} --compare-ops {ops}"));
        measured["loss_first"].as_f64().unwrap()
    };
    let (step, custom) = (loss("step"), loss("custom"));
    assert!((step - custom).abs() < 1e-4 * custom, "{step} {custom}");
}

#[test]
fn inference_and_layers_are_described_too() {
    let measured = json("infer --model xray-cnn --batch 1 --size 16 --steps 1");
    assert!(measured["images_per_second"].as_f64().unwrap() > 0.0);
    let layers = json("ops --batch 1 --steps 1 --layer 64→128 --all-algorithms");
    let layers = layers.as_array().unwrap();
    let algorithms: Vec<&str> = layers
        .iter()
        .map(|l| l["algorithm"].as_str().unwrap())
        .collect();
    assert!(algorithms.contains(&"winograd") && algorithms.contains(&"direct"));
    assert!(
        layers
            .iter()
            .all(|layer| layer["forward"].as_f64().unwrap() > 0.0)
    );
}

#[test]
fn nothing_to_measure_and_unknown_words_are_refused() {
    for words in [
        "step --batch 0",
        "step --steps 0",
        "infer --batch 0",
        "step --isa sse9",
        "step --model resnet19",
        "step --device cuda",
    ] {
        let output = cxr(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(!output.stderr.is_empty(), "{words}");
    }
    // A size that the network cannot halve.
    let output = cxr("step --model xray-cnn --size 33").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("M001"));
}

/// A folder of three films, small enough to be quick and of another shape than the tensors.
fn films() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (place, name) in ["a.png", "b.png", "c.PNG"].iter().enumerate() {
        let data = (0..30 * 40)
            .map(|v| (v * (place + 2) % 251) as u8)
            .collect();
        let film = cxr_augment::Pixels::new(30, 40, cxr_augment::Channels::Gray, data).unwrap();
        std::fs::write(folder.path().join(name), film.to_png().unwrap()).unwrap();
    }
    folder
}

#[test]
fn a_loader_is_described_epoch_by_epoch_cached_or_not() {
    let folder = films();
    let kept = folder.path().join("kept");
    let of = |words: &str| {
        let images = folder.path().display();
        let words = format!("loader --images {images} --size 24 --batch 2 --epochs 3 {words}");
        let measured = json(words.trim());
        assert_eq!(measured["images"], 3);
        assert!(measured["threads"].as_u64().unwrap() > 0);
        let epochs = measured["epochs"].as_array().unwrap();
        assert!(
            epochs
                .iter()
                .all(|e| e["images_per_second"].as_f64().unwrap() > 0.0)
        );
        let cached = epochs
            .iter()
            .map(|epoch| epoch["cached"].as_bool().unwrap());
        cached.collect::<Vec<_>>()
    };
    assert_eq!(of(""), [false, true, true]);
    assert_eq!(of("--no-cache --augment none"), [false; 3]);
    let to_kept = format!("--cache {}", kept.display());
    assert_eq!(of(&to_kept), [false, true, true]);
    assert_eq!(of(&to_kept), [true; 3], "kept by the run before");
}

#[test]
fn a_step_fed_by_a_loader_tells_what_it_waits() {
    let folder = films();
    let images = folder.path().display();
    let words = "step --model xray-cnn --batch 2 --size 32 --steps 3 --warmup 1 --with-loader";
    let measured = json(&format!("{words} --images {images}"));
    let share = measured["waiting_share"].as_f64().unwrap();
    assert!((0.0..1.0).contains(&share), "{share}");
    assert!(measured["waiting"].as_f64().unwrap() >= 0.0);
}

#[test]
fn each_stage_of_an_image_is_timed() {
    let folder = films();
    let measured = json(&format!(
        "decode --images {} --size 24",
        folder.path().display()
    ));
    assert_eq!(measured["images"], 3);
    for stage in [
        "read",
        "decode",
        "resize",
        "train_transform",
        "eval_transform",
    ] {
        assert!(measured[stage].as_f64().unwrap() > 0.0, "{stage}");
    }
}

#[test]
fn a_folder_without_images_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    let output = cxr("loader --images").arg(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no PNG or JPEG files"));
}

#[test]
fn the_figures_of_an_evaluation_are_timed() {
    let measured = json("metrics --rows 400 --findings 3 --rounds 2");
    assert_eq!(
        (&measured["rows"], &measured["findings"]),
        (&400.into(), &3.into())
    );
    assert_eq!(measured["seconds"].as_array().unwrap().len(), 2);
    assert!(measured["median_seconds"].as_f64().unwrap() > 0.0);
    // Scores 1.2 deviations apart: Φ(1.2 ÷ √2) = .802.
    let auroc = measured["macro_auroc"].as_f64().unwrap();
    assert!((auroc - 0.802).abs() < 0.1, "{auroc}");
}

#[test]
fn a_bootstrap_is_timed_and_says_in_how_many_draws_the_mean_is_defined() {
    let measured = json("metrics --rows 400 --findings 2 --rounds 1 --bootstrap 20");
    let bootstrap = &measured["bootstrap"];
    assert_eq!(bootstrap["draws"], 20);
    assert!(bootstrap["seconds"].as_f64().unwrap() > 0.0);
    assert!(bootstrap["defined"].as_u64().unwrap() <= 20);
}

#[test]
fn the_coverage_of_every_interval_is_counted_the_same_with_every_number_of_threads() {
    let words = "coverage --cohorts 20 --bootstrap 10";
    let measured = json(&format!("{words} --threads 1"));
    assert_eq!(measured["cohorts"], 20);
    let designs = measured["designs"].as_array().unwrap();
    assert_eq!(designs[0]["design"]["patients"], 400);
    for way in ["clustered", "student", "independent", "bootstrap"] {
        let coverage = designs[0][way]["coverage"].as_f64().unwrap();
        assert!((0.5..=1.0).contains(&coverage), "{way} {coverage}");
        assert_eq!(designs[0][way]["defined"], 20);
    }
    assert_eq!(json(&format!("{words} --threads 3")), measured);
}
