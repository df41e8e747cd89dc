//! The pictures themselves: the same on every machine, and changed by what they are said to show.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use cxr_phantom::{
    FINDINGS, Like, N_FINDINGS, PhantomCohort, PhantomRadiograph, PhantomRecipe, Severity, Split,
};
use sha2::{Digest, Sha256};

fn digest(pixels: &[u8]) -> String {
    Sha256::digest(pixels)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn cohort(like: Like, size: u32) -> PhantomCohort {
    PhantomRecipe {
        size,
        ..PhantomRecipe::like(like)
    }
    .draw()
    .unwrap()
}

/// Pinned so that another compiler, machine or edit that changes a single grey value is noticed.
#[test]
fn three_pictures_have_their_pinned_pixels() {
    let small = cohort(Like::Default, 64);
    let usual = cohort(Like::Default, 128);
    let large = cohort(Like::Seed, 320);
    let everything = PhantomRadiograph {
        severities: [Severity::present(0.8); N_FINDINGS],
        ..studied(7, None)
    };
    let drawn = [
        digest(&small.render(&small.split(Split::Train)[0])),
        digest(&usual.render(&everything)),
        digest(&large.render(&large.split(Split::Train)[3])),
    ];
    assert_eq!(
        drawn,
        [
            "31f03bfdb02b62546a215eb5d3d85bfa907f78484dd5687f0cc214ebf8fbe1eb",
            "a54ae8ca9f03b650a1b442cf6a4036002b69d024e7c546f7e7464ebf0e9d0d75",
            "399f2f4351b57bec9c6218974487307b6c9fd06ddade7abed441fba4f15c1da3"
        ]
    );
}

fn studied(patient: u32, finding: Option<(usize, f64)>) -> PhantomRadiograph {
    let mut severities = [Severity::ABSENT; N_FINDINGS];
    if let Some((finding, extent)) = finding {
        severities[finding] = Severity::present(extent);
    }
    PhantomRadiograph {
        image: format!("{patient:08}_000.png"),
        patient,
        study: 0,
        labels: [false; N_FINDINGS],
        severities,
    }
}

/// Mean absolute difference of two pictures, in grey values.
fn difference(one: &[u8], other: &[u8]) -> f64 {
    let sum: u64 = one
        .iter()
        .zip(other)
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    sum as f64 / one.len() as f64
}

#[test]
fn every_finding_changes_the_picture_and_more_so_with_its_extent() {
    let cohort = cohort(Like::Default, 100);
    for (finding, name) in FINDINGS.iter().enumerate() {
        let change = |extent: f64| -> f64 {
            (1..=4)
                .map(|patient| {
                    let without = cohort.render(&studied(patient, None));
                    difference(
                        &without,
                        &cohort.render(&studied(patient, Some((finding, extent)))),
                    )
                })
                .sum()
        };
        let (slight, full) = (change(0.4), change(1.0));
        assert!(slight > 0.005 * 4.0, "{name}: {slight}");
        assert!(full > 1.1 * slight, "{name}: {slight} {full}");
    }
}

#[test]
fn labels_leave_no_trace_in_the_picture() {
    let cohort = cohort(Like::Default, 64);
    let hidden = studied(3, Some((3, 0.7)));
    let labelled = PhantomRadiograph {
        labels: [true; N_FINDINGS],
        ..hidden.clone()
    };
    assert_eq!(cohort.render(&hidden), cohort.render(&labelled));
}

#[test]
fn studies_of_a_patient_are_more_alike_than_patients() {
    let cohort = cohort(Like::Default, 64);
    let (mut within, mut between) = (0.0, 0.0);
    for patient in 1..=20 {
        let first = cohort.render(&studied(patient, None));
        let again = cohort.render(&PhantomRadiograph {
            study: 1,
            ..studied(patient, None)
        });
        let other = cohort.render(&PhantomRadiograph {
            study: 1,
            ..studied(patient + 100, None)
        });
        within += difference(&first, &again);
        between += difference(&first, &other);
    }
    assert!(within < 0.9 * between, "{within} {between}");
}

#[test]
fn films_of_any_size_show_the_same_study() {
    let study = studied(5, Some((4, 1.0)));
    let mean = |size: u32| {
        let pixels = cohort(Like::Default, size).render(&study);
        assert_eq!(pixels.len(), (size * size) as usize);
        pixels.iter().map(|&p| f64::from(p)).sum::<f64>() / pixels.len() as f64
    };
    let usual = mean(256);
    for size in [32, 33, 64, 99, 100, 101, 320] {
        assert!(
            (mean(size) - usual).abs() < 4.0,
            "{size}: {} {usual}",
            mean(size)
        );
    }
}

#[test]
fn films_use_the_range_of_a_chest_film() {
    let cohort = cohort(Like::Default, 100);
    for radiograph in &cohort.split(Split::Train)[..40] {
        let mut pixels = cohort.render(radiograph);
        pixels.sort_unstable();
        let at = |percent: usize| pixels[pixels.len() * percent / 100];
        let mean = pixels.iter().map(|&p| f64::from(p)).sum::<f64>() / pixels.len() as f64;
        assert!(
            at(1) < 40 && at(99) > 180,
            "{}: {} to {}",
            radiograph.image,
            at(1),
            at(99)
        );
        assert!(
            (90.0..190.0).contains(&mean),
            "{}: {mean}",
            radiograph.image
        );
    }
}
