//! Copies are found, all of them, and on real radiographs nothing else is.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where its claim fails"
)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use cxr_augment::{
    Channels, ImageFolder, Likeness, MAX_DISTANCE, NearDuplicate, Pixels, Preprocess, decode,
    near_duplicates, resize,
};
use cxr_stream::{Purpose, Stream};
use rayon::prelude::*;

/// What a copy may have gone through.
type Change<'a> = &'a (dyn Fn(&Pixels) -> Pixels + Sync);

/// A soft picture that only this number has.
fn cloud(number: u64, side: u32) -> Pixels {
    let mut stream = Stream::new(11, Purpose::Test, 0, number);
    let data = (0..18 * 18).map(|_| stream.below(256) as u8).collect();
    let coarse = Pixels::new(18, 18, Channels::Gray, data).unwrap();
    resize(&coarse, side, side)
}

/// The picture with noise of this strength, 0 to 255.
fn noisy(picture: &Pixels, number: u64, strength: f64) -> Pixels {
    let mut stream = Stream::new(12, Purpose::Test, 0, number);
    let mut value = |value: &u8| {
        let noise = strength * stream.normal();
        (f64::from(*value) + noise).round().clamp(0.0, 255.0) as u8
    };
    let data = picture.data().iter().map(&mut value).collect();
    Pixels::new(picture.width(), picture.height(), Channels::Gray, data).unwrap()
}

fn likenesses(pictures: &[Pixels]) -> Vec<Option<Likeness>> {
    pictures.par_iter().map(Likeness::of).collect()
}

fn lent(likenesses: &[Option<Likeness>]) -> Vec<Option<&Likeness>> {
    likenesses.iter().map(Option::as_ref).collect()
}

fn each_with_each(
    firsts: &[Option<&Likeness>],
    seconds: &[Option<&Likeness>],
) -> Vec<NearDuplicate> {
    let mut found = Vec::new();
    for (first, one) in firsts.iter().enumerate() {
        for (second, other) in seconds.iter().enumerate() {
            let (Some(one), Some(other)) = (one, other) else {
                continue;
            };
            if one.is_copy_of(other) {
                let distance = one.distance(other);
                found.push(NearDuplicate {
                    first,
                    second,
                    distance,
                });
            }
        }
    }
    found
}

#[test]
fn the_search_finds_what_comparing_each_with_each_finds() {
    let firsts: Vec<Pixels> = (0..300).map(|n| cloud(n, 40)).collect();
    // Copies of every second one, from untouched to too far away.
    let copy = |n: u64| noisy(&cloud(2 * n, 64), n, n as f64 * 0.2);
    let seconds: Vec<Pixels> = (0..150).map(copy).chain([cloud(5, 31)]).collect();
    let (firsts, seconds) = (likenesses(&firsts), likenesses(&seconds));
    let (firsts, seconds) = (lent(&firsts), lent(&seconds));
    let found = near_duplicates(&firsts, &seconds);
    assert_eq!(found, each_with_each(&firsts, &seconds));
    assert!(found.iter().all(|pair| pair.first == 2 * pair.second));
    let farthest = found.iter().map(|pair| pair.distance).max().unwrap();
    assert!(
        found.len() > 40 && found.len() < 150 && farthest > 9,
        "{} {farthest}",
        found.len()
    );
}

#[test]
fn one_and_four_threads_find_the_same_in_the_same_order() {
    let firsts = likenesses(&(0..64).map(|n| cloud(n % 8, 40)).collect::<Vec<_>>());
    let on = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(n_threads)
            .build()
            .unwrap();
        pool.install(|| near_duplicates(&lent(&firsts), &lent(&firsts)))
    };
    let found = on(1);
    assert_eq!(found.len(), 8 * 8 * 8);
    assert!(found.is_sorted());
    assert_eq!(on(4), found);
}

#[test]
fn nothing_is_a_copy_of_nothing() {
    assert_eq!(near_duplicates(&[], &[]), []);
    let one = Likeness::of(&cloud(1, 40));
    assert_eq!(near_duplicates(&[None, one.as_ref()], &[None]), []);
}

/// The folder of the published images, or `None` after saying that it is not here.
fn nih() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let nih = std::env::var_os("CXR_SHARED")
        .map_or(beside, PathBuf::from)
        .join("nih");
    if nih.is_dir() {
        return Some(nih);
    }
    println!("skipped: {} not here", nih.display());
    None
}

/// The images below a folder, with their names, sorted.
fn films(root: &Path) -> Vec<(String, Pixels)> {
    let folder = ImageFolder::open(root).unwrap();
    let mut names: Vec<String> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".png"))
        .collect();
    names.sort_unstable();
    let spec = Preprocess::default();
    let film = |name: String| {
        let decoded = decode(&folder.read(&name).unwrap(), &name, &spec).unwrap();
        (name, decoded.pixels)
    };
    names.into_par_iter().map(film).collect()
}

fn patient(name: &str) -> &str {
    name.split('_').next().unwrap()
}

fn changed(picture: &Pixels, change: impl Fn(f64) -> f64) -> Pixels {
    let value = |v: &u8| change(f64::from(*v)).round().clamp(0.0, 255.0) as u8;
    let data = picture.data().iter().map(value).collect();
    Pixels::new(picture.width(), picture.height(), picture.channels(), data).unwrap()
}

/// The picture without the outermost hundredth of each side.
fn cut(picture: &Pixels) -> Pixels {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (left, top) = (width / 100, height / 100);
    let channels = picture.channels().count();
    let rows = picture.data().chunks_exact(width * channels);
    let kept = rows.skip(top).take(height - 2 * top);
    let data: Vec<u8> = kept
        .flat_map(|row| &row[left * channels..(width - left) * channels])
        .copied()
        .collect();
    let side = |whole: usize, gone: usize| (whole - 2 * gone) as u32;
    Pixels::new(
        side(width, left),
        side(height, top),
        picture.channels(),
        data,
    )
    .unwrap()
}

#[test]
fn real_radiographs_are_copies_of_their_copies_and_of_nothing_else() {
    let Some(nih) = nih() else { return };
    let large = films(&nih.join("images-512"));
    let small = films(&nih.join("thumbs-64"));
    let all: Vec<(&str, Likeness)> = large
        .iter()
        .chain(&small)
        .map(|(name, film)| (name.as_str(), Likeness::of(film).unwrap()))
        .collect();
    let (mut closest, mut highest) = ([256; 2], [-1.0_f64; 2]);
    let (mut n_pairs, mut n_copies, mut farthest) = ([0; 2], 0, 0);
    for (place, (name, one)) in all.iter().enumerate() {
        for (other_name, other) in &all[..place] {
            if name == other_name {
                // The same radiograph at 512² and, by other hands, at 64².
                assert!(one.is_copy_of(other), "{name}");
                (n_copies, farthest) = (n_copies + 1, one.distance(other).max(farthest));
                continue;
            }
            let kind = usize::from(patient(name) == patient(other_name));
            n_pairs[kind] += 1;
            closest[kind] = one.distance(other).min(closest[kind]);
            // The rest is too far away for the correlation to be asked, and takes minutes.
            if one.distance(other) < 75 {
                highest[kind] = one.correlation(other).max(highest[kind]);
            }
        }
    }
    println!(
        "different patients: {} pairs, {} bits, correlation {:.4}",
        n_pairs[0], closest[0], highest[0]
    );
    println!(
        "same patient: {} pairs, {} bits, correlation {:.4}",
        n_pairs[1], closest[1], highest[1]
    );
    println!("512² and 64²: {n_copies} pairs, {farthest} bits");
    assert!(closest[0] > MAX_DISTANCE + 10 && closest[1] > MAX_DISTANCE);
    assert!(highest.iter().all(|&correlation| correlation < 0.9));
    let copies: [(&str, Change<'_>, f64); 8] = [
        ("at 1024²", &|film| resize(film, 1024, 1024), 1.0),
        ("at 224 × 224", &|film| resize(film, 224, 224), 1.0),
        ("at 64²", &|film| resize(film, 64, 64), 1.0),
        (
            "× 0.85 − 10",
            &|film| changed(film, |v| v * 0.85 - 10.0),
            1.0,
        ),
        (
            "× 1.15 + 10",
            &|film| changed(film, |v| v * 1.15 + 10.0),
            1.0,
        ),
        (
            "gamma 0.8",
            &|film| changed(film, |v| 255.0 * (v / 255.0).powf(0.8)),
            1.0,
        ),
        (
            "gamma 1.2",
            &|film| changed(film, |v| 255.0 * (v / 255.0).powf(1.2)),
            1.0,
        ),
        ("1 % cut off each side", &cut, 0.0),
    ];
    for (what, copy, least) in copies {
        let results: Vec<(u32, f64, bool)> = large
            .par_iter()
            .zip(&all)
            .map(|((_, film), (_, whole))| {
                let copy = Likeness::of(&copy(film)).unwrap();
                let (bits, r) = (copy.distance(whole), copy.correlation(whole));
                (bits, r, copy.is_copy_of(whole))
            })
            .collect();
        let farthest = results.iter().map(|one| one.0).max().unwrap();
        let lowest = results.iter().map(|one| one.1).fold(1.0, f64::min);
        let found = results.iter().filter(|one| one.2).count();
        println!(
            "{what}: at most {farthest} bits, correlation at least {lowest:.4}, found {found} of {}",
            results.len()
        );
        assert!(found as f64 >= least * results.len() as f64, "{what}");
    }
}

/// `cargo test --release -p cxr-augment --test near_duplicates -- --ignored --nocapture`
#[test]
#[ignore = "a measurement, minutes without optimisation"]
fn how_long_the_search_takes_at_nih_s_size() {
    let Some(nih) = nih() else { return };
    let films = films(&nih.join("images-512"));
    // As many likenesses as NIH has, each of a real radiograph's blend with another.
    let blend = |n: u64| {
        let mut stream = Stream::new(13, Purpose::Test, 0, n);
        let mut any = || &films[stream.below(films.len() as u64) as usize].1;
        let (one, other) = (resize(any(), 48, 48), resize(any(), 48, 48));
        let pairs = one.data().iter().zip(other.data());
        let data = pairs.map(|(a, b)| a / 2 + b / 2).collect();
        Likeness::of(&Pixels::new(48, 48, Channels::Gray, data).unwrap())
    };
    let all: Vec<Option<Likeness>> = (0..112_120).into_par_iter().map(blend).collect();
    let all = lent(&all);
    let (train, rest) = all.split_at(78_468);
    let (valid, test) = rest.split_at(11_219);
    let started = Instant::now();
    let pairs = [(train, valid), (train, test), (valid, test)];
    let found: usize = pairs.iter().map(|(a, b)| near_duplicates(a, b).len()).sum();
    println!("banded: {found} pairs in {:?}", started.elapsed());
    let started = Instant::now();
    let near = |one: &Option<&Likeness>| {
        let close = |other: &&Option<&Likeness>| match (one, other) {
            (Some(one), Some(other)) => {
                one.distance(other) <= MAX_DISTANCE && one.is_copy_of(other)
            }
            _ => false,
        };
        valid.iter().filter(close).count()
    };
    let found: usize = train.par_iter().map(near).sum();
    println!(
        "each with each, train and valid alone: {found} pairs in {:?}",
        started.elapsed()
    );
}
