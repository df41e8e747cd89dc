//! Single values of a table: labels, ages, patients in paths.
//!
//! For `read`. Not here: where a value stands and what to do about a bad one.

/// What stands in a label's place, before any policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum LabelCell {
    /// 0, however many decimals.
    Negative,
    /// 1.
    Positive,
    /// −1.
    Uncertain,
    /// Nothing.
    Empty,
    /// A word that was meant as a label: `True`, `no`.
    Word,
    /// Anything else.
    Other,
}

/// The longest spelling of 0, 1 or −1 that is looked at.
const MAX_LABEL_BYTES: usize = 32;

const LABEL_WORDS: [&str; 12] = [
    "true", "false", "t", "f", "yes", "no", "y", "n", "positive", "negative", "pos", "neg",
];

impl LabelCell {
    /// Reads a trimmed value.
    pub(crate) fn read(cell: &[u8]) -> Self {
        match cell {
            b"0" | b"0.0" => return Self::Negative,
            b"1" | b"1.0" => return Self::Positive,
            b"-1" | b"-1.0" => return Self::Uncertain,
            b"" => return Self::Empty,
            _ => {}
        }
        let Ok(text) = std::str::from_utf8(cell) else {
            return Self::Other;
        };
        if LABEL_WORDS
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word))
        {
            return Self::Word;
        }
        let is_decimal = text.len() <= MAX_LABEL_BYTES
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        let Some(number) = is_decimal.then(|| text.parse::<f64>().ok()).flatten() else {
            return Self::Other;
        };
        // Exact on purpose: 0.999999 is no label.
        match number.to_bits() {
            bits if bits == 0f64.to_bits() || bits == (-0f64).to_bits() => Self::Negative,
            bits if bits == 1f64.to_bits() => Self::Positive,
            bits if bits == (-1f64).to_bits() => Self::Uncertain,
            _ => Self::Other,
        }
    }
}

/// Years out of `58`, `58.5` or NIH's `058Y`, `011M`, `003D`.
pub(crate) fn age_in_years(text: &str) -> Option<f32> {
    let (number, years_a_unit) = match text.as_bytes().last()? {
        b'Y' | b'y' => (&text[..text.len() - 1], 1.0),
        b'M' | b'm' => (&text[..text.len() - 1], 1.0 / 12.0),
        b'W' | b'w' => (&text[..text.len() - 1], 7.0 / 365.25),
        b'D' | b'd' => (&text[..text.len() - 1], 1.0 / 365.25),
        _ => (text, 1.0),
    };
    let is_decimal = number
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let years = number.parse::<f32>().ok()? * years_a_unit;
    (is_decimal && years.is_finite()).then_some(years)
}

/// The number in a path's `patientNNNNN` component.
pub(crate) fn patient_in_path(path: &str) -> Option<&str> {
    path.split('/').find_map(|component| {
        let number = component.strip_prefix("patient")?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then_some(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_zeros_and_ones_are_labels() {
        use LabelCell as L;
        let long = format!("0.{}", "0".repeat(40));
        for (cell, expected) in [
            ("0", L::Negative),
            ("0.0", L::Negative),
            ("-0.000", L::Negative),
            ("00", L::Negative),
            ("1", L::Positive),
            ("1.0", L::Positive),
            ("1.000", L::Positive),
            ("1e0", L::Positive),
            ("+1", L::Positive),
            ("-1", L::Uncertain),
            ("-1.00", L::Uncertain),
            ("", L::Empty),
            ("2", L::Other),
            ("0.5", L::Other),
            ("1.0000001", L::Other),
            ("True", L::Word),
            ("FALSE", L::Word),
            ("no", L::Word),
            ("NaN", L::Other),
            ("nan", L::Other),
            ("inf", L::Other),
            ("infinity", L::Other),
            ("-inf", L::Other),
            ("1234567890123456789012345678901234567890", L::Other),
            ("0x1", L::Other),
            ("1_0", L::Other),
            ("١", L::Other),
            (long.as_str(), L::Other),
        ] {
            assert_eq!(LabelCell::read(cell.as_bytes()), expected, "{cell:?}");
        }
        assert_eq!(LabelCell::read(b"\xff1"), L::Other);
    }

    #[test]
    fn ages_are_years_whatever_their_unit() {
        assert_eq!(age_in_years("58"), Some(58.0));
        assert_eq!(age_in_years("058Y"), Some(58.0));
        assert_eq!(age_in_years("006M"), Some(0.5));
        assert_eq!(age_in_years("61.5"), Some(61.5));
        for bad in [
            "", "Y", "-3", "nan", "inf", "1e3", "58 Y", "fifty", "é", "1.2.3",
        ] {
            assert_eq!(age_in_years(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn chexpert_paths_name_their_patient() {
        let path = "CheXpert-v1.0-small/train/patient00042/study1/view1_frontal.jpg";
        assert_eq!(patient_in_path(path), Some("00042"));
        assert_eq!(patient_in_path("patients/a.jpg"), None);
        assert_eq!(patient_in_path("train/patient/a.jpg"), None);
        assert_eq!(patient_in_path("train/patient12b/a.jpg"), None);
    }
}
