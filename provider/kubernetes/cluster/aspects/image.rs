//! The image of the hosts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::state::ClusterState;
use super::check::dns_problem;
use super::draft::PodDraft;
use super::read::text;
use super::{Aspect, Checker, ClusterArgs, Drafts, HOST_REMEDIES, Live, ValidatedCluster};
use crate::kubernetes::diagnosis::Remedies;
use crate::property::path::PropertyPath;

/// The release that a new cluster gets: ClickHouse's long-term-support line 26.3.
pub(super) const VERSION: &str = "26.3.33.24";
/// The official server image.
pub(super) const SERVER_REPOSITORY: &str = "clickhouse/clickhouse-server";

/// The inputs about what hosts run.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageArgs {
    /// The ClickHouse version: the tag of the server image, for example `25.8.30.16`; not `latest`. Default:
    /// a pinned long-term-support release for a new cluster; an existing one keeps its version. A change is a
    /// rolling upgrade.
    pub version: Option<String>,

    /// The server image. Default: the official one.
    pub image: Option<Image>,
}

/// A container image.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterImage")]
pub struct Image {
    /// The repository, for example `registry.example.com/clickhouse/clickhouse-server`. Default: the official
    /// image.
    pub repository: Option<String>,
    /// The tag. Default: the cluster's `version`, also for the Keeper.
    pub tag: Option<String>,
    /// The digest, `sha256:` and 64 hex digits; it takes precedence over the tag.
    pub digest: Option<String>,
    /// The image pull policy. Default: that of Kubernetes.
    pub pull_policy: Option<PullPolicy>,
    /// The names of the image pull Secrets.
    pub pull_secrets: Option<Vec<String>>,
}

/// An image pull policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterImagePullPolicy")]
pub enum PullPolicy {
    /// Pull at each start of a container.
    Always,
    /// Pull only if the node does not have the image.
    IfNotPresent,
    /// Never pull: the node must have the image.
    Never,
}

/// The image of the hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct ServerImage {
    /// The input `version`, or its default; empty where the operator chooses.
    pub(in super::super) version: String,
    pub(super) image: ContainerImage,
}

/// An image as a container names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContainerImage {
    /// `repository:tag` or `repository@digest`; `None` where the operator chooses.
    pub(super) reference: Option<String>,
    pub(super) pull_policy: Option<PullPolicy>,
    pub(super) pull_secrets: Vec<String>,
    said_by: SaidBy,
}

/// Which input says an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SaidBy {
    Version,
    /// The one its repository, the other its tag.
    VersionAndImage,
    Image,
}

/// What an image is where inputs leave it open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reference<'a> {
    pub(super) repository: &'a str,
    /// The tag.
    pub(super) version: Option<&'a str>,
    /// What somebody else has written: its tag counts where there is no other, and all of it where its digest
    /// is asked for.
    pub(super) written: Option<&'a str>,
}

/// What a cluster keeps of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in super::super) struct ImageDefaults {
    /// The version that a program which names none gets: that of the last run.
    pub(in super::super) version: String,
    /// Whether the program names none, so that the cluster keeps what it has.
    pub(in super::super) version_omitted: bool,
}

impl Default for ImageDefaults {
    fn default() -> Self {
        Self { version: VERSION.to_owned(), version_omitted: false }
    }
}

impl Aspect for ServerImage {
    type Args = ImageArgs;
    type Defaults = ImageDefaults;

    const FOLLOW: &'static [(&'static str, &'static [&'static str])] =
        &[("version", &["version", "image"]), ("image", &["image"])];

    fn complete(args: &mut ClusterArgs, _had_keeper: bool) {
        if args.adopted().is_none() {
            let version = args.made_with().image.version;
            args.image.version.get_or_insert(version);
        }
    }

    fn check(check: &mut Checker<'_>) -> Self {
        let ImageArgs { version, image } = check.args().image.clone();
        let default = || check.adopted().is_none().then(|| VERSION.to_owned());
        let version = version.or_else(default);
        if let Some(version) = &version {
            check_tag(check, "version", version);
        }
        if check.adopted().is_some()
            && version.is_some()
            && image.as_ref().is_some_and(|image| image.digest.is_some())
        {
            check.fail(
                "version",
                "has no effect beside `image.digest`, which says what runs: remove one of them",
            );
        }
        let written = check.adopted().and_then(|adopted| adopted.image.as_deref());
        check.is_for_one_pod_template("version", version.is_some());
        check.is_for_one_pod_template("image", image.is_some());
        let defaults = Reference { repository: SERVER_REPOSITORY, version: version.as_deref(), written };
        let image = ContainerImage::check("image", image.as_ref(), &defaults, check);
        Self { version: version.unwrap_or_default(), image }
    }

    fn render(&self, _cluster: &ValidatedCluster, drafts: &mut Drafts) {
        self.image.render(&mut drafts.installation.pod);
    }

    fn read(live: &Live) -> ImageArgs {
        let (image, version) = parts(live.container(), live.pod(), SERVER_REPOSITORY);
        // The digest says what runs, and a tag that may be another release tomorrow can't be asked for.
        let has_digest = image.as_ref().is_some_and(|image| image.digest.is_some());
        let is_said =
            |version: &String| live.adopted.is_none() || !has_digest && tag_problem(version).is_none();
        ImageArgs { version: version.filter(is_said), image }
    }
}

impl ServerImage {
    /// The inputs to name where hosts don't come up.
    pub(in super::super) fn remedies(&self) -> Remedies {
        let image = self.image.said_by([HOST_REMEDIES.image, "`version` or `image`", "`image`"]);
        Remedies { image, ..HOST_REMEDIES }
    }
}

impl ContainerImage {
    /// Checks the image whose inputs stand at `path`. Without any tag there is no image.
    pub(super) fn check(
        path: &str,
        given: Option<&Image>,
        defaults: &Reference<'_>,
        check: &mut Checker<'_>,
    ) -> Self {
        let Image { repository: given, tag, digest, pull_policy, pull_secrets } =
            given.cloned().unwrap_or_default();
        let Reference { repository, version, written } = *defaults;
        let said_by = match (&given, tag.is_some() || digest.is_some()) {
            (_, true) => SaidBy::Image,
            (Some(_), false) => SaidBy::VersionAndImage,
            (None, false) => SaidBy::Version,
        };
        let repository = given.unwrap_or_else(|| repository.to_owned());
        if !is_repository(&repository) {
            let reason = format!(
                "`{repository}` is not a valid repository: write it as \
                    `registry.example.com/team/clickhouse-server`, in lower-case letters and digits with \
                    single `.`, \
                 `_` or `-` between them; the tag goes into `tag`, a digest into `digest`"
            );
            check.fail_newly(PropertyPath::from(path).key("repository"), reason);
        }
        if let Some(tag) = &tag {
            check_tag(check, &format!("{path}.tag"), tag);
        }
        let reference = match &digest {
            Some(digest) => {
                if !digest
                    .strip_prefix("sha256:")
                    .is_some_and(|hex| hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()))
                {
                    let reason =
                        format!("`{digest}` is not a valid digest: it is `sha256:` and 64 hex digits");
                    check.fail(&format!("{path}.digest"), reason);
                }
                let same = written.filter(|written| {
                    matches!(split(written), (at, _,
                    found) if at == repository && found == Some(digest))
                });
                Some(same.map_or_else(|| format!("{repository}@{digest}"), str::to_owned))
            }
            None => match (tag.as_deref().or(version), written.map(|written| split(written).1)) {
                (Some(tag), _) | (None, Some(Some(tag))) => Some(format!("{repository}:{tag}")),
                (None, Some(None)) => Some(repository.clone()),
                (None, None) => None,
            },
        };
        let pull_secrets = pull_secrets.unwrap_or_default();
        for (index, secret) in pull_secrets.iter().enumerate() {
            if let Some(problem) = dns_problem(secret) {
                check.fail_at(PropertyPath::from(path).key("pullSecrets").index(index), problem);
            }
        }
        Self { reference, pull_policy, pull_secrets, said_by }
    }

    /// Of the words for the version, for both and for the image's own input those for what says it.
    pub(super) fn said_by(&self, [version, both, image]: [&'static str; 3]) -> &'static str {
        match self.said_by {
            SaidBy::Version => version,
            SaidBy::VersionAndImage => both,
            SaidBy::Image => image,
        }
    }

    pub(super) fn render(&self, pod: &mut PodDraft) {
        if let Some(reference) = &self.reference {
            pod.container.insert("image".to_owned(), json!(reference));
        }
        if let Some(policy) = self.pull_policy {
            pod.container.insert("imagePullPolicy".to_owned(), json!(policy));
        }
        if !self.pull_secrets.is_empty() {
            let secrets: Vec<_> = self.pull_secrets.iter().map(|name| json!({"name": name})).collect();
            pod.fields.insert("imagePullSecrets".to_owned(), json!(secrets));
        }
    }
}

/// The parts of a container's image: what differs from the `official` one, and its tag.
pub(super) fn parts(container: &Value, pod: &Value, official: &str) -> (Option<Image>, Option<String>) {
    let (repository, tag, digest) = split(container["image"].as_str().unwrap_or_default());
    let secrets = pod["spec"]["imagePullSecrets"].as_array();
    let image = Image {
        repository: (repository != official && !repository.is_empty()).then(|| repository.to_owned()),
        tag: None,
        digest: digest.map(str::to_owned),
        pull_policy: serde_json::from_value(container["imagePullPolicy"].clone()).ok(),
        pull_secrets: secrets
            .map(|secrets| secrets.iter().filter_map(|secret| text(&secret["name"])).collect()),
    };
    ((image != Image::default()).then_some(image), tag.map(str::to_owned))
}

/// Repository, tag and digest of an image.
fn split(reference: &str) -> (&str, Option<&str>, Option<&str>) {
    let (named, digest) =
        reference.split_once('@').map_or((reference, None), |(named, digest)| (named, Some(digest)));
    match named.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag), digest),
        _ => (named, None, digest),
    }
}

/// A container's image, where no input says its tag.
pub(super) fn unsaid(container: &Value) -> Option<String> {
    let image = text(&container["image"])?;
    let (_, tag, digest) = split(&image);
    let is_said = tag.is_none_or(|tag| tag_problem(tag).is_none()) && digest.is_some() != tag.is_some();
    (!is_said).then_some(image)
}

fn check_tag(check: &mut Checker<'_>, path: &str, tag: &str) {
    if let Some(problem) = tag_problem(tag) {
        check.fail(path, problem);
    }
}

/// Why `tag` can't be asked for, or `None`.
fn tag_problem(tag: &str) -> Option<String> {
    let well_formed = tag.len() <= 128
        && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && tag.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    let example = VERSION;
    if tag == "latest" || tag == "head" {
        Some(format!("`{tag}` is not a fixed release: name a release, for example `{example}`"))
    } else {
        (!well_formed)
            .then(|| format!("`{tag}` is not a valid image tag: name a release, for example `{example}`"))
    }
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
            && between
                .into_iter()
                .all(|between| matches!(between, "." | "_" | "__") || between.chars().all(|c| c == '-'))
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

impl ClusterArgs {
    /// The same inputs with the version that the cluster runs, where the program names none.
    pub(in super::super) fn running(&self, version: Option<&str>) -> Self {
        let mut args = self.clone();
        if let Some(version) =
            version.filter(|version| !version.is_empty() && self.made_with().image.version_omitted)
        {
            args.image.version = Some(version.to_owned());
        }
        args
    }

    /// The inputs of the last run with the version that ran: the one that a refresh has found stands in them
    /// already.
    pub(in super::super) fn as_they_ran(&self, state: Option<&ClusterState>) -> Self {
        self.running(state.filter(|state| state.wanted_version.is_none()).map(|state| state.version.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::tests::{adopted, changed};

    fn spec(image: &str) -> Value {
        let pods = json!([{"name": "p", "spec": {"containers": [{"name": "clickhouse", "image": image}]}}]);
        json!({"defaults": {"templates": {"podTemplate": "p"}}, "templates": {"podTemplates": pods}})
    }

    #[test]
    fn an_image_stays_as_somebody_else_has_written_it_until_a_version_is_asked_for() {
        let digest = format!("sha256:{}", "1".repeat(64));
        for (image, versioned) in [
            ("clickhouse/clickhouse-server:latest", "clickhouse/clickhouse-server:24.8"),
            ("clickhouse/clickhouse-server", "clickhouse/clickhouse-server:24.8"),
            ("r.example:5000/ch:head", "r.example:5000/ch:24.8"),
            ("r.example:5000/ch:25.3", "r.example:5000/ch:24.8"),
        ] {
            let args = adopted(spec(image));
            assert_eq!(
                args.overrides
                    .chi_overrides
                    .as_ref()
                    .map(|overrides| json!(overrides).to_string().contains("image")),
                Some(false),
                "{image}"
            );
            assert_eq!(changed(&args, json!({})).unwrap(), spec(image));
            assert_eq!(changed(&args, json!({"version": "24.8"})).unwrap(), spec(versioned));
        }
        for image in [format!("ch@{digest}"), format!("ch:25.3@{digest}")] {
            let args = adopted(spec(&image));
            assert_eq!(changed(&args, json!({})).unwrap(), spec(&image));
            let refused = changed(&args, json!({"version": "24.8"})).unwrap_err();
            assert!(
                refused.len() == 1
                    && refused[0].starts_with("version: ")
                    && refused[0].contains("`image.digest`"),
                "{refused:?}"
            );
            assert_eq!(
                changed(&args, json!({"version": "24.8", "image": {"digest": null}})).unwrap(),
                spec("ch:24.8")
            );
        }
    }
}
