//! Names from a table cannot lead out of the image folder, block, or open what is no file.

#![expect(clippy::unwrap_used, reason = "a test's own files are there")]
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use cxr_augment::{
    Channels, ImageFault, ImageFolder, PixelCache, Pixels, Preprocess, read_image_file,
};

fn film() -> Vec<u8> {
    let data = (0..48u8).collect();
    Pixels::new(8, 6, Channels::Gray, data)
        .unwrap()
        .to_png()
        .unwrap()
}

/// A folder `images` with `a.png` and `deep/b.png`, beside a `secret.png`.
fn folder() -> (tempfile::TempDir, ImageFolder) {
    let place = tempfile::tempdir().unwrap();
    let images = place.path().join("images");
    fs::create_dir_all(images.join("deep")).unwrap();
    fs::write(images.join("a.png"), film()).unwrap();
    fs::write(images.join("deep/b.png"), film()).unwrap();
    fs::write(place.path().join("secret.png"), film()).unwrap();
    let folder = ImageFolder::open(&images).unwrap();
    (place, folder)
}

#[test]
fn images_are_read_by_relative_name_also_from_sub_folders() {
    let (_place, folder) = folder();
    assert_eq!(folder.read("a.png").unwrap(), film());
    assert_eq!(folder.read("deep/b.png").unwrap(), film());
    assert!(folder.probe("a.png").is_ok());
    assert!(folder.missing(&["a.png", "deep/b.png"]).is_empty());
}

#[test]
fn names_that_lead_out_are_refused_before_the_disk_is_touched() {
    let (place, folder) = folder();
    let absolute = place.path().join("secret.png");
    for name in [
        "../secret.png",
        "deep/../../secret.png",
        absolute.to_str().unwrap(),
        "C:\\x",
        "",
    ] {
        let fault = folder.read(name).unwrap_err();
        assert_eq!((fault.code(), fault.exit_code()), ("I003", 3), "{name}");
    }
    let long = "x".repeat(300);
    assert_eq!(folder.read(&long).unwrap_err().code(), "I003");
    let fault = folder.read("a\u{1b}[2J\n.png").unwrap_err();
    assert_eq!(fault.value().unwrap(), "\"a\\u{1b}[2J\\n.png\"");
}

#[test]
fn links_are_followed_within_the_folder_and_refused_beyond_it() {
    let (place, folder) = folder();
    let images = place.path().join("images");
    symlink("deep/b.png", images.join("inside.png")).unwrap();
    symlink("../secret.png", images.join("outside.png")).unwrap();
    symlink("..", images.join("up")).unwrap();
    symlink("nowhere.png", images.join("broken.png")).unwrap();
    symlink("loop.png", images.join("loop.png")).unwrap();
    assert_eq!(folder.read("inside.png").unwrap(), film());
    let fault = folder.read("outside.png").unwrap_err();
    assert_eq!(fault.code(), "I004");
    assert!(fault.value().unwrap().ends_with("secret.png"));
    assert_eq!(folder.read("up/secret.png").unwrap_err().code(), "I004");
    assert_eq!(folder.read("up").unwrap_err().code(), "I004");
    for (name, kind) in [
        ("broken.png", "a link to nothing"),
        ("loop.png", "a loop of links"),
    ] {
        let fault = folder.read(name).unwrap_err();
        assert_eq!(fault.code(), "I005");
        assert_eq!(fault.to_string(), format!("not a regular file but {kind}"));
    }
}

#[test]
fn a_pipe_does_not_block_and_a_folder_is_no_image() {
    let (place, folder) = folder();
    let pipe = place.path().join("images/pipe.png");
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    symlink("pipe.png", place.path().join("images/link.png")).unwrap();
    let start = Instant::now();
    for (name, kind) in [
        ("pipe.png", "a pipe"),
        ("link.png", "a pipe"),
        ("deep", "a folder"),
    ] {
        let fault = folder.read(name).unwrap_err();
        assert_eq!(fault.to_string(), format!("not a regular file but {kind}"));
        assert_eq!(folder.probe(name).unwrap_err().code(), "I005");
    }
    assert_eq!(read_image_file(&pipe).unwrap_err().code(), "I005");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn all_missing_images_are_listed_with_a_hint_where_only_the_case_differs() {
    let (_place, folder) = folder();
    let faults = folder.missing(&[
        "a.png",
        "A.png",
        "c.png",
        "deep/B.PNG",
        "a.png/x",
        "no/b.png",
    ]);
    let named: Vec<_> = faults.iter().map(|f| f.location().unwrap()).collect();
    assert_eq!(
        named,
        ["A.png", "c.png", "deep/B.PNG", "a.png/x", "no/b.png"]
    );
    let hints: Vec<_> = faults.iter().map(|f| f.help().unwrap()).collect();
    assert!(
        hints[0].ends_with("has a.png: upper and lower case differ"),
        "{}",
        hints[0]
    );
    assert!(hints[1].starts_with("looked in "), "{}", hints[1]);
    assert!(
        hints[2].ends_with("has b.png: upper and lower case differ"),
        "{}",
        hints[2]
    );
    assert!(
        faults
            .iter()
            .all(|f| matches!(f, ImageFault::Missing { .. }))
    );
}

#[test]
fn files_that_are_empty_or_too_large_are_refused_without_being_read() {
    let (place, folder) = folder();
    let images = place.path().join("images");
    fs::write(images.join("empty.png"), b"").unwrap();
    let large = fs::File::create(images.join("large.png")).unwrap();
    large.set_len((64 << 20) + 1).unwrap();
    assert_eq!(folder.read("empty.png").unwrap_err().code(), "I006");
    assert_eq!(folder.read("large.png").unwrap_err().code(), "I007");
    assert_eq!(folder.missing(&["empty.png", "large.png"]).len(), 2);
}

#[test]
fn a_folder_that_is_missing_or_a_file_is_an_input_fault() {
    let (place, _folder) = folder();
    for name in ["nothing", "secret.png"] {
        let fault = ImageFolder::open(place.path().join(name)).unwrap_err();
        assert_eq!((fault.code(), fault.exit_code()), ("I001", 4));
        assert!(fault.location().unwrap().ends_with(name));
    }
    let fault = read_image_file(&place.path().join("nothing.png")).unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("I001", 4));
    assert_eq!(
        read_image_file(&place.path().join("secret.png")).unwrap(),
        film()
    );
}

#[test]
fn a_cache_holds_every_picture_in_order_or_lists_every_fault() {
    let (place, folder) = folder();
    let images = place.path().join("images");
    let spec = Preprocess {
        width: 8,
        height: 6,
        ..Preprocess::default()
    };
    let names: Vec<String> = (0..40).map(|i| format!("{i}.png")).collect();
    for (i, name) in (0u8..).zip(&names) {
        let picture = Pixels::new(8, 6, Channels::Gray, vec![i; 48]).unwrap();
        fs::write(images.join(name), picture.to_png().unwrap()).unwrap();
    }
    let n_told = std::sync::atomic::AtomicUsize::new(0);
    let told = |n: usize| {
        n_told.fetch_max(n, std::sync::atomic::Ordering::Relaxed);
    };
    let cache = PixelCache::build(&folder, &names, &spec, &told).unwrap();
    assert_eq!((cache.len(), n_told.into_inner()), (40, 40));
    let mut scratch = Vec::new();
    let mut shows = |i| cache.picture(usize::from(i), &mut scratch).unwrap().data() == [i; 48];
    assert!((0u8..40).all(&mut shows));
    assert_eq!(cache.spec_digest(), spec.digest());

    fs::write(images.join("3.png"), &film()[..60]).unwrap();
    fs::write(images.join("31.png"), b"GIF89a").unwrap();
    let faults = PixelCache::build(&folder, &names, &spec, &|_| {}).unwrap_err();
    let codes: Vec<_> = faults
        .iter()
        .map(|f| (f.location().unwrap(), f.code()))
        .collect();
    assert_eq!(
        codes,
        [("3.png".to_owned(), "I011"), ("31.png".to_owned(), "I008")]
    );

    fs::remove_file(images.join("5.png")).unwrap();
    let faults = PixelCache::build(&folder, &names, &spec, &|_| {}).unwrap_err();
    assert_eq!(
        faults.len(),
        1,
        "the missing one is found before anything is decoded"
    );
}
