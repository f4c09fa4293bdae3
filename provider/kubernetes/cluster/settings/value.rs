//! Which texts ClickHouse takes for the value of a setting, by its type: as the engines do, which were asked.
//! Pure.

use super::catalogue::{Catalogue, Kind, Release, Words};

/// In 26.7 the engine began to read numbers with a fraction strictly.
const STRICT_FRACTIONS: Release = Release { year: 26, month: 7 };
/// In 26.9 it began to refuse times in profiles that don't fit into 64 bits of microseconds.
const BOUNDED_TIMES: Release = Release { year: 26, month: 9 };
/// What names of time zones without a `/` there are.
const ZONES: [&str; 49] = [
    "",
    "CET",
    "CST6CDT",
    "Cuba",
    "EET",
    "EST",
    "EST5EDT",
    "Egypt",
    "Eire",
    "Factory",
    "GB",
    "GB-Eire",
    "GMT",
    "GMT+0",
    "GMT-0",
    "GMT0",
    "Greenwich",
    "HST",
    "Hongkong",
    "Iceland",
    "Iran",
    "Israel",
    "Jamaica",
    "Japan",
    "Kwajalein",
    "Libya",
    "MET",
    "MST",
    "MST7MDT",
    "NZ",
    "NZ-CHAT",
    "Navajo",
    "PRC",
    "PST8PDT",
    "Poland",
    "Portugal",
    "ROC",
    "ROK",
    "Singapore",
    "Turkey",
    "UCT",
    "UTC",
    "Universal",
    "W-SU",
    "WET",
    "Zulu",
    "libc:localtime",
    "localtime",
    "posixrules",
];
/// How the others begin.
const AREAS: [&str; 19] = [
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Brazil",
    "Canada",
    "Chile",
    "Etc",
    "Europe",
    "Fixed",
    "Indian",
    "Mexico",
    "Pacific",
    "US",
    "posix",
    "right",
];
const MOST_MILLISECONDS: u64 = i64::MAX as u64 / 1000;
const MOST_SECONDS: f64 = 9_223_372_036_854.775;

/// The sizes that a whole number may be written with.
const SIZES: &str = "also with `K`, `M`, `G`, `T` or `Ki`, `Mi`, `Gi`, `Ti`";

/// What `value` would have to be, where it is not taken for a setting of one kind and of this type in a
/// release of the catalogue.
pub(super) fn refused(
    kind: Kind,
    of_type: &str,
    value: &str,
    catalogue: &Catalogue<'_>,
    release: Release,
) -> Option<String> {
    let number = |signed| whole(value, signed, of_type != "MaxThreads");
    let finite = || fraction(value, release).is_some_and(f64::is_finite);
    let word = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(value));
    let (taken, wanted) = match of_type {
        "UInt64" | "UInt32" => (number(false).is_some(), format!("a whole number of 0 or more, {SIZES}")),
        "NonZeroUInt64" => {
            (number(false).is_some_and(|number| number != 0), format!("a whole number of 1 or more, {SIZES}"))
        }
        "UInt64Auto" => (
            value == "auto" || number(false).is_some(),
            format!("a whole number of 0 or more, {SIZES}, or `auto`"),
        ),
        "MaxThreads" => {
            let auto = value.strip_prefix('\'').unwrap_or(value).starts_with("auto");
            (auto || number(false).is_some(), "a whole number of 0 or more, or `auto`".to_owned())
        }
        "Int64" | "Int32" => (number(true).is_some(), format!("a whole number, {SIZES}")),
        "Milliseconds" => {
            let fits = |number: u64| release < BOUNDED_TIMES || number <= MOST_MILLISECONDS;
            (number(false).is_some_and(fits), "a whole number of milliseconds, without a unit".to_owned())
        }
        "Seconds" => {
            let unbounded = kind == Kind::Query && release < BOUNDED_TIMES;
            let fits = |seconds: f64| unbounded || seconds.abs() <= MOST_SECONDS;
            (fraction(value, release).is_some_and(fits), "a number of seconds, without a unit".to_owned())
        }
        "Float" | "Double" => (finite(), "a number".to_owned()),
        "FloatAuto" => (value == "auto" || finite(), "a number, or `auto`".to_owned()),
        "Bool" => (word(&["0", "1", "true", "false"]), "`0`, `1`, `true` or `false`".to_owned()),
        "BoolAuto" => (
            value == "auto" || word(&["0", "1", "true", "false"]),
            "`0`, `1`, `true`, `false` or `auto`".to_owned(),
        ),
        "Char" => (value.len() <= 1, "a single character".to_owned()),
        "Map" => (
            value.is_empty() || value.starts_with('{') && value.contains('}'),
            "a map as `{'key':'value'}`".to_owned(),
        ),
        "Timezone" => {
            // Which places there are in an area, the server's own list says.
            let known =
                value.split_once('/').map_or(ZONES.contains(&value), |(area, _)| AREAS.contains(&area));
            (known, "the name of a time zone as `Europe/Berlin`".to_owned())
        }
        _ => return of_words(value, catalogue.words(release, of_type)?),
    };
    (!taken).then_some(wanted)
}

/// The same of a type whose values are words; what is no such type is not judged.
fn of_words(value: &str, known: &Words<'_>) -> Option<String> {
    let is_one = |word: &str| known.words.contains(&word);
    let taken = if known.several {
        let parts = value.split(',').map(|part| part.trim_matches(' '));
        parts.filter(|part| !part.is_empty()).all(is_one)
    } else {
        is_one(value)
    };
    if taken {
        return None;
    }
    let words: Vec<_> =
        known.words.iter().filter(|word| !word.is_empty()).map(|word| format!("`{word}`")).collect();
    let words = words.join(", ");
    Some(if known.several {
        format!("some of {words}, with commas between them")
    } else {
        format!("one of {words}")
    })
}

/// Whether a quota takes it for the time that queries may need, in seconds.
pub(super) fn is_duration(text: &str, release: Release) -> bool {
    /// 2^64 nanoseconds.
    const MOST: f64 = 18_446_744_073.0;
    fraction(text, release).is_some_and(|seconds| release < BOUNDED_TIMES || (0.0..MOST).contains(&seconds))
}

/// A number as the engine reads it, with the size that may follow it.
#[expect(clippy::cast_precision_loss, reason = "it is compared, not counted with")]
pub(super) fn number(text: &str) -> Option<f64> {
    whole(text, false, true).map(|number| number as f64).or_else(|| text.parse().ok())
}

/// A whole number as the engine reads it: what does not fit into 64 bits wraps around.
fn whole(text: &str, signed: bool, suffixes: bool) -> Option<u64> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) if signed => (true, rest),
        Some(_) => return None,
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, suffix) = rest.split_at(end);
    let number = digits
        .bytes()
        .fold(0_u64, |number, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
    let number = if negative { number.wrapping_neg() } else { number };
    let factor: u64 = match suffix {
        // A sign alone is no number.
        "" if !digits.is_empty() => 1,
        _ if !suffixes || digits.is_empty() && text.len() != suffix.len() => return None,
        "k" | "K" => 1000,
        "M" => 1000_u64.pow(2),
        "G" => 1000_u64.pow(3),
        "T" => 1000_u64.pow(4),
        "ki" | "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    Some(number.wrapping_mul(factor))
}

/// A number with a fraction as the engine reads it, not always finite.
fn fraction(text: &str, release: Release) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if ["nan", "inf", "infinity"].iter().any(|word| word.eq_ignore_ascii_case(unsigned)) {
        return Some(f64::INFINITY);
    }
    if release < STRICT_FRACTIONS && (unsigned == "." || text.ends_with("e+") || text.ends_with("E+")) {
        return Some(0.0);
    }
    let plain = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    // What Rust reads beyond it begins with a letter.
    text.parse().ok().filter(|_| plain)
}
