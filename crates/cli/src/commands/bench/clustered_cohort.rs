//! Made-up cohorts whose true AUROC is known and whose radiographs hang together by patient.
//!
//! The model, for patient i, radiograph j and finding f, all letters independent standard normals:
//! a patient has 1 + ⌊−2.5 ln U⌋ radiographs, at most 20 (3 on average, half have one or two);
//! the label is 1 where √½ aᵢ_f + √½ eᵢⱼ_f is above the prevalence's quantile; the score is
//! μ_f · label + √0.4 bᵢ + √0.6 εᵢⱼ_f, where bᵢ is the patient's own and the same for all findings.
//! Whatever the patient, a score is N(μ · label, 1), so a positive and a negative of two patients are
//! in order with probability Φ(μ/√2): the true AUROC.

use std::f64::consts::SQRT_2;

use cxr_metrics::{Logits, MetricFault, Scores, Truths};
use cxr_stream::Stream;
use serde::Serialize;

/// Share of a label's hidden variable that all radiographs of a patient have in common.
const LABEL_CORRELATION: f64 = 0.5;
/// The same of a score.
const SCORE_CORRELATION: f64 = 0.4;
/// Mean of the exponential number of radiographs beyond the first.
const MORE_RADIOGRAPHS: f64 = 2.5;
const MOST_RADIOGRAPHS: usize = 20;

/// One finding of a made-up cohort.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Finding {
    /// Share of radiographs that have it.
    pub(super) prevalence: f64,
    /// Its true AUROC.
    pub(super) auroc: f64,
}

/// A kind of cohort.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Design {
    pub(super) patients: usize,
    pub(super) findings: &'static [Finding],
}

/// One cohort of a kind.
pub(super) struct ClusteredCohort {
    pub(super) scores: Scores,
    pub(super) truths: Truths,
    pub(super) patients: Vec<String>,
}

/// A kind of cohort with its quantiles worked out.
pub(super) struct Model {
    patients: usize,
    /// The quantile above which a label is 1, and μ, of each finding.
    findings: Vec<(f64, f64)>,
}

impl Model {
    pub(super) fn new(design: &Design) -> Self {
        let findings = design.findings.iter().map(|finding| {
            let limit = normal_quantile(1.0 - finding.prevalence);
            (limit, SQRT_2 * normal_quantile(finding.auroc))
        });
        Self {
            patients: design.patients,
            findings: findings.collect(),
        }
    }

    /// A cohort, the same for the same stream.
    pub(super) fn draw(&self, mut stream: Stream) -> Result<ClusteredCohort, MetricFault> {
        let (mut scores, mut labels, mut patients) = (Vec::new(), Vec::new(), Vec::new());
        for patient in 0..self.patients {
            let more = -MORE_RADIOGRAPHS * (1.0 - stream.uniform()).ln();
            let n = (1 + more as usize).min(MOST_RADIOGRAPHS);
            let habit = stream.normal();
            let illness: Vec<f64> = self.findings.iter().map(|_| stream.normal()).collect();
            for _ in 0..n {
                patients.push(patient.to_string());
                for (&illness, &(limit, shift)) in illness.iter().zip(&self.findings) {
                    let hidden = blend(LABEL_CORRELATION, illness, stream.normal());
                    let label = hidden > limit;
                    labels.push(label);
                    let noise = blend(SCORE_CORRELATION, habit, stream.normal());
                    scores.push(shift * f64::from(u8::from(label)) + noise);
                }
            }
        }
        Ok(ClusteredCohort {
            scores: Logits::new(scores, self.findings.len())?.into(),
            truths: Truths::known(&labels, self.findings.len())?,
            patients,
        })
    }
}

/// A standard normal of two, the first having that share of the variance.
fn blend(share: f64, common: f64, own: f64) -> f64 {
    share.sqrt() * common + (1.0 - share).sqrt() * own
}

/// The standard normal's point below which that share lies, by bisection of its integral.
fn normal_quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-10.0, 10.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if libm::erfc(-middle / SQRT_2) / 2.0 < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use cxr_metrics::{Cells, auroc};
    use cxr_stream::Purpose;

    use super::*;

    #[test]
    fn quantiles_are_scipys() {
        // scipy.stats.norm.ppf.
        for (share, expected) in [
            (0.8, 0.841_621_233_572_914_3),
            (0.975, 1.959_963_984_540_054),
            (0.01, -2.326_347_874_040_841),
        ] {
            assert!((normal_quantile(share) - expected).abs() < 1e-12, "{share}");
        }
    }

    #[test]
    fn a_huge_cohort_has_the_prevalences_and_aurocs_that_were_asked_for() {
        const FINDINGS: &[Finding] = &[
            Finding {
                prevalence: 0.3,
                auroc: 0.8,
            },
            Finding {
                prevalence: 0.05,
                auroc: 0.9,
            },
        ];
        let design = Design {
            patients: 100_000,
            findings: FINDINGS,
        };
        let stream = Stream::new(1, Purpose::Test, 0, 0);
        let cohort = Model::new(&design).draw(stream).expect("a rectangle");
        let per_patient = cohort.patients.len() as f64 / 100_000.0;
        assert!((per_patient - 3.03).abs() < 0.05, "{per_patient}");
        for (place, finding) in FINDINGS.iter().enumerate() {
            let cells = Cells::of(&cohort.scores, &cohort.truths, place).expect("one shape");
            let prevalence = cohort.truths.support(place) as f64 / cells.rows.len() as f64;
            assert!(
                (prevalence - finding.prevalence).abs() < 0.005,
                "{prevalence}"
            );
            let found = auroc(&cells.scores, &cells.truths).expect("both classes");
            assert!((found - finding.auroc).abs() < 0.005, "{found}");
        }
    }
}
