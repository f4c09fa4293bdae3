//! What a cluster is made of, aspect by aspect. Each file holds the inputs of one aspect with their docs,
//! their defaults, what is checked, what they render, and how they are read back. Pure.
//!
//! A new input of an aspect is a field there; a new aspect is a file, and a line in [`aspects!`]. What is
//! forgotten does not compile.

mod access;
mod adopted;
mod backup;
mod check;
mod configuration;
mod coordination;
mod credentials;
mod disruption;
mod draft;
mod firewall;
mod image;
mod kept;
mod kubernetes;
mod layout;
mod logging;
mod monitoring;
mod naming;
mod network;
mod operations;
mod overrides;
mod pod;
mod profiles;
mod quotas;
mod read;
mod reconcile;
mod resources;
mod roles;
mod s3;
mod sections;
mod storage;
mod tls;
mod users;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::property::path::PropertyPath;
use crate::resource::{Known, Paths};

pub(super) use self::access::{Access, Credential, PASSWORD_KEY, Source};
pub use self::access::{AccessArgs, SecretKey};
pub use self::adopted::Adopted;
pub use self::backup::BackupArgs;
pub(super) use self::backup::{
    Backup, CONFIGURATION_KEY, CONTAINER as BACKUP_CONTAINER, OF_CLUSTER as BACKUP_OF, has_backup_container,
};
pub(super) use self::check::Checker;
pub(super) use self::configuration::Configuration;
pub use self::configuration::ConfigurationArgs;
pub use self::coordination::CoordinationArgs;
#[cfg(test)]
pub use self::coordination::CoordinationType;
pub(super) use self::coordination::{COORDINATION_PORT, Coordination, KEEPER_REMEDIES, Keeper, SECURE_PORT};
pub(super) use self::credentials::credentials;
pub(super) use self::disruption::Disruption;
pub use self::disruption::DisruptionArgs;
pub(super) use self::draft::{Drafts, Hashes, InstallationDraft, ServiceDraft};
pub(super) use self::firewall::Firewall;
pub use self::firewall::NetworkPolicyArgs;
pub use self::image::ImageArgs;
pub(super) use self::image::ServerImage;
pub(super) use self::kept::Kept;
pub use self::layout::LayoutArgs;
pub(super) use self::layout::{Layout, is_claim_of_layout};
#[cfg(test)]
pub use self::logging::LogLevel;
pub(super) use self::logging::Logging;
pub use self::logging::LoggingArgs;
pub use self::monitoring::MonitoringArgs;
pub(super) use self::monitoring::{Monitor, Monitoring, PORT_NAME};
pub use self::naming::NamingArgs;
pub(super) use self::naming::{CLUSTER_DOMAIN, Naming};
pub(super) use self::network::Network;
pub use self::network::{IngressArgs, IngressType};
pub use self::operations::OperationsArgs;
pub(super) use self::operations::{Operations, RESTART_ANNOTATION};
pub(super) use self::overrides::Overrides;
pub use self::overrides::{FreeForm, OverridesArgs};
pub(super) use self::pod::Pod;
pub use self::pod::PodArgs;
pub use self::profiles::ProfileArgs;
pub(super) use self::profiles::Profiles;
pub use self::quotas::QuotaArgs;
pub(super) use self::quotas::Quotas;
pub(super) use self::read::Live;
use self::reconcile::{Reconciling, ReconcilingArgs};
pub use self::resources::Resources;
pub use self::roles::RoleArgs;
pub(super) use self::roles::Roles;
pub(super) use self::sections::{PROFILES, QUOTA, input_of, missing};
pub(super) use self::storage::{HOST_REMEDIES, Storage};
pub use self::storage::{Provisioner, ReclaimPolicy, StorageArgs};
pub use self::tls::TlsArgs;
pub(super) use self::tls::{Tls, has_certificate};
pub use self::users::UserArgs;
pub(super) use self::users::Users;

/// One aspect of a cluster: all that follows from a few inputs that belong together.
pub(super) trait Aspect: Sized {
    /// The inputs.
    type Args;

    /// Those defaults of the inputs that a later release may change: a cluster keeps what it was made with.
    type Defaults: Default;

    /// Inputs that say how a change is made, not what is to be: another value changes nothing on the cluster.
    const NO_CHANGE: &'static [&'static str] = &[];

    /// Inputs that are Kubernetes quantities, which have several spellings.
    const QUANTITIES: &'static [&'static str] = &[];

    /// Which outputs can't be told as long as an input is not known.
    const FOLLOW: &'static [(&'static str, &'static [&'static str])] = &[];

    /// Those defaults that a cluster has which is made now: those that it has which was made before they were
    /// recorded are their `Default`.
    fn of_new(_defaults: &mut Self::Defaults) {}

    /// Fills in what the inputs leave out. `had_keeper` says whether the cluster has a Keeper already. Called
    /// in the order of [`aspects!`]: an aspect finds the inputs of those above it completed.
    fn complete(args: &mut ClusterArgs, had_keeper: bool);

    /// Checks the completed inputs. For what is wrong or unknown a default stands in.
    fn check(check: &mut Checker<'_>) -> Self;

    /// Adds what it means to the drafts of the cluster's objects.
    fn render(&self, cluster: &ValidatedCluster, drafts: &mut Drafts);

    /// The inputs that the live objects stand for.
    fn read(live: &Live) -> Self::Args;
}

/// The defaults of an aspect that has none that a release could change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NoDefaults {}

/// Under which name the inputs hold the defaults that the cluster was made with.
const DEFAULTS: &str = "__defaults";

/// Lists the aspects: an aspect whose inputs stand beside the others' (`flat`), or below a name of their own
/// (`below`).
macro_rules! aspects {
    (
        flat { $($flat:ident: $flat_args:ty => $flat_aspect:ty,)* }
        below { $($(#[doc = $doc:literal])* $below:ident: $below_args:ty => $below_aspect:ty,)* }
    ) => {
        /// The inputs of a ClickHouse cluster. All are optional.
        #[serde_with::skip_serializing_none]
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", default)]
        #[schemars(rename = "ClusterArgs")]
        pub struct ClusterArgs {
            $(
                /// The inputs of one aspect.
                #[serde(flatten)]
                pub $flat: $flat_args,
            )*
            $(
                $(#[doc = $doc])*
                pub $below: Option<$below_args>,
            )*
            /// No input: the defaults that the cluster was made with, which stay its own whatever a later
            /// release has.
            #[serde(rename = "__defaults")]
            #[schemars(skip)]
            pub defaults: Option<Box<Defaults>>,
        }

        /// The defaults that a later release may change. A cluster keeps those that it was made with: they
        /// are recorded with its inputs, where neither a refresh nor another release changes them.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct Defaults {
            $(#[serde(flatten)] pub(super) $flat: <$flat_aspect as Aspect>::Defaults,)*
            $(#[serde(flatten)] pub(super) $below: <$below_aspect as Aspect>::Defaults,)*
            /// The inputs that name Secrets whose passwords the cluster does not have yet.
            #[serde(skip_serializing_if = "Vec::is_empty")]
            pub(super) rotated: Vec<String>,
            /// How the cluster's objects are written, where somebody else made it.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(super) adopted: Option<Adopted>,
        }

        impl Defaults {
            /// Those of a cluster that is made now.
            pub(super) fn of_new() -> Self {
                let mut defaults = Self::default();
                $(<$flat_aspect as Aspect>::of_new(&mut defaults.$flat);)*
                $(<$below_aspect as Aspect>::of_new(&mut defaults.$below);)*
                defaults
            }
        }

        /// Whether another value of an input changes nothing on the cluster.
        pub(super) fn changes_nothing(input: &str) -> bool {
            let listed = [
                $(<$flat_aspect as Aspect>::NO_CHANGE,)*
                $(<$below_aspect as Aspect>::NO_CHANGE,)*
            ];
            input == DEFAULTS || listed.concat().contains(&input)
        }

        /// Whether an input is a Kubernetes quantity. The places in lists don't count.
        pub(super) fn is_quantity(input: &str) -> bool {
            let listed = [
                $(<$flat_aspect as Aspect>::QUANTITIES,)*
                $(<$below_aspect as Aspect>::QUANTITIES,)*
            ];
            let plain = input.split(']').map(|part| part.trim_end_matches(|c: char| c.is_ascii_digit()));
            listed.concat().contains(&plain.collect::<Vec<_>>().join("]").as_str())
        }

        /// Which outputs can't be told as long as what is unknown of the inputs is not known.
        pub(super) fn unknown_outputs(args: &Known<ClusterArgs>) -> Paths {
            let follow = [
                $(<$flat_aspect as Aspect>::FOLLOW,)*
                $(<$below_aspect as Aspect>::FOLLOW,)*
            ];
            let is_unknown = |input: &str| args.is_unknown(&PropertyPath::from(input));
            let unknown = follow.concat().into_iter().filter(|(input, _)| is_unknown(input));
            unknown.flat_map(|(_, paths)| paths.iter().map(|path| PropertyPath::from(*path))).collect()
        }

        /// A cluster whose every value is known and sound: what the manifests are built from.
        #[derive(Debug, Clone)]
        pub(super) struct ValidatedCluster {
            $(pub(super) $flat: $flat_aspect,)*
            $(pub(super) $below: $below_aspect,)*
            /// How its objects are written, where somebody else made it.
            pub(super) adopted: Option<Adopted>,
        }

        /// `args` with the defaults that depend on nothing else; `had_keeper` says whether the cluster has a
        /// Keeper already.
        pub(super) fn with_defaults(mut args: ClusterArgs, had_keeper: bool) -> ClusterArgs {
            $(<$flat_aspect as Aspect>::complete(&mut args, had_keeper);)*
            $(<$below_aspect as Aspect>::complete(&mut args, had_keeper);)*
            args
        }

        /// The cluster that the completed inputs describe, whether they are sound or not: what is wrong is
        /// told to `check`.
        pub(super) fn check(check: &mut Checker<'_>) -> ValidatedCluster {
            ValidatedCluster {
                $($flat: Aspect::check(check),)*
                $($below: Aspect::check(check),)*
                adopted: check.adopted().cloned(),
            }
        }

        /// The drafts of the cluster's objects.
        pub(super) fn render(cluster: &ValidatedCluster, hashes: Hashes) -> Drafts {
            let mut drafts = Drafts::new(cluster, hashes);
            $(cluster.$flat.render(cluster, &mut drafts);)*
            $(cluster.$below.render(cluster, &mut drafts);)*
            drafts
        }

        /// The inputs that the live objects stand for, as far as there are inputs for it.
        pub(super) fn read(live: &Live) -> ClusterArgs {
            ClusterArgs {
                $($flat: <$flat_aspect as Aspect>::read(live),)*
                $($below: <$below_aspect as Aspect>::read(live),)*
                defaults: live.adopted.clone().map(|adopted| {
                    Box::new(Defaults { adopted: Some(adopted), ..Defaults::default() })
                }),
            }
        }
    };
}

aspects! {
    flat {
        naming: NamingArgs => Naming,
        image: ImageArgs => ServerImage,
        layout: LayoutArgs => Layout,
        access: AccessArgs => Access,
        operations: OperationsArgs => Operations,
        reconciling: ReconcilingArgs => Reconciling,
        configuration: ConfigurationArgs => Configuration,
        overrides: OverridesArgs => Overrides,
    }
    below {
        /// CPU and memory of each ClickHouse container. Default: requests of 500m and 1Gi, limits of 2 CPUs
        /// and 4Gi. A change is a rolling restart.
        resources: Resources => Resources,

        /// The data volume of each host, and optionally a volume for its logs.
        storage: StorageArgs => Storage,

        /// The coordination service of the replicas: a Keeper of the cluster's own, an existing Keeper or
        /// ZooKeeper, or none. Default: a Keeper with three members if `replicas` is more than 1, else none.
        coordination: CoordinationArgs => Coordination,

        /// Access from outside Kubernetes: the cluster's Service becomes a load balancer or node ports.
        /// Default: none, only reachable inside. A login from outside also needs `admin.networks`, to which
        /// `sourceRanges` are added by default.
        ingress: IngressArgs => Network,

        /// TLS for clients and between hosts: ports 8443 (HTTPS) and 9440 (native). Default: none. Turning it
        /// on or off is a rolling restart, during which distributed queries can fail. The traffic to a Keeper
        /// is encrypted where `keeper` says so.
        tls: TlsArgs => Tls,

        /// Who may connect to the pods, by a NetworkPolicy for the hosts and one for the Keeper. Default: no
        /// policy. The cluster's own pods and the operator always may. A change takes effect without a
        /// restart.
        network_policy: NetworkPolicyArgs => Firewall,

        /// How many hosts may be evicted at once, for example when nodes are drained. Default: one. A change
        /// takes effect without a restart.
        pod_disruption_budget: DisruptionArgs => Disruption,

        /// Metrics of each host for Prometheus, and what Prometheus and Grafana need to use them. Default:
        /// none. Turning them on or off is a rolling restart.
        monitoring: MonitoringArgs => Monitoring,

        /// The logging of ClickHouse.
        logging: LoggingArgs => Logging,

        /// Settings profiles, by name; users have them by `profile`. `default` holds for all users. A change
        /// takes effect without a restart, except of background pools and limits of the server in `default`.
        profiles: BTreeMap<String, ProfileArgs> => Profiles,

        /// Quotas, by name: what users who have them by `quota` may use in a time. A change takes effect
        /// without a restart.
        quotas: BTreeMap<String, QuotaArgs> => Quotas,

        /// Roles, by name: privileges that users have by `roles`. A change takes effect without a restart.
        roles: BTreeMap<String, RoleArgs> => Roles,

        /// Users, by name, besides the administrator. Each needs a credential; only hashes of passwords are
        /// stored in the installation. A change takes effect without a restart.
        users: BTreeMap<String, UserArgs> => Users,

        /// Backups to S3, Google Cloud Storage or Azure by clickhouse-backup: a container in each host's pod,
        /// and a CronJob that has the first host of each shard make one. Default: none. Adding or removing
        /// it is a rolling restart. Backups stay in the storage when the cluster is deleted.
        backup: Box<BackupArgs> => Backup,

        // What the others have added to pods is finished by it: the last one.
        /// The hosts' pods: where they run, as whom, and what else is in them. A change is a rolling restart.
        pod: Box<PodArgs> => Pod,
    }
}

impl ClusterArgs {
    /// The same, with the inputs that name Secrets whose passwords the cluster does not have yet.
    pub(super) fn with_rotated(mut self, rotated: Vec<String>) -> Self {
        self.defaults.get_or_insert_default().rotated = rotated;
        self
    }

    /// The defaults that the cluster was made with; this release's where none are recorded.
    pub(super) fn made_with(&self) -> Box<Defaults> {
        self.defaults.clone().unwrap_or_default()
    }

    /// How the cluster's objects are written, where somebody else made it.
    pub(super) fn adopted(&self) -> Option<&Adopted> {
        self.defaults.as_ref()?.adopted.as_ref()
    }
}

impl ValidatedCluster {
    /// Whether the login is this provider's to keep in a Secret.
    pub(super) fn has_secret(&self) -> bool {
        !matches!(self.access.credential, Credential::Foreign)
    }

    /// Whether the cluster is reached by a Service of this provider's: an adopted one has the operator's.
    pub(super) fn has_service(&self) -> bool {
        self.adopted.is_none() || self.ingress.ingress.is_some()
    }

    /// Whether inputs say something of ClickHouse's settings, besides what each release reads.
    pub(super) fn says_configuration(&self) -> bool {
        self.configuration.says_settings() || self.profiles.says_settings() || self.users.says_settings()
    }

    /// The Keeper that comes with the cluster, if one does.
    pub(super) fn keeper(&self) -> Option<&Keeper> {
        match &self.coordination {
            Coordination::Keeper(keeper) => Some(keeper),
            Coordination::None | Coordination::External(_) => None,
        }
    }
}
