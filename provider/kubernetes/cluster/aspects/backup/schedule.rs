//! The time of a CronJob, as Kubernetes reads it.

/// Words for a whole line.
const WORDS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// A field of a line: what it is called, its numbers, and names for them from the least on.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, names: &[] },
    Field { name: "hour", least: 0, most: 23, names: &[] },
    Field { name: "day of the month", least: 1, most: 31, names: &[] },
    Field {
        name: "month",
        least: 1,
        most: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    Field {
        name: "day of the week",
        least: 0,
        most: 6,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

/// Why Kubernetes would not take `line`, or `None`.
pub(super) fn problem(line: &str) -> Option<String> {
    const EXAMPLE: &str = "write for example `0 2 * * *` for 02:00 each day, or `@daily`";
    if line.to_lowercase().contains("tz=") {
        return Some(format!("`{line}` names a time zone: give it as `timeZone`"));
    }
    if line.starts_with('@') {
        return (!WORDS.contains(&line))
            .then(|| format!("`{line}` is not one of {}: {EXAMPLE}", WORDS.join(", ")));
    }
    let fields: Vec<_> = line.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Some(format!(
            "`{line}` has {} fields, not 5 (minute, hour, day of the month, month, day of the week): \
                {EXAMPLE}",
            fields.len()
        ));
    }
    let wrong =
        FIELDS.iter().zip(fields).find(|(field, text)| !text.split(',').all(|part| field.takes(part)));
    wrong.map(|(Field { name, least, most, .. }, text)| {
        format!(
            "`{text}` is not a {name} of a schedule: use numbers from {least} to {most}, `*`, `,`, `-`, `/`"
        )
    })
}

impl Field {
    /// Whether it can be `*`, a number or a range, each with a step where wanted.
    fn takes(&self, part: &str) -> bool {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let is_range = match range.split_once('-') {
            None => matches!(range, "*" | "?") || self.number(range).is_some(),
            Some((from, to)) => self.number(from).zip(self.number(to)).is_some_and(|(from, to)| from <= to),
        };
        is_range && step.is_none_or(|step| digits(step).is_some_and(|step| step > 0))
    }

    fn number(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let named = named.and_then(|index| u32::try_from(index).ok()).map(|index| index + self.least);
        named.or_else(|| digits(text).filter(|number| (self.least..=self.most).contains(number)))
    }
}

/// A number without a sign.
fn digits(text: &str) -> Option<u32> {
    text.chars().all(|c| c.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_where_kubernetes_takes_it() {
        for line in [
            "0 2 * * *",
            "*/15 0-6,22-23/1 1,15 JAN-mar mon-FRI",
            "5/10 ? 31 12 sun",
            "@daily",
            "@midnight",
            "  0   0 * * 6 ",
        ] {
            assert_eq!(problem(line), None, "{line}");
        }
        for (line, part) in [
            ("0 2 * *", "4 fields, not 5"),
            ("", "0 fields"),
            ("60 2 * * *", "`60` is not a minute"),
            ("0 24 * * *", "from 0 to 23"),
            ("0 2 0 * *", "day of the month"),
            ("0 2 * 13 *", "month"),
            ("0 2 * * 7", "day of the week"),
            ("0 2 * * mon-sun", "day of the week"),
            ("*/0 2 * * *", "minute"),
            ("+5 2 * * *", "minute"),
            ("1-2-3 2 * * *", "minute"),
            ("@noon", "@daily"),
            ("@every 1h", "@daily"),
            ("TZ=UTC 0 2 * * *", "timeZone"),
        ] {
            let told = problem(line).unwrap_or_default();
            assert!(told.contains(part), "{line}: {told}");
        }
    }
}
