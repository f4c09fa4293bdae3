//! The engine's operations on programs of some clusters, and on one of none.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use testbed::Counted;
use testbed::pulumi::{Pulumi, Stack};
use testbed::requests::Requests;

use super::machine::{self, Busy};
use super::plugin::{Binary, TOKEN};

/// What an engine is asked for, in the order of a cluster's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Preview,
    Up,
    UnchangedUp,
    Refresh,
    Destroy,
}

impl Operation {
    pub(super) const ALL: [Self; 5] =
        [Self::Preview, Self::Up, Self::UnchangedUp, Self::Refresh, Self::Destroy];

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Preview => &["preview", "--non-interactive"],
            Self::Up | Self::UnchangedUp => &["up", "--yes", "--skip-preview", "--non-interactive"],
            Self::Refresh => &["refresh", "--yes", "--skip-preview", "--non-interactive"],
            Self::Destroy => &["destroy", "--yes", "--skip-preview", "--non-interactive"],
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Preview => "preview",
            Self::Up => "up",
            Self::UnchangedUp => "up without a change",
            Self::Refresh => "refresh",
            Self::Destroy => "destroy",
        })
    }
}

/// What one operation took from start to end, plugins started by the engine.
#[derive(Debug, Clone)]
pub(super) struct Wall {
    pub(super) operation: Operation,
    /// On the program with clusters.
    pub(super) ours: Duration,
    /// On a program without any, right before.
    pub(super) engine_alone: Duration,
    /// How busy the machine was meanwhile.
    pub(super) busy: String,
}

/// What one operation took of the plugin and of the API server.
#[derive(Debug, Clone)]
pub(super) struct Cost {
    pub(super) operation: Operation,
    pub(super) cpu: Duration,
    /// The most memory, in KiB.
    pub(super) memory: u64,
    pub(super) requests: Requests,
}

/// The operations on `clusters` clusters in `namespace`, each right after the same one by the engine alone.
pub(super) async fn walls(
    pulumi: &Pulumi,
    kubeconfig: &Path,
    namespace: &str,
    clusters: usize,
) -> Result<Vec<Wall>> {
    let empty = pulumi.stack(&program(namespace, 0), kubeconfig).await?;
    let stack = pulumi.stack(&program(namespace, clusters), kubeconfig).await?;
    let mut walls = Vec::new();
    for operation in Operation::ALL {
        let busy = Busy::begin()?;
        let engine_alone = run(&empty, operation).await?;
        let ours = run(&stack, operation).await?;
        walls.push(Wall { operation, ours, engine_alone, busy: busy.end()? });
    }
    Ok(walls)
}

/// The operations on `clusters` clusters, with a fresh plugin for each that the engine attaches to, so that
/// all of what it uses is seen.
pub(super) async fn costs(
    pulumi: &Pulumi,
    binary: &Binary,
    counted: &mut Counted<'_>,
    namespace: &str,
    clusters: usize,
) -> Result<Vec<Cost>> {
    let mut stack = pulumi.stack(&program(namespace, clusters), counted.kubeconfig()).await?;
    let mut costs = Vec::new();
    for operation in Operation::ALL {
        let plugin = binary.start()?;
        stack.set_environment("PULUMI_DEBUG_PROVIDERS", &format!("clickhouse:{}", plugin.port()?));
        counted.take()?;
        run(&stack, operation).await?;
        costs.push(Cost {
            operation,
            cpu: machine::cpu_time(plugin.id())?,
            memory: machine::memory(plugin.id())?.peak,
            requests: counted.take()?,
        });
    }
    Ok(costs)
}

async fn run(stack: &Stack, operation: Operation) -> Result<Duration> {
    Ok(stack.run(operation.arguments()).await?.succeeded()?.elapsed)
}

fn program(namespace: &str, clusters: usize) -> String {
    let cluster = json!({"type": TOKEN, "properties": {"namespace": namespace, "skipAwait": true}});
    let resources: serde_json::Map<_, _> =
        (0..clusters).map(|index| (format!("db{index}"), cluster.clone())).collect();
    format!("resources: {}\n", Value::from(resources))
}
