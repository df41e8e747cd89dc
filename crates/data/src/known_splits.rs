//! Published lists of radiographs, recognised by their fingerprint, and what to beware of in each.
//!
//! For whoever says which split a figure is of. The figures here are those that
//! docs/bench/known_splits.py prints. Deliberately not here: the lists themselves, and parts of
//! them. A fingerprint knows a list only whole; one radiograph less makes another fingerprint.

/// A published list of radiographs. Counts are of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownSplit {
    /// What it is called, in a few words.
    pub name: &'static str,
    /// Who published it, and where it was read.
    pub what: &'static str,
    /// One sentence that its user should know.
    pub caution: &'static str,
    /// As [`Cohort::fingerprint`](crate::Cohort::fingerprint) makes it.
    pub fingerprint: &'static str,
    /// How many radiographs.
    pub n_radiographs: usize,
    /// How many patients.
    pub n_patients: usize,
}

const NIH: &str = "NIH Clinical Center, ChestX-ray14 (Wang et al. 2017)";
const CHEXNET: &str = "a random split by patient, 70/10/20: arnoweng/CheXNet at 3d45ee7; \
    zoogzog/chexnet has the same valid and test, jrzech/reproduce-chexnet the same test";
const SMALL: &str = "the tables of the original write-up";

/// Every list that is known.
pub const KNOWN_SPLITS: [KnownSplit; 10] = [
    KnownSplit {
        name: "NIH official train_val",
        what: NIH,
        caution: "It shares no patient with NIH's official test list; valid has to be taken from \
            it by patient.",
        fingerprint: "61fbe896321c1c1c8b75f3e4f3a08e4fef6486d95ef8a667c31d4d60dca6cb81",
        n_radiographs: 86_524,
        n_patients: 28_008,
    },
    KnownSplit {
        name: "NIH official test",
        what: NIH,
        caution: "17,920 of its 25,596 radiographs are in the train list of the random \
            CheXNet-type split: a network trained on that has seen them.",
        fingerprint: "38ca5ef7f756092946f57c1a59faca882ed589a1ab1f72590b45dc06c6d5e1cc",
        n_radiographs: 25_596,
        n_patients: 2_797,
    },
    KnownSplit {
        name: "NIH ChestX-ray14, all",
        what: NIH,
        caution: "Every other list of NIH is part of it: nothing of NIH is left to test on.",
        fingerprint: "e28b8bbc7b4b6c20757c453b18882745d5d4c75d69c441c34383a7890bafb6be",
        n_radiographs: 112_120,
        n_patients: 30_805,
    },
    KnownSplit {
        name: "random CheXNet-type train",
        what: CHEXNET,
        caution: "17,920 of its 78,468 radiographs are in NIH's official test list; it shares no \
            patient with its own valid and test.",
        fingerprint: "7265fa9efe68c5e8afa201c9b7ecf9b25d9e9a9c41fab3e0efe8e650bd405d06",
        n_radiographs: 78_468,
        n_patients: 21_528,
    },
    KnownSplit {
        name: "random CheXNet-type valid",
        what: CHEXNET,
        caution: "2,463 of its 11,219 radiographs are in NIH's official test list; it shares no \
            patient with its own train and test.",
        fingerprint: "65fd487c51e6316d6db7e547ac0dedd3beb6ef70ea36e74c4e55a77ca5ff40e9",
        n_radiographs: 11_219,
        n_patients: 3_090,
    },
    KnownSplit {
        name: "random CheXNet-type test",
        what: CHEXNET,
        caution: "17,220 of its 22,433 radiographs are in NIH's official train_val list: figures \
            on it do not compare with figures on NIH's official test list.",
        fingerprint: "a20c79828a7825d1d5ac7e8e1b2eccdb21db7e87f9449415f40896116264d55a",
        n_radiographs: 22_433,
        n_patients: 6_187,
    },
    KnownSplit {
        name: "Kaggle's sample of NIH",
        what: "\"Random Sample of NIH Chest X-ray Dataset\" on Kaggle, sample_labels.csv",
        caution: "1,293 of its 5,606 radiographs are in NIH's official test list, 4,313 in \
            train_val: it is neither.",
        fingerprint: "3be932169f0b8343b03d67673ab7350bdf6f8af3dabbd1c2f55750cfae2983be",
        n_radiographs: 5_606,
        n_patients: 4_230,
    },
    KnownSplit {
        name: "the write-up's train-small",
        what: SMALL,
        caution: "11 of its patients and one of its radiographs are in the write-up's valid-small \
            too.",
        fingerprint: "000613374d45274fbc305351626317e71f5d8a2e075e95935c7b00bbbd1233b0",
        n_radiographs: 1_000,
        n_patients: 928,
    },
    KnownSplit {
        name: "the write-up's valid-small",
        what: SMALL,
        caution: "11 of its patients and one of its radiographs are in the write-up's train-small \
            too.",
        fingerprint: "a151e37922af8cb43d304d24726f5b4a7939a8d5d700ef92966f637610a005da",
        n_radiographs: 109,
        n_patients: 97,
    },
    KnownSplit {
        name: "the write-up's test",
        what: SMALL,
        caution: "281 of its 420 radiographs are in NIH's official train_val list: a network \
            trained on that has seen them.",
        fingerprint: "ddedff3b00c486fbeddb6bca397d67765c4c417b022426f8d420425eff2fa9f8",
        n_radiographs: 420,
        n_patients: 389,
    },
];

/// The published list that has this fingerprint.
///
/// ```
/// let nih = "38ca5ef7f756092946f57c1a59faca882ed589a1ab1f72590b45dc06c6d5e1cc";
/// assert_eq!(cxr_data::known_split(nih).map(|list| list.name), Some("NIH official test"));
/// assert_eq!(cxr_data::known_split("00"), None);
/// ```
#[must_use]
pub fn known_split(fingerprint: &str) -> Option<&'static KnownSplit> {
    KNOWN_SPLITS
        .iter()
        .find(|known| known.fingerprint == fingerprint)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fingerprint_is_64_digits_of_hexadecimal_and_of_one_list() {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        for known in &KNOWN_SPLITS {
            assert_eq!(known.fingerprint.len(), 64, "{}", known.name);
            assert!(known.fingerprint.bytes().all(is_digit), "{}", known.name);
            assert!(known.caution.ends_with('.'), "{}", known.name);
        }
        let distinct = |of: fn(&KnownSplit) -> &str| -> usize {
            KNOWN_SPLITS.iter().map(of).collect::<BTreeSet<_>>().len()
        };
        assert_eq!(distinct(|known| known.fingerprint), KNOWN_SPLITS.len());
        assert_eq!(distinct(|known| known.name), KNOWN_SPLITS.len());
    }
}
