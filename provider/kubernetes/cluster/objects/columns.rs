//! What the columns of the table of objects say.

use super::super::state::ClusterState;

/// When an object is written. All of one stage are written at once, and the next stage begins when what they
/// need has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Stage {
    /// Before what lives in it.
    Namespace,
    /// The first object of the cluster's own: from then on an interrupted run is continued by the next one.
    Claim,
    /// What takes its time, or is needed by hosts.
    BeforeHosts,
    /// The hosts.
    Hosts,
    /// What has something done by hosts that serve.
    AfterHosts,
}

impl Stage {
    pub(in super::super) const ALL: [Self; 5] =
        [Self::Namespace, Self::Claim, Self::BeforeHosts, Self::Hosts, Self::AfterHosts];
}

/// By what an object is known for this provider's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Whose {
    /// It may be anybody's, and is used as it is; only one that the cluster has made is the cluster's.
    Anybodys,
    /// By the URN that it carries.
    Marked,
    /// By a label alone, since the operator hands its annotations on to pods; that it is this stack's, the
    /// Secret beside it tells.
    Labelled,
}

/// What is waited for once an object is written, or was found as it is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Await {
    /// Nothing.
    Nothing,
    /// Its members, before the next stage.
    Members,
    /// The hosts and their volumes.
    Hosts,
    /// Its address, when all else has come.
    Address,
}

/// When an object is deleted, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Leaves {
    /// Before the hosts, so that no client meets a dying one.
    First,
    /// With the hosts. Where that is somebody else's, all the rest is, too.
    Hosts,
    /// When no host needs it any more.
    AfterHosts,
    /// After all else: as long as it is there an interrupted deletion is known for this stack's.
    Last,
    /// At the very end, if the cluster made it and nothing else is in it.
    IfEmpty,
}

/// An output that tells that an object is there.
pub(in super::super) struct Output {
    pub(super) path: &'static str,
    pub(super) is_absent: fn(&ClusterState) -> bool,
    pub(super) remove: fn(&mut ClusterState),
}
