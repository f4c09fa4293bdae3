//! A layout that is written out shard by shard.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::check::label_problem;
use super::super::draft::yes_no;
use super::super::read::{number, text};
use super::super::{Checker, FreeForm};
use super::MOST;
use crate::kubernetes::cluster::shape::{MOST_HOSTS, yes_or_no};
use crate::property::path::PropertyPath;

/// The operator cuts a longer name of a shard or host.
const LONGEST: usize = 15;
/// At most as long are the names of the cluster, of its installation and of a host together.
const TOGETHER: usize = 46;
/// Which folder files of single shards and hosts go to.
const FOLDER: &str = "conf.d";

/// The layout of the cluster, shard by shard.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ClusterLayout")]
pub struct WrittenLayout {
    /// The shards in their order. One that goes, or gets another name, loses its data, which needs
    /// `allowDataLoss`.
    pub shards: Vec<Shard>,
}

/// A shard.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterShard")]
pub struct Shard {
    /// The name, which is part of the names of its hosts. Default: its number, from 0.
    pub name: Option<String>,
    /// The number of replicas. Default: 1.
    #[schemars(range(min = 1))]
    pub replicas: Option<u32>,
    /// The replicas one by one, where they differ; instead of `replicas`.
    pub hosts: Option<Vec<ShardHost>>,
    /// How much of what is written to a Distributed table the shard gets, beside the weights of the others.
    /// Default: 1. A change takes effect without a restart.
    pub weight: Option<u32>,
    /// Whether a Distributed table writes to one replica only, and leaves it to this one to pass it on.
    /// Default: true with more than one replica. A change takes effect without a restart.
    pub internal_replication: Option<bool>,
    /// Settings of the shard's hosts, by their paths in ClickHouse's configuration. Most changes restart
    /// these hosts.
    pub settings: Option<FreeForm>,
    /// Configuration files of the shard's hosts, by their names. A change restarts these hosts.
    pub files: Option<BTreeMap<String, String>>,
}

/// A replica of a shard.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterShardHost")]
pub struct ShardHost {
    /// The name, instead of those of the shard and its number. Another name is another, empty host.
    pub name: Option<String>,
    /// Settings of the host, by their paths in ClickHouse's configuration. Most changes restart it.
    pub settings: Option<FreeForm>,
    /// Configuration files of the host, by their names. A change restarts it.
    pub files: Option<BTreeMap<String, String>>,
}

impl WrittenLayout {
    /// Fills in what is left out.
    pub(super) fn complete(&mut self) {
        for shard in self.shards.iter_mut().filter(|shard| shard.hosts.is_none()) {
            shard.replicas.get_or_insert(1);
        }
    }

    /// The most replicas that a shard has.
    pub(super) fn most_replicas(&self) -> u32 {
        self.shards.iter().map(Shard::count).max().unwrap_or(1)
    }

    /// How many replicas each shard has, where nothing else is said of any.
    pub(super) fn plain(&self) -> Option<u32> {
        let count = self.shards.first().map_or(1, Shard::count);
        let is_plain = |(index, shard): (usize, &Shard)| {
            let Shard { name, replicas: _, hosts, weight, internal_replication, settings, files } = shard;
            shard.count() == count
                && name.as_ref().is_none_or(|name| *name == index.to_string())
                && hosts.iter().flatten().all(|host| *host == ShardHost::default())
                && weight.is_none()
                && internal_replication.is_none()
                && settings.as_ref().is_none_or(BTreeMap::is_empty)
                && files.as_ref().is_none_or(BTreeMap::is_empty)
        };
        self.shards.iter().enumerate().all(is_plain).then_some(count)
    }

    /// Checks the layout of the cluster whose names have `taken` characters.
    pub(super) fn check(&self, taken: usize, check: &mut Checker<'_>) {
        let path = PropertyPath::from("layout.shards");
        if self.shards.is_empty() {
            let reason = "must have at least one shard; to run no host and keep the data set `stopped: true`";
            check.fail_at(path, reason);
            return;
        }
        let hosts: u64 = self.shards.iter().map(|shard| u64::from(shard.count())).sum();
        if hosts > MOST_HOSTS {
            let reason = format!(
                "comes to {hosts} hosts, at most {MOST_HOSTS} are supported: use fewer, or several clusters"
            );
            check.fail_at(path, reason);
            return;
        }
        let (mut shards, mut parts) = (BTreeSet::new(), BTreeSet::new());
        for (index, shard) in self.shards.iter().enumerate() {
            let path = path.index(index);
            let name = shard.name(index);
            if let Some(problem) = name_problem(&name, index) {
                check.fail_at(path.key("name"), problem);
            } else if !shards.insert(name.clone()) {
                let reason = format!("`{name}` is the name of another shard: choose another name");
                check.fail_at(path.key("name"), reason);
            } else {
                shard.check_hosts(&path, &name, taken, &mut parts, check);
            }
            if shard.replicas.is_some() && shard.hosts.is_some() {
                let reason =
                    "has no effect beside `hosts`, which says how many there are: remove one of them";
                check.fail_at(path.key("replicas"), reason);
            } else if shard.replicas == Some(0) || shard.hosts.as_ref().is_some_and(Vec::is_empty) {
                let field = if shard.hosts.is_some() { "hosts" } else { "replicas" };
                check.fail_at(path.key(field), "must be at least 1: a shard without hosts is no shard");
            } else if shard.replicas.is_some_and(|count| count > MOST) {
                check.fail_at(path.key("replicas"), format!("at most {MOST} are supported"));
            }
            check_files(&path, shard.files.as_ref(), check);
            for (index, host) in shard.hosts.iter().flatten().enumerate() {
                check_files(&path.key("hosts").index(index), host.files.as_ref(), check);
            }
        }
    }

    /// The operator's list of the shards.
    pub(super) fn render(&self) -> Value {
        self.shards.iter().map(Shard::render).collect()
    }

    /// The layout that the operator's list of shards stands for.
    pub(super) fn read(shards: &[Value]) -> Self {
        Self { shards: shards.iter().map(Shard::read).collect() }
    }
}

impl Shard {
    fn count(&self) -> u32 {
        let listed = self.hosts.as_ref().map(|hosts| u32::try_from(hosts.len()).unwrap_or(u32::MAX));
        listed.or(self.replicas).unwrap_or(1).max(1)
    }

    fn name(&self, index: usize) -> String {
        self.name.clone().unwrap_or_else(|| index.to_string())
    }

    /// Checks the names that the operator makes of those of the shard and of its hosts.
    fn check_hosts(
        &self,
        path: &PropertyPath,
        shard: &str,
        taken: usize,
        parts: &mut BTreeSet<String>,
        check: &mut Checker<'_>,
    ) {
        for replica in 0..self.count() {
            let index = usize::try_from(replica).unwrap_or_default();
            let given = self.hosts.as_ref().and_then(|hosts| hosts.get(index)?.name.clone());
            let (part, path) = match given {
                Some(name) => (name, path.key("hosts").index(index).key("name")),
                None => (format!("{shard}-{replica}"), path.key("name")),
            };
            let is_number = part.bytes().all(|c| c.is_ascii_digit());
            let problem = if is_number {
                Some(format!("`{part}` is a number, as the operator's own names are: choose another name"))
            } else if part.len() > LONGEST {
                let reason = "at most 15 characters are allowed: shorten the name";
                Some(format!("the host is called `{part}`, {reason}"))
            } else if part.len() + taken > TOGETHER {
                let most = TOGETHER - part.len().min(TOGETHER);
                Some(format!(
                    "with the host `{part}`, `name` and `clusterName` may have {most} characters together, \
                        and have {taken}: shorten one of them"
                ))
            } else {
                label_problem(&part)
            };
            if let Some(problem) = problem {
                check.fail_at(path, problem);
                break;
            }
            if !parts.insert(part.clone()) {
                check.fail_at(path, format!("`{part}` is the name of another host: choose another name"));
                break;
            }
        }
    }

    fn render(&self) -> Value {
        let Self { name, replicas: _, hosts, weight, internal_replication, settings, files } = self;
        let mut shard = Map::new();
        let mut put = |field: &str, value: Value| {
            if !value.is_null() {
                shard.insert(field.to_owned(), value);
            }
        };
        put("name", json!(name));
        put("weight", json!(weight));
        put("internalReplication", json!(internal_replication.map(yes_no)));
        match hosts {
            Some(hosts) => put("replicas", json!(hosts)),
            None => put("replicasCount", json!(self.count())),
        }
        put("settings", json!(settings));
        put("files", json!(files));
        Value::Object(shard)
    }

    fn read(shard: &Value) -> Self {
        let hosts = serde_json::from_value(shard["replicas"].clone()).ok();
        Self {
            name: text(&shard["name"]),
            replicas: number(&shard["replicasCount"]).filter(|_| hosts.is_none()),
            hosts,
            weight: number(&shard["weight"]),
            internal_replication: yes_or_no(&shard["internalReplication"]),
            settings: serde_json::from_value(shard["settings"].clone()).ok(),
            files: serde_json::from_value(shard["files"].clone()).ok(),
        }
    }
}

/// Why a shard at this place can't have the name, or `None`.
fn name_problem(name: &str, index: usize) -> Option<String> {
    if name.bytes().all(|c| c.is_ascii_digit()) && name != index.to_string() {
        let reason = "as the names of shards that have none: choose another name, or leave it out";
        return Some(format!("`{name}` is a number, {reason}"));
    }
    label_problem(name)
}

/// Refuses files that the operator would leave out without a word.
fn check_files(path: &PropertyPath, files: Option<&BTreeMap<String, String>>, check: &mut Checker<'_>) {
    for name in files.into_iter().flat_map(BTreeMap::keys) {
        let is_known = match name.rsplit_once('/') {
            Some((folder, file)) => folder == FOLDER && !file.is_empty(),
            None => !name.is_empty(),
        };
        if !is_known {
            let reason = format!(
                "the operator leaves `{name}` out: files of single shards and hosts stand in `{FOLDER}`, \
                    write for example `{FOLDER}/more.xml`"
            );
            check.fail_at(path.key("files").key(name), reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::effects::effects;
    use crate::kubernetes::cluster::guard::of_inputs;
    use crate::kubernetes::cluster::shape::Shape;
    use crate::kubernetes::cluster::tests::{
        adopted, built, changed, checked, cluster, problems_of_program, told,
    };
    use crate::resource::Known;

    fn layout(program: Value) -> Value {
        built(program).installation.unwrap()["spec"]["configuration"]["clusters"][0]["layout"].take()
    }

    #[test]
    fn shards_are_written_out_as_they_are_said() {
        let shards = json!([
            {"name": "hot", "weight": 3, "internalReplication": true, "replicas": 2,
                "settings": {"max_connections": "9"}, "files": {"conf.d/a.xml": "<a/>"}},
            {"hosts": [{"name": "x", "settings": {"max_connections": "7"}}, {}]},
            {},
        ]);
        assert_eq!(
            layout(json!({"layout": {"shards": shards}})),
            json!({"shards": [
                {"name": "hot", "weight": 3, "internalReplication": "yes", "replicasCount": 2,
                    "settings": {"max_connections": "9"}, "files": {"conf.d/a.xml": "<a/>"}},
                {"replicas": [{"name": "x", "settings": {"max_connections": "7"}}, {}]},
                {"replicasCount": 1},
            ]})
        );
        let built = built(json!({"layout": {"shards": shards}}));
        assert!(built.keeper.is_some(), "replicas bring a Keeper");
        let pod = &built.installation.unwrap()["spec"]["templates"]["podTemplates"][0];
        assert!(pod["spec"]["affinity"].is_object(), "replicas prefer different nodes");
    }

    #[test]
    fn an_equal_layout_is_the_same_cluster() {
        for (counts, layout) in [
            (json!({"shards": 2, "replicas": 1}), json!([{}, {}])),
            (json!({"shards": 2, "replicas": 1}), json!([{"name": "0"}, {"name": "1", "replicas": 1}])),
            (json!({"shards": 2, "replicas": 2}), json!([{"replicas": 2}, {"hosts": [{}, {}]}])),
            (json!({}), json!([{}])),
        ] {
            let layout = json!({"layout": {"shards": layout}});
            let (counts, layout) = (checked(counts), checked(layout));
            let shape = |args| Shape::rendered(&cluster(serde_json::to_value(args).unwrap()));
            assert_eq!(shape(&counts), shape(&layout));
            for (old, new) in [(&counts, &layout), (&layout, &counts)] {
                assert_eq!(of_inputs(old, &Known::all(new.clone())), []);
                let told = effects(&shape(old), &shape(new), &Known::all(new.clone()));
                assert_eq!(told, Vec::<String>::new());
            }
        }
    }

    #[test]
    fn a_shard_that_goes_or_gets_another_name_is_refused_at_the_layout() {
        let with =
            |shards: Value| checked(json!({"layout": {"shards": shards}, "coordination": {"keeper": {}}}));
        let there = with(json!([{"name": "a", "replicas": 2}, {"name": "b"}]));
        for (then, part) in [
            (json!([{"name": "a", "replicas": 2}]), "2 shards become 1"),
            (json!([{"name": "a", "replicas": 2}, {"name": "c"}]), "removed or renamed"),
            (json!([{"name": "a"}, {"name": "b"}]), "2 replicas become 1"),
            (json!([{"name": "a", "hosts": [{}, {"name": "x"}]}, {"name": "b"}]), "removed or renamed"),
        ] {
            let found = told(of_inputs(&there, &Known::all(with(then))));
            assert!(
                found.len() == 1 && found[0].starts_with("layout: ") && found[0].contains(part),
                "{found:?}"
            );
        }
        let more = with(json!([{"name": "a", "replicas": 2, "weight": 2}, {"name": "b"}, {"name": "c"}]));
        assert_eq!(of_inputs(&there, &Known::all(more)), []);
    }

    #[test]
    fn what_is_wrong_with_a_layout_is_told_at_its_place() {
        let shards = json!([
            {"name": "1"}, {"name": "a"}, {"name": "a"}, {"name": "B"}, {"name": "fourteen-chars"},
            {"name": "n", "replicas": 1, "hosts": [{"name": "7"}]}, {"name": "o", "replicas": 0},
            {"name": "p", "hosts": []}, {"name": "q", "hosts": [{"name": "a-0"}]},
            {"name": "r", "files": {"config.d/x.xml": ""}, "hosts": [{"files": {"users.d/y.xml": ""}}]},
        ]);
        let found = problems_of_program(None, json!({"shards": 2, "layout": {"shards": shards}}));
        for (path, part) in [
            ("shards", "beside `layout`"),
            ("layout.shards[0].name", "is a number"),
            ("layout.shards[2].name", "another shard"),
            ("layout.shards[3].name", "not a valid name"),
            ("layout.shards[4].name", "at most 15"),
            ("layout.shards[5].replicas", "beside `hosts`"),
            ("layout.shards[5].hosts[0].name", "is a number"),
            ("layout.shards[6].replicas", "at least 1"),
            ("layout.shards[7].hosts", "at least 1"),
            ("layout.shards[8].hosts[0].name", "another host"),
            ("layout.shards[9].files[\"config.d/x.xml\"]", "leaves"),
            ("layout.shards[9].hosts[0].files[\"users.d/y.xml\"]", "leaves"),
        ] {
            let told =
                |problem: &&String| problem.starts_with(&format!("{path}: ")) && problem.contains(part);
            assert_eq!(found.iter().filter(told).count(), 1, "{path}: {found:#?}");
        }
        assert_eq!(found.len(), 12, "{found:#?}");
        for (program, part) in [
            (json!({"layout": {"shards": []}}), "layout.shards: must have at least one shard"),
            (
                json!({"layout": {"shards": [{"replicas": 999}, {"replicas": 999}]}}),
                "layout.shards: comes to 1998 hosts",
            ),
            (
                json!({"layout": {"shards": [{"replicas": 2}]}, "coordination": {"type": "None"}}),
                "layout: 2 replicas can't agree",
            ),
            (
                json!({"name": "n".repeat(32), "layout": {"shards": [{"name": "thirteen-char"}]}}),
                "layout.shards[0].name: with the host `thirteen-char-0`",
            ),
        ] {
            let found = problems_of_program(None, program);
            assert!(found.iter().any(|problem| problem.starts_with(part)), "{part}: {found:?}");
        }
    }

    #[test]
    fn the_hosts_of_somebody_elses_installation_stay_where_they_are_written() {
        let there = adopted(json!({"configuration": {"clusters": [{"name": "c"}]}}));
        let more = json!({"shards": null, "replicas": null, "layout": {"shards": [{"name": "a"}]}});
        let refused = changed(&there, more).unwrap_err();
        assert!(refused[0].starts_with("layout: ") && refused[0].contains("`chiOverrides."), "{refused:?}");
    }
}
