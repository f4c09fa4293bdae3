//! The cluster's own Keeper.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::super::names;
use super::super::draft::yes_no;
use super::super::image::{ContainerImage, Image, Reference, SERVER_REPOSITORY, VERSION, parts};
use super::super::read::{container, number, pod};
use super::super::resources::{Resources, amounts};
use super::super::storage::{ClaimTemplate, Provisioner, ReclaimPolicy, Volume};
use super::super::{Checker, ClusterArgs, Drafts, PodArgs, ValidatedCluster};
use super::{COORDINATION_PORT, SECURE_PORT};
use crate::kubernetes::diagnosis::Remedies;

/// The official Keeper image.
const REPOSITORY: &str = "clickhouse/clickhouse-keeper";

/// The inputs to name where its members don't come up.
pub(in super::super::super) const KEEPER_REMEDIES: Remedies = Remedies {
    image: "`version`",
    pull_secrets: "coordination.keeper.image.pullSecrets",
    storage_classes: &[("data", "coordination.keeper.storage.storageClass")],
    other_storage_class: "chkOverrides.templates.volumeClaimTemplates",
};

/// The cluster's own Keeper.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterKeeper")]
pub struct KeeperArgs {
    /// The number of Keeper members: 1, 3 or 5. Default: 3.
    #[schemars(range(min = 1))]
    pub replicas: Option<u32>,
    /// The Keeper image. Default: the official one of the cluster's version. Required with a custom server
    /// image.
    pub image: Option<Image>,
    /// CPU and memory of each Keeper member. Default: requests of 100m and 256Mi, limits of 500m and 1Gi.
    pub resources: Option<Resources>,
    /// The volume of each Keeper member. Default: 10Gi of the default storage class.
    pub storage: Option<Volume>,
    /// The pods of the Keeper: where they run, as whom, and what else is in them. A change restarts them one
    /// by one.
    pub pod: Option<Box<PodArgs>>,
}

/// The cluster's own Keeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super::super) struct Keeper {
    pub(in super::super) replicas: u32,
    image: ContainerImage,
    resources: Resources,
    volume: ClaimTemplate,
    pub(in super::super) pod: Box<PodArgs>,
}

/// What a Keeper of the cluster was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in super::super::super) struct KeeperDefaults {
    pub(in super::super::super) keeper_replicas: u32,
    /// Requests and limits, each of CPU and of memory.
    pub(in super::super::super) keeper_resources: [[String; 2]; 2],
    pub(in super::super::super) keeper_size: String,
}

impl Default for KeeperDefaults {
    fn default() -> Self {
        let keeper_resources = amounts([["100m", "256Mi"], ["500m", "1Gi"]]);
        Self { keeper_replicas: 3, keeper_resources, keeper_size: "10Gi".to_owned() }
    }
}

impl KeeperArgs {
    /// What is left out filled in. `reclaim` is the policy of the data.
    pub(super) fn complete(self, defaults: &KeeperDefaults, reclaim: ReclaimPolicy) -> Self {
        Self {
            replicas: Some(self.replicas.unwrap_or(defaults.keeper_replicas)),
            image: self.image,
            resources: Some(Resources::complete(self.resources, &defaults.keeper_resources)),
            storage: Some(self.storage.unwrap_or_default().complete(&defaults.keeper_size, reclaim)),
            pod: self.pod,
        }
    }

    /// The inputs that a live Keeper stands for, besides those of its pods.
    pub(super) fn read(keeper: &Value) -> Self {
        let spec = &keeper["spec"];
        let pod = pod(spec);
        let container = container(pod, "clickhouse-keeper");
        let (image, tag) = parts(container, pod, REPOSITORY);
        let image = Image { tag, ..image.unwrap_or_default() };
        Self {
            replicas: number(&spec["configuration"]["clusters"][0]["layout"]["replicasCount"]),
            image: (image != Image::default()).then_some(image),
            resources: Resources::of(container),
            storage: Volume::claimed(spec, "dataVolumeClaimTemplate"),
            pod: None,
        }
    }
}

impl Keeper {
    pub(super) fn check(given: KeeperArgs, check: &mut Checker<'_>) -> Self {
        let KeeperArgs { replicas, image, resources, storage, pod } = given;
        let replicas = replicas.unwrap_or(3);
        if ![1, 3, 5].contains(&replicas) {
            let reason = format!("is {replicas}, but a Keeper needs a majority: it has 1, 3 or 5 replicas");
            check.fail("coordination.keeper.replicas", reason);
        }
        let version = check.args().image.version.clone().unwrap_or_else(|| VERSION.to_owned());
        let path = "coordination.keeper.image";
        let names_none = |image: &Option<Image>| {
            image.as_ref().is_none_or(|image| {
                image.repository.is_none() && image.tag.is_none() && image.digest.is_none()
            })
        };
        // Of an image of one's own nobody knows which Keeper belongs to it.
        let lacks_image = |args: &ClusterArgs| {
            let keeper = args.coordination.as_ref().and_then(|coordination| coordination.keeper.as_ref());
            let server = args.image.image.as_ref().and_then(|image| image.repository.as_deref());
            server.is_some_and(|server| server != SERVER_REPOSITORY)
                && keeper.is_some_and(|keeper| names_none(&keeper.image))
        };
        if lacks_image(check.args()) && !check.had(lacks_image) {
            let official = SERVER_REPOSITORY;
            let reason = format!(
                "is required with a custom server image: the matching Keeper image is only known for the \
                    official one, `{official}`"
            );
            check.fail_newly(path.into(), reason);
        }
        let default = Reference { repository: REPOSITORY, version: Some(&version), written: None };
        Self {
            replicas,
            image: ContainerImage::check(path, image.as_ref(), &default, check),
            resources: Resources::check_at("coordination.keeper.resources", resources.as_ref(), check),
            volume: ClaimTemplate::check("coordination.keeper.storage", storage.unwrap_or_default(), check),
            pod: pod.unwrap_or_default().check("coordination.keeper.pod", check),
        }
    }

    /// The inputs to name where its members don't come up.
    pub(in super::super::super) fn remedies(&self) -> Remedies {
        let (both, own) = ("`version` or `coordination.keeper.image`", "`coordination.keeper.image`");
        Remedies { image: self.image.said_by([KEEPER_REMEDIES.image, both, own]), ..KEEPER_REMEDIES }
    }

    /// The Keeper's own object, and the hosts' way to it: one node a replica, not the one name of them all,
    /// so that ClickHouse knows which of them it has lost.
    pub(super) fn render(&self, cluster: &ValidatedCluster, drafts: &mut Drafts) {
        let Self { replicas, image, resources, volume, pod: _ } = self;
        let (name, cluster_name) = (&cluster.naming.name, &cluster.naming.cluster_name);
        let host = |replica| names::keeper_host(name, cluster_name, replica);
        let node = |replica| {
            if cluster.tls.is_to_keeper() {
                json!({"host": host(replica), "port": SECURE_PORT, "secure": yes_no(true)})
            } else {
                json!({"host": host(replica), "port": COORDINATION_PORT})
            }
        };
        let nodes: Vec<_> = (0..*replicas).map(node).collect();
        drafts.installation.zookeeper = Some(json!({"nodes": nodes}));
        let Some(draft) = &mut drafts.keeper else { return };
        draft.cluster.insert("layout".to_owned(), json!({"replicasCount": replicas}));
        image.render(&mut draft.pod);
        draft.pod.container.insert("resources".to_owned(), json!(resources));
        draft.manage_storage(Provisioner::Operator, volume.reclaim_policy);
        draft.claim("dataVolumeClaimTemplate", "data", volume, Provisioner::Operator);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::tests::problems_of_program;

    #[test]
    fn a_keepers_image_is_only_derived_from_the_official_servers() {
        let own = |more: Value| {
            let mut program = json!({"image": {"repository": "example.com/altinity/clickhouse-server"}});
            program.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            program
        };
        let lacking = own(json!({"replicas": 2}));
        let found = problems_of_program(None, lacking.clone());
        assert!(
            found.len() == 1 && found[0].starts_with("coordination.keeper.image: is required"),
            "{found:?}"
        );
        for program in [
            own(json!({})),
            own(json!({"replicas": 2, "coordination": {"external": {"nodes": ["zk"]}}})),
            own(json!({"replicas": 2, "coordination": {"keeper": {"image": {"tag": "25.8"}}}})),
            json!({"replicas": 2, "image": {"repository": "clickhouse/clickhouse-server"}}),
        ] {
            assert_eq!(problems_of_program(None, program.clone()), Vec::<String>::new(), "{program}");
        }
        let there =
            own(json!({"replicas": 3, "coordination": {"type": "Keeper", "keeper": {"replicas": 3}}}));
        assert_eq!(
            problems_of_program(Some(there), lacking),
            Vec::<String>::new(),
            "a cluster has it already"
        );
    }
}
