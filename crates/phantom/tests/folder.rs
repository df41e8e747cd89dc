//! A cohort on disk: what is written, when it is reused, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use cxr_phantom::{Ceilings, FINDINGS, Like, PhantomError, PhantomRecipe, Split};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

fn small() -> PhantomRecipe {
    PhantomRecipe {
        rows: [16, 8, 5],
        size: 33,
        ..PhantomRecipe::default()
    }
}

/// Every file below a folder, by its path.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(
                contents(&path)
                    .into_iter()
                    .map(|(k, v)| (format!("{name}/{k}"), v)),
            );
        } else {
            found.insert(name, fs_err::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn the_same_bytes_are_written_by_one_thread_and_by_four() {
    let write = |threads: usize| {
        let folder = tempfile::tempdir().unwrap();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let cohort = small().draw().unwrap();
        pool.install(|| cohort.write(folder.path(), &|_| {}))
            .unwrap();
        contents(folder.path())
    };
    let (one, four) = (write(1), write(4));
    assert_eq!(one.len(), 29 + 6, "{:?}", one.keys());
    assert_eq!(one, four);
}

#[test]
fn tables_hold_nihs_columns_and_truth_lies_beside() {
    let folder = tempfile::tempdir().unwrap();
    let cohort = small().draw().unwrap();
    let files = cohort.write(folder.path(), &|_| {}).unwrap();
    let table = fs_err::read_to_string(&files.train).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 17);
    assert_eq!(lines[0], format!("Image,{},PatientId", FINDINGS.join(",")));
    let first = &cohort.split(Split::Train)[0];
    let labels: Vec<&str> = first
        .labels
        .iter()
        .map(|&y| if y { "1" } else { "0" })
        .collect();
    assert_eq!(
        lines[1],
        format!("{},{},{}", first.image, labels.join(","), first.patient)
    );
    let truth = fs_err::read_to_string(&files.truth).unwrap();
    assert_eq!(truth.lines().count(), 30);
    assert!(truth.lines().nth(1).unwrap().starts_with(&first.image));
    assert_eq!(Ceilings::read(&files.ceilings).unwrap(), cohort.ceilings());
    let image = image::open(files.images.join(&first.image)).unwrap();
    assert_eq!((image.width(), image.height()), (33, 33));
    assert_eq!(image.color(), image::ColorType::L8);
    assert_eq!(image.into_luma8().into_raw(), cohort.render(first));
}

#[test]
fn progress_counts_every_image_once() {
    let folder = tempfile::tempdir().unwrap();
    let (calls, last) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let progress = |n: usize| {
        calls.fetch_add(1, Ordering::Relaxed);
        last.fetch_max(n, Ordering::Relaxed);
    };
    small().ensure(folder.path(), &progress).unwrap();
    assert_eq!((calls.into_inner(), last.into_inner()), (29, 29));
}

#[test]
fn a_complete_folder_is_reused_and_a_damaged_one_is_drawn_again() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = small();
    let files = recipe.ensure(folder.path(), &|_| {}).unwrap();
    assert!(files.drawn);
    let whole = contents(folder.path());
    assert!(!recipe.ensure(folder.path(), &|_| {}).unwrap().drawn);

    let image = files
        .images
        .join(&recipe.draw().unwrap().split(Split::Test)[2].image);
    let manifest = folder.path().join("phantom.json");
    let damage = |what: &str, damage: &dyn Fn()| {
        damage();
        assert!(
            recipe.ensure(folder.path(), &|_| {}).unwrap().drawn,
            "{what}"
        );
        assert_eq!(contents(folder.path()), whole, "{what}");
    };
    damage("an image is gone", &|| fs_err::remove_file(&image).unwrap());
    damage("an image is cut", &|| {
        fs_err::write(&image, b"\x89PNG").unwrap()
    });
    damage("a table is changed", &|| {
        fs_err::write(&files.valid, "Image,PatientId\n").unwrap()
    });
    damage("the manifest says so", &|| {
        let text = fs_err::read_to_string(&manifest).unwrap();
        fs_err::write(
            &manifest,
            text.replace("\"complete\":true", "\"complete\":false"),
        )
        .unwrap();
    });
}

#[test]
fn a_folder_of_another_recipe_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    small().ensure(folder.path(), &|_| {}).unwrap();
    let whole = contents(folder.path());
    for other in [
        PhantomRecipe { seed: 2, ..small() },
        PhantomRecipe {
            size: 34,
            ..small()
        },
        PhantomRecipe {
            rows: [16, 8, 6],
            ..small()
        },
        PhantomRecipe {
            like: Like::Seed,
            ..small()
        },
    ] {
        let fault = other.ensure(folder.path(), &|_| {}).unwrap_err();
        assert_eq!((fault.code(), fault.exit_code()), ("P004", 2));
        assert!(fault.location().unwrap().ends_with("phantom.json"));
        assert!(
            fault
                .help()
                .unwrap()
                .contains(&format!("\"seed\":{}", other.seed))
        );
    }
    assert_eq!(contents(folder.path()), whole);
}

#[test]
fn nothing_of_the_users_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("train.csv"), "mine").unwrap();
    let fault = small().ensure(folder.path(), &|_| {}).unwrap_err();
    assert_eq!(fault.code(), "P005");
    assert_eq!(fault.value().unwrap(), "\"train.csv\"");

    let other = tempfile::tempdir().unwrap();
    fs_err::create_dir(other.path().join("images")).unwrap();
    assert!(
        small().ensure(other.path(), &|_| {}).is_ok(),
        "an empty images folder is no harm"
    );
    let third = tempfile::tempdir().unwrap();
    fs_err::create_dir(third.path().join("images")).unwrap();
    fs_err::write(third.path().join("images/mine.png"), "mine").unwrap();
    assert_eq!(
        small().ensure(third.path(), &|_| {}).unwrap_err().code(),
        "P005"
    );
}

#[test]
fn a_damaged_manifest_and_a_file_for_a_folder_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("phantom.json"), "{\"generator\":1,").unwrap();
    let fault = small().ensure(folder.path(), &|_| {}).unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("P006", 3));

    let file = folder.path().join("file");
    fs_err::write(&file, "").unwrap();
    let fault = small().ensure(&file, &|_| {}).unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("P008", 4));
    assert!(matches!(fault, PhantomError::Io { .. }));
    assert!(fault.location().unwrap().contains("file"));

    let ceilings = folder.path().join("ceilings.json");
    fs_err::write(&ceilings, "[]").unwrap();
    assert_eq!(Ceilings::read(&ceilings).unwrap_err().code(), "P006");
    assert_eq!(
        Ceilings::read(&folder.path().join("none.json"))
            .unwrap_err()
            .code(),
        "P008"
    );
}
