//! The pictures themselves: the same on every machine, and changed by what they are said to show.

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
    let pinned = [
        (Like::Default, 64, 0, "DIGEST0"),
        (Like::Default, 128, 7, "DIGEST1"),
        (Like::Seed, 320, 3, "DIGEST2"),
    ];
    let drawn: Vec<String> = pinned
        .iter()
        .map(|&(like, size, row, _)| {
            let cohort = cohort(like, size);
            digest(&cohort.render(&cohort.split(Split::Train)[row]))
        })
        .collect();
    assert_eq!(drawn, pinned.map(|(_, _, _, digest)| digest));
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
    let cohort = cohort(Like::Default, 96);
    for (finding, name) in FINDINGS.iter().enumerate() {
        let change = |extent: f64| -> f64 {
            (1..=8)
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
        assert!(slight > 0.005 * 8.0, "{name}: {slight}");
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
    let cohort = cohort(Like::Default, 96);
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
