//! Kubernetes quantities: `500m`, `4Gi`, `1e9`.

/// The value of a quantity in thousandths of its unit, or `None` when the text is not one.
///
/// The grammar is that of Kubernetes' resource quantities: a decimal number, then nothing, an exponent, a decimal suffix
/// (`n u m k M G T P E`) or a binary one (`Ki Mi Gi Ti Pi Ei`).
pub(super) fn thousandths(text: &str) -> Option<f64> {
    let number_end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '+' || c == '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(number_end);
    if !number.ends_with(|c: char| c.is_ascii_digit() || c == '.') || !number.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let number: f64 = number.parse().ok()?;
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0_f64.powi(2),
        "Gi" => 1024.0_f64.powi(3),
        "Ti" => 1024.0_f64.powi(4),
        "Pi" => 1024.0_f64.powi(5),
        "Ei" => 1024.0_f64.powi(6),
        exponent => 10.0_f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(number * factor * 1000.0)
}

/// Whether two texts say the same quantity (`1Gi` and `1024Mi`); texts that are no quantities are equal only to themselves.
pub(super) fn same(one: &str, other: &str) -> bool {
    one == other || matches!((thousandths(one), thousandths(other)), (Some(one), Some(other)) if (one - other).abs() < 0.5)
}

/// Whether `new` is less than `old`; false when one of them is no quantity.
pub(super) fn shrinks(old: &str, new: &str) -> bool {
    matches!((thousandths(old), thousandths(new)), (Some(old), Some(new)) if new + 0.5 < old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kubernetes_reads() {
        for (text, value) in
            [("2", 2000.0), ("500m", 500.0), ("1Ki", 1_024_000.0), ("1e3", 1_000_000.0), ("1.5G", 1.5e12), (".5", 500.0), ("5.", 5000.0)]
        {
            assert_eq!(thousandths(text), Some(value), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_quantity() {
        for text in ["", "Gi", "10 Gi", "10GB", "ten", "1..2", "-", "1e", "1ee3", "0x10"] {
            assert_eq!(thousandths(text), None, "{text}");
        }
    }

    #[test]
    fn compares_by_value() {
        assert!(same("1Gi", "1024Mi") && !same("1Gi", "1G") && same("odd", "odd"));
        assert!(shrinks("1Gi", "1G") && !shrinks("1Gi", "1024Mi") && !shrinks("odd", "1Gi"));
    }
}
