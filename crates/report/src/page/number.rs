//! Numbers as a reader wants them.

/// "0.917", "−0.083", or "–".
pub(super) fn figure(value: Option<f64>) -> String {
    let with_sign = |value| format!("{value:.3}").replace('-', "−");
    value.map_or_else(|| "–".into(), with_sign)
}

/// "53.2 %", or "–".
pub(super) fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{:.1} %", value * 100.0))
}

/// "22,433".
pub(super) fn count(value: impl TryInto<u64>) -> String {
    let digits = value
        .try_into()
        .map_or_else(|_| "?".into(), |value| value.to_string());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "1 radiograph", "3 radiographs".
pub(super) fn counted(n: impl TryInto<u64>, one: &str, many: &str) -> String {
    let n = n.try_into().unwrap_or(0);
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// "3 min 20 s".
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.2} s");
    }
    let whole = format!("{seconds:.0}").parse::<u64>().unwrap_or(0);
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest} s"),
        (0, _) => format!("{minutes} min {rest} s"),
        _ => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(22_433_u64), "22,433");
        assert_eq!(count(999_usize), "999");
        assert_eq!(counted(1_u64, "row", "rows"), "1 row");
        assert_eq!(duration(200.4), "3 min 20 s");
        assert_eq!(duration(59.6), "1 min 0 s");
        assert_eq!(duration(0.1234), "0.12 s");
        assert_eq!(duration(7300.0), "2 h 1 min");
        assert_eq!(figure(Some(0.5)), "0.500");
        assert_eq!(figure(Some(-0.5)), "−0.500");
        assert_eq!(percent(None), "–");
    }
}
