//! What must hold of every figure, whatever the data: checked on drawn cohorts with ties, rare
//! findings and patients of several radiographs.
#![expect(
    clippy::unwrap_used,
    reason = "a property that cannot be computed does not hold"
)]

use cxr_metrics::*;
use cxr_stream::{Purpose, Stream};
use proptest::prelude::*;

const TOLERANCE: f64 = 1e-12;
/// Of closed formulas against sums over all pairs.
const AGAINST_LOOPS: f64 = 1e-10;

/// Scores (many of them tied), truths and patients of one finding; both classes are there.
#[derive(Clone, Debug)]
struct Drawn {
    scores: Vec<f64>,
    truths: Vec<bool>,
    patients: Vec<usize>,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let row = (
        prop_oneof![(-3..4_i32).prop_map(f64::from), -30.0..30.0_f64],
        any::<bool>(),
        0..12_usize,
    );
    prop::collection::vec(row, 2..70)
        .prop_map(|rows| Drawn {
            scores: rows.iter().map(|row| row.0).collect(),
            truths: rows.iter().map(|row| row.1).collect(),
            patients: rows.iter().map(|row| row.2).collect(),
        })
        .prop_filter("both classes", |d| {
            d.truths.contains(&true) && d.truths.contains(&false)
        })
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * b.abs().max(1.0)
}

fn placements(d: &Drawn) -> Placements {
    Placements::of(&Ranking::new(&d.scores, &d.truths).unwrap(), &d.truths).unwrap()
}

fn won(a: f64, b: f64) -> f64 {
    if a > b {
        1.0
    } else {
        f64::from(u8::from(a >= b)) / 2.0
    }
}

/// V10 of a positive or V01 of a negative, by comparing it with the whole other class.
fn placement_by_pairs(d: &Drawn, row: usize) -> f64 {
    let others: Vec<usize> = (0..d.scores.len())
        .filter(|&other| d.truths[other] != d.truths[row])
        .collect();
    let wins = others.iter().map(|&other| {
        let (high, low) = if d.truths[row] {
            (row, other)
        } else {
            (other, row)
        };
        won(d.scores[high], d.scores[low])
    });
    wins.sum::<f64>() / others.len() as f64
}

/// Obuchowski's variance as the paper prints it; `None` with one patient in a class.
fn obuchowski_by_loops(d: &Drawn) -> Option<f64> {
    let v: Vec<f64> = (0..d.scores.len())
        .map(|row| placement_by_pairs(d, row))
        .collect();
    let of = |class: bool| (0..v.len()).filter(move |&row| d.truths[row] == class);
    let (m, n) = (of(true).count() as f64, of(false).count() as f64);
    let theta = of(true).map(|row| v[row]).sum::<f64>() / m;
    let mut patients = d.patients.clone();
    patients.sort_unstable();
    patients.dedup();
    let excess = |class: bool, k: usize| -> f64 {
        of(class)
            .filter(|&row| d.patients[row] == k)
            .map(|row| v[row] - theta)
            .sum()
    };
    let holders = |class: bool| {
        patients
            .iter()
            .filter(|&&k| of(class).any(|row| d.patients[row] == k))
            .count() as f64
    };
    let (i10, i01, i) = (holders(true), holders(false), patients.len() as f64);
    if i10 < 2.0 || i01 < 2.0 {
        return None;
    }
    let total = |term: &dyn Fn(usize) -> f64| patients.iter().map(|&k| term(k)).sum::<f64>();
    let s10 = i10 / ((i10 - 1.0) * m) * total(&|k| excess(true, k).powi(2));
    let s01 = i01 / ((i01 - 1.0) * n) * total(&|k| excess(false, k).powi(2));
    let s11 = i / (i - 1.0) * total(&|k| excess(true, k) * excess(false, k));
    Some(s10 / m + s01 / n + 2.0 * s11 / (m * n))
}

proptest! {
    #[test]
    fn auroc_is_the_share_of_pairs_won(d in drawn()) {
        let positives: Vec<usize> = (0..d.scores.len()).filter(|&row| d.truths[row]).collect();
        let pairs = positives.iter().map(|&row| placement_by_pairs(&d, row)).sum::<f64>();
        prop_assert!(close(auroc(&d.scores, &d.truths).unwrap(), pairs / positives.len() as f64, TOLERANCE));
    }

    #[test]
    fn auroc_and_average_precision_see_order_alone(d in drawn()) {
        // Strictly increasing, and so in floating point for the scores drawn.
        let moved: Vec<f64> = d.scores.iter().map(|s| s.mul_add(4.0, 1.0)).collect();
        let squashed: Vec<f64> = moved.iter().map(|s| (s / 200.0).exp()).collect();
        let distinct = |scores: &[f64]| Ranking::new(scores, &d.truths).unwrap().thresholds().len();
        prop_assume!(distinct(&squashed) == distinct(&d.scores));
        prop_assert_eq!(auroc(&squashed, &d.truths), auroc(&d.scores, &d.truths));
        prop_assert_eq!(average_precision(&squashed, &d.truths), average_precision(&d.scores, &d.truths));
    }

    #[test]
    fn a_temperature_leaves_the_auroc(d in drawn(), temperature in 0.05..20.0_f64) {
        let cooled: Vec<f64> = d.scores.iter().map(|s| s / temperature).collect();
        let distinct = |scores: &[f64]| Ranking::new(scores, &d.truths).unwrap().thresholds().len();
        prop_assume!(distinct(&cooled) == distinct(&d.scores));
        prop_assert_eq!(auroc(&cooled, &d.truths), auroc(&d.scores, &d.truths));
    }

    #[test]
    fn turning_the_scores_turns_the_auroc(d in drawn()) {
        let turned: Vec<f64> = d.scores.iter().map(|s| -s).collect();
        let sum = auroc(&turned, &d.truths).unwrap() + auroc(&d.scores, &d.truths).unwrap();
        prop_assert!(close(sum, 1.0, TOLERANCE));
    }

    #[test]
    fn equal_scores_are_chance(truths in prop::collection::vec(any::<bool>(), 2..50)) {
        prop_assume!(truths.contains(&true) && truths.contains(&false));
        prop_assert_eq!(auroc(&vec![0.3; truths.len()], &truths), Ok(0.5));
    }

    #[test]
    fn the_order_of_rows_does_not_matter(d in drawn(), seed in any::<u64>()) {
        let order = Stream::new(seed, Purpose::Test, 0, 0).permutation(d.scores.len());
        let turned = Drawn {
            scores: order.iter().map(|&row| d.scores[row]).collect(),
            truths: order.iter().map(|&row| d.truths[row]).collect(),
            patients: order.iter().map(|&row| d.patients[row]).collect(),
        };
        prop_assert_eq!(auroc(&turned.scores, &turned.truths), auroc(&d.scores, &d.truths));
        prop_assert_eq!(
            average_precision(&turned.scores, &turned.truths),
            average_precision(&d.scores, &d.truths)
        );
        let se = |d: &Drawn| placements(d).clustered_standard_error(&d.patients);
        match (se(&turned), se(&d)) {
            (Ok(a), Ok(b)) => prop_assert!(close(a, b, TOLERANCE)),
            (a, b) => prop_assert_eq!(a, b),
        }
    }

    #[test]
    fn rows_given_twice_leave_auroc_and_average_precision(d in drawn()) {
        let scores = d.scores.repeat(2);
        let truths = d.truths.repeat(2);
        prop_assert!(close(auroc(&scores, &truths).unwrap(), auroc(&d.scores, &d.truths).unwrap(), TOLERANCE));
        let (twice, once) = (average_precision(&scores, &truths), average_precision(&d.scores, &d.truths));
        prop_assert!(close(twice.unwrap(), once.unwrap(), TOLERANCE));
    }

    #[test]
    fn the_area_under_both_roc_curves_is_the_auroc(d in drawn()) {
        let ranking = Ranking::new(&d.scores, &d.truths).unwrap();
        for curve in [RocCurve::of(&ranking).unwrap(), RocCurve::corners_of(&ranking).unwrap()] {
            let (x, y) = (&curve.false_positive_rate, &curve.true_positive_rate);
            let area: f64 = (1..x.len()).map(|i| (x[i] - x[i - 1]) * (y[i] + y[i - 1]) / 2.0).sum();
            prop_assert!(close(area, ranking.auroc().unwrap(), TOLERANCE));
            prop_assert_eq!((x[x.len() - 1], y[y.len() - 1]), (1.0, 1.0));
        }
    }

    #[test]
    fn placement_values_are_shares_of_pairs_and_their_means_the_auroc(d in drawn()) {
        let p = placements(&d);
        for (row, &value) in p.values().iter().enumerate() {
            prop_assert!(close(value, placement_by_pairs(&d, row), TOLERANCE));
        }
        for class in [true, false] {
            let of_class: Vec<f64> = p.values().iter().zip(&d.truths)
                .filter(|&(_, &truth)| truth == class).map(|(&value, _)| value).collect();
            prop_assert!(close(of_class.iter().sum::<f64>() / of_class.len() as f64, p.auroc(), TOLERANCE));
        }
    }

    #[test]
    fn the_clustered_error_is_the_papers_formula(d in drawn()) {
        match (placements(&d).clustered_standard_error(&d.patients), obuchowski_by_loops(&d)) {
            (Ok(se), Some(variance)) => {
                prop_assert!((se * se - variance).abs() <= TOLERANCE);
                // The root of a variance that is 0 but for rounding is not.
                prop_assert!(variance < 1e-9 || (se - variance.sqrt()).abs() <= AGAINST_LOOPS);
            }
            (se, variance) => prop_assert_eq!(se.is_ok(), variance.is_some()),
        }
    }

    #[test]
    fn patients_of_one_radiograph_each_give_delongs_error(d in drawn()) {
        let alone: Vec<usize> = (0..d.scores.len()).collect();
        let p = placements(&d);
        match (p.clustered_standard_error(&alone), p.standard_error()) {
            (Ok(clustered), Ok(plain)) => prop_assert!(close(clustered, plain, TOLERANCE)),
            (clustered, plain) => prop_assert_eq!(clustered.is_ok(), plain.is_ok()),
        }
    }

    #[test]
    fn a_second_copy_of_each_radiograph_fools_delong_but_not_the_clustered_error(d in drawn()) {
        let twice = Drawn {
            scores: d.scores.repeat(2), truths: d.truths.repeat(2), patients: d.patients.repeat(2),
        };
        let (once, twice_placed) = (placements(&d), placements(&twice));
        if let Ok(se) = once.clustered_standard_error(&d.patients) {
            let again = twice_placed.clustered_standard_error(&twice.patients).unwrap();
            prop_assert!(close(again, se, TOLERANCE));
        }
        // DeLong's shrinks by √2, but for the divisors m − 1 and n − 1: between those bounds.
        if let Ok(se) = once.standard_error() {
            let ratio = |count: usize| (count - 1) as f64 / (2 * count - 1) as f64;
            let positives = d.truths.iter().filter(|&&truth| truth).count();
            let of = [ratio(positives), ratio(d.truths.len() - positives)];
            let again = twice_placed.standard_error().unwrap().powi(2);
            prop_assert!(again <= of[0].max(of[1]) * se * se + TOLERANCE);
            prop_assert!(again >= of[0].min(of[1]) * se * se - TOLERANCE);
        }
    }

    #[test]
    fn a_bootstrap_has_the_same_bits_with_every_number_of_threads(d in drawn(), seed in any::<u64>()) {
        let names: Vec<String> = d.patients.iter().map(ToString::to_string).collect();
        let cells = Cells {
            scores: d.scores.clone(), truths: d.truths.clone(), rows: (0..d.scores.len()).collect(),
        };
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let bootstrap = PatientBootstrap::new(Clusters::by_name(&names), 64, seed);
            pool.install(|| bootstrap.auroc(&cells))
        };
        let bits = |found: Result<Bootstrapped, Undefined>| found.map(|f| {
            ([f.interval.lower, f.interval.upper, f.standard_error].map(f64::to_bits), f.defined)
        });
        let alone = bits(with(1));
        prop_assert_eq!(bits(with(2)), alone);
        prop_assert_eq!(bits(with(5)), alone);
    }

    #[test]
    fn the_mean_over_one_finding_has_nearly_its_own_error(d in drawn()) {
        // One divisor for all patients in place of one for those with positives.
        let p = placements(&d);
        let influence = p.influence(&d.patients).unwrap();
        let n_patients = d.patients.iter().collect::<std::collections::BTreeSet<_>>().len();
        prop_assert!(influence.iter().sum::<f64>().abs() <= TOLERANCE);
        if let (Ok(own), Ok(mean)) = (
            p.clustered_standard_error(&d.patients),
            macro_standard_error(&[influence.clone(), influence], n_patients),
        ) {
            prop_assert!(mean <= own + TOLERANCE);
        }
    }

    #[test]
    fn brier_is_reliability_minus_resolution_plus_uncertainty(
        rows in prop::collection::vec((0..=15_u8, any::<bool>()), 1..80)
    ) {
        // One value a bin: the decomposition is exact.
        let p: Vec<f64> = rows.iter().map(|row| (f64::from(row.0) - 0.5).max(0.0) / 15.0).collect();
        let truths: Vec<bool> = rows.iter().map(|row| row.1).collect();
        let curve = ReliabilityCurve::of(&p, &truths, Binning::EqualWidth, DEFAULT_BINS).unwrap();
        let single = curve.bins.iter().map(|bin| bin.count).sum::<usize>() == p.len();
        prop_assert!(single);
        prop_assume!(!(p.contains(&0.0) && p.contains(&(0.5 / 15.0))));
        let parts = curve.brier_decomposition();
        prop_assert!(close(parts.binned_brier(), brier(&p, &truths).unwrap(), TOLERANCE));
        prop_assert!(parts.reliability >= 0.0 && parts.resolution >= 0.0);
    }

    #[test]
    fn both_log_losses_agree_where_probabilities_are_not_clipped(
        rows in prop::collection::vec((-20.0..20.0_f64, any::<bool>()), 1..40)
    ) {
        let logits = Logits::new(rows.iter().map(|row| row.0).collect(), 1).unwrap();
        let truths: Vec<bool> = rows.iter().map(|row| row.1).collect();
        let of_logits = log_loss_of_logits(logits.values(), &truths).unwrap();
        let of_probabilities = log_loss_of_probabilities(&logits.sigmoid().column(0), &truths).unwrap();
        // 1 − p near 1 carries the rounding of p.
        prop_assert!(close(of_logits, of_probabilities, 1e-6));
    }

    #[test]
    fn subset_accuracy_is_at_most_the_least_label_accuracy(
        rows in prop::collection::vec((prop::array::uniform3(-2.0..2.0_f64), prop::array::uniform3(any::<bool>())), 1..30)
    ) {
        let scores: Scores = Logits::new(rows.iter().flat_map(|row| row.0).collect(), 3).unwrap().into();
        let labels: Vec<bool> = rows.iter().flat_map(|row| row.1).collect();
        let truths = Truths::known(&labels, 3).unwrap();
        let decisions = Decisions::at(&scores, &[Threshold::HALF; 3]).unwrap();
        let whole = subset_accuracy(&decisions, &truths).unwrap().unwrap().value;
        for finding in 0..3 {
            let cells = Cells::of(&scores, &truths, finding).unwrap();
            let counts = Confusion::at(&cells.scores, &cells.truths, 0.0).unwrap();
            prop_assert!(whole <= counts.label_accuracy().unwrap());
        }
    }

    #[test]
    fn masked_rows_change_nothing(d in drawn(), extra in prop::collection::vec(-30.0..30.0_f64, 0..10)) {
        let mut scores = d.scores.clone();
        let mut labels: Vec<Option<bool>> = d.truths.iter().copied().map(Some).collect();
        for (place, &score) in extra.iter().enumerate() {
            scores.insert(2 * place % scores.len(), score);
            labels.insert(2 * place % labels.len(), None);
        }
        let scores = Scores::from(Logits::new(scores, 1).unwrap());
        let cells = Cells::of(&scores, &Truths::new(labels, 1).unwrap(), 0).unwrap();
        prop_assert_eq!(&cells.scores, &d.scores);
        prop_assert_eq!(&cells.truths, &d.truths);
    }

    #[test]
    fn no_threshold_beats_the_chosen_one(d in drawn(), weight in 0.1..10.0_f64) {
        let at = |threshold| Confusion::at(&d.scores, &d.truths, threshold).unwrap();
        let youden = |c: Confusion| c.recall().unwrap() + c.specificity().unwrap();
        let f1 = |c: Confusion| c.f1().unwrap();
        let f_beta = |c: Confusion| {
            let (b, hits) = (weight * weight, c.true_positives as f64);
            let faults = b * c.false_negatives as f64 + c.false_positives as f64;
            (1.0 + b) * hits / ((1.0 + b) * hits + faults)
        };
        let thrift = |c: Confusion| -(weight * c.false_negatives as f64 + c.false_positives as f64);
        let goals: [(String, &dyn Fn(Confusion) -> f64); 4] = [
            ("youden".into(), &youden), ("max-f1".into(), &f1),
            (format!("f-beta={weight}"), &f_beta), (format!("cost={weight}"), &thrift),
        ];
        for (rule, goal) in goals {
            let point = point_by(&d, &rule);
            let best = d.scores.iter().map(|&score| goal(at(score))).fold(f64::NEG_INFINITY, f64::max);
            match point.reason {
                None => prop_assert!(best <= goal(at(point.threshold_logit())) + TOLERANCE),
                Some(reason) => {
                    prop_assert_eq!(reason, Undefined::NothingIsCheapest);
                    prop_assert!(best < goal(at(f64::INFINITY)));
                }
            }
        }
    }

    #[test]
    fn a_fixed_share_is_reached_by_the_chosen_threshold_and_by_none_beyond_it(
        d in drawn(), share in prop_oneof![0.01..=1.0_f64, (1..=10_u8).prop_map(|tenths| f64::from(tenths) / 10.0)]
    ) {
        let at = |threshold| Confusion::at(&d.scores, &d.truths, threshold).unwrap();
        let shares: [(&str, ShareOf); 3] = [
            ("sensitivity", Confusion::recall),
            ("specificity", Confusion::specificity),
            ("ppv", Confusion::precision),
        ];
        for (name, of) in shares {
            let point = point_by(&d, &format!("{name}={share}"));
            let reaching = || d.scores.iter().copied().filter(|&s| of(&at(s)).unwrap() >= share);
            let expected = if name == "sensitivity" {
                reaching().max_by(f64::total_cmp)
            } else {
                reaching().min_by(f64::total_cmp)
            };
            prop_assert_eq!(point.own.map(Threshold::logit), expected);
            prop_assert_eq!(point.reason.is_some(), expected.is_none());
        }
    }
}

type ShareOf = fn(&Confusion) -> Result<f64, Undefined>;

fn point_by(d: &Drawn, rule: &str) -> OperatingPoint {
    let cells = Cells {
        scores: d.scores.clone(),
        truths: d.truths.clone(),
        rows: (0..d.scores.len()).collect(),
    };
    choose_operating_point(&cells, ScoreScale::Logit, rule.parse().unwrap())
}
