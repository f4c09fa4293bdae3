//! Settings of the server: what becomes its `config.xml`.

use super::catalogue::{Kind, Release, Standing};
use super::said::Said;
use super::{By, Judge};

/// Settings of queries that the server takes beside its own.
const ALSO_OF_SERVER: [&str; 3] =
    ["max_table_size_to_drop", "max_partition_size_to_drop", "max_concurrent_queries_for_all_users"];
/// With this set the server does not look for settings of queries.
const UNCHECKED: &str = "skip_check_for_incorrect_settings";
/// Where named collections are kept; in 26.9 the engine began to look at it as it starts.
const COLLECTIONS: (&str, Release) = ("named_collections_storage.type", Release { year: 26, month: 9 });
const COLLECTIONS_KEPT: [&str; 6] =
    ["local", "local_encrypted", "keeper", "keeper_encrypted", "zookeeper", "zookeeper_encrypted"];
/// A shorter name is like too many others.
const TELLING: usize = 8;

impl Judge<'_> {
    /// Judges what one level says.
    ///
    /// The server takes any section, and most releases any element: only what is nearly the name of a setting
    /// is taken for one misspelt.
    pub(super) fn server(&mut self, level: &[Said], profiles: &[Said]) {
        let unchecked = level.iter().any(|said| said.names() == [UNCHECKED]) || self.is_in_files(UNCHECKED);
        for said in level.iter().filter(|said| !said.is_removed()) {
            let names = said.names();
            let Some(first) = names.first().copied() else { continue };
            let dotted = names.join(".");
            match self.catalogue.standing(self.release, Kind::Server, &dotted) {
                Standing::Known(_) if said.repeats() => {}
                Standing::Known(_) => {
                    self.setting(Kind::Server, &dotted, said, said.text());
                    self.collections(&dotted, said);
                }
                Standing::Open | Standing::Newer(_) | Standing::Older(_) => {}
                Standing::Unknown(near) => {
                    if !unchecked && self.is_of_queries(first) {
                        let profile = if profiles.is_empty() { "default" } else { "PROFILE" };
                        let reason = format!(
                            "`{first}` is a setting of queries, with which ClickHouse does not start in the \
                            server's configuration: say it as `profiles.{profile}.settings.{first}`"
                        );
                        self.refuse(said, By::Server, reason);
                    } else if let Some(near) = near.filter(|_| names.len() == 1 && first.len() >= TELLING) {
                        let reason = format!(
                            "`{first}` is not a setting of the server, it would have no effect: did you mean \
                            `{near}`?"
                        );
                        self.refuse(said, By::Nobody, reason);
                    }
                }
            }
        }
    }

    fn collections(&mut self, name: &str, said: &Said) {
        let (collections, since) = COLLECTIONS;
        if let Some(value) = said.text().filter(|value| !COLLECTIONS_KEPT.contains(value))
            && name == collections
            && self.release >= since
        {
            let kept = COLLECTIONS_KEPT.join("`, `");
            self.refuse(
                said,
                By::Engine,
                format!("ClickHouse does not start with `{value}`: it takes one of `{kept}`"),
            );
        }
    }

    /// Whether the server refuses to start with it, since it belongs into profiles.
    fn is_of_queries(&self, name: &str) -> bool {
        let known = match self.catalogue.standing(self.release, Kind::Query, name) {
            Standing::Known(known) => known.iter().all(|(_, fact)| !fact.obsolete),
            _ => false,
        };
        known && !ALSO_OF_SERVER.contains(&name)
    }
}
