//! What a cohort is drawn from: row counts, size, seed and which cohort it is like.
//!
//! For whoever asks for a phantom. Deliberately not here: the drawing.

use crate::cohort::PhantomCohort;
use crate::fault::PhantomError;
use crate::folder::{self, PhantomFolder};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// The smallest side of a radiograph in pixels: below it nothing of the anatomy is left.
pub const MIN_SIZE: u32 = 32;
/// The largest side of a radiograph in pixels.
pub const MAX_SIZE: u32 = 2048;
/// The most rows of one split: file names have eight digits for the patient.
pub const MAX_ROWS: usize = 1_000_000;

/// Which cohort is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Like {
    /// 2,000 radiographs with about three times NIH's prevalence, so that learning shows.
    #[default]
    Default,
    /// The write-up's class counts, patients and leak, row for row as rare.
    Seed,
}

impl fmt::Display for Like {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Seed => "seed",
        })
    }
}

impl FromStr for Like {
    type Err = PhantomError;

    fn from_str(text: &str) -> Result<Self, PhantomError> {
        match text {
            "default" => Ok(Self::Default),
            "seed" => Ok(Self::Seed),
            other => Err(PhantomError::UnknownLike {
                value: other.to_owned(),
            }),
        }
    }
}

/// Everything that a cohort depends on: the same recipe gives the same bytes on every machine.
///
/// ```
/// use cxr_phantom::{Like, PhantomRecipe};
/// let recipe = PhantomRecipe { size: 64, ..PhantomRecipe::like(Like::Seed) };
/// assert_eq!(recipe.rows, [1000, 109, 420]);
/// assert!(recipe.faults().is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PhantomRecipe {
    /// Rows of train, valid and test, before any repair.
    pub rows: [usize; 3],
    /// Width and height of a radiograph in pixels, 32 to 2048.
    pub size: u32,
    /// Seed of every draw.
    pub seed: u64,
    /// Which cohort.
    pub like: Like,
}

impl Default for PhantomRecipe {
    fn default() -> Self {
        Self::like(Like::Default)
    }
}

impl PhantomRecipe {
    /// The recipe of a cohort as it is meant to be.
    #[must_use]
    pub fn like(like: Like) -> Self {
        let (rows, size) = match like {
            Like::Default => ([1400, 200, 400], 128),
            Like::Seed => ([1000, 109, 420], 320),
        };
        Self {
            rows,
            size,
            seed: 20_240_601,
            like,
        }
    }

    /// The same with other rows: a total, shared out as this recipe shares its own, or one number
    /// each for train, valid and test.
    ///
    /// ```
    /// let recipe = cxr_phantom::PhantomRecipe::default();
    /// assert_eq!(recipe.clone().with_rows(&[100])?.rows, [70, 10, 20]);
    /// assert_eq!(recipe.clone().with_rows(&[30, 9, 8])?.rows, [30, 9, 8]);
    /// assert!(recipe.with_rows(&[30, 9]).is_err());
    /// # Ok::<(), cxr_phantom::PhantomError>(())
    /// ```
    ///
    /// # Errors
    /// Neither one number nor three.
    pub fn with_rows(mut self, rows: &[usize]) -> Result<Self, PhantomError> {
        self.rows = match *rows {
            [total] => {
                let all: usize = self.rows.iter().sum();
                let share =
                    |own: usize| (total as u128 * own as u128 / all.max(1) as u128) as usize;
                let (valid, test) = (share(self.rows[1]), share(self.rows[2]));
                [total - valid - test, valid, test]
            }
            [train, valid, test] => [train, valid, test],
            _ => {
                return Err(PhantomError::RowNumbers {
                    value: rows.to_vec(),
                });
            }
        };
        Ok(self)
    }

    /// Everything that is wrong with it, at once.
    #[must_use]
    pub fn faults(&self) -> Vec<PhantomError> {
        let mut faults = Vec::new();
        if !(MIN_SIZE..=MAX_SIZE).contains(&self.size) {
            faults.push(PhantomError::Size { value: self.size });
        }
        for (split, &rows) in ["train", "valid", "test"].iter().zip(&self.rows) {
            if rows == 0 || rows > MAX_ROWS {
                faults.push(PhantomError::Rows {
                    split: (*split).to_owned(),
                    value: rows,
                });
            }
        }
        faults
    }

    /// The cohort without its pixels: names, patients, labels and hidden severities.
    ///
    /// # Errors
    /// The first of [`PhantomRecipe::faults`].
    pub fn draw(&self) -> Result<PhantomCohort, PhantomError> {
        match self.faults().into_iter().next() {
            Some(fault) => Err(fault),
            None => Ok(PhantomCohort::draw(self)),
        }
    }

    /// The cohort's folder: reused if it is complete and of this recipe, drawn otherwise.
    ///
    /// `progress` gets the number of radiographs written so far, from many threads; it is not
    /// called for a folder that is reused.
    ///
    /// # Errors
    /// A faulty recipe, a folder that holds another cohort or other files, a file that cannot be
    /// written.
    pub fn ensure(
        &self,
        folder: &Path,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<PhantomFolder, PhantomError> {
        folder::ensure(&self.draw()?, folder, progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_of_a_recipe_are_told_at_once() {
        let recipe = PhantomRecipe {
            rows: [0, 5, 2_000_000],
            size: 31,
            ..Default::default()
        };
        let codes: Vec<_> = recipe.faults().iter().map(PhantomError::code).collect();
        assert_eq!(codes, ["P001", "P002", "P002"]);
        assert!(recipe.draw().is_err());
    }

    #[test]
    fn a_recipe_survives_json_and_refuses_unknown_keys() {
        let recipe = PhantomRecipe {
            seed: 5,
            ..PhantomRecipe::like(Like::Seed)
        };
        let text = serde_json::to_string(&recipe).unwrap();
        assert_eq!(
            serde_json::from_str::<PhantomRecipe>(&text).unwrap(),
            recipe
        );
        assert!(serde_json::from_str::<PhantomRecipe>(r#"{"sise":64}"#).is_err());
    }

    #[test]
    fn like_is_read_from_its_name_only() {
        assert_eq!("seed".parse::<Like>().unwrap(), Like::Seed);
        assert_eq!(
            Like::Default.to_string().parse::<Like>().unwrap(),
            Like::Default
        );
        assert_eq!("Seed".parse::<Like>().unwrap_err().code(), "P003");
    }
}
