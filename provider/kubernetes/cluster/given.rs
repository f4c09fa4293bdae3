//! What is asked of a value that a program gives anew, and not of one that the cluster has already. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::args::{ClusterArgs, CoordinationType, FreeForm};
use super::shape::{Installation, MOST_HOSTS, Shape};
use super::{defaults, quantity, validate};
use crate::kubernetes::meta::MANAGED_BY;
use crate::property::path::PropertyPath;
use crate::resource::{CheckFailure, Known};

/// How deep an override may be; Pulumi's protocol ends at about as many objects in one another.
const DEEPEST: usize = 32;
/// How large an override may be, as JSON: what Kubernetes stores of an object must fit into 1.5 MB.
const LARGEST: usize = 1_000_000;
/// From here on not every whole number has an `f64` of its own, which is what Pulumi carries numbers in.
const INEXACT: f64 = 9_007_199_254_740_992.0;
/// The smallest volume, and the least memory, in bytes: less is a forgotten unit.
const LEAST_BYTES: i128 = 1 << 20;
/// The longest name of an administrator.
const USERNAME: usize = 64;
/// Clusters that the operator itself puts into `remote_servers`.
const OPERATORS_CLUSTERS: [&str; 3] = ["all-replicated", "all-sharded", "all-clusters"];
/// Beginnings of the names that the operator gives to the Services of other clusters.
const OPERATORS_PREFIXES: [&str; 6] = ["clickhouse-", "keeper-", "chi-", "chk-", "shard-", "cluster-"];

/// What is wrong with the inputs as the program gives them, without defaults. What `old` has at the same place in the same way passes: no
/// cluster that is there becomes an error.
pub(super) fn problems(old: Option<&ClusterArgs>, given: &Known<ClusterArgs>) -> Vec<CheckFailure> {
    let mut found = Vec::new();
    let args = &given.value;
    names(args, &mut found);
    metadata(args, &mut found);
    image(args, &mut found);
    if lacks_keeper_image(args) && !old.is_some_and(lacks_keeper_image) {
        let reason = format!(
            "must be given with a server image of one's own: only for the official one, `{}`, is the Keeper's of the same version known",
            defaults::SERVER_REPOSITORY
        );
        found.push(CheckFailure::new("coordination.keeper.image", reason));
    }
    admin(args, &mut found);
    amounts(args, &mut found);
    overrides("chiOverrides", args.chi_overrides.as_ref(), &mut found);
    overrides("chkOverrides", args.chk_overrides.as_ref(), &mut found);
    if found.is_empty() {
        return found;
    }
    let (old, new) = (old.and_then(|old| serde_json::to_value(old).ok()), serde_json::to_value(args).unwrap_or_default());
    found.retain(|failure| {
        let known = old.as_ref().and_then(|old| failure.path.find_in(old));
        !given.is_unknown(&failure.path) && (known.is_none() || known != failure.path.find_in(&new))
    });
    found
}

/// The overrides that make more hosts than are supported, of a cluster that is not there yet: what becomes of one that is, the guard judges.
/// `filled` has its defaults.
pub(super) fn overridden_hosts(old: Option<&ClusterArgs>, filled: &Known<ClusterArgs>) -> Vec<CheckFailure> {
    let places = [("chiOverrides", &filled.value.chi_overrides), ("chkOverrides", &filled.value.chk_overrides)];
    let lays_out = |overrides: &Option<FreeForm>| overrides.as_ref().is_some_and(|overrides| overrides.contains_key("configuration"));
    if old.is_some() || !places.iter().any(|(_, overrides)| lays_out(overrides)) {
        return Vec::new();
    }
    let Shape { clickhouse, keeper, .. } = Shape::rendered(&validate::anyway(filled));
    let installations = places.into_iter().zip([Some(clickhouse), keeper]);
    let failures = installations.filter_map(|((path, _), installation)| {
        let count = installation.filter(Installation::is_too_large)?.count;
        let reason = format!("makes {count} hosts, at most {MOST_HOSTS} are supported: ask for fewer, or make several clusters");
        Some(CheckFailure::new(format!("{path}.configuration.clusters").as_str(), reason))
    });
    failures.filter(|failure| !filled.is_unknown(&failure.path)).collect()
}

fn names(args: &ClusterArgs, found: &mut Vec<CheckFailure>) {
    if let Some(name) = args.cluster_name.as_deref().filter(|name| OPERATORS_CLUSTERS.contains(name)) {
        let reason = format!("`{name}` is a cluster that the operator itself adds to `remote_servers`: choose another name");
        found.push(CheckFailure::new("clusterName", reason));
    }
    let Some(name) = &args.name else { return };
    if let Some(prefix) = OPERATORS_PREFIXES.into_iter().find(|prefix| name.starts_with(prefix)) {
        let rest = &name[prefix.len()..];
        let reason = format!(
            "`{name}` is the name that the operator gives to a Service of a cluster `{rest}`, which would take over this cluster's own: leave out `{prefix}`, or put it \
             at the end"
        );
        found.push(CheckFailure::new("name", reason));
    }
}

fn metadata(args: &ClusterArgs, found: &mut Vec<CheckFailure>) {
    let ingress = args.ingress.as_ref();
    let maps: [(&str, Option<&BTreeMap<String, String>>); 4] = [
        ("labels", args.labels.as_ref()),
        ("annotations", args.annotations.as_ref()),
        ("ingress.labels", ingress.and_then(|ingress| ingress.labels.as_ref())),
        ("ingress.annotations", ingress.and_then(|ingress| ingress.annotations.as_ref())),
    ];
    for (path, map) in maps {
        for key in map.into_iter().flat_map(BTreeMap::keys).filter(|key| *key == MANAGED_BY || key.starts_with("pulumi-clickhouse/")) {
            let reason = format!("`{key}` is what this provider knows its own objects by: choose another key");
            found.push(CheckFailure::new(PropertyPath::from(path).key(key), reason));
        }
    }
}

fn image(args: &ClusterArgs, found: &mut Vec<CheckFailure>) {
    let keeper = args.coordination.as_ref().and_then(|coordination| coordination.keeper.as_ref());
    for (path, image) in [("image", args.image.as_ref()), ("coordination.keeper.image", keeper.and_then(|keeper| keeper.image.as_ref()))] {
        if let Some(repository) = image.and_then(|image| image.repository.as_ref()).filter(|repository| !is_repository(repository)) {
            let reason = format!(
                "`{repository}` is not a valid repository: write it as `registry.example.com/team/clickhouse-server`, in lower-case letters and digits with single `.`, \
                 `_` or `-` between them; the tag goes into `tag`, a digest into `digest`"
            );
            found.push(CheckFailure::new(PropertyPath::from(path).key("repository"), reason));
        }
    }
}

/// Whether a Keeper comes with the cluster whose image can't be told from the server's.
fn lacks_keeper_image(args: &ClusterArgs) -> bool {
    let coordination = args.coordination.as_ref();
    let keeper = coordination.and_then(|coordination| coordination.keeper.as_ref());
    let has_keeper = match coordination.and_then(|coordination| coordination.kind) {
        Some(kind) => kind == CoordinationType::Keeper,
        None => {
            keeper.is_some() || (args.replicas.unwrap_or(1) > 1 && coordination.is_none_or(|coordination| coordination.external.is_none()))
        }
    };
    let repository = args.image.as_ref().and_then(|image| image.repository.as_deref());
    let image = keeper.and_then(|keeper| keeper.image.as_ref());
    let named = image.is_some_and(|image| image.repository.is_some() || image.tag.is_some() || image.digest.is_some());
    has_keeper && repository.is_some_and(|repository| repository != defaults::SERVER_REPOSITORY) && !named
}

/// Whether a registry takes it for the name of a repository (the grammar of the distribution specification).
fn is_repository(text: &str) -> bool {
    let is_host = |part: &str| {
        let (host, port) = part.split_once(':').map_or((part, None), |(host, port)| (host, Some(port)));
        let label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        host.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok())
    };
    let is_component = |part: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let between = part.split(plain).filter(|between| !between.is_empty());
        part.starts_with(plain)
            && part.ends_with(plain)
            && between.into_iter().all(|between| matches!(between, "." | "_" | "__") || between.chars().all(|c| c == '-'))
    };
    let path = match text.split_once('/') {
        Some((first, rest)) if first == "localhost" || first.contains(['.', ':']) => {
            if !is_host(first) {
                return false;
            }
            rest
        }
        _ => text,
    };
    text.len() <= 255 && path.split('/').all(is_component)
}

fn admin(args: &ClusterArgs, found: &mut Vec<CheckFailure>) {
    let Some(admin) = &args.admin else { return };
    if let Some(length) = admin.username.as_ref().map(String::len).filter(|length| *length > USERNAME) {
        found.push(CheckFailure::new("admin.username", format!("has {length} characters, at most {USERNAME} are taken: shorten it")));
    }
    if admin.networks.as_ref().is_some_and(Vec::is_empty) {
        let reason = "must name at least one address or range; leave it out for the private ranges, or write `127.0.0.1` to let in nobody from outside";
        found.push(CheckFailure::new("admin.networks", reason));
    }
}

/// Quantities that are too small to be meant. Others are checked with their defaults.
fn amounts(args: &ClusterArgs, found: &mut Vec<CheckFailure>) {
    let storage = args.storage.as_ref();
    let keeper = args.coordination.as_ref().and_then(|coordination| coordination.keeper.as_ref());
    let mut bytes = vec![
        ("storage.size".to_owned(), storage.and_then(|storage| storage.size.as_ref())),
        ("storage.logs.size".to_owned(), storage.and_then(|storage| storage.logs.as_ref()?.size.as_ref())),
        ("coordination.keeper.storage.size".to_owned(), keeper.and_then(|keeper| keeper.storage.as_ref()?.size.as_ref())),
    ];
    for (path, resources) in
        [("resources", args.resources.as_ref()), ("coordination.keeper.resources", keeper.and_then(|keeper| keeper.resources.as_ref()))]
    {
        let Some(resources) = resources else { continue };
        for (part, amounts) in [("requests", &resources.requests), ("limits", &resources.limits)] {
            bytes.push((format!("{path}.{part}.memory"), amounts.as_ref().and_then(|amounts| amounts.memory.as_ref())));
        }
    }
    for (path, text) in bytes {
        let Some(text) = text else { continue };
        if quantity::nanos(text).is_some_and(|nanos| nanos > 0 && nanos < LEAST_BYTES * quantity::NANOS) {
            let reason = format!("`{text}` is less than `1Mi`: is a unit missing? write for example `4Gi`");
            found.push(CheckFailure::new(path.as_str(), reason));
        }
    }
}

fn overrides(name: &str, given: Option<&FreeForm>, found: &mut Vec<CheckFailure>) {
    let Some(given) = given else { return };
    let root = PropertyPath::root().key(name);
    let size = serde_json::to_vec(given).map(|json| json.len()).unwrap_or_default();
    if size > LARGEST {
        let reason =
            format!("has {size} bytes, at most {LARGEST} fit into an object of Kubernetes: put large files into a ConfigMap or Secret");
        found.push(CheckFailure::new(root.clone(), reason));
    }
    for (key, value) in given {
        look_into(value, &root.key(key), 1, found);
    }
}

fn look_into(value: &Value, path: &PropertyPath, depth: usize, found: &mut Vec<CheckFailure>) {
    match value {
        Value::Object(_) | Value::Array(_) if depth > DEEPEST => {
            found.push(CheckFailure::new(path.clone(), format!("is nested too deeply: at most {DEEPEST} levels are taken")));
        }
        Value::Object(map) => map.iter().for_each(|(key, value)| look_into(value, &path.key(key), depth + 1, found)),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| look_into(item, &path.index(index), depth + 1, found)),
        Value::Number(number) if number.as_f64().is_some_and(|number| number.fract() == 0.0 && number.abs() >= INEXACT) => {
            let reason = "is a whole number that Pulumi can't carry exactly (9007199254740991 is the largest): write it in quotes";
            found.push(CheckFailure::new(path.clone(), reason));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn args(program: Value) -> ClusterArgs {
        serde_json::from_value(program).unwrap()
    }

    fn told(old: Option<Value>, program: Value) -> Vec<String> {
        let old = old.map(args);
        problems(old.as_ref(), &Known::all(args(program)))
            .into_iter()
            .map(|failure| format!("{}: {}", failure.path, failure.reason))
            .collect()
    }

    fn deep(levels: usize) -> Value {
        (0..levels).fold(json!("x"), |inner, _| json!([inner]))
    }

    fn wrong() -> Vec<(&'static str, Value)> {
        let mut wrong = vec![
            ("clusterName", json!({"clusterName": "all-sharded"})),
            ("labels[\"app.kubernetes.io/managed-by\"]", json!({"labels": {"app.kubernetes.io/managed-by": "me"}})),
            ("annotations.pulumi-clickhouse/urn", json!({"annotations": {"pulumi-clickhouse/urn": "u"}})),
            ("ingress.labels[\"app.kubernetes.io/managed-by\"]", json!({"ingress": {"labels": {"app.kubernetes.io/managed-by": "me"}}})),
            ("ingress.annotations.pulumi-clickhouse/urn", json!({"ingress": {"annotations": {"pulumi-clickhouse/urn": "u"}}})),
            ("coordination.keeper.image.repository", json!({"coordination": {"keeper": {"image": {"repository": "a//b"}}}})),
            ("admin.username", json!({"admin": {"username": "u".repeat(300)}})),
            ("admin.networks", json!({"admin": {"networks": []}})),
            ("storage.size", json!({"storage": {"size": "1m"}})),
            ("storage.logs.size", json!({"storage": {"logs": {"size": "50"}}})),
            ("coordination.keeper.storage.size", json!({"coordination": {"keeper": {"storage": {"size": "1k"}}}})),
            ("resources.limits.memory", json!({"resources": {"limits": {"memory": "4"}}})),
            ("chiOverrides", json!({"chiOverrides": {"x": "y".repeat(LARGEST)}})),
            ("chkOverrides.a[0].b", json!({"chkOverrides": {"a": [{"b": 9_007_199_254_740_992_u64}]}})),
            ("chiOverrides.a.b", json!({"chiOverrides": {"a": {"b": -1e30}}})),
        ];
        wrong.extend(OPERATORS_PREFIXES.map(|prefix| ("name", json!({"name": format!("{prefix}db")}))));
        wrong.extend(
            ["-/ü<>", "a//b", "", "A/b", "a..b", "a/b_", "a.example:x/b", "a/b:1"]
                .map(|text| ("image.repository", json!({"image": {"repository": text}}))),
        );
        wrong
    }

    #[test]
    fn what_a_program_gives_anew_is_refused_with_its_path_and_what_is_there_stays() {
        for (path, program) in wrong() {
            let found = told(None, program.clone());
            assert!(found.len() == 1 && found[0].starts_with(&format!("{path}: ")), "{path}: {found:?}");
            assert_eq!(told(Some(program.clone()), program.clone()), Vec::<String>::new(), "{path}: a cluster has it already");
            assert_eq!(told(Some(json!({"name": "other"})), program).len(), 1, "{path}: it is new to this cluster");
        }
    }

    #[test]
    fn a_keepers_image_is_only_derived_from_the_official_servers() {
        let own = |more: Value| {
            let mut program = json!({"image": {"repository": "example.com/altinity/clickhouse-server"}});
            program.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            program
        };
        let lacking = own(json!({"replicas": 2}));
        let found = told(None, lacking.clone());
        assert!(found.len() == 1 && found[0].starts_with("coordination.keeper.image: must be given"), "{found:?}");
        for program in [
            own(json!({})),
            own(json!({"replicas": 2, "coordination": {"external": {"nodes": ["zk"]}}})),
            own(json!({"replicas": 2, "coordination": {"keeper": {"image": {"tag": "25.8"}}}})),
            json!({"replicas": 2, "image": {"repository": "clickhouse/clickhouse-server"}}),
        ] {
            assert_eq!(told(None, program.clone()), Vec::<String>::new(), "{program}");
        }
        let there = own(json!({"replicas": 3, "coordination": {"type": "Keeper", "keeper": {"replicas": 3}}}));
        assert_eq!(told(Some(there), lacking), Vec::<String>::new(), "a cluster has it already");
    }

    #[test]
    fn an_override_may_be_deep_but_not_deeper() {
        assert_eq!(told(None, json!({"chiOverrides": {"a": deep(DEEPEST)}})), Vec::<String>::new());
        let found = told(None, json!({"chiOverrides": {"a": deep(DEEPEST + 1)}}));
        assert!(
            found.len() == 1 && found[0].starts_with(&format!("chiOverrides.a{}: is nested too deeply", "[0]".repeat(DEEPEST))),
            "{found:?}"
        );
    }

    #[test]
    fn what_is_sound_passes() {
        for repository in
            ["clickhouse/clickhouse-server", "localhost/a", "localhost:5000/a/b", "registry.example.com:443/a__b/c-d--e.f", "clickhouse"]
        {
            assert_eq!(told(None, json!({"image": {"repository": repository}})), Vec::<String>::new(), "{repository}");
        }
        let program = json!({
            "name": "my-clickhouse", "storage": {"size": "1Mi"}, "resources": {"limits": {"memory": "2Gi", "cpu": "1"}},
            "chiOverrides": {"a": 9_007_199_254_740_991_u64, "b": 1.5, "c": -3},
        });
        assert_eq!(told(None, program), Vec::<String>::new());
    }

    #[test]
    fn what_is_unknown_passes() {
        let unknown = std::collections::BTreeSet::from(["labels".into()]);
        let given = Known { value: args(json!({"labels": {"app.kubernetes.io/managed-by": "me"}})), unknown };
        assert_eq!(problems(None, &given), Vec::new());
    }
}
