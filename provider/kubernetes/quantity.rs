//! Kubernetes quantities: `500m`, `4Gi`, `1e9`. Exact, as Kubernetes reads them.

/// The largest quantity that Kubernetes knows, in billionths; it takes whatever is larger for this.
const LARGEST: i128 = i64::MAX as i128 * NANOS;

/// Billionths of a unit, the finest that Kubernetes knows.
pub(crate) const NANOS: i128 = 1_000_000_000;

/// The value of a quantity in billionths of its unit, or `None` when the text is not one or is more than
/// Kubernetes knows (8Ei).
///
/// The grammar is that of Kubernetes' resource quantities: a decimal number, then nothing, an exponent, a
/// decimal suffix (`n u m k M G T P E`) or a binary one (`Ki Mi Gi Ti Pi Ei`). What is finer than a billionth
/// is rounded up.
pub(crate) fn nanos(text: &str) -> Option<i128> {
    let number_end =
        text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '+' || c == '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(number_end);
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty())
        || ![whole, fraction].iter().all(|part| part.chars().all(|c| c.is_ascii_digit()))
    {
        return None;
    }
    let (power, binary) = scale(suffix)?;
    let mantissa: i128 = format!("{whole}{}", fraction.trim_end_matches('0'))
        .trim_start_matches('0')
        .parse()
        .or_else(|error| zero(&error))
        .ok()?;
    let decimals = i32::try_from(fraction.trim_end_matches('0').len()).ok()?;
    let value = in_nanos(mantissa.checked_mul(binary)?, power.checked_add(9)?.checked_sub(decimals)?)?;
    Some(if negative { -value } else { value })
}

/// Nothing but zeros is zero.
fn zero(error: &std::num::ParseIntError) -> Result<i128, ()> {
    if *error.kind() == std::num::IntErrorKind::Empty { Ok(0) } else { Err(()) }
}

/// What a suffix stands for: a power of ten and a power of two's value.
fn scale(suffix: &str) -> Option<(i32, i128)> {
    Some(match suffix {
        "" => (0, 1),
        "n" => (-9, 1),
        "u" => (-6, 1),
        "m" => (-3, 1),
        "k" => (3, 1),
        "M" => (6, 1),
        "G" => (9, 1),
        "T" => (12, 1),
        "P" => (15, 1),
        "E" => (18, 1),
        "Ki" => (0, 1 << 10),
        "Mi" => (0, 1 << 20),
        "Gi" => (0, 1 << 30),
        "Ti" => (0, 1 << 40),
        "Pi" => (0, 1 << 50),
        "Ei" => (0, 1 << 60),
        exponent => (exponent.strip_prefix(['e', 'E'])?.parse().ok()?, 1),
    })
}

/// `value` times ten to the `power`, rounded up; `None` when it is more than Kubernetes knows.
fn in_nanos(value: i128, power: i32) -> Option<i128> {
    let factor = 10_i128.checked_pow(power.unsigned_abs());
    let scaled = match factor {
        _ if value == 0 => 0,
        Some(factor) if power >= 0 => value.checked_mul(factor)?,
        Some(factor) => value / factor + i128::from(value % factor != 0),
        None if power >= 0 => return None,
        None => 1,
    };
    (scaled <= LARGEST).then_some(scaled)
}

/// Whether two texts say the same quantity (`1Gi` and `1024Mi`); texts that are no quantities are equal only
/// to themselves.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one == other || matches!((nanos(one), nanos(other)), (Some(one), Some(other)) if one == other)
}

/// Whether `new` is less than `old`; false when one of them is no quantity.
pub(crate) fn shrinks(old: &str, new: &str) -> bool {
    matches!((nanos(old), nanos(new)), (Some(old), Some(new)) if new < old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kubernetes_reads() {
        for (text, thousandths) in [
            ("2", 2000),
            ("500m", 500),
            ("1Ki", 1_024_000),
            ("1e3", 1_000_000),
            ("1.5G", 1_500_000_000_000),
            (".5", 500),
            ("5.", 5000),
            ("+1", 1000),
            ("-1", -1000),
            ("0", 0),
            ("0.000", 0),
            ("0e999", 0),
            ("1.25Ki", 1_280_000),
        ] {
            assert_eq!(nanos(text), Some(thousandths * 1_000_000), "{text}");
        }
        assert_eq!((nanos("1n"), nanos("0.1n"), nanos("1e-40")), (Some(1), Some(1), Some(1)), "rounded up");
        assert_eq!(nanos("9223372036854775807"), Some(LARGEST));
    }

    #[test]
    fn refuses_what_is_no_quantity_and_what_is_more_than_there_is() {
        for text in ["", "Gi", "10 Gi", "10GB", "ten", "1..2", "-", ".", "1e", "1ee3", "0x10", "1+1", "--1"] {
            assert_eq!(nanos(text), None, "{text}");
        }
        for text in [
            "1e400",
            "99999999999999999999Ei",
            "8Ei",
            "9223372036854775808",
            "1e2147483647",
            &"9".repeat(1000),
        ] {
            assert_eq!(nanos(text), None, "{text}");
        }
    }

    #[test]
    fn compares_by_value_to_the_last_byte() {
        assert!(same("1Gi", "1024Mi") && !same("1Gi", "1G") && same("odd", "odd"));
        assert!(shrinks("1Gi", "1G") && !shrinks("1Gi", "1024Mi") && !shrinks("odd", "1Gi"));
        assert!(
            shrinks("9007199254740993", "9007199254740992") && !same("9007199254740993", "9007199254740992")
        );
    }
}
