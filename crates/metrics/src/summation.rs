//! Sums of many f64 whose error does not grow with their number, and quantiles as numpy has them.
//!
//! For every mean and quantile of this crate. Deliberately nothing else.

/// Sum with Neumaier's compensation: error of one rounding, whatever the order.
pub(crate) fn sum(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut total, mut lost) = (0.0_f64, 0.0_f64);
    for value in values {
        let next = total + value;
        lost += if total.abs() >= value.abs() {
            (total - next) + value
        } else {
            (value - next) + total
        };
        total = next;
    }
    total + lost
}

/// Mean of finite values, finite even where their sum is not; `None` for none.
pub(crate) fn mean<I>(values: I) -> Option<f64>
where
    I: IntoIterator<Item = f64>,
    I::IntoIter: Clone + ExactSizeIterator,
{
    let values = values.into_iter();
    let n = values.len();
    if n == 0 {
        return None;
    }
    let total = sum(values.clone());
    let count = as_f64(n);
    Some(if total.is_finite() {
        total / count
    } else {
        sum(values.map(|value| value / count))
    })
}

/// `numpy.quantile(sorted, share)` of at least one value, to the bit.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len() - 1;
    let place = as_f64(last) * share;
    let below = place.floor();
    let (low, weight) = (below as usize, place - below);
    if low >= last {
        return sorted[last];
    }
    let (a, b) = (sorted[low], sorted[low + 1]);
    if weight >= 0.5 {
        b - (b - a) * (1.0 - weight)
    } else {
        a + (b - a) * weight
    }
}

/// A count as f64: exact below 2⁵³, which no cohort reaches.
pub(crate) fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cancels_is_not_lost() {
        assert_eq!(sum([1.0, 1e100, 1.0, -1e100]).to_bits(), 2.0_f64.to_bits());
        let tenths = sum(std::iter::repeat_n(0.1, 1_000_000));
        assert!((tenths - 1e5).abs() < 1e-9);
    }

    #[test]
    fn a_mean_of_finite_values_is_finite() {
        assert_eq!(mean([1e308, 1e308, 1e308]), Some(1e308));
        assert_eq!(mean([] as [f64; 0]), None);
    }
}
