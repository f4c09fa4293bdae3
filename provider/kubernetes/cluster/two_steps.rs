//! EFFECT: brings a new image before the settings that only it reads, so that no host starts with what it
//! can't read; which those are, `settings/stages.rs` says.

use serde_json::Value;

use super::aspects::{ClusterArgs, ValidatedCluster};
use super::objects::{Objects, Stage, is_settled};
use super::rollout::Rollout;
use super::settings::stages::{HeldBack, Runs, stages};
use super::state::ClusterState;
use super::{manifest, validate};
use crate::kubernetes::client::Api;
use crate::kubernetes::error::Error;
use crate::kubernetes::meta::Kind;
use crate::kubernetes::objects::list;
use crate::kubernetes::observe::is_yes;
use crate::kubernetes::readiness::Owner;
use crate::resource::{Context, Failure};

impl Rollout<'_> {
    /// Takes note of what the hosts of the installation that is there could not read yet.
    pub(super) async fn hold_back(&mut self, found: &Objects) -> Result<(), Failure<ClusterState>> {
        let Some(live) = found.installation.as_ref().filter(|_| says_settings(&self.cluster)) else {
            return Ok(());
        };
        if let Some(to) = self.manifests("", |row| row.stage == Stage::Hosts).installation {
            self.held = held_back(self.api, live, &to).await.map_err(|error| error.to_failure())?;
        }
        Ok(())
    }

    /// Brings the image with all that the old one reads as well, and waits for it even where nothing else is
    /// waited for: until then no host may be told the rest.
    pub(super) async fn bring_image(&mut self) -> Result<(), Failure<ClusterState>> {
        let sent = Box::pin(self.write_stage(Stage::Hosts)).await?;
        self.turn = None;
        for (_, sent) in sent {
            Box::pin(self.await_hosts(sent)).await?;
        }
        self.held = HeldBack::default();
        Ok(())
    }
}

/// Says in a preview that the step from the inputs `old` takes two.
pub(super) fn tell(ctx: &Context, old: &ClusterArgs, cluster: &ValidatedCluster) {
    if says_settings(cluster) {
        let [from, to] = [&validate::last_anyway(old), cluster].map(|said| manifest::installations(said).0);
        if let Some(told) = stages(&from, &to, Runs::AsSaid).held.told() {
            ctx.report.info(&told);
        }
    }
}

/// Whether anything is said to ClickHouse but what this provider says itself, which each release reads.
fn says_settings(cluster: &ValidatedCluster) -> bool {
    cluster.says_configuration()
        || !cluster.overrides.chi["configuration"].is_null()
        || !cluster.overrides.chi["templates"].is_null()
}

/// What is held back of the step from a live installation to another, until all hosts run its image.
///
/// Hosts run the image that a live installation says once the operator is done with it. Before that they are
/// asked, where it makes a difference.
pub(super) async fn held_back(api: &Api, live: &Value, to: &Value) -> Result<HeldBack, Error> {
    if is_settled(live) && !is_yes(&live["spec"]["suspend"]) {
        return Ok(stages(live, to, Runs::AsSaid).held);
    }
    if stages(live, to, Runs::Anything).held.is_empty() {
        return Ok(HeldBack::default());
    }
    let text = |field: &str| live["metadata"][field].as_str();
    let selector = Owner::Installation(text("name").unwrap_or_default().to_owned()).label();
    let pod = |host: &Value| Some(host["spec"]["template"].clone());
    let pods = list(api, Kind::StatefulSet, text("namespace"), &selector, pod).await?;
    Ok(stages(live, to, Runs::Also(&pods)).held)
}
