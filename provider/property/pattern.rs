//! Patterns of property paths, as programs write them in `ignoreChanges`.

use super::path::{PropertyPath, Segment};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Is(Segment),
    Any,
}

/// A path in Pulumi's notation, in which `*` and `[*]` stand for every property or element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Step>);

impl Pattern {
    /// Reads `a.b`, `a["b.c"]`, `a[0]`, `a[*].b`, `a.*`. `None` for what is no path.
    pub fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(bracket) = rest.strip_prefix('[') {
                let (step, after) = if let Some(quoted) = bracket.strip_prefix('"') {
                    let (key, after) = unquote(quoted)?;
                    (Step::Is(Segment::Key(key)), after.strip_prefix(']')?)
                } else {
                    let (inside, after) = bracket.split_once(']')?;
                    let step = if inside == "*" {
                        Step::Any
                    } else {
                        Step::Is(Segment::Index(inside.parse().ok()?))
                    };
                    (step, after)
                };
                steps.push(step);
                rest = after;
            } else {
                let rest_of_name = if steps.is_empty() { rest } else { rest.strip_prefix('.')? };
                if rest_of_name.starts_with('[') {
                    // `a.["b"]` is written too.
                    rest = rest_of_name;
                    continue;
                }
                let end = rest_of_name.find(['.', '[']).unwrap_or(rest_of_name.len());
                let (name, after) = rest_of_name.split_at(end);
                if name.is_empty() {
                    return None;
                }
                steps.push(if name == "*" { Step::Any } else { Step::Is(Segment::Key(name.to_owned())) });
                rest = after;
            }
        }
        (!steps.is_empty()).then_some(Self(steps))
    }

    /// How many steps it leads down.
    pub fn depth(&self) -> usize {
        self.0.len()
    }

    /// Whether `path` is meant, or stands below what is meant.
    pub fn covers(&self, path: &PropertyPath) -> bool {
        let segments = path.segments();
        segments.len() >= self.0.len()
            && self.0.iter().zip(segments).all(|(step, segment)| match step {
                Step::Any => true,
                Step::Is(expected) => expected == segment,
            })
    }
}

/// The text up to the closing quote, and what stands behind the quote.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut key = String::new();
    let mut chars = text.char_indices();
    while let Some((position, char)) = chars.next() {
        match char {
            '"' => return Some((key, &text[position + 1..])),
            '\\' if text[position + 1..].starts_with('"') => key.push(chars.next()?.1),
            other => key.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(pattern: &str, path: &PropertyPath) -> bool {
        Pattern::parse(pattern).unwrap().covers(path)
    }

    #[test]
    fn a_pattern_covers_what_it_names_and_what_is_below() {
        assert!(covers("storage", &"storage.size".into()));
        assert!(covers("storage.size", &"storage.size".into()));
        assert!(!covers("storage.size", &"storage".into()));
        assert!(!covers("storage", &"storages".into()));
    }

    #[test]
    fn stars_stand_for_every_element_and_property() {
        let path = PropertyPath::from("nodes").index(4).key("host");
        assert!(covers("nodes[*].host", &path));
        assert!(covers("nodes[4]", &path));
        assert!(!covers("nodes[3]", &path));
        assert!(covers("*", &path));
        assert!(covers("labels.*", &"labels.a".into()));
    }

    #[test]
    fn quoted_keys_are_read_as_they_are_printed() {
        for (key, printed) in [
            ("a.b", r#"labels["a.b"]"#),
            ("a\"b", r#"labels["a\"b"]"#),
            ("x[0]", r#"labels["x[0]"]"#),
            (r"back\slash", r"labels.back\slash"),
            // As Pulumi's own parser has it: only a quote is escaped.
            (r"a.b\c", r#"labels["a.b\c"]"#),
            (r#"a.\"b"#, r#"labels["a.\\"b"]"#),
            (r"end\", r"labels.end\"),
            (r#"q"end\"#, r#"labels.q"end\"#),
        ] {
            let path = PropertyPath::root().key("labels").key(key);
            assert_eq!(path.to_string(), printed);
            assert!(covers(printed, &path), "{printed}");
        }
        let unspeakable = PropertyPath::root().key("labels").key(r"a.b\").key("c");
        assert_eq!(unspeakable.to_string(), "labels", "the path above it is named");
        assert!(covers(r#"["a.b"].c"#, &PropertyPath::root().key("a.b").key("c")));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["", "a..b", "a[", "a[x]", "a[\"b", ".a"] {
            assert_eq!(Pattern::parse(text), None, "{text}");
        }
    }
}
