//! The hosts: how many, or one by one.

mod hosts;
mod shards;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub(super) use self::hosts::OwnPods;
pub(in super::super) use self::hosts::is_claim_of_layout;
use self::shards::{Shard, WrittenLayout};
use super::super::shape::{Host, MOST_HOSTS};
use super::read::number;
use super::resources::Resources;
use super::storage::{ClaimTemplate, StorageArgs};
use super::{Aspect, Checker, ClusterArgs, Drafts, Live, NoDefaults, ValidatedCluster};

/// At most as many shards, or replicas of a shard, are supported.
const MOST: u32 = 999;
/// The template of the shards' own Services.
pub(super) const SHARD_SERVICE: &str = "shard";

/// The inputs about hosts.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LayoutArgs {
    /// The number of shards. Default: 1. Fewer shards than before lose the data of the removed ones, which
    /// needs `allowDataLoss`. ClickHouse does not move existing data to new shards.
    #[schemars(range(min = 1))]
    pub shards: Option<u32>,

    /// The number of replicas of each shard. Default: 1. More than one needs coordination: by default a
    /// Keeper with three members. Fewer replicas than before need `allowDataLoss`.
    #[schemars(range(min = 1))]
    pub replicas: Option<u32>,

    /// The hosts shard by shard, where the shards are not all the same; instead of `shards` and `replicas`.
    /// To go from these to an equal layout, or back, changes no host.
    pub layout: Option<WrittenLayout>,

    /// Whether each shard has its own Service, `shard-<name>-<clusterName>-<n>`. Default: true with more than
    /// one shard.
    pub per_shard_services: Option<bool>,
}

/// The hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Layout {
    shards: u32,
    /// The most replicas that a shard has.
    pub(super) replicas: u32,
    /// Where the shards are written out.
    written: Option<WrittenLayout>,
    /// The volumes of single shards and hosts.
    claims: Vec<(String, ClaimTemplate)>,
    /// Whether each shard has a Service of its own.
    pub(in super::super) per_shard_services: bool,
}

impl Aspect for Layout {
    type Args = LayoutArgs;
    type Defaults = NoDefaults;

    const QUANTITIES: &'static [&'static str] = &[
        "layout.shards[].resources.requests.cpu",
        "layout.shards[].resources.requests.memory",
        "layout.shards[].resources.limits.cpu",
        "layout.shards[].resources.limits.memory",
        "layout.shards[].storage.size",
        "layout.shards[].hosts[].resources.requests.cpu",
        "layout.shards[].hosts[].resources.requests.memory",
        "layout.shards[].hosts[].resources.limits.cpu",
        "layout.shards[].hosts[].resources.limits.memory",
        "layout.shards[].hosts[].storage.size",
    ];

    const FOLLOW: &'static [(&'static str, &'static [&'static str])] = &[
        ("shards", &["shards", "hosts", "shardServices"]),
        ("replicas", &["replicas", "hosts", "keeper"]),
        ("layout", &["hosts", "shardServices", "keeper", "shards", "replicas"]),
        ("perShardServices", &["shardServices"]),
    ];

    fn complete(args: &mut ClusterArgs, _had_keeper: bool) {
        if let Some(layout) = &mut args.layout.layout {
            return layout.complete();
        }
        args.layout.shards.get_or_insert(1);
        args.layout.replicas.get_or_insert(1);
    }

    fn check(check: &mut Checker<'_>) -> Self {
        let LayoutArgs { shards, replicas, layout, per_shard_services } = check.args().layout.clone();
        if let Some(layout) = layout {
            return Self::written(layout, [shards, replicas], per_shard_services, check);
        }
        let (mut shards, replicas) = (count(check, "shards", shards), count(check, "replicas", replicas));
        let hosts = u64::from(shards) * u64::from(replicas);
        if hosts > MOST_HOSTS {
            let reason = format!(
                "{shards} shards of {replicas} replicas are {hosts} hosts, at most {MOST_HOSTS} are \
                    supported: use fewer, or several clusters"
            );
            check.fail("shards", reason);
            // Whoever goes on all the same has little to go through.
            shards = 1;
        }
        let written_out =
            check.adopted().map(|adopted| (adopted.shards, adopted.replicas)).unwrap_or_default();
        for (path, asked, there) in [("shards", shards, written_out.0), ("replicas", replicas, written_out.1)]
        {
            if let Some(there) = there.filter(|there| *there != asked) {
                let reason = format!(
                    "is {asked}, but the {path} are written out one by one and come to {there}: change them \
                        in `chiOverrides.configuration.clusters`, in the cluster's `layout`"
                );
                check.fail(path, reason);
            }
        }
        let by_default = check.adopted().is_none() && shards > 1;
        let per_shard_services = per_shard_services.unwrap_or(by_default);
        Self { shards, replicas, written: None, claims: Vec::new(), per_shard_services }
    }

    fn render(&self, cluster: &ValidatedCluster, drafts: &mut Drafts) {
        let Self { shards, replicas, written, claims, per_shard_services } = self;
        let draft = &mut drafts.installation;
        let adopted = cluster.adopted.as_ref();
        let written_out = adopted.map(|adopted| (adopted.shards, adopted.replicas)).unwrap_or_default();
        let counts = [("shardsCount", *shards, written_out.0), ("replicasCount", *replicas, written_out.1)]
            .into_iter();
        let is_written = |field: &str, count, written_out: Option<u32>| {
            adopted.is_none_or(|adopted| written_out.is_none() && (count != 1 || adopted.states(field)))
        };
        let counts = counts.filter(|(field, count, written_out)| is_written(field, *count, *written_out));
        let layout: Map<_, _> = match written {
            Some(written) => Map::from_iter([("shards".to_owned(), written.render())]),
            None => counts.map(|(field, count, _)| (field.to_owned(), json!(count))).collect(),
        };
        if !layout.is_empty() {
            draft.cluster.insert("layout".to_owned(), Value::Object(layout));
        }
        for (name, claim) in claims {
            draft.claim_template(name, claim, cluster.storage.provisioner());
        }
        if *per_shard_services {
            let ports: Vec<_> =
                cluster.tls.ports().each().map(|(name, port)| json!({"name": name, "port": port})).collect();
            draft.references.insert("shardServiceTemplate".to_owned(), json!(SHARD_SERVICE));
            draft
                .services
                .push(json!({"name": SHARD_SERVICE, "spec": {"type": "ClusterIP", "ports": ports}}));
        }
    }

    fn read(live: &Live) -> LayoutArgs {
        let layout = &live.cluster()["layout"];
        let (shards, replicas) = (number(&layout["shardsCount"]), number(&layout["replicasCount"]));
        if let Some(adopted) = &live.adopted {
            // Its Services have their own names.
            let (shards, replicas) =
                (adopted.shards.or(shards).unwrap_or(1), adopted.replicas.or(replicas).unwrap_or(1));
            return LayoutArgs { shards: Some(shards), replicas: Some(replicas), ..LayoutArgs::default() };
        }
        let services = live.spec()["defaults"]["templates"].get("shardServiceTemplate");
        let layout = layout["shards"].as_array().map(|shards| WrittenLayout::read(shards, live.spec()));
        LayoutArgs { shards, replicas, layout, per_shard_services: services.map(|_| true) }
    }
}

impl Layout {
    /// The hosts of a `layout`; beside it, no `counts` are taken. One that only says what counts can say is
    /// rendered as these.
    fn written(
        layout: WrittenLayout,
        counts: [Option<u32>; 2],
        per_shard_services: Option<bool>,
        check: &mut Checker<'_>,
    ) -> Self {
        for (path, _) in ["shards", "replicas"].into_iter().zip(counts).filter(|(_, count)| count.is_some()) {
            check
                .fail(path, "has no effect beside `layout`, which says it of each shard: remove one of them");
        }
        if check.adopted().is_some() {
            let reason = "the hosts of this installation are written out by somebody else: change them in \
                `chiOverrides.configuration.clusters`";
            check.fail("layout", reason);
        }
        let args = &check.args().naming;
        let taken = [&args.name, &args.cluster_name].into_iter().flatten().map(String::len).sum();
        layout.check(taken, check);
        let claims = layout.claims(check);
        let shards = u32::try_from(layout.shards.len()).unwrap_or(u32::MAX).max(1);
        let hosts: u64 = u64::from(shards) * u64::from(layout.most_replicas());
        let per_shard_services = per_shard_services.unwrap_or(shards > 1);
        match layout.plain() {
            Some(replicas) if hosts <= MOST_HOSTS => {
                Self { shards, replicas, written: None, claims, per_shard_services }
            }
            _ => {
                let replicas = layout.most_replicas();
                Self { shards, replicas, written: Some(layout), claims, per_shard_services }
            }
        }
    }
}

impl Layout {
    /// The pods of single shards and hosts.
    pub(super) fn own_pods(&self) -> impl Iterator<Item = OwnPods<'_>> {
        self.written.iter().flat_map(WrittenLayout::own_pods)
    }
}

impl LayoutArgs {
    /// Fills in what single shards and hosts leave to what is above them.
    pub(super) fn complete_own(&mut self, resources: Option<&Resources>, storage: Option<&StorageArgs>) {
        if let Some(layout) = &mut self.layout {
            layout.complete_own(resources, storage);
        }
    }

    /// The templates of the volumes of single shards and hosts.
    pub(in super::super) fn own_claims(&self) -> impl Iterator<Item = String> {
        self.layout.iter().flat_map(WrittenLayout::own_claims).map(|(name, ..)| name)
    }

    /// The shards that are written out.
    pub(super) fn shards_mut(&mut self) -> impl Iterator<Item = &mut Shard> {
        self.layout.iter_mut().flat_map(|layout| &mut layout.shards)
    }

    /// The most replicas that a shard has.
    pub(super) fn most_replicas(&self) -> u32 {
        match &self.layout {
            Some(layout) => layout.most_replicas(),
            None => self.replicas.unwrap_or(1),
        }
    }

    /// The input that says how many replicas there are.
    pub(super) fn of_replicas(&self) -> &'static str {
        if self.layout.is_some() { "layout" } else { "replicas" }
    }
}

/// How many shards and replicas `hosts` come to, each where `layout` writes them out one by one, so that its
/// count decides nothing.
pub(super) fn written_out(layout: &Value, hosts: &[&Host]) -> (Option<u32>, Option<u32>) {
    let list = |field: &str| layout[field].as_array().map(Vec::as_slice).unwrap_or_default();
    let (shards, replicas) = (list("shards"), list("replicas"));
    let says = |elements: &[Value], fields: [&str; 2]| {
        elements.iter().any(|element| fields.iter().any(|field| element.get(field).is_some()))
    };
    let most = |index: fn(&Host) -> u32| hosts.iter().map(|host| index(host) + 1).max().unwrap_or(1);
    let is_counted = |field: &str, most: u32| number(&layout[field]) == Some(most);
    let (most_shards, most_replicas) = (most(|host| host.shard), most(|host| host.replica));
    let has_shards = !shards.is_empty() || says(replicas, ["shards", "shardsCount"]);
    let has_replicas = says(shards, ["replicas", "replicasCount"])
        || !replicas.is_empty() && !is_counted("replicasCount", most_replicas);
    (
        (has_shards && !is_counted("shardsCount", most_shards)).then_some(most_shards),
        has_replicas.then_some(most_replicas),
    )
}

fn count(check: &mut Checker<'_>, path: &str, given: Option<u32>) -> u32 {
    match given {
        Some(0) => {
            check.fail(path, "must be at least 1; to run no host and keep the data set `stopped: true`");
            1
        }
        Some(count) if count > MOST => {
            check.fail(path, format!("is {count}, at most {MOST} are supported"));
            1
        }
        given => given.unwrap_or(1),
    }
}
