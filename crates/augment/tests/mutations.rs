//! Whatever a file holds, decoding it ends: a picture within the limits or a fault, no panic.

#![expect(clippy::unwrap_used, reason = "a test's own files are there")]

use std::path::Path;
use std::sync::OnceLock;

use cxr_augment::{AffineDraw, Preprocess, decode, prepare, stages};
use proptest::prelude::*;

fn files() -> &'static [(String, Vec<u8>)] {
    static FILES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/images");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                (
                    path.to_string_lossy().into_owned(),
                    std::fs::read(&path).unwrap(),
                )
            })
            .collect();
        files.sort();
        assert!(files.len() > 30);
        files
    })
}

/// Recomputes each chunk's checksum, so that mutations reach behind it.
fn with_checksums_mended(file: &mut [u8]) {
    let mut at = 8;
    while at + 12 <= file.len() {
        let length = u32::from_be_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]);
        let end = at.saturating_add(8).saturating_add(length as usize);
        if end + 4 > file.len() {
            return;
        }
        let crc = !file[at + 4..end].iter().fold(!0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |c, _| {
                (c >> 1) ^ (0xedb8_8320 & (c & 1).wrapping_neg())
            })
        });
        file[end..end + 4].copy_from_slice(&crc.to_be_bytes());
        at = end + 4;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_give_a_picture_or_a_fault(
        which in 0usize..1000,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        doubled in prop::option::weighted(0.1, any::<prop::sample::Index>()),
        mended in any::<bool>(),
    ) {
        let (name, whole) = &files()[which % files().len()];
        let mut file = whole.clone();
        for (place, value) in changes {
            let place = place.index(file.len());
            file[place] = value;
        }
        if let Some(at) = doubled {
            let tail = file[at.index(file.len())..].to_vec();
            file.extend(tail);
        }
        if mended && file.starts_with(b"\x89PNG") {
            with_checksums_mended(&mut file);
        }
        if let Some(at) = cut {
            file.truncate(at.index(file.len()));
        }
        match decode(&file, name, &Preprocess::default()) {
            Ok(decoded) => {
                let n_pixels = u64::from(decoded.pixels.width()) * u64::from(decoded.pixels.height());
                prop_assert!(n_pixels > 0 && n_pixels <= cxr_augment::limits::MAX_PIXELS);
            }
            Err(fault) => {
                prop_assert!(fault.code().starts_with('I'));
                prop_assert!(fault.location().is_some() && fault.help().is_some());
            }
        }
    }

    #[test]
    fn any_bytes_at_all_end_too(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0..3) {
        let start: &[u8] = [b"".as_slice(), b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"][kind as usize];
        let file = [start, &bytes].concat();
        prop_assert!(decode(&file, "any", &Preprocess::default()).is_err());
    }

    #[test]
    fn any_draw_that_passes_its_check_can_be_applied(
        flip in any::<bool>(), angle in -1e6f64..1e6, tx in -4096i32..=4096, ty in -4096i32..=4096,
        scale in 0.01f64..100.0, shear_x in -89.0f64..89.0, width in 1u32..60, height in 1u32..60,
    ) {
        let draw = AffineDraw { flip, angle, tx, ty, scale, shear_x };
        prop_assert!(draw.check().is_ok());
        let spec = Preprocess { width, height, ..Preprocess::default() };
        let (name, file) = files().iter().find(|(name, _)| name.ends_with("rgb8.png")).unwrap();
        let shown = stages(file, name, &spec, &draw).unwrap();
        prop_assert_eq!(shown.stages().len(), 6);
        prop_assert!(prepare(file, name, &spec).unwrap().pixels == shown.pictures()[1]);
    }
}
