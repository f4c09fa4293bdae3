//! Settings profiles.

use super::super::aspects::{PROFILES, missing};
use super::catalogue::{Kind, Standing};
use super::said::Said;
use super::{By, Judge};

/// Of which the image's own configuration lets anybody have settings.
const CUSTOM_PREFIX: &str = "SQL_";
/// The server setting that allows more of them.
const CUSTOM_PREFIXES: &str = "custom_settings_prefixes";
/// What a constraint says of a setting, with a value of that setting.
const LIMITS: [&str; 3] = ["min", "max", "disallowed"];
/// The same, without.
const MARKS: [&str; 3] = ["readonly", "const", "changeable_in_readonly"];

impl Judge<'_> {
    /// Judges the profiles; `server` are the settings of the server.
    pub(super) fn profiles(&mut self, profiles: &[Said], server: &[Said]) {
        let custom = self.custom_prefixes(server);
        for said in profiles.iter().filter(|said| !said.is_removed()) {
            match said.names().as_slice() {
                [_, "profile"] => self.parents(said, profiles),
                [_, "constraints", name, rest @ ..] => self.constraint(name, rest, said, &custom),
                [_, "constraints"] | [_] | [] => {}
                [_, name, ..] if is_custom(name, &custom) => {}
                [_, name] if said.repeats() => {
                    let reason = format!(
                        "ClickHouse does not start with several values of `{name}`: a setting has one"
                    );
                    self.refuse(said, By::Engine, reason);
                }
                [_, name] => self.setting(Kind::Query, name, said, said.text()),
                // The text of what is nested is the value, where it is alone.
                [_, name, ..] => {
                    let beside = profiles
                        .iter()
                        .filter(|other| other.path.iter().take(2).eq(said.path.iter().take(2)))
                        .count();
                    self.setting(Kind::Query, name, said, said.text().filter(|_| beside == 1));
                }
            }
        }
    }

    /// The prefixes of settings that the server does not know and takes all the same; an empty one is that of
    /// all.
    fn custom_prefixes(&self, server: &[Said]) -> Vec<String> {
        let said = server.iter().filter(|said| said.names() == [CUSTOM_PREFIXES]);
        let lists = said
            .map(|said| said.text().unwrap_or_default().to_owned())
            .chain(self.is_in_files(CUSTOM_PREFIXES).then(String::new));
        let more: Vec<String> = lists
            .flat_map(|list| list.split(',').map(|prefix| prefix.trim().to_owned()).collect::<Vec<_>>())
            .collect();
        std::iter::once(CUSTOM_PREFIX.to_owned()).chain(more).collect()
    }

    fn parents(&mut self, said: &Said, profiles: &[Said]) {
        let Some(parent) = said.text() else { return };
        if !self.has_profile(parent, profiles) {
            let reason = missing(parent, "profile", names(profiles));
            self.refuse(said, By::Engine, reason);
        }
    }

    /// Whether there is a profile of this name, or may be one.
    pub(super) fn has_profile(&self, name: &str, profiles: &[Said]) -> bool {
        PROFILES.contains(&name) || names(profiles).any(|other| other == name) || self.is_in_files(name)
    }

    fn constraint(&mut self, name: &str, rest: &[&str], said: &Said, custom: &[String]) {
        if is_custom(name, custom) {
            return;
        }
        let limit = matches!(rest, [limit] if LIMITS.contains(limit));
        let known = matches!(
            self.catalogue.standing(self.release, Kind::Query, name),
            Standing::Known(_) | Standing::Open
        );
        match rest {
            [other, ..] if known && !LIMITS.contains(other) && !MARKS.contains(other) => {
                let reason = format!(
                    "`{other}` is not a constraint of a setting, ClickHouse {} does not start with it: there \
                    are `min`, `max`, `readonly`, `const`, `changeable_in_readonly` and `disallowed`",
                    self.release
                );
                self.refuse(said, By::Engine, reason);
            }
            _ => self.setting(Kind::Query, name, said, said.text().filter(|_| limit)),
        }
    }
}

fn is_custom(name: &str, prefixes: &[String]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()))
}

/// The first names of what is said, as those of profiles.
pub(super) fn names(said: &[Said]) -> impl Iterator<Item = &str> {
    said.iter().filter_map(|said| said.path.first()).map(String::as_str)
}
