//! A cohort on disk: images, tables, truth, ceilings, and a manifest that tells whether all of it
//! is there.
//!
//! For `PhantomCohort::write` and `PhantomRecipe::ensure`. The manifest is first written as
//! incomplete and last as complete, so an interrupted folder is noticed and drawn again.

use crate::cohort::{PhantomCohort, PhantomRadiograph, Split};
use crate::fault::PhantomError;
use crate::finding::FINDINGS;
use crate::recipe::PhantomRecipe;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Changes whenever the same recipe would give other pixels or tables.
const GENERATOR: u32 = 1;
const MANIFEST: &str = "phantom.json";

/// Where everything of a drawn cohort lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhantomFolder {
    /// The folder of the PNG files.
    pub images: PathBuf,
    /// Table of the training split.
    pub train: PathBuf,
    /// Table of the validation split.
    pub valid: PathBuf,
    /// Table of the test split.
    pub test: PathBuf,
    /// What is hidden in each radiograph. Never read by training.
    pub truth: PathBuf,
    /// The best that any model can reach. Never read by training.
    pub ceilings: PathBuf,
    /// Whether it was drawn now; otherwise it was complete and is reused.
    pub drawn: bool,
}

impl PhantomFolder {
    fn at(folder: &Path, drawn: bool) -> Self {
        Self {
            images: folder.join("images"),
            train: folder.join("train.csv"),
            valid: folder.join("valid.csv"),
            test: folder.join("test.csv"),
            truth: folder.join("truth.csv"),
            ceilings: folder.join("ceilings.json"),
            drawn,
        }
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    generator: u32,
    recipe: PhantomRecipe,
    complete: bool,
    images: usize,
    image_bytes: u64,
}

/// What lies in a folder before anything is written.
enum Found {
    Nothing,
    Interrupted,
    Complete(Manifest),
}

/// Draws the cohort into the folder unless it is there already.
pub(crate) fn ensure(
    cohort: &PhantomCohort,
    folder: &Path,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<PhantomFolder, PhantomError> {
    if let Found::Complete(manifest) = look(cohort.recipe(), folder)?
        && is_intact(cohort, folder, &manifest)
    {
        return Ok(PhantomFolder::at(folder, false));
    }
    write(cohort, folder, progress)
}

/// Draws the cohort into the folder.
pub(crate) fn write(
    cohort: &PhantomCohort,
    folder: &Path,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<PhantomFolder, PhantomError> {
    look(cohort.recipe(), folder)?;
    let place = PhantomFolder::at(folder, true);
    fs_err::create_dir_all(&place.images).map_err(PhantomError::io(&place.images))?;
    let mut manifest = Manifest {
        generator: GENERATOR,
        recipe: cohort.recipe().clone(),
        complete: false,
        images: 0,
        image_bytes: 0,
    };
    write_manifest(folder, &manifest)?;
    (manifest.images, manifest.image_bytes) = write_images(cohort, &place.images, progress)?;
    for (name, text) in tables(cohort)? {
        let path = folder.join(name);
        cxr_durable::write(&path, text.as_bytes()).map_err(PhantomError::io(&path))?;
    }
    manifest.complete = true;
    write_manifest(folder, &manifest)?;
    Ok(place)
}

fn look(recipe: &PhantomRecipe, folder: &Path) -> Result<Found, PhantomError> {
    let path = folder.join(MANIFEST);
    let text = match fs_err::read_to_string(&path) {
        Ok(text) => text,
        Err(fault) if fault.kind() == ErrorKind::NotFound => return look_for_others(folder),
        Err(fault) => return Err(PhantomError::io(&path)(fault)),
    };
    let manifest: Manifest =
        serde_json::from_str(&text).map_err(|fault| PhantomError::Unreadable {
            path: path.clone(),
            reason: fault.to_string(),
        })?;
    if manifest.recipe != *recipe || manifest.generator != GENERATOR {
        return Err(PhantomError::OtherRecipe {
            found: format!(
                "generator {} of {}",
                manifest.generator,
                json(&path, &manifest.recipe)?
            ),
            expected: format!("generator {GENERATOR} of {}", json(&path, recipe)?),
            path,
        });
    }
    Ok(if manifest.complete {
        Found::Complete(manifest)
    } else {
        Found::Interrupted
    })
}

/// Without a manifest a folder must be absent or empty.
fn look_for_others(folder: &Path) -> Result<Found, PhantomError> {
    let entries = match fs_err::read_dir(folder) {
        Ok(entries) => entries,
        Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(fault) => return Err(PhantomError::io(folder)(fault)),
    };
    for entry in entries {
        let name = entry.map_err(PhantomError::io(folder))?.file_name();
        let name = name.to_string_lossy().into_owned();
        // A crash may leave these behind before the first manifest stands.
        let is_begun = name.starts_with(&format!(".{MANIFEST}."));
        if name != "images" && !is_begun {
            return Err(PhantomError::ForeignFolder {
                path: folder.to_owned(),
                value: name,
            });
        }
    }
    let images = folder.join("images");
    match fs_err::read_dir(&images).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(PhantomError::ForeignFolder {
            path: folder.to_owned(),
            value: "images".to_owned(),
        }),
        Ok(false) => Ok(Found::Nothing),
        Err(fault) if fault.kind() == ErrorKind::NotFound => Ok(Found::Nothing),
        Err(fault) => Err(PhantomError::io(&images)(fault)),
    }
}

/// Whether tables are as drawn and all images are there, by number and size.
fn is_intact(cohort: &PhantomCohort, folder: &Path, manifest: &Manifest) -> bool {
    let Ok(tables) = tables(cohort) else {
        return false;
    };
    let tables_stand = tables
        .iter()
        .all(|(name, text)| fs_err::read(folder.join(name)).is_ok_and(|b| b == text.as_bytes()));
    let images = folder.join("images");
    let sizes: Option<Vec<u64>> = distinct(cohort)
        .keys()
        .map(|name| fs_err::metadata(images.join(name)).ok().map(|m| m.len()))
        .collect();
    tables_stand
        && sizes.is_some_and(|sizes| {
            sizes.len() == manifest.images && sizes.iter().sum::<u64>() == manifest.image_bytes
        })
}

/// The radiographs by image name: one that two splits share is drawn once.
fn distinct(cohort: &PhantomCohort) -> BTreeMap<&str, &PhantomRadiograph> {
    Split::ALL
        .iter()
        .flat_map(|&split| cohort.split(split))
        .map(|radiograph| (radiograph.image.as_str(), radiograph))
        .collect()
}

/// Writes all images in parallel; how many, and how many bytes.
fn write_images(
    cohort: &PhantomCohort,
    images: &Path,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<(usize, u64), PhantomError> {
    let radiographs: Vec<_> = distinct(cohort).into_values().collect();
    let done = AtomicUsize::new(0);
    let side = cohort.recipe().size;
    let sizes = radiographs
        .par_iter()
        .map(|radiograph| {
            let path = images.join(&radiograph.image);
            let bytes = encode(&cohort.render(radiograph), side, side).map_err(|source| {
                PhantomError::Encode {
                    path: path.clone(),
                    source,
                }
            })?;
            fs_err::write(&path, &bytes).map_err(PhantomError::io(&path))?;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            Ok(bytes.len() as u64)
        })
        .collect::<Result<Vec<u64>, PhantomError>>()?;
    Ok((sizes.len(), sizes.iter().sum()))
}

/// An 8-bit grey PNG.
pub(crate) fn encode(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, image::ImageError> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Sub).write_image(
        pixels,
        width,
        height,
        ExtendedColorType::L8,
    )?;
    Ok(bytes)
}

/// Name and content of every file beside the images and the manifest.
fn tables(cohort: &PhantomCohort) -> Result<Vec<(&'static str, String)>, PhantomError> {
    let ceilings = serde_json::to_string_pretty(&cohort.ceilings());
    Ok(vec![
        ("train.csv", table(cohort.split(Split::Train))),
        ("valid.csv", table(cohort.split(Split::Valid))),
        ("test.csv", table(cohort.split(Split::Test))),
        ("truth.csv", truth(cohort)),
        (
            "ceilings.json",
            unreadable(Path::new("ceilings.json"), ceilings)? + "\n",
        ),
    ])
}

/// NIH's form: Image, one 0/1 column a finding, PatientId.
fn table(rows: &[PhantomRadiograph]) -> String {
    let mut text = format!("Image,{},PatientId\n", FINDINGS.join(","));
    for row in rows {
        text.push_str(&row.image);
        row.labels
            .iter()
            .for_each(|&label| text.push_str(if label { ",1" } else { ",0" }));
        let _ = writeln!(text, ",{}", row.patient);
    }
    text
}

/// The extent of what is drawn, 0 where the finding is absent.
fn truth(cohort: &PhantomCohort) -> String {
    let mut text = format!("Image,PatientId,Split,{}\n", FINDINGS.join(","));
    for split in Split::ALL {
        for row in cohort.split(split) {
            let _ = write!(text, "{},{},{}", row.image, row.patient, split.name());
            for severity in row.severities {
                let _ = write!(text, ",{:.4}", severity.extent());
            }
            text.push('\n');
        }
    }
    text
}

fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<(), PhantomError> {
    let path = folder.join(MANIFEST);
    let text = json(&path, manifest)?;
    cxr_durable::write(&path, text.as_bytes()).map_err(PhantomError::io(&path))
}

fn json<T: Serialize>(path: &Path, value: &T) -> Result<String, PhantomError> {
    unreadable(path, serde_json::to_string(value))
}

fn unreadable<T>(path: &Path, result: serde_json::Result<T>) -> Result<T, PhantomError> {
    result.map_err(|fault| PhantomError::Unreadable {
        path: path.to_owned(),
        reason: fault.to_string(),
    })
}
