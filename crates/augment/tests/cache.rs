//! A kept cache: the same pictures as in memory, whatever happened to its files, its images or the
//! process that built it.

#![expect(clippy::unwrap_used, reason = "a test's own files are there")]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use cxr_augment::{
    BitDepthPolicy, CacheEvent, Channels, ImageFolder, ImageWarning, Keep, PixelCache, Pixels,
    Preprocess,
};
use fs_err as fs;
use proptest::prelude::*;

const N_IMAGES: usize = 24;

struct Place {
    dir: tempfile::TempDir,
    names: Vec<String>,
}

fn spec() -> Preprocess {
    Preprocess {
        width: 9,
        height: 7,
        ..Preprocess::default()
    }
}

fn picture(seed: usize) -> Pixels {
    let channels = [Channels::Gray, Channels::Gray, Channels::Rgb][seed % 3];
    let len = 20 * 16 * channels.count();
    let data = (0..len).map(|v| (v * (seed + 3) % 251) as u8).collect();
    Pixels::new(20, 16, channels, data).unwrap()
}

impl Place {
    fn new(n: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("images")).unwrap();
        let names: Vec<String> = (0..n).map(|i| format!("{i:03}.png")).collect();
        let place = Self { dir, names };
        for seed in 0..n {
            place.draw(seed, seed);
        }
        place
    }

    fn draw(&self, image: usize, seed: usize) {
        let path = self.images().join(&self.names[image]);
        fs::write(path, picture(seed).to_png().unwrap()).unwrap();
    }

    fn images(&self) -> PathBuf {
        self.dir.path().join("images")
    }

    fn kept(&self) -> PathBuf {
        self.dir.path().join("kept")
    }

    fn open(&self) -> PixelCache {
        self.open_names(&self.names, &spec())
    }

    fn open_names(&self, names: &[String], spec: &Preprocess) -> PixelCache {
        let folder = ImageFolder::open(self.images()).unwrap();
        PixelCache::open(&folder, names, spec, &Keep::Folder(self.kept()), &|_| {}).unwrap()
    }

    fn in_memory(&self, names: &[String], spec: &Preprocess) -> PixelCache {
        let folder = ImageFolder::open(self.images()).unwrap();
        PixelCache::build(&folder, names, spec, &|_| {}).unwrap()
    }

    /// The one kept file of this kind.
    fn file(&self, extension: &str) -> PathBuf {
        let files = fs::read_dir(self.kept())
            .unwrap()
            .map(|e| e.unwrap().path());
        let mut files = files.filter(|path| path.extension().unwrap() == extension);
        let file = files.next().unwrap();
        assert!(files.next().is_none());
        file
    }
}

type Shown = (u32, u32, Channels, Vec<u8>);

fn shown(cache: &PixelCache) -> Vec<Shown> {
    let mut scratch = Vec::new();
    let mut one = |index| {
        let picture = cache.picture(index, &mut scratch).unwrap();
        let size = (picture.width(), picture.height());
        (size.0, size.1, picture.channels(), picture.data().to_vec())
    };
    (0..cache.len()).map(&mut one).collect()
}

#[test]
fn kept_pictures_are_those_in_memory_and_are_decoded_once() {
    let place = Place::new(N_IMAGES);
    let expected = shown(&place.in_memory(&place.names, &spec()));
    let first = place.open();
    assert_eq!((first.len(), first.n_decoded()), (N_IMAGES, N_IMAGES));
    assert!(shown(&first) == expected);
    let again = place.open();
    assert_eq!((again.n_decoded(), again.n_mended()), (0, 0));
    assert!(shown(&again) == expected);
    assert_eq!(again.spec_digest(), spec().digest());
    let folder = ImageFolder::open(place.images()).unwrap();
    let nowhere = PixelCache::open(&folder, &place.names, &spec(), &Keep::Nowhere, &|_| {});
    assert!(shown(&nowhere.unwrap()) == expected);
}

#[test]
fn other_lists_share_it_and_names_may_come_twice() {
    let place = Place::new(N_IMAGES);
    let some: Vec<String> = [3, 1, 3].map(|i| place.names[i].clone()).to_vec();
    let first = place.open_names(&some, &spec());
    assert_eq!((first.len(), first.n_decoded()), (3, 2));
    assert!(shown(&first) == shown(&place.in_memory(&some, &spec())));
    let all = place.open();
    assert_eq!(all.n_decoded(), N_IMAGES - 2);
    assert!(shown(&all) == shown(&place.in_memory(&place.names, &spec())));
    assert!(shown(&first) == shown(&place.in_memory(&some, &spec())));
}

/// A PNG whose length does not depend on its pixels.
fn uncompressed(pixels: &Pixels) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, pixels.width(), pixels.height());
    encoder.set_compression(png::Compression::NoCompression);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels.data()).unwrap();
    writer.finish().unwrap();
    file
}

#[test]
fn a_changed_image_is_noticed_even_with_its_size_and_time_kept() {
    let place = Place::new(N_IMAGES);
    let path = place.images().join(&place.names[4]);
    let before = uncompressed(&picture(4));
    fs::write(&path, &before).unwrap();
    place.open();
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let after = uncompressed(&picture(7));
    assert_eq!(before.len(), after.len());
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, &after).unwrap();
    file.set_modified(time).unwrap();
    let again = place.open();
    assert_eq!(again.n_decoded(), 1);
    assert!(shown(&again) == shown(&place.in_memory(&place.names, &spec())));
    fs::write(&path, before).unwrap();
    assert_eq!(
        place.open().n_decoded(),
        1,
        "the picture before is not kept twice"
    );
}

#[test]
fn images_at_rest_are_not_read_again() {
    let place = Place::new(5);
    place.open();
    let index = || fs::read(place.file("index")).unwrap();
    let first = index();
    place.open();
    assert!(
        index().len() > first.len(),
        "just written, they are looked at once more"
    );
    std::thread::sleep(Duration::from_millis(2100));
    place.open();
    let at_rest = index();
    place.open();
    assert!(index() == at_rest, "nothing was looked at, nothing noted");
    place.draw(3, 4);
    assert_eq!(place.open().n_decoded(), 1);
}

#[test]
fn an_image_that_is_touched_only_is_not_decoded_again() {
    let place = Place::new(4);
    place.open();
    let path = place.images().join(&place.names[1]);
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    assert_eq!(place.open().n_decoded(), 0);
}

#[test]
fn a_missing_image_and_a_bad_one_are_errors_and_the_rest_is_kept() {
    let place = Place::new(6);
    let folder = ImageFolder::open(place.images()).unwrap();
    let keep = Keep::Folder(place.kept());
    let codes = |names: &[String]| {
        let faults = PixelCache::open(&folder, names, &spec(), &keep, &|_| {}).unwrap_err();
        faults
            .iter()
            .map(|f| (f.code(), f.image().unwrap().to_owned()))
            .collect::<Vec<_>>()
    };
    fs::write(place.images().join("002.png"), b"GIF89a").unwrap();
    assert_eq!(codes(&place.names), [("I008", "002.png".to_owned())]);
    fs::remove_file(place.images().join("002.png")).unwrap();
    assert_eq!(codes(&place.names), [("I002", "002.png".to_owned())]);
    place.draw(2, 2);
    assert_eq!(place.open().n_decoded(), 1);
}

#[test]
fn other_sizes_and_policies_have_other_pictures_and_a_norm_has_not() {
    let place = Place::new(5);
    place.open();
    let wider = Preprocess {
        width: 10,
        ..spec()
    };
    let clipped = Preprocess {
        bit_depth: BitDepthPolicy::ClipLikePillow,
        ..spec()
    };
    for other in [wider, clipped] {
        let cache = place.open_names(&place.names, &other);
        assert_eq!(cache.n_decoded(), 5, "{other:?}");
        assert!(shown(&cache) == shown(&place.in_memory(&place.names, &other)));
    }
    let norm = Preprocess {
        mean: [0.5; 3],
        ..spec()
    };
    assert_eq!(place.open_names(&place.names, &norm).n_decoded(), 0);
}

#[test]
fn warnings_are_kept_too() {
    let place = Place::new(1);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 2, 1);
    encoder.set_depth(png::BitDepth::Sixteen);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[0, 1, 0, 9]).unwrap();
    writer.finish().unwrap();
    fs::write(place.images().join("000.png"), file).unwrap();
    let first = place.open();
    assert!(matches!(
        first.warnings(),
        [ImageWarning::NarrowRange { min: 1, max: 9, .. }]
    ));
    let again = place.open();
    assert_eq!((again.n_decoded(), again.warnings()), (0, first.warnings()));
}

#[test]
fn a_damaged_picture_is_mended_while_the_cache_is_in_use() {
    let place = Place::new(N_IMAGES);
    let cache = place.open();
    let expected = shown(&cache);
    let whole = fs::read(place.file("pixels")).unwrap();
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(place.file("pixels"))
        .unwrap();
    file.set_len(5000).unwrap();
    assert!(shown(&cache) == expected, "cut while it was open");
    assert!(cache.n_mended() > 0);
    assert!(fs::read(place.file("pixels")).unwrap() == whole);
    file.set_len(4200).unwrap();
    place.draw(20, 77);
    let fault = cache.picture(20, &mut Vec::new()).unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("I015", 3));
}

#[test]
fn what_was_cut_off_between_two_runs_is_decoded_as_the_cache_opens() {
    let place = Place::new(N_IMAGES);
    let expected = shown(&place.open());
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(place.file("pixels"))
        .unwrap();
    // The header and a few pictures stay.
    file.set_len(4700).unwrap();
    let again = place.open();
    assert!((1..N_IMAGES).contains(&again.n_decoded()));
    assert!(shown(&again) == expected);
    assert_eq!(again.n_mended(), 0);
}

#[test]
fn a_damaged_picture_that_cannot_be_put_back_is_right_all_the_same() {
    let place = Place::new(5);
    let cache = place.open();
    let expected = shown(&cache);
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(place.file("pixels"))
        .unwrap();
    file.set_len(4100).unwrap();
    fs::remove_dir_all(place.kept()).unwrap();
    fs::write(place.kept(), b"a file where the folder was").unwrap();
    assert!(shown(&cache) == expected);
    assert_eq!(cache.n_mended(), 5);
}

#[test]
fn files_with_the_header_of_another_cache_begin_anew() {
    let place = Place::new(5);
    let folder = ImageFolder::open(place.images()).unwrap();
    let keep = Keep::Folder(place.kept());
    for extension in ["index", "pixels"] {
        let expected = shown(&place.open());
        let mut file = fs::read(place.file(extension)).unwrap();
        file[20] ^= 1;
        fs::write(place.file(extension), file).unwrap();
        let told = Mutex::new(Vec::new());
        let cache = PixelCache::open(&folder, &place.names, &spec(), &keep, &|event| {
            if let CacheEvent::Restarts(path) = event {
                told.lock().unwrap().push(path.to_owned());
            }
        });
        let cache = cache.unwrap();
        assert_eq!(cache.n_decoded(), 5, "{extension}");
        assert_eq!(told.into_inner().unwrap(), [place.file("index")]);
        assert!(shown(&cache) == expected);
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let place = Place::new(1);
    let folder = ImageFolder::open(place.images()).unwrap();
    let keep = Keep::Folder(place.images().join("000.png").join("below"));
    let faults = PixelCache::open(&folder, &place.names, &spec(), &keep, &|_| {}).unwrap_err();
    assert_eq!((faults[0].code(), faults[0].exit_code()), ("I014", 4));
    assert!(faults[0].location().unwrap().contains("000.png"));
}

/// One thing done to a kept file.
#[derive(Clone, Debug)]
enum Harm {
    Flip(usize, u8),
    Cut(usize),
    Grow(usize),
    Zero(usize, usize),
    Remove,
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = 0_usize..1 << 20;
    prop_oneof![
        (at.clone(), 0_u8..8).prop_map(|(at, bit)| Harm::Flip(at, bit)),
        at.clone().prop_map(Harm::Cut),
        (1_usize..5000).prop_map(Harm::Grow),
        (at, 1_usize..600).prop_map(|(at, len)| Harm::Zero(at, len)),
        Just(Harm::Remove),
    ]
}

fn do_harm(path: &Path, harm: &Harm) {
    let mut bytes = fs::read(path).unwrap_or_default();
    let len = bytes.len().max(1);
    match *harm {
        Harm::Flip(at, bit) => bytes
            .iter_mut()
            .skip(at % len)
            .take(1)
            .for_each(|b| *b ^= 1 << bit),
        Harm::Cut(at) => bytes.truncate(at % len),
        Harm::Grow(by) => bytes.resize(bytes.len() + by, 0xa5),
        Harm::Zero(at, n) => bytes.iter_mut().skip(at % len).take(n).for_each(|b| *b = 0),
        Harm::Remove => return fs::remove_file(path).unwrap_or_default(),
    }
    fs::write(path, bytes).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn whatever_is_done_to_its_files_the_pictures_are_right(
        harms in proptest::collection::vec((prop_oneof![Just("pixels"), Just("index")], harm()), 1..4),
    ) {
        let place = Place::new(6);
        let before = place.open();
        let expected = shown(&before);
        let files = [place.file("pixels"), place.file("index")];
        for (extension, harm) in &harms {
            let file = files.iter().find(|file| file.extension().unwrap() == *extension);
            do_harm(file.unwrap(), harm);
        }
        let after = place.open();
        prop_assert!(shown(&after) == expected);
        prop_assert!(shown(&before) == expected, "and for whoever had it open");
        prop_assert!(shown(&after) == expected);
        prop_assert_eq!(place.open().n_decoded(), 0);
    }
}

/// What the children of the tests below do: build the cache of a folder.
#[test]
#[ignore = "run as a child process by the tests of kills and of two processes"]
fn child() {
    let Some(dir) = std::env::var_os("CXR_TEST_CACHE") else {
        return;
    };
    let dir = PathBuf::from(dir);
    let folder = ImageFolder::open(dir.join("images")).unwrap();
    let mut names: Vec<String> = fs::read_dir(dir.join("images"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let keep = Keep::Folder(dir.join("kept"));
    let is_watched = std::env::var_os("CXR_TEST_WATCHED").is_some();
    PixelCache::open(&folder, &names, &spec(), &keep, &|_| {
        // Fills the pipe to whoever watches, and waits there until it is read.
        if is_watched {
            std::io::stdout().write_all(&[b'.'; EVENT_BYTES]).unwrap();
        }
    })
    .unwrap();
}

/// A pipe holds some sixteen of these.
const EVENT_BYTES: usize = 4096;

fn child_of(place: &Place) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child", "--ignored", "--quiet"])
        .env("CXR_TEST_CACHE", place.dir.path())
        .stdout(Stdio::null());
    command
}

/// Starts a build and kills it after so many events and microseconds.
fn kill_a_build(place: &Place, n_events: usize, microseconds: u64) {
    let mut command = child_of(place);
    let mut child = command
        .env("CXR_TEST_WATCHED", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = vec![0; n_events * EVENT_BYTES];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut seen)
        .unwrap();
    std::thread::sleep(Duration::from_micros(microseconds));
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "it was still at work");
}

#[test]
fn a_build_killed_at_fifty_moments_ends_with_the_bytes_of_one_that_was_not() {
    let place = Place::new(1000);
    assert!(child_of(&place).status().unwrap().success());
    let expected = shown(&place.open());
    let bytes = fs::read(place.file("pixels")).unwrap();
    for moment in 0..50 {
        // Each fifth begins from nothing, the others go on; none gets to the end.
        if moment % 5 == 0 {
            fs::remove_dir_all(place.kept()).unwrap();
        }
        kill_a_build(&place, moment * 37 % 170, moment as u64 * 131 % 700);
        if moment % 5 == 4 {
            let cache = place.open();
            assert!(cache.n_decoded() > 0, "moment {moment}");
            assert!(shown(&cache) == expected, "moment {moment}");
            let after = fs::read(place.file("pixels")).unwrap();
            assert!(after == bytes, "moment {moment}");
        }
    }
}

#[test]
fn whoever_comes_second_says_that_it_waits_and_waits() {
    let place = Place::new(5);
    place.open();
    let lock = fs::File::open(place.file("lock")).unwrap();
    lock.file().lock().unwrap();
    let folder = ImageFolder::open(place.images()).unwrap();
    let keep = Keep::Folder(place.kept());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| {
            let sender = Mutex::new(sender);
            PixelCache::open(&folder, &place.names, &spec(), &keep, &|event| {
                if let CacheEvent::Waits(path) = event {
                    let sender = sender.lock().unwrap();
                    sender.send(path.to_owned()).unwrap();
                }
            })
        });
        assert_eq!(receiver.recv().unwrap(), place.file("lock"));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!second.is_finished());
        lock.file().unlock().unwrap();
        assert_eq!(second.join().unwrap().unwrap().len(), 5);
    });
}

#[test]
fn two_processes_at_once_build_it_once() {
    let place = Place::new(200);
    let mut children = [0, 1].map(|_| child_of(&place).spawn().unwrap());
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let cache = place.open();
    assert_eq!(cache.n_decoded(), 0);
    assert!(shown(&cache) == shown(&place.in_memory(&place.names, &spec())));
    let n_bytes = fs::metadata(place.file("pixels")).unwrap().len() as usize;
    let of_pictures: usize = shown(&cache).iter().map(|(_, _, _, data)| data.len()).sum();
    assert_eq!(n_bytes, 4096 + of_pictures);
}
