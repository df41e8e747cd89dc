//! One patient fifteen times: without a finding, then with each.
//!
//! For the documentation and for whoever judges the pictures by eye.

use crate::cohort::PhantomRadiograph;
use crate::fault::PhantomError;
use crate::finding::{N_FINDINGS, Severity};
use crate::folder::encode;
use crate::scene::Scene;
use rayon::prelude::*;
use std::path::Path;

const COLUMNS: usize = 5;
const GAP: usize = 4;

/// A PNG of 5 × 3 radiographs of `size` pixels: a normal one, then the 14 findings in order, each
/// at `extent` and in another patient.
///
/// # Errors
/// The encoder's, should it fail.
pub fn montage(seed: u64, size: u32, extent: f64) -> Result<Vec<u8>, PhantomError> {
    let n = size as usize;
    let films: Vec<Vec<u8>> = (0..=N_FINDINGS)
        .into_par_iter()
        .map(|place| {
            let mut severities = [Severity::ABSENT; N_FINDINGS];
            if let Some(finding) = place.checked_sub(1) {
                severities[finding] = Severity::present(extent);
            }
            let radiograph = PhantomRadiograph {
                image: String::new(),
                patient: place as u32,
                study: 0,
                labels: severities.map(Severity::is_present),
                severities,
            };
            Scene::new(seed, &radiograph).expose(n)
        })
        .collect();
    let rows = films.len().div_ceil(COLUMNS);
    let width = COLUMNS * (n + GAP) - GAP;
    let height = rows * (n + GAP) - GAP;
    let mut sheet = vec![0u8; width * height];
    for (place, film) in films.iter().enumerate() {
        let (top, left) = (place / COLUMNS * (n + GAP), place % COLUMNS * (n + GAP));
        for (row, line) in film.chunks_exact(n).enumerate() {
            let start = (top + row) * width + left;
            sheet[start..start + n].copy_from_slice(line);
        }
    }
    encode(&sheet, width as u32, height as u32).map_err(|source| PhantomError::Encode {
        path: Path::new("montage").to_owned(),
        source,
    })
}
