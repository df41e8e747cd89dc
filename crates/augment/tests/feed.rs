//! Batches filled ahead: those that are filled one by one, whatever the threads and wherever the
//! pictures are kept.

#![expect(clippy::unwrap_used, reason = "a test's own files are there")]

use cxr_augment::{
    AffineRanges, Buffers, Channels, EvalTransform, FeedFault, FeedTransform, ImageFolder, Keep,
    PixelCache, Pixels, Preprocess, TrainTransform, feed_ahead,
};
use fs_err as fs;

const N_IMAGES: usize = 11;

fn spec() -> Preprocess {
    Preprocess {
        width: 21,
        height: 13,
        ..Preprocess::default()
    }
}

fn names() -> Vec<String> {
    (0..N_IMAGES).map(|i| format!("{i}.png")).collect()
}

fn folder() -> (tempfile::TempDir, ImageFolder) {
    let dir = tempfile::tempdir().unwrap();
    for (seed, name) in names().iter().enumerate() {
        let channels = [Channels::Gray, Channels::Rgb][seed % 2];
        let len = 30 * 20 * channels.count();
        let data = (0..len).map(|v| (v * (seed + 3) % 251) as u8).collect();
        let picture = Pixels::new(30, 20, channels, data).unwrap();
        fs::write(dir.path().join(name), picture.to_png().unwrap()).unwrap();
    }
    let folder = ImageFolder::open(dir.path()).unwrap();
    (dir, folder)
}

fn batches() -> Vec<Vec<usize>> {
    vec![vec![4, 0, 10, 4], vec![1, 2, 3, 9], vec![8, 7], vec![6]]
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|v| v.to_bits()).collect()
}

fn ahead(cache: &PixelCache, transform: &FeedTransform<'_>, buffers: &Buffers) -> Vec<Vec<u32>> {
    feed_ahead(cache, transform, &batches(), buffers, |filled| {
        filled.map(|batch| bits(&batch.unwrap())).collect()
    })
}

#[test]
fn they_are_those_filled_one_by_one_wherever_the_pictures_are() {
    let (dir, folder) = folder();
    let train = TrainTransform::new(spec(), AffineRanges::seed()).unwrap();
    let eval = EvalTransform::new(spec()).unwrap();
    let epochs = [1, 2].map(|epoch| FeedTransform::Train {
        transform: &train,
        seed: 5,
        epoch,
    });
    let in_memory = PixelCache::build(&folder, &names(), &spec(), &|_| {}).unwrap();
    let keeps = [
        Keep::Memory,
        Keep::Folder(dir.path().join("kept")),
        Keep::Nowhere,
    ];
    for transform in [epochs[0], epochs[1], FeedTransform::Eval(&eval)] {
        let expected: Vec<Vec<u32>> = batches()
            .iter()
            .map(|places| {
                let mut out = vec![f32::NAN; places.len() * spec().tensor_len()];
                let tensors = out.chunks_exact_mut(spec().tensor_len());
                for (&place, out) in places.iter().zip(tensors) {
                    let mut scratch = Vec::new();
                    let picture = in_memory.picture(place, &mut scratch).unwrap();
                    match transform {
                        FeedTransform::Train { seed, epoch, .. } => {
                            let draw = train.draw(seed, epoch, place as u64);
                            train.apply(picture, &draw, out).unwrap();
                        }
                        FeedTransform::Eval(eval) => eval.apply(picture, out).unwrap(),
                    }
                }
                bits(&out)
            })
            .collect();
        for keep in &keeps {
            let cache = PixelCache::open(&folder, &names(), &spec(), keep, &|_| {}).unwrap();
            assert!(
                ahead(&cache, &transform, &Buffers::default()) == expected,
                "{keep:?}"
            );
            for n_threads in [1, 2, 4] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads);
                let mut out = vec![0.0; expected[0].len()];
                let fill = || transform.fill(&cache, &batches()[0], &mut out);
                pool.build().unwrap().install(fill).unwrap();
                assert!(bits(&out) == expected[0], "{n_threads} threads");
            }
        }
    }
}

#[test]
fn inside_a_pool_nothing_waits_for_itself() {
    let (_dir, folder) = folder();
    let cache = PixelCache::build(&folder, &names(), &spec(), &|_| {}).unwrap();
    let eval = EvalTransform::new(spec()).unwrap();
    let transform = FeedTransform::Eval(&eval);
    let expected = ahead(&cache, &transform, &Buffers::default());
    // On every thread of the global pool at once: none is left to fill a batch for the others.
    let everywhere = rayon::broadcast(|_| ahead(&cache, &transform, &Buffers::default()));
    assert!(everywhere.iter().all(|batches| *batches == expected));
}

#[test]
fn three_buffers_serve_every_epoch() {
    let (_dir, folder) = folder();
    let cache = PixelCache::build(&folder, &names(), &spec(), &|_| {}).unwrap();
    let eval = EvalTransform::new(spec()).unwrap();
    let buffers = Buffers::default();
    let mut addresses = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let batches = vec![vec![1, 2, 3]; 10];
        feed_ahead(
            &cache,
            &FeedTransform::Eval(&eval),
            &batches,
            &buffers,
            |filled| {
                for batch in filled {
                    addresses.insert(batch.unwrap().as_ptr() as usize);
                }
            },
        );
    }
    assert!(addresses.len() <= 3, "{addresses:?}");
}

#[test]
fn a_consumer_may_stop_early_and_may_keep_what_it_has() {
    let (_dir, folder) = folder();
    let cache = PixelCache::build(&folder, &names(), &spec(), &|_| {}).unwrap();
    let eval = EvalTransform::new(spec()).unwrap();
    let transform = FeedTransform::Eval(&eval);
    let buffers = Buffers::default();
    let first = feed_ahead(&cache, &transform, &batches(), &buffers, |filled| {
        filled.next()
    });
    assert_eq!(first.unwrap().unwrap().len(), 4 * spec().tensor_len());
    let all = feed_ahead(&cache, &transform, &batches(), &buffers, |filled| {
        filled.map(Result::unwrap).collect::<Vec<_>>()
    });
    let lengths: Vec<usize> = all
        .iter()
        .map(|batch| batch.len() / spec().tensor_len())
        .collect();
    assert_eq!(lengths, [4, 4, 2, 1]);
    assert!(bits(&all[3]) == ahead(&cache, &transform, &buffers)[3]);
}

#[test]
fn a_picture_that_cannot_be_had_ends_the_batches_and_is_named() {
    let (dir, folder) = folder();
    let cache = PixelCache::unread(&folder, &names(), &spec());
    for name in ["9.png", "3.png"] {
        fs::write(dir.path().join(name), b"GIF89a").unwrap();
    }
    let eval = EvalTransform::new(spec()).unwrap();
    let transform = FeedTransform::Eval(&eval);
    let outcomes = feed_ahead(
        &cache,
        &transform,
        &batches(),
        &Buffers::default(),
        |filled| {
            filled
                .map(|batch| batch.map(|images| images.len()))
                .collect::<Vec<_>>()
        },
    );
    assert_eq!(outcomes.len(), 2);
    assert!(outcomes[0].is_ok());
    let Err(FeedFault::Image(fault)) = &outcomes[1] else {
        unreachable!("{outcomes:?}")
    };
    assert_eq!(
        (fault.image(), fault.code()),
        (Some("3.png"), "I008"),
        "the first by place"
    );
}

#[test]
fn a_buffer_of_another_length_is_refused() {
    let (_dir, folder) = folder();
    let cache = PixelCache::build(&folder, &names(), &spec(), &|_| {}).unwrap();
    let eval = EvalTransform::new(spec()).unwrap();
    let mut short = vec![0.0; spec().tensor_len() - 1];
    let outcome = FeedTransform::Eval(&eval).fill(&cache, &[1], &mut short);
    assert!(matches!(outcome, Err(FeedFault::Spec(_))));
}
