//! From live objects back to inputs: what `pulumi import` writes and what `pulumi refresh` reports. Pure.
//!
//! Whatever has an input of ours is read into it; what has none ends up in `chiOverrides` and `chkOverrides`, which are the
//! difference between what the inputs render and what is there. So any installation can be adopted, and its next preview is empty.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::args::{
    Admin, ClusterArgs, Coordination, CoordinationType, ExternalCoordination, ExternalNode, ExternalTimeouts, FreeForm, Image, Ingress,
    InterserverSecret, Keeper, Logging, Resources, SecretKey, Storage, Volume,
};
use super::manifest::{self, Login, RESTART_ANNOTATION};
use super::{defaults, names, shape, validate};
use crate::kubernetes::meta;
use crate::resource::{Autonaming, Known, Urn};

/// The objects of one cluster as they are on the API server.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Live {
    /// The ClickHouseInstallation.
    pub(super) installation: Value,
    /// The Keeper of the same name, where there is one.
    pub(super) keeper: Option<Value>,
    /// The Service of the same name, where there is one.
    pub(super) service: Option<Value>,
}

/// The inputs that render `live`.
pub(super) fn inputs(live: &Live, urn: &Urn, login: &Login) -> ClusterArgs {
    let mut args = describe(live);
    let Some(rendered) = render(&args, urn, login) else { return args };
    args.chi_overrides = difference(&rendered.installation, &live.installation);
    args.chk_overrides = rendered.keeper.as_ref().zip(live.keeper.as_ref()).and_then(|(rendered, live)| difference(rendered, live));
    args
}

/// `old` with what has drifted on the API server since `old` was written there: nothing changes in it when nothing has.
pub(super) fn drifted(old: &ClusterArgs, live: &Live, urn: &Urn, login: &Login) -> ClusterArgs {
    let Some(written) = render(old, urn, login) else { return old.clone() };
    let written = Live { installation: written.installation, keeper: written.keeper, service: Some(written.service) };
    let found = Live {
        installation: project(&written.installation, &live.installation),
        keeper: written.keeper.as_ref().zip(live.keeper.as_ref()).map(|(written, live)| project(written, live)),
        service: written.service.as_ref().zip(live.service.as_ref()).map(|(written, live)| project(written, live)),
    };
    let expected = Live {
        keeper: found.keeper.as_ref().and(written.keeper.clone()),
        service: found.service.as_ref().and(written.service.clone()),
        installation: written.installation,
    };
    if same_but_task(&expected.installation, &found.installation)
        && match (&expected.keeper, &found.keeper) {
            (Some(expected), Some(found)) => same_but_task(expected, found),
            (None, None) => true,
            _ => false,
        }
        && expected.service == found.service
    {
        return old.clone();
    }
    let (before, after) = (inputs(&expected, urn, login), inputs(&found, urn, login));
    overlay_difference(old, &before, &after).unwrap_or_else(|| old.clone())
}

/// Whether the Service lost what no input speaks of: its selector or its ports.
pub(super) fn service_is_damaged(cluster: &validate::ValidatedCluster, urn: &Urn, login: &Login, service: &Value) -> bool {
    let written = manifest::build(cluster, urn, login, "").service;
    let ports = |service: &'_ Value| service["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let there = ports(service);
    // Ports that others have added are theirs.
    let has = |port: &Value| there.iter().any(|found| project(port, found) == *port);
    written["spec"]["selector"] != project(&written, service)["spec"]["selector"] || !ports(&written).iter().all(has)
}

/// Whether the Secret lost, or has otherwise, a key or label of those that the inputs `old` give it.
pub(super) fn secret_is_damaged(old: &ClusterArgs, urn: &Urn, login: &Login, secret: &Value) -> bool {
    let Some(manifest::Manifests { secret: written, .. }) = render(old, urn, login) else { return false };
    let found = project(&written, secret);
    written["data"] != found["data"] || written["metadata"]["labels"] != found["metadata"]["labels"]
}

fn render(args: &ClusterArgs, urn: &Urn, login: &Login) -> Option<manifest::Manifests> {
    let namespace = args.namespace.clone().unwrap_or_default();
    let filled = defaults::fill(urn, &Autonaming::Default, &namespace, None, &Known::all(args.clone())).ok()?;
    let cluster = validate::validate(&Known::all(filled)).ok()?;
    Some(manifest::build(&cluster, urn, login, ""))
}

/// `live` reduced to the fields that `written` has: others belong to others.
fn project(written: &Value, live: &Value) -> Value {
    match (written, live) {
        (Value::Object(written), Value::Object(live)) => {
            Value::Object(written.iter().filter_map(|(key, value)| Some((key.clone(), project(value, live.get(key)?)))).collect())
        }
        (Value::Array(written), Value::Array(live)) if written.len() == live.len() => {
            Value::Array(written.iter().zip(live).map(|(written, live)| project(written, live)).collect())
        }
        _ => live.clone(),
    }
}

fn same_but_task(one: &Value, other: &Value) -> bool {
    let without_task = |object: &Value| {
        let mut object = object.clone();
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("taskID");
        }
        object
    };
    without_task(one) == without_task(other)
}

/// What has to be laid over the rendered `spec` to get the live one. A live one that does not say whether it is stopped or
/// suspended is neither.
fn difference(rendered: &Value, live: &Value) -> Option<FreeForm> {
    let spec = |object: &Value| {
        let mut spec = object["spec"].clone();
        if let Value::Object(spec) = &mut spec {
            spec.remove("taskID");
        }
        spec
    };
    let (rendered, mut live) = (spec(rendered), spec(live));
    for field in ["stop", "suspend"] {
        if let (Some(says_no), Value::Object(live)) = (rendered.get(field).filter(|value| is_yes(value).is_none()), &mut live)
            && live.get(field).is_none_or(|value| is_yes(value).is_none())
        {
            live.insert(field.to_owned(), says_no.clone());
        }
    }
    match manifest::merge_patch(&rendered, &live) {
        Some(Value::Object(patch)) if !patch.is_empty() => Some(patch.into_iter().collect()),
        _ => None,
    }
}

/// `old`, changed where `after` differs from `before`.
fn overlay_difference(old: &ClusterArgs, before: &ClusterArgs, after: &ClusterArgs) -> Option<ClusterArgs> {
    const OVERRIDES: [&str; 2] = ["chiOverrides", "chkOverrides"];
    let to_json = |args: &ClusterArgs| serde_json::to_value(args).ok();
    let (mut result, before, after) = (to_json(old)?, to_json(before)?, to_json(after)?);
    if let Some(Value::Object(mut change)) = manifest::merge_patch(&before, &after) {
        // Overrides are patches themselves: theirs come on top of those that were there, and are not applied to them.
        for field in OVERRIDES {
            if change.remove(field).is_some() {
                put_on_top(&mut result[field], &after[field]);
            }
        }
        manifest::merge(&mut result, &Value::Object(change));
    }
    serde_json::from_value(result).ok()
}

fn put_on_top(target: &mut Value, entries: &Value) {
    match (target, entries) {
        (Value::Object(target), Value::Object(entries)) => {
            for (key, value) in entries {
                match (target.entry(key).or_insert(Value::Null), value) {
                    (Value::Array(target), Value::Array(elements)) => put_elements_on_top(key, target, elements),
                    (target, value) => put_on_top(target, value),
                }
            }
        }
        (target, entries) => target.clone_from(entries),
    }
}

/// As overrides are merged: named things by their names.
fn put_elements_on_top(list: &str, target: &mut Vec<Value>, elements: &[Value]) {
    let Some(key) = manifest::merge_key(list, target).filter(|_| manifest::merge_key(list, elements).is_some()) else {
        elements.clone_into(target);
        return;
    };
    for element in elements {
        match target.iter_mut().find(|there| there[key] == element[key]) {
            Some(there) if !manifest::has_directive(element) => put_on_top(there, element),
            Some(there) => there.clone_from(element),
            None => target.push(element.clone()),
        }
    }
}

fn describe(live: &Live) -> ClusterArgs {
    let chi = &live.installation;
    let spec = &chi["spec"];
    let cluster = &spec["configuration"]["clusters"][0];
    let pod = named(&spec["templates"]["podTemplates"], &spec["defaults"]["templates"]["podTemplate"]);
    let container = container(pod, "clickhouse");
    let name = text(&chi["metadata"]["name"]);
    let cluster_name = text(&cluster["name"]).unwrap_or_else(|| names::DEFAULT_CLUSTER_NAME.to_owned());
    let (image, version) = image(container, pod, defaults::SERVER_REPOSITORY);
    let user = administrator(&spec["configuration"]["users"]);
    ClusterArgs {
        name: name.clone(),
        namespace: text(&chi["metadata"]["namespace"]),
        labels: entries(&chi["metadata"]["labels"]),
        annotations: entries(&chi["metadata"]["annotations"]),
        cluster_name: Some(cluster_name.clone()),
        version,
        image,
        shards: number(&cluster["layout"]["shardsCount"]),
        replicas: number(&cluster["layout"]["replicasCount"]),
        resources: resources(container),
        storage: Some(storage(spec)),
        coordination: Some(coordination(spec, live.keeper.as_ref(), name.as_deref().unwrap_or_default(), &cluster_name)),
        admin: Some(Admin {
            networks: serde_json::from_value(spec["configuration"]["users"][format!("{user}/networks/ip")].clone()).ok(),
            username: Some(user),
            ..Admin::default()
        }),
        ingress: live.service.as_ref().and_then(ingress),
        per_shard_services: spec["defaults"]["templates"].get("shardServiceTemplate").map(|_| true),
        interserver_secret: interserver(&cluster["secret"]),
        logging: serde_json::from_value(json!({"level": spec["configuration"]["settings"].get("logger/level")}))
            .ok()
            .filter(|logging: &Logging| logging.level.is_some()),
        stopped: is_yes(&spec["stop"]),
        suspended: is_yes(&spec["suspend"]),
        restart_token: text(&pod["metadata"]["annotations"][RESTART_ANNOTATION]),
        cluster_domain: text(&spec["namespaceDomainPattern"]).and_then(|pattern| Some(pattern.strip_prefix("%s.svc.")?.to_owned())),
        ..ClusterArgs::default()
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn number<N: TryFrom<u64>>(value: &Value) -> Option<N> {
    value.as_u64().and_then(|number| N::try_from(number).ok())
}

/// The operator's many spellings of yes; `None` for no, which is the default.
fn is_yes(value: &Value) -> Option<bool> {
    shape::is_yes(value).then_some(true)
}

/// The element of `templates` that `name` names, else the first.
fn named<'a>(templates: &'a Value, name: &Value) -> &'a Value {
    let all = templates.as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().find(|template| &template["name"] == name).or(all.first()).unwrap_or(&Value::Null)
}

/// The container called `name`, else the first: as the operator chooses.
fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    named(&pod["spec"]["containers"], &json!(name))
}

/// Labels or annotations without the provider's own marks and what kubectl keeps there.
fn entries(value: &Value) -> Option<BTreeMap<String, String>> {
    let kept: BTreeMap<_, _> = value
        .as_object()?
        .iter()
        .filter(|(key, _)| *key != meta::MANAGED_BY && !key.starts_with("pulumi-clickhouse/") && !key.starts_with("kubectl.kubernetes.io/"))
        .filter_map(|(key, value)| Some((key.clone(), text(value)?)))
        .collect();
    (!kept.is_empty()).then_some(kept)
}

fn resources(container: &Value) -> Option<Resources> {
    serde_json::from_value(container.get("resources")?.clone()).ok()
}

/// The image's parts: what differs from the official one, and its tag as the version.
fn image(container: &Value, pod: &Value, official: &str) -> (Option<Image>, Option<String>) {
    let reference = container["image"].as_str().unwrap_or_default();
    let (named, digest) = reference.split_once('@').map_or((reference, None), |(named, digest)| (named, Some(digest.to_owned())));
    let (repository, tag) = match named.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag.to_owned())),
        _ => (named, None),
    };
    let secrets =
        pod["spec"]["imagePullSecrets"].as_array().map(|secrets| secrets.iter().filter_map(|secret| text(&secret["name"])).collect());
    let image = Image {
        repository: (repository != official && !repository.is_empty()).then(|| repository.to_owned()),
        tag: None,
        digest,
        pull_policy: serde_json::from_value(container["imagePullPolicy"].clone()).ok(),
        pull_secrets: secrets,
    };
    ((image != Image::default()).then_some(image), tag)
}

fn storage(spec: &Value) -> Storage {
    let management = &spec["defaults"]["storageManagement"];
    let templates = &spec["defaults"]["templates"];
    let claim = |field: &str| Some(volume(named(&spec["templates"]["volumeClaimTemplates"], templates.get(field)?), management));
    let provisioner = serde_json::from_value(management["provisioner"].clone()).ok();
    let logs = claim("logVolumeClaimTemplate");
    match claim("dataVolumeClaimTemplate") {
        Some(Volume { size, storage_class, access_modes, reclaim_policy }) => {
            Storage { size, storage_class, access_modes, reclaim_policy, provisioner, ephemeral: None, logs }
        }
        None => Storage {
            ephemeral: Some(true),
            reclaim_policy: serde_json::from_value(management["reclaimPolicy"].clone()).ok(),
            provisioner,
            logs,
            ..Storage::default()
        },
    }
}

fn volume(template: &Value, management: &Value) -> Volume {
    let policy = template.get("reclaimPolicy").unwrap_or(&management["reclaimPolicy"]);
    Volume {
        size: text(&template["spec"]["resources"]["requests"]["storage"]),
        storage_class: text(&template["spec"]["storageClassName"]),
        access_modes: serde_json::from_value(template["spec"]["accessModes"].clone())
            .ok()
            .filter(|modes| *modes != vec![super::args::AccessMode::ReadWriteOnce]),
        reclaim_policy: serde_json::from_value(policy.clone()).ok(),
    }
}

fn coordination(spec: &Value, keeper: Option<&Value>, name: &str, cluster_name: &str) -> Coordination {
    let zookeeper = &spec["configuration"]["zookeeper"];
    let nodes = zookeeper["nodes"].as_array();
    let of_keeper = |host: &Value| {
        host.as_str().is_some_and(|host| {
            host.starts_with(&format!("chk-{name}-{cluster_name}-")) || host.split('.').next() == Some(&names::keeper_service(name))
        })
    };
    match (nodes, keeper) {
        (None, _) => Coordination { kind: Some(CoordinationType::None), ..Coordination::default() },
        (Some(nodes), Some(keeper)) if nodes.iter().all(|node| of_keeper(&node["host"])) => {
            Coordination { kind: Some(CoordinationType::Keeper), keeper: Some(self::keeper(keeper)), external: None }
        }
        (Some(nodes), _) => {
            let timeouts = ExternalTimeouts {
                session_ms: number(&zookeeper["session_timeout_ms"]),
                operation_ms: number(&zookeeper["operation_timeout_ms"]),
            };
            let external = ExternalCoordination {
                nodes: Some(nodes.iter().map(node).collect()),
                root: text(&zookeeper["root"]),
                identity: text(&zookeeper["identity"]),
                timeouts: (timeouts != ExternalTimeouts::default()).then_some(timeouts),
            };
            Coordination { kind: Some(CoordinationType::External), keeper: None, external: Some(external) }
        }
    }
}

fn node(node: &Value) -> ExternalNode {
    ExternalNode {
        host: text(&node["host"]),
        port: number(&node["port"]),
        secure: is_yes(&node["secure"]),
        availability_zone: text(&node["availabilityZone"]),
    }
}

fn keeper(chk: &Value) -> Keeper {
    let spec = &chk["spec"];
    let templates = &spec["defaults"]["templates"];
    let pod = named(&spec["templates"]["podTemplates"], &templates["podTemplate"]);
    let container = container(pod, "clickhouse-keeper");
    let (image, version) = image(container, pod, defaults::KEEPER_REPOSITORY);
    let mut image = image.unwrap_or_default();
    image.tag = version;
    Keeper {
        replicas: number(&spec["configuration"]["clusters"][0]["layout"]["replicasCount"]),
        image: (image != Image::default()).then_some(image),
        resources: resources(container),
        storage: templates
            .get("dataVolumeClaimTemplate")
            .map(|name| volume(named(&spec["templates"]["volumeClaimTemplates"], name), &spec["defaults"]["storageManagement"])),
    }
}

fn interserver(secret: &Value) -> Option<InterserverSecret> {
    let reference = &secret["valueFrom"]["secretKeyRef"];
    if is_yes(&secret["auto"]).is_some() {
        None
    } else if reference.is_object() {
        let existing_secret = Some(SecretKey { name: text(&reference["name"]), key: text(&reference["key"]) });
        Some(InterserverSecret { enabled: None, existing_secret })
    } else {
        Some(InterserverSecret { enabled: Some(false), existing_secret: None })
    }
}

/// The user that may manage users, else ClickHouse's `default`.
fn administrator(users: &Value) -> String {
    let none = Map::new();
    let managers = || users.as_object().unwrap_or(&none).keys().filter_map(|key| key.strip_suffix("/access_management"));
    let admin = managers().find(|user| *user == defaults::USERNAME).or_else(|| managers().next());
    admin.unwrap_or(defaults::USERNAME).to_owned()
}

fn ingress(service: &Value) -> Option<Ingress> {
    let spec = &service["spec"];
    let kind = serde_json::from_value(spec["type"].clone()).ok()?;
    let ranges: Vec<_> = spec["loadBalancerSourceRanges"].as_array().into_iter().flatten().filter_map(text).collect();
    Some(Ingress {
        kind: Some(kind),
        hostname: None,
        annotations: entries(&service["metadata"]["annotations"]),
        labels: entries(&service["metadata"]["labels"]),
        source_ranges: (!ranges.is_empty()).then_some(ranges),
        load_balancer_class: text(&spec["loadBalancerClass"]),
        external_traffic_policy: serde_json::from_value(spec["externalTrafficPolicy"].clone()).ok(),
        internal: None,
    })
}
