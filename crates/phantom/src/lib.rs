//! Synthetic chest radiographs whose best reachable score is known.
//!
//! For tests, demonstrations and honest first runs without a download. Bodies are made of
//! ellipsoids and tubes; X-rays pass by Beer–Lambert's law, with scatter and quantum noise. Whether
//! a finding is drawn is hidden; its label is drawn from P(label | drawn), so no model can beat a
//! ceiling that is known in closed form. The same recipe gives the same pixels on every machine and
//! with any number of threads.
//! Deliberately not here: reading tables, training, metrics of a model. Nothing is learned from
//! real patients, and nothing learned here says anything about them.
//!
//! ```
//! use cxr_phantom::{PhantomRecipe, Split};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let recipe = PhantomRecipe { rows: [12, 4, 4], size: 32, ..PhantomRecipe::default() };
//! let cohort = recipe.draw()?;
//! let first = &cohort.split(Split::Train)[0];
//! assert_eq!(cohort.render(first).len(), 32 * 32);
//! let ceilings = cohort.ceilings();
//! let edema = ceilings.finding("Edema").and_then(|one| one.split(Split::Test));
//! assert!((edema.map_or(0.0, |one| one.ceiling.auroc) - 0.97).abs() < 1e-12);
//! let folder = std::env::temp_dir().join(format!("cxr-phantom-{}", std::process::id()));
//! let files = cohort.write(&folder, &|_| {})?;
//! assert!(files.drawn && files.images.join(&first.image).is_file());
//! assert!(!recipe.ensure(&folder, &|_| {})?.drawn);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```

mod anatomy;
mod bones;
mod ceiling;
mod cohort;
mod fault;
mod film;
mod finding;
mod folder;
mod lesion;
mod montage;
mod recipe;
mod scene;
mod shapes;
mod texture;
mod vessels;

pub use ceiling::{Ceiling, Ceilings, FindingCeiling, SplitCeiling};
pub use cohort::{PhantomCohort, PhantomRadiograph, Split};
pub use fault::PhantomError;
pub use finding::{Channel, FINDINGS, N_FINDINGS, Severity};
pub use folder::PhantomFolder;
pub use montage::montage;
pub use recipe::{Like, MAX_ROWS, MAX_SIZE, MIN_SIZE, PhantomRecipe};
