//! Batches: the same bytes for every number of threads, and nothing but a draw changes a picture.

#![expect(clippy::unwrap_used, reason = "a test's own files are there")]

use cxr_augment::{
    AffineDraw, AffineRanges, Channels, EvalTransform, Interpolation, Isa, Picture, Pixels,
    Preprocess, TrainTransform,
};

const WIDTH: u32 = 48;
const HEIGHT: u32 = 31;

fn spec() -> Preprocess {
    Preprocess {
        width: WIDTH,
        height: HEIGHT,
        ..Preprocess::default()
    }
}

fn pictures(n: usize) -> Vec<Pixels> {
    (0..n)
        .map(|i| {
            let channels = [Channels::Gray, Channels::Rgb][i % 2];
            let len = (WIDTH * HEIGHT) as usize * channels.count();
            let data = (0..len).map(|v| (v * (i + 7) % 253) as u8).collect();
            Pixels::new(WIDTH, HEIGHT, channels, data).unwrap()
        })
        .collect()
}

fn with_threads<T: Send>(n: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(n)
        .build()
        .unwrap();
    pool.install(work)
}

fn bits(tensor: &[f32]) -> Vec<u32> {
    tensor.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn one_two_and_four_threads_give_the_same_bytes() {
    let pictures = pictures(23);
    for interpolation in [Interpolation::NearestParity, Interpolation::Bilinear] {
        let train = TrainTransform::new(spec(), AffineRanges::seed())
            .unwrap()
            .with_interpolation(interpolation);
        let batch = |n_threads| {
            with_threads(n_threads, || {
                let items: Vec<_> = (0u64..).zip(&pictures).collect();
                let items: Vec<_> = items
                    .iter()
                    .map(|&(i, p)| (Picture::from(p), train.draw(3, 1, i)))
                    .collect();
                let mut out = vec![f32::NAN; pictures.len() * spec().tensor_len()];
                train.apply_batch(&items, &mut out).unwrap();
                bits(&out)
            })
        };
        let one = batch(1);
        assert!(batch(2) == one && batch(4) == one, "{interpolation:?}");
        let mut alone = vec![f32::NAN; spec().tensor_len()];
        train
            .apply(&pictures[5], &train.draw(3, 1, 5), &mut alone)
            .unwrap();
        let len = spec().tensor_len();
        assert!(
            bits(&alone) == one[5 * len..6 * len],
            "a batch is its pictures one by one"
        );
    }
}

#[test]
fn evaluation_is_training_without_a_draw() {
    let pictures = pictures(6);
    let train = TrainTransform::new(spec(), AffineRanges::none()).unwrap();
    let eval = EvalTransform::new(spec()).unwrap();
    let len = pictures.len() * spec().tensor_len();
    let (mut trained, mut evaluated) = (vec![0.0; len], vec![1.0; len]);
    let items: Vec<_> = (pictures.iter())
        .map(|p| (Picture::from(p), train.draw(1, 2, 3)))
        .collect();
    train.apply_batch(&items, &mut trained).unwrap();
    let views: Vec<Picture<'_>> = pictures.iter().map(Picture::from).collect();
    eval.apply_batch(&views, &mut evaluated).unwrap();
    assert!(bits(&trained) == bits(&evaluated));
    let smooth = train.with_interpolation(Interpolation::Bilinear);
    smooth.apply_batch(&items, &mut trained).unwrap();
    assert!(
        bits(&trained) == bits(&evaluated),
        "the identity has nothing to interpolate"
    );
}

/// Draws that take every kind of map: fixed point, right angles, scaling, sums of f64.
fn draws() -> Vec<AffineDraw> {
    let wide = AffineRanges {
        max_degrees: 180.0,
        ..AffineRanges::seed()
    };
    let drawn = |ranges: AffineRanges| {
        let train = TrainTransform::new(spec(), ranges).unwrap();
        (0..40).map(move |index| train.draw(5, 0, index))
    };
    let right_angles = [0.0, 90.0, 180.0, 270.0].map(|angle| AffineDraw {
        angle,
        flip: angle > 100.0,
        ..AffineDraw::IDENTITY
    });
    let steep = AffineDraw {
        scale: 0.01,
        shear_x: 89.0,
        ..AffineDraw::IDENTITY
    };
    drawn(wide)
        .chain(drawn(AffineRanges::mild()))
        .chain(right_angles)
        .chain([steep])
        .collect()
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let len = spec().tensor_len();
    for interpolation in [Interpolation::NearestParity, Interpolation::Bilinear] {
        let of = |isa| {
            let train = TrainTransform::new(spec(), AffineRanges::seed()).unwrap();
            train.with_interpolation(interpolation).with_isa(isa)
        };
        for (picture, draw) in pictures(draws().len()).iter().zip(draws()) {
            let [widest, others @ ..] = Isa::ALL.map(|isa| {
                let mut out = vec![f32::NAN; len];
                of(isa).apply(picture, &draw, &mut out).unwrap();
                bits(&out)
            });
            assert!(others.iter().all(|other| *other == widest), "{draw:?}");
        }
    }
    for picture in &pictures(2) {
        let [widest, others @ ..] = Isa::ALL.map(|isa| {
            let mut out = vec![f32::NAN; len];
            let eval = EvalTransform::new(spec()).unwrap().with_isa(isa);
            eval.apply(picture, &mut out).unwrap();
            bits(&out)
        });
        assert!(others.iter().all(|other| *other == widest));
    }
}

#[test]
fn a_draw_depends_on_seed_epoch_and_index_and_on_nothing_else() {
    let train = TrainTransform::new(spec(), AffineRanges::seed()).unwrap();
    let reference = train.draw(1, 2, 3);
    assert_eq!(reference, train.draw(1, 2, 3));
    for other in [
        train.draw(9, 2, 3),
        train.draw(1, 9, 3),
        train.draw(1, 2, 9),
    ] {
        assert_ne!(reference, other);
    }
}

#[test]
fn channels_rows_and_columns_are_not_swapped() {
    let mut data = vec![0; (WIDTH * HEIGHT * 3) as usize];
    // One red pixel at column 5, row 2.
    data[(2 * WIDTH as usize + 5) * 3] = 255;
    let picture = Pixels::new(WIDTH, HEIGHT, Channels::Rgb, data).unwrap();
    let mut out = vec![0.0; spec().tensor_len()];
    EvalTransform::new(spec())
        .unwrap()
        .apply(&picture, &mut out)
        .unwrap();
    let brightest = (0..out.len())
        .max_by(|&a, &b| out[a].total_cmp(&out[b]))
        .unwrap();
    assert_eq!(brightest, 2 * WIDTH as usize + 5);
    assert!((out[brightest] - (1.0 - 0.485) / 0.229).abs() < 1e-6);
    assert!((out[0] - -0.485 / 0.229).abs() < 1e-6);
    let last = out.len() - 1;
    assert!((out[last] - -0.406 / 0.225).abs() < 1e-6);
}

#[test]
fn wrong_lengths_and_sizes_are_refused_before_anything_is_written() {
    let eval = EvalTransform::new(spec()).unwrap();
    let pictures = pictures(2);
    let mut short = vec![7.0; spec().tensor_len() * 2 - 1];
    let both: Vec<_> = pictures.iter().map(Picture::from).collect();
    let fault = eval.apply_batch(&both, &mut short).unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("I202", 1));
    assert!(short.iter().all(|v| v.to_bits() == 7f32.to_bits()));
    let other = Pixels::new(
        HEIGHT,
        WIDTH,
        Channels::Gray,
        vec![0; (WIDTH * HEIGHT) as usize],
    );
    let mut out = vec![0.0; spec().tensor_len()];
    assert_eq!(
        eval.apply(&other.unwrap(), &mut out).unwrap_err().code(),
        "I203"
    );
}
