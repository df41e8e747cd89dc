//! The saved state of a run: folders that are whole or not there.
//!
//! ```text
//! weights/step-0000123/{model.safetensors, optimizer.safetensors, state.json, MANIFEST}
//! weights/LATEST
//! ```
//! A generation is written into a hidden folder, each file synced, then renamed, then named in
//! LATEST. MANIFEST holds the length and the BLAKE3 of each file; a reader checks them before it
//! looks at a weight, and takes the generation before when one is damaged. Two are kept.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

const LATEST: &str = "LATEST";
const MANIFEST: &str = "MANIFEST";
/// An older generation goes only when this many newer ones are durable.
const N_KEPT: usize = 2;

/// The files of one generation, by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// What a run left to go on from.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The step in the folder's name.
    pub(crate) step: u64,
    /// The files, all of which matched their digests.
    pub(crate) files: Files,
    /// Why newer generations were passed over, one sentence each.
    pub(crate) passed_over: Vec<String>,
}

/// Writes a generation and makes it the latest; old ones go when it is durable.
///
/// # Errors
/// Whatever the file system says; the generations that were there stay, and LATEST with them.
pub(crate) fn save(folder: &Path, step: u64, files: &Files) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let name = folder_name(step);
    let temporary = folder.join(format!(".{name}.tmp"));
    let complete = folder.join(&name);
    remove_if_there(&temporary)?;
    fs::create_dir(&temporary)?;
    for (file, bytes) in files {
        cxr_durable::write_synced(&temporary.join(file), |w| w.write_all(bytes))?;
    }
    let manifest = manifest_of(files);
    cxr_durable::write_synced(&temporary.join(MANIFEST), |w| {
        w.write_all(manifest.as_bytes())
    })?;
    cxr_durable::sync_folder(&temporary)?;
    // A run that went back to an older generation writes this step a second time.
    remove_if_there(&complete)?;
    fs::rename(&temporary, &complete)?;
    cxr_durable::sync_folder(folder)?;
    cxr_durable::write(&folder.join(LATEST), format!("{name}\n").as_bytes())?;
    remove_old(folder, step)?;
    Ok(complete)
}

/// The newest generation whose files are whole.
///
/// # Errors
/// No folder, no generation, or none whose files match their digests; the message says why for each.
pub(crate) fn load(folder: &Path) -> io::Result<Loaded> {
    let mut steps = steps_in(folder)?;
    steps.sort_unstable_by(|a, b| b.cmp(a));
    // LATEST is the newest that was durable. One that is newer was renamed just before a crash; it
    // is whole too, because its files were synced before the rename.
    let mut passed_over = Vec::new();
    for step in steps {
        match read_checked(&folder.join(folder_name(step))) {
            Ok(files) => {
                return Ok(Loaded {
                    step,
                    files,
                    passed_over,
                });
            }
            Err(error) => passed_over.push(format!("{}: {error}", folder_name(step))),
        }
    }
    let reasons = if passed_over.is_empty() {
        "there is no saved generation".to_owned()
    } else {
        passed_over.join("; ")
    };
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{}: {reasons}", folder.display()),
    ))
}

fn folder_name(step: u64) -> String {
    format!("step-{step:07}")
}

fn manifest_of(files: &Files) -> String {
    let line = |(name, bytes): (&String, &Vec<u8>)| {
        format!("{} {} {name}\n", blake3::hash(bytes).to_hex(), bytes.len())
    };
    let body: String = files.iter().map(line).collect();
    format!(
        "{body}{} MANIFEST\n",
        blake3::hash(body.as_bytes()).to_hex()
    )
}

fn read_checked(folder: &Path) -> io::Result<Files> {
    let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let manifest = fs::read_to_string(folder.join(MANIFEST))?;
    let mut files = Files::new();
    for line in manifest.lines() {
        if let [_, _, name] = line.split(' ').collect::<Vec<_>>()[..] {
            if name.contains(['/', '\\']) {
                return Err(damaged("MANIFEST names a file elsewhere"));
            }
            files.insert(name.to_owned(), fs::read(folder.join(name))?);
        }
    }
    if manifest_of(&files) != manifest {
        return Err(damaged("its files do not match MANIFEST's digests"));
    }
    Ok(files)
}

fn steps_in(folder: &Path) -> io::Result<Vec<u64>> {
    let mut steps = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        steps.extend(
            name.strip_prefix("step-")
                .and_then(|digits| digits.parse::<u64>().ok()),
        );
    }
    Ok(steps)
}

fn remove_old(folder: &Path, newest: u64) -> io::Result<()> {
    let mut older: Vec<u64> = steps_in(folder)?
        .into_iter()
        .filter(|&s| s <= newest)
        .collect();
    older.sort_unstable_by(|a, b| b.cmp(a));
    for step in older.into_iter().skip(N_KEPT) {
        fs::remove_dir_all(folder.join(folder_name(step)))?;
    }
    Ok(())
}

fn remove_if_there(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(word: &str) -> Files {
        [("model.safetensors", word), ("state.json", "{}")]
            .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
            .into()
    }

    #[test]
    fn the_newest_whole_generation_is_loaded_and_two_are_kept() {
        let folder = tempfile::tempdir().expect("folder");
        for step in 1..=4 {
            save(folder.path(), step, &files(&format!("weights {step}"))).expect("saved");
        }
        let mut steps = steps_in(folder.path()).expect("listed");
        steps.sort_unstable();
        assert_eq!(steps, [3, 4]);
        let loaded = load(folder.path()).expect("whole");
        assert_eq!((loaded.step, loaded.files), (4, files("weights 4")));
        let latest = std::fs::read_to_string(folder.path().join(LATEST)).expect("there");
        assert_eq!(latest, "step-0000004\n");
    }

    #[test]
    fn a_damaged_generation_gives_way_to_the_one_before() {
        let folder = tempfile::tempdir().expect("folder");
        for step in [1, 2] {
            save(folder.path(), step, &files(&format!("weights {step}"))).expect("saved");
        }
        let path = folder.path().join("step-0000002/model.safetensors");
        std::fs::write(&path, "weights 3").expect("damaged");
        let loaded = load(folder.path()).expect("the older one");
        assert_eq!(loaded.step, 1);
        assert!(
            loaded.passed_over[0].contains("step-0000002"),
            "{:?}",
            loaded.passed_over
        );
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_generation_is_seen() {
        let folder = tempfile::tempdir().expect("folder");
        let complete = save(folder.path(), 1, &files("weights")).expect("saved");
        for name in ["model.safetensors", "state.json", MANIFEST] {
            let path = complete.join(name);
            let sound = std::fs::read(&path).expect("readable");
            for bit in 0..sound.len() * 8 {
                let mut flipped = sound.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                std::fs::write(&path, &flipped).expect("written");
                assert!(load(folder.path()).is_err(), "{name}: bit {bit}");
            }
            for length in 0..sound.len() {
                std::fs::write(&path, &sound[..length]).expect("written");
                assert!(load(folder.path()).is_err(), "{name}: cut at {length}");
            }
            std::fs::write(&path, &sound).expect("mended");
            assert!(load(folder.path()).is_ok());
        }
    }

    #[test]
    fn what_a_killed_save_left_is_passed_over_and_cleared() {
        let folder = tempfile::tempdir().expect("folder");
        save(folder.path(), 1, &files("weights 1")).expect("saved");
        std::fs::create_dir(folder.path().join(".step-0000002.tmp")).expect("left over");
        assert_eq!(load(folder.path()).expect("whole").step, 1);
        save(folder.path(), 2, &files("weights 2")).expect("saved over what was left");
        assert_eq!(load(folder.path()).expect("whole").step, 2);
        assert!(!folder.path().join(".step-0000002.tmp").exists());
    }

    #[test]
    fn an_empty_folder_is_an_error_that_says_so() {
        let folder = tempfile::tempdir().expect("folder");
        let error = load(folder.path()).expect_err("nothing there");
        assert!(error.to_string().contains("no saved generation"), "{error}");
    }
}
